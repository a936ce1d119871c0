// Package vultr collects the price list of Vultr: cloud machines with and without
// GPUs, shares of GPUs, and bare metal. The API is public.
//
// # What it reads
//
//	GET /regions       the country of each region
//	GET /plans         virtual machines
//	GET /plans-metal   bare metal
//
// Each comes in pages of 500; meta.links.next is the cursor of the next page, empty at
// the end. Together they are one batch.
//
// # What it decides
//
//   - A plan is an offer in each of its locations; one without locations is out of
//     stock everywhere and has no row. How many machines there are is not said.
//   - The price is hourly_cost, or what location_cost says for the region. Where only a
//     price per month is given, price = month / 672 h: Vultr bills by the hour until the
//     monthly price is reached, which its list reaches after 28 days (16,074.24 $ a
//     month are 23.92 $/h). A machine that runs on after that in the month costs nothing
//     more, so offers are up to 8 % too dear for those.
//   - deploy_ondemand and deploy_preemptible say how a plan can be had; it is on demand
//     where they say nothing. Preemptible machines are spot, at hourly_cost_preemptible.
//   - The device is gpu_type, such as NVIDIA_A100. Vultr's A100 is the one with 80 GB.
//     How many, or what share of one, is gpu_count (8, or 1/8), else
//     gpu_vram_gb / device memory: whole where that fits 1, 2, 4, 8 or 16 devices within
//     a tenth, since lists differ in what they call a gigabyte. Shares are rounded down
//     to a thousandth. Bare metal without these fields has them in its name
//     (vbm-112c-2048gb-8-h100-gpu).
//   - vCPUs of bare metal are its threads, as everywhere. RAM is MiB.
//
// # Failures
//
// An empty or missing list, and a cursor that comes again, are invalid. The rest is
// package feed's.
package vultr

import (
	"cmp"
	"context"
	"encoding/json"
	"math"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"purser"
	"purser/pricing"
	"purser/pricing/feed"
)

// DefaultURL is where Vultr's public API is.
const DefaultURL = "https://api.vultr.com/v2"

const (
	source = "vultr"
	op     = "vultr.Collect"
	// billedHours is after how many hours of a month the monthly price is reached.
	billedHours = 672
)

// Options says how Vultr is asked.
type Options struct {
	URL    string           // base of the API. Defaults to DefaultURL
	Client *feed.Client     // Defaults to one with feed's defaults
	Now    func() time.Time // Defaults to time.Now
}

type collector struct{ opt Options }

// New gives the collector of Vultr's price list.
func New(opt Options) pricing.Collector {
	opt.URL = strings.TrimSuffix(cmp.Or(opt.URL, DefaultURL), "/")
	if opt.Client == nil {
		opt.Client = &feed.Client{}
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	return &collector{opt}
}

// Source is vultr.
func (*collector) Source() string { return source }

// costs are prices in USD; empty where not said.
type costs struct {
	Hour      json.Number `json:"hourly_cost"`
	Month     json.Number `json:"monthly_cost"`
	HourSpot  json.Number `json:"hourly_cost_preemptible"`
	MonthSpot json.Number `json:"monthly_cost_preemptible"`
}

// costsIn are the costs of regions that have their own.
type costsIn map[string]costs

// UnmarshalJSON also takes the empty list that stands where there are none.
func (c *costsIn) UnmarshalJSON(b []byte) error {
	if string(b) == "[]" {
		return nil
	}
	return json.Unmarshal(b, (*map[string]costs)(c))
}

// plan is one plan, virtual or metal.
type plan struct {
	costs
	ID          string          `json:"id"`
	VCPUs       int64           `json:"vcpu_count"`
	MetalCPUs   int64           `json:"cpu_count"`
	Threads     int64           `json:"cpu_threads"`
	MiB         int64           `json:"ram"`
	DiskGB      int64           `json:"disk"`
	Disks       int64           `json:"disk_count"`
	GPU         string          `json:"gpu_type"`
	GPUGB       int64           `json:"gpu_vram_gb"`
	GPUs        json.RawMessage `json:"gpu_count"`
	Locations   []string        `json:"locations"`
	CostsIn     costsIn         `json:"location_cost"`
	OnDemand    *bool           `json:"deploy_ondemand"`
	Preemptible bool            `json:"deploy_preemptible"`
}

// page is one page of any of the three lists.
type page struct {
	Regions []struct {
		ID      string `json:"id"`
		Country string `json:"country"`
	} `json:"regions"`
	Plans []plan `json:"plans"`
	Metal []plan `json:"plans_metal"`
	Meta  struct {
		Links struct {
			Next string `json:"next"`
		} `json:"links"`
	} `json:"meta"`
}

// Collect asks for everything and emits it as one batch.
func (c *collector) Collect(ctx context.Context, emit func(pricing.Batch) error) error {
	b := pricing.Batch{Source: source, ObservedAt: c.opt.Now().UTC()}
	countryOf := map[string]string{}
	err := c.pages(ctx, "/regions", func(p page) int {
		for _, r := range p.Regions {
			countryOf[r.ID] = r.Country
		}
		return len(p.Regions)
	})
	if err != nil {
		return err
	}
	for _, path := range []string{"/plans", "/plans-metal"} {
		err := c.pages(ctx, path, func(p page) int {
			for _, plan := range slices.Concat(p.Plans, p.Metal) {
				for _, row := range plan.rows() {
					row.Place = c.opt.URL + path + "#" + plan.ID
					row.Offer.Country, row.Offer.ObservedAt = countryOf[row.Offer.Region], b.ObservedAt
					b.Rows = append(b.Rows, row)
				}
			}
			return len(p.Plans) + len(p.Metal)
		})
		if err != nil {
			return err
		}
	}
	slices.SortFunc(b.Rows, func(x, y pricing.Row) int { return cmp.Compare(x.Offer.ID(), y.Offer.ID()) })
	if err := ctx.Err(); err != nil {
		return purser.Wrap(purser.KindUnavailable, op, err)
	}
	return emit(b)
}

// pages reads all pages of a list. Take says how many entries were on one.
func (c *collector) pages(ctx context.Context, path string, take func(page) int) error {
	seen := map[string]bool{}
	entries := 0
	for cursor := ""; ; {
		query := url.Values{"per_page": {"500"}}
		if cursor != "" {
			query.Set("cursor", cursor)
		}
		var p page
		if err := c.opt.Client.JSON(ctx, op, feed.Get(c.opt.URL+path+"?"+query.Encode()), &p); err != nil {
			return err
		}
		entries += take(p)
		cursor = p.Meta.Links.Next
		switch {
		case cursor == "" && entries == 0:
			return purser.Errorf(purser.KindInvalid, op, "%s%s lists nothing at all", c.opt.URL, path)
		case cursor == "":
			return nil
		case seen[cursor]:
			return purser.Errorf(purser.KindInvalid, op, "%s%s gives the same page again and again", c.opt.URL, path)
		}
		seen[cursor] = true
	}
}

// rows makes the rows of a plan in all its locations, without place and time.
func (p plan) rows() []pricing.Row {
	row := p.row()
	var rows []pricing.Row
	for _, region := range p.Locations {
		row.Offer.Region = region
		here := p.costs.but(p.CostsIn[region])
		if p.OnDemand == nil || *p.OnDemand {
			rows = append(rows, priced(row, purser.OnDemand, here.Hour, here.Month))
		}
		if p.Preemptible && (here.HourSpot != "" || here.MonthSpot != "") {
			rows = append(rows, priced(row, purser.Spot, here.HourSpot, here.MonthSpot))
		}
	}
	return rows
}

// but gives the costs with those of a region in their place. An hour and a month belong
// together, so that no price is made of one of each.
func (c costs) but(own costs) costs {
	if own.Hour != "" || own.Month != "" {
		c.Hour, c.Month = own.Hour, own.Month
	}
	if own.HourSpot != "" || own.MonthSpot != "" {
		c.HourSpot, c.MonthSpot = own.HourSpot, own.MonthSpot
	}
	return c
}

// priced puts a price on a row: of an hour, else of a month, rounded up so that none is
// less than is billed.
func priced(row pricing.Row, option purser.PurchaseOption, hour, month json.Number) pricing.Row {
	row.Offer.Option = option
	figure := cmp.Or(hour, month)
	price, err := purser.ParseUSDPerHour(figure.String())
	if err != nil {
		row.Reason, row.Detail = purser.QuarantineNoPrice, "the price is "+strconv.Quote(figure.String())
	}
	if hour == "" {
		price = (price + billedHours - 1) / billedHours
	}
	row.Offer.UnitPrice = price
	return row
}

// row makes the row of a plan without region and price.
func (p plan) row() pricing.Row {
	r := pricing.Row{Offer: purser.Offer{
		Provider: source, InstanceType: p.ID, Limit: purser.Unlimited, Source: source,
		Shape: purser.Shape{
			MilliCPU: cmp.Or(p.VCPUs, p.Threads, p.MetalCPUs) * 1000, MemoryMiB: p.MiB,
			DiskMiB: p.DiskGB * max(p.Disks, 1) * 1024,
		},
	}}
	named, count := metalDevices(p.ID)
	name := cmp.Or(p.GPU, named)
	if name == "" || strings.EqualFold(name, "none") {
		return r
	}
	a, ok := accelerator(name)
	if !ok {
		r.AcceleratorName = name
	}
	r.Offer.Accelerator = a.Name
	r.Offer.Devices = cmp.Or(parseShare(strings.Trim(string(p.GPUs), `"`)), shareOf(p.GPUGB, a.MemoryGiB), count)
	return r
}

// accelerator is the model of a name such as NVIDIA_A100_SXM.
func accelerator(name string) (purser.Accelerator, bool) {
	name = strings.ToUpper(name)
	for _, drop := range []string{"NVIDIA_", "AMD_", "HGX_"} {
		name = strings.TrimPrefix(name, drop)
	}
	bare := strings.TrimSuffix(strings.TrimSuffix(name, "_SXM"), "_PCIE")
	if bare == "A100" {
		bare = "A100-80GB" // the only one that Vultr has
	}
	if a, ok := purser.AcceleratorNamed(name); ok && name != "A100" {
		return a, true
	}
	return purser.AcceleratorNamed(bare)
}

var metalName = regexp.MustCompile(`^vbm-.*?gb-(?:(\d{1,2})-)?([a-z][a-z0-9]*)-gpu$`)

// metalDevices reads the name of a bare-metal plan, whose count is 1 where it is not said.
func metalDevices(id string) (string, purser.MilliDevices) {
	m := metalName.FindStringSubmatch(id)
	if m == nil {
		return "", 0
	}
	n, _ := strconv.ParseInt(cmp.Or(m[1], "1"), 10, 64) // two digits
	return m[2], purser.MilliDevices(n * 1000)
}

// parseShare reads a number of devices (8) or a share of one (1/8); 0 where it is neither.
func parseShare(s string) purser.MilliDevices {
	whole, parts, ok := strings.Cut(s, "/")
	n, err := strconv.ParseInt(whole, 10, 32)
	d := int64(1)
	if ok && err == nil {
		d, err = strconv.ParseInt(parts, 10, 32)
	}
	if err != nil || n <= 0 || d <= 0 {
		return 0
	}
	return purser.MilliDevices(n * 1000 / d)
}

// shareOf is how many devices of a memory size have so much memory together; 0 where
// that cannot be said.
func shareOf(gb int64, device float64) purser.MilliDevices {
	if gb <= 0 || device <= 0 {
		return 0
	}
	for _, n := range []int64{1, 2, 4, 8, 16} {
		if math.Abs(float64(gb)/float64(n)-device) <= device/10 {
			return purser.MilliDevices(n * 1000)
		}
	}
	if float64(gb) < device {
		return purser.MilliDevices(float64(gb) * 1000 / device)
	}
	return 0
}
