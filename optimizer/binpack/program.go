package binpack

import (
	"context"
	"errors"
	"math"
	"math/big"
	"slices"
	"time"

	"purser"
	"purser/optimizer/highs"
)

// errStopped says that the context or the work has ended: what was found before stands.
var errStopped = errors.New("binpack: stopped")

// valueScale is 1 bin in the integers that row prices are rounded down to, and mostPrice the largest price that is asked for: sums over
// maxItems stay far from what overflows.
const (
	valueScale = int64(1) << 32
	mostPrice  = 64
)

// program is the set covering program over patterns,
//
//	min Σ x_P   subject to   Σ_P n_cP x_P ≥ need_c for each class c,   x ≥ 0,
//
// in a solver of its own. Patterns may hold more than is needed: of a bin that is taken only the part that is needed counts.
type program struct {
	p        *problem
	solver   *highs.Solver
	cols     []pattern
	seen     map[string]bool
	need     []int32
	last     highs.Result
	deadline time.Time
	work     int64 // left, see workUnit
	shut     map[int]bool
	value    []int64 // the prices last proven, when solved
	upper    int64   // what no pattern is worth more than under them
	solved   bool
}

func newProgram(ctx context.Context, rt *highs.Runtime, p *problem, work int64) (*program, error) {
	solver, err := rt.NewSolver(ctx)
	if err != nil {
		return nil, stopped(ctx, err)
	}
	pr := &program{p: p, work: work, solver: solver, seen: map[string]bool{}, need: slices.Clone(p.count), shut: map[int]bool{}}
	if at, ok := ctx.Deadline(); ok {
		pr.deadline = at.Add(-softStop)
	}
	var rows highs.Rows
	for c, n := range p.count {
		rows.Append(float64(n), p.mostOf(c, n), nil, nil)
	}
	if err := errors.Join(solver.SetPresolve(false), solver.AddRows(rows)); err != nil {
		return nil, errors.Join(err, solver.Close())
	}
	return pr, nil
}

// mostOf is how often a class may be packed that is needed n times: what lends room must not be counted on more often.
func (p *problem) mostOf(c int, n int32) float64 {
	if p.lends[c] {
		return float64(n)
	}
	return math.Inf(1)
}

// softStop is how long before the context's end the solver is asked to stop in good order.
const softStop = 5 * time.Millisecond

// warm gives another program's patterns and basis to a new one.
func (pr *program) warm(cols []pattern, basis highs.Basis) error {
	if _, err := pr.add(cols); err != nil {
		return err
	}
	return pr.restart(basis)
}

// restart goes back to a basis of when there were fewer patterns.
func (pr *program) restart(basis highs.Basis) error {
	cols := slices.Clone(basis.Cols)
	for len(cols) < len(pr.cols) {
		cols = append(cols, highs.AtLower)
	}
	return pr.solver.SetBasis(highs.Basis{Cols: cols, Rows: basis.Rows})
}

func (pr *program) close() { _ = pr.solver.Close() }

// stopped turns the errors of an ended context into errStopped, and others into the package's.
func stopped(ctx context.Context, err error) error {
	switch {
	case err == nil || errors.Is(err, errStopped):
		return err
	case ctx.Err() != nil:
		return errStopped
	}
	return purser.Wrap(purser.KindInternal, op, err)
}

// add puts patterns into the program, and says how many were new.
func (pr *program) add(patterns []pattern) (int, error) {
	var batch highs.Columns
	for _, pt := range patterns {
		key := pt.key()
		if len(pt) == 0 || pr.seen[key] {
			continue
		}
		pr.seen[key] = true
		pr.cols = append(pr.cols, pt)
		rows, values := pt.column()
		batch.Append(1, 0, math.Inf(1), rows, values)
	}
	return batch.Len(), pr.solver.AddCols(batch)
}

// column gives a pattern's classes, each once, and how many copies it has of them.
func (pt pattern) column() (rows []int32, values []float64) {
	for _, c := range pt {
		if n := len(rows); n > 0 && rows[n-1] == c {
			values[n-1]++
			continue
		}
		rows, values = append(rows, c), append(values, 1)
	}
	return rows, values
}

// demand sets what is needed of each class. Patterns of which only a part is needed of a class that is still needed are replaced by that
// part: else the program would take a fraction of them for the whole.
func (pr *program) demand(need []int32) error {
	var rows []int32
	var lower, upper []float64
	for c, n := range need {
		if n != pr.need[c] {
			rows = append(rows, int32(c))
			lower, upper = append(lower, float64(n)), append(upper, pr.p.mostOf(c, n))
		}
	}
	copy(pr.need, need)
	if err := pr.solver.ChangeRowBounds(rows, lower, upper); err != nil {
		return err
	}
	var parts []pattern
	want := map[int]bool{}
	for j, pt := range pr.cols {
		if pr.exceeds(pt) {
			want[j] = true
			if part := pt.trim(need); pr.p.holds(part) {
				parts = append(parts, part)
			}
		}
	}
	if err := pr.shutOnly(want); err != nil {
		return err
	}
	_, err := pr.add(parts)
	return err
}

// exceeds says whether a pattern holds more than is needed of a class that is needed.
func (pr *program) exceeds(pt pattern) bool {
	run := int32(0)
	for i, c := range pt {
		if i > 0 && pt[i-1] == c {
			run++
		} else {
			run = 1
		}
		if n := pr.need[c]; n > 0 && run > n {
			return true
		}
	}
	return false
}

// shutOnly shuts exactly the columns wanted, and opens the others.
func (pr *program) shutOnly(want map[int]bool) error {
	var cols []int32
	var lower, upper []float64
	for j := range pr.cols {
		if want[j] == pr.shut[j] {
			continue
		}
		top := math.Inf(1)
		if want[j] {
			top = 0
		}
		cols, lower, upper = append(cols, int32(j)), append(lower, 0), append(upper, top)
	}
	pr.shut = want
	return pr.solver.ChangeColBounds(cols, lower, upper)
}

// run solves the program. errStopped: time or work is up, or there is no solution to be had.
func (pr *program) run(ctx context.Context) error {
	for try := range 2 {
		if pr.work <= 0 {
			return errStopped
		}
		if try > 0 { // a basis that has gone bad is the usual reason
			if err := pr.solver.ForgetBasis(); err != nil {
				return err
			}
		}
		res, err := pr.solver.Run(ctx, highs.Limits{Deadline: pr.deadline, Work: pr.work})
		if err != nil {
			return stopped(ctx, err)
		}
		pr.work -= res.Work
		if res.Status == highs.StatusOptimal && len(res.RowDual) == len(pr.need) {
			pr.last = res
			return nil
		}
		if res.Status == highs.StatusTimeLimit || res.Status == highs.StatusWorkLimit {
			return errStopped
		}
	}
	return errStopped
}

// values are the last solution's row prices, rounded down.
func (pr *program) values() []int64 {
	out := make([]int64, len(pr.need))
	for c := range out {
		if y := pr.last.RowDual[c]; y > 0 && pr.need[c] > 0 {
			out[c] = int64(math.Min(y, mostPrice) * float64(valueScale))
		}
	}
	return out
}

// farley is the bound ⌈Σ value·need / upper⌉, where no pattern is worth more than upper: value/upper are feasible prices of the program's
// dual (Farley 1990). All in integers.
func farley(value []int64, need []int32, upper int64) int {
	if upper <= 0 {
		return 0
	}
	sum := new(big.Int)
	for c, v := range value {
		sum.Add(sum, new(big.Int).Mul(big.NewInt(v), big.NewInt(int64(need[c]))))
	}
	q, rest := new(big.Int).QuoRem(sum, big.NewInt(upper), new(big.Int))
	if rest.Sign() > 0 {
		q.Add(q, big.NewInt(1))
	}
	return int(q.Int64())
}
