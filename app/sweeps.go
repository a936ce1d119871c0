package app

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
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
	name     string // of its last_run row; those of one host carry its name
	schedule cron.Schedule
	timeout  time.Duration
	run      func(context.Context) error
	next     time.Time
	asked    time.Time // when a claim failed last
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
	next := w.schedule.Next(now)
	if w.next.After(next) {
		w.next = next
	}
	if now.Before(w.next) || now.Before(w.asked.Add(claimAgain)) && !now.Before(w.asked) {
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
		{"collect", a.config.Sweeps.Collect, false, 10 * time.Minute, a.collect},
		{"plan", a.config.Sweeps.Plan, false, a.config.PlanTime + time.Minute, a.plan},
		{"reconcile", a.config.Sweeps.Reconcile, true, 2 * time.Minute, a.reconcile},
		{"charge", a.config.Sweeps.Charge, false, 5 * time.Minute, func(ctx context.Context) error { _, err := a.charge(ctx); return err }},
		{"prune", a.config.Sweeps.Prune, false, 10 * time.Minute, a.prune},
		{"rebalance", a.config.Sweeps.Rebalance, false, a.config.PlanTime + time.Minute, a.scheduledRebalance},
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
	return s, nil
}

func (a *App) startSweeps(work context.Context) error {
	for _, w := range a.sweeps.list {
		last, err := a.db.LastRun(work, w.name)
		if err != nil {
			return err
		}
		w.next = a.now() // never ran: due now
		if !last.IsZero() {
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
