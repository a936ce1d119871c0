package optimizer

import (
	"cmp"
	"context"
	"math"
	"slices"

	"purser/optimizer/highs"
)

// dive packs targets by rounding the column program step by step. Only proper columns are open: none that holds more of a target than
// is still needed, so that what is fixed is never too much and the program of what is left says truly what it costs.
type dive struct {
	*master
	k         *packing
	live      []int32 // targets with rows
	rowOf     []int32 // by target: its row, -1 when nothing was needed
	missAt    []int32 // by row: the solver's column of what is not packed
	shut      []bool  // by pattern column
	transfers []transfer
	slack     []int64 // by target: what transfers could bring
	captive   []bool  // by target: only limited machines can host it
	opts      diveOptions
	memo      map[bucketKey]*memo
}

// diveOptions say how hard a dive tries.
type diveOptions struct {
	workers int
	nodes   int64   // of a knapsack
	rounds  int     // of pricing before each rounding
	share   float64 // of the machines of a solution that are fixed at once
	first   int     // rounds of pricing before the first
}

// newDive makes the program of what the packing still needs.
func newDive(ctx context.Context, rt *highs.Runtime, k *packing, o diveOptions) (*dive, error) {
	k.sync()
	transfers := k.findTransfers()
	d := &dive{k: k, opts: o, rowOf: make([]int32, len(k.need)), transfers: transfers, memo: map[bucketKey]*memo{}}
	tied := map[int32]bool{}
	for _, t := range transfers {
		tied[t.a], tied[t.b] = true, true
	}
	var lower []float64
	for tg, n := range k.need {
		d.rowOf[tg] = -1
		if n > 0 || tied[int32(tg)] {
			d.rowOf[tg] = int32(len(d.live))
			d.live = append(d.live, int32(tg))
			lower = append(lower, float64(n))
		}
	}
	for _, n := range k.apart {
		lower = append(lower, -float64(n))
	}
	ms, err := newMaster(ctx, rt, d.terms(), false)
	if err != nil {
		return nil, err
	}
	d.master = ms
	if err = d.addRows(0, lower); err == nil {
		if err = d.addLimits(func(s int32) int64 { return k.limit[s] }, func(q int) int64 { return k.quota[q] }); err == nil {
			if err = d.addMisses(); err == nil {
				err = d.addTransfers()
			}
		}
	}
	if err != nil {
		return nil, joinClose(err, ms)
	}
	return d, nil
}

// terms are the matrix of the live targets.
func (d *dive) terms() *matrix {
	m := newMatrix(d.k.p)
	m.rows = len(d.live)
	for key, tg := range d.k.t.index {
		if d.rowOf[tg] < 0 {
			continue
		}
		t := term{row: d.rowOf[tg], coef: 1}
		if l := d.k.t.levels[d.k.p.items[key.item].class]; l >= 0 && key.domain >= 0 {
			m.local[l][key.domain] = append(m.local[l][key.domain], localTerm{key.item, t})
		} else {
			m.global[key.item] = append(m.global[key.item], t)
		}
	}
	for l := range m.local {
		for _, ts := range m.local[l] {
			slices.SortFunc(ts, func(a, b localTerm) int { return cmp.Compare(a.item, b.item) })
		}
	}
	m.addApart(len(d.live))
	return m
}

// addMisses makes sure that the program has a solution. What limits leave no machine for is left over, at a price above any machine's;
// a repair may still find a place for it.
func (d *dive) addMisses() error {
	for i, tg := range d.live {
		t := &d.k.t.list[tg]
		cost := d.p.leftPrice(int(t.class)) * d.p.missWeight(d.p.classes[t.class].level)
		at, err := d.addOther(cost/d.unit, 0, math.Inf(1), []int32{int32(i)}, []float64{1})
		if err != nil {
			return err
		}
		d.missAt = append(d.missAt, at)
	}
	return nil
}

// leftFactor is what a replica that is left over costs, in parts of the dearest machine that could be rented for it alone: nothing that
// can be packed at all is left over for its price.
const leftFactor = 3

// leftPrice is the price for leaving a replica of the class over, in nano-USD.
func (p *Problem) leftPrice(c int) float64 {
	dearest := int64(1)
	for v := range p.classes[c].variants {
		vt := &p.classes[c].variants[v]
		for _, g := range p.groupsOf[vt.item] {
			for _, s := range p.groups[g].sites {
				dearest = max(dearest, p.sites[s].cost(vt.span)+p.groups[g].extraFor(vt.item, 1))
			}
		}
	}
	return leftFactor * float64(dearest)
}

// project turns columns of another program into proper columns of this one.
func (d *dive) project(cols []column) []column {
	out := make([]column, 0, len(cols))
	for i := range cols {
		if c, ok := d.k.proper(&cols[i], d.slack); ok {
			out = append(out, c)
		}
	}
	return out
}

// proper cuts a column down to what is needed, or could be (slack by target, or nil).
func (k *packing) proper(c *column, slack []int64) (column, bool) {
	taken := map[int32]int64{}
	var pat pattern
	for _, n := range c.pattern {
		tg := k.t.of(n.item, c.site)
		if tg < 0 {
			continue
		}
		most := k.need[tg]
		if int(tg) < len(slack) {
			most += slack[tg]
		}
		if n.n = min(n.n, most-taken[tg]); n.n > 0 {
			taken[tg] += n.n
			pat = append(pat, n)
		}
	}
	if pat = k.withinApart(c.site, k.p.withinCaps(c.site, pat)); len(pat) == 0 || k.has(c.site) == 0 {
		return column{}, false
	}
	return k.p.newColumn(c.group, c.site, pat), true
}

// run dives until nothing is needed any more or nothing more can be packed. errStopped: time ran out; the packing is unfinished.
func (d *dive) run(ctx context.Context) error {
	rounds := d.opts.first
	for d.k.left() > 0 {
		if err := d.shutImproper(); err != nil {
			return err
		}
		if err := d.addSingles(); err != nil {
			return err
		}
		if err := d.master.run(ctx); err != nil {
			return err
		}
		if err := d.priceAgain(ctx, rounds); err != nil {
			return err
		}
		rounds = d.opts.rounds
		if !d.fix() {
			return nil // what is left can only be missed
		}
		if err := d.refresh(); err != nil {
			return err
		}
	}
	return nil
}

// A step of a dive over many targets is priced for fewer rounds than one over up to manyTargets, and for fewestRounds at the least.
const (
	manyTargets  = 1000
	fewestRounds = 3
)

// roundsFor is how many rounds of pricing a step is worth: each takes longer the more targets there are.
func (d *dive) roundsFor(rounds int) int {
	if len(d.live) <= manyTargets {
		return rounds
	}
	return max(fewestRounds, rounds*manyTargets/len(d.live))
}

// priceAgain makes new columns for some rounds, as long as there are any.
func (d *dive) priceAgain(ctx context.Context, rounds int) error {
	for range d.roundsFor(rounds) {
		added, err := d.reprice(ctx)
		if err != nil {
			return err
		}
		if added == 0 {
			break
		}
		if err := d.master.run(ctx); err != nil {
			return err
		}
	}
	return nil
}

// possible says whether a column could be put once, transfers included.
func (d *dive) possible(c *column) bool {
	want, ok := d.k.wanted(c)
	if !ok || len(want) == 0 || d.k.has(c.site) <= 0 {
		return false
	}
	if slices.ContainsFunc(d.k.p.apartUses(c.site, c.pattern), func(u count) bool { return d.k.apart[u.item] < u.n }) {
		return false
	}
	return !slices.ContainsFunc(want, func(w count) bool { return d.k.need[w.item]+d.slackOf(w.item) < w.n })
}

func (d *dive) slackOf(tg int32) int64 {
	if int(tg) < len(d.slack) {
		return d.slack[tg]
	}
	return 0
}

// shutImproper shuts the columns that hold too much by now.
func (d *dive) shutImproper() error {
	var at []int32
	for len(d.shut) < len(d.cols) {
		d.shut = append(d.shut, false)
	}
	for i := range d.cols {
		if !d.shut[i] && !d.possible(&d.cols[i]) {
			d.shut[i] = true
			at = append(at, d.lpOf[i])
		}
	}
	if len(at) == 0 {
		return nil
	}
	zero := make([]float64, len(at))
	return d.solver.ChangeColBounds(at, zero, zero)
}

func (d *dive) isShut(i int) bool { return i < len(d.shut) && d.shut[i] }

// addSingles gives each target with a need a machine of its own that is open.
func (d *dive) addSingles() error {
	done := make([]bool, len(d.p.classes))
	var cols []column
	for i := range d.k.t.list {
		c := int(d.k.t.list[i].class)
		if d.k.need[i] == 0 || done[c] {
			continue
		}
		done[c] = true
		cols = append(cols, d.project(d.p.singleColumns(c, 3, func(it int32) int64 { return d.k.t.mostNeeded(d.k.need, it) }))...)
	}
	for i := range d.k.t.list {
		tg := &d.k.t.list[i]
		if d.k.need[i] > 0 && tg.domain >= 0 {
			it := d.p.classes[tg.class].variants[tg.variant].item
			cols = append(cols, d.project(d.p.singleIn(it, d.k.t.levels[tg.class], tg.domain, d.k.need[i]))...)
		}
	}
	_, err := d.add(cols)
	return err
}

// mostNeeded is the largest need of a target that the item counts for.
func (t *targets) mostNeeded(need []int64, it int32) int64 {
	if t.levels[t.p.items[it].class] < 0 {
		if tg, ok := t.index[targetKey{it, -1}]; ok {
			return need[tg]
		}
		return 0
	}
	most := int64(0)
	for i := range t.list {
		tg := &t.list[i]
		if int(tg.class) == t.p.items[it].class && int(tg.variant) == t.p.items[it].variant {
			most = max(most, need[i])
		}
	}
	return most
}

// reprice makes new proper columns.
func (d *dive) reprice(ctx context.Context) (int, error) {
	prices := d.duals()
	o := &order{
		m:     d.m,
		rents: &rents{p: d.p, d: prices, priced: true},
		most: func(it int32, domains domainIDs) int64 {
			if tg := d.targetIn(it, domains); tg >= 0 {
				return min(d.k.need[tg]+d.slackOf(tg), d.p.capped(it))
			}
			return 0
		},
		pool: func(it int32, domains domainIDs) (int32, int64) {
			tg := d.targetIn(it, domains)
			return tg, d.k.need[tg] + d.slackOf(tg)
		},
		use: func(g int32) bool {
			return slices.ContainsFunc(d.p.groups[g].sites, func(s int32) bool { return d.k.has(s) > 0 })
		},
		nodes:   d.opts.nodes,
		workers: d.opts.workers,
		memo:    d.memo,
	}
	results, err := o.price(ctx)
	if err != nil {
		return 0, errStopped
	}
	var cols []column
	for _, c := range d.columnsOf(prices, results) {
		if d.possible(&c) {
			cols = append(cols, c)
		}
	}
	return d.add(cols)
}

// targetIn is the target of an item in a bucket's domains. A domain without a priced row counts for none.
func (d *dive) targetIn(it int32, domains domainIDs) int32 {
	domain := int32(-1)
	if l := d.k.t.levels[d.p.items[it].class]; l >= 0 {
		domain = domains[l]
	}
	if tg, ok := d.k.t.index[targetKey{it, domain}]; ok {
		return tg
	}
	return -1
}

// refresh tells the solver what is left.
func (d *dive) refresh() error {
	var at []int32
	var lower, upper []float64
	for r, tg := range d.live {
		at, lower, upper = append(at, d.rowAt[r]), append(lower, float64(d.k.need[tg])), append(upper, math.Inf(1))
	}
	for i, n := range d.k.apart {
		at, lower, upper = append(at, d.rowAt[len(d.live)+i]), append(lower, -float64(n)), append(upper, math.Inf(1))
	}
	for _, s := range d.limitedSites() {
		at, lower, upper = append(at, d.limitAt[s]), append(lower, math.Inf(-1)), append(upper, float64(d.k.limit[s]))
	}
	for q, row := range d.quotaAt {
		if row >= 0 {
			at, lower, upper = append(at, row), append(lower, math.Inf(-1)), append(upper, float64(d.k.quota[q])/1000)
		}
	}
	if err := d.solver.ChangeRowBounds(at, lower, upper); err != nil {
		return err
	}
	return d.boundTransfers()
}

// limitedSites are the sites with a row of (5), in order.
func (ms *master) limitedSites() []int32 {
	out := make([]int32, 0, len(ms.limitAt))
	for s := range ms.limitAt {
		out = append(out, s)
	}
	slices.Sort(out)
	return out
}
