package postgres

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"purser"
)

// planDetail is the long part of a plan, kept apart from its summary.
type planDetail struct {
	Leases    []purser.PlannedLease `json:"leases"`
	Later     []purser.LaterLease   `json:"later,omitempty"`
	Refusals  []purser.Refusal      `json:"refusals,omitempty"`
	RunnersUp []purser.RunnerUp     `json:"runners_up,omitempty"`
	Setbacks  []purser.Setback      `json:"setbacks,omitempty"`
}

func (m *admitting) savePlan(ctx context.Context) error {
	p := m.plan
	detail, err := toJSON(planDetail{p.Leases, p.Later, p.Refusals, p.RunnersUp, p.Setbacks})
	if err != nil {
		return purser.Wrap(purser.KindInvalid, "postgres.AdmitPlan", err)
	}
	p.Leases, p.Later, p.Refusals, p.RunnersUp, p.Setbacks = nil, nil, nil, nil, nil
	summary, err := toJSON(p)
	if err != nil {
		return purser.Wrap(purser.KindInvalid, "postgres.AdmitPlan", err)
	}
	m.say(purser.Event{At: m.at, Actor: m.actor, Subject: "plan", Name: string(p.ID), To: "admitted", Reason: m.plan.Sentence()})
	// The database's clock is read when the table is locked for the row; see Snapshot.
	_, err = m.Exec(ctx, `insert into plans (id, created_at, admitted_at, actor, status, rehearsal, objective, bound, gap, unit_price, baseline_price,
			summary, detail) values ($1, $2, clock_timestamp(), $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
		string(p.ID), utc(p.CreatedAt), m.actor, string(p.Status), p.Rehearsal, int64(p.Objective), int64(p.Bound), p.Gap, int64(p.UnitPrice),
		int64(p.BaselinePrice), summary, detail)
	return err
}

// savePlacements keeps what the plan puts where, and why offers were refused, as rows.
func (m *admitting) savePlacements(ctx context.Context) error {
	on := map[replicaKey]purser.LeaseID{}
	put := func(p purser.Placement, id purser.LeaseID) {
		if m.leases[id] != nil {
			on[replicaKey{groupKey{p.Job, p.Group}, p.Replica}] = id
		}
	}
	for _, v := range m.Moves {
		put(v.Placement, v.To)
	}
	for _, p := range m.Place {
		put(p.Placement, p.Lease)
	}
	for _, p := range m.Start {
		put(p.Placement, p.Lease)
	}
	held, err := m.knownLeases(ctx)
	if err != nil {
		return err
	}
	var rows [][]any
	for machine, l := range m.plan.Leases {
		for i, p := range l.Placements {
			lease := on[replicaKey{groupKey{p.Job, p.Group}, p.Replica}]
			if lease == "" && held[l.Held] {
				lease = l.Held
			}
			rows = append(rows, []any{
				string(m.plan.ID), machine, i, nullText(lease), string(l.Offer.ID()), string(p.Job), p.Group, p.Replica, p.Variant,
				int64(p.Devices), p.MilliCPU, p.MemoryMiB,
			})
		}
	}
	columns := []string{
		"plan", "machine", "position", "lease", "offer_id", "job", "group_name", "replica", "variant", "milli_devices", "milli_cpu", "memory_mib",
	}
	if _, err := m.CopyFrom(ctx, pgx.Identifier{"placements"}, columns, pgx.CopyFromRows(rows)); err != nil {
		return err
	}
	return m.saveRefusals(ctx)
}

// knownLeases are the held leases of the plan that exist.
func (m *admitting) knownLeases(ctx context.Context) (map[purser.LeaseID]bool, error) {
	var ids []string
	for _, l := range m.plan.Leases {
		if l.Held != "" {
			ids = append(ids, string(l.Held))
		}
	}
	known := map[purser.LeaseID]bool{}
	found, err := collect(ctx, m, pgx.RowTo[purser.LeaseID], "select id from leases where id = any($1)", ids)
	for _, id := range found {
		known[id] = true
	}
	return known, err
}

func (m *admitting) saveRefusals(ctx context.Context) error {
	batch := &pgx.Batch{}
	for _, r := range m.plan.Refusals {
		reasons := r.Reasons
		if reasons == nil {
			reasons = map[purser.RefusalReason]int{}
		}
		b, err := toJSON(reasons)
		if err != nil {
			return err
		}
		batch.Queue("insert into refusals (plan, job, group_name, offers, allowed, reasons) values ($1, $2, $3, $4, $5, $6)",
			string(m.plan.ID), string(r.Job), r.Group, r.Offers, r.Allowed, b)
	}
	return m.SendBatch(ctx, batch).Close()
}

// Plans lists admitted plans, newest first, without their leases, refusals and
// runners-up; limit 0 is 100.
func (db *DB) Plans(ctx context.Context, limit int) ([]purser.Plan, error) {
	if limit <= 0 {
		limit = 100
	}
	plans, err := collect(ctx, db.pool, func(row pgx.CollectableRow) (p purser.Plan, err error) {
		return p, row.Scan(fromJSON{&p})
	}, "select summary from plans order by admitted_at desc, id desc limit $1", limit)
	return plans, fail("postgres.Plans", err)
}

// Plan reads one plan whole; the id "latest" is the newest.
func (db *DB) Plan(ctx context.Context, id purser.PlanID) (purser.Plan, error) {
	var p purser.Plan
	var d planDetail
	err := db.pool.QueryRow(ctx, `select summary, detail from plans where id = $1 or $1 = 'latest' order by admitted_at desc, id desc limit 1`, string(id)).
		Scan(fromJSON{&p}, fromJSON{&d})
	p.Leases, p.Later, p.Refusals, p.RunnersUp, p.Setbacks = d.Leases, d.Later, d.Refusals, d.RunnersUp, d.Setbacks
	return p, orNotFound("postgres.Plan", "plan", id, err)
}

// failedFor is how far back Snapshot tells of launches that failed.
const failedFor = time.Hour

// Snapshot reads all that a plan is made from, as it stood at one moment. It waits for
// an admission that is under way and keeps the next one waiting, so that At tells
// exactly which plans the picture holds: those that were admitted before it.
func (db *DB) Snapshot(ctx context.Context) (s Snapshot, err error) {
	err = db.read(ctx, "postgres.Snapshot", func(ctx context.Context, t pgx.Tx) error {
		// LOCK, as the first statement, comes before the picture is taken.
		if _, err := t.Exec(ctx, "lock table plans in share mode"); err != nil {
			return err
		}
		if s.At, err = sharedClock(ctx, t); err != nil {
			return err
		}
		s.Jobs, err = collect(ctx, t, scanJob, "select "+jobColumns+" from jobs j where j.ended_at is null and j.cancelled_at is null order by j.id")
		if err != nil {
			return err
		}
		if err = fillGroups(ctx, t, s.Jobs, false); err != nil {
			return err
		}
		if s.Tasks, err = liveTasks(ctx, t); err != nil {
			return err
		}
		if s.Leases, err = liveLeases(ctx, t); err != nil {
			return err
		}
		if s.Moves, err = openMovesOf(ctx, t); err != nil {
			return err
		}
		if s.Quotas, err = quotas(ctx, t); err != nil {
			return err
		}
		if s.Failed, err = failedOffers(ctx, t, db.clock().Add(-failedFor)); err != nil {
			return err
		}
		if s.Stages, err = stageEnds(ctx, t, s.Jobs, s.Tasks); err != nil {
			return err
		}
		s.Hazards, err = hazards(ctx, t, "", "", "")
		return err
	})
	return s, err
}

// failedOffers lists leases that failed or are ending without ever having run, for a
// reason that is the offer's, and leases whose machine was taken back while it ran. A
// lease that nobody wanted any more has not failed.
func failedOffers(ctx context.Context, q querier, since time.Time) ([]FailedOffer, error) {
	type ended struct {
		FailedOffer
		drained bool
	}
	const columns = "select id, offer_id, reason, coalesce(ended_at, draining_at), running_at is not null, draining_at is not null from leases where "
	all, err := collect(ctx, q, func(row pgx.CollectableRow) (e ended, err error) {
		return e, row.Scan(&e.Lease, &e.Offer, &e.Reason, &e.At, &e.Ran, &e.drained)
	}, columns+"running_at is null and state in ('failed', 'released') and ended_at > $1 union all "+
		columns+"ended_at is null and state = 'draining' and (running_at is null or reason like '"+purser.ReasonTakenBack+"%') union all "+
		columns+"running_at is not null and state in ('failed', 'released') and reason like '"+purser.ReasonTakenBack+"%' and ended_at > $1 order by 4 desc, 1", since)
	var out []FailedOffer
	for _, e := range all {
		takenBack := strings.HasPrefix(e.Reason, purser.ReasonTakenBack)
		if e.Kind = kindIn(e.Reason); takenBack {
			e.Kind = purser.KindUnavailable
		}
		if !e.drained || e.Kind != purser.KindInternal {
			out = append(out, e.FailedOffer)
		}
	}
	return out, err
}

// kindIn reads the kind at the front of a reason such as "no_capacity: none left".
func kindIn(reason string) purser.Kind {
	word, _, _ := strings.Cut(reason, ":")
	switch k := purser.Kind(word); k {
	case purser.KindInvalid, purser.KindNotFound, purser.KindConflict, purser.KindUnauthorized, purser.KindForbidden, purser.KindInfeasible,
		purser.KindNoCapacity, purser.KindQuota, purser.KindThrottled, purser.KindStale, purser.KindUnavailable:
		return k
	default:
		return purser.KindInternal
	}
}
