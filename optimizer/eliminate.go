package optimizer

import (
	"cmp"
	"math"
	"slices"
)

// The last machine of a site is often half empty after a dive. What it holds can frequently go into room elsewhere, services also in other
// domains, for less than the machine costs.

const (
	eliminateTries  = 300
	eliminatePasses = 3
)

// eliminate gives up machines one by one, those first that cost most beyond what their load is worth, where everything on them finds a
// place for less. excess is by column.
func (k *packing) eliminate(excess func(*packing) []float64) {
	for range eliminatePasses {
		waste := excess(k)
		order := make([]int, 0, len(k.list))
		for i := range k.list {
			if k.list[i].n > 0 && waste[i] > 0.02*float64(k.list[i].cost) {
				order = append(order, i)
			}
		}
		slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(waste[b], waste[a]) })
		better := false
		for _, i := range order[:min(len(order), eliminateTries)] {
			if k.list[i].n > 0 && k.without(k.list[i].column) {
				better = true
			}
		}
		k.tidy()
		if !better {
			return
		}
	}
}

// without gives up one machine of a column, if what it holds costs less elsewhere.
func (k *packing) without(c column) bool {
	trial := k.clone()
	trial.t = k.t.clone()
	trial.put(&c, -1)
	order := slices.Clone(c.pattern)
	slices.SortStableFunc(order, func(a, b count) int {
		return cmp.Compare(k.p.items[b.item].size.share(k.p.groups[c.group].room), k.p.items[a.item].size.share(k.p.groups[c.group].room))
	})
	for _, n := range order {
		for range n.n {
			if !trial.seatCheapest(n.item, c.site) || trial.cost >= k.cost {
				return false
			}
		}
	}
	*k = *trial
	return true
}

// seatCheapest places one copy of an item that was on a site where that costs least: in its domain or, of a service, in another.
func (k *packing) seatCheapest(it, site int32) bool {
	item := &k.p.items[it]
	cl := &k.p.classes[item.class]
	level, domain := k.t.levels[item.class], int32(-1)
	if level >= 0 {
		domain = k.p.sites[site].domain[level]
	}
	best, to := insertion{cost: math.MaxInt64}, massKey{item.variant, domain}
	switch {
	case cl.plain:
		for v := range cl.variants {
			if in := k.cheapestInsertion(cl.variants[v].item, -1, -1); in.ok && in.cost < best.cost {
				best = in
			}
		}
	default:
		best = k.cheapestInsertion(it, level, domain)
		if cl.kind == kindService {
			for _, key := range k.p.keysOf(item.class, level) {
				if key == to || k.canMove(item.class, massKey{item.variant, domain}, key) == 0 {
					continue
				}
				in := k.cheapestInsertion(cl.variants[key.variant].item, level, key.domain)
				if in.ok && (!best.ok || in.cost < best.cost) {
					best, to = in, key
				}
			}
		}
	}
	if !best.ok {
		return false
	}
	if from := (massKey{item.variant, domain}); !cl.plain && to != from {
		t := transfer{class: item.class, from: from, to: to, a: k.t.index[targetKey{it, domain}], b: k.ensure(item.class, to.variant, to.domain)}
		if !k.move(&t) {
			return false
		}
	}
	k.apply(best)
	return true
}
