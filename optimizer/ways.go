package optimizer

import (
	"math"
	"slices"
	"time"

	"purser"
)

// A training gang may be of several sizes, and a model may be split into stages that are a replica each: the plan then decides how many
// replicas there are. Every size of every variant is a way to run, a variant of its class with a gang of its own, so that row (1) is
//
//	Σ_{c in z} a_jv·x ≥ n_jv·y_jvz ,   Σ_{v,z} y_jvz + u_j ≥ d_j
//
// In the relaxed program such a class has a row for each way and a column for each, n_jv replicas of that row for one gang, since
// replicas of several ways do not add up to a gang. A gang that has no place counts as its least size.

// way is one way to run a replica of a group.
type way struct {
	variant int               // of the group
	group   *purser.TaskGroup // with the size that it is run in
	n       int64             // replicas of the gang; 0: what the demand says
}

func (w *way) of() purser.Variant { return w.group.Variants[w.variant] }

// waysOf lists the ways to run a group, those of a size where a gang has one already.
func waysOf(g *purser.TaskGroup, world int) []way {
	var out []way
	if !g.Varies() {
		for v := range g.Variants {
			out = append(out, way{variant: v, group: g})
		}
		return out
	}
	sized := map[int]*purser.TaskGroup{}
	for _, w := range g.Ways() {
		if world > 0 && w.Replicas != world {
			continue
		}
		if sized[w.Copies] == nil {
			s := g.Sized(w.Copies)
			sized[w.Copies] = &s
		}
		out = append(out, way{w.Variant, sized[w.Copies], int64(w.Replicas)})
	}
	return out
}

// sizedAs is the group as it runs with so many replicas of a variant; ok is false when it cannot.
func sizedAs(g *purser.TaskGroup, variant, replicas int) (sized purser.TaskGroup, ok bool) {
	if !g.Varies() {
		return *g, true
	}
	for _, w := range g.Ways() {
		if w.Variant == variant && w.Replicas == replicas {
			return g.Sized(w.Copies), true
		}
	}
	return *g, false
}

// worldOf is how many replicas a gang has whose size is settled: it runs, or has run in part. 0: the plan decides, or there is no choice.
func (p *Problem) worldOf(key groupKey) int { return p.needs[key].World }

// sizeIsOpen says whether the plan decides how many replicas the group has.
func (p *Problem) sizeIsOpen(key groupKey) bool {
	return p.jobs[key.job].Groups[key.group].Varies() && p.worldOf(key) == 0
}

// readWorld takes the size of a gang that runs from how many of it run, where its need does not say it.
func (p *Problem) readWorld(d *demand, need Need, given bool) (Need, bool) {
	n := p.runs(d.key)
	if n == 0 {
		return need, given
	}
	need.Job, need.Group, need.World = d.job.ID, d.group.Name, n
	for r := 0; !given && r < n; r++ {
		need.Replicas = append(need.Replicas, r)
	}
	p.needs[d.key] = need
	return need, true
}

// runs counts the replicas of the group that are on held leases.
func (p *Problem) runs(key groupKey) int {
	job, n := &p.jobs[key.job], 0
	for r := range p.where {
		if r.job == job.ID && r.group == job.Groups[key.group].Name {
			n++
		}
	}
	return n
}

// endlessSpan is how much of such a run is counted at the most, a year in ns.
const endlessSpan = int64(366 * 24 * time.Hour)

// endless says whether a group's runs are counted to their end and not to the horizon: among several sizes the slowest would look
// cheapest otherwise, since less of it lies within the horizon.
func endless(g *purser.TaskGroup) bool { return g.Varies() }

// spanOfKept is how long a replica that stays where it is keeps its machine, in ns; where its variant is not known any more (-1), as long
// as the longest.
func (p *Problem) spanOfKept(g *purser.TaskGroup, variant, world, left int, o purser.Offer) int64 {
	longest := int64(0)
	for v := range g.Variants {
		if v == variant || variant < 0 {
			sized, _ := sizedAs(g, v, world)
			_, span := p.spans(&sized, g.Variants[v], left, p.machineOf(o))
			longest = max(longest, span)
		}
	}
	return longest
}

// settleSizes fills in what a class of gangs is, from the ways that it can be run in.
func (c *class) settleSizes(ways []way) {
	for _, w := range ways {
		if c.least == 0 || w.n < c.least {
			c.least = w.n
		}
	}
	c.kind, c.sizes, c.need.level = kindGang, true, -1
}

// largest is the most replicas that a unit of the class has at once.
func (c *class) largest() int64 {
	most := c.least
	for v := range c.variants {
		most = max(most, c.variants[v].gang)
	}
	return most
}

// missedOf counts so many replicas of a variant that have no place, as a plan counts them: gangs by their least size.
func (c *class) missedOf(variant int32, n int64) int64 {
	if !c.sizes || variant < 0 {
		return n
	}
	gang := c.variants[variant].gang
	return (n + gang - 1) / gang * c.least
}

// addSizes gives a class of gangs of several sizes its columns: so many replicas of a way are one gang.
func (r *relaxed) addSizes(s *serviceRows) error {
	cl := &r.p.classes[s.class]
	for v := range cl.variants {
		if _, err := r.addConfig(s, []slot{{variant: v, domain: -1}}, []int64{cl.variants[v].gang}); err != nil {
			return err
		}
	}
	return nil
}

// worthOfSizes is what a gang of the class is worth at the row prices: no way to run it costs less, nor does missing it where it may
// be missed. Prices are in nano-USD.
func (r *relaxed) worthOfSizes(s *serviceRows, d *duals) int64 {
	cl := &r.p.classes[s.class]
	times := func(price, n int64) int64 {
		if price > math.MaxInt64/max(n, 1) {
			return math.MaxInt64
		}
		return price * n
	}
	worth := int64(math.MaxInt64)
	for v := range cl.variants {
		worth = min(worth, times(d.rows[s.rest[v]], cl.variants[v].gang))
	}
	if r.lenient() {
		worth = min(worth, times(r.missCost(cl, d), cl.least))
	}
	return worth
}

// missCost is what a missed replica of the class costs, in nano-USD, rounded down.
func (r *relaxed) missCost(cl *class, d *duals) int64 {
	if r.count {
		return int64(math.Floor(r.unit * r.p.missWeight(cl.level)))
	}
	return d.levels[cl.level]
}

// closeSizes takes a class of gangs of several sizes out of the mixtures: its gangs have rows by zone from now on. Its rows ask for
// nothing any more.
func (r *relaxed) closeSizes(c int) error {
	i := slices.IndexFunc(r.services, func(s serviceRows) bool { return s.class == c && s.rest != nil })
	if i < 0 {
		return nil
	}
	rows := append([]int32{r.services[i].convex}, r.services[i].rest...)
	at := make([]int32, len(rows))
	lower, upper := make([]float64, len(rows)), make([]float64, len(rows))
	for k, row := range rows {
		at[k], upper[k] = r.rowAt[row], math.Inf(1)
	}
	r.services = slices.Delete(r.services, i, i+1)
	return r.solver.ChangeRowBounds(at, lower, upper)
}

// missRow is the row in which missed replicas of the class stand in for placed ones: gangs of several sizes are missed as a whole.
func (s *serviceRows) missRow(p *Problem) int32 {
	if p.classes[s.class].sizes {
		return s.convex
	}
	return s.rest[s.fastest]
}

// committedTo is how many replicas of a variant of a class of several sizes are committed for good, and not packed yet.
func (r *relaxed) committedTo(cl *class, c, v int) float64 {
	total := 0.0
	if cl.sizes {
		for k, n := range r.committed[c] {
			if k.variant == v {
				total += n
			}
		}
	}
	return total
}
