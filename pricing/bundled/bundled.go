// Package bundled is the price list that Purser brings along, so that a plan can be
// made before any feed is set up: offers.csv, compiled figure by figure from the
// facts in public sources. It never goes stale (see pricing.Ageless); instead every
// row says where its figure is from and since when it may be true.
//
// # What the columns mean
//
// usd_per_hour is the list price of the whole machine with Linux. count is devices,
// 0.166 for a sixth of one; for TPUs it is chips, and a slice of several hosts is
// one machine with the vCPUs and the memory of them all. An empty zone means that
// the price is the whole region's.
//
// source names a table and its date:
//
//	karpenter-aws-2026-07-20, karpenter-azure-2026-06-18   on-demand tables that Karpenter's providers generate from the clouds' price APIs
//	skypilot-catalog-v8-aws, -v8-gcp, -v6-azure            SkyPilot's public catalogue, without a date of its own
//	skypilot-catalog-2024-02-21                            the same as of that day; where the others lack a region, a spot price or a provider
//	autoscaler-gce-2026-08-22                              the Kubernetes autoscaler's table as of that day; its own figures may be older
//	gpuhunt-2024-12                                        dstack's catalogue of that month
//
// as_of is the first day that the figure can be from where the source gives no day
// (2025-11-01 for v8, 2025-01-01 for v6), so that no price looks newer than it is.
//
// # What was decided
//
//   - A spot price of which the source gives a range over zones without names stands
//     once, at its high end, for the region: a plan must not promise what only one
//     zone sells. Where the source names zones, the cheapest and the dearest of them
//     are rows of their own.
//   - GCP's spot prices are uniform in a region. Its GPU machines are the sum of
//     machine and GPU; N1 machines carry the GPU in the name (n1-standard-4+T4x1).
//   - What a source marks as approximate, and prices of a GPU alone whose machine has
//     none, are left out. So are p3, f1 and dl1 of AWS: their prices outlived them.
//   - What cannot be bought plain on demand has only its spot row (p5e, a3-highgpu-1g, a4).
//
// # Failures
//
// None at run time: the list is part of the program, and a test checks that every
// row of it passes pricing.Sift.
package bundled

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/csv"
	"fmt"
	"slices"
	"strings"
	"time"

	"purser"
	"purser/pricing"
)

//go:embed offers.csv
var list []byte

// New gives the collector of the bundled list.
func New() pricing.Collector { return collector{list} }

// Offers gives the offers of the bundled list, sorted by ID.
func Offers() ([]purser.Offer, error) {
	rows, err := pricing.Collect(context.Background(), New())
	if err != nil {
		return nil, err
	}
	sifted := pricing.Sift(rows)
	if len(sifted.Quarantined) > 0 {
		q := sifted.Quarantined[0]
		return nil, purser.Errorf(purser.KindInternal, "bundled.Offers", "%s: %s: %s", q.Place, q.Reason, q.Detail)
	}
	return sifted.Offers, nil
}

type collector struct{ list []byte }

// Source is pricing.SourceBundled.
func (collector) Source() string { return pricing.SourceBundled }

// Collect emits a batch for each source of figures and day.
func (c collector) Collect(ctx context.Context, emit func(pricing.Batch) error) error {
	batches, err := parse(c.list)
	if err != nil {
		return err
	}
	for _, b := range batches {
		if err := ctx.Err(); err != nil {
			return purser.Wrap(purser.KindUnavailable, "bundled.Collect", err)
		}
		if err := emit(b); err != nil {
			return err
		}
	}
	return nil
}

var header = []string{"provider", "region", "zone", "instance_type", "purchase_option", "accelerator", "count", "vcpus", "memory_gib", "usd_per_hour", "source", "as_of"}

// parse reads the list into batches in the order in which their sources first
// appear.
func parse(list []byte) ([]pricing.Batch, error) {
	r := csv.NewReader(bytes.NewReader(list))
	r.FieldsPerRecord = len(header)
	lines, err := r.ReadAll()
	if err != nil {
		return nil, purser.Wrap(purser.KindInternal, "bundled.Collect", err)
	}
	if len(lines) == 0 || !slices.Equal(lines[0], header) {
		return nil, purser.Errorf(purser.KindInternal, "bundled.Collect", "the list's header is not %s", strings.Join(header, ","))
	}
	var batches []pricing.Batch
	for i, fields := range lines[1:] {
		place := fmt.Sprintf("bundled/offers.csv:%d", i+2)
		o, err := offer(fields)
		if err != nil {
			return nil, purser.Errorf(purser.KindInternal, "bundled.Collect", "%s: %w", place, err)
		}
		at := slices.IndexFunc(batches, func(b pricing.Batch) bool { return b.Source == o.Source && b.ObservedAt.Equal(o.ObservedAt) })
		if at < 0 {
			at = len(batches)
			batches = append(batches, pricing.Batch{Source: o.Source, ObservedAt: o.ObservedAt})
		}
		batches[at].Rows = append(batches[at].Rows, pricing.Row{Offer: o, Place: place})
	}
	return batches, nil
}

func offer(fields []string) (purser.Offer, error) {
	o := purser.Offer{
		Provider: fields[0], Region: fields[1], Zone: fields[2], InstanceType: fields[3], Option: purser.PurchaseOption(fields[4]),
		Limit: purser.Unlimited, Source: pricing.SourceBundled + ":" + fields[10], Country: pricing.Country(fields[0], fields[1]),
	}
	if fields[5] != "" {
		a, ok := purser.AcceleratorNamed(fields[5])
		if !ok || a.Name != fields[5] {
			return o, fmt.Errorf("accelerator %q is not a canonical name", fields[5])
		}
		devices, err := thousandths(fields[6])
		if err != nil {
			return o, err
		}
		o.Accelerator, o.DeviceMemoryMiB, o.Devices = a.Name, int64(a.MemoryGiB*1024), purser.MilliDevices(devices)
	}
	var err error
	if o.MilliCPU, err = thousandths(fields[7]); err != nil {
		return o, err
	}
	if o.MemoryMiB, err = purser.ParseMiB(fields[8]); err != nil {
		return o, err
	}
	if o.UnitPrice, err = purser.ParseUSDPerHour(fields[9]); err != nil {
		return o, err
	}
	if o.ObservedAt, err = time.Parse(time.DateOnly, fields[11]); err != nil {
		return o, err
	}
	o.ValidFrom = o.ObservedAt
	return o, nil
}

// thousandths reads a plain decimal number; ParseMoney has that form.
func thousandths(s string) (int64, error) {
	nano, err := purser.ParseMoney(s)
	return int64(nano) / 1_000_000, err
}
