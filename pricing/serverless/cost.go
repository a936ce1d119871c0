package serverless

import (
	"math"
	"math/big"
	"time"

	"purser"
)

// Cost is what so many requests cost that run for exec each:
//
//	C = n · (P · ⌈exec / step⌉ · step + r)
//
// with P the offer's price, step its BillingStep and r its PerRequest. It is rounded
// once, half up to a nano-USD, and what cannot be counted is the most that can. A
// negative time is none, and so is a negative number of requests. Time that is billed
// while idling or starting depends on how requests follow on each other and is not in it.
func Cost(o purser.Offer, exec time.Duration, requests int) purser.Money {
	if requests <= 0 {
		return 0
	}
	n := big.NewInt(int64(requests))
	billed := big.NewInt(int64(max(exec, 0)))
	if step := big.NewInt(int64(o.Terms.BillingStep)); step.Sign() > 0 {
		// Not in int64, where rounding the longest times up would overflow.
		billed.Add(billed, step).Sub(billed, big.NewInt(1))
		billed.Quo(billed, step).Mul(billed, step)
	}
	const hour = int64(time.Hour)
	cost := billed.Mul(billed, big.NewInt(int64(max(o.UnitPrice, 0))))
	cost.Add(cost, new(big.Int).Mul(big.NewInt(int64(max(o.Terms.PerRequest, 0))), big.NewInt(hour)))
	cost.Mul(cost, n).Add(cost, big.NewInt(hour/2)).Quo(cost, big.NewInt(hour))
	if !cost.IsInt64() {
		return math.MaxInt64
	}
	return purser.Money(cost.Int64())
}
