package optimizer

import (
	"cmp"
	"math"
	"slices"

	"purser"
)

// What has to survive the loss of any k machines is told by one number m. With L the rates on the machines, what is left without the k
// largest is keep or more exactly when, for some m,
//
//	Σ min(L, m) ≥ keep + k·m
//
// m being the k-th largest L, or keep if that is less. So a service of this kind has, for each m that can be, copies of its variants of
// which a machine takes a rate of m at the most, and copies that a machine takes any number of. A configuration has as many of the first,
// of one m, as the inequality asks for, and of the second what its demand needs beyond. A machine can hold both.
//
// Where all rates are equal this is exact. Where they are not, or where the values of m are too many and taken together in ranges, the
// bound asks for what the range's begin does and lets a machine take what its end does.

// machineKind is a range of m: above its begin, or equal to it, and up to its end.
type machineKind struct{ lo, hi float64 }

// survivesMachines says whether keep is left after the loss of any so many machines. Of replicas with a cap it is only known that no
// machine has more of them; replicas without one on unknown machines may all be lost.
func (n serviceNeed) survivesMachines(replicas []rated) bool {
	keep := n.keep * (1 - rateSlack)
	var known []rated
	for _, r := range replicas {
		if r.domain > safe {
			known = append(known, r)
		}
	}
	_, total := sum(known)
	if _, lost := heaviest(known, n.failures); total-lost >= keep {
		return true
	}
	for i, r := range replicas {
		if r.cap == 0 || slices.ContainsFunc(replicas[:i], func(o rated) bool { return o.cap == r.cap }) {
			continue
		}
		left := cappedSum(known, r.cap) - float64(n.failures)*r.cap
		for _, o := range replicas {
			if o.cap == r.cap {
				left += math.Min(o.rate, o.cap) * float64(o.n)
			}
		}
		if left >= keep {
			return true
		}
	}
	return false
}

// cappedSum is Σ min(L, m) over the machines that are known.
func cappedSum(known []rated, m float64) float64 {
	all, _ := heaviest(known, len(known))
	total := 0.0
	for _, l := range all {
		total += math.Min(l.rate, m)
	}
	return total
}

// ratedAs is so many replicas of a variant as the need sees them.
func (c *class) ratedAs(variant int, domain int32, n int64) rated {
	r := rated{rate: c.variants[variant].rate, domain: domain, n: n}
	if q := c.variants[variant].kind; q > 0 {
		r.cap = c.kinds[q-1].hi
	}
	return r
}

// worthOf is what a replica of a variant counts towards what has to be left.
func (c *class) worthOf(v int) float64 {
	if q := c.variants[v].kind; q > 0 {
		return math.Min(c.variants[v].rate, c.kinds[q-1].hi)
	}
	return 0
}

// splitByMachines gives the class its kinds, and each variant once for each of them.
func (p *Problem) splitByMachines(c *class) {
	rate := c.variants[0].rate
	even := !slices.ContainsFunc(c.variants, func(v variant) bool { return v.rate != rate }) &&
		!slices.ContainsFunc(c.standing, func(r rated) bool { return r.rate != rate })
	if even {
		c.need.keep = rate * float64(ceilDiv(c.need.keep, rate)) // what is left comes in whole replicas
	}
	limit := math.Min(c.need.keep, p.largestLoad(c))
	if even {
		c.kinds = evenKinds(rate, limit)
	} else {
		c.kinds = unevenKinds(c, limit)
	}
	c.exact = even && !slices.ContainsFunc(c.kinds, func(q machineKind) bool { return q.lo != q.hi })
	plain := c.variants
	for q := range c.kinds {
		for _, v := range plain {
			v.kind = q + 1
			c.variants = append(c.variants, v)
		}
	}
}

// largestLoad is a rate that no machine can exceed, what stands on it included.
func (p *Problem) largestLoad(c *class) float64 {
	on := map[int32]float64{}
	for i := range c.variants {
		v := &c.variants[i]
		for _, at := range v.places {
			on[at] += v.rate * float64(v.size.copies(p.places[at].room, math.MaxInt32))
		}
	}
	most := 0.0
	for _, x := range on {
		most = math.Max(most, x)
	}
	if stands, _ := heaviest(c.standing, 1); len(stands) > 0 {
		most += stands[0].rate
	}
	return most
}

const (
	kindsApart = 8    // values of m that are told apart at first
	kindsWiden = 1.25 // and how much wider a range is than where it begins
	kindsMost  = 24   // values of m that are all told apart where rates differ
)

// evenKinds are those of one rate: m is so many replicas.
func evenKinds(rate, limit float64) []machineKind {
	var out []machineKind
	last := max(1, ceilDiv(limit, rate))
	for n := int64(1); n <= last; {
		end := n
		if n > kindsApart {
			end = min(last, int64(float64(n)*kindsWiden))
		}
		out = append(out, machineKind{rate * float64(n), rate * float64(end)})
		n = end + 1
	}
	return out
}

// unevenKinds are the rates that a machine can have, or where these are many, ranges that cover every m.
func unevenKinds(c *class, limit float64) []machineKind {
	loads := []float64{0}
	all, _ := heaviest(c.standing, len(c.standing))
	for _, l := range all {
		loads = append(loads, l.rate)
	}
	least := limit
	for i := 0; i < len(loads) && len(loads) <= kindsMost; i++ {
		for v := range c.variants {
			if x := loads[i] + c.variants[v].rate; x < limit*(1-rateSlack) && !slices.Contains(loads, x) {
				loads = append(loads, x)
			}
		}
	}
	if len(loads) <= kindsMost {
		slices.Sort(loads)
		out := make([]machineKind, 0, len(loads))
		for _, x := range append(loads, limit) {
			if x > 0 {
				out = append(out, machineKind{x, x})
			}
		}
		return out
	}
	for _, x := range loads {
		if x > 0 {
			least = math.Min(least, x)
		}
	}
	out := []machineKind{{least, least}}
	for at := least; at < limit; {
		next := math.Min(limit, at*kindsWiden)
		out = append(out, machineKind{at, next})
		at = next
	}
	return out
}

// byKinds finds for every kind the cheapest copies of it, and the cheapest further ones that the demand needs.
func (s *configSearch) byKinds() {
	for q := range s.class.kinds {
		s.kind(q)
	}
}

// kind looks at one kind. A configuration meets the end of its range; that none costs less is told by its begin.
func (s *configSearch) kind(q int) {
	k := s.class.kinds[q]
	stands := cappedSum(s.class.standing, k.hi)
	ask := func(m float64) float64 {
		return math.Max(0, s.need.keep*(1-rateSlack)+float64(s.need.failures)*m-stands)
	}
	var own, all []int
	for i := range s.slots {
		switch s.class.variants[s.slots[i].variant].kind {
		case q + 1:
			own, all = append(own, i), append(all, i)
		case 0:
			all = append(all, i)
		}
	}
	if len(own) == 0 {
		return
	}
	if even := !slices.ContainsFunc(all, func(i int) bool { return s.slots[i].rate != s.slots[all[0]].rate }); even {
		cheapest := func(a, b int) int { return cmp.Compare(s.slots[a].price, s.slots[b].price) }
		own, all = []int{slices.MinFunc(own, cheapest)}, []int{slices.MinFunc(all, cheapest)}
		s.lower = min(s.lower, s.costOfKind(own[0], all[0], ceilDiv(ask(k.lo), s.worth(own[0]))))
		s.tryKind(own, all, ask(k.hi))
		return
	}
	s.uneven(own, all, ask(k.lo), ask(k.hi))
}

// tryKind notes the cheapest configuration of one slot for what has to be left and one for what is needed beyond.
func (s *configSearch) tryKind(own, all []int, ask float64) {
	for _, i := range own {
		n := ceilDiv(ask, s.worth(i))
		for _, more := range all {
			if cost := s.costOfKind(i, more, n); cost < s.best {
				clear(s.counts)
				s.counts[i] = n
				s.counts[more] += s.beyond(i, more, n)
				s.keepBest(cost)
				clear(s.counts)
			}
		}
	}
}

// kindNodes bounds the search for what one requirement of a kind costs.
const kindNodes = 300

// cover finds the cheapest replicas of some slots, in whole replicas, that measure so much and are so many; none cost less than least.
func (s *configSearch) cover(slots []int, measure func(i int) float64, much float64, many int64) (counts map[int]int64, least int64) {
	list := make([]slot, 0, len(slots))
	for _, i := range slots {
		list = append(list, slot{variant: i, domain: -1, rate: measure(i), price: s.slots[i].price})
	}
	c := newConfigSearch(&class{}, serviceNeed{level: -1, rate: math.Max(0, much), min: max(0, many)}, list, math.Inf(1))
	least = c.solve(kindNodes, math.MaxInt64)
	counts = map[int]int64{}
	if len(c.most) == 0 {
		return counts, min(least, 0)
	}
	for k, n := range c.most[len(c.most)-1].counts {
		counts[c.slots[k].variant] += n
	}
	return counts, least
}

// uneven looks at a kind of variants that differ in rate. Each of its requirements alone bounds the cost.
func (s *configSearch) uneven(own, all []int, lo, hi float64) {
	rate := func(i int) float64 { return s.slots[i].rate }
	left, least := s.cover(own, s.worth, lo, 0)
	_, whole := s.cover(all, rate, s.rates.need-s.rates.total, s.need.min-int64(s.heads.total))
	s.lower = min(s.lower, max(least, whole))
	if hi > lo {
		left, _ = s.cover(own, s.worth, hi, 0)
	}
	served, heads := s.rates.total, int64(s.heads.total)
	for i, n := range left {
		served, heads = served+float64(n)*s.slots[i].rate, heads+n
	}
	more, _ := s.cover(all, rate, s.rates.need-served, s.need.min-heads)
	clear(s.counts)
	cost := int64(0)
	for _, some := range []map[int]int64{left, more} {
		for i, n := range some {
			s.counts[i] += n
			cost += n * s.slots[i].price
		}
	}
	for _, n := range more {
		heads += n
	}
	if cost < s.best && (s.need.max == 0 || heads <= s.need.max) {
		s.keepBest(cost)
	}
	clear(s.counts)
	s.tryKind(own, all, hi)
}

func (s *configSearch) worth(i int) float64 { return s.class.worthOf(s.slots[i].variant) }

// beyond is how many further copies of a slot the demand needs beside n of another.
func (s *configSearch) beyond(own, other int, n int64) int64 {
	rate := s.rates.need - s.rates.total - float64(n)*s.slots[own].rate
	return max(0, s.need.min-int64(s.heads.total)-n, ceilDiv(rate, s.slots[other].rate))
}

// costOfKind is what n copies of one slot and what is needed beyond cost; MaxInt64 where these are too many.
func (s *configSearch) costOfKind(own, other int, n int64) int64 {
	more := s.beyond(own, other, n)
	if s.need.max > 0 && int64(s.heads.total)+n+more > s.need.max {
		return math.MaxInt64
	}
	return n*s.slots[own].price + more*s.slots[other].price
}

// fillMachines gives a service the replicas of the kind that is cheapest where machines are full of their likes.
func (b *serviceBuilder) fillMachines(counts []int64) {
	slots := make([]slot, len(b.keys))
	for i, k := range b.keys {
		slots[i] = slot{k.variant, k.domain, b.cl.variants[k.variant].rate, int64(b.costs[k])}
	}
	s := newConfigSearch(b.cl, b.cl.need, slots, math.Inf(1))
	s.byKinds()
	clear(counts)
	if len(s.most) == 0 {
		return
	}
	for i, n := range s.most[len(s.most)-1].counts {
		for at, k := range b.keys {
			if k.variant == s.slots[i].variant {
				counts[at] += n
			}
		}
	}
}

// loadOn is the rate of a class that stands on the machine of a site.
func (p *Problem) loadOn(c *class, site int32) float64 {
	total := 0.0
	for _, h := range p.sites[site].held {
		for _, r := range c.standing {
			if r.domain == int32(h+1) {
				total += r.rate * float64(r.n)
			}
		}
	}
	return total
}

// capKey names what a cap holds for: the copies of a class of one kind.
type capKey struct{ class, kind int }

// withinCaps is what a machine of the site may hold of a pattern, with regard to services that survive the loss of machines.
func (p *Problem) withinCaps(site int32, pat pattern) pattern {
	if !p.caps {
		return pat
	}
	used, held := map[capKey]float64{}, map[*apart]int64{}
	out := make(pattern, 0, len(pat))
	for _, n := range pat {
		it := &p.items[n.item]
		cl := &p.classes[it.class]
		if a := cl.apart; a != nil && a.machines {
			n.n = min(n.n, p.onMachine(a, site)-held[a])
			held[a] += max(n.n, 0)
		}
		if q := cl.variants[it.variant].kind; q > 0 {
			k, worth := capKey{it.class, q}, cl.worthOf(it.variant)
			left := cl.kinds[q-1].hi*(1+rateSlack) - p.loadOn(cl, site) - used[k]
			n.n = min(n.n, int64(math.Floor(math.Max(0, left)/worth)))
			used[k] += worth * float64(n.n)
		}
		if n.n > 0 {
			out = append(out, n)
		}
	}
	return out
}

// keepsCaps says whether a machine of the site may hold the pattern.
func (p *Problem) keepsCaps(site int32, pat pattern) bool {
	return !p.caps || slices.Equal(p.withinCaps(site, pat), pat)
}

// siblings are the items that stand for the same way to run as one of kind 0 does: that one and those of every kind.
func (p *Problem) siblings(it int32) []int32 {
	cl := &p.classes[p.items[it].class]
	out := []int32{it}
	for v := range cl.variants {
		if cl.variants[v].kind > 0 && cl.variants[v].name == cl.variants[p.items[it].variant].name {
			out = append(out, cl.variants[v].item)
		}
	}
	return out
}

// sameWay says whether two variants of a class are one way to run.
func (c *class) sameWay(a, b int) bool {
	return a == b || c.need.machines && c.variants[a].name == c.variants[b].name
}

// capped is how many copies of an item any machine may hold at the most.
func (p *Problem) capped(it int32) int64 {
	a := p.classes[p.items[it].class].apart
	if v := p.variantOf(it); v.kind > 0 || a != nil && a.machines {
		return v.most
	}
	return math.MaxInt64
}

// ownPlace tells a held lease from its likes where replicas stay whose group is counted by machine: what may join them there depends on
// them. 0: there are none.
func (p *Problem) ownPlace(h int) int64 {
	for _, at := range p.bases[h].keep {
		pl := p.in.Held[h].Placements[at]
		job := &p.jobs[p.jobAt[pl.Job]]
		if g := &job.Groups[groupIndex(*job, pl.Group)]; g.Survive.Level == purser.DomainMachine || g.Spread.Level == purser.DomainMachine {
			return int64(h + 1)
		}
	}
	return 0
}

// otherKind says whether copies of another kind of item i's class are chosen. Of a service with copies of one kind, those of others are
// worth no more than copies of none.
func (e *enumeration) otherKind(i int, chosen []sackCount) bool {
	p := e.m.p
	it, v := &p.items[e.k.items[i].item], p.variantOf(e.k.items[i].item)
	return v.kind > 0 && slices.ContainsFunc(chosen, func(c sackCount) bool {
		o := e.k.items[c.at].item
		return p.items[o].class == it.class && p.variantOf(o).kind > 0 && p.variantOf(o).kind != v.kind
	})
}
