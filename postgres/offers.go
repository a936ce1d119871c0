package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"purser"
)

// Offers lists offers with the price in force, cheapest first.
func (db *DB) Offers(ctx context.Context, f OfferFilter) ([]purser.Offer, error) {
	offers, err := collect(ctx, db.pool, func(row pgx.CollectableRow) (o purser.Offer, err error) {
		return o, row.Scan(&o.Provider, &o.Region, &o.Zone, &o.InstanceType, &o.Option, &o.Accelerator, &o.Devices, &o.DeviceMemoryMiB, &o.MilliCPU,
			&o.MemoryMiB, &o.DiskMiB, &o.Country, &o.Limit, &o.UnitPrice, &o.ValidFrom, &o.ObservedAt, &o.Source)
	}, offersSQL, f.Provider, f.Region, f.Accelerators, string(f.Option), f.Source, f.Gone, limit(f.Limit))
	return offers, fail("postgres.Offers", err)
}

const offersSQL = `select o.provider, o.region, o.zone, o.instance_type, o.purchase_option, o.accelerator, o.milli_devices, o.device_memory_mib,
		o.milli_cpu, o.memory_mib, o.disk_mib, o.country, o.machine_limit, n.unit_price, n.valid_from, n.observed_at, n.source
	from offers o join price_now n using (offer_key)
	where ($1 = '' or o.provider = $1) and ($2 = '' or o.region = $2) and (cardinality($3::text[]) is null or cardinality($3::text[]) = 0 or o.accelerator = any($3))
		and ($4 = '' or o.purchase_option = $4) and ($5 = '' or n.source = $5) and ($6 or o.gone_at is null)
	order by n.unit_price, o.id limit $7`

// PriceHistory lists the prices of an offer that were in force within [from, to),
// oldest first: the first may have begun before from. An unknown offer has none; zero
// times are open ends.
func (db *DB) PriceHistory(ctx context.Context, id purser.OfferID, from, to time.Time) ([]purser.PricePoint, error) {
	points, err := priceHistory(ctx, db.pool, id, from, to)
	return points, fail("postgres.PriceHistory", err)
}

func priceHistory(ctx context.Context, q querier, id purser.OfferID, from, to time.Time) ([]purser.PricePoint, error) {
	return collect(ctx, q, func(row pgx.CollectableRow) (p purser.PricePoint, err error) {
		return p, row.Scan(&p.From, &p.UnitPrice, &p.Source, &p.ObservedAt)
	}, `select p.valid_from, p.unit_price, p.source, p.observed_at from price_points p
		where p.offer_key = (select offer_key from offers where id = $1) and ($3::timestamptz is null or p.valid_from < $3)
			and p.valid_from >= coalesce((select max(b.valid_from) from price_points b
				where b.offer_key = (select offer_key from offers where id = $1) and b.valid_from <= $2), '-infinity')
		order by p.valid_from`, string(id), nullTime(from), nullTime(to))
}

// Quarantine lists the prices that are not believed now, seen last first. source ""
// means all; limit 0 is 1,000.
func (db *DB) Quarantine(ctx context.Context, source string, limit int) ([]purser.Quarantined, error) {
	if limit <= 0 {
		limit = 1000
	}
	out, err := collect(ctx, db.pool, func(row pgx.CollectableRow) (q purser.Quarantined, err error) {
		return q, row.Scan(fromJSON{&q.Offer}, &q.Reason, &q.Detail, &q.Place)
	}, `select offer, reason, detail, place from quarantine where ($1 = '' or source = $1) and released_at is null
		order by last_seen_at desc, source, offer_id, reason limit $2`, source, limit)
	return out, fail("postgres.Quarantine", err)
}

// Sources lists the feeds, by name.
func (db *DB) Sources(ctx context.Context) ([]Source, error) {
	out, err := collect(ctx, db.pool, func(row pgx.CollectableRow) (s Source, err error) {
		return s, row.Scan(&s.Name, optional{&s.LastAt}, optional{&s.FailedAt}, &s.LastError, &s.Alarm, &s.Offers, &s.Quarantined)
	}, `select s.name, s.last_at, s.failed_at, s.last_error, s.alarm, coalesce(o.n, 0), coalesce(q.n, 0) from sources s
		left join (select n.source, count(*) as n from price_now n join offers o using (offer_key) where o.gone_at is null group by n.source) o on o.source = s.name
		left join (select source, count(*) as n from quarantine where released_at is null group by source) q on q.source = s.name
		order by s.name`)
	return out, fail("postgres.Sources", err)
}

// SourceFailed records that a feed could not be collected; its prices stay and age.
func (db *DB) SourceFailed(ctx context.Context, source, message string, at time.Time) error {
	_, err := db.pool.Exec(ctx, `insert into sources (name, failed_at, last_error) values ($1, $2, $3)
		on conflict (name) do update set failed_at = excluded.failed_at, last_error = excluded.last_error`,
		clean(source, maxReason), utc(at), clean(message, maxReason))
	return fail("postgres.SourceFailed", err)
}
