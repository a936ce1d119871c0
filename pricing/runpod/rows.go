package runpod

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"

	"purser"
	"purser/pricing"
)

// row makes the row of a machine with a number of GPUs, without place, option and price.
func (t gpuType) row(gpus int64, cloud string, m lowest) pricing.Row {
	name := cmp.Or(t.Name, t.ID)
	r := pricing.Row{Offer: purser.Offer{
		Provider: source, InstanceType: fmt.Sprintf("%dx_%s_%s", gpus, catalogueName(name), cloud), Limit: purser.Unlimited, Source: source,
		Shape: purser.Shape{Devices: purser.MilliDevices(gpus * 1000), MilliCPU: m.VCPUs * 1000, MemoryMiB: m.GB * 1024},
	}}
	gb, err := strconv.ParseFloat(t.GB.String(), 64)
	if err != nil {
		gb = 0 // not said
	}
	if r.Offer.Accelerator = accelerator(name, gb); r.Offer.Accelerator == "" {
		// With its memory, so that a known name with another size is not taken for it.
		r.AcceleratorName = fmt.Sprintf("%s of %g GB", name, gb)
	}
	return r
}

// add adds a row and its signal, unless the machine has no price under the option.
func add(b *pricing.Batch, r pricing.Row, option purser.PurchaseOption, perGPU json.Number, gpus int64, stock string) {
	if perGPU == "" {
		return
	}
	r.Offer.Option = option
	price, err := purser.ParseUSDPerHour(perGPU.String())
	switch {
	case err != nil:
		r.Reason, r.Detail = purser.QuarantineNoPrice, "the price is "+strconv.Quote(perGPU.String())
	case price > pricing.MaxPrice:
		r.Offer.UnitPrice = price // refused as it is; a multiple might not be countable
	default:
		r.Offer.UnitPrice = price * purser.USDPerHour(gpus)
	}
	b.Rows = append(b.Rows, r)
	if band, ok := stocked[strings.ToLower(stock)]; ok {
		o := r.Offer
		b.Signals = append(b.Signals, purser.Signal{
			Provider: source, Region: o.Region, Zone: o.Zone, InstanceType: o.InstanceType, Option: option,
			Kind: purser.SignalAvailability, Low: band[0], High: band[1], Detail: "stock is " + stock, Source: source, ObservedAt: b.ObservedAt,
		})
	}
}

// stocked is how likely a machine can be had at a status; see the package comment.
var stocked = map[string][2]float64{"high": {0.9, 1}, "medium": {0.5, 0.9}, "low": {0.1, 0.5}}

// catalogueName is the name of a type of GPU in instance types, as the catalogue has it.
func catalogueName(name string) string {
	switch name {
	case "A100 PCIe":
		return "A100-80GB"
	case "A100 SXM":
		return "A100-80GB-SXM"
	case "H100 PCIe":
		return "H100"
	}
	if rest, ok := strings.CutPrefix(name, "RTX "); ok {
		name = "RTX" + rest
	}
	return strings.Map(func(c rune) rune {
		if c == ' ' || c == '/' {
			return '-'
		}
		return c
	}, name)
}

var formFactor = regexp.MustCompile(`(?i) (?:sxm\d*|pcie|oam)$`)

// accelerator is the model of a name and a memory size in GB, 0 where that is not
// said; empty when it is not known, or has another size.
func accelerator(name string, gb float64) string {
	if gb == 0 {
		a, _ := purser.AcceleratorNamed(name)
		return a.Name
	}
	bare := formFactor.ReplaceAllString(name, "")
	size := fmt.Sprintf(" %gGB", gb)
	for _, n := range []string{name + size, name, bare + size, bare} {
		if a, ok := purser.AcceleratorNamed(n); ok && math.Abs(a.MemoryGiB-gb) <= gb/10 {
			return a.Name
		}
	}
	return ""
}
