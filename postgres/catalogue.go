package postgres

import (
	"context"
	"sync"

	"github.com/jackc/pgx/v5"

	"purser"
)

// catalogue remembers what offers are beside their prices, since that hardly ever
// changes and is most of what a list of prices would have to read. It is as new as the
// database at every call: offers are added under one lock with growing keys, so the
// greatest key says whether there are more, and a counter says whether any was renewed.
type catalogue struct {
	mu      sync.Mutex
	rows    []purser.Offer // by key; the zero Offer where there is none
	renewed int64
	loaded  bool
	texts   texter
}

// all gives the offers by key. The slice may be read, and is never written again below
// its length.
func (c *catalogue) all(ctx context.Context, q querier) ([]purser.Offer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var most int
	var renewed int64
	err := q.QueryRow(ctx, "select coalesce((select max(offer_key) from offers), 0), (select renewed from price_counter)").Scan(&most, &renewed)
	if err != nil {
		return nil, err
	}
	if !c.loaded || renewed != c.renewed {
		c.rows, c.texts = nil, texter{}
	}
	if most >= len(c.rows) || !c.loaded || renewed != c.renewed {
		if err := c.load(ctx, q, len(c.rows)); err != nil {
			c.loaded = false
			return nil, err
		}
	}
	c.renewed, c.loaded = renewed, true
	return c.rows, nil
}

// load reads the offers whose keys are from or above.
func (c *catalogue) load(ctx context.Context, q querier, from int) error {
	rows, err := q.Query(ctx, `select offer_key, provider, region, zone, instance_type, purchase_option, accelerator, milli_devices, device_memory_mib, milli_cpu, memory_mib,
			disk_mib, country, machine_limit, terms from offers where offer_key >= $1 order by offer_key`, from)
	if err != nil {
		return err
	}
	var o purser.Offer
	var key int
	var terms []byte
	text := func(to *string) *textColumn { return &textColumn{to, c.texts} }
	var option string
	_, err = pgx.ForEachRow(rows, []any{
		&key, text(&o.Provider), text(&o.Region), text(&o.Zone), text(&o.InstanceType), text(&option), text(&o.Accelerator), &o.Devices, &o.DeviceMemoryMiB,
		&o.MilliCPU, &o.MemoryMiB, &o.DiskMiB, text(&o.Country), &o.Limit, &terms,
	}, func() error {
		for len(c.rows) <= key {
			c.rows = append(c.rows, purser.Offer{})
		}
		o.Option, o.Terms = purser.PurchaseOption(option), purser.Terms{}
		if terms != nil {
			if err := (fromJSON{&o.Terms}).ScanBytes(terms); err != nil {
				return err
			}
		}
		c.rows[key] = o
		return nil
	})
	return err
}

// texter keeps one copy of each text.
type texter map[string]string

// textColumn reads a text column through a texter.
type textColumn struct {
	to   *string
	once texter
}

// ScanText implements pgtype.TextScanner without a copy for each row.
func (t *textColumn) ScanBytes(b []byte) error {
	s, ok := t.once[string(b)]
	if !ok {
		s = string(b)
		t.once[s] = s
	}
	*t.to = s
	return nil
}
