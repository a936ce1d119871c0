// Package bench holds the experiments that Purser's planner is measured by.
//
// # The ladder
//
// A rung is a number of jobs in jobs/30 classes (10 at least, 1,000 at most), made
// from real traces by a seed alone:
//
//   - Needs (vCPU, memory, devices and shares of one) are those of the pods in
//     Alibaba's 2023 GPU trace that ask for devices; shares are rounded up to 1/8,
//     1/4, 1/2 or 1, and what three zones could not serve is halved until they can.
//   - Run times and gang sizes are those of jobs in Microsoft's Philly trace, run
//     times cut to [10 min, 24 h] and gangs to 16 replicas.
//   - One class in five is of services: a demand in requests per second, for one to
//     four replicas, that has to be served in full after the loss of any one zone.
//   - Offers are those with accelerators of six real price catalogues, thinned by a
//     stable hash.
//   - A third of the (provider, accelerator) families has a quota, and private
//     machines could carry about a tenth of the devices asked for.
//
// What a rung reports comes from one run: the proven lower bound, the baseline that
// gives each replica the cheapest machine of its own whatever limits say, rules of
// thumb that keep limits and quotas (a machine for each task, first-fit and best-fit
// decreasing, Stratus, reservation prices), the plan, its gap, the seconds without
// the compilation of the solver, CPU seconds, and the process's peak memory.
//
// The rules of thumb get gangs and services committed: a gang to the zone where
// machines without a limit full of its likes are cheapest; a service that needs n
// replicas to ⌈n/(k−1)⌉ in each of the k cheapest zones, k being what costs least.
//
// # Data
//
// The traces are read from a folder that the caller names, in the layout that
// docs/benchmarks.md describes. A missing or broken file is an error of kind
// not_found or invalid that names it.
package bench
