package gcp

import (
	"cmp"
	"math"
	"math/big"
	"strings"

	"cloud.google.com/go/billing/apiv1/billingpb"

	"purser"
)

// kind is what sort of thing a part is, which decides the unit that it is sold in.
type kind int

const (
	core kind = iota + 1 // a vCPU
	ram                  // a GiB of memory
	gpu                  // a GPU, or a slice of a machine with one
	ssd                  // a GiB of local SSD
	tpu                  // a chip; of v2, v3 and v4 eight cores
	pod                  // eight cores of v2, v3 or v4 in a slice of several hosts
)

// part is something that the catalogue has prices of. Name is the family of a core or
// RAM, the device of a gpu, tpu or pod, and empty for ssd.
type part struct {
	kind kind
	name string
}

// families are the names that descriptions give to the cores and the memory of a
// family, before "Instance".
var families = map[string]string{
	"n1 predefined": "n1", "e2": "e2", "n2": "n2", "n2d amd": "n2d",
	"compute optimized": "c2", "c2d amd": "c2d", "c3": "c3", "c3d": "c3d",
	"a2": "a2", "a3": "a3", "a3plus": "a3-mega", "a3 mega": "a3-mega", "a3ultra": "a3-ultra", "a3 ultra": "a3-ultra",
	"g2": "g2", "g4": "g4",
}

// devices are the names that descriptions give to GPUs, without Nvidia and Tesla in
// front. The GPU of A3 Mega has had three.
var devices = map[string]string{
	"k80 gpu": "K80", "p4 gpu": "P4", "p100 gpu": "P100", "v100 gpu": "V100", "t4 gpu": "T4", "l4 gpu": "L4",
	"a100 gpu": "A100", "a100 80gb gpu": "A100-80GB", "h100 80gb gpu": "H100",
	"h100 80gb mega gpu": "H100-MEGA", "h100 mega 80gb gpu": "H100-MEGA", "h100 80gb plus gpu": "H100-MEGA",
	"h200 141gb gpu": "H200", "rtx 6000 96gb": "RTXPRO6000", "a4 nvidia b200 (1 gpu slice)": "B200",
}

// chips are the names of TPU chips that are sold singly; DWS SKUs drop "Tpu".
var chips = map[string]string{
	"tpuv5e": "TPU-V5E", "v5e": "TPU-V5E", "v5e tpu": "TPU-V5E",
	"tpuv5p": "TPU-V5P", "v5p": "TPU-V5P", "v5p tpu": "TPU-V5P",
	"tpuv6e": "TPU-V6E", "v6e": "TPU-V6E", "v6e tpu": "TPU-V6E",
}

// marks are the ways to buy, as they stand before or after a part's name. A mark
// with both needs both: what is merely Reserved is often listed at 0 $.
var marks = []struct {
	before, after string
	option        purser.PurchaseOption
}{
	{"spot preemptible ", "", purser.Spot},
	{"preemptible ", "", purser.Spot},
	{"", " attached to spot preemptible vms", purser.Spot},
	{"", " attached to preemptible vms", purser.Spot},
	{"dws defined duration ", "", purser.FlexStart},
	{"dws flex start ", "", purser.FlexStart},
	{"", " attached to dws defined duration vms", purser.FlexStart},
	{"", " attached to dws flex start vms", purser.FlexStart},
	{"dws calendar mode ", "", purser.CapacityBlock},
	{"", " attached to dws calendar mode vms", purser.CapacityBlock},
	{"reserved ", calendarMode, purser.CapacityBlock},
}

const calendarMode = " in calendar mode"

// parseDescription reads what a SKU is of and how that is bought. It knows whole
// descriptions alone: a word too many is another product.
func parseDescription(description string) (part, purser.PurchaseOption, bool) {
	d := strings.Join(strings.Fields(strings.ToLower(description)), " ")
	d, calendar := strings.CutSuffix(d, calendarMode)
	d, _, _ = strings.Cut(d, " running in ")
	d, _, _ = strings.Cut(d, " in ")
	if calendar {
		d += calendarMode
	}
	option := purser.OnDemand
	for _, m := range marks {
		if strings.HasPrefix(d, m.before) && strings.HasSuffix(d, m.after) && len(d) > len(m.before)+len(m.after) {
			d, option = d[len(m.before):len(d)-len(m.after)], m.option
			break
		}
	}
	if p, ok := partNamed(d); ok {
		return p, option, true
	}
	return olderTPU(d, option)
}

func partNamed(d string) (part, bool) {
	if d == "ssd backed local storage" {
		return part{kind: ssd}, true
	}
	if name, ok := chips[d]; ok {
		return part{tpu, name}, true
	}
	if name, ok := devices[strings.TrimPrefix(strings.TrimPrefix(d, "nvidia "), "tesla ")]; ok {
		return part{gpu, name}, true
	}
	rest, k := strings.TrimSuffix(d, " core"), core
	if rest == d {
		rest, k = strings.TrimSuffix(d, " ram"), ram
	}
	name, ok := families[strings.TrimSuffix(rest, " instance")]
	return part{k, name}, ok && rest != d
}

// places are the words with which descriptions of the older TPUs end.
var places = map[string]bool{
	"usa": true, "us": true, "americas": true, "europe": true, "emea": true, "eu": true, "netherlands": true,
	"asia": true, "pacific": true, "apac": true, "taiwan": true, "japan": true, "singapore": true,
}

// olderTPU reads descriptions such as "Tpu-v3 Pod Accelerator USA" and "Tpu-v2
// Accelerator (Preemptible) Asia Pacific".
func olderTPU(d string, option purser.PurchaseOption) (part, purser.PurchaseOption, bool) {
	words := strings.Fields(strings.NewReplacer("(", " ", ")", " ").Replace(d))
	if len(words) == 0 {
		return part{}, "", false
	}
	generation, ok := strings.CutPrefix(words[0], "tpu-")
	if !ok || (generation != "v2" && generation != "v3" && generation != "v4") {
		return part{}, "", false
	}
	p := part{tpu, "TPU-" + strings.ToUpper(generation)}
	for _, w := range words[1:] {
		switch {
		case w == "pod":
			p.kind = pod
		case w == "preemptible":
			option = purser.Spot
		case w != "accelerator" && !places[w]:
			return part{}, "", false
		}
	}
	return p, option, true
}

// rate is the price of one unit of a part, in nano-USD for so many hours.
type rate struct {
	nano  int64
	hours int64 // 1, or 730 for a price per month
	sku   string
}

// less orders rates by price per hour, then by SKU so that the order of the list does
// not matter.
func (r rate) less(other rate) bool {
	a := new(big.Int).Mul(big.NewInt(r.nano), big.NewInt(other.hours))
	b := new(big.Int).Mul(big.NewInt(other.nano), big.NewInt(r.hours))
	return cmp.Or(a.Cmp(b), strings.Compare(other.sku, r.sku)) < 0
}

// parsedSKU is what a SKU says, where it is of use.
type parsedSKU struct {
	part    part
	option  purser.PurchaseOption
	rate    rate
	regions []string
}

// parseSKU gives false for SKUs that are of no use.
func parseSKU(sku *billingpb.Sku) (parsedSKU, bool, error) {
	var none parsedSKU
	usage := sku.GetCategory().GetUsageType()
	if usage != "OnDemand" && usage != "Preemptible" {
		return none, false, nil
	}
	if f := sku.GetCategory().GetResourceFamily(); f != "Compute" && f != "Storage" {
		return none, false, nil
	}
	p, option, ok := parseDescription(sku.GetDescription())
	if !ok {
		return none, false, nil
	}
	if usage == "Preemptible" && option == purser.OnDemand {
		option = purser.Spot
	}
	expression := newest(sku.GetPricingInfo()).GetPricingExpression()
	hours, ok := hoursOf(p.kind, expression.GetUsageUnit())
	if !ok {
		return none, false, nil
	}
	nano, ok, err := unitPrice(expression.GetTieredRates())
	if err != nil || !ok {
		return none, false, err
	}
	return parsedSKU{p, option, rate{nano, hours, sku.GetSkuId()}, sku.GetServiceRegions()}, true, nil
}

// newest is the pricing info that came into force last; the list is in no order.
func newest(infos []*billingpb.PricingInfo) *billingpb.PricingInfo {
	var last *billingpb.PricingInfo
	for _, i := range infos {
		if last == nil || i.GetEffectiveTime().AsTime().After(last.GetEffectiveTime().AsTime()) {
			last = i
		}
	}
	return last
}

// hoursOf says how many hours of a part a price in a unit is for.
func hoursOf(k kind, unit string) (int64, bool) {
	switch {
	case unit == "h" && k != ram && k != ssd, unit == "GiBy.h" && (k == ram || k == ssd):
		return 1, true
	case unit == "GiBy.mo" && k == ssd:
		return purser.HoursPerMonth, true
	default:
		return 0, false
	}
}

// unitPrice takes the last tier that begins at 0, or the tier after it where that is a
// free allowance.
func unitPrice(tiers []*billingpb.PricingExpression_TierRate) (int64, bool, error) {
	at := -1
	for i, t := range tiers {
		if t.GetStartUsageAmount() == 0 {
			at = i
		}
	}
	if at < 0 {
		return 0, false, nil
	}
	nano, err := nanoOf(tiers[at])
	if err == nil && nano == 0 && at+1 < len(tiers) {
		nano, err = nanoOf(tiers[at+1])
	}
	return nano, err == nil, err
}

func nanoOf(t *billingpb.PricingExpression_TierRate) (int64, error) {
	m := t.GetUnitPrice()
	if c := m.GetCurrencyCode(); c != "" && c != "USD" {
		return 0, purser.Errorf(purser.KindInvalid, "gcp.Collect", "the price catalogue was asked for USD and has prices in %.10q", c)
	}
	return nanoUSD(m.GetUnits(), m.GetNanos()), nil
}

// nanoUSD joins whole dollars and nano-USD, which have the same sign. What int64
// cannot hold becomes the most that it can, which nobody believes.
func nanoUSD(units int64, nanos int32) int64 {
	const nano, most = 1_000_000_000, math.MaxInt64 / 1_000_000_000
	switch {
	case units >= most:
		return math.MaxInt64
	case units <= -most:
		return math.MinInt64
	}
	return units*nano + int64(nanos)
}
