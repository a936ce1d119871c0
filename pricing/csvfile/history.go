package csvfile

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"purser"
	"purser/pricing"
)

// historyColumns are the header of a history of AWS prices, in any order: one row for
// each change in a zone, an empty price being none offered from then on.
var historyColumns = []string{"observed_at", "instance_type", "availability_zone_id", "spot_usd_per_hour", "on_demand_usd_per_hour"}

// maxHistoryLines bounds a history, which has a line for every change.
const maxHistoryLines = 5_000_000

// Shapes tells what a provider's instance type has, for files that do not; ok is false
// for a type that is not known.
type Shapes func(provider, instanceType string) (purser.Shape, bool)

// ReadBatch reads a price list, or a history of AWS spot and on-demand prices, told apart by
// the header. Of a history the last price of each offer is a row, and the earlier ones
// are past; the types' shapes come from shapes, and an offer of an unknown type is a row
// that cannot be believed. A history tells its times itself.
func ReadBatch(ctx context.Context, content []byte, name string, shapes Shapes, opt Options) (pricing.Batch, error) {
	lines, err := newLineReader(bytes.NewReader(content), name)
	if err != nil {
		return pricing.Batch{}, err
	}
	p := &reader{lineReader: lines, strings: map[string]string{}}
	first, ok, err := p.next()
	if err != nil {
		return pricing.Batch{}, err
	}
	if !ok || !strings.Contains(first, historyColumns[0]) {
		rows, err := Read(ctx, bytes.NewReader(content), name, opt)
		if err != nil {
			return pricing.Batch{}, err
		}
		b := pricing.Batch{Source: "file:" + name, ObservedAt: opt.AsOf, Rows: rows}
		if len(rows) > 0 {
			b.Source = rows[0].Offer.Source
		}
		return b, nil
	}
	h := history{reader: p, offers: map[historyKey]*historyOffer{}, source: "csvfile:" + filepath.Base(name)}
	p.most = maxHistoryLines
	if err := h.read(ctx, first); err != nil {
		return pricing.Batch{}, err
	}
	return h.batch(shapes), nil
}

// history gathers the changes of each offer.
type history struct {
	*reader
	source string
	at     [5]int // where each of historyColumns is
	offers map[historyKey]*historyOffer
	newest time.Time
}

// historyKey is an offer; zone is empty for the on-demand price of a region.
type historyKey struct {
	instanceType, region, zone string
	option                     purser.PurchaseOption
}

type historyOffer struct {
	changes []change
	line    int // of the last one
}

type change struct {
	at    time.Time
	price purser.USDPerHour // 0: not offered
}

func (h *history) read(ctx context.Context, header string) error {
	fields, err := h.split(header)
	if err != nil {
		return err
	}
	h.width = len(fields)
	for i, name := range historyColumns {
		h.at[i] = slices.Index(fields, name)
		if h.at[i] < 0 {
			return h.fail("", "the header lacks "+name, "a history has the columns "+strings.Join(historyColumns, ", "))
		}
	}
	for {
		if h.number%4096 == 1 && ctx.Err() != nil {
			return purser.Wrap(purser.KindUnavailable, "csvfile.Read", ctx.Err())
		}
		line, ok, err := h.next()
		switch {
		case err != nil:
			return err
		case !ok && len(h.offers) == 0:
			return h.fail("", "the history has a header and no prices", "")
		case !ok:
			return nil
		case line == "":
			continue
		}
		if err := h.line(line); err != nil {
			return err
		}
	}
}

func (h *history) line(line string) error {
	fields, err := h.split(line)
	if err != nil {
		return err
	}
	if len(fields) != h.width {
		return h.fail("", fmt.Sprintf("the line has %d fields, the header %d", len(fields), h.width), "")
	}
	at, err := time.Parse(time.RFC3339, fields[h.at[0]])
	if err != nil || at.Year() < 2000 || at.Year() > 2100 {
		return h.fail(historyColumns[0], fmt.Sprintf("%q is no time", clip(fields[h.at[0]])), "write it like 2023-01-31T12:00:00Z")
	}
	zone := h.keep(fields[h.at[2]])
	region, ok := awsRegionOfZone(zone)
	if !ok {
		return h.fail(historyColumns[2], fmt.Sprintf("%q is not the id of a zone of AWS that Purser knows", clip(zone)), "write it like use1-az1")
	}
	kind := h.keep(fields[h.at[1]])
	if kind == "" || len(kind) > 100 {
		return h.fail(historyColumns[1], "an instance type must be given", "")
	}
	at = at.UTC()
	if at.After(h.newest) {
		h.newest = at
	}
	for i, key := range []historyKey{{kind, region, zone, purser.Spot}, {kind, region, "", purser.OnDemand}} {
		var price purser.USDPerHour
		text := fields[h.at[3+i]]
		if text == "" && key.zone == "" {
			continue // it is the region's price, and says nothing of one zone
		}
		if text != "" {
			if price, err = purser.ParseUSDPerHour(text); err != nil || price <= 0 {
				return h.fail(historyColumns[3+i], fmt.Sprintf("%q is no price above 0", clip(text)), "write USD per hour like 1.006, or nothing when it is not offered")
			}
		}
		h.add(key, change{at, price})
	}
	return nil
}

// clip shortens what a message repeats.
func clip(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}

// keep gives one copy of a text that repeats.
func (h *history) keep(s string) string {
	kept, ok := h.strings[s]
	if !ok {
		kept = strings.Clone(s)
		h.strings[kept] = kept
	}
	return kept
}

func (h *history) add(key historyKey, c change) {
	o := h.offers[key]
	if o == nil {
		o = &historyOffer{}
		h.offers[key] = o
	}
	o.line = h.number
	// The on-demand price stands in the lines of all zones; only what differs is kept.
	if n := len(o.changes); n > 0 && o.changes[n-1].price == c.price && !o.changes[n-1].at.After(c.at) {
		return
	}
	o.changes = append(o.changes, c)
}

func (h *history) batch(shapes Shapes) pricing.Batch {
	b := pricing.Batch{Source: h.source, ObservedAt: h.newest}
	for _, key := range h.keys() {
		o := h.offers[key]
		// Lines are mostly in order of time, but need not be.
		slices.SortStableFunc(o.changes, func(x, y change) int { return x.at.Compare(y.at) })
		last := o.changes[len(o.changes)-1]
		offer := purser.Offer{
			Provider: "aws", Region: key.region, Zone: key.zone, InstanceType: key.instanceType, Option: key.option, Limit: purser.Unlimited,
			UnitPrice: last.price, ValidFrom: last.at, ObservedAt: h.newest, Source: h.source,
		}
		past := o.changes
		if last.price > 0 {
			row := pricing.Row{Offer: offer, Place: fmt.Sprintf("%s:%d", h.name, o.line)}
			var ok bool
			if row.Offer.Shape, ok = shapes("aws", key.instanceType); !ok {
				row.Reason, row.Detail = pricing.QuarantineIncomplete, "it is not known what this type has: collect or import a list of its provider first"
			}
			b.Rows = append(b.Rows, row)
			past = past[:len(past)-1]
		}
		id := offer.ID()
		for i, c := range past {
			if i > 0 && past[i-1].price == c.price {
				continue
			}
			b.Past = append(b.Past, purser.PastPrice{Offer: id, From: c.at, UnitPrice: c.price, Gone: c.price == 0})
		}
	}
	return b
}

// keys are those of the offers, in order.
func (h *history) keys() []historyKey {
	keys := make([]historyKey, 0, len(h.offers))
	for k := range h.offers {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b historyKey) int {
		return strings.Compare(a.region+" "+a.zone+" "+a.instanceType+" "+string(a.option), b.region+" "+b.zone+" "+b.instanceType+" "+string(b.option))
	})
	return keys
}

// awsZonePrefixes are what the ids of AWS's zones begin with, by region; the ids, unlike
// the names of zones, are the same for every account.
var awsZonePrefixes = map[string]string{
	"use1": "us-east-1", "use2": "us-east-2", "usw1": "us-west-1", "usw2": "us-west-2", "cac1": "ca-central-1", "caw1": "ca-west-1",
	"mxc1": "mx-central-1", "sae1": "sa-east-1", "euw1": "eu-west-1", "euw2": "eu-west-2", "euw3": "eu-west-3", "euc1": "eu-central-1",
	"euc2": "eu-central-2", "eun1": "eu-north-1", "eus1": "eu-south-1", "eus2": "eu-south-2", "ilc1": "il-central-1", "mec1": "me-central-1",
	"mes1": "me-south-1", "afs1": "af-south-1", "ape1": "ap-east-1", "ape2": "ap-east-2", "apne1": "ap-northeast-1", "apne2": "ap-northeast-2",
	"apne3": "ap-northeast-3", "aps1": "ap-south-1", "aps2": "ap-south-2", "apse1": "ap-southeast-1", "apse2": "ap-southeast-2",
	"apse3": "ap-southeast-3", "apse4": "ap-southeast-4", "apse5": "ap-southeast-5", "apse6": "ap-southeast-6", "apse7": "ap-southeast-7",
}

// awsRegionOfZone is the region of a zone's id, such as use1-az1 or use1-atl2-az1.
func awsRegionOfZone(zone string) (string, bool) {
	prefix, rest, ok := strings.Cut(zone, "-")
	region := awsZonePrefixes[prefix]
	return region, ok && rest != "" && region != ""
}
