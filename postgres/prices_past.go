package postgres

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"purser"
)

// pastPoint is an earlier price of an offer by its key.
type pastPoint struct {
	key   int32
	from  time.Time
	price purser.USDPerHour
	gone  bool
	first bool // of the offer in this batch
}

// fillBack adds the past prices that are changes and not known yet. Days that were
// rolled up are rolled up again.
func (b *priceBatch) fillBack(ctx context.Context, t *tx) error {
	if len(b.Past) == 0 {
		return nil
	}
	points, err := b.pastPoints(ctx, t)
	if err != nil || len(points) == 0 {
		return err
	}
	_, err = t.Exec(ctx, "create temp table past (offer_key integer, valid_from timestamptz, unit_price bigint, leads boolean) on commit drop")
	if err != nil {
		return err
	}
	_, err = t.CopyFrom(ctx, pgx.Identifier{"past"}, []string{"offer_key", "valid_from", "unit_price", "leads"}, pgx.CopyFromSlice(len(points), func(i int) ([]any, error) {
		p := points[i]
		if p.gone {
			return []any{p.key, p.from, nil, p.first}, nil
		}
		return []any{p.key, p.from, int64(p.price), p.first}, nil
	}))
	if err != nil {
		return err
	}
	if _, err := t.Exec(ctx, "analyze past"); err != nil {
		return err
	}
	// The first one of an offer is no change when what was in force before it was the
	// same; the others differ from the one before them.
	tag, err := t.Exec(ctx, `insert into price_points (offer_key, valid_from, unit_price, scope_key, observed_at)
		select p.offer_key, p.valid_from, p.unit_price, $1, $2 from past p join price_now n using (offer_key)
		where p.valid_from < n.valid_from and not (p.leads and exists (
			select from (select q.unit_price from price_points q where q.offer_key = p.offer_key and q.valid_from <= p.valid_from
				order by q.valid_from desc limit 1) before where before.unit_price is not distinct from p.unit_price))
		on conflict (offer_key, valid_from) do nothing`, b.scope, b.At)
	if err != nil {
		return err
	}
	b.report.Past = int(tag.RowsAffected())
	if _, err := t.Exec(ctx, `update price_now n set first_at = p.first from (select offer_key, min(valid_from) as first from past group by offer_key) p
		where p.offer_key = n.offer_key and p.first < n.first_at`); err != nil {
		return err
	}
	first := slices.MinFunc(points, func(x, y pastPoint) int { return x.from.Compare(y.from) })
	_, err = t.Exec(ctx, "delete from price_days_done where day >= ($1::timestamptz at time zone 'UTC')::date", first.from)
	return err
}

// pastPoints gives the points of offers that are known, by offer and time, without
// those that repeat the one before.
func (b *priceBatch) pastPoints(ctx context.Context, t *tx) ([]pastPoint, error) {
	keys := map[purser.OfferID]int32{}
	var unknown []string
	for _, p := range b.Past {
		if _, ok := keys[p.Offer]; ok {
			continue
		}
		key := t.db.offerKeys.get(p.Offer)
		if i, ok := b.index[p.Offer]; ok {
			key = b.rows[i].key
		}
		if keys[p.Offer] = key; key == 0 {
			unknown = append(unknown, string(p.Offer))
		}
	}
	if len(unknown) > 0 {
		rows, err := t.Query(ctx, "select id, offer_key from offers where id = any($1)", unknown)
		if err != nil {
			return nil, err
		}
		var id string
		var key int32
		if _, err := pgx.ForEachRow(rows, []any{&id, &key}, func() error {
			keys[purser.OfferID(id)] = key
			return nil
		}); err != nil {
			return nil, err
		}
	}
	points := make([]pastPoint, 0, len(b.Past))
	for _, p := range b.Past {
		if key := keys[p.Offer]; key != 0 && !p.From.After(b.At) && p.UnitPrice >= 0 {
			points = append(points, pastPoint{key: key, from: utc(p.From), price: p.UnitPrice, gone: p.Gone})
		}
	}
	slices.SortStableFunc(points, func(x, y pastPoint) int { return cmp.Or(cmp.Compare(x.key, y.key), x.from.Compare(y.from)) })
	kept := points[:0]
	for _, p := range points {
		n := len(kept)
		p.first = n == 0 || kept[n-1].key != p.key
		if p.first || !(kept[n-1].from.Equal(p.from) || kept[n-1].price == p.price && kept[n-1].gone == p.gone) {
			kept = append(kept, p)
		}
	}
	return kept, nil
}
