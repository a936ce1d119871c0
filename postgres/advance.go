package postgres

import (
	"context"
	"time"

	"purser"
)

// Advance takes a lease one step on: it locks the row, asks decide, and writes the
// lease, the tasks that it gives back, the audit rows and the River job of the next
// step in one transaction. Either all of it is committed or nothing.
//
// decide sees the lease as it is under the lock and returns the transition; a zero
// transition means that there is nothing to do. Its error is returned as it is. It
// may be called more than once, when the transaction lost against another one, and
// so must not act on anything else. A transition without At happens now.
//
// conflict: the states do not allow the step. not_found: no such lease.
func (db *DB) Advance(
	ctx context.Context, id purser.LeaseID, actor string, decide func(purser.Lease) (purser.Transition, error),
) (purser.Lease, error) {
	const op = "postgres.Advance"
	var out purser.Lease
	var refused error // decide's own
	err := db.write(ctx, op, func(ctx context.Context, t *tx) error {
		w := newWorld(t, actor, db.clock())
		if err := w.lockLeases(ctx, id); err != nil {
			return err
		}
		l := w.leases[id]
		if l == nil {
			return notFound(op, "lease", id)
		}
		out = l.Lease
		var step purser.Transition
		if step, refused = decide(l.Lease); refused != nil || step.To == "" {
			return refused
		}
		if !step.At.IsZero() {
			w.at = utc(step.At)
		}
		if step.To != l.State && frees(step.To) {
			if err := w.loadAround(ctx, id); err != nil {
				return err
			}
		}
		if err := w.transition(l, step); err != nil {
			return err
		}
		out = l.Lease
		return w.save(ctx)
	})
	if refused != nil {
		return out, refused
	}
	return out, err
}

// DrainAll ends every live lease of a host, or of all hosts when host is empty, as a
// clean stop of the server does: what is planned is withdrawn, what launches or runs
// drains. It returns how many it changed; each is a transaction of its own, so that
// a failure in between leaves the rest for the next call.
func (db *DB) DrainAll(ctx context.Context, actor, host, reason string) (int, error) {
	leases, err := db.Leases(ctx, LeaseFilter{Live: true, Host: host})
	if err != nil {
		return 0, err
	}
	changed := 0
	for _, l := range leases {
		did := false
		_, err := db.Advance(ctx, l.ID, actor, func(l purser.Lease) (purser.Transition, error) {
			to := purser.LeaseDraining
			switch l.State {
			case purser.LeasePlanned:
				to = purser.LeaseWithdrawn
			case purser.LeaseLaunching, purser.LeaseRunning:
			default:
				did = false
				return purser.Transition{}, nil
			}
			did = true
			return purser.Transition{To: to, Reason: reason}, nil
		})
		if err != nil {
			return changed, err
		}
		if did {
			changed++
		}
	}
	return changed, nil
}

// JoinLease lets an agent in: the first join stores the hash of the secret that the
// agent chose and makes the lease running, from where on it is charged. The same
// secret may join again, which changes nothing but the heartbeat.
//
// forbidden: another agent has joined. stale: the lease has ended, or was never
// launched, or drains without having been joined; the agent ends itself.
func (db *DB) JoinLease(ctx context.Context, id purser.LeaseID, secretHash []byte, at time.Time) (purser.Lease, error) {
	const op = "postgres.JoinLease"
	if len(secretHash) == 0 {
		return purser.Lease{}, purser.Errorf(purser.KindInvalid, op, "an agent needs a secret to join")
	}
	var out purser.Lease
	err := db.write(ctx, op, func(ctx context.Context, t *tx) error {
		w := newWorld(t, "agent", at)
		if err := w.lockLeases(ctx, id); err != nil {
			return err
		}
		l := w.leases[id]
		switch {
		case l == nil:
			return notFound(op, "lease", id)
		case l.State.Ended():
			return purser.Errorf(purser.KindStale, op, "lease %s has ended (%s)", id, l.State)
		case len(l.agentHash) > 0 && !sameHash(l.agentHash, secretHash):
			return purser.Errorf(purser.KindForbidden, op, "another agent has joined lease %s", id)
		case len(l.agentHash) > 0:
			l.HeartbeatAt, l.dirty = latest(l.HeartbeatAt, w.at), true
		case l.State != purser.LeaseLaunching:
			return purser.Errorf(purser.KindStale, op, "lease %s is %s; no agent can join it", id, l.State)
		default:
			l.agentHash = secretHash
			if err := w.transition(l, purser.Transition{To: purser.LeaseRunning, Next: -1}); err != nil {
				return err
			}
		}
		out = l.Lease
		return w.save(ctx)
	})
	return out, err
}

// AgentLease finds the lease of an agent by the hash of its secret. unauthorized:
// nobody joined with it.
func (db *DB) AgentLease(ctx context.Context, secretHash []byte) (purser.Lease, error) {
	const op = "postgres.AgentLease"
	leases, err := collect(ctx, db.pool, scanLease, "select "+leaseColumns+" from leases l where l.agent_hash = $1", secretHash)
	if err != nil {
		return purser.Lease{}, fail(op, err)
	}
	if len(leases) == 0 {
		return purser.Lease{}, purser.Errorf(purser.KindUnauthorized, op, "no agent with this secret has joined")
	}
	return leases[0], nil
}
