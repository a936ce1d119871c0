package optimizer

import (
	"cmp"
	"slices"
	"time"

	"purser"
)

// What runs may stay where the filters would no longer let it come: a spot machine that has become dearer than the group's ceiling, or on
// which a run is not sure of its deadline any more. How long a run takes depends on its machine, so such a replica is a class of its own,
// which the machine where it runs is open to, and to no other.

// setStays notes the replicas of a demand that run where they could not come to (with moves alone: else they are no demand).
func (p *Problem) setStays(d *demand) {
	if p.in.KeepPlacements || p.in.Hazard == nil || p.in.Snapshot {
		return
	}
	for i := range d.replicas {
		r := &d.replicas[i]
		seat, runs := p.where[replicaName{d.job.ID, d.group.Name, r.number}]
		if !runs {
			continue
		}
		h, _ := slices.BinarySearchFunc(p.in.Held, seat.lease, func(h Held, id purser.LeaseID) int { return cmp.Compare(h.Lease.ID, id) })
		r.stays = p.refused(d, seat.variant, r.left, p.in.Held[h].Lease.Offer)
		if r.stays {
			d.stays = append(d.stays, stayOn{h, seat.variant, r.number})
		}
	}
}

// stayOn is a replica that may stay on a held lease although it could not come there.
type stayOn struct {
	held    int // index in in.Held
	variant string
	replica int
}

// staysOf is what is to be said of a replica that stays so; nil of any other.
func (d *demand) staysOf(r replica) []stayOn {
	if !r.stays {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(d.stays), func(s stayOn) bool { return s.replica != r.number })
}

// refused says whether a replica could not come to a machine, for another reason than its size.
func (p *Problem) refused(d *demand, variant string, left int, on purser.Offer) bool {
	g := d.group
	if p.in.Atlas.Allows(g, on) != "" {
		return true
	}
	v := slices.IndexFunc(g.Variants, func(v purser.Variant) bool { return v.Name == variant })
	if v < 0 || g.Deadline.IsZero() {
		return false
	}
	full, _ := p.spans(g, g.Variants[v], left, p.machineOf(on))
	return p.in.Now.Add(time.Duration(full)).After(g.Deadline)
}

// staysOn says whether a member of the group runs on the place as the variant, and may stay.
func (g *rawGroup) staysOn(pl *place, variant string) bool {
	return slices.ContainsFunc(g.stays, func(s stayOn) bool { return s.variant == variant && slices.Contains(pl.held, s.held) })
}
