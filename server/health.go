package server

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"purser/api"
)

// Health says whether the parts work.
type Health interface {
	Health(ctx context.Context) api.Health
}

func (s *Server) registerHealth() {
	type healthOut struct {
		Status int
		Body   api.Health
	}
	open(s, huma.Operation{
		OperationID: "get-health", Method: http.MethodGet, Path: "/v1/health", Summary: "Say whether Purser can do its work", Tags: []string{"health"},
		Description: "200 when it can, or is degraded; 503 while it starts, and when its database does not answer.",
	}, func(ctx context.Context, _ *struct{}) (*healthOut, error) {
		h := s.parts.Health.Health(ctx)
		status := http.StatusOK
		if h.Status == "down" || h.Status == "starting" {
			status = http.StatusServiceUnavailable
		}
		return &healthOut{Status: status, Body: h}, nil
	})
}
