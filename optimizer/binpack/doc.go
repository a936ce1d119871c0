// Package binpack packs items with sizes in several dimensions into as few equal bins as possible, and proves how few there can be.
//
// # Method
//
//  1. pack.go, eject.go: packings by the rules of first fit, best fit, dot product and least remainder, plain and blurred; then bins are
//     emptied by ejection chains.
//  2. bound.go: bounds by volume, dual feasible functions and items that exclude each other.
//  3. program.go, colgen.go, sack.go: the covering program over all patterns, by column generation. A knapsack search finds patterns and
//     proves how much any pattern can be worth.
//  4. dive.go: patterns of its solution are taken step by step, with column generation after each, on two sides at once.
//  5. exact.go: where only few patterns can be in a packing with one bin less, branch and bound over all of them.
//
// # Bounds
//
// Every bound holds exactly. The row prices of a program are rounded down to integers, a knapsack search proves in integers that no pattern is
// worth more than some number, and the prices divided by that number are feasible (Farley 1990). The solver's own value of a program
// is nowhere taken for a bound, and a node of the branch and bound is closed only by such a proof.
//
// # Limits
//
// Nothing here reads a clock. Options.Work counts the solver's work and looks at items; without a deadline the result depends on the instance and
// the options alone. optimizer/highs obeys the context's deadline, and the search asks the context between steps.
package binpack
