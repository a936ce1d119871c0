package app

import "context"

// reconcile sets what this host's providers list against what the database says.
func (a *App) reconcile(ctx context.Context) error { return a.fleet.Reconcile(ctx) }
