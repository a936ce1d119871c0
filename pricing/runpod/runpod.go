// Package runpod collects prices and stock of RunPod's GPU pods: its own data centres
// (SECURE) and those of its partners (COMMUNITY).
//
// # What it reads
//
// POST /graphql. Prices are public; a key, where given, goes along as a bearer token.
// One query lists the data centres and the countries. Then there is one query for each
// data centre (secure cloud) and one for each country (community cloud, whose machines
// have no other place); each asks for machines of 1, 2, 4 and 8 GPUs of all types.
//
// # What it decides
//
//   - The region is the country, as in the price lists of SkyPilot's catalogue, and a
//     data centre is a zone of it: US and US-KS-2. A pod can be placed in either, so an
//     offer is no wider than where it can start, and residency rules can be kept. There
//     is no region GLOBAL, since nothing in it could be promised. A data centre whose
//     name tells no country is a region of its own.
//   - Instance types are as in that catalogue: 2x_A100-80GB-SXM_SECURE. There the bare
//     A100-80GB and H100 are the PCIe cards.
//   - Prices are per GPU: machine = GPUs × price, on demand securePrice or
//     communityPrice, or what the place's machine costs (uninterruptablePrice) where the
//     list has none. Spot is the least bid that the place takes (minimumBidPrice).
//   - stockStatus null is no stock: no offer. High, Medium and Low are signals that a
//     machine can be had with 0.9–1, 0.5–0.9 and 0.1–0.5; the figures are Purser's, since
//     RunPod gives none. Another status is an offer without a signal.
//   - vCPUs and memory are minVcpu and minMemory, what the place's machine has at least.
//
// # Failures
//
// GraphQL says its errors with HTTP 200; an answer with any is a fault and never an
// empty list. A country that fails in any part is left out and named at the end;
// refusals end the collection at once. A list without types is invalid. The rest is
// package feed's, which does not repeat what GraphQL refused with a 200.
package runpod

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"purser"
	"purser/pricing"
	"purser/pricing/feed"
)

// DefaultURL is where RunPod's public API is.
const DefaultURL = "https://api.runpod.io/graphql"

const (
	source = "runpod"
	op     = "runpod.Collect"
	// atOnce is how many queries are under way at a time.
	atOnce = 4
)

// Options says how RunPod is asked.
type Options struct {
	URL    string           // of the GraphQL API. Defaults to DefaultURL
	Key    string           // API key; may be empty, since prices are public
	Client *feed.Client     // Defaults to one with feed's defaults
	Now    func() time.Time // Defaults to time.Now
}

type collector struct{ opt Options }

// New gives the collector of RunPod's prices.
func New(opt Options) pricing.Collector {
	opt.URL = cmp.Or(opt.URL, DefaultURL)
	if opt.Client == nil {
		opt.Client = &feed.Client{}
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	return &collector{opt}
}

// Source is runpod.
func (*collector) Source() string { return source }

// place is what one query asks for: a data centre's secure cloud, or a country's
// community cloud.
type place struct{ region, country, dataCenter string }

// part is what became of one query.
type part struct {
	types []gpuType
	err   error
}

// Collect asks for all places and emits a batch for each country.
func (c *collector) Collect(ctx context.Context, emit func(pricing.Batch) error) error {
	observed := c.opt.Now().UTC()
	places, err := c.places(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	parts := make([]chan part, len(places))
	free := make(chan struct{}, atOnce)
	for i, p := range places {
		parts[i] = make(chan part, 1)
		wg.Go(func() {
			free <- struct{}{}
			defer func() { <-free }()
			types, err := c.prices(ctx, p)
			parts[i] <- part{types, err}
		})
	}
	var failed []error
	for i := 0; i < len(places); {
		region := places[i].region
		b := pricing.Batch{Source: source, Region: region, ObservedAt: observed}
		var bad error
		for ; i < len(places) && places[i].region == region; i++ {
			got := <-parts[i]
			bad = cmp.Or(bad, got.err)
			fill(&b, places[i], got.types, c.opt.URL)
		}
		switch kind := purser.KindOf(bad); {
		case ctx.Err() != nil:
			return purser.Wrap(purser.KindUnavailable, op, ctx.Err())
		case bad == nil:
			if err := emit(b); err != nil {
				return err
			}
		case kind == purser.KindUnauthorized || kind == purser.KindForbidden:
			return bad
		default:
			failed = append(failed, fmt.Errorf("%s: %w", region, bad))
		}
	}
	return purser.Wrap(purser.KindUnavailable, op, errors.Join(failed...))
}

const placesQuery = `query { countryCodes dataCenters { id listed } }`

// places lists what is to be asked, by region.
func (c *collector) places(ctx context.Context) ([]place, error) {
	var answer struct {
		Countries   []*string `json:"countryCodes"`
		DataCenters []struct {
			ID     string `json:"id"`
			Listed *bool  `json:"listed"`
		} `json:"dataCenters"`
	}
	if err := c.ask(ctx, placesQuery, nil, &answer); err != nil {
		return nil, err
	}
	var places []place
	for _, code := range answer.Countries {
		if code != nil && *code != "" {
			places = append(places, place{region: *code, country: *code})
		}
	}
	for _, d := range answer.DataCenters {
		if d.ID != "" && (d.Listed == nil || *d.Listed) {
			places = append(places, place{region: cmp.Or(pricing.Country(source, d.ID), d.ID), dataCenter: d.ID})
		}
	}
	// Without one of the lists, all offers of one of the clouds would look gone.
	if answer.Countries == nil || answer.DataCenters == nil || len(places) == 0 {
		return nil, purser.Errorf(purser.KindInvalid, op, "%s does not list its countries and data centres", c.opt.URL)
	}
	slices.SortFunc(places, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.region, b.region), cmp.Compare(a.dataCenter, b.dataCenter))
	})
	return slices.Compact(places), nil
}

// gpuType is one type of GPU in one place.
type gpuType struct {
	ID        string      `json:"id"`
	Name      string      `json:"displayName"`
	GB        json.Number `json:"memoryInGb"`
	Secure    json.Number `json:"securePrice"`
	Community json.Number `json:"communityPrice"`
	Of1       *lowest     `json:"of1"`
	Of2       *lowest     `json:"of2"`
	Of4       *lowest     `json:"of4"`
	Of8       *lowest     `json:"of8"`
}

// lowest is the cheapest machine of a place with a number of GPUs; prices are per GPU.
type lowest struct {
	Stock    *string     `json:"stockStatus"`
	OnDemand json.Number `json:"uninterruptablePrice"`
	Spot     json.Number `json:"minimumBidPrice"`
	VCPUs    int64       `json:"minVcpu"`
	GB       int64       `json:"minMemory"`
}

const pricesQuery = `query ($of1: GpuLowestPriceInput, $of2: GpuLowestPriceInput, $of4: GpuLowestPriceInput, $of8: GpuLowestPriceInput) {
  gpuTypes { id displayName memoryInGb securePrice communityPrice
    of1: lowestPrice(input: $of1) { ...machine } of2: lowestPrice(input: $of2) { ...machine }
    of4: lowestPrice(input: $of4) { ...machine } of8: lowestPrice(input: $of8) { ...machine } } }
fragment machine on LowestPrice { stockStatus uninterruptablePrice minimumBidPrice minVcpu minMemory }`

func (c *collector) prices(ctx context.Context, p place) ([]gpuType, error) {
	variables := map[string]any{}
	for _, n := range []int{1, 2, 4, 8} {
		in := map[string]any{"gpuCount": n, "secureCloud": p.dataCenter != ""}
		if p.dataCenter != "" {
			in["dataCenterId"] = p.dataCenter
		} else {
			in["countryCode"] = p.country
		}
		variables["of"+strconv.Itoa(n)] = in
	}
	var answer struct {
		Types []gpuType `json:"gpuTypes"`
	}
	if err := c.ask(ctx, pricesQuery, variables, &answer); err != nil {
		return nil, err
	}
	if len(answer.Types) == 0 {
		return nil, purser.Errorf(purser.KindInvalid, op, "%s lists no type of GPU at all", c.opt.URL)
	}
	return answer.Types, nil
}

// fill adds the rows and signals of a place, as the API at an address said them.
func fill(b *pricing.Batch, p place, types []gpuType, at string) {
	slices.SortFunc(types, func(x, y gpuType) int { return cmp.Compare(x.ID, y.ID) })
	for _, t := range types {
		list, cloud := t.Community, "COMMUNITY"
		if p.dataCenter != "" {
			list, cloud = t.Secure, "SECURE"
		}
		for _, of := range []struct {
			gpus    int64
			machine *lowest
		}{{1, t.Of1}, {2, t.Of2}, {4, t.Of4}, {8, t.Of8}} {
			if m := of.machine; m != nil && m.Stock != nil && *m.Stock != "" {
				row := t.row(of.gpus, cloud, *m)
				row.Place = at + "#" + t.ID
				row.Offer.Region, row.Offer.Zone, row.Offer.ObservedAt = b.Region, p.dataCenter, b.ObservedAt
				add(b, row, purser.OnDemand, cmp.Or(list, m.OnDemand), of.gpus, *m.Stock)
				add(b, row, purser.Spot, m.Spot, of.gpus, *m.Stock)
			}
		}
	}
}
