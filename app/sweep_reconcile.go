package app

import (
	"context"
	"log/slog"
)

// reconcile sets what this host's providers list against what the database says.
func (a *App) reconcile(ctx context.Context) error {
	done, err := a.fleet.Reconcile(ctx)
	a.market.listed(done.Listings, a.now())
	for _, alarm := range done.Alarms {
		a.log.Error("a person must look at this", slog.String("alarm", alarm))
	}
	if n := done.Orphans + done.Failed + done.Draining + done.Withdrawn + done.Moves + done.Nudged; n > 0 {
		a.log.Info("reconciled", slog.Int("machines", done.Machines), slog.Int("orphans", done.Orphans), slog.Int("failed", done.Failed),
			slog.Int("draining", done.Draining), slog.Int("withdrawn", done.Withdrawn), slog.Int("moves", done.Moves), slog.Int("nudged", done.Nudged))
		a.sweeps.kick("plan")
	}
	return err
}
