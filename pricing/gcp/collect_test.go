package gcp

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"purser"
	"purser/pricing"
	"purser/pricing/pricingtest"
)

func TestRun(t *testing.T) {
	for name, project := range map[string]string{"with a project": "proj", "without": ""} {
		t.Run(name, func(t *testing.T) {
			opt := serve(t, world())
			opt.Project = project
			pricingtest.Run(t, func() pricing.Collector { return must(New(opt)) })
		})
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestPrices checks the sums against published prices, to their five decimals.
func TestPrices(t *testing.T) {
	opt := serve(t, world())
	opt.Project = "proj"
	got := offers(t, opt)
	for id, want := range map[purser.OfferID]string{
		"gcp/us-central1/us-central1-a/a2-highgpu-1g/on_demand":        "3.67339",
		"gcp/us-central1/us-central1-a/a2-highgpu-8g/on_demand":        "29.38708",
		"gcp/us-central1/us-central1-a/a2-megagpu-16g/on_demand":       "55.73951",
		"gcp/us-central1/us-central1-a/a2-highgpu-1g/spot":             "1.92768",
		"gcp/us-central1/us-central1-a/a2-ultragpu-1g/on_demand":       "5.0688",
		"gcp/us-central1/us-central1-a/a2-ultragpu-1g/spot":            "2.56514",
		"gcp/us-central1/us-central1-a/a3-highgpu-8g/on_demand":        "88.49",
		"gcp/us-central1/us-central1-a/a3-highgpu-8g/flex_start":       "38.32004",
		"gcp/us-central1/us-central1-a/a3-megagpu-8g/on_demand":        "93.3999",
		"gcp/us-central1/us-central1-a/a3-megagpu-8g/capacity_block":   "44.06650",
		"gcp/us-central1/us-central1-a/a4-highgpu-8g/spot":             "32.6064",
		"gcp/us-central1/us-central1-a/a4-highgpu-8g/flex_start":       "64.44",
		"gcp/us-central1/us-central1-a/a4-highgpu-8g/capacity_block":   "90.216",
		"gcp/us-central1/us-central1-a/c3-standard-4-lssd/on_demand":   "0.24998",
		"gcp/us-central1/us-central1-a/e2-standard-4/on_demand":        "0.13402",
		"gcp/us-central1/us-central1-a/g2-standard-4/on_demand":        "0.70683",
		"gcp/us-central1/us-central1-a/g2-standard-4/spot":             "0.28126",
		"gcp/us-central1/us-central1-a/n1-standard-4/on_demand":        "0.19",
		"gcp/us-central1/us-central1-a/n1-standard-4+T4x1/on_demand":   "0.54",
		"gcp/us-central1/us-central1-a/n1-standard-4+T4x1/spot":        "0.15196",
		"gcp/us-central1/us-central1-f/n1-standard-8+V100x1/on_demand": "2.86",
		"gcp/us-central1/us-central1-a/n2-standard-8/on_demand":        "0.38847",
		"gcp/us-east4/us-east4-b/a3-highgpu-8g/on_demand":              "88.49",
		"gcp/us-east4/us-east4-b/a3-highgpu-1g/spot":                   "2.55502",

		"gcp/us-central1/us-central1-a/v5litepod-1/on_demand":    "1.2",
		"gcp/us-central1/us-central1-a/v5litepod-16/on_demand":   "19.2",
		"gcp/us-central1/us-central1-a/v5litepod-16/spot":        "3.91888",
		"gcp/us-central1/us-central1-a/v5p-8/on_demand":          "16.8",
		"gcp/us-central1/us-central1-a/v6e-8/on_demand":          "21.6",
		"gcp/us-central1/us-central1-a/v2-8/on_demand":           "4.5",
		"gcp/us-central1/us-central1-a/v3-8/on_demand":           "8",
		"gcp/us-central1/us-central1-a/v3-8/spot":                "2.4",
		"gcp/us-central1/us-central1-a/v3-32/on_demand":          "35.2",
		"gcp/us-central1/us-central1-a/v3-32/spot":               "10.56",
		"gcp/us-central2/us-central2-b/v4-8/on_demand":           "12.88",
		"gcp/us-east5/us-east5-a/v5p-8/spot":                     "6.72",
		"gcp/us-east5/us-east5-a/v5p-8/capacity_block":           "11.76",
		"gcp/us-east5/us-east5-a/v5p-256/on_demand":              "537.6",
		"gcp/us-east5/us-east5-a/v5p-256/spot":                   "215.04",
		"gcp/us-east5/us-east5-a/v6e-1/spot":                     "1.215",
		"gcp/us-east5/us-east5-a/v6e-1/flex_start":               "1.35",
		"gcp/europe-west4/europe-west4-b/v5litepod-16/on_demand": "24.96",
	} {
		row, ok := got[id]
		if !ok {
			t.Errorf("%s is missing", id)
			continue
		}
		cents := (row.Offer.UnitPrice + 5_000) / 10_000 * 10_000
		if p := must(purser.ParseUSDPerHour(want)); cents != p {
			t.Errorf("%s costs %s, want %s", id, row.Offer.UnitPrice.Decimal(), want)
		}
	}
	for _, r := range got {
		if r.Offer.ObservedAt != noon || !strings.HasPrefix(r.Place, "Google Cloud price catalogue, SKU ") || r.Reason != "" {
			t.Errorf("%s: observed at %s, place %q, reason %q", r.Offer.ID(), r.Offer.ObservedAt, r.Place, r.Reason)
		}
	}
}

// TestSiftBelieves checks that nothing is quarantined, above all for spot dearer than
// on demand.
func TestSiftBelieves(t *testing.T) {
	for _, project := range []string{"proj", ""} {
		opt := serve(t, world())
		opt.Project = project
		rows := must(pricing.Collect(t.Context(), must(New(opt))))
		sifted := pricing.Sift(rows)
		for _, q := range sifted.Quarantined {
			t.Errorf("%s is quarantined: %s, %s", q.Offer.ID(), q.Reason, q.Detail)
		}
	}
}

// TestTrap04_DiscountsMarkedOnDemand has SKUs of DWS whose usage type is OnDemand.
func TestTrap04_DiscountsMarkedOnDemand(t *testing.T) {
	opt := serve(t, world())
	opt.Project = "proj"
	got := offers(t, opt)
	onDemand := got["gcp/us-central1/us-central1-a/a3-highgpu-8g/on_demand"].Offer.UnitPrice
	flex := got["gcp/us-central1/us-central1-a/a3-highgpu-8g/flex_start"].Offer.UnitPrice
	if onDemand < 88_000_000_000 || flex > 39_000_000_000 || flex <= 0 {
		t.Errorf("on demand costs %s, flex start %s", onDemand, flex)
	}
	for id := range got {
		if strings.HasSuffix(string(id), "/reserved") {
			t.Errorf("%s: what is Reserved and not in calendar mode is no offer", id)
		}
	}
}

// TestTrap04_SpotMarkedOnDemand has B200 and older TPUs whose spot SKUs are OnDemand.
func TestTrap04_SpotMarkedOnDemand(t *testing.T) {
	opt := serve(t, world())
	opt.Project = "proj"
	got := offers(t, opt)
	for id, want := range map[purser.OfferID]purser.USDPerHour{
		"gcp/us-central1/us-central1-a/a4-highgpu-8g/spot": 32_606_400_000,
		"gcp/us-central1/us-central1-a/v3-8/spot":          2_400_000_000,
		"gcp/us-central1/us-central1-a/v3-8/on_demand":     8_000_000_000,
	} {
		if p := got[id].Offer.UnitPrice; p != want {
			t.Errorf("%s costs %s, want %s", id, p.Decimal(), want.Decimal())
		}
	}
}

// TestTrap11_TPUsOfTheV2API checks which API is asked for TPU types.
func TestTrap11_TPUsOfTheV2API(t *testing.T) {
	w := world()
	opt := serve(t, w)
	opt.Project = "proj"
	offers(t, opt)
	if !slices.Contains(w.asked, "GET /v2/projects/proj/locations/us-central1-a/acceleratorTypes ") {
		t.Errorf("the TPU API v2 was not asked: %q", w.asked)
	}
}

// TestTrap12_PricesOfTheV1Catalogue checks which catalogue is asked.
func TestTrap12_PricesOfTheV1Catalogue(t *testing.T) {
	w := world()
	offers(t, serve(t, w))
	for _, asked := range w.asked {
		if !strings.HasPrefix(asked, "GET /v1/services/6F81-5844-456A/skus ") && !strings.HasPrefix(asked, "GET /v1/services/E000-3F24-B8AA/skus ") {
			t.Errorf("without a project, it asked %s", asked)
		}
	}
	if len(w.asked) < 3 {
		t.Errorf("it asked %q, though the list has several pages", w.asked)
	}
}

// TestTrap14_NotSoldOnDemand has list prices of what is not sold so.
func TestTrap14_NotSoldOnDemand(t *testing.T) {
	for _, project := range []string{"proj", ""} {
		opt := serve(t, world())
		opt.Project = project
		got := offers(t, opt)
		spots := 0
		for id, r := range got {
			typ := r.Offer.InstanceType
			only := slices.Contains([]string{"a4-highgpu-8g", "a3-ultragpu-8g", "a3-highgpu-1g", "a3-highgpu-2g", "a3-highgpu-4g"}, typ)
			if only && r.Offer.Option == purser.OnDemand {
				t.Errorf("%s is not sold", id)
			}
			if only && r.Offer.Option == purser.Spot {
				spots++
			}
			if strings.HasPrefix(typ, "a4x-") {
				t.Errorf("%s has no price of its own", id)
			}
		}
		if spots < 3 {
			t.Errorf("%d spot offers of such machines, want some", spots)
		}
	}
}

// TestNotOffered names what looks as if it were for sale.
func TestNotOffered(t *testing.T) {
	opt := serve(t, world())
	opt.Project = "proj"
	got := offers(t, opt)
	for _, part := range []string{
		"/e2-medium/", "/m1-ultramem-40/", "-metal/", "/n1-standard-96/", // unknown families, shared cores, deleted types
		"/us-central1-a/n1-standard-8+T4x2/", "K80", // more cards than a machine takes, cards that are obsolete
		"/us-central1-f/n1-standard-4+T4x1/",                             // not in that zone
		"/tpu7x-8/", "/v5p-9/", "/us-central1-a/v4-8/", "west4-b/v5p-8/", // unknown, impossible, no price in the region
		"us-east1", "us-east7", // prices without zones, zones without prices
		"us-central1-a/a3-highgpu-8g/spot", // no spot price of its H100 there
	} {
		for id := range got {
			if strings.Contains(string(id), part) {
				t.Errorf("%s is offered", id)
			}
		}
	}
}

// TestWithoutProject gives regional offers from the table.
func TestWithoutProject(t *testing.T) {
	got := offers(t, serve(t, world()))
	for _, id := range []purser.OfferID{
		"gcp/us-west1/-/a2-ultragpu-1g/on_demand", "gcp/us-central1/-/n1-standard-4+T4x1/spot", "gcp/us-central1/-/n1-standard-64+V100x8/on_demand",
		"gcp/us-central1/-/v5litepod-256/on_demand", "gcp/us-central2/-/v4-4096/on_demand", "gcp/europe-west4/-/v5litepod-16/on_demand",
		"gcp/us-east4/-/a3-ultragpu-8g/spot",
	} {
		if _, ok := got[id]; !ok {
			t.Errorf("%s is missing", id)
		}
	}
	for id, r := range got {
		if r.Offer.Zone != "" || r.Offer.Accelerator == "" {
			t.Errorf("%s: zone %q, accelerator %q", id, r.Offer.Zone, r.Offer.Accelerator)
		}
	}
}

func TestShapes(t *testing.T) {
	opt := serve(t, world())
	opt.Project = "proj"
	got := offers(t, opt)
	for id, want := range map[purser.OfferID]purser.Shape{
		"gcp/us-central1/us-central1-a/a2-ultragpu-1g/on_demand":     {Accelerator: "A100-80GB", Devices: 1000, DeviceMemoryMiB: 80 * 1024, MilliCPU: 12_000, MemoryMiB: 170 * 1024, DiskMiB: 375 * 1024},
		"gcp/us-central1/us-central1-a/a3-megagpu-8g/on_demand":      {Accelerator: "H100", Devices: 8000, DeviceMemoryMiB: 80 * 1024, MilliCPU: 208_000, MemoryMiB: 1872 * 1024, DiskMiB: 6000 * 1024},
		"gcp/us-central1/us-central1-a/n1-standard-4+T4x1/on_demand": {Accelerator: "T4", Devices: 1000, DeviceMemoryMiB: 16 * 1024, MilliCPU: 4000, MemoryMiB: 15 * 1024},
		"gcp/us-central1/us-central1-a/n2-standard-8/on_demand":      {MilliCPU: 8000, MemoryMiB: 32 * 1024},
		"gcp/us-central1/us-central1-a/v5litepod-16/spot":            {Accelerator: "TPU-V5E", Devices: 16_000, DeviceMemoryMiB: 16 * 1024, MilliCPU: 4 * 112_000, MemoryMiB: 4 * 192 * 1024},
		"gcp/us-central1/us-central1-a/v6e-8/on_demand":              {Accelerator: "TPU-V6E", Devices: 8000, DeviceMemoryMiB: 32 * 1024, MilliCPU: 180_000, MemoryMiB: 1440 * 1024},
		"gcp/us-east5/us-east5-a/v5p-8/spot":                         {Accelerator: "TPU-V5P", Devices: 4000, DeviceMemoryMiB: 95 * 1024, MilliCPU: 208_000, MemoryMiB: 448 * 1024},
	} {
		if s := got[id].Offer.Shape; s != want {
			t.Errorf("%s has %+v, want %+v", id, s, want)
		}
	}
}

func TestRegionsAndWithoutTPU(t *testing.T) {
	w := world()
	opt := serve(t, w)
	opt.Project, opt.Regions, opt.WithoutTPU = "proj", []string{"us-east4", "us-central1", "us-east4"}, true
	var regions []string
	err := must(New(opt)).Collect(t.Context(), func(b pricing.Batch) error {
		regions = append(regions, b.Region)
		for _, r := range b.Rows {
			if strings.HasPrefix(r.Offer.Accelerator, "TPU") {
				t.Errorf("%s is a TPU", r.Offer.ID())
			}
		}
		return nil
	})
	if err != nil || !slices.Equal(regions, []string{"us-central1", "us-east4"}) {
		t.Errorf("regions %q, error %v", regions, err)
	}
	for _, asked := range w.asked {
		if strings.Contains(asked, "/v2/") || strings.Contains(asked, "E000") {
			t.Errorf("it asked %s", asked)
		}
	}
}

func TestPaging(t *testing.T) {
	one, many := world(), world()
	one.skuPage, one.machinePage, one.tpuPage = 5000, 500, 100
	many.skuPage, many.machinePage, many.tpuPage = 1, 1, 1
	opts := [2]Options{serve(t, one), serve(t, many)}
	var got [2]map[purser.OfferID]pricing.Row
	for i := range opts {
		opts[i].Project = "proj"
		got[i] = offers(t, opts[i])
	}
	if len(got[0]) != len(got[1]) || len(got[0]) < 40 {
		t.Fatalf("%d offers of whole lists, %d of single ones", len(got[0]), len(got[1]))
	}
	for id, r := range got[0] {
		if got[1][id] != r {
			t.Errorf("%s differs", id)
		}
	}
	if len(many.asked) < len(one.asked)+80 {
		t.Errorf("%d requests for pages of one", len(many.asked))
	}
}

// TestEmptyTPUListIsAskedTwice has a zone whose list is empty by mistake.
func TestEmptyTPUListIsAskedTwice(t *testing.T) {
	w := world()
	w.emptyTPUOnce = map[string]bool{"us-east5-a": true}
	opt := serve(t, w)
	opt.Project = "proj"
	if _, ok := offers(t, opt)["gcp/us-east5/us-east5-a/v6e-1/on_demand"]; !ok {
		t.Error("the zone's slices are gone")
	}
}

// TestUnitPrices reads SKUs whose price is not the first number in them.
func TestUnitPrices(t *testing.T) {
	const core, memory = "N2 Instance Core running in Americas", "N2 Instance Ram running in Americas"
	for name, c := range map[string]struct {
		infos []object
		want  string // of n2-standard-8, with memory at 0
		flaw  bool
	}{
		"newest":     {[]object{info("2026-01-01T00:00:00Z", "h", tier(0, "9")), info("2026-06-01T00:00:00Z", "h", tier(0, "0.5")), info("2026-02-01T00:00:00Z", "h", tier(0, "8"))}, "4.08", false},
		"free tier":  {[]object{info("2026-01-01T00:00:00Z", "h", tier(0, "0"), tier(100, "0.25"))}, "2.08", false},
		"last at 0":  {[]object{info("2026-01-01T00:00:00Z", "h", tier(0, "0.1"), tier(0, "0.2"), tier(9, "0.05"))}, "1.68", false},
		"whole USD":  {[]object{info("2026-01-01T00:00:00Z", "h", tier(0, "3.000000001"))}, "24.080000008", false},
		"costs 0":    {[]object{info("2026-01-01T00:00:00Z", "h", tier(0, "0"))}, "0.08", true},
		"negative":   {[]object{info("2026-01-01T00:00:00Z", "h", tier(0, "-0.5"))}, "-3.92", true},
		"odd unit":   {[]object{info("2026-01-01T00:00:00Z", "mo", tier(0, "1"))}, "", false},
		"no tiers":   {[]object{info("2026-01-01T00:00:00Z", "h")}, "", false},
		"no pricing": {nil, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			s := sku(core, "OnDemand", "h", "1", "us-central1")
			s["pricingInfo"] = c.infos
			w := &cloud{
				skus:     map[string][]object{computeService: {s, sku(memory, "OnDemand", "GiBy.h", "0.0025", "us-central1")}},
				machines: map[string][]object{"us-central1-a": {machineType("n2-standard-8", 8, 32768)}}, skuPage: 10, machinePage: 10, tpuPage: 10,
			}
			opt := serve(t, w)
			opt.Project, opt.WithoutTPU = "proj", true
			row, ok := offers(t, opt)["gcp/us-central1/us-central1-a/n2-standard-8/on_demand"]
			if ok != (c.want != "") || ok && (row.Offer.UnitPrice.Decimal() != c.want || (row.Reason == purser.QuarantineNoPrice) != c.flaw) {
				t.Errorf("it is there: %t, at %s, refused for %q", ok, row.Offer.UnitPrice.Decimal(), row.Reason)
			}
		})
	}
}

func TestOtherCurrency(t *testing.T) {
	s := sku("N2 Instance Core running in Americas", "OnDemand", "h", "1", "us-central1")
	s["pricingInfo"] = []object{{"effectiveTime": "2026-01-01T00:00:00Z", "pricingExpression": object{
		"usageUnit": "h", "tieredRates": []object{{"startUsageAmount": 0, "unitPrice": object{"currencyCode": "EUR", "units": "1"}}},
	}}}
	opt := serve(t, &cloud{skus: map[string][]object{computeService: {s}}, skuPage: 10})
	err := must(New(opt)).Collect(t.Context(), func(pricing.Batch) error { return nil })
	if purser.KindOf(err) != purser.KindInvalid || !strings.Contains(err.Error(), "EUR") {
		t.Errorf("the error is %v", err)
	}
}

// TestDearerSKUCounts has two SKUs of one part, in both orders.
func TestDearerSKUCounts(t *testing.T) {
	a := sku("Nvidia H100 80GB Plus GPU running in Americas", "OnDemand", "h", "10.344276", "us-central1")
	b := sku("Nvidia H100 80GB Mega GPU running in Iowa", "OnDemand", "h", "10.5", "us-central1")
	for _, order := range [][]object{{a, b}, {b, a}} {
		got := offers(t, serve(t, &cloud{skus: map[string][]object{computeService: append(order,
			sku("A3Plus Instance Core running in Americas", "OnDemand", "h", "0.01", "us-central1"),
			sku("A3Plus Instance Ram running in Americas", "OnDemand", "GiBy.h", "0.001", "us-central1"),
			sku("SSD backed Local Storage", "OnDemand", "GiBy.mo", "0.073", "us-central1"),
		)}, skuPage: 10}))
		if p := got["gcp/us-central1/-/a3-megagpu-8g/on_demand"].Offer.UnitPrice; p != 88_552_000_000 {
			t.Errorf("it costs %s", p.Decimal())
		}
	}
}

func TestUnreachableZoneLeavesItsRegionOut(t *testing.T) {
	w := world()
	w.unreachable = "us-east4-c"
	opt := serve(t, w)
	opt.Project = "proj"
	var regions []string
	err := must(New(opt)).Collect(t.Context(), func(b pricing.Batch) error {
		regions = append(regions, b.Region)
		return nil
	})
	if purser.KindOf(err) != purser.KindUnavailable || !strings.Contains(err.Error(), "us-east4-c") {
		t.Errorf("the error is %v", err)
	}
	if slices.Contains(regions, "us-east4") || !slices.Contains(regions, "us-central1") {
		t.Errorf("regions %q", regions)
	}
}

func TestEndlessListEnds(t *testing.T) {
	opt := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { reply(w, object{"nextPageToken": "again"}) }))
	err := must(New(opt)).Collect(t.Context(), func(pricing.Batch) error { return nil })
	if purser.KindOf(err) != purser.KindInvalid || !strings.Contains(err.Error(), "no end") {
		t.Errorf("the error is %v", err)
	}
}
