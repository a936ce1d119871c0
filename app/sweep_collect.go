package app

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"time"

	"purser"
	"purser/pricing"
	"purser/providers"
)

// collect reads every feed. A feed that fails keeps its last good prices; the
// others go on.
func (a *App) collect(ctx context.Context) error {
	var errs []error
	for _, c := range a.collectors {
		rows, err := pricing.Collect(ctx, c)
		if err == nil {
			_, err = a.save(ctx, c.Source(), newest(rows), rows)
		}
		if err != nil {
			errs = append(errs, err, a.db.SourceFailed(ctx, c.Source(), err.Error(), a.now()))
		}
	}
	return errors.Join(append(errs, a.collectPrivate(ctx))...)
}

// sourcePrivate is the feed of the operator's own hosts on this host.
func (a *App) sourcePrivate() string { return "private@" + a.host }

// collectPrivate stores what providers have of their own as offers. The operator
// declared it, so it needs no sieve; what is declared no longer is gone.
func (a *App) collectPrivate(ctx context.Context) error {
	now := a.now()
	var all []purser.Offer
	for _, name := range slices.Sorted(maps.Keys(a.providers)) {
		o, ok := providers.OffererOf(a.providers[name])
		if !ok {
			continue
		}
		offers, err := o.Offers(ctx)
		if err != nil {
			return err
		}
		all = append(all, offers...)
	}
	for i := range all {
		all[i].ValidFrom, all[i].ObservedAt, all[i].Source = now, now, a.sourcePrivate()
	}
	_, err := a.db.SavePrices(ctx, a.sourcePrivate(), now, all, nil, true)
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
