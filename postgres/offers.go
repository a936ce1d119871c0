package postgres

import (
	"cmp"
	"context"
	"slices"
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
	offers, err := db.offersFrom(ctx, db.pool, f)
	return offers, fail("postgres.Offers", err)
}

func (db *DB) offersFrom(ctx context.Context, q querier, f OfferFilter) ([]purser.Offer, error) {
	known, err := db.catalogue.all(ctx, q)
	if err != nil {
		return nil, err
	}
	keys := f.keys(known)
	sources, err := scopeSources(ctx, q)
	if err != nil {
		return nil, err
	}
	out := make([]purser.Offer, 0, len(keys))
	rows, err := f.prices(ctx, q, keys, len(known))
	if err != nil {
		return nil, err
	}
	var key, scope int32
	var price purser.USDPerHour
	var from, seen time.Time
	_, err = pgx.ForEachRow(rows, []any{&key, &scope, &price, &from, &seen}, func() error {
		source := sources[scope]
		if int(key) >= len(known) || !f.fits(&known[key]) || f.Source != "" && source != f.Source {
			return nil // the whole of price_now is read when most of it is wanted
		}
		o := known[key]
		o.UnitPrice, o.ValidFrom, o.ObservedAt, o.Source = price, from, seen, source
		out = append(out, o)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if f.Limit > 0 {
		slices.SortFunc(out, func(a, b purser.Offer) int {
			return cmp.Or(cmp.Compare(a.UnitPrice, b.UnitPrice), cmp.Compare(a.ID(), b.ID()))
		})
		out = out[:min(len(out), f.Limit)]
	}
	return out, nil
}

// fits says whether an offer is one that the filter asks for, its price apart.
func (f *OfferFilter) fits(o *purser.Offer) bool {
	return o.Provider != "" && (f.Provider == "" || f.Provider == o.Provider) && (f.Region == "" || f.Region == o.Region) &&
		(f.Option == "" || f.Option == o.Option) && (!f.Accelerated || o.Devices > 0) &&
		(len(f.Accelerators) == 0 || slices.Contains(f.Accelerators, o.Accelerator)) && (f.ID == "" || f.ID == o.ID())
}

func (f *OfferFilter) keys(known []purser.Offer) []int32 {
	keys := make([]int32, 0, len(known))
	for key := range known {
		if f.fits(&known[key]) {
			keys = append(keys, int32(key))
		}
	}
	return keys
}

// prices asks for the prices of offers: key, scope, price, from when on, seen when.
func (f OfferFilter) prices(ctx context.Context, q querier, keys []int32, known int) (pgx.Rows, error) {
	switch {
	case !f.AsOf.IsZero():
		return q.Query(ctx, pricesAsOf, keys, utc(f.AsOf))
	case len(keys) > known/4:
		return q.Query(ctx, pricesNow, f.Gone)
	default:
		return q.Query(ctx, pricesNow+" and offer_key = any($2)", f.Gone, keys)
	}
}

const pricesNow = "select offer_key, scope_key, unit_price, valid_from, observed_at from price_now where ($1 or gone_at is null)"

// asOfRecent is how far back a point is looked for first, so that most partitions need
// not be touched. What has not changed since is looked for in all.
const asOfRecent = "interval '35 days'"

// pricesAsOf asks price_now where the price in force began before the time, and looks
// for points only of the other offers, if they have any as old.
const pricesAsOf = `select n.offer_key, coalesce(r.scope_key, e.scope_key, n.scope_key),
		case when n.valid_from <= $2 then n.unit_price when r.scope_key is null then e.unit_price else r.unit_price end as unit_price,
		coalesce(r.valid_from, e.valid_from, n.valid_from), coalesce(r.observed_at, e.observed_at, n.observed_at)
	from unnest($1::integer[]) as k (offer_key) join price_now n using (offer_key)
	left join lateral (select q.unit_price, q.valid_from, q.observed_at, q.scope_key from price_points q
		where n.valid_from > $2 and q.offer_key = n.offer_key and q.valid_from <= $2 and q.valid_from > $2::timestamptz - ` + asOfRecent + `
		order by q.valid_from desc limit 1) r on true
	left join lateral (select q.unit_price, q.valid_from, q.observed_at, q.scope_key from price_points q
		where n.valid_from > $2 and r.scope_key is null and n.first_at <= $2::timestamptz - ` + asOfRecent + `
			and q.offer_key = n.offer_key and q.valid_from <= $2::timestamptz - ` + asOfRecent + `
		order by q.valid_from desc limit 1) e on true
	where n.first_at <= $2 and case when n.valid_from <= $2 then n.gone_at is null or n.gone_at > $2 when r.scope_key is null then e.unit_price is not null else r.unit_price is not null end`

// scopeSources are the sources' names by scope.
func scopeSources(ctx context.Context, q querier) (map[int32]string, error) {
	rows, err := q.Query(ctx, "select scope_key, source from price_scopes")
	if err != nil {
		return nil, err
	}
	out := map[int32]string{}
	var key int32
	var source string
	_, err = pgx.ForEachRow(rows, []any{&key, &source}, func() error { out[key] = source; return nil })
	return out, err
}

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
