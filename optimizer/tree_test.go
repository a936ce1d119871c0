package optimizer

import (
	"fmt"
	"math"
	"testing"

	"pgregory.net/rapid"
)

// No plan lies below what a tree proves, and a tree proves no less than the program that it grows from.
func TestNoPlanLiesBelowTheTree(t *testing.T) {
	raised := 0
	rapid.Check(t, func(rt *rapid.T) {
		p, plan := mustSolve(rt, t, drawInput(rt, 10, true), Options{Work: Work{Dives: 2}})
		if len(plan.Unplaced) > 0 || len(p.classes) == 0 {
			return
		}
		r, err := newRelaxed(t.Context(), solver(t), p, relaxedSpec{})
		if err != nil {
			rt.Fatal(err)
		}
		defer func() { _ = r.close() }()
		if err := r.seed(); err != nil {
			rt.Fatal(err)
		}
		if err := r.generate(t.Context(), generation{rounds: 100, workers: 1, nodes: []int64{500, 50_000}, target: 1e-7}); err != nil {
			rt.Fatal(err)
		}
		tr, err := newTree(t.Context(), solver(t), r, 1e-5)
		if err != nil {
			rt.Fatal(err)
		}
		defer func() { _ = tr.r.close() }()
		if err := tr.grow(t.Context(), 8, math.MaxInt64, 50_000); err != nil {
			rt.Fatal(err)
		}
		if tr.bound() > int64(plan.Objective) {
			rt.Fatalf("a plan costs %s, the tree proves %d nano-USD with %d leaves", plan.Objective.Decimal(), tr.bound(), len(tr.leaves))
		}
		if tr.bound() < r.best {
			rt.Fatalf("the program proves %d, the tree %d", r.best, tr.bound())
		}
		if float64(tr.bound()) > float64(r.best)*1.001 {
			raised++
		}
	})
	if raised == 0 {
		t.Error("no tree proves more than the program that it grew from")
	}
}

// What is counted of an accelerator is a whole number of units on every machine, and no count comes twice.
func TestCountsAreOfWholeUnits(t *testing.T) {
	in := simple(3)
	p, err := NewProblem(in)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for i, c := range p.countable() {
		if c.count != i || len(c.weights) == 0 || c.price <= 0 || math.IsInf(c.price, 1) {
			t.Errorf("count %d: %+v", i, c)
		}
		for s, w := range c.weights {
			if w < 1 || len(c.weights) == 1 && w != 1 {
				t.Errorf("a machine of site %d counts %d", s, w)
			}
		}
		if key := fmt.Sprint(c.weights); seen[key] {
			t.Errorf("%s comes twice", key)
		} else {
			seen[key] = true
		}
	}
	sites := 0
	for i := range p.groups {
		sites += len(p.groups[i].sites)
	}
	if len(seen) < sites {
		t.Errorf("%d counts of %d sites", len(seen), sites)
	}
}
