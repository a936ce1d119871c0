package policy

import (
	"math"

	"purser"
)

// Worth learns what an hour of full-speed work of each kind of job costs, $: prices at
// which machines break even. Every machine in use says whether its jobs' worth, at the
// speeds that they have, is more or less than its price, and the worth of each is then
// raised or lowered by a tenth of that share. Kinds that fill gaps become cheap; kinds
// for which machines are bought become dear. These are the dual prices of
//
//	min Σ price·hours of mixtures   with   Σ work of kind k done by mixtures ≥ work of kind k
//
// found by the market instead of by a solver that would have to know all work in
// advance. The zero value knows nothing.
type Worth struct {
	hour, most map[string]float64
}

// How fast prices follow, how much one machine can say, and how far below the price of
// a machine of its own a kind's worth can fall.
const (
	worthStep  = 0.1
	worthSwing = 0.5
	worthFloor = 0.05
	worthSpeed = 0.3 // a job that is slower than this counts as being so fast
)

// Of is the worth of an hour of a kind's work, $; 0: it has not begun.
func (w *Worth) Of(kind string) float64 { return w.hour[kind] }

// Begin gives a kind the fair price that Share would give it.
func (w *Worth) Begin(kind string, offers []ShareOffer, needs purser.Variant) {
	if w.hour == nil {
		w.hour, w.most = map[string]float64{}, map[string]float64{}
	}
	most := math.Inf(1)
	for _, o := range offers {
		if o.holds(needs) {
			most = min(most, o.UnitPrice.USD())
		}
	}
	w.hour[kind], w.most[kind] = fairPrice(offers, needs), most
}

// Learn takes in that a machine of a price runs jobs of kinds that have begun, at
// shares of their speeds.
func (w *Worth) Learn(price purser.USDPerHour, kinds []string, shares []float64) {
	sum := 0.0
	for i, k := range kinds {
		sum += w.hour[k] * max(shares[i], worthSpeed)
	}
	if !(sum > 0) {
		return
	}
	by := 1 + worthStep*max(-worthSwing, min(worthSwing, price.USD()/sum-1))
	for _, k := range kinds {
		w.hour[k] = max(worthFloor*w.most[k], min(w.most[k], w.hour[k]*by))
	}
}

// fairPrice is the cheapest dominant share of a machine, $/h.
func fairPrice(offers []ShareOffer, needs purser.Variant) float64 {
	best := math.Inf(1)
	need := needOf(needs)
	for _, o := range offers {
		if !o.holds(needs) {
			continue
		}
		share, room := 0.0, roomOf(o)
		for r, n := range need {
			if n > 0 {
				share = max(share, float64(n)/float64(room[r]))
			}
		}
		best = min(best, share*o.UnitPrice.USD())
	}
	return best
}
