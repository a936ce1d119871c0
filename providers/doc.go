// Package providers declares Provider, the one way in which Purser starts and ends
// machines, with its contract, and decorators that every provider is wrapped in:
// rate limit, retry, circuit breaker, metrics and dry run. Each provider lives in a
// folder below; providertest holds the conformance suites that all of them pass, the
// fake first.
//
// # Contract
//
// A lease has at most one machine, ever. Everything else follows from that:
//
//   - Launch may be repeated, at the same time or much later, by this process or by
//     another one, after a lost answer or a crash at any point. It finds the machine
//     that the first call made. Once the lease's machine has been ended, Launch gives
//     it back as Gone and starts no other, as long as the provider remembers it
//     (at least a day where the cloud's names or tokens allow it, else an hour).
//   - Terminate returns when the end has been asked for, not when it has come;
//     Describe tells the rest. Terminating what is gone or was never there is no error.
//   - Describe and List may lag behind Launch and Terminate for up to a minute. A
//     machine that was seen once is not unseen later except when it is gone.
//   - List shows only machines that carry this installation's tag, and Terminate
//     touches no other. What is gone may be missing from List.
//   - A call that made several things (an address, a disk, a machine) and failed half
//     way leaves nothing that costs money and that List does not show or Sweep remove.
//
// # What a provider may do besides
//
//	Offerer      lists capacity of its own as offers
//	Interrupter  tells of machines that are about to be taken back
//	Quoter       tells what the account may have, and what was bought ahead
//	Sweeper      removes leavings that are no machines: network cards, disks, requests
//	Runner       runs tasks itself; its machines have no agent
//	GangRunner   a Runner that runs the replicas of a gang as one
//
// # States of an instance
//
//	pending → running → stopping → gone
//
// Running means that the provider has started the machine; whether its agent works
// is the lease's business.
//
// # Failures
//
// Errors are *purser.Error: no_capacity (the cloud is out of it), quota (our own
// limit), throttled, unavailable (no answer, or an answer that may be wrong: the
// call may have taken effect), invalid, unauthorized, forbidden, not_found (Describe
// alone), conflict (the token was used with other parameters). Only throttled and
// unavailable are worth repeating as they are; RetryAfter says when, if known. An error
// of a launch names the offer, and its Hint says what a person can do about it. Adapters
// switch off their SDK's own repetitions of no_capacity and quota: the fleet goes on
// to the next offer instead.
package providers
