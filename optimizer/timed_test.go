package optimizer_test

import (
	"testing"
	"time"

	"purser"
	"purser/optimizer"
)

// A limit of an offer that nothing waits for holds where a quota over it is counted over time.
func TestLimitsHoldBesideWaiting(t *testing.T) {
	rt := newSolver(t)
	o := func(provider, model string, price float64, limit int) purser.Offer {
		return purser.Offer{
			Provider: provider, Region: "r", Zone: "a", InstanceType: model, Option: purser.OnDemand, Shape: shapeOf(model, 1, 4), UnitPrice: purser.USDPerHourOf(price), Limit: limit,
		}
	}
	g := func(name, model string, wait time.Duration) purser.Job {
		return purser.Job{ID: purser.JobID(name), Project: "p", Name: name, Groups: []purser.TaskGroup{{
			Name: "g", Kind: purser.Training, Run: purser.Run{Command: "x"}, RunTime: 2 * time.Hour, Replicas: 2, CanWait: wait,
			Variants: []purser.Variant{{Name: "v", Accelerator: model, Devices: 1000, MilliCPU: 1000, MemoryMiB: 1024}},
		}}}
	}
	in := optimizer.Input{
		Now: noon, Offers: []purser.Offer{o("aws", "L4", 1, 1), o("gcp", "L4", 10, purser.Unlimited), o("aws", "A100-80GB", 1, 1), o("gcp", "A100-80GB", 10, purser.Unlimited)},
		Jobs:   []purser.Job{g("now", "L4", 0), g("later", "A100-80GB", 10*time.Hour)},
		Quotas: []purser.Quota{{Name: "q", Unit: purser.QuotaMachines, Provider: "aws", Limit: 3}},
	}
	_, plan := planOf(t, rt, in, littleWork())
	if err := auditWaiting(in, plan); err != nil {
		t.Fatalf("%v\n%s", err, text(plan))
	}
	if len(plan.Later) != 1 {
		t.Errorf("one of two waits: %s", text(plan))
	}
}
