package optimizer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"purser"
)

var testNow = time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)

// drawInput makes a small problem: up to so many replicas of training groups, and services when asked for.
func drawInput(t *rapid.T, replicas int, services bool) Input {
	in := Input{Now: testNow, Snapshot: rapid.IntRange(0, 3).Draw(t, "snapshot") == 0}
	for i := range rapid.IntRange(1, 5).Draw(t, "offers") {
		n := rapid.SampledFrom([]int64{0, 1, 2, 4}).Draw(t, "devices")
		o := purser.Offer{
			Provider: "aws", Region: "r", Zone: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "zone"), InstanceType: fmt.Sprintf("t%d", i),
			Option:    rapid.SampledFrom([]purser.PurchaseOption{purser.OnDemand, purser.Spot, purser.Private}).Draw(t, "option"),
			Limit:     rapid.SampledFrom([]int{purser.Unlimited, purser.Unlimited, 0, 1, 2}).Draw(t, "limit"),
			Shape:     purser.Shape{Devices: purser.MilliDevices(n * 1000), MilliCPU: 4000 * (n + 1), MemoryMiB: 16384 * (n + 1)},
			UnitPrice: purser.USDPerHourOf(float64(rapid.IntRange(10, 400).Draw(t, "price")) / 100 * float64(n+1)),
		}
		if n > 0 {
			o.Accelerator, o.DeviceMemoryMiB = "L4", 24*1024
		}
		in.Offers = append(in.Offers, o)
	}
	for i := 0; replicas > 0; i++ {
		n := rapid.IntRange(1, min(3, replicas)).Draw(t, "replicas")
		replicas -= n
		v := purser.Variant{Name: "v", MilliCPU: rapid.Int64Range(1, 8).Draw(t, "cpu") * 1000, MemoryMiB: rapid.Int64Range(1, 30).Draw(t, "gib") * 1024, Throughput: 10}
		if d := rapid.SampledFrom([]int64{0, 125, 500, 1000, 2000}).Draw(t, "share"); d > 0 {
			v.Accelerator, v.Devices = "L4", purser.MilliDevices(d)
		}
		g := purser.TaskGroup{
			Name: "g", Kind: purser.Training, Replicas: n, Gang: n > 1 && rapid.Bool().Draw(t, "gang"),
			RunTime:  time.Duration(rapid.SampledFrom([]int{20, 60, 240, 3000}).Draw(t, "minutes")) * time.Minute,
			Variants: []purser.Variant{v}, Run: purser.Run{Command: "true"},
		}
		g.Variants[0].Throughput = 0
		if rapid.Bool().Draw(t, "checkpoints") {
			g.Checkpoint = purser.Checkpoint{Path: "x", Every: 30 * time.Minute, Cost: time.Minute, Restart: 2 * time.Minute}
		}
		if services && rapid.IntRange(0, 2).Draw(t, "service") == 0 {
			g.Kind, g.Gang, g.RunTime, g.Replicas = purser.Inference, false, 0, 0
			g.Variants[0].Throughput = 10
			g.Demand = float64(rapid.IntRange(1, 25).Draw(t, "demand"))
			if rapid.Bool().Draw(t, "survives") {
				g.Survive = purser.Survive{Level: purser.DomainZone, Share: rapid.SampledFrom([]float64{0.5, 1}).Draw(t, "kept")}
			}
		}
		id := fmt.Sprintf("j%d", i)
		in.Jobs = append(in.Jobs, purser.Job{ID: purser.JobID(id), Project: "p", Name: id, Priority: rapid.IntRange(0, 1).Draw(t, "priority"), Groups: []purser.TaskGroup{g}})
	}
	if rapid.IntRange(0, 3).Draw(t, "quota") == 0 {
		in.Quotas = []purser.Quota{{Name: "q", Limit: int64(rapid.IntRange(0, 4).Draw(t, "quota limit")), Unit: purser.QuotaMachines, Option: purser.Spot}}
	}
	if rapid.Bool().Draw(t, "hazards") {
		hazards := map[purser.OfferID]float64{}
		for _, o := range in.Offers {
			hazards[o.ID()] = rapid.SampledFrom([]float64{0, 0.001, 0.05, 0.5}).Draw(t, "hazard")
		}
		in.Hazard = func(o purser.Offer) float64 { return hazards[o.ID()] }
	}
	if rapid.IntRange(0, 2).Draw(t, "carbon counts") == 0 {
		in.Carbon = func(o purser.Offer) float64 { return float64(len(o.InstanceType)*100 + len(o.ID())) }
		in.CarbonPrice = purser.MoneyOf(rapid.SampledFrom([]float64{0, 100, 10_000}).Draw(t, "price of carbon"))
	}
	return in
}

type fataler interface {
	Helper()
	Fatal(args ...any)
}

func mustSolve(t fataler, tb testing.TB, in Input, o Options) (*Problem, purser.Plan) {
	t.Helper()
	p, err := NewProblem(in)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := Solve(tb.Context(), solver(tb), p, o) // Solve runs Check
	if err != nil {
		t.Fatal(err)
	}
	return p, plan
}

// Every plan passes Check, costs no less than its bound, and no more than the plans of the first moment.
func TestPlansHold(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		in := drawInput(rt, 8, true)
		p, plan := mustSolve(rt, t, in, Options{Work: Work{Dives: 2}})
		if plan.Bound > plan.Objective {
			rt.Fatalf("bound %s, cost %s", plan.Bound, plan.Objective)
		}
		for name, pack := range map[string]func(*packing){"greedy": (*packing).greedy, "alone": (*packing).alone} {
			k := newPacking(p.commit(nil, nil))
			pack(k)
			k.repair()
			if first := p.build(k); missedWeight(p, first) <= missedWeight(p, plan) && first.Objective < plan.Objective {
				rt.Fatalf("the %s plan costs %s, the result %s", name, first.Objective, plan.Objective)
			}
		}
	})
}

// missedWeight is what a plan misses, weighted by priority.
func missedWeight(p *Problem, plan purser.Plan) int {
	total := 0
	for _, u := range plan.Unplaced {
		total += u.Replicas * (1 + 7*p.jobs[p.jobAt[u.Job]].Priority)
	}
	return total
}

// cheapestPlan tries every placement of the training replicas; ok is false when not all can be placed.
func cheapestPlan(p *Problem) (purser.Money, bool) {
	type copyOf struct {
		key     groupKey
		group   *purser.TaskGroup
		replica int
	}
	var copies []copyOf
	for j := range p.jobs {
		for r := range p.jobs[j].Groups[0].Replicas {
			copies = append(copies, copyOf{groupKey{j, 0}, &p.jobs[j].Groups[0], r})
		}
	}
	type rent struct {
		place *place
		at    int
		room  amounts
		span  int64
	}
	best, found := purser.Money(math.MaxInt64), false
	zones := map[groupKey]string{}
	var rented []rent
	var walk func(i int)
	cost := func() purser.Money {
		total := purser.Money(0)
		for _, m := range rented {
			total += purser.Money(m.place.paid(m.place.start + m.span))
		}
		return total
	}
	allowed := func(c copyOf, at int) bool {
		for _, raw := range p.raws {
			for _, m := range raw.members {
				if m.key == c.key && slices.Contains(m.replicas, c.replica) {
					return slices.Contains(raw.fits[0], int32(at))
				}
			}
		}
		return false
	}
	walk = func(i int) {
		if cost() >= best && found {
			return
		}
		if i == len(copies) {
			best, found = cost(), true
			return
		}
		c := copies[i]
		size := sizeOf(c.group.Variants[0])
		spanOn := func(pl *place) int64 {
			_, span := p.spans(c.group, c.group.Variants[0], leftSteps, pl.machine)
			return span
		}
		// A gang lies in one zone, on machines where it takes the same time.
		side := func(pl *place) string { return fmt.Sprint(pl.offer.Domain(purser.DomainZone), spanOn(pl)) }
		zone, bound := zones[c.key]
		inZone := func(pl *place) bool { return !c.group.Gang || !bound || zone == side(pl) }
		enter := func(pl *place, next func()) {
			if !bound {
				zones[c.key] = side(pl)
				defer delete(zones, c.key)
			}
			next()
		}
		for k := range rented {
			m := &rented[k]
			if size.within(m.room) && inZone(m.place) && allowed(c, m.at) {
				old := *m
				m.room, m.span = m.room.plus(size, -1), max(m.span, spanOn(m.place))
				enter(old.place, func() { walk(i + 1) })
				rented[k] = old
			}
		}
		for at := range p.places {
			pl := &p.places[at]
			same, quota := int64(0), map[int]int64{}
			for _, m := range rented {
				if m.at == at {
					same++
				}
				for _, u := range m.place.quotas {
					quota[u.quota] += u.weight
				}
			}
			full := pl.limit >= 0 && same >= pl.limit
			for _, u := range pl.quotas {
				full = full || quota[u.quota]+u.weight > p.quotas[u.quota].limit
			}
			if full || !size.within(pl.room) || !inZone(pl) || !allowed(c, at) {
				continue
			}
			rented = append(rented, rent{pl, at, pl.room.plus(size, -1), spanOn(pl)})
			enter(pl, func() { walk(i + 1) })
			rented = rented[:len(rented)-1]
		}
	}
	walk(0)
	return best, found
}

// No plan lies below the bound, and what is called optimal is.
func TestAgainstEveryPlan(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		in := drawInput(rt, 5, false)
		p, plan := mustSolve(rt, t, in, Options{})
		best, ok := cheapestPlan(p)
		switch {
		case !ok:
			if len(plan.Unplaced) == 0 {
				rt.Fatalf("everything was placed where that cannot be")
			}
			return
		case len(plan.Unplaced) > 0:
			rt.Fatalf("status %s: %+v is not placed, and everything can be for %s", plan.Status, plan.Unplaced, best)
		}
		if plan.Bound > best+best/1_000_000+1 {
			rt.Fatalf("bound %s lies above a plan for %s", plan.Bound.Decimal(), best.Decimal())
		}
		if plan.Status == purser.PlanOptimal && plan.Objective > best+best/500_000+1 {
			rt.Fatalf("%s is called optimal, and there is a plan for %s", plan.Objective.Decimal(), best.Decimal())
		}
		if plan.Objective < best {
			rt.Fatalf("the plan costs %s, less than the cheapest, %s", plan.Objective.Decimal(), best.Decimal())
		}
	})
}

func planJSON(t fataler, plan purser.Plan) string {
	b, err := json.Marshal(plan)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The same problem gives the same bytes, whatever the order of the input and the number of workers.
func TestReproducible(t *testing.T) {
	in := ladder(60, 80, 3)
	_, first := mustSolve(t, t, in, Options{Work: Work{Dives: 3, MIPWork: 2000}})
	want := planJSON(t, first)
	turned := in
	turned.Offers, turned.Jobs = slices.Clone(in.Offers), slices.Clone(in.Jobs)
	slices.Reverse(turned.Offers)
	slices.Reverse(turned.Jobs)
	for name, got := range map[string]func() purser.Plan{
		"again": func() purser.Plan {
			_, p := mustSolve(t, t, in, Options{Work: Work{Dives: 3, MIPWork: 2000}})
			return p
		},
		"one worker": func() purser.Plan {
			_, p := mustSolve(t, t, in, Options{Workers: 1, Work: Work{Dives: 3, MIPWork: 2000}})
			return p
		},
		"turned": func() purser.Plan {
			_, p := mustSolve(t, t, turned, Options{Work: Work{Dives: 3, MIPWork: 2000}})
			return p
		},
	} {
		if planJSON(t, got()) != want {
			t.Errorf("%s: another plan", name)
		}
	}
}

// One machine more can only help: no bound lies above a plan of the poorer problem.
func TestMoreSupplyHelps(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		in := drawInput(rt, 5, true)
		_, poor := mustSolve(rt, t, in, Options{Work: Work{Dives: 2}})
		rich := in
		rich.Offers = slices.Clone(in.Offers)
		for i := range rich.Offers {
			if rich.Offers[i].Limit >= 0 {
				rich.Offers[i].Limit++
			}
		}
		_, plan := mustSolve(rt, t, rich, Options{Work: Work{Dives: 2}})
		if len(poor.Unplaced) == 0 && (len(plan.Unplaced) > 0 || plan.Bound > poor.Objective+poor.Objective/1_000_000+1) {
			rt.Fatalf("bound %s with more supply, a plan for %s with less; unplaced %v", plan.Bound, poor.Objective, plan.Unplaced)
		}
	})
}

// simple is one L4 offer a zone and so many single-device jobs.
func simple(jobs int) Input {
	in := Input{Now: testNow}
	for _, zone := range []string{"a", "b"} {
		for _, n := range []int64{1, 4} {
			in.Offers = append(in.Offers, purser.Offer{
				Provider: "aws", Region: "r", Zone: zone, InstanceType: fmt.Sprintf("g%d", n), Option: purser.OnDemand,
				Limit: purser.Unlimited, UnitPrice: purser.USDPerHourOf(float64(n)*0.8 + 0.2),
				Shape: purser.Shape{Accelerator: "L4", Devices: purser.MilliDevices(n * 1000), DeviceMemoryMiB: 24576, MilliCPU: n * 8000, MemoryMiB: n * 32768},
			})
		}
	}
	for i := range jobs {
		id := fmt.Sprintf("j%03d", i)
		in.Jobs = append(in.Jobs, purser.Job{ID: purser.JobID(id), Project: "p", Name: id, Groups: []purser.TaskGroup{{
			Name: "g", Kind: purser.Training, Replicas: 1, RunTime: 2 * time.Hour, Run: purser.Run{Command: "true"},
			Variants: []purser.Variant{{Name: "l4", Accelerator: "L4", Devices: 1000, MilliCPU: 4000, MemoryMiB: 8192}},
		}}})
	}
	return in
}

// A move is made when it pays: a price that falls to a fifth moves the work; one that falls by a hundredth does not pay for the moves.
func TestMovesWhenItPays(t *testing.T) {
	in := simple(4)
	in.Jobs[0].Groups[0].RunTime = 20 * time.Hour
	_, plan := mustSolve(t, t, in, Options{})
	for _, c := range []struct {
		factor float64
		moves  bool
	}{{0.2, true}, {0.99, false}} {
		again := holdPlan(in, plan)
		for i := range again.Offers {
			again.Offers[i].UnitPrice = purser.USDPerHour(float64(again.Offers[i].UnitPrice) * c.factor)
		}
		_, second := mustSolve(t, t, again, Options{})
		moved := slices.ContainsFunc(second.Leases, func(l purser.PlannedLease) bool { return l.Held == "" })
		if moved != c.moves {
			t.Errorf("prices at %v: moved %v, want %v", c.factor, moved, c.moves)
		}
	}
}

// Where not everything fits, what has priority is placed, the rest is listed with its reason, and the status says that it is proven.
func TestShortage(t *testing.T) {
	in := simple(6)
	for i := range in.Offers {
		in.Offers[i].Limit = 0
		if in.Offers[i].InstanceType == "g4" && in.Offers[i].Zone == "a" {
			in.Offers[i].Limit = 1
		}
	}
	in.Jobs[5].Priority, in.Jobs[4].Priority = 10, 10
	_, plan := mustSolve(t, t, in, Options{})
	if plan.Status != purser.PlanInfeasible || countUnplaced(plan) != 2 || plan.Placed() != 4 {
		t.Fatalf("status %s, %d placed, unplaced %+v", plan.Status, plan.Placed(), plan.Unplaced)
	}
	for _, u := range plan.Unplaced {
		if u.Job == "j005" || u.Job == "j004" {
			t.Errorf("%s has priority and is not placed", u.Job)
		}
	}
	if plan.Gap > 1e-6 {
		t.Errorf("gap %v: what is placed fills the machine", plan.Gap)
	}
}

// A context that ends leaves the best plan so far; one that ended before gives an error.
func TestContext(t *testing.T) {
	rt := solver(t)
	p, err := NewProblem(ladder(3000, 200, 1))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Millisecond)
	defer cancel()
	plan, err := Solve(ctx, rt, p, Options{})
	if err != nil || !plan.CutByTime || plan.Placed() == 0 {
		t.Errorf("err %v, cut %v, %d placed", err, plan.CutByTime, plan.Placed())
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := Solve(ended, rt, p, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("err %v", err)
	}
}
