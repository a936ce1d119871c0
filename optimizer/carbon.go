package optimizer

import (
	"math"

	"purser"
)

// gramsPerTonne is how many grams a price of carbon is for.
const gramsPerTonne = 1e6

// carbon is how many grams of CO₂e an hour of a machine takes, 0 where it is not known.
func (p *Problem) carbon(o purser.Offer) float64 {
	if p.in.Carbon == nil {
		return 0
	}
	if g := p.in.Carbon(o); g > 0 && !math.IsInf(g, 1) {
		return g
	}
	return 0
}

// carbonRate is what the carbon of an hour of a machine counts in the objective, rounded up to a nano-USD.
func (p *Problem) carbonRate(o purser.Offer) purser.USDPerHour {
	if p.in.CarbonPrice == 0 {
		return 0
	}
	return purser.USDPerHour(math.Ceil(float64(float64(p.in.CarbonPrice)*p.carbon(o)) / gramsPerTonne))
}

// rate is what an hour of a machine counts in the objective: p_o + price of carbon · g_o.
func (p *Problem) rate(o purser.Offer) purser.USDPerHour { return o.UnitPrice + p.carbonRate(o) }

// carbonOf is how many grams the machines of a plan take for as long as they are needed, and what that counts in the objective.
func (p *Problem) carbonOf(plan purser.Plan) (grams float64, cost purser.Money) {
	add := func(l purser.PlannedLease) {
		grams += float64(p.carbon(l.Offer) * l.Duration.Hours())
		cost += p.carbonRate(l.Offer).For(l.Duration)
	}
	for _, l := range plan.Leases {
		add(l)
	}
	for _, l := range plan.Later {
		add(l.PlannedLease)
	}
	return grams, cost
}
