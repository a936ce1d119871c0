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
