package azure

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resourcegraph/armresourcegraph"

	"purser"
	"purser/pricing"
)

const spotSource = "azure-spot"

// Both queries give the id, which pages need, and have an order in which no two rows
// are alike, without which pages repeat and lose rows.
const (
	evictionQuery = "SpotResources" +
		" | where type =~ 'microsoft.compute/skuspotevictionrate/location' and location =~ '%s'" +
		" | project id, skuName = tostring(sku.name), evictionRate = tostring(properties.evictionRate)" +
		" | order by skuName asc, id asc"
	historyQuery = "SpotResources" +
		" | where type =~ 'microsoft.compute/skuspotpricehistory/ostype/location' and location =~ '%s' and properties.osType =~ 'linux'" +
		" | project id, skuName = tostring(sku.name), spotPrices = properties.spotPrices" +
		" | order by skuName asc, id asc"
)

// eviction is a row of the first query, history of the second.
type (
	eviction struct {
		SkuName      string `json:"skuName"`
		EvictionRate string `json:"evictionRate"`
	}
	history struct {
		SkuName    string `json:"skuName"`
		SpotPrices []struct {
			PriceUSD      decimal `json:"priceUSD"`
			EffectiveDate string  `json:"effectiveDate"`
		} `json:"spotPrices"`
	}
)

// spotHistory reads Resource Graph.
type spotHistory struct {
	opt   Options
	graph *armresourcegraph.Client
	sizes catalogue
}

var _ pricing.Collector = (*spotHistory)(nil)

// NewSpotHistory makes the collector of spot prices of the past and of eviction rates.
// Nothing is asked before it collects.
func NewSpotHistory(opt Options) (pricing.Collector, error) {
	const op = "azure.NewSpotHistory"
	opt, err := opt.complete(op)
	if err != nil {
		return nil, err
	}
	if opt.Credential == nil {
		return nil, &purser.Error{Kind: purser.KindUnauthorized, Op: op, Message: "Azure Resource Graph needs a credential", Hint: credentialHint}
	}
	graph, err := armresourcegraph.NewClient(opt.Credential, opt.armOptions())
	if err != nil {
		return nil, purser.Errorf(purser.KindInvalid, op, "the client of Azure Resource Graph cannot be made: %w", err)
	}
	sizes, err := newCatalogue(op, opt)
	if err != nil {
		return nil, err
	}
	return &spotHistory{opt, graph, sizes}, nil
}

// Source is azure-spot.
func (c *spotHistory) Source() string { return spotSource }

// Collect emits a batch without rows for each region. Resource Graph allows 15 queries
// in 5 seconds, so regions are read one after the other.
func (c *spotHistory) Collect(ctx context.Context, emit func(pricing.Batch) error) error {
	now := c.opt.Now().UTC()
	fetch := func(ctx context.Context, region string) (pricing.Batch, error) { return c.batch(ctx, region, now) }
	return eachRegion(ctx, "azure.CollectSpotHistory", c.opt.Regions, 1, fetch, emit)
}

func (c *spotHistory) batch(ctx context.Context, region string, now time.Time) (pricing.Batch, error) {
	b := pricing.Batch{Source: spotSource, Region: region, ObservedAt: now}
	find, err := c.sizes.region(ctx, region, now)
	if err != nil {
		return b, err
	}
	find = find.spotOnly()
	rates, err := query[eviction](ctx, c.graph, fmt.Sprintf(evictionQuery, region))
	if err != nil {
		return b, err
	}
	if b.Signals, err = signals(rates, find, b); err != nil {
		return b, err
	}
	series, err := query[history](ctx, c.graph, fmt.Sprintf(historyQuery, region))
	if err != nil {
		return b, err
	}
	b.Past, err = past(series, find, b)
	return b, err
}

// spotOnly finds only machines that can be had as spot machines and are known whole.
func (f finder) spotOnly() finder {
	return func(size string) (machine, bool) {
		m, ok := f(size)
		return m, ok && m.spot && m.reason == ""
	}
}

// query asks Resource Graph for all rows of a query, over the whole tenant.
func query[row any](ctx context.Context, graph *armresourcegraph.Client, text string) ([]row, error) {
	const op = "azure.ResourceGraph"
	format, most := armresourcegraph.ResultFormatObjectArray, int32(1000)
	request := armresourcegraph.QueryRequest{Query: &text, Options: &armresourcegraph.QueryRequestOptions{ResultFormat: &format, Top: &most}}
	var rows []row
	for seen := map[string]bool{}; ; {
		var resp *http.Response
		if _, err := graph.Resources(policy.WithCaptureResponse(ctx, &resp), request, nil); err != nil {
			return nil, fault(ctx, op, "Microsoft.ResourceGraph/resources/read", err)
		}
		// The SDK has made floats of the prices, so the answer is read again.
		body, err := runtime.Payload(resp)
		if err != nil {
			return nil, fault(ctx, op, "Microsoft.ResourceGraph/resources/read", err)
		}
		var page struct {
			TotalRecords int    `json:"totalRecords"`
			Data         []row  `json:"data"`
			SkipToken    string `json:"$skipToken"`
		}
		if err := json.Unmarshal(body, &page); err != nil {
			return nil, purser.Errorf(purser.KindInvalid, op, "the answer of Azure Resource Graph does not have the form that is expected: %w", err)
		}
		rows = append(rows, page.Data...)
		switch {
		case page.SkipToken == "" && len(rows) < page.TotalRecords:
			return nil, purser.Errorf(purser.KindUnavailable, op, "Azure Resource Graph gives %d of %d rows", len(rows), page.TotalRecords)
		case page.SkipToken == "":
			return rows, nil
		case seen[page.SkipToken]:
			return nil, purser.Errorf(purser.KindInvalid, op, "the pages of Azure Resource Graph do not end")
		}
		seen[page.SkipToken] = true
		request.Options.SkipToken = &page.SkipToken
	}
}

// signals reads the bands of eviction.
func signals(rates []eviction, find finder, b pricing.Batch) ([]purser.Signal, error) {
	var out []purser.Signal
	said, read := "", 0
	for _, r := range rates {
		if r.EvictionRate == "" {
			continue
		}
		low, high, ok := parseBand(r.EvictionRate)
		if !ok {
			said = r.EvictionRate
			continue
		}
		read++
		if m, known := find(r.SkuName); known {
			out = append(out, purser.Signal{
				Provider: provider, Region: b.Region, InstanceType: m.name, Option: purser.Spot, Kind: purser.SignalInterruption,
				Low: low, High: high, Detail: r.EvictionRate + " % evicted per hour, last 28 days", Source: b.Source, ObservedAt: b.ObservedAt,
			})
		}
	}
	if read == 0 && said != "" {
		return nil, purser.Errorf(purser.KindInvalid, "azure.ResourceGraph", "%q is not a band of eviction rates, and no other is in %s", clip(said), b.Region)
	}
	slices.SortStableFunc(out, func(x, y purser.Signal) int { return strings.Compare(x.InstanceType, y.InstanceType) })
	return slices.CompactFunc(out, func(x, y purser.Signal) bool { return x.InstanceType == y.InstanceType }), nil
}

// past reads the prices, by offer and time. Of two from the same time the dearer counts.
func past(series []history, find finder, b pricing.Batch) ([]purser.PastPrice, error) {
	var out []purser.PastPrice
	prices, read := 0, 0
	for _, s := range series {
		m, known := find(s.SkuName)
		for _, p := range s.SpotPrices {
			prices++
			price, err := p.PriceUSD.usd()
			from, ok := parseTime(p.EffectiveDate)
			if err != nil || price <= 0 || price > pricing.MaxPrice || !ok {
				continue
			}
			read++
			if !known || from.After(b.ObservedAt) {
				continue
			}
			for _, zone := range m.zones {
				o := purser.Offer{Provider: provider, Region: b.Region, Zone: zone, InstanceType: m.name, Option: purser.Spot}
				out = append(out, purser.PastPrice{Offer: o.ID(), From: from, UnitPrice: price})
			}
		}
	}
	if prices > 0 && read == 0 {
		return nil, purser.Errorf(purser.KindInvalid, "azure.ResourceGraph", "none of %d spot prices in %s is a price with a time", prices, b.Region)
	}
	slices.SortFunc(out, func(x, y purser.PastPrice) int {
		return cmp.Or(cmp.Compare(x.Offer, y.Offer), x.From.Compare(y.From), cmp.Compare(y.UnitPrice, x.UnitPrice))
	})
	return slices.CompactFunc(out, func(x, y purser.PastPrice) bool { return x.Offer == y.Offer && x.From.Equal(y.From) }), nil
}
