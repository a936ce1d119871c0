package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"purser"
)

// missingAfter is how long a running task may be left out of its agent's reports
// before it is lost. One report without it proves nothing: reports may overtake one
// another.
const missingAfter = 10 * time.Second

// Report takes what an agent says of its lease and answers what it is to do. It
// must list every task that the agent holds. The report is a heartbeat; what it says
// of tasks is applied in one transaction, and the same report again changes
// nothing, so that an agent without an answer repeats it.
//
//   - running: a placed task runs now. Progress, checkpoint and port are noted.
//   - succeeded, failed, lost: the task has ended; finish says what follows.
//   - a placed task that is not listed: the agent does not have it yet. It is ordered
//     to run, or, when it is to stop, put back.
//   - a running task that is not listed for 10 s: the agent has lost it.
//   - a task that is not, or no longer, on this lease: it is ordered to stop.
//
// stale: the lease has ended, or no agent has joined it; the agent ends itself.
func (db *DB) Report(ctx context.Context, id purser.LeaseID, reports []TaskReport, at time.Time) (Orders, error) {
	const op = "postgres.Report"
	byID := make(map[purser.TaskID]TaskReport, len(reports))
	for _, r := range reports {
		byID[r.Task] = cleanReport(r)
	}
	var orders Orders
	err := db.write(ctx, op, func(ctx context.Context, t *tx) error {
		w := newWorld(t, "agent", at)
		if err := w.lockLeases(ctx, id); err != nil {
			return err
		}
		l := w.leases[id]
		switch {
		case l == nil:
			return notFound(op, "lease", id)
		case l.State != purser.LeaseRunning && l.State != purser.LeaseDraining:
			return purser.Errorf(purser.KindStale, op, "lease %s is %s", id, l.State)
		case l.RunningAt.IsZero():
			return purser.Errorf(purser.KindStale, op, "no agent has joined lease %s", id)
		}
		if _, err := w.Exec(ctx, "update leases set heartbeat_at = greatest(heartbeat_at, $2) where id = $1", string(id), w.at); err != nil {
			return err
		}
		if err := w.hear(ctx, l, byID); err != nil {
			return err
		}
		var err error
		orders, err = w.orders(ctx, l, byID)
		return err
	})
	return orders, err
}

func cleanReport(r TaskReport) TaskReport {
	r.Reason, r.Checkpoint, r.Progress = clean(r.Reason, maxReason), clean(r.Checkpoint, maxPath), share(r.Progress)
	if r.Port < 0 || r.Port > 65535 {
		r.Port = 0
	}
	return r
}

// mostRestartPause bounds the wait before a command that keeps failing is run again.
const mostRestartPause = time.Minute

// RestartPause is how long a task waits on its machine after so many failures: not
// after the first, then 1, 2, 4 … 60 s, so that what fails at once does not use up its
// attempts at once.
func RestartPause(failures int) time.Duration {
	if failures < 2 {
		return 0
	}
	return min(time.Second<<min(failures-2, 10), mostRestartPause)
}

// hear applies a report. Most say nothing new: then no job is locked, and the
// commit need not wait for the disk, because a lost heartbeat is followed by another.
func (w *world) hear(ctx context.Context, l *leaseRow, reports map[purser.TaskID]TaskReport) error {
	const held = "t.lease = $1 and t.state in " + liveStates
	if err := w.loadTasks(ctx, held, string(l.ID)); err != nil {
		return err
	}
	changes := false
	for _, t := range w.tasks {
		changes = changes || w.judge(l, t, reports) > verdictNote
	}
	if !changes {
		if _, err := w.Exec(ctx, "set local synchronous_commit = off"); err != nil {
			return err
		}
		return w.note(ctx, l, reports)
	}
	jobs := map[purser.JobID]bool{}
	for _, t := range w.tasks {
		jobs[t.Job] = true
	}
	if err := w.lockJobs(ctx, sortedKeys(jobs)); err != nil {
		return err
	}
	clear(w.tasks) // they may have changed before their jobs were locked
	if err := w.loadTasks(ctx, held, string(l.ID)); err != nil {
		return err
	}
	if err := w.loadMoves(ctx); err != nil {
		return err
	}
	if err := w.note(ctx, l, reports); err != nil {
		return err
	}
	for _, t := range sortedByID(w.tasks, func(t *taskRow) bool { return w.jobs[t.Job] != nil }) {
		if err := w.carry(l, t, reports); err != nil {
			return err
		}
	}
	return w.save(ctx)
}

// verdict is what a report means for one task of the lease.
type verdict int

const (
	verdictNothing verdict = iota
	verdictNote            // progress and the like
	verdictRuns            // it has started
	verdictEnded           // its process has ended
	verdictBack            // the agent does not have it and shall not get it
	verdictMissing         // the agent had it and has it no more
)

func (w *world) judge(l *leaseRow, t *taskRow, reports map[purser.TaskID]TaskReport) verdict {
	r, listed := reports[t.ID]
	switch {
	case listed && (r.State == purser.TaskSucceeded || r.State == purser.TaskFailed || r.State == purser.TaskLost):
		return verdictEnded
	case listed && r.State == purser.TaskRunning && t.State == purser.TaskPlaced:
		return verdictRuns
	case listed && (r.Progress != t.Progress || (r.Checkpoint != "" && r.Checkpoint != t.Checkpoint) || (r.Port != 0 && r.Port != t.Port) || !t.missingSince.IsZero()):
		return verdictNote
	case listed:
		return verdictNothing
	case t.State == purser.TaskPlaced && (t.stopFor != stopNot || l.State == purser.LeaseDraining):
		return verdictBack
	case t.State == purser.TaskPlaced:
		return verdictNothing
	case t.missingSince.IsZero():
		return verdictNote
	case w.at.Sub(t.missingSince) >= missingAfter:
		return verdictMissing
	}
	return verdictNothing
}

// note writes what is worth noting and changes no state.
func (w *world) note(ctx context.Context, l *leaseRow, reports map[purser.TaskID]TaskReport) error {
	noted := sortedByID(w.tasks, func(t *taskRow) bool { return w.judge(l, t, reports) == verdictNote })
	if len(noted) == 0 {
		return nil
	}
	for _, t := range noted {
		r, listed := reports[t.ID]
		if !listed {
			t.missingSince = w.at
			continue
		}
		t.hold(r)
	}
	return noteTasks(ctx, w.tx, l.ID, noted)
}

// hold takes over what the agent says of a task that it holds or held.
func (t *taskRow) hold(r TaskReport) {
	t.Progress, t.missingSince = r.Progress, time.Time{}
	if r.Checkpoint != "" {
		t.Checkpoint = r.Checkpoint
	}
	if r.Port != 0 {
		t.Port = r.Port
	}
}

// carry applies a verdict that changes a state.
func (w *world) carry(l *leaseRow, t *taskRow, reports map[purser.TaskID]TaskReport) error {
	r := reports[t.ID]
	switch w.judge(l, t, reports) {
	case verdictRuns:
		t.hold(r)
		t.StartedAt = w.started(l, t, r)
		return w.setTask(t, purser.TaskRunning, r.Reason)
	case verdictEnded:
		t.hold(r)
		t.ExitCode = r.ExitCode
		if t.StartedAt.IsZero() && r.State != purser.TaskLost {
			t.StartedAt = w.started(l, t, r)
		}
		t.EndedAt = within(r.EndedAt, t.StartedAt, w.at)
		return w.finish(t, r.State, r.Reason)
	case verdictBack:
		return w.requeue(t, "its agent was to stop it before it had begun")
	case verdictMissing:
		return w.finish(t, purser.TaskLost, "its agent no longer has it")
	case verdictNothing, verdictNote:
	}
	return nil
}

// started is when the process began: what the agent says, kept within what is
// possible, since its clock may be wrong and charges depend on it.
func (w *world) started(l *leaseRow, t *taskRow, r TaskReport) time.Time {
	return within(r.StartedAt, latest(t.PlacedAt, l.RunningAt), w.at)
}

// within is t kept between from and to; the zero time is taken for to.
func within(t, from, to time.Time) time.Time {
	if t.IsZero() || t.After(to) {
		t = to
	}
	return utc(latest(t, from))
}

// orders is what the agent is to do after the report.
func (w *world) orders(ctx context.Context, l *leaseRow, reports map[purser.TaskID]TaskReport) (Orders, error) {
	o := Orders{Drain: l.State == purser.LeaseDraining}
	var run []*taskRow
	for _, t := range sortedByID(w.tasks, func(t *taskRow) bool { return t.Lease == l.ID && !t.State.Ended() }) {
		_, listed := reports[t.ID]
		if t.State == purser.TaskPlaced && t.stopFor == stopNot && !listed && !o.Drain && w.at.Sub(t.PlacedAt) >= RestartPause(t.Failures) {
			run = append(run, t)
		}
	}
	for id, r := range reports {
		t := w.tasks[id]
		ours := t != nil && t.Lease == l.ID && !t.State.Ended() && t.stopFor == stopNot
		if !ours && !r.State.Ended() {
			o.Stop = append(o.Stop, id)
		}
	}
	slices.Sort(o.Stop)
	var err error
	if o.Run, err = specs(ctx, w, run); err != nil {
		return o, err
	}
	for _, t := range sortedByID(w.tasks, func(t *taskRow) bool { return t.Lease == l.ID && !t.State.Ended() && t.stopFor == stopNot }) {
		if _, listed := reports[t.ID]; listed {
			o.Run = append(o.Run, TaskSpec{Task: t.Task}) // it goes on; its agent has the rest
		}
	}
	return o, nil
}

// specs reads all that is needed to run the tasks.
func specs(ctx context.Context, q querier, tasks []*taskRow) ([]TaskSpec, error) {
	if len(tasks) == 0 {
		return nil, nil
	}
	ids := map[purser.JobID]bool{}
	for _, t := range tasks {
		ids[t.Job] = true
	}
	jobs, err := collect(ctx, q, scanJob, "select "+jobColumns+" from jobs j where j.id = any($1)", texts(sortedKeys(ids)))
	if err != nil {
		return nil, err
	}
	if err := fillGroups(ctx, q, jobs, true); err != nil {
		return nil, err
	}
	byID := map[purser.JobID]purser.Job{}
	for _, j := range jobs {
		byID[j.ID] = j
	}
	out := make([]TaskSpec, 0, len(tasks))
	for _, t := range tasks {
		job := byID[t.Job]
		i := slices.IndexFunc(job.Groups, func(g purser.TaskGroup) bool { return g.Name == t.Group })
		if i < 0 {
			return nil, pgx.ErrNoRows // cannot be: a foreign key holds it
		}
		group := job.Groups[i]
		job.Groups = nil
		out = append(out, TaskSpec{Task: t.Task, Group: group, Job: job})
	}
	return out, nil
}

func sortedKeys[K ~string](m map[K]bool) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
