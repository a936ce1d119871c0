package optimizer_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"purser"
)

// More supply is never worse: what could be had before still can.
func TestMoreSupplyIsNeverWorse(t *testing.T) {
	rt := newSolver(t)
	checkFew(t, 40, func(t *rapid.T) {
		in := drawInput(t, false)
		more := in
		more.Offers = slices.Clone(in.Offers)
		i := rapid.IntRange(0, len(in.Offers)-len(plenty())-1).Draw(t, "which")
		if o := &more.Offers[i]; o.Limit != purser.Unlimited {
			o.Limit++
		} else {
			in.Offers = slices.Delete(slices.Clone(in.Offers), i, i+1)
		}
		_, plan := planOf(t, rt, in, littleWork())
		_, richer := planOf(t, rt, more, littleWork())
		if missing(plan) > 0 {
			return // services count what is missed in replicas of their best variant, which is another with other offers
		}
		if missing(richer) > 0 {
			t.Fatalf("%d replicas are unplaced with more supply\n%s", missing(richer), text(more))
		}
		if richer.Bound > plan.Objective {
			t.Fatalf("a plan for %s exists and the bound is %s\n%s\n%s", plan.Objective.Decimal(), richer.Bound.Decimal(), text(more), text(plan))
		}
		if plan.Status == purser.PlanOptimal && richer.Status == purser.PlanOptimal && float64(richer.Objective) > float64(plan.Objective)*(1+2e-6) {
			t.Fatalf("an optimal plan costs %s and with more supply %s\n%s", plan.Objective.Decimal(), richer.Objective.Decimal(), text(more))
		}
	})
}

// A sweep does not add to a service beyond its most replicas.
func TestPlanningSweepsKeepToTheMost(t *testing.T) {
	rt := newSolver(t)
	checkFew(t, 25, func(t *rapid.T) {
		in := drawInput(t, false)
		in.Quotas = nil
		_, plan := planOf(t, rt, in, littleWork())
		held := hold(in, plan)
		held.KeepPlacements = true
		for i := range held.Offers {
			held.Offers[i].UnitPrice = max(1, held.Offers[i].UnitPrice/purser.USDPerHour(rapid.IntRange(1, 10).Draw(t, "cheaper")))
		}
		_, again := planOf(t, rt, held, littleWork())
		at := map[seat]bool{}
		for _, l := range again.Leases {
			for _, pl := range l.Placements {
				at[seat{l.Held, pl}] = true
			}
		}
		for _, h := range held.Held {
			for _, pl := range h.Placements {
				if groupOf(in, pl.Job).Kind == purser.Training && !at[seat{h.Lease.ID, pl}] {
					t.Fatalf("replica %d of %s left its machine\n%s\n%s", pl.Replica, pl.Job, text(held), text(again))
				}
			}
		}
	})
}
