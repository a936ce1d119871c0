package optimizer

import (
	"cmp"
	"math"
	"slices"
)

// A service that has to survive, or whose variants differ in rate, is not a number of replicas but a choice of configurations: which
// variant how often in which failure domain. The relaxed program has a column for each configuration in use, so that its bound knows
// whole replicas and what a loss leaves, service by service.
//
// Domains that matter have rows of their own; all others are the rest, which is as if every replica in it lay in a domain apart: at
// least as good as any true choice, so the bound holds.

// slot is where a configuration can have replicas: a variant in a domain, or in the rest (-1).
type slot struct {
	variant int
	domain  int32
	rate    float64
	price   int64 // nano-USD a replica
}

// found is a configuration by slot.
type found struct {
	counts []int64
	cost   int64
}

// configSearch finds cheap configurations of a service: min Σ price·n over whole numbers n with
//
//	Σ n ≥ min,  Σ rate·n ≥ rate,  and outside any so many domains  Σ rate·n ≥ keep.
type configSearch struct {
	class    *class
	need     serviceNeed
	slots    []slot  // by price for rate
	restSize float64 // domains in the rest; +Inf: what lies there is never lost

	at    []int // by slot: the number of its domain; the rest is the last
	last  int   // number of the rest
	safe  int   // number of what cannot be lost; -1: there is none
	rates space
	heads space // the same counted in replicas

	counts []int64
	most   []found // the best so far, best last
	best   int64   // cost of the best
	lower  int64   // no configuration costs less
	nodes  int64
}

// space measures replicas, by their rates or by their number, for a bound: the least that any mixture costs under a cap M of every
// domain, over all M. Where k > 1 domains may be lost, M is the k-th largest, and what lies above it in others is of no use for keep.
type space struct {
	need, keep float64
	lost       int         // domains that may be lost at once
	in         []float64   // by domain, what there is
	total      float64     // together
	ratio      [][]float64 // by slot and domain: the least price for one more from that slot on
	order      [][]int     // by slot: domains by ratio, those without any left out
}

// configsKept is how many configurations a search returns.
const configsKept = 4

// closeEnough ends a branch that can improve on the best by no more than this share; the bound counts it.
const closeEnough = 1e-4

// newConfigSearch readies a search over slots, which it puts into an order of its own.
func newConfigSearch(c *class, need serviceNeed, slots []slot, restSize float64) *configSearch {
	s := &configSearch{class: c, need: need, slots: slots, restSize: restSize, best: math.MaxInt64, lower: math.MaxInt64, safe: -1}
	standing := c.standing
	slices.SortStableFunc(s.slots, func(a, b slot) int {
		return cmp.Or(cmp.Compare(float64(a.price)/a.rate, float64(b.price)/b.rate), cmp.Compare(b.rate, a.rate),
			cmp.Compare(a.domain, b.domain), cmp.Compare(a.variant, b.variant))
	})
	var domains []int32
	number := func(d int32) int {
		if i := slices.Index(domains, d); i >= 0 || d < 0 {
			return i
		}
		domains = append(domains, d)
		if d == safe && need.level >= 0 {
			s.safe = len(domains) - 1
		}
		return len(domains) - 1
	}
	for i := range s.slots {
		s.at = append(s.at, number(s.slots[i].domain))
	}
	for _, r := range standing {
		number(r.domain)
	}
	s.last = len(domains)
	fastest := 0.0
	for i := range s.at {
		if s.at[i] < 0 {
			s.at[i] = s.last
		}
		fastest = math.Max(fastest, s.slots[i].rate)
	}
	s.counts = make([]int64, len(s.slots))
	s.rates = s.space(need.rate*(1-rateSlack), need.keep*(1-rateSlack), func(i int) float64 { return s.slots[i].rate })
	heads, keep := max(float64(need.min), math.Ceil(need.rate/fastest-rateSlack)), math.Ceil(need.keep/fastest-rateSlack)
	s.heads = s.space(heads, keep, func(int) float64 { return 1 })
	for _, r := range standing {
		if at := number(r.domain); at >= 0 {
			s.rates.in[at] += r.rate * float64(r.n)
			s.heads.in[at] += float64(r.n) * min(1, r.rate/fastest)
		}
		s.rates.total += r.rate * float64(r.n)
		s.heads.total += float64(r.n)
	}
	return s
}

// space prepares a space for the slots measured in one way.
func (s *configSearch) space(need, keep float64, measure func(i int) float64) space {
	n, d := len(s.slots), s.last+1
	sp := space{need: need, keep: keep, lost: max(s.need.failures, 1), in: make([]float64, d), ratio: make([][]float64, n+1), order: make([][]int, n+1)}
	if s.need.level < 0 {
		sp.keep = 0
	}
	sp.ratio[n] = slices.Repeat([]float64{math.Inf(1)}, d)
	for i := n - 1; i >= 0; i-- {
		sp.ratio[i] = slices.Clone(sp.ratio[i+1])
		sp.ratio[i][s.at[i]] = math.Min(sp.ratio[i][s.at[i]], float64(s.slots[i].price)/measure(i))
		for k := range d {
			if !math.IsInf(sp.ratio[i][k], 1) {
				sp.order[i] = append(sp.order[i], k)
			}
		}
		slices.SortStableFunc(sp.order[i], func(a, b int) int { return cmp.Compare(sp.ratio[i][a], sp.ratio[i][b]) })
	}
	return sp
}

// size is how many domains a number of domain stands for.
func (s *configSearch) size(d int) float64 {
	switch d {
	case s.last:
		return s.restSize
	case s.safe:
		return math.Inf(1)
	}
	return 1
}

// least bounds what slots from i on must still cost in the space.
func (s *configSearch) least(sp *space, i int) float64 {
	if s.need.level < 0 {
		if lack := sp.need - sp.total; lack > 0 {
			if len(sp.order[i]) == 0 {
				return math.Inf(1)
			}
			return lack * sp.ratio[i][sp.order[i][0]]
		}
		return 0
	}
	if sp.lost > 1 {
		return s.leastOfSeveral(sp, i)
	}
	floor := 0.0
	for d, x := range sp.in {
		if x > 0 {
			floor = math.Max(floor, x/s.size(d))
		}
	}
	best := s.under(sp, i, floor)
	try := func(m float64) {
		if m > floor && !math.IsInf(m, 1) {
			best = math.Min(best, s.under(sp, i, m))
		}
	}
	try(sp.need - sp.keep)
	width, inside := 0.0, 0.0
	for _, d := range sp.order[i] {
		width, inside = width+s.size(d), inside+sp.in[d]
		if math.IsInf(width, 1) {
			break
		}
		try((sp.need - sp.total + inside) / width)
		if width > 1 {
			try((sp.keep - sp.total + inside) / (width - 1))
		}
	}
	return best
}

// under is the least cost of what lacks when no domain may hold more than m: the cheapest domains filled up in turn.
func (s *configSearch) under(sp *space, i int, m float64) float64 {
	return s.fill(sp, i, m, math.Max(sp.need, sp.keep+m)-sp.total)
}

// fill is the least cost of so much when no domain may hold more than m.
func (s *configSearch) fill(sp *space, i int, m, lack float64) float64 {
	cost := 0.0
	for _, d := range sp.order[i] {
		if lack <= 0 {
			break
		}
		room := s.size(d)*m - sp.in[d]
		if math.IsInf(s.size(d), 1) {
			room = lack
		}
		if room > 0 {
			take := math.Min(room, lack)
			cost += take * sp.ratio[i][d]
			lack -= take
		}
	}
	if lack > 1e-9*(1+sp.need) {
		return math.Inf(1)
	}
	return cost
}

// solve searches within a number of nodes for configurations that cost less than a ceiling. Those found are in most, the cheapest last;
// none costs less than what is returned.
func (s *configSearch) solve(nodes, ceiling int64) int64 {
	s.nodes, s.best = nodes, ceiling
	switch {
	case s.need.machines:
		s.byKinds()
	case s.alike():
		s.byCaps()
	case s.few():
		s.byContents()
	default:
		s.branch(0, 0, 0)
	}
	return min(s.best, s.lower)
}

// keepBest notes a configuration that is cheaper than all before.
func (s *configSearch) keepBest(cost int64) {
	s.best = cost
	if len(s.most) == configsKept {
		s.most = append(s.most[:0], s.most[1:]...)
	}
	s.most = append(s.most, found{slices.Clone(s.counts), cost})
}

// branch gives slot i each number of replicas that could help.
func (s *configSearch) branch(i int, cost, count int64) {
	if s.met(count) {
		if cost < s.best {
			s.keepBest(cost)
		}
		return
	}
	if i == len(s.slots) {
		return
	}
	bound := float64(cost) + math.Max(s.least(&s.rates, i), s.least(&s.heads, i))
	if math.IsInf(bound, 1) {
		return
	}
	switch least := int64(math.Min(bound*(1-1e-12), 9e18)); {
	case least >= s.best:
		return
	case s.nodes <= 0 || float64(least) >= float64(s.best)*(1-closeEnough):
		s.lower = min(s.lower, least)
		return
	}
	s.nodes--
	sl, d := &s.slots[i], s.at[i]
	most := s.copies(i, count)
	in, total, hin, htotal := s.rates.in[d], s.rates.total, s.heads.in[d], s.heads.total
	for n := most; n >= 0; n-- {
		x := float64(n)
		s.rates.in[d], s.rates.total = in+x*sl.rate, total+x*sl.rate
		s.heads.in[d], s.heads.total = hin+x, htotal+x
		s.counts[i] = n
		s.branch(i+1, cost+n*sl.price, count+n)
	}
	s.rates.in[d], s.rates.total, s.heads.in[d], s.heads.total = in, total, hin, htotal
	s.counts[i] = 0
}

// met says whether the configuration serves, with so many replicas that are not standing.
func (s *configSearch) met(int64) bool {
	if s.heads.total < float64(s.need.min) || s.rates.total < s.rates.need {
		return false
	}
	if s.need.level < 0 {
		return true
	}
	return s.rates.total-s.losable(-1) >= s.rates.keep
}

// losable is the least that the heaviest domains hold together, without one of them (-1: with all).
func (s *configSearch) losable(without int) float64 {
	var loads []float64
	for d, x := range s.rates.in {
		if d != s.last && d != s.safe && d != without && x > 0 {
			loads = append(loads, x)
		}
	}
	k := max(s.need.failures, 1)
	most := topSum(loads, k)
	if without == s.last || math.IsInf(s.restSize, 1) {
		return most
	}
	for j := 1; j <= k && float64(j) <= s.restSize; j++ {
		rest := math.Max(s.heaviestInRest(), float64(j)*s.rates.in[s.last]/s.restSize)
		most = math.Max(most, rest+topSum(loads, k-j))
	}
	return most
}

// heaviestInRest is the least that the heaviest domain of the rest holds: its largest replica, or an even part.
func (s *configSearch) heaviestInRest() float64 {
	if math.IsInf(s.restSize, 1) {
		return 0
	}
	most := s.rates.in[s.last] / s.restSize
	for i, n := range s.counts {
		if n > 0 && s.at[i] == s.last {
			most = math.Max(most, s.slots[i].rate)
		}
	}
	return most
}

// copies is the most replicas of a slot that could help.
func (s *configSearch) copies(i int, count int64) int64 {
	rate := s.slots[i].rate
	goal := s.rates.need
	if s.need.level >= 0 {
		// What is lost elsewhere has to be had here.
		keep := s.rates.keep + s.losable(s.at[i])
		goal = math.Max(goal, keep)
		if s.at[i] == s.last && !math.IsInf(s.restSize, 1) {
			k := float64(max(s.need.failures, 1))
			goal = math.Max(goal, keep+k*math.Max(s.heaviestInRest(), rate))
			if s.restSize > k {
				goal = math.Max(goal, keep*s.restSize/(s.restSize-k))
			}
		}
	}
	n := max(ceilDiv(goal-s.rates.total, rate), s.need.min-int64(s.heads.total), 0)
	if s.need.max > 0 {
		n = min(n, s.need.max-int64(s.heads.total))
	}
	return max(n, 0)
}
