package optimizer_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"purser"
	"purser/optimizer"
)

// drawCommitments draws commitments that hold a few of the drawn machines, in a third of the problems.
func drawCommitments(t *rapid.T, offers []purser.Offer) []purser.Commitment {
	if rapid.IntRange(0, 2).Draw(t, "commits") != 0 {
		return nil
	}
	var out []purser.Commitment
	for i := range rapid.IntRange(1, 2).Draw(t, "commitments") {
		like := rapid.SampledFrom(offers).Draw(t, "committed to")
		c := purser.Commitment{
			Name: fmt.Sprintf("c%d", i), Provider: like.Provider, Discount: rapid.SampledFrom([]float64{0, 0.25, 0.4}).Draw(t, "discount"),
			UnitPrice: max(1, like.UnitPrice*purser.USDPerHour(rapid.IntRange(1, 6).Draw(t, "thirds"))/3),
		}
		switch rapid.IntRange(0, 2).Draw(t, "only") {
		case 0:
			c.TypePrefix = like.InstanceType
		case 1:
			c.Region = like.Region
		}
		out = append(out, c)
	}
	return out
}

// mayCover says whether the commitment is for machines of the offer.
func mayCover(c purser.Commitment, o purser.Offer) bool {
	return o.Option == purser.OnDemand && o.Provider == c.Provider && (c.Region == "" || c.Region == o.Region) && (c.TypePrefix == "" || c.TypePrefix == o.InstanceType)
}

// coveredMost is what the machines that run under commitments cost on demand at most together, by trying every way.
func coveredMost(commitments []purser.Commitment, machines []purser.Offer) purser.USDPerHour {
	left := map[string]float64{}
	for _, c := range commitments {
		left[c.Name] = float64(c.UnitPrice)
	}
	var try func(i int) purser.USDPerHour
	try = func(i int) purser.USDPerHour {
		if i == len(machines) {
			return 0
		}
		best := try(i + 1)
		for _, c := range commitments {
			if price := float64(machines[i].UnitPrice) * (1 - c.Discount); mayCover(c, machines[i]) && price <= left[c.Name] {
				left[c.Name] -= price
				best = max(best, machines[i].UnitPrice+try(i+1))
				left[c.Name] += price
			}
		}
		return best
	}
	return try(0)
}

// auditCommitments verifies what a plan says of commitments by code of its own.
func auditCommitments(in optimizer.Input, plan purser.Plan) error {
	used := map[string]purser.USDPerHour{}
	for _, l := range plan.Leases {
		if l.Commitment == "" {
			continue
		}
		var mine purser.Commitment
		for _, c := range in.Commitments {
			if c.Name == l.Commitment {
				mine = c
			}
		}
		if !mayCover(mine, l.Offer) {
			return fmt.Errorf("%s runs under %q", l.Offer.ID(), l.Commitment)
		}
		used[l.Commitment] += purser.USDPerHour(float64(l.Offer.UnitPrice) * (1 - mine.Discount))
	}
	for i, c := range in.Commitments {
		if used[c.Name] > c.UnitPrice {
			return fmt.Errorf("%s of %s is used of the commitment %s", used[c.Name], c.UnitPrice, c.Name)
		}
		if u := plan.Commitments[i]; u.Name != c.Name || u.UnitPrice != c.UnitPrice || u.Used-used[c.Name] > 10_000*purser.USDPerHour(u.Machines) || u.Used < used[c.Name] {
			return fmt.Errorf("the plan says %+v and %s is used", u, used[c.Name])
		}
	}
	return nil
}

// Commitments beside limits and services: bound and plan are held against every way there is.
func TestTinyCommitments(t *testing.T) {
	rt := newSolver(t)
	optimal, seen, used := 0, 0, 0
	checkFew(t, 120, func(t *rapid.T) {
		in := drawTiny(t, rapid.Bool().Draw(t, "with a service"), rapid.Bool().Draw(t, "with a quota"))
		for i := range in.Offers {
			in.Offers[i].Option = purser.OnDemand
		}
		for in.Commitments == nil {
			in.Commitments = drawCommitments(t, in.Offers)
		}
		least, cost, ok := cheapest(in)
		if !ok || least > 0 {
			return
		}
		_, plan := planOf(t, rt, in, littleWork())
		compareWithBrute(t, in, plan, least, cost)
		seen++
		for _, u := range plan.Commitments {
			used += u.Machines
		}
		if plan.Status == purser.PlanOptimal {
			optimal++
		}
	})
	if seen == 0 || used == 0 || optimal*10 < seen*9 {
		t.Errorf("%d of %d tiny problems are proven optimal, and %d machines run under commitments", optimal, seen, used)
	}
	t.Logf("%d of %d are proven optimal; %d machines run under commitments", optimal, seen, used)
}

// Two machines at 10 $/h, 40 % off, and 7 $/h promised: one runs under the commitment, 1 $/h of it is idle, and the other is paid.
func TestACommitmentCoversWholeMachines(t *testing.T) {
	rt := newSolver(t)
	in := optimizer.Input{Now: noon, Snapshot: true, Commitments: []purser.Commitment{
		{Name: "plan", Provider: "aws", UnitPrice: purser.USDPerHourOf(7), Discount: 0.4},
	}}
	in.Offers = []purser.Offer{{
		Provider: "aws", Region: "r", InstanceType: "t", Option: purser.OnDemand, Shape: shapeOf("L4", 1, 4), UnitPrice: purser.USDPerHourOf(10), Limit: 2,
	}}
	in.Jobs = []purser.Job{{ID: "j", Project: "p", Name: "j", Groups: []purser.TaskGroup{{
		Name: "g", Kind: purser.Training, Run: purser.Run{Command: "x"}, RunTime: anHour, Replicas: 2,
		Variants: []purser.Variant{{Name: "v", Accelerator: "L4", Devices: 1000, MilliCPU: 1000, MemoryMiB: 1024}},
	}}}}
	p, plan := planOf(t, rt, in, littleWork())
	want := purser.CommitmentUse{Name: "plan", UnitPrice: purser.USDPerHourOf(7), Used: purser.USDPerHourOf(6), Machines: 1}
	if plan.Objective != purser.MoneyOf(10) || plan.UnitPrice != purser.USDPerHourOf(10) || len(plan.Commitments) != 1 || plan.Commitments[0] != want {
		t.Errorf("%s, %s, %+v", plan.Objective.Decimal(), plan.UnitPrice, plan.Commitments)
	}
	if plan.Refusals[0].Offers != 1 || plan.Refusals[0].Allowed != 1 {
		t.Errorf("an offer counts once: %+v", plan.Refusals)
	}
	for name, lie := range map[string]func(*purser.Plan){
		"all under it": func(pl *purser.Plan) {
			for i := range pl.Leases {
				pl.Leases[i].Commitment = "plan"
			}
			pl.Objective, pl.Bound, pl.UnitPrice, pl.Gap = 0, 0, 0, 0
			pl.Commitments = []purser.CommitmentUse{{Name: "plan", UnitPrice: purser.USDPerHourOf(7), Used: purser.USDPerHourOf(12), Machines: 2}}
		},
		"another": func(pl *purser.Plan) {
			for i := range pl.Leases {
				if pl.Leases[i].Commitment != "" {
					pl.Leases[i].Commitment = "other"
				}
			}
		},
		"idle": func(pl *purser.Plan) {
			pl.Commitments = []purser.CommitmentUse{{Name: "plan", UnitPrice: purser.USDPerHourOf(7)}}
		},
	} {
		broken := plan
		broken.Leases = append([]purser.PlannedLease(nil), plan.Leases...)
		if lie(&broken); optimizer.Check(p, broken) == nil {
			t.Errorf("%s: passes", name)
		}
	}
	held := hold(in, plan)
	_, again := planOf(t, rt, held, littleWork())
	if again.Objective != plan.Objective || again.Commitments[0] != want {
		t.Errorf("held: %s, %+v", again.Objective.Decimal(), again.Commitments)
	}
	for i := range held.Held {
		held.Held[i].Commitment = "plan"
	}
	if _, err := optimizer.NewProblem(held); purser.KindOf(err) != purser.KindInvalid {
		t.Errorf("two held machines in a commitment that holds one: %v", err)
	}
}

// Cover finds the most that commitments can hold.
func TestCoverIsTheMost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var machines []purser.Offer
		for range rapid.IntRange(1, 6).Draw(t, "machines") {
			machines = append(machines, purser.Offer{
				Provider: "aws", Region: rapid.SampledFrom([]string{"r", "s"}).Draw(t, "region"), InstanceType: rapid.SampledFrom([]string{"t", "u"}).Draw(t, "type"),
				Option:    rapid.SampledFrom([]purser.PurchaseOption{purser.OnDemand, purser.OnDemand, purser.Spot}).Draw(t, "option"),
				UnitPrice: purser.USDPerHour(rapid.IntRange(1, 12).Draw(t, "price")) * 1_000_000_000,
			})
		}
		commitments := drawCommitments(t, machines)
		under := purser.Cover(commitments, machines)
		left, sum := make([]int64, len(commitments)), purser.USDPerHour(0)
		for i, k := range under {
			if k >= 0 {
				if !mayCover(commitments[k], machines[i]) {
					t.Fatalf("%+v under %+v", machines[i], commitments[k])
				}
				left[k] += commitments[k].Weight(machines[i])
				sum += machines[i].UnitPrice
			}
		}
		for k, c := range commitments {
			if left[k] > c.Limit() {
				t.Fatalf("%d of %d", left[k], c.Limit())
			}
		}
		if want := coveredMost(commitments, machines); sum != want {
			t.Fatalf("%s are covered and %s can be: %+v", sum, want, commitments)
		}
	})
}

// A commitment that holds one of two machines lacks what the second takes; with that much more both run under it.
func TestMoreOfACommitment(t *testing.T) {
	rt := newSolver(t)
	in := scenarioInput()
	for i := range in.Offers {
		in.Offers[i].Option, in.Offers[i].Limit = purser.OnDemand, purser.Unlimited
	}
	_, plain := planOf(t, rt, in, littleWork())
	dearest := purser.USDPerHour(0)
	for _, l := range plain.Leases {
		dearest = max(dearest, l.Offer.UnitPrice)
	}
	in.Quotas = nil
	in.Commitments = []purser.Commitment{{Name: "plan", Provider: plain.Leases[0].Offer.Provider, UnitPrice: dearest / 4, Discount: 0.5}}
	_, plan := planOf(t, rt, in, littleWork())
	found := optimizer.Bottlenecks(in, plan)
	if len(found) != 1 || found[0].Name != "plan" || found[0].Unit != purser.QuotaCents || found[0].Count <= 0 {
		t.Fatalf("%+v", found)
	}
	more, err := optimizer.Scenario{More: []optimizer.Extra{found[0].Extra}}.Apply(in)
	if err != nil {
		t.Fatal(err)
	}
	_, then := planOf(t, rt, more, littleWork())
	if then.Objective >= plan.Objective || in.Commitments[0].UnitPrice != dearest/4 {
		t.Errorf("%s, and with %+v more %s", plan.Objective.Decimal(), found[0], then.Objective.Decimal())
	}
}
