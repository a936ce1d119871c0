package aws

import (
	"cmp"

	"purser/pricing"
)

// perHour is the unit of prices per hour.
const perHour = "Hrs"

// price is one of the price list, before it is known where the machine is sold.
type price struct {
	instanceType, sku string
	usd               string // per hour, as AWS writes it
	inUSD             bool
}

func (p price) compare(q price) int {
	return cmp.Or(cmp.Compare(p.instanceType, q.instanceType), cmp.Compare(p.sku, q.sku), cmp.Compare(p.usd, q.usd))
}

// fill puts the price into a row.
func (p price) fill(r pricing.Row) pricing.Row {
	if !p.inUSD {
		r.Reason, r.Detail = pricing.QuarantineIncomplete, "its price is not in USD"
		return r
	}
	return priced(r, p.usd)
}
