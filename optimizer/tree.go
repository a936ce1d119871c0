package optimizer

import (
	"context"
	"errors"
	"math"
	"slices"

	"purser/optimizer/highs"
)

// tree raises the bound by branching on how many machines there are. Dear machines of which the relaxed program takes a part are what its
// bound lacks most. Every leaf has a bound of its own, proven like that of the whole program; the least of them is the tree's.
type tree struct {
	r      *relaxed
	counts []tally      // what can be branched on
	dull   map[int]bool // counts that branching on did not help
	leaves []leaf
	stuck  bool    // the worst leaf cannot be branched, or costs as much as the plan
	target float64 // how near the root's bound has to come to its value
}

// leaf is a set of branches, with what they prove.
type leaf struct {
	branches []branch
	bound    int64
	next     int     // index in counts of what to branch on
	number   float64 // of it, in the last solution
}

// branch allows from least to most of a count.
type branch struct {
	count       int
	least, most int64
}

// The next of a leaf whose program was not solved yet, and of one that has nothing to branch on.
const (
	notSolved = -2
	nothing   = -1
)

// newTree begins a tree with a copy of a solved program.
func newTree(ctx context.Context, rt *highs.Runtime, r *relaxed, target float64) (*tree, error) {
	c, err := r.copy(ctx, rt)
	if err != nil {
		return nil, err
	}
	return &tree{r: c, counts: r.p.countable(), dull: map[int]bool{}, leaves: []leaf{{bound: r.best, next: notSolved}}, target: target}, nil
}

// copy makes the program again, with the columns, configurations and domains that it has by now.
func (r *relaxed) copy(ctx context.Context, rt *highs.Runtime) (*relaxed, error) {
	c, err := newRelaxed(ctx, rt, r.p, r.relaxedSpec)
	if err != nil {
		return nil, err
	}
	for i := range r.services {
		for _, d := range r.services[i].domains {
			if err := c.open(&c.services[i], d); err != nil {
				return nil, joinClose(err, c.master)
			}
		}
	}
	if err := c.refresh(); err != nil {
		return nil, joinClose(err, c.master)
	}
	for i := range r.services {
		for _, cfg := range r.services[i].configs {
			slots, counts := make([]slot, 0, len(cfg.parts)), make([]int64, 0, len(cfg.parts))
			for _, pt := range cfg.parts {
				slots, counts = append(slots, slot{variant: pt.variant, domain: pt.domain}), append(counts, pt.n)
			}
			if _, err := c.addConfig(&c.services[i], slots, counts); err != nil {
				return nil, joinClose(err, c.master)
			}
		}
	}
	if _, err := c.add(r.cols); err != nil {
		return nil, joinClose(err, c.master)
	}
	return c, nil
}

// bound is what the tree proves.
func (t *tree) bound() int64 { return t.leaves[t.worst()].bound }

func (t *tree) worst() int {
	worst := 0
	for i := range t.leaves {
		if t.leaves[i].bound < t.leaves[worst].bound {
			worst = i
		}
	}
	return worst
}

// grow branches so many times. Nothing at or above the ceiling matters. errStopped: time ran out; what is proven stands.
func (t *tree) grow(ctx context.Context, steps int, ceiling, nodes int64) error {
	for range steps {
		if t.stuck {
			return nil
		}
		switch err := t.step(ctx, ceiling, nodes); {
		case errors.Is(err, errUnsolved):
			t.stuck = true
		case err != nil:
			return err
		}
	}
	return nil
}

// step branches on the worst leaf.
func (t *tree) step(ctx context.Context, ceiling, nodes int64) error {
	at := t.worst()
	if t.leaves[at].next == notSolved {
		return t.root(ctx, nodes)
	}
	l := t.leaves[at]
	if l.next >= 0 && t.dull[l.next] {
		if err := t.again(ctx, at); err != nil {
			return err
		}
		l = t.leaves[at]
	}
	if l.bound >= ceiling || l.next == nothing {
		t.stuck = true
		return nil
	}
	below, above := l.split()
	var children []leaf
	for _, b := range []branch{below, above} {
		c, err := t.solve(ctx, &l, b, ceiling, nodes)
		if err != nil {
			return err
		}
		children = append(children, c)
	}
	if min(children[0].bound, children[1].bound) <= l.bound {
		t.dull[l.next] = true
	}
	t.leaves = append(slices.Delete(t.leaves, at, at+1), children...)
	return nil
}

// rootRounds bounds the rounds of a step at the root.
const rootRounds = 4

// root raises the bound of the whole program until it is near its value, a few rounds a step, and then chooses what to branch on.
func (t *tree) root(ctx context.Context, nodes int64) error {
	l := &t.leaves[0]
	cols := len(t.r.cols)
	err := t.r.generate(ctx, generation{rounds: rootRounds, workers: 1, nodes: []int64{20_000}, raise: nodes, target: t.target})
	if t.r.proof {
		l.bound = max(l.bound, t.r.best)
	}
	if err != nil {
		return err
	}
	value := t.r.last.Objective*t.r.unit + float64(t.r.offset())
	if value-float64(l.bound) <= t.target*value || len(t.r.cols) == cols {
		t.choose(l)
	}
	return nil
}

// again solves a leaf once more to choose another count.
func (t *tree) again(ctx context.Context, at int) error {
	l := &t.leaves[at]
	if err := t.allow(l.branches); err != nil {
		return err
	}
	if err := t.r.run(ctx); err != nil {
		return err
	}
	t.choose(l)
	return nil
}

// split is the branches below and above the number of a leaf.
func (l *leaf) split() (below, above branch) {
	whole := int64(math.Floor(l.number))
	below, above = branch{l.next, 0, whole}, branch{l.next, whole + 1, noMost}
	for _, b := range l.branches {
		if b.count == l.next {
			below.least, above.most = b.least, b.most
		}
	}
	return below, above
}

// noMost is the most of a branch that has none.
const noMost = math.MaxInt32

// nodeRounds bounds the rounds of pricing at one leaf.
const nodeRounds = 12

// solve proves a bound for a leaf with one branch more.
func (t *tree) solve(ctx context.Context, parent *leaf, b branch, ceiling, nodes int64) (leaf, error) {
	c := leaf{branches: []branch{b}, bound: parent.bound, next: nothing}
	for _, other := range parent.branches {
		if other.count != b.count {
			c.branches = append(c.branches, other)
		}
	}
	if err := t.allow(c.branches); err != nil {
		return c, err
	}
	t.r.best, t.r.proof, t.r.latest = 0, false, 0
	err := t.r.generate(ctx, generation{
		rounds: nodeRounds, workers: 1, nodes: []int64{20_000, nodes}, target: 1e-5, ceiling: ceiling,
	})
	if errors.Is(err, errUnsolved) {
		return c, nil
	}
	if t.r.proof {
		c.bound = max(c.bound, t.r.best)
	}
	t.choose(&c)
	return c, err
}

// allow lets every count have what the branches say, and those without a branch anything.
func (t *tree) allow(branches []branch) error {
	for i := range t.r.tallies {
		t.r.tallies[i].least, t.r.tallies[i].most = 0, noMost
	}
	for _, b := range branches {
		i := slices.IndexFunc(t.r.tallies, func(have tally) bool { return have.count == b.count })
		if i < 0 {
			i = len(t.r.tallies)
			if err := t.r.tally(t.counts[b.count]); err != nil {
				return err
			}
		}
		t.r.tallies[i].least, t.r.tallies[i].most = b.least, b.most
	}
	var at []int32
	var lower, upper []float64
	for _, c := range t.r.tallies {
		at, lower, upper = append(at, c.row), append(lower, float64(c.least)), append(upper, math.Inf(1))
		if c.most < noMost {
			upper[len(upper)-1] = float64(c.most)
		}
	}
	return t.r.solver.ChangeRowBounds(at, lower, upper)
}

// choose notes what a leaf is to be branched on: where the part that the last solution lacks to a whole number is dearest.
func (t *tree) choose(l *leaf) {
	numbers := make([]float64, len(t.counts))
	of := map[int32][]int{}
	for i := range t.counts {
		for s := range t.counts[i].weights {
			of[s] = append(of[s], i)
		}
	}
	for c := range t.r.cols {
		if x := t.r.value(c); x > 1e-9 && t.r.cols[c].span >= t.r.p.lateSpan {
			for _, i := range of[t.r.cols[c].site] {
				numbers[i] += x * float64(t.counts[i].weights[t.r.cols[c].site])
			}
		}
	}
	l.next = nothing
	best := 0.0
	for i, x := range numbers {
		part := math.Abs(x - math.Round(x))
		if score := part * t.counts[i].price; part > 0.01 && score > best*1.001 && !t.dull[i] {
			l.next, l.number, best = i, x, score
		}
	}
}
