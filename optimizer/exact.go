package optimizer

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"purser"
	"purser/optimizer/highs"
)

// The exact program is for small problems: whole machines of every column that can be in a better plan, with rows (0) to (3) and (5)
// as the model has them, solved by branch and cut.

const (
	exactReplicas = 1000 // problems with more replicas are left to the dives
	exactColumns  = 12_000
	exactTries    = 8
)

// exact proves or improves the plan of a small problem.
func (s *search) exact(ctx context.Context) error {
	if s.proof == nil || !s.proof.whole || s.missed > 0 || !s.p.small() {
		return nil
	}
	slack := s.best.cost + s.p.constant() - s.proof.bound
	slack += slack/1_000_000 + s.best.cost/1_000_000 + 1
	whole := slack
	var cols []column
	ok := false
	for range exactTries {
		if cols, ok = s.proof.columnsWithin(slack, exactColumns); ok {
			break
		}
		slack /= 2
	}
	if !ok || ctx.Err() != nil {
		return nil
	}
	e, err := newExact(ctx, s.rt, s.p, append(s.best.columns(), cols...))
	if err != nil {
		return s.stopped(ctx, err)
	}
	defer e.close()
	if err := e.begin(s.best); err != nil {
		return s.stopped(ctx, err)
	}
	res, err := e.solver.Run(ctx, highs.Limits{Work: s.o.Work.MIPWork, Deadline: e.deadline, RelGap: 1e-8})
	if err != nil {
		if ctx.Err() != nil {
			return errStopped
		}
		return purser.Wrap(purser.KindInternal, "optimizer.Solve", err)
	}
	if res.Feasible {
		s.consider(e.packing(res.ColValue), "exact", 0)
	}
	// What is not in the program costs at least the slack more than the proof's bound. The program's own bound is floating point.
	bound := s.proof.bound + slack
	if slack == whole {
		bound = math.MaxInt64
	}
	if own := res.Bound * e.unit; !math.IsInf(own, 0) {
		bound = min(bound, int64(own-math.Abs(own)*1e-8)+s.p.constant())
	} else if math.IsInf(own, -1) {
		return nil
	}
	s.raise(min(bound, s.best.cost+s.p.constant()), "exact", 1)
	return nil
}

// small says whether the exact program is worth trying: not too many replicas, and every service by itself.
func (p *Problem) small() bool {
	total := int64(0)
	for c := range p.classes {
		cl := &p.classes[c]
		if cl.kind == kindService && !cl.plain && cl.units() > 1 {
			return false
		}
		total += cl.replicas()
	}
	return total <= exactReplicas
}

// exactProgram is the program in the solver. Its columns are patterns, then counts: gangs by variant and zone, and replicas of services
// by variant and domain.
type exactProgram struct {
	p        *Problem
	solver   *highs.Solver
	unit     float64
	deadline time.Time
	cols     []column
	counts   []countVar

	lower, upper []float64   // rows
	entries      [][]entryOf // by column
	link         map[countVar]int32
	fixed        map[fixedRow]int32
}

// countVar is a whole number of gangs, or of a service's replicas, of a variant in a domain.
type countVar struct {
	class, variant int
	domain         int32
}

// fixedRow names a row: of a class, a site's limit or a quota.
type fixedRow struct {
	kind rowKind
	of   int32
}

type rowKind byte

const (
	rowClass rowKind = iota
	rowLimit
	rowQuota
)

// entryOf is a coefficient.
type entryOf struct {
	row   int32
	value float64
}

// newExact builds the program over the columns.
func newExact(ctx context.Context, rt *highs.Runtime, p *Problem, cols []column) (*exactProgram, error) {
	solver, err := rt.NewSolver(ctx)
	if err != nil {
		return nil, err
	}
	e := &exactProgram{p: p, solver: solver, unit: p.moneyUnit(), deadline: softDeadline(ctx), link: map[countVar]int32{}, fixed: map[fixedRow]int32{}}
	seen := map[string]bool{}
	for i := range cols {
		if key := cols[i].key(); !seen[key] {
			seen[key] = true
			e.cols = append(e.cols, cols[i])
			e.entries = append(e.entries, e.columnEntries(&cols[i]))
		}
	}
	e.addClasses()
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
			for _, v := range e.counts[i:k] {
				e.entries = append(e.entries, []entryOf{{e.link[v], -float64(cl.gang)}, {all, 1}})
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
	outside := map[int32]int32{}
	if cl.need.level >= 0 {
		for _, v := range vars {
			if _, ok := outside[v.domain]; !ok {
				outside[v.domain] = e.row((cl.need.keep*(1-rateSlack)-standing+in[v.domain])/fastest, math.Inf(1))
			}
		}
		for _, r := range cl.standing {
			if _, ok := outside[r.domain]; !ok {
				outside[r.domain] = e.row((cl.need.keep*(1-rateSlack)-standing+in[r.domain])/fastest, math.Inf(1))
			}
		}
	}
	for _, v := range vars {
		x := cl.variants[v.variant].rate / fastest
		sum := map[int32]float64{e.link[v]: -1, heads: 1, rate: x}
		for d, at := range outside {
			if d != v.domain {
				sum[at] = x
			}
		}
		e.entries = append(e.entries, sortedEntries(sum))
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
		}
		index, value := make([]int32, len(list)), make([]float64, len(list))
		for k, en := range list {
			index[k], value[k] = en.row, en.value
		}
		batch.Append(cost, 0, math.Inf(1), index, value)
	}
	if err := e.solver.AddCols(batch); err != nil {
		return err
	}
	return e.solver.SetIntegrality(all, true)
}

// begin gives the solver a plan to begin with.
func (e *exactProgram) begin(k *packing) error {
	x := make([]float64, len(e.entries))
	at := map[string]int{}
	for i := range e.cols {
		at[e.cols[i].key()] = i
	}
	for i := range k.list {
		if k.list[i].n > 0 {
			x[at[k.list[i].key()]] += float64(k.list[i].n)
		}
	}
	for i, v := range e.counts {
		x[len(e.cols)+i] = float64(k.t.placedOf(v))
	}
	return e.solver.SetSolution(x)
}

// placedOf is how many gangs, or replicas of a service, were committed to a variant in a domain.
func (t *targets) placedOf(v countVar) int64 {
	n := int64(0)
	for _, g := range t.gangs[v.class] {
		if g.variant == v.variant && g.zone == v.domain {
			n += g.n
		}
	}
	for _, c := range t.configs[v.class] {
		n += c.of(v.variant, v.domain)
	}
	return n
}

// packing reads a solution: counts become targets, and machines are cut down to what is needed of them.
func (e *exactProgram) packing(x []float64) *packing {
	t := newTargets(e.p)
	for c := range e.p.classes {
		cl := &e.p.classes[c]
		t.levels[c] = e.p.commitLevel(cl)
		if cl.plain {
			t.addPlain(c, cl.units())
		}
	}
	for i, v := range e.counts {
		n := int64(math.Round(x[len(e.cols)+i]))
		if n <= 0 {
			continue
		}
		cl := &e.p.classes[v.class]
		if cl.kind == kindGang {
			if n = min(n, cl.units()-t.gangsOf(v.class)); n <= 0 {
				continue
			}
			t.gangs[v.class] = append(t.gangs[v.class], gangAt{v.variant, v.domain, n})
		} else {
			if t.configs[v.class] == nil {
				t.configs[v.class] = []config{nil}
			}
			t.configs[v.class][0] = append(t.configs[v.class][0], configPart{v.variant, v.domain, n})
		}
		t.add(target{int32(v.class), int32(v.variant), v.domain, n * cl.gang}, cl.variants[v.variant].item)
	}
	k := newPacking(t)
	for i := range e.cols {
		for range int64(math.Round(x[i])) {
			if c, ok := k.proper(&e.cols[i], nil); ok {
				k.put(&c, 1)
			}
		}
	}
	return k
}

func (t *targets) gangsOf(class int) int64 {
	n := int64(0)
	for _, g := range t.gangs[class] {
		n += g.n
	}
	return n
}
