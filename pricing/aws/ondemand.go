package aws

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	awspricing "github.com/aws/aws-sdk-go-v2/service/pricing"
	"github.com/aws/aws-sdk-go-v2/service/pricing/types"

	"purser"
	"purser/pricing"
)

const opOnDemand = "aws.OnDemand"

// onDemand reads on-demand prices for zones.
type onDemand struct{ api api }

// NewOnDemand gives a collector of on-demand prices by zone, which asks with the
// credentials of opt.Config. It fails when the options are wrong.
func NewOnDemand(opt Options) (pricing.Collector, error) {
	opt, err := opt.complete("aws.NewOnDemand")
	if err != nil {
		return nil, err
	}
	return &onDemand{newAPI(opt)}, nil
}

// Source is SourceOnDemand.
func (*onDemand) Source() string { return SourceOnDemand }

// Collect emits a batch for each region.
func (c *onDemand) Collect(ctx context.Context, emit func(pricing.Batch) error) error {
	if err := c.api.signedIn(ctx, opOnDemand); err != nil {
		return err
	}
	now := c.api.opt.Now().UTC()
	regions, err := c.api.regions(ctx, opOnDemand)
	if err != nil {
		return err
	}
	fetch := func(ctx context.Context, region string) (pricing.Batch, error) { return c.region(ctx, region, now) }
	return batches(ctx, opOnDemand, regions, fetch, emit)
}

// batches emits what fetch gives of each region, and tells at the end what failed.
func batches(ctx context.Context, op string, regions []string, fetch func(context.Context, string) (pricing.Batch, error), emit func(pricing.Batch) error) error {
	failed := failures{op: op, total: len(regions)}
	if err := emitAll(ctx, &failed, regions, fetch, emit); err != nil {
		return err
	}
	return failed.err()
}

func emitAll(ctx context.Context, failed *failures, regions []string, fetch func(context.Context, string) (pricing.Batch, error), emit func(pricing.Batch) error) error {
	return inOrder(ctx, failed.op, regions, fetch, func(region string, b pricing.Batch, err error) error {
		if err != nil {
			return failed.add(region, err)
		}
		failed.good++
		return emit(b)
	})
}

func (c *onDemand) region(ctx context.Context, region string, now time.Time) (pricing.Batch, error) {
	b := pricing.Batch{Source: SourceOnDemand, Region: region, ObservedAt: now}
	var prices []price
	for _, bare := range []bool{false, true} {
		more, err := c.prices(ctx, region, bare)
		if err != nil {
			return b, err
		}
		prices = append(prices, more...)
	}
	offered, err := c.api.machines(ctx, opOnDemand, region)
	if err != nil {
		return b, err
	}
	slices.SortFunc(prices, price.compare)
	for _, p := range prices {
		m := offered.types[p.instanceType]
		if !m.onDemand {
			continue
		}
		for _, zone := range offered.zones[p.instanceType] {
			if !zoneForm.MatchString(zone) {
				continue
			}
			r := m.row(purser.Offer{
				Region: region, Zone: zone, InstanceType: p.instanceType, Option: purser.OnDemand, Source: SourceOnDemand, ObservedAt: now,
			}, "pricing:GetProducts "+region+" sku "+p.sku)
			b.Rows = append(b.Rows, p.fill(r))
		}
	}
	return b, nil
}

// prices asks the price list for the machines of a region with Linux, shared ones
// or bare metal, without software or reservation.
func (c *onDemand) prices(ctx context.Context, region string, bare bool) ([]price, error) {
	tenancy, product := "Shared", "Compute Instance"
	if bare {
		tenancy, product = "Dedicated", "Compute Instance (bare metal)"
	}
	is := func(field, value string) types.Filter {
		return types.Filter{Field: awssdk.String(field), Type: types.FilterTypeTermMatch, Value: awssdk.String(value)}
	}
	pages := awspricing.NewGetProductsPaginator(c.api.prices(), &awspricing.GetProductsInput{
		ServiceCode: awssdk.String("AmazonEC2"), MaxResults: awssdk.Int32(100),
		Filters: []types.Filter{
			is("regionCode", region), is("operatingSystem", "Linux"), is("preInstalledSw", "NA"), is("tenancy", tenancy),
			is("capacitystatus", "Used"), is("marketoption", "OnDemand"), is("productFamily", product),
		},
	})
	var prices []price
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, call{opOnDemand, "pricing:GetProducts", c.api.opt.PricingRegion}.failed(ctx, err)
		}
		for _, text := range page.PriceList {
			more, err := parseProduct(text, region)
			if err != nil {
				return nil, err
			}
			prices = append(prices, more...)
		}
	}
	return prices, nil
}

// product is an entry of the price list, as far as it is read. The keys of terms
// and dimensions mean nothing.
type product struct {
	Product struct {
		SKU        string `json:"sku"`
		Attributes struct {
			InstanceType string `json:"instanceType"`
			RegionCode   string `json:"regionCode"`
		} `json:"attributes"`
	} `json:"product"`
	Terms struct {
		OnDemand map[string]struct {
			PriceDimensions map[string]struct {
				Unit         string            `json:"unit"`
				PricePerUnit map[string]string `json:"pricePerUnit"`
			} `json:"priceDimensions"`
		} `json:"OnDemand"`
	} `json:"terms"`
}

// parseProduct gives the prices per hour of an entry: none when it has no
// on-demand terms, as machines sold only in capacity blocks.
func parseProduct(text, region string) ([]price, error) {
	var p product
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return nil, purser.Errorf(purser.KindInvalid, opOnDemand, "a product of pricing:GetProducts does not have the form that is expected: %w", err)
	}
	if p.Product.Attributes.RegionCode != region {
		return nil, nil
	}
	var prices []price
	for _, term := range slices.Sorted(maps.Keys(p.Terms.OnDemand)) {
		dimensions := p.Terms.OnDemand[term].PriceDimensions
		for _, key := range slices.Sorted(maps.Keys(dimensions)) {
			if d := dimensions[key]; d.Unit == perHour {
				usd, ok := d.PricePerUnit["USD"]
				prices = append(prices, price{p.Product.Attributes.InstanceType, p.Product.SKU, usd, ok})
			}
		}
	}
	return prices, nil
}
