package optimizer

import (
	"math"
	"slices"
	"time"

	"purser"
)

// Check verifies a plan against the problem's input from scratch: it knows neither classes nor the solver. The error, of kind
// internal, names the first thing that is wrong. A plan that passes places every replica that it does not list as unplaced, on machines
// that are offered or held, within their room, limits and quotas; keeps gangs together and services alive; and costs what it says.
func Check(p *Problem, plan purser.Plan) error {
	c := &checker{p: p, plan: plan, placed: map[groupKey][]placedOn{}, seen: map[replicaName]bool{}, unplaced: map[groupKey]int{}}
	c.world = p.placedIn(plan)
	for _, step := range []func() error{c.machines, c.later, c.supply, c.supplyLater, c.commitments, c.groups, c.services, c.money, c.waits} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

type checker struct {
	p        *Problem
	plan     purser.Plan
	placed   map[groupKey][]placedOn
	seen     map[replicaName]bool
	unplaced map[groupKey]int
	lease    int     // that is looked at: of the leases, and then of those that are taken later
	spans    []int64 // by lease: ns that its longest placement runs within the horizon
	world    map[groupKey]int
}

// placedOn is one placement with where it is.
type placedOn struct {
	pl    purser.Placement
	offer purser.Offer
	held  purser.LeaseID
	lease int // of the plan
}

func wrong(format string, args ...any) error {
	return purser.Errorf(purser.KindInternal, "optimizer.Check", format, args...)
}

// machines checks each lease and each placement by itself.
func (c *checker) machines() error {
	offers := map[purser.OfferID]purser.Offer{}
	for _, o := range c.p.in.Offers {
		offers[o.ID()] = o
	}
	held := map[purser.LeaseID]Held{}
	for _, h := range c.p.in.Held {
		held[h.Lease.ID] = h
	}
	used := map[purser.LeaseID]bool{}
	for i, l := range c.plan.Leases {
		c.lease = i
		want, ok := offers[l.Offer.ID()]
		if l.Held != "" {
			h, stands := held[l.Held]
			want, ok = h.Lease.Offer, stands && !used[l.Held]
			used[l.Held] = true
		}
		if !ok || want != l.Offer {
			return wrong("lease %d (%s %s) is of nothing that is offered or held, or is used twice", i, l.Offer.ID(), l.Held)
		}
		if len(l.Placements) == 0 {
			return wrong("lease %d (%s) holds nothing", i, l.Offer.ID())
		}
		room := capacityOf(l.Offer.Shape)
		span := int64(0)
		for _, pl := range l.Placements {
			room = room.plus(placedSize(pl), -1)
			s, err := c.placementFrom(pl, l, held[l.Held], 0)
			if err != nil {
				return err
			}
			span = max(span, s)
		}
		if need := c.p.diskOf(l); need > 0 && need > l.Offer.DiskMiB {
			return wrong("lease %d (%s) needs %d MiB of its own disks", i, l.Offer.ID(), need)
		}
		if room[0] < 0 || room[1] < 0 || room[2] < 0 {
			return wrong("lease %d (%s) holds more than it has room for: %v is left", i, l.Offer.ID(), room)
		}
		c.spans = append(c.spans, span)
	}
	return nil
}

// placementFrom checks one placement on a machine that is taken so many ns from now, and gives how long it runs within the horizon.
func (c *checker) placementFrom(pl purser.Placement, l purser.PlannedLease, h Held, from int64) (int64, error) {
	at, ok := c.p.jobAt[pl.Job]
	if !ok {
		return 0, wrong("a placement is of job %s, which is not there", pl.Job)
	}
	g := groupIndex(c.p.jobs[at], pl.Group)
	name := replicaName{pl.Job, pl.Group, pl.Replica}
	if g < 0 || c.seen[name] || pl.Replica < 0 {
		return 0, wrong("%s is placed twice, or of a group that is not there", name)
	}
	c.seen[name] = true
	key := groupKey{at, g}
	group := &c.p.jobs[at].Groups[g]
	c.placed[key] = append(c.placed[key], placedOn{pl, l.Offer, l.Held, c.lease})
	v := slices.IndexFunc(group.Variants, func(v purser.Variant) bool { return v.Name == pl.Variant })
	stays := slices.Contains(h.Placements, pl)
	left := c.p.leftOf(key, pl.Replica)
	if stays && c.p.in.KeepPlacements {
		return c.p.spanOfKept(group, v, c.p.worldOf(key), left, l.Offer), nil
	}
	if v < 0 || sizeOf(group.Variants[v]) != placedSize(pl) {
		return 0, wrong("%s runs no variant of its group (%s)", name, pl.Variant)
	}
	sized, err := c.sizeOf(key, v)
	if err != nil {
		return 0, err
	}
	full, span := c.p.spans(&sized, group.Variants[v], left, c.p.machineOf(l.Offer))
	if stays {
		return span, nil
	}
	return span, c.allowed(group, group.Variants[v], l, doneBy(from, full), name)
}

// allowed checks that a replica may come to a machine.
func (c *checker) allowed(g *purser.TaskGroup, v purser.Variant, l purser.PlannedLease, full int64, name replicaName) error {
	switch {
	case v.Accelerator != "" && v.Accelerator != l.Offer.Accelerator && canonicalName(v.Accelerator) != canonicalName(l.Offer.Accelerator):
		return wrong("%s needs %s and is on %s", name, v.Accelerator, l.Offer.Accelerator)
	case v.DeviceMemoryMiB > l.Offer.DeviceMemoryMiB:
		return wrong("%s needs more memory on a device than %s has", name, l.Offer.ID())
	case !g.DiskFits(v, l.Offer.Shape):
		return wrong("%s needs more room on the disks of %s than its part", name, l.Offer.ID())
	case c.p.in.Atlas.Allows(g, l.Offer) != "":
		return wrong("%s may not run on %s: %s", name, l.Offer.ID(), c.p.in.Atlas.Allows(g, l.Offer))
	case v.Quality < g.MinQuality:
		return wrong("%s runs %s, whose quality %v is below %v", name, v.Name, v.Quality, g.MinQuality)
	}
	start := int64(0)
	if l.Held == "" {
		start = c.p.startUp(l.Offer)
	}
	if !g.Deadline.IsZero() && c.p.in.Now.Add(time.Duration(start+full)).After(g.Deadline) {
		return wrong("%s misses its deadline on %s", name, l.Offer.ID())
	}
	return nil
}

// supply checks limits and quotas.
func (c *checker) supply() error {
	bought := map[purser.OfferID]int{}
	for _, l := range c.plan.Leases {
		if l.Held == "" {
			bought[l.Offer.ID()]++
		}
	}
	for _, o := range c.p.in.Offers {
		if o.Limit >= 0 && bought[o.ID()] > o.Limit {
			return wrong("%d machines of %s are rented and %d can be had", bought[o.ID()], o.ID(), o.Limit)
		}
	}
	for _, q := range c.p.in.Quotas {
		used, stood := int64(0), int64(0)
		for _, l := range c.plan.Leases {
			used += q.Weight(l.Offer)
		}
		for _, h := range c.p.in.Held {
			stood += q.Weight(h.Lease.Offer)
		}
		if used > max(q.Limit*1000, stood) {
			return wrong("quota %s: %d thousandths are used of %d", q.Name, used, q.Limit*1000)
		}
	}
	return nil
}

// groups checks that every task group has what it needs, or is listed as unplaced.
func (c *checker) groups() error {
	for _, u := range c.plan.Unplaced {
		at, ok := c.p.jobAt[u.Job]
		if !ok || u.Replicas <= 0 || u.Reason == "" {
			return wrong("unplaced: %+v says nothing", u)
		}
		c.unplaced[groupKey{at, groupIndex(c.p.jobs[at], u.Group)}] += u.Replicas
	}
	for j := range c.p.jobs {
		for g := range c.p.jobs[j].Groups {
			key := groupKey{j, g}
			var err error
			if c.p.blocked[key] {
				if len(c.placed[key])+c.unplaced[key] > 0 {
					return wrong("%s has a place before the groups that it waits for have ended", c.p.name(key))
				}
				continue
			}
			if c.p.jobs[j].Groups[g].Kind == purser.Training {
				err = c.training(key)
			} else {
				err = c.service(key)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// training checks a training group: each live replica is placed or missed, and a gang is in one zone, on one variant, all or none.
func (c *checker) training(key groupKey) error {
	if c.p.sizeIsOpen(key) {
		return c.openGang(key)
	}
	live := c.p.liveReplicas(key)
	placed := c.placed[key]
	name := c.p.name(key)
	for _, on := range placed {
		if !slices.Contains(live, on.pl.Replica) {
			return wrong("%s: replica %d needs no place", name, on.pl.Replica)
		}
	}
	if len(placed)+c.unplaced[key] != len(live) {
		return wrong("%s: %d of %d replicas are placed and %d are listed as unplaced", name, len(placed), len(live), c.unplaced[key])
	}
	if err := c.spread(key); err != nil {
		return err
	}
	group := &c.p.jobs[key.job].Groups[key.group]
	if !group.Gang || len(live) < 2 || len(placed) == 0 {
		return nil
	}
	for _, on := range placed {
		if on.offer.Domain(purser.DomainZone) != placed[0].offer.Domain(purser.DomainZone) || on.pl.Variant != placed[0].pl.Variant {
			return wrong("%s: the gang is torn between zones or variants", name)
		}
	}
	if len(placed) < len(live) && !c.p.partOfGangStays(key) {
		return wrong("%s: %d of a gang of %d are placed", name, len(placed), len(live))
	}
	return nil
}

// money checks every figure of the plan.
func (c *checker) money() error {
	unit := purser.USDPerHour(0)
	for i, l := range c.plan.Leases {
		unit += paidRate(l)
		start := int64(0)
		if l.Held == "" {
			start = c.p.startUp(l.Offer)
		}
		if int64(l.Duration) != start+c.spans[i] {
			return wrong("lease %d (%s) is needed for %v and not %v", i, l.Offer.ID(), durationOf(start+c.spans[i]), l.Duration)
		}
	}
	grams, carbonCost := c.p.carbonOf(c.plan)
	switch objective := c.p.Price(c.plan); {
	case unit != c.plan.UnitPrice:
		return wrong("the machines cost %s and not %s", unit, c.plan.UnitPrice)
	case objective != c.plan.Objective:
		return wrong("the plan costs %s and not %s", objective.Decimal(), c.plan.Objective.Decimal())
	case c.plan.CarbonGrams != grams || c.plan.CarbonCost != carbonCost:
		return wrong("the machines take %g g of carbon, which counts %s", grams, carbonCost.Decimal())
	case c.plan.ExtraCost != c.p.extraOf(c.plan):
		return wrong("the replicas cost %s beside their machines and not %s", c.p.extraOf(c.plan).Decimal(), c.plan.ExtraCost.Decimal())
	case c.plan.Bound > c.plan.Objective:
		return wrong("the bound %s lies above the cost %s", c.plan.Bound.Decimal(), c.plan.Objective.Decimal())
	case c.plan.BaselinePrice != c.p.baseline(c.plan):
		return wrong("the baseline is not %s", c.plan.BaselinePrice)
	case math.Abs(c.plan.Gap-gapOf(c.plan.Objective, c.plan.Bound)) > 1e-12:
		return wrong("the gap is not %v", c.plan.Gap)
	case c.plan.Horizon != time.Duration(c.p.horizon):
		return wrong("the horizon is not %v", c.plan.Horizon)
	}
	return nil
}

// gapOf is (objective − bound)/objective, 0 for a plan that costs nothing.
func gapOf(objective, bound purser.Money) float64 {
	if objective <= 0 {
		return 0
	}
	return float64(objective-bound) / float64(objective)
}

// needFor is the Need of a training group, if it was given.
func (p *Problem) needFor(key groupKey) (Need, bool) {
	n, ok := p.needs[key]
	return n, ok
}

// liveReplicas are the replicas of a training group that need a place.
func (p *Problem) liveReplicas(key groupKey) []int {
	if n, ok := p.needFor(key); ok {
		return n.Replicas
	}
	out := make([]int, p.jobs[key.job].Groups[key.group].Replicas)
	for i := range out {
		out[i] = i
	}
	return out
}

// leftOf is how much of a replica's run is left, in leftSteps; of a gang, of its longest replica.
func (p *Problem) leftOf(key groupKey, number int) int {
	n, ok := p.needFor(key)
	if !ok {
		return leftSteps
	}
	group := &p.jobs[key.job].Groups[key.group]
	share, given := n.Left[number]
	if !given {
		share = 1
	}
	if group.Gang && (len(n.Replicas) > 1 || group.Varies()) {
		for _, r := range n.Replicas {
			s, ok := n.Left[r]
			if !ok {
				s = 1
			}
			share = math.Max(share, s)
		}
	}
	return max(1, int(math.Ceil(share*leftSteps-1e-9)))
}

// partOfGangStays says whether some of a gang's replicas run and stay (keep mode): then the rest may be missing.
func (p *Problem) partOfGangStays(key groupKey) bool { return len(p.kept[key]) > 0 }
