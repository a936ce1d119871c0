package app

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/robfig/cron/v3"

	"purser"
)

// tickEvery is how often it is asked what is overdue.
const tickEvery = 250 * time.Millisecond

// sweep is one piece of scheduled work.
type sweep struct {
	name     string // of its last_run row; those of one host carry its name
	schedule cron.Schedule
	timeout  time.Duration
	run      func(context.Context) error
	next     time.Time
	kicked   chan struct{}
	paused   atomic.Bool
	running  sync.Mutex // one run at a time in this process
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
			if !w.paused.Load() {
				s.once(ctx, w)
			}
		case <-tick.C:
			now := s.app.now()
			if now.Before(w.next) || w.paused.Load() {
				continue
			}
			due := w.next
			w.next = w.schedule.Next(now)
			claimed, err := s.app.db.ClaimSweep(ctx, w.name, due)
			if err != nil {
				s.app.log.Warn("sweep could not be claimed", slog.String("sweep", w.name), slog.Any("error", err))
				continue
			}
			if claimed {
				s.once(ctx, w)
			}
		}
	}
}

// once runs a sweep and keeps how it went. A panic is a failed run, not the end of
// the server.
func (s *sweeps) once(ctx context.Context, w *sweep) {
	w.running.Lock()
	defer w.running.Unlock()
	began := s.app.now()
	ctx, cancel := context.WithTimeout(ctx, w.timeout)
	defer cancel()
	err := s.guarded(ctx, w)
	failure := ""
	if err != nil {
		if ctx.Err() == context.Canceled {
			return // the server stops
		}
		failure = err.Error()
		s.app.log.Error("sweep failed", slog.String("sweep", w.name), slog.Any("error", err))
	}
	took := s.app.now().Sub(began)
	s.app.metrics.sweep(w.name, took, err)
	if err := s.app.db.SweepDone(context.WithoutCancel(ctx), w.name, s.app.now(), failure); err != nil {
		s.app.log.Warn("sweep's end could not be kept", slog.String("sweep", w.name), slog.Any("error", err))
	}
}

func (s *sweeps) guarded(ctx context.Context, w *sweep) (err error) {
	defer func() {
		if p := recover(); p != nil {
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

// pause stops sweeps from beginning, and waits for one that is under way.
func (s *sweeps) pause(names ...string) {
	for _, name := range names {
		w := s.list[name]
		w.paused.Store(true)
		w.running.Lock()
		w.running.Unlock() //nolint:staticcheck // waiting for the run under way is the point
	}
}
