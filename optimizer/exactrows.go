package optimizer

import (
	"context"
	"errors"
	"math"
	"slices"

	"purser/optimizer/highs"
)

// newExact builds the program over the columns. With missing, replicas may have no place, at a price above everything.
func newExact(ctx context.Context, rt *highs.Runtime, p *Problem, cols []column, missing bool) (*exactProgram, error) {
	solver, err := rt.NewSolver(ctx)
	if err != nil {
		return nil, err
	}
	e := &exactProgram{
		p: p, solver: solver, unit: p.moneyUnit(), deadline: softDeadline(ctx), missing: missing,
		link: map[countVar]int32{}, fixed: map[fixedRow]int32{},
	}
	seen := map[string]bool{}
	for i := range cols {
		if key := cols[i].key(); !seen[key] && p.keepsCaps(cols[i].site, cols[i].pattern) {
			seen[key] = true
			e.cols = append(e.cols, cols[i])
			e.entries = append(e.entries, e.columnEntries(&cols[i]))
		}
	}
	e.addClasses()
	e.addMisses()
	if err := e.load(); err != nil {
		return nil, errors.Join(err, solver.Close())
	}
	return e, nil
}

func (e *exactProgram) close() { _ = e.solver.Close() } // nothing is left to be lost

func (e *exactProgram) row(lower, upper float64) int32 {
	e.lower, e.upper = append(e.lower, lower), append(e.upper, upper)
	return int32(len(e.lower) - 1)
}

// named finds or makes a row.
func (e *exactProgram) named(k fixedRow, lower, upper float64) int32 {
	at, ok := e.fixed[k]
	if !ok {
		at = e.row(lower, upper)
		e.fixed[k] = at
	}
	return at
}

// columnEntries are the coefficients of a pattern, with the rows that they are in.
func (e *exactProgram) columnEntries(c *column) []entryOf {
	sum := map[int32]float64{}
	for _, n := range c.pattern {
		it := &e.p.items[n.item]
		cl := &e.p.classes[it.class]
		if cl.plain {
			sum[e.named(fixedRow{rowClass, int32(it.class)}, float64(cl.replicas()), math.Inf(1))] += float64(n.n)
			continue
		}
		v := countVar{it.class, it.variant, -1}
		if l := e.p.commitLevel(cl); l >= 0 {
			v.domain = e.p.sites[c.site].domain[l]
		}
		at, ok := e.link[v]
		if !ok {
			at = e.row(0, math.Inf(1))
			e.link[v] = at
			e.counts = append(e.counts, v)
		}
		sum[at] += float64(n.n)
	}
	st := &e.p.sites[c.site]
	if st.limit >= 0 {
		sum[e.named(fixedRow{rowLimit, c.site}, math.Inf(-1), float64(st.limit))] = 1
	}
	for _, u := range st.quotas {
		sum[e.named(fixedRow{rowQuota, int32(u.quota)}, math.Inf(-1), float64(e.p.quotas[u.quota].limit)/1000)] = float64(u.weight) / 1000
	}
	for _, u := range e.p.apartUses(c.site, c.pattern) {
		sum[e.named(fixedRow{rowApart, u.item}, math.Inf(-1), float64(e.p.apartRows[u.item].limit))] = float64(u.n)
	}
	return sortedEntries(sum)
}

func sortedEntries(sum map[int32]float64) []entryOf {
	out := make([]entryOf, 0, len(sum))
	for r, v := range sum {
		out = append(out, entryOf{r, v})
	}
	slices.SortFunc(out, func(a, b entryOf) int { return int(a.row - b.row) })
	return out
}

// addClasses adds the counts' columns and the rows that hold them: every gang has a place; each service serves and survives.
func (e *exactProgram) addClasses() {
	slices.SortFunc(e.counts, func(a, b countVar) int {
		return compareInts(int64(a.class), int64(b.class), int64(a.variant), int64(b.variant), int64(a.domain), int64(b.domain))
	})
	for i := 0; i < len(e.counts); {
		k := i
		for k < len(e.counts) && e.counts[k].class == e.counts[i].class {
			k++
		}
		cl := &e.p.classes[e.counts[i].class]
		if cl.kind == kindGang {
			all := e.row(float64(cl.units()), math.Inf(1))
			e.miss(e.counts[i].class, float64(cl.least), entryOf{all, 1})
			for _, v := range e.counts[i:k] {
				e.entries = append(e.entries, []entryOf{{e.link[v], -float64(cl.variants[v.variant].gang)}, {all, 1}})
			}
		} else {
			e.addService(cl, e.counts[i:k])
		}
		i = k
	}
}

// addService adds the rows of one service.
func (e *exactProgram) addService(cl *class, vars []countVar) {
	fastest, have, standing := 0.0, 0.0, 0.0
	in := map[int32]float64{}
	for v := range cl.variants {
		fastest = math.Max(fastest, cl.variants[v].rate)
	}
	for _, r := range cl.standing {
		have += float64(r.n)
		standing += r.rate * float64(r.n)
		in[r.domain] += r.rate * float64(r.n)
	}
	most := math.Inf(1)
	if cl.need.max > 0 {
		most = float64(cl.need.max) - have
	}
	heads := e.row(float64(cl.least), most)
	rate := e.row((cl.need.rate*(1-rateSlack)-standing)/fastest, math.Inf(1))
	stands := []entryOf{{heads, 1}, {rate, 1}}
	entries := make([]map[int32]float64, len(vars))
	for i, v := range vars {
		entries[i] = map[int32]float64{e.link[v]: -1, heads: 1, rate: cl.variants[v.variant].rate / fastest}
	}
	l := &lossRows{exactProgram: e, cl: cl, vars: vars, entries: entries, fastest: fastest, standing: standing, in: in}
	switch {
	case cl.need.machines:
		stands = append(stands, l.machines()...)
	case cl.need.level >= 0 && cl.need.failures > 1:
		stands = append(stands, l.several()...)
	case cl.need.level >= 0:
		stands = append(stands, l.one()...)
	}
	e.miss(vars[0].class, 1, stands...)
	for _, list := range entries {
		e.entries = append(e.entries, sortedEntries(list))
	}
}

// miss notes a column that stands in for so many replicas in the rows.
func (e *exactProgram) miss(class int, replicas float64, entries ...entryOf) {
	if e.missing {
		e.misses = append(e.misses, missVar{class, entries, replicas * e.p.missWeight(e.p.classes[class].level)})
	}
}

// addMisses adds the columns of what is missed, each replica dearer than a plan that rents the dearest machine for each.
func (e *exactProgram) addMisses() {
	total := 1.0
	for c := range e.p.classes {
		cl := &e.p.classes[c]
		total += float64(cl.units()*cl.largest()) * e.p.leftPrice(c) / leftFactor / e.unit
		if at, ok := e.fixed[fixedRow{rowClass, int32(c)}]; ok && cl.plain {
			e.miss(c, 1, entryOf{at, 1})
		}
	}
	for i := range e.misses {
		e.misses[i].cost *= total
		e.entries = append(e.entries, e.misses[i].entries)
	}
}

// load hands the program to the solver.
func (e *exactProgram) load() error {
	var rows highs.Rows
	for i := range e.lower {
		rows.Append(e.lower[i], e.upper[i], nil, nil)
	}
	if err := e.solver.AddRows(rows); err != nil {
		return err
	}
	var batch highs.Columns
	all := make([]int32, len(e.entries))
	for i, list := range e.entries {
		all[i] = int32(i)
		cost := 0.0
		if i < len(e.cols) {
			cost = float64(e.cols[i].cost) / e.unit
		} else if m := i - len(e.cols) - len(e.counts); m >= 0 {
			cost = e.misses[m].cost
		}
		index, value := make([]int32, len(list)), make([]float64, len(list))
		for k, en := range list {
			index[k], value[k] = en.row, en.value
		}
		batch.Append(cost, 0, math.Inf(1), index, value)
	}
	for i, list := range slices.Concat(e.switches, e.parts) {
		if i < len(e.switches) {
			all = append(all, int32(len(e.entries)+i))
		}
		index, value := make([]int32, len(list)), make([]float64, len(list))
		for k, en := range list {
			index[k], value[k] = en.row, en.value
		}
		batch.Append(0, 0, math.Inf(1), index, value)
	}
	if err := e.solver.AddCols(batch); err != nil {
		return err
	}
	return e.solver.SetIntegrality(all, true)
}
