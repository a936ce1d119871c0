package highs

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestKnapsack(t *testing.T) {
	// Weights 5, 7, 4, 3 in 14; values 8, 11, 6, 4. Best: 7 + 4 + 3 = 14, worth 21. The LP would take 5 + 7 + half of 4, worth 22.
	s := newSolver(t, testRuntime(t))
	must(t, s.AddRows(Rows{Lower: []float64{-inf}, Upper: []float64{14}}))
	var c Columns
	for i, w := range []float64{5, 7, 4, 3} {
		c.Append(-[]float64{8, 11, 6, 4}[i], 0, 1, []int32{0}, []float64{w})
	}
	must(t, s.AddCols(c))
	wantNear(t, "LP", []float64{run(t, s, Limits{}).Objective}, -22)
	must(t, s.SetIntegrality([]int32{3, 0, 2, 1}, true))
	res := run(t, s, Limits{})
	if res.Status != StatusOptimal || res.DualFeasible || res.RowDual != nil || res.ColDual != nil {
		t.Fatalf("%+v", res)
	}
	wantNear(t, "objective and bound", []float64{res.Objective, res.Bound}, -21, -21)
	wantNear(t, "x", res.ColValue, 0, 1, 1, 1)
	must(t, s.SetIntegrality([]int32{2}, false))
	wantNear(t, "mixed", []float64{run(t, s, Limits{}).Objective}, -22)
	must(t, s.Relax())
	wantNear(t, "LP again", []float64{run(t, s, Limits{}).Objective}, -22)
	if res := run(t, s, Limits{}); len(res.RowDual) != 1 {
		t.Error("no duals after Relax")
	}
}

// TestRandomMIPs compares small integer programs with trying every point.
func TestRandomMIPs(t *testing.T) {
	s := newSolver(t, testRuntime(t))
	rapid.Check(t, func(t *rapid.T) {
		n, m := rapid.IntRange(1, 5).Draw(t, "cols"), rapid.IntRange(1, 4).Draw(t, "rows")
		coefficient := rapid.IntRange(-5, 5)
		a := make([][]float64, n)
		var cols Columns
		for j := range n {
			a[j] = make([]float64, m)
			var index []int32
			var value []float64
			for i := range m {
				if v := float64(coefficient.Draw(t, "a")); v != 0 {
					a[j][i], index, value = v, append(index, int32(i)), append(value, v)
				}
			}
			cols.Append(float64(coefficient.Draw(t, "cost")), 0, 3, index, value)
		}
		var rows Rows
		for range m {
			rows.Append(float64(rapid.IntRange(-10, 10).Draw(t, "lower")), 12, nil, nil)
		}
		best := bruteForce(a, rows, cols, make([]float64, 0, n))
		if err := s.Clear(); err != nil {
			t.Fatal(err)
		}
		if err := s.AddRows(rows); err != nil {
			t.Fatal(err)
		}
		if err := s.AddCols(cols); err != nil {
			t.Fatal(err)
		}
		if err := s.SetIntegrality(allCols(s), true); err != nil {
			t.Fatal(err)
		}
		res, err := s.Run(t.Context(), Limits{RelGap: 1e-9})
		if err != nil {
			t.Fatal(err)
		}
		if math.IsInf(best, 1) {
			if res.Status != StatusInfeasible || res.Feasible {
				t.Fatalf("status %d for an infeasible model", res.Status)
			}
			return
		}
		if res.Status != StatusOptimal || math.Abs(res.Objective-best) > 1e-6 || res.Bound > best+1e-6 || res.Gap > 1e-6 {
			t.Fatalf("status %d objective %v bound %v gap %v, want %v", res.Status, res.Objective, res.Bound, res.Gap, best)
		}
	})
}

// bruteForce is the least cost over all integer points in the columns' bounds that satisfy the rows, or +Inf.
func bruteForce(a [][]float64, rows Rows, cols Columns, x []float64) float64 {
	if len(x) == cols.Len() {
		cost := 0.0
		for i := range rows.Len() {
			sum := 0.0
			for j := range x {
				sum += a[j][i] * x[j]
			}
			if sum < rows.Lower[i] || sum > rows.Upper[i] {
				return inf
			}
		}
		for j := range x {
			cost += cols.Cost[j] * x[j]
		}
		return cost
	}
	best := inf
	for v := cols.Lower[len(x)]; v <= cols.Upper[len(x)]; v++ {
		best = math.Min(best, bruteForce(a, rows, cols, append(x, v)))
	}
	return best
}

// TestMIPStart: with next to no work allowed HiGHS returns the solution it was given.
func TestMIPStart(t *testing.T) {
	s := newSolver(t, testRuntime(t))
	hardMIP(t, s)
	if res := run(t, s, Limits{Work: 1}); res.Feasible {
		t.Fatalf("a solution without work: %v", res.Objective)
	}
	rows, _ := coverModel(1, 300, 3000)
	x := make([]float64, s.NumCols())
	cost := 0.0
	for i, demand := range rows.Lower {
		x[i] = demand
		cost += 10 * demand
	}
	must(t, s.SetSolution(x))
	res := run(t, s, Limits{Work: 1})
	if res.Status != StatusWorkLimit || !res.Feasible || !near(res.Objective, cost) {
		t.Fatalf("status %d feasible %v objective %v, want %v", res.Status, res.Feasible, res.Objective, cost)
	}
	wantNear(t, "x", res.ColValue, x...)
}

func TestMIPLimits(t *testing.T) {
	s := newSolver(t, testRuntime(t))
	hardMIP(t, s)
	loose := run(t, s, Limits{RelGap: 0.2})
	if loose.Status != StatusOptimal || loose.Gap > 0.2 || loose.Gap == 0 {
		t.Errorf("gap limit: status %d gap %v", loose.Status, loose.Gap)
	}
	rows, cols := coverModel(6, 25, 150)
	must(t, s.Clear())
	load(t, s, rows, cols)
	must(t, s.SetIntegrality(allCols(s), true))
	nodes := run(t, s, Limits{Nodes: 1, RelGap: 1e-9})
	if nodes.Status != StatusNodeLimit || nodes.Nodes != 1 || !nodes.Feasible || nodes.Bound > nodes.Objective {
		t.Errorf("node limit: %d, %d nodes, objective %v bound %v", nodes.Status, nodes.Nodes, nodes.Objective, nodes.Bound)
	}
}
