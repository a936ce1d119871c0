package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"purser"
)

// ChargeInputs gives what the ledger needs for every lease that has run and is not
// charged up to now, or up to its end, by whole seconds; by id of the lease.
func (db *DB) ChargeInputs(ctx context.Context, now time.Time) (inputs []ChargeInput, err error) {
	err = db.read(ctx, "postgres.ChargeInputs", func(ctx context.Context, t pgx.Tx) error {
		leases, err := collect(ctx, t, scanLease, "select "+leaseColumns+` from leases l where l.running_at is not null
			and date_trunc('second', coalesce(l.charged_through, l.running_at)) < date_trunc('second', least($1, coalesce(l.ended_at, $1)))
			order by l.id`, utc(now))
		if err != nil {
			return err
		}
		tasks, err := tasksByLease(ctx, t, leases)
		if err != nil {
			return err
		}
		inputs = make([]ChargeInput, len(leases))
		for i, l := range leases {
			inputs[i] = ChargeInput{Lease: l, Tasks: tasks[l.ID]}
			if inputs[i].OnDemand, err = onDemandPrice(ctx, t, l.Offer); err != nil {
				return err
			}
			if l.Offer.Option != purser.Spot {
				continue
			}
			since := l.ChargedThrough
			if since.IsZero() {
				since = l.RunningAt
			}
			points, err := priceHistory(ctx, t, l.Offer.ID(), since, now)
			if err != nil {
				return err
			}
			// A machine that runs on goes on at its price when no more can be had.
			inputs[i].Prices = slices.DeleteFunc(points, func(p purser.PricePoint) bool { return p.Gone })
		}
		return nil
	})
	return inputs, err
}

func tasksByLease(ctx context.Context, q querier, leases []purser.Lease) (map[purser.LeaseID][]purser.Task, error) {
	ids := make([]string, len(leases))
	for i, l := range leases {
		ids[i] = string(l.ID)
	}
	tasks, err := collect(ctx, q, scanTask, "select "+taskColumns+" from "+taskTable+" where t.lease = any($1) order by t.lease, t.id", ids)
	out := map[purser.LeaseID][]purser.Task{}
	for _, t := range tasks {
		out[t.Lease] = append(out[t.Lease], t)
	}
	return out, err
}

// onDemandPrice is what the same machine costs on demand: in the same zone, else in
// the region as a whole, else in the region's cheapest zone; 0 when nobody says. An
// offer that is gone still tells it.
func onDemandPrice(ctx context.Context, q querier, o purser.Offer) (purser.USDPerHour, error) {
	prices, err := collect(ctx, q, pgx.RowTo[purser.USDPerHour], `select n.unit_price from offers o join price_now n using (offer_key)
		where o.provider = $1 and o.region = $2 and o.instance_type = $3 and o.purchase_option = 'on_demand'
		order by o.zone = $4 desc, o.zone = '' desc, n.unit_price limit 1`, o.Provider, o.Region, o.InstanceType, o.Zone)
	if err != nil || len(prices) == 0 {
		return 0, err
	}
	return prices[0], nil
}

// SaveCharges adds the charges of a lease and records that it is charged through a
// moment, in one transaction; charges may be empty. stale: somebody has charged a
// part of that time already, or the lease has ended before through; nothing is written. invalid: a charge is of another
// lease, or ends after through.
func (db *DB) SaveCharges(ctx context.Context, lease purser.LeaseID, charges []purser.Charge, through time.Time) error {
	const op = "postgres.SaveCharges"
	through = utc(through)
	for _, c := range charges {
		if c.Lease != lease || utc(c.End).After(through) || !c.Start.Before(c.End) {
			return purser.Errorf(purser.KindInvalid, op, "a charge of lease %s from %s to %s does not belong to lease %s through %s",
				c.Lease, c.Start.Format(time.RFC3339), c.End.Format(time.RFC3339), lease, through.Format(time.RFC3339))
		}
	}
	return db.write(ctx, op, func(ctx context.Context, t *tx) error {
		var before, ended time.Time
		err := t.QueryRow(ctx, "select charged_through, ended_at from leases where id = $1 for no key update", string(lease)).Scan(optional{&before}, optional{&ended})
		if err != nil {
			return orNotFound(op, "lease", lease, err)
		}
		if !ended.IsZero() && through.After(ended) {
			return purser.Errorf(purser.KindStale, op, "lease %s has ended at %s", lease, ended.Format(time.RFC3339))
		}
		if through.Before(before) {
			return purser.Errorf(purser.KindStale, op, "lease %s is charged through %s already", lease, before.Format(time.RFC3339))
		}
		for _, c := range charges {
			if utc(c.Start).Before(before) {
				return purser.Errorf(purser.KindStale, op, "lease %s is charged through %s already", lease, before.Format(time.RFC3339))
			}
		}
		if err := insertCharges(ctx, t, charges); err != nil {
			return err
		}
		_, err = t.Exec(ctx, "update leases set charged_through = $2 where id = $1", string(lease), through)
		return err
	})
}

func insertCharges(ctx context.Context, t *tx, charges []purser.Charge) error {
	columns := []string{
		"lease", "job", "task", "project", "offer_id", "start_at", "end_at", "unit_price", "list_cost", "billed_cost", "effective_cost", "rehearsal",
		"price_source", "price_observed_at",
	}
	_, err := t.CopyFrom(ctx, pgx.Identifier{"charges"}, columns, pgx.CopyFromSlice(len(charges), func(i int) ([]any, error) {
		c := charges[i]
		return []any{
			string(c.Lease), nullText(c.Job), nullText(c.Task), c.Project, string(c.Offer), utc(c.Start), utc(c.End), int64(c.UnitPrice),
			int64(c.ListCost), int64(c.BilledCost), int64(c.EffectiveCost), c.Rehearsal, c.PriceSource, nullTime(c.PriceObservedAt),
		}, nil
	}))
	return err
}

// Charges lists charges in the order of their start.
func (db *DB) Charges(ctx context.Context, f ChargeFilter) ([]purser.Charge, error) {
	out, err := collect(ctx, db.pool, func(row pgx.CollectableRow) (c purser.Charge, err error) {
		return c, row.Scan(&c.Lease, &c.Job, &c.Task, &c.Project, &c.Offer, &c.Start, &c.End, &c.UnitPrice, &c.ListCost, &c.BilledCost, &c.EffectiveCost,
			&c.Rehearsal, &c.PriceSource, optional{&c.PriceObservedAt})
	}, `select lease, coalesce(job, ''), coalesce(task, ''), project, offer_id, start_at, end_at, unit_price, list_cost, billed_cost, effective_cost,
			rehearsal, price_source, price_observed_at
		from charges where ($1 = '' or project = $1) and ($2 = '' or job = $2) and ($3 = '' or lease = $3)
			and start_at >= coalesce($4::timestamptz, '-infinity') and start_at < coalesce($5::timestamptz, 'infinity')
		order by start_at, charge_key limit $6`, f.Project, string(f.Job), string(f.Lease), nullTime(f.From), nullTime(f.To), limit(f.Limit))
	return out, fail("postgres.Charges", err)
}

// Spend sums the charges that start within [from, to) by project and job, dearest
// first. Rehearsed money has rows of its own.
func (db *DB) Spend(ctx context.Context, from, to time.Time) ([]SpendRow, error) {
	out, err := collect(ctx, db.pool, func(row pgx.CollectableRow) (s SpendRow, err error) {
		return s, row.Scan(&s.Project, &s.Job, &s.JobName, &s.Rehearsal, &s.Billed, &s.List, &s.Effective)
	}, `select c.project, coalesce(c.job, ''), coalesce(j.name, ''), c.rehearsal, sum(c.billed_cost)::bigint, sum(c.list_cost)::bigint, sum(c.effective_cost)::bigint
		from charges c left join jobs j on j.id = c.job
		where c.start_at >= coalesce($1::timestamptz, '-infinity') and c.start_at < coalesce($2::timestamptz, 'infinity')
		group by c.project, c.job, j.name, c.rehearsal order by 5 desc, 1, 2, 4`, nullTime(from), nullTime(to))
	return out, fail("postgres.Spend", err)
}
