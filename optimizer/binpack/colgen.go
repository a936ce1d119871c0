package binpack

import (
	"cmp"
	"context"
	"slices"
)

// workUnit is how many looks at an item in a knapsack count as one unit of the solver's work, about 0.1 ms.
const workUnit = 15_000

// generation says how far column generation goes.
type generation struct {
	rounds int
	looks  []int64 // per first item of a pattern, raised only when nothing is found
	batch  int     // most patterns a round
	done   func(objective float64, bound int) bool
}

// generate adds patterns that the program's solution would gain by until there are none or done says so, and returns the best proven bound of what is
// needed.
func (pr *program) generate(ctx context.Context, g generation) (bound int, err error) {
	for range g.rounds {
		if err := pr.run(ctx); err != nil {
			return bound, err
		}
		if g.done(pr.last.Objective, bound) {
			return bound, nil
		}
		fresh, proven, err := pr.price(ctx, g)
		bound = max(bound, proven)
		if err != nil {
			return bound, err
		}
		if g.done(pr.last.Objective, bound) {
			return bound, nil
		}
		n, err := pr.add(fresh)
		if err != nil {
			return bound, stopped(ctx, err)
		}
		if n == 0 {
			return bound, nil
		}
	}
	return bound, nil
}

// gain is what a pattern must be worth above 1 to be worth adding: the solver's own tolerance and a little.
const gain = valueScale / 5_000_000

type priced struct {
	value int64
	pt    pattern
}

// price finds patterns worth more than a bin under the last solution's prices, and what the prices prove.
func (pr *program) price(ctx context.Context, g generation) ([]pattern, int, error) {
	value := pr.values()
	k := newSack(ctx, pr.p, value, pr.need)
	bound := 0
	for level, looks := range g.looks {
		if ctx.Err() != nil || pr.work <= 0 {
			return nil, bound, errStopped
		}
		var found []priced
		upper, used := k.sweep(valueScale+gain, looks, pr.work*workUnit, level > 1, func(v int64, pt pattern) { found = append(found, priced{v, pt}) })
		pr.work -= 1 + used/workUnit
		bound = max(bound, farley(value, pr.need, upper))
		if len(found) > 0 {
			return pr.choose(found, g.batch), bound, nil
		}
		pr.upper, pr.value = upper, value
		if upper == valueScale+gain {
			pr.solved = true
			break // proven that there is none
		}
	}
	return nil, bound, nil
}

// choose takes the most valuable patterns such that no class comes often.
func (pr *program) choose(found []priced, most int) []pattern {
	slices.SortStableFunc(found, func(a, b priced) int { return cmp.Compare(b.value, a.value) })
	uses := make([]int, len(pr.need))
	var out []pattern
	for _, f := range found {
		if len(out) >= most {
			break
		}
		often := 0
		for _, c := range f.pt {
			if uses[c] >= 3 {
				often++
			}
		}
		if 2*often > len(f.pt) {
			continue
		}
		for _, c := range f.pt {
			uses[c]++
		}
		out = append(out, f.pt)
	}
	return out
}
