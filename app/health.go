package app

import (
	"context"
	"time"

	"purser/api"
)

// failureShown is for how long a sweep's failure counts: the host whose sweep it was
// may be gone for good.
const failureShown = 2 * time.Hour

type healthPart struct{ *App }

// Health asks each part. It does not say why a part fails to people without a
// token; doctor and the log do.
func (p healthPart) Health(ctx context.Context) api.Health {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	h := api.Health{
		Status: "ok", Version: p.options.Version, Rehearsal: p.rehearsal, Server: p.replica, Host: p.host, Time: p.now(),
		Parts: map[string]string{"database": "ok", "solver": "ok", "sweeps": "ok"},
	}
	sweeps, err := p.db.Sweeps(ctx)
	if err != nil {
		h.Parts["database"], h.Status = "does not answer", "down"
	}
	if !p.ready.Load() && h.Status == "ok" {
		h.Status = "starting" // offers may still be missing
	}
	for _, s := range sweeps {
		if s.Error != "" && p.now().Sub(s.ClaimedAt) < failureShown {
			h.Parts["sweeps"], h.Status = s.Name+" failed; see the log", "degraded"
		}
	}
	return h
}
