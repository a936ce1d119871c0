package app

import (
	"context"

	"purser"
	"purser/api"
	"purser/postgres"
)

type leasesPart struct{ *App }

func (p leasesPart) List(ctx context.Context, live bool, limit int) ([]api.Lease, error) {
	leases, err := p.db.Leases(ctx, postgres.LeaseFilter{Live: live, Limit: limit})
	if err != nil {
		return nil, err
	}
	return p.leaseViews(ctx, leases)
}

func (p leasesPart) Get(ctx context.Context, id purser.LeaseID) (api.Lease, error) {
	l, err := p.db.Lease(ctx, id)
	if err != nil {
		return api.Lease{}, err
	}
	views, err := p.leaseViews(ctx, []purser.Lease{l})
	if err != nil {
		return api.Lease{}, err
	}
	return views[0], nil
}

// leaseViews adds to leases what runs on them and what they cost.
func (a *App) leaseViews(ctx context.Context, leases []purser.Lease) ([]api.Lease, error) {
	ids := make([]purser.LeaseID, 0, len(leases))
	for _, l := range leases {
		ids = append(ids, l.ID)
	}
	costs, err := a.db.LeaseCosts(ctx, ids)
	if err != nil {
		return nil, err
	}
	tasks, err := a.db.LiveTasks(ctx)
	if err != nil {
		return nil, err
	}
	names := a.namesOf(ctx)
	on := map[purser.LeaseID][]api.LeaseTask{}
	for _, t := range tasks {
		on[t.Lease] = append(on[t.Lease], api.LeaseTask{
			Task: t.ID, Job: t.Job, JobName: names(t.Job), Group: t.Group, Replica: t.Replica, Variant: t.Variant, State: t.State,
			Devices: t.Devices.Devices(), VCPUs: float64(t.MilliCPU) / 1000, MemoryGiB: float64(t.MemoryMiB) / 1024, Progress: t.Progress,
		})
	}
	out := make([]api.Lease, 0, len(leases))
	for _, l := range leases {
		v := api.Lease{
			ID: l.ID, Plan: l.Plan, Offer: api.OfferOf(l.Offer), Holder: l.Holder, Rehearsal: l.Rehearsal, State: l.State, Attempt: l.Attempt,
			Instance: l.Instance, Reason: l.Reason, CreatedAt: l.CreatedAt, RunningAt: optional(l.RunningAt), EndedAt: optional(l.EndedAt),
			Tasks: on[l.ID], Cost: costs[l.ID],
		}
		if v.Tasks == nil {
			v.Tasks = []api.LeaseTask{}
		}
		out = append(out, v)
	}
	return out, nil
}
