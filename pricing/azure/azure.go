// Package azure collects the prices of Azure's virtual machines, and what Azure says
// of spot machines beside their price.
//
// # Sources
//
// New, source azure, reads two APIs, region by region:
//
//   - the Retail Prices API, which asks for no credentials: what a machine of a size
//     costs an hour with Linux, on demand and spot, in a whole region;
//   - with a credential and a subscription the Resource SKUs API: which sizes the
//     subscription may have in the region, in which of its zones, whether as spot
//     machines, and their vCPUs and memory. Offers are then per zone. Without them the
//     tables of this package say what a size is (accelerated.go, general.go); offers
//     are then regional (no zone) and may be closed to the caller.
//
// NewSpotHistory, source azure-spot, reads Azure Resource Graph, which needs a
// credential: spot prices of the last 90 days as Past and eviction rates as Signals,
// no rows. Azure's spot price is the region's. Given the same Options, its Past has
// the offer ids of New: one for each zone where the subscription's zones are known.
//
// # Formulas
//
//   - Price: the retail price of a row as the API writes it, digit by digit.
//   - Interruption: Resource Graph says in bands, "5-10", per cent of machines evicted
//     in an hour over the last 28 days. A share p lost per hour is a hazard of
//     -ln(1-p) per hour. "20+" ends at 50 %: above it a machine lives for less than an
//     hour and a half on average, and how much less makes no difference.
//   - Devices below one: thousandths, rounded down (a sixth is 166); device memory is
//     of the whole device.
//
// # What is decided
//
//   - A price is in force from its start until a day after its end, since ends are
//     written as the last day. Of several in force the one of the meter's primary
//     region counts, then the newest, then the dearest. What begins later is no price yet.
//   - Wrong credentials end the call. Prices alone would be there without them, but
//     would hide that sizes and zones are closed to the subscription.
//   - The SKUs say vCPUs, memory and temporary disk; which devices a size has, and how
//     many, is always the table's to say, since the API names none and miscounts some.
//     vCPUs are those that can be used: Standard_E64-16s_v5 has 16.
//   - An accelerated size (Standard_N…, or one with GPUs by its SKU) that the table
//     lacks is a row with reason incomplete. Without SKUs other unknown sizes, among
//     them those with constrained vCPUs, are left out, and so are sizes past the date
//     of their retirement: the price list keeps them.
//   - Resource Graph writes sizes in lower case. They are given their real names by the
//     SKUs, or else by the tables; a size that neither knows is left out.
//   - Past prices and bands that make no sense are left out one by one, but if none of
//     a region makes sense its form is taken for broken.
//
// # Failures
//
// unauthorized: no credential, or one that Azure does not accept. forbidden: the
// permission Microsoft.Compute/skus/read on the subscription, or
// Microsoft.ResourceGraph/resources/read, is missing. Both end the call at once. A
// region that is throttled, unavailable, invalid (a form that is not expected; a clock
// of ours so slow that no price has begun) or not_found (no machines at all: a list
// that is empty is not believed) is left out, and the error names it.
//
// # Traps
//
// Azure's clients refuse plain HTTP, so an endpoint without TLS is refused by New. The
// price API's filter compares values with their case. It gives reservations the price of
// the whole term with the unit "1 Hour": only consumption counts. Pages are by number
// of rows skipped, so a list that changes meanwhile may lose a row until the next
// collection. Zones are numbered for each subscription anew: zone 1 of two
// subscriptions may be different buildings.
package azure

import (
	"context"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"

	"purser"
	"purser/pricing"
	"purser/pricing/feed"
)

const provider = "azure"

// Options says what to ask and how.
type Options struct {
	// Regions are asked, by names such as eastus. Defaults to DefaultRegions.
	Regions []string
	// Credential and Subscription belong together. New may do without them.
	// NewSpotHistory needs the credential, and the subscription to know its zones.
	Credential   azcore.TokenCredential
	Subscription string // the subscription's id

	PriceURL string       // of the Retail Prices API. Defaults to the public one.
	Prices   *feed.Client // asks it. Defaults to five requests a second.
	// ARM are the settings of the SDK's clients: cloud, transport, retries. A try that
	// takes more than 60 s is given up, and a pause above 30 s is not waited for, unless
	// it says otherwise.
	ARM arm.ClientOptions
	Now func() time.Time // Defaults to time.Now.
}

// DefaultRegions are the regions of the public cloud that anyone may use and whose
// machines are on the price list. Regions that Microsoft opens on request only (such
// as francesouth or norwaywest) can be named in Options.
func DefaultRegions() []string {
	return strings.Fields(`
		australiacentral australiaeast australiasoutheast austriaeast belgiumcentral brazilsouth canadacentral canadaeast
		centralindia centralus chilecentral eastasia eastus eastus2 francecentral germanywestcentral indonesiacentral
		israelcentral italynorth japaneast japanwest koreacentral koreasouth malaysiawest mexicocentral newzealandnorth
		northcentralus northeurope norwayeast polandcentral qatarcentral southafricanorth southcentralus southeastasia
		southindia spaincentral swedencentral switzerlandnorth uaenorth uksouth ukwest westcentralus westeurope westus
		westus2 westus3`)
}

var regionForm = regexp.MustCompile(`^[a-z0-9]{3,40}$`)

// complete fills the defaults and checks what can be checked without asking.
func (o Options) complete(op string) (Options, error) {
	bad := func(kind purser.Kind, message, hint string) (Options, error) {
		return o, &purser.Error{Kind: kind, Op: op, Message: message, Hint: hint}
	}
	if len(o.Regions) == 0 {
		o.Regions = DefaultRegions()
	}
	o.Regions = slices.Clone(o.Regions)
	slices.Sort(o.Regions)
	o.Regions = slices.Compact(o.Regions)
	for _, r := range o.Regions {
		if !regionForm.MatchString(r) {
			return bad(purser.KindInvalid, "a region of Azure is not written like this: "+r, "write it like eastus")
		}
	}
	if o.Subscription != "" && o.Credential == nil {
		return bad(purser.KindUnauthorized, "there is a subscription of Azure and no credential", credentialHint)
	}
	if rm, ok := o.ARM.Cloud.Services[cloud.ResourceManager]; ok && !o.ARM.InsecureAllowCredentialWithHTTP && !strings.HasPrefix(rm.Endpoint, "https://") {
		return bad(purser.KindInvalid, "credentials of Azure are not sent without TLS", "the endpoint of the resource manager must begin with https://")
	}
	if o.PriceURL == "" {
		o.PriceURL = "https://prices.azure.com/api/retail/prices"
	}
	if u, err := url.Parse(o.PriceURL); err != nil || u.Host == "" || u.RawQuery != "" {
		return bad(purser.KindInvalid, "the address of the price API is none", "write it like https://prices.azure.com/api/retail/prices")
	}
	if o.Prices == nil {
		o.Prices = &feed.Client{Every: 200 * time.Millisecond, Pause: 3 * time.Second}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o, nil
}

// collector reads prices.
type collector struct {
	opt   Options
	list  retail
	sizes catalogue
}

var _ pricing.Collector = (*collector)(nil)

// New makes the collector of prices. Nothing is asked before it collects.
func New(opt Options) (pricing.Collector, error) {
	const op = "azure.New"
	opt, err := opt.complete(op)
	if err != nil {
		return nil, err
	}
	if opt.Credential != nil && opt.Subscription == "" {
		return nil, &purser.Error{
			Kind: purser.KindInvalid, Op: op, Message: "there is a credential of Azure and no subscription",
			Hint: "give the subscription's id; its sizes and zones are read",
		}
	}
	sizes, err := newCatalogue(op, opt)
	if err != nil {
		return nil, err
	}
	return &collector{opt, retail{opt.Prices, opt.PriceURL}, sizes}, nil
}

// Source is azure.
func (c *collector) Source() string { return provider }

// Collect emits a batch of offers for each region.
func (c *collector) Collect(ctx context.Context, emit func(pricing.Batch) error) error {
	now := c.opt.Now().UTC()
	fetch := func(ctx context.Context, region string) (pricing.Batch, error) { return c.batch(ctx, region, now) }
	return eachRegion(ctx, "azure.Collect", c.opt.Regions, 4, fetch, emit)
}

func (c *collector) batch(ctx context.Context, region string, now time.Time) (pricing.Batch, error) {
	b := pricing.Batch{Source: provider, Region: region, ObservedAt: now}
	find, err := c.sizes.region(ctx, region, now)
	if err != nil {
		return b, err
	}
	quotes, err := c.list.region(ctx, region, now)
	if err != nil {
		return b, err
	}
	for _, q := range quotes {
		m, ok := find(q.size)
		if !ok || q.option == purser.Spot && !m.spot {
			continue
		}
		for _, zone := range m.zones {
			b.Rows = append(b.Rows, c.row(b, q, m, zone))
		}
	}
	return b, nil
}

// row makes the row of a price for a machine in a zone.
func (c *collector) row(b pricing.Batch, q quote, m machine, zone string) pricing.Row {
	row := pricing.Row{
		Offer: purser.Offer{
			Provider: provider, Region: b.Region, Zone: zone, InstanceType: m.name, Option: q.option,
			Shape: m.shape, Limit: purser.Unlimited, ValidFrom: q.from, ObservedAt: b.ObservedAt, Source: b.Source,
		},
		Place: c.list.url + "#" + q.meter, Reason: m.reason, Detail: m.detail,
	}
	if m.shape.Accelerator == "" {
		row.AcceleratorName = m.device
	}
	price, err := q.price.usd()
	if err != nil && row.Reason == "" {
		row.Reason, row.Detail = purser.QuarantineNoPrice, err.Error()
	}
	row.Offer.UnitPrice = price
	return row
}
