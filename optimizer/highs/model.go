package highs

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

var noDeadline time.Time

// Append adds one row with its coefficients on existing columns, of which there may be none.
func (r *Rows) Append(lower, upper float64, cols []int32, values []float64) {
	r.Lower, r.Upper = append(r.Lower, lower), append(r.Upper, upper)
	r.Start = append(r.Start, int32(len(r.Index)))
	r.Index, r.Value = append(r.Index, cols...), append(r.Value, values...)
}

// Len is the number of rows.
func (r *Rows) Len() int { return len(r.Lower) }

// Reset empties r and keeps its memory.
func (r *Rows) Reset() {
	r.Lower, r.Upper, r.Start, r.Index, r.Value = r.Lower[:0], r.Upper[:0], r.Start[:0], r.Index[:0], r.Value[:0]
}

// Append adds one column with its coefficients in existing rows.
func (c *Columns) Append(cost, lower, upper float64, rows []int32, values []float64) {
	c.Cost, c.Lower, c.Upper = append(c.Cost, cost), append(c.Lower, lower), append(c.Upper, upper)
	c.Start = append(c.Start, int32(len(c.Index)))
	c.Index, c.Value = append(c.Index, rows...), append(c.Value, values...)
}

// Len is the number of columns.
func (c *Columns) Len() int { return len(c.Cost) }

// Reset empties c and keeps its memory.
func (c *Columns) Reset() {
	c.Cost, c.Lower, c.Upper, c.Start, c.Index, c.Value = c.Cost[:0], c.Lower[:0], c.Upper[:0], c.Start[:0], c.Index[:0], c.Value[:0]
}

// Solver is one model, which is minimised, in an instance of its own. It is not safe for concurrent use; two Solvers are, and run
// side by side. Close it after use.
type Solver struct {
	rt      *Runtime
	in      *instance
	highs   uint64 // the guest's Highs object
	rows    int
	integer []bool // one per column
	closed  bool
}

// boot fills s with a started instance.
func (s *Solver) boot(ctx context.Context) (err error) {
	if s.in, err = s.rt.instantiate(ctx); err != nil {
		return err
	}
	if s.highs, err = s.in.call(s.in.ctx, "Highs_create"); err != nil {
		return err
	}
	logging := s.rt.logger != nil
	return errors.Join(
		s.SetOption("output_flag", logging),
		s.SetOption("log_to_console", logging),
		s.SetOption("threads", 1),
		s.SetOption("time_limit", timeLimitSeconds),
		s.SetMethod(MethodAuto),
	)
}

// Close frees the instance and gives its place to the next. It may be called twice.
func (s *Solver) Close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	defer func() { <-s.rt.slots }()
	if s.in == nil {
		return nil
	}
	if s.in.dead == nil {
		s.in.dead = errClosed
	}
	return s.in.close()
}

// NumRows is the model's number of rows.
func (s *Solver) NumRows() int { return s.rows }

// NumCols is the model's number of columns.
func (s *Solver) NumCols() int { return len(s.integer) }

// do calls a function of HiGHS's C API that returns a status: −1 is an error, 1 a warning.
func (s *Solver) do(name string, args ...uint64) error {
	code, err := s.in.call(s.in.ctx, name, append([]uint64{s.highs}, args...)...)
	if err != nil {
		return err
	}
	if int32(code) < 0 {
		return fmt.Errorf("%w: refused by %s", ErrInvalid, name)
	}
	return nil
}

// AddRows appends rows. The basis at hand stays usable: new rows enter as basic.
func (s *Solver) AddRows(rows Rows) error {
	n := rows.Len()
	if len(rows.Upper) != n {
		return fmt.Errorf("%w: %d lower and %d upper bounds of rows", ErrInvalid, n, len(rows.Upper))
	}
	if err := errors.Join(
		checkFinite("row", []string{"lower bound", "upper bound"}, rows.Lower, rows.Upper),
		checkMatrix("row", n, rows.Start, rows.Index, rows.Value, s.NumCols()),
	); err != nil || n == 0 {
		return err
	}
	b, err := s.in.open(2*n+len(rows.Value), len(rows.Start)+len(rows.Index))
	if err != nil {
		return err
	}
	lower, upper, value := b.putDoubles(rows.Lower), b.putDoubles(rows.Upper), b.putDoubles(rows.Value)
	start, index := b.putInts(rows.Start), b.putInts(rows.Index)
	if err := s.do("Highs_addRows", uint64(n), lower, upper, uint64(len(rows.Value)), start, index, value); err != nil {
		return err
	}
	s.rows += n
	return nil
}

// AddCols appends columns, continuous ones. The basis at hand stays usable: new columns enter as nonbasic.
// Coefficients below 1e-9 in size are dropped by HiGHS, those above 1e15 refused.
func (s *Solver) AddCols(cols Columns) error {
	n := cols.Len()
	if len(cols.Lower) != n || len(cols.Upper) != n {
		return fmt.Errorf("%w: %d costs, %d lower and %d upper bounds of columns", ErrInvalid, n, len(cols.Lower), len(cols.Upper))
	}
	if err := errors.Join(
		checkFinite("column", []string{"cost", "lower bound", "upper bound"}, cols.Cost, cols.Lower, cols.Upper),
		checkMatrix("column", n, cols.Start, cols.Index, cols.Value, s.rows),
	); err != nil || n == 0 {
		return err
	}
	b, err := s.in.open(3*n+len(cols.Value), len(cols.Start)+len(cols.Index))
	if err != nil {
		return err
	}
	cost, lower, upper := b.putDoubles(cols.Cost), b.putDoubles(cols.Lower), b.putDoubles(cols.Upper)
	value, start, index := b.putDoubles(cols.Value), b.putInts(cols.Start), b.putInts(cols.Index)
	if err := s.do("Highs_addCols", uint64(n), cost, lower, upper, uint64(len(cols.Value)), start, index, value); err != nil {
		return err
	}
	s.integer = append(s.integer, make([]bool, n)...)
	return nil
}

// checkFinite refuses NaN, and says where it stands.
func checkFinite(what string, names []string, values ...[]float64) error {
	for k, vs := range values {
		for i, v := range vs {
			if math.IsNaN(v) {
				return fmt.Errorf("%w: %s %d: %s is not a number", ErrInvalid, what, i, names[k])
			}
		}
	}
	return nil
}

// checkMatrix refuses a compressed matrix of n vectors that is not well formed, or whose indices are not below bound or come twice.
func checkMatrix(what string, n int, start, index []int32, value []float64, bound int) error {
	if len(index) != len(value) {
		return fmt.Errorf("%w: %d indices and %d values of %ss", ErrInvalid, len(index), len(value), what)
	}
	if len(start) != n && len(index)+len(start) != 0 {
		return fmt.Errorf("%w: %d starts for %d %ss", ErrInvalid, len(start), n, what)
	}
	seen := make([]int, bound) // 1 + the vector in which the index was last met
	for i := range start {
		from, to := int(start[i]), len(index)
		if i+1 < len(start) {
			to = int(start[i+1])
		}
		if from < 0 || to < from || to > len(index) || (i == 0 && from != 0) {
			return fmt.Errorf("%w: %s %d: entries %d to %d of %d", ErrInvalid, what, i, from, to, len(index))
		}
		for k := from; k < to; k++ {
			j := int(index[k])
			switch {
			case j < 0 || j >= bound:
				return fmt.Errorf("%w: %s %d: index %d of %d", ErrInvalid, what, i, j, bound)
			case seen[j] == i+1:
				return fmt.Errorf("%w: %s %d: index %d twice", ErrInvalid, what, i, j)
			case math.IsNaN(value[k]) || math.Abs(value[k]) > maxCoefficient:
				return fmt.Errorf("%w: %s %d: coefficient %v at index %d", ErrInvalid, what, i, value[k], j)
			}
			seen[j] = i + 1
		}
	}
	return nil
}

// maxCoefficient is HiGHS's large_matrix_value.
const maxCoefficient = 1e15

// DeleteRows removes rows; later ones move up. The basis is lost where a nonbasic row goes.
func (s *Solver) DeleteRows(rows []int32) error {
	if err := s.deleteSet("Highs_deleteRowsBySet", "row", rows, s.rows); err != nil {
		return err
	}
	s.rows -= len(rows)
	return nil
}

// DeleteCols removes columns; later ones move up. The basis is lost where a basic column goes.
func (s *Solver) DeleteCols(cols []int32) error {
	if err := s.deleteSet("Highs_deleteColsBySet", "column", cols, s.NumCols()); err != nil {
		return err
	}
	gone := make([]bool, s.NumCols())
	for _, j := range cols {
		gone[j] = true
	}
	kept := s.integer[:0]
	for j, integer := range s.integer {
		if !gone[j] {
			kept = append(kept, integer)
		}
	}
	s.integer = kept
	return nil
}

func (s *Solver) deleteSet(name, what string, set []int32, bound int) error {
	_, sorted, err := orderSet(what, set, bound)
	if err != nil || len(set) == 0 {
		return err
	}
	b, err := s.in.open(0, len(sorted))
	if err != nil {
		return err
	}
	return s.do(name, uint64(len(sorted)), b.putInts(sorted))
}

// orderSet returns the set in rising order with the order that leads to it (nil when it is so already). HiGHS wants rising sets.
func orderSet(what string, set []int32, bound int) (order []int, sorted []int32, err error) {
	sorted = set
	if !slices.IsSorted(set) {
		order = make([]int, len(set))
		for i := range order {
			order[i] = i
		}
		slices.SortFunc(order, func(a, b int) int { return int(set[a]) - int(set[b]) })
		sorted = make([]int32, len(set))
		for i, k := range order {
			sorted[i] = set[k]
		}
	}
	for i, j := range sorted {
		switch {
		case j < 0 || int(j) >= bound:
			return nil, nil, fmt.Errorf("%w: %s %d of %d", ErrInvalid, what, j, bound)
		case i > 0 && sorted[i-1] == j:
			return nil, nil, fmt.Errorf("%w: %s %d twice", ErrInvalid, what, j)
		}
	}
	return order, sorted, nil
}

// ChangeCosts sets the cost of some columns, in any order, each once.
func (s *Solver) ChangeCosts(cols []int32, cost []float64) error {
	return s.changeSet("Highs_changeColsCostBySet", "column", s.NumCols(), cols, []string{"cost"}, cost)
}

// ChangeColBounds sets the bounds of some columns, in any order, each once.
func (s *Solver) ChangeColBounds(cols []int32, lower, upper []float64) error {
	return s.changeSet("Highs_changeColsBoundsBySet", "column", s.NumCols(), cols, []string{"lower bound", "upper bound"}, lower, upper)
}

// ChangeRowBounds sets the bounds of some rows, in any order, each once.
func (s *Solver) ChangeRowBounds(rows []int32, lower, upper []float64) error {
	return s.changeSet("Highs_changeRowsBoundsBySet", "row", s.rows, rows, []string{"lower bound", "upper bound"}, lower, upper)
}

func (s *Solver) changeSet(name, what string, bound int, set []int32, names []string, values ...[]float64) error {
	order, sorted, err := orderSet(what, set, bound)
	if err != nil {
		return err
	}
	for k, v := range values {
		if len(v) != len(set) {
			return fmt.Errorf("%w: %d %ss and %d %ss", ErrInvalid, len(set), what, len(v), names[k])
		}
	}
	if err := checkFinite(what, names, values...); err != nil || len(set) == 0 {
		return err
	}
	b, err := s.in.open(len(values)*len(set), len(set))
	if err != nil {
		return err
	}
	addresses := make([]uint64, len(values))
	for k, v := range values {
		if order != nil {
			v = permute(v, order)
		}
		addresses[k] = b.putDoubles(v)
	}
	return s.do(name, append([]uint64{uint64(len(set)), b.putInts(sorted)}, addresses...)...)
}

func permute(v []float64, order []int) []float64 {
	out := make([]float64, len(v))
	for i, k := range order {
		out[i] = v[k]
	}
	return out
}

// SetIntegrality makes some columns integer, or continuous again, in any order, each once.
func (s *Solver) SetIntegrality(cols []int32, integer bool) error {
	_, sorted, err := orderSet("column", cols, s.NumCols())
	if err != nil || len(cols) == 0 {
		return err
	}
	kinds := make([]int32, len(cols))
	if integer {
		for i := range kinds {
			kinds[i] = 1
		}
	}
	b, err := s.in.open(0, 2*len(cols))
	if err != nil {
		return err
	}
	if err := s.do("Highs_changeColsIntegralityBySet", uint64(len(cols)), b.putInts(sorted), b.putInts(kinds)); err != nil {
		return err
	}
	for _, j := range cols {
		s.integer[j] = integer
	}
	return nil
}

// Relax makes every column continuous.
func (s *Solver) Relax() error {
	if err := s.do("Highs_clearIntegrality"); err != nil {
		return err
	}
	clear(s.integer)
	return nil
}

// Clear empties the model, with its basis. Options stay.
func (s *Solver) Clear() error {
	if err := s.do("Highs_clearModel"); err != nil {
		return err
	}
	s.rows, s.integer = 0, s.integer[:0]
	return nil
}
