package optimizer_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"purser"
	"purser/optimizer"
)

// The start times of problems in which nothing may wait for more than three hours.
var fewStarts = []time.Duration{0, 30 * time.Minute, time.Hour, 2 * time.Hour, 3 * time.Hour}

// bruteWait tries every way to begin at most three replicas of single-replica jobs or of one gang, at every start time, on every
// machine of every offer and on the held ones.
type bruteWait struct {
	in   optimizer.Input
	todo []purser.Job // one entry for each replica
	at   []seatAt     // by replica

	missing int
	cost    float64 // with what waiting counts, nano-USD
}

// seatAt is a machine: an offer's number, a start time's and which one; offer −1: no place, −2: the held machine.
type seatAt struct{ offer, start, machine int }

func (b *bruteWait) run() {
	b.missing, b.cost = math.MaxInt, math.Inf(1)
	b.at = make([]seatAt, len(b.todo))
	b.place(0)
}

func (b *bruteWait) place(u int) {
	if u == len(b.todo) {
		b.judge()
		return
	}
	b.at[u] = seatAt{-1, 0, 0}
	b.place(u + 1)
	if len(b.in.Held) > 0 {
		b.at[u] = seatAt{-2, 0, 0}
		b.place(u + 1)
	}
	for o := range b.in.Offers {
		for k := range fewStarts {
			for m := range u + 1 {
				b.at[u] = seatAt{o, k, m}
				b.place(u + 1)
			}
		}
	}
}

func (b *bruteWait) offer(s seatAt) purser.Offer {
	if s.offer == -2 {
		return b.in.Held[0].Lease.Offer
	}
	return b.in.Offers[s.offer]
}

// using is a machine of the plan that is tried.
type using struct {
	offer    purser.Offer
	from, to time.Duration
	held     bool
	free     purser.Shape
}

func (b *bruteWait) judge() {
	missing, waiting := 0, 0.0
	machines := map[seatAt]*using{}
	if len(b.in.Held) > 0 {
		h := b.in.Held[0]
		free := h.Lease.Offer.Shape
		free.Devices, free.MilliCPU, free.MemoryMiB = free.Devices-1000, free.MilliCPU-1000, free.MemoryMiB-1024
		machines[seatAt{-2, 0, 0}] = &using{h.Lease.Offer, 0, b.in.Jobs[0].Groups[0].RunTime, true, free}
	}
	for u, s := range b.at {
		if s.offer == -1 {
			missing++
			continue
		}
		o, g, from := b.offer(s), b.todo[u].Groups[0], fewStarts[s.start]
		v := g.Variants[0]
		start := time.Duration(0)
		if s.offer >= 0 {
			start = optimizer.DefaultStartUp(o)
		}
		end := from + start + g.RunTime
		margin := time.Duration(0)
		if from > 0 {
			margin = 5 * time.Minute // what waits begins a little before the last moment
		}
		if from > g.CanWait || !g.Deadline.IsZero() && (noon.Add(end+margin).After(g.Deadline) || from > 0 && from > b.safe(g)) {
			return
		}
		if machines[s] == nil {
			machines[s] = &using{offer: o, from: from, free: o.Shape}
		}
		m := machines[s]
		m.to = max(m.to, end)
		m.free.Devices, m.free.MilliCPU, m.free.MemoryMiB = m.free.Devices-v.Devices, m.free.MilliCPU-v.MilliCPU, m.free.MemoryMiB-v.MemoryMiB
		if m.free.Devices < 0 || m.free.MilliCPU < 0 || m.free.MemoryMiB < 0 {
			return
		}
		share := math.Max(float64(v.Devices)/float64(o.Devices), math.Max(float64(v.MilliCPU)/float64(o.MilliCPU), float64(v.MemoryMiB)/float64(o.MemoryMiB)))
		waiting += 0.001 * from.Hours() * share * float64(max(o.UnitPrice, purser.USDPerHour(1e9*b2i(o.UnitPrice == 0))))
	}
	if !b.supplied(machines) || !b.whole() {
		return
	}
	cost := waiting
	for _, m := range machines {
		cost += float64(m.offer.UnitPrice) * (m.to - m.from).Hours()
	}
	if missing < b.missing || missing == b.missing && cost < b.cost {
		b.missing, b.cost = missing, cost
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// safe is until when an offer without a limit keeps the deadline.
func (b *bruteWait) safe(g purser.TaskGroup) time.Duration {
	latest := time.Duration(-1)
	for _, o := range b.in.Offers {
		ok := o.Limit < 0 && o.Devices >= g.Variants[0].Devices && o.MilliCPU >= g.Variants[0].MilliCPU
		for _, q := range b.in.Quotas {
			ok = ok && q.Weight(o) <= q.Limit*1000
		}
		if ok {
			latest = max(latest, g.Deadline.Sub(noon)-optimizer.DefaultStartUp(o)-g.RunTime)
		}
	}
	if latest < 0 {
		return math.MaxInt64
	}
	return latest - 5*time.Minute
}

// supplied checks limits and quotas whenever a machine is taken.
func (b *bruteWait) supplied(machines map[seatAt]*using) bool {
	for _, at := range fewStarts {
		began := false
		count := map[purser.OfferID]int{}
		used := make([]int64, len(b.in.Quotas))
		for _, m := range machines {
			began = began || m.from == at && !m.held
			if m.from > at || m.to <= at {
				continue
			}
			count[m.offer.ID()]++
			for i, q := range b.in.Quotas {
				used[i] += q.Weight(m.offer)
			}
		}
		if !began {
			continue
		}
		for _, o := range b.in.Offers {
			there := o.Limit
			if len(b.in.Held) > 0 && b.in.Held[0].Lease.Offer.ID() == o.ID() {
				there++
			}
			if o.Limit >= 0 && count[o.ID()] > there {
				return false
			}
		}
		for i, q := range b.in.Quotas {
			if used[i] > q.Limit*1000 {
				return false
			}
		}
	}
	return true
}

// whole checks that a gang begins at once, in one zone, or not at all.
func (b *bruteWait) whole() bool {
	for u := 1; u < len(b.todo); u++ {
		if !b.todo[u].Groups[0].Gang || b.todo[u].ID != b.todo[u-1].ID {
			continue
		}
		x, y := b.at[u-1], b.at[u]
		if (x.offer == -1) != (y.offer == -1) || x.offer != -1 && (x.start != y.start || b.offer(x).Domain(purser.DomainZone) != b.offer(y).Domain(purser.DomainZone)) {
			return false
		}
	}
	return true
}

// drawWaiting draws a problem that bruteWait can go through.
func drawWaiting(t *rapid.T) (in optimizer.Input, todo []purser.Job) {
	in = optimizer.Input{Now: noon, KeepPlacements: true}
	for i := range rapid.IntRange(1, 2).Draw(t, "offers") {
		n := rapid.SampledFrom([]int64{1, 1, 2}).Draw(t, "devices")
		in.Offers = append(in.Offers, purser.Offer{
			Provider: "aws", Region: "r", Zone: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "zone"), InstanceType: fmt.Sprintf("t%d", i),
			Option: rapid.SampledFrom([]purser.PurchaseOption{purser.OnDemand, purser.Private}).Draw(t, "option"), Shape: shapeOf("L4", n, 4),
			UnitPrice: purser.USDPerHour(n * int64(rapid.IntRange(1, 12).Draw(t, "tenths per device")) * 100_000_000),
			Limit:     rapid.SampledFrom([]int{0, 1, 1, 2, purser.Unlimited}).Draw(t, "limit"),
		})
	}
	if rapid.Bool().Draw(t, "held") {
		o := in.Offers[0]
		in = busy(in, o, time.Duration(rapid.IntRange(1, 16).Draw(t, "busy for quarters"))*15*time.Minute)
	}
	left := rapid.IntRange(1, 3).Draw(t, "replicas")
	for i := 0; left > 0; i++ {
		wait := rapid.SampledFrom([]time.Duration{0, 30 * time.Minute, time.Hour, 3 * time.Hour, 3 * time.Hour}).Draw(t, "wait")
		j := waiter(fmt.Sprintf("j%d", i), rapid.IntRange(1, left).Draw(t, "of them"), time.Duration(rapid.IntRange(1, 10).Draw(t, "times 20 minutes"))*20*time.Minute, wait)
		g := &j.Groups[0]
		g.Variants[0].Devices = rapid.SampledFrom([]purser.MilliDevices{500, 1000}).Draw(t, "share")
		g.Gang = g.Replicas > 1 && rapid.Bool().Draw(t, "gang")
		if rapid.IntRange(0, 2).Draw(t, "due") == 0 {
			g.Deadline = noon.Add(time.Duration(rapid.IntRange(2, 24).Draw(t, "quarters")) * 15 * time.Minute)
		}
		in.Jobs = append(in.Jobs, j)
		for range g.Replicas {
			todo = append(todo, j)
		}
		left -= g.Replicas
	}
	if rapid.IntRange(0, 2).Draw(t, "quota") == 0 {
		in.Quotas = []purser.Quota{{Name: "q", Unit: purser.QuotaDevices, Limit: int64(rapid.IntRange(1, 3).Draw(t, "devices at most"))}}
		if len(in.Held) > 0 { // under a quota that is used up beyond its limit nothing can wait
			in.Quotas[0].Limit = max(in.Quotas[0].Limit, int64(in.Offers[0].Devices)/1000)
		}
	}
	return in, todo
}

// No plan of small problems with waiting is better than the one that is found, and none lies below the bound.
func TestTinyWaitingIsOptimal(t *testing.T) {
	rt := newSolver(t)
	seen, waited, optimal := 0, 0, 0
	checkFew(t, 200, func(t *rapid.T) {
		in, todo := drawWaiting(t)
		b := &bruteWait{in: in, todo: todo}
		b.run()
		_, plan := planOf(t, rt, in, littleWork())
		seen++
		if len(plan.Waiting) > 0 {
			waited++
		}
		const noise = 1000 // of the brute sums
		switch {
		case missing(plan) < b.missing:
			t.Fatalf("%d have no place and every plan leaves out %d: one of both searches is wrong\n%s\n%s", missing(plan), b.missing, text(in), text(plan))
		case missing(plan) > b.missing:
			t.Fatalf("%d have no place and the best plan leaves out %d\n%s\n%s", missing(plan), b.missing, text(in), text(plan))
		case float64(plan.Bound) > b.cost+noise:
			t.Fatalf("a plan costs %.0f and the bound is %d\n%s\n%s", b.cost, plan.Bound, text(in), text(plan))
		case float64(plan.Objective) < b.cost-noise:
			t.Fatalf("the plan costs %d and nothing costs less than %.0f: one of both searches is wrong\n%s\n%s", plan.Objective, b.cost, text(in), text(plan))
		}
		if plan.Status == purser.PlanOptimal {
			optimal++
			if float64(plan.Objective) > b.cost*(1+2e-6)+noise {
				t.Fatalf("the plan costs %d, says that it is optimal, and the optimum is %.0f\n%s\n%s", plan.Objective, b.cost, text(in), text(plan))
			}
		}
	})
	if waited == 0 || seen == 0 {
		t.Error("nothing ever waited")
	}
	t.Logf("%d of %d wait, %d are proven optimal", waited, seen, optimal)
}
