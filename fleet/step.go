package fleet

import (
	"context"
	"errors"
	"time"

	"purser"
	"purser/providers"
)

// done says that a lease needs no further look by this step.
const done time.Duration = -1

// Step carries a lease one step further. again says when the same step is to be
// taken once more; negative: not at all, because the lease has ended, runs, or the
// next step was written with a transition. An error is the store's, and the step may
// be repeated. An unknown lease is not_found.
func (f *Fleet) Step(ctx context.Context, id purser.LeaseID) (again time.Duration, err error) {
	l, err := f.Store.Lease(ctx, id)
	if err != nil {
		return done, err
	}
	if l.State.Ended() || l.State == purser.LeaseRunning {
		return done, nil
	}
	if f.elsewhere(l) {
		return f.Timing.Poll, nil // its own host's server takes it up
	}
	if l.State == purser.LeasePlanned {
		return done, f.begin(ctx, l)
	}
	p := f.Providers[l.Holder]
	if p == nil {
		return f.withoutProvider(ctx, l)
	}
	if l.State == purser.LeaseLaunching {
		return f.launch(ctx, p, l)
	}
	return f.drain(ctx, p, l)
}

// begin commits the intent to launch. The provider is called by the step after it.
func (f *Fleet) begin(ctx context.Context, l purser.Lease) error {
	_, err := f.Store.Advance(ctx, l.ID, actor, func(l purser.Lease) (purser.Transition, error) {
		if l.State != purser.LeasePlanned {
			return purser.Transition{}, nil
		}
		return purser.Transition{To: purser.LeaseLaunching, Attempt: 1, At: f.Now()}, nil
	})
	return err
}

// withoutProvider deals with a lease whose provider is not enabled here. Nothing
// may be known of its machine, so a lease that may have one stays until the provider
// is enabled again.
func (f *Fleet) withoutProvider(ctx context.Context, l purser.Lease) (time.Duration, error) {
	if l.State == purser.LeaseLaunching && l.Instance == "" {
		return done, f.fail(ctx, l.ID, purser.KindInvalid, "no provider named "+l.Holder+" is enabled")
	}
	f.Logger.WarnContext(ctx, "lease cannot be looked after: its provider is not enabled", "lease", l.ID, "provider", l.Holder)
	return 30 * time.Second, nil
}

func (f *Fleet) launch(ctx context.Context, p providers.Provider, l purser.Lease) (time.Duration, error) {
	if l.Instance != "" {
		return f.awaitJoin(ctx, p, l)
	}
	call, cancel := context.WithTimeout(ctx, f.Timing.CallTimeout)
	defer cancel()
	pools := f.pools(call, l)
	in, err := p.Launch(call, providers.Request{
		Lease: l, Pools: pools, Installation: f.Installation, Token: providers.ClientToken(f.Installation, l), JoinToken: JoinToken(f.Secret, l.ID, l.Attempt), ServerURL: f.ServerURL,
		AgentSHA256: f.AgentSHA256,
	})
	if err != nil {
		return f.launchFailed(ctx, l, err)
	}
	if in.State == providers.Gone {
		return done, f.endUnjoined(ctx, l.ID, in)
	}
	return f.record(ctx, p, l.ID, in, pools)
}

// record writes down which machine the lease has. If the lease ended while the
// provider was being asked, nobody will ever want the machine: it is ended here, and
// by Reconcile should this fail.
func (f *Fleet) record(ctx context.Context, p providers.Provider, id purser.LeaseID, in providers.Instance, pools []purser.Offer) (time.Duration, error) {
	l, err := f.Store.Advance(ctx, id, actor, func(l purser.Lease) (purser.Transition, error) {
		if l.State.Ended() || l.Instance == in.ID {
			return purser.Transition{}, nil
		}
		t := purser.Transition{To: l.State, Instance: in.ID, Offer: taken(l, in, pools), At: f.Now(), Next: -1}
		if l.State != purser.LeaseRunning {
			t.Next = f.Timing.Poll
		}
		return t, nil
	})
	if err != nil || !l.State.Ended() {
		f.pending.note(id, f.Now())
		return done, err
	}
	f.Logger.WarnContext(ctx, "machine came for a lease that has ended", "lease", id, "instance", in.ID)
	if err := f.terminate(ctx, p, l); err != nil {
		f.Logger.WarnContext(ctx, "machine could not be ended and is left to the next sweep", "lease", id, "provider", p.Name(), "cause", err)
	}
	return done, nil
}

// refused lists the kinds that say for certain that there is no machine and will be
// none for this request.
func refused(k purser.Kind) bool {
	switch k {
	case purser.KindNoCapacity, purser.KindQuota, purser.KindInvalid, purser.KindForbidden, purser.KindUnauthorized, purser.KindInfeasible, purser.KindNotFound:
		return true
	default:
		return false
	}
}

func (f *Fleet) launchFailed(ctx context.Context, l purser.Lease, cause error) (time.Duration, error) {
	if ctx.Err() != nil {
		return done, ctx.Err() // we are stopping; the provider has said nothing
	}
	kind := purser.KindOf(cause)
	if refused(kind) {
		return done, f.fail(ctx, l.ID, kind, message(cause))
	}
	waited := f.Now().Sub(l.LaunchedAt)
	if kind == purser.KindConflict || waited > f.Timing.LaunchTime {
		// There may be a machine, so it is looked for and ended before the lease is.
		return done, f.startDraining(ctx, l.ID, Reason(kind, message(cause)), purser.LeaseLaunching)
	}
	f.Logger.WarnContext(ctx, "launch did not work and is tried again", "lease", l.ID, "provider", l.Holder, "kind", kind, "cause", cause)
	pause := min(max(waited/2, f.Timing.Poll), 30*time.Second)
	if e, ok := errors.AsType[*purser.Error](cause); ok {
		pause = max(pause, min(e.RetryAfter, time.Minute))
	}
	return pause, nil
}

// awaitJoin looks at a machine whose agent has not joined yet.
func (f *Fleet) awaitJoin(ctx context.Context, p providers.Provider, l purser.Lease) (time.Duration, error) {
	in, err := f.describe(ctx, p, l)
	since := laterOf(l.LaunchedAt, f.pending.of(l.ID)) // the time to join begins when the machine does
	switch {
	case err == nil && in.State == providers.Gone:
		return done, f.endUnjoined(ctx, l.ID, in)
	case err == nil && in.State == providers.Pending && f.Now().Sub(l.LaunchedAt) < f.Timing.LaunchTime:
		f.pending.note(l.ID, f.Now())
		return f.Timing.Poll, nil
	case err == nil && in.StartedAt.After(since):
		since = in.StartedAt
	case purser.KindOf(err) == purser.KindNotFound && f.Now().Sub(l.LaunchedAt) > f.Timing.Settle:
		return done, f.startDraining(ctx, l.ID, Reason(purser.KindUnavailable, "its provider no longer knows of its machine"), purser.LeaseLaunching)
	}
	if waited := f.Now().Sub(since); waited > f.joinTimeout(l.Holder) {
		return done, f.startDraining(ctx, l.ID, Reason(purser.KindUnavailable, "its machine did not join within "+f.joinTimeout(l.Holder).String()), purser.LeaseLaunching)
	}
	return f.Timing.Poll, nil
}

// endUnjoined ends a lease whose machine was gone before its agent joined. What the
// provider refused after all is a refusal as one of the launch would have been.
func (f *Fleet) endUnjoined(ctx context.Context, id purser.LeaseID, in providers.Instance) error {
	if refused(in.Refused) {
		return f.fail(ctx, id, in.Refused, in.Reason)
	}
	return f.fail(ctx, id, purser.KindUnavailable, "its machine ended before its agent joined"+because(in.Reason))
}

// drain lets the agent stop its tasks, then ends the machine and waits for it to be
// gone.
func (f *Fleet) drain(ctx context.Context, p providers.Provider, l purser.Lease) (time.Duration, error) {
	now := f.Now()
	if f.mayStop(l, now) {
		working, err := f.working(ctx, l.ID)
		if err != nil {
			return done, err
		}
		if working {
			return f.Timing.Poll, nil
		}
	}
	in, err := f.describe(ctx, p, l)
	unknown := err != nil && purser.KindOf(err) == purser.KindNotFound
	switch {
	case err == nil && in.State == providers.Gone:
		return done, f.release(ctx, l.ID)
	case err == nil && in.State == providers.Stopping && now.Sub(l.DrainingAt) < f.Timing.StopTime:
		return f.Timing.Poll, nil // later it is told again: what stops and never ends costs money
	}
	// A provider that knows of no machine is told all the same: one may be on its way.
	if err := f.terminate(ctx, p, l); err != nil {
		f.Logger.WarnContext(ctx, "machine could not be ended and is tried again", "lease", l.ID, "provider", l.Holder, "cause", err)
		return min(max(now.Sub(l.DrainingAt)/4, f.Timing.Poll), 15*time.Second), nil
	}
	if unknown && now.Sub(l.LaunchedAt) > f.Timing.Settle {
		return done, f.release(ctx, l.ID)
	}
	return f.Timing.Poll, nil
}

// mayStop says whether waiting for the agent can still do good.
func (f *Fleet) mayStop(l purser.Lease, now time.Time) bool {
	return !l.RunningAt.IsZero() && now.Sub(l.DrainingAt) < f.Timing.DrainTime && now.Sub(l.HeartbeatAt) < f.Timing.SilentAfter
}

func (f *Fleet) working(ctx context.Context, id purser.LeaseID) (bool, error) {
	tasks, err := f.Store.LiveTasks(ctx)
	for _, t := range tasks {
		if t.Lease == id {
			return true, err
		}
	}
	return false, err
}

// release ends a draining lease whose machine is gone. One that never ran has
// failed: its machine never came to anything.
func (f *Fleet) release(ctx context.Context, id purser.LeaseID) error {
	_, err := f.Store.Advance(ctx, id, actor, func(l purser.Lease) (purser.Transition, error) {
		switch {
		case l.State != purser.LeaseDraining:
			return purser.Transition{}, nil
		case l.RunningAt.IsZero():
			return purser.Transition{To: purser.LeaseFailed, At: f.Now(), Next: -1}, nil
		default:
			return purser.Transition{To: purser.LeaseReleased, At: f.Now(), Next: -1}, nil
		}
	})
	return err
}

// fail ends a lease that has no machine. A lease that moved on meanwhile is left
// to its next step.
func (f *Fleet) fail(ctx context.Context, id purser.LeaseID, kind purser.Kind, text string) error {
	_, err := f.Store.Advance(ctx, id, actor, func(l purser.Lease) (purser.Transition, error) {
		if l.State != purser.LeaseLaunching {
			return purser.Transition{}, nil
		}
		return purser.Transition{To: purser.LeaseFailed, Reason: Reason(kind, text), At: f.Now(), Next: -1}, nil
	})
	return err
}

// startDraining begins the end of a lease if it is in one of the states.
func (f *Fleet) startDraining(ctx context.Context, id purser.LeaseID, reason string, from ...purser.LeaseState) error {
	_, err := f.Store.Advance(ctx, id, actor, func(l purser.Lease) (purser.Transition, error) {
		for _, s := range from {
			if l.State == s {
				return purser.Transition{To: purser.LeaseDraining, Reason: reason, At: f.Now()}, nil
			}
		}
		return purser.Transition{}, nil
	})
	return err
}

func (f *Fleet) describe(ctx context.Context, p providers.Provider, l purser.Lease) (providers.Instance, error) {
	call, cancel := context.WithTimeout(ctx, f.Timing.CallTimeout)
	defer cancel()
	return p.Describe(call, l)
}

func (f *Fleet) terminate(ctx context.Context, p providers.Provider, l purser.Lease) error {
	call, cancel := context.WithTimeout(ctx, f.Timing.CallTimeout)
	defer cancel()
	return p.Terminate(call, l)
}

// Reason is how the reason of a failed launch is written on its lease: the kind of
// error, then the sentence. The kind decides how long the offer cools down.
func Reason(kind purser.Kind, text string) string { return string(kind) + ": " + text }

// message is what the user may read of an error.
func message(err error) string {
	if e, ok := errors.AsType[*purser.Error](err); ok && e.Message != "" {
		return e.Message
	}
	return "the provider gave no reason"
}
