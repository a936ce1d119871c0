package optimizer

import (
	"cmp"
	"math"
	"slices"
)

// contentSearch solves the choice of a configuration exactly for services of up to fewReplicas replicas whose variants differ in rate.
//
// With m the rate of the heaviest domain, all together must be max(need, keep + m). Ranges of m are solved by dynamic programming over
// the domains (none above the range's end, together max(need, keep + its begin)), over the pairs (rate, cost) that no other pair beats;
// the most promising range first. A range whose choice does not survive is split.
type contentSearch struct {
	s     *configSearch
	cells []*cell   // domains; of the rest as many as could be used
	after []float64 // by cell: the least cost of a rate there or later
	marks []float64 // rates that a domain can have, ascending: the values of m
}

// cell is a domain with what it can hold: contents by ascending rate and cost.
type cell struct {
	safe     bool    // it cannot be lost
	in       float64 // what stands there
	contents []content
	slots    []int
}

// content is what a domain can hold.
type content struct {
	rate   float64
	cost   int64
	counts []int64 // by slot of the domain
}

// fewReplicas is up to how many replicas of the slowest variant a service is solved exactly.
const fewReplicas = 250

// few says whether the service is small enough.
func (s *configSearch) few() bool {
	slowest := math.Inf(1)
	for i := range s.slots {
		slowest = math.Min(slowest, s.slots[i].rate)
	}
	return s.need.level >= 0 && s.need.failures <= 1 && s.need.max == 0 && s.need.min <= 1 && len(s.slots) > 0 &&
		math.Max(s.need.rate, 2*s.need.keep) <= fewReplicas*slowest
}

// byContents searches.
func (s *configSearch) byContents() {
	g := &contentSearch{s: s}
	g.makeCells()
	s.lower = min(s.lower, g.search())
}

// makeCells lists the domains and the rates that they can have.
func (g *contentSearch) makeCells() {
	s := g.s
	most := math.Max(s.rates.need, s.rates.keep)
	for d := 0; d <= s.last; d++ {
		c := &cell{in: s.rates.in[d], safe: d == s.safe}
		slowest := math.Inf(1)
		for i := range s.slots {
			if s.at[i] == d {
				c.slots = append(c.slots, i)
				slowest = math.Min(slowest, s.slots[i].rate)
			}
		}
		if len(c.slots) == 0 && c.in == 0 {
			continue
		}
		c.contents = s.contents(c.slots, most)
		copies := 1
		if d == s.last {
			copies = int(math.Min(s.restSize, math.Ceil(2*most/slowest)+2))
		}
		for range copies {
			g.cells = append(g.cells, c)
		}
		for _, o := range c.contents {
			if !c.safe {
				g.marks = append(g.marks, c.in+o.rate)
			}
		}
	}
	if math.IsInf(s.restSize, 1) || s.safe >= 0 {
		g.marks = append(g.marks, 0)
	}
	slices.Sort(g.marks)
	g.marks = slices.Compact(g.marks)
	g.after = make([]float64, len(g.cells)+1)
	g.after[len(g.cells)] = math.Inf(1)
	for c := len(g.cells) - 1; c >= 0; c-- {
		g.after[c] = g.after[c+1]
		for _, o := range g.cells[c].contents {
			if o.rate > 0 {
				g.after[c] = math.Min(g.after[c], float64(o.cost)/o.rate)
			}
		}
	}
}

// contents lists what the slots of one domain can hold up to a rate, leaving out what is beaten by more rate for no more cost. (A
// heavier domain is never a burden: outside it nothing changes, and outside the others there is more.)
func (s *configSearch) contents(slots []int, most float64) []content {
	all := []content{{counts: make([]int64, len(slots))}}
	for k, i := range slots {
		for o := 0; o < len(all); o++ {
			if all[o].rate >= most {
				continue
			}
			next := content{rate: all[o].rate + s.slots[i].rate, cost: all[o].cost + s.slots[i].price, counts: slices.Clone(all[o].counts)}
			next.counts[k]++
			all = append(all, next)
		}
		slices.SortStableFunc(all, func(a, b content) int { return cmp.Or(cmp.Compare(b.rate, a.rate), cmp.Compare(a.cost, b.cost)) })
		kept, cheapest := all[:0], int64(math.MaxInt64)
		for _, o := range all {
			if o.cost < cheapest {
				kept, cheapest = append(kept, o), o.cost
			}
		}
		slices.Reverse(kept)
		all = kept
	}
	return all
}

// span is a range of m, by marks, with its least cost and the contents that have it.
type span struct {
	lo, hi int
	cost   int64
	picked []int // content by cell
}

// search finds the least cost over all ranges.
func (g *contentSearch) search() int64 {
	first := 0
	for _, c := range g.cells {
		for !c.safe && first < len(g.marks)-1 && g.marks[first] < c.in {
			first++
		}
	}
	open := []span{g.solve(first, len(g.marks)-1)}
	for range 200 {
		best := 0
		for i := range open {
			if open[i].cost < open[best].cost {
				best = i
			}
		}
		r := open[best]
		if r.cost == math.MaxInt64 || r.lo == r.hi || g.keepTrue(r) {
			break
		}
		heaviest, _ := slices.BinarySearch(g.marks, g.heaviest(r))
		mid := min(max(heaviest-1, r.lo), r.hi-1)
		open[best] = g.solve(r.lo, mid)
		open = append(open, g.solve(mid+1, r.hi))
	}
	least := int64(math.MaxInt64)
	for _, r := range open {
		least = min(least, r.cost)
		g.keepTrue(r)
	}
	return least
}

func (g *contentSearch) heaviest(r span) float64 {
	most := 0.0
	for c, o := range r.picked {
		if !g.cells[c].safe {
			most = math.Max(most, g.cells[c].in+g.cells[c].contents[o].rate)
		}
	}
	return most
}

// point is a pair that no other beats, with how it came about.
type point struct {
	rate   float64
	cost   int64
	parent int32
	pick   int32
}

// solve is the dynamic program for one range.
func (g *contentSearch) solve(lo, hi int) span {
	s := g.s
	goal := math.Max(s.rates.need, s.rates.keep+g.marks[lo]) - s.rates.total
	layers := make([][]point, 0, len(g.cells)+1)
	layers = append(layers, []point{{}})
	var with, spare []point
	for at, c := range g.cells {
		last := layers[len(layers)-1]
		var next []point
		for o := range c.contents {
			ct := &c.contents[o]
			if !c.safe && ct.rate > 0 && c.in+ct.rate > g.marks[hi]*(1+1e-12) {
				break
			}
			with = g.with(with[:0], last, ct, int32(o), goal, g.after[at+1])
			next, spare = mergePoints(spare[:0], next, with), next
		}
		layers = append(layers, slices.Clone(next))
		spare = next
	}
	r := span{lo: lo, hi: hi, cost: math.MaxInt64}
	end := layers[len(layers)-1]
	if len(end) == 0 || end[len(end)-1].rate < goal-1e-9*math.Abs(goal) {
		if s.best < math.MaxInt64 {
			r.cost = s.best // whatever is here costs no less than the best so far
		}
		return r
	}
	at := int32(len(end) - 1)
	r.cost = end[at].cost
	r.picked = make([]int, len(g.cells))
	for c := len(g.cells) - 1; c >= 0; c-- {
		pt := layers[c+1][at]
		r.picked[c], at = int(pt.pick), pt.parent
	}
	return r
}

// with adds a content to points, up to the goal. What cannot end below the best so far is left out: whatever rate lacks costs at the least
// so much each. As the points do, the result ascends in rate and cost.
func (g *contentSearch) with(out, points []point, ct *content, pick int32, goal, each float64) []point {
	for k, pt := range points {
		if pick > 0 && pt.rate >= goal {
			break
		}
		rate, cost := math.Min(pt.rate+ct.rate, math.Max(goal, 0)), pt.cost+ct.cost
		lack, rest := goal-rate, 0.0
		if lack > 1e-9*goal {
			rest = lack * each * (1 - 1e-12)
		}
		if float64(cost)+rest < float64(g.s.best) {
			out = append(out, point{rate, cost, int32(k), pick})
		}
		if lack <= 0 {
			break // the points after it cost more
		}
	}
	return out
}

// before says whether a point is looked at before another: more rate first, then less cost, then the order in which they came about.
func (p *point) before(q *point) bool {
	switch {
	case p.rate != q.rate:
		return p.rate > q.rate
	case p.cost != q.cost:
		return p.cost < q.cost
	}
	return p.parent <= q.parent
}

// mergePoints merges points that ascend in rate and cost, and keeps those that no other beats with more rate for no more cost.
func mergePoints(out, a, b []point) []point {
	i, j, cheapest := len(a)-1, len(b)-1, int64(math.MaxInt64)
	for i >= 0 || j >= 0 {
		var pt point
		if j < 0 || i >= 0 && a[i].before(&b[j]) {
			pt, i = a[i], i-1
		} else {
			pt, j = b[j], j-1
		}
		if pt.cost < cheapest {
			out, cheapest = append(out, pt), pt.cost
		}
	}
	slices.Reverse(out)
	return out
}

// keepTrue says whether the choice serves truly, and notes it when it is cheaper than all before.
func (g *contentSearch) keepTrue(r span) bool {
	if r.picked == nil {
		return r.cost < math.MaxInt64
	}
	s := g.s
	clear(s.counts)
	in, total, heads := slices.Clone(s.rates.in), s.rates.total, s.heads.total
	for c, o := range r.picked {
		for k, i := range g.cells[c].slots {
			n := g.cells[c].contents[o].counts[k]
			s.counts[i] += n
			x := float64(n)
			s.rates.in[s.at[i]] += x * s.slots[i].rate
			s.rates.total += x * s.slots[i].rate
			s.heads.total += x
		}
	}
	ok := s.met(0)
	if ok && r.cost < s.best {
		s.keepBest(r.cost)
	}
	s.rates.in, s.rates.total, s.heads.total = in, total, heads
	clear(s.counts)
	return ok
}
