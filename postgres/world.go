package postgres

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"purser"
)

// world is what one transaction has locked and read of leases, jobs, tasks and
// moves, with the changes that it is about to write. Rules are applied to it in
// memory (rules.go); save writes what has changed.
//
// Locks are taken in one order by everybody: leases by id, then jobs by id. A task
// and its move change only under the lock of the task's job; a task is put on a
// lease, and a move is aimed at one, only under the lock of the lease as well.
type world struct {
	*tx
	actor   string
	at      time.Time
	leases  map[purser.LeaseID]*leaseRow
	jobs    map[purser.JobID]*jobRow
	tasks   map[purser.TaskID]*taskRow
	moves   map[purser.TaskID]*moveRow // open ones
	ended   []*moveRow                 // moves that this transaction has ended
	touched map[purser.JobID]bool      // jobs whose state may have changed
}

// jobRow is what the rules need to know of a job.
type jobRow struct {
	ID        purser.JobID
	State     purser.JobState
	Cancelled time.Time // when its end was asked for
	groups    map[string]groupRow
}

type groupRow struct {
	kind    purser.GroupKind
	gang    bool
	retries int
	after   []string
}

func (j *jobRow) open() bool { return !j.State.Ended() && j.Cancelled.IsZero() }

func (j *jobRow) serves() bool {
	for _, g := range j.groups {
		if g.kind == purser.Inference {
			return true
		}
	}
	return false
}

func newWorld(t *tx, actor string, at time.Time) *world {
	return &world{
		tx: t, actor: actor, at: utc(at),
		leases: map[purser.LeaseID]*leaseRow{}, jobs: map[purser.JobID]*jobRow{}, tasks: map[purser.TaskID]*taskRow{},
		moves: map[purser.TaskID]*moveRow{}, touched: map[purser.JobID]bool{},
	}
}

func placeholder(n int) string { return "$" + strconv.Itoa(n) }

// openMoves selects moves that have not ended.
const openMoves = "state in ('waiting', 'stopping')"

// lockLeases locks leases, and with them the leases that open moves from them go
// to, because a task that is lost may go on there.
func (w *world) lockLeases(ctx context.Context, ids ...purser.LeaseID) error {
	rows, err := collect(ctx, w, scanLeaseRow, "select "+leaseColumns+` from leases l
		where l.id = any($1) or l.id in (select to_lease from moves where from_lease = any($1) and `+openMoves+`)
		order by l.id for no key update`, texts(ids))
	for _, l := range rows {
		w.leases[l.ID] = l
	}
	return err
}

// lockJobs locks jobs and reads their groups. Jobs that do not exist are left out.
func (w *world) lockJobs(ctx context.Context, ids []purser.JobID) error {
	rows, err := w.Query(ctx, "select id, state, cancelled_at from jobs where id = any($1) order by id for no key update", texts(ids))
	if err != nil {
		return err
	}
	jobs, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*jobRow, error) {
		j := &jobRow{groups: map[string]groupRow{}}
		return j, row.Scan(&j.ID, &j.State, optional{&j.Cancelled})
	})
	if err != nil {
		return err
	}
	for _, j := range jobs {
		w.jobs[j.ID] = j
	}
	rows, err = w.Query(ctx, "select job, name, kind, gang, retries, coalesce(spec->'after', '[]') from task_groups where job = any($1)", texts(ids))
	if err != nil {
		return err
	}
	var job purser.JobID
	var name string
	var g groupRow
	var after []byte
	_, err = pgx.ForEachRow(rows, []any{&job, &name, &g.kind, &g.gang, &g.retries, &after}, func() error {
		g.after = nil
		if err := json.Unmarshal(after, &g.after); err != nil {
			return err
		}
		w.jobs[job].groups[name] = g
		return nil
	})
	return err
}

// loadTasks reads tasks; where is a condition on t. What is in the world already
// stays, with its changes.
func (w *world) loadTasks(ctx context.Context, where string, args ...any) error {
	rows, err := collect(ctx, w, scanTaskRow, "select "+taskColumns+" from "+taskTable+" where "+where, args...)
	for _, t := range rows {
		if _, ok := w.tasks[t.ID]; !ok {
			w.tasks[t.ID] = t
		}
	}
	return err
}

// loadMoves reads the open moves of the tasks in the world.
func (w *world) loadMoves(ctx context.Context) error {
	rows, err := collect(ctx, w, scanMoveRow, "select "+moveColumns+" from moves m where m.task = any($1) and m."+openMoves,
		texts(slices.Collect(maps.Keys(w.tasks))))
	for _, m := range rows {
		if _, ok := w.moves[m.Task]; !ok {
			w.moves[m.Task] = m
		}
	}
	return err
}

// around selects the live tasks on leases, and those with an open move from or to
// them. Under the leases' locks neither can become more.
const around = `(t.lease = any($1) and t.state in ` + liveStates + `)
	or t.id in (select task from moves where (from_lease = any($1) or to_lease = any($1)) and ` + openMoves + `)`

func (w *world) jobsAround(ctx context.Context, ids []purser.LeaseID) ([]purser.JobID, error) {
	return collect(ctx, w, pgx.RowTo[purser.JobID], "select distinct t.job from tasks t where "+around, texts(ids))
}

// loadAround locks the jobs of the tasks around leases and reads tasks and moves.
func (w *world) loadAround(ctx context.Context, ids ...purser.LeaseID) error {
	jobs, err := w.jobsAround(ctx, ids)
	if err != nil {
		return err
	}
	if err := w.lockJobs(ctx, jobs); err != nil {
		return err
	}
	if err := w.loadTasks(ctx, around, texts(ids)); err != nil {
		return err
	}
	return w.loadMoves(ctx)
}

// save writes every change, then settles the states of the jobs that were touched,
// and writes what follows from that.
func (w *world) save(ctx context.Context) error {
	if err := w.saveLeases(ctx); err != nil {
		return err
	}
	if err := w.saveTasks(ctx); err != nil {
		return err
	}
	if err := w.settle(ctx); err != nil {
		return err
	}
	if err := w.saveTasks(ctx); err != nil {
		return err
	}
	return w.saveMoves(ctx)
}

func (w *world) saveLeases(ctx context.Context) error {
	fresh := sortedByID(w.leases, func(l *leaseRow) bool { return l.fresh })
	if err := insertLeases(ctx, w.tx, fresh); err != nil {
		return err
	}
	dirty := sortedByID(w.leases, func(l *leaseRow) bool { return l.dirty })
	if err := updateLeases(ctx, w.tx, dirty); err != nil {
		return err
	}
	for _, l := range w.leases {
		l.fresh, l.dirty = false, false
	}
	return nil
}

// saveTasks updates first: the successor of a replica may only come once its
// predecessor has ended.
func (w *world) saveTasks(ctx context.Context) error {
	dirty := sortedByID(w.tasks, func(t *taskRow) bool { return t.dirty && !t.fresh })
	if len(dirty) > 0 {
		if err := updateTasks(ctx, w.tx, dirty); err != nil {
			return err
		}
	}
	fresh := sortedByID(w.tasks, func(t *taskRow) bool { return t.fresh })
	if len(fresh) > 0 {
		if err := insertTasks(ctx, w.tx, fresh); err != nil {
			return err
		}
	}
	for _, t := range w.tasks {
		t.fresh, t.dirty = false, false
	}
	return nil
}

// settle gives every touched job the state that follows from its newest tasks. A
// job that has failed takes the rest of its tasks with it: what they would still
// do serves nobody and costs money.
func (w *world) settle(ctx context.Context) error {
	var open []purser.JobID
	for id := range w.touched {
		if !w.jobs[id].State.Ended() {
			open = append(open, id)
		}
	}
	slices.Sort(open)
	// StateOf asks only which states occur, so one task of each kind is enough.
	tasks, err := collect(ctx, w, func(row pgx.CollectableRow) (t purser.Task, err error) {
		return t, row.Scan(&t.Job, &t.State, &t.Attempt)
	}, "select distinct job, state, least(attempt, 2) from tasks where job = any($1) and newest", texts(open))
	if err != nil {
		return err
	}
	newest := map[purser.JobID][]purser.Task{}
	for _, t := range tasks {
		newest[t.Job] = append(newest[t.Job], t)
	}
	batch := &pgx.Batch{}
	var failed []purser.JobID
	for _, id := range open {
		job := w.jobs[id]
		to := purser.StateOf(purser.Job{ID: id}, newest[id], !job.Cancelled.IsZero())
		if to == purser.JobSucceeded && job.serves() {
			to = purser.JobRunning // a service has no success; plans start it again
		}
		if to == job.State {
			continue
		}
		var ended time.Time
		if to.Ended() {
			ended = w.at
		}
		batch.Queue("update jobs set state = $2, ended_at = $3 where id = $1", string(id), string(to), nullTime(ended))
		w.say(purser.Event{At: w.at, Actor: w.actor, Subject: "job", Name: string(id), From: string(job.State), To: string(to)})
		if job.State = to; to == purser.JobFailed {
			failed = append(failed, id)
		}
	}
	if err := w.SendBatch(ctx, batch).Close(); err != nil || len(failed) == 0 {
		return err
	}
	return w.stopRest(ctx, failed)
}

// stopRest stops what is left of jobs that have failed.
func (w *world) stopRest(ctx context.Context, failed []purser.JobID) error {
	if err := w.loadTasks(ctx, "t.job = any($1) and t.state in "+liveStates, texts(failed)); err != nil {
		return err
	}
	if err := w.loadMoves(ctx); err != nil {
		return err
	}
	stages, err := w.failedStages(ctx, failed)
	if err != nil {
		return err
	}
	for _, t := range sortedByID(w.tasks, func(t *taskRow) bool { return slices.Contains(failed, t.Job) && !t.State.Ended() }) {
		if err := w.stop(t, stopCancelled, w.whyStopped(t, stages[t.Job])); err != nil {
			return err
		}
	}
	return nil
}
