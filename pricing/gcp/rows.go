package gcp

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"purser"
	"purser/pricing"
)

// purchaseOptions are the ways to buy that the catalogue has prices of.
var purchaseOptions = []purser.PurchaseOption{purser.OnDemand, purser.Spot, purser.FlexStart, purser.CapacityBlock}

// regionRows makes the rows of a region, sorted by zone, type and option.
func regionRows(prices rates, region string, markets []*market, now time.Time) []pricing.Row {
	b := builder{prices: prices, region: region, now: now}
	for _, m := range markets {
		b.zone = m.zone
		b.market(m)
	}
	slices.SortFunc(b.rows, func(x, y pricing.Row) int {
		return cmp.Or(strings.Compare(x.Offer.Zone, y.Offer.Zone), strings.Compare(x.Offer.InstanceType, y.Offer.InstanceType), cmp.Compare(x.Offer.Option, y.Offer.Option))
	})
	return b.rows
}

type builder struct {
	prices       rates
	region, zone string
	now          time.Time
	rows         []pricing.Row
}

func (b *builder) market(m *market) {
	for _, name := range slices.Sorted(maps.Keys(m.machines)) {
		// A table's hosts stand for themselves only under GPUs; a zone's are sold bare too.
		if _, host := hosts[name]; !host || m.zone != "" {
			b.machine(m.machines[name])
		}
	}
	for _, a := range attachments {
		if m.cards[a.device] < a.count {
			continue
		}
		for _, host := range a.hosts {
			if h, ok := m.machines[host]; ok {
				b.machine(attached(h, a))
			}
		}
	}
	types := slices.Clone(m.slices)
	slices.Sort(types)
	for _, typ := range slices.Compact(types) {
		if s, ok := sliceNamed(typ); ok {
			b.add(typ, s.shape(), s.items(), func(purser.PurchaseOption) bool { return true })
		}
	}
}

func (b *builder) machine(m machine) { b.add(m.name, m.shape(), m.items(), m.sold) }

// add makes a row for each way to buy that all parts have a price of.
func (b *builder) add(typ string, shape purser.Shape, items []item, sold func(purser.PurchaseOption) bool) {
	for _, option := range purchaseOptions {
		total, ok := b.prices.priceOf(b.region, option, items)
		if !ok || !sold(option) {
			continue
		}
		row := pricing.Row{Place: "Google Cloud price catalogue, SKU " + total.skus, Offer: purser.Offer{
			Provider: provider, Region: b.region, Zone: b.zone, InstanceType: typ, Option: option, Shape: shape,
			UnitPrice: total.price, Limit: purser.Unlimited, ObservedAt: b.now, Source: source,
		}}
		if total.flaw != "" {
			row.Reason, row.Detail = purser.QuarantineNoPrice, total.flaw
		}
		b.rows = append(b.rows, row)
	}
}
