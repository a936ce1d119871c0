package optimizer

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"purser"
)

// services says of each inference group with replicas how the plan serves it: what is left after the worst loss, and how traffic is spread.
func (p *Problem) services(plan purser.Plan) []purser.ServicePlan {
	byGroup := map[groupKey][]placedOn{}
	for i, l := range plan.Leases {
		for _, pl := range l.Placements {
			at := p.jobAt[pl.Job]
			k := groupKey{at, groupIndex(p.jobs[at], pl.Group)}
			if p.jobs[at].Groups[k.group].Kind == purser.Inference {
				byGroup[k] = append(byGroup[k], placedOn{pl, l.Offer, l.Held, i})
			}
		}
	}
	out := make([]purser.ServicePlan, 0, len(byGroup))
	for _, k := range slices.SortedFunc(maps.Keys(byGroup), compareKeys) {
		g := &p.jobs[k.job].Groups[k.group]
		s := purser.ServicePlan{Job: p.jobs[k.job].ID, Group: g.Name, Replicas: len(byGroup[k]), Demand: asked(g)}
		counts := map[string]int{}
		for _, on := range byGroup[k] {
			counts[on.pl.Variant]++
			s.Served += servedBy(g, on.pl.Variant)
		}
		worstLoss(&s, g, byGroup[k])
		if s.Served > 0 {
			s.Load = s.Demand / s.Served
			s.Weights, s.Imbalance = balance(g, counts, s.Load)
		}
		out = append(out, s)
	}
	return out
}

// asked is what a service has to serve: its demand, or its replicas where it has none.
func asked(g *purser.TaskGroup) float64 {
	if g.Demand > 0 {
		return g.Demand
	}
	return float64(g.Replicas)
}

// lossOf is what a service is measured against: what it has to survive, or else one zone.
func lossOf(g *purser.TaskGroup) (purser.DomainLevel, int) {
	if g.Survive.Level == purser.DomainNone {
		return purser.DomainZone, 1
	}
	return g.Survive.Level, g.Survive.Lost()
}

// worstLoss finds the domains whose loss leaves least.
func worstLoss(s *purser.ServicePlan, g *purser.TaskGroup, placed []placedOn) {
	level, most := lossOf(g)
	s.Level = level
	in, name := map[string]float64{}, map[string]string{}
	for _, on := range placed {
		if d := on.domain(level); d != "" {
			in[d] += servedBy(g, on.pl.Variant)
			name[d] = d
			if level == purser.DomainMachine {
				name[d] = cmp.Or(string(on.held), string(on.offer.ID()))
			}
		}
	}
	domains := slices.SortedFunc(maps.Keys(in), func(a, b string) int {
		return cmp.Or(cmp.Compare(in[b], in[a]), cmp.Compare(name[a], name[b]), cmp.Compare(a, b))
	})
	s.Worst = []string{}
	for _, d := range domains[:min(most, len(domains))] {
		s.Worst, s.Lost = append(s.Worst, name[d]), s.Lost+in[d]
	}
	s.Left = s.Served - s.Lost
}

// balance gives each variant in use the whole weight with which the busiest replica is least busy, and by how much it is busier than load,
// the mean. With the weights w, T = demand·(w/θ)/Σw. For every r = max w/θ the largest Σw has w = ⌊r·θ⌋, so only values of r where some
// weight is reached exactly need be tried. A variant so slow that its share is below 1 gets 1.
func balance(g *purser.TaskGroup, counts map[string]int, load float64) ([]purser.ReplicaWeight, float64) {
	names := slices.Sorted(maps.Keys(counts))
	names = slices.DeleteFunc(names, func(v string) bool { return servedBy(g, v) <= 0 })
	rates, fastest := make([]float64, len(names)), 0.0
	for i, v := range names {
		rates[i] = servedBy(g, v)
		fastest = math.Max(fastest, rates[i])
	}
	best, least := []int(nil), math.Inf(1)
	try := func(r float64) {
		w, total, most := make([]int, len(names)), 0.0, 0.0
		for i := range w {
			w[i] = max(1, int(math.Floor(r*rates[i]*(1+1e-12))))
			total += float64(w[i] * counts[names[i]])
			most = math.Max(most, float64(w[i])/rates[i])
		}
		if x := most / total; x < least*(1-1e-12) {
			best, least = w, x
		}
	}
	for n := 1; n <= purser.MaxWeight && len(names) > 0; n++ {
		for i := range rates {
			if r := float64(n) / rates[i]; r*fastest < purser.MaxWeight+1 {
				try(r)
			}
		}
	}
	out := make([]purser.ReplicaWeight, len(names))
	served := 0.0
	for i, v := range names {
		out[i] = purser.ReplicaWeight{Variant: v, Replicas: counts[v], Weight: best[i]}
		served += rates[i] * float64(counts[v])
	}
	return out, math.Max(0, load*(served*least-1))
}

// services checks what the plan says of its services from its placements: rates, the worst loss, and that no replica is busier than the
// weights make it.
func (c *checker) services() error {
	seen := 0
	for _, s := range c.plan.Services {
		at, ok := c.p.jobAt[s.Job]
		if !ok {
			return wrong("a service of job %s is not there", s.Job)
		}
		key := groupKey{at, groupIndex(c.p.jobs[at], s.Group)}
		placed := c.placed[key]
		if key.group < 0 || len(placed) == 0 || s.Replicas != len(placed) {
			return wrong("%s/%s has %d replicas and not %d", s.Job, s.Group, len(placed), s.Replicas)
		}
		if err := c.serviceView(&c.p.jobs[at].Groups[key.group], s, placed); err != nil {
			return err
		}
		seen += len(placed)
	}
	for key, placed := range c.placed {
		if c.p.jobs[key.job].Groups[key.group].Kind == purser.Inference {
			seen -= len(placed)
		}
	}
	if seen != 0 {
		return wrong("the plan does not say of every service once how it serves")
	}
	return nil
}

func (c *checker) serviceView(g *purser.TaskGroup, s purser.ServicePlan, placed []placedOn) error {
	weight := map[string]int{}
	for _, w := range s.Weights {
		weight[w.Variant] = w.Weight
	}
	level, most := lossOf(g)
	served, total, busiest := 0.0, 0.0, 0.0
	in := map[string]float64{}
	for _, on := range placed {
		rate := servedBy(g, on.pl.Variant)
		if rate <= 0 {
			continue
		}
		w := weight[on.pl.Variant]
		if w < 1 || w > purser.MaxWeight {
			return wrong("%s/%s: a replica of %s has the weight %d", s.Job, s.Group, on.pl.Variant, w)
		}
		served, total, busiest = served+rate, total+float64(w), math.Max(busiest, float64(w)/rate)
		if d := on.domain(level); d != "" {
			in[d] += rate
		}
	}
	lost := topSum(slices.Collect(maps.Values(in)), most)
	near := func(a, b float64) bool { return math.Abs(a-b) <= 1e-9*(1+math.Abs(a)) }
	switch {
	case s.Level != level || !near(s.Demand, asked(g)) || !near(s.Served, served) || !near(s.Lost, lost) || !near(s.Left, served-lost):
		return wrong("%s/%s: %v are served, %v after the worst loss, and not %v and %v", s.Job, s.Group, served, served-lost, s.Served, s.Left)
	case served > 0 && (!near(s.Load, asked(g)/served) || asked(g)*busiest/total > (s.Load+s.Imbalance)*(1+1e-9)):
		return wrong("%s/%s: a replica is busier than %v + %v", s.Job, s.Group, s.Load, s.Imbalance)
	}
	return nil
}
