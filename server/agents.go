package server

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"purser"
	"purser/api"
)

// Agents answers the agents on leased machines.
type Agents interface {
	// Join takes a lease's join token once; the same secret may join again.
	Join(ctx context.Context, joinToken string, j api.AgentJoin) (api.AgentJoined, error)
	// Report takes what runs and says what is to run. Repeating it changes nothing.
	Report(ctx context.Context, secret string, r api.AgentReport) (api.AgentOrders, error)
}

func (s *Server) registerAgents() {
	tags := []string{"agent"}
	type joinIn struct {
		Authorization string `header:"Authorization"`
		Body          api.AgentJoin
	}
	type joinOut struct{ Body api.AgentJoined }
	agentOnly(s, huma.Operation{
		OperationID: "agent-join", Method: http.MethodPost, Path: "/v1/agent/join", Summary: "Join: an agent says that its machine is up", Tags: tags,
		MaxBodyBytes: 64 << 10,
	}, func(ctx context.Context, in *joinIn) (*joinOut, error) {
		token, err := agentBearer(in.Authorization)
		if err != nil {
			return nil, err
		}
		out, err := s.parts.Agents.Join(ctx, token, in.Body)
		return &joinOut{out}, err
	})
	type reportIn struct {
		Authorization string `header:"Authorization"`
		Body          api.AgentReport
	}
	type reportOut struct{ Body api.AgentOrders }
	agentOnly(s, huma.Operation{
		OperationID: "agent-report", Method: http.MethodPost, Path: "/v1/agent/report", Summary: "Report what runs and read what is to run", Tags: tags,
		MaxBodyBytes: 4 << 20, // agents send about 1 MiB at most
	}, func(ctx context.Context, in *reportIn) (*reportOut, error) {
		secret, err := agentBearer(in.Authorization)
		if err != nil {
			return nil, err
		}
		out, err := s.parts.Agents.Report(ctx, secret, in.Body)
		out.Run, out.Stop = list(out.Run), list(out.Stop)
		return &reportOut{out}, err
	})
}

func agentBearer(header string) (string, error) {
	token := bearer(header)
	if token == "" {
		return "", purser.Errorf(purser.KindUnauthorized, "server", "an agent's call needs its token")
	}
	return token, nil
}
