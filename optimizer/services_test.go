package optimizer_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"purser"
	"purser/optimizer"
	"purser/optimizer/highs"
)

// helper is what testing.T and rapid.T have in common here.
type helper interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
}

// compiled is the solver of this test binary: compiling it takes longer than most tests.
var compiled = sync.OnceValues(func() (*highs.Runtime, error) {
	return highs.New(context.Background(), highs.Config{CacheDir: filepath.Join(os.TempDir(), "purser-test-solver")})
})

func newSolver(t *testing.T) *highs.Runtime {
	t.Helper()
	rt, err := compiled()
	if errors.Is(err, highs.ErrNoModule) && os.Getenv("CI") == "" {
		t.Skip("the solver is not built in; run `make build`")
	}
	if err != nil {
		t.Fatal(err)
	}
	return rt
}

// littleWork ends every search of a small problem within tenths of a second.
func littleWork() optimizer.Options {
	return optimizer.Options{Work: optimizer.Work{Rounds: 100, KnapsackNodes: 50_000, MIPWork: 4_000, Dives: 3}}
}

// patience ends a search that its work limits should have ended long before.
const patience = 20 * time.Second

// planOf solves and checks. The search must end by itself.
func planOf(t helper, rt *highs.Runtime, in optimizer.Input, o optimizer.Options) (*optimizer.Problem, purser.Plan) {
	t.Helper()
	defer func() {
		if r := recover(); r != nil {
			if err, ok := r.(error); ok && strings.Contains(err.Error(), "runtime error") {
				t.Fatalf("panic: %v at %s\n%s", r, debug.Stack(), text(in))
			}
			panic(r) // rapid stops a test by a panic of its own
		}
	}()
	p, err := optimizer.NewProblem(in)
	if err != nil {
		t.Fatalf("%v\n%s", err, text(in))
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	plan, err := optimizer.Solve(ctx, rt, p, o)
	if err != nil {
		t.Fatalf("%v\n%s", err, text(in))
	}
	if plan.CutByTime {
		t.Fatalf("a clock ended the search, not the work limits\n%s", text(in))
	}
	if err := optimizer.Check(p, plan); err != nil {
		t.Fatalf("%v\n%s\n%s", err, text(in), text(plan))
	}
	return p, plan
}

// text is a value as JSON, for messages and for comparing byte by byte.
func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// checkFew is rapid.Check with n tries, unless -rapid.checks asks for another number than its default.
func checkFew(t *testing.T, n int, prop func(*rapid.T)) {
	t.Helper()
	f := flag.Lookup("rapid.checks")
	if f != nil && f.Value.String() == f.DefValue {
		if testing.Short() {
			n = max(5, n) // of which rapid itself then takes a fifth
		}
		if err := flag.Set("rapid.checks", strconv.Itoa(n)); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = flag.Set("rapid.checks", f.DefValue) }()
	}
	rapid.Check(t, prop)
}

// Services with and without a failover policy, with a demand and with a number of
// replicas.
func TestServicesOfAllKinds(t *testing.T) {
	rt := newSolver(t)
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
			in := optimizer.Input{Offers: offers, Jobs: []purser.Job{{ID: "j", Project: "p", Name: "j", Groups: []purser.TaskGroup{g}}}}
			_, plan := planOf(t, rt, in, optimizer.Options{})
			if plan.Status != purser.PlanOptimal && len(plan.Unplaced) == 0 {
				t.Errorf("status %s, gap %g", plan.Status, plan.Gap)
			}
			if err := audit(in, plan); err != nil {
				t.Error(err)
			}
		})
	}
}
