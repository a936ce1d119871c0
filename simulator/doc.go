// Package simulator replays jobs against planners: a virtual clock, machines that take
// time to boot, jobs that slow one another, and moves that cost time. Prices do not
// move in it yet, and no machine is taken back.
//
// Nothing here reads a clock or draws lots; the same world and planner give the same
// report, byte for byte.
//
// # The world
//
// Time is counted in whole seconds. Every Round a Planner sees what is held and what
// lives, and answers with the machines that it wants and the jobs on each. The rules
// are those of the simulator of Eva (Chang et al., "Eva: Cost-Efficient Cloud-Based
// Cluster Scheduling", EuroSys 2025; src/simulator and src/master of
// github.com/uw-mad-dash/Eva), so that figures can be set beside the published ones:
//
//   - A machine is there Asked after the round (instantiate_delay), and from then on is
//     paid by the second. It takes jobs after Booting more (run_worker_delay +
//     worker_register_delay).
//   - A machine that a plan leaves out takes no more jobs, waits until what lies on it
//     has left, and is paid for Ending more (terminate_delay). So a machine whose last
//     job ends is paid until the next round at least.
//   - A placed job waits until its machine is up and has room. Loading takes Fetch
//     (fetch_delay), and Build (build_image_delay) where its program has not been on
//     the machine before. From then on it lies on the machine and slows the others.
//     After Start (init_delay) it works.
//   - A move stops the job at once: it works for Stop more (kill_delay), keeps its room
//     until its checkpoint is written, Save later (upload_delay), and then waits for its
//     new machine, up or not. No work is lost.
//   - While it is bound for a machine or loading, a job cannot be placed anew.
//   - A job on a machine works at the product over the others there of the share that
//     Slow gives each pair. Its work is done in the first second in which it has
//     worked long enough.
//   - Of one second, first what was begun is done, then jobs arrive, then the planner
//     is asked, then jobs end.
//
// What it costs is Σ price · (end − when it was there) over all machines, and the mean
// time of a job is from its arrival to its end.
//
// # Planners
//
// Alone (no packing), FirstFit, Stratus, and Reservation (Eva's) are baselines made
// from their papers. Shared is ours, by policy.Share. A planner is told how long jobs
// still run only where Options.TellLeft says so; of the published ones Stratus is.
//
// # Failures
//
// A world that cannot be is an error of kind invalid that names the offer or job. A
// plan that cannot be carried out (no room, a job twice or in the air, a machine that
// is not held) is one of kind internal. Otherwise errors are the context's and the
// planner's.
package simulator
