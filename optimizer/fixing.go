package optimizer

import (
	"cmp"
	"context"
	"math"
	"slices"
)

// prepareCommit readies the program for rounding what is committed to domains: rows for gangs by zone, and no more rest for services. It
// changes the program: no bound may be taken from it afterwards.
func (r *relaxed) prepareCommit(ctx context.Context, rounds, workers int) error {
	if err := r.openGangs(); err != nil || len(r.services) == 0 {
		return err
	}
	if err := r.run(ctx); err != nil {
		return err
	}
	return r.leaveRest(ctx, rounds, workers)
}

// fixCommitted rounds to whole services and gangs, a part at a time, and solves the program again after each, so that what is still open
// makes up for what was rounded. With sites the numbers of machines are rounded before. What it gives are hints with whole weights.
func (r *relaxed) fixCommitted(ctx context.Context, sites bool) ([]hint, error) {
	if err := r.release(ctx); err != nil {
		return nil, err
	}
	if sites {
		if err := r.fixSites(ctx, siteRounds); err != nil {
			return nil, err
		}
	}
	for len(r.services) > 0 {
		open, err := r.fixWhole()
		if err != nil {
			return nil, err
		}
		if open == 0 {
			break
		}
		if err := r.run(ctx); err != nil {
			return nil, err
		}
		if err := r.fixLargest(open); err != nil {
			return nil, err
		}
		if err := r.run(ctx); err != nil {
			return nil, err
		}
	}
	return r.hints(), nil
}

// release frees everything that an earlier rounding fixed.
func (r *relaxed) release(ctx context.Context) error {
	var at []int32
	for i := range r.services {
		for k := range r.services[i].configs {
			if c := &r.services[i].configs[k]; c.fixed > 0 {
				c.fixed = 0
				at = append(at, c.at)
			}
		}
	}
	for _, m := range r.machines {
		at = append(at, m.at)
	}
	if len(at) == 0 {
		return nil
	}
	if err := r.solver.ChangeColBounds(at, make([]float64, len(at)), slices.Repeat([]float64{math.Inf(1)}, len(at))); err != nil {
		return err
	}
	return r.run(ctx)
}

// siteRounds bounds the rounds of rounding numbers of machines.
const siteRounds = 20

// openGangs gives the gangs of each class rows for the variants and zones where the last solution has them: Σ a·x ≥ n·y, Σ y ≥ d, which
// is (1) of the model. Their count of replicas is dropped.
func (r *relaxed) openGangs() error {
	hints := r.hints()
	for c := range r.p.classes {
		cl := &r.p.classes[c]
		if cl.kind != kindGang {
			continue
		}
		if cl.sizes {
			if err := r.closeSizes(c); err != nil {
				return err
			}
		}
		if len(hints[c].mass) == 0 || (r.rowOf[c] < 0 && !cl.sizes) {
			continue
		}
		s := serviceRows{class: c, closed: true, keys: map[string]bool{}}
		first := r.m.rows
		for k := range r.committed[c] {
			if _, ok := hints[c].mass[k]; !ok {
				hints[c].mass[k] = 0
			}
		}
		keys := hints[c].mass.keys()
		for i, k := range keys {
			it := cl.variants[k.variant].item
			r.m.local[zoneLevel][k.domain] = append(r.m.local[zoneLevel][k.domain], localTerm{it, term{int32(first + i), 1}})
		}
		s.convex = int32(first + len(keys))
		r.m.rows += len(keys) + 1
		lower := make([]float64, len(keys), len(keys)+1)
		for i, k := range keys {
			lower[i] = r.committed[c][k]
		}
		if err := r.addRows(first, append(lower, float64(r.units[c]))); err != nil {
			return err
		}
		r.markClass(c)
		for i, k := range keys {
			if lower[i] > 0 {
				r.fresh = append(r.fresh, r.p.singleIn(cl.variants[k.variant].item, zoneLevel, k.domain, int64(lower[i]))...)
			}
			if _, err := r.addOther(r.dear(c), 0, math.Inf(1), []int32{int32(first + i)}, []float64{1}); err != nil {
				return err
			}
			at, err := r.addOther(0, 0, math.Inf(1), []int32{s.convex, int32(first + i)}, []float64{1, -float64(cl.variants[k.variant].gang)})
			if err != nil {
				return err
			}
			s.configs = append(s.configs, configColumn{parts: config{{k.variant, k.domain, cl.variants[k.variant].gang}}, at: at})
		}
		if !cl.sizes {
			old := r.rowAt[r.rowOf[c]]
			if err := r.solver.ChangeRowBounds([]int32{old}, []float64{0}, []float64{math.Inf(1)}); err != nil {
				return err
			}
		}
		if _, err := r.addOther(r.dear(c)*float64(cl.largest()), 0, math.Inf(1), []int32{s.convex}, []float64{1}); err != nil {
			return err
		}
		r.services = append(r.services, s)
	}
	return r.refresh()
}

// leaveRest gives every domain in use rows of its own and shuts the configurations with replicas in the rest.
func (r *relaxed) leaveRest(ctx context.Context, rounds, workers int) error {
	in := r.ratesByDomain()
	for i := range r.services {
		s := &r.services[i]
		if s.rest == nil {
			continue
		}
		var domains []int32
		for d, x := range in[s.class] {
			if x > 1e-6 {
				domains = append(domains, d)
			}
		}
		slices.Sort(domains)
		for _, d := range domains {
			if err := r.open(s, d); err != nil {
				return err
			}
		}
		s.closed = r.p.classes[s.class].need.level >= 0
	}
	if err := r.refresh(); err != nil {
		return err
	}
	for range rounds {
		if err := r.shutRest(); err != nil {
			return err
		}
		if err := r.run(ctx); err != nil {
			return err
		}
		d := r.prices()
		results, err := r.order(d, heuristicNodes, workers).price(ctx)
		if err != nil {
			return errStopped
		}
		configs, _, err := r.priceConfigs(ctx, d, workers)
		if err != nil {
			return err
		}
		added, err := r.add(r.columnsOf(d, results))
		if err != nil {
			return err
		}
		if added+configs == 0 {
			break
		}
	}
	return r.run(ctx)
}

// shutRest shuts the configurations of closed services that have replicas in the rest.
func (r *relaxed) shutRest() error {
	var at []int32
	for i := range r.services {
		for _, c := range r.services[i].configs {
			if r.services[i].rest != nil && r.services[i].closed && slices.ContainsFunc(c.parts, func(p configPart) bool { return p.domain < 0 }) {
				at = append(at, c.at)
			}
		}
	}
	if len(at) == 0 {
		return nil
	}
	zero := make([]float64, len(at))
	return r.solver.ChangeColBounds(at, zero, zero)
}

// fixWhole keeps at least the whole part of every configuration, and counts the services that are still open.
func (r *relaxed) fixWhole() (int64, error) {
	var at []int32
	var lower, upper []float64
	open := int64(0)
	for i := range r.services {
		s := &r.services[i]
		left := r.units[s.class]
		for k := range s.configs {
			c := &s.configs[k]
			if int(c.at) < len(r.last.ColValue) {
				c.fixed = max(c.fixed, int64(math.Floor(r.last.ColValue[c.at]+1e-6)))
			}
			left -= c.fixed
		}
		for k := range s.configs {
			c := &s.configs[k]
			if c.fixed > 0 {
				most := float64(c.fixed + max(left, 0))
				at, lower, upper = append(at, c.at), append(lower, float64(c.fixed)), append(upper, most)
			}
		}
		open += max(left, 0)
	}
	return open, r.solver.ChangeColBounds(at, lower, upper)
}

// fixLargest rounds up the largest fractions: in at most a tenth of the open services, and in one of a class at most.
func (r *relaxed) fixLargest(open int64) error {
	type part struct {
		s, k int
		x    float64
	}
	var parts []part
	for i := range r.services {
		s := &r.services[i]
		best := part{i, -1, 0}
		left := r.units[s.class]
		for k := range s.configs {
			left -= s.configs[k].fixed
			if int(s.configs[k].at) >= len(r.last.ColValue) {
				continue
			}
			if x := r.last.ColValue[s.configs[k].at] - float64(s.configs[k].fixed); x > best.x+1e-9 {
				best.k, best.x = k, x
			}
		}
		if left > 0 && best.k >= 0 {
			parts = append(parts, best)
		}
	}
	slices.SortStableFunc(parts, func(a, b part) int { return cmp.Compare(b.x, a.x) })
	if len(parts) == 0 {
		return errUnsolved
	}
	for n, pt := range parts {
		if n > 0 && (int64(n) > open/10 || pt.x < 0.5 && int64(n) > open/40) {
			break
		}
		r.services[pt.s].configs[pt.k].fixed++
	}
	var at []int32
	var lower, upper []float64
	for _, pt := range parts {
		c := &r.services[pt.s].configs[pt.k]
		if c.fixed > 0 {
			at, lower, upper = append(at, c.at), append(lower, float64(c.fixed)), append(upper, math.Inf(1))
		}
	}
	return r.solver.ChangeColBounds(at, lower, upper)
}
