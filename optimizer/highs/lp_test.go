package highs

import (
	"math"
	"math/rand"
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

// TestKnownLP checks values and the signs of duals where each kind of row and bound is active.
//
//	min 2a + 3b − c + d
//	r0: a + b ≥ 10        r1: a − b ≤ 2        r2: c + d = 5        r3: 1 ≤ a + c ≤ 100
//	a ≥ 0, b ≥ 0, 0 ≤ c ≤ 3, d free
func TestKnownLP(t *testing.T) {
	s := newSolver(t, testRuntime(t))
	must(t, s.AddRows(Rows{Lower: []float64{10, -inf, 5, 1}, Upper: []float64{inf, 2, 5, 100}}))
	var c Columns
	c.Append(2, 0, inf, []int32{0, 1, 3}, []float64{1, 1, 1})
	c.Append(3, 0, inf, []int32{0, 1}, []float64{1, -1})
	c.Append(-1, 0, 3, []int32{2, 3}, []float64{1, 1})
	c.Append(1, -inf, inf, []int32{2}, []float64{1})
	must(t, s.AddCols(c))
	res := run(t, s, Limits{})
	if res.Status != StatusOptimal || !res.Feasible || !res.DualFeasible || res.Gap != 0 || res.Objective != res.Bound {
		t.Fatalf("%+v", res)
	}
	// a = 6, b = 4 from r0 and r1; c = 3 at its upper bound, d = 2.
	wantNear(t, "objective", []float64{res.Objective}, 12+12-3+2)
	wantNear(t, "x", res.ColValue, 6, 4, 3, 2)
	wantNear(t, "activity", res.RowValue, 10, 2, 5, 9)
	// One more unit of r0 costs 2.5 (half a, half b); of r1's upper bound −0.5; of r2 1 (d). r3 is not active.
	wantNear(t, "row duals", res.RowDual, 2.5, -0.5, 1, 0)
	// c at its upper bound: −1 − 1 = −2 ≤ 0.
	wantNear(t, "column duals", res.ColDual, 0, 0, -2, 0)
}

func TestLPEnds(t *testing.T) {
	for _, tt := range []struct {
		name         string
		lower, upper float64
		cost         float64
		want         Status
		bound        float64
	}{
		{"optimal", 1, inf, 1, StatusOptimal, 1},
		{"unbounded", 1, inf, -1, StatusUnbounded, -inf},
		{"infeasible", -inf, -1, 1, StatusInfeasible, inf},
		{"crossed bounds", 2, 1, 1, StatusInfeasible, inf},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSolver(t, testRuntime(t))
			must(t, s.AddRows(Rows{Lower: []float64{tt.lower}, Upper: []float64{tt.upper}}))
			// Two columns in the row, so that presolve does not solve it by itself.
			must(t, s.AddCols(Columns{
				Cost: []float64{tt.cost, tt.cost}, Lower: []float64{0, 0}, Upper: []float64{inf, inf},
				Start: []int32{0, 1}, Index: []int32{0, 0}, Value: []float64{1, 1},
			}))
			res := run(t, s, Limits{})
			if res.Status != tt.want || res.Bound != tt.bound {
				t.Fatalf("status %d bound %v, want %d %v", res.Status, res.Bound, tt.want, tt.bound)
			}
			if res.Status == StatusInfeasible && (res.Feasible || !math.IsInf(res.Objective, 1)) {
				t.Fatalf("infeasible with a solution: %+v", res)
			}
		})
	}
}

// checkOptimal asserts primal and dual feasibility, the signs of duals, and strong duality, each within 1e-7 of the numbers' size.
func checkOptimal(t interface {
	Helper()
	Fatalf(string, ...any)
}, rows Rows, cols Columns, res Result,
) {
	t.Helper()
	const tol = 1e-7
	activity := make([]float64, rows.Len())
	dualValue := 0.0
	// part adds a bound's share to the dual objective and checks signs and complementarity.
	part := func(what string, i int, v, lower, upper, dual float64) {
		scale := math.Max(1, math.Abs(v))
		if v < lower-tol*scale || v > upper+tol*scale {
			t.Fatalf("%s %d: %v outside [%v, %v]", what, i, v, lower, upper)
		}
		if math.Abs(dual) <= tol {
			return
		}
		at := lower
		if dual < 0 {
			at = upper
		}
		if math.IsInf(at, 0) || math.Abs(v-at) > tol*scale {
			t.Fatalf("%s %d: dual %v, but value %v is not at its bound %v", what, i, dual, v, at)
		}
		dualValue += dual * at
	}
	objective := 0.0
	for j := range cols.Len() {
		to := len(cols.Index)
		if j+1 < cols.Len() {
			to = int(cols.Start[j+1])
		}
		reduced := cols.Cost[j]
		for k := int(cols.Start[j]); k < to; k++ {
			activity[cols.Index[k]] += cols.Value[k] * res.ColValue[j]
			reduced -= cols.Value[k] * res.RowDual[cols.Index[k]]
		}
		if math.Abs(reduced-res.ColDual[j]) > tol*math.Max(1, math.Abs(cols.Cost[j])) {
			t.Fatalf("column %d: dual %v, but c − Aᵀy = %v", j, res.ColDual[j], reduced)
		}
		part("column", j, res.ColValue[j], cols.Lower[j], cols.Upper[j], res.ColDual[j])
		objective += cols.Cost[j] * res.ColValue[j]
	}
	for i := range rows.Len() {
		if math.Abs(activity[i]-res.RowValue[i]) > tol*math.Max(1, math.Abs(activity[i])) {
			t.Fatalf("row %d: activity %v, but Ax = %v", i, res.RowValue[i], activity[i])
		}
		part("row", i, activity[i], rows.Lower[i], rows.Upper[i], res.RowDual[i])
	}
	scale := tol * math.Max(1, math.Abs(objective))
	if math.Abs(objective-res.Objective) > scale || math.Abs(objective-dualValue) > scale {
		t.Fatalf("objective %v, c·x %v, dual objective %v", res.Objective, objective, dualValue)
	}
}

// drawLP makes a feasible, bounded LP around a known point.
func drawLP(t *rapid.T) (Rows, Columns) {
	m, n := rapid.IntRange(1, 8).Draw(t, "rows"), rapid.IntRange(1, 10).Draw(t, "cols")
	small := rapid.Map(rapid.IntRange(-40, 40), func(v int) float64 { return float64(v) / 4 })
	var c Columns
	activity := make([]float64, m)
	for j := range n {
		x := small.Draw(t, "x")
		width := math.Abs(small.Draw(t, "width"))
		var index []int32
		var value []float64
		for i := range m {
			if v := small.Draw(t, "a"); v != 0 && rapid.Bool().Draw(t, "nonzero") {
				index, value = append(index, int32(i)), append(value, v)
				activity[i] += v * x
			}
		}
		_ = j
		c.Append(small.Draw(t, "cost"), x-width, x+math.Abs(small.Draw(t, "above")), index, value)
	}
	var r Rows
	for i := range m {
		slack := math.Abs(small.Draw(t, "slack"))
		switch rapid.IntRange(0, 3).Draw(t, "kind") {
		case 0:
			r.Append(activity[i]-slack, inf, nil, nil)
		case 1:
			r.Append(-inf, activity[i]+slack, nil, nil)
		case 2:
			r.Append(activity[i], activity[i], nil, nil)
		default:
			r.Append(activity[i]-slack, activity[i]+1, nil, nil)
		}
	}
	return r, c
}

func TestRandomLPsAreOptimal(t *testing.T) {
	s := newSolver(t, testRuntime(t))
	rapid.Check(t, func(t *rapid.T) {
		rows, cols := drawLP(t)
		fatal := func(err error) {
			if err != nil {
				t.Fatal(err)
			}
		}
		fatal(s.Clear())
		fatal(s.SetMethod(Method(rapid.IntRange(0, 3).Draw(t, "method"))))
		fatal(s.SetPresolve(rapid.Bool().Draw(t, "presolve")))
		fatal(s.AddRows(rows))
		fatal(s.AddCols(cols))
		res, err := s.Run(t.Context(), Limits{})
		fatal(err)
		if res.Status != StatusOptimal {
			t.Fatalf("status %d", res.Status)
		}
		checkOptimal(t, rows, cols, res)
	})
}

func TestEveryMethodAgrees(t *testing.T) {
	rows, cols := coverModel(2, 60, 600)
	var first float64
	for m := MethodAuto; m <= MethodInteriorPoint; m++ {
		s := newSolver(t, testRuntime(t))
		must(t, s.SetMethod(m))
		load(t, s, rows, cols)
		res := run(t, s, Limits{})
		checkOptimal(t, rows, cols, res)
		if m == MethodAuto {
			first = res.Objective
		}
		if !near(res.Objective, first) {
			t.Errorf("method %d: objective %v, method 0 %v", m, res.Objective, first)
		}
	}
}

// TestWarmStart adds columns round by round and asks for far fewer iterations than a cold start takes, and the same optimum.
func TestWarmStart(t *testing.T) {
	rng := rand.New(rand.NewSource(3))
	rows, all := coverModel(3, 100, 500)
	warm := newSolver(t, testRuntime(t))
	load(t, warm, rows, all)
	first := run(t, warm, Limits{})
	var last Result
	for range 5 {
		var more Columns
		appendCoverColumns(&more, rng, 100, 20)
		must(t, warm.AddCols(more))
		for j := range more.Len() {
			to := len(more.Index)
			if j+1 < more.Len() {
				to = int(more.Start[j+1])
			}
			all.Append(more.Cost[j], more.Lower[j], more.Upper[j], more.Index[more.Start[j]:to], more.Value[more.Start[j]:to])
		}
		last = run(t, warm, Limits{})
		checkOptimal(t, rows, all, last)
		if last.SimplexIterations*2 > first.SimplexIterations {
			t.Errorf("%d iterations after 20 more columns, %d cold", last.SimplexIterations, first.SimplexIterations)
		}
	}
	cold := newSolver(t, testRuntime(t))
	load(t, cold, rows, all)
	if res := run(t, cold, Limits{}); !near(res.Objective, last.Objective) {
		t.Errorf("cold %v, warm %v", res.Objective, last.Objective)
	}
	if again := run(t, warm, Limits{}); again.SimplexIterations != 0 || again.Objective != last.Objective {
		t.Errorf("running again: %d iterations, objective %v then %v", again.SimplexIterations, last.Objective, again.Objective)
	}
}

func TestBasisRoundTrip(t *testing.T) {
	rows, cols := coverModel(4, 50, 400)
	a, b := newSolver(t, testRuntime(t)), newSolver(t, testRuntime(t))
	load(t, a, rows, cols)
	load(t, b, rows, cols)
	want := run(t, a, Limits{})
	basis, err := a.Basis()
	must(t, err)
	must(t, b.SetBasis(basis))
	got := run(t, b, Limits{})
	if got.SimplexIterations != 0 || !near(got.Objective, want.Objective) {
		t.Errorf("from the optimal basis: %d iterations, objective %v, want %v", got.SimplexIterations, got.Objective, want.Objective)
	}
	back, err := b.Basis()
	must(t, err)
	if !reflect.DeepEqual(basis, back) {
		t.Error("the basis changed on its way")
	}
	must(t, b.AddCols(Columns{Cost: []float64{1}, Lower: []float64{-1}, Upper: []float64{inf}, Start: []int32{0}}))
	must(t, b.AddRows(Rows{Lower: []float64{-inf}, Upper: []float64{7}}))
	grown, err := b.Basis()
	must(t, err)
	if len(grown.Cols) != 451 || len(grown.Rows) != 51 || grown.Cols[450] != AtLower || grown.Rows[50] != Basic {
		t.Errorf("grown basis: %d columns, %d rows, new ones %d and %d", len(grown.Cols), len(grown.Rows), grown.Cols[450], grown.Rows[50])
	}
	must(t, b.ForgetBasis())
	if cold := run(t, b, Limits{}); cold.SimplexIterations == 0 {
		t.Error("no iterations without a basis")
	}
}

// TestChanges follows one small LP through every kind of change.
func TestChanges(t *testing.T) {
	s := newSolver(t, testRuntime(t))
	must(t, s.AddRows(Rows{Lower: []float64{4, 6}, Upper: []float64{inf, inf}}))
	must(t, s.AddCols(Columns{
		Cost: []float64{1, 2, 5}, Lower: []float64{0, 0, 0}, Upper: []float64{inf, inf, inf},
		Start: []int32{0, 1, 2}, Index: []int32{0, 1, 0, 1}, Value: []float64{1, 1, 1, 1},
	}))
	step := func(what string, objective float64, err error) {
		t.Helper()
		must(t, err)
		if res := run(t, s, Limits{}); res.Status != StatusOptimal || !near(res.Objective, objective) {
			t.Fatalf("%s: status %d objective %v, want %v", what, res.Status, res.Objective, objective)
		}
	}
	step("start", 4*1+6*2, nil)
	step("costs, out of order", 4*5+2*1, s.ChangeCosts([]int32{2, 0, 1}, []float64{5, 9, 1}))
	step("column bounds", 5*2+9*2+4*1, s.ChangeColBounds([]int32{2, 1}, []float64{0, 0}, []float64{2, 10}))
	step("row bounds", 5*2+9*1+0, s.ChangeRowBounds([]int32{1, 0}, []float64{1, 3}, []float64{inf, inf}))
	step("a row with coefficients", 9*3+1*6, func() error {
		var r Rows
		r.Append(-inf, 0, []int32{2}, []float64{1})
		r.Append(6, inf, []int32{2, 1}, []float64{1, 1})
		return s.AddRows(r)
	}())
	if s.NumRows() != 4 || s.NumCols() != 3 {
		t.Fatalf("%d rows, %d columns", s.NumRows(), s.NumCols())
	}
	step("rows deleted", 5*2+9*1, s.DeleteRows([]int32{3, 2}))
	step("column deleted", 9*3+1*1, s.DeleteCols([]int32{2}))
	if s.NumRows() != 2 || s.NumCols() != 2 {
		t.Fatalf("%d rows, %d columns", s.NumRows(), s.NumCols())
	}
	must(t, s.Clear())
	if s.NumRows() != 0 || s.NumCols() != 0 {
		t.Fatalf("%d rows, %d columns after Clear", s.NumRows(), s.NumCols())
	}
	must(t, s.AddCols(Columns{Cost: []float64{-1}, Lower: []float64{0}, Upper: []float64{7}}))
	step("built anew", -7, nil)
}

// TestContinueAfterIterationLimit: without presolve a Run that was cut goes on where it stopped.
func TestContinueAfterIterationLimit(t *testing.T) {
	rows, cols := coverModel(5, 80, 800)
	s := newSolver(t, testRuntime(t))
	must(t, s.SetPresolve(false))
	load(t, s, rows, cols)
	total := 0
	for i := 0; ; i++ {
		res := run(t, s, Limits{SimplexIterations: 40})
		total += res.SimplexIterations
		if res.Status == StatusOptimal {
			checkOptimal(t, rows, cols, res)
			break
		}
		if res.Status != StatusIterationLimit || res.SimplexIterations > 41 || i > 100 {
			t.Fatalf("round %d: status %d after %d iterations", i, res.Status, res.SimplexIterations)
		}
	}
	if total < 80 {
		t.Fatalf("%d iterations in all: the limit was never reached", total)
	}
}
