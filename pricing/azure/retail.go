package azure

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"purser"
	"purser/pricing/feed"
)

// retail asks the Retail Prices API.
type retail struct {
	client *feed.Client
	url    string
}

// page is one page of the list.
type page struct {
	Items        []item
	NextPageLink string
}

// item is one price of the list, as far as it is read.
type item struct {
	CurrencyCode         string  `json:"currencyCode"`
	TierMinimumUnits     decimal `json:"tierMinimumUnits"`
	RetailPrice          decimal `json:"retailPrice"`
	ArmRegionName        string  `json:"armRegionName"`
	EffectiveStartDate   string  `json:"effectiveStartDate"`
	EffectiveEndDate     string  `json:"effectiveEndDate"`
	MeterID              string  `json:"meterId"`
	MeterName            string  `json:"meterName"`
	ProductName          string  `json:"productName"`
	SkuName              string  `json:"skuName"`
	ServiceName          string  `json:"serviceName"`
	UnitOfMeasure        string  `json:"unitOfMeasure"`
	Type                 string  `json:"type"`
	IsPrimaryMeterRegion bool    `json:"isPrimaryMeterRegion"`
	ArmSkuName           string  `json:"armSkuName"`
	ReservationTerm      string  `json:"reservationTerm"`
}

// quote is the price of a size under an option.
type quote struct {
	size    string // as the list writes it
	option  purser.PurchaseOption
	price   decimal
	from    time.Time // zero where it is not known
	primary bool
	meter   string
}

const (
	serviceName = "Virtual Machines"
	consumption = "Consumption"
	// maxPages is far above the dozen pages of a large region.
	maxPages = 1000
)

// region gives the prices in force, one for each size and option, by size and option.
func (r retail) region(ctx context.Context, region string, now time.Time) ([]quote, error) {
	const op = "azure.Prices"
	best := map[[2]string]quote{}
	sold := false
	err := r.pages(ctx, op, r.first(region), func(p page) {
		for _, it := range p.Items {
			if !it.machine(region) {
				continue
			}
			sold = true
			q, ok := it.quote(now)
			k := [2]string{strings.ToLower(q.size), string(q.option)}
			if old, found := best[k]; ok && (!found || q.before(old)) {
				best[k] = q
			}
		}
	})
	switch {
	case err != nil:
		return nil, err
	case !sold:
		return nil, &purser.Error{
			Kind: purser.KindNotFound, Op: op, Message: "the price list has no virtual machines in " + region,
			Hint: "is it a region of the public cloud?",
		}
	case len(best) == 0:
		return nil, &purser.Error{
			Kind: purser.KindInvalid, Op: op, Message: "no price of " + region + " is in force on " + now.Format("2006-01-02"),
			Hint: "is this machine's clock right?",
		}
	}
	quotes := make([]quote, 0, len(best))
	for _, q := range best {
		quotes = append(quotes, q)
	}
	slices.SortFunc(quotes, func(a, b quote) int {
		return cmp.Or(strings.Compare(strings.ToLower(a.size), strings.ToLower(b.size)), cmp.Compare(a.option, b.option))
	})
	return quotes, nil
}

// first is the address of a region's first page. The filter compares values with
// their case, and its field is called priceType where the answer says type.
func (r retail) first(region string) string {
	v := url.Values{}
	v.Set("api-version", "2023-01-01-preview")
	v.Set("currencyCode", "'USD'")
	v.Set("$filter", fmt.Sprintf("serviceName eq '%s' and priceType eq '%s' and armRegionName eq '%s'", serviceName, consumption, region))
	return r.url + "?" + strings.ReplaceAll(v.Encode(), "+", "%20")
}

// pages gives every page from an address on.
func (r retail) pages(ctx context.Context, op, address string, each func(page)) error {
	seen := map[string]bool{}
	for address != "" {
		if seen[address] || len(seen) >= maxPages {
			return purser.Errorf(purser.KindInvalid, op, "the pages of the price list do not end")
		}
		seen[address] = true
		var p page
		if err := r.client.JSON(ctx, op, feed.Get(address), &p); err != nil {
			return err
		}
		each(p)
		if p.NextPageLink == "" {
			return nil
		}
		next, err := r.follow(p.NextPageLink)
		if err != nil {
			return err
		}
		address = next
	}
	return nil
}

// follow checks that a link stays with the API; it names the port that the address
// leaves out, and may have spaces in its filter.
func (r retail) follow(link string) (string, error) {
	const op = "azure.Prices"
	here, err := url.Parse(r.url)
	if err != nil {
		return "", purser.Errorf(purser.KindInternal, op, "the address of the price API: %w", err)
	}
	next, err := url.Parse(strings.ReplaceAll(link, " ", "%20"))
	if err != nil || next.Scheme != here.Scheme || next.Hostname() != here.Hostname() {
		return "", purser.Errorf(purser.KindInvalid, op, "the price list's next page is not at %s", here.Hostname())
	}
	return next.String(), nil
}

// machine says whether the price is of a machine with Linux, by the hour, in the region.
func (it item) machine(region string) bool {
	switch {
	case it.Type != consumption, it.ReservationTerm != "", it.UnitOfMeasure != "1 Hour", it.ServiceName != serviceName,
		it.CurrencyCode != "USD", it.ArmRegionName != region, it.ArmSkuName == "", !it.TierMinimumUnits.zero(),
		strings.HasSuffix(it.SkuName, " Low Priority"), strings.HasSuffix(it.MeterName, " Low Priority"):
		return false
	}
	for _, word := range strings.Fields(it.ProductName) {
		switch word {
		case "Windows", "Win", "Dedicated", "CloudServices":
			return false
		}
	}
	return !strings.Contains(it.ProductName, "Cloud Services")
}

// quote reads the price, unless it is not in force.
func (it item) quote(now time.Time) (quote, bool) {
	q := quote{size: it.ArmSkuName, option: purser.OnDemand, price: it.RetailPrice, primary: it.IsPrimaryMeterRegion, meter: it.MeterID}
	if strings.HasSuffix(it.SkuName, " Spot") || strings.HasSuffix(it.MeterName, " Spot") {
		q.option = purser.Spot
	}
	from, ok := parseTime(it.EffectiveStartDate)
	if ok {
		q.from = from
	}
	if q.from.After(now) {
		return q, false
	}
	// An end is written as the last day, at its beginning or its end. Some windows end
	// before they begin, with a price that never was.
	end, ends := parseTime(it.EffectiveEndDate)
	return q, !ends || !end.Before(q.from) && now.Before(end.Add(24*time.Hour))
}

// before orders prices of one size and option, the one that counts first: one that
// makes sense, of the primary region, the newest, the dearest.
func (q quote) before(o quote) bool {
	p, errP := q.price.usd()
	r, errR := o.price.usd()
	return cmp.Or(
		prefer(errP == nil && p > 0, errR == nil && r > 0), prefer(q.primary, o.primary), o.from.Compare(q.from),
		cmp.Compare(r, p), strings.Compare(q.meter, o.meter), strings.Compare(q.size, o.size)) < 0
}

// prefer orders what holds before what does not.
func prefer(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	default:
		return 1
	}
}
