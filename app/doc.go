// Package app wires Purser: it reads the configuration, builds every part from it,
// starts and stops them, and runs the sweeps.
//
// A sweep loads, calls a pure package, and saves in one transaction; it decides
// nothing. Cron expressions say when a sweep is due. Exactly one server replica
// takes a due tick, by a row in the database; a tick that nobody took, because all
// were down, is caught up once.
//
//	collect    hosts of the operator's own → offers; and for each source of prices its
//	           feed → pricing.SiftAmong → offers, history, signals
//	plan       jobs, offers, leases → optimizer → admission → leases, tasks
//	reconcile  what providers list ↔ leases; idle machines; moves
//	charge     leases × prices → ledger → charges
//	prune      old log lines, plans and changes of prices are forgotten, days rolled up
//	hazard     signals, our spot leases → policy.Posterior → hazards
//	rebalance  the plan without its history → moves, when they pay
//
// # Starting and stopping
//
// Start brings up, in this order: the database (a private one unless a URL is
// given), its schema, the solver, the HTTP server, River, the sweeps. What fails on
// the way undoes what was started. Stop drains: machines that this host stands in
// for stop their tasks at a checkpoint, tasks return to the queue, charges end. A
// second interrupt stops without draining; agents then end themselves. Each part has
// its own time to end, so one that hangs keeps no other from it.
//
// A clock that is set back stops no sweep: ticks are then counted on from the newest
// one in the database. Servers of one host that share a database must share the data
// folder; a lock of the host refuses others.
//
// # Failures
//
// A sweep that fails is logged, its error kept with its last run, and tried again
// at its next tick. A server that is killed is missed after 20 s: its River jobs
// are taken over by the others.
package app
