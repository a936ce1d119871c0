package bench

import (
	"cmp"
	"math"
	"slices"
	"time"

	"purser"
	"purser/optimizer"
)

// ladderBaselines are the rules of thumb that a rung is planned by, in the order of the table.
var ladderBaselines = []struct {
	name string
	plan func(*thumb)
}{
	{"a machine for each task", (*thumb).each},
	{"first fit decreasing", func(t *thumb) { t.decreasing(false) }},
	{"best fit decreasing", func(t *thumb) { t.decreasing(true) }},
	{"Stratus", (*thumb).stratus},
	{"reservation price", (*thumb).reservation},
}

// baselines plans a rung by each rule. A rule that leaves something without a place has failed.
func baselines(in optimizer.Input) []Baseline {
	var out []Baseline
	for _, b := range ladderBaselines {
		t := newThumb(in)
		b.plan(t)
		t.shrink()
		cost, ok := t.total()
		out = append(out, Baseline{b.name, cost, !ok})
	}
	return out
}

// each buys the cheapest machine of its own for every replica, as a planner does that places one task at a time.
func (t *thumb) each() {
	for i := range t.lots {
		for t.lots[i].n > 0 {
			if o := t.cheapest(&t.lots[i], false); o < 0 || t.buy(o, []fill{{i, 1}}) == 0 {
				break
			}
		}
	}
}

// order is the lots sorted; equal ones stay in the order of the rung.
func (t *thumb) order(compare func(a, b *lot) int) []int {
	out := make([]int, len(t.lots))
	for i := range out {
		out[i] = i
	}
	slices.SortStableFunc(out, func(a, b int) int { return compare(&t.lots[a], &t.lots[b]) })
	return out
}

// decreasing places lots by size, largest first: on the first open machine with room, or on that with the least room left; else it opens the
// machine that is cheapest per copy when full.
func (t *thumb) decreasing(best bool) {
	size := func(l *lot) float64 {
		s := 0.0
		for d, x := range l.need {
			if whole := t.most[l.v.Accelerator][d]; whole > 0 {
				s = math.Max(s, float64(x)/float64(whole))
			}
		}
		return s
	}
	for _, i := range t.order(func(a, b *lot) int { return cmp.Compare(size(b), size(a)) }) {
		open := slices.Clone(t.shelves[t.lots[i].v.Accelerator])
		if best {
			slices.SortStableFunc(open, func(a, b *shelf) int {
				return cmp.Compare(a.free.share(roomOf(t.in.Offers[a.offer].Shape)), b.free.share(roomOf(t.in.Offers[b.offer].Shape)))
			})
		}
		for _, s := range open {
			t.add(s, i)
		}
		t.open(i)
	}
}

// open buys machines full of a lot until it has no replicas left.
func (t *thumb) open(i int) {
	l := &t.lots[i]
	for l.n > 0 {
		o := t.cheapest(l, true)
		if o < 0 || t.buy(o, []fill{{i, roomOf(t.in.Offers[o].Shape).copies(l.need, l.n)}}) == 0 {
			return
		}
	}
}

// stratus packs by run time, as in E1: from the longest bin of run times down, a lot first goes to machines that are there, of its own bin
// (the nearest in run time first) and then of longer ones (the emptiest first). What is left of a bin buys, accelerator by accelerator
// and zone by zone, the machine and the first replicas by run time that use it best for its price, again and again.
func (t *thumb) stratus() {
	level := func(d time.Duration) int { return int(math.Log2(math.Max(1, d.Seconds()))) }
	order := t.order(func(a, b *lot) int { return cmp.Compare(b.span, a.span) })
	for len(order) > 0 {
		n := 1
		for n < len(order) && level(t.lots[order[n]].span) == level(t.lots[order[0]].span) {
			n++
		}
		wait := map[[2]string][]int{}
		var keys [][2]string
		for _, i := range order[:n] {
			l := &t.lots[i]
			open := slices.Clone(t.shelves[l.v.Accelerator])
			slices.SortStableFunc(open, func(a, b *shelf) int {
				same := level(l.span)
				switch inA, inB := level(a.span) == same, level(b.span) == same; {
				case inA != inB && inA:
					return -1
				case inA != inB:
					return 1
				case inA:
					return cmp.Compare((a.span - l.span).Abs(), (b.span - l.span).Abs())
				}
				return cmp.Compare(b.free.share(roomOf(t.in.Offers[b.offer].Shape)), a.free.share(roomOf(t.in.Offers[a.offer].Shape)))
			})
			for _, s := range open {
				t.add(s, i)
			}
			if key := [2]string{l.v.Accelerator, l.zone}; l.n > 0 {
				if wait[key] == nil {
					keys = append(keys, key)
				}
				wait[key] = append(wait[key], i)
			}
		}
		order = order[n:]
		for _, key := range keys {
			t.buyGroups(wait[key])
		}
	}
}

// buyGroups buys machines for lots in their order.
func (t *thumb) buyGroups(wait []int) {
	for {
		wait = slices.DeleteFunc(wait, func(i int) bool { return t.lots[i].n == 0 })
		if len(wait) == 0 {
			return
		}
		o, fills := t.bestGroup(wait)
		if o < 0 || t.buy(o, fills) == 0 {
			return
		}
	}
}

// bestGroup is the offer and the first replicas with the highest score: the use of the dimension that the group fills most, in parts of the
// accelerator's largest machine, by the price.
func (t *thumb) bestGroup(wait []int) (offer int, group []fill) {
	offer, best := -1, -1.0
	first := &t.lots[wait[0]]
	most := t.most[first.v.Accelerator]
	for _, o := range t.by[first.v.Accelerator] {
		if first.zone != "" && t.in.Offers[o].Domain(purser.DomainZone) != first.zone || t.has(o) == 0 {
			continue
		}
		whole := roomOf(t.in.Offers[o].Shape)
		free, fills := whole, []fill(nil)
		for _, i := range wait {
			l := &t.lots[i]
			n := free.copies(l.need, l.n)
			if n == 0 {
				break
			}
			free, fills = free.less(l.need, n), append(fills, fill{i, n})
			use := 0.0
			for d, x := range most {
				if x > 0 {
					use = math.Max(use, float64(whole[d]-free[d])/float64(x))
				}
			}
			if score := use / math.Max(t.in.Offers[o].UnitPrice.USD(), 1e-9); score > best*(1+1e-12) {
				offer, group, best = o, slices.Clone(fills), score
			}
			if n < l.n {
				break
			}
		}
	}
	return offer, group
}

// reservation is Eva's greedy, as in E1: from the dearest machine down, each takes the replicas with the highest reservation prices that fit,
// and is bought when those come to its own price at least. What limits leave over gets a machine of its own.
func (t *thumb) reservation() {
	offers := make([]int, len(t.in.Offers))
	for o := range offers {
		offers[o] = o
	}
	slices.SortStableFunc(offers, func(a, b int) int { return cmp.Compare(t.in.Offers[b].UnitPrice, t.in.Offers[a].UnitPrice) })
	order := t.order(func(a, b *lot) int { return cmp.Compare(b.alone, a.alone) })
	for _, o := range offers {
		for t.has(o) > 0 {
			free, span, sum := roomOf(t.in.Offers[o].Shape), time.Duration(0), purser.Money(0)
			var fills []fill
			for _, i := range order {
				l := &t.lots[i]
				if l.v.Accelerator != t.in.Offers[o].Accelerator || l.zone != "" && l.zone != t.in.Offers[o].Domain(purser.DomainZone) {
					continue
				}
				if n := free.copies(l.need, l.n); n > 0 {
					free, span, sum = free.less(l.need, n), max(span, l.span), sum+purser.Money(n)*l.alone
					fills = append(fills, fill{i, n})
				}
			}
			if len(fills) == 0 || sum < t.cost(o, span) || t.buy(o, fills) == 0 {
				break
			}
		}
	}
	t.each()
}

// shrink exchanges each machine for the cheapest without a limit that holds what is on it, in its zone where that matters.
func (t *thumb) shrink() {
	for _, list := range t.shelves {
		for _, s := range list {
			whole := roomOf(t.in.Offers[s.offer].Shape)
			for _, o := range t.by[t.in.Offers[s.offer].Accelerator] {
				offer := &t.in.Offers[o]
				if t.bound(o) || s.zone != "" && offer.Domain(purser.DomainZone) != s.zone || t.cost(o, s.span) >= t.cost(s.offer, s.span) {
					continue
				}
				if left := roomOf(offer.Shape).less(whole, 1).less(s.free, -1); min(left[0], left[1], left[2]) >= 0 {
					s.offer, s.free, whole = o, left, roomOf(offer.Shape)
				}
			}
		}
	}
}
