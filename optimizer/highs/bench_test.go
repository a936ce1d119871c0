package highs

import (
	"context"
	"math/rand"
	"testing"
)

// BenchmarkColumnGeneration solves 300 rows, then 40 times adds 500 columns and solves again, as column generation does.
func BenchmarkColumnGeneration(b *testing.B) {
	r := testRuntime(b)
	iterations, work := 0, int64(0)
	for b.Loop() {
		rng := rand.New(rand.NewSource(1))
		s, err := r.NewSolver(context.Background())
		must(b, err)
		rows, cols := coverModel(1, 300, 0)
		load(b, s, rows, cols)
		for range 40 {
			cols.Reset()
			appendCoverColumns(&cols, rng, 300, 500)
			must(b, s.AddCols(cols))
			res := run(b, s, Limits{})
			iterations, work = iterations+res.SimplexIterations, work+res.Work
		}
		must(b, s.Close())
	}
	b.ReportMetric(float64(iterations)/float64(b.N), "iterations/op")
	b.ReportMetric(float64(work)/float64(b.N), "work/op")
}

// BenchmarkResolve runs a solved model of 300 rows and 6,300 columns again: the fixed cost of a Run.
func BenchmarkResolve(b *testing.B) {
	s := newSolver(b, testRuntime(b))
	rows, cols := coverModel(1, 300, 6000)
	load(b, s, rows, cols)
	run(b, s, Limits{})
	for b.Loop() {
		run(b, s, Limits{})
	}
}

// BenchmarkCold solves 300 rows and 6,300 columns from nothing.
func BenchmarkCold(b *testing.B) {
	s := newSolver(b, testRuntime(b))
	rows, cols := coverModel(1, 300, 6000)
	load(b, s, rows, cols)
	for b.Loop() {
		must(b, s.ForgetBasis())
		run(b, s, Limits{})
	}
}

func BenchmarkNewSolver(b *testing.B) {
	r := testRuntime(b)
	for b.Loop() {
		s, err := r.NewSolver(context.Background())
		must(b, err)
		must(b, s.Close())
	}
}

// BenchmarkNew compiles with a warm cache.
func BenchmarkNew(b *testing.B) {
	testRuntime(b)
	for b.Loop() {
		r, err := New(context.Background(), Config{CacheDir: cacheDir})
		must(b, err)
		must(b, r.Close(context.Background()))
	}
}
