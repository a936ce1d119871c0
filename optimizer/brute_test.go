package optimizer_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"purser"
	"purser/optimizer"
)

// brute tries every way to put at most four replicas on at most nine machines, in snapshot mode.
type brute struct {
	in    optimizer.Input
	slots []purser.Offer // the machines that can be had, those of one offer in a row
	room  []purser.Shape
	used  []int
	units []unit
	at    []placed // by unit; an empty variant says that it is not placed

	missing int          // of the best
	cost    purser.Money // of the best with the fewest missing
}

// unit is one replica of a training group, or one that a service may have.
type unit struct {
	job   purser.Job
	index int
}

// cheapest gives how many training replicas the best plan misses and what it costs; ok is false when some service cannot be served.
func cheapest(in optimizer.Input) (missing int, cost purser.Money, ok bool) {
	b := &brute{in: in, missing: math.MaxInt}
	for _, o := range in.Offers {
		for range o.Limit {
			b.slots, b.room = append(b.slots, o), append(b.room, o.Shape)
		}
	}
	b.used = make([]int, len(b.slots))
	for _, j := range in.Jobs {
		g := j.Groups[0]
		n := g.Replicas
		if g.Kind == purser.Inference {
			n = g.MaxReplicas
		}
		for i := range n {
			b.units = append(b.units, unit{j, i})
		}
	}
	b.at = make([]placed, len(b.units))
	b.place(0)
	return b.missing, b.cost, b.missing < math.MaxInt
}

func (b *brute) place(u int) {
	if u == len(b.units) {
		b.judge()
		return
	}
	b.at[u] = placed{}
	b.place(u + 1)
	g := b.units[u].job.Groups[0]
	for s, o := range b.slots {
		if s > 0 && b.used[s] == 0 && b.used[s-1] == 0 && b.slots[s-1].ID() == o.ID() {
			continue // the machine before is the same
		}
		for _, v := range g.Variants {
			if r := &b.room[s]; fits(b.in, g, v, o) && v.Devices <= r.Devices && v.MilliCPU <= r.MilliCPU && v.MemoryMiB <= r.MemoryMiB && diskFor(g) <= r.DiskMiB {
				r.Devices, r.MilliCPU, r.MemoryMiB, r.DiskMiB = r.Devices-v.Devices, r.MilliCPU-v.MilliCPU, r.MemoryMiB-v.MemoryMiB, r.DiskMiB-diskFor(g)
				b.used[s]++
				b.at[u] = placed{purser.Placement{Job: b.units[u].job.ID, Replica: b.units[u].index, Variant: v.Name}, o, s}
				b.place(u + 1)
				b.used[s]--
				r.Devices, r.MilliCPU, r.MemoryMiB, r.DiskMiB = r.Devices+v.Devices, r.MilliCPU+v.MilliCPU, r.MemoryMiB+v.MemoryMiB, r.DiskMiB+diskFor(g)
			}
		}
	}
	b.at[u] = placed{}
}

// judge takes the present placements when they are a plan and better than the best.
func (b *brute) judge() {
	plan := purser.Plan{}
	var used []purser.Offer
	for s, o := range b.slots {
		if b.used[s] > 0 {
			plan.Leases = append(plan.Leases, purser.PlannedLease{Offer: o})
			plan.Objective += rateIn(b.in, o).For(anHour)
			used = append(used, o)
		}
	}
	plan.Objective -= coveredMost(b.in.Commitments, used).For(anHour)
	if auditSupply(b.in, plan) != nil {
		return
	}
	missing := 0
	for _, j := range b.in.Jobs {
		g := j.Groups[0]
		var at []placed
		for _, pl := range b.at {
			if pl.Job == j.ID {
				at = append(at, pl)
				plan.Objective += extraFor(b.in, g, purser.Variant{}, pl.offer)
			}
		}
		if g.Kind == purser.Inference {
			if auditService(g, at, 0) != nil {
				return
			}
			continue
		}
		if torn(g, at) || auditTraining(g, at, g.Replicas-len(at)) != nil {
			return
		}
		missing += g.Replicas - len(at)
	}
	if missing < b.missing || (missing == b.missing && plan.Objective < b.cost) {
		b.missing, b.cost = missing, plan.Objective
	}
}

const anHour = time.Hour

// torn says whether a gang runs several variants, which the optimizer does not consider.
func torn(g purser.TaskGroup, at []placed) bool {
	return g.Gang && slices.ContainsFunc(at, func(pl placed) bool { return pl.Variant != at[0].Variant })
}

// drawTiny draws a problem that brute can go through: at most three offers of at most three machines and four replicas.
func drawTiny(t *rapid.T, services, quotas bool) optimizer.Input {
	in := optimizer.Input{Now: noon, Snapshot: true, Atlas: drawnAtlas()}
	for i := range rapid.IntRange(1, 3).Draw(t, "offers") {
		n := rapid.SampledFrom([]int64{1, 2, 4}).Draw(t, "devices")
		in.Offers = append(in.Offers, purser.Offer{
			Provider: rapid.SampledFrom([]string{"aws", "aws", "azure"}).Draw(t, "provider"), Region: "r", Zone: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "zone"), Country: rapid.SampledFrom([]string{"DE", "DE", "DE", "US"}).Draw(t, "country"), InstanceType: fmt.Sprintf("t%d", i),
			Option:    rapid.SampledFrom([]purser.PurchaseOption{purser.OnDemand, purser.Spot}).Draw(t, "option"),
			Shape:     shapeOf(rapid.SampledFrom([]string{"L4", "L4", "L4", "L4", "A100-80GB"}).Draw(t, "model"), n, 4),
			UnitPrice: purser.USDPerHour(n * int64(rapid.IntRange(3, 15).Draw(t, "tenths per device")) * 100_000_000),
			Limit:     rapid.IntRange(1, 3).Draw(t, "limit"),
		})
	}
	if rapid.IntRange(0, 2).Draw(t, "carbon counts") == 0 {
		in.CarbonPrice = purser.MoneyOf(1000)
		in.Carbon = func(o purser.Offer) float64 { return 300 * float64(o.InstanceType[1]-'0') } // up to 0.60 $ an hour
	}
	left := 4
	for i := 0; left > 0 && i < 3; i++ {
		g := purser.TaskGroup{Name: "g", Kind: purser.Training, Run: purser.Run{Command: "x"}, RunTime: anHour}
		for k := range rapid.IntRange(1, 2).Draw(t, "variants") {
			g.Variants = append(g.Variants, purser.Variant{
				Name: fmt.Sprintf("v%d", k), Accelerator: rapid.SampledFrom([]string{"L4", "L4", "L4", "L4", "A100-80GB"}).Draw(t, "model"),
				Devices:  rapid.SampledFrom([]purser.MilliDevices{250, 500, 1000, 2000, 3000}).Draw(t, "share"),
				MilliCPU: int64(rapid.IntRange(1, 10).Draw(t, "half cpus")) * 500, MemoryMiB: 1024, Throughput: float64(rapid.IntRange(1, 4).Draw(t, "throughput")),
			})
		}
		drawQuality(t, &g)
		if rapid.IntRange(0, 2).Draw(t, "data") == 0 {
			g.Data = purser.Data{Provider: rapid.SampledFrom([]string{"aws", "gcp"}).Draw(t, "data at"), Region: "r", SizeGB: float64(rapid.IntRange(1, 30).Draw(t, "data GB"))}
		}
		g.Replicas = rapid.IntRange(1, left).Draw(t, "replicas")
		if services && i == 0 {
			g.Replicas = max(g.Replicas, 2)
		}
		left -= g.Replicas
		switch {
		case services && i == 0:
			g.Kind, g.RunTime, g.MaxReplicas, g.Replicas = purser.Inference, 0, g.Replicas, 0
			g.Demand = float64(rapid.IntRange(1, 6).Draw(t, "demand"))
			drawUsers(t, &g)
			if rapid.Bool().Draw(t, "survives") {
				g.Survive = purser.Survive{
					Level:    rapid.SampledFrom([]purser.DomainLevel{purser.DomainZone, purser.DomainSpotPool, purser.DomainMachine, purser.DomainMachine}).Draw(t, "level"),
					Share:    rapid.SampledFrom([]float64{0.5, 1}).Draw(t, "share that survives"),
					Failures: rapid.SampledFrom([]int{0, 1, 1, 2}).Draw(t, "failures"),
				}
			}
		default:
			g.Gang = rapid.IntRange(0, 3).Draw(t, "gang") == 0
			drawStorage(t, &g)
			g.Spread = drawSpread(t, g)
		}
		if rapid.IntRange(0, 4).Draw(t, "no spot") == 0 {
			g.Where.Options = []purser.PurchaseOption{purser.OnDemand}
		}
		name := fmt.Sprintf("j%d", i)
		in.Jobs = append(in.Jobs, purser.Job{ID: purser.JobID(name), Project: "p", Name: name, Groups: []purser.TaskGroup{g}})
	}
	in.Commitments = drawCommitments(t, in.Offers)
	if quotas {
		in.Quotas = []purser.Quota{{Name: "q", Unit: purser.QuotaDevices, Limit: int64(rapid.IntRange(1, 8).Draw(t, "devices at most")), Accelerator: "L4"}}
	}
	return in
}

// compareWithBrute fails when a plan is not the best, although it says so, or when its bound lies above the best.
func compareWithBrute(t *rapid.T, in optimizer.Input, plan purser.Plan, least int, cost purser.Money) {
	t.Helper()
	if err := audit(in, plan); err != nil {
		t.Fatalf("%v\n%s\n%s", err, text(in), text(plan))
	}
	if missing(plan) != least {
		t.Fatalf("%d replicas are unplaced and the best plan leaves out %d\n%s\n%s", missing(plan), least, text(in), text(plan))
	}
	if plan.Bound > cost {
		t.Fatalf("a plan costs %s and the bound is %s\n%s", cost.Decimal(), plan.Bound.Decimal(), text(in))
	}
	if plan.Objective < cost {
		t.Fatalf("the plan costs %s and nothing costs less than %s: one of both searches is wrong\n%s\n%s", plan.Objective.Decimal(), cost.Decimal(), text(in), text(plan))
	}
	if plan.Status == purser.PlanOptimal && float64(plan.Objective) > float64(cost)*(1+2e-6) {
		t.Fatalf("the plan costs %s, says that it is optimal, and the optimum is %s\n%s", plan.Objective.Decimal(), cost.Decimal(), text(in))
	}
}

// Training alone, where all can be placed: the optimum is found, and called so.
func TestTinyTrainingIsOptimal(t *testing.T) {
	rt := newSolver(t)
	optimal, seen := 0, 0
	checkFew(t, 150, func(t *rapid.T) {
		in := drawTiny(t, false, false)
		least, cost, ok := cheapest(in)
		if !ok || least > 0 {
			return
		}
		_, plan := planOf(t, rt, in, littleWork())
		compareWithBrute(t, in, plan, least, cost)
		seen++
		if plan.Status == purser.PlanOptimal {
			optimal++
		}
	})
	if seen == 0 || optimal*10 < seen*9 {
		t.Errorf("%d of %d tiny problems are proven optimal", optimal, seen)
	}
	t.Logf("%d of %d are proven optimal", optimal, seen)
}

// A service beside training, where all can be placed.
func TestTinyServicesAreOptimal(t *testing.T) {
	rt := newSolver(t)
	optimal, seen := 0, 0
	checkFew(t, 150, func(t *rapid.T) {
		in := drawTiny(t, true, false)
		least, cost, ok := cheapest(in)
		if !ok || least > 0 {
			return
		}
		_, plan := planOf(t, rt, in, littleWork())
		compareWithBrute(t, in, plan, least, cost)
		seen++
		if plan.Status == purser.PlanOptimal {
			optimal++
		}
	})
	if seen == 0 || optimal*10 < seen*9 {
		t.Errorf("%d of %d tiny problems are proven optimal", optimal, seen)
	}
	t.Logf("%d of %d are proven optimal", optimal, seen)
}

// Training alone, where not all can be placed: no more is missing than must be.
func TestTinyShortage(t *testing.T) {
	rt := newSolver(t)
	checkFew(t, 80, func(t *rapid.T) {
		in := drawTiny(t, false, rapid.Bool().Draw(t, "with a quota"))
		least, cost, ok := cheapest(in)
		if !ok || least == 0 {
			return
		}
		_, plan := planOf(t, rt, in, littleWork())
		compareWithBrute(t, in, plan, least, cost)
		if plan.Status != purser.PlanInfeasible && plan.Status != purser.PlanLimit {
			t.Fatalf("%d replicas are unplaced and the status is %s\n%s", least, plan.Status, text(in))
		}
	})
}

// Training under a quota, where all can be placed: all is.
func TestTinyQuotas(t *testing.T) {
	rt := newSolver(t)
	checkFew(t, 150, func(t *rapid.T) {
		in := drawTiny(t, false, true)
		least, cost, ok := cheapest(in)
		if !ok || least > 0 {
			return
		}
		_, plan := planOf(t, rt, in, littleWork())
		compareWithBrute(t, in, plan, least, cost)
	})
}
