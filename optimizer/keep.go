package optimizer

import (
	"slices"

	"purser"
)

// heldBase is what stays on a held lease (keep mode): the room it takes, how long it lasts, and which placements it is.
type heldBase struct {
	used amounts
	span int64 // ns; 0 when nothing stays
	keep []int // indices into Held.Placements
}

// trim lets go of the replicas that services need no more, as a plan without moves does: to stop them is no move.
func (p *Problem) trim() {
	for h := range p.in.Held {
		p.in.Held[h].Placements = slices.DeleteFunc(slices.Clone(p.in.Held[h].Placements), func(pl purser.Placement) bool {
			job := p.jobAt[pl.Job]
			key := groupKey{job, groupIndex(p.jobs[job], pl.Group)}
			if p.jobs[job].Groups[key.group].Kind != purser.Inference || slices.Contains(p.stay.kept[key], pl.Replica) {
				return false
			}
			delete(p.where, replicaName{pl.Job, pl.Group, pl.Replica})
			return true
		})
	}
}

// keepHeld takes off the demands what stays where it is (keep mode), and notes per held lease what that is.
func (p *Problem) keepHeld(demands []*demand) {
	p.bases = make([]heldBase, len(p.in.Held))
	p.kept = map[groupKey][]int{}
	p.heldDomain = make([]domainIDs, len(p.in.Held))
	for h := range p.in.Held {
		p.heldDomain[h] = p.domainsOf(p.in.Held[h].Lease.Offer)
	}
	if !p.in.KeepPlacements {
		return
	}
	byKey := make(map[groupKey]*demand, len(demands))
	for _, d := range demands {
		byKey[d.key] = d
	}
	for h := range p.in.Held {
		for at, pl := range p.in.Held[h].Placements {
			job := p.jobAt[pl.Job]
			d := byKey[groupKey{job, groupIndex(p.jobs[job], pl.Group)}]
			if d == nil || (d.group.Kind == purser.Training && d.find(pl.Replica) < 0) {
				continue // it has ended, or is no longer wanted
			}
			variant := slices.IndexFunc(d.group.Variants, func(v purser.Variant) bool { return v.Name == pl.Variant })
			d.base = append(d.base, basePlacement{h, at, variant, p.heldDomain[h]})
		}
	}
	for _, d := range demands {
		p.keepDemand(d)
	}
}

// find is the index of a replica by number, or -1.
func (d *demand) find(number int) int {
	i, ok := slices.BinarySearchFunc(d.replicas, number, func(r replica, n int) int { return r.number - n })
	if !ok {
		return -1
	}
	return i
}

func (p *Problem) placement(b basePlacement) purser.Placement {
	return p.in.Held[b.held].Placements[b.at]
}

// keepDemand settles what of one group's held placements stays.
func (p *Problem) keepDemand(d *demand) {
	switch {
	case len(d.base) == 0:
		return
	case d.group.Kind == purser.Inference:
		p.trimService(d)
	case d.group.Gang && len(d.replicas) > 1:
		p.keepGang(d)
	}
	for _, b := range d.base {
		left := leftSteps
		if i := d.find(p.placement(b).Replica); i >= 0 {
			left = d.replicas[i].left
			d.replicas = slices.Delete(d.replicas, i, i+1)
		}
		base := &p.bases[b.held]
		base.used = base.used.plus(placedSize(p.placement(b)), 1)
		base.keep = append(base.keep, b.at)
		p.kept[d.key] = append(p.kept[d.key], p.placement(b).Replica)
		base.span = max(base.span, p.spanOfKept(d.group, b.variant, d.world, left, p.in.Held[b.held].Lease.Offer))
	}
}

// keepGang keeps a gang's placements when they lie in one zone and run one variant; the rest then has to follow them. A gang that is
// torn is placed anew as a whole.
func (p *Problem) keepGang(d *demand) {
	first := d.base[0]
	for _, b := range d.base {
		if b.domain[zoneLevel] != first.domain[zoneLevel] || b.variant != first.variant || b.variant < 0 {
			d.base = nil
			return
		}
	}
	if len(d.base) < len(d.replicas) {
		d.onlyZone = p.domains[zoneLevel].names[first.domain[zoneLevel]]
		d.onlyName = d.group.Variants[first.variant].Name
	}
}

// trimService lets go of replicas, the highest numbers first, that the need does not call for any more.
func (p *Problem) trimService(d *demand) {
	need := needOf(d.group)
	slices.SortFunc(d.base, func(a, b basePlacement) int { return p.placement(a).Replica - p.placement(b).Replica })
	have := func(skip int) []rated {
		var out []rated
		for i, b := range d.base {
			if i == skip || b.variant < 0 {
				continue
			}
			out = append(out, rated{rate: rateOf(d.group, d.group.Variants[b.variant]), domain: need.domainOn(b.domain, b.held+1), n: 1})
		}
		return out
	}
	for i := len(d.base) - 1; i >= 0; i-- {
		if (need.max > 0 && int64(len(d.base)) > need.max) || need.met(have(i)) {
			d.base = slices.Delete(d.base, i, i+1)
		}
	}
}
