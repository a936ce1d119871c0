// Package postgres keeps everything that Purser knows, and holds all of its SQL. Each
// file has the SQL of one noun beside the methods that use it; the schema is in
// package migrations.
//
// # Transitions
//
// Whatever changes a state does so in one transaction with its audit rows and the
// River job of the next step: all of it is committed or nothing. A call either did
// what it says or changed nothing; when the connection breaks during the commit the
// caller cannot know which (unavailable) and calls again, which is safe everywhere: a
// repeated submission, join, report, admission, charge or claim finds that it was done.
//
// States change in memory, by the rules in rules.go, on rows that world.go has locked,
// and are written at the end. The database holds what must hold whatever the code
// believes: at most one live task a replica, tasks only on leases where their state
// allows it, no second charged twice, charges and audit only ever added.
//
//	lease   planned → launching → running → draining → released; failed; withdrawn
//	task    queued → placed → running → succeeded | failed | lost | cancelled
//
// What a lease does to its tasks:
//
//	draining, an agent has joined    they are asked to stop; the agent's reports end them
//	draining, no agent has joined    they go back into the queue at once
//	released, failed, withdrawn      running ones are lost, placed ones go back into the queue
//
// A lost task has a successor with its checkpoint, in the queue or straight on the
// lease that an open move takes it to; so has a failed one while attempts are left. A job
// that has failed takes the rest of its tasks with it.
//
// # Locks
//
// Everybody locks in one order: leases by id, jobs by id, the audit last. A task and
// its move change only under the lock of the task's job. A task is put on a lease,
// and a move aimed at one, only under the lock of that lease as well. So whoever holds a
// lease may rely on its tasks not becoming more, and whoever holds a job on its tasks
// not changing at all. A transaction that loses all the same (deadlock, serialization
// failure) is run again, up to eight times. Plans are admitted one at a time, and so
// are batches of prices saved.
//
// # Events
//
// Ids of the audit grow in the order of commit, so that a reader who goes on from the
// last id misses nothing (tx.go says how). Each transaction that adds to the audit
// notifies the channel purser_events once; Listen hears it.
//
// # Failures
//
// Errors are *purser.Error. unavailable: the database does not answer, took too long or
// was busy with others: try again later. conflict: the state forbids it, or the schema is
// another one. stale: the caller's picture is old. invalid: a value cannot be stored.
// Statements are given up after 60 s and waits for locks after 15 s.
package postgres
