package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"purser"
)

// hold keeps the prices that are not believed, once for each reason, and releases
// those whose offer has a believed price now, or that a full batch no longer has.
func (b *priceBatch) hold(ctx context.Context, t *tx) error {
	quarantined := append([]purser.Quarantined(nil), b.Quarantined...)
	for i := range b.rows {
		if r := &b.rows[i]; r.verdict == verdictFell {
			quarantined = append(quarantined, purser.Quarantined{
				Offer: r.Offer, Reason: purser.QuarantineFell, Place: scopeName(b.Source, b.Region),
				Detail: "it fell to less than a third of what it was; taken when the source says it again, or released by hand",
			})
		}
	}
	b.report.Quarantined = len(quarantined)
	if err := b.release(ctx, t, quarantined); err != nil || len(quarantined) == 0 {
		return err
	}
	type key struct{ id, reason string }
	seen := map[key]int{}
	var ids, reasons, regions, offers, details, places []string
	for _, q := range quarantined {
		offer, err := toJSON(q.Offer)
		if err != nil {
			return err
		}
		k := key{clean(string(q.Offer.ID()), maxReason), clean(string(q.Reason), maxReason)}
		i, ok := seen[k]
		if !ok {
			i = len(ids)
			seen[k] = i
			ids, reasons, regions = append(ids, k.id), append(reasons, k.reason), append(regions, b.Region)
			offers, details, places = append(offers, ""), append(details, ""), append(places, "")
		}
		offers[i], details[i], places[i] = string(offer), clean(q.Detail, maxReason), clean(q.Place, maxPath)
	}
	_, err := t.Exec(ctx, `insert into quarantine (source, offer_id, reason, region, offer, detail, place, first_seen_at, last_seen_at)
		select $1, i.id, i.reason, i.region, i.offer::jsonb, i.detail, i.place, $2, $2
		from unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[]) as i (id, reason, region, offer, detail, place)
		on conflict (source, offer_id, reason) do update set offer = excluded.offer, detail = excluded.detail, place = excluded.place, region = excluded.region,
			last_seen_at = excluded.last_seen_at, released_at = null,
			kept_at = case when quarantine.offer = excluded.offer then quarantine.kept_at end`,
		b.Source, b.At, ids, reasons, regions, offers, details, places)
	return err
}

// release lets go of quarantined prices that no longer are.
func (b *priceBatch) release(ctx context.Context, t *tx, quarantined []purser.Quarantined) error {
	still := make(map[string]bool, len(quarantined))
	for _, q := range quarantined {
		still[clean(string(q.Offer.ID()), maxReason)+" "+string(q.Reason)] = true
	}
	rows, err := t.Query(ctx, "select offer_id, reason, region, last_seen_at from quarantine where source = $1 and released_at is null", b.Source)
	if err != nil {
		return err
	}
	var ids, reasons []string
	var id, reason, region string
	var seenAt time.Time
	_, err = pgx.ForEachRow(rows, []any{&id, &reason, &region, &seenAt}, func() error {
		i, believed := b.index[purser.OfferID(id)]
		believed = believed && b.rows[i].verdict != verdictFell
		if !still[id+" "+reason] && (believed || b.Full && region == b.Region && seenAt.Before(b.At)) {
			ids, reasons = append(ids, id), append(reasons, reason)
		}
		return nil
	})
	if err != nil || len(ids) == 0 {
		return err
	}
	_, err = t.Exec(ctx, `update quarantine q set released_at = $2 from unnest($3::text[], $4::text[]) as i (id, reason)
		where q.source = $1 and q.offer_id = i.id and q.reason = i.reason`, b.Source, b.At, ids, reasons)
	return err
}

// depart marks as gone what a full batch no longer has.
func (b *priceBatch) depart(ctx context.Context, t *tx) error {
	if !b.Full {
		return nil
	}
	quarantined := make(map[int32]bool, len(b.Quarantined))
	for _, q := range b.Quarantined {
		quarantined[t.db.offerKeys.get(q.Offer.ID())] = true
	}
	var absent []int32
	for _, h := range b.absent {
		if !quarantined[h.key] && !h.observedAt.After(b.At) {
			absent = append(absent, h.key)
		}
	}
	if len(absent) == 0 {
		return nil
	}
	ids := make([]string, len(b.Quarantined))
	for i, q := range b.Quarantined {
		ids[i] = clean(string(q.Offer.ID()), maxReason)
	}
	rows, err := t.Query(ctx, "select offer_key, purchase_option = 'private' from offers where offer_key = any($1) and id <> all ($2)", absent, ids)
	if err != nil {
		return err
	}
	var private, others []int32
	var key int32
	var isPrivate bool
	_, err = pgx.ForEachRow(rows, []any{&key, &isPrivate}, func() error {
		if isPrivate {
			private = append(private, key)
		} else {
			others = append(others, key)
		}
		return nil
	})
	if err != nil {
		return err
	}
	had := len(others)
	for i := range b.rows {
		if r := &b.rows[i]; r.Option != purser.Private && r.verdict != verdictNew && r.verdict != verdictOlder {
			had++
		}
	}
	going := append(private, others...)
	if float64(len(others)) > vanishShare*float64(had) {
		b.alarm("%d of %d offers are missing from the feed; none was taken off", len(others), had)
		going = private
	}
	b.report.Gone = len(going)
	if len(going) == 0 {
		return nil
	}
	batch := &pgx.Batch{}
	batch.Queue(`insert into price_points (offer_key, valid_from, unit_price, scope_key, observed_at)
		select n.offer_key, $1, null, $2, $1 from price_now n where n.offer_key = any($3) and n.valid_from < $1 on conflict (offer_key, valid_from) do nothing`, b.At, b.scope, going)
	batch.Queue("update price_now set gone_at = $1 where offer_key = any($2)", b.At, going)
	return t.SendBatch(ctx, batch).Close()
}

// alarm adds to what is said of the batch.
func (b *priceBatch) alarm(format string, args ...any) {
	parts := []string{fmt.Sprintf(format, args...)}
	if b.report.Alarm != "" {
		parts = append([]string{b.report.Alarm}, parts...)
	}
	b.report.Alarm = strings.Join(parts, "; ")
}

// close records the batch. A batch that is not full does not clear an alarm.
func (b *priceBatch) close(ctx context.Context, t *tx) error {
	if b.rose > 0 {
		b.alarm("%d prices rose to more than %d times", b.rose, jumpFactor)
	}
	if b.report.Held > 0 {
		b.alarm("%d prices fell to less than 1/%d and are held back until they are seen again", b.report.Held, jumpFactor)
	}
	batch := &pgx.Batch{}
	batch.Queue(`update price_scopes set last_at = greatest(last_at, $2), alarm = case when $4 or $3 <> '' then $3 else alarm end where scope_key = $1`,
		b.scope, b.At, b.report.Alarm, b.Full)
	batch.Queue("update sources set last_at = greatest(last_at, $2) where name = $1", b.Source, b.At)
	return t.SendBatch(ctx, batch).Close()
}
