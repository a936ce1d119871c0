package optimizer

import (
	"maps"
	"math"
	"slices"

	"purser/optimizer/highs"
)

// tally counts machines that are needed for lateSpan or longer: of one site, or of one accelerator at a provider or in a zone, in units
// that every machine there is a whole number of. Machines that are needed for less are not counted; any number of them could be had for
// next to nothing.
type tally struct {
	count   int // its number among what can be counted
	weights map[int32]int64
	site    int32   // one of them
	price   float64 // of a unit over the horizon, the least, in nano-USD

	row         int32 // of the solver
	least, most int64
}

// of is what a column counts.
func (t *tally) of(c *column, p *Problem) int64 {
	if c.span < p.lateSpan {
		return 0
	}
	return t.weights[c.site]
}

// countable lists what can be counted, the widest first.
func (p *Problem) countable() []tally {
	type family struct {
		level, domain int32
		accelerator   string
	}
	sites := map[family][]int32{}
	var order []family
	add := func(f family, s int32) {
		if sites[f] == nil {
			order = append(order, f)
		}
		sites[f] = append(sites[f], s)
	}
	for level := placeLevels; level >= 0; level-- {
		for g := range p.groups {
			for _, s := range p.groups[g].sites {
				st := &p.sites[s]
				switch {
				case len(st.held) > 0:
				case level == 0:
					add(family{-1, s, ""}, s)
				case st.offer.Devices > 0:
					add(family{int32(level), st.domain[level-1], st.offer.Accelerator}, s)
				}
			}
		}
	}
	var out []tally
	for _, f := range order {
		list := sites[f]
		if f.level > 0 && len(list) < 2 {
			continue
		}
		t := tally{count: len(out), weights: map[int32]int64{}, site: list[0], price: math.Inf(1)}
		unit := int64(0)
		for _, s := range list {
			unit = gcd(unit, int64(p.sites[s].offer.Devices))
		}
		for _, s := range list {
			t.weights[s] = 1
			if f.level > 0 {
				t.weights[s] = int64(p.sites[s].offer.Devices) / unit
			}
			t.price = math.Min(t.price, float64(p.sites[s].cost(max(p.horizon, p.lateSpan)))/float64(t.weights[s]))
		}
		if !slices.ContainsFunc(out, func(o tally) bool { return maps.Equal(o.weights, t.weights) }) {
			out = append(out, t)
		}
	}
	return out
}

// tally adds a row that counts, with a dear column that makes sure of a solution.
func (r *relaxed) tally(t tally) error {
	var index []int32
	var value []float64
	for c := range r.cols {
		if w := t.of(&r.cols[c], r.p); w > 0 {
			index, value = append(index, r.lpOf[c]), append(value, float64(w))
		}
	}
	var rows highs.Rows
	rows.Append(0, math.Inf(1), index, value)
	if err := r.solver.AddRows(rows); err != nil {
		return err
	}
	t.row = int32(r.height)
	r.height++
	r.tallies = append(r.tallies, t)
	var batch highs.Columns
	batch.Append(leftFactor*t.price/r.unit, 0, math.Inf(1), []int32{t.row}, []float64{1})
	r.width++
	return r.solver.AddCols(batch)
}
