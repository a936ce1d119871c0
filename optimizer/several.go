package optimizer

import "math"

// leastOfSeveral is least where k > 1 domains may be lost. With m the k-th largest rate of a domain, Σ min(rate, m) ≥ keep + k·m. The
// domains that hold more than m are fewer than k; whatever they hold is counted here, so the bound is a little too low. Between the values
// of m where that set changes, the cost of what lacks turns only where a number of the cheapest domains is just full.
func (s *configSearch) leastOfSeveral(sp *space, i int) float64 {
	alone := s.fill(sp, i, math.Inf(1), sp.need-sp.total)
	var loads []float64
	for d, x := range sp.in {
		if x > 0 && !math.IsInf(s.size(d), 1) {
			loads = append(loads, x/s.size(d))
		}
	}
	k := float64(sp.lost)
	floor := topSum(loads, sp.lost) - topSum(loads, sp.lost-1)
	if len(loads) < sp.lost {
		floor = 0
	}
	best := math.Inf(1)
	try := func(m float64) {
		if m >= floor && !math.IsInf(m, 1) {
			best = math.Min(best, s.fill(sp, i, m, sp.keep+k*m-sp.total))
		}
	}
	try(floor)
	for _, m := range loads {
		try(m)
	}
	for over := range sp.lost {
		// The over heaviest domains hold more than m already.
		limit := math.Inf(1)
		if over > 0 && over <= len(loads) {
			limit = topSum(loads, over) - topSum(loads, over-1)
		}
		width, inside := 0.0, 0.0
		for _, d := range sp.order[i] {
			size := s.size(d)
			if math.IsInf(size, 1) {
				break
			}
			if over > 0 && sp.in[d]/size >= limit {
				continue
			}
			width, inside = width+size, inside+sp.in[d]
			if width != k {
				try((sp.keep - sp.total + inside) / (width - k))
			}
		}
	}
	return math.Max(alone, best)
}
