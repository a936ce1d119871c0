package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"purser"
)

// SpotRun is the running of one spot machine of ours.
type SpotRun struct {
	Provider, Region, Zone, InstanceType string
	From, To                             time.Time // To is zero while it runs
	Preempted                            bool      // it was taken back at To
}

// SpotRuns lists the running of spot machines that ran after a time. Machines that
// were only stood in for are none. A machine was taken back when its lease failed while it
// ran, or drained because its cloud said so (purser.TakenBack): once for a lease, whoever
// told of it how often.
func (db *DB) SpotRuns(ctx context.Context, since time.Time) ([]SpotRun, error) {
	out, err := collect(ctx, db.pool, func(row pgx.CollectableRow) (r SpotRun, err error) {
		return r, row.Scan(&r.Provider, &r.Region, &r.Zone, &r.InstanceType, &r.From, optional{&r.To}, &r.Preempted)
	}, `select offer->>'provider', offer->>'region', coalesce(offer->>'zone', ''), offer->>'instance_type', running_at, ended_at,
			state = 'failed' or (state = 'released' and reason like $2)
		from leases where purchase_option = 'spot' and not rehearsal and running_at is not null and coalesce(ended_at, $1) >= $1 order by running_at, id`, utc(since), purser.ReasonTakenBack+"%")
	return out, fail("postgres.SpotRuns", err)
}

// SpotHazard is the estimate for one type in one zone.
type SpotHazard struct {
	Provider, Region, Zone, InstanceType string
	Mean, Low, High                      float64 // preemptions per hour; Low and High enclose 80 %
	Alpha, Beta                          float64 // of the gamma distribution
	Events, Hours                        float64 // seen of our own, old ones counting less
	Basis                                string
	ComputedAt                           time.Time
}

// SaveHazards replaces all estimates.
func (db *DB) SaveHazards(ctx context.Context, at time.Time, list []SpotHazard) error {
	return db.write(ctx, "postgres.SaveHazards", func(ctx context.Context, t *tx) error {
		if _, err := t.Exec(ctx, "delete from hazards"); err != nil {
			return err
		}
		_, err := t.CopyFrom(ctx, pgx.Identifier{"hazards"}, []string{
			"provider", "region", "zone", "instance_type", "mean", "low", "high", "alpha", "beta", "events", "hours", "basis", "computed_at",
		}, pgx.CopyFromSlice(len(list), func(i int) ([]any, error) {
			h := list[i]
			return []any{h.Provider, h.Region, h.Zone, h.InstanceType, h.Mean, h.Low, h.High, h.Alpha, h.Beta, h.Events, h.Hours, h.Basis, utc(at)}, nil
		}))
		return err
	})
}

// Hazards lists the estimates. Empty arguments select all.
func (db *DB) Hazards(ctx context.Context, provider, region, instanceType string) ([]SpotHazard, error) {
	out, err := hazards(ctx, db.pool, provider, region, instanceType)
	return out, fail("postgres.Hazards", err)
}

func hazards(ctx context.Context, q querier, provider, region, instanceType string) ([]SpotHazard, error) {
	return collect(ctx, q, func(row pgx.CollectableRow) (h SpotHazard, err error) {
		return h, row.Scan(&h.Provider, &h.Region, &h.Zone, &h.InstanceType, &h.Mean, &h.Low, &h.High, &h.Alpha, &h.Beta, &h.Events, &h.Hours, &h.Basis, &h.ComputedAt)
	}, `select provider, region, zone, instance_type, mean, low, high, alpha, beta, events, hours, basis, computed_at from hazards
		where ($1 = '' or provider = $1) and ($2 = '' or region = $2) and ($3 = '' or instance_type = $3)
		order by provider, region, zone, instance_type`, provider, region, instanceType)
}
