package postgres

import (
	"context"
	"encoding/binary"
	"hash/fnv"
	"time"

	"github.com/jackc/pgx/v5"

	"purser"
)

// priceVerdict says what a sighting means for the stored price.
type priceVerdict uint8

const (
	verdictNew       priceVerdict = iota // the offer was not known
	verdictOlder                         // a later sighting, or an equal one of another source, is known
	verdictUnchanged                     // the price stands
	verdictChanged                       // another price, or back after it was gone
	verdictFell                          // fell so far that it is held back until it is seen again
)

// A price that moves by more than jumpFactor within jumpMemory is an alarm. A fall
// that was held back is taken when the next batch says nearly the same: within
// sameFactor.
const (
	jumpFactor = 3
	jumpMemory = 7 * 24 * time.Hour
	sameFactor = 1.5
)

// standing is the stored price of an offer.
type standing struct {
	key, scope int32
	price      purser.USDPerHour
	validFrom  time.Time
	observedAt time.Time
	goneAt     time.Time // zero: it can be had
	traits     int64
	source     string
}

// judge compares a sighting with what is stored. confirmed says that a fall to about
// this price was held back before. It gives when the price begins, too.
func judge(r *sighting, h standing, source string, confirmed bool) (priceVerdict, time.Time) {
	gone := !h.goneAt.IsZero()
	switch {
	case r.ObservedAt.Before(h.observedAt), gone && r.ObservedAt.Before(h.goneAt):
		return verdictOlder, time.Time{}
	case r.ObservedAt.Equal(h.observedAt) && h.source != source && !gone:
		return verdictOlder, time.Time{}
	case r.UnitPrice == h.price && !gone:
		return verdictUnchanged, h.validFrom
	case fell(r, h, gone) && !confirmed:
		return verdictFell, time.Time{}
	case r.ValidFrom.After(h.validFrom) && !(gone && r.ValidFrom.Before(h.goneAt)):
		return verdictChanged, r.ValidFrom
	default:
		return verdictChanged, r.ObservedAt
	}
}

func fell(r *sighting, h standing, gone bool) bool {
	return !gone && r.Option != purser.Private && r.UnitPrice < h.price/jumpFactor && r.ObservedAt.Sub(h.observedAt) <= jumpMemory
}

func rose(r *sighting, h standing) bool {
	return h.goneAt.IsZero() && r.Option != purser.Private && h.price > 0 && r.UnitPrice/jumpFactor > h.price && r.ObservedAt.Sub(h.observedAt) <= jumpMemory
}

// compare reads what is stored of the scope and of the batch's other offers, and
// judges every row.
func (b *priceBatch) compare(ctx context.Context, t *tx) error {
	byKey := make(map[int32]int, len(b.rows))
	for i := range b.rows {
		if k := b.rows[i].key; k != 0 {
			byKey[k] = i
		}
	}
	held, err := b.heldBack(ctx, t)
	if err != nil {
		return err
	}
	judged := make([]bool, len(b.rows))
	consider := func(h standing) {
		i, ok := byKey[h.key]
		if !ok {
			if h.goneAt.IsZero() && h.scope == b.scope {
				b.absent = append(b.absent, h)
			}
			return
		}
		r := &b.rows[i]
		judged[i] = true
		near := func(p purser.USDPerHour) bool {
			return p > 0 && float64(r.UnitPrice) <= sameFactor*float64(p) && float64(p) <= sameFactor*float64(r.UnitPrice)
		}
		r.verdict, r.begins = judge(r, h, b.Source, b.Trusted || near(held[r.id]) || b.Vouched[r.id].Covers(r.Offer, b.At))
		r.renew = r.traits != h.traits && (r.verdict == verdictUnchanged || r.verdict == verdictChanged)
		if r.verdict == verdictChanged && rose(r, h) {
			b.rose++
		}
	}
	if err := b.standings(ctx, t, consider, "n.scope_key = $1 and n.gone_at is null", b.scope); err != nil {
		return err
	}
	var others []int32
	for k, i := range byKey {
		if !judged[i] {
			others = append(others, k)
		}
	}
	if len(others) > 0 {
		if err := b.standings(ctx, t, consider, "n.offer_key = any($1)", others); err != nil {
			return err
		}
	}
	b.count()
	return nil
}

func (b *priceBatch) standings(ctx context.Context, t *tx, consider func(standing), where string, arg any) error {
	rows, err := t.Query(ctx, `select n.offer_key, n.scope_key, s.source, n.unit_price, n.valid_from, n.observed_at, n.gone_at, n.traits
		from price_now n join price_scopes s using (scope_key) where `+where, arg)
	if err != nil {
		return err
	}
	var h standing
	_, err = pgx.ForEachRow(rows, []any{&h.key, &h.scope, &h.source, &h.price, &h.validFrom, &h.observedAt, optional{&h.goneAt}, &h.traits}, func() error {
		consider(h)
		return nil
	})
	return err
}

// heldBack are the prices that earlier batches of the source fell to.
func (b *priceBatch) heldBack(ctx context.Context, t *tx) (map[purser.OfferID]purser.USDPerHour, error) {
	rows, err := t.Query(ctx, "select offer_id, (offer->>'usd_per_hour')::numeric from quarantine where source = $1 and reason = $2 and released_at is null and last_seen_at < $3",
		b.Source, string(purser.QuarantineFell), b.At)
	if err != nil {
		return nil, err
	}
	out := map[purser.OfferID]purser.USDPerHour{}
	var id string
	var usd float64
	_, err = pgx.ForEachRow(rows, []any{&id, &usd}, func() error {
		out[purser.OfferID(id)] = purser.USDPerHour(usd * 1e9)
		return nil
	})
	return out, err
}

func (b *priceBatch) count() {
	for i := range b.rows {
		switch b.rows[i].verdict {
		case verdictNew:
			b.report.New++
		case verdictOlder:
			b.report.Older++
		case verdictUnchanged:
			b.report.Unchanged++
		case verdictChanged:
			b.report.Changed++
		case verdictFell:
			b.report.Held++
		}
	}
}

// traitsOf is a hash of what an offer is beside its id and its price.
func traitsOf(o purser.Offer) int64 {
	h := fnv.New64a()
	var buf []byte
	for _, s := range []string{o.Accelerator, o.Country} {
		buf = append(append(buf, s...), 0)
	}
	for _, n := range []int64{
		int64(o.Devices), o.DeviceMemoryMiB, o.MilliCPU, o.MemoryMiB, o.DiskMiB, int64(o.Limit), int64(o.Terms.BillingStep), int64(o.Terms.ColdStart),
		int64(o.Terms.MaxRequest), int64(o.Terms.MaxConcurrent), int64(o.Terms.IdleBilled), int64(o.Terms.PerRequest),
	} {
		buf = binary.AppendVarint(buf, n)
	}
	_, _ = h.Write(buf) // never fails
	return int64(h.Sum64())
}
