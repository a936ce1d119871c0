// Package purser holds the nouns of Purser, a service that buys compute for AI
// work: offers, jobs, plans, leases, tasks and charges, with their units, their
// validation and the kinds of error that every other package speaks.
//
// The data flows one way:
//
//	prices ─▶ offers ─▶ plan ─▶ leases ─▶ tasks ─▶ charges
//
// Everything here is a value. Nothing reads a clock, the environment, the network
// or a disk; times and ids come in as arguments.
//
// # Units
//
//   - Money and USDPerHour count nano-USD (10⁻⁹ $); sums are exact.
//   - Devices are counted in milli-devices (1000 is one accelerator), CPU in
//     milli-vCPU, memory in MiB (2²⁰ bytes).
//   - Rates of work are per hour for training and per second for inference.
//   - Times are UTC.
//
// # Failures
//
// Every error that crosses a package boundary is an *Error with a Kind; see
// errors.go for the kinds and the HTTP status that each one becomes.
package purser
