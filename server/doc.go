// Package server is Purser's REST API under /v1, the agent's calls, sign-in, the
// stream of events, metrics, and the files of the web page.
//
// Each operation decodes, calls one small interface that is declared here beside
// it, and encodes. There are no decisions: app implements the interfaces.
//
// # Who may do what
//
// A caller is known by a bearer token, or by the session cookie that a one-time
// code was exchanged for. Every operation names the least role that may call it
// (viewer, operator, admin) and the OpenAPI document says so; an operation that
// names none does not start. Agents are known by their lease's join token once,
// and by their own secret from then on; they can call nothing else.
//
// # Failures
//
// Every error is application/problem+json, unknown routes and broken bodies
// included. A kind becomes a status by purser.HTTPStatus. The text of an internal
// error stays in the log; the caller gets the request's id to quote.
package server
