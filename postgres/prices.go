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

// vanishShare is the part of a source's offers that a full batch may lack. More is
// taken for a broken feed.
const vanishShare = 0.30

// SavePrices takes a batch of one source, whole or not at all. at is when it was
// collected, and stands for the times that an offer does not tell.
//
//   - A sighting that is older than the one stored for the offer changes nothing, and
//     neither does one of the same moment by another source: who said it first stays.
//   - An equal price moves only the time of the sighting, and whatever else is new
//     of the offer; no point is added.
//   - Another price is a new point. It begins when the source says, but after the point
//     before it; a time to come is taken for the time of the sighting.
//   - full says that the batch is all that the source has. Its other offers are
//     gone then, unless more than 30 % of them would be: that is taken for a broken feed,
//     nothing goes, and the source carries an alarm until a batch is taken whole.
//     Offers whose price was not believed are not gone. Private offers are the operator's
//     word and go at once.
//   - An offer belongs to the source that saw it last.
//
// invalid: an offer that cannot be (see purser.Offer.Check); pricing keeps such ones back.
func (db *DB) SavePrices(
	ctx context.Context, source string, at time.Time, offers []purser.Offer, quarantined []purser.Quarantined, full bool,
) (PriceReport, error) {
	const op = "postgres.SavePrices"
	if source == "" || at.IsZero() {
		return PriceReport{}, purser.Errorf(purser.KindInvalid, op, "a batch of prices needs a source and a time")
	}
	b := &priceBatch{source: clean(source, maxReason), at: utc(at), quarantined: quarantined, full: full}
	if err := b.take(offers); err != nil {
		return PriceReport{}, err
	}
	if err := db.ensurePartitions(ctx, b.months()); err != nil {
		return PriceReport{}, err
	}
	err := db.write(ctx, op, func(ctx context.Context, t *tx) error {
		b.report = PriceReport{Seen: len(b.rows), Quarantined: len(quarantined)}
		return b.save(ctx, t)
	})
	return b.report, err
}

// ensurePartitions runs outside of the batch's transaction, because it locks tables.
func (db *DB) ensurePartitions(ctx context.Context, months []time.Time) error {
	_, err := db.pool.Exec(ctx, "select ensure_partitions(m) from unnest($1::timestamptz[]) m", months)
	return fail("postgres.SavePrices", err)
}

type priceBatch struct {
	source      string
	at          time.Time
	rows        []purser.Offer // by id, each once
	quarantined []purser.Quarantined
	full        bool
	report      PriceReport
}

// take checks the offers and keeps the newest sighting of each; of equally new
// ones the last.
func (b *priceBatch) take(offers []purser.Offer) error {
	index := make(map[purser.OfferID]int, len(offers))
	b.rows = make([]purser.Offer, 0, len(offers))
	for _, o := range offers {
		o.Provider, o.Region, o.Zone = clean(o.Provider, maxReason), clean(o.Region, maxReason), clean(o.Zone, maxReason)
		o.InstanceType, o.Accelerator, o.Country = clean(o.InstanceType, maxReason), clean(o.Accelerator, maxReason), clean(o.Country, maxReason)
		if err := o.Check(); err != nil {
			return err
		}
		if o.ObservedAt.IsZero() {
			o.ObservedAt = b.at
		}
		if o.ValidFrom.IsZero() || o.ValidFrom.After(o.ObservedAt) {
			o.ValidFrom = o.ObservedAt
		}
		o.ObservedAt, o.ValidFrom = utc(o.ObservedAt), utc(o.ValidFrom)
		i, ok := index[o.ID()]
		switch {
		case !ok:
			index[o.ID()] = len(b.rows)
			b.rows = append(b.rows, o)
		case !o.ObservedAt.Before(b.rows[i].ObservedAt):
			b.rows[i] = o
		}
	}
	return nil
}

// months are the ones that points of the batch may fall into.
func (b *priceBatch) months() []time.Time {
	seen := map[time.Time]bool{}
	add := func(t time.Time) { seen[time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC)] = true }
	add(b.at)
	for _, o := range b.rows {
		add(o.ValidFrom)
		add(o.ObservedAt)
	}
	out := make([]time.Time, 0, len(seen))
	for m := range seen {
		out = append(out, m)
	}
	slices.SortFunc(out, time.Time.Compare)
	return out
}

func (b *priceBatch) save(ctx context.Context, t *tx) error {
	for _, step := range []func(context.Context, *tx) error{b.copyIn, b.judge, b.write, b.hold, b.depart, b.close} {
		if err := step(ctx, t); err != nil {
			return err
		}
	}
	r := b.report
	if r.New+r.Changed+r.Gone > 0 || r.Alarm != "" {
		reason := fmt.Sprintf("%d new, %d changed, %d unchanged, %d older, %d gone, %d in quarantine", r.New, r.Changed, r.Unchanged, r.Older, r.Gone, r.Quarantined)
		if r.Alarm != "" {
			reason += "; " + r.Alarm
		}
		t.say(purser.Event{At: b.at, Actor: "collect", Subject: "price", Name: b.source, To: "saved", Reason: reason})
	}
	return nil
}

// copyIn puts the batch into a table of this transaction.
func (b *priceBatch) copyIn(ctx context.Context, t *tx) error {
	batch := &pgx.Batch{}
	batch.Queue("select pg_advisory_xact_lock($1)", int64(priceLock))
	batch.Queue(`create temp table incoming (id text, provider text, region text, zone text, instance_type text, purchase_option text,
		accelerator text, milli_devices bigint, device_memory_mib bigint, milli_cpu bigint, memory_mib bigint, disk_mib bigint, country text,
		machine_limit integer, unit_price bigint, valid_from timestamptz, observed_at timestamptz) on commit drop`)
	if err := t.SendBatch(ctx, batch).Close(); err != nil {
		return err
	}
	columns := []string{
		"id", "provider", "region", "zone", "instance_type", "purchase_option", "accelerator", "milli_devices", "device_memory_mib", "milli_cpu",
		"memory_mib", "disk_mib", "country", "machine_limit", "unit_price", "valid_from", "observed_at",
	}
	_, err := t.CopyFrom(ctx, pgx.Identifier{"incoming"}, columns, pgx.CopyFromSlice(len(b.rows), func(i int) ([]any, error) {
		o := b.rows[i]
		return []any{
			string(o.ID()), o.Provider, o.Region, o.Zone, o.InstanceType, string(o.Option), o.Accelerator, int64(o.Devices), o.DeviceMemoryMiB, o.MilliCPU,
			o.MemoryMiB, o.DiskMiB, o.Country, o.Limit, int64(o.UnitPrice), o.ValidFrom, o.ObservedAt,
		}, nil
	}))
	return err
}

// judge adds the offers that are not known and says of every row what it means.
// begins is when its price came into force.
func (b *priceBatch) judge(ctx context.Context, t *tx) error {
	for _, sql := range []string{
		"analyze incoming",
		`insert into offers (id, provider, region, zone, instance_type, purchase_option, accelerator, milli_devices, device_memory_mib, milli_cpu,
				memory_mib, disk_mib, country, machine_limit, first_seen_at)
			select id, provider, region, zone, instance_type, purchase_option, accelerator, milli_devices, device_memory_mib, milli_cpu,
				memory_mib, disk_mib, country, machine_limit, observed_at
			from incoming i where not exists (select from offers o where o.id = i.id)`,
		`create temp table judged on commit drop as
			select o.offer_key, i.*,
				case when n.offer_key is null then 'new' when i.observed_at < n.observed_at then 'older'
					when i.unit_price = n.unit_price then 'unchanged' else 'changed' end as verdict,
				case when n.offer_key is null or i.valid_from > n.valid_from then i.valid_from else i.observed_at end as begins
			from incoming i join offers o on o.id = i.id left join price_now n on n.offer_key = o.offer_key`,
		// Right after a first batch the tables' statistics say that they are empty; with
		// an index no plan that follows from that is slow.
		"create unique index on judged (offer_key)",
		"analyze judged",
	} {
		if _, err := t.Exec(ctx, sql); err != nil {
			return err
		}
	}
	if _, err := t.Exec(ctx, `update judged j set verdict = 'older' from price_now n join offers o on o.offer_key = n.offer_key
			where n.offer_key = j.offer_key and j.verdict in ('unchanged', 'changed') and n.observed_at = j.observed_at and n.source <> $1 and o.gone_at is null`,
		b.source); err != nil {
		return err
	}
	rows, err := t.Query(ctx, "select verdict, count(*) from judged group by verdict")
	if err != nil {
		return err
	}
	var verdict string
	var n int
	_, err = pgx.ForEachRow(rows, []any{&verdict, &n}, func() error {
		switch verdict {
		case "new":
			b.report.New = n
		case "changed":
			b.report.Changed = n
		case "unchanged":
			b.report.Unchanged = n
		case "older":
			b.report.Older = n
		}
		return nil
	})
	return err
}

// write takes over what is not older. A price that was corrected for the very moment
// at which it began replaces the point of that moment.
func (b *priceBatch) write(ctx context.Context, t *tx) error {
	_, err := t.Exec(ctx, `update offers o set accelerator = j.accelerator, milli_devices = j.milli_devices, device_memory_mib = j.device_memory_mib,
				milli_cpu = j.milli_cpu, memory_mib = j.memory_mib, disk_mib = j.disk_mib, country = j.country, machine_limit = j.machine_limit, gone_at = null
			from judged j where j.offer_key = o.offer_key and j.verdict in ('unchanged', 'changed')
				and (o.gone_at is not null or (o.accelerator, o.milli_devices, o.device_memory_mib, o.milli_cpu, o.memory_mib, o.disk_mib, o.country, o.machine_limit)
					is distinct from (j.accelerator, j.milli_devices, j.device_memory_mib, j.milli_cpu, j.memory_mib, j.disk_mib, j.country, j.machine_limit))`)
	if err != nil {
		return err
	}
	for _, sql := range []string{
		`insert into price_points (offer_key, valid_from, unit_price, source, observed_at)
			select offer_key, begins, unit_price, $1, observed_at from judged where verdict in ('new', 'changed')
			on conflict (offer_key, valid_from) do update set unit_price = excluded.unit_price, source = excluded.source, observed_at = excluded.observed_at`,
		`insert into price_now (offer_key, unit_price, valid_from, observed_at, source)
			select offer_key, unit_price, begins, observed_at, $1 from judged where verdict = 'new'`,
		`update price_now n set unit_price = j.unit_price, observed_at = j.observed_at, source = $1,
				valid_from = case when j.verdict = 'changed' then j.begins else n.valid_from end
			from judged j where j.offer_key = n.offer_key and j.verdict in ('unchanged', 'changed')`,
	} {
		if _, err := t.Exec(ctx, sql, b.source); err != nil {
			return err
		}
	}
	return nil
}
