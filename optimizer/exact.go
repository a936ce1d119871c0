package optimizer

import (
	"cmp"
	"context"
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
	// exactPromising bounds the columns where not all can be listed: a program over many of them ends at a worse plan.
	exactPromising = 800
)

// anySlack lets every column in. Sums of a few of it do not overflow.
const anySlack = math.MaxInt64 / 8

// exact proves or improves the plan of a small problem. Where the columns that can be in a better plan are too many to list, it takes those
// that the relaxed program and the dives made: that proves nothing, but finds plans that no dive does.
func (s *search) exact(ctx context.Context) error {
	if s.proof == nil || !s.proof.whole || s.missed > 0 || !s.p.small() {
		return nil
	}
	whole := s.best.cost + s.p.constant() - s.proof.bound
	whole += whole/1_000_000 + s.best.cost/1_000_000 + 1
	cols, slack, listed := s.listed(whole)
	if !listed {
		cols = s.promising(whole)
	}
	if ctx.Err() != nil {
		return nil
	}
	e, err := newExact(ctx, s.rt, s.p, append(s.best.columns(), cols...), false)
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
	own := res.Bound * e.unit
	if !listed || math.IsInf(own, -1) {
		return nil
	}
	// What is not in the program costs at least the slack more than the proof's bound. The program's own bound is floating point.
	bound := s.proof.bound + slack
	if slack == whole {
		bound = math.MaxInt64
	}
	if !math.IsInf(own, 0) {
		bound = min(bound, int64(own-math.Abs(own)*1e-8)+s.p.constant())
	}
	s.raise(min(bound, s.best.cost+s.p.constant()), "exact", 1)
	return nil
}

// listed gives every column that costs at most slack beyond what its members are worth, for the largest slack up to whole at which they
// can be listed.
func (s *search) listed(whole int64) (cols []column, slack int64, ok bool) {
	slack = whole
	for range exactTries {
		if cols, ok = s.proof.columnsWithin(slack, exactColumns); ok {
			break
		}
		slack /= 2
	}
	return cols, slack, ok
}

// promising gives the columns known so far that cost at most slack beyond what their members are worth: those that waste least, in that order.
func (s *search) promising(slack int64) []column {
	worths := s.proof.m.worths(s.proof.d.rows)
	waste := make([]int64, len(s.pool))
	var order []int
	for i := range s.pool {
		if waste[i] = s.proof.waste(&s.pool[i], worths); waste[i] <= slack {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(waste[a], waste[b]) })
	var out []column
	for _, i := range order[:min(len(order), exactPromising)] {
		out = append(out, s.pool[i])
	}
	return out
}

// exactMissed looks for places for what a small problem's plan misses, over the columns that are known.
func (s *search) exactMissed(ctx context.Context) error {
	if !s.p.small() || len(s.pool) > exactColumns {
		return nil
	}
	cols := append(s.best.columns(), s.pool...)
	if s.proof != nil {
		// Small ones have room for every pattern: what must go together to fit is rarely among the cheap columns.
		if all, ok := s.proof.columnsWithin(anySlack, exactColumns); ok {
			cols = append(cols, all...)
		}
	}
	for c := range s.p.classes {
		// Every number of copies on every site, since any may be what is left of a limit.
		for _, col := range s.p.singleColumns(c, len(s.p.sites), func(it int32) int64 { return s.p.variantOf(it).most }) {
			for n := col.pattern[0].n; n > 0 && len(cols) < 2*exactColumns; n-- {
				cols = append(cols, s.p.newColumn(col.group, col.site, pattern{{col.pattern[0].item, n}}))
			}
		}
	}
	e, err := newExact(ctx, s.rt, s.p, cols, true)
	if err != nil {
		return s.stopped(ctx, err)
	}
	defer e.close()
	res, err := e.solver.Run(ctx, highs.Limits{Work: s.o.Work.MIPWork, Deadline: e.deadline})
	if err != nil {
		return s.stopped(ctx, purser.Wrap(purser.KindInternal, "optimizer.Solve", err))
	}
	if res.Feasible {
		k := e.packing(res.ColValue)
		k.addMissing()
		k.repair()
		s.consider(k, "exact", 0)
	}
	return nil
}

// small says whether the exact program is worth trying: not too many replicas, and every service by itself.
func (p *Problem) small() bool {
	total := int64(0)
	for c := range p.classes {
		cl := &p.classes[c]
		if cl.kind == kindService && !cl.plain && cl.units() > 1 || cl.need.machines && !cl.exact {
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

	missing      bool // replicas may have no place
	misses       []missVar
	lower, upper []float64   // rows
	entries      [][]entryOf // by column
	switches     [][]entryOf // of further columns, which cost nothing: whole ones,
	parts        [][]entryOf // and some that need not be whole
	link         map[countVar]int32
	fixed        map[fixedRow]int32
}

// countVar is a whole number of gangs, or of a service's replicas, of a variant in a domain.
type countVar struct {
	class, variant int
	domain         int32
}

// missVar is a whole number of replicas of a class, or of gangs, that have no place.
type missVar struct {
	class   int
	entries []entryOf
	cost    float64
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
	rowApart
)

// entryOf is a coefficient.
type entryOf struct {
	row   int32
	value float64
}

// begin gives the solver a plan to begin with.
func (e *exactProgram) begin(k *packing) error {
	if len(e.parts)+len(e.switches) > 0 {
		return nil // these are not known of a plan
	}
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
		if cl.kind != kindGang {
			if t.configs[v.class] == nil {
				t.configs[v.class] = []config{nil}
			}
			t.configs[v.class][0] = append(t.configs[v.class][0], configPart{v.variant, v.domain, n})
			continue
		}
		if n = min(n, cl.units()-t.gangsOf(v.class)); n <= 0 {
			continue
		}
		t.gangs[v.class] = append(t.gangs[v.class], gangAt{v.variant, v.domain, n})
		t.add(target{int32(v.class), int32(v.variant), v.domain, n * cl.variants[v.variant].gang}, cl.variants[v.variant].item)
	}
	for c := range t.configs {
		for i, cfg := range t.configs[c] {
			t.configs[c][i] = e.p.classes[c].strip(cfg)
			for _, pt := range t.configs[c][i] {
				t.add(target{int32(c), int32(pt.variant), pt.domain, pt.n}, e.p.classes[c].variants[pt.variant].item)
			}
		}
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
