package server

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"purser"
	"purser/api"
)

func (s *Server) registerFeeds(tags []string) {
	type sourcesOut struct{ Body api.Sources }
	register(s, api.RoleViewer, huma.Operation{
		OperationID: "list-sources", Method: http.MethodGet, Path: "/v1/sources", Summary: "List the feeds of prices and how they fare", Tags: tags,
	}, func(ctx context.Context, _ *struct{}) (*sourcesOut, error) {
		sources, err := s.parts.Feeds.Sources(ctx)
		return &sourcesOut{api.Sources{Sources: list(sources)}}, err
	})
	type collectIn struct {
		Name string `path:"name" maxLength:"200"`
	}
	type collectOut struct{ Body api.Source }
	register(s, api.RoleOperator, huma.Operation{
		OperationID: "collect-source", Method: http.MethodPost, Path: "/v1/sources/{name}/collect", Tags: tags, DefaultStatus: http.StatusAccepted,
		Summary: "Have a feed collected now", Description: "It answers at once; the list of feeds tells how far it has come and how it ended.",
	}, func(ctx context.Context, in *collectIn) (*collectOut, error) {
		out, err := s.parts.Feeds.Collect(ctx, caller(ctx).Name, in.Name)
		return &collectOut{out}, err
	})
	s.registerQuarantine(tags)
	s.registerRules(tags)
}

func (s *Server) registerQuarantine(tags []string) {
	type quarantineIn struct {
		Source string `query:"source" maxLength:"200"`
		Reason string `query:"reason" maxLength:"63"`
		Offer  string `query:"offer" maxLength:"400"`
		Kept   bool   `query:"kept" doc:"Those that were reviewed and left there as well."`
		Limit  int    `query:"limit" minimum:"1" maximum:"10000" default:"100"`
	}
	type quarantineOut struct{ Body api.Quarantine }
	register(s, api.RoleViewer, huma.Operation{
		OperationID: "list-quarantine", Method: http.MethodGet, Path: "/v1/quarantine", Summary: "List the prices that are not believed, with the reason", Tags: tags,
	}, func(ctx context.Context, in *quarantineIn) (*quarantineOut, error) {
		rows, err := s.parts.Reviews.Quarantine(ctx, QuarantineQuery{
			Source: in.Source, Reason: purser.QuarantineReason(in.Reason), Offer: purser.OfferID(in.Offer), Kept: in.Kept, Limit: in.Limit,
		})
		return &quarantineOut{api.Quarantine{Quarantined: list(rows)}}, err
	})
	type reviewIn struct{ Body api.Review }
	type ruleOut struct{ Body purser.PriceRule }
	register(s, api.RoleAdmin, huma.Operation{
		OperationID: "release-price", Method: http.MethodPost, Path: "/v1/quarantine/release", Tags: tags,
		Summary: "Believe a price that is in quarantine", Description: "It can be planned with at once, and as long as the feed says about the same, until the rule ends.",
	}, func(ctx context.Context, in *reviewIn) (*ruleOut, error) {
		rule, err := s.parts.Reviews.Release(ctx, caller(ctx).Name, in.Body)
		return &ruleOut{rule}, err
	})
	register(s, api.RoleAdmin, huma.Operation{
		OperationID: "keep-price", Method: http.MethodPost, Path: "/v1/quarantine/keep", Tags: tags, DefaultStatus: http.StatusNoContent,
		Summary: "Leave a price in quarantine and take it off the list of what is to be reviewed",
	}, func(ctx context.Context, in *reviewIn) (*struct{}, error) {
		return nil, s.parts.Reviews.Keep(ctx, caller(ctx).Name, in.Body)
	})
	register(s, api.RoleAdmin, huma.Operation{
		OperationID: "block-price", Method: http.MethodPost, Path: "/v1/prices/block", Tags: tags,
		Summary: "Stop believing an offer's price", Description: "It leaves the plans at once, whatever its feed says, until the rule ends.",
	}, func(ctx context.Context, in *reviewIn) (*ruleOut, error) {
		rule, err := s.parts.Reviews.Block(ctx, caller(ctx).Name, in.Body)
		return &ruleOut{rule}, err
	})
}

func (s *Server) registerRules(tags []string) {
	type rulesOut struct{ Body api.PriceRules }
	register(s, api.RoleViewer, huma.Operation{
		OperationID: "list-price-rules", Method: http.MethodGet, Path: "/v1/prices/rules", Summary: "List what operators decided of offers' prices", Tags: tags,
	}, func(ctx context.Context, _ *struct{}) (*rulesOut, error) {
		rules, err := s.parts.Reviews.Rules(ctx)
		return &rulesOut{api.PriceRules{Rules: list(rules)}}, err
	})
	type dropIn struct {
		Offer  string `query:"offer" required:"true" maxLength:"400"`
		Reason string `query:"reason" required:"true" maxLength:"63"`
	}
	register(s, api.RoleAdmin, huma.Operation{
		OperationID: "drop-price-rule", Method: http.MethodDelete, Path: "/v1/prices/rules", Summary: "End a rule about an offer's price", Tags: tags, DefaultStatus: http.StatusNoContent,
	}, func(ctx context.Context, in *dropIn) (*struct{}, error) {
		return nil, s.parts.Reviews.DropRule(ctx, caller(ctx).Name, purser.OfferID(in.Offer), purser.QuarantineReason(in.Reason))
	})
}
