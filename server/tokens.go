package server

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"purser/api"
)

// Tokens keeps API tokens. Only their hashes are stored.
type Tokens interface {
	List(ctx context.Context) ([]api.Token, error)
	Create(ctx context.Context, actor string, t api.NewToken) (api.CreatedToken, error)
	// Revoke ends a token and its sessions; an ended one stays ended.
	Revoke(ctx context.Context, actor string, id string) error
}

func (s *Server) registerTokens() {
	tags := []string{"access"}
	type tokensOut struct{ Body api.Tokens }
	register(s, api.RoleAdmin, huma.Operation{
		OperationID: "list-tokens", Method: http.MethodGet, Path: "/v1/tokens", Summary: "List API tokens without their secrets", Tags: tags,
	}, func(ctx context.Context, _ *struct{}) (*tokensOut, error) {
		tokens, err := s.parts.Tokens.List(ctx)
		return &tokensOut{api.Tokens{Tokens: list(tokens)}}, err
	})
	type newIn struct{ Body api.NewToken }
	type newOut struct{ Body api.CreatedToken }
	register(s, api.RoleAdmin, huma.Operation{
		OperationID: "create-token", Method: http.MethodPost, Path: "/v1/tokens", DefaultStatus: http.StatusCreated,
		Summary: "Make an API token; its secret is shown this once", Tags: tags,
	}, func(ctx context.Context, in *newIn) (*newOut, error) {
		t, err := s.parts.Tokens.Create(ctx, caller(ctx).Name, in.Body)
		return &newOut{t}, err
	})
	type tokenIn struct {
		Token string `path:"token" maxLength:"63" doc:"The token's id."`
	}
	register(s, api.RoleAdmin, huma.Operation{
		OperationID: "revoke-token", Method: http.MethodDelete, Path: "/v1/tokens/{token}", DefaultStatus: http.StatusNoContent,
		Summary: "End a token", Tags: tags,
	}, func(ctx context.Context, in *tokenIn) (*struct{}, error) {
		return nil, s.parts.Tokens.Revoke(ctx, caller(ctx).Name, in.Token)
	})
}
