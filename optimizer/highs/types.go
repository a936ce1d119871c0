package highs

import (
	"errors"
	"log/slog"
	"time"
)

// Errors that callers may ask for with errors.Is.
var (
	// ErrNoModule says that the binary was built without the solver's module.
	ErrNoModule = errors.New("highs: the solver's WebAssembly module is not built in; run `make build`")
	// ErrWrongModule says that the module built in is not the one that the export table was generated from.
	ErrWrongModule = errors.New("highs: the solver's WebAssembly module does not fit its table; run `make build`")
	// ErrMemory says that a model needed more memory than Config.MemoryLimitMiB. The Solver is dead, the Runtime is not.
	ErrMemory = errors.New("highs: out of memory")
	// ErrDead says that the Solver was closed, or died in an earlier call: by a cancelled context, ErrMemory or ErrCrash.
	ErrDead = errors.New("highs: solver is closed")
	// ErrCrash says that the module stopped by itself. The Solver is dead, the Runtime is not.
	ErrCrash = errors.New("highs: solver crashed")
	// ErrInvalid says that an argument is wrong (a length, an index, a NaN), or that HiGHS refused it. The Solver lives on and
	// its model is as it was.
	ErrInvalid = errors.New("highs: invalid argument")
)

// Config says how a Runtime is set up. The zero value works.
type Config struct {
	// CacheDir keeps the compiled module between processes: a start then takes about 0.1 s instead of several seconds. Empty: no
	// cache. The folder is made when missing, and a subfolder of it is HiGHS's. Code is run from it, so it must be writable by this user
	// alone. Several processes may share it.
	CacheDir string
	// MemoryLimitMiB caps one instance's memory; 0 means 2048, which is also the most the module itself can use.
	MemoryLimitMiB int
	// Instances is how many Solvers may be open at once; NewSolver waits for a free one. 0 means GOMAXPROCS.
	Instances int
	// Logger gets HiGHS's own log, line by line, at debug level, and a warning when CacheDir cannot be used. Nil: silence.
	Logger *slog.Logger
}

// Rows are constraints Lower ≤ a·x ≤ Upper. math.Inf(-1) and math.Inf(1) mean no bound; equal bounds make an equation.
//
// Coefficients on columns that already exist are given as compressed sparse rows: row i has the entries Start[i] to Start[i+1]
// (the last one: to the end) of Index (column numbers, each once in a row) and Value. All three are empty for rows without
// coefficients, to which columns are then added.
type Rows struct {
	Lower, Upper []float64
	Start        []int32
	Index        []int32
	Value        []float64
}

// Columns are variables Lower ≤ x ≤ Upper with their cost in the objective, which is minimised. math.Inf(1) means no bound.
//
// Column j has the entries Start[j] to Start[j+1] (the last one: to the end) of Index (row numbers, each once in a column) and Value.
// The rows must exist already. Build them with Append, or fill the slices.
type Columns struct {
	Cost, Lower, Upper []float64
	Start              []int32
	Index              []int32
	Value              []float64
}

// Limits end a Run early. The zero value means no limit, HiGHS's own gap (1e-4) and seed 0.
type Limits struct {
	// SimplexIterations is the most simplex iterations of this Run for an LP; a MIP takes no notice of it. 0: no limit.
	SimplexIterations int
	// Nodes is the most branch-and-bound nodes of a MIP. 0: no limit; to stop after the root node ask for 1.
	Nodes int
	// Work is the most work in units of 16,384 rounds of loops inside the module, about 0.1 ms each: so 10,000 are about a second. It
	// covers the whole Run, presolve and heuristics included, and means the same on every machine; HiGHS notices its end within
	// some milliseconds to some tenths of a second. 0: no limit.
	Work int64
	// Deadline is when HiGHS is told that its time is up: it then stops by itself and returns what it has, with StatusTimeLimit.
	// Zero: none. What it returns then depends on the machine's speed; without a Deadline a Run is reproducible bit by bit.
	// For a hard stop give Run's context a later deadline.
	Deadline time.Time
	// RelGap ends a MIP when (objective − bound)/|objective| is at most this. 0: HiGHS's default of 1e-4; to prove optimality ask for
	// 1e-9.
	RelGap float64
	// Seed is HiGHS's random seed.
	Seed int
}

// Method is the algorithm for LPs without integer columns.
type Method int

// The methods.
const (
	// MethodAuto is simplex: primal when the basis at hand is primal feasible (columns were added or costs changed), else dual.
	MethodAuto Method = iota
	// MethodDual is the dual simplex method: best after rows were added or bounds changed.
	MethodDual
	// MethodPrimal is the primal simplex method: best after columns were added.
	MethodPrimal
	// MethodInteriorPoint is the interior point method with crossover to a basis. It takes no warm start.
	MethodInteriorPoint
)

// Status says how a Run ended.
type Status int

// The statuses.
const (
	// StatusUnknown: HiGHS gave up without a reason it can name. Values, if any, are not to be trusted.
	StatusUnknown Status = iota
	// StatusOptimal: solved (a MIP: within the gap asked for).
	StatusOptimal
	// StatusInfeasible: proven to have no solution.
	StatusInfeasible
	// StatusUnbounded: proven to have solutions of any low cost.
	StatusUnbounded
	// StatusInfeasibleOrUnbounded: one of the two; HiGHS's presolve did not find out which.
	StatusInfeasibleOrUnbounded
	// StatusIterationLimit: Limits.SimplexIterations was used up.
	StatusIterationLimit
	// StatusNodeLimit: Limits.Nodes was used up.
	StatusNodeLimit
	// StatusWorkLimit: Limits.Work was used up.
	StatusWorkLimit
	// StatusTimeLimit: Limits.Deadline passed.
	StatusTimeLimit
)

// Result is what a Run found. Its slices are the caller's.
//
// Signs, for minimise c·x under L ≤ Ax ≤ U, l ≤ x ≤ u: with y = RowDual and d = ColDual, d = c − Aᵀy. At an optimum y_i ≥ 0 where
// the row is at its lower bound, y_i ≤ 0 at its upper bound, 0 between; d_j ≥ 0 where the column is at its lower bound, d_j ≤ 0 at its
// upper bound, 0 between; and c·x = y·(Ax) + d·x. So y_i is what one more unit of the row's active bound costs.
type Result struct {
	Status Status
	// Feasible says that ColValue satisfies every row, bound and integrality within HiGHS's tolerance (1e-7; integrality 1e-6).
	Feasible bool
	// DualFeasible says that RowDual and ColDual have the signs above within 1e-7. Always false for a MIP.
	DualFeasible bool
	// Objective is c·x of ColValue; +Inf where there is none.
	Objective float64
	// Bound is a lower bound of the objective as HiGHS knows it, in floating point: a MIP's dual bound, an optimal LP's objective,
	// +Inf when infeasible, else −Inf.
	Bound float64
	// Gap is (Objective − Bound)/|Objective|: 0 for an optimal LP, +Inf where there is no solution or no bound.
	Gap float64

	ColValue []float64 // x
	RowValue []float64 // Ax
	ColDual  []float64 // d; empty for a MIP
	RowDual  []float64 // y; empty for a MIP

	SimplexIterations int   // of this Run; for a MIP of all its LPs
	Nodes             int64 // of this Run
	Work              int64 // of this Run, in the unit of Limits.Work
}

// BasisStatus says where a column or row stands in a basis.
type BasisStatus uint8

// The basis statuses, numbered as HiGHS does.
const (
	AtLower BasisStatus = iota
	Basic
	AtUpper
	AtZero
	Nonbasic
)

// Basis is a simplex basis: one status per column and per row.
type Basis struct {
	Cols, Rows []BasisStatus
}
