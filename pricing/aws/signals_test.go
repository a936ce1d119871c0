package aws

import (
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"purser"
	"purser/pricing"
)

// signalsOf collects and gives the signals by region, type and kind.
func signalsOf(batches []pricing.Batch) map[string]purser.Signal {
	out := map[string]purser.Signal{}
	for _, b := range batches {
		for _, s := range b.Signals {
			out[s.Region+" "+s.InstanceType+" "+string(s.Kind)] = s
		}
	}
	return out
}

func TestSignals(t *testing.T) {
	t.Parallel()
	batches, err := collect(made(t, NewSpot, serve(t, world(t))))
	if err != nil {
		t.Fatal(err)
	}
	got := signalsOf(batches)
	for key, want := range map[string][2]float64{
		"us-east-1 p5.48xlarge interruption": {0, 0.05}, "us-east-1 g5.xlarge interruption": {0.15, 0.20}, "us-east-2 g6.xlarge interruption": {0.20, 0.95},
	} {
		s := got[key]
		// The share that is interrupted in a month at the hazard is that of the band.
		share := func(hazard float64) float64 { return 1 - math.Exp(-730*hazard) }
		if math.Abs(share(s.Low)-want[0]) > 1e-12 || math.Abs(share(s.High)-want[1]) > 1e-12 || s.Option != purser.Spot || s.Zone != "" || s.Kind != purser.SignalInterruption {
			t.Errorf("%s: %+v", key, s)
		}
		delete(got, key)
	}
	for _, size := range []string{"xlarge", "2xlarge", "4xlarge"} {
		key := "us-east-2 g6." + size + " availability"
		if s := got[key]; s.Low != 0.9 || s.High != 0.9 || s.Zone != "" || !strings.Contains(s.Detail, "9 of 10 for one of 4 machine types") {
			t.Errorf("%s: %+v", key, s)
		}
		delete(got, key)
	}
	// No band, a band that is not known, a machine without price, a device with few types.
	for key, s := range got {
		t.Errorf("%s: %+v", key, s)
	}
}

func TestHazardGrowsWithTheShare(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.Float64Range(0, 0.95).Draw(t, "p")
		q := rapid.Float64Range(0, 0.95).Draw(t, "q")
		if h, k := hazard(p), hazard(q); h < 0 || h > 0.0042 || (p < q) != (h < k) && math.Abs(p-q) > 1e-15 {
			t.Fatalf("hazard(%g) = %g, hazard(%g) = %g", p, h, q, k)
		}
	})
}

// Without signals, prices come all the same, and the error says what is missing.
func TestMissingSignalsLeavePrices(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault  func(string, string) http.HandlerFunc
		kind   purser.Kind
		says   string
		leaves purser.SignalKind
	}{
		"no advisor":       {always(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) }, "/advisor.json"), purser.KindForbidden, "interruption rates are missing", purser.SignalAvailability},
		"advisor is away":  {always(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusBadGateway) }, "/advisor.json"), purser.KindUnavailable, "interruption rates are missing", purser.SignalAvailability},
		"another file":     {always(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}")) }, "/advisor.json"), purser.KindInvalid, "names no region", purser.SignalAvailability},
		"scores forbidden": {always(ec2Error(403, "UnauthorizedOperation", "no"), "ec2:GetSpot"), purser.KindForbidden, "ec2:GetSpotPlacementScores", purser.SignalInterruption},
		"scores used up":   {always(ec2Error(400, "MaxConfigLimitExceeded", "no"), "ec2:GetSpot"), purser.KindThrottled, "MaxConfigLimitExceeded", purser.SignalInterruption},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := world(t)
			c.fault = test.fault
			batches, err := collect(made(t, NewSpot, serve(t, c)))
			if len(batches) != 2 || len(batches[0].Rows) == 0 || len(batches[1].Rows) != 3 {
				t.Errorf("%d batches", len(batches))
			}
			if purser.KindOf(err) != test.kind || !strings.Contains(err.Error(), "prices are there, but") || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%s: %v", purser.KindOf(err), err)
			}
			for key, s := range signalsOf(batches) {
				if s.Kind != test.leaves {
					t.Errorf("there is %s", key)
				}
			}
		})
	}
}

func TestScoresAreKeptForADay(t *testing.T) {
	t.Parallel()
	c := world(t)
	now := noon
	opt := serve(t, c)
	opt.Now = func() time.Time { return now }
	spot := made(t, NewSpot, opt)
	for i, test := range []struct {
		after time.Duration
		asked int
	}{{0, 1}, {0, 1}, {23 * time.Hour, 1}, {time.Hour, 2}} {
		now = now.Add(test.after)
		batches, err := collect(spot)
		if err != nil {
			t.Fatal(err)
		}
		if n := c.count("ec2:GetSpotPlacementScores"); n != test.asked {
			t.Errorf("collection %d: %d requests, want %d", i, n, test.asked)
		}
		if s := signalsOf(batches)["us-east-2 g6.xlarge availability"]; s.Low != 0.9 {
			t.Errorf("collection %d: %+v", i, s)
		}
	}
	form := c.requests("ec2:GetSpotPlacementScores")[0].form
	if form.Get("InstanceType.1") != "g6.2xlarge" || form.Get("InstanceType.4") != "g6f.large" || form.Get("RegionName.2") != "us-east-2" || form.Has("RegionName.3") || form.Get("TargetCapacity") != "1" {
		t.Errorf("asked for %v", form)
	}
	opt.ScoresEvery = -1
	if _, err := collect(made(t, NewSpot, opt)); err != nil || c.count("ec2:GetSpotPlacementScores") != 2 {
		t.Errorf("scores were asked against the will, or: %v", err)
	}
}

func TestQuestionsAreFewAndWhole(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		offered := map[string]machines{}
		want := map[string]bool{}
		for _, region := range rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z]{2}-[a-z]{3}-[1-9]`), 1, 35, rapid.ID[string]).Draw(t, "regions") {
			m := machines{types: map[string]machine{}, zones: map[string][]string{}}
			for _, size := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c", "d"}), 1, 4, rapid.ID[string]).Draw(t, "sizes") {
				m.types["g6."+size] = machine{spot: true, shape: purser.Shape{Accelerator: "L4", Devices: 1000}}
				m.zones["g6."+size] = []string{"use1-az1"}
				want[size] = true
			}
			m.types["c6i.large"] = machine{spot: true}
			offered[region] = m
		}
		asked := questions(offered)
		if len(want) < scoredTypes {
			if len(asked) != 0 {
				t.Fatalf("%d questions about %d types", len(asked), len(want))
			}
			return
		}
		var regions []string
		for _, q := range asked {
			if len(q.types) != len(want) || len(q.regions) > scoredRegions || q.accelerator != "L4" {
				t.Fatalf("question %+v", q)
			}
			regions = append(regions, q.regions...)
		}
		slices.Sort(regions)
		if len(asked) != (len(offered)+scoredRegions-1)/scoredRegions || len(slices.Compact(regions)) != len(offered) {
			t.Fatalf("%d questions about %d of %d regions", len(asked), len(regions), len(offered))
		}
	})
}

func TestOtherBandsAreRefused(t *testing.T) {
	t.Parallel()
	c := world(t)
	c.advisor = strings.Replace(c.advisor, `"label":">20%"`, `"label":"20-30%"`, 1)
	_, err := collect(made(t, NewSpot, serve(t, c)))
	if purser.KindOf(err) != purser.KindInvalid || !strings.Contains(err.Error(), "20-30%") {
		t.Errorf("%v", err)
	}
}
