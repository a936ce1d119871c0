package optimizer

import (
	"slices"

	"purser"
)

// extraCost is what a replica of the group that comes to a machine of the offer and runs there for span ns costs beside the machine, in
// nano-USD. It is the one place where such costs are added up: columns, knapsacks, the bound and the check all read it.
func (p *Problem) extraCost(g *purser.TaskGroup, o *purser.Offer, span int64) int64 {
	return int64(g.ExtraCost(*o, durationOf(span)))
}

// standsOn says whether a placement of a plan is where its replica runs already, as the same variant: nothing comes there.
func (p *Problem) standsOn(l purser.PlannedLease, pl purser.Placement) bool {
	return l.Held != "" && p.where[replicaName{pl.Job, pl.Group, pl.Replica}] == (seatNow{l.Held, pl.Variant})
}

// extraFor is what the replica of a placement costs beside its machine when it comes there, in nano-USD, beside so many of its group.
func (p *Problem) extraFor(key groupKey, g *purser.TaskGroup, pl purser.Placement, o purser.Offer, placed int) int64 {
	span := int64(0)
	if v := slices.IndexFunc(g.Variants, func(v purser.Variant) bool { return v.Name == pl.Variant }); v >= 0 && g.Checkpoint.SizeGB > 0 {
		world := p.worldOf(key)
		if world == 0 {
			world = placed
		}
		sized, _ := sizedAs(g, v, world)
		_, span = p.spans(&sized, g.Variants[v], p.leftOf(key, pl.Replica), p.machineOf(o))
	}
	return p.extraCost(g, &o, span)
}

// extraOf is what the replicas of a plan that come to a machine, now or later, cost beside the machines.
func (p *Problem) extraOf(plan purser.Plan) purser.Money {
	total := int64(0)
	placed := p.placedIn(plan)
	add := func(l purser.PlannedLease) {
		for _, pl := range l.Placements {
			if key, g := p.groupOfPlacement(pl); g != nil && !p.standsOn(l, pl) {
				total += p.extraFor(key, g, pl, l.Offer, placed[key])
			}
		}
	}
	for _, l := range plan.Leases {
		add(l)
	}
	for _, l := range plan.Later {
		add(l.PlannedLease)
	}
	return purser.Money(total)
}

// groupOfPlacement is the task group of a placement; nil where there is none.
func (p *Problem) groupOfPlacement(pl purser.Placement) (groupKey, *purser.TaskGroup) {
	at, ok := p.jobAt[pl.Job]
	if !ok {
		return groupKey{}, nil
	}
	g := groupIndex(p.jobs[at], pl.Group)
	if g < 0 {
		return groupKey{}, nil
	}
	return groupKey{at, g}, &p.jobs[at].Groups[g]
}

// diskOf is the room that a lease's placements need on its machine's own disks, in MiB.
func (p *Problem) diskOf(l purser.PlannedLease) int64 {
	need := int64(0)
	for _, pl := range l.Placements {
		if _, g := p.groupOfPlacement(pl); g != nil {
			need += g.DiskMiB()
		}
	}
	return need
}
