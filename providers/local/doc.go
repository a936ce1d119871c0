//go:build unix

// Package local makes machines out of this host: each is a `purser agent` process
// that has been told what it is to stand for. In a rehearsal such agents stand in for
// every machine that a plan would buy; the operator's own hosts, declared in the
// configuration, are real capacity and are listed as private offers.
//
// # One machine per lease, whatever is killed when
//
// Each lease has a folder. Launch, under a lock that all servers of this host share,
//
//	1 writes the intent (machine.json) with the client token
//	2 starts the agent, detached, so that it outlives the server
//	3 writes down its process number and start
//
// and a launch that finds an intent without a process looks for the agent before it
// starts one: by the lock that the agent holds, then by its environment. Should two
// be started all the same, the second finds the lock taken and ends at once.
//
// A machine lives exactly as long as its agent holds agent.lock (or, just started,
// as its process lives). Process numbers are only ever used together with the lock
// or with the start time of the process, so a number given anew is not mistaken.
//
// # The end
//
// Terminate writes down that the machine is to end, tells the agent (SIGTERM: stop
// the tasks at a checkpoint) and returns. Each later look at the machine carries the
// end on: after StopGrace the agent is killed. When an agent is gone, for whatever
// reason, what is left of its tasks is killed before the machine is called gone, so
// that no task runs twice. The folder is remembered for a day, so an ended lease never
// gets a second machine, even if it was ended before it was launched.
//
// # Failures
//
// no_capacity beyond MaxMachines or a host's count, invalid for a lease whose id is
// no file name or a binary that cannot be started, conflict for another client token,
// forbidden for a machine of another installation, internal when the folders cannot
// be read or written.
package local
