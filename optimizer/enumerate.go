package optimizer

import (
	"cmp"
	"maps"
	"slices"
)

// proof is what a converged relaxed program leaves behind: row prices, the matrix that they belong to, and the bound that they show. A
// column that earns less than the plan's distance from that bound can be in no better plan.
type proof struct {
	m     *matrix
	d     *duals
	bound int64 // nano-USD
	whole bool  // the program was about everything
}

// waste is what a column costs beyond what its members are worth at the row prices, in nano-USD. worths are those of the matrix.
func (pf *proof) waste(c *column, worths []int64) int64 {
	rent := rents{p: pf.m.p, d: pf.d}
	total := c.cost + rent.fixed(c.site)
	for _, n := range c.pattern {
		total -= n.n * (worths[n.item] + pf.m.localWorth(n.item, &pf.m.p.sites[c.site], pf.d.rows))
	}
	return total
}

// clone copies the matrix, so that rows that are added later do not matter.
func (m *matrix) clone() *matrix {
	c := newMatrix(m.p)
	c.rows, c.apart = m.rows, m.apart
	for it := range m.global {
		c.global[it] = slices.Clone(m.global[it])
	}
	c.hosts = maps.Clone(m.hosts)
	for l := range m.local {
		for d, ts := range m.local[l] {
			c.local[l][d] = slices.Clone(ts)
		}
	}
	return c
}

// columnsWithin lists every column whose cost is at most slack above what its members are worth, but for those that leave room for a
// member that costs nothing more: these are beaten by others in the list. ok is false when there are more than most.
func (pf *proof) columnsWithin(slack int64, most int) (list []column, ok bool) {
	r := &rents{p: pf.m.p, d: pf.d, priced: true}
	worths := pf.m.worths(pf.d.rows)
	for _, b := range pf.m.buckets(r, nil) {
		e := &enumeration{proof: pf, rents: r, bucket: b, slack: slack, most: most - len(list), nodes: 200 * int64(most)}
		w := worths
		if b.domains != nowhere {
			w = slices.Clone(worths)
			pf.m.localWorths(w, b.domains, pf.d.rows)
		}
		if !e.run(w) {
			return nil, false
		}
		list = append(list, e.list...)
	}
	return list, true
}

// enumeration walks the patterns of one bucket.
type enumeration struct {
	*proof
	rents  *rents
	bucket bucket
	slack  int64
	most   int
	nodes  int64

	k      knapsack
	counts []int64 // by item, of the pattern at hand
	list   []column
	full   bool
}

// run is false when there is too much.
func (e *enumeration) run(worths []int64) bool {
	p := e.m.p
	g := &p.groups[e.bucket.groups[0]]
	e.k.room = g.room
	rentOf := map[int64]int64{}
	for _, en := range g.entries {
		it := &p.items[en.item]
		most := it.size.copies(g.room, p.variantOf(en.item).most)
		if en.most > 0 {
			most = min(most, en.most)
		}
		if most <= 0 {
			continue
		}
		rent, ok := rentOf[it.span]
		if !ok {
			_, rent = e.rents.cheapest(e.bucket.lines, it.span)
			rentOf[it.span] = rent
		}
		item := sackItem{item: en.item, size: it.size, value: worths[en.item] - en.extra, extra: en.extra, most: most, span: it.span, rent: rent}
		if host := e.m.hostWorth(en.item, e.d.rows); host > 0 {
			first := item
			first.value, first.most = first.value+host, 1
			e.k.items = append(e.k.items, first)
			item.most--
		}
		if item.most > 0 {
			e.k.items = append(e.k.items, item)
		}
	}
	if len(e.k.items) == 0 {
		return true
	}
	slices.SortStableFunc(e.k.items, func(a, b sackItem) int {
		return cmp.Or(cmp.Compare(b.span, a.span), cmp.Compare(b.value, a.value), cmp.Compare(a.item, b.item))
	})
	e.k.relax = e.k.relaxations()
	e.counts = make([]int64, len(e.k.items))
	for i := range e.k.items {
		e.walk(i, i, e.k.room, -e.k.items[i].rent, nil, true)
		if e.full {
			return false
		}
	}
	return true
}

// walk chooses how many copies of item i, and goes on. first is the longest member; must says that it needs a copy.
func (e *enumeration) walk(i, first int, room amounts, profit int64, chosen []sackCount, must bool) {
	if e.full || profit+e.k.bound(i, room) < -e.slack {
		return
	}
	if e.nodes--; e.nodes < 0 {
		e.full = true
		return
	}
	if i == len(e.k.items) {
		e.record(first, room, profit, chosen)
		return
	}
	it := &e.k.items[i]
	least := int64(0)
	if must {
		least = 1
	}
	most := it.size.copies(room, it.most)
	if e.m.p.caps && e.otherKind(i, chosen) {
		most = 0
	}
	for n := most; n >= least; n-- {
		next := chosen
		if n > 0 {
			next = append(slices.Clip(chosen), sackCount{i, n})
		}
		e.walk(i+1, first, room.plus(it.size, -n), profit+n*it.value, next, false)
	}
}

// record keeps a pattern on every site of the bucket where it is cheap enough.
func (e *enumeration) record(first int, room amounts, profit int64, chosen []sackCount) {
	p := e.m.p
	counts := e.counts
	clear(counts)
	for _, c := range chosen {
		counts[c.at] = c.n
	}
	for i := first; i < len(e.k.items); i++ {
		it := &e.k.items[i]
		if p.classes[p.items[it.item].class].apart != nil || p.caps && e.otherKind(i, chosen) {
			continue // one more of it may be one too many beside others
		}
		if it.extra <= 0 && counts[i] < it.most && it.size.within(room) {
			return // with one more of it the pattern costs no more
		}
	}
	value := profit + e.k.items[first].rent
	for _, g := range e.bucket.groups {
		for _, s := range p.groups[g].sites {
			if e.rents.at(s, e.k.items[first].span)-value > e.slack {
				continue
			}
			if len(e.list) >= e.most {
				e.full = true
				return
			}
			pat := make(pattern, 0, len(chosen))
			for _, c := range chosen {
				pat = append(pat, count{e.k.items[c.at].item, c.n})
			}
			e.list = append(e.list, p.newColumn(g, s, pat))
		}
	}
}
