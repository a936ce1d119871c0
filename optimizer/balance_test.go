package optimizer

import (
	"encoding/json"
	"math"
	"testing"

	"purser"
)

// No whole weights keep the busiest replica less busy.
func TestBalanceIsTheLeast(t *testing.T) {
	for _, c := range []struct {
		a, b   float64
		na, nb int
	}{{12, 5, 3, 4}, {7.3, 2.9, 1, 5}, {1, 1, 2, 3}, {1000, 1, 1, 2}, {math.Pi, math.E, 9, 2}} {
		g := purser.TaskGroup{Kind: purser.Inference, Demand: 1, Variants: []purser.Variant{{Name: "a", Throughput: c.a}, {Name: "b", Throughput: c.b}}}
		served := c.a*float64(c.na) + c.b*float64(c.nb)
		weights, got := balance(&g, map[string]int{"a": c.na, "b": c.nb}, 1/served)
		least := math.Inf(1)
		for wa := 1; wa <= purser.MaxWeight; wa++ {
			for wb := 1; wb <= purser.MaxWeight; wb++ {
				least = math.Min(least, math.Max(float64(wa)/c.a, float64(wb)/c.b)/float64(wa*c.na+wb*c.nb))
			}
		}
		if want := least - 1/served; math.Abs(got-want) > 1e-12 {
			t.Errorf("rates %g and %g: imbalance %g with %v, and %g is possible", c.a, c.b, got, weights, want)
		}
	}
}

// The check finds what a plan says wrongly of its services.
func TestCheckFindsLiesOnServices(t *testing.T) {
	in := spreadInput(12, 0)
	p, plan := mustSolve(t, t, in, Options{})
	if len(plan.Services) != 1 || plan.Services[0].Left < 12 || plan.Services[0].Lost <= 0 || len(plan.Services[0].Worst) != 1 || plan.Services[0].Level != purser.DomainZone {
		t.Fatalf("%+v", plan.Services)
	}
	for name, lie := range map[string]func(*purser.ServicePlan){
		"more is left": func(s *purser.ServicePlan) { s.Left++ },
		"less is lost": func(s *purser.ServicePlan) { s.Lost-- },
		"more served":  func(s *purser.ServicePlan) { s.Served++ },
		"demand":       func(s *purser.ServicePlan) { s.Demand-- },
		"no weight":    func(s *purser.ServicePlan) { s.Weights = nil },
		"too heavy":    func(s *purser.ServicePlan) { s.Weights[0].Weight = purser.MaxWeight + 1 },
		"less busy":    func(s *purser.ServicePlan) { s.Load *= 0.9 },
		"balanced":     func(s *purser.ServicePlan) { s.Imbalance = -0.01 },
		"replicas":     func(s *purser.ServicePlan) { s.Replicas++ },
		"level":        func(s *purser.ServicePlan) { s.Level = purser.DomainRegion },
		"another job":  func(s *purser.ServicePlan) { s.Job = "nobody" },
	} {
		var broken purser.Plan
		if err := json.Unmarshal([]byte(planJSON(t, plan)), &broken); err != nil {
			t.Fatal(err)
		}
		if err := Check(p, broken); err != nil {
			t.Fatalf("the plan itself: %v", err)
		}
		lie(&broken.Services[0])
		if err := Check(p, broken); err == nil {
			t.Errorf("%s passes", name)
		}
	}
	silent := plan
	silent.Services = nil
	if err := Check(p, silent); err == nil {
		t.Error("a plan that says nothing of its service passes")
	}
}

// What a service that survives machines has left is told by machines.
func TestLossOfMachines(t *testing.T) {
	in := spreadInput(12, 0)
	in.Jobs[0].Groups[0].Survive = purser.Survive{Level: purser.DomainMachine, Share: 1, Failures: 2}
	in.Offers = in.Offers[:2]
	for i := range in.Offers {
		in.Offers[i].Devices, in.Offers[i].MilliCPU = 4000, 64_000
	}
	_, plan := mustSolve(t, t, in, Options{})
	if s := plan.Services[0]; len(s.Worst) != 2 || s.Left < 12*(1-1e-9) || s.Level != purser.DomainMachine {
		t.Errorf("%+v", s)
	}
}
