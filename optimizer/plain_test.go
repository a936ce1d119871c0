package optimizer_test

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"purser"
	"purser/optimizer"
	"purser/optimizer/highs"
)

// plain is the textbook's program of the same problem, for middle ones that no brute force goes through: machines one by one, how many
// replicas of each group and variant each has, and how long it is paid. It knows no patterns, classes or configurations.
type plain struct {
	in    optimizer.Input
	slots []purser.Offer
	cost  []float64 // by column
	most  []float64
	whole []int32
	rows  highs.Rows

	paid  []int32             // by slot: hours
	free  []int32             // by slot: hours under a commitment
	used  []int32             // by slot: 0 or 1
	count map[plainKey]int32  // replicas
	size  [][3][]plainEntries // by slot and dimension
}

type plainKey struct{ job, variant, slot int }

type plainEntries struct {
	col   int32
	value float64
}

func (m *plain) column(cost, most float64, whole bool) int32 {
	at := int32(len(m.cost))
	m.cost, m.most = append(m.cost, cost), append(m.most, most)
	if whole {
		m.whole = append(m.whole, at)
	}
	return at
}

func (m *plain) row(lower, upper float64, list ...plainEntries) {
	var at []int32
	var value []float64
	for _, e := range list {
		at, value = append(at, e.col), append(value, e.value)
	}
	m.rows.Append(lower, upper, at, value)
}

// newPlain writes the program for plans that leave nothing out. Every offer has at most so many machines.
func newPlain(in optimizer.Input, machines int) *plain {
	m := &plain{in: in, count: map[plainKey]int32{}}
	for _, o := range in.Offers {
		n := machines
		if o.Limit >= 0 {
			n = min(n, o.Limit)
		}
		for k := range n {
			m.slots = append(m.slots, o)
			m.paid = append(m.paid, m.column(rateIn(in, o).USD(), math.Inf(1), false))
			m.free = append(m.free, m.column(0, math.Inf(1), false))
			m.used = append(m.used, m.column(0, 1, true))
			m.size = append(m.size, [3][]plainEntries{})
			if s := len(m.slots) - 1; k > 0 { // equal machines: the first ones first
				m.row(0, math.Inf(1), plainEntries{m.used[s-1], 1}, plainEntries{m.used[s], -1})
			}
		}
	}
	for j := range in.Jobs {
		m.addGroup(j)
	}
	for s, o := range m.slots {
		for d, room := range [3]float64{float64(o.Devices), float64(o.MilliCPU), float64(o.MemoryMiB)} {
			m.row(math.Inf(-1), 0, append(m.size[s][d], plainEntries{m.used[s], -room})...)
		}
	}
	m.addCommitments()
	for _, q := range in.Quotas {
		var list []plainEntries
		for s, o := range m.slots {
			if w := q.Weight(o); w > 0 {
				list = append(list, plainEntries{m.used[s], float64(w) / 1000})
			}
		}
		m.row(math.Inf(-1), float64(q.Limit), list...)
	}
	return m
}

// addCommitments lets machines run under a commitment each: then the hours that they are needed for are free.
func (m *plain) addCommitments() {
	under := make([][]plainEntries, len(m.slots))
	for _, c := range m.in.Commitments {
		var list []plainEntries
		for s, o := range m.slots {
			if mayCover(c, o) {
				y := m.column(0, 1, true)
				list = append(list, plainEntries{y, o.UnitPrice.USD() * (1 - c.Discount)})
				under[s] = append(under[s], plainEntries{y, 1})
			}
		}
		m.row(math.Inf(-1), c.UnitPrice.USD(), list...)
	}
	const longest = 25 // hours
	for s := range m.slots {
		m.row(math.Inf(-1), 1, under[s]...)
		free := []plainEntries{{m.free[s], 1}}
		for _, e := range under[s] {
			free = append(free, plainEntries{e.col, -longest})
		}
		m.row(math.Inf(-1), 0, free...)
	}
}

// addGroup adds the replicas of a job's only group, wherever they fit.
func (m *plain) addGroup(j int) {
	g := m.in.Jobs[j].Groups[0]
	n := float64(g.Replicas)
	if g.Kind == purser.Inference {
		n = 40
		if g.MaxReplicas > 0 {
			n = float64(g.MaxReplicas)
		}
	}
	for v, vt := range g.Variants {
		for s, o := range m.slots {
			if !fits(m.in, g, vt, o) {
				continue
			}
			x := m.column(extraFor(m.in, g, vt, o).USD(), n, true)
			m.count[plainKey{j, v, s}] = x
			m.size[s][0] = append(m.size[s][0], plainEntries{x, float64(vt.Devices)})
			m.size[s][1] = append(m.size[s][1], plainEntries{x, float64(vt.MilliCPU)})
			m.size[s][2] = append(m.size[s][2], plainEntries{x, float64(vt.MemoryMiB)})
			has := m.column(0, 1, true) // whether any is there
			m.row(math.Inf(-1), 0, plainEntries{x, 1}, plainEntries{has, -n})
			m.row(0, math.Inf(1), plainEntries{m.paid[s], 1}, plainEntries{m.free[s], 1}, plainEntries{has, -paidFor(m.in, o, runsFor(m.in, g, vt)).Hours()})
		}
	}
	switch {
	case g.Kind == purser.Inference:
		m.addServed(j, &g)
	case g.Gang:
		m.addGang(j, &g)
	default:
		m.row(n, n, m.replicas(j, func(int, int) float64 { return 1 })...)
	}
}

// replicas are a job's counts, each with a weight by variant and machine; those of weight 0 are left out.
func (m *plain) replicas(j int, weight func(variant, slot int) float64) []plainEntries {
	var out []plainEntries
	for v := range m.in.Jobs[j].Groups[0].Variants {
		for s := range m.slots {
			if x, ok := m.count[plainKey{j, v, s}]; ok && weight(v, s) != 0 {
				out = append(out, plainEntries{x, weight(v, s)})
			}
		}
	}
	return out
}

// domains are the failure domains of the machines at a level, by machine; empty: it is lost with nothing.
func (m *plain) domains(level purser.DomainLevel) []string {
	var out []string
	for s, o := range m.slots {
		out = append(out, placed{offer: o, machine: s}.domain(level))
	}
	return out
}

// sets are the sets of n of the names.
func sets(names []string, n int) [][]string {
	if n == 0 {
		return [][]string{nil}
	}
	var out [][]string
	for i, name := range names {
		for _, rest := range sets(names[i+1:], n-1) {
			out = append(out, append([]string{name}, rest...))
		}
	}
	return out
}

// distinct are the names without repetition and without the empty one.
func distinct(names []string) []string {
	names = slices.Clone(names)
	slices.Sort(names)
	return slices.DeleteFunc(slices.Compact(names), func(n string) bool { return n == "" })
}

func (m *plain) addGang(j int, g *purser.TaskGroup) {
	var one []plainEntries
	for v := range g.Variants {
		zones := m.domains(purser.DomainZone)
		for _, zone := range distinct(zones) {
			list := m.replicas(j, func(w, s int) float64 {
				if w == v && zones[s] == zone {
					return 1
				}
				return 0
			})
			y := m.column(0, 1, true)
			one = append(one, plainEntries{y, 1})
			m.row(0, 0, append(list, plainEntries{y, -float64(g.Replicas)})...)
		}
	}
	m.row(1, 1, one...)
}

func (m *plain) addServed(j int, g *purser.TaskGroup) {
	rate := func(v int) float64 {
		if g.Demand == 0 {
			return 1
		}
		return g.Variants[v].Throughput
	}
	most := math.Inf(1)
	if g.MaxReplicas > 0 {
		most = float64(g.MaxReplicas)
	}
	m.row(float64(g.Replicas), most, m.replicas(j, func(int, int) float64 { return 1 })...)
	m.row(g.Demand*(1+g.Headroom), math.Inf(1), m.replicas(j, func(v, _ int) float64 { return rate(v) })...)
	if g.Survive.Level == purser.DomainNone {
		return
	}
	served := g.Demand
	if served == 0 {
		served = float64(g.Replicas)
	}
	at := m.domains(g.Survive.Level)
	names := distinct(at)
	for _, lost := range sets(names, min(max(g.Survive.Failures, 1), len(names))) {
		m.row(g.Survive.Share*served, math.Inf(1), m.replicas(j, func(v, s int) float64 {
			if slices.Contains(lost, at[s]) {
				return 0
			}
			return rate(v)
		})...)
	}
}

// solve gives the program's best plan and bound in USD.
func (m *plain) solve(t *testing.T, rt *highs.Runtime, work int64) highs.Result {
	t.Helper()
	s, err := rt.NewSolver(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	var cols highs.Columns
	for i := range m.cost {
		cols.Append(m.cost[i], 0, m.most[i], nil, nil)
	}
	if err := s.AddCols(cols); err != nil {
		t.Fatal(err)
	}
	if err := s.AddRows(m.rows); err != nil {
		t.Fatal(err)
	}
	if err := s.SetIntegrality(m.whole, true); err != nil {
		t.Fatal(err)
	}
	res, err := s.Run(t.Context(), highs.Limits{Work: work, RelGap: 1e-7})
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// The planner and the textbook's program agree on problems of every kind: no plan lies below the program's bound, and no bound above the
// program's best plan.
func TestPlainProgramAgrees(t *testing.T) {
	rt := newSolver(t)
	both, proven := 0, 0
	checkFew(t, 15, func(rt2 *rapid.T) {
		in := drawInput(rt2, false)
		if slices.ContainsFunc(in.Jobs, func(j purser.Job) bool { return j.Groups[0].Varies() }) {
			return // the program has one size for each gang
		}
		_, plan := planOf(rt2, rt, in, littleWork())
		if len(plan.Unplaced) > 0 {
			return // what no machine serves has no plain program
		}
		m := newPlain(in, 6)
		res := m.solve(t, rt, 5_000)
		cost, bound := plan.Objective.USD(), plan.Bound.USD()
		if res.Feasible && bound > res.Objective*(1+1e-6)+1e-6 {
			rt2.Fatalf("the program has a plan of %v and the bound is %v\n%s\n%s", res.Objective, bound, text(in), text(plan))
		}
		// A plan of more machines of one offer than the program has may be cheaper than its bound.
		if most := mostOfOne(plan); most <= 6 && cost < res.Bound*(1-1e-6)-1e-6 {
			rt2.Fatalf("the plan costs %v and the program's bound is %v\n%s\n%s", cost, res.Bound, text(in), text(plan))
		}
		if res.Feasible {
			both++
			if res.Gap <= 1e-6 {
				proven++
			}
		}
	})
	if both == 0 {
		t.Error("the program never had a plan: nothing was compared")
	}
	t.Logf("%d compared, the program's optimum was proven %d times", both, proven)
}

// mostOfOne is the largest number of machines of one offer in a plan.
func mostOfOne(plan purser.Plan) int {
	n := map[purser.OfferID]int{}
	most := 0
	for _, l := range plan.Leases {
		n[l.Offer.ID()]++
		most = max(most, n[l.Offer.ID()])
	}
	return most
}
