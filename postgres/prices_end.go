package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// hold keeps the prices that are not believed, once for each reason, and releases
// those whose offer has a believed price now, or that a full batch no longer has.
func (b *priceBatch) hold(ctx context.Context, t *tx) error {
	if _, err := t.Exec(ctx, `update quarantine q set released_at = $2 from incoming i
		where q.source = $1 and q.offer_id = i.id and q.released_at is null`, b.source, b.at); err != nil {
		return err
	}
	batch := &pgx.Batch{}
	for _, q := range b.quarantined {
		offer, err := toJSON(q.Offer)
		if err != nil {
			return err
		}
		batch.Queue(`insert into quarantine (source, offer_id, reason, offer, detail, place, first_seen_at, last_seen_at)
			values ($1, $2, $3, $4, $5, $6, $7, $7)
			on conflict (source, offer_id, reason) do update set offer = excluded.offer, detail = excluded.detail, place = excluded.place,
				last_seen_at = excluded.last_seen_at, released_at = null`,
			b.source, clean(string(q.Offer.ID()), maxReason), string(q.Reason), offer, clean(q.Detail, maxReason), clean(q.Place, maxPath), b.at)
	}
	if b.full {
		batch.Queue("update quarantine set released_at = $2 where source = $1 and last_seen_at < $2 and released_at is null", b.source, b.at)
	}
	return t.SendBatch(ctx, batch).Close()
}

// depart marks as gone what a full batch no longer has.
func (b *priceBatch) depart(ctx context.Context, t *tx) error {
	if !b.full {
		return nil
	}
	ids := make([]string, len(b.quarantined))
	for i, q := range b.quarantined {
		ids[i] = clean(string(q.Offer.ID()), maxReason)
	}
	if _, err := t.Exec(ctx, `create temp table departing on commit drop as
		select o.offer_key, o.purchase_option = 'private' as private from offers o join price_now n using (offer_key)
		where n.source = $1 and o.gone_at is null and n.observed_at <= $2 and o.id <> all ($3)
			and not exists (select from judged j where j.offer_key = o.offer_key)`, b.source, b.at, ids); err != nil {
		return err
	}
	var going, had int
	err := t.QueryRow(ctx, `select (select count(*) from departing where not private),
		(select count(*) from offers o join price_now n using (offer_key) where n.source = $1 and o.gone_at is null and o.purchase_option <> 'private')`,
		b.source).Scan(&going, &had)
	if err != nil {
		return err
	}
	keep := float64(going) > vanishShare*float64(had)
	if keep {
		b.report.Alarm = fmt.Sprintf("%d of %d offers are missing from the feed; none was taken off", going, had)
	}
	tag, err := t.Exec(ctx, `update offers o set gone_at = $1 from departing d where d.offer_key = o.offer_key and (d.private or not $2)`, b.at, keep)
	b.report.Gone = int(tag.RowsAffected())
	return err
}

// close records the batch. A batch that is not full does not clear an alarm.
func (b *priceBatch) close(ctx context.Context, t *tx) error {
	_, err := t.Exec(ctx, `insert into sources (name, last_at, alarm) values ($1, $2, $3)
		on conflict (name) do update set last_at = greatest(sources.last_at, excluded.last_at), failed_at = null, last_error = '',
			alarm = case when $4 then excluded.alarm else sources.alarm end`,
		b.source, b.at, b.report.Alarm, b.full)
	return err
}
