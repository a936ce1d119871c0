package app

import (
	"context"

	"purser"
	"purser/api"
)

type plansPart struct{ *App }

func (p plansPart) List(ctx context.Context, limit int) ([]api.Plan, error) {
	plans, err := p.db.Plans(ctx, limit)
	if err != nil {
		return nil, err
	}
	name := p.names(ctx)
	out := make([]api.Plan, 0, len(plans))
	for _, plan := range plans {
		plan.Leases, plan.Refusals, plan.RunnersUp = nil, nil, nil
		view := api.PlanOf(plan, name)
		view.Summary = "" // it counts what the list leaves out
		out = append(out, view)
	}
	return out, nil
}

func (p plansPart) Get(ctx context.Context, id purser.PlanID) (api.Plan, error) {
	plan, err := p.db.Plan(ctx, id)
	if err != nil {
		return api.Plan{}, err
	}
	return api.PlanOf(plan, p.names(ctx)), nil
}

// WhatIf plans jobs as if they had been submitted now. Nothing is stored.
func (p plansPart) WhatIf(ctx context.Context, jobs []purser.Job) (api.Plan, error) {
	snap, err := p.db.Snapshot(ctx)
	if err != nil {
		return api.Plan{}, err
	}
	names := map[purser.JobID]string{}
	for i := range jobs {
		jobs[i].ID = purser.JobID("whatif-" + jobs[i].Project + "/" + jobs[i].Name)
		names[jobs[i].ID] = jobs[i].Name
	}
	plan, err := p.solve(ctx, snap, jobs, true)
	if err != nil {
		return api.Plan{}, err
	}
	stored := p.names(ctx)
	plan.ID = "" // it is kept nowhere
	return api.PlanOf(plan, func(id purser.JobID) string {
		if name, ok := names[id]; ok {
			return name
		}
		return stored(id)
	}), nil
}

func (p plansPart) Rebalance(ctx context.Context, actor string, dryRun bool) (api.Rebalanced, error) {
	return p.rebalance(ctx, actor, dryRun)
}
