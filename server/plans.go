package server

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"purser"
	"purser/api"
)

// Plans keeps plans and makes new ones.
type Plans interface {
	List(ctx context.Context, limit int) ([]api.Plan, error)
	// Get reads a plan; the id latest is the newest.
	Get(ctx context.Context, id purser.PlanID) (api.Plan, error)
	// WhatIf plans jobs beside all that is there, and changes nothing.
	WhatIf(ctx context.Context, jobs []purser.Job) (api.Plan, error)
	// Rebalance moves what runs to where it is cheaper when that pays.
	Rebalance(ctx context.Context, actor string, dryRun bool) (api.Rebalanced, error)
}

func (s *Server) registerPlans() {
	tags := []string{"plans"}
	type planOut struct{ Body api.Plan }
	type listIn struct {
		Limit int `query:"limit" minimum:"1" maximum:"1000" default:"20"`
	}
	type plansOut struct{ Body api.Plans }
	register(s, api.RoleViewer, huma.Operation{
		OperationID: "list-plans", Method: http.MethodGet, Path: "/v1/plans", Summary: "List plans, newest first, without their leases", Tags: tags,
	}, func(ctx context.Context, in *listIn) (*plansOut, error) {
		plans, err := s.parts.Plans.List(ctx, in.Limit)
		return &plansOut{api.Plans{Plans: list(plans)}}, err
	})
	type planIn struct {
		Plan string `path:"plan" maxLength:"63" doc:"The plan's id, or latest."`
	}
	register(s, api.RoleViewer, huma.Operation{
		OperationID: "get-plan", Method: http.MethodGet, Path: "/v1/plans/{plan}", Summary: "Read a plan with its proof", Tags: tags,
	}, func(ctx context.Context, in *planIn) (*planOut, error) {
		p, err := s.parts.Plans.Get(ctx, purser.PlanID(in.Plan))
		return &planOut{p}, err
	})
	type fileIn struct{ Body api.JobFile }
	register(s, api.RoleViewer, huma.Operation{
		OperationID: "what-if", Method: http.MethodPost, Path: "/v1/plans", BodyReadTimeout: uploadTime,
		Summary: "Plan a job file beside all that is there, and change nothing", Tags: tags,
	}, func(ctx context.Context, in *fileIn) (*planOut, error) {
		jobs, err := parseJobs(in.Body)
		if err != nil {
			return nil, err
		}
		p, err := s.parts.Plans.WhatIf(ctx, jobs)
		return &planOut{p}, err
	})
	type rebalanceIn struct{ Body api.Rebalance }
	type rebalanceOut struct{ Body api.Rebalanced }
	register(s, api.RoleOperator, huma.Operation{
		OperationID: "rebalance", Method: http.MethodPost, Path: "/v1/rebalance", Summary: "Move what runs to where it is cheaper, when the gain pays for the moves", Tags: tags,
	}, func(ctx context.Context, in *rebalanceIn) (*rebalanceOut, error) {
		out, err := s.parts.Plans.Rebalance(ctx, caller(ctx).Name, in.Body.DryRun)
		out.Moves = list(out.Moves)
		return &rebalanceOut{out}, err
	})
}
