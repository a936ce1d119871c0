package binpack

import (
	"context"
	"math"
	"math/big"
	"slices"

	"purser/optimizer/highs"
)

// exactPatterns and exactLooks limit the list of all patterns that a better packing can have.
const (
	exactPatterns = 30_000
	exactLooks    = 30_000_000
)

// exactShare is the part of the work that is left which the exact search may use at once.
const exactShare = 4

// exactly is the task of searching a packing of one bin less by branch and bound over every pattern that it can have. The bound is
// above the number aimed for when it is proven that there is none.
func (s *search) exactly(ctx context.Context, work int64, _ uint64) (outcome, error) {
	work /= exactShare
	target := len(s.best) - 1
	p, class := s.p.split()
	list, out, err := s.listFor(ctx, p, class, target, work)
	if err != nil || list == nil || out.bound > target {
		return out, err
	}
	t, err := newTree(ctx, s.rt, p, list, target, work-out.used)
	if err != nil {
		return out, err
	}
	defer t.pr.close()
	ok, err := t.search(ctx, nil)
	out.used = work - t.pr.work
	if err != nil {
		return out, err
	}
	if !ok {
		out.bound = target + 1
		return out, nil
	}
	for _, pt := range t.found {
		joined := make(pattern, len(pt))
		for i, c := range pt {
			joined[i] = class[c]
		}
		out.packing = append(out.packing, joined)
	}
	return out, nil
}

// split gives each copy a class of its own, since branching on pairs asks for that, and for each the class that it comes from.
func (p *problem) split() (*problem, []int32) {
	if p.total == len(p.size) {
		class := make([]int32, p.total)
		for c := range class {
			class[c] = int32(c)
		}
		return p, class
	}
	out := &problem{dims: p.dims, room: p.room, total: p.total, signed: p.signed}
	var class []int32
	for c, n := range p.count {
		for range n {
			class = append(class, int32(c))
			out.size, out.count, out.lends = append(out.size, p.size[c]), append(out.count, 1), append(out.lends, p.lends[c])
		}
	}
	return out, class
}

// listFor solves the covering program to its end and lists the patterns of a packing of target bins; nil where they are too many.
func (s *search) listFor(ctx context.Context, p *problem, class []int32, target int, work int64) (list []pattern, out outcome, err error) {
	pr, err := newProgram(ctx, s.rt, p, work)
	if err != nil {
		return nil, out, err
	}
	defer func() {
		pr.close()
		out.used = work - pr.work
	}()
	if p == s.p {
		err = pr.warm(s.cols, s.basis)
	} else {
		_, err = pr.add(splitPatterns(s.best, class))
	}
	if err != nil {
		return nil, out, stopped(ctx, err)
	}
	out.bound, err = pr.generate(ctx, generation{rounds: maxRounds, looks: rootLooks, batch: rootBatch, done: func(float64, int) bool { return false }})
	if err != nil || !pr.solved {
		return nil, out, err
	}
	list, ok := candidates(ctx, pr, target)
	switch {
	case !ok:
		return nil, out, nil
	case len(list) == 0:
		out.bound = max(out.bound, target+1)
	}
	return list, out, nil
}

// splitPatterns gives a packing's patterns in the classes of single copies.
func splitPatterns(packing []pattern, class []int32) []pattern {
	next := map[int32]int32{}
	for i := len(class) - 1; i >= 0; i-- {
		next[class[i]] = int32(i)
	}
	out := make([]pattern, len(packing))
	for b, pt := range packing {
		for _, c := range pt {
			out[b] = append(out[b], next[c])
			next[c]++
		}
		sortPattern(out[b])
	}
	return out
}

// candidates lists every pattern that a packing of so many bins can have: by the proven prices, the bins of such a packing lack
//
//	Σ_bins (1 − value) = target − Σ value·count
//
// of their worth all together, and none has more than upper to make up for another.
func candidates(ctx context.Context, pr *program, target int) ([]pattern, bool) {
	sum := new(big.Int)
	for c, v := range pr.value {
		sum.Add(sum, new(big.Int).Mul(big.NewInt(v), big.NewInt(int64(pr.p.count[c]))))
	}
	lack := new(big.Int).Mul(big.NewInt(int64(target)), big.NewInt(valueScale))
	lack.Sub(lack, sum)
	lack.Add(lack, new(big.Int).Mul(big.NewInt(int64(target)), big.NewInt(max(0, pr.upper-valueScale))))
	if lack.Sign() < 0 {
		return nil, true
	}
	least := int64(0)
	if lack.IsInt64() {
		least = max(0, valueScale-lack.Int64())
	}
	value := make([]int64, len(pr.value))
	for c := range value {
		value[c] = max(1, pr.value[c]) // all are to be listed, those with a price of nothing too
	}
	k := newSack(ctx, pr.p, value, pr.p.count)
	var list []pattern
	k.accept = func(int64) {
		if list = append(list, k.pattern(k.path)); len(list) > exactPatterns {
			k.ops = 0
		}
	}
	upper, used := k.sweep(least-1, exactLooks, exactLooks, false, func(int64, pattern) {})
	pr.work -= used / workUnit
	return list, upper == least-1 && len(list) <= exactPatterns
}

// tree is branch and bound over a fixed list of patterns, by pairs of classes that are to be in one bin or in two (Ryan and Foster 1981). Every class
// has one copy.
type tree struct {
	pr     *program
	list   []pattern
	has    [][]bool
	target int
	nodes  int
	found  []pattern
}

// pair is a branch.
type pair struct {
	a, b     int32
	together bool
}

// helperPrice is what the column costs that covers everything, in targets: with it each program has a solution, and prices that prove.
const helperPrice = 4

func newTree(ctx context.Context, rt *highs.Runtime, p *problem, list []pattern, target int, work int64) (*tree, error) {
	pr, err := newProgram(ctx, rt, p, work)
	if err != nil {
		return nil, err
	}
	t := &tree{pr: pr, list: list, target: target}
	for _, pt := range list {
		has := make([]bool, len(p.size))
		for _, c := range pt {
			has[c] = true
		}
		t.has = append(t.has, has)
	}
	if _, err := pr.add(list); err != nil {
		return nil, stopped(ctx, err)
	}
	var all highs.Columns
	rows, values := make([]int32, len(p.size)), make([]float64, len(p.size))
	for c := range rows {
		rows[c], values[c] = int32(c), float64(p.count[c])
	}
	all.Append(helperPrice*float64(target+1), 0, math.Inf(1), rows, values)
	if err := pr.solver.AddCols(all); err != nil {
		return nil, stopped(ctx, err)
	}
	return t, nil
}

// search looks for a packing that obeys the branches.
func (t *tree) search(ctx context.Context, branches []pair) (bool, error) {
	t.nodes++
	want := map[int]bool{}
	for j := range t.list {
		for _, b := range branches {
			if both := t.has[j][b.a] && t.has[j][b.b]; b.together && t.has[j][b.a] != t.has[j][b.b] || !b.together && both {
				want[j] = true
				break
			}
		}
	}
	if err := t.pr.shutOnly(want); err != nil {
		return false, stopped(ctx, err)
	}
	if err := t.pr.run(ctx); err != nil {
		return false, err
	}
	if t.bound(want) > t.target {
		return false, nil
	}
	next, ok := t.branch()
	if !ok {
		if t.whole() {
			return true, nil
		}
		return false, errStopped // the solver's rounding is in the way
	}
	for _, together := range []bool{true, false} {
		next.together = together
		if ok, err := t.search(ctx, append(branches[:len(branches):len(branches)], next)); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

// bound is proven from the last row prices and the open patterns. Only the prices' ratios matter: large ones are scaled down together.
func (t *tree) bound(shut map[int]bool) int {
	scale := float64(valueScale)
	if most := slices.Max(t.pr.last.RowDual); most > mostPrice {
		scale *= mostPrice / most
	}
	value := make([]int64, len(t.pr.need))
	for c, y := range t.pr.last.RowDual {
		value[c] = int64(max(0, y) * scale)
	}
	upper := int64(0)
	for j, pt := range t.list {
		if shut[j] {
			continue
		}
		sum := int64(0)
		for _, c := range pt {
			sum += value[c]
		}
		upper = max(upper, sum)
	}
	if upper == 0 && slices.Max(value) > 0 {
		return t.target + 1 // nothing that is open covers what is worth something
	}
	return farley(value, t.pr.need, upper)
}

// branch chooses the pair that shares its bins most nearly by half.
func (t *tree) branch() (pair, bool) {
	share := map[[2]int32]float64{}
	for j, x := range t.pr.last.ColValue {
		if j >= len(t.list) || x < tolerance {
			continue
		}
		pt := t.list[j]
		for i, a := range pt {
			for _, b := range pt[i+1:] {
				share[[2]int32{a, b}] += x
			}
		}
	}
	best, most := pair{}, tolerance*10
	for a := range int32(len(t.pr.need)) {
		for b := a + 1; b < int32(len(t.pr.need)); b++ {
			x := share[[2]int32{a, b}]
			if d := min(x, 1-x); d > most {
				best, most = pair{a: a, b: b}, d
			}
		}
	}
	return best, most > tolerance*10
}

// whole takes the packing of a solution without a pair to branch on, and says whether it is one.
func (t *tree) whole() bool {
	t.found = nil
	need := slices.Clone(t.pr.need)
	left := total(need)
	for j, x := range t.pr.last.ColValue {
		if j < len(t.list) && x > 0.5 {
			t.found = append(t.found, t.list[j])
			for _, c := range t.list[j].trim(need) {
				need[c]--
				left--
			}
		}
	}
	return left == 0 && len(t.found) <= t.target
}
