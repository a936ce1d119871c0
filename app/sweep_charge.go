package app

import (
	"context"
	"errors"
	"log/slog"

	"purser"
	"purser/ledger"
)

// charge writes the charges of every lease up to the last whole second. Each lease
// is a transaction of its own: one that fails is charged at the next turn, whole. One
// that another server has charged meanwhile is left to it.
func (a *App) charge(ctx context.Context) (lines int, err error) {
	a.charging.Lock()
	defer a.charging.Unlock()
	now := a.now()
	inputs, err := a.db.ChargeInputs(ctx, now)
	if err != nil {
		return 0, err
	}
	leases := make([]purser.Lease, len(inputs))
	for i, in := range inputs {
		leases[i] = in.Lease
	}
	covered := a.coveredBy(leases)
	var errs []error
	for i, in := range inputs {
		through := ledger.Through(in.Lease, now)
		from := in.Lease.ChargedThrough
		if from.IsZero() {
			from = in.Lease.RunningAt
		}
		if !through.After(from) {
			continue
		}
		projects, err := a.projects(ctx, in.Tasks)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		charges := ledger.Charges(ledger.Input{
			Lease: in.Lease, Tasks: in.Tasks, Prices: in.Prices, ListPrice: in.OnDemand, Committed: a.committedRate(in.Lease, covered[i]), Projects: projects, From: from, To: through,
		})
		switch err := a.db.SaveCharges(ctx, in.Lease.ID, charges, through); {
		case err == nil:
			lines += len(charges)
		case purser.KindOf(err) == purser.KindStale || purser.KindOf(err) == purser.KindConflict:
			a.log.Debug("another server has charged a lease", slog.String("lease", string(in.Lease.ID)), slog.Any("error", err))
		default:
			errs = append(errs, err)
		}
	}
	return lines, errors.Join(errs...)
}

// prune forgets old lines, plans and changes of prices, and makes what it will be
// missing tomorrow. Charges, the audit and the days' prices stay for good.
func (a *App) prune(ctx context.Context) error {
	now := a.now()
	lines, plans, err := a.db.Prune(ctx, now.Add(-a.config.KeepLogs), now.Add(-a.config.KeepPlans))
	if lines+plans > 0 {
		a.log.Info("pruned", slog.Int("lines", lines), slog.Int("plans", plans))
	}
	kept, keptErr := a.db.KeepPrices(ctx, now, now.Add(-a.config.KeepPrices))
	a.metrics.stray.Set(float64(kept.Stray))
	if kept.Stray > 0 {
		a.log.Warn("price points lie outside of every month", slog.Int("points", kept.Stray), slog.String("hint", "a feed says times that cannot be, or partitions could not be made"))
	}
	if kept.Days+kept.Dropped > 0 {
		a.log.Info("prices kept", slog.Int("days_rolled_up", kept.Days), slog.Int("months_dropped", kept.Dropped))
	}
	return errors.Join(err, keptErr)
}

// projects gives the project of each task's job.
func (a *App) projects(ctx context.Context, tasks []purser.Task) (map[purser.JobID]string, error) {
	out := map[purser.JobID]string{}
	for _, t := range tasks {
		if _, ok := out[t.Job]; ok {
			continue
		}
		name, err := a.jobName(ctx, t.Job)
		if err != nil {
			return nil, err
		}
		out[t.Job] = name.project
	}
	return out, nil
}
