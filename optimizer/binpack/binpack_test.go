package binpack

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"purser"
	"purser/optimizer/highs"
)

// sharedSolver is compiled once for all tests.
var sharedSolver = sync.OnceValues(func() (*highs.Runtime, error) {
	return highs.New(context.Background(), highs.Config{CacheDir: filepath.Join(os.TempDir(), "purser-test-solver"), Instances: 2})
})

func solver(t testing.TB) *highs.Runtime {
	t.Helper()
	rt, err := sharedSolver()
	if errors.Is(err, highs.ErrNoModule) && os.Getenv("CI") == "" {
		t.Skip("the solver is not built in; run `make build`")
	}
	if err != nil {
		t.Fatal(err)
	}
	return rt
}

func solve(t testing.TB, in Instance, work int64) Result {
	t.Helper()
	r, err := Solve(context.Background(), solver(t), in, Options{Work: work, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := in.Check(r.Bins); err != nil {
		t.Fatal(err)
	}
	if r.Bound > len(r.Bins) {
		t.Fatalf("bound %d above %d bins", r.Bound, len(r.Bins))
	}
	return r
}

// single makes an instance whose items are wanted once each.
func single(capacity []int64, sizes ...[]int64) Instance {
	in := Instance{Capacity: capacity}
	for _, s := range sizes {
		in.Items = append(in.Items, Item{Size: s, Count: 1})
	}
	return in
}

// bruteForce is the least number of bins: each copy goes into every bin, or a new one. Only the end must be within the capacity, since sizes may be
// below 0.
func bruteForce(in Instance) int {
	var copies [][]int64
	for _, it := range in.Items {
		for range it.Count {
			copies = append(copies, it.Size)
		}
	}
	best := len(copies)
	var loads [][]int64
	var place func(at int)
	place = func(at int) {
		if len(loads) >= best {
			return
		}
		if at == len(copies) {
			for _, load := range loads {
				if !fits(load, in.Capacity) {
					return
				}
			}
			best = len(loads)
			return
		}
		add := func(load []int64, sign int64) {
			for k, s := range copies[at] {
				load[k] += sign * s
			}
		}
		for b := range loads {
			add(loads[b], 1)
			place(at + 1)
			add(loads[b], -1)
		}
		loads = append(loads, slices.Clone(copies[at]))
		place(at + 1)
		loads = loads[:len(loads)-1]
	}
	place(0)
	return best
}

// drawInstance makes an instance of at most nine copies; lowest is the least size.
func drawInstance(t *rapid.T, lowest int64) Instance {
	dims := rapid.IntRange(1, 4).Draw(t, "dims")
	in := Instance{}
	for range dims {
		in.Capacity = append(in.Capacity, rapid.Int64Range(4, 20).Draw(t, "capacity"))
	}
	left := rapid.IntRange(1, 9).Draw(t, "copies")
	for left > 0 {
		it := Item{Count: min(left, rapid.SampledFrom([]int{1, 1, 1, 2, 3}).Draw(t, "count"))}
		left -= it.Count
		for k := range dims {
			it.Size = append(it.Size, rapid.Int64Range(lowest, in.Capacity[k]*3/4).Draw(t, "size"))
		}
		in.Items = append(in.Items, it)
	}
	return in
}

func TestSmallOnesAreOptimal(t *testing.T) {
	solver(t)
	rapid.Check(t, func(rt *rapid.T) {
		in := drawInstance(rt, 0)
		best := bruteForce(in)
		r := solve(t, in, 1_500)
		if len(r.Bins) != best || r.Bound > best {
			rt.Fatalf("%d bins and bound %d, of %d", len(r.Bins), r.Bound, best)
		}
		if b := newProblem(in); b.simpleBound()+len(b.alone) > best {
			rt.Fatalf("simple bound %d, of %d", b.simpleBound()+len(b.alone), best)
		}
	})
}

// TestSizesBelowZero: here the packing must be feasible and the bound hold; the heuristics need not find the optimum.
func TestSizesBelowZero(t *testing.T) {
	solver(t)
	rapid.Check(t, func(rt *rapid.T) {
		in := drawInstance(rt, -3)
		best := bruteForce(in)
		if r := solve(t, in, 1_500); r.Bound > best || len(r.Bins) < best {
			rt.Fatalf("%d bins and bound %d, of %d", len(r.Bins), r.Bound, best)
		}
	})
}

func TestKnownAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		in   Instance
		bins int
	}{
		"nothing":                      {Instance{Capacity: []int64{5}}, 0},
		"halves":                       {Instance{Capacity: []int64{10}, Items: []Item{{Size: []int64{5}, Count: 7}}}, 4},
		"just above halves":            {Instance{Capacity: []int64{10, 10}, Items: []Item{{Size: []int64{6, 1}, Count: 7}}}, 7},
		"each its own dimension":       {single([]int64{9, 9, 9}, []int64{9, 0, 0}, []int64{0, 9, 0}, []int64{0, 0, 9}), 1},
		"nothing in a dimension of 0":  {single([]int64{4, 0}, []int64{3, 0}, []int64{1, 0}), 1},
		"a hundred thirds":             {Instance{Capacity: []int64{9, 6}, Items: []Item{{Size: []int64{3, 2}, Count: 100}}}, 34},
		"one lends room to the others": {single([]int64{10}, []int64{6}, []int64{5}, []int64{-1}), 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := solve(t, c.in, 1_500)
			if name != "one lends room to the others" && len(r.Bins) != c.bins || r.Bound > c.bins || len(r.Bins) < c.bins {
				t.Errorf("%d bins and bound %d, not %d", len(r.Bins), r.Bound, c.bins)
			}
		})
	}
}

// triplets makes an instance that three items a bin fill without rest.
func triplets(bins, dims int, seed uint64) Instance {
	rng := rand.New(rand.NewPCG(seed, 0))
	in := Instance{}
	for range dims {
		in.Capacity = append(in.Capacity, 1000)
	}
	for range bins {
		three := [3][]int64{}
		for range dims {
			a := 200 + rng.Int64N(200)
			b := 200 + rng.Int64N(200)
			for i, s := range []int64{a, b, 1000 - a - b} {
				three[i] = append(three[i], s)
			}
		}
		for _, size := range three {
			in.Items = append(in.Items, Item{Size: size, Count: 1})
		}
	}
	return in
}

func TestTripletsArePackedWithoutRest(t *testing.T) {
	for _, dims := range []int{2, 5} {
		if r := solve(t, triplets(15, dims, uint64(dims)), 30_000); len(r.Bins) != 15 || r.Bound != 15 {
			t.Errorf("%d dimensions: %d bins, bound %d", dims, len(r.Bins), r.Bound)
		}
	}
}

// even makes an instance of sizes up to half a bin, without a known optimum.
func even(items, dims int, seed uint64) Instance {
	rng := rand.New(rand.NewPCG(seed, 1))
	in := Instance{Capacity: slices.Repeat([]int64{100}, dims)}
	for range items {
		it := Item{Count: 1}
		for range dims {
			it.Size = append(it.Size, 10+rng.Int64N(41))
		}
		in.Items = append(in.Items, it)
	}
	return in
}

func TestOrderOfItemsChangesNothing(t *testing.T) {
	in := even(30, 3, 1)
	want := solve(t, in, 3_000)
	rng := rand.New(rand.NewPCG(2, 2))
	for range 3 {
		rng.Shuffle(len(in.Items), func(i, j int) { in.Items[i], in.Items[j] = in.Items[j], in.Items[i] })
		if got := solve(t, in, 3_000); got.Bound != want.Bound || len(got.Bins) != len(want.Bins) {
			t.Errorf("%d bins and bound %d, before %d and %d", len(got.Bins), got.Bound, len(want.Bins), want.Bound)
		}
	}
}

func TestSameWorkSameResult(t *testing.T) {
	in := even(60, 5, 3)
	if first, again := solve(t, in, 4_000), solve(t, in, 4_000); !reflect.DeepEqual(first, again) {
		t.Errorf("%v and %v", first, again)
	}
}

func TestEndedContexts(t *testing.T) {
	rt := solver(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Solve(ctx, rt, even(10, 2, 1), Options{}); purser.KindOf(err) != purser.KindUnavailable {
		t.Errorf("an ended context: %v", err)
	}
	in := even(220, 10, 4)
	ctx, cancel = context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	r, err := Solve(ctx, rt, in, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := in.Check(r.Bins); err != nil || !r.Cut || r.Bound < 1 || r.Bound > len(r.Bins) {
		t.Errorf("cut %v, %d bins, bound %d: %v", r.Cut, len(r.Bins), r.Bound, err)
	}
}

func TestWrongInstancesAreRefused(t *testing.T) {
	for name, in := range map[string]Instance{
		"no dimension":      {},
		"negative capacity": {Capacity: []int64{-1}},
		"wrong sizes":       single([]int64{5, 5}, []int64{1}),
		"too large":         single([]int64{5, 5}, []int64{1, 6}),
		"negative count":    {Capacity: []int64{5}, Items: []Item{{Size: []int64{1}, Count: -1}}},
		"too many":          {Capacity: []int64{5}, Items: []Item{{Size: []int64{1}, Count: maxItems}, {Size: []int64{2}, Count: 1}}},
	} {
		if _, err := Solve(context.Background(), solver(t), in, Options{}); purser.KindOf(err) != purser.KindInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCheckFindsFaults(t *testing.T) {
	in := single([]int64{10, 10}, []int64{6, 1}, []int64{5, 1}, []int64{4, 9})
	if err := in.Check([][]int{{0, 2}, {1}}); err != nil {
		t.Errorf("a packing: %v", err)
	}
	for name, bins := range map[string][][]int{
		"too much":   {{0, 1}, {2}},
		"missing":    {{0, 2}},
		"twice":      {{0, 2}, {1}, {1}},
		"no item":    {{0, 2}, {1, 3}},
		"below zero": {{0, 2}, {1, -1}},
	} {
		if in.Check(bins) == nil {
			t.Errorf("%s: not found", name)
		}
	}
}

// TestSackProves compares the knapsack search with trying everything, and its bound when it is cut off.
func TestSackProves(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		in := drawInstance(rt, -1)
		p := newProblem(in)
		value := make([]int64, len(p.size))
		for c := range value {
			value[c] = rapid.Int64Range(0, 1000).Draw(rt, "value")
		}
		best := bestValue(p, value)
		k := newSack(context.Background(), p, value, p.count)
		got := int64(0)
		upper, _ := k.sweep(0, 1<<40, 1<<40, true, func(v int64, pt pattern) {
			if !p.holds(pt) || !within(pt, p.count) {
				rt.Fatalf("pattern %v does not fit", pt)
			}
			got = max(got, v)
		})
		if got != best || upper != best {
			rt.Fatalf("found %d, proved %d, of %d", got, upper, best)
		}
		for _, looks := range []int64{0, 1, 5} {
			if upper, _ := newSack(context.Background(), p, value, p.count).sweep(0, looks, looks, true, func(int64, pattern) {}); upper < best {
				rt.Fatalf("cut off after %d looks it proved %d, of %d", looks, upper, best)
			}
		}
	})
}

// bestValue is the largest value of a pattern that fits, by trying all.
func bestValue(p *problem, value []int64) int64 {
	best := int64(0)
	var take func(c int32, pt pattern, v int64)
	take = func(c int32, pt pattern, v int64) {
		if int(c) == len(p.size) {
			if p.holds(pt) {
				best = max(best, v)
			}
			return
		}
		for n := range p.count[c] + 1 {
			take(c+1, append(pt[:len(pt):len(pt)], slices.Repeat(pattern{c}, int(n))...), v+int64(n)*value[c])
		}
	}
	take(0, nil, 0)
	return best
}
