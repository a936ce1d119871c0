package app

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/robfig/cron/v3"

	"purser"
)

// tickEvery is how often it is asked what is overdue.
const tickEvery = 250 * time.Millisecond

// How long is waited when the database could not be asked for a tick, how long the
// end of a run may take to be written down, and by how much the clocks of the servers
// that share a database may differ.
const (
	claimAgain = 5 * time.Second
	doneTime   = 10 * time.Second
	clockSlack = time.Minute
)

// sweep is one piece of scheduled work.
type sweep struct {
	name     string        // of its last_run row; those of one host carry its name
	schedule cron.Schedule // nil: it runs only when it is kicked
	jitter   time.Duration // a tick is taken this much later
	patient  bool          // a run that failed for a while is tried again before its next tick
	timeout  time.Duration
	run      func(context.Context) error
	next     time.Time
	asked    time.Time // when a claim failed last
	again    time.Time // when a run that failed is tried again; zero: at its next tick
	failures int       // in a row
	kicked   chan struct{}
	running  sync.Mutex // one run at a time in this process

	mu     sync.Mutex
	paused bool
	cancel context.CancelFunc // of the run under way
}

// begin notes how the run is to be cancelled; false when none may begin.
func (w *sweep) begin(cancel context.CancelFunc) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cancel = cancel
	return !w.paused
}

// halt lets no run begin any more, and cancels the one under way.
func (w *sweep) halt() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.paused = true
	if w.cancel != nil {
		w.cancel()
	}
}

// due says which tick is due at a time, if one is. A clock that was set back does not
// make a sweep wait for the time that it knew: the next tick is never further away
// than the schedule has it.
func (w *sweep) due(now time.Time) (time.Time, bool) {
	if w.schedule == nil {
		return time.Time{}, false
	}
	next := w.schedule.Next(now)
	if w.next.After(next) {
		w.next = next
	}
	if now.Before(w.next.Add(w.jitter)) || now.Before(w.asked.Add(claimAgain)) && !now.Before(w.asked) {
		return time.Time{}, false
	}
	return w.next, true
}

// sweeps runs what is due. Exactly one replica claims a due tick. A kick runs a
// sweep at once, in this process, because something has just changed.
type sweeps struct {
	app  *App
	list map[string]*sweep
}

func (a *App) newSweeps() (*sweeps, error) {
	s := &sweeps{app: a, list: map[string]*sweep{}}
	for _, w := range []struct {
		name, expr string
		host       bool
		timeout    time.Duration
		run        func(context.Context) error
	}{
		{"collect", a.config.Sweeps.Collect, true, 10 * time.Minute, a.collectPrivate},
		{"plan", a.config.Sweeps.Plan, false, a.config.PlanTime + time.Minute, a.plan},
		{"reconcile", a.config.Sweeps.Reconcile, true, 2 * time.Minute, a.reconcile},
		{"charge", a.config.Sweeps.Charge, false, 5 * time.Minute, func(ctx context.Context) error { _, err := a.charge(ctx); return err }},
		{"prune", a.config.Sweeps.Prune, false, 10 * time.Minute, a.prune},
		{"rebalance", a.config.Sweeps.Rebalance, false, a.config.PlanTime + time.Minute, a.scheduledRebalance},
		{"hazard", a.config.Sweeps.Hazard, false, 5 * time.Minute, a.estimateHazards},
		{"attend", a.config.Sweeps.Attend, false, time.Minute, a.attend},
		{"leavings", a.config.Sweeps.Leavings, false, 10 * time.Minute, a.sweepLeavings},
	} {
		schedule, err := scheduleParser().Parse(w.expr)
		if err != nil {
			return nil, purser.Wrap(purser.KindInvalid, "app.sweeps", err)
		}
		name := w.name
		if w.host {
			name += "@" + a.host // each host lists its own machines
		}
		s.list[w.name] = &sweep{name: name, schedule: schedule, timeout: w.timeout, run: w.run, kicked: make(chan struct{}, 1)}
	}
	return s, s.addSources(a)
}

// sweepOf is the name of a source's sweep.
func sweepOf(source string) string { return "collect:" + source }

// collectTime bounds one collection of a source, collectAtOnce how many are under way
// at once in this process.
const (
	collectTime   = time.Hour
	collectAtOnce = 4
)

// addSources makes a sweep of every source; those that are not enabled run only when
// they are asked for.
func (s *sweeps) addSources(a *App) error {
	for _, src := range a.sources {
		name := sweepOf(src.name)
		w := &sweep{
			name: name, jitter: jitter(a.installation, src.name), patient: true, timeout: collectTime, kicked: make(chan struct{}, 1),
			run: func(ctx context.Context) error { return a.collect(ctx, src) },
		}
		if a.config.enabled(src) {
			schedule, err := scheduleParser().Parse(cmp.Or(a.config.Sources[src.name].Schedule, src.schedule))
			if err != nil {
				return purser.Wrap(purser.KindInvalid, "app.sweeps", err)
			}
			w.schedule = schedule
		}
		s.list[name] = w
	}
	return nil
}

// restUnneeded takes sweeps that have nothing to do off the schedule, once it is known
// which providers there are.
func (a *App) restUnneeded() {
	if !a.hasRunners() {
		a.sweeps.list["attend"].schedule = nil
	}
}

func (a *App) startSweeps(work context.Context) error {
	a.restUnneeded()
	if err := a.endRehearsal(work); err != nil {
		return err
	}
	for _, w := range a.sweeps.list {
		last, err := a.db.LastRun(work, w.name)
		if err != nil {
			return err
		}
		w.next = a.now().Add(-w.jitter) // never ran: due now
		if !last.IsZero() && w.schedule != nil {
			w.next = w.schedule.Next(last) // in the past when ticks were missed: they are caught up once
		}
		a.background.Go(func() { a.sweeps.loop(work, w) })
	}
	a.background.Go(func() {
		if err := a.db.Listen(work, a.changes.wake); err != nil && work.Err() == nil {
			a.fail(err)
		}
	})
	a.background.Go(func() { a.beat(work) })
	a.background.Go(func() { a.watchAccounts(work) })
	a.listenToClouds(work)
	return nil
}

func (s *sweeps) loop(ctx context.Context, w *sweep) {
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.kicked:
			s.once(ctx, w)
		case <-tick.C:
			s.tick(ctx, w)
		}
	}
}

// tick runs a sweep that is due, if this process is the one to run it.
func (s *sweeps) tick(ctx context.Context, w *sweep) {
	now := s.app.now()
	due, ok := w.due(now)
	if !ok {
		if !w.again.IsZero() && !now.Before(w.again) {
			s.once(ctx, w) // this process knows of the failure; its tick is its own
		}
		return
	}
	claimed, err := s.claim(ctx, w, due, now)
	if err != nil {
		w.asked = now
		if ctx.Err() == nil {
			s.app.log.Warn("sweep could not be claimed", slog.String("sweep", w.name), slog.Any("error", err))
		}
		return
	}
	w.next = w.schedule.Next(now)
	if claimed {
		s.once(ctx, w)
	}
}

// claim asks for a tick. Ticks in the database only grow. One that lies in the future
// was claimed by a clock that has been set back since; until the time comes again,
// ticks are counted on from there.
func (s *sweeps) claim(ctx context.Context, w *sweep, due, now time.Time) (bool, error) {
	claimed, err := s.app.db.ClaimSweep(ctx, w.name, due)
	if claimed || err != nil {
		return claimed, err
	}
	last, err := s.app.db.LastRun(ctx, w.name)
	if err != nil || !last.After(now.Add(clockSlack)) {
		return false, err
	}
	s.app.log.Warn("the clock was set back", slog.String("sweep", w.name), slog.Time("last_tick", last))
	return s.app.db.ClaimSweep(ctx, w.name, last.Add(time.Microsecond))
}

// once runs a sweep and keeps how it went. A panic is a failed run, not the end of
// the server.
func (s *sweeps) once(ctx context.Context, w *sweep) {
	w.running.Lock()
	defer w.running.Unlock()
	began := s.app.now()
	ctx, cancel := context.WithTimeout(ctx, w.timeout)
	defer cancel()
	if !w.begin(cancel) {
		return
	}
	err := s.guarded(ctx, w)
	if w.patient && purser.KindOf(err) == purser.KindConflict {
		return // another server is at it
	}
	w.later(err, s.app.now())
	failure := ""
	if err != nil {
		if errors.Is(ctx.Err(), context.Canceled) {
			return // the server stops
		}
		failure = err.Error()
		s.app.log.Error("sweep failed", slog.String("sweep", w.name), slog.Any("error", err))
	}
	s.app.metrics.sweep(w.name, s.app.now().Sub(began), err)
	end, cancelEnd := context.WithTimeout(context.WithoutCancel(ctx), doneTime)
	defer cancelEnd()
	if err := s.app.db.SweepDone(end, w.name, s.app.now(), failure); err != nil {
		s.app.log.Warn("sweep's end could not be kept", slog.String("sweep", w.name), slog.Any("error", err))
	}
}

// The pauses after which a run that failed is tried again: longer each time.
const (
	firstPause = time.Minute
	mostPause  = time.Hour
)

// later says when a run is tried again: what did not answer or throttled after a
// while, or when it says so itself; what refused or is broken, at its next tick.
func (w *sweep) later(err error, now time.Time) {
	w.again = time.Time{}
	if err == nil || !w.patient {
		w.failures = 0
		return
	}
	w.failures++
	if k := purser.KindOf(err); k != purser.KindUnavailable && k != purser.KindThrottled {
		return
	}
	pause := min(firstPause<<min(w.failures-1, 10), mostPause)
	if e, ok := errors.AsType[*purser.Error](err); ok {
		pause = max(pause, e.RetryAfter)
	}
	w.again = now.Add(pause)
}

func (s *sweeps) guarded(ctx context.Context, w *sweep) (err error) {
	defer func() {
		if p := recover(); p != nil {
			s.app.log.Error("panic in a sweep", slog.String("sweep", w.name), slog.String("stack", string(debug.Stack())))
			err = purser.Errorf(purser.KindInternal, "app.sweep", "panic: %v", p)
		}
	}()
	return w.run(ctx)
}

// kick runs a sweep soon; several kicks are one.
func (s *sweeps) kick(name string) {
	if s == nil {
		return
	}
	select {
	case s.list[name].kicked <- struct{}{}:
	default:
	}
}

// names are those of all sweeps but some.
func (s *sweeps) names(but ...string) []string {
	var out []string
	for name := range s.list {
		if !slices.Contains(but, name) {
			out = append(out, name)
		}
	}
	return out
}

// pause stops sweeps from beginning, cancels those that are under way, and waits for
// their end. Each saves in one transaction, so nothing is left half done.
func (s *sweeps) pause(names ...string) {
	for _, name := range names {
		s.list[name].halt()
	}
	for _, name := range names {
		w := s.list[name]
		w.running.Lock()
		w.running.Unlock() //nolint:staticcheck // waiting for the run under way is the point
	}
}
