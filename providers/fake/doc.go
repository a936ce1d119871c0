// Package fake is a cloud with a market: a working provider whose machines, prices,
// quotas and troubles are made up, for tests and demonstrations. It passes the suites
// that all adapters pass, in memory and over HTTP (Handler, Dial), so that it can run
// as a process of its own (purser fakecloud) and outlive whatever else is killed.
//
// # One machine per lease
//
// Launch looks for the client token, then for the lease's tag, and makes a machine only
// when neither is known. A machine that is gone is remembered for Config.Remember, so an
// ended lease gets it back as gone. Several servers share one Cloud; one lock orders them.
//
// # States
//
//	pending → running   BootTime after it was asked for; its agent is started then
//	running → stopping  its end was asked for, or the cloud takes it back
//	stopping → gone     after StopTime, after the notice, or as soon as its agent is gone
//
// With Spot.Quiet a machine that is taken back shows as running until it is gone, as on
// most clouds, and only its notice tells.
//
// # Market
//
// Capacity ends by place, type and purchase option; quotas are the account's own and
// another thing. Spot machines are taken back
//
//	by a trace    rows of (time, place, type, available, preempted), at their times
//	by lot        after a running time drawn from Exp(hazard), each machine its own
//
// and spot prices walk: the logarithm of price ÷ list price goes x ← 0.9·x + Swing·N(0,1)
// every Spot.PriceEvery, clipped so that spot is never dearer than on demand.
//
// Nothing depends on when or how often anybody looks: what is due happens at its own time,
// in order of time, before a call is answered. With the same Seed, clock and calls the
// history (Config.Log) is the same byte for byte. Draws are functions of the seed and of
// what they are for (machine 7, row 12, call 3 of launch), never of a shared stream.
//
// # State
//
// With Open the state lies in a file, which is replaced whole before anything is answered:
// machines, tokens, notices, disks, the row of the trace, and where knobs have brought
// capacity, hazards and quotas. A process that is killed at any point and started again
// goes on as if it had lived through; what was due meanwhile happens at its own time. Only
// what knobs have in store for coming calls (FailNext, LoseNext, HalfNext) and how full the
// token buckets are is forgotten.
//
// # Failures
//
// Those of the contract, the same here and over the wire: no_capacity and quota name the
// offer, throttled says when (Calls.Limits), unavailable where an answer or a request was
// lost (LoseNext, Calls.LoseBefore, Calls.LoseAfter) or a launch was left half done
// (HalfNext: a disk stays that Sweep removes), conflict for a token with other parameters,
// invalid for what the price list lacks. FailNext and Hook make any call fail before or
// after its effect. Over the wire what is lost breaks the connection, and an answer that
// is none is unavailable.
package fake
