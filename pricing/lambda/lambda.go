// Package lambda collects prices and capacity of Lambda's GPU cloud.
//
// # What it reads
//
// GET /instance-types, with the key as a bearer token. One answer has every type with
// its price in whole cents per hour of the machine, its sizes, and the regions that
// have a machine to give now. There is no spot and no page, so a collection is one
// request and one batch.
//
// # What it decides
//
//   - A type is an offer in each region with capacity, and nowhere else: Lambda's price
//     list outlives its stock. A type that is out everywhere has no row, so that its
//     offers end until it is back. Presence is all that the API says of availability,
//     so there are no signals, and how many machines there are is not known.
//   - The device is read from the description, such as "8x H100 (80 GB SXM5)", else
//     from the type's name (gpu_8x_h100_sxm5); their number is specs.gpus, or what the
//     same text says where that is missing. A device that Purser does not know keeps
//     Lambda's name, and Sift quarantines it.
//   - Sizes are GiB as Lambda says, and vcpus are threads.
//
// # Failures
//
// A missing key is unauthorized, before anything is asked. A key that is refused is
// unauthorized or forbidden; an answer without data, or with no type at all, is
// invalid, since an empty batch would say that all offers are gone. The rest is
// package feed's.
package lambda

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"purser"
	"purser/pricing"
	"purser/pricing/feed"
)

// DefaultURL is where Lambda's public API is.
const DefaultURL = "https://cloud.lambda.ai/api/v1"

const (
	source = "lambda"
	op     = "lambda.Collect"
	keyFix = "make an API key in the Lambda Cloud dashboard and give it to the source as its key"
)

// Options says how Lambda is asked.
type Options struct {
	URL    string           // base of the API. Defaults to DefaultURL
	Key    string           // API key; it must be given
	Client *feed.Client     // Defaults to one with feed's defaults
	Now    func() time.Time // Defaults to time.Now
}

type collector struct{ opt Options }

// New gives the collector of Lambda's price list.
func New(opt Options) pricing.Collector {
	opt.URL = strings.TrimSuffix(cmp.Or(opt.URL, DefaultURL), "/")
	if opt.Client == nil {
		opt.Client = &feed.Client{}
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	return &collector{opt}
}

// Source is lambda.
func (*collector) Source() string { return source }

// item is one type as the API says it.
type item struct {
	Type struct {
		Name        string      `json:"name"`
		Description string      `json:"description"`
		Cents       json.Number `json:"price_cents_per_hour"`
		Specs       struct {
			VCPUs      int64  `json:"vcpus"`
			MemoryGiB  int64  `json:"memory_gib"`
			StorageGiB int64  `json:"storage_gib"`
			GPUs       *int64 `json:"gpus"`
		} `json:"specs"`
	} `json:"instance_type"`
	Regions []struct {
		Name string `json:"name"`
	} `json:"regions_with_capacity_available"`
}

// Collect asks once and emits everything as one batch.
func (c *collector) Collect(ctx context.Context, emit func(pricing.Batch) error) error {
	if c.opt.Key == "" {
		return &purser.Error{Kind: purser.KindUnauthorized, Op: op, Message: "Lambda's API needs a key, and none is given", Hint: keyFix}
	}
	at := c.opt.URL + "/instance-types"
	var answer struct {
		Data map[string]item `json:"data"`
	}
	if err := c.opt.Client.JSON(ctx, op, feed.Get(at, "Authorization", "Bearer "+c.opt.Key), &answer); err != nil {
		return withHint(err)
	}
	if len(answer.Data) == 0 {
		return purser.Errorf(purser.KindInvalid, op, "%s lists no instance type at all", at)
	}
	b := pricing.Batch{Source: source, ObservedAt: c.opt.Now().UTC()}
	for key, it := range answer.Data {
		it.Type.Name = cmp.Or(it.Type.Name, key)
		row := rowOf(it)
		row.Place, row.Offer.ObservedAt = at+"#"+it.Type.Name, b.ObservedAt
		for _, region := range it.Regions {
			row.Offer.Region = region.Name
			b.Rows = append(b.Rows, row)
		}
	}
	slices.SortFunc(b.Rows, func(x, y pricing.Row) int { return cmp.Compare(x.Offer.ID(), y.Offer.ID()) })
	if err := ctx.Err(); err != nil {
		return purser.Wrap(purser.KindUnavailable, op, err)
	}
	return emit(b)
}

// withHint adds what to do about a key that is refused.
func withHint(err error) error {
	e, ok := errors.AsType[*purser.Error](err)
	if !ok || (e.Kind != purser.KindUnauthorized && e.Kind != purser.KindForbidden) {
		return err
	}
	return &purser.Error{Kind: e.Kind, Op: op, Message: e.Message, Hint: "the API key is not accepted: " + keyFix, Cause: e.Cause}
}

// rowOf makes the row of a type, without a region.
func rowOf(it item) pricing.Row {
	t := it.Type
	r := pricing.Row{Offer: purser.Offer{
		Provider: source, InstanceType: t.Name, Option: purser.OnDemand, Limit: purser.Unlimited, Source: source,
		Shape: purser.Shape{MilliCPU: t.Specs.VCPUs * 1000, MemoryMiB: t.Specs.MemoryGiB * 1024, DiskMiB: t.Specs.StorageGiB * 1024},
	}}
	// A cent is ten million nano-USD.
	if cents, err := strconv.ParseInt(t.Cents.String(), 10, 32); err == nil {
		r.Offer.UnitPrice = purser.USDPerHour(cents) * 10_000_000
	} else {
		r.Reason, r.Detail = purser.QuarantineNoPrice, "the price is "+strconv.Quote(t.Cents.String())+" cents, which is no whole number"
	}
	d := deviceOf(t.Description, t.Name)
	if t.Specs.GPUs != nil {
		d.count = *t.Specs.GPUs
	}
	if d.count == 0 {
		return r
	}
	r.Offer.Devices, r.Offer.Accelerator = purser.MilliDevices(d.count*1000), d.model
	if d.model == "" {
		r.AcceleratorName = cmp.Or(d.name, t.Name)
	}
	return r
}

// device is what a text says of a machine's devices.
type device struct {
	count int64
	name  string // as Lambda writes it
	model string // canonical; empty when not known
}

var (
	described  = regexp.MustCompile(`^(\d{1,3})x (.+?) \((\d{1,4}) GB(?: ([A-Za-z0-9]+))?\)`)
	named      = regexp.MustCompile(`^gpu_(\d{1,3})x_([a-z0-9_]+)$`)
	formFactor = regexp.MustCompile(`-(sxm\d*|pcie|n)$`)
)

// deviceOf reads the description, and the type's name where that says nothing.
func deviceOf(description, name string) device {
	if m := described.FindStringSubmatch(description); m != nil {
		count, _ := strconv.ParseInt(m[1], 10, 64) // three digits
		gb, _ := strconv.ParseFloat(m[3], 64)      // four digits
		memory, form := m[3]+"GB", m[4]
		return device{count, strings.TrimPrefix(m[0], m[1]+"x "), known(gb, m[2]+"-"+memory+"-"+form, m[2]+"-"+form+"-"+memory, m[2]+"-"+form, m[2]+"-"+memory, m[2])}
	}
	if m := named.FindStringSubmatch(name); m != nil {
		count, _ := strconv.ParseInt(m[1], 10, 64) // three digits
		full := strings.ReplaceAll(m[2], "_", "-")
		return device{count, full, known(0, full, formFactor.ReplaceAllString(full, ""))}
	}
	return device{}
}

// known is the model that the first of the names means and that has so much memory,
// within a tenth; 0 is any.
func known(gb float64, names ...string) string {
	for _, n := range names {
		if a, ok := purser.AcceleratorNamed(n); ok && (gb == 0 || math.Abs(a.MemoryGiB-gb) <= gb/10) {
			return a.Name
		}
	}
	return ""
}
