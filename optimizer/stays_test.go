package optimizer_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"purser"
	"purser/optimizer"
)

func hazardOfSpot(perHour float64) func(purser.Offer) float64 {
	return func(o purser.Offer) float64 {
		if o.Option == purser.Spot {
			return perHour
		}
		return 0
	}
}

// A run that is not sure of its deadline any more where it runs, or whose machine has become dearer than its ceiling, stays when moving
// does not pay, and moves when it does.
func TestWhatCouldNotComeMayStay(t *testing.T) {
	rt := newSolver(t)
	for name, c := range map[string]struct {
		spot, cloud, ceiling float64
		due                  time.Duration
		stays                bool
	}{
		"late":                    {1, 4, 0, 130 * time.Minute, true},
		"late beside a bargain":   {1, 0.5, 0, 130 * time.Minute, false},
		"dear":                    {3, 4, 2, 0, true},
		"dear beside a bargain":   {3, 1, 2, 0, false},
		"late, dear, and for all": {3, 4, 2, 130 * time.Minute, true},
	} {
		spot, cloud := l4("aws", purser.Spot, c.spot, purser.Unlimited), l4("aws", purser.OnDemand, c.cloud, purser.Unlimited)
		in := busy(optimizer.Input{Now: noon, Offers: []purser.Offer{spot, cloud}, Hazard: hazardOfSpot(0.1)}, spot, 2*time.Hour)
		g := &in.Jobs[0].Groups[0]
		g.Where.MaxPerHour = purser.USDPerHourOf(c.ceiling)
		if c.due > 0 {
			g.Deadline = noon.Add(c.due)
		}
		in.KeepPlacements = false
		_, plan := planOf(t, rt, in, littleWork())
		if len(plan.Leases) != 1 || (plan.Leases[0].Held == "held") != c.stays || missing(plan) > 0 {
			t.Errorf("%s: stays should be %t\n%s", name, c.stays, text(plan))
		}
	}
}

// Whatever prices and time do to what runs, with or without moves there is a plan.
func TestPlansOfWhatRunsHold(t *testing.T) {
	rt := newSolver(t)
	checkFew(t, 15, func(t *rapid.T) {
		in := drawPatience(t)
		in.Quotas, in.Hazard = nil, hazardOfSpot(rapid.SampledFrom([]float64{0.01, 0.1, 1}).Draw(t, "hazard"))
		_, plan := planOf(t, rt, in, littleWork())
		held := hold(in, plan)
		held.Now = in.Now.Add(time.Duration(rapid.IntRange(0, 180).Draw(t, "minutes")) * time.Minute)
		dearer := rapid.SampledFrom([]float64{0.5, 1, 3, 20}).Draw(t, "times the price")
		for i := range held.Offers {
			if o := &held.Offers[i]; o.Option == purser.Spot {
				o.UnitPrice = purser.USDPerHour(float64(o.UnitPrice) * dearer)
			}
		}
		for i := range held.Held {
			if o := &held.Held[i].Lease.Offer; o.Option == purser.Spot {
				o.UnitPrice = purser.USDPerHour(float64(o.UnitPrice) * dearer)
			}
		}
		for _, held.KeepPlacements = range []bool{true, false} {
			planOf(t, rt, held, littleWork()) // checks it
		}
	})
}
