package optimizer

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"purser"
)

// sizedInput is one gang of several sizes on spot and on-demand machines of two devices.
func sizedInput(sizes []int, communication, hazard float64, checkpoint time.Duration, deadline time.Duration) Input {
	shape := purser.Shape{Accelerator: "L4", Devices: 2000, DeviceMemoryMiB: 24 << 10, MilliCPU: 8000, MemoryMiB: 32 << 10}
	in := Input{Now: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)}
	for _, o := range []struct {
		option purser.PurchaseOption
		price  float64
	}{{purser.Spot, 0.6}, {purser.OnDemand, 2}} {
		in.Offers = append(in.Offers, purser.Offer{
			Provider: "aws", Region: "r", Zone: "a", InstanceType: "two", Option: o.option, Shape: shape, UnitPrice: purser.USDPerHourOf(o.price), Limit: purser.Unlimited,
		})
	}
	in.Hazard = func(o purser.Offer) float64 {
		if o.Option == purser.Spot {
			return hazard
		}
		return 0
	}
	g := purser.TaskGroup{
		Name: "g", Kind: purser.Training, Gang: true, Replicas: sizes[0], Sizes: sizes, Work: 100, Run: purser.Run{Command: "x"},
		Scaling: purser.Scaling{Communication: communication}, Variants: []purser.Variant{{Name: "v", Accelerator: "L4", Devices: 1000, Throughput: 1}},
	}
	if checkpoint > 0 {
		g.Checkpoint = purser.Checkpoint{Path: "x", Every: checkpoint, Cost: time.Minute, Restart: 5 * time.Minute}
	}
	if deadline > 0 {
		g.Deadline = in.Now.Add(deadline)
	}
	in.Jobs = []purser.Job{{ID: "j", Project: "p", Name: "j", Groups: []purser.TaskGroup{g}}}
	return in
}

// The plan of several sizes is the best of the plans of each size alone, with what spot machines lose counted.
func TestSizesAreTheBestOfEach(t *testing.T) {
	sizes := []int{1, 2, 3, 4, 6, 8, 16}
	for name, c := range map[string]struct {
		communication, hazard float64
		checkpoint, deadline  time.Duration
	}{
		"nothing is lost":                 {0, 0, 0, 0},
		"they lose to one another":        {0.05, 0, 0, 0},
		"taken back, without checkpoints": {0.01, 0.02, 0, 0},
		"taken back, with checkpoints":    {0.01, 0.2, 30 * time.Minute, 0},
		"a deadline":                      {0.02, 0.05, time.Hour, 30 * time.Hour},
		"a near deadline":                 {0.02, 0.05, time.Hour, 11 * time.Hour},
	} {
		best, at := purser.Money(math.MaxInt64), 0
		for _, n := range sizes {
			_, plan := mustSolve(t, t, sizedInput([]int{n}, c.communication, c.hazard, c.checkpoint, c.deadline), Options{})
			if len(plan.Unplaced) == 0 && plan.Objective < best {
				best, at = plan.Objective, n
			}
		}
		_, plan := mustSolve(t, t, sizedInput(sizes, c.communication, c.hazard, c.checkpoint, c.deadline), Options{})
		if plan.Objective != best || plan.Placed() != at || plan.Status != purser.PlanOptimal {
			t.Errorf("%s: %s with %d replicas, %s; the best is %s with %d", name, plan.Objective.Decimal(), plan.Placed(), plan.Status, best.Decimal(), at)
		}
		t.Logf("%s: %d replicas for %s", name, plan.Placed(), plan.Objective.Decimal())
	}
}

// Check finds every kind of lie about a gang whose size the plan decides.
func TestCheckFindsLiesOfSizes(t *testing.T) {
	in := sizedInput([]int{2, 4}, 0.02, 0, 0, 30*time.Hour)
	other := in.Offers[0]
	other.Zone = "b"
	in.Offers = append(in.Offers, other)
	p, plan := mustSolve(t, t, in, Options{})
	if plan.Placed() != 4 || len(plan.Leases) != 2 {
		t.Fatalf("%d replicas on %d machines", plan.Placed(), len(plan.Leases))
	}
	for name, lie := range map[string]func(*purser.Plan){
		"a size that it has not": func(pl *purser.Plan) { pl.Leases[0].Placements = pl.Leases[0].Placements[1:] },
		"half of it, for the time of all": func(pl *purser.Plan) {
			pl.Leases = pl.Leases[:1]
			pl.UnitPrice, pl.Objective, pl.Bound, pl.Gap, pl.BaselinePrice = pl.UnitPrice/2, pl.Objective/2, 0, 1, pl.BaselinePrice/2
		},
		"half of it, for its own time": func(pl *purser.Plan) {
			pl.Leases = pl.Leases[:1]
			pl.Leases[0].Duration *= 2
		},
		"torn":     func(pl *purser.Plan) { pl.Leases[0].Offer = other },
		"numbered": func(pl *purser.Plan) { pl.Leases[0].Placements[0].Replica += 9 },
		"missing, too": func(pl *purser.Plan) {
			pl.Unplaced = []purser.Unplaced{{Job: "j", Group: "g", Replicas: 2, Reason: "so"}}
		},
		"nothing": func(pl *purser.Plan) { pl.Leases = nil },
	} {
		var broken purser.Plan
		if err := json.Unmarshal([]byte(planJSON(t, plan)), &broken); err != nil {
			t.Fatal(err)
		}
		if lie(&broken); Check(p, broken) == nil {
			t.Errorf("%s passes", name)
		}
	}
}

// A gang that runs keeps its size, also where another would be cheaper.
func TestRunningGangKeepsItsSize(t *testing.T) {
	in := sizedInput([]int{2, 4}, 0.05, 0, 0, 0)
	_, plan := mustSolve(t, t, in, Options{})
	if plan.Placed() != 2 {
		t.Fatalf("%d replicas", plan.Placed())
	}
	held := func(n int, left float64) Input {
		in := in
		lease := purser.Lease{Offer: in.Offers[1]}
		need := Need{Job: "j", Group: "g", World: 4, Left: map[int]float64{}}
		for r := range n {
			if r%2 == 0 {
				lease.ID = purser.LeaseID([]string{"l0", "l1"}[r/2])
				in.Held = append(in.Held, Held{Lease: lease})
			}
			h := &in.Held[len(in.Held)-1]
			h.Placements = append(h.Placements, purser.Placement{Job: "j", Group: "g", Replica: r, Variant: "v", Devices: 1000})
			need.Left[r] = left
		}
		need.Replicas = []int{0, 1, 2, 3}
		in.Needs = []Need{need}
		return in
	}
	for name, c := range map[string]Input{"it runs whole": held(4, 0.5), "half of it was lost": held(2, 0.5)} {
		for _, keep := range []bool{true, false} {
			c.KeepPlacements = keep
			_, plan := mustSolve(t, t, c, Options{})
			if plan.Placed() != 4 || len(plan.Unplaced) > 0 {
				t.Errorf("%s, kept %t: %d replicas and %d unplaced", name, keep, plan.Placed(), countUnplaced(plan))
			}
		}
	}
	wrong := held(4, 1)
	wrong.Needs[0].World = 3
	if _, err := NewProblem(wrong); purser.KindOf(err) != purser.KindInvalid {
		t.Errorf("a size that it has not: %v", err)
	}
}

// What keeping a checkpoint costs goes by how long the run takes in its size.
func TestSizedGangsPayForTheirCheckpoints(t *testing.T) {
	in := sizedInput([]int{2, 4}, 0, 0, 0, 30*time.Hour) // two replicas take 50 hours
	g := &in.Jobs[0].Groups[0]
	g.Checkpoint = purser.Checkpoint{Path: "ckpt", Every: time.Hour, SizeGB: 5000, Storage: purser.StorageStandard}
	_, plan := mustSolve(t, t, in, Options{}) // which runs Check
	n := plan.Placed()
	if n != 4 {
		t.Fatalf("%d are placed", n)
	}
	sized := g.Sized(n)
	want := purser.Money(n) * sized.ExtraCost(plan.Leases[0].Offer, sized.RunTimeOn(g.Variants[0]))
	if plan.ExtraCost != want || want <= 0 {
		t.Errorf("the checkpoints of %d replicas cost %s and not %s", n, plan.ExtraCost, want)
	}
}
