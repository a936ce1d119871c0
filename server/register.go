package server

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	"purser/api"
)

// securityBearer and securityCookie name the ways to say who calls.
const (
	securityBearer = "token"
	securityCookie = "session"
	securityAgent  = "agent"
)

// register adds an operation that callers of a role may use.
func register[I, O any](s *Server, need api.Role, op huma.Operation, handle func(context.Context, *I) (*O, error)) {
	op.Security = []map[string][]string{{securityBearer: {string(need)}}, {securityCookie: {string(need)}}}
	op.Middlewares = append(op.Middlewares, s.permit(need))
	op.Errors = append(op.Errors, 401, 403)
	add(s, op, handle)
}

// open adds an operation that anybody may use. Security is an empty requirement,
// not a missing one: the test of permissions tells them apart.
func open[I, O any](s *Server, op huma.Operation, handle func(context.Context, *I) (*O, error)) {
	op.Security = []map[string][]string{{}}
	add(s, op, handle)
}

// agentOnly adds an operation of agents, which check their own bearer.
func agentOnly[I, O any](s *Server, op huma.Operation, handle func(context.Context, *I) (*O, error)) {
	op.Security = []map[string][]string{{securityAgent: {}}}
	add(s, op, handle)
}

func add[I, O any](s *Server, op huma.Operation, handle func(context.Context, *I) (*O, error)) {
	if op.MaxBodyBytes == 0 {
		op.MaxBodyBytes = 16 << 20
	}
	op.Errors = append(op.Errors, 422, 500)
	huma.Register(s.api, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := handle(ctx, in)
		if err != nil {
			return nil, s.problemOf(ctx, op.OperationID, err)
		}
		return out, nil
	})
}
