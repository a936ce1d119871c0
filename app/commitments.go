package app

import (
	"purser"
	"purser/optimizer"
)

// coveredBy says under which commitment each lease runs, by its index in the limits file, or -1. What runs is counted, and what is on its way.
func (a *App) coveredBy(leases []purser.Lease) []int {
	offers := make([]purser.Offer, len(leases))
	for i, l := range leases {
		if l.Rehearsal == a.rehearsal { // what only stands in for a machine takes nothing of what is promised
			offers[i] = l.Offer
		}
	}
	return purser.Cover(a.limits.Commitments, offers)
}

// commit gives an input the commitments, and its held leases what they run under. What machines that end take of a commitment is not there
// for others yet.
func (a *App) commit(in *optimizer.Input, ending []purser.Lease) {
	leases := append([]purser.Lease(nil), ending...)
	for _, h := range in.Held {
		leases = append(leases, h.Lease)
	}
	in.Commitments = append([]purser.Commitment(nil), a.limits.Commitments...)
	for i, k := range a.coveredBy(leases) {
		switch {
		case k < 0:
		case i < len(ending):
			c := &in.Commitments[k]
			c.UnitPrice -= c.PriceOf(c.Weight(leases[i].Offer))
		default:
			in.Held[i-len(ending)].Commitment = in.Commitments[k].Name
		}
	}
	// One that machines which end use up is none for now.
	kept := in.Commitments[:0]
	for _, c := range in.Commitments {
		if c.Limit() > 0 {
			kept = append(kept, c)
		}
	}
	in.Commitments = kept
}

// billedRate is what leases are billed an hour together: those under a commitment are paid for with it.
func (a *App) billedRate(leases []purser.Lease) (sum purser.USDPerHour) {
	for i, k := range a.coveredBy(leases) {
		if k < 0 {
			sum += leases[i].Offer.UnitPrice
		}
	}
	return sum
}

// committedRate is what a lease takes of the commitment that it runs under, by its index; 0 for none.
func (a *App) committedRate(l purser.Lease, k int) purser.USDPerHour {
	if k < 0 {
		return 0
	}
	c := a.limits.Commitments[k]
	return c.PriceOf(c.Weight(l.Offer))
}
