package optimizer_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"purser"
	"purser/optimizer"
)

// hold makes a plan real: its leases run with what is placed on them, and what they took of a limit can no longer be had.
func hold(in optimizer.Input, plan purser.Plan) optimizer.Input {
	in.Offers = slices.Clone(in.Offers)
	in.Held = nil
	for i, l := range plan.Leases {
		id := purser.LeaseID(fmt.Sprintf("lease-%03d", i))
		in.Held = append(in.Held, optimizer.Held{Lease: purser.Lease{ID: id, Offer: l.Offer, State: purser.LeaseRunning}, Placements: l.Placements, Commitment: l.Commitment})
		for k := range in.Offers {
			if o := &in.Offers[k]; o.ID() == l.Offer.ID() && o.Limit > 0 {
				o.Limit--
			}
		}
	}
	return in
}

// seat is where a replica is, and how it runs.
type seat struct {
	lease     purser.LeaseID
	placement purser.Placement
}

// changes counts new leases, and placements that are not where they were.
func changes(in optimizer.Input, plan purser.Plan) (launched, moved int) {
	was := map[seat]bool{}
	for _, h := range in.Held {
		for _, pl := range h.Placements {
			was[seat{h.Lease.ID, pl}] = true
		}
	}
	for _, l := range plan.Leases {
		if l.Held == "" {
			launched++
		}
		for _, pl := range l.Placements {
			if !was[seat{l.Held, pl}] {
				moved++
			}
		}
	}
	return launched, moved
}

// With prices as they were, a plan that is real stays as it is, and costs no more start-up.
func TestUnchangedPricesChangeNothing(t *testing.T) {
	rt := newSolver(t)
	tried := 0
	checkFew(t, 12, func(t *rapid.T) {
		in := drawInput(t, false)
		in.Quotas, in.Jobs = nil, in.Jobs[:min(2, len(in.Jobs))]
		for i := range in.Jobs {
			in.Jobs[i].Groups[0].Data = purser.Data{} // what has come need not come again
		}
		_, plan := planOf(t, rt, in, littleWork())
		if plan.Status != purser.PlanOptimal {
			return
		}
		tried++
		want := purser.Money(0)
		for _, l := range plan.Leases {
			rate := rateIn(in, l.Offer)
			if l.Commitment != "" {
				rate -= l.Offer.UnitPrice
			}
			want += rate.For(l.Duration - paidFor(in, l.Offer, 0))
		}
		held := hold(in, plan)
		for _, held.KeepPlacements = range []bool{true, false} {
			_, again := planOf(t, rt, held, littleWork())
			if launched, moved := changes(held, again); launched != 0 || moved != 0 || missing(again) != 0 {
				t.Fatalf("keeping placements %t: %d launched, %d moved, %d unplaced\n%s\n%s", held.KeepPlacements, launched, moved, missing(again), text(held), text(again))
			}
			if again.Objective != want {
				t.Fatalf("keeping placements %t: it costs %s and not %s\n%s\n%s", held.KeepPlacements, again.Objective.Decimal(), want.Decimal(), text(held), text(again))
			}
		}
	})
	if tried == 0 {
		t.Error("no drawn problem was solved to the optimum: nothing was tried")
	}
}

// Whatever prices do, a planning sweep leaves what runs where it is, and gives no service more than its most replicas: planOf checks that.
func TestPlanningSweepsMoveNothing(t *testing.T) {
	rt := newSolver(t)
	checkFew(t, 25, func(t *rapid.T) {
		in := drawInput(t, false)
		in.Quotas = nil
		_, plan := planOf(t, rt, in, littleWork())
		held := hold(in, plan)
		held.KeepPlacements = true
		for i := range held.Offers {
			held.Offers[i].UnitPrice = max(1, held.Offers[i].UnitPrice/purser.USDPerHour(rapid.IntRange(1, 10).Draw(t, "cheaper")))
		}
		_, again := planOf(t, rt, held, littleWork())
		at := map[seat]bool{}
		for _, l := range again.Leases {
			for _, pl := range l.Placements {
				at[seat{l.Held, pl}] = true
			}
		}
		for _, h := range held.Held {
			for _, pl := range h.Placements {
				if groupOf(in, pl.Job).Kind == purser.Training && !at[seat{h.Lease.ID, pl}] {
					t.Fatalf("replica %d of %s left its machine\n%s\n%s", pl.Replica, pl.Job, text(held), text(again))
				}
			}
		}
	})
}

// twoTypes is four replicas for a day, and two types of machine that hold two each.
func twoTypes() optimizer.Input {
	offer := func(name string, price float64) purser.Offer {
		return purser.Offer{
			Provider: "aws", Region: "r", Zone: "a", InstanceType: name, Option: purser.OnDemand, Shape: shapeOf("L4", 2, 8),
			UnitPrice: purser.USDPerHourOf(price), Limit: purser.Unlimited,
		}
	}
	g := purser.TaskGroup{
		Name: "g", Kind: purser.Training, Replicas: 4, RunTime: 20 * time.Hour, Run: purser.Run{Command: "x"},
		Variants: []purser.Variant{{Name: "v", Accelerator: "L4", Devices: 1000, MilliCPU: 1000, MemoryMiB: 1024}},
	}
	return optimizer.Input{
		Now: noon, Offers: []purser.Offer{offer("x", 2), offer("y", 3)},
		Jobs: []purser.Job{{ID: "j", Project: "p", Name: "j", Groups: []purser.TaskGroup{g}}},
	}
}

// A price that falls far enough moves what runs, in a rebalance alone; one that falls too little moves nothing.
func TestAPriceThatFalls(t *testing.T) {
	rt := newSolver(t)
	_, plan := planOf(t, rt, twoTypes(), littleWork())
	for _, c := range []struct {
		name            string
		price           float64
		keep            bool
		moved, launched int
	}{
		{"by half, planning", 1, true, 0, 0},
		{"by half, rebalancing", 1, false, 4, 2},
		{"below what runs by less than a move costs, rebalancing", 1.98, false, 0, 0},
		{"not at all, rebalancing", 3, false, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			held := hold(twoTypes(), plan)
			held.KeepPlacements = c.keep
			held.Offers[1].UnitPrice = purser.USDPerHourOf(c.price)
			_, again := planOf(t, rt, held, littleWork())
			if launched, moved := changes(held, again); launched != c.launched || moved != c.moved {
				t.Errorf("%d launched and %d moved, not %d and %d\n%s", launched, moved, c.launched, c.moved, text(again))
			}
		})
	}
}

// manyReplicas is 500 replicas of 25 groups on 40 offers.
func manyReplicas() optimizer.Input {
	in := optimizer.Input{Now: noon}
	for i := range int64(40) {
		model, n := []string{"L4", "A100-80GB"}[i%2], []int64{1, 2, 4, 8}[i/2%4]
		in.Offers = append(in.Offers, purser.Offer{
			Provider: "aws", Region: "r", Zone: []string{"a", "b", "c"}[i%3], InstanceType: fmt.Sprintf("t%d", i), Option: purser.OnDemand,
			Shape: shapeOf(model, n, 8), UnitPrice: purser.USDPerHourOf(float64(n) * (0.7 + float64(i*37%23)/40)), Limit: purser.Unlimited,
		})
	}
	for i := range int64(25) {
		g := purser.TaskGroup{Name: "g", Kind: purser.Training, Replicas: 20, RunTime: time.Duration(1+i*7%19) * time.Hour, Run: purser.Run{Command: "x"}, Gang: i%5 == 0}
		g.Variants = []purser.Variant{{
			Name: "v", Accelerator: []string{"L4", "A100-80GB"}[i%2], Devices: []purser.MilliDevices{125, 500, 1000, 2000}[i%4],
			MilliCPU: 500 + i*300, MemoryMiB: 1024 * (1 + i*5%13),
		}}
		if i%6 == 1 {
			g.Kind, g.RunTime, g.Replicas, g.Demand, g.Variants[0].Throughput = purser.Inference, 0, 0, 200, 10
			g.Survive = purser.Survive{Level: purser.DomainZone, Share: 0.8}
		}
		name := fmt.Sprintf("j%02d", i)
		in.Jobs = append(in.Jobs, purser.Job{ID: purser.JobID(name), Project: "p", Name: name, Groups: []purser.TaskGroup{g}})
	}
	return in
}

// cutPlan solves under a context that ends, and wants a sound plan or an error that says why there is none.
func cutPlan(ctx context.Context, t *testing.T, o optimizer.Options) (purser.Plan, bool) {
	t.Helper()
	rt := newSolver(t)
	in := manyReplicas()
	p, err := optimizer.NewProblem(in)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := optimizer.Solve(ctx, rt, p, o)
	if err != nil {
		if !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("the error does not say that the context ended: %v", err)
		}
		return purser.Plan{}, false
	}
	if err := optimizer.Check(p, plan); err != nil {
		t.Fatal(err)
	}
	if err := audit(in, plan); err != nil {
		t.Fatal(err)
	}
	return plan, true
}

func TestCancelledBefore(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if plan, ok := cutPlan(ctx, t, littleWork()); ok && !plan.CutByTime {
		t.Error("the context had ended and the plan does not say so")
	}
}

// The search is cancelled at each of its first steps in turn.
func TestCancelledAtEveryStep(t *testing.T) {
	for last := 1; last <= 12; last++ {
		ctx, cancel := context.WithCancel(t.Context())
		seen := 0
		o := littleWork()
		o.Progress = func(optimizer.Progress) {
			if seen++; seen == last {
				cancel()
			}
		}
		plan, ok := cutPlan(ctx, t, o)
		cancel()
		if ok && seen >= last && !plan.CutByTime && plan.Status != purser.PlanOptimal && plan.Gap > optimizer.DefaultGapTarget {
			t.Errorf("cancelled at step %d of the search, and the plan (gap %g) does not say that it was cut", last, plan.Gap)
		}
	}
}

func TestADeadlineGivesAPlan(t *testing.T) {
	newSolver(t) // compiling is not part of the time
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	plan, ok := cutPlan(ctx, t, optimizer.Options{})
	if !ok {
		t.Fatal("500 replicas have no plan after 50 ms")
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("a deadline of 50 ms was obeyed after %s", took)
	}
	if missing(plan) != 0 {
		t.Errorf("%d replicas are unplaced where machines have no limit", missing(plan))
	}
}
