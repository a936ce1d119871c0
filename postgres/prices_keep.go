package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"purser"
)

// KeptPrices says what KeepPrices did.
type KeptPrices struct {
	Days    int // of days that were rolled up
	Dropped int // months of points that were dropped
	Stray   int // points and days that lie in no month's or year's partition: an alarm
}

// KeepPrices makes partitions ahead, rolls up the days that have ended, and drops
// the months of points that lie wholly before keepSince and are rolled up. What was in
// force at the end of a dropped month is carried to its end, so that no later question
// finds a gap. Days are rolled up one transaction each, so that a call that is cut
// short has done what it has done.
func (db *DB) KeepPrices(ctx context.Context, now, keepSince time.Time) (KeptPrices, error) {
	const op = "postgres.KeepPrices"
	var out KeptPrices
	db.months.forget() // another server may have dropped some
	if err := db.ensurePartitions(ctx, []time.Time{monthOf(now)}); err != nil {
		return out, err
	}
	days, err := db.daysToRollUp(ctx, now)
	if err != nil {
		return out, fail(op, err)
	}
	for _, day := range days {
		if err := db.rollUp(ctx, day); err != nil {
			return out, err
		}
		out.Days++
	}
	if out.Dropped, err = db.dropMonths(ctx, keepSince); err != nil {
		return out, err
	}
	err = db.pool.QueryRow(ctx, "select (select count(*) from price_points_default) + (select count(*) from price_days_default)").Scan(&out.Stray)
	return out, fail(op, err)
}

// daysToRollUp are the UTC days that have ended and are not rolled up, oldest first.
func (db *DB) daysToRollUp(ctx context.Context, now time.Time) ([]time.Time, error) {
	return collect(ctx, db.pool, pgx.RowTo[time.Time], `select d::date from (select min(valid_from) as first from price_points) f,
			generate_series(date_trunc('day', f.first at time zone 'UTC'), date_trunc('day', $1::timestamptz at time zone 'UTC') - interval '1 day', interval '1 day') d
		where f.first is not null and not exists (select from price_days_done where day = d::date) order by d`, utc(now))
}

// rollUp makes the rows of a day: lowest, highest and time-weighted mean price of each
// offer that changed in it. It replaces what an earlier call made of the day.
func (db *DB) rollUp(ctx context.Context, day time.Time) error {
	return db.write(ctx, "postgres.rollUp", func(ctx context.Context, t *tx) error {
		batch := &pgx.Batch{}
		batch.Queue("select pg_advisory_xact_lock($1)", int64(priceLock))
		batch.Queue("delete from price_days where day = $1::date", day)
		batch.Queue(rollUpSQL, day, day.AddDate(0, 0, 1))
		batch.Queue("insert into price_days_done (day) values ($1::date) on conflict do nothing", day)
		return t.SendBatch(ctx, batch).Close()
	})
}

const rollUpSQL = `with points as (
		select offer_key, valid_from, unit_price from price_points where valid_from >= $1::timestamptz and valid_from < $2::timestamptz
	), spans as (
		select offer_key, unit_price, valid_from, lead(valid_from, 1, $2::timestamptz) over (partition by offer_key order by valid_from) as until from (
			select * from points
			union all
			select c.offer_key, $1::timestamptz, b.unit_price from (select offer_key from points group by offer_key having min(valid_from) > $1::timestamptz) c
				cross join lateral (select q.unit_price from price_points q where q.offer_key = c.offer_key and q.valid_from < $1::timestamptz
					order by q.valid_from desc limit 1) b
		) opened
	), priced as (
		select offer_key, unit_price, valid_from, extract(epoch from until - valid_from) as seconds from spans
	)
	insert into price_days (day, offer_key, low, high, mean, last, seconds)
	select ($1::timestamptz at time zone 'UTC')::date, offer_key,
		case when had >= 1 then low end, case when had >= 1 then high end, case when had >= 1 then greatest(low, least(high, round(paid / had))) end, last, floor(had)::integer
	from (select offer_key, min(unit_price) filter (where seconds > 0) as low, max(unit_price) filter (where seconds > 0) as high,
			sum(unit_price * seconds) as paid, coalesce(sum(seconds) filter (where unit_price is not null), 0) as had,
			(array_agg(unit_price order by valid_from desc))[1] as last
		from priced group by offer_key) d`

// dropMonths drops the partitions of points that end at or before a time and whose days
// are rolled up, oldest first, up to the first one that is not.
func (db *DB) dropMonths(ctx context.Context, before time.Time) (int, error) {
	const op = "postgres.KeepPrices"
	names, err := collect(ctx, db.pool, pgx.RowTo[string], "select inhrelid::regclass::text from pg_inherits where inhparent = 'price_points'::regclass order by 1")
	if err != nil {
		return 0, fail(op, err)
	}
	var drop []string
	boundary := monthOf(before)
	for _, name := range names {
		month, err := time.Parse("price_points_y2006m01", name)
		if err != nil || month.AddDate(0, 1, 0).After(before) {
			continue // the default partition, or young
		}
		rolled, err := db.isRolledUp(ctx, month, month.AddDate(0, 1, 0))
		if err != nil {
			return 0, fail(op, err)
		}
		if !rolled {
			boundary = month
			break
		}
		drop = append(drop, name)
	}
	if len(drop) == 0 {
		return 0, nil
	}
	if err := db.ensurePartitions(ctx, []time.Time{boundary}); err != nil {
		return 0, err
	}
	return len(drop), db.write(ctx, op, func(ctx context.Context, t *tx) error { return carryAndDrop(ctx, t, drop, boundary) })
}

// isRolledUp says whether every point in [month, end) lies in a day that is rolled up.
func (db *DB) isRolledUp(ctx context.Context, month, end time.Time) (rolled bool, err error) {
	err = db.pool.QueryRow(ctx, `select not exists (select from generate_series($1::timestamptz, $2::timestamptz - interval '1 day', interval '1 day') d
			where not exists (select from price_days_done where day = (d at time zone 'UTC')::date)
				and exists (select from price_points where valid_from >= d and valid_from < d + interval '1 day'))`, month, end).Scan(&rolled)
	return rolled, err
}

// carryAndDrop carries what is in force at a boundary to it, and drops the partitions
// of points before it. What could not be had then is not carried: no point means the same.
func carryAndDrop(ctx context.Context, t *tx, names []string, boundary time.Time) error {
	batch := &pgx.Batch{}
	batch.Queue("select pg_advisory_xact_lock($1)", int64(priceLock))
	batch.Queue(`insert into price_points (valid_from, unit_price, observed_at, offer_key, scope_key)
		select $1, l.unit_price, l.observed_at, l.offer_key, l.scope_key
		from (select distinct on (offer_key) * from price_points where valid_from < $1 order by offer_key, valid_from desc) l where l.unit_price is not null
		on conflict do nothing`, boundary)
	for _, name := range names {
		batch.Queue("drop table " + pgx.Identifier{name}.Sanitize())
		t.say(purser.Event{At: t.db.clock(), Actor: "prune", Subject: "price", Name: name, To: "dropped", Reason: "its days are rolled up"})
	}
	return t.SendBatch(ctx, batch).Close()
}

// PriceDay is one UTC day of an offer in which its price changed. On a day without
// one the Last of the day before holds.
type PriceDay struct {
	Offer           purser.OfferID
	Day             time.Time
	Low, High, Mean purser.USDPerHour // over the time that it could be had; 0 when it could not
	Last            purser.USDPerHour // 0: it could not be had at the day's end
	Seconds         int               // for how long it could be had
}

// PriceDays lists the days of offers in [from, to), each offer's last one before from
// among them, by offer and day. f is as for Offers, AsOf and Limit apart; it must name
// an accelerator or an offer.
func (db *DB) PriceDays(ctx context.Context, f OfferFilter, from, to time.Time) ([]PriceDay, error) {
	out, err := collect(ctx, db.pool, func(row pgx.CollectableRow) (d PriceDay, err error) {
		var low, high, mean, last *int64
		err = row.Scan(&d.Offer, &d.Day, &low, &high, &mean, &last, &d.Seconds)
		for to, v := range map[*purser.USDPerHour]*int64{&d.Low: low, &d.High: high, &d.Mean: mean, &d.Last: last} {
			if v != nil {
				*to = purser.USDPerHour(*v)
			}
		}
		return d, err
	}, `with wanted as (select o.offer_key, o.id from offers o where ($1 = '' or o.provider = $1) and ($2 = '' or o.region = $2)
			and (cardinality($3::text[]) = 0 or o.accelerator = any($3)) and ($4 = '' or o.purchase_option = $4) and ($5 = '' or o.id = $5))
		select w.id, d.day, d.low, d.high, d.mean, d.last, d.seconds from wanted w cross join lateral (
			(select * from price_days p where p.offer_key = w.offer_key and p.day < $6::date order by p.day desc limit 1)
			union all
			select * from price_days p where p.offer_key = w.offer_key and p.day >= $6::date and p.day < $7::date) d
		order by w.id, d.day`, f.Provider, f.Region, texts(f.Accelerators), string(f.Option), string(f.ID), utc(from), utc(to))
	return out, fail("postgres.PriceDays", err)
}

// PricePoints lists the points of several offers in [from, to), each offer's one in
// force at from among them, by offer and time.
func (db *DB) PricePoints(ctx context.Context, f OfferFilter, from, to time.Time) (map[purser.OfferID][]purser.PricePoint, error) {
	rows, err := db.pool.Query(ctx, `with wanted as (select o.offer_key, o.id from offers o where ($1 = '' or o.provider = $1) and ($2 = '' or o.region = $2)
			and (cardinality($3::text[]) = 0 or o.accelerator = any($3)) and ($4 = '' or o.purchase_option = $4) and ($5 = '' or o.id = $5))
		select w.id, p.valid_from, p.unit_price, s.source, p.observed_at from wanted w cross join lateral (
			(select * from price_points q where q.offer_key = w.offer_key and q.valid_from <= $6 order by q.valid_from desc limit 1)
			union all
			select * from price_points q where q.offer_key = w.offer_key and q.valid_from > $6 and q.valid_from < $7) p
		join price_scopes s using (scope_key) order by w.id, p.valid_from`,
		f.Provider, f.Region, texts(f.Accelerators), string(f.Option), string(f.ID), utc(from), utc(to))
	if err != nil {
		return nil, fail("postgres.PricePoints", err)
	}
	out := map[purser.OfferID][]purser.PricePoint{}
	var id string
	var p purser.PricePoint
	var price *int64
	_, err = pgx.ForEachRow(rows, []any{&id, &p.From, &price, &p.Source, &p.ObservedAt}, func() error {
		p.UnitPrice, p.Gone = 0, price == nil
		if price != nil {
			p.UnitPrice = purser.USDPerHour(*price)
		}
		out[purser.OfferID(id)] = append(out[purser.OfferID(id)], p)
		return nil
	})
	return out, fail("postgres.PricePoints", err)
}
