package optimizer_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"purser"
	"purser/optimizer"
)

// drawPatience draws a problem in which some training can wait.
func drawPatience(t *rapid.T) optimizer.Input {
	in := drawInput(t, rapid.Bool().Draw(t, "scarce"))
	in.Snapshot = false
	if rapid.IntRange(0, 3).Draw(t, "commitments count") > 0 {
		in.Commitments = nil // what is promised is there now, so that little waits
	}
	for i := range in.Jobs {
		if g := &in.Jobs[i].Groups[0]; g.Kind == purser.Training {
			g.CanWait = time.Duration(rapid.SampledFrom([]int{0, 1, 4, 20}).Draw(t, "can wait")) * time.Hour
		}
	}
	if rapid.IntRange(0, 2).Draw(t, "prices change") == 0 {
		low := rapid.IntRange(1, 20).Draw(t, "low after")
		in.PriceAt = func(o purser.Offer, at time.Time) purser.USDPerHour {
			if o.Option == purser.Spot && at.Sub(noon) >= time.Duration(low)*time.Hour {
				return o.UnitPrice / 2
			}
			return o.UnitPrice
		}
	}
	return in
}

// costs is what a machine costs from one time to another, hour by hour.
func costs(in optimizer.Input, o purser.Offer, from time.Time, long time.Duration) purser.Money {
	if in.PriceAt == nil {
		return o.UnitPrice.For(long)
	}
	total := purser.Money(0)
	for at, end := from, from.Add(long); at.Before(end); {
		next := at.Truncate(time.Hour).Add(time.Hour)
		if next.After(end) {
			next = end
		}
		total += in.PriceAt(o, at).For(next.Sub(at))
		at = next
	}
	return total
}

// auditWaiting verifies a plan in which work waits, by code of its own.
func auditWaiting(in optimizer.Input, plan purser.Plan) error {
	of := map[purser.JobID][]placed{}
	starts := map[purser.JobID]map[time.Duration]bool{}
	total := purser.Money(0)
	type use struct {
		offer    purser.Offer
		from, to time.Duration
	}
	var uses []use
	machines := 0
	machine := func(l purser.PlannedLease, from time.Duration) error {
		machines++
		run := time.Duration(0)
		left := l.Offer.Shape
		for _, pl := range l.Placements {
			g := placedGroup(in, plan, pl.Job)
			at := placed{pl, l.Offer, machines}
			if err := auditPlacement(in, g, at); err != nil {
				return err
			}
			v := g.Variants[slices.IndexFunc(g.Variants, func(v purser.Variant) bool { return v.Name == pl.Variant })]
			left.Devices, left.MilliCPU, left.MemoryMiB = left.Devices-v.Devices, left.MilliCPU-v.MilliCPU, left.MemoryMiB-v.MemoryMiB
			run = max(run, runsFor(in, g, v))
			total += extraFor(in, g, v, l.Offer)
			of[pl.Job] = append(of[pl.Job], at)
			if starts[pl.Job] == nil {
				starts[pl.Job] = map[time.Duration]bool{}
			}
			starts[pl.Job][from] = true
			if end := in.Now.Add(from + paidFor(in, l.Offer, g.RunTimeOn(v)+g.Data.LoadTime())); !g.Deadline.IsZero() && end.After(g.Deadline) {
				return fmt.Errorf("%s ends at %s and its deadline is %s", pl.Job, end, g.Deadline)
			}
			if from > g.CanWait {
				return fmt.Errorf("%s begins after %s and can wait for %s", pl.Job, from, g.CanWait)
			}
		}
		if left.Devices < 0 || left.MilliCPU < 0 || left.MemoryMiB < 0 {
			return fmt.Errorf("%s holds more than it has room for", l.Offer.ID())
		}
		long := paidFor(in, l.Offer, run)
		if l.Commitment == "" {
			total += costs(in, l.Offer, in.Now.Add(from), long)
		} else if from > 0 {
			return fmt.Errorf("%s begins later and runs under a commitment", l.Offer.ID())
		}
		uses = append(uses, use{l.Offer, from, from + long})
		return nil
	}
	for _, l := range plan.Leases {
		if err := machine(l, 0); err != nil {
			return err
		}
	}
	for _, l := range plan.Later {
		if err := machine(l.PlannedLease, l.Start.Sub(in.Now)); err != nil {
			return err
		}
	}
	if err := auditCommitments(in, plan); err != nil {
		return err
	}
	for _, at := range uses {
		var now purser.Plan
		for _, u := range uses {
			if u.from <= at.from && at.from < u.to {
				now.Leases = append(now.Leases, purser.PlannedLease{Offer: u.offer})
			}
		}
		if err := auditSupply(in, now); err != nil {
			return fmt.Errorf("after %s: %w", at.from, err)
		}
	}
	for _, j := range in.Jobs {
		g, missing := j.Groups[0], 0
		for _, u := range plan.Unplaced {
			if u.Job == j.ID {
				missing += u.Replicas
			}
		}
		check := auditTraining
		if g.Kind == purser.Inference {
			check = auditService
		}
		if err := check(g, of[j.ID], missing); err != nil {
			return fmt.Errorf("%s: %w", j.ID, err)
		}
		if g.Gang && len(starts[j.ID]) > 1 {
			return fmt.Errorf("the gang %s begins at %d times", j.ID, len(starts[j.ID]))
		}
	}
	// Waiting counts a thousandth of a part of a machine for each hour.
	extra := plan.Objective - total
	most := purser.Money(0)
	for _, l := range plan.Later {
		for range l.Placements {
			most += purser.Money(0.001*l.Start.Sub(in.Now).Hours()*float64(l.Offer.UnitPrice)) + 1
		}
	}
	if slack := purser.Money(4 * (len(uses) + 1) * 40); extra < -slack || extra > most+slack {
		return fmt.Errorf("the plan costs %s and the machines %s", plan.Objective.Decimal(), total.Decimal())
	}
	return nil
}

// Plans in which work waits hold, and do not depend on the order of the input; that something may wait makes nothing dearer, and no bound too high.
func TestPlansThatWaitHold(t *testing.T) {
	rt := newSolver(t)
	waited := 0
	checkFew(t, 25, func(t *rapid.T) {
		in := drawPatience(t)
		_, plan := planOf(t, rt, in, littleWork())
		if err := auditWaiting(in, plan); err != nil {
			t.Fatalf("%v\n%s\n%s", err, text(in), text(plan))
		}
		if len(plan.Waiting) > 0 {
			waited++
		}
		turned := in
		turned.Jobs, turned.Offers = slices.Clone(in.Jobs), slices.Clone(in.Offers)
		slices.Reverse(turned.Jobs)
		slices.Reverse(turned.Offers)
		if _, again := planOf(t, rt, turned, littleWork()); text(again) != text(plan) {
			t.Fatalf("the order of the input matters\n%s\n%s\n%s", text(in), text(plan), text(again))
		}
		hasty := in
		hasty.Jobs = slices.Clone(in.Jobs)
		for i := range hasty.Jobs {
			hasty.Jobs[i].Groups = slices.Clone(hasty.Jobs[i].Groups)
			hasty.Jobs[i].Groups[0].CanWait = 0
		}
		_, now := planOf(t, rt, hasty, littleWork())
		if missing(now) < missing(plan) {
			t.Fatalf("%d have no place where %d have when nothing waits\n%s", missing(plan), missing(now), text(in))
		}
		if missing(now) == missing(plan) && plan.Bound > now.Objective {
			t.Fatalf("a plan without waiting costs %s and the bound is %s\n%s", now.Objective.Decimal(), plan.Bound.Decimal(), text(in))
		}
		if missing(now) == missing(plan) && plan.Status == purser.PlanOptimal && float64(plan.Objective) > float64(now.Objective)*(1+1e-5) {
			t.Fatalf("waiting makes the plan dearer: %s instead of %s\n%s", plan.Objective.Decimal(), now.Objective.Decimal(), text(in))
		}
	})
	t.Logf("something waited in %d of them", waited) // the fixed cases of waiting_test.go see to it that something does
}

// Once a plan's machines run, what waits waits on, and nothing that runs is moved for it by a planning sweep.
func TestPlansThatWaitGoOn(t *testing.T) {
	rt := newSolver(t)
	checkFew(t, 12, func(t *rapid.T) {
		in := drawPatience(t)
		in.Quotas = nil
		_, plan := planOf(t, rt, in, littleWork())
		held := hold(in, plan)
		held.Now = in.Now.Add(time.Duration(rapid.IntRange(0, 90).Draw(t, "minutes")) * time.Minute)
		for i := range held.Jobs {
			held.Jobs[i].SubmittedAt = in.Now
		}
		for _, held.KeepPlacements = range []bool{true, false} {
			_, again := planOf(t, rt, held, littleWork())
			if _, moved := changes(held, again); held.KeepPlacements && len(plan.Waiting) == 0 && moved > 0 && missing(plan) == 0 {
				t.Fatalf("%d moved\n%s\n%s", moved, text(held), text(again))
			}
			for _, l := range again.Later {
				for _, pl := range l.Placements {
					for _, h := range held.Held {
						if slices.ContainsFunc(h.Placements, func(x purser.Placement) bool {
							return x.Job == pl.Job && x.Group == pl.Group && x.Replica == pl.Replica
						}) {
							t.Fatalf("replica %d of %s runs and is to wait\n%s\n%s", pl.Replica, pl.Job, text(held), text(again))
						}
					}
				}
			}
		}
	})
}
