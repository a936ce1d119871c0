// Package highs solves linear and mixed-integer programs with HiGHS, compiled to WebAssembly and run by wazero: no cgo, no library
// on the user's machine, and a solver that can neither touch files nor take more memory than it is given.
//
// A Runtime holds the compiled module; each Solver is an instance of its own with one model, which is always minimised. Solvers stay
// warm: change the model, Run again, and HiGHS goes on from its last basis.
//
// Reproducible by work: HiGHS's clock is a counter that moves a microsecond each time it is read, so that the same calls give the
// same result bit by bit on every machine. Only Limits.Deadline, which stops HiGHS at a time of day, makes the result depend on
// speed; it works by setting that clock past HiGHS's time limit, so HiGHS ends in good order with its best solution.
//
// Failures: a context that ends, a lack of memory and a crash inside the module end the one Solver, never the Runtime or the process.
package highs
