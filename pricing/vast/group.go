package vast

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"math/bits"
	"regexp"
	"slices"
	"strings"
	"time"

	"purser"
	"purser/pricing"
)

// nowhere is the region of hosts that tell no country: ISO 3166 leaves the code free.
const nowhere = "ZZ"

// group is what asks of one offer have in common.
type group struct {
	gpu     string // as Vast.ai writes it
	gpus    int64
	gib     float64 // nominal memory of one device; 0 when it is none that is known
	vcpus   int64
	memory  int64 // GiB
	country string
}

// groupOf puts an ask into its group.
func groupOf(a ask) group {
	memory := a.HostMB
	if a.HostCores > 0 {
		memory *= min(a.Cores/a.HostCores, 1)
	}
	return group{strings.TrimSpace(a.GPU), a.GPUs, nominalGiB(a.GPUMiB), class(a.Cores), class(memory / 1024), countryOf(a.Place)}
}

// rows makes an offer of each group and option, sorted by id.
func (c *collector) rows(asks []ask, at string, observed time.Time) []pricing.Row {
	groups := map[group][]ask{}
	for _, a := range asks {
		g := groupOf(a)
		groups[g] = append(groups[g], a)
	}
	var rows []pricing.Row
	for g, members := range groups {
		row := g.row(c.opt.DiskGB)
		row.Place, row.Offer.ObservedAt = at+"#"+row.Offer.InstanceType, observed
		rows = append(rows, c.priced(row, purser.OnDemand, members, func(a ask) json.Number { return a.Base })...)
		rows = append(rows, c.priced(row, purser.Spot, members, func(a ask) json.Number { return a.MinBid })...)
	}
	slices.SortFunc(rows, func(x, y pricing.Row) int {
		return cmp.Or(cmp.Compare(x.Offer.ID(), y.Offer.ID()), cmp.Compare(x.AcceleratorName, y.AcceleratorName), cmp.Compare(x.Detail, y.Detail))
	})
	return rows
}

// row makes the row of a group without price and option.
func (g group) row(diskGB int64) pricing.Row {
	name := strings.NewReplacer(" ", "-", "/", "-").Replace(g.gpu)
	r := pricing.Row{Offer: purser.Offer{
		Provider: source, Region: cmp.Or(g.country, nowhere), Country: g.country, Source: source,
		InstanceType: fmt.Sprintf("%dx_%s_%dc_%dg", g.gpus, name, g.vcpus, g.memory),
		Shape: purser.Shape{
			Accelerator: accelerator(g.gpu, g.gib), Devices: purser.MilliDevices(g.gpus * 1000),
			MilliCPU: g.vcpus * 1000, MemoryMiB: g.memory * 1024, DiskMiB: diskGB * 1024,
		},
	}}
	if a := r.Offer.Accelerator; a == "" {
		// With its memory, so that a known name with another size is not taken for it.
		r.AcceleratorName = fmt.Sprintf("%s of %g GiB", cmp.Or(g.gpu, "no name"), g.gib)
	} else if bare, _ := purser.AcceleratorNamed(g.gpu); bare.Name != a {
		// The name alone would mean another size (A100 PCIE of 40 and of 80 GB).
		r.Offer.InstanceType = fmt.Sprintf("%dx_%s-%gGB_%dc_%dg", g.gpus, name, g.gib, g.vcpus, g.memory)
	}
	return r
}

// priced gives the offer of a group under an option, and a row for the asks whose price
// makes no sense.
func (c *collector) priced(row pricing.Row, option purser.PurchaseOption, members []ask, figure func(ask) json.Number) []pricing.Row {
	row.Offer.Option = option
	hosts := map[int64]purser.USDPerHour{}
	bad := 0
	for _, a := range members {
		if figure(a) == "" {
			continue // not rented out so
		}
		price, err := withDisk(figure(a), a.Storage, c.opt.DiskGB)
		if err != nil {
			bad++
			continue
		}
		// A host without a number is known by its ask, on the other side of 0.
		host := cmp.Or(a.Machine, -a.ID)
		hosts[host] = max(hosts[host], price)
	}
	var rows []pricing.Row
	if len(hosts) > 0 {
		good := row
		good.Offer.UnitPrice, good.Offer.Limit = market(hosts)
		rows = append(rows, good)
	}
	if bad > 0 {
		row.Offer.Limit = bad
		row.Reason, row.Detail = purser.QuarantineNoPrice, fmt.Sprintf("%d asks have a price that makes none", bad)
		rows = append(rows, row)
	}
	return rows
}

// market is the lower median of the hosts' prices, and how many of them are at it or
// below.
func market(hosts map[int64]purser.USDPerHour) (purser.USDPerHour, int) {
	prices := make([]purser.USDPerHour, 0, len(hosts))
	for _, p := range hosts {
		prices = append(prices, p)
	}
	slices.Sort(prices)
	price := prices[(len(prices)-1)/2]
	n, _ := slices.BinarySearch(prices, price+1) // where the first dearer one stands
	return price, n
}

// hoursPerMonth is how Vast.ai's price of disk by the month becomes one by the hour; of
// the figures in use it is the dearest.
const hoursPerMonth = 720

// withDisk is the price of a machine with its disk.
func withDisk(machine, gbMonth json.Number, diskGB int64) (purser.USDPerHour, error) {
	price, err := purser.ParseUSDPerHour(machine.String())
	if err != nil {
		return 0, err
	}
	var month purser.USDPerHour
	if gbMonth != "" {
		if month, err = purser.ParseUSDPerHour(gbMonth.String()); err != nil {
			return 0, err
		}
	}
	// What is out of these bounds is no price, and its sum might not be countable.
	if price <= 0 || price > pricing.MaxPrice || month < 0 || month > 1000*1_000_000_000 {
		return 0, purser.Errorf(purser.KindInvalid, op, "%s is no price", machine)
	}
	return price + (month*purser.USDPerHour(diskGB)+hoursPerMonth-1)/hoursPerMonth, nil
}

// class is the largest power of two that n reaches; 0 below 1.
func class(n float64) int64 {
	if !(n >= 1) || n > math.MaxInt32 {
		return 0
	}
	return 1 << (bits.Len64(uint64(n)) - 1)
}

// nominalGiB is the memory size that a device is sold as, of those that Purser knows,
// for what its driver reports, which is up to a tenth less or more; 0 where none is near.
func nominalGiB(mib float64) float64 {
	best := 0.0
	for _, a := range purser.Accelerators() {
		if a.Kind == purser.GPU && math.Abs(a.MemoryGiB*1024-mib) < math.Abs(best*1024-mib) {
			best = a.MemoryGiB
		}
	}
	if math.Abs(best*1024-mib) > mib/10 {
		return 0
	}
	return best
}

var (
	formFactor = regexp.MustCompile(`(?i) (?:sxm\d*|pcie)$`)
	inCountry  = regexp.MustCompile(`(?:^|[ ,])([A-Z]{2})$`)
)

// accelerator is the model of a name and a memory size; empty when it is not known.
func accelerator(name string, gib float64) string {
	switch name {
	case "RTX PRO 6000 S", "RTX PRO 6000 WS": // server and workstation edition
		return "RTX-PRO-6000"
	}
	bare := formFactor.ReplaceAllString(name, "")
	size := fmt.Sprintf(" %gGB", gib)
	for _, n := range []string{name + size, name, bare + size} {
		if a, ok := purser.AcceleratorNamed(n); ok && math.Abs(a.MemoryGiB-gib) <= gib/10 {
			return a.Name
		}
	}
	return ""
}

// countryOf reads places such as "Texas, US" and "SE"; empty where they tell no country.
func countryOf(place string) string {
	m := inCountry.FindStringSubmatch(strings.TrimSpace(place))
	if m == nil {
		return ""
	}
	return m[1]
}
