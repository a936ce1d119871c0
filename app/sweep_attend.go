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
	"time"

	"purser"
	"purser/postgres"
	"purser/providers"
)

// Of machines whose provider runs tasks itself: attendAtOnce leases are attended at
// once; a provider that does not answer is believed to run on for attendPatience; at
// most attendLines lines of a task are taken at a time.
const (
	attendAtOnce   = 8
	attendPatience = 10 * time.Minute
	attendLines    = 5000
)

// attendance remembers what was last seen on leases. It is a memory of this process
// alone: without it a lease is looked at again, no more.
type attendance struct {
	mu   sync.Mutex
	seen map[purser.LeaseID]sighting
}

type sighting struct {
	at    time.Time
	works []providers.WorkState
}

func (s *attendance) note(id purser.LeaseID, v sighting) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen == nil {
		s.seen = map[purser.LeaseID]sighting{}
	}
	s.seen[id] = v
}

func (s *attendance) last(id purser.LeaseID) (sighting, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.seen[id]
	return v, ok
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
	turns := make(chan struct{}, attendAtOnce)
	live := map[purser.LeaseID]bool{}
	for _, l := range leases {
		r, ok := providers.As[providers.Runner](a.providers[l.Holder])
		if !ok {
			continue
		}
		live[l.ID] = true
		turns <- struct{}{}
		wg.Go(func() {
			defer func() { <-turns }()
			if err := a.attendLease(ctx, l, r); err != nil {
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
func (a *App) attendLease(ctx context.Context, l purser.Lease, r providers.Runner) error {
	switch {
	case l.State == purser.LeaseLaunching && l.Instance != "":
		return a.joinFor(ctx, l)
	case l.RunningAt.IsZero():
		return nil
	}
	works, err := r.Works(ctx, l)
	switch last, ok := a.attended.last(l.ID); {
	case err == nil:
		a.attended.note(l.ID, sighting{a.now(), works})
	case ok && purser.KindOf(err) == purser.KindUnavailable && a.now().Sub(last.at) < attendPatience:
		works = last.works
	default:
		return err
	}
	if err == nil {
		if err := a.takeLines(ctx, l, r, works); err != nil {
			return err
		}
	}
	orders, err := a.db.Report(ctx, l.ID, reportsOf(works), a.now())
	if err != nil {
		return err
	}
	return a.carryOut(ctx, l, r, works, orders)
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

// takeLines stores what tasks wrote since the last look. The time of a line is its
// number, so that a line is stored once however often it is read.
func (a *App) takeLines(ctx context.Context, l purser.Lease, r providers.Runner, works []providers.WorkState) error {
	var lines []postgres.LogLine
	for _, w := range works {
		last, err := a.db.Logs(ctx, postgres.LogFilter{Task: w.Task, Tail: true, Limit: 1})
		if err != nil {
			return err
		}
		since, seq := time.Time{}, int64(0)
		if len(last) > 0 {
			since, seq = last[0].At, last[0].Seq
		}
		wrote, err := r.Logs(ctx, l, w.Task, since)
		if err != nil {
			a.log.Debug("lines of a task cannot be read yet", slog.String("task", string(w.Task)), slog.Any("error", err))
			continue // a task that has not begun has none, and the report must not wait
		}
		for _, line := range wrote[:min(len(wrote), attendLines)] {
			seq = max(seq+1, line.At.UnixNano())
			lines = append(lines, postgres.LogLine{Task: w.Task, Seq: seq, At: line.At, Stream: "stdout", Text: line.Text})
		}
	}
	_, err := a.db.AppendLogs(ctx, l.ID, lines)
	return err
}

// carryOut does what the report was answered with, and forgets what has ended and is
// known.
func (a *App) carryOut(ctx context.Context, l purser.Lease, r providers.Runner, works []providers.WorkState, orders postgres.Orders) error {
	has := map[purser.TaskID]providers.WorkState{}
	for _, w := range works {
		has[w.Task] = w
	}
	var failed error
	for _, s := range orders.Run {
		if _, ok := has[s.Task.ID]; !ok {
			failed = errors.Join(failed, r.Run(ctx, l, providers.Work{
				Task: s.Task, Group: s.Group, Project: s.Job.Project, JobName: s.Job.Name, Installation: a.installation,
			}))
		}
	}
	for _, w := range works {
		switch {
		case w.State.Ended():
			failed = errors.Join(failed, r.Forget(ctx, l, w.Task))
		case orders.Drain || slices.Contains(orders.Stop, w.Task):
			failed = errors.Join(failed, r.Stop(ctx, l, w.Task))
		}
	}
	return failed
}
