package optimizer

import "purser"

// columnsOfPlan are the columns of another plan of the same jobs, as far as they are columns here.
func (p *Problem) columnsOfPlan(plan purser.Plan) []column {
	sitesOf := map[startOf][]int32{}
	heldAt := map[purser.LeaseID][]int32{}
	for s := range p.sites {
		st := &p.sites[s]
		if len(st.held) == 0 {
			key := startOf{st.offer.ID(), st.under, st.from}
			sitesOf[key] = append(sitesOf[key], int32(s))
		}
		for _, h := range st.held {
			id := p.in.Held[h].Lease.ID
			heldAt[id] = append(heldAt[id], int32(s))
		}
	}
	var out []column
	add := func(l purser.PlannedLease, from int64) {
		sites := sitesOf[startOf{l.Offer.ID(), l.Commitment, from}]
		if l.Held != "" {
			sites = heldAt[l.Held]
		}
		for _, s := range sites {
			if c, ok := p.columnOn(s, l.Placements); ok {
				out = append(out, c)
				return // the first is in use for the shortest time
			}
		}
	}
	for _, l := range plan.Leases {
		add(l, 0)
	}
	for _, l := range plan.Later {
		add(l.PlannedLease, int64(l.Start.Sub(p.in.Now)))
	}
	return out
}

// startOf is an offer from a time on, in ns after Input.Now.
type startOf struct {
	offer purser.OfferID
	under string
	from  int64
}

// columnOn is the column of placements on a site; ok is false when there is none.
func (p *Problem) columnOn(s int32, placements []purser.Placement) (c column, ok bool) {
	if p.groupOf[s] < 0 {
		return c, false
	}
	var pat pattern
	for _, pl := range placements {
		it := p.itemOf(int32(p.sites[s].at), pl)
		if it < 0 {
			continue
		}
		if !p.lasts(&p.sites[s], it) {
			return c, false
		}
		pat = append(pat, count{it, 1})
	}
	if len(pat) == 0 {
		return c, false
	}
	return p.newColumn(p.groupOf[s], s, pat), true
}
