package pricing

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"purser"
)

// medianFactor and medianRegions bound the rule of medians.
const (
	medianFactor  = 3
	medianRegions = 3
)

// Sift splits rows into offers that can be believed and rows that cannot, by the
// rules of the package comment. It is pure; the result does not depend on the
// order of the rows, and len(rows) = Offers + Quarantined + Merged. Rules that
// compare rows see only the rows given, so give a whole feed at once.
func Sift(rows []Row) Sifted { return SiftAmong(rows, nil) }

// SiftAmong is Sift for a part of a feed, such as one region: the rules that compare
// rows also look at what the market is known to cost elsewhere, but only rows are
// quarantined.
func SiftAmong(rows []Row, market *Market) Sifted {
	var out Sifted
	held := make([]candidate, 0, len(rows))
	know := lookup{map[string]purser.Accelerator{}, map[[2]string]string{}}
	for _, r := range rows {
		r.Offer = know.complete(r)
		if reason, detail := know.judge(r); reason != "" {
			out.refuse(r, reason, detail)
			continue
		}
		held = append(held, candidate{id: r.Offer.ID(), row: r})
	}
	held = out.dedupe(held)
	flagPairs(held, market)
	flagOutliers(held, market)
	out.Offers = make([]purser.Offer, 0, len(held))
	for _, c := range held {
		if c.reason != "" {
			out.refuse(c.row, c.reason, c.detail)
			continue
		}
		out.Offers = append(out.Offers, c.row.Offer)
	}
	out.sortQuarantined()
	return out
}

func (s *Sifted) refuse(r Row, reason QuarantineReason, detail string) {
	s.Quarantined = append(s.Quarantined, Quarantined{Offer: r.Offer, Reason: reason, Detail: detail, Place: r.Place})
}

// candidate is a row that stands up alone, with its id computed once.
type candidate struct {
	id     purser.OfferID
	row    Row
	reason QuarantineReason
	detail string
}

func (c *candidate) flag(reason QuarantineReason, format string, args ...any) {
	if c.reason == "" {
		c.reason, c.detail = reason, fmt.Sprintf(format, args...)
	}
}

// lookup remembers what rows repeat, since a feed has thousands of rows of few
// devices and regions.
type lookup struct {
	accelerators map[string]purser.Accelerator // by any name; the zero value for an unknown one
	countries    map[[2]string]string          // by provider and region
}

func (l lookup) accelerator(name string) purser.Accelerator {
	a, ok := l.accelerators[name]
	if !ok && name != "" {
		a, _ = purser.AcceleratorNamed(name)
		l.accelerators[name] = a
	}
	return a
}

func (l lookup) country(provider, region string) string {
	k := [2]string{provider, region}
	c, ok := l.countries[k]
	if !ok {
		c = Country(provider, region)
		l.countries[k] = c
	}
	return c
}

// complete fills what follows from the rest of the row.
func (l lookup) complete(r Row) purser.Offer {
	o := r.Offer
	if o.Accelerator == "" {
		o.Accelerator = l.accelerator(r.AcceleratorName).Name
	}
	if o.DeviceMemoryMiB == 0 {
		o.DeviceMemoryMiB = int64(l.accelerator(o.Accelerator).MemoryGiB * 1024)
	}
	if o.Country == "" {
		o.Country = l.country(o.Provider, o.Region)
	}
	if o.ValidFrom.IsZero() {
		o.ValidFrom = o.ObservedAt
	}
	return o
}

// judge looks at one row alone.
func (l lookup) judge(r Row) (QuarantineReason, string) {
	o := r.Offer
	switch {
	case r.Reason != "":
		return r.Reason, r.Detail
	case o.Provider == "" || o.Region == "" || o.InstanceType == "" || o.Option == "" || o.Source == "" || o.ObservedAt.IsZero():
		return QuarantineIncomplete, "provider, region, instance type, purchase option, source and time of observation must be given"
	case o.UnitPrice < 0, o.UnitPrice == 0 && o.Option != purser.Private:
		return purser.QuarantineNoPrice, "the price is " + usd(o.UnitPrice)
	case o.UnitPrice > MaxPrice:
		return purser.QuarantineOutlier, fmt.Sprintf("%s is above %s, more than any machine costs", usd(o.UnitPrice), usd(MaxPrice))
	}
	name := cmp.Or(o.Accelerator, r.AcceleratorName)
	if name != "" && (o.Accelerator == "" || l.accelerator(name).Name != o.Accelerator) {
		return purser.QuarantineAccelerator, fmt.Sprintf("%q is not an accelerator that Purser knows", name)
	}
	return judgeShape(o)
}

// usd shows a price with all its decimals, since prices that are nearly equal are
// compared.
func usd(p purser.USDPerHour) string { return "$" + p.Decimal() + "/h" }

// Above these sizes a figure is a slip of the pen, or of a unit.
const (
	maxDevices   = 100_000 * purser.OneDevice
	maxMilliCPU  = 10_000_000 * 1000
	maxMemoryMiB = 1 << 34 // 16 PiB, all hosts of a large slice together
)

func judgeShape(o purser.Offer) (QuarantineReason, string) {
	bad := func(format string, args ...any) (QuarantineReason, string) {
		return purser.QuarantineShape, fmt.Sprintf(format, args...)
	}
	switch {
	case o.Devices < 0 || o.MilliCPU < 0 || o.MemoryMiB < 0 || o.DeviceMemoryMiB < 0 || o.DiskMiB < 0:
		return bad("no size can be negative")
	case o.Accelerator != "" && o.Devices == 0:
		return bad("it names %s and has none", o.Accelerator)
	case o.Accelerator == "" && (o.Devices != 0 || o.DeviceMemoryMiB != 0):
		return bad("it counts %s devices of no name", o.Devices)
	case o.Accelerator != "" && o.DeviceMemoryMiB == 0:
		return bad("its devices have no memory")
	case o.Devices > purser.OneDevice && !o.Devices.Whole():
		return bad("%s devices: above one, devices are whole", o.Devices)
	case o.MilliCPU == 0 || o.MemoryMiB == 0:
		return bad("a machine has vCPUs and memory: this one has %g vCPUs and %s", float64(o.MilliCPU)/1000, purser.GiB(o.MemoryMiB))
	case o.Devices > maxDevices || o.MilliCPU > maxMilliCPU || o.MemoryMiB > maxMemoryMiB || o.DeviceMemoryMiB > maxMemoryMiB:
		return bad("%s devices, %g vCPUs and %s are more than any machine has", o.Devices, float64(o.MilliCPU)/1000, purser.GiB(o.MemoryMiB))
	}
	if err := o.Check(); err != nil {
		return bad("%v", err)
	}
	return "", ""
}

// dedupe sorts the candidates by id and leaves one of each, in that order.
func (s *Sifted) dedupe(held []candidate) []candidate {
	slices.SortFunc(held, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.id, b.id), preferred(a.row, b.row))
	})
	kept := held[:0]
	for _, c := range held {
		if n := len(kept); n > 0 && kept[n-1].id == c.id {
			first := kept[n-1].row
			if first.Offer.UnitPrice == c.row.Offer.UnitPrice && first.Offer.Shape == c.row.Offer.Shape {
				s.Merged++
				continue
			}
			s.refuse(c.row, purser.QuarantineConflict, fmt.Sprintf("%s says %s for the same offer", first.Place, describe(first.Offer)))
			continue
		}
		kept = append(kept, c)
	}
	return kept
}

func describe(o purser.Offer) string {
	return fmt.Sprintf("%s on %s (%s devices, %g vCPUs, %s)", usd(o.UnitPrice), o.ObservedAt.UTC().Format("2006-01-02"),
		o.Devices, float64(o.MilliCPU)/1000, purser.GiB(o.MemoryMiB))
}

// preferred orders rows of one offer, the one to keep first: newest, dearest, then
// smallest, so that a plan relies on what all of them agree to.
func preferred(a, b Row) int {
	x, y := a.Offer, b.Offer
	return cmp.Or(
		y.ObservedAt.Compare(x.ObservedAt), y.ValidFrom.Compare(x.ValidFrom), cmp.Compare(y.UnitPrice, x.UnitPrice),
		cmp.Compare(x.Devices, y.Devices), cmp.Compare(x.MilliCPU, y.MilliCPU), cmp.Compare(x.MemoryMiB, y.MemoryMiB),
		cmp.Compare(x.DeviceMemoryMiB, y.DeviceMemoryMiB), cmp.Compare(x.DiskMiB, y.DiskMiB), strings.Compare(x.Accelerator, y.Accelerator),
		strings.Compare(x.Source, y.Source), cmp.Compare(x.Limit, y.Limit), strings.Compare(x.Country, y.Country), strings.Compare(a.Place, b.Place))
}

func (s *Sifted) sortOffers() {
	slices.SortFunc(s.Offers, func(a, b purser.Offer) int { return cmp.Compare(a.ID(), b.ID()) })
}

func (s *Sifted) sortQuarantined() {
	slices.SortFunc(s.Quarantined, func(a, b Quarantined) int {
		x, y := a.Offer, b.Offer
		return cmp.Or(
			strings.Compare(x.Provider, y.Provider), strings.Compare(x.Region, y.Region), strings.Compare(x.Zone, y.Zone),
			strings.Compare(x.InstanceType, y.InstanceType), cmp.Compare(x.Option, y.Option), strings.Compare(a.Place, b.Place),
			cmp.Compare(a.Reason, b.Reason), strings.Compare(a.Detail, b.Detail), preferred(Row{Offer: x}, Row{Offer: y}))
	})
}
