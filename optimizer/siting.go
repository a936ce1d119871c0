package optimizer

import (
	"cmp"
	"context"
	"math"
	"slices"

	"purser/optimizer/highs"
)

// Where services and gangs are tied to zones, a zone's last machine is often only partly filled. Before they are committed, the numbers
// of machines of each site are rounded in the relaxed program, dearest machines first, so that the mixtures still open can move to where
// whole machines are.

// fixSites rounds the numbers of machines, a part at a time.
func (r *relaxed) fixSites(ctx context.Context, rounds int) error {
	if r.machines == nil {
		if err := r.countSites(); err != nil {
			return err
		}
	}
	if len(r.machines) == 0 {
		return nil
	}
	fixed := map[int32]bool{}
	for range rounds {
		if err := r.run(ctx); err != nil {
			return err
		}
		done, err := r.roundSites(fixed)
		if err != nil || done {
			return err
		}
	}
	return r.run(ctx)
}

// countSites adds a row for each site in use that has machines of what is tied to domains: Σ x − z = 0, z being a column of its own.
func (r *relaxed) countSites() error {
	in := map[int32]bool{}
	for c := range r.cols {
		if r.value(c) > 1e-9 && slices.ContainsFunc(r.cols[c].pattern, func(n count) bool {
			return r.p.commitLevel(&r.p.classes[r.p.items[n.item].class]) >= 0
		}) {
			in[r.cols[c].site] = true
		}
	}
	sites := make([]int32, 0, len(in))
	for s := range in {
		sites = append(sites, s)
	}
	slices.Sort(sites)
	at := map[int32]int{}
	for i, s := range sites {
		at[s] = i
		r.siteAt[s] = int32(r.height + i)
	}
	index, value := make([][]int32, len(sites)), make([][]float64, len(sites))
	for c := range r.cols {
		if i, ok := at[r.cols[c].site]; ok {
			index[i], value[i] = append(index[i], r.lpOf[c]), append(value[i], 1)
		}
	}
	var rows highs.Rows
	for i := range sites {
		rows.Append(0, 0, index[i], value[i])
	}
	if err := r.solver.AddRows(rows); err != nil {
		return err
	}
	var batch highs.Columns
	for i, s := range sites {
		batch.Append(0, 0, math.Inf(1), []int32{int32(r.height + i)}, []float64{-1})
		r.machines = append(r.machines, siteCount{s, int32(r.width + batch.Len() - 1)})
		// A number that was rounded down can be exceeded, at a price.
		over := overPrice * float64(r.p.sites[s].cost(r.p.horizon)) / r.unit
		batch.Append(over, 0, math.Inf(1), []int32{int32(r.height + i)}, []float64{-1})
	}
	r.height += len(sites)
	r.width += batch.Len()
	return r.solver.AddCols(batch)
}

// overPrice is what a machine over a rounded number costs more, in parts of its price.
const overPrice = 0.3

// freeQuotas is what the last solution leaves of each quota.
func (r *relaxed) freeQuotas() []float64 {
	free := make([]float64, len(r.quotaAt))
	for q, at := range r.quotaAt {
		if at >= 0 {
			free[q] = float64(r.quotaOf(q))/1000 - r.last.RowValue[at]
		}
	}
	return free
}

// takeQuota takes what a part of a machine needs, if it is there.
func (r *relaxed) takeQuota(free []float64, s int32, part float64) bool {
	for _, u := range r.p.sites[s].quotas {
		if free[u.quota] < part*float64(u.weight)/1000 {
			return false
		}
	}
	for _, u := range r.p.sites[s].quotas {
		free[u.quota] -= part * float64(u.weight) / 1000
	}
	return true
}

// siteCount is a site and the solver's column of its number of machines.
type siteCount struct {
	site, at int32
}

// roundSites rounds a sixth of the fractional numbers, those first whose machines cost most: up from four tenths on. It is done when
// none is fractional.
func (r *relaxed) roundSites(fixed map[int32]bool) (bool, error) {
	type part struct {
		siteCount
		x, cost float64
	}
	var parts []part
	for _, m := range r.machines {
		x := r.last.ColValue[m.at]
		if whole := math.Round(x); fixed[m.site] || math.Abs(x-whole) < 1e-4 {
			continue
		}
		parts = append(parts, part{m, x, float64(r.p.sites[m.site].rate)})
	}
	if len(parts) == 0 {
		return true, nil
	}
	slices.SortStableFunc(parts, func(a, b part) int { return cmp.Compare(b.cost, a.cost) })
	var at []int32
	var lower, upper []float64
	free := r.freeQuotas()
	for _, pt := range parts[:(len(parts)+5)/6] {
		fixed[pt.site] = true
		at = append(at, pt.at)
		if pt.x-math.Floor(pt.x) >= 0.4 && r.takeQuota(free, pt.site, math.Ceil(pt.x)-pt.x) {
			lower, upper = append(lower, math.Ceil(pt.x)), append(upper, math.Inf(1))
		} else {
			lower, upper = append(lower, 0), append(upper, math.Floor(pt.x))
		}
	}
	return false, r.solver.ChangeColBounds(at, lower, upper)
}
