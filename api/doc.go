// Package api is the wire of Purser: the request and response types of /v1 and of
// the agent, and the Go client that the CLI and the agent use.
//
// Money and prices are JSON numbers of USD with at most nine decimals, exact.
// Times are RFC 3339 in UTC. Lists are never null. Every error is
// application/problem+json with a stable code, see Problem.
//
// The client repeats a call only when that is safe: reads, and writes that the
// server answers alike a second time (submit, cancel, agent join and report).
// Failures are *purser.Error with the kind that the server said, or unavailable
// when it could not be reached.
package api
