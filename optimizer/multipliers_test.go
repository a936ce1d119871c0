package optimizer

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// sackBound is what prices prove, in floats.
func sackBound(k *knapsack, prices [dims]float64) float64 {
	total := 0.0
	for d, p := range prices {
		total += p * float64(k.room[d])
	}
	for _, it := range k.items {
		net := float64(it.value)
		for d, p := range prices {
			net -= p * float64(it.size[d])
		}
		total += float64(it.most) * math.Max(0, net)
	}
	return total
}

// No prices nearby, and none of many that are drawn, prove less than the multipliers do.
func TestMultipliersAreTheBest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := &knapsack{room: amounts{8000, 92_000, 458_752}}
		for range rapid.IntRange(1, 12).Draw(t, "items") {
			it := sackItem{value: rapid.Int64Range(1, 1e10).Draw(t, "value")}
			it.size = amounts{
				rapid.SampledFrom([]int64{0, 125, 250, 500, 1000, 4000}).Draw(t, "devices"),
				rapid.Int64Range(1, 92_000).Draw(t, "cpu"), rapid.Int64Range(1, 458_752).Draw(t, "memory"),
			}
			it.most = it.size.copies(k.room, rapid.Int64Range(1, 40).Draw(t, "most"))
			k.items = append(k.items, it)
		}
		var prices [dims]float64
		for d, p := range k.multipliers() {
			prices[d] = float64(p)
		}
		least := sackBound(k, prices)
		for n := range 200 {
			other := prices
			for d := range other {
				if f := rapid.Float64Range(0, 2).Draw(t, "factor"); n%2 == 0 {
					other[d] *= f
				} else {
					other[d] = f * 1e10 / float64(k.room[d])
				}
			}
			// Prices are whole nano-USD a unit, so a little more than the least has to be allowed for.
			if got := sackBound(k, other); got < least-2*float64(k.room[0]+k.room[1]+k.room[2]) {
				t.Fatalf("prices %v prove %.0f, the multipliers %v only %.0f", other, got, prices, least)
			}
		}
	})
}
