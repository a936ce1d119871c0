package optimizer

import (
	"cmp"
	"context"
	"math"
	"slices"
)

// duals are prices of the rows of a covering program, all ≥ 0 and in nano-USD, so that bounds are computed exactly.
type duals struct {
	rows   []int64         // of a matrix, per unit of 2^0
	limits map[int32]int64 // by site: per machine
	quotas []int64         // per unit (1000 thousandths)
	levels []int64         // of what may be missed, per replica

	// tallies are the prices of what a tree counts: above 0 where there must be more, below 0 where there may be no more. late is what
	// that makes of a machine of a site that is needed for lateSpan or longer.
	tallies []int64
	late    map[int32]int64
}

// rents prices machines: what a site's machine costs for a span, with the prices of its limit and quotas on top.
type rents struct {
	p      *Problem
	d      *duals
	priced bool // false: machines cost nothing but the prices of limits and quotas (what is missed is counted first)
}

// fixed is the part of a site's rent that does not depend on time, rounded down.
func (r *rents) fixed(s int32) int64 {
	total := r.d.limits[s]
	for _, u := range r.p.sites[s].quotas {
		total += mulDiv1000(r.d.quotas[u.quota], u.weight)
	}
	return total
}

// mulDiv1000 is ⌊a·b/1000⌋ for a, b ≥ 0, capped far above any price.
func mulDiv1000(a, b int64) int64 {
	if a > 0 && b > math.MaxInt64/a {
		return math.MaxInt64 / 4
	}
	return a * b / 1000
}

// at is the rent of a site's machine for a span.
func (r *rents) at(s int32, span int64) int64 {
	rent := r.fixed(s) + r.cost(s, span)
	if len(r.d.late) > 0 && span >= r.p.lateSpan {
		rent -= r.d.late[s]
	}
	return rent
}

func (r *rents) cost(s int32, span int64) int64 {
	if !r.priced {
		return 0
	}
	return r.p.sites[s].cost(span)
}

// frontier keeps the sites that are cheapest for some span.
func (r *rents) frontier(sites []int32) []rentLine {
	lines := make([]rentLine, 0, len(sites))
	for _, s := range sites {
		st := &r.p.sites[s]
		l := rentLine{site: s, fixed: r.fixed(s), late: r.d.late[s], apart: st.hours != nil}
		if r.priced {
			l.slope, l.start, l.paid = int64(st.rate), st.start, st.paidSpan
		}
		lines = append(lines, l)
	}
	slices.SortStableFunc(lines, func(a, b rentLine) int {
		return cmp.Or(cmp.Compare(a.slope, b.slope), cmp.Compare(a.fixed, b.fixed), cmp.Compare(a.site, b.site))
	})
	kept := lines[:0]
	for _, l := range lines {
		if !slices.ContainsFunc(kept, func(k rentLine) bool {
			return !k.apart && !l.apart && k.slope <= l.slope && k.fixed <= l.fixed && k.start <= l.start && k.paid >= l.paid && k.late >= l.late
		}) {
			kept = append(kept, l)
		}
	}
	return kept
}

// rentLine is a site's rent as it grows with the span.
type rentLine struct {
	apart                           bool // its price changes: it is not compared with others
	site                            int32
	slope, fixed, start, paid, late int64
}

// cheapest is the site with the least rent for a span, and that rent.
func (r *rents) cheapest(lines []rentLine, span int64) (int32, int64) {
	best, site := int64(math.MaxInt64), int32(-1)
	for _, l := range lines {
		if rent := r.at(l.site, span); rent < best {
			best, site = rent, l.site
		}
	}
	return site, best
}

// bucket is a set of groups whose patterns are worth the same now.
type bucket struct {
	groups  []int32
	domains domainIDs
	lines   []rentLine
}

// buckets puts groups together that have the same menu and the same prices on it.
func (m *matrix) buckets(r *rents, use func(g int32) bool) []bucket {
	index := map[bucketKey]int{}
	var out []bucket
	sites := [][]int32{}
	for g := range m.p.groups {
		if use != nil && !use(int32(g)) {
			continue
		}
		gr := &m.p.groups[g]
		k := bucketKey{gr.menu, m.activeDomains(gr, r.d.rows)}
		at, ok := index[k]
		if !ok {
			at = len(out)
			index[k] = at
			out = append(out, bucket{domains: k.domains})
			sites = append(sites, nil)
		}
		out[at].groups = append(out[at].groups, int32(g))
		sites[at] = append(sites[at], gr.sites...)
	}
	for i := range out {
		out[i].lines = r.frontier(sites[i])
	}
	return out
}

// order is what a pricing round is asked for.
type order struct {
	m       *matrix
	rents   *rents
	most    func(it int32, domains domainIDs) int64          // copies of an item that are of use
	pool    func(it int32, domains domainIDs) (int32, int64) // a number that items share, and copies of them together; nil: by item
	use     func(g int32) bool                               // groups to price; nil: all
	nodes   int64                                            // of one knapsack
	raise   int64                                            // of one that is cut off far from what it may find: four times as many each time, up to this
	workers int
	memo    map[bucketKey]*memo // of earlier rounds; nil: none is kept
}

// bucketKey names a bucket: the groups of one menu with prices of their own in these domains.
type bucketKey struct {
	menu    int32
	domains domainIDs
}

// memo is a knapsack with what it came to. Prices change in few places from round to round, and a hard knapsack takes long to prove.
type memo struct {
	asked  []int64 // what is worth what: the same again has the same answer
	nodes  int64
	raised int64 // nodes of the next time, where more than usual
	out    priced
}

// priced is a bucket's best patterns, and the proof of how good any can be.
type priced struct {
	bucket   bucket
	patterns []sackPattern
	upper    int64       // no pattern of the bucket earns more than this
	ratios   []spanRatio // how far row prices have to fall so that no pattern earns anything, the longest run time first
	capped   bool        // the node limit ended the search
}

// price solves one knapsack for each bucket. The result is in the order of the groups, whoever solved what.
func (o *order) price(ctx context.Context) ([]priced, error) {
	worths := o.m.worths(o.rents.d.rows)
	buckets := o.m.buckets(o.rents, o.use)
	out := make([]priced, len(buckets))
	sacks := make([]knapsack, max(1, o.workers))
	free := make(chan *knapsack, len(sacks))
	for i := range sacks {
		free <- &sacks[i]
	}
	memos := make([]*memo, len(buckets))
	for i := range buckets {
		if memos[i] = &(memo{}); o.memo == nil {
			continue
		}
		key := bucketKey{o.m.p.groups[buckets[i].groups[0]].menu, buckets[i].domains}
		if o.memo[key] == nil {
			o.memo[key] = memos[i]
		}
		memos[i] = o.memo[key]
	}
	inParallel(len(buckets), len(sacks), func(i int) {
		if ctx.Err() == nil {
			k := <-free
			out[i] = o.solve(k, &buckets[i], worths, memos[i])
			free <- k
		}
	})
	return out, ctx.Err()
}

// solve prices one bucket, or remembers what it came to.
func (o *order) solve(k *knapsack, b *bucket, worths []int64, last *memo) priced {
	if b.domains != nowhere {
		worths = slices.Clone(worths)
		o.m.localWorths(worths, b.domains, o.rents.d.rows)
	}
	o.fill(k, b, worths)
	floor := int64(math.MaxInt64)
	asked := make([]int64, 0, 5*len(k.items))
	for i := range k.items {
		it := &k.items[i]
		floor = min(floor, it.rent)
		asked = append(asked, int64(it.item), it.value, it.rent, it.most, k.pools[it.pool])
	}
	nodes := max(o.nodes, min(last.raised, o.raise))
	if last.asked != nil && slices.Equal(asked, last.asked) && (last.nodes >= nodes || !last.out.capped) {
		last.out.bucket = *b
		return last.out
	}
	// Profits under a ten-millionth of the rent are the solver's noise.
	found, upper := k.solve(floor>>23+1, nodes)
	out := priced{bucket: *b, patterns: slices.Clone(found), upper: upper, capped: k.nodes <= 0}
	if upper > 0 {
		out.ratios = k.ratios()
	}
	raised := last.raised
	if out.capped && (len(found) == 0 || found[0].profit < upper/2) {
		raised = 4 * nodes
	}
	*last = memo{asked, nodes, raised, out}
	return out
}

// fill puts a bucket's items into a knapsack.
func (o *order) fill(k *knapsack, b *bucket, worths []int64) {
	p := o.m.p
	g := &p.groups[b.groups[0]]
	k.room, k.items, k.pools = g.room, k.items[:0], k.pools[:0]
	k.uneven = slices.ContainsFunc(b.lines, func(l rentLine) bool { return l.late > 0 })
	rentOf := map[int64]int64{}
	pools := map[int32]int32{}
	for _, e := range g.entries {
		value := worths[e.item]
		if o.rents.priced {
			value -= e.extra
		}
		host := o.m.hostWorth(e.item, o.rents.d.rows)
		it := &p.items[e.item]
		keeps := k.uneven && it.span >= p.lateSpan // a machine may be worth more with it, even if it is worth nothing itself
		most := o.most(e.item, b.domains)
		if value+host <= 0 && !keeps || most <= 0 {
			continue
		}
		rent, ok := rentOf[it.span]
		if !ok {
			_, rent = o.rents.cheapest(b.lines, it.span)
			rentOf[it.span] = rent
		}
		name, left := e.item, most
		if o.pool != nil {
			name, left = o.pool(e.item, b.domains)
		}
		pool, ok := pools[name]
		if !ok {
			pool = int32(len(k.pools))
			pools[name] = pool
			k.pools = append(k.pools, left)
		}
		if e.most > 0 {
			most = min(most, e.most)
		}
		item := sackItem{item: e.item, pool: pool, size: it.size, value: value, most: most, span: it.span, rent: rent}
		if host > 0 {
			// The first copy is worth more: it makes the machine a host.
			first := item
			first.value, first.most = value+host, 1
			k.items = append(k.items, first)
			item.most--
		}
		if (value > 0 || keeps) && item.most > 0 {
			k.items = append(k.items, item)
		}
	}
}

// spanRatio says that no pattern whose longest member takes as long as this or longer earns anything once the prices of its rows are
// multiplied by the ratio.
type spanRatio struct {
	span  int64
	ratio float64
}

// ratios are the least rent/(rent + profit) by the run time of the longest member, from the longest on: each the least of those not
// shorter. A pattern that takes long to finish may earn little while one of short runs, whose machine costs next to nothing, still earns as
// much as that; it has no long ones in it, whose prices need not fall for it.
func (k *knapsack) ratios() []spanRatio {
	slices.SortFunc(k.uppers, func(a, b spanUpper) int { return cmp.Compare(b.span, a.span) })
	var out []spanRatio
	worst := 1.0
	for _, u := range k.uppers {
		if u.upper <= 0 {
			continue
		}
		rent := float64(max(u.rent, 0))
		if ratio := rent / (rent + float64(u.upper)); ratio < worst {
			worst = ratio
			out = append(out, spanRatio{u.span, ratio})
		}
	}
	return out
}

// ratioFor is by how much the row prices of an item of a run time have to fall: as the longest pattern that it can be in, or any shorter one
// that is not shorter than it.
func ratioFor(ratios []spanRatio, span int64) float64 {
	least := 1.0
	for _, r := range ratios {
		if r.span < span {
			break
		}
		least = r.ratio
	}
	return least
}
