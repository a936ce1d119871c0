package ledger

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"purser"
)

var t0 = time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)

func at(seconds float64) time.Time { return t0.Add(time.Duration(seconds * float64(time.Second))) }

func gpuLease(price float64, option purser.PurchaseOption) purser.Lease {
	return purser.Lease{
		ID: "lease-1", RunningAt: t0,
		Offer: purser.Offer{
			Provider: "aws", Region: "us-east-1", InstanceType: "p4d.24xlarge", Option: option,
			Shape:     purser.Shape{Accelerator: "A100-40GB", Devices: 8000, MilliCPU: 96000, MemoryMiB: 1152 * 1024},
			UnitPrice: purser.USDPerHourOf(price), Source: "bundled", ObservedAt: t0.Add(-time.Hour),
		},
	}
}

func task(id string, devices purser.MilliDevices, milliCPU, memory int64, placed, ended float64) purser.Task {
	t := purser.Task{ID: purser.TaskID(id), Job: purser.JobID("job-" + id), Lease: "lease-1", Devices: devices, MilliCPU: milliCPU, MemoryMiB: memory, PlacedAt: at(placed)}
	if ended >= 0 {
		t.EndedAt = at(ended)
	}
	return t
}

func text(charges []purser.Charge) []string {
	out := []string{}
	for _, c := range charges {
		who := string(c.Task)
		if who == "" {
			who = "idle"
		}
		out = append(out, fmt.Sprintf("%v-%v %s billed %s list %s at %s", c.Start.Sub(t0), c.End.Sub(t0), who, c.BilledCost.Decimal(), c.ListCost.Decimal(), c.UnitPrice.Decimal()))
	}
	return out
}

func equal(t *testing.T, got []purser.Charge, want ...string) {
	t.Helper()
	if g := text(got); !slices.Equal(g, want) {
		t.Errorf("charges are\n  %q\nwant\n  %q", g, want)
	}
}

func TestOnDemandIsSplitAmongWhoHoldsRoom(t *testing.T) {
	in := Input{
		Lease:     gpuLease(36, purser.OnDemand), // a cent a second
		ListPrice: purser.USDPerHourOf(99),       // of no consequence: the lease is on demand
		Projects:  map[purser.JobID]string{"job-a": "vision"},
		Tasks: []purser.Task{
			// Four of eight devices, half of CPU and memory: half the machine.
			task("a", 4000, 48000, 576*1024, -5, 20),
			// One device and nothing else: 0.8/8 of the machine, from 10 s on.
			task("b", 1000, 0, 0, 10.9, -1),
		},
		From: t0.Add(-time.Minute), To: at(30.5),
	}
	got := Charges(in)
	equal(t, got,
		"0s-10s a billed 0.05 list 0.05 at 36",
		"0s-10s idle billed 0.05 list 0.05 at 36",
		"10s-20s a billed 0.05 list 0.05 at 36",
		"10s-20s b billed 0.01 list 0.01 at 36",
		"10s-20s idle billed 0.04 list 0.04 at 36",
		"20s-30s b billed 0.01 list 0.01 at 36",
		"20s-30s idle billed 0.09 list 0.09 at 36",
	)
	if got[0].Project != "vision" || got[1].Project != "" || got[1].Job != "" || got[0].PriceSource != "bundled" || got[0].EffectiveCost != got[0].BilledCost {
		t.Errorf("a line lacks its origin: %+v", got[0])
	}
}

func TestSpotFollowsThePrice(t *testing.T) {
	in := Input{
		Lease:     gpuLease(36, purser.Spot),
		ListPrice: purser.USDPerHourOf(72),
		Prices: []purser.PricePoint{
			{From: at(20), UnitPrice: purser.USDPerHourOf(18), Source: "feed", ObservedAt: at(21)},
			{From: at(-500), UnitPrice: purser.USDPerHourOf(3.6), Source: "feed", ObservedAt: at(-400)},
			{From: at(25), UnitPrice: purser.USDPerHourOf(18), Source: "feed", ObservedAt: at(26)},
		},
		From: t0, To: at(30),
	}
	equal(t, Charges(in),
		"0s-20s idle billed 0.02 list 0.4 at 3.6",
		"20s-30s idle billed 0.05 list 0.2 at 18",
	)
	in.ListPrice = 0
	equal(t, Charges(in),
		"0s-20s idle billed 0.02 list 0.02 at 3.6",
		"20s-30s idle billed 0.05 list 0.05 at 18",
	)
	in.Prices = nil // no feed: what it was bought at
	equal(t, Charges(in), "0s-30s idle billed 0.3 list 0.3 at 36")
}

func TestWithoutAccelerator(t *testing.T) {
	l := gpuLease(36, purser.Private)
	l.Rehearsal = true
	l.Offer.Shape = purser.Shape{MilliCPU: 8000, MemoryMiB: 1024}
	in := Input{Lease: l, Tasks: []purser.Task{task("a", 0, 4000, 0, 0, -1)}, From: t0, To: at(100)}
	got := Charges(in)
	equal(t, got, "0s-1m40s a billed 0.25 list 0.25 at 36", "0s-1m40s idle billed 0.75 list 0.75 at 36")
	if !got[0].Rehearsal {
		t.Error("a rehearsed charge does not say so")
	}
	in.Lease.Offer.MemoryMiB = 0 // not known: the CPU alone decides
	equal(t, Charges(in), "0s-1m40s a billed 0.5 list 0.5 at 36", "0s-1m40s idle billed 0.5 list 0.5 at 36")
	in.Lease.Offer.MilliCPU = 0
	equal(t, Charges(in), "0s-1m40s a billed 0 list 0 at 36", "0s-1m40s idle billed 1 list 1 at 36")
}

func TestSpanOfTheLease(t *testing.T) {
	l := gpuLease(36, purser.OnDemand)
	l.RunningAt = at(5.9)
	l.EndedAt = at(8.2)
	equal(t, Charges(Input{Lease: l, From: t0, To: at(1000)}), "5s-8s idle billed 0.03 list 0.03 at 36")
	if got := Through(l, at(1000)); !got.Equal(at(8)) {
		t.Errorf("Through of an ended lease = %s", got)
	}
	if got := Through(l, at(6.5)); !got.Equal(at(6)) {
		t.Errorf("Through while it runs = %s", got)
	}
	l.RunningAt = time.Time{}
	equal(t, Charges(Input{Lease: l, From: t0, To: at(1000)}))
	equal(t, Charges(Input{Lease: gpuLease(1, purser.OnDemand), From: at(10), To: at(10)}))
	equal(t, Charges(Input{Lease: gpuLease(1, purser.OnDemand), From: at(20), To: at(10)}))
}

// Two tasks whose seconds overlap (one placed in the second that the other ended)
// never make the machine cost more than it does.
func TestOverlapShrinksShares(t *testing.T) {
	in := Input{
		Lease: gpuLease(36, purser.OnDemand),
		Tasks: []purser.Task{task("a", 8000, 96000, 1152*1024, 0, -1), task("b", 8000, 96000, 1152*1024, 0, -1)},
		From:  t0, To: at(10),
	}
	equal(t, Charges(in), "0s-10s a billed 0.05 list 0.05 at 36", "0s-10s b billed 0.05 list 0.05 at 36")
}

func TestProjection(t *testing.T) {
	begin, end := Month(time.Date(2026, 2, 10, 5, 0, 0, 0, time.FixedZone("x", 3600*9)))
	if begin.Format(time.DateOnly) != "2026-02-01" || end.Format(time.DateOnly) != "2026-03-01" {
		t.Fatalf("Month = %s, %s", begin, end)
	}
	if got := Projection(purser.MoneyOf(10), purser.USDPerHourOf(2), end.Add(-3*time.Hour), end); got != purser.MoneyOf(16) {
		t.Errorf("Projection = %s", got)
	}
	if got := Projection(purser.MoneyOf(10), purser.USDPerHourOf(2), end.Add(time.Hour), end); got != purser.MoneyOf(10) {
		t.Errorf("Projection after the end = %s", got)
	}
}

func drawInput(t *rapid.T) Input {
	option := rapid.SampledFrom([]purser.PurchaseOption{purser.OnDemand, purser.Spot, purser.Private}).Draw(t, "option")
	moment := func(name string) time.Time {
		return t0.Add(time.Duration(rapid.Int64Range(-100e9, 1000e9).Draw(t, name)))
	}
	price := rapid.Int64Range(0, 200e9)
	l := gpuLease(0, option)
	l.Offer.UnitPrice = purser.USDPerHour(price.Draw(t, "price"))
	l.RunningAt = moment("running")
	if rapid.Bool().Draw(t, "ended") {
		l.EndedAt = l.RunningAt.Add(time.Duration(rapid.Int64Range(0, 900e9).Draw(t, "ran")))
	}
	in := Input{Lease: l, ListPrice: purser.USDPerHour(price.Draw(t, "list"))}
	for i := range rapid.IntRange(0, 6).Draw(t, "tasks") {
		x := task(fmt.Sprint(i), purser.MilliDevices(rapid.Int64Range(0, 8000).Draw(t, "devices")), rapid.Int64Range(0, 96000).Draw(t, "cpu"), rapid.Int64Range(0, 1152*1024).Draw(t, "memory"), 0, -1)
		x.PlacedAt = moment("placed")
		if rapid.Bool().Draw(t, "task ended") {
			x.EndedAt = x.PlacedAt.Add(time.Duration(rapid.Int64Range(0, 500e9).Draw(t, "task ran")))
		}
		in.Tasks = append(in.Tasks, x)
	}
	for range rapid.IntRange(0, 5).Draw(t, "points") {
		in.Prices = append(in.Prices, purser.PricePoint{From: moment("from"), UnitPrice: purser.USDPerHour(price.Draw(t, "point"))})
	}
	in.From, in.To = moment("window from"), moment("window to")
	return in
}

// exact is what a window costs by the definition alone: the sum over stretches.
func exact(in Input) (total purser.Money) {
	begin, end := span(in.Lease)
	for _, s := range priced(in, begin) {
		lo, hi := latest(latest(second(in.From), begin), s.begin), earliest(second(in.To), end)
		if !s.end.IsZero() {
			hi = earliest(hi, s.end)
		}
		if lo.Before(hi) {
			total += s.point.UnitPrice.For(hi.Sub(s.begin)) - s.point.UnitPrice.For(lo.Sub(s.begin))
		}
	}
	return total
}

func sums(cs []purser.Charge) (billed, list purser.Money) {
	for _, c := range cs {
		billed, list = billed+c.BilledCost, list+c.ListCost
	}
	return billed, list
}

// The lines sum to the lease's cost to the nano-USD; intervals neither overlap nor
// leave a gap; nothing is negative; nobody pays more than the machine.
func TestChargesAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		got := Charges(in)
		if billed, _ := sums(got); billed != exact(in) {
			t.Fatalf("lines sum to %d, the lease costs %d", billed, exact(in))
		}
		begin, end := span(in.Lease)
		lo, hi := latest(second(in.From), begin), earliest(second(in.To), end)
		last := lo
		for i, c := range got {
			if c.BilledCost < 0 || c.ListCost < 0 || !c.Start.Before(c.End) || c.Start.Nanosecond() != 0 || c.End.Nanosecond() != 0 {
				t.Fatalf("line %d is impossible: %+v", i, c)
			}
			if i == 0 || !c.Start.Equal(got[i-1].Start) {
				if !c.Start.Equal(last) {
					t.Fatalf("line %d begins at %s, the one before ended at %s", i, c.Start, last)
				}
				last = c.End
			} else if !c.End.Equal(last) {
				t.Fatalf("lines of one interval end differently")
			}
			if limit := c.UnitPrice.For(c.End.Sub(c.Start)) + 1; c.BilledCost > limit {
				t.Fatalf("line %d costs %d, the machine %d", i, c.BilledCost, limit)
			}
		}
		if len(got) > 0 && !last.Equal(hi) {
			t.Fatalf("charges end at %s, the window at %s", last, hi)
		}
	})
}

// A window costs what its parts cost, wherever it is cut, in total and for each
// task to within a nano-USD per line.
func TestWindowsAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		wholeBilled, wholeList := sums(Charges(in))
		var billed, list purser.Money
		lines := 0
		perTask := map[purser.TaskID]purser.Money{}
		cuts := []time.Time{in.From}
		for range rapid.IntRange(0, 8).Draw(t, "cuts") {
			if d := in.To.Sub(in.From); d > 0 {
				cuts = append(cuts, in.From.Add(time.Duration(rapid.Int64Range(0, int64(d)).Draw(t, "cut"))))
			}
		}
		cuts = append(cuts, in.To)
		slices.SortFunc(cuts, time.Time.Compare)
		if !in.From.Before(in.To) {
			cuts = []time.Time{in.From, in.To}
		}
		for i := range cuts[1:] {
			part := in
			part.From, part.To = cuts[i], cuts[i+1]
			cs := Charges(part)
			b, l := sums(cs)
			billed, list, lines = billed+b, list+l, lines+len(cs)
			for _, c := range cs {
				perTask[c.Task] += c.BilledCost
			}
		}
		if billed != wholeBilled || list != wholeList {
			t.Fatalf("parts cost %d (list %d), the window %d (list %d)", billed, list, wholeBilled, wholeList)
		}
		for _, c := range Charges(in) {
			perTask[c.Task] -= c.BilledCost
		}
		for id, d := range perTask {
			if d > purser.Money(2*lines+2) || d < -purser.Money(2*lines+2) {
				t.Fatalf("task %s differs by %d over %d lines", id, d, lines)
			}
		}
	})
}

// Points that lie before the window's own price point are of no consequence: the
// store may leave them out.
func TestOlderPricePointsMayBeLeftOut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		wantBilled, wantList := sums(Charges(in))
		begin, _ := span(in.Lease)
		from := latest(second(in.From), begin)
		slices.SortStableFunc(in.Prices, func(a, b purser.PricePoint) int { return a.From.Compare(b.From) })
		first := 0
		for i, p := range in.Prices {
			if !second(p.From).After(from) {
				first = i
			}
		}
		// Equal prices in a row are one stretch, so the store keeps where it began.
		for first > 0 && in.Prices[first-1].UnitPrice == in.Prices[first].UnitPrice {
			first--
		}
		if len(in.Prices) > 0 && in.Prices[first].UnitPrice == in.Lease.Offer.UnitPrice {
			return // it may have joined the stretch of the locked price
		}
		in.Prices = in.Prices[first:]
		if billed, list := sums(Charges(in)); billed != wantBilled || list != wantList {
			t.Fatalf("without older points the window costs %d (list %d), with them %d (list %d)", billed, list, wantBilled, wantList)
		}
	})
}

// Under a commitment nothing is billed: 6 of 10 $/h are what it takes of what was promised.
func TestACommitmentIsBilledElsewhere(t *testing.T) {
	in := Input{
		Lease: gpuLease(10, purser.OnDemand), Committed: purser.USDPerHourOf(6), Tasks: []purser.Task{task("a", 8000, 96000, 1152*1024, 0, -1)},
		From: at(0), To: at(1800),
	}
	got := Charges(in)
	if len(got) != 1 || got[0].BilledCost != 0 || got[0].ListCost != purser.MoneyOf(5) || got[0].EffectiveCost != purser.MoneyOf(3) || got[0].UnitPrice != purser.USDPerHourOf(10) {
		t.Errorf("%+v", got)
	}
}
