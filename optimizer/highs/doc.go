// Package highs solves linear and mixed-integer programs with HiGHS, compiled to WebAssembly and run by wazero: no cgo, no library
// on the user's machine, and a solver that can neither touch files nor take more memory than it is given.
//
// A Runtime holds the compiled module; each Solver is an instance of its own with one model, which is always minimised. Solvers stay
// warm: change the model, Run again, and HiGHS goes on from its last basis.
//
// Reproducible by work: the module is built with a meter in its loops (gen/meter.go) that calls the host each 16,384 rounds, about
// each 0.1 ms. That is the unit of Limits.Work, and HiGHS's clock counts it instead of time, so the same calls give the same result bit
// by bit on every machine. Only Limits.Deadline makes a result depend on the machine's speed. Both limits work by setting HiGHS's
// clock past its time limit, so it ends in good order with the best solution it has.
//
// Failures: a context that ends (noticed within a unit of work), a lack of memory and a crash inside the module end the one Solver,
// never the Runtime or the process. Go's garbage collector has to wait for compiled code; the meter lets it in as well.
package highs
