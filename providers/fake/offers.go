package fake

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"

	"purser"
	"purser/providers"
)

// Market is what a cloud sells and where that ends.
type Market struct {
	Offers   []purser.Offer
	Capacity map[string]int     // see Config.Capacity
	Quotas   []purser.Quota     // see Config.Quotas
	Hazards  map[string]float64 // see Spot.Hazards
	Reserved []providers.Reservation
}

// Into sets a cloud up with the market.
func (m Market) Into(c *Config) {
	c.Offers, c.Capacity, c.Quotas, c.Reserved, c.Spot.Hazards = m.Offers, m.Capacity, m.Quotas, m.Reserved, m.Hazards
}

// marketFile is the form of a market's file.
type marketFile struct {
	Offers   []purser.Offer     `json:"offers"`
	Capacity map[string]int     `json:"capacity"`
	Quotas   []purser.Quota     `json:"quotas"`
	Hazards  map[string]float64 `json:"hazards"`
	Reserved []wireReservation  `json:"reserved"`
}

// ReadMarket reads a market from JSON: {"offers": […], "capacity": {…}, "quotas": […],
// "hazards": {…}, "reserved": […]}, of which only offers must be there. An offer has
// the fields of purser.Offer; its provider may be missing and is that of the cloud, a
// limit of 0 means that none is known. Errors are invalid and have their place; a fault while reading is
// unavailable. cloud is the provider's name.
func ReadMarket(r io.Reader, file, cloud string) (Market, error) {
	fail := func(path, format string, a ...any) (Market, error) {
		return Market{}, &purser.Error{Kind: purser.KindInvalid, Op: "fake.ReadMarket", Message: fmt.Sprintf(format, a...), Place: &purser.Place{File: file, Path: path}}
	}
	b, err := io.ReadAll(io.LimitReader(r, maxBytes+1))
	if err != nil {
		return Market{}, &purser.Error{Kind: purser.KindUnavailable, Op: "fake.ReadMarket", Message: "the market cannot be read", Place: &purser.Place{File: file}, Cause: err}
	}
	if len(b) > maxBytes {
		return fail("", "the market is larger than %d MiB", maxBytes>>20)
	}
	var f marketFile
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return Market{}, &purser.Error{
			Kind: purser.KindInvalid, Op: "fake.ReadMarket", Message: "the market cannot be understood", Hint: `it is one JSON object with "offers"`,
			Place: placeIn(file, b, err), Cause: err,
		}
	}
	if d.More() {
		return fail("", "something follows the JSON object")
	}
	out := Market{Offers: f.Offers, Capacity: f.Capacity, Quotas: f.Quotas, Hazards: f.Hazards}
	if len(f.Offers) == 0 {
		return fail("offers", "a market has at least one offer")
	}
	seen := map[purser.OfferID]int{}
	for i := range out.Offers {
		o := &out.Offers[i]
		path := fmt.Sprintf("offers[%d]", i)
		if err := ours(o, cloud); err != nil {
			return fail(path, "%s", err)
		}
		if first, twice := seen[o.ID()]; twice {
			return fail(path, "%s is offers[%d] already", o.ID(), first)
		}
		seen[o.ID()] = i
	}
	for i, r := range f.Reserved {
		switch err := ours(&r.Offer, cloud); {
		case err != nil:
			return fail(fmt.Sprintf("reserved[%d].offer", i), "%s", err)
		case r.ID == "" || r.Total < 0:
			return fail(fmt.Sprintf("reserved[%d]", i), "a reservation has an id, and its total is a count of machines")
		case r.Offer.Option != purser.Reserved && r.Offer.Option != purser.CapacityBlock:
			return fail(fmt.Sprintf("reserved[%d].offer", i), "its purchase option is reserved or capacity_block")
		}
		out.Reserved = append(out.Reserved, providers.Reservation(r))
	}
	if err := (Knobs{Capacity: f.Capacity, Hazards: f.Hazards, Quotas: f.Quotas}).check(); err != nil {
		return fail("", "%s", err)
	}
	maps.DeleteFunc(out.Capacity, func(_ string, n int) bool { return n == NoEnd })
	return out, nil
}

// ours makes an offer one of the cloud's, or says why it cannot be.
func ours(o *purser.Offer, cloud string) error {
	if o.Provider == "" {
		o.Provider = cloud
	}
	if o.Provider != cloud {
		return purser.Errorf(purser.KindInvalid, "fake.ReadMarket", "its provider is %s, and this cloud is %s", short(o.Provider), cloud)
	}
	if o.Limit == 0 {
		o.Limit = purser.Unlimited
	}
	return o.Check()
}

// placeIn finds the line and column of a JSON error.
func placeIn(file string, b []byte, err error) *purser.Place {
	p := &purser.Place{File: file}
	offset := int64(-1)
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		offset = e.Offset
	}
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		offset, p.Path = e.Offset, e.Field
	}
	if offset < 0 || offset > int64(len(b)) {
		return p
	}
	before := b[:offset]
	p.Line = 1 + bytes.Count(before, []byte{'\n'})
	p.Column = max(1, len(before)-1-bytes.LastIndexByte(before, '\n'))
	return p
}

// kind is an instance type of the built-in market.
type kind struct {
	name        string
	accelerator string
	devices     int64
	deviceGiB   int64
	cpus        int64
	memoryGiB   int64
	usd         float64 // per hour on demand in the north; made up, near what clouds ask
	spot        float64 // share of it that spot costs
	hazard      float64 // preemptions per hour
	onDemand    int     // machines on demand in a region
	inZone      int     // spot machines in a zone
}

var kinds = []kind{
	{"cpu-8", "", 0, 0, 8, 32, 0.39, 0.40, 0.002, 64, 48},
	{"cpu-32", "", 0, 0, 32, 128, 1.56, 0.40, 0.002, 32, 24},
	{"t4-1", "T4", 1, 16, 8, 32, 0.75, 0.35, 0.02, 24, 16},
	{"l4-1", "L4", 1, 24, 8, 32, 0.80, 0.40, 0.03, 24, 16},
	{"a10g-4", "A10G", 4, 24, 48, 192, 5.67, 0.38, 0.04, 8, 8},
	{"a100-8", "A100-80GB", 8, 80, 96, 1152, 40.9, 0.36, 0.08, 4, 4},
	{"h100-8", "H100", 8, 80, 192, 2048, 86.5, 0.42, 0.12, 2, 2},
}

// regions of the built-in market, with their zones and what they cost more than the first.
var regions = []struct {
	name  string
	zones []string
	share float64
}{
	{"north", []string{"north-a", "north-b", "north-c"}, 1},
	{"south", []string{"south-a", "south-b"}, 1.08},
}

// BuiltIn is a small market for demonstrations: seven instance types, on demand in two
// regions and as spot in five zones, with capacity that ends. Its prices are made up.
func BuiltIn(cloud string) Market {
	m := Market{Capacity: map[string]int{}, Hazards: map[string]float64{}}
	for _, k := range kinds {
		m.Hazards[k.name] = k.hazard
		for r, region := range regions {
			o := purser.Offer{
				Provider: cloud, Region: region.name, InstanceType: k.name, Option: purser.OnDemand, Limit: purser.Unlimited,
				Shape: purser.Shape{
					Accelerator: k.accelerator, Devices: purser.MilliDevices(k.devices * 1000), DeviceMemoryMiB: k.deviceGiB << 10,
					MilliCPU: k.cpus * 1000, MemoryMiB: k.memoryGiB << 10, DiskMiB: 200 << 10,
				},
				UnitPrice: mills(k.usd * region.share),
			}
			m.Offers = append(m.Offers, o)
			m.Capacity[keyOf(o)] = k.onDemand
			for z, zone := range region.zones {
				// Zones differ a little, so that there is something to choose.
				o.Zone, o.Option, o.UnitPrice = zone, purser.Spot, mills(k.usd*region.share*k.spot*(1+0.05*float64((z+r)%3)))
				m.Offers = append(m.Offers, o)
				m.Capacity[keyOf(o)] = k.inZone
			}
		}
	}
	slices.SortFunc(m.Offers, func(a, b purser.Offer) int { return strings.Compare(string(a.ID()), string(b.ID())) })
	return m
}

// mills rounds to a tenth of a cent.
func mills(usd float64) purser.USDPerHour { return purser.USDPerHourOf(math.Round(usd*1000) / 1000) }

// keyOf is the key of Capacity that bounds one offer alone.
func keyOf(o purser.Offer) string {
	return placeOf(o) + "/" + o.InstanceType + "/" + string(o.Option)
}
