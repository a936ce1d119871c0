package bench

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"purser"
	"purser/optimizer"
)

// planned turns what a rule of thumb bought into a plan, with names on the machines.
func planned(t *testing.T, p *optimizer.Problem, th *thumb) purser.Plan {
	t.Helper()
	plan := purser.Plan{Status: purser.PlanFeasible, Horizon: th.in.Horizon}
	given := map[purser.JobID]int{}
	next := make([]int, len(th.lots))
	for _, a := range slices.Sorted(maps.Keys(th.shelves)) {
		for _, s := range th.shelves[a] {
			for range s.n {
				o := th.in.Offers[s.offer]
				l := purser.PlannedLease{Offer: o, Duration: optimizer.DefaultStartUp(o) + min(s.span, th.in.Horizon)}
				for _, f := range s.fills {
					lot := &th.lots[f.lot]
					for range f.n {
						// A lot's replicas are of its jobs in turn: of a zone-bound one each job gets as many as another.
						id := lot.jobs[next[f.lot]%len(lot.jobs)]
						next[f.lot]++
						l.Placements = append(l.Placements, purser.Placement{
							Job: id, Group: lot.group.Name, Replica: given[id], Variant: lot.v.Name,
							Devices: lot.v.Devices, MilliCPU: lot.v.MilliCPU, MemoryMiB: lot.v.MemoryMiB,
						})
						given[id]++
					}
				}
				plan.Leases = append(plan.Leases, l)
				plan.UnitPrice += o.UnitPrice
			}
		}
	}
	plan.Objective = p.Price(plan)
	return plan
}

// The baselines are plans: the optimizer's check, which knows nothing of how they were made, finds every replica in a place that it may
// have, services surviving, gangs in one zone, limits and quotas kept, and the cost as it is reported.
func TestBaselinesArePlans(t *testing.T) {
	l, err := ReadLadder(t.Context(), made(t))
	if err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(5) {
		in := l.Rung(300, 24, seed)
		p, err := optimizer.NewProblem(in)
		if err != nil {
			t.Fatal(err)
		}
		least := purser.Money(0)
		for _, b := range ladderBaselines {
			th := newThumb(in)
			b.plan(th)
			th.shrink()
			cost, ok := th.total()
			if !ok {
				t.Fatalf("seed %d: %s leaves something without a place", seed, b.name)
			}
			plan := planned(t, p, th)
			if plan.Objective != cost {
				t.Errorf("seed %d: %s costs %s and is reported as %s", seed, b.name, plan.Objective, cost)
			}
			// What the replicas would cost alone, and how services spread their traffic, is not known here. The check looks at it after all of that.
			if err := optimizer.Check(p, plan); err != nil && !strings.Contains(err.Error(), "the baseline is not") && !strings.Contains(err.Error(), "does not say of every service") {
				t.Errorf("seed %d: %s: %v", seed, b.name, err)
			}
			if least == 0 || cost < least {
				least = cost
			}
		}
		if each := baselines(in)[0]; least > each.Cost || each.Failed {
			t.Errorf("seed %d: packing costs %s and a machine for each task %s", seed, least, each.Cost)
		}
	}
}
