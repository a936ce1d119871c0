package optimizer

import "purser"

// columnsOfPlan are the columns of another plan of the same jobs, as far as they are columns here.
func (p *Problem) columnsOfPlan(plan purser.Plan) []column {
	siteOf := map[purser.OfferID]int32{}
	heldAt := map[purser.LeaseID]int32{}
	for s := range p.sites {
		if len(p.sites[s].held) == 0 {
			siteOf[p.sites[s].offer.ID()] = int32(s)
		}
		for _, h := range p.sites[s].held {
			heldAt[p.in.Held[h].Lease.ID] = int32(s)
		}
	}
	var out []column
	for _, l := range plan.Leases {
		s, ok := siteOf[l.Offer.ID()]
		if l.Held != "" {
			s, ok = heldAt[l.Held]
		}
		if !ok || p.groupOf[s] < 0 {
			continue
		}
		var pat pattern
		for _, pl := range l.Placements {
			if it := p.itemOf(int32(p.sites[s].at), pl); it >= 0 {
				pat = append(pat, count{it, 1})
			}
		}
		if len(pat) > 0 {
			out = append(out, p.newColumn(p.groupOf[s], s, pat))
		}
	}
	return out
}
