package optimizer

import (
	"math"
	"slices"

	"purser"
)

// later checks the machines that are taken later by themselves, and what waits for them.
func (c *checker) later() error {
	p := c.p
	offers := map[purser.OfferID]purser.Offer{}
	for _, o := range p.in.Offers {
		offers[o.ID()] = o
	}
	starts := map[groupKey]int64{}
	for i, l := range c.plan.Later {
		c.lease = len(c.plan.Leases) + i
		from := int64(l.Start.Sub(p.in.Now))
		if o, ok := offers[l.Offer.ID()]; !ok || o != l.Offer || l.Held != "" || from <= 0 || len(l.Placements) == 0 {
			return wrong("later lease %d (%s) is of nothing that is offered, holds nothing or does not begin later", i, l.Offer.ID())
		}
		room, longest := capacityOf(l.Offer.Shape), int64(0)
		for _, pl := range l.Placements {
			room = room.plus(placedSize(pl), -1)
			span, err := c.placementFrom(pl, l.PlannedLease, Held{}, from)
			if err != nil {
				return err
			}
			longest = max(longest, span)
			if err := c.mayBegin(pl, from, starts); err != nil {
				return err
			}
		}
		if need := p.diskOf(l.PlannedLease); need > 0 && need > l.Offer.DiskMiB {
			return wrong("later lease %d (%s) needs %d MiB of its own disks", i, l.Offer.ID(), need)
		}
		if room[0] < 0 || room[1] < 0 || room[2] < 0 {
			return wrong("later lease %d (%s) holds more than it has room for: %v is left", i, l.Offer.ID(), room)
		}
		if want := p.startUp(l.Offer) + longest; int64(l.Duration) != want {
			return wrong("later lease %d (%s) is needed for %v and not %v", i, l.Offer.ID(), durationOf(want), l.Duration)
		}
	}
	return c.together(starts)
}

// mayBegin checks that a replica may begin so late. starts collects when gangs begin.
func (c *checker) mayBegin(pl purser.Placement, from int64, starts map[groupKey]int64) error {
	p := c.p
	name := replicaName{pl.Job, pl.Group, pl.Replica}
	at := p.jobAt[pl.Job]
	key := groupKey{at, groupIndex(p.jobs[at], pl.Group)}
	g := &p.jobs[at].Groups[key.group]
	if _, runs := p.where[name]; runs {
		return wrong("%s runs and is to wait", name)
	}
	if from > min(p.window(&p.jobs[at], g), p.latestStart(g, p.leftOf(key, pl.Replica))) {
		return wrong("%s may not wait for %v", name, durationOf(from))
	}
	if !g.Gang || len(p.liveReplicas(key)) < 2 {
		return nil
	}
	if other, known := starts[key]; known && other != from {
		return wrong("%s: the gang begins at different times", name)
	}
	starts[key] = from
	return nil
}

// together checks that no gang begins both now and later.
func (c *checker) together(starts map[groupKey]int64) error {
	for key := range starts {
		now := 0
		for _, l := range c.plan.Leases {
			for _, pl := range l.Placements {
				if at := c.p.jobAt[pl.Job]; at == key.job && groupIndex(c.p.jobs[at], pl.Group) == key.group {
					now++
				}
			}
		}
		if now > 0 {
			return wrong("%s: the gang begins at different times", c.p.name(key))
		}
	}
	return nil
}

// inUse is a machine that is in use for a time, ns after Input.Now.
type inUse struct {
	offer    purser.Offer
	from, to int64
}

// supplyLater checks limits and quotas at each time at which a machine is taken later. What is held now and not in use any more is there
// to be had again.
func (c *checker) supplyLater() error {
	if len(c.plan.Later) == 0 {
		return nil
	}
	var list []inUse
	for _, l := range c.plan.Leases {
		list = append(list, inUse{l.Offer, 0, int64(l.Duration)})
	}
	for _, l := range c.plan.Later {
		from := int64(l.Start.Sub(c.p.in.Now))
		list = append(list, inUse{l.Offer, from, from + int64(l.Duration)})
	}
	for _, l := range c.plan.Later {
		at := int64(l.Start.Sub(c.p.in.Now))
		now := slices.DeleteFunc(slices.Clone(list), func(u inUse) bool { return u.from > at || u.to <= at })
		if err := c.supplyAt(l, now); err != nil {
			return err
		}
	}
	return nil
}

// supplyAt checks the limit and the quotas that a machine is under, with what is in use when it is taken.
func (c *checker) supplyAt(l purser.LaterLease, now []inUse) error {
	if l.Offer.Limit >= 0 {
		there, taken := l.Offer.Limit, 0
		for _, h := range c.p.in.Held {
			if h.Lease.Offer.ID() == l.Offer.ID() {
				there++
			}
		}
		for _, u := range now {
			if u.offer.ID() == l.Offer.ID() {
				taken++
			}
		}
		if taken > there {
			return wrong("%d machines of %s are in use at %v and there are %d", taken, l.Offer.ID(), l.Start, there)
		}
	}
	for _, q := range c.p.in.Quotas {
		used := int64(0)
		for _, u := range now {
			used += q.Weight(u.offer)
		}
		if q.Weight(l.Offer) > 0 && used > min(q.Limit, math.MaxInt64/1000)*1000 {
			return wrong("quota %s: %d thousandths are used at %v of %d", q.Name, used, l.Start, q.Limit*1000)
		}
	}
	return nil
}

// waits checks what the plan says of what waits.
func (c *checker) waits() error {
	same := func(a, b purser.Waiting) bool {
		ok := a.Start.Equal(b.Start) && a.Latest.Equal(b.Latest)
		a.Start, a.Latest = b.Start, b.Latest
		return ok && a == b
	}
	if !slices.EqualFunc(c.plan.Waiting, c.p.waiting(c.plan), same) {
		return wrong("what waits is not what the plan says of it")
	}
	return nil
}
