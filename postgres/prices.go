package postgres

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"purser"
)

// priceLock is held by whoever saves prices, so that two batches do not meet.
const priceLock = 0x7072696365 // "price"

// vanishShare is the part of a scope's offers that a full batch may lack. More is
// taken for a broken feed.
const vanishShare = 0.30

// PriceBatch is what one source said at one time, of one region or of everything.
type PriceBatch struct {
	Source      string
	Region      string    // the batch is about this region alone; empty: about the source as a whole
	At          time.Time // when it was collected; stands for the times that an offer does not tell
	Offers      []purser.Offer
	Quarantined []purser.Quarantined
	Past        []purser.PastPrice // earlier prices, in any order
	Signals     []purser.Signal
	Full        bool // it is all that the source has there: its other offers are gone
	Trusted     bool // an operator vouches for it: a sudden fall is taken at once
	// Vouched are operators' rules about a sudden fall of single offers.
	Vouched map[purser.OfferID]purser.PriceRule
}

// SavePrices takes a batch of one source, whole or not at all.
//
//   - A sighting that is older than the one stored for the offer changes nothing, and
//     neither does one of the same moment by another source: who said it first stays.
//   - An equal price moves only the time of the sighting, and whatever else is new
//     of the offer; no point is added.
//   - Another price is a new point. It begins when the source says, but after the point
//     before it; a time to come is taken for the time of the sighting.
//   - A fall to less than a third of a price seen in the last week is held back until
//     the source says it again in a later batch, since a plan would run after it; a rise
//     to more than three times is taken, since it drives plans away. Both are an alarm.
//   - Full: the offers of the scope that the batch lacks are gone, and a point says since
//     when, unless more than 30 % of them would be: that is taken for a broken feed,
//     nothing goes, and the scope carries an alarm until a batch is taken whole.
//     Offers whose price was not believed are not gone. Private offers are the operator's
//     word and go at once.
//   - An offer belongs to the scope (source and region) that saw it last.
//   - Past prices become points where none is yet, before the price in force. Those of
//     offers that are not known are left out.
//   - Signals replace the ones of the scope and of their kinds.
//
// invalid: an offer that cannot be (see purser.Offer.Check); pricing keeps such ones back.
func (db *DB) SavePrices(ctx context.Context, in PriceBatch) (PriceReport, error) {
	const op = "postgres.SavePrices"
	if in.Source == "" || in.At.IsZero() {
		return PriceReport{}, purser.Errorf(purser.KindInvalid, op, "a batch of prices needs a source and a time")
	}
	in.Source, in.Region, in.At = clean(in.Source, maxReason), clean(in.Region, maxReason), utc(in.At)
	b := &priceBatch{PriceBatch: in}
	if err := b.take(in.Offers); err != nil {
		return PriceReport{}, err
	}
	if err := db.ensurePartitions(ctx, b.months()); err != nil {
		return PriceReport{}, err
	}
	err := db.write(ctx, op, func(ctx context.Context, t *tx) error {
		b.begin()
		return b.save(ctx, t)
	})
	if err == nil {
		db.offerKeys.add(b.fresh)
	}
	return b.report, err
}

// ensurePartitions runs outside of the batch's transaction, because it locks tables.
// Months that are known to be there are not asked for again.
func (db *DB) ensurePartitions(ctx context.Context, months []time.Time) error {
	months = slices.DeleteFunc(months, db.months.has)
	if len(months) == 0 {
		return nil
	}
	_, err := db.pool.Exec(ctx, "select ensure_partitions(m) from unnest($1::timestamptz[]) m", months)
	if err == nil {
		db.months.add(months)
	}
	return fail("postgres.SavePrices", err)
}

type priceBatch struct {
	PriceBatch
	rows   []sighting // by offer, each once
	index  map[purser.OfferID]int
	report PriceReport

	scope  int32
	fresh  map[purser.OfferID]int32 // keys of offers that the batch brought
	absent []standing               // offers of the scope that the batch does not have
	rose   int                      // prices that rose to more than three times
}

// sighting is an offer of the batch and what became of it.
type sighting struct {
	purser.Offer
	id      purser.OfferID
	key     int32
	traits  int64
	begins  time.Time // when the price came into force
	verdict priceVerdict
	renew   bool // the row of offers is to be written anew
}

// begin forgets what an earlier try of the transaction found.
func (b *priceBatch) begin() {
	b.report = PriceReport{Seen: len(b.rows)}
	b.fresh, b.absent, b.rose = map[purser.OfferID]int32{}, nil, 0
	for i := range b.rows {
		r := &b.rows[i]
		r.key, r.verdict, r.renew, r.begins = 0, verdictNew, false, r.ValidFrom
	}
}

// take checks the offers and keeps the newest sighting of each; of equally new
// ones the last.
func (b *priceBatch) take(offers []purser.Offer) error {
	b.index = make(map[purser.OfferID]int, len(offers))
	b.rows = make([]sighting, 0, len(offers))
	for _, o := range offers {
		o.Provider, o.Region, o.Zone = clean(o.Provider, maxReason), clean(o.Region, maxReason), clean(o.Zone, maxReason)
		o.InstanceType, o.Accelerator, o.Country = clean(o.InstanceType, maxReason), clean(o.Accelerator, maxReason), clean(o.Country, maxReason)
		if err := o.Check(); err != nil {
			return err
		}
		if o.ObservedAt.IsZero() {
			o.ObservedAt = b.At
		}
		if o.ValidFrom.IsZero() || o.ValidFrom.After(o.ObservedAt) {
			o.ValidFrom = o.ObservedAt
		}
		o.ObservedAt, o.ValidFrom = utc(o.ObservedAt), utc(o.ValidFrom)
		id := o.ID()
		row := sighting{Offer: o, id: id, traits: traitsOf(o)}
		i, ok := b.index[id]
		switch {
		case !ok:
			b.index[id] = len(b.rows)
			b.rows = append(b.rows, row)
		case !o.ObservedAt.Before(b.rows[i].ObservedAt):
			b.rows[i] = row
		}
	}
	return nil
}

// months are the ones that points of the batch may fall into.
func (b *priceBatch) months() []time.Time {
	seen := map[time.Time]bool{}
	add := func(t time.Time) { seen[monthOf(t)] = true }
	add(b.At)
	for i := range b.rows {
		add(b.rows[i].ValidFrom)
		add(b.rows[i].ObservedAt)
	}
	for _, p := range b.Past {
		add(p.From)
	}
	out := make([]time.Time, 0, len(seen))
	for m := range seen {
		out = append(out, m)
	}
	slices.SortFunc(out, time.Time.Compare)
	return out
}

func monthOf(t time.Time) time.Time {
	t = t.UTC()
	return time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC)
}

func (b *priceBatch) save(ctx context.Context, t *tx) error {
	for _, step := range []func(context.Context, *tx) error{
		b.open, b.identify, b.compare, b.writeOffers, b.writePrices, b.hold, b.depart, b.fillBack, b.writeSignals, b.close,
	} {
		if err := step(ctx, t); err != nil {
			return err
		}
	}
	// What is collected region by region is told when the collection ends.
	r := b.report
	if b.Region == "" && r.New+r.Changed+r.Gone+r.Past > 0 || r.Alarm != "" {
		reason := fmt.Sprintf("%d new, %d changed, %d unchanged, %d older, %d gone, %d in quarantine", r.New, r.Changed, r.Unchanged, r.Older, r.Gone, r.Quarantined)
		if r.Past > 0 {
			reason += fmt.Sprintf(", %d past", r.Past)
		}
		if r.Alarm != "" {
			reason += "; " + r.Alarm
		}
		t.say(purser.Event{At: b.At, Actor: "collect", Subject: "price", Name: scopeName(b.Source, b.Region), To: "saved", Reason: reason})
	}
	return nil
}

func scopeName(source, region string) string {
	if region == "" {
		return source
	}
	return source + "/" + region
}

// open takes the lock and finds the scope's key.
func (b *priceBatch) open(ctx context.Context, t *tx) error {
	batch := &pgx.Batch{}
	batch.Queue("select pg_advisory_xact_lock($1)", int64(priceLock))
	batch.Queue("insert into sources (name) values ($1) on conflict do nothing", b.Source)
	batch.Queue("insert into price_scopes (source, region) values ($1, $2) on conflict do nothing", b.Source, b.Region)
	if err := t.SendBatch(ctx, batch).Close(); err != nil {
		return err
	}
	return t.QueryRow(ctx, "select scope_key from price_scopes where source = $1 and region = $2", b.Source, b.Region).Scan(&b.scope)
}

// identify gives every row the key of its offer; 0 is one that is not known yet.
func (b *priceBatch) identify(ctx context.Context, t *tx) error {
	var unknown []string
	for i := range b.rows {
		if b.rows[i].key = t.db.offerKeys.get(b.rows[i].id); b.rows[i].key == 0 {
			unknown = append(unknown, string(b.rows[i].id))
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	rows, err := t.Query(ctx, "select id, offer_key from offers where id = any($1)", unknown)
	if err != nil {
		return err
	}
	return b.learn(rows)
}

// learn takes ids and keys from rows.
func (b *priceBatch) learn(rows pgx.Rows) error {
	var id string
	var key int32
	_, err := pgx.ForEachRow(rows, []any{&id, &key}, func() error {
		b.fresh[purser.OfferID(id)] = key
		b.rows[b.index[purser.OfferID(id)]].key = key
		return nil
	})
	return err
}
