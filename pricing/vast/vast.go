// Package vast collects the market of Vast.ai, where hosts rent out single machines
// each at a price of its own.
//
// # What it reads
//
// POST /bundles/ with a filter: verified hosts of Vast's own platform that can be rented
// now with the disk that is wanted, whole machines and parts of them (an ask each),
// cheapest first. There are no
// pages, so up to 10,000 asks are asked for at once; a full answer may have been cut,
// and is refused. One answer is one batch.
//
// # What it decides
//
//   - Asks come and go by the minute, so an offer is a group of them: all of one device,
//     number of devices, country, and class of vCPUs and memory, where a class is the
//     largest power of two that the machine has at least. Its instance type says just
//     that (2x_RTX-4090_16c_64g), so that it is the same from one collection to the next,
//     and every machine of the group has what the offer promises. The region is the
//     country; where a host tells none it is ZZ, without a country.
//   - A host counts once in a group, at its dearest ask there: its asks overlap, since
//     the same devices are offered one by one and together. For the same reason the
//     limits of groups of different size are not to be added up. Of n hosts by price, the
//     price is the k-th with k = ⌈n/2⌉, the lower median, and the limit is the number of
//     hosts at up to that price (at least k). So whoever takes no more than the limit
//     pays no more than the price.
//   - What is billed is the machine and its disk:
//     price = dph_base + DiskGB × storage_cost / 720 h, rounded up to a nano-USD, and the
//     same with min_bid for spot, the least bid that holds the machine. The disk is part
//     of the offer. Traffic is billed by the gigabyte and not in the price.
//   - cpu_cores_effective is the ask's part of the host's vCPUs; memory is the same part
//     of cpu_ram, which is the host's.
//   - An ask that is not what the filter asked for is left out. One whose price makes no
//     sense (0, negative, no number) is a row of its own for the quarantine, one for each
//     group and option, and no part of the median.
//
// # Failures
//
// An answer without any ask that was asked for is invalid: the market is never empty, and
// an empty batch would say that all offers are gone. A key that is refused is
// unauthorized or forbidden. Vast.ai's documentation wants one, while its search has
// been answering without. The rest is package feed's.
package vast

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"purser"
	"purser/pricing"
	"purser/pricing/feed"
)

// DefaultURL is where Vast.ai's public API is.
const DefaultURL = "https://console.vast.ai/api/v0"

const (
	source = "vast"
	op     = "vast.Collect"
	keyFix = "make an API key in Vast.ai's account page, with the permission misc, and give it to the source as its key, or give none"
	// most is how many asks one answer may have.
	most = 10_000
)

// Options says how Vast.ai is asked.
type Options struct {
	URL        string           // base of the API. Defaults to DefaultURL
	Key        string           // API key; may be empty
	Unverified bool             // take hosts that Vast.ai has not verified too
	DiskGB     int64            // disk that every machine is rented with. Defaults to 50
	Client     *feed.Client     // Defaults to one with feed's defaults
	Now        func() time.Time // Defaults to time.Now
}

type collector struct{ opt Options }

// New gives the collector of Vast.ai's market.
func New(opt Options) pricing.Collector {
	opt.URL = strings.TrimSuffix(cmp.Or(opt.URL, DefaultURL), "/")
	if opt.DiskGB <= 0 {
		opt.DiskGB = 50
	}
	if opt.Client == nil {
		opt.Client = &feed.Client{}
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	return &collector{opt}
}

// Source is vast.
func (*collector) Source() string { return source }

// ask is one thing that can be rented, as the API says it.
type ask struct {
	ID           int64       `json:"id"`
	Machine      int64       `json:"machine_id"`
	GPU          string      `json:"gpu_name"`
	GPUs         int64       `json:"num_gpus"`
	GPUMiB       float64     `json:"gpu_ram"` // of one
	Cores        float64     `json:"cpu_cores_effective"`
	HostCores    float64     `json:"cpu_cores"`
	HostMB       float64     `json:"cpu_ram"`
	DiskGB       float64     `json:"disk_space"`
	Base         json.Number `json:"dph_base"`
	MinBid       json.Number `json:"min_bid"`
	Storage      json.Number `json:"storage_cost"` // USD a GB-month
	Place        string      `json:"geolocation"`
	Verification string      `json:"verification"`
	Rentable     *bool       `json:"rentable"`
	Rented       *bool       `json:"rented"`
	External     *bool       `json:"external"`
}

// Collect asks once and emits everything as one batch.
func (c *collector) Collect(ctx context.Context, emit func(pricing.Batch) error) error {
	at := c.opt.URL + "/bundles/"
	observed := c.opt.Now().UTC()
	asks, err := c.asks(ctx, at)
	if err != nil {
		return err
	}
	rows := c.rows(asks, at, observed)
	if err := ctx.Err(); err != nil {
		return purser.Wrap(purser.KindUnavailable, op, err)
	}
	return emit(pricing.Batch{Source: source, ObservedAt: observed, Rows: rows})
}

func (c *collector) asks(ctx context.Context, at string) ([]ask, error) {
	is := func(v any) map[string]any { return map[string]any{"eq": v} }
	filter := map[string]any{
		"external": is(false), "rentable": is(true), "rented": is(false), "num_gpus": map[string]any{"gte": 1}, "disk_space": map[string]any{"gte": c.opt.DiskGB},
		"type": "on-demand", "order": [][]string{{"dph_total", "asc"}}, "limit": most,
		"disable_bundling": true, "allocated_storage": c.opt.DiskGB,
	}
	if !c.opt.Unverified {
		filter["verified"] = is(true)
	}
	body, err := json.Marshal(filter)
	if err != nil {
		return nil, purser.Wrap(purser.KindInternal, op, err)
	}
	var answer struct {
		Asks []ask `json:"offers"`
	}
	err = c.opt.Client.JSON(ctx, op, func(ctx context.Context) (*http.Request, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, at, bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		req.Header.Set("Content-Type", "application/json")
		if c.opt.Key != "" {
			req.Header.Set("Authorization", "Bearer "+c.opt.Key)
		}
		return req, nil
	}, &answer)
	switch {
	case err != nil:
		return nil, withHint(err)
	case len(answer.Asks) >= most:
		return nil, purser.Errorf(purser.KindInvalid, op, "%s answers with %d asks, as many as were asked for: some may be missing", at, len(answer.Asks))
	}
	asks := slices.DeleteFunc(answer.Asks, func(a ask) bool { return !c.wanted(a) })
	if len(asks) == 0 {
		return nil, purser.Errorf(purser.KindInvalid, op, "%s has nothing to rent at all of what was asked for", at)
	}
	return asks, nil
}

// withHint adds what to do about a key that is refused.
func withHint(err error) error {
	e, ok := errors.AsType[*purser.Error](err)
	if !ok || (e.Kind != purser.KindUnauthorized && e.Kind != purser.KindForbidden) {
		return err
	}
	return &purser.Error{Kind: e.Kind, Op: op, Message: e.Message, Hint: keyFix, Cause: e.Cause}
}

// wanted says whether an ask is what the filter asked for. A field that is not there is
// no reason to doubt it.
func (c *collector) wanted(a ask) bool {
	not := func(v *bool, want bool) bool { return v != nil && *v != want }
	verified := c.opt.Unverified || a.Verification == "" || a.Verification == "verified"
	return verified && !not(a.Rentable, true) && !not(a.Rented, false) && !not(a.External, false) && a.DiskGB >= float64(c.opt.DiskGB)
}
