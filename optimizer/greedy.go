package optimizer

import (
	"cmp"
	"slices"
)

// greedy packs the targets in milliseconds: again and again the machine whose load is worth most for its cost, a replica's worth being
// its part of the cheapest machine full of its likes. What limits leave no machine for stays in need.
func (k *packing) greedy() {
	g := &greedyPacker{packing: k, worth: make([]int64, len(k.p.items))}
	for c := range k.p.classes {
		costs := k.p.fullCosts(c)
		for v := range k.p.classes[c].variants {
			g.worth[k.p.classes[c].variants[v].item] = costs
		}
	}
	for i := range k.p.groups {
		if col, ratio, ok := g.best(int32(i)); ok {
			g.queue = append(g.queue, offerLoad{int32(i), ratio, col})
		}
	}
	for i := len(g.queue)/2 - 1; i >= 0; i-- {
		g.queue.sink(i)
	}
	for len(g.queue) > 0 {
		top := g.queue[0]
		if n := k.times(&top.column); n > 0 {
			k.put(&top.column, n)
		}
		col, ratio, ok := g.best(top.group)
		if !ok {
			last := len(g.queue) - 1
			g.queue[0] = g.queue[last]
			g.queue = g.queue[:last]
		} else {
			g.queue[0].column, g.queue[0].ratio = col, ratio
		}
		g.queue.sink(0)
	}
}

// fullCosts is the least that a replica of the class costs as a part of a machine full of its likes, in nano-USD, whatever the variant.
func (p *Problem) fullCosts(c int) int64 {
	best := int64(0)
	for v := range p.classes[c].variants {
		vt := &p.classes[c].variants[v]
		for _, g := range p.groupsOf[vt.item] {
			copies := vt.size.copies(p.groups[g].room, vt.most)
			for _, s := range p.groups[g].sites {
				if copies > 0 {
					if each := (p.sites[s].cost(vt.span) + p.groups[g].extraFor(vt.item, copies)) / copies; best == 0 || each < best {
						best = max(each, 1)
					}
				}
			}
		}
	}
	return best
}

// offerLoad is a group's best load at the time it was made. Loads only get worse, so one that is still the best of the queue is the best.
type offerLoad struct {
	group  int32
	ratio  float64 // worth for cost
	column column
}

// loadQueue is a heap of loads, the best first.
type loadQueue []offerLoad

func (q loadQueue) before(a, b int) bool {
	return q[a].ratio > q[b].ratio || (q[a].ratio == q[b].ratio && q[a].group < q[b].group)
}

// sink puts the load at i where it belongs among those below it.
func (q loadQueue) sink(i int) {
	for {
		first := i
		for _, child := range []int{2*i + 1, 2*i + 2} {
			if child < len(q) && q.before(child, first) {
				first = child
			}
		}
		if first == i {
			return
		}
		q[i], q[first] = q[first], q[i]
		i = first
	}
}

type greedyPacker struct {
	*packing
	worth []int64 // by item
	queue loadQueue
}

// cutsTried is how many lengths of the longest member a load is tried with.
const cutsTried = 4

// best is the group's load with the greatest worth for its cost, on its cheapest machine that can be had.
func (g *greedyPacker) best(at int32) (column, float64, bool) {
	gr := &g.p.groups[at]
	site := int32(-1)
	for _, s := range gr.sites {
		if g.has(s) > 0 {
			site = s
			break
		}
	}
	if site < 0 {
		return column{}, 0, false
	}
	open := make([]int32, 0, len(gr.entries))
	var spans []int64
	for _, e := range gr.entries {
		if tg := g.t.of(e.item, site); tg >= 0 && g.need[tg] > 0 && (len(open) == 0 || open[len(open)-1] != e.item) {
			open = append(open, e.item)
			spans = append(spans, g.p.items[e.item].span)
		}
	}
	if len(open) == 0 {
		return column{}, 0, false
	}
	density := func(it int32) float64 {
		return float64(g.worth[it]-gr.extraFor(it, 1)) / float64(g.p.items[it].size.share(gr.room))
	}
	slices.SortStableFunc(open, func(a, b int32) int {
		return cmp.Or(cmp.Compare(density(b), density(a)), cmp.Compare(g.p.items[b].span, g.p.items[a].span))
	})
	slices.Sort(spans)
	spans = slices.Compact(spans)
	var best column
	bestRatio := -1.0
	for cut := range cutsTried {
		longest := spans[len(spans)-1-cut*(len(spans)-1)/cutsTried]
		if cut > 0 && longest == spans[len(spans)-1-(cut-1)*(len(spans)-1)/cutsTried] {
			continue
		}
		col, worth := g.load(at, site, open, longest)
		if len(col.pattern) == 0 {
			continue
		}
		if ratio := float64(worth) / float64(max(col.cost, 1)); ratio > bestRatio {
			best, bestRatio = col, ratio
		}
	}
	return best, bestRatio, bestRatio >= 0
}

// load fills a machine with items not longer than longest, in order.
func (g *greedyPacker) load(at, site int32, open []int32, longest int64) (column, int64) {
	room, worth := g.p.groups[at].room, int64(0)
	var pat pattern
	taken := map[int32]int64{}
	for _, it := range open {
		if g.p.items[it].span > longest {
			continue
		}
		tg := g.t.of(it, site)
		n := g.p.items[it].size.copies(room, g.need[tg]-taken[tg])
		if n <= 0 {
			continue
		}
		room = room.plus(g.p.items[it].size, -n)
		taken[tg] += n
		worth += n * g.worth[it]
		pat = append(pat, count{it, n})
	}
	if pat = g.withinApart(site, g.p.withinCaps(site, pat)); len(pat) == 0 {
		return column{}, 0
	}
	return g.p.newColumn(at, site, pat), worth
}
