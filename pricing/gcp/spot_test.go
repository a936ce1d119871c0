package gcp

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"purser"
	"purser/pricing"
	"purser/pricing/pricingtest"
)

// spotWorld sells few machine types in two regions.
func spotWorld() *cloud {
	w := world()
	w.machines = map[string][]object{
		"us-central1-a": {
			machineType("a2-highgpu-1g", 12, 87040), machineType("a2-highgpu-8g", 96, 696320), machineType("a2-megagpu-16g", 96, 1392640),
			machineType("g2-standard-4", 4, 16384), machineType("g2-standard-8", 8, 32768), machineType("n2-standard-8", 8, 32768),
		},
		"us-east4-b": {machineType("a3-highgpu-8g", 208, 1916928)},
	}
	w.capacities["us-central1-a g2-standard-4"] = object{"recommendations": []object{{
		"scores": object{"obtainability": 0.75, "estimatedUptime": "86400s"},
		"shards": []object{{"zone": "zones/us-central1-a", "machineType": "g2-standard-4", "instanceCount": 1, "provisioningModel": "SPOT"}},
	}}}
	return w
}

func TestSpotRun(t *testing.T) {
	opt := serve(t, spotWorld())
	opt.Project, opt.Availability = "proj", true
	pricingtest.Run(t, func() pricing.Collector { return must(NewSpotHistory(opt)) })
}

func spots(t *testing.T, opt Options) (map[string]pricing.Batch, error) {
	t.Helper()
	out := map[string]pricing.Batch{}
	err := must(NewSpotHistory(opt)).Collect(t.Context(), func(b pricing.Batch) error {
		out[b.Region] = b
		return nil
	})
	return out, err
}

// TestTrap13_CapacityHistory reads what the API has since version 1 of Compute Engine.
func TestTrap13_CapacityHistory(t *testing.T) {
	w := spotWorld()
	opt := serve(t, w)
	opt.Project = "proj"
	got, err := spots(t, opt)
	if err != nil {
		t.Fatal(err)
	}
	at := func(s string) time.Time { return must(time.Parse(time.RFC3339, s)).UTC() }
	want := []purser.PastPrice{
		{Offer: "gcp/us-central1/us-central1-a/a2-highgpu-1g/spot", From: at("2026-11-01T08:00:00Z"), UnitPrice: 1_927_680_000},
		{Offer: "gcp/us-central1/us-central1-a/g2-standard-4/spot", From: at("2026-09-01T07:00:00Z"), UnitPrice: 301_260_000},
		{Offer: "gcp/us-central1/us-central1-a/g2-standard-4/spot", From: at("2026-11-01T08:00:00Z"), UnitPrice: 281_260_000},
	}
	if past := got["us-central1"].Past; !slices.Equal(past, want) {
		t.Errorf("past prices %+v", past)
	}
	if past := got["us-east4"].Past; len(past) != 1 || past[0].UnitPrice != 20_044_460_000 {
		t.Errorf("past prices of us-east4 %+v", past)
	}
	prices := offers(t, func() Options { o := opt; o.WithoutTPU = true; return o }())
	for _, b := range got {
		if len(b.Rows) > 0 || b.ObservedAt != noon || b.Source != "gcp-spot" {
			t.Errorf("region %s: %d rows, observed at %s", b.Region, len(b.Rows), b.ObservedAt)
		}
		for _, p := range b.Past {
			if _, ok := prices[p.Offer]; !ok {
				t.Errorf("no offer is called %s", p.Offer)
			}
		}
	}
	if path := "POST /compute/v1/projects/proj/regions/us-central1/advice/capacityHistory "; !slices.Contains(w.asked, path) {
		t.Errorf("it asked %q", w.asked)
	}
	body := w.body[0]
	if dig(body, "instanceProperties", "scheduling", "provisioningModel") != "SPOT" || dig(body, "types", 0) != "PRICE" || dig(body, "types", 1) != "PREEMPTION" ||
		!strings.HasPrefix(dig(body, "locationPolicy", "location"), "zones/us-") {
		t.Errorf("it sent %v", body)
	}
}

func TestInterruptions(t *testing.T) {
	opt := serve(t, spotWorld())
	opt.Project = "proj"
	got, err := spots(t, opt)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]float64{
		"g2-standard-4":  -math.Log(0.88) / 24, // of the last day that is over, not of the running one
		"a2-highgpu-8g":  -math.Log(0.01) / 24, // all were preempted: held below infinity
		"a2-megagpu-16g": 0,
	}
	signals := got["us-central1"].Signals
	if len(signals) != len(want) {
		t.Errorf("%d signals: %+v", len(signals), signals)
	}
	for _, s := range signals {
		if w, ok := want[s.InstanceType]; !ok || math.Abs(s.Low-w) > 1e-12 || s.High != s.Low || s.Kind != purser.SignalInterruption ||
			s.Zone != "us-central1-a" || s.Option != purser.Spot || s.Source != "gcp-spot" || s.ObservedAt != noon {
			t.Errorf("signal %+v, want %g", s, w)
		}
	}
}

func TestAvailability(t *testing.T) {
	w := spotWorld()
	opt := serve(t, w)
	opt.Project, opt.Availability, opt.Regions = "proj", true, []string{"us-central1"}
	got, err := spots(t, opt)
	if err != nil {
		t.Fatal(err)
	}
	var found []purser.Signal
	for _, s := range got["us-central1"].Signals {
		if s.Kind == purser.SignalAvailability {
			found = append(found, s)
		}
	}
	if len(found) != 1 || found[0].Low != 0.75 || found[0].High != 0.75 || found[0].InstanceType != "g2-standard-4" || !strings.Contains(found[0].Detail, "86400s") {
		t.Errorf("signals %+v", found)
	}
}

func TestSince(t *testing.T) {
	opt := serve(t, spotWorld())
	opt.Project = "proj"
	var asked []string
	opt.Since = func(_ context.Context, source, region string) (time.Time, error) {
		asked = append(asked, source+" "+region)
		return noon.AddDate(0, 0, -7), nil
	}
	got, err := spots(t, opt)
	if err != nil || !slices.Equal(asked, []string{"gcp-spot us-central1", "gcp-spot us-east4"}) {
		t.Errorf("it asked from when on for %q; error %v", asked, err)
	}
	if past := got["us-central1"].Past; len(past) != 2 {
		t.Errorf("past prices %+v, want those in force in the last week", past)
	}
	opt.Since = func(context.Context, string, string) (time.Time, error) { return time.Time{}, nil }
	if got, err = spots(t, opt); err != nil || len(got["us-central1"].Past) != 4 {
		t.Errorf("past prices since ever %+v; error %v", got["us-central1"].Past, err)
	}
	gone := errors.New("the database is gone")
	opt.Since = func(context.Context, string, string) (time.Time, error) { return time.Time{}, gone }
	if got, err = spots(t, opt); !errors.Is(err, gone) || len(got) > 0 {
		t.Errorf("%d batches, error %v", len(got), err)
	}
}

func TestMaxCalls(t *testing.T) {
	w := spotWorld()
	opt := serve(t, w)
	opt.Project, opt.MaxCalls = "proj", 5
	got, err := spots(t, opt)
	if purser.KindOf(err) != purser.KindInvalid || !strings.Contains(err.Error(), "us-east4") || len(got) != 1 {
		t.Errorf("%d batches, error %v", len(got), err)
	}
	if len(w.body) != 5 {
		t.Errorf("%d calls", len(w.body))
	}
}

// TestUnknownPools tells a machine type that the API does not know from a question that
// it does not understand.
func TestUnknownPools(t *testing.T) {
	w := spotWorld()
	delete(w.histories, "us-east4-b a3-highgpu-8g")
	opt := serve(t, w)
	opt.Project = "proj"
	got, err := spots(t, opt)
	if _, ok := got["us-east4"]; err != nil || ok || len(got) != 1 {
		t.Errorf("batches %v, error %v", got, err)
	}
	w.histories = nil
	if got, err = spots(t, opt); purser.KindOf(err) != purser.KindInvalid || len(got) > 0 {
		t.Errorf("%d batches, error %v", len(got), err)
	}
}

func TestBrokenIntervals(t *testing.T) {
	for name, interval := range map[string]object{
		"no start": {"endTime": "2026-11-01T08:00:00Z"},
		"no time":  {"startTime": "yesterday"},
		"backward": {"startTime": "2026-11-02T08:00:00Z", "endTime": "2026-11-01T08:00:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			w := spotWorld()
			w.histories["us-east4-b a3-highgpu-8g"] = object{"priceHistory": []object{{"interval": interval, "listPrice": object{"units": "1"}}}}
			opt := serve(t, w)
			opt.Project = "proj"
			got, err := spots(t, opt)
			if purser.KindOf(err) != purser.KindInvalid || len(got) != 1 {
				t.Errorf("%d batches, error %v", len(got), err)
			}
		})
	}
}

// TestClockBehind has a price and a day that begin after what our clock says.
func TestClockBehind(t *testing.T) {
	opt := serve(t, spotWorld())
	opt.Project = "proj"
	early := time.Date(2026, 10, 15, 0, 0, 0, 0, time.UTC)
	opt.Now = func() time.Time { return early }
	got, err := spots(t, opt)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range got {
		for _, p := range b.Past {
			if p.From.After(early) {
				t.Errorf("%+v is to come", p)
			}
		}
		if len(b.Signals) > 0 {
			t.Errorf("signals of days to come: %+v", b.Signals)
		}
	}
}
