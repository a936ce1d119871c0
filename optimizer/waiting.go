package optimizer

import (
	"cmp"
	"math"
	"slices"
	"time"

	"purser"
)

// sortLater puts machines that are taken later into order: by time, offer and load.
func sortLater(list []purser.LaterLease) {
	for i := range list {
		slices.SortFunc(list[i].Placements, comparePlacements)
	}
	slices.SortStableFunc(list, func(a, b purser.LaterLease) int {
		return cmp.Or(a.Start.Compare(b.Start), compareLeases(a.PlannedLease, b.PlannedLease))
	})
}

// laterCost is what machines that are taken later cost, with what the waiting counts, in nano-USD.
func (p *Problem) laterCost(later []purser.LaterLease) int64 {
	total := int64(0)
	for _, l := range later {
		from := int64(l.Start.Sub(p.in.Now))
		total += p.costOf(l.Offer, from, from+int64(l.Duration))
		for _, pl := range l.Placements {
			total += waitWorth(l.Offer, placedSize(pl), from)
		}
	}
	return total
}

// waiting lists what a plan lets wait, in the order of jobs, groups, times and offers.
func (p *Problem) waiting(plan purser.Plan) []purser.Waiting {
	type key struct {
		groupKey
		start time.Time
		offer purser.OfferID
	}
	placed := p.placedIn(plan)
	at := map[key]int{}
	var out []purser.Waiting
	for _, l := range plan.Later {
		from := int64(l.Start.Sub(p.in.Now))
		cost := p.costOf(l.Offer, from, from+int64(l.Duration))
		room, sum := capacityOf(l.Offer.Shape), int64(0)
		for _, pl := range l.Placements {
			sum += placedSize(pl).share(room)
		}
		for _, pl := range l.Placements {
			job := p.jobAt[pl.Job]
			k := key{groupKey{job, groupIndex(p.jobs[job], pl.Group)}, l.Start, l.Offer.ID()}
			g := &p.jobs[job].Groups[k.group]
			i, known := at[k]
			if !known {
				i = len(out)
				at[k] = i
				w := purser.Waiting{Job: pl.Job, Group: pl.Group, For: p.waitsFor(l.Offer), Offer: k.offer, Start: l.Start, Latest: p.latestBegin(k.groupKey, pl, l)}
				if !g.Deadline.IsZero() {
					w.Sure = sureShare
				}
				out = append(out, w)
			}
			part := int64(float64(cost)*float64(placedSize(pl).share(room))/float64(max(sum, 1))) + p.extraFor(k.groupKey, g, pl, l.Offer, placed[k.groupKey])
			out[i].Replicas++
			out[i].Cost += purser.Money(part)
			if now := p.costNow(g, p.leftOf(k.groupKey, pl.Replica)); now > part {
				out[i].Saves += purser.Money(now - part)
			}
		}
	}
	slices.SortFunc(out, func(a, b purser.Waiting) int {
		return cmp.Or(cmp.Compare(a.Job, b.Job), cmp.Compare(a.Group, b.Group), a.Start.Compare(b.Start), cmp.Compare(a.Offer, b.Offer))
	})
	return out
}

// waitsFor says why a machine of the offer is not taken now.
func (p *Problem) waitsFor(o purser.Offer) purser.WaitFor {
	switch {
	case o.Limit >= 0:
		return purser.WaitForMachine
	case p.hours[o] != nil:
		return purser.WaitForPrice
	case slices.ContainsFunc(p.in.Quotas, func(q purser.Quota) bool { return q.Weight(o) > 0 }):
		return purser.WaitForQuota
	default:
		return purser.WaitForGang
	}
}

// latestBegin is when a replica that waits for a machine stops doing so: when its time to wait is over, or when it has to begin to be as
// sure of its deadline as it is to be.
func (p *Problem) latestBegin(key groupKey, pl purser.Placement, l purser.LaterLease) time.Time {
	g := &p.jobs[key.job].Groups[key.group]
	from := p.jobs[key.job].SubmittedAt
	if from.IsZero() {
		from = p.in.Now
	}
	latest := from.Add(g.CanWait)
	if g.Deadline.IsZero() {
		return latest
	}
	left := p.leftOf(key, pl.Replica)
	safe := p.latestStart(g, left)
	if v := slices.IndexFunc(g.Variants, func(v purser.Variant) bool { return v.Name == pl.Variant }); safe == math.MaxInt64 && v >= 0 {
		full, _ := p.spans(g, g.Variants[v], left, p.machineOf(l.Offer))
		safe = int64(g.Deadline.Sub(p.in.Now)) - p.startUp(l.Offer) - full - startMargin
	}
	if at := p.in.Now.Add(durationOf(safe)); at.Before(latest) {
		return at
	}
	return latest
}

// costNow is the part of the cheapest machine that a replica could begin on now, in nano-USD, with its data; 0 where it could on none.
func (p *Problem) costNow(g *purser.TaskGroup, left int) int64 {
	best := int64(0)
	for i := range p.in.Offers {
		o := &p.in.Offers[i]
		if o.Limit == 0 || p.in.Atlas.Allows(g, *o) != "" || p.beyondQuota(o) {
			continue
		}
		for _, v := range g.Variants {
			if !runsOn(g, v, o) {
				continue
			}
			full, span := p.spans(g, v, left, p.machineOf(*o))
			if !g.Deadline.IsZero() && p.in.Now.Add(durationOf(p.startUp(*o)+full)).After(g.Deadline) {
				continue
			}
			share := float64(sizeOf(v).share(capacityOf(o.Shape))) / 1e6
			cost := int64(float64(p.costOf(*o, 0, p.startUp(*o)+span))*share) + p.extraCost(g, o, span)
			if best == 0 || cost < best {
				best = max(cost, 1)
			}
		}
	}
	return best
}
