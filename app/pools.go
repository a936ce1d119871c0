package app

import (
	"context"
	"slices"

	"purser"
	"purser/policy"
	"purser/postgres"
)

// poolMargin is how much dearer a pool may be than the lease's own offer. A machine that
// comes is worth more than one that is a little cheaper and out.
const poolMargin = 0.1

// pools are offers that are as good for a spot lease as its own: the same instance type
// in other zones of the region, where nothing that goes to the lease minds the zone.
func (a *App) pools(ctx context.Context, l purser.Lease) ([]purser.Offer, error) {
	if l.Offer.Option != purser.Spot || l.Offer.Zone == "" {
		return nil, nil
	}
	snap, err := a.db.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	offers, err := a.db.Offers(ctx, postgres.OfferFilter{Provider: l.Offer.Provider, Region: l.Offer.Region, Option: purser.Spot})
	if err != nil || mindsZone(snap, l.ID) {
		return nil, err
	}
	most := l.Offer.UnitPrice
	if a.roomForPools(snap.Leases) {
		most = purser.USDPerHour(float64(most) * (1 + poolMargin))
	}
	now := a.now()
	return slices.DeleteFunc(a.usable(offers), func(o purser.Offer) bool {
		cools := slices.ContainsFunc(snap.Failed, func(f postgres.FailedOffer) bool {
			return f.Offer == o.ID() && !f.Ran && policy.CoolingDown(f.Kind, f.At, now)
		})
		return o.InstanceType != l.Offer.InstanceType || o.Shape != l.Offer.Shape || o.Zone == "" || o.UnitPrice > most || cools
	}), nil
}

// roomForPools says whether the spend limit holds even if every spot machine that has yet
// to run comes from the dearest pool.
func (a *App) roomForPools(leases []purser.Lease) bool {
	q, limited := a.config.spendQuota()
	sum := int64(0)
	for _, l := range leases {
		if l.Offer.Option == purser.Spot && l.RunningAt.IsZero() {
			l.Offer.UnitPrice = purser.USDPerHour(float64(l.Offer.UnitPrice) * (1 + poolMargin))
		}
		sum += q.Weight(l.Offer)
	}
	return !limited || sum <= q.Limit*1000
}

// mindsZone says whether a task that goes to the lease must be in its zone: the user
// named zones or a ceiling for the price, a gang is together, or copies
// are kept apart.
func mindsZone(s postgres.Snapshot, id purser.LeaseID) bool {
	groups := map[purser.JobID][]purser.TaskGroup{}
	for _, j := range s.Jobs {
		groups[j.ID] = j.Groups
	}
	for _, t := range s.Tasks {
		if t.Lease != id {
			continue
		}
		for _, g := range groups[t.Job] {
			if g.Name == t.Group && (g.Gang || len(g.Where.Zones) > 0 || g.Where.MaxPerHour > 0 || g.Survive.Level != purser.DomainNone || g.Spread.Level != purser.DomainNone) {
				return true
			}
		}
	}
	return slices.ContainsFunc(s.Moves, func(m purser.Move) bool { return m.To == id })
}
