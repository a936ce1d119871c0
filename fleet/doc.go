// Package fleet makes the machines that stand match the plan, safely.
//
// # Admit
//
// Admit decides, from a snapshot, what becomes of the world when a plan is
// admitted: which leases begin and end, and which task goes where. It is pure; the
// store applies it under row locks.
//
// # Step
//
// Step carries one lease one short, repeatable step further. Any process may run
// any step at any time, twice, late, or not to its end:
//
//	planned    write the intent to launch, attempt 1                       → launching
//	launching  ask the provider (a repeated call finds the same machine),
//	           then look until its agent has joined                        → running, by the agent's join
//	           refused: no capacity, quota, invalid, forbidden             → failed, and the offer cools down
//	           no agent within JoinTimeout, or no answer within LaunchTime → draining
//	running    nothing: the agent's reports keep it, see Reconcile
//	draining   wait up to DrainTime for the agent to stop its tasks, end
//	           the machine, look until it is gone                          → released; failed if it never ran
//
// The intent is committed before the provider is called, so whatever is killed
// when, the machine's lease is known. A machine is only launched for a lease that
// was launching when it was last read, and one that turns out to belong to a lease
// that ended meanwhile is ended at once.
//
// # Reconcile
//
// Reconcile sets what the providers say against what the store says, the provider
// read first, so that a machine without a lease is really without one:
//
//   - A machine whose lease has ended or is unknown for OrphanGrace is ended. If
//     that would end more than three machines and more than half of what a provider
//     lists, nothing is ended and an alarm is raised: more likely the store is wrong.
//   - A running lease whose machine is gone has failed. Its provider is asked for
//     the machine when the listing lacks it and the agent has been silent for
//     SuspectAfter, or when the agent has been silent for SilentAfter.
//   - A running lease whose agent has been silent for LostAfter is drained, whatever
//     the provider says: by then the agent has ended itself.
//   - A lease without work for policy.IdleGrace is drained, or withdrawn when nothing
//     was asked for yet.
//   - A machine that its provider is taking back is drained at once.
//
// # Interrupted
//
// Interrupted acts on a cloud's notice without waiting for a turn of Reconcile: the
// machine's own agent hears it first, the provider's queue may say it too, and the
// first of them drains the lease. Its reason begins with purser.ReasonTakenBack, by
// which the hazard's estimate counts it, once for a lease.
//
// # How long a machine can outlive its lease
//
// At most 150 s. A lease ends as released only when its provider says that the
// machine is gone. It ends as failed without that when the provider refused it or
// called it gone; should there be a machine after all, Reconcile ends it after
// OrphanGrace and one turn, and without any server the agent ends itself 120 s
// after it last heard of one and 25 s for its tasks.
//
// # Failures
//
// What a provider answers is recorded on the lease or tried again; Step returns an
// error only when the store fails, and the step may then be repeated as it is.
// Reconcile goes on past every failure and returns all of them joined.
package fleet
