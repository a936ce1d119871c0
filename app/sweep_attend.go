package app

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"purser"
	"purser/postgres"
	"purser/providers"
)

// Of machines whose provider runs tasks itself: attendAtOnce leases of a provider are
// attended at once; a provider that does not answer is waited for attendCall, and is
// believed to run on for attendPatience; at most attendLines lines of a task are taken at
// a time.
const (
	attendAtOnce   = 8
	attendCall     = 10 * time.Second
	attendPatience = 10 * time.Minute
	attendLines    = 5000
)

// attendance remembers when leases were last seen. It is a memory of this process
// alone: without it a lease is looked at again, no more.
type attendance struct {
	mu   sync.Mutex
	seen map[purser.LeaseID]time.Time
}

func (s *attendance) note(id purser.LeaseID, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen == nil {
		s.seen = map[purser.LeaseID]time.Time{}
	}
	s.seen[id] = at
}

// lately says whether the lease was seen not too long ago.
func (s *attendance) lately(id purser.LeaseID, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.seen[id]
	return ok && now.Sub(at) < attendPatience
}

// keep forgets every lease but these.
func (s *attendance) keep(live map[purser.LeaseID]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := range s.seen {
		if !live[id] {
			delete(s.seen, id)
		}
	}
}

// cluster is a provider that runs tasks itself, in one turn of attend. One that has left a
// call without an answer is not asked again in the turn, so that others need not wait.
type cluster struct {
	providers.Runner
	turns chan struct{}
	mute  atomic.Bool
}

// ask makes a call that may take attendCall.
func (c *cluster) ask(ctx context.Context, call func(context.Context) error) error {
	return c.askFor(ctx, attendCall, call)
}

// askFor makes a call that may take so long.
func (c *cluster) askFor(ctx context.Context, limit time.Duration, call func(context.Context) error) error {
	if c.mute.Load() {
		return purser.Errorf(purser.KindUnavailable, "app.attend", "the provider does not answer")
	}
	within, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := call(within)
	if err != nil && within.Err() != nil && ctx.Err() == nil {
		c.mute.Store(true)
	}
	return err
}

// attend does for machines without an agent what agents do for theirs: it joins them,
// reports their tasks and lines, and has the provider start and stop what is ordered.
// Every step may be repeated.
func (a *App) attend(ctx context.Context) error {
	if !a.hasRunners() {
		return nil
	}
	leases, err := a.db.LiveLeases(ctx)
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var failed error
	clusters := map[string]*cluster{}
	live := map[purser.LeaseID]bool{}
	for _, l := range leases {
		r, ok := providers.As[providers.Runner](a.providers[l.Holder])
		if !ok {
			continue
		}
		live[l.ID] = true
		if clusters[l.Holder] == nil {
			clusters[l.Holder] = &cluster{Runner: r, turns: make(chan struct{}, attendAtOnce)}
		}
		c := clusters[l.Holder]
		wg.Go(func() {
			c.turns <- struct{}{}
			defer func() { <-c.turns }()
			if err := purser.Guard("app.attend", func() error { return a.attendLease(ctx, l, c) }); err != nil {
				mu.Lock()
				failed = errors.Join(failed, fmt.Errorf("lease %s: %w", l.ID, err))
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	a.attended.keep(live)
	return failed
}

func (a *App) hasRunners() bool {
	for _, p := range a.providers {
		if _, ok := providers.As[providers.Runner](p); ok {
			return true
		}
	}
	return false
}

// attendLease attends one lease.
func (a *App) attendLease(ctx context.Context, l purser.Lease, c *cluster) error {
	switch {
	case l.State == purser.LeaseLaunching && l.Instance != "":
		return c.ask(ctx, func(ctx context.Context) error { return a.joinFor(ctx, l) })
	case l.RunningAt.IsZero():
		return nil
	}
	var works []providers.WorkState
	err := c.ask(ctx, func(ctx context.Context) (err error) {
		works, err = c.Works(ctx, l)
		return err
	})
	if err != nil {
		return a.unseen(ctx, l, err)
	}
	a.attended.note(l.ID, a.now())
	unread, err := a.takeLines(ctx, l, c, works)
	if err != nil {
		return err
	}
	orders, err := a.db.Report(ctx, l.ID, reportsOf(works), a.now())
	if err != nil {
		return err
	}
	return a.carryOut(ctx, l, c, works, unread, orders)
}

// unseen keeps a lease alive whose provider does not answer, for a while. Its tasks are
// reported as they stand in the database: what this process saw last may be older than
// what another one saw, and a task that is left out of reports is lost.
func (a *App) unseen(ctx context.Context, l purser.Lease, cause error) error {
	switch purser.KindOf(cause) {
	case purser.KindUnavailable, purser.KindThrottled:
	default:
		return cause
	}
	if !a.attended.lately(l.ID, a.now()) {
		return cause
	}
	tasks, err := a.db.Tasks(ctx, postgres.TaskFilter{Lease: l.ID, Live: true})
	if err != nil {
		return err
	}
	reports := make([]postgres.TaskReport, 0, len(tasks))
	for _, t := range tasks {
		reports = append(reports, postgres.TaskReport{Task: t.ID, State: t.State, Progress: t.Progress})
	}
	_, err = a.db.Report(ctx, l.ID, reports, a.now())
	return err
}

// joinFor joins a machine that is up. The secret is derived, so that every server
// that attends the lease has the same one.
func (a *App) joinFor(ctx context.Context, l purser.Lease) error {
	in, err := a.providers[l.Holder].Describe(ctx, l)
	if err != nil || in.State != providers.Running {
		if purser.KindOf(err) == purser.KindNotFound {
			return nil // the fleet's step sees to it
		}
		return err
	}
	mac := hmac.New(sha256.New, a.secret)
	_, _ = fmt.Fprintf(mac, "purser attend 1|%s", l.ID) // a hash never fails to be written to
	_, err = a.db.JoinLease(ctx, l.ID, mac.Sum(nil), a.now())
	return err
}

func reportsOf(works []providers.WorkState) []postgres.TaskReport {
	out := make([]postgres.TaskReport, 0, len(works))
	for _, w := range works {
		out = append(out, postgres.TaskReport{
			Task: w.Task, State: w.State, ExitCode: w.ExitCode, Reason: w.Reason, Checkpoint: w.Checkpoint, StartedAt: w.StartedAt, EndedAt: w.EndedAt,
		})
	}
	return out
}

// takeLines stores what tasks wrote since the last look, of those that have ended to the
// last line. unread are those whose lines could not be read to the end now; they are waited
// for as long as for a provider. The place of a task may be dead while its cluster answers.
func (a *App) takeLines(ctx context.Context, l purser.Lease, c *cluster, works []providers.WorkState) (unread map[purser.TaskID]bool, err error) {
	unread = map[purser.TaskID]bool{}
	within, cancel := context.WithTimeout(ctx, attendCall)
	defer cancel()
	for _, w := range works {
		before := int64(-1)
		for more := true; more; more = more && w.State.Ended() {
			wrote, last, err := a.linesSince(within, l, c, w.Task)
			if err != nil {
				a.log.Debug("lines of a task cannot be read yet", slog.String("task", string(w.Task)), slog.Any("error", err))
				unread[w.Task] = a.now().Sub(w.EndedAt) < attendPatience
				break // a task that has not begun has none, and the report must not wait
			}
			lines := numbered(w.Task, wrote, last)
			if more = len(lines) > 0 && last > before; !more {
				break // the end, or the task has another lease by now, and its lines are not taken
			}
			before = last
			if _, err := a.db.AppendLogs(ctx, l.ID, lines); err != nil {
				return nil, err
			}
		}
	}
	return unread, nil
}

// linesSince reads what a task wrote after the last line that is stored, whose number is
// last. Times are stored in whole microseconds, so lines of the last one come once more.
func (a *App) linesSince(ctx context.Context, l purser.Lease, c *cluster, task purser.TaskID) (wrote []providers.LogLine, last int64, err error) {
	stored, err := a.db.Logs(ctx, postgres.LogFilter{Task: task, Tail: true, Limit: 1})
	if err != nil {
		return nil, 0, err
	}
	since := time.Time{}
	if len(stored) > 0 {
		since, last = stored[0].At.Add(-time.Nanosecond), stored[0].Seq
	}
	wrote, err = c.Logs(ctx, l, task, since)
	return wrote, last, err
}

// numbered gives the lines after the one numbered last. The time of a line is its number,
// or the next number where it has the time of the one before: a line has the same one
// however often it is read, so it is stored once.
func numbered(task purser.TaskID, wrote []providers.LogLine, last int64) (lines []postgres.LogLine) {
	seq := int64(0)
	for _, line := range wrote {
		seq = max(seq+1, line.At.UnixNano())
		if seq > last && len(lines) < attendLines {
			lines = append(lines, postgres.LogLine{Task: task, Seq: seq, At: line.At, Stream: "stdout", Text: line.Text})
		}
	}
	return lines
}

// carryOut does what the report was answered with, and forgets what has ended and is
// known to its last line.
func (a *App) carryOut(ctx context.Context, l purser.Lease, c *cluster, works []providers.WorkState, unread map[purser.TaskID]bool, orders postgres.Orders) error {
	failed := a.start(ctx, l, c, works, orders.Run)
	for _, w := range works {
		switch {
		case w.State.Ended() && unread[w.Task]:
		case w.State.Ended():
			failed = errors.Join(failed, c.ask(ctx, func(ctx context.Context) error { return c.Forget(ctx, l, w.Task) }))
		case orders.Drain || slices.Contains(orders.Stop, w.Task):
			failed = errors.Join(failed, c.ask(ctx, func(ctx context.Context) error { return c.Stop(ctx, l, w.Task) }))
		}
	}
	return failed
}

// start starts what is ordered and not there. A task that can never start there has
// failed: it is reported at once, or it would be ordered for ever. So has one that a quota
// of the cluster has refused for attendPatience.
func (a *App) start(ctx context.Context, l purser.Lease, c *cluster, works []providers.WorkState, run []postgres.TaskSpec) error {
	reports := reportsOf(works)
	var failed error
	refused := false
	for _, s := range run {
		if slices.ContainsFunc(works, func(w providers.WorkState) bool { return w.Task == s.Task.ID }) {
			continue
		}
		waits, err := a.begin(ctx, l, c, s)
		if waits {
			failed = errors.Join(failed, err)
			continue
		}
		report := postgres.TaskReport{Task: s.Task.ID, State: purser.TaskPlaced} // also without an answer: it may have started
		k := purser.KindOf(err)
		full := k == purser.KindQuota && a.now().Sub(s.Task.PlacedAt) >= attendPatience
		if err != nil && (full || k == purser.KindInvalid || k == purser.KindForbidden) {
			refused = true
			failed = errors.Join(failed, c.ask(ctx, func(ctx context.Context) error { return c.Forget(ctx, l, s.Task.ID) }))
			report.State, report.Reason = purser.TaskFailed, failureOf(err, a.now()).Message
			err = nil
		}
		reports, failed = append(reports, report), errors.Join(failed, err)
	}
	if refused {
		_, err := a.db.Report(ctx, l.ID, reports, a.now())
		failed = errors.Join(failed, err)
	}
	return failed
}
