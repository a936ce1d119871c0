package pricing_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"purser"
	"purser/pricing"
)

var seen = time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)

// row makes a p5.48xlarge in a region at a price that parses.
func row(region, zone string, option purser.PurchaseOption, price string, change ...func(*pricing.Row)) pricing.Row {
	p, err := purser.ParseUSDPerHour(price)
	if err != nil {
		panic(err)
	}
	r := pricing.Row{Place: "feed:" + region + zone + string(option) + price, Offer: purser.Offer{
		Provider: "aws", Region: region, Zone: zone, InstanceType: "p5.48xlarge", Option: option,
		Shape:     purser.Shape{Accelerator: "H100", Devices: 8000, MilliCPU: 192_000, MemoryMiB: 2 << 20},
		UnitPrice: p, Limit: purser.Unlimited, ObservedAt: seen, Source: "feed",
	}}
	for _, c := range change {
		c(&r)
	}
	return r
}

func reasonsOf(s pricing.Sifted) []string {
	var out []string
	for _, q := range s.Quarantined {
		out = append(out, fmt.Sprintf("%s: %s", q.Place, q.Reason))
	}
	slices.Sort(out)
	return out
}

func TestSiftJudgesRowsAlone(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*pricing.Row)
		want   pricing.QuarantineReason
	}{
		"believable":             {func(*pricing.Row) {}, ""},
		"zero price":             {func(r *pricing.Row) { r.Offer.UnitPrice = 0 }, purser.QuarantineNoPrice},
		"negative price":         {func(r *pricing.Row) { r.Offer.UnitPrice = -1 }, purser.QuarantineNoPrice},
		"absurd price":           {func(r *pricing.Row) { r.Offer.UnitPrice = pricing.MaxPrice + 1 }, purser.QuarantineOutlier},
		"private machine at 0":   {func(r *pricing.Row) { r.Offer.UnitPrice, r.Offer.Option = 0, purser.Private }, ""},
		"private below 0":        {func(r *pricing.Row) { r.Offer.UnitPrice, r.Offer.Option = -1, purser.Private }, purser.QuarantineNoPrice},
		"collector's own reason": {func(r *pricing.Row) { r.Reason, r.Detail = purser.QuarantineNoPrice, "no price" }, purser.QuarantineNoPrice},
		"no region":              {func(r *pricing.Row) { r.Offer.Region = "" }, pricing.QuarantineIncomplete},
		"no source":              {func(r *pricing.Row) { r.Offer.Source = "" }, pricing.QuarantineIncomplete},
		"no time":                {func(r *pricing.Row) { r.Offer.ObservedAt = time.Time{} }, pricing.QuarantineIncomplete},
		"unknown accelerator":    {func(r *pricing.Row) { r.Offer.Accelerator, r.AcceleratorName = "", "H900" }, purser.QuarantineAccelerator},
		"not canonical":          {func(r *pricing.Row) { r.Offer.Accelerator = "H100-SXM" }, purser.QuarantineAccelerator},
		"alias":                  {func(r *pricing.Row) { r.Offer.Accelerator, r.AcceleratorName = "", "NVIDIA H100-SXM" }, ""},
		"no devices":             {func(r *pricing.Row) { r.Offer.Devices = 0 }, purser.QuarantineShape},
		"negative devices":       {func(r *pricing.Row) { r.Offer.Devices = -1000 }, purser.QuarantineShape},
		"devices of no name":     {func(r *pricing.Row) { r.Offer.Accelerator = "" }, purser.QuarantineShape},
		"two and a half devices": {func(r *pricing.Row) { r.Offer.Devices = 2500 }, purser.QuarantineShape},
		"a sixth of a device":    {func(r *pricing.Row) { r.Offer.Devices = 166 }, ""},
		"million devices":        {func(r *pricing.Row) { r.Offer.Devices = 1_000_000_000 }, purser.QuarantineShape},
		"no vCPU":                {func(r *pricing.Row) { r.Offer.MilliCPU = 0 }, purser.QuarantineShape},
		"no memory":              {func(r *pricing.Row) { r.Offer.MemoryMiB = 0 }, purser.QuarantineShape},
		"memory in bytes":        {func(r *pricing.Row) { r.Offer.MemoryMiB = 2 << 40 }, purser.QuarantineShape},
		"limit below unlimited":  {func(r *pricing.Row) { r.Offer.Limit = -2 }, purser.QuarantineShape},
		"CPU only":               {func(r *pricing.Row) { r.Offer.Accelerator, r.Offer.Devices = "", 0 }, ""},
	} {
		got := pricing.Sift([]pricing.Row{row("us-east-1", "", purser.OnDemand, "55.04", c.change)})
		switch {
		case c.want == "" && (len(got.Offers) != 1 || len(got.Quarantined) != 0):
			t.Errorf("%s: quarantined: %+v", name, got.Quarantined)
		case c.want != "" && (len(got.Quarantined) != 1 || got.Quarantined[0].Reason != c.want || got.Quarantined[0].Detail == ""):
			t.Errorf("%s: got %+v, want one row with reason %s and a detail", name, got, c.want)
		case c.want != "" && got.Quarantined[0].Place == "":
			t.Errorf("%s: the place is lost", name)
		}
	}
}

func TestSiftCompletesOffers(t *testing.T) {
	got := pricing.Sift([]pricing.Row{row("eu-north-1", "", purser.Spot, "28.3188", func(r *pricing.Row) {
		r.Offer.Accelerator, r.AcceleratorName = "", "h100"
	})}).Offers
	if len(got) != 1 {
		t.Fatal("the offer is gone")
	}
	if o := got[0]; o.Accelerator != "H100" || o.DeviceMemoryMiB != 80<<10 || o.Country != "SE" || !o.ValidFrom.Equal(seen) {
		t.Errorf("got %+v: want H100, 80 GiB, SE, valid from its observation", o)
	}
}

func TestSiftComparesRows(t *testing.T) {
	newer := func(r *pricing.Row) { r.Offer.ObservedAt = seen.Add(time.Hour) }
	od, spot := purser.OnDemand, purser.Spot
	for name, c := range map[string]struct {
		rows        []pricing.Row
		offers      []string // prices
		quarantined []string
		merged      int
	}{
		"equal rows merge": {
			rows:   []pricing.Row{row("r1", "", od, "5"), row("r1", "", od, "5.000")},
			offers: []string{"5"}, merged: 1,
		},
		"the newest price stays": {
			rows:        []pricing.Row{row("r1", "", od, "5"), row("r1", "", od, "4", newer)},
			offers:      []string{"4"},
			quarantined: []string{"feed:r1on_demand5: conflicting"},
		},
		"of equally new prices the dearest stays": {
			rows:        []pricing.Row{row("r1", "", od, "4"), row("r1", "", od, "5"), row("r1", "", od, "4.5")},
			offers:      []string{"5"},
			quarantined: []string{"feed:r1on_demand4.5: conflicting", "feed:r1on_demand4: conflicting"},
		},
		"a pair of one zone is flagged whole": {
			rows:        []pricing.Row{row("r1", "a", od, "5"), row("r1", "a", spot, "6"), row("r1", "b", od, "5"), row("r1", "b", spot, "4")},
			offers:      []string{"5", "4"},
			quarantined: []string{"feed:r1aon_demand5: spot_above_on_demand", "feed:r1aspot6: spot_above_on_demand"},
		},
		"a zone is compared with the region": {
			rows:        []pricing.Row{row("r1", "", od, "5"), row("r1", "a", spot, "6"), row("r1", "b", spot, "4")},
			offers:      []string{"4"},
			quarantined: []string{"feed:r1aspot6: spot_above_on_demand", "feed:r1on_demand5: spot_above_on_demand"},
		},
		"a region is compared with its dearest zone": {
			rows:   []pricing.Row{row("r1", "a", od, "5"), row("r1", "b", od, "7"), row("r1", "", spot, "6")},
			offers: []string{"6", "5", "7"},
		},
		"a zone without a price of its own or the region's is not compared": {
			rows:   []pricing.Row{row("r1", "b", od, "5"), row("r1", "a", spot, "6")},
			offers: []string{"6", "5"},
		},
		"spot at the on-demand price is believed": {
			rows:   []pricing.Row{row("r1", "", od, "55.04"), row("r1", "a", spot, "55.04")},
			offers: []string{"55.04", "55.04"},
		},
		"reserved is no spot": {
			rows:   []pricing.Row{row("r1", "", od, "5"), row("r1", "", purser.Reserved, "6")},
			offers: []string{"5", "6"},
		},
		"3 × the median is believed, more is not": {
			rows: []pricing.Row{
				row("r1", "", spot, "2"), row("r2", "", spot, "2"), row("r3", "", spot, "6"),
				row("r4", "", spot, "6.000000001"), row("r5", "", spot, "1"),
			},
			offers:      []string{"2", "2", "6", "1"},
			quarantined: []string{"feed:r4spot6.000000001: outlier"},
		},
		"two regions know no median": {
			rows:   []pricing.Row{row("r1", "", spot, "1"), row("r2", "", spot, "100")},
			offers: []string{"1", "100"},
		},
		"a region with many zones weighs as one": {
			rows: []pricing.Row{
				row("r1", "a", spot, "10"), row("r1", "b", spot, "10"), row("r1", "c", spot, "10"), row("r1", "d", spot, "10"),
				row("r2", "", spot, "3"), row("r3", "", spot, "3"),
			},
			offers:      []string{"3", "3"},
			quarantined: []string{"feed:r1aspot10: outlier", "feed:r1bspot10: outlier", "feed:r1cspot10: outlier", "feed:r1dspot10: outlier"},
		},
	} {
		got := pricing.Sift(c.rows)
		var prices []string
		for _, o := range got.Offers {
			prices = append(prices, o.UnitPrice.Decimal())
		}
		if !slices.Equal(prices, c.offers) || !slices.Equal(reasonsOf(got), c.quarantined) || got.Merged != c.merged {
			t.Errorf("%s: offers %v, want %v; quarantined %v, want %v; merged %d, want %d",
				name, prices, c.offers, reasonsOf(got), c.quarantined, got.Merged, c.merged)
		}
	}
}

// rows draws feeds with few regions, zones and prices, so that the rules meet.
func drawRows(t *rapid.T) []pricing.Row {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) pricing.Row {
		r := row(rapid.SampledFrom([]string{"us-east-1", "eu-north-1", "sa-east-1", "nowhere"}).Draw(t, "region"),
			rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "zone"),
			rapid.SampledFrom([]purser.PurchaseOption{purser.OnDemand, purser.Spot, purser.Private}).Draw(t, "option"),
			rapid.SampledFrom([]string{"0", "-1", "1", "2", "3.5", "40", "9000000"}).Draw(t, "price"))
		r.Offer.Devices = purser.MilliDevices(rapid.SampledFrom([]int64{0, 125, 1000, 1500, 8000}).Draw(t, "devices"))
		r.Offer.Accelerator = rapid.SampledFrom([]string{"H100", "H100", "L4", "", "H900"}).Draw(t, "accelerator")
		r.Offer.ObservedAt = seen.Add(time.Duration(rapid.IntRange(0, 1).Draw(t, "newer")) * time.Hour)
		r.Place = fmt.Sprintf("feed:%d", rapid.IntRange(1, 5).Draw(t, "line"))
		return r
	}), 0, 60).Draw(t, "rows")
}

func TestSiftLosesNothingAndKnowsNoOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows := drawRows(t)
		got := pricing.Sift(slices.Clone(rows))
		if n := len(got.Offers) + len(got.Quarantined) + got.Merged; n != len(rows) {
			t.Fatalf("%d rows became %d", len(rows), n)
		}
		seenID := map[purser.OfferID]bool{}
		for _, o := range got.Offers {
			if err := o.Check(); err != nil || seenID[o.ID()] {
				t.Fatalf("offer %s: repeated %t, %v", o.ID(), seenID[o.ID()], err)
			}
			seenID[o.ID()] = true
		}
		for _, q := range got.Quarantined {
			if q.Reason == "" || q.Detail == "" || q.Place == "" {
				t.Fatalf("quarantined without reason, detail or place: %+v", q)
			}
		}
		if !slices.IsSortedFunc(got.Offers, func(a, b purser.Offer) int { return slices.Compare([]string{string(a.ID())}, []string{string(b.ID())}) }) {
			t.Fatal("offers are not sorted by id")
		}
		shuffled := slices.Clone(rows)
		rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		rnd.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if other := pricing.Sift(shuffled); !reflect.DeepEqual(got, other) {
			t.Fatalf("another order of rows gives another result:\n%+v\n%+v", got, other)
		}
	})
}

// What Sift believes obeys the rules among itself too: no offer is dearer on spot
// than on demand in the same place.
func TestSiftLeavesNoPairWithDearerSpot(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		price := map[purser.OfferID]purser.USDPerHour{}
		offers := pricing.Sift(drawRows(t)).Offers
		for _, o := range offers {
			price[o.ID()] = o.UnitPrice
		}
		for _, o := range offers {
			if o.Option != purser.Spot {
				continue
			}
			twin := o
			twin.Option = purser.OnDemand
			if p, ok := price[twin.ID()]; ok && o.UnitPrice > p {
				t.Fatalf("%s costs %s, on demand %s", o.ID(), o.UnitPrice, p)
			}
		}
	})
}
