package optimizer_test

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"purser"
	"purser/optimizer"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// placed is a placement and the machine that it is on.
type placed struct {
	purser.Placement
	offer   purser.Offer
	machine int
}

// domain is what a placement is lost with; empty: with nothing.
func (pl placed) domain(level purser.DomainLevel) string {
	if level == purser.DomainMachine {
		return fmt.Sprint(pl.machine)
	}
	return pl.offer.Domain(level)
}

// audit verifies a plan of a problem without held leases by code of its own, from what the input means.
func audit(in optimizer.Input, plan purser.Plan) error {
	of := map[purser.JobID][]placed{}
	for i, l := range plan.Leases {
		var devices purser.MilliDevices
		var cpu, memory, disk int64
		for _, pl := range l.Placements {
			devices, cpu, memory = devices+pl.Devices, cpu+pl.MilliCPU, memory+pl.MemoryMiB
			disk += diskFor(groupOf(in, pl.Job))
			of[pl.Job] = append(of[pl.Job], placed{pl, l.Offer, i})
		}
		if devices > l.Offer.Devices || cpu > l.Offer.MilliCPU || memory > l.Offer.MemoryMiB || disk > l.Offer.DiskMiB {
			return fmt.Errorf("%s holds more than it has room for", l.Offer.ID())
		}
	}
	if err := auditSupply(in, plan); err != nil {
		return err
	}
	for _, j := range in.Jobs {
		missing := 0
		for _, u := range plan.Unplaced {
			if u.Job == j.ID {
				missing += u.Replicas
			}
		}
		g := sizedFor(j.Groups[0], of[j.ID])
		for _, pl := range of[j.ID] {
			if err := auditPlacement(in, g, pl); err != nil {
				return fmt.Errorf("%s: %w", j.ID, err)
			}
		}
		auditGroup := auditTraining
		if g.Kind == purser.Inference {
			auditGroup = auditService
		}
		if err := auditGroup(g, of[j.ID], missing); err != nil {
			return fmt.Errorf("%s: %w", j.ID, err)
		}
	}
	return auditMoney(in, plan)
}

func auditSupply(in optimizer.Input, plan purser.Plan) error {
	bought := map[purser.OfferID]int{}
	for _, l := range plan.Leases {
		bought[l.Offer.ID()]++
	}
	for _, o := range in.Offers {
		if o.Limit != purser.Unlimited && bought[o.ID()] > o.Limit {
			return fmt.Errorf("%d of %s and the limit is %d", bought[o.ID()], o.ID(), o.Limit)
		}
	}
	for _, q := range in.Quotas {
		used := int64(0)
		for _, l := range plan.Leases {
			used += q.Weight(l.Offer)
		}
		if used > q.Limit*1000 {
			return fmt.Errorf("quota %s: %d thousandths of %d", q.Name, used, q.Limit*1000)
		}
	}
	return nil
}

func auditPlacement(in optimizer.Input, g purser.TaskGroup, pl placed) error {
	i := slices.IndexFunc(g.Variants, func(v purser.Variant) bool { return v.Name == pl.Variant })
	if i < 0 {
		return fmt.Errorf("there is no variant %q", pl.Variant)
	}
	v := g.Variants[i]
	switch {
	case v.Devices != pl.Devices || v.MilliCPU != pl.MilliCPU || v.MemoryMiB != pl.MemoryMiB:
		return fmt.Errorf("replica %d has another size than its variant", pl.Replica)
	case !diskFits(g, v, pl.offer):
		return fmt.Errorf("replica %d needs more than its part of the disks of %s", pl.Replica, pl.offer.ID())
	case v.Accelerator != "" && v.Accelerator != pl.offer.Accelerator, v.DeviceMemoryMiB > pl.offer.DeviceMemoryMiB:
		return fmt.Errorf("replica %d cannot run on %s", pl.Replica, pl.offer.ID())
	case in.Atlas.Allows(&g, pl.offer) != "":
		return fmt.Errorf("replica %d may not run on %s: %s", pl.Replica, pl.offer.ID(), in.Atlas.Allows(&g, pl.offer))
	case v.Quality < g.MinQuality:
		return fmt.Errorf("replica %d runs a variant of quality %g below %g", pl.Replica, v.Quality, g.MinQuality)
	}
	return nil
}

// auditService loses every set of domains in turn and counts what is still served.
func auditService(g purser.TaskGroup, at []placed, missing int) error {
	if g.MaxReplicas > 0 && len(at) > g.MaxReplicas {
		return fmt.Errorf("%d replicas and %d are allowed", len(at), g.MaxReplicas)
	}
	if missing > 0 {
		return nil
	}
	const noise = 1e-6
	if n := served(g, at); n < g.Demand*(1+g.Headroom)-noise || len(at) < g.Replicas {
		return fmt.Errorf("%d replicas serve %g of %g", len(at), n, g.Demand*(1+g.Headroom))
	}
	if g.Survive.Level == purser.DomainNone {
		return nil
	}
	need := g.Survive.Share * g.Demand
	if g.Demand == 0 {
		need = g.Survive.Share * float64(g.Replicas)
	}
	if left := servedWithout(g, at, max(g.Survive.Failures, 1)); left < need-noise {
		return fmt.Errorf("after the worst loss only %g of %g is served", left, need)
	}
	return nil
}

// served is what replicas serve. A service without a demand serves with its replicas: each counts one.
func served(g purser.TaskGroup, at []placed) float64 {
	sum := 0.0
	for _, pl := range at {
		for _, v := range g.Variants {
			if v.Name == pl.Variant && g.Demand > 0 {
				sum += v.Throughput
			} else if v.Name == pl.Variant {
				sum++
			}
		}
	}
	return sum
}

// servedWithout is what is served after the worst loss of so many domains.
func servedWithout(g purser.TaskGroup, at []placed, failures int) float64 {
	worst := served(g, at)
	if failures == 0 {
		return worst
	}
	for _, pl := range at {
		if lost := pl.domain(g.Survive.Level); lost != "" {
			rest := slices.DeleteFunc(slices.Clone(at), func(o placed) bool { return o.domain(g.Survive.Level) == lost })
			worst = min(worst, servedWithout(g, rest, failures-1))
		}
	}
	return worst
}

// runsFor is how long one replica keeps its machine within the horizon.
func runsFor(in optimizer.Input, g purser.TaskGroup, v purser.Variant) time.Duration {
	if in.Snapshot {
		return time.Hour
	}
	horizon := cmp.Or(in.Horizon, optimizer.DefaultHorizon)
	if g.Kind == purser.Inference {
		return horizon
	}
	if g.Varies() {
		return g.RunTimeOn(v) + g.Data.LoadTime() // counted to its end
	}
	return min(g.RunTimeOn(v)+g.Data.LoadTime(), horizon)
}

// paidFor is how long a new machine is paid when its longest replica runs for run.
func paidFor(in optimizer.Input, o purser.Offer, run time.Duration) time.Duration {
	if in.Snapshot {
		return run
	}
	return optimizer.DefaultStartUp(o) + run
}

// groupOf is the only group of a job.
func groupOf(in optimizer.Input, id purser.JobID) purser.TaskGroup {
	i := slices.IndexFunc(in.Jobs, func(j purser.Job) bool { return j.ID == id })
	return in.Jobs[i].Groups[0]
}

// auditMoney adds up what the plan costs.
func auditMoney(in optimizer.Input, plan purser.Plan) error {
	total, extra := purser.Money(0), purser.Money(0)
	for _, l := range plan.Leases {
		run := time.Duration(0)
		for _, pl := range l.Placements {
			g := placedGroup(in, plan, pl.Job)
			v := g.Variants[slices.IndexFunc(g.Variants, func(v purser.Variant) bool { return v.Name == pl.Variant })]
			run = max(run, runsFor(in, g, v))
			extra += extraFor(in, g, v, l.Offer)
			if end := in.Now.Add(paidFor(in, l.Offer, g.RunTimeOn(v)+g.Data.LoadTime())); !in.Snapshot && !g.Deadline.IsZero() && end.After(g.Deadline) {
				return fmt.Errorf("%s ends at %s and its deadline is %s", pl.Job, end, g.Deadline)
			}
		}
		if l.Duration != paidFor(in, l.Offer, run) {
			return fmt.Errorf("%s is needed for %s and not %s", l.Offer.ID(), paidFor(in, l.Offer, run), l.Duration)
		}
		rate := rateIn(in, l.Offer)
		if l.Commitment != "" {
			rate -= l.Offer.UnitPrice
		}
		total += rate.For(l.Duration)
	}
	if err := auditCommitments(in, plan); err != nil {
		return err
	}
	if extra != plan.ExtraCost {
		return fmt.Errorf("the replicas cost %s beside their machines and not %s", extra.Decimal(), plan.ExtraCost.Decimal())
	}
	if total += extra; total != plan.Objective {
		return fmt.Errorf("the plan costs %s and not %s", total.Decimal(), plan.Objective.Decimal())
	}
	if plan.Bound > plan.Objective {
		return fmt.Errorf("the bound %s lies above the cost %s", plan.Bound.Decimal(), plan.Objective.Decimal())
	}
	return nil
}

// rateIn is what an hour of a machine counts: its price and that of its carbon.
func rateIn(in optimizer.Input, o purser.Offer) purser.USDPerHour {
	if in.Carbon == nil {
		return o.UnitPrice
	}
	return o.UnitPrice + purser.USDPerHour(math.Ceil(float64(in.CarbonPrice)*in.Carbon(o)/1e6))
}

// missing is how many replicas a plan leaves out.
func missing(plan purser.Plan) int {
	n := 0
	for _, u := range plan.Unplaced {
		n += u.Replicas
	}
	return n
}

// fits says whether one replica may run on a machine of the offer, and how long that keeps the machine.
func fits(in optimizer.Input, g purser.TaskGroup, v purser.Variant, o purser.Offer) bool {
	late := !in.Snapshot && !g.Deadline.IsZero() && in.Now.Add(paidFor(in, o, g.RunTimeOn(v)+g.Data.LoadTime())).After(g.Deadline)
	return !late && (v.Accelerator == "" || v.Accelerator == o.Accelerator) && v.DeviceMemoryMiB <= o.DeviceMemoryMiB && v.Devices <= o.Devices &&
		v.MilliCPU <= o.MilliCPU && v.MemoryMiB <= o.MemoryMiB && v.Quality >= g.MinQuality && diskFits(g, v, o) && in.Atlas.Allows(&g, o) == ""
}

func TestEveryPlanHolds(t *testing.T) {
	rt := newSolver(t)
	checkFew(t, 60, func(t *rapid.T) {
		in := drawInput(t, false)
		_, plan := planOf(t, rt, in, littleWork())
		if err := audit(in, plan); err != nil {
			t.Fatalf("%v\n%s\n%s", err, text(in), text(plan))
		}
		if plan.Status == purser.PlanOptimal && (plan.Gap > 1e-6 || len(plan.Unplaced) > 0) {
			t.Fatalf("optimal with a gap of %g and %d unplaced\n%s", plan.Gap, missing(plan), text(in))
		}
	})
}

// Where machines are short, what is missing is counted and the rest is right.
func TestPlansOfShortSupplyHold(t *testing.T) {
	rt := newSolver(t)
	checkFew(t, 40, func(t *rapid.T) {
		in := drawInput(t, true)
		_, plan := planOf(t, rt, in, littleWork())
		if err := audit(in, plan); err != nil {
			t.Fatalf("%v\n%s\n%s", err, text(in), text(plan))
		}
		if plan.Status == purser.PlanOptimal && len(plan.Unplaced) > 0 {
			t.Fatalf("optimal with %d unplaced\n%s", missing(plan), text(in))
		}
	})
}

// Where nothing binds, every replica that some machine can serve is placed, for no more than it costs alone.
func TestNeverDearerThanAlone(t *testing.T) {
	rt := newSolver(t)
	checkFew(t, 30, func(t *rapid.T) {
		in := optimizer.Input{Now: noon, Atlas: drawnAtlas(), Offers: drawOffers(t), Snapshot: rapid.Bool().Draw(t, "snapshot")}
		for i := range in.Offers {
			in.Offers[i].Limit = purser.Unlimited
		}
		alone, hopeless := purser.Money(0), 0
		for i := range rapid.IntRange(1, 5).Draw(t, "jobs") {
			name := fmt.Sprintf("j%d", i)
			g := drawGroup(t, false)
			g.Spread = purser.Spread{} // where it may not lie together, there need not be enough places
			in.Jobs = append(in.Jobs, purser.Job{ID: purser.JobID(name), Project: "p", Name: name, Groups: []purser.TaskGroup{g}})
			cheapest := purser.Money(-1)
			for _, o := range in.Offers {
				for _, v := range g.Variants {
					cost := o.UnitPrice.For(paidFor(in, o, runsFor(in, g, v))) + extraFor(in, g, v, o)
					if fits(in, g, v, o) && (cheapest < 0 || cost < cheapest) {
						cheapest = cost
					}
				}
			}
			if cheapest < 0 {
				hopeless += g.Replicas
			} else {
				alone += cheapest * purser.Money(g.Replicas)
			}
		}
		_, plan := planOf(t, rt, in, littleWork())
		if missing(plan) != hopeless {
			t.Fatalf("%d replicas are unplaced and %d cannot be placed\n%s", missing(plan), hopeless, text(in))
		}
		if plan.Objective > alone {
			t.Fatalf("the plan costs %s and each replica alone %s\n%s", plan.Objective.Decimal(), alone.Decimal(), text(in))
		}
	})
}

// Neither the order of the input nor a second run changes anything.
func TestOrderDoesNotMatter(t *testing.T) {
	rt := newSolver(t)
	checkFew(t, 20, func(t *rapid.T) {
		in := drawInput(t, false)
		_, plan := planOf(t, rt, in, littleWork())
		if _, again := planOf(t, rt, in, littleWork()); text(again) != text(plan) {
			t.Fatalf("two runs differ\n%s\n%s\n%s", text(in), text(plan), text(again))
		}
		mixed := in
		mixed.Offers = rapid.Permutation(in.Offers).Draw(t, "offers in another order")
		mixed.Jobs = rapid.Permutation(in.Jobs).Draw(t, "jobs in another order")
		if len(in.Commitments) > 0 {
			mixed.Commitments = rapid.Permutation(in.Commitments).Draw(t, "commitments in another order")
		}
		mixed.Quotas = rapid.Permutation(in.Quotas).Draw(t, "quotas in another order")
		if _, other := planOf(t, rt, mixed, littleWork()); other.Objective != plan.Objective || other.Bound != plan.Bound || missing(other) != missing(plan) {
			t.Fatalf("in another order: %s, bound %s, %d unplaced; before %s, %s, %d\n%s", other.Objective.Decimal(), other.Bound.Decimal(), missing(other),
				plan.Objective.Decimal(), plan.Bound.Decimal(), missing(plan), text(in))
		}
	})
}
