package pricing_test

import (
	"context"
	"errors"
	"maps"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"purser"
	"purser/pricing"
	"purser/pricing/pricingtest"
)

func offerAt(region, zone string, option purser.PurchaseOption, price string) purser.Offer {
	return pricing.Sift([]pricing.Row{row(region, zone, option, price)}).Offers[0]
}

// A region that is collected alone is compared with what the others are known to cost.
func TestSiftAmongComparesWithTheMarket(t *testing.T) {
	od, spot := purser.OnDemand, purser.Spot
	for name, c := range map[string]struct {
		known []purser.Offer
		row   pricing.Row
		want  pricing.QuarantineReason
	}{
		"alone": {nil, row("r1", "", spot, "100"), ""},
		"far above two other regions": {
			[]purser.Offer{offerAt("r2", "", spot, "10"), offerAt("r3", "", spot, "12")}, row("r1", "", spot, "100"), purser.QuarantineOutlier,
		},
		"its own region's old price is not compared with": {
			[]purser.Offer{offerAt("r1", "", spot, "1"), offerAt("r2", "", spot, "50"), offerAt("r3", "", spot, "50")}, row("r1", "", spot, "100"), "",
		},
		"one other region is no median":          {[]purser.Offer{offerAt("r2", "", spot, "10")}, row("r1", "", spot, "100"), ""},
		"other options are not compared with":    {[]purser.Offer{offerAt("r2", "", od, "10"), offerAt("r3", "", od, "10")}, row("r1", "", spot, "100"), ""},
		"spot above on demand of the zone":       {[]purser.Offer{offerAt("r1", "a", od, "5"), offerAt("r1", "", od, "9")}, row("r1", "a", spot, "6"), purser.QuarantineSpotAbove},
		"spot above on demand of the region":     {[]purser.Offer{offerAt("r1", "", od, "5")}, row("r1", "a", spot, "6"), purser.QuarantineSpotAbove},
		"a region's spot and the dearest zone":   {[]purser.Offer{offerAt("r1", "a", od, "5"), offerAt("r1", "b", od, "7")}, row("r1", "", spot, "6"), ""},
		"on demand of another region is no pair": {[]purser.Offer{offerAt("r2", "", od, "5")}, row("r1", "", spot, "6"), ""},
	} {
		market := pricing.NewMarket(c.known)
		got := pricing.SiftAmong([]pricing.Row{c.row}, market)
		reason := pricing.QuarantineReason("")
		if len(got.Quarantined) == 1 {
			reason = got.Quarantined[0].Reason
		}
		if reason != c.want || len(got.Offers)+len(got.Quarantined) != 1 {
			t.Errorf("%s: %q, want %q", name, reason, c.want)
		}
	}
}

// Whatever the market is known to be, each row of a region ends as an offer, in
// quarantine or merged.
func TestSiftAmongLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows := drawRows(t)
		whole := pricing.Sift(slices.Clone(rows))
		byRegion := map[string][]pricing.Row{}
		for _, r := range rows {
			byRegion[r.Offer.Region] = append(byRegion[r.Offer.Region], r)
		}
		var believable []purser.Offer // alone, as a market knows them
		for _, r := range byRegion {
			believable = append(believable, pricing.Sift(r).Offers...)
		}
		n := 0
		for _, region := range slices.Sorted(maps.Keys(byRegion)) {
			s := pricing.SiftAmong(byRegion[region], pricing.NewMarket(believable))
			n += len(s.Offers) + len(s.Quarantined) + s.Merged
			for _, o := range s.Offers {
				if err := o.Check(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if want := len(whole.Offers) + len(whole.Quarantined) + whole.Merged; n != want {
			t.Fatalf("%d rows became %d by region", want, n)
		}
	})
}

func TestReview(t *testing.T) {
	now := seen.Add(time.Hour)
	dear, cheap := row("r1", "", purser.Spot, "90"), row("r2", "", purser.Spot, "10")
	zero := row("r3", "", purser.Spot, "0")
	rows := []pricing.Row{dear, cheap, row("r4", "", purser.Spot, "11"), row("r5", "", purser.Spot, "12"), zero}
	rule := func(r pricing.Row, reason purser.QuarantineReason, low, high float64, until time.Time) purser.PriceRule {
		return purser.PriceRule{Offer: r.Offer.ID(), Reason: reason, Low: purser.USDPerHourOf(low), High: purser.USDPerHourOf(high), Until: until, Actor: "op", Note: "asked them"}
	}
	for name, c := range map[string]struct {
		rules  []purser.PriceRule
		offers int
		says   string // of the offer that is quarantined by hand
	}{
		"none":                        {nil, 3, ""},
		"released":                    {[]purser.PriceRule{rule(dear, purser.QuarantineOutlier, 45, 180, now.Add(time.Hour))}, 4, ""},
		"the rule has ended":          {[]purser.PriceRule{rule(dear, purser.QuarantineOutlier, 45, 180, now)}, 3, ""},
		"the price has left it":       {[]purser.PriceRule{rule(dear, purser.QuarantineOutlier, 10, 20, now.Add(time.Hour))}, 3, ""},
		"for another reason":          {[]purser.PriceRule{rule(dear, purser.QuarantineShape, 45, 180, now.Add(time.Hour))}, 3, ""},
		"what can be no offer stays":  {[]purser.PriceRule{rule(zero, purser.QuarantineNoPrice, 0, 1, now.Add(time.Hour))}, 3, ""},
		"blocked":                     {[]purser.PriceRule{rule(cheap, purser.QuarantineByHand, 0, 1000, now.Add(time.Hour))}, 2, "an operator does not believe it: asked them"},
		"blocked, and another freed":  {[]purser.PriceRule{rule(cheap, purser.QuarantineByHand, 0, 1000, now.Add(time.Hour)), rule(dear, purser.QuarantineOutlier, 45, 180, now.Add(time.Hour))}, 3, "an operator does not believe it: asked them"},
		"a rule about what is unseen": {[]purser.PriceRule{{Offer: "aws/x/-/y/spot", Reason: purser.QuarantineOutlier, High: 1e12, Until: now.Add(time.Hour)}}, 3, ""},
	} {
		got := pricing.Review(pricing.Sift(rows), c.rules, now)
		said := ""
		for _, q := range got.Quarantined {
			if q.Reason == purser.QuarantineByHand {
				said = q.Detail
			}
		}
		if len(got.Offers) != c.offers || len(got.Offers)+len(got.Quarantined) != len(rows) || said != c.says {
			t.Errorf("%s: %d offers, want %d; %q, want %q", name, len(got.Offers), c.offers, said, c.says)
		}
	}
}

func TestIntake(t *testing.T) {
	regional := func(region, price string) pricing.Batch {
		return pricing.Batch{Source: "feed", Region: region, ObservedAt: seen, Rows: []pricing.Row{row(region, "", purser.Spot, price)}}
	}
	whole := func(source string) pricing.Batch {
		return pricing.Batch{Source: source, ObservedAt: seen, Rows: []pricing.Row{row("r9", source, purser.OnDemand, "5")}}
	}
	var saved []pricing.Batch
	var believed []int
	in := pricing.Intake{Market: pricing.NewMarket(nil), Save: func(_ context.Context, b pricing.Batch, s pricing.Sifted) error {
		saved, believed = append(saved, b), append(believed, len(s.Offers))
		return nil
	}}
	f := &pricingtest.Fake{Name: "feed", Batches: []pricing.Batch{regional("r1", "10"), regional("r2", "11"), regional("r3", "99")}}
	if err := in.Collect(t.Context(), f); err != nil || len(saved) != 3 || !slices.Equal(believed, []int{1, 1, 0}) {
		t.Errorf("%v: %d batches with %v offers; the third region lies far above the two before it", err, len(saved), believed)
	}
	saved = nil
	f = &pricingtest.Fake{Name: "feed", Batches: []pricing.Batch{whole("feed:a"), whole("feed:b")}}
	if err := in.Collect(t.Context(), f); err != nil || len(saved) != 1 || saved[0].Source != "feed" || len(saved[0].Rows) != 2 || !saved[0].ObservedAt.Equal(seen) {
		t.Errorf("%v: parts of a whole became %+v", err, saved)
	}
	saved = nil
	broken := errors.New("broken")
	f.Err = broken
	if err := in.Collect(t.Context(), f); !errors.Is(err, broken) || len(saved) != 0 {
		t.Errorf("%v: half of a whole was saved: %+v", err, saved)
	}
	f = &pricingtest.Fake{Name: "feed", Batches: []pricing.Batch{regional("r1", "10"), regional("r2", "11")}}
	full := errors.New("full")
	calls := 0
	in.Save = func(context.Context, pricing.Batch, pricing.Sifted) error { calls++; return full }
	if err := in.Collect(t.Context(), f); !errors.Is(err, full) || calls != 1 {
		t.Errorf("%v after %d saves", err, calls)
	}
}

func TestPlannable(t *testing.T) {
	now := seen.Add(36 * time.Hour)
	o := func(provider, source string, option purser.PurchaseOption) purser.Offer {
		x := offerAt("us-east-1", "", purser.OnDemand, "5")
		x.Provider, x.Source, x.Option = provider, source, option
		return x
	}
	f := pricing.DefaultFreshness()
	f.Sources = map[string]time.Duration{"slow": 72 * time.Hour, "quick": time.Hour}
	for name, c := range map[string]struct {
		offers []purser.Offer
		want   []string // sources
	}{
		"spot ages in a day":                      {[]purser.Offer{o("aws", "feed", purser.Spot), o("aws", "feed", purser.OnDemand)}, []string{"feed"}},
		"a source's own age":                      {[]purser.Offer{o("aws", "slow", purser.Spot), o("aws", "quick", purser.OnDemand)}, []string{"slow"}},
		"the bundled list gives way":              {[]purser.Offer{o("aws", "bundled", purser.OnDemand), o("aws", "slow", purser.Spot), o("gcp", "bundled:x", purser.OnDemand)}, []string{"slow", "bundled:x"}},
		"not to what is stale itself":             {[]purser.Offer{o("aws", "bundled", purser.OnDemand), o("aws", "quick", purser.Spot)}, []string{"bundled"}},
		"private machines do not age":             {[]purser.Offer{o("local", "quick", purser.Private)}, []string{"quick"}},
		"a block that was bought":                 {[]purser.Offer{o("aws", "reserved:aws", purser.CapacityBlock)}, []string{"reserved:aws"}},
		"what is waited for or paid by request":   {[]purser.Offer{o("gcp", "slow", purser.FlexStart), o("gcp", "slow", purser.CapacityBlock), o("modal", "slow", purser.Serverless)}, nil},
		"an option that nobody named is no trick": {[]purser.Offer{o("aws", "slow", "new_kind")}, []string{"slow"}},
	} {
		var got []string
		for _, x := range pricing.Plannable(c.offers, f, now) {
			got = append(got, x.Source)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestRank(t *testing.T) {
	o := func(name, accelerator string, devices purser.MilliDevices, memory int64, price float64) purser.Offer {
		return purser.Offer{
			Provider: "p", Region: "r", InstanceType: name, Option: purser.OnDemand, UnitPrice: purser.USDPerHourOf(price),
			Shape: purser.Shape{Accelerator: accelerator, Devices: devices, DeviceMemoryMiB: memory << 10},
		}
	}
	offers := []purser.Offer{
		o("cpu", "", 0, 0, 0.1), o("h100x8", "H100", 8000, 80, 16), o("a100", "A100-80GB", 1000, 80, 1.9), o("t4", "T4", 1000, 16, 0.3), o("eighth", "L4", 125, 24, 0.05),
	}
	for per, want := range map[pricing.Per][]string{
		pricing.PerMachine: {"eighth", "cpu", "t4", "a100", "h100x8"},
		pricing.PerDevice:  {"t4", "eighth", "a100", "h100x8", "cpu"},
		pricing.PerGiB:     {"eighth", "t4", "a100", "h100x8", "cpu"},
		pricing.PerTFLOP:   {"h100x8", "eighth", "a100", "cpu", "t4"}, // the T4 has no bf16
	} {
		list := slices.Clone(offers)
		pricing.Rank(list, per)
		var got []string
		for _, x := range list {
			got = append(got, x.InstanceType)
		}
		if !slices.Equal(got, want) {
			t.Errorf("per %s: %v, want %v", per, got, want)
		}
	}
	if got := pricing.PerGiB.Of(offers[2]); math.Abs(got-1.9/80) > 1e-12 {
		t.Errorf("a GiB of an A100 costs %g", got)
	}
}

// The cheapest over time is what looking at every offer at every moment finds.
func TestCheapestAgreesWithLooking(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from, to := seen, seen.Add(100*time.Minute)
		points := map[purser.OfferID][]purser.PricePoint{}
		amounts := map[purser.OfferID]float64{}
		for _, id := range []purser.OfferID{"a", "b", "c"} {
			at := from.Add(-time.Duration(rapid.IntRange(0, 30).Draw(t, "before")) * time.Minute)
			for range rapid.IntRange(0, 6).Draw(t, "points") {
				p := purser.PricePoint{From: at, UnitPrice: purser.USDPerHourOf(float64(rapid.IntRange(1, 4).Draw(t, "price")))}
				if rapid.IntRange(0, 4).Draw(t, "gone") == 0 {
					p = purser.PricePoint{From: at, Gone: true}
				}
				points[id] = append(points[id], p)
				at = at.Add(time.Duration(rapid.IntRange(1, 40).Draw(t, "wait")) * time.Minute)
			}
			amounts[id] = float64(rapid.IntRange(0, 2).Draw(t, "amount"))
		}
		steps := pricing.Cheapest(points, func(id purser.OfferID) float64 { return amounts[id] }, from, to)
		for at := from; at.Before(to); at = at.Add(time.Minute) {
			best, price := purser.OfferID(""), math.Inf(1)
			for _, id := range []purser.OfferID{"a", "b", "c"} {
				for i, p := range points[id] {
					inForce := !p.From.After(at) && (i+1 == len(points[id]) || points[id][i+1].From.After(at))
					if v := p.UnitPrice.USD() / amounts[id]; inForce && !p.Gone && amounts[id] > 0 && v < price {
						best, price = id, v
					}
				}
			}
			var got pricing.Step
			for _, s := range steps {
				if !s.From.After(at) {
					got = s
				}
			}
			if got.Offer != best || best != "" && got.Price != price {
				t.Fatalf("at %s: %+v, want %s at %g; points %+v", at.Format(time.TimeOnly), got, best, price, points)
			}
		}
		for i := 1; i < len(steps); i++ {
			if !steps[i-1].From.Before(steps[i].From) || steps[i-1].Offer == steps[i].Offer && steps[i-1].Price == steps[i].Price {
				t.Fatalf("steps %d and %d: %+v", i-1, i, steps)
			}
		}
	})
}
