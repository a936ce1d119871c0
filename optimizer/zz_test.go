package optimizer_test

import (
	"testing"
	"time"

	"purser"
	"purser/optimizer"
)

func TestZZStay(t *testing.T) {
	spot, cloud := l4("aws", purser.Spot, 1, purser.Unlimited), l4("aws", purser.OnDemand, 4, purser.Unlimited)
	in := busy(optimizer.Input{Now: noon, Offers: []purser.Offer{spot, cloud}, Hazard: func(o purser.Offer) float64 {
		if o.Option == purser.Spot {
			return 0.5
		}
		return 0
	}}, spot, 2*time.Hour)
	in.Jobs[0].Groups[0].Deadline = noon.Add(130 * time.Minute)
	in.KeepPlacements = false
	_, plan := planOf(t, newSolver(t), in, littleWork())
	t.Log(text(plan))
}
