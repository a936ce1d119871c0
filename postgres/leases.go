package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"purser"
)

// leaseRow is a lease with what only the store knows of it.
type leaseRow struct {
	purser.Lease
	agentHash []byte // SHA-256 of the secret of the agent that joined
	fresh     bool   // not inserted yet
	dirty     bool
}

const leaseColumns = `l.id, l.plan, l.offer, l.holder, l.host, l.rehearsal, l.state, l.attempt, l.fence, l.instance, l.reason,
	l.agent_hash, l.created_at, l.launched_at, l.running_at, l.draining_at, l.ended_at, l.heartbeat_at, l.charged_through`

func scanLeaseRow(row pgx.CollectableRow) (*leaseRow, error) {
	l := &leaseRow{}
	err := row.Scan(&l.ID, &l.Plan, fromJSON{&l.Offer}, &l.Holder, &l.Host, &l.Rehearsal, &l.State, &l.Attempt, &l.Fence, &l.Instance, &l.Reason,
		&l.agentHash, &l.CreatedAt, optional{&l.LaunchedAt}, optional{&l.RunningAt}, optional{&l.DrainingAt}, optional{&l.EndedAt},
		optional{&l.HeartbeatAt}, optional{&l.ChargedThrough})
	return l, err
}

func scanLease(row pgx.CollectableRow) (purser.Lease, error) {
	l, err := scanLeaseRow(row)
	if err != nil {
		return purser.Lease{}, err
	}
	return l.Lease, nil
}

// Lease reads one lease.
func (db *DB) Lease(ctx context.Context, id purser.LeaseID) (purser.Lease, error) {
	const op = "postgres.Lease"
	leases, err := collect(ctx, db.pool, scanLease, "select "+leaseColumns+" from leases l where l.id = $1", string(id))
	if err != nil {
		return purser.Lease{}, fail(op, err)
	}
	if len(leases) == 0 {
		return purser.Lease{}, notFound(op, "lease", id)
	}
	return leases[0], nil
}

// Leases lists leases, newest first.
func (db *DB) Leases(ctx context.Context, f LeaseFilter) ([]purser.Lease, error) {
	leases, err := collect(ctx, db.pool, scanLease, "select "+leaseColumns+` from leases l
		where (not $1 or l.ended_at is null) and ($2 = '' or l.state = $2) and ($3 = '' or l.host = $3)
		order by l.created_at desc, l.id desc limit $4`, f.Live, string(f.State), f.Host, limit(f.Limit))
	return leases, fail("postgres.Leases", err)
}

// LiveLeases lists the leases that have not ended, by id.
func (db *DB) LiveLeases(ctx context.Context) ([]purser.Lease, error) {
	leases, err := liveLeases(ctx, db.pool)
	return leases, fail("postgres.LiveLeases", err)
}

func liveLeases(ctx context.Context, q querier) ([]purser.Lease, error) {
	return collect(ctx, q, scanLease, "select "+leaseColumns+" from leases l where l.ended_at is null order by l.id")
}

// LeaseCosts is what each lease was billed so far. Leases without charges are not
// in the result.
func (db *DB) LeaseCosts(ctx context.Context, ids []purser.LeaseID) (map[purser.LeaseID]purser.Money, error) {
	const op = "postgres.LeaseCosts"
	rows, err := db.pool.Query(ctx, "select lease, sum(billed_cost)::bigint from charges where lease = any($1) group by lease", texts(ids))
	if err != nil {
		return nil, fail(op, err)
	}
	costs := map[purser.LeaseID]purser.Money{}
	var id purser.LeaseID
	var cost purser.Money
	_, err = pgx.ForEachRow(rows, []any{&id, &cost}, func() error {
		costs[id] = cost
		return nil
	})
	return costs, fail(op, err)
}

// insertLeases adds the leases of an admission.
func insertLeases(ctx context.Context, t *tx, leases []*leaseRow) error {
	batch := &pgx.Batch{}
	for _, l := range leases {
		offer, err := toJSON(l.Offer)
		if err != nil {
			return err
		}
		batch.Queue(`insert into leases (id, plan, offer_id, offer, purchase_option, holder, host, rehearsal, state, created_at)
			values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
			string(l.ID), string(l.Plan), string(l.Offer.ID()), offer, string(l.Offer.Option), l.Holder, l.Host, l.Rehearsal, string(l.State), utc(l.CreatedAt))
	}
	return t.SendBatch(ctx, batch).Close()
}

// updateLeases writes what a transition or a join may have changed.
func updateLeases(ctx context.Context, t *tx, leases []*leaseRow) error {
	batch := &pgx.Batch{}
	for _, l := range leases {
		offer, err := toJSON(l.Offer)
		if err != nil {
			return err
		}
		batch.Queue(`update leases set state = $2, attempt = $3, fence = $4, instance = $5, reason = $6, agent_hash = $7,
			launched_at = $8, running_at = $9, draining_at = $10, ended_at = $11, heartbeat_at = $12, offer_id = $13, offer = $14
			where id = $1`,
			string(l.ID), string(l.State), l.Attempt, l.Fence, l.Instance, l.Reason, l.agentHash, nullTime(l.LaunchedAt), nullTime(l.RunningAt),
			nullTime(l.DrainingAt), nullTime(l.EndedAt), nullTime(l.HeartbeatAt), string(l.Offer.ID()), offer)
		if l.Instance != "" {
			batch.Queue(`insert into instances (lease, attempt, instance, holder, recorded_at, ended_at) values ($1, $2, $3, $4, $5, $6)
				on conflict (lease, attempt, instance) do update set ended_at = excluded.ended_at`,
				string(l.ID), l.Attempt, l.Instance, l.Holder, instanceSince(l.Lease), nullTime(l.EndedAt))
		}
	}
	return t.SendBatch(ctx, batch).Close()
}

func instanceSince(l purser.Lease) time.Time {
	if l.LaunchedAt.IsZero() {
		return utc(l.CreatedAt)
	}
	return utc(l.LaunchedAt)
}

// frees says whether a lease that enters the state gives its tasks back.
func frees(s purser.LeaseState) bool { return s == purser.LeaseDraining || s.Ended() }

// usable says whether a task may be put on a lease in the state.
func usable(s purser.LeaseState) bool {
	return s == purser.LeasePlanned || s == purser.LeaseLaunching || s == purser.LeaseRunning
}

func sortedByID[K ~string, V any](m map[K]V, keep func(V) bool) []V {
	keys := make([]K, 0, len(m))
	for k, v := range m {
		if keep(v) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	out := make([]V, len(keys))
	for i, k := range keys {
		out[i] = m[k]
	}
	return out
}
