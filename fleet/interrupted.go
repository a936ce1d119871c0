package fleet

import (
	"context"
	"time"

	"purser"
	"purser/providers"
)

// retireLead is how long before maintenance stops a machine its lease is drained for
// it. Its agent, which reads the same notice, stops the tasks two minutes before.
const retireLead = 5 * time.Minute

// Interrupted acts on what a cloud says of a lease's machine, whoever heard of it: its
// provider (providers.Interrupter takes it as deliver) or the machine itself.
//
//	preempted, ended   the lease drains at once, for purser.TakenBack
//	retired            the same when it is due within retireLead, or nobody says when;
//	                   else a note
//	rebalance          a note: the reason on the running lease, and a row of the audit
//
// The same notice again changes nothing, and neither does one for a lease that drains,
// has ended, or is not known. An error is the store's, and the notice may come again.
func (f *Fleet) Interrupted(ctx context.Context, n providers.Interruption) error {
	leave := false
	switch n.Kind {
	case providers.Preempted, providers.Ended:
		leave = true
	case providers.Retired:
		leave = n.At.IsZero() || n.At.Sub(f.Now()) <= retireLead
	case providers.Rebalance:
	default:
		return nil
	}
	before := purser.Lease{}
	after, err := f.Store.Advance(ctx, n.Lease, actor, func(l purser.Lease) (purser.Transition, error) {
		before = l
		switch {
		case n.Instance != "" && l.Instance != "" && n.Instance != l.Instance:
			return purser.Transition{}, nil // of a machine that it has no more
		case leave && (l.State == purser.LeaseRunning || l.State == purser.LeaseLaunching):
			return purser.Transition{To: purser.LeaseDraining, Reason: purser.TakenBack(n.Reason), At: f.Now()}, nil
		case !leave && l.State == purser.LeaseRunning && n.Reason != "" && n.Reason != l.Reason:
			return purser.Transition{To: l.State, Reason: n.Reason, At: f.Now(), Next: -1}, nil
		}
		return purser.Transition{}, nil
	})
	if err != nil {
		if purser.KindOf(err) == purser.KindNotFound {
			return nil
		}
		return err
	}
	if after.Fence != before.Fence {
		f.Logger.WarnContext(ctx, "the cloud interrupts a machine", "lease", n.Lease, "kind", n.Kind, "reason", n.Reason, "lease_state", after.State)
	}
	return nil
}
