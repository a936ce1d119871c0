package highs

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// SetMethod chooses the algorithm for LPs.
func (s *Solver) SetMethod(m Method) error {
	var solver string
	var strategy int
	switch m {
	case MethodAuto:
		solver, strategy = "simplex", 0
	case MethodDual:
		solver, strategy = "simplex", 1
	case MethodPrimal:
		solver, strategy = "simplex", 4
	case MethodInteriorPoint:
		solver, strategy = "ipm", 0
	default:
		return fmt.Errorf("%w: method %d", ErrInvalid, m)
	}
	return errors.Join(s.SetOption("solver", solver), s.SetOption("simplex_strategy", strategy))
}

// SetPresolve switches presolve; it is on at first. A Run with a basis at hand leaves it out in any case.
func (s *Solver) SetPresolve(on bool) error {
	if on {
		return s.SetOption("presolve", "on")
	}
	return s.SetOption("presolve", "off")
}

// SetOption sets any option of HiGHS (https://ergo-code.github.io/HiGHS/dev/options/definitions/) to a bool, int, float64 or string.
// Run itself sets time_limit, simplex_iteration_limit, mip_max_nodes, mip_rel_gap and random_seed.
func (s *Solver) SetOption(name string, value any) error {
	at, err := s.in.name(name)
	if err != nil {
		return err
	}
	switch v := value.(type) {
	case bool:
		flag := uint64(0)
		if v {
			flag = 1
		}
		err = s.do("Highs_setBoolOptionValue", uint64(at), flag)
	case int:
		if v != int(int32(v)) {
			return fmt.Errorf("%w: option %s = %d is out of range", ErrInvalid, name, v)
		}
		err = s.do("Highs_setIntOptionValue", uint64(at), uint64(uint32(v)))
	case float64:
		err = s.do("Highs_setDoubleOptionValue", uint64(at), math.Float64bits(v))
	case string:
		text, nameErr := s.in.name(v)
		if nameErr != nil {
			return nameErr
		}
		err = s.do("Highs_setStringOptionValue", uint64(at), uint64(text))
	default:
		return fmt.Errorf("%w: option %s: value of type %T", ErrInvalid, name, value)
	}
	if err != nil {
		return fmt.Errorf("option %s = %v: %w", name, value, err)
	}
	return nil
}

// Basis is the basis at hand: the last Run's, extended to what was added since. Where there is none it is ErrInvalid.
func (s *Solver) Basis() (Basis, error) {
	b, err := s.in.open(0, s.NumCols()+s.rows)
	if err != nil {
		return Basis{}, err
	}
	cols, rows := b.skip(s.NumCols(), 4), b.skip(s.rows, 4)
	if err := s.do("Highs_getBasis", cols, rows); err != nil {
		return Basis{}, err
	}
	return Basis{Cols: statuses(s.in.ints(cols, s.NumCols())), Rows: statuses(s.in.ints(rows, s.rows))}, nil
}

func statuses(raw []int32) []BasisStatus {
	out := make([]BasisStatus, len(raw))
	for i, v := range raw {
		out[i] = BasisStatus(v)
	}
	return out
}

// SetBasis makes the next Run start from b, which must have one status for every column and row of the model and as many basic ones as rows.
func (s *Solver) SetBasis(b Basis) error {
	if len(b.Cols) != s.NumCols() || len(b.Rows) != s.rows {
		return fmt.Errorf("%w: basis of %d columns and %d rows for a model of %d and %d", ErrInvalid, len(b.Cols), len(b.Rows), s.NumCols(), s.rows)
	}
	raw := make([]int32, 0, len(b.Cols)+len(b.Rows))
	basic := 0
	for _, list := range [][]BasisStatus{b.Cols, b.Rows} {
		for _, v := range list {
			if v > Nonbasic {
				return fmt.Errorf("%w: basis status %d", ErrInvalid, v)
			}
			if v == Basic {
				basic++
			}
			raw = append(raw, int32(v))
		}
	}
	if basic != s.rows {
		return fmt.Errorf("%w: %d basic columns and rows in a basis for %d rows", ErrInvalid, basic, s.rows)
	}
	buf, err := s.in.open(0, len(raw))
	if err != nil {
		return err
	}
	cols := buf.putInts(raw[:len(b.Cols)])
	rows := buf.putInts(raw[len(b.Cols):])
	return s.do("Highs_setBasis", cols, rows)
}

// ForgetBasis makes the next Run a cold one.
func (s *Solver) ForgetBasis() error { return s.do("Highs_clearSolver") }

// SetSolution gives the next Run of a MIP a solution to start from: a value for every column. What is not feasible is dropped or mended by HiGHS.
func (s *Solver) SetSolution(x []float64) error {
	if len(x) != s.NumCols() {
		return fmt.Errorf("%w: %d values for %d columns", ErrInvalid, len(x), s.NumCols())
	}
	if err := checkFinite("column", []string{"value"}, x); err != nil {
		return err
	}
	b, err := s.in.open(len(x), 0)
	if err != nil {
		return err
	}
	return s.do("Highs_setSolution", b.putDoubles(x), 0, 0, 0)
}

// isMIP tells whether any column is integer.
func (s *Solver) isMIP() bool {
	for _, integer := range s.integer {
		if integer {
			return true
		}
	}
	return false
}

// Run solves the model from the basis at hand. The Result is valid when the error is nil, whatever its Status.
//
// A MIP starts from the last Run's solution where that is feasible, unless SetSolution gave another one. An LP without a basis is
// presolved; when a limit cuts it then, nothing of it is left, and the next Run begins anew: switch presolve off to go on instead.
//
// When ctx ends, Run returns ctx.Err() and the Solver is dead; ErrMemory and ErrCrash kill it too. Limits stop it in good order.
func (s *Solver) Run(ctx context.Context, lim Limits) (Result, error) {
	if err := ctx.Err(); err != nil {
		return Result{}, err
	}
	if s.NumCols() == 0 {
		// HiGHS would call this solved without a look at the rows.
		return Result{}, fmt.Errorf("%w: a model without columns", ErrInvalid)
	}
	if err := s.prepare(lim); err != nil {
		return Result{}, err
	}
	s.in.clock.start(lim.Work, lim.Deadline)
	if _, err := s.in.call(context.WithValue(ctx, instanceKey{}, s.in), "Highs_run", s.highs); err != nil {
		return Result{}, err
	}
	return s.collect()
}

// prepare sets the options that Limits hold.
func (s *Solver) prepare(lim Limits) error {
	iterations, nodes, gap := math.MaxInt32, math.MaxInt32, 1e-4
	if lim.SimplexIterations < 0 || lim.Nodes < 0 || lim.Work < 0 || lim.RelGap < 0 || math.IsNaN(lim.RelGap) || lim.Seed < 0 {
		return fmt.Errorf("%w: negative limit in %+v", ErrInvalid, lim)
	}
	if lim.SimplexIterations > 0 && !s.isMIP() {
		iterations = min(iterations, lim.SimplexIterations)
	}
	if lim.Nodes > 0 {
		nodes = min(nodes, lim.Nodes)
	}
	if lim.RelGap > 0 {
		gap = lim.RelGap
	}
	return errors.Join(
		s.SetOption("simplex_iteration_limit", iterations),
		s.SetOption("mip_max_nodes", nodes),
		s.SetOption("mip_rel_gap", gap),
		s.SetOption("random_seed", lim.Seed),
		s.do("Highs_zeroAllClocks"),
	)
}

// collect reads what the last Run found.
func (s *Solver) collect() (Result, error) {
	raw, err := s.in.call(s.in.ctx, "Highs_getModelStatus", s.highs)
	if err != nil {
		return Result{}, err
	}
	res := Result{Status: statusOf(int32(raw), s.in.clock.stopped), Work: s.in.clock.work, Objective: math.Inf(1), Bound: math.Inf(-1), Gap: math.Inf(1)}
	mip := s.isMIP()
	info := infoReader{s: s}
	primal, dual := info.integer("primal_solution_status"), info.integer("dual_solution_status")
	res.SimplexIterations = int(info.integer("simplex_iteration_count"))
	const feasible = 2
	res.Feasible, res.DualFeasible = primal == feasible, dual == feasible && !mip
	if res.Feasible {
		res.Objective = info.double("objective_function_value")
	}
	if mip {
		res.Nodes = info.integer64("mip_node_count")
		res.Bound = info.double("mip_dual_bound")
	}
	if info.err != nil {
		return Result{}, info.err
	}
	switch {
	case res.Status == StatusInfeasible:
		res.Bound = math.Inf(1)
	case res.Status == StatusOptimal && !mip:
		res.Bound = res.Objective
	}
	res.Gap = relativeGap(res.Objective, res.Bound)
	return res, s.readSolution(&res, primal != 0, dual != 0 && !mip)
}

func relativeGap(objective, bound float64) float64 {
	switch {
	case math.IsInf(objective, 0) || math.IsInf(bound, 0):
		return math.Inf(1)
	case objective == bound:
		return 0
	case objective == 0:
		return math.Inf(1)
	}
	return math.Max(0, (objective-bound)/math.Abs(objective))
}

// readSolution copies the vectors that are there.
func (s *Solver) readSolution(res *Result, primal, dual bool) error {
	cols, rows := s.NumCols(), s.rows
	b, err := s.in.open(2*(cols+rows), 0)
	if err != nil {
		return err
	}
	x, d, ax, y := b.skip(cols, 8), b.skip(cols, 8), b.skip(rows, 8), b.skip(rows, 8)
	if err := s.do("Highs_getSolution", x, d, ax, y); err != nil {
		return err
	}
	if primal {
		res.ColValue, res.RowValue = s.in.doubles(x, cols), s.in.doubles(ax, rows)
	}
	if dual {
		res.ColDual, res.RowDual = s.in.doubles(d, cols), s.in.doubles(y, rows)
	}
	return nil
}

// statusOf translates HighsModelStatus. stopped is why the clock jumped, if it did.
func statusOf(raw int32, stopped Status) Status {
	switch raw {
	// HighsModelStatus in lp_data/HConst.h.
	case 7: // kOptimal
		return StatusOptimal
	case 8: // kInfeasible
		return StatusInfeasible
	case 9: // kUnboundedOrInfeasible
		return StatusInfeasibleOrUnbounded
	case 10: // kUnbounded
		return StatusUnbounded
	case 13: // kTimeLimit
		if stopped == StatusUnknown { // timeLimitSeconds of work
			return StatusWorkLimit
		}
		return stopped
	case 14: // kIterationLimit
		return StatusIterationLimit
	case 16: // kSolutionLimit
		return StatusNodeLimit
	}
	return StatusUnknown
}

// infoReader reads HiGHS's info values and keeps the first error.
type infoReader struct {
	s   *Solver
	err error
}

func (r *infoReader) read(function, name string) [8]byte {
	var out [8]byte
	if r.err != nil {
		return out
	}
	at, err := r.s.in.name(name)
	if err != nil {
		r.err = err
		return out
	}
	buf, err := r.s.in.open(1, 0)
	if err != nil {
		r.err = err
		return out
	}
	where, view := buf.bytes(8)
	clear(view)
	if r.err = r.s.do(function, uint64(at), uint64(where)); r.err != nil {
		r.err = fmt.Errorf("info %s: %w", name, r.err)
		return out
	}
	view, _ = r.s.in.mem.Read(where, 8) // the memory may have moved
	copy(out[:], view)
	return out
}

func (r *infoReader) double(name string) float64 {
	raw := r.read("Highs_getDoubleInfoValue", name)
	return math.Float64frombits(binary.LittleEndian.Uint64(raw[:]))
}

func (r *infoReader) integer(name string) int32 {
	raw := r.read("Highs_getIntInfoValue", name)
	return int32(binary.LittleEndian.Uint32(raw[:]))
}

func (r *infoReader) integer64(name string) int64 {
	raw := r.read("Highs_getInt64InfoValue", name)
	return int64(binary.LittleEndian.Uint64(raw[:]))
}
