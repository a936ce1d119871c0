package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"purser"
)

// Offers lists offers with the price in force, now or as of f.AsOf: cheapest first when
// f.Limit bounds them, else in no order.
//
// As of a time, an offer is what it is now at the price that was in force then; who had
// seen that price, and when, is the point's.
func (db *DB) Offers(ctx context.Context, f OfferFilter) ([]purser.Offer, error) {
	sql, args := offersNow, []any{f.Provider, f.Region, f.Accelerators, string(f.Option), f.Source, f.Accelerated, string(f.ID), f.Gone}
	if !f.AsOf.IsZero() {
		sql, args = offersAsOf, append(args[:7], utc(f.AsOf))
	}
	if f.Limit > 0 {
		sql += " order by unit_price, id limit $9"
		args = append(args, f.Limit)
	}
	rows, err := db.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, fail("postgres.Offers", err)
	}
	offers, err := scanOffers(rows)
	return offers, fail("postgres.Offers", err)
}

// scanOffers reads rows of offerColumns. Texts repeat from row to row, so each is
// kept once.
func scanOffers(rows pgx.Rows) ([]purser.Offer, error) {
	var offers []purser.Offer
	var o purser.Offer
	var provider, region, zone, instanceType, option, accelerator, country, source text
	var terms []byte
	once := texter{}
	for _, t := range []*text{&provider, &region, &zone, &instanceType, &option, &accelerator, &country, &source} {
		t.once = once
	}
	_, err := pgx.ForEachRow(rows, []any{
		&provider, &region, &zone, &instanceType, &option, &accelerator, &o.Devices, &o.DeviceMemoryMiB, &o.MilliCPU, &o.MemoryMiB, &o.DiskMiB, &country,
		&o.Limit, &terms, &o.UnitPrice, &o.ValidFrom, &o.ObservedAt, &source,
	}, func() error {
		o.Provider, o.Region, o.Zone, o.InstanceType, o.Option = provider.s, region.s, zone.s, instanceType.s, purser.PurchaseOption(option.s)
		o.Accelerator, o.Country, o.Source, o.Terms = accelerator.s, country.s, source.s, purser.Terms{}
		offers = append(offers, o)
		if terms != nil {
			return fromJSON{&offers[len(offers)-1].Terms}.ScanBytes(terms)
		}
		return nil
	})
	return offers, err
}

// texter keeps one copy of each text.
type texter map[string]string

// text is a text column read through a texter.
type text struct {
	s    string
	once texter
}

// ScanBytes implements pgtype.BytesScanner.
func (t *text) ScanBytes(b []byte) error {
	s, ok := t.once[string(b)]
	if !ok {
		s = string(b)
		t.once[s] = s
	}
	t.s = s
	return nil
}

const offerColumns = `select o.provider::bytea, o.region::bytea, o.zone::bytea, o.instance_type::bytea, o.purchase_option::bytea, o.accelerator::bytea, o.milli_devices,
	o.device_memory_mib, o.milli_cpu, o.memory_mib, o.disk_mib, o.country::bytea, o.machine_limit, o.terms, `

const offerFilters = ` where ($1 = '' or o.provider = $1) and ($2 = '' or o.region = $2)
	and (cardinality($3::text[]) is null or cardinality($3::text[]) = 0 or o.accelerator = any($3)) and ($4 = '' or o.purchase_option = $4)
	and ($5 = '' or s.source = $5) and (not $6 or o.milli_devices > 0) and ($7 = '' or o.id = $7)`

const offersNow = offerColumns + `n.unit_price, n.valid_from, n.observed_at, s.source::bytea
	from offers o join price_now n using (offer_key) join price_scopes s using (scope_key)` + offerFilters + ` and ($8 or n.gone_at is null)`

// asOfRecent is how far back a price is looked for first, so that most partitions need
// not be touched. What has not changed since is looked for in all.
const asOfRecent = "interval '45 days'"

const offersAsOf = offerColumns + `p.unit_price, p.valid_from, p.observed_at, s.source::bytea
	from offers o
	left join lateral (select q.unit_price, q.valid_from, q.observed_at, q.scope_key from price_points q
		where q.offer_key = o.offer_key and q.valid_from <= $8 and q.valid_from > $8::timestamptz - ` + asOfRecent + ` order by q.valid_from desc limit 1) r on true
	left join lateral (select q.unit_price, q.valid_from, q.observed_at, q.scope_key from price_points q
		where r.scope_key is null and q.offer_key = o.offer_key and q.valid_from <= $8::timestamptz - ` + asOfRecent + ` order by q.valid_from desc limit 1) e on true
	cross join lateral (select coalesce(r.scope_key, e.scope_key) as scope_key, case when r.scope_key is null then e.unit_price else r.unit_price end as unit_price,
		coalesce(r.valid_from, e.valid_from) as valid_from, coalesce(r.observed_at, e.observed_at) as observed_at) p
	join price_scopes s on s.scope_key = p.scope_key` + offerFilters + ` and p.unit_price is not null`

// PriceHistory lists what was in force for an offer within [from, to), oldest first: the
// first may have begun before from. An unknown offer has none; zero times are open ends.
func (db *DB) PriceHistory(ctx context.Context, id purser.OfferID, from, to time.Time) ([]purser.PricePoint, error) {
	points, err := priceHistory(ctx, db.pool, id, from, to)
	return points, fail("postgres.PriceHistory", err)
}

func priceHistory(ctx context.Context, q querier, id purser.OfferID, from, to time.Time) ([]purser.PricePoint, error) {
	return collect(ctx, q, func(row pgx.CollectableRow) (p purser.PricePoint, err error) {
		var price *int64
		err = row.Scan(&p.From, &price, &p.Source, &p.ObservedAt)
		if price != nil {
			p.UnitPrice = purser.USDPerHour(*price)
		}
		p.Gone = price == nil
		return p, err
	}, historySQL, string(id), nullTime(from), nullTime(to))
}

const historySQL = `with o as (select offer_key from offers where id = $1), p as (
		(select * from price_points where offer_key = (select offer_key from o) and valid_from <= $2 order by valid_from desc limit 1)
		union all
		select * from price_points where offer_key = (select offer_key from o) and ($2::timestamptz is null or valid_from > $2) and ($3::timestamptz is null or valid_from < $3))
	select p.valid_from, p.unit_price, s.source, p.observed_at from p join price_scopes s using (scope_key)
	where $3::timestamptz is null or p.valid_from < $3 order by p.valid_from`
