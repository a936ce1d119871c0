package optimizer_test

import (
	"reflect"
	"testing"
	"time"

	"purser"
	"purser/optimizer"
)

func scenarioInput() optimizer.Input {
	o := func(provider, region, zone, kind string, option purser.PurchaseOption, price float64, limit int) purser.Offer {
		return purser.Offer{
			Provider: provider, Region: region, Zone: zone, InstanceType: kind, Option: option, UnitPrice: purser.USDPerHourOf(price), Limit: limit,
			Shape: purser.Shape{Accelerator: "L4", Devices: 1000, MilliCPU: 8000, MemoryMiB: 32768},
		}
	}
	offers := []purser.Offer{
		o("aws", "r1", "a", "g6", purser.Spot, 0.5, purser.Unlimited), o("aws", "r1", "b", "g6", purser.OnDemand, 1, purser.Unlimited),
		o("gcp", "r9", "", "g2", purser.OnDemand, 2, purser.Unlimited), o("local", "berlin", "rack", "rack1", purser.Private, 0.1, 1),
	}
	g := purser.TaskGroup{Name: "serve", Kind: purser.Inference, Replicas: 3, Run: purser.Run{Command: "x"}, Variants: []purser.Variant{{Name: "v", Accelerator: "L4", Devices: 1000, MilliCPU: 1000, MemoryMiB: 1024}}}
	return optimizer.Input{
		Offers: offers, Snapshot: true,
		Jobs:   []purser.Job{{ID: "j", Project: "p", Name: "j", Groups: []purser.TaskGroup{g}}},
		Quotas: []purser.Quota{{Name: "spot", Unit: purser.QuotaVCPUs, Limit: 8, Option: purser.Spot}},
		Held:   []optimizer.Held{{Lease: purser.Lease{ID: "l", State: purser.LeaseRunning, Offer: offers[0]}}},
	}
}

func TestScenarios(t *testing.T) {
	in := scenarioInput()
	before := scenarioInput()
	out, err := optimizer.Scenario{
		Prices: []optimizer.PriceFactor{{Option: purser.Spot, Factor: 3}, {Provider: "gcp", Factor: 0.5}},
		More:   []optimizer.Extra{{Name: "spot", Count: 8}, {Name: "rack1", Count: 2}},
	}.Apply(in)
	if err != nil {
		t.Fatal(err)
	}
	if out.Offers[0].UnitPrice != purser.USDPerHourOf(1.5) || out.Offers[1].UnitPrice != purser.USDPerHourOf(1) || out.Offers[2].UnitPrice != purser.USDPerHourOf(1) ||
		out.Held[0].Lease.Offer.UnitPrice != purser.USDPerHourOf(1.5) || out.Quotas[0].Limit != 16 || out.Offers[3].Limit != 3 {
		t.Errorf("%+v", out)
	}
	if !reflect.DeepEqual(in, before) {
		t.Error("the given input was changed")
	}
	out, err = optimizer.Scenario{Lost: []string{"aws/r1/a"}}.Apply(in)
	if err != nil || len(out.Offers) != 3 || len(out.Held) != 0 {
		t.Errorf("a lost zone: %+v, %v", out, err)
	}
	for name, s := range map[string]optimizer.Scenario{
		"a place that is not there": {Lost: []string{"mars"}},
		"no place":                  {Lost: []string{""}},
		"a quota of no name":        {More: []optimizer.Extra{{Name: "x", Count: 1}}},
		"supply that has no end":    {More: []optimizer.Extra{{Name: "g6", Count: 1}}},
		"a price of nobody":         {Prices: []optimizer.PriceFactor{{Provider: "mars", Factor: 2}}},
	} {
		if _, err := s.Apply(in); purser.KindOf(err) != purser.KindNotFound {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := (optimizer.Scenario{Prices: []optimizer.PriceFactor{{Factor: 0}}}).Apply(in); purser.KindOf(err) != purser.KindInvalid {
		t.Errorf("a factor of 0: %v", err)
	}
}

// What a plan has used up is found, and one step more of it really is worth the
// difference.
func TestBottlenecks(t *testing.T) {
	rt := newSolver(t)
	in := scenarioInput()
	in.Held = nil
	_, plan := planOf(t, rt, in, optimizer.Options{})
	var names []string
	for _, b := range optimizer.Bottlenecks(in, plan) {
		names = append(names, b.Name)
		more, err := optimizer.Scenario{More: []optimizer.Extra{b.Extra}}.Apply(in)
		if err != nil {
			t.Fatal(err)
		}
		_, then := planOf(t, rt, more, optimizer.Options{})
		// One machine on demand at $1 gives way to one at $0.50, or at $0.10.
		want := map[string]float64{"spot": 0.5, "local/berlin/rack/rack1/private": 0.9}[b.Name]
		if got := plan.Objective - then.Objective; got != purser.MoneyOf(want) {
			t.Errorf("one step more of %s saves %s, want %g", b.Name, got, want)
		}
	}
	if !reflect.DeepEqual(names, []string{"local/berlin/rack/rack1/private", "spot"}) {
		t.Errorf("bottlenecks: %v", names)
	}
	in.Quotas[0].Limit, in.Offers[3].Limit = 800, 5
	if _, plan = planOf(t, rt, in, optimizer.Options{}); len(optimizer.Bottlenecks(in, plan)) != 0 {
		t.Errorf("bottlenecks where nothing is used up: %v", optimizer.Bottlenecks(in, plan))
	}
}

func TestWithin(t *testing.T) {
	in := scenarioInput()
	in.Now = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	early := in.Now.Add(time.Hour)
	train := purser.TaskGroup{Name: "t", Kind: purser.Training, Deadline: early}
	free := purser.TaskGroup{Name: "f", Kind: purser.Training}
	in.Jobs[0].Groups = append(in.Jobs[0].Groups, train, free)
	out := optimizer.Within(in, 2*time.Hour)
	g := out.Jobs[0].Groups
	if !g[0].Deadline.IsZero() || g[1].Deadline != early || g[2].Deadline != in.Now.Add(2*time.Hour) || !in.Jobs[0].Groups[2].Deadline.IsZero() {
		t.Errorf("%+v", g)
	}
	variants := []purser.Variant{{Name: "v"}}
	in.Jobs[0].Groups[2].Variants, in.Jobs[0].Groups[2].RunTime = variants, 2*time.Hour
	f, serve := purser.Placement{Job: "j", Group: "f", Variant: "v"}, purser.Placement{Job: "j", Group: "serve"}
	for name, c := range map[string]struct {
		on   []purser.Placement
		want time.Duration
	}{
		"training alone, with what it loses": {[]purser.Placement{f}, 3 * time.Hour},
		"training beside a service":          {[]purser.Placement{serve, f}, 2 * time.Hour},
		"a service alone":                    {[]purser.Placement{serve}, 0},
	} {
		plan := purser.Plan{Leases: []purser.PlannedLease{{Duration: 3 * time.Hour, Placements: c.on}}}
		if got := optimizer.LastTraining(in, plan); got != c.want {
			t.Errorf("%s: training ends after %s, want %s", name, got, c.want)
		}
	}
}

// Factors of one price multiply, and a price has an end.
func TestScenariosKeepPricesCountable(t *testing.T) {
	in := optimizer.Input{Offers: []purser.Offer{{Provider: "aws", Region: "r", Zone: "a", InstanceType: "m", Option: purser.OnDemand, UnitPrice: purser.USDPerHourOf(2), Limit: 1}}}
	s := optimizer.Scenario{Prices: []optimizer.PriceFactor{{Factor: 1000}, {Factor: 10}}}
	if out, err := s.Apply(in); err != nil || out.Offers[0].UnitPrice != purser.USDPerHourOf(20_000) {
		t.Errorf("%s, %v", out.Offers[0].UnitPrice, err)
	}
	s.Prices = append(s.Prices, optimizer.PriceFactor{Factor: 1000}, optimizer.PriceFactor{Factor: 1000}, optimizer.PriceFactor{Factor: 1000})
	if _, err := s.Apply(in); purser.KindOf(err) != purser.KindInvalid {
		t.Errorf("a price beyond counting: %v", err)
	}
}
