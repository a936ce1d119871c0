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

// drawSizes makes a training group into one whose size the plan decides.
func drawSizes(t *rapid.T, g purser.TaskGroup) purser.TaskGroup {
	g.Gang = true
	for n := 1; n <= 4; n++ {
		if rapid.Bool().Draw(t, fmt.Sprintf("size %d", n)) {
			g.Sizes = append(g.Sizes, n)
		}
	}
	if len(g.Sizes) == 0 {
		g.Sizes = []int{2, 3}
	}
	g.Replicas = g.Sizes[0]
	g.Work = float64(rapid.IntRange(1, 40).Draw(t, "work"))
	for i := range g.Variants {
		g.Variants[i].Throughput = float64(rapid.IntRange(1, 4).Draw(t, "throughput"))
	}
	switch rapid.IntRange(0, 2).Draw(t, "scaling") {
	case 0:
		g.Scaling.Communication = rapid.SampledFrom([]float64{0.02, 0.1}).Draw(t, "communication")
	case 1:
		g.Scaling.Points = []purser.ScalingPoint{{Replicas: 1, Efficiency: 1}, {Replicas: 2, Efficiency: 0.95}, {Replicas: 4, Efficiency: 0.7}}
	}
	return g
}

// sizedFor is a group in the size that it was placed in; the group itself where the plan decides nothing, or it runs in no way that it has.
func sizedFor(g purser.TaskGroup, at []placed) purser.TaskGroup {
	if !g.Varies() || len(at) == 0 {
		return g
	}
	for _, w := range g.Ways() {
		if w.Replicas == len(at) && g.Variants[w.Variant].Name == at[0].Variant {
			return g.Sized(w.Copies)
		}
	}
	return g
}

// placedGroup is the only group of a job as a plan has it.
func placedGroup(in optimizer.Input, plan purser.Plan, id purser.JobID) purser.TaskGroup {
	var at []placed
	leases := slices.Clone(plan.Leases)
	for _, l := range plan.Later {
		leases = append(leases, l.PlannedLease)
	}
	for _, l := range leases {
		for _, pl := range l.Placements {
			if pl.Job == id {
				at = append(at, placed{pl, l.Offer, 0})
			}
		}
	}
	return sizedFor(groupOf(in, id), at)
}

// bruteGangs tries every way to run at most two gangs on at most six machines.
type bruteGangs struct {
	in    optimizer.Input
	slots []purser.Offer
	room  []purser.Shape
	used  []time.Duration // by slot: how long its longest replica runs; -1: it is not rented

	missing, best int
	cost          purser.Money
	egress        purser.Money
}

func cheapestGangs(in optimizer.Input) (missing int, cost purser.Money) {
	b := &bruteGangs{in: in, best: math.MaxInt}
	for _, o := range in.Offers {
		for range o.Limit {
			b.slots, b.room, b.used = append(b.slots, o), append(b.room, o.Shape), append(b.used, -1)
		}
	}
	b.job(0)
	return b.best, b.cost
}

// job runs job j in each of its ways, or leaves it out.
func (b *bruteGangs) job(j int) {
	if j == len(b.in.Jobs) {
		total := b.egress
		for s, o := range b.slots {
			if b.used[s] >= 0 {
				total += o.UnitPrice.For(paidFor(b.in, o, b.used[s]))
			}
		}
		if b.missing < b.best || (b.missing == b.best && total < b.cost) {
			b.best, b.cost = b.missing, total
		}
		return
	}
	g := b.in.Jobs[j].Groups[0]
	b.missing += g.LeastReplicas()
	b.job(j + 1)
	b.missing -= g.LeastReplicas()
	ways := []purser.Way{{Copies: g.Replicas, Replicas: g.Replicas}}
	if g.Varies() {
		ways = g.Ways()
	}
	for _, w := range ways {
		for _, zone := range []string{"a", "b"} {
			b.replica(j, g.Sized(w.Copies), g.Variants[w.Variant], zone, w.Replicas, 0)
		}
	}
}

// replica places so many more replicas of a gang on slots from one on.
func (b *bruteGangs) replica(j int, g purser.TaskGroup, v purser.Variant, zone string, left, from int) {
	if left == 0 {
		b.job(j + 1)
		return
	}
	for s := from; s < len(b.slots); s++ {
		o, r := b.slots[s], &b.room[s]
		if o.Zone != zone || !fits(b.in, g, v, o) || v.Devices > r.Devices || v.MilliCPU > r.MilliCPU {
			continue
		}
		before, egress := b.used[s], egressTo(g, o)
		b.used[s] = max(before, runsFor(b.in, g, v))
		b.egress += egress
		r.Devices, r.MilliCPU = r.Devices-v.Devices, r.MilliCPU-v.MilliCPU
		b.replica(j, g, v, zone, left-1, s)
		r.Devices, r.MilliCPU = r.Devices+v.Devices, r.MilliCPU+v.MilliCPU
		b.used[s] = before
		b.egress -= egress
	}
}

// drawTinyGangs draws one or two gangs, one of them of several sizes, and machines for them.
func drawTinyGangs(t *rapid.T) optimizer.Input {
	in := optimizer.Input{Now: noon}
	for i := range rapid.IntRange(1, 3).Draw(t, "offers") {
		n := rapid.SampledFrom([]int64{1, 2, 4}).Draw(t, "devices")
		in.Offers = append(in.Offers, purser.Offer{
			Provider: "aws", Region: "r", Zone: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "zone"), InstanceType: fmt.Sprintf("t%d", i), Option: purser.OnDemand,
			Shape: shapeOf("L4", n, 4), UnitPrice: purser.USDPerHour(n * int64(rapid.IntRange(3, 15).Draw(t, "tenths per device")) * 100_000_000),
			Limit: rapid.IntRange(1, 2).Draw(t, "limit"),
		})
	}
	for i := range rapid.IntRange(1, 2).Draw(t, "jobs") {
		g := purser.TaskGroup{Name: "g", Kind: purser.Training, Run: purser.Run{Command: "x"}}
		for k := range rapid.IntRange(1, 2).Draw(t, "variants") {
			g.Variants = append(g.Variants, purser.Variant{
				Name: fmt.Sprintf("v%d", k), Accelerator: "L4", Devices: rapid.SampledFrom([]purser.MilliDevices{500, 1000, 2000}).Draw(t, "share"), MilliCPU: 1000,
				Stages: rapid.SampledFrom([]int{0, 0, 0, 2}).Draw(t, "stages"),
			})
		}
		g = drawSizes(t, g)
		if i > 0 && rapid.Bool().Draw(t, "fixed") {
			g.Sizes, g.Variants = nil, g.Variants[:1]
			g.Variants[0].Stages = 0
		}
		if rapid.Bool().Draw(t, "deadline") {
			g.Deadline = noon.Add(time.Duration(rapid.IntRange(1, 12).Draw(t, "hours"))*time.Hour + 4*time.Minute)
		}
		name := fmt.Sprintf("j%d", i)
		in.Jobs = append(in.Jobs, purser.Job{ID: purser.JobID(name), Project: "p", Name: name, Groups: []purser.TaskGroup{g}})
	}
	return in
}

// Gangs whose size the plan decides: no plan that exists lies below the bound, and none is better than one that is called optimal.
func TestTinyGangSizes(t *testing.T) {
	rt := newSolver(t)
	seen, optimal, larger := 0, 0, 0
	checkFew(t, 250, func(t *rapid.T) {
		in := drawTinyGangs(t)
		least, cost := cheapestGangs(in)
		_, plan := planOf(t, rt, in, littleWork())
		compareWithBrute(t, in, plan, least, cost)
		seen++
		if plan.Status == purser.PlanOptimal {
			optimal++
		}
		if least == 0 && slices.ContainsFunc(in.Jobs, func(j purser.Job) bool {
			return len(j.Groups[0].Sizes) > 1 && plan.Placed() > j.Groups[0].Sizes[0]*len(in.Jobs)
		}) {
			larger++
		}
	})
	if optimal*10 < seen*3 || larger == 0 {
		t.Errorf("%d of %d are proven optimal, %d have a gang above its least size", optimal, seen, larger)
	}
	t.Logf("%d of %d are proven optimal, %d have a gang above its least size", optimal, seen, larger)
}

// egressTo is what one replica moves to and from a machine of the offer: its data once, and an update each way a round.
func egressTo(g purser.TaskGroup, o purser.Offer) purser.Money {
	price := 0.09
	switch e := g.Exchange; {
	case e.Provider == o.Provider && e.Region == o.Region:
		price = 0
	case e.Provider == o.Provider:
		price = 0.02
	}
	return g.Data.Egress(o) + purser.MoneyOf(price*2*float64(g.Exchange.Rounds)*g.Exchange.UpdateGB)
}

// auditTraining finds what is wrong with the placements of a training group.
func auditTraining(g purser.TaskGroup, at []placed, missing int) error {
	seen := map[int]bool{}
	for _, pl := range at {
		if seen[pl.Replica] || pl.Replica < 0 || pl.Replica >= max(g.Replicas, len(at)) {
			return fmt.Errorf("replica %d is placed twice or does not exist", pl.Replica)
		}
		seen[pl.Replica] = true
		if g.Gang && pl.offer.Domain(purser.DomainZone) != at[0].offer.Domain(purser.DomainZone) {
			return fmt.Errorf("a gang in %s and %s", pl.offer.ID(), at[0].offer.ID())
		}
	}
	want := g.Replicas
	if g.Varies() {
		if want = g.LeastReplicas(); len(at) > 0 {
			want = len(at) // one of its ways, or sizedFor had found none
			if !slices.ContainsFunc(g.Ways(), func(w purser.Way) bool { return w.Replicas == want && g.Variants[w.Variant].Name == at[0].Variant }) {
				return fmt.Errorf("%d replicas of %s are no way to run it", want, at[0].Variant)
			}
		}
	}
	if len(at)+missing != want {
		return fmt.Errorf("%d placed and %d unplaced of %d", len(at), missing, want)
	}
	for _, pl := range at {
		in := 0
		for _, other := range at {
			if d := pl.domain(g.Spread.Level); d != "" && other.domain(g.Spread.Level) == d {
				in++
			}
		}
		if most := g.Spread.Most(g.Replicas); in > most {
			return fmt.Errorf("%d replicas lie in %s and %d may", in, pl.domain(g.Spread.Level), most)
		}
	}
	if g.Gang && len(at) != 0 && missing != 0 {
		return fmt.Errorf("%d of a gang of %d are placed", len(at), g.Replicas)
	}
	return nil
}
