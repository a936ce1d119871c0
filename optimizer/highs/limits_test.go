package highs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// endsAfter is a context that is cancelled when it has been asked n times: a cancellation at one exact place.
type endsAfter struct {
	context.Context //nolint:containedctx // it is one
	left            atomic.Int64
}

func (c *endsAfter) Err() error {
	if c.left.Add(-1) < 0 {
		return context.Canceled
	}
	return nil
}

// TestCancelEverywhere cancels a Run after 1, 2, 4, … units of work. The Solver dies, the Runtime lives.
func TestCancelEverywhere(t *testing.T) {
	r := testRuntime(t)
	for after := int64(1); after < 3000; after *= 4 {
		s := newSolver(t, r)
		hardMIP(t, s)
		ctx := &endsAfter{Context: context.Background()}
		ctx.left.Store(after)
		if _, err := s.Run(ctx, Limits{}); !errors.Is(err, context.Canceled) {
			t.Fatalf("after %d: %v", after, err)
		}
		if units := s.in.clock.work; units >= after {
			t.Errorf("%d units of work after a context that ended at %d", units, after)
		}
		if _, err := s.Run(context.Background(), Limits{}); !errors.Is(err, ErrDead) {
			t.Fatalf("a dead solver runs: %v", err)
		}
		if err := s.AddRows(Rows{Lower: []float64{0}, Upper: []float64{1}}); !errors.Is(err, ErrDead) {
			t.Fatalf("a dead solver takes rows: %v", err)
		}
		must(t, s.Close())
	}
	TestKnapsack(t)
}

func TestCancelFromOutside(t *testing.T) {
	s := newSolver(t, testRuntime(t))
	hardMIP(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := s.Run(ctx, Limits{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	alive := newSolver(t, s.rt)
	must(t, alive.AddCols(Columns{Cost: []float64{1}, Lower: []float64{2}, Upper: []float64{3}}))
	if _, err := alive.Run(ctx, Limits{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	// It had ended before it began: nothing happened to the solver.
	wantNear(t, "objective", []float64{run(t, alive, Limits{}).Objective}, 2)
}

func TestDeadlineKeepsTheIncumbent(t *testing.T) {
	s := newSolver(t, testRuntime(t))
	hardMIP(t, s)
	rows, _ := coverModel(1, 300, 3000)
	start := make([]float64, s.NumCols())
	copy(start, rows.Lower)
	must(t, s.SetSolution(start))
	began := time.Now()
	res := run(t, s, Limits{Deadline: began.Add(300 * time.Millisecond)})
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("took %v", took)
	}
	if res.Status != StatusTimeLimit || !res.Feasible || len(res.ColValue) != s.NumCols() {
		t.Fatalf("status %d feasible %v", res.Status, res.Feasible)
	}
	// The solver lives on, with a clock that starts anew.
	past := run(t, s, Limits{Deadline: began})
	if past.Status != StatusTimeLimit || past.Objective != res.Objective {
		t.Fatalf("status %d objective %v, had %v", past.Status, past.Objective, res.Objective)
	}
	if more := run(t, s, Limits{Work: 2000}); more.Status != StatusWorkLimit || more.Work < 2000 || more.Objective > res.Objective {
		t.Fatalf("status %d work %d objective %v, had %v", more.Status, more.Work, more.Objective, res.Objective)
	}
}

// TestWorkLimits: HiGHS notices the limit soon, wherever it is in its work, in LPs and in MIPs.
func TestWorkLimits(t *testing.T) {
	for _, mip := range []bool{false, true} {
		s := newSolver(t, testRuntime(t))
		rows, cols := coverModel(1, 300, 3000)
		load(t, s, rows, cols)
		must(t, s.SetIntegrality(allCols(s), mip))
		for _, limit := range []int64{1, 30, 100, 300, 800} {
			must(t, s.ForgetBasis())
			res := run(t, s, Limits{Work: limit})
			if res.Status != StatusWorkLimit || res.Work < limit || res.Work > limit+500 {
				t.Errorf("MIP %v, limit %d: status %d after %d", mip, limit, res.Status, res.Work)
			}
		}
	}
}

// TestDeterminism: the same calls give the same bits, in a fresh solver, beside another one, and after a failed one.
func TestDeterminism(t *testing.T) {
	r := testRuntime(t)
	solve := func() string {
		var out strings.Builder
		s, err := r.NewSolver(context.Background())
		if err != nil {
			return err.Error()
		}
		defer s.Close()
		rows, cols := coverModel(7, 120, 1200)
		for _, err := range []error{s.AddRows(rows), s.AddCols(cols)} {
			if err != nil {
				return err.Error()
			}
		}
		for _, lim := range []Limits{{}, {Work: 1500, Seed: 1}} {
			res, err := s.Run(context.Background(), lim)
			fmt.Fprintf(&out, "%+v %v\n", res, err)
			if err := s.SetIntegrality(allCols(s), true); err != nil {
				return err.Error()
			}
		}
		return out.String()
	}
	want := solve()
	if !strings.Contains(want, "nil") || len(want) < 1000 {
		t.Fatalf("no result: %.300s", want)
	}
	var wg sync.WaitGroup
	got := make([]string, 3)
	for i := range got {
		wg.Go(func() { got[i] = solve() })
	}
	wg.Wait()
	for i := range got {
		if got[i] != want {
			t.Errorf("solver %d differs from the first", i)
		}
	}
}

// TestGolden pins figures that must be the same on every machine and in every release that keeps the module.
func TestGolden(t *testing.T) {
	rows, cols := coverModel(7, 20, 100)
	s := newSolver(t, testRuntime(t))
	load(t, s, rows, cols)
	lp := run(t, s, Limits{})
	must(t, s.SetIntegrality(allCols(s), true))
	mip := run(t, s, Limits{Seed: 1, RelGap: 1e-9})
	got := fmt.Sprintf("%s: LP %x %d iterations %d work; MIP %x bound %x %d nodes %d work", s.rt.Version(),
		math.Float64bits(lp.Objective), lp.SimplexIterations, lp.Work, math.Float64bits(mip.Objective), math.Float64bits(mip.Bound), mip.Nodes, mip.Work)
	if want := goldenRun; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

const goldenRun = "1.15.1: LP 40af93e5c37c0fea 23 iterations 3 work; MIP 40afaa5c0995e30c bound 40afaa5c0995e30c 237 nodes 8714 work"

func TestMemoryLimit(t *testing.T) {
	r := newRuntime(t, Config{MemoryLimitMiB: 32, Instances: 2, CacheDir: cacheDir})
	s := newSolver(t, r)
	rows, cols := coverModel(8, 1000, 4000)
	var err error
	for range 100 {
		if err = s.AddRows(rows); err != nil {
			break
		}
		if err = s.AddCols(cols); err != nil {
			break
		}
	}
	if !errors.Is(err, ErrMemory) {
		t.Fatalf("a big model under 32 MiB: %v", err)
	}
	if err := s.AddRows(rows); !errors.Is(err, ErrDead) || !errors.Is(err, ErrMemory) {
		t.Fatalf("after it: %v", err)
	}
	must(t, s.Close())
	// In the middle of a Run as well: the model fits, its factors and copies do not.
	s = newSolver(t, r)
	rows, cols = coverModel(8, 2000, 60000)
	load(t, s, rows, cols)
	if _, err := s.Run(t.Context(), Limits{}); !errors.Is(err, ErrMemory) {
		t.Fatalf("solving under 32 MiB: %v", err)
	}
	small := newSolver(t, r)
	must(t, small.AddCols(Columns{Cost: []float64{1}, Lower: []float64{2}, Upper: []float64{3}}))
	wantNear(t, "objective", []float64{run(t, small, Limits{}).Objective}, 2)
}

// TestCrash gives HiGHS an address outside its memory.
func TestCrash(t *testing.T) {
	s := newSolver(t, testRuntime(t))
	must(t, s.AddCols(Columns{Cost: []float64{1}, Lower: []float64{2}, Upper: []float64{3}}))
	s.highs = 0xffff_fff0
	err := s.Relax()
	if !errors.Is(err, ErrCrash) || strings.Contains(err.Error(), "\n") {
		t.Fatalf("%v", err)
	}
	if err := s.Relax(); !errors.Is(err, ErrDead) {
		t.Fatal(err)
	}
	TestKnapsack(t)
}

func TestSlots(t *testing.T) {
	r := newRuntime(t, Config{Instances: 1, CacheDir: cacheDir})
	s := newSolver(t, r)
	ctx, cancel := context.WithCancel(t.Context())
	got := make(chan error, 1)
	go func() {
		_, err := r.NewSolver(ctx)
		got <- err
	}()
	cancel()
	if err := <-got; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	go func() {
		next, err := r.NewSolver(t.Context())
		if err == nil {
			err = next.Close()
		}
		got <- err
	}()
	must(t, s.Close())
	must(t, s.Close())
	must(t, <-got)
	if _, err := s.Run(t.Context(), Limits{}); !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrDead) {
		t.Fatal(err)
	}
}

// lineWatch is a slog handler that keeps lines and calls back when HiGHS begins to solve.
type lineWatch struct {
	slog.Handler
	once sync.Once
	call func()
}

func (w *lineWatch) Handle(ctx context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if a.Value.String() == "Presolving model" {
			w.once.Do(w.call)
		}
		return true
	})
	return w.Handler.Handle(ctx, r)
}

// TestCloseWhileRunning closes the Runtime once HiGHS has begun to solve. Close waits until the Run has ended.
func TestCloseWhileRunning(t *testing.T) {
	var text bytes.Buffer
	closed := make(chan error, 1)
	var r *Runtime
	watch := &lineWatch{Handler: slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelDebug})}
	watch.call = func() { go func() { closed <- r.Close(context.Background()) }() }
	r = newRuntime(t, Config{Logger: slog.New(watch), CacheDir: cacheDir})
	s := newSolver(t, r)
	hardMIP(t, s)
	if _, err := s.Run(t.Context(), Limits{}); !errors.Is(err, ErrDead) {
		t.Fatal(err)
	}
	must(t, <-closed)
	if !strings.Contains(text.String(), "Running HiGHS") {
		t.Errorf("log: %q", text.String())
	}
	if _, err := r.NewSolver(t.Context()); !errors.Is(err, ErrDead) {
		t.Errorf("a solver of a closed runtime: %v", err)
	}
}

// counted counts how often a context is asked, which is once for each unit of work.
type counted struct {
	context.Context //nolint:containedctx // it is one
	asked           atomic.Int64
}

func (c *counted) Err() error {
	c.asked.Add(1)
	return c.Context.Err()
}

// TestCollectorIsLetIn: Go's collector waits until compiled code comes back, so it must do so often, and collections beside a long Run
// must take a small part of it.
func TestCollectorIsLetIn(t *testing.T) {
	s := newSolver(t, testRuntime(t))
	hardMIP(t, s)
	parent, cancel := context.WithCancel(t.Context())
	defer cancel()
	ctx := &counted{Context: parent}
	ended := make(chan error, 1)
	go func() {
		_, err := s.Run(ctx, Limits{})
		ended <- err
	}()
	const collections = 20
	for range collections {
		runtime.GC()
	}
	if units := ctx.asked.Load(); units > 5000*collections {
		t.Fatalf("%d units of work beside %d collections", units, collections)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Fatalf("the run ended before it was cancelled: %v", err)
	}
	if ctx.asked.Load() == 0 {
		t.Fatal("the module never came back")
	}
}

func TestInvalid(t *testing.T) {
	s := newSolver(t, testRuntime(t))
	rows, cols := coverModel(9, 10, 50)
	load(t, s, rows, cols)
	want := run(t, s, Limits{})
	nan := math.NaN()
	two := []float64{1, 2}
	one := []float64{1}
	_, runErr := s.Run(t.Context(), Limits{Work: -1})
	empty := newSolver(t, s.rt)
	_, emptyErr := empty.Run(t.Context(), Limits{})
	for name, err := range map[string]error{
		"bounds of rows":          s.AddRows(Rows{Lower: one, Upper: two}),
		"NaN in a row":            s.AddRows(Rows{Lower: []float64{nan}, Upper: one}),
		"starts of rows":          s.AddRows(Rows{Lower: one, Upper: one, Start: []int32{0, 1}, Index: []int32{0}, Value: one}),
		"column of a row":         s.AddRows(Rows{Lower: one, Upper: one, Start: []int32{0}, Index: []int32{60}, Value: one}),
		"negative column":         s.AddRows(Rows{Lower: one, Upper: one, Start: []int32{0}, Index: []int32{-1}, Value: one}),
		"costs and bounds":        s.AddCols(Columns{Cost: one, Lower: two, Upper: two}),
		"NaN cost":                s.AddCols(Columns{Cost: []float64{nan}, Lower: one, Upper: two[1:]}),
		"infinite coefficient":    s.AddCols(Columns{Cost: one, Lower: one, Upper: one, Start: []int32{0}, Index: []int32{0}, Value: []float64{inf}}),
		"row of a column":         s.AddCols(Columns{Cost: one, Lower: one, Upper: one, Start: []int32{0}, Index: []int32{10}, Value: one}),
		"row twice":               s.AddCols(Columns{Cost: one, Lower: one, Upper: one, Start: []int32{0}, Index: []int32{3, 3}, Value: two}),
		"starts fall":             s.AddCols(Columns{Cost: two, Lower: two, Upper: two, Start: []int32{0, -1}, Index: []int32{3}, Value: one}),
		"starts past the end":     s.AddCols(Columns{Cost: two, Lower: two, Upper: two, Start: []int32{0, 2}, Index: []int32{3}, Value: one}),
		"first start":             s.AddCols(Columns{Cost: one, Lower: one, Upper: one, Start: []int32{1}, Index: []int32{3, 4}, Value: two}),
		"indices and values":      s.AddCols(Columns{Cost: one, Lower: one, Upper: one, Start: []int32{0}, Index: []int32{3}, Value: two}),
		"cost of no column":       s.ChangeCosts([]int32{60}, one),
		"cost twice":              s.ChangeCosts([]int32{4, 4}, two),
		"too few costs":           s.ChangeCosts([]int32{4, 5}, one),
		"NaN bound":               s.ChangeColBounds([]int32{4}, []float64{nan}, one),
		"bound of no row":         s.ChangeRowBounds([]int32{10}, one, one),
		"integrality":             s.SetIntegrality([]int32{-1}, true),
		"deleting no row":         s.DeleteRows([]int32{10}),
		"deleting a column twice": s.DeleteCols([]int32{1, 1}),
		"short basis":             s.SetBasis(Basis{Cols: make([]BasisStatus, 60)}),
		"basis without basics":    s.SetBasis(Basis{Cols: make([]BasisStatus, 60), Rows: make([]BasisStatus, 10)}),
		"unknown basis status":    s.SetBasis(Basis{Cols: append(make([]BasisStatus, 59), 9), Rows: make([]BasisStatus, 10)}),
		"short solution":          s.SetSolution(one),
		"method":                  s.SetMethod(9),
		"unknown option":          s.SetOption("no_such_option", 1),
		"type of an option":       s.SetOption("threads", uint8(1)),
		"option of another type":  s.SetOption("mip_rel_gap", "x"),
		"option out of range":     s.SetOption("threads", math.MaxInt),
		"negative limit":          runErr,
		"no columns":              emptyErr,
	} {
		if !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := run(t, s, Limits{}); s.NumRows() != 10 || s.NumCols() != 60 || !reflect.DeepEqual(got.ColValue, want.ColValue) {
		t.Error("bad input changed the model")
	}
	for _, cfg := range []Config{{MemoryLimitMiB: 1}, {MemoryLimitMiB: 4096}, {Instances: -1}} {
		if _, err := New(t.Context(), cfg); !errors.Is(err, ErrInvalid) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}
