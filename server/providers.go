package server

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"purser/api"
)

// Providers are where machines come from.
type Providers interface {
	Providers(ctx context.Context) (api.Providers, error)
}

func (s *Server) registerProviders() {
	type providersOut struct{ Body api.Providers }
	register(s, api.RoleViewer, huma.Operation{
		OperationID: "list-providers", Method: http.MethodGet, Path: "/v1/providers", Tags: []string{"leases"},
		Summary:     "List the providers that are enabled, how they fare, and the account's limits",
		Description: "What the answering server saw last. Limits are read every ten minutes.",
	}, func(ctx context.Context, _ *struct{}) (*providersOut, error) {
		out, err := s.parts.Providers.Providers(ctx)
		for i := range out.Providers {
			p := &out.Providers[i]
			p.Regions, p.Can, p.Quotas, p.Reserved = list(p.Regions), list(p.Can), list(p.Quotas), list(p.Reserved)
		}
		out.Providers = list(out.Providers)
		return &providersOut{out}, err
	})
}
