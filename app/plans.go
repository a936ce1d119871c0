package app

import (
	"context"
	"time"

	"purser"
	"purser/api"
)

type plansPart struct{ *App }

func (p plansPart) List(ctx context.Context, limit int) ([]api.Plan, error) {
	plans, err := p.db.Plans(ctx, limit)
	if err != nil {
		return nil, err
	}
	name := p.namesOf(ctx)
	out := make([]api.Plan, 0, len(plans))
	for _, plan := range plans {
		plan.Leases, plan.Refusals, plan.RunnersUp, plan.Setbacks = nil, nil, nil, nil
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
	return api.PlanOf(plan, p.namesOf(ctx)), nil
}

// WhatIf plans jobs as if they had been submitted now. Nothing is stored.
func (p plansPart) WhatIf(ctx context.Context, jobs []purser.Job) (api.Plan, error) {
	done, err := p.takeTurn(ctx)
	if err != nil {
		return api.Plan{}, err
	}
	defer done()
	snap, err := p.db.Snapshot(ctx)
	if err != nil {
		return api.Plan{}, err
	}
	names := named(jobs)
	plan, err := p.solve(ctx, snap, jobs, true, p.askedTime())
	if err != nil {
		return api.Plan{}, err
	}
	stored := p.namesOf(ctx)
	plan.ID = "" // it is kept nowhere
	return api.PlanOf(plan, func(id purser.JobID) string {
		if name, ok := names[id]; ok {
			return name
		}
		return stored(id)
	}), nil
}

func (p plansPart) Rebalance(ctx context.Context, actor string, dryRun bool) (api.Rebalanced, error) {
	done, err := p.takeTurn(ctx)
	if err != nil {
		return api.Rebalanced{}, err
	}
	defer done()
	return p.rebalance(ctx, actor, dryRun, p.askedTime())
}

// Plans that somebody waits for are made one at a time: each takes a processor and up
// to the solver's memory for seconds, and any viewer may ask. A call waits for its turn
// for turnTime; a search takes at most askedMost, since callers give up after a minute.
const (
	turnTime  = 15 * time.Second
	askedMost = 15 * time.Second
)

func (a *App) askedTime() time.Duration { return min(a.config.PlanTime, askedMost) }

// takeTurn waits for the turn to make a plan; throttled when it does not come.
func (a *App) takeTurn(ctx context.Context) (done func(), err error) {
	wait := time.NewTimer(turnTime)
	defer wait.Stop()
	select {
	case a.asked <- struct{}{}:
		return func() { <-a.asked }, nil
	case <-ctx.Done():
		return nil, purser.Wrap(purser.KindUnavailable, "app.takeTurn", ctx.Err())
	case <-wait.C:
		return nil, &purser.Error{
			Kind: purser.KindThrottled, Op: "app.takeTurn", Message: "other plans are being made; ask again later", RetryAfter: turnTime,
		}
	}
}
