package highs

import (
	"context"
	"errors"
	"math"
	"math/rand"
	"os"
	"sync"
	"testing"
)

var inf = math.Inf(1)

// cacheDir holds the compiled module for the Runtimes of this process.
var cacheDir string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "highs-test-")
	if err != nil {
		panic(err)
	}
	cacheDir = dir
	code := m.Run()
	if err := os.RemoveAll(dir); err != nil {
		panic(err)
	}
	os.Exit(code)
}

// sharedRuntime is compiled once for all tests of the package. It lives as long as the process.
var sharedRuntime = sync.OnceValues(func() (*Runtime, error) {
	return New(context.Background(), Config{Instances: 8, CacheDir: cacheDir})
})

// skipWithoutModule skips a test that needs the module, except in CI, where it must be there.
func skipWithoutModule(t testing.TB, err error) {
	t.Helper()
	if errors.Is(err, ErrNoModule) && os.Getenv("CI") != "true" {
		t.Skip("the solver's module is not built in: run `make build` first")
	}
	if err != nil {
		t.Fatal(err)
	}
}

func testRuntime(t testing.TB) *Runtime {
	t.Helper()
	r, err := sharedRuntime()
	skipWithoutModule(t, err)
	return r
}

func newRuntime(t testing.TB, cfg Config) *Runtime {
	t.Helper()
	r, err := New(t.Context(), cfg)
	skipWithoutModule(t, err)
	t.Cleanup(func() { must(t, r.Close(context.Background())) })
	return r
}

func newSolver(t testing.TB, r *Runtime) *Solver {
	t.Helper()
	s, err := r.NewSolver(t.Context())
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func run(t testing.TB, s *Solver, lim Limits) Result {
	t.Helper()
	res, err := s.Run(t.Context(), lim)
	must(t, err)
	return res
}

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-9*math.Max(1, math.Abs(b)) }

func wantNear(t testing.TB, what string, got []float64, want ...float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s = %v, want %v", what, got, want)
	}
	for i := range want {
		if !near(got[i], want[i]) {
			t.Fatalf("%s = %v, want %v", what, got, want)
		}
	}
}

// coverModel is a covering problem like the ones that column generation makes: demands, a dear column for each row, and n columns
// that cover two to six rows each.
func coverModel(seed int64, rows, cols int) (Rows, Columns) {
	rng := rand.New(rand.NewSource(seed))
	var r Rows
	var c Columns
	for i := range rows {
		r.Append(float64(10+rng.Intn(100)), inf, nil, nil)
		c.Append(10, 0, inf, []int32{int32(i)}, []float64{1})
	}
	appendCoverColumns(&c, rng, rows, cols)
	return r, c
}

func appendCoverColumns(c *Columns, rng *rand.Rand, rows, cols int) {
	for range cols {
		index, value, cost := []int32(nil), []float64(nil), 0.0
		for _, i := range rng.Perm(rows)[:2+rng.Intn(5)] {
			v := float64(1 + rng.Intn(3))
			index, value, cost = append(index, int32(i)), append(value, v), cost+v*(2+4*rng.Float64())
		}
		c.Append(cost, 0, inf, index, value)
	}
}

func load(t testing.TB, s *Solver, rows Rows, cols Columns) {
	t.Helper()
	must(t, s.AddRows(rows))
	must(t, s.AddCols(cols))
}

// allCols lists the model's columns.
func allCols(s *Solver) []int32 {
	out := make([]int32, s.NumCols())
	for i := range out {
		out[i] = int32(i)
	}
	return out
}

// hardMIP is a covering problem over integers that takes far longer than any test.
func hardMIP(t testing.TB, s *Solver) {
	t.Helper()
	rows, cols := coverModel(1, 300, 3000)
	load(t, s, rows, cols)
	must(t, s.SetIntegrality(allCols(s), true))
}
