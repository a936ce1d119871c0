package gcp

import (
	"context"
	"fmt"
	"maps"
	"math"
	"math/big"
	"slices"
	"strings"

	billing "cloud.google.com/go/billing/apiv1"
	"cloud.google.com/go/billing/apiv1/billingpb"

	"purser"
)

// The catalogue's services: Compute Engine, which has TPUs from v5e on, and Cloud TPU.
const (
	computeService = "services/6F81-5844-456A"
	tpuService     = "services/E000-3F24-B8AA"
)

// rateKey is a part in a region, bought in one way.
type rateKey struct {
	region string
	part   part
	option purser.PurchaseOption
}

// rates are all prices of parts that are of use.
type rates map[rateKey]rate

// readCatalogue reads the SKUs, tens of thousands, page by page and keeps what is of use.
func readCatalogue(ctx context.Context, opt Options) (rates, error) {
	n := need{op: "gcp.Collect", what: "the price catalogue", api: "cloudbilling.googleapis.com"}
	options, err := connect(ctx, opt, opt.APIKey)
	if err != nil {
		return nil, err
	}
	client, err := billing.NewCloudCatalogRESTClient(ctx, options...)
	if err != nil {
		return nil, n.explain(ctx, err)
	}
	defer client.Close() // closes nothing that could lose anything
	services := []string{computeService}
	if !opt.WithoutTPU {
		services = append(services, tpuService)
	}
	out := rates{}
	for _, service := range services {
		open := func(token string) pager[*billingpb.Sku] {
			return client.ListSkus(ctx, &billingpb.ListSkusRequest{Parent: service, CurrencyCode: "USD", PageSize: 5000, PageToken: token})
		}
		if err := pages(ctx, opt, n, open, func(sku *billingpb.Sku) error { return out.add(opt, sku) }); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (r rates) add(opt Options, sku *billingpb.Sku) error {
	s, ok, err := parseSKU(sku)
	if err != nil || !ok {
		return err
	}
	for _, region := range s.regions {
		if !opt.wanted(region) {
			continue
		}
		k := rateKey{region, s.part, s.option}
		if old, ok := r[k]; !ok || old.less(s.rate) {
			r[k] = s.rate
		}
	}
	return nil
}

// regions are those that something is priced in, sorted.
func (r rates) regions() []string {
	seen := map[string]bool{}
	for k := range r {
		seen[k.region] = true
	}
	return slices.Sorted(maps.Keys(seen))
}

// item is a quantity of a part: so many of each units that a price is for.
type item struct {
	part     part
	quantity int64
	each     int64 // 1; 1024 for memory counted in MiB; 8 for cores of TPU devices
}

// sum is the price of items together.
type sum struct {
	price purser.USDPerHour
	skus  string // that it is made of
	flaw  string // a sentence about a part that costs nothing, which a sum would hide
}

// priceOf adds up items, or gives false where one has no price.
func (r rates) priceOf(region string, option purser.PurchaseOption, items []item) (sum, bool) {
	// Every item's each and every rate's hours divide this.
	const scale = 1024 * purser.HoursPerMonth
	var out sum
	total := new(big.Int)
	skus := make([]string, 0, len(items))
	for _, it := range items {
		rate, ok := r[rateKey{region, it.part, option}]
		if !ok {
			return sum{}, false
		}
		if rate.nano <= 0 {
			out.flaw = fmt.Sprintf("SKU %s, a part of it, costs $%s", rate.sku, purser.USDPerHour(rate.nano).Decimal())
		}
		cost := new(big.Int).Mul(big.NewInt(it.quantity*(scale/(it.each*rate.hours))), big.NewInt(rate.nano))
		total.Add(total, cost)
		skus = append(skus, rate.sku)
	}
	out.price, out.skus = purser.USDPerHour(rounded(total, scale)), strings.Join(skus, "+")
	return out, true
}

// rounded divides half up; what int64 cannot hold becomes its end.
func rounded(total *big.Int, by int64) int64 {
	half := new(big.Int).Add(total, big.NewInt(by/2))
	q, _ := new(big.Int).DivMod(half, big.NewInt(by), new(big.Int)) // Euclidean: the floor, for by > 0
	switch {
	case q.IsInt64():
		return q.Int64()
	case q.Sign() < 0:
		return math.MinInt64
	default:
		return math.MaxInt64
	}
}
