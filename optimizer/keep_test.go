package optimizer

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"purser"
)

// holdPlan makes the plan's leases held ones.
func holdPlan(in Input, plan purser.Plan) Input {
	in.Held = nil
	for i, l := range plan.Leases {
		in.Held = append(in.Held, Held{Lease: purser.Lease{ID: purser.LeaseID(fmt.Sprintf("l%03d", i)), Offer: l.Offer, State: purser.LeaseRunning}, Placements: l.Placements})
	}
	offers := slices.Clone(in.Offers)
	for i := range offers {
		if offers[i].Limit > 0 {
			for _, l := range plan.Leases {
				if l.Offer.ID() == offers[i].ID() {
					offers[i].Limit--
				}
			}
		}
	}
	in.Offers = offers
	return in
}

// On unchanged input nothing moves and nothing is rented, with and without leave to move.
func TestNothingMovesOnUnchangedInput(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		in := drawInput(rt, 8, true)
		_, plan := mustSolve(rt, t, in, Options{Work: Work{Dives: 2}})
		again := holdPlan(in, plan)
		if len(plan.Unplaced) > 0 {
			return // a second look may find room for it
		}
		for _, keep := range []bool{false, true} {
			again.KeepPlacements = keep
			_, second := mustSolve(rt, t, again, Options{Work: Work{Dives: 2}})
			where := map[replicaName]purser.LeaseID{}
			for _, h := range again.Held {
				for _, pl := range h.Placements {
					where[replicaName{pl.Job, pl.Group, pl.Replica}] = h.Lease.ID
				}
			}
			for _, l := range second.Leases {
				if l.Held == "" {
					rt.Fatalf("keep %v: a new lease of %s", keep, l.Offer.ID())
				}
				for _, pl := range l.Placements {
					if n := (replicaName{pl.Job, pl.Group, pl.Replica}); where[n] != l.Held {
						rt.Fatalf("keep %v: %s moved from %s to %s", keep, n, where[n], l.Held)
					}
				}
			}
			if second.Placed() != plan.Placed() {
				rt.Fatalf("keep %v: %d replicas are placed, %d were", keep, second.Placed(), plan.Placed())
			}
		}
	})
}
