package app

import (
	"testing"
	"time"

	"purser"
	"purser/postgres"
)

// Of three machines at 5 $/h, 40 % off, 7 $/h hold two: one that ends takes its part away from the plan, one that is held keeps its own.
func TestCommitmentsOfAnInput(t *testing.T) {
	a := idle(t)
	a.limits.Commitments = []purser.Commitment{{Name: "plan", Provider: "aws", UnitPrice: purser.USDPerHourOf(7), Discount: 0.4}}
	o := offer("g", purser.OnDemand, 5)
	snap := postgres.Snapshot{At: noon, Leases: []purser.Lease{
		leased("l1", purser.LeaseDraining, o), leased("l2", purser.LeaseRunning, o), leased("l3", purser.LeaseRunning, o), leased("l4", purser.LeaseRunning, offer("s", purser.Spot, 9)),
	}}
	in := a.input(snap, []purser.Offer{o}, true)
	if len(in.Commitments) != 1 || in.Commitments[0].UnitPrice != purser.USDPerHourOf(4) {
		t.Errorf("commitments: %+v", in.Commitments)
	}
	under := map[purser.LeaseID]string{}
	for _, h := range in.Held {
		under[h.Lease.ID] = h.Commitment
	}
	if len(under) != 3 || under["l2"] != "plan" || under["l3"] != "" || under["l4"] != "" {
		t.Errorf("held: %v", under)
	}
	if got := a.billedRate(snap.Leases); got != purser.USDPerHourOf(14) {
		t.Errorf("billed: %s", got)
	}
	if a.limits.Commitments[0].UnitPrice != purser.USDPerHourOf(7) {
		t.Error("the settings were changed")
	}
	// What stands in for a machine takes nothing of it.
	standIn := leased("l0", purser.LeaseRunning, o)
	standIn.Rehearsal = !a.rehearsal
	if got := a.coveredBy([]purser.Lease{standIn, snap.Leases[1]}); got[0] != -1 || got[1] != 0 {
		t.Errorf("beside a rehearsal: %v", got)
	}
	// Where machines that end take all of it, nothing is left.
	a.limits.Commitments[0].UnitPrice = purser.USDPerHourOf(3)
	if in = a.input(snap, nil, true); len(in.Commitments) != 0 || in.Held[0].Commitment != "" {
		t.Errorf("%+v", in.Commitments)
	}
}

// A day's difference counts what is promised.
func TestADifferenceCountsWhatIsPromised(t *testing.T) {
	now := purser.Plan{Horizon: 24 * time.Hour, Objective: purser.MoneyOf(240), Bound: purser.MoneyOf(240)}
	then := purser.Plan{Horizon: 24 * time.Hour, Objective: purser.MoneyOf(120), Bound: purser.MoneyOf(120), Commitments: []purser.CommitmentUse{{Name: "plan", UnitPrice: purser.USDPerHourOf(4)}}}
	if perDay, sure := difference(now, then); perDay != -purser.MoneyOf(24) || !sure {
		t.Errorf("%s, %t", perDay.Decimal(), sure)
	}
}
