package optimizer

import (
	"context"
	"math"
	"slices"

	"purser/optimizer/highs"
)

// relaxed is the program behind the bound: rows (0) to (3) and (5) over fractional patterns. Of a gang, only its replicas count;
// services are mixtures of configurations (see configs.go), equal ones together.
type relaxed struct {
	*master
	rowOf    []int32 // by class: the matrix row of its replicas; -1: it has configurations
	services []serviceRows
	missOf   []int32 // by class: the solver's column of what is missed
	dears    []int32 // the solver's columns that stand in for what has no place, where nothing may be missed
	levelAt  []int32 // by level: the solver's row of what may be missed
	relaxedSpec
	committed []mass  // by class, see settleNeeds
	needs     []int64 // by class

	memo     map[bucketKey]*memo
	best     int64       // the best bound so far, nano-USD; counted misses in units of the program where nothing costs
	proof    bool        // best is set
	latest   int64       // the bound of the latest round
	machines []siteCount // once they are counted
}

// serviceRows are the rows of one class with configurations: for each variant what lies in the rest, and what lies in each domain that
// matters; and one that says how many configurations there are.
type serviceRows struct {
	class   int
	convex  int32     // matrix row
	rest    []int32   // by variant: matrix row; nil for gangs
	domains []int32   // with rows of their own, in the order they were opened
	rows    [][]int32 // by these, by variant: matrix row; -1: the variant is not to be had there
	where   [][]bool  // by variant, by number of the domain: it is to be had there
	fastest int
	closed  bool // the rest may not be used any more

	keys    map[string]bool
	configs []configColumn

	asked []int64 // the prices of the last search for a configuration, and what it proved
	worth int64
}

// configColumn is a configuration and its column in the solver.
type configColumn struct {
	parts config
	at    int32
	fixed int64 // services that have it for good
}

// relaxedSpec says what a relaxed program is about.
type relaxedSpec struct {
	units   []int64 // by class: how many are to be served; nil: all
	missMax []int64 // by level: replicas that may be missed; nil: none
	count   bool    // count what is missed, by level weights, instead of money

	// on is a packing that the program goes on from: it has what is left of limits and quotas, and needs targets too that are committed
	// already. Nil: an empty one. No bound can be taken from a program that has one.
	on *packing

	near *targets // where services and gangs were in a good plan; nil: not known
}

// settleNeeds works out, by class, what is committed already (by variant and domain) and how many replicas its row asks for.
func (r *relaxed) settleNeeds() {
	r.committed = make([]mass, len(r.p.classes))
	r.needs = make([]int64, len(r.p.classes))
	if r.on != nil {
		for tg, n := range r.on.need {
			if n > 0 {
				t := &r.on.t.list[tg]
				if r.committed[t.class] == nil {
					r.committed[t.class] = mass{}
				}
				r.committed[t.class][massKey{int(t.variant), t.domain}] += float64(n)
			}
		}
	}
	for c := range r.p.classes {
		cl := &r.p.classes[c]
		if !cl.plain || r.on == nil {
			r.needs[c] = cl.least * r.units[c]
		}
		if cl.sizes {
			r.needs[c] = cl.largest() * r.units[c]
		}
		for _, x := range r.committed[c] {
			r.needs[c] += int64(x)
		}
	}
}

// dear is a price for a replica of the class above any machine's.
func (r *relaxed) dear(c int) float64 { return leftFactor * r.p.leftPrice(c) / r.unit }

// newRelaxed makes the program without columns of patterns.
func newRelaxed(ctx context.Context, rt *highs.Runtime, p *Problem, spec relaxedSpec) (*relaxed, error) {
	m := newMatrix(p)
	if spec.units == nil {
		for c := range p.classes {
			spec.units = append(spec.units, p.classes[c].units())
		}
	}
	ms, err := newMaster(ctx, rt, m, spec.count)
	if err != nil {
		return nil, err
	}
	r := &relaxed{master: ms, relaxedSpec: spec, memo: map[bucketKey]*memo{}}
	r.settleNeeds()
	var lower []float64
	row := func(need float64) int32 {
		lower = append(lower, need)
		return int32(len(lower) - 1)
	}
	for c := range p.classes {
		cl := &p.classes[c]
		need := float64(r.needs[c])
		if need == 0 {
			r.rowOf = append(r.rowOf, -1)
			continue
		}
		if (cl.kind != kindService && !cl.sizes) || cl.plain {
			at := row(need)
			r.rowOf = append(r.rowOf, at)
			for v := range cl.variants {
				m.global[cl.variants[v].item] = []term{{at, 1}}
			}
			continue
		}
		r.rowOf = append(r.rowOf, -1)
		s := serviceRows{class: c, convex: row(float64(r.units[c])), keys: map[string]bool{}}
		for v := range cl.variants {
			at := row(nudge + r.committedTo(cl, c, v))
			s.rest = append(s.rest, at)
			m.global[cl.variants[v].item] = []term{{at, 1}}
			s.where = append(s.where, p.domainsWhere(cl, v))
			if cl.variants[v].rate > cl.variants[s.fastest].rate {
				s.fastest = v
			}
		}
		r.services = append(r.services, s)
	}
	m.addApart(len(lower))
	for i := range p.apartRows {
		lower = append(lower, -float64(r.apartOf(i)))
	}
	if err = r.addRows(0, lower); err == nil {
		if err = r.addLimits(r.limitOf, r.quotaOf); err == nil {
			if err = r.addMisses(); err == nil {
				if err = r.addFirstConfigs(); err == nil {
					err = r.nudgeRest()
				}
				if err == nil {
					err = r.openFirst()
				}
			}
		}
	}
	if err != nil {
		return nil, joinClose(err, ms)
	}
	return r, nil
}

func (r *relaxed) limitOf(s int32) int64 {
	if r.on != nil {
		return r.on.limit[s]
	}
	return r.p.sites[s].limit
}

func (r *relaxed) apartOf(i int) int64 {
	if r.on != nil {
		return r.on.apart[i]
	}
	return r.p.apartRows[i].limit
}

func (r *relaxed) quotaOf(q int) int64 {
	if r.on != nil {
		return r.on.quota[q]
	}
	return r.p.quotas[q].limit
}

// domainsWhere says in which domains of its level a variant is to be had.
func (p *Problem) domainsWhere(c *class, v int) []bool {
	if c.need.level < 0 {
		return nil
	}
	out := make([]bool, len(p.domains[c.need.level].names))
	for _, at := range c.variants[v].places {
		out[p.places[at].domain[c.need.level]] = true
	}
	return out
}

// openFirst gives rows of their own to the domains that will matter first: where something stands, and the cheapest.
func (r *relaxed) openFirst() error {
	for i := range r.services {
		s := &r.services[i]
		cl := &r.p.classes[s.class]
		if cl.need.level < 0 {
			continue
		}
		// In the rest every replica is as if in a domain apart, which can be lost: what cannot has to have rows of its own.
		if err := r.open(s, safe); err != nil {
			return err
		}
		for _, st := range cl.standing {
			if err := r.open(s, st.domain); err != nil {
				return err
			}
		}
		likely := append(r.p.cheapestMass(s.class).keys(), r.committed[s.class].keys()...)
		if r.near != nil {
			likely = append(likely, r.near.domainsOf(s.class)...)
		}
		for _, k := range likely {
			if err := r.open(s, k.domain); err != nil {
				return err
			}
		}
	}
	return r.refresh()
}

// open gives a domain rows of its own. Columns that have replicas of the class there are stale then: their coefficients change. The
// caller refreshes them.
func (r *relaxed) open(s *serviceRows, domain int32) error {
	if slices.Contains(s.domains, domain) {
		return nil
	}
	cl := &r.p.classes[s.class]
	level := cl.need.level
	rows := make([]int32, len(cl.variants))
	first := r.m.rows
	for v := range rows {
		rows[v] = -1
		if s.where[v][domain] {
			rows[v] = int32(r.m.rows)
			r.m.rows++
			it := cl.variants[v].item
			r.m.local[level][domain] = append(r.m.local[level][domain], localTerm{it, term{s.rest[v], -1}}, localTerm{it, term{rows[v], 1}})
		}
	}
	s.domains, s.rows = append(s.domains, domain), append(s.rows, rows)
	for c := range r.cols {
		if r.p.sites[r.cols[c].site].domain[level] == domain &&
			slices.ContainsFunc(r.cols[c].pattern, func(n count) bool { return r.p.items[n.item].class == s.class }) {
			r.stale[int32(c)] = true
		}
	}
	var lower []float64
	need := r.committed[s.class]
	for v := range rows {
		if rows[v] >= 0 {
			lower = append(lower, nudge+need[massKey{v, domain}])
		}
	}
	if err := r.addRows(first, lower); err != nil {
		return err
	}
	var singles []column
	for v := range rows {
		if rows[v] >= 0 {
			if err := r.addNudge(s.class, massKey{v, domain}, rows[v]); err != nil {
				return err
			}
			singles = append(singles, r.p.singleIn(cl.variants[v].item, level, domain, cl.variants[v].most)...)
		}
	}
	r.fresh = append(r.fresh, singles...)
	return nil
}

// nudge is the right-hand side of the rows of services instead of 0, in replicas: a trace of demand gives a row that nothing uses a
// likely price, where otherwise it would look free. The bound is computed for 0.
const nudge = 1e-3

// nudgeRest adds the nudges of the rows of the rest.
func (r *relaxed) nudgeRest() error {
	for i := range r.services {
		for v, row := range r.services[i].rest {
			if err := r.addNudge(r.services[i].class, massKey{v, -1}, row); err != nil {
				return err
			}
		}
	}
	return nil
}

// addNudge adds a column that can serve a row's nudge, and no more, at what a replica costs on a machine full of its likes.
func (r *relaxed) addNudge(class int, k massKey, row int32) error {
	costs, _ := r.p.unitCosts(class)
	cost, ok := costs[k]
	for _, other := range costs.keys() {
		if other.variant == k.variant && (!ok || (k.domain < 0 && costs[other] < cost)) {
			cost, ok = costs[other], true
		}
	}
	if r.count {
		cost = 0
	}
	if _, err := r.addOther(cost/r.unit, 0, nudge, []int32{row}, []float64{1}); err != nil || r.lenient() {
		return err
	}
	// What is committed for good has no other column that makes sure of a solution.
	at, err := r.addOther(r.dear(class), 0, math.Inf(1), []int32{row}, []float64{1})
	r.dears = append(r.dears, at)
	return err
}

// addMisses adds for each class a column of replicas that are not placed. Where nothing may be missed it makes sure that the program
// has a solution while patterns are few; it is dear then, and no part of the bound.
func (r *relaxed) addMisses() error {
	r.missOf = make([]int32, len(r.p.classes))
	rows := slices.Clone(r.rowOf)
	for i := range r.services {
		rows[r.services[i].class] = r.services[i].missRow(r.p)
	}
	for c := range r.p.classes {
		cl := &r.p.classes[c]
		if rows[c] < 0 {
			r.missOf[c] = -1
			continue
		}
		share := 1.0
		if cl.sizes {
			share = 1 / float64(cl.least) // of a gang
		}
		cost, upper := 0.0, float64(r.missCap(c))
		switch {
		case r.count:
			cost = r.p.missWeight(cl.level)
		case r.missMax == nil:
			cost, upper = r.dear(c), math.Inf(1)
			if cl.sizes {
				cost *= share * float64(cl.largest())
			}
		}
		at, err := r.addOther(cost, 0, upper, rows[c:c+1], []float64{share})
		if err != nil {
			return err
		}
		r.missOf[c] = at
		if !r.lenient() {
			r.dears = append(r.dears, at)
		}
	}
	if r.count || r.missMax == nil {
		return nil
	}
	var levels highs.Rows
	for level, most := range r.missMax {
		var index []int32
		for c := range r.p.classes {
			if r.p.classes[c].level == level && r.missOf[c] >= 0 {
				index = append(index, r.missOf[c])
			}
		}
		r.levelAt = append(r.levelAt, int32(r.height+level))
		levels.Append(math.Inf(-1), float64(most), index, slices.Repeat([]float64{1}, len(index)))
	}
	r.height += levels.Len()
	return r.solver.AddRows(levels)
}

// leavesOver says whether the last solution serves something by the columns that are there only to make sure of a solution.
func (r *relaxed) leavesOver() bool {
	return slices.ContainsFunc(r.dears, func(at int32) bool {
		return int(at) < len(r.last.ColValue) && r.last.ColValue[at] > 1e-6
	})
}

// missCap is the most replicas that a class can miss.
func (r *relaxed) missCap(c int) int64 { return r.p.classes[c].least * r.units[c] }

// lenient says whether replicas may be missed: a missed one stands in for the fastest variant, in no domain that can be lost.
func (r *relaxed) lenient() bool { return r.count || r.missMax != nil }

// missWeight is what a missed replica of a priority level counts against one of the lowest. Eight of a level weigh as much as one of the
// next, up to six levels.
func (p *Problem) missWeight(level int) float64 {
	return math.Pow(8, float64(min(p.levels-1-level, 5)))
}
