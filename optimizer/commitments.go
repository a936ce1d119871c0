package optimizer

import (
	"cmp"
	"slices"

	"purser"
)

// A commitment is paid for whether it is used or not. Each on-demand offer that may run under one has a twin: a place of the same machines
// that costs nothing and takes its discounted price of the commitment's row, which is one of (5). Limit, quotas, failure domains and the
// price that ceilings and spend limits look at are those of the offer, whose limit both share by a row of their own. Machines that begin later (starts.go) are under no commitment.

// costUnder is what a machine that runs from now on for so many ns costs under a commitment; "" is none.
func (p *Problem) costUnder(o purser.Offer, under string, ns int64) int64 {
	if under == "" {
		return p.costOf(o, 0, ns)
	}
	return int64(p.carbonRate(o).For(durationOf(ns)))
}

// putUnder puts a place under a commitment, if it is one: its machines then cost their carbon alone, whatever the hour.
func (pl *place) putUnder(p *Problem, under string) {
	if pl.under = under; under != "" {
		pl.rate, pl.hours = p.carbonRate(pl.offer), nil
	}
}

// paidRate is what is paid for an hour of a planned machine beside what is committed.
func paidRate(l purser.PlannedLease) purser.USDPerHour {
	if l.Commitment != "" {
		return 0
	}
	return l.Offer.UnitPrice
}

// validateCommitments checks the commitments and what held leases say of them.
func (p *Problem) validateCommitments() error {
	left := map[string]int64{}
	for i, c := range p.in.Commitments {
		if err := c.Check(); err != nil {
			return wrapInvalid("commitments", err)
		}
		if i > 0 && c.Name == p.in.Commitments[i-1].Name {
			return invalid("commitments", "the commitment %s is given twice", c.Name)
		}
		left[c.Name] = c.Limit()
	}
	for _, h := range p.in.Held {
		if h.Commitment == "" {
			continue
		}
		k := p.commitmentNamed(h.Commitment)
		if k < 0 {
			return invalid("held ("+string(h.Lease.ID)+")", "there is no commitment %q", h.Commitment)
		}
		w := p.in.Commitments[k].Weight(h.Lease.Offer)
		if left[h.Commitment] -= w; w == 0 || left[h.Commitment] < 0 {
			return invalid("held ("+string(h.Lease.ID)+")", "it cannot run under the commitment %s, or not beside the others", h.Commitment)
		}
	}
	return nil
}

// commitmentNamed is the index of a commitment, or -1.
func (p *Problem) commitmentNamed(name string) int {
	return slices.IndexFunc(p.in.Commitments, func(c purser.Commitment) bool { return c.Name == name })
}

// buildCommitments adds their rows to the quotas, after those of the input. What stays (keep mode) has taken its part.
func (p *Problem) buildCommitments() {
	for _, c := range p.in.Commitments {
		limit := c.Limit()
		for h := range p.in.Held {
			if p.in.Held[h].Commitment == c.Name && len(p.bases[h].keep) > 0 {
				limit -= c.Weight(p.in.Held[h].Lease.Offer)
			}
		}
		p.quotas = append(p.quotas, quota{limit: limit, name: c.Name})
	}
}

// commitmentUse is what a machine takes of the commitment that it runs under.
func (p *Problem) commitmentUse(o purser.Offer, under string) []quotaUse {
	k := p.commitmentNamed(under)
	if k < 0 {
		return nil
	}
	return []quotaUse{{len(p.in.Quotas) + k, p.in.Commitments[k].Weight(o)}}
}

// addTwins adds the twins of the offer at a place.
func (p *Problem) addTwins(at int) {
	original := p.places[at]
	shared := []quotaUse(nil)
	for _, c := range p.in.Commitments {
		w := c.Weight(original.offer)
		if w == 0 || w > c.Limit() {
			continue
		}
		if original.limit > 0 && shared == nil {
			shared = []quotaUse{{len(p.quotas), 1000}}
			p.quotas = append(p.quotas, quota{limit: original.limit * 1000, name: string(original.offer.ID())})
		}
		twin := original
		twin.putUnder(p, c.Name)
		twin.quotas = slices.Concat(original.quotas, p.commitmentUse(original.offer, c.Name), shared)
		p.places = append(p.places, twin)
	}
	p.places[at].quotas = slices.Concat(original.quotas, shared)
}

// commitmentsUsed says what the machines of a plan take of each commitment.
func (p *Problem) commitmentsUsed(plan purser.Plan) []purser.CommitmentUse {
	var out []purser.CommitmentUse
	for _, c := range p.in.Commitments {
		use := purser.CommitmentUse{Name: c.Name, UnitPrice: c.UnitPrice}
		for _, l := range plan.Leases {
			if l.Commitment == c.Name {
				use.Used += c.PriceOf(c.Weight(l.Offer))
				use.Machines++
			}
		}
		out = append(out, use)
	}
	return out
}

// commitments checks that machines run only under commitments that match them and hold them, held ones under what they ran under.
func (c *checker) commitments() error {
	left := map[string]int64{}
	for _, k := range c.p.in.Commitments {
		left[k.Name] = k.Limit()
	}
	for i, l := range c.plan.Leases {
		if at := slices.IndexFunc(c.p.in.Held, func(h Held) bool { return h.Lease.ID == l.Held }); l.Held != "" && c.p.in.Held[at].Commitment != l.Commitment {
			return wrong("lease %d (%s) changes its commitment to %q", i, l.Held, l.Commitment)
		}
		if l.Commitment == "" {
			continue
		}
		k := c.p.commitmentNamed(l.Commitment)
		if k < 0 || c.p.in.Commitments[k].Weight(l.Offer) == 0 {
			return wrong("lease %d (%s) cannot run under the commitment %q", i, l.Offer.ID(), l.Commitment)
		}
		if left[l.Commitment] -= c.p.in.Commitments[k].Weight(l.Offer); left[l.Commitment] < 0 {
			return wrong("the commitment %s does not hold what runs under it", l.Commitment)
		}
	}
	for _, l := range c.plan.Later {
		if l.Commitment != "" {
			return wrong("a machine that begins later (%s) runs under the commitment %s", l.Offer.ID(), l.Commitment)
		}
	}
	if want := c.p.commitmentsUsed(c.plan); !slices.Equal(want, c.plan.Commitments) {
		return wrong("of the commitments %v is used and not %v", want, c.plan.Commitments)
	}
	return nil
}

// usedUp lists the commitments that hold no machine more like the largest that the plan pays for besides, or else under it; more of one is
// counted in cents an hour.
func usedUp(in Input, plan purser.Plan) []Bottleneck {
	var out []Bottleneck
	for _, c := range in.Commitments {
		used, paid, under := int64(0), int64(0), int64(0)
		for _, l := range plan.Leases {
			switch w := c.Weight(l.Offer); {
			case l.Commitment == c.Name:
				used, under = used+w, max(under, w)
			case l.Commitment == "":
				paid = max(paid, w)
			}
		}
		step := cmp.Or(paid, under, smallest(in.Offers, c))
		if lacks := used + step - c.Limit(); step > 0 && lacks > 0 {
			out = append(out, Bottleneck{Extra{c.Name, (lacks + 999) / 1000}, purser.QuotaCents})
		}
	}
	return out
}
