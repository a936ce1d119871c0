// Package ledger turns leases and prices into charges, by arithmetic alone.
//
// # What is charged
//
// A lease is charged from when its agent joined (RunningAt) to when its machine was
// gone (EndedAt), by the second: every time is cut down to a whole second of UTC,
// so a remainder goes into the next interval and no moment is charged twice.
// Intervals are half-open.
//
// The price is the one locked at launch, Lease.Offer.UnitPrice, except for spot,
// which is charged at each price in force: a lease is cut where its price changes.
//
// # Exactness
//
// Within a stretch of one price p that began at a, what [from, to) costs is
//
//	cost(from, to) = p.For(to − a) − p.For(from − a)
//
// so that consecutive windows add up to the nano-USD to the window over all of
// them, wherever they are cut. The lines of one interval add up to its cost exactly:
// they are rounded by largest remainder.
//
// # Who pays
//
// Within an interval the cost is split among the tasks that the machine's room is
// held for, from when they were placed on it until they ended:
//
//	r = p · Σ_d ω_d · size_d / cap_d,     Σ ω_d = 1
//
// with ω = 0.8 for devices, 0.1 for vCPU and 0.1 for memory on machines with
// accelerators, and 0.5, 0.5 for vCPU and memory on others. A dimension that the
// machine does not have (or whose size is not known) gives its weight to the rest.
// The rule is additive and never exceeds p; it is the one that budgets plan with.
// What no task has is idle room, a line without job and task. Should more be held
// than the machine has (tasks that overlap within a second), all shares shrink
// alike.
//
// # Costs, as FOCUS names them
//
// ListCost is at the on-demand price of the same machine (of the lease itself, when
// it is on demand or the list price is not known), BilledCost at the price in
// force, EffectiveCost with prepaid parts. A lease that runs under a commitment is
// billed at nothing, for the provider takes it off what was promised; its
// EffectiveCost is the discounted price. What of a commitment stays idle is nobody's
// charge. Without a commitment EffectiveCost is BilledCost.
//
// # Failures
//
// None: every input has charges, perhaps none.
package ledger
