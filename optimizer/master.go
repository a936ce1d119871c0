package optimizer

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"purser"
	"purser/optimizer/highs"
)

// errStopped says that work or time ran out in the middle of a step: what was found before stands.
var errStopped = errors.New("optimizer: stopped")

// errUnsolved says that the solver found no optimum of a linear program. The step that needed it is left out.
var errUnsolved = errors.New("optimizer: a linear program was not solved")

// master is a covering program in the solver: a matrix's rows over the pattern columns made so far, the limits of sites and quotas
// (5), and further columns of the program that owns it. Money is in units of unit nano-USD, so that the solver sees numbers near 1.
type master struct {
	p      *Problem
	m      *matrix
	solver *highs.Solver
	unit   float64
	free   bool // patterns cost nothing: what is missed is counted first

	cols    []column
	lpOf    []int32 // pattern column → column of the solver
	seen    map[string]int32
	width   int     // columns of the solver
	rowAt   []int32 // matrix row → row of the solver
	height  int     // rows of the solver
	limitAt map[int32]int32
	siteAt  map[int32]int32 // rows that count the machines of a site
	tallies []tally         // counted machines that are needed for long
	quotaAt []int32         // -1: no site in use is under the quota

	stale map[int32]bool // columns whose coefficients have changed
	fresh []column       // columns to be put in

	deadline time.Time
	last     highs.Result
}

func newMaster(ctx context.Context, rt *highs.Runtime, m *matrix, free bool) (*master, error) {
	solver, err := rt.NewSolver(ctx)
	if err != nil {
		return nil, err
	}
	ms := &master{p: m.p, m: m, solver: solver, unit: m.p.moneyUnit(), free: free, seen: map[string]int32{}, limitAt: map[int32]int32{}, siteAt: map[int32]int32{}, stale: map[int32]bool{}}
	ms.deadline = softDeadline(ctx)
	if err := solver.SetPresolve(false); err != nil {
		return nil, errors.Join(err, solver.Close())
	}
	return ms, nil
}

// softDeadline is when the solver is asked to stop in good order: a little before the context would end it for good. Zero: never.
func softDeadline(ctx context.Context) time.Time {
	if at, ok := ctx.Deadline(); ok {
		return at.Add(-50 * time.Millisecond)
	}
	return time.Time{}
}

func (ms *master) close() error { return ms.solver.Close() }

// moneyUnit is the nano-USD that the solver counts as 1: a tenth of a middling machine for its span.
func (p *Problem) moneyUnit() float64 {
	total, n := 0.0, 0.0
	for i := range p.classes {
		if c := p.aloneCost(i); c > 0 {
			total += math.Log(float64(c))
			n++
		}
	}
	if n == 0 {
		return 1
	}
	return math.Max(1, math.Exp(total/n)/10)
}

// aloneCost is the least that one replica of a class costs on a machine of its own, or 0 where none can be had.
func (p *Problem) aloneCost(c int) int64 {
	best := int64(0)
	for v := range p.classes[c].variants {
		vt := &p.classes[c].variants[v]
		for k, at := range vt.places {
			pl := &p.places[at]
			if pl.under != "" && len(pl.held) == 0 {
				continue // its offer has the price that a replica is worth
			}
			cost := vt.extra[k] + pl.paid(pl.start+max(vt.span, pl.paidSpan)) - pl.paid(pl.paidSpan)
			if best == 0 || cost < best {
				best = cost
			}
		}
	}
	return best
}

// addRows adds matrix rows, to which no column belongs yet, with their lower bounds.
func (ms *master) addRows(first int, lower []float64) error {
	var rows highs.Rows
	for i, l := range lower {
		rows.Append(l, math.Inf(1), nil, nil)
		ms.rowAt = append(ms.rowAt, int32(ms.height+i))
	}
	if len(ms.rowAt) != first+len(lower) {
		return purser.Errorf(purser.KindInternal, "optimizer.Solve", "rows out of order: %d after %d", first, len(ms.rowAt)-len(lower))
	}
	ms.height += len(lower)
	return ms.solver.AddRows(rows)
}

// addLimits adds the rows of (5): Σ x ≤ L of each limited site that a group uses, and Σ w·x ≤ K of each quota.
func (ms *master) addLimits(limit func(s int32) int64, quota func(q int) int64) error {
	var rows highs.Rows
	ms.quotaAt = make([]int32, len(ms.p.quotas))
	used := make([]bool, len(ms.p.quotas))
	for g := range ms.p.groups {
		for _, s := range ms.p.groups[g].sites {
			if ms.p.sites[s].limit >= 0 {
				ms.limitAt[s] = int32(ms.height + rows.Len())
				rows.Append(math.Inf(-1), float64(limit(s)), nil, nil)
			}
			for _, u := range ms.p.sites[s].quotas {
				used[u.quota] = true
			}
		}
	}
	for q := range ms.quotaAt {
		ms.quotaAt[q] = -1
		if used[q] {
			ms.quotaAt[q] = int32(ms.height + rows.Len())
			rows.Append(math.Inf(-1), float64(quota(q))/1000, nil, nil)
		}
	}
	ms.height += rows.Len()
	return ms.solver.AddRows(rows)
}

// add puts pattern columns into the program, those that it has already excepted, and says how many were new.
func (ms *master) add(cols []column) (int, error) {
	var batch highs.Columns
	for _, c := range cols {
		key := c.key()
		if _, known := ms.seen[key]; known {
			continue
		}
		ms.append(&batch, &c)
		ms.seen[key] = int32(len(ms.cols))
		ms.cols = append(ms.cols, c)
		ms.lpOf = append(ms.lpOf, int32(ms.width+batch.Len()-1))
	}
	ms.width += batch.Len()
	return batch.Len(), ms.solver.AddCols(batch)
}

// refresh makes the stale columns anew and puts in the fresh ones.
func (ms *master) refresh() error {
	cols := make([]int32, 0, len(ms.stale))
	for c := range ms.stale {
		cols = append(cols, c)
	}
	clear(ms.stale)
	slices.Sort(cols)
	if err := ms.renew(cols); err != nil {
		return err
	}
	fresh := ms.fresh
	ms.fresh = nil
	_, err := ms.add(fresh)
	return err
}

// renew shuts columns and puts them in again with the coefficients that they have by now.
func (ms *master) renew(cols []int32) error {
	if len(cols) == 0 {
		return nil
	}
	at, zero := make([]int32, len(cols)), make([]float64, len(cols))
	again := make([]column, len(cols))
	for i, c := range cols {
		at[i], again[i] = ms.lpOf[c], ms.cols[c]
	}
	if err := ms.solver.ChangeColBounds(at, zero, zero); err != nil {
		return err
	}
	var batch highs.Columns
	for i := range again {
		ms.append(&batch, &again[i])
		ms.lpOf[cols[i]] = int32(ms.width + i)
	}
	ms.width += len(cols)
	return ms.solver.AddCols(batch)
}

// append writes a column for the solver.
func (ms *master) append(batch *highs.Columns, c *column) {
	rows, values := ms.m.terms(c)
	for i, r := range rows {
		rows[i] = ms.rowAt[r]
	}
	if at, ok := ms.limitAt[c.site]; ok {
		rows, values = append(rows, at), append(values, 1)
	}
	if at, ok := ms.siteAt[c.site]; ok {
		rows, values = append(rows, at), append(values, 1)
	}
	for i := range ms.tallies {
		if w := ms.tallies[i].of(c, ms.p); w > 0 {
			rows, values = append(rows, ms.tallies[i].row), append(values, float64(w))
		}
	}
	for _, u := range ms.p.sites[c.site].quotas {
		rows, values = append(rows, ms.quotaAt[u.quota]), append(values, float64(u.weight)/1000)
	}
	cost := float64(c.cost) / ms.unit
	if ms.free {
		cost = 0
	}
	batch.Append(cost, 0, math.Inf(1), rows, values)
}

// addOther puts a column of another kind into the program and gives its number in the solver. Rows are matrix rows.
func (ms *master) addOther(cost, lower, upper float64, rows []int32, values []float64) (int32, error) {
	var batch highs.Columns
	at := make([]int32, len(rows))
	for i, r := range rows {
		at[i] = ms.rowAt[r]
	}
	batch.Append(cost, lower, upper, at, values)
	ms.width++
	return int32(ms.width - 1), ms.solver.AddCols(batch)
}

// run solves the program as it stands. errStopped: the time is up. errUnsolved: the solver gave up, or there is no solution.
func (ms *master) run(ctx context.Context) error {
	for try := range 2 {
		if try > 0 {
			// A basis that has gone bad is the usual reason; begin without one.
			if err := ms.solver.ForgetBasis(); err != nil {
				return err
			}
		}
		res, err := ms.solver.Run(ctx, highs.Limits{Deadline: ms.deadline})
		if err != nil {
			if ctx.Err() != nil {
				return errStopped
			}
			return purser.Wrap(purser.KindInternal, "optimizer.Solve", err)
		}
		if res.Status == highs.StatusTimeLimit {
			return errStopped
		}
		if res.Status == highs.StatusOptimal && len(res.RowDual) > 0 {
			ms.last = res
			return nil
		}
	}
	return errUnsolved
}

// duals reads the row prices of the last solution, rounded to whole nano-USD and never below 0.
func (ms *master) duals() *duals {
	d := &duals{rows: make([]int64, ms.m.rows), limits: make(map[int32]int64, len(ms.limitAt)), quotas: make([]int64, len(ms.quotaAt))}
	nano := func(at int32, sign float64) int64 {
		if int(at) >= len(ms.last.RowDual) {
			return 0 // the row was added since
		}
		return int64(math.Round(math.Max(0, sign*ms.last.RowDual[at]) * ms.unit))
	}
	for r, at := range ms.rowAt {
		d.rows[r] = nano(at, 1)
	}
	for s, at := range ms.limitAt {
		d.limits[s] = nano(at, -1)
	}
	for q, at := range ms.quotaAt {
		if at >= 0 {
			d.quotas[q] = nano(at, -1)
		}
	}
	if len(ms.tallies) > 0 {
		d.tallies, d.late = make([]int64, len(ms.tallies)), map[int32]int64{}
		for i, t := range ms.tallies {
			if d.tallies[i] = nano(t.row, 1); t.most < noMost {
				d.tallies[i] -= nano(t.row, -1)
			}
			for s, w := range t.weights {
				d.late[s] += w * d.tallies[i]
			}
		}
	}
	return d
}

// value is how much of a pattern column the last solution takes; 0 of one that was added since.
func (ms *master) value(c int) float64 {
	if at := int(ms.lpOf[c]); at < len(ms.last.ColValue) {
		return ms.last.ColValue[at]
	}
	return 0
}
