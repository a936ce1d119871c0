package fleet

import (
	"context"
	"maps"
	"sync"

	"purser"
	"purser/providers"
)

// pools are those that the lease's machine may come from. They only widen the choice,
// so that a failure to find them is none of the launch.
func (f *Fleet) pools(ctx context.Context, l purser.Lease) []purser.Offer {
	if f.Pools == nil {
		return nil
	}
	if pools, known := f.offered.of(l.ID); known {
		return pools // a repeated launch comes with the same values
	}
	pools, err := f.Pools(ctx, l)
	f.offered.note(l.ID, pools)
	if err != nil {
		f.Logger.WarnContext(ctx, "launch goes without further pools", "lease", l.ID, "cause", err)
	}
	return pools
}

// taken is the offer that the provider took, or none when it is the lease's own or the
// provider does not say.
func taken(l purser.Lease, in providers.Instance, pools []purser.Offer) purser.Offer {
	if in.Zone == "" || l.Offer.Zone == "" || in.Zone == l.Offer.Zone {
		return purser.Offer{}
	}
	o := l.Offer
	o.Zone = in.Zone
	for _, p := range pools {
		if p.ID() == o.ID() {
			return p
		}
	}
	return o
}

// offeredPools remembers the pools that launches went out with, in this process alone:
// a lease has one attempt.
type offeredPools struct {
	mu    sync.Mutex
	pools map[purser.LeaseID][]purser.Offer
}

func (o *offeredPools) of(id purser.LeaseID) (pools []purser.Offer, known bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	pools, known = o.pools[id]
	return pools, known
}

func (o *offeredPools) note(id purser.LeaseID, pools []purser.Offer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.pools[id] = pools
}

// keep forgets every lease but those that may still be launched.
func (o *offeredPools) keep(leases []purser.Lease) {
	launching := map[purser.LeaseID]bool{}
	for _, l := range leases {
		launching[l.ID] = l.State == purser.LeasePlanned || l.State == purser.LeaseLaunching
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	maps.DeleteFunc(o.pools, func(id purser.LeaseID, _ []purser.Offer) bool { return !launching[id] })
}
