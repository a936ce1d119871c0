package app

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"purser"
	"purser/pricing"
)

// collect reads every feed. A feed that fails keeps its last good prices; the
// others go on.
func (a *App) collect(ctx context.Context) error {
	var errs []error
	for _, c := range a.collectors {
		rows, at, err := gather(ctx, c)
		if err == nil {
			if at.IsZero() {
				at = a.now()
			}
			_, err = a.save(ctx, c.Source(), at, rows)
		}
		if err != nil {
			errs = append(errs, err, a.db.SourceFailed(ctx, c.Source(), err.Error(), a.now()))
		}
	}
	return errors.Join(append(errs, a.collectPrivate(ctx))...)
}

// sourcePrivate is the feed of the operator's own hosts.
const sourcePrivate = "private"

// collectPrivate stores the operator's hosts as offers. They are declared, so they
// need no sieve; one that is declared no longer is gone.
func (a *App) collectPrivate(ctx context.Context) error {
	now := a.now()
	offers := make([]purser.Offer, 0, len(a.limits.Private))
	for _, o := range a.limits.Private {
		o.ValidFrom, o.ObservedAt, o.Source = now, now, sourcePrivate
		offers = append(offers, o)
	}
	_, err := a.db.SavePrices(ctx, sourcePrivate, now, offers, nil, true)
	return err
}

// firstPrices collects before the first plan, so that a fresh server has offers.
func (a *App) firstPrices(ctx context.Context) error {
	began := time.Now()
	if err := a.collect(ctx); err != nil {
		return err
	}
	a.log.Debug("prices collected", slog.Duration("took", time.Since(began)))
	return nil
}

// usable are the offers that a plan may buy: fresh, and of a provider that is
// enabled. In rehearsal every provider is.
func (a *App) usable(offers []purser.Offer) []purser.Offer {
	fresh := pricing.DefaultFreshness()
	now := a.now()
	out := offers[:0:0]
	for _, o := range offers {
		if !fresh.Stale(o, now) {
			out = append(out, o)
		}
	}
	return out
}
