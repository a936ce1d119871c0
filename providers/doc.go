// Package providers declares Provider, the one way in which Purser starts and ends
// machines, with its contract, and decorators that every provider is wrapped in:
// rate limit, retry, circuit breaker and metrics. Each provider lives in a folder
// below; providertest holds the conformance suite that all of them pass, the fake
// first.
//
// # Contract
//
// A lease has at most one machine, ever. Everything else follows from that:
//
//   - Launch may be repeated, at the same time or much later, by this process or by
//     another one, after a lost answer or a crash at any point. It finds the machine
//     that the first call made. Once the lease's machine has been ended, Launch gives
//     it back as Gone and starts no other, as long as the provider remembers it
//     (at least a day).
//   - Terminate returns when the end has been asked for, not when it has come;
//     Describe tells the rest. Terminating what is gone or was never there is no error.
//   - Describe and List may lag behind Launch and Terminate for up to a minute. A
//     machine that was seen once is not unseen later except when it is gone.
//   - List shows only machines that carry this installation's tag, and Terminate
//     touches no other. What is gone may be missing from List.
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
// call may have taken effect), invalid, forbidden, not_found (Describe alone),
// conflict (the token was used with other parameters). Only throttled and
// unavailable are worth repeating as they are; RetryAfter says when, if known.
package providers
