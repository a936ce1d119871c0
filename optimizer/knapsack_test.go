package optimizer

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// drawSack makes a small knapsack.
func drawSack(t *rapid.T) *knapsack {
	k := &knapsack{room: amounts{
		rapid.SampledFrom([]int64{0, 1000, 4000, 8000, 333}).Draw(t, "devices"),
		rapid.Int64Range(1, 32).Draw(t, "cpu") * 1000,
		rapid.Int64Range(1, 64).Draw(t, "memory") * 1024,
	}}
	for i := range rapid.IntRange(0, 6).Draw(t, "items") {
		span := rapid.Int64Range(1, 4).Draw(t, "span")
		k.items = append(k.items, sackItem{
			item: int32(i), pool: int32(i),
			size: amounts{
				rapid.SampledFrom([]int64{0, 125, 250, 500, 1000, 2000}).Draw(t, "share"),
				rapid.Int64Range(0, 12).Draw(t, "vcpus") * 500, rapid.Int64Range(0, 24).Draw(t, "gib") * 512,
			},
			value: rapid.Int64Range(-5, 1000).Draw(t, "value"),
			most:  rapid.Int64Range(0, 4).Draw(t, "most"),
			span:  span,
			rent:  100 + 150*span,
		})
		k.pools = append(k.pools, rapid.Int64Range(0, 4).Draw(t, "pool"))
	}
	return k
}

// bestPattern tries every pattern.
func bestPattern(k *knapsack) int64 {
	best := int64(0)
	var walk func(i int, room amounts, value, rent int64)
	walk = func(i int, room amounts, value, rent int64) {
		if rent > 0 {
			best = max(best, value-rent)
		}
		if i == len(k.items) {
			return
		}
		it := k.items[i]
		for n := int64(0); n <= min(it.most, k.pools[it.pool]); n++ {
			left := room.plus(it.size, -n)
			if left[0] < 0 || left[1] < 0 || left[2] < 0 {
				break
			}
			r := rent
			if n > 0 {
				r = max(r, it.rent)
			}
			walk(i+1, left, value+n*it.value, r)
		}
	}
	walk(0, k.room, 0, 0)
	return best
}

func TestKnapsackFindsTheBestPattern(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := drawSack(t)
		want := bestPattern(k)
		all := append([]sackItem(nil), k.items...)
		found, upper := k.solve(0, 1_000_000)
		if upper != want {
			t.Fatalf("proven %d, best %d", upper, want)
		}
		for _, sp := range found {
			room, value, rent := k.room, int64(0), int64(0)
			for _, c := range sp.counts {
				it := all[c.item]
				room, value, rent = room.plus(it.size, -c.n), value+c.n*it.value, max(rent, it.rent)
				if c.n > it.most || c.n > k.pools[it.pool] {
					t.Fatalf("%d copies of item %d", c.n, c.item)
				}
			}
			if room[0] < 0 || room[1] < 0 || room[2] < 0 || value-rent != sp.profit {
				t.Fatalf("pattern %+v leaves %v and earns %d", sp, room, value-rent)
			}
		}
	})
}

// A search that is cut off still proves a bound.
func TestKnapsackBoundHoldsWhenCutOff(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := drawSack(t)
		want := bestPattern(k)
		if _, upper := k.solve(0, rapid.Int64Range(0, 5).Draw(t, "nodes")); upper < want {
			t.Fatalf("proven %d lies below the best, %d", upper, want)
		}
	})
}

// cheapestConfig tries every configuration of up to 5 replicas a slot.
func cheapestConfig(need serviceNeed, standing []rated, slots []slot) int64 {
	best := int64(math.MaxInt64)
	counts := make([]int64, len(slots))
	var walk func(i int, cost int64)
	walk = func(i int, cost int64) {
		if cost >= best {
			return
		}
		if i == len(slots) {
			list := append([]rated(nil), standing...)
			total := int64(0)
			for k, n := range counts {
				if n > 0 {
					list = append(list, rated{rate: slots[k].rate, domain: slots[k].domain, n: n})
				}
				total += n
			}
			for _, r := range standing {
				total += r.n
			}
			if need.met(list) && (need.max == 0 || total <= need.max) {
				best = cost
			}
			return
		}
		for n := range int64(6) {
			counts[i] = n
			walk(i+1, cost+n*slots[i].price)
		}
		counts[i] = 0
	}
	walk(0, 0)
	return best
}

func TestConfigurationsAreTheCheapest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		need := serviceNeed{level: -1, min: rapid.Int64Range(0, 2).Draw(t, "min"), rate: rapid.Float64Range(1, 30).Draw(t, "rate")}
		domains := 1
		if rapid.Bool().Draw(t, "survives") {
			need.level, domains = zoneLevel, rapid.IntRange(2, 4).Draw(t, "domains")
			need.failures = rapid.IntRange(1, 2).Draw(t, "failures")
			need.keep = need.rate * rapid.SampledFrom([]float64{0.5, 1}).Draw(t, "share")
		}
		if rapid.IntRange(0, 3).Draw(t, "capped") == 0 {
			need.max = rapid.Int64Range(1, 8).Draw(t, "max")
		}
		rates := []float64{10, rapid.SampledFrom([]float64{10, 7, 16}).Draw(t, "second")}
		// What is in no domain is never lost.
		first := rapid.SampledFrom([]int32{safe, safe + 1}).Draw(t, "first")
		var slots []slot
		for d := range domains {
			for v, rate := range rates {
				domain := int32(d) + first
				if need.level < 0 {
					domain = -1
				}
				slots = append(slots, slot{v, domain, rate, rapid.Int64Range(0, 500).Draw(t, "price")})
			}
		}
		var standing []rated
		if rapid.Bool().Draw(t, "stands") && need.level >= 0 {
			standing = append(standing, rated{rate: 10, domain: 1, n: rapid.Int64Range(1, 2).Draw(t, "standing")})
		}
		want := cheapestConfig(need, standing, slots)
		s := newConfigSearch(&class{standing: standing}, need, append([]slot(nil), slots...), math.Inf(1))
		lower := s.solve(100_000, math.MaxInt64)
		if want == math.MaxInt64 {
			return // it takes more than the brute force tries
		}
		if lower > want || float64(lower) < float64(want)*(1-2*closeEnough)-1 {
			t.Fatalf("proven %d, cheapest %d (need %+v, standing %v, slots %+v)", lower, want, need, standing, slots)
		}
	})
}
