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
	// Ask plans for a changed world, and changes nothing.
	Ask(ctx context.Context, q WhatIfQuery) (api.WhatIfAnswer, error)
	// Worth says what a little more of each limit that is used up would save.
	Worth(ctx context.Context) (api.Worth, error)
	// Front says what it costs to have all training done sooner (api.AgainstTime), or to take less carbon (api.AgainstCarbon).
	Front(ctx context.Context, against string) (api.Front, error)
	// Rebalance moves what runs to where it is cheaper when that pays.
	Rebalance(ctx context.Context, actor string, dryRun bool) (api.Rebalanced, error)
}

// WhatIfQuery is a question with its jobs read.
type WhatIfQuery struct {
	api.WhatIf
	Jobs []purser.Job
}

func (s *Server) registerQuestions(tags []string) {
	type askIn struct{ Body api.WhatIf }
	type askOut struct{ Body api.WhatIfAnswer }
	register(s, api.RoleViewer, huma.Operation{
		OperationID: "ask-what-if", Method: http.MethodPost, Path: "/v1/plans/what-if", BodyReadTimeout: uploadTime, Tags: tags,
		Summary:     "Plan for other prices, a lost place, more machines or quota, further jobs",
		Description: "The plan for the world as it is and the one for the changed world, with the difference in a sentence. Nothing is stored.",
	}, func(ctx context.Context, in *askIn) (*askOut, error) {
		q := WhatIfQuery{WhatIf: in.Body}
		if in.Body.Jobs != nil {
			var err error
			if q.Jobs, err = parseJobs(*in.Body.Jobs); err != nil {
				return nil, err
			}
		}
		out, err := s.parts.Plans.Ask(ctx, q)
		return &askOut{out}, err
	})
	type frontIn struct {
		Against string `query:"against" enum:"time,carbon" default:"time" doc:"What cost is weighed against."`
	}
	type frontOut struct{ Body api.Front }
	register(s, api.RoleViewer, huma.Operation{
		OperationID: "cost-against", Method: http.MethodGet, Path: "/v1/plans/front", Tags: tags,
		Summary:     "Say what it costs to have all training done sooner, or to take less carbon",
		Description: "Plans for the same work with ever nearer deadlines, or with ever dearer carbon: those that are worth choosing. It takes some seconds.",
	}, func(ctx context.Context, in *frontIn) (*frontOut, error) {
		out, err := s.parts.Plans.Front(ctx, in.Against)
		out.Points = list(out.Points)
		return &frontOut{out}, err
	})
	type worthOut struct{ Body api.Worth }
	register(s, api.RoleViewer, huma.Operation{
		OperationID: "what-limits-cost", Method: http.MethodGet, Path: "/v1/plans/worth", Tags: tags,
		Summary:     "Say what a little more of each limit that is used up would save",
		Description: "Each is planned anew with the limit raised. It takes some seconds.",
	}, func(ctx context.Context, _ *struct{}) (*worthOut, error) {
		out, err := s.parts.Plans.Worth(ctx)
		out.Steps = list(out.Steps)
		return &worthOut{out}, err
	})
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
	s.registerQuestions(tags)
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
