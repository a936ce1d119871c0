package optimizer

import (
	"slices"
	"strconv"

	"purser"
)

// service checks an inference group: it serves its rate and survives the loss of any domains, or is listed as unplaced.
func (c *checker) service(key groupKey) error {
	group := &c.p.jobs[key.job].Groups[key.group]
	name := c.p.name(key)
	rate := 0.0
	in := map[string]float64{}
	for _, on := range c.placed[key] {
		one := servedBy(group, on.pl.Variant)
		rate += one
		if d := on.domain(group.Survive.Level); d != "" {
			in[d] += one
		}
	}
	n := len(c.placed[key])
	if group.MaxReplicas > 0 && n > group.MaxReplicas {
		return wrong("%s: %d replicas are placed and %d are allowed", name, n, group.MaxReplicas)
	}
	if c.unplaced[key] > 0 {
		return nil
	}
	served := group.Demand
	if group.Demand == 0 {
		served = float64(group.Replicas)
	}
	if need := group.Demand * (1 + group.Headroom); rate < need*(1-1e-8) || n < group.Replicas {
		return wrong("%s: %d replicas serve %v of %v", name, n, rate, need)
	}
	loads := make([]float64, 0, len(in))
	for _, x := range in {
		loads = append(loads, x)
	}
	slices.Sort(loads)
	left := rate
	for i := range min(group.Survive.Lost(), len(loads)) {
		left -= loads[len(loads)-1-i]
	}
	if left < group.Survive.Share*served*(1-1e-8) {
		return wrong("%s: after the loss of %d of its %d %ss %v of %v is served", name, group.Survive.Lost(), len(in), group.Survive.Level, left, served)
	}
	return nil
}

// servedBy is the rate of a replica of a variant.
func servedBy(g *purser.TaskGroup, variant string) float64 {
	for _, v := range g.Variants {
		if v.Name == variant {
			return rateOf(g, v)
		}
	}
	return 0
}

// domain is what the placement is lost with at a level; empty: with nothing.
func (on placedOn) domain(level purser.DomainLevel) string {
	if level == purser.DomainMachine {
		return strconv.Itoa(on.lease)
	}
	return on.offer.Domain(level)
}
