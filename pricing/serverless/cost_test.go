package serverless

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"purser"
)

func TestCost(t *testing.T) {
	offer := func(usdPerHour string, step time.Duration, perRequest purser.Money) purser.Offer {
		p, err := purser.ParseUSDPerHour(usdPerHour)
		if err != nil {
			t.Fatal(err)
		}
		return purser.Offer{UnitPrice: p, Terms: purser.Terms{BillingStep: step, PerRequest: perRequest}}
	}
	for name, c := range map[string]struct {
		offer    purser.Offer
		exec     time.Duration
		requests int
		want     string
	}{
		"a second":                {offer("0.81", time.Second, 0), time.Second, 1, "0.000225"},
		"rounded up to a second":  {offer("0.81", time.Second, 0), 2300 * time.Millisecond, 1, "0.000675"},
		"each request by itself":  {offer("0.81", time.Second, 0), 2300 * time.Millisecond, 1000, "0.675"},
		"no step":                 {offer("0.81", 0, 0), 2300 * time.Millisecond, 1000, "0.5175"},
		"a minute is the least":   {offer("60", time.Minute, 0), 1, 2, "2"},
		"a whole step stays":      {offer("60", time.Minute, 0), time.Minute, 1, "1"},
		"beside the time":         {offer("3.6", time.Second, 400), time.Second, 1_000_000, "1000.4"},
		"the request alone":       {offer("3.6", time.Second, 400), 0, 5, "0.000002"},
		"no time below 0":         {offer("3.6", time.Second, 0), -time.Second, 5, "0"},
		"no requests":             {offer("3.6", time.Second, 400), time.Second, 0, "0"},
		"fewer than none":         {offer("3.6", time.Second, 400), time.Second, -3, "0"},
		"small amounts add up":    {offer("0.000000001", 0, 0), time.Millisecond, 3_600_000, "0.000000001"},
		"half a nano-USD is one":  {offer("0.000000001", 0, 0), 30 * time.Minute, 1, "0.000000001"},
		"less than half is none":  {offer("0.000000001", 0, 0), 30*time.Minute - 1, 1, "0"},
		"more than can be billed": {offer("9000000000", math.MaxInt64, math.MaxInt64), math.MaxInt64, math.MaxInt, "9223372036.854775807"},
	} {
		if got := Cost(c.offer, c.exec, c.requests); got.Decimal() != c.want {
			t.Errorf("%s: $%s, want $%s", name, got.Decimal(), c.want)
		}
	}
}

func TestCostLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := purser.Offer{UnitPrice: purser.USDPerHour(rapid.Int64Range(0, 1e12).Draw(t, "price"))}
		o.Terms.BillingStep = time.Duration(rapid.Int64Range(0, int64(time.Minute)).Draw(t, "step"))
		o.Terms.PerRequest = purser.Money(rapid.Int64Range(0, 1e9).Draw(t, "per request"))
		exec := time.Duration(rapid.Int64Range(0, int64(24*time.Hour)).Draw(t, "exec"))
		n, m := rapid.IntRange(0, 10_000).Draw(t, "requests"), rapid.IntRange(0, 10_000).Draw(t, "further requests")
		cost := Cost(o, exec, n)

		// One request is the one multiplication of price and time that plans use.
		billed := exec
		if step := o.Terms.BillingStep; step > 0 {
			billed = (exec + step - 1) / step * step
		}
		if billed < exec || billed-exec >= max(o.Terms.BillingStep, 1) {
			t.Fatalf("%s is billed as %s", exec, billed)
		}
		if one := Cost(o, exec, 1); one != o.UnitPrice.For(billed)+o.Terms.PerRequest {
			t.Fatalf("one request costs %d, want %d", one, o.UnitPrice.For(billed)+o.Terms.PerRequest)
		}
		// Requests add up, but for the rounding of each sum.
		if diff := Cost(o, exec, n+m) - cost - Cost(o, exec, m); diff < -1 || diff > 1 {
			t.Fatalf("%d and %d requests together cost %d nano-USD more", n, m, diff)
		}
		// More of anything costs no less.
		longer := Cost(o, exec+time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "longer")), n)
		dearer := o
		dearer.UnitPrice += purser.USDPerHour(rapid.Int64Range(0, 1e12).Draw(t, "dearer"))
		exactly := o
		exactly.Terms.BillingStep = 0
		if longer < cost || Cost(o, exec, n+m) < cost || Cost(dearer, exec, n) < cost || Cost(exactly, exec, n) > cost {
			t.Fatalf("%d nano-USD for %d requests of %s; longer %d, more %d, dearer %d, without a step %d", cost, n, exec, longer, Cost(o, exec, n+m), Cost(dearer, exec, n), Cost(exactly, exec, n))
		}
	})
}

// Nothing overflows: the cost of anything is an amount, and never below 0.
func TestCostIsBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := purser.Offer{UnitPrice: purser.USDPerHour(rapid.Int64().Draw(t, "price"))}
		o.Terms.BillingStep = time.Duration(rapid.Int64().Draw(t, "step"))
		o.Terms.PerRequest = purser.Money(rapid.Int64().Draw(t, "per request"))
		exec, n := time.Duration(rapid.Int64().Draw(t, "exec")), rapid.Int().Draw(t, "requests")
		if cost := Cost(o, exec, n); cost < 0 {
			t.Fatalf("%d requests of %s cost %d", n, exec, cost)
		}
	})
}
