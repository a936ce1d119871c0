package optimizer_test

import (
	"testing"

	"purser"
	"purser/optimizer"
)

// Two replicas at the most cannot survive the loss of any two machines: what can be served is, by no more than two, and the rest is told.
func TestNoMoreReplicasThanAllowedWhereMachinesAreLost(t *testing.T) {
	rt := newSolver(t)
	o := func(provider string, price float64, n int64) purser.Offer {
		return purser.Offer{
			Provider: provider, Region: "r", Zone: "a", InstanceType: "t", Option: purser.OnDemand, Shape: shapeOf("L4", n, 4), UnitPrice: purser.USDPerHourOf(price), Limit: purser.Unlimited,
		}
	}
	in := optimizer.Input{Now: noon, Snapshot: true, Offers: []purser.Offer{o("aws", 0.1, 1), o("gcp", 6, 8), o("azure", 6, 8)}}
	in.Quotas = []purser.Quota{{Name: "q", Unit: purser.QuotaMachines, Provider: "aws", Limit: 1}}
	in.Jobs = []purser.Job{{ID: "j", Project: "p", Name: "j", Groups: []purser.TaskGroup{{
		Name: "g", Kind: purser.Inference, Run: purser.Run{Command: "x"}, Demand: 2, Headroom: 0.25, MaxReplicas: 2,
		Survive: purser.Survive{Level: purser.DomainMachine, Share: 0.5, Failures: 2},
		Variants: []purser.Variant{
			{Name: "v0", MilliCPU: 4500, MemoryMiB: 1024, Throughput: 3}, {Name: "v1", MilliCPU: 500, MemoryMiB: 1024, Throughput: 1},
		},
	}}}}
	_, plan := planOf(t, rt, in, littleWork())
	if plan.Placed() > 2 || len(plan.Unplaced) == 0 {
		t.Errorf("%s", text(plan))
	}
}
