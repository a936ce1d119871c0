package optimizer_test

// NOTE FROM THE OWNER (07:15 UTC), to whoever works in this folder now. Delete this comment when done.
//  1. COMMIT what you have right now (git add optimizer/*.go; git commit -- optimizer), and again every 5 minutes. Session time is short:
//     you must have REPORTED by 07:40 UTC, with lint (golangci-lint run ./optimizer), package comment in doc.go, and tests in place.
//  2. Solve PANICS for inference groups without Survive (shortage.go:186 alone -> singles.go:65 singleIn, index -1): TestServicesOfEveryKind.
//  3. The ladder that counts is package bench (`go run ./cmd/purser bench ladder --data $PURSER_DATA`, or TestLadderRungs below): at 1,000 replicas
//     on 300 offers the gap is 22 % after 0.5-2 s, and at 10,000 it is 26 % with 53 replicas unplaced after 10 s. Parts: services alone 1.8 %,
//     without services and gangs 0.7 %, without quotas 16 %. So gangs (up to 16 replicas, whole machines or parts) together with services and quotas are what
//     fails; the floor is <= 0.5 % in 10 s for 10,000. The bound may be loose, the plan may be bad: look at which (e.g. plan of each part
//     alone, added up, is $2338 + ...). A plan must never be dearer than the sum of plans of independent parts.
import (
	"context"
	"os"
	"testing"
	"time"

	"purser"
	"purser/bench"
	"purser/optimizer"
	"purser/optimizer/highs"
)

func solver(t *testing.T) *highs.Runtime {
	t.Helper()
	rt, err := highs.New(t.Context(), highs.Config{CacheDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rt.Close(context.Background()) })
	return rt
}

func solve(t *testing.T, rt *highs.Runtime, in optimizer.Input, limit time.Duration) purser.Plan {
	t.Helper()
	p, err := optimizer.NewProblem(in)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	plan, err := optimizer.Solve(ctx, rt, p, optimizer.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// Services with and without a failover policy, with a demand and with a number of
// replicas.
func TestServicesOfEveryKind(t *testing.T) {
	rt := solver(t)
	var offers []purser.Offer
	for _, zone := range []string{"a", "b", "c"} {
		for i, n := range []int64{1, 4} {
			offers = append(offers, purser.Offer{
				Provider: "aws", Region: "r", Zone: zone, InstanceType: []string{"one", "four"}[i], Option: purser.OnDemand, Limit: purser.Unlimited,
				UnitPrice: purser.USDPerHourOf(float64(n) * 0.9), Shape: purser.Shape{Accelerator: "L4", Devices: purser.MilliDevices(n * 1000), MilliCPU: n * 8000, MemoryMiB: n * 32768},
			})
		}
	}
	for name, g := range map[string]purser.TaskGroup{
		"demand alone":       {Demand: 95},
		"replicas alone":     {Replicas: 3},
		"demand, least":      {Demand: 10, Replicas: 4},
		"survives zones":     {Demand: 95, Survive: purser.Survive{Level: purser.DomainZone, Share: 1}},
		"survives half":      {Demand: 95, Survive: purser.Survive{Level: purser.DomainZone, Share: 0.5}},
		"share of a device":  {Demand: 95, Headroom: 0.2},
		"most of a few":      {Demand: 95, MaxReplicas: 12},
		"too few at most":    {Demand: 95, MaxReplicas: 2},
		"survives a region":  {Demand: 20, Survive: purser.Survive{Level: purser.DomainRegion, Share: 1}},
		"replicas, survives": {Replicas: 2, Survive: purser.Survive{Level: purser.DomainZone, Share: 0.5}},
	} {
		t.Run(name, func(t *testing.T) {
			g.Name, g.Kind, g.Run = "serve", purser.Inference, purser.Run{Command: "x"}
			g.Variants = []purser.Variant{{Name: "v", Accelerator: "L4", Devices: 500, MilliCPU: 1000, MemoryMiB: 1024, Throughput: 10}}
			plan := solve(t, rt, optimizer.Input{Offers: offers, Jobs: []purser.Job{{ID: "j", Project: "p", Name: "j", Groups: []purser.TaskGroup{g}}}}, 10*time.Second)
			if plan.Status != purser.PlanOptimal && len(plan.Unplaced) == 0 {
				t.Errorf("status %s, gap %g", plan.Status, plan.Gap)
			}
		})
	}
}

// The floor of the ladder, on real traces and prices.
func TestLadderRungs(t *testing.T) {
	data := os.Getenv("PURSER_DATA")
	if data == "" {
		t.Skip("PURSER_DATA names no folder with the real traces")
	}
	if testing.Short() {
		t.Skip("short")
	}
	l, err := bench.ReadLadder(t.Context(), data)
	if err != nil {
		t.Fatal(err)
	}
	rt := solver(t)
	for _, n := range []int{100, 1000, 10000} {
		plan := solve(t, rt, l.Rung(n, 300, 1), 20*time.Second)
		t.Logf("%d replicas: %s, gap %.4f %%, objective %s, bound %s, unplaced %d", n, plan.Status, 100*plan.Gap, plan.Objective, plan.Bound, len(plan.Unplaced))
		if plan.Gap > 0.01 || len(plan.Unplaced) > 0 {
			t.Errorf("%d replicas: gap %.2f %%, %d groups unplaced", n, 100*plan.Gap, len(plan.Unplaced))
		}
	}
}
