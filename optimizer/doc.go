// Package optimizer turns jobs and offers into a plan that is cheap, with a proof of how far it can be from the cheapest.
//
// NewProblem makes an Input ready, Solve searches, Check verifies a plan without knowing how it was made. Nothing here reads a clock, the
// environment or a random source: with the same problem, limits and seed, Solve gives the same plan on every machine. optimizer/highs
// alone looks at the time, to obey the context's deadline.
//
// # Sets
//
//	o   offers, and held leases; of equal ones as many machines as there are (sites)
//	j   classes: task groups that the filters leave equal, with their units (replicas, gangs or services)
//	v   variants of a class: devices, vCPUs, memory, run time, rate
//	c   columns: a machine of an offer and how many copies a_cjv of each class and variant share it (its pattern)
//	f   failure domains: zones, regions, providers, private sites, spot pools or machines; z zones
//	q   quotas
//
// # Objective
//
// First the replicas that have no place, those of higher priority before others; then money over the horizon:
//
//	min Σ_c x_c · (rate_o · (start-up_o + longest run time in c, within the horizon) + extra cost of its replicas)
//	rate_o = price_o + price of carbon · grams of CO₂e an hour
//
// The extra cost of a replica is what it costs beside its machine when it comes there (extra.go): moving its data, reading it where it
// is cold, keeping its checkpoint. A run time has in it the time to load the data.
//
// Training on machines that may be taken back runs longer, by what it loses and does again: a run time is multiplied by an expected
// factor that depends on the offer's hazard, the gang's machines and the checkpoints (hazard.go). A variant thus becomes one for each
// time that it takes; a gang runs on machines where it takes the same time. Gangs whose size is a choice are paid to their end, not to the
// horizon. A deadline counts the time within which 95 % of runs end.
//
// An on-demand offer that may run under a commitment has a twin that costs nothing but its carbon and takes its discounted price of what is
// promised, a row of (5) (commitments.go); what is promised is sunk and counts nowhere.
//
// A held lease has no start-up. A replica that stays where it runs reads no data anew, and saves what moving it would cost: its share of
// its machine's price for Input.MoveHours. With Input.Snapshot every run lasts an hour, and the objective is $ per hour.
//
// Groups of a job that wait for one another (Input.Stages) are planned once those before them have ended; what comes after a group counts
// against its deadline, and what came before it is data to read (stages.go).
//
// # Rows
//
//	(0) cover    Σ a·x ≥ d                                           independent replicas
//	(1) gang     Σ_{c in z} a_jv·x ≥ n_v·y_jvz,  Σ y ≥ d             all n replicas of one variant in one zone; machines may be of
//	                                                                 several offers and may be shared with others. A gang of several
//	                                                                 sizes has a variant for each (ways.go)
//	(2) rate     Σ θ_v·n_v ≥ λ·(1 + headroom),  Σ n_v ≥ replicas,  Σ n_v ≤ the most
//	(3) survive  Σ_{outside F} θ_v·n_v ≥ κ·λ   for every set F of k  per service, in whole replicas; machines: see anymachine.go
//	(6) spread   Σ_{c in f} a·x ≤ ⌈share·n⌉                           training that is kept apart, per domain (apart.go)
//	(5) limits   Σ_{c on o} x ≤ L_o,  Σ w_oq·x ≤ K_q
//
// Training that can wait may begin later, at one of a few start times (starts.go): an offer from a start time on is a place of its own, rows (5)
// hold at every start time, and sites are told apart by the last one that their machines are in use at (timed.go). What begins later is in
// Plan.Later and Plan.Waiting (waiting.go); it is nobody's to launch. Without such work there are no start times.
//
// Residency, provider, region, purchase option, price ceiling, confidential computing, compliance, latency from the users, shape, device
// memory, local disks (a part of them as large as that of the devices), accuracy floor and deadline are filters on (group, variant, offer) before columns exist, and counted as refusals by reason. Devices of a share (an eighth, a quarter, a half) sum up exactly.
//
// # Method
//
//  1. greedy.go, repair.go: a first plan in milliseconds.
//  2. relaxed.go, colgen.go: column generation over fractional patterns. Offers of one room and the same items share their patterns
//     (groups.go, pricing.go). A knapsack per bucket of groups finds patterns for all run times at once, with a proven upper bound
//     (knapsack.go, relax.go). Gangs count as their replicas; services are mixtures of whole configurations (configs.go, caps.go,
//     contents.go, mixtures.go). Domains get rows once a solution leans on them (separate.go).
//  3. bound.go: the bound, in exact integer arithmetic from row prices in whole nano-USD, with Farley's scaling class by class. tree.go,
//     tally.go: it is raised by branching on how many machines there are, beside the steps that follow.
//  4. fixing.go, siting.go: gangs and services are committed to zones and domains. dive.go, rounding.go: machines are fixed step by step
//     over proper columns; transfers of services keep the commitment open (transfer.go). eject.go makes room where limits are used up.
//  5. exact.go, enumerate.go: small problems are solved by branch and cut over every column that can be in a better plan.
//  6. recreate.go: parts of the plan are taken down and made anew while work is left.
//  7. check.go, explain.go: the plan is verified from the input alone and explained.
//
// # Held leases
//
// With Input.KeepPlacements what runs stays and the rest is planned around it. Otherwise both are planned, with and without moves, and
// moves are proposed only when they place more, or save at least Input.MinGain of the cost: on unchanged input nothing moves.
//
// # Failures
//
// NewProblem returns *purser.Error of kind invalid with the place in the input. Solve returns an error when the call failed; that work
// or time ran out, or that something has no place, is the plan's Status. Every plan passes Check before it is returned.
//
// # Not modelled yet
//
// One plan over changing demand, refuge, spread of services, budgets, serverless offers and a price of time: rows (4), (7) and a part of (6).
package optimizer
