package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"purser"
)

// writeOffers adds the offers that are not known and renews those of which
// something beside the price has changed.
func (b *priceBatch) writeOffers(ctx context.Context, t *tx) error {
	var rows []*sighting
	for i := range b.rows {
		if r := &b.rows[i]; r.renew || r.key == 0 {
			rows = append(rows, r)
		}
	}
	if len(rows) == 0 {
		return nil
	}
	_, err := t.Exec(ctx, `create temp table incoming (id text, provider text, region text, zone text, instance_type text, purchase_option text,
		accelerator text, milli_devices bigint, device_memory_mib bigint, milli_cpu bigint, memory_mib bigint, disk_mib bigint, country text,
		machine_limit integer, terms jsonb, seen_at timestamptz) on commit drop`)
	if err != nil {
		return err
	}
	_, err = t.CopyFrom(ctx, pgx.Identifier{"incoming"}, []string{
		"id", "provider", "region", "zone", "instance_type", "purchase_option", "accelerator", "milli_devices", "device_memory_mib", "milli_cpu",
		"memory_mib", "disk_mib", "country", "machine_limit", "terms", "seen_at",
	}, pgx.CopyFromSlice(len(rows), func(i int) ([]any, error) {
		o := rows[i].Offer
		var terms []byte
		if o.Terms != (purser.Terms{}) {
			var err error
			if terms, err = toJSON(o.Terms); err != nil {
				return nil, err
			}
		}
		return []any{
			string(rows[i].id), o.Provider, o.Region, o.Zone, o.InstanceType, string(o.Option), o.Accelerator, int64(o.Devices), o.DeviceMemoryMiB, o.MilliCPU,
			o.MemoryMiB, o.DiskMiB, o.Country, o.Limit, terms, o.ObservedAt,
		}, nil
	}))
	if err != nil {
		return err
	}
	if _, err := t.Exec(ctx, "analyze incoming"); err != nil {
		return err
	}
	tag, err := t.Exec(ctx, `update offers o set accelerator = i.accelerator, milli_devices = i.milli_devices, device_memory_mib = i.device_memory_mib,
			milli_cpu = i.milli_cpu, memory_mib = i.memory_mib, disk_mib = i.disk_mib, country = i.country, machine_limit = i.machine_limit, terms = i.terms
		from incoming i where i.id = o.id`)
	if err == nil && tag.RowsAffected() > 0 {
		_, err = t.Exec(ctx, "update price_counter set renewed = renewed + 1")
	}
	if err != nil {
		return err
	}
	added, err := t.Query(ctx, `insert into offers (id, provider, region, zone, instance_type, purchase_option, accelerator, milli_devices, device_memory_mib, milli_cpu,
			memory_mib, disk_mib, country, machine_limit, terms, first_seen_at)
		select id, provider, region, zone, instance_type, purchase_option, accelerator, milli_devices, device_memory_mib, milli_cpu,
			memory_mib, disk_mib, country, machine_limit, terms, seen_at
		from incoming i where not exists (select from offers o where o.id = i.id) returning id, offer_key`)
	if err != nil {
		return err
	}
	return b.learn(added)
}

// columns are the arguments of one statement that takes many rows.
type columns struct {
	keys             []int32
	prices, traits   []int64
	begins, observed []time.Time
}

func (c *columns) add(r *sighting) {
	c.keys, c.prices, c.traits = append(c.keys, r.key), append(c.prices, int64(r.UnitPrice)), append(c.traits, r.traits)
	c.begins, c.observed = append(c.begins, r.begins), append(c.observed, r.ObservedAt)
}

const unnested = "unnest($1::integer[], $2::bigint[], $3::timestamptz[], $4::timestamptz[], $5::bigint[]) as i (offer_key, unit_price, begins, observed_at, traits)"

// writePrices takes over what is not older. A price that was corrected for the very
// moment at which it began replaces the point of that moment.
func (b *priceBatch) writePrices(ctx context.Context, t *tx) error {
	var points, fresh, moved, seen columns
	for i := range b.rows {
		r := &b.rows[i]
		switch {
		case r.verdict == verdictNew:
			points.add(r)
			fresh.add(r)
		case r.verdict == verdictChanged:
			points.add(r)
			moved.add(r)
		case r.verdict == verdictUnchanged && (r.renew || !r.ObservedAt.Equal(b.At)):
			moved.add(r)
		case r.verdict == verdictUnchanged:
			seen.add(r)
		}
	}
	batch := &pgx.Batch{}
	queue := func(c columns, sql string) {
		if len(c.keys) > 0 {
			batch.Queue(sql, c.keys, c.prices, c.begins, c.observed, c.traits, b.scope)
		}
	}
	queue(points, `insert into price_points (offer_key, valid_from, unit_price, scope_key, observed_at) select offer_key, begins, unit_price, $6, observed_at from `+unnested+`
		on conflict (offer_key, valid_from) do update set unit_price = excluded.unit_price, scope_key = excluded.scope_key, observed_at = excluded.observed_at`)
	queue(fresh, `insert into price_now (offer_key, unit_price, valid_from, observed_at, first_at, traits, scope_key) select offer_key, unit_price, begins, observed_at, begins, traits, $6 from `+unnested)
	queue(moved, `update price_now n set unit_price = i.unit_price, valid_from = i.begins, observed_at = i.observed_at, traits = i.traits, scope_key = $6, gone_at = null
		from `+unnested+` where i.offer_key = n.offer_key`)
	if len(seen.keys) > 0 {
		batch.Queue("update price_now set observed_at = $1, scope_key = $2 where offer_key = any($3)", b.At, b.scope, seen.keys)
	}
	if batch.Len() == 0 {
		return nil
	}
	return t.SendBatch(ctx, batch).Close()
}

// writeSignals replaces the scope's signals of the kinds that the batch has. A batch
// without any, since its source could not be asked for them, leaves the old ones, which
// show their age.
func (b *priceBatch) writeSignals(ctx context.Context, t *tx) error {
	if len(b.Signals) == 0 {
		return nil
	}
	var kinds []purser.SignalKind
	for _, s := range b.Signals {
		if !slices.Contains(kinds, s.Kind) {
			kinds = append(kinds, s.Kind)
		}
	}
	if _, err := t.Exec(ctx, "delete from price_signals where scope_key = $1 and kind = any($2)", b.scope, texts(kinds)); err != nil {
		return err
	}
	type key struct {
		provider, region, zone, instanceType string
		option                               purser.PurchaseOption
		kind                                 purser.SignalKind
	}
	seen := map[key]bool{}
	var list []purser.Signal
	for _, s := range b.Signals {
		k := key{s.Provider, s.Region, s.Zone, s.InstanceType, s.Option, s.Kind}
		if !seen[k] {
			seen[k] = true
			list = append(list, s)
		}
	}
	_, err := t.CopyFrom(ctx, pgx.Identifier{"price_signals"}, []string{
		"provider", "region", "zone", "instance_type", "purchase_option", "kind", "low", "high", "detail", "scope_key", "observed_at",
	}, pgx.CopyFromSlice(len(list), func(i int) ([]any, error) {
		s := list[i]
		return []any{
			clean(s.Provider, maxReason), clean(s.Region, maxReason), clean(s.Zone, maxReason), clean(s.InstanceType, maxReason), string(s.Option), string(s.Kind),
			s.Low, s.High, clean(s.Detail, maxReason), b.scope, b.At,
		}, nil
	}))
	return err
}
