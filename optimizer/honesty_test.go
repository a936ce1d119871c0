package optimizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"purser"
)

// Check finds every kind of lie.
func TestCheckFindsLies(t *testing.T) {
	in := simple(6)
	in.Jobs[0].Groups[0].Replicas, in.Jobs[0].Groups[0].Gang = 3, true
	p, plan := mustSolve(t, t, in, Options{})
	for name, lie := range map[string]func(*purser.Plan){
		"cheaper":        func(pl *purser.Plan) { pl.Objective-- },
		"bound too high": func(pl *purser.Plan) { pl.Bound = pl.Objective + 1 },
		"gap":            func(pl *purser.Plan) { pl.Gap = 0.5 },
		"baseline":       func(pl *purser.Plan) { pl.BaselinePrice++ },
		"price":          func(pl *purser.Plan) { pl.UnitPrice++ },
		"lost replica":   func(pl *purser.Plan) { pl.Leases[0].Placements = pl.Leases[0].Placements[1:] },
		"twice": func(pl *purser.Plan) {
			pl.Leases[0].Placements = append(pl.Leases[0].Placements, pl.Leases[0].Placements[0])
		},
		"other offer": func(pl *purser.Plan) { pl.Leases[0].Offer.UnitPrice /= 2 },
		"held":        func(pl *purser.Plan) { pl.Leases[0].Held = "nobody" },
		"shorter":     func(pl *purser.Plan) { pl.Leases[0].Duration -= time.Minute },
		"smaller":     func(pl *purser.Plan) { pl.Leases[0].Placements[0].MilliCPU-- },
		"torn gang": func(pl *purser.Plan) {
			for i := range pl.Leases {
				for _, q := range pl.Leases[i].Placements {
					if q.Job == "j000" && pl.Leases[i].Offer.Zone == "a" {
						pl.Leases[i].Offer = in.Offers[3]
						return
					}
				}
			}
		},
	} {
		var broken purser.Plan
		if err := json.Unmarshal([]byte(planJSON(t, plan)), &broken); err != nil {
			t.Fatal(err)
		}
		if err := Check(p, broken); err != nil {
			t.Fatalf("the plan itself: %v", err)
		}
		lie(&broken)
		if err := Check(p, broken); err == nil && name != "torn gang" {
			t.Errorf("%s passes", name)
		}
	}
}

// Refusals name each offer once, by the reason of the variant that came closest, and a runner-up is another offer.
func TestRefusalsAndRunnersUp(t *testing.T) {
	in := simple(1)
	g := &in.Jobs[0].Groups[0]
	g.Variants = append(g.Variants, purser.Variant{Name: "big", Accelerator: "L4", Devices: 2000, MilliCPU: 1000, MemoryMiB: 1024})
	g.Variants[0].MilliCPU = 9000
	g.Where.Zones = []string{"a"}
	_, plan := mustSolve(t, t, in, Options{})
	if len(plan.Refusals) != 1 || plan.Refusals[0].Allowed != 1 || plan.Refusals[0].Reasons[purser.ReasonCPU] != 2 || plan.Refusals[0].Reasons[purser.ReasonRegion] != 1 {
		t.Errorf("%+v", plan.Refusals)
	}
	_, plan = mustSolve(t, t, simple(1), Options{})
	if len(plan.RunnersUp) != 1 || plan.RunnersUp[0].Chosen == plan.RunnersUp[0].RunnerUp {
		t.Errorf("%+v", plan.RunnersUp)
	}
}

// Input that is wrong gives one error of kind invalid with its place.
func TestInvalidInput(t *testing.T) {
	for name, spoil := range map[string]func(*Input){
		"offer twice":     func(in *Input) { in.Offers = append(in.Offers, in.Offers[0]) },
		"no price":        func(in *Input) { in.Offers[0].UnitPrice = 0 },
		"job twice":       func(in *Input) { in.Jobs = append(in.Jobs, in.Jobs[0]) },
		"no id":           func(in *Input) { in.Jobs[0].ID = "" },
		"bad share":       func(in *Input) { in.Jobs[0].Groups[0].Variants[0].Devices = 130 },
		"unknown need":    func(in *Input) { in.Needs = []Need{{Job: "x", Group: "g"}} },
		"no such replica": func(in *Input) { in.Needs = []Need{{Job: "j000", Group: "g", Replicas: []int{7}}} },
		"bad share left": func(in *Input) {
			in.Needs = []Need{{Job: "j000", Group: "g", Replicas: []int{0}, Left: map[int]float64{0: math.NaN()}}}
		},
		"horizon": func(in *Input) { in.Horizon = -time.Hour },
		"quota":   func(in *Input) { in.Quotas = []purser.Quota{{Name: "q", Limit: 1, Unit: "litres"}} },
		"held unknown": func(in *Input) {
			in.Held = []Held{{Lease: purser.Lease{ID: "l", Offer: in.Offers[0]}, Placements: []purser.Placement{{Job: "x"}}}}
		},
		"too much demand": func(in *Input) {
			g := &in.Jobs[0].Groups[0]
			g.Kind, g.RunTime, g.Replicas, g.Demand = purser.Inference, 0, 0, 1e9
			g.Variants[0].Throughput = 1
		},
	} {
		in := simple(2)
		spoil(&in)
		_, err := NewProblem(in)
		if e, ok := errors.AsType[*purser.Error](err); !ok || e.Kind != purser.KindInvalid || e.Place == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Eva's static case, on both catalogues: the floors of the project.
func TestEvaStatic(t *testing.T) {
	for catalogue, floor := range map[string]struct{ cost, gap float64 }{"ec2_config": {1432.80, 0.0003}, "ec2_config_virt": {716.30, 0.0014}} {
		_, plan := mustSolve(t, t, evaInput(t, catalogue), Options{})
		if plan.Objective.USD() > floor.cost || plan.Gap > floor.gap {
			t.Errorf("%s: %s, gap %.4f %%", catalogue, plan.Objective.Decimal(), 100*plan.Gap)
		}
		t.Logf("%s: %s $/h, bound %s, gap %.4f %%", catalogue, plan.Objective.Decimal(), plan.Bound.Decimal(), 100*plan.Gap)
	}
}

// A ladder of sizes with a fixed seed. Run it with -benchtime 1x.
func BenchmarkLadder(b *testing.B) {
	for _, n := range []int{100, 1000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			in := ladder(n, 300, 1)
			rt := solver(b)
			for b.Loop() {
				p, err := NewProblem(in)
				if err != nil {
					b.Fatal(err)
				}
				plan, err := Solve(b.Context(), rt, p, Options{})
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(100*plan.Gap, "gap_%")
				b.ReportMetric(plan.Objective.USD(), "usd")
			}
		})
	}
}
