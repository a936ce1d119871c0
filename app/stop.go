package app

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"purser"
)

// drainTime bounds how long Stop waits for the machines of this host: an agent
// has 25 s for its tasks, and its end must still be seen.
const drainTime = 45 * time.Second

// Stop drains this host's machines, then ends everything in the reverse order of
// Start. It is safe to call twice; the second call waits for the first. When ctx
// ends early, draining is cut short: agents end themselves later, and the next
// start finds the leases as they are.
func (a *App) Stop(ctx context.Context, progress func(string)) error {
	a.stopOnce.Do(func() {
		progress("stopping the work at its checkpoints")
		err := a.drain(ctx)
		progress("closing")
		a.stopErr = errors.Join(err, a.abort())
	})
	return a.stopErr
}

// drain ends the leases that this host's machines stand for. Planning stops
// first, or it would buy again what is being let go.
func (a *App) drain(ctx context.Context) error {
	if a.db == nil || a.sweeps == nil {
		return nil
	}
	a.sweeps.pause(a.sweeps.names("reconcile", "charge", "attend")...)
	ctx, cancel := context.WithTimeout(ctx, drainTime)
	defer cancel()
	n, err := a.db.DrainAll(ctx, a.replica, a.host, "the server stops")
	if err != nil {
		return err
	}
	if n == 0 {
		return a.lastCharges(ctx)
	}
	a.log.Info("draining", slog.Int("leases", n))
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		left, err := a.liveHere(ctx)
		if err != nil {
			return err
		}
		if left == 0 {
			return a.lastCharges(ctx)
		}
		select {
		case <-ctx.Done():
			return purser.Errorf(purser.KindUnavailable, "app.Stop", "%d machines had not ended when the wait was over; they end themselves", left)
		case <-tick.C:
		}
	}
}

// endRehearsal lets machines go that stand in for others, once a provider is enabled: a
// server that was killed in rehearsal has left them, and its services would stay on them.
func (a *App) endRehearsal(ctx context.Context) error {
	if a.rehearsal {
		return nil
	}
	leases, err := a.db.LiveLeases(ctx)
	if err != nil {
		return err
	}
	for _, l := range leases {
		if !l.Rehearsal {
			continue
		}
		_, err := a.db.Advance(ctx, l.ID, a.replica, func(l purser.Lease) (purser.Transition, error) {
			to := purser.LeaseDraining
			switch l.State {
			case purser.LeasePlanned:
				to = purser.LeaseWithdrawn
			case purser.LeaseLaunching, purser.LeaseRunning:
			default:
				return purser.Transition{}, nil
			}
			return purser.Transition{To: to, Reason: "a provider is enabled, and this was a rehearsal", At: a.now()}, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (a *App) liveHere(ctx context.Context) (int, error) {
	leases, err := a.db.LiveLeases(ctx)
	n := 0
	for _, l := range leases {
		if l.Host == a.host {
			n++
		}
	}
	return n, err
}

// lastCharges writes the charges up to the end of what was drained.
func (a *App) lastCharges(ctx context.Context) error {
	_, err := a.charge(ctx)
	return err
}

// closeTime bounds the end of each part, so that one that hangs leaves the others
// theirs. The private database is given 30 s to write down what it holds.
const closeTime = 35 * time.Second

// abort ends what was started, last first, without draining.
func (a *App) abort() error {
	if a.stopWork != nil {
		a.stopWork()
	}
	var errs []error
	for _, f := range slices.Backward(a.undo) {
		ctx, cancel := context.WithTimeout(context.Background(), closeTime)
		errs = append(errs, f(ctx))
		cancel()
	}
	a.undo = nil
	return errors.Join(errs...)
}
