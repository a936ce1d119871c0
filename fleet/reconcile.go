package fleet

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"purser"
	"purser/policy"
	"purser/providers"
)

// Reconciled says what one turn of Reconcile did.
type Reconciled struct {
	Machines  int      // listed by the providers
	Orphans   int      // machines ended because no live lease has them
	Failed    int      // leases whose machine was gone
	Draining  int      // leases that began to drain
	Withdrawn int      // leases ended before anything was asked for
	Moves     int      // moves that went a step further
	Nudged    int      // leases that had lost their step
	Alarms    []string // what a person must look at, in sentences

	Listings map[string]Listing // by provider
}

// Listing is how a provider answered.
type Listing struct {
	Machines int   // of this installation
	Err      error // why it could not list; nothing is known of its machines
}

// Reconcile sets providers and store against each other, see the package comment.
// It does what it can: the error joins all failures, and the report stands beside
// it. Turns may overlap, also between processes.
func (f *Fleet) Reconcile(ctx context.Context) (Reconciled, error) {
	t := turn{f: f, listed: map[string]map[purser.LeaseID]providers.Instance{}}
	t.list(ctx)
	if err := t.read(ctx); err != nil {
		return t.report, errors.Join(append(t.errs, err)...)
	}
	for _, name := range slices.Sorted(maps.Keys(t.listed)) {
		t.orphans(ctx, f.Providers[name])
	}
	for _, l := range t.leases {
		if err := t.lease(ctx, l); err != nil {
			t.errs = append(t.errs, fmt.Errorf("lease %s: %w", l.ID, err))
		}
	}
	var err error
	if t.report.Moves, err = f.Upkeep.ProgressMoves(ctx, f.Now()); err != nil {
		t.errs = append(t.errs, err)
	}
	if t.report.Nudged, err = f.Upkeep.NudgeLeases(ctx, f.Now()); err != nil {
		t.errs = append(t.errs, err)
	}
	return t.report, errors.Join(t.errs...)
}

// turn is one turn of Reconcile.
type turn struct {
	f      *Fleet
	listed map[string]map[purser.LeaseID]providers.Instance // by provider; a provider that did not answer is missing
	leases []purser.Lease
	wanted map[purser.LeaseID]bool // leases that have work, or that work is moving to
	report Reconciled
	errs   []error
}

// list asks the providers, all at once, before the store is read.
func (t *turn) list(ctx context.Context) {
	t.report.Listings = map[string]Listing{}
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(t.f.Providers)), func(name string) bool {
		return !t.f.listed.due(name, t.f.Now(), t.f.Timing.ListEvery[name])
	})
	lists := make([][]providers.Instance, len(names))
	errs := make([]error, len(names))
	var wg sync.WaitGroup
	for i, name := range names {
		wg.Go(func() {
			call, cancel := context.WithTimeout(ctx, t.f.Timing.CallTimeout)
			defer cancel()
			errs[i] = purser.Guard("fleet.list", func() (err error) {
				lists[i], err = t.f.Providers[name].List(call)
				return err
			})
		})
	}
	wg.Wait()
	for i, name := range names {
		if errs[i] != nil {
			t.errs = append(t.errs, fmt.Errorf("listing the machines of %s: %w", name, errs[i]))
			t.report.Listings[name] = Listing{Err: errs[i]}
			continue
		}
		t.listed[name] = map[purser.LeaseID]providers.Instance{}
		for _, in := range lists[i] {
			if in.Installation == t.f.Installation && in.State != providers.Gone {
				t.listed[name][in.Lease] = in
				t.report.Machines++
			}
		}
		t.report.Listings[name] = Listing{Machines: len(t.listed[name])}
	}
}

func (t *turn) read(ctx context.Context) error {
	var err error
	if t.leases, err = t.f.Store.LiveLeases(ctx); err != nil {
		return err
	}
	tasks, err := t.f.Store.LiveTasks(ctx)
	if err != nil {
		return err
	}
	moves, err := t.f.Upkeep.OpenMoves(ctx)
	if err != nil {
		return err
	}
	t.wanted = map[purser.LeaseID]bool{}
	for _, x := range tasks {
		t.wanted[x.Lease] = true
	}
	for _, m := range moves {
		t.wanted[m.To] = true
	}
	t.f.idle.keep(t.leases)
	t.f.pending.keep(t.leases)
	t.f.offered.keep(t.leases)
	return nil
}

// orphans ends a provider's machines that no live lease has.
func (t *turn) orphans(ctx context.Context, p providers.Provider) {
	live := map[purser.LeaseID]bool{}
	for _, l := range t.leases {
		live[l.ID] = true
	}
	machines := t.listed[p.Name()]
	var orphans []purser.LeaseID
	for _, id := range slices.Sorted(maps.Keys(machines)) {
		if live[id] || machines[id].State == providers.Stopping {
			continue
		}
		orphan, err := t.orphan(ctx, machines[id])
		if err != nil {
			t.errs = append(t.errs, fmt.Errorf("machine %s of %s: %w", machines[id].ID, p.Name(), err))
		}
		if orphan {
			orphans = append(orphans, id)
		}
	}
	if n := len(orphans); n > 3 && 2*n > len(machines) {
		t.report.Alarms = append(t.report.Alarms, fmt.Sprintf(
			"%d of the %d machines at %s have no live lease; nothing was ended, since the database may be the wrong one or an old copy", n, len(machines), p.Name()))
		return
	}
	for _, id := range orphans {
		if err := t.f.terminate(ctx, p, machines[id].Ref(p.Name())); err != nil {
			t.errs = append(t.errs, fmt.Errorf("ending machine %s of %s, which no lease has: %w", machines[id].ID, p.Name(), err))
			continue
		}
		t.f.Logger.WarnContext(ctx, "machine without a live lease was ended", "lease", id, "instance", machines[id].ID, "provider", p.Name())
		t.report.Orphans++
	}
}

// orphan says whether a machine has been without a live lease for the grace. The
// intent to launch is committed before the provider is called, so a lease that is
// not found was never ours to launch, or was lost with its database.
func (t *turn) orphan(ctx context.Context, in providers.Instance) (bool, error) {
	l, err := t.f.Store.Lease(ctx, in.Lease)
	unknown := err != nil && purser.KindOf(err) == purser.KindNotFound
	switch {
	case unknown:
		return t.f.Now().Sub(in.StartedAt) >= t.f.Timing.OrphanGrace, nil
	case err != nil:
		return false, err
	}
	return l.State.Ended() && t.f.Now().Sub(l.EndedAt) >= t.f.Timing.OrphanGrace, nil
}

// lease looks at one live lease.
func (t *turn) lease(ctx context.Context, l purser.Lease) error {
	now := t.f.Now()
	if t.f.elsewhere(l) {
		return t.foreign(ctx, l, now)
	}
	if l.State == purser.LeaseDraining {
		if stuck := now.Sub(l.DrainingAt); stuck > 10*time.Minute {
			t.report.Alarms = append(t.report.Alarms, fmt.Sprintf("lease %s has been draining for %s: its machine at %s may still cost money", l.ID, stuck.Round(time.Second), l.Holder))
		}
		return nil
	}
	if l.State == purser.LeaseRunning {
		if ended, err := t.machine(ctx, l, now); ended || err != nil {
			return err
		}
	}
	if t.wanted[l.ID] {
		t.f.idle.forget(l.ID)
		return nil
	}
	if policy.Idle(t.f.idle.since(l.ID, now), now, t.f.Timing.IdleGrace) {
		return t.letGo(ctx, l)
	}
	return nil
}

// machine looks after the machine of a running lease; ended says that the lease is
// on its way out.
func (t *turn) machine(ctx context.Context, l purser.Lease, now time.Time) (ended bool, err error) {
	silent := now.Sub(l.HeartbeatAt)
	in, seen := t.listed[l.Holder][l.ID]
	_, answered := t.listed[l.Holder]
	switch {
	case seen && in.State == providers.Stopping:
		return true, t.drain(ctx, l, purser.TakenBack(in.Reason))
	case silent >= t.f.Timing.LostAfter:
		return true, t.drain(ctx, l, fmt.Sprintf("its agent has not been heard for %s", silent.Round(time.Second)))
	case answered && !seen && silent >= t.f.Timing.SuspectAfter, silent >= t.f.Timing.SilentAfter:
		return t.confirm(ctx, l, now)
	}
	return false, nil
}

// confirm asks the provider for a machine that seems to be gone.
func (t *turn) confirm(ctx context.Context, l purser.Lease, now time.Time) (bool, error) {
	p := t.f.Providers[l.Holder]
	if p == nil {
		return false, nil
	}
	in, err := t.f.describe(ctx, p, l)
	unknown := err != nil && purser.KindOf(err) == purser.KindNotFound && now.Sub(l.RunningAt) >= t.f.Timing.Settle
	switch {
	case unknown || (err == nil && in.State == providers.Gone):
		t.report.Failed++
		return true, t.end(ctx, l, purser.LeaseFailed, "its machine is gone"+because(in.Reason))
	case err != nil && purser.KindOf(err) != purser.KindNotFound:
		return false, err
	}
	return false, nil
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}

// letGo ends a lease that has no work.
func (t *turn) letGo(ctx context.Context, l purser.Lease) error {
	switch {
	case l.State == purser.LeasePlanned:
		t.report.Withdrawn++
		return t.end(ctx, l, purser.LeaseWithdrawn, "its work ended before it was launched")
	case l.RunningAt.IsZero():
		return t.drain(ctx, l, "its work ended before its machine came")
	default:
		return t.drain(ctx, l, "its work has ended")
	}
}

// foreign looks at a lease whose machine only another host's server can see. That
// server may be gone for good, and an agent that no server hears ends itself, so
// after LostAfter the lease can be ended from here.
func (t *turn) foreign(ctx context.Context, l purser.Lease, now time.Time) error {
	const why = "its host's server has not taken care of it"
	switch {
	case l.State == purser.LeasePlanned && now.Sub(l.CreatedAt) > t.f.Timing.LostAfter:
		t.report.Withdrawn++
		return t.end(ctx, l, purser.LeaseWithdrawn, why)
	case l.State == purser.LeaseLaunching && now.Sub(l.LaunchedAt) > t.f.joinTimeout(l.Holder)+t.f.Timing.LostAfter,
		l.State == purser.LeaseRunning && now.Sub(l.HeartbeatAt) > t.f.Timing.LostAfter,
		l.State == purser.LeaseDraining && now.Sub(laterOf(l.HeartbeatAt, l.DrainingAt)) > t.f.Timing.LostAfter:
		t.report.Failed++
		return t.end(ctx, l, purser.LeaseFailed, why)
	}
	return nil
}

func laterOf(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (t *turn) drain(ctx context.Context, l purser.Lease, reason string) error {
	t.report.Draining++
	return t.f.startDraining(ctx, l.ID, reason, l.State)
}

// end ends a lease that is still in the state it was read in.
func (t *turn) end(ctx context.Context, read purser.Lease, to purser.LeaseState, reason string) error {
	_, err := t.f.Store.Advance(ctx, read.ID, actor, func(l purser.Lease) (purser.Transition, error) {
		if l.State != read.State || l.HeartbeatAt.After(read.HeartbeatAt) {
			return purser.Transition{}, nil
		}
		return purser.Transition{To: to, Reason: reason, At: t.f.Now(), Next: -1}, nil
	})
	return err
}

// moments remembers a time for each lease, in this process alone.
type moments struct {
	mu sync.Mutex
	at map[purser.LeaseID]time.Time
}

func newMoments() *moments { return &moments{at: map[purser.LeaseID]time.Time{}} }

// since is the time of the lease, which is now where none is known.
func (m *moments) since(id purser.LeaseID, now time.Time) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.at[id].IsZero() {
		m.at[id] = now
	}
	return m.at[id]
}

// of is the time of the lease; zero where none is known.
func (m *moments) of(id purser.LeaseID) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.at[id]
}

func (m *moments) note(id purser.LeaseID, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.at[id] = at
}

func (m *moments) forget(id purser.LeaseID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.at, id)
}

// keep forgets every lease but these.
func (m *moments) keep(leases []purser.Lease) {
	live := map[purser.LeaseID]bool{}
	for _, l := range leases {
		live[l.ID] = true
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.DeleteFunc(m.at, func(id purser.LeaseID, _ time.Time) bool { return !live[id] })
}

// listedTimes remembers when providers were asked for their machines last. It is a
// memory of this process alone.
type listedTimes struct {
	mu sync.Mutex
	at map[string]time.Time
}

// due says whether a provider is to be asked, and notes that it is.
func (l *listedTimes) due(name string, now time.Time, every time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if last, asked := l.at[name]; asked && now.Sub(last) < every && !now.Before(last) {
		return false
	}
	l.at[name] = now
	return true
}
