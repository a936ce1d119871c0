package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"purser"
	"purser/postgres"
	"purser/pricing"
	"purser/providers"
)

// collect reads one feed, region by region. One that fails keeps its last good
// prices; what came of it before stands. One server collects a feed at a time.
func (a *App) collect(ctx context.Context, s source) error {
	select { // each holds a connection to the database, and much memory while it goes on
	case a.collecting <- struct{}{}:
		defer func() { <-a.collecting }()
	case <-ctx.Done():
		return purser.Wrap(purser.KindUnavailable, "app.collect", ctx.Err())
	}
	release, ok, err := a.db.HoldSource(ctx, s.name)
	if err != nil {
		return err
	}
	if !ok {
		return purser.Errorf(purser.KindConflict, "app.collect", "another server is collecting %s", s.name)
	}
	defer release()
	if err := a.db.CollectionBegins(ctx, s.name, a.now()); err != nil {
		return err
	}
	brought, err := a.take(ctx, s)
	if err == nil {
		a.metrics.collected.WithLabelValues(s.name).Set(float64(a.now().Unix()))
	}
	// How it ended is kept even when the time is over.
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), doneTime)
	defer cancel()
	return errors.Join(err, a.db.CollectionEnds(end, s.name, brought.String(), a.now(), err))
}

// haul is what a collection has brought.
type haul struct{ regions, offers, changed, quarantined, past, signals int }

// String says it for people; empty when it brought nothing.
func (h haul) String() string {
	var parts []string
	add := func(n int, one, many string) {
		if n == 1 {
			parts = append(parts, "1 "+one)
		} else if n > 1 {
			parts = append(parts, fmt.Sprintf("%d %s", n, many))
		}
	}
	add(h.regions, "region", "regions")
	add(h.offers, "offer", "offers")
	add(h.changed, "new or changed", "new or changed")
	add(h.quarantined, "not believed", "not believed")
	add(h.past, "past price", "past prices")
	add(h.signals, "signal", "signals")
	return strings.Join(parts, ", ")
}

func (a *App) take(ctx context.Context, s source) (brought haul, err error) {
	c, err := s.build(ctx, a, a.config.Sources[s.name])
	if err != nil {
		return brought, err
	}
	intake, err := a.intake(ctx)
	if err != nil {
		return brought, err
	}
	changed := false
	intake.Save = func(ctx context.Context, b pricing.Batch, sifted pricing.Sifted) error {
		r, err := a.db.SavePrices(ctx, postgres.PriceBatch{
			Source: s.name, Region: b.Region, At: b.ObservedAt, Offers: sifted.Offers, Quarantined: sifted.Quarantined, Past: b.Past, Signals: b.Signals,
			Full: true, Vouched: vouched(intake.Rules),
		})
		if err != nil {
			return err
		}
		if b.Region != "" {
			brought.regions++
		}
		brought.offers += r.Seen
		brought.changed += r.New + r.Changed
		brought.quarantined += r.Quarantined
		brought.past += r.Past
		brought.signals += len(b.Signals)
		changed = changed || r.New+r.Changed+r.Gone > 0
		if r.Alarm != "" {
			a.metrics.alarms.WithLabelValues(s.name).Inc()
			a.log.Warn("prices that are not taken as they came", slog.String("source", s.name), slog.String("region", b.Region), slog.String("alarm", r.Alarm))
		}
		return a.db.CollectionGoes(ctx, s.name, brought.String())
	}
	began := a.now()
	err = intake.Collect(ctx, c)
	if changed {
		a.imports.Add(1)
		a.sweeps.kick("plan")
	}
	a.log.Debug("prices collected", slog.String("source", s.name), slog.Duration("took", a.now().Sub(began)), slog.String("brought", brought.String()))
	return brought, err
}

// intake knows the market as it is stored and what operators decided.
func (a *App) intake(ctx context.Context) (pricing.Intake, error) {
	rules, err := a.db.PriceRules(ctx, a.now())
	if err != nil {
		return pricing.Intake{}, err
	}
	offers, err := a.db.Offers(ctx, postgres.OfferFilter{})
	if err != nil {
		return pricing.Intake{}, err
	}
	// Only what is fresh and from a live source is worth comparing with.
	known := slices.DeleteFunc(a.usable(offers), func(o purser.Offer) bool { return pricing.Ageless(o) })
	return pricing.Intake{Market: pricing.NewMarket(known), Rules: rules}, nil
}

// vouched are the offers whose sudden fall an operator has released.
func vouched(rules []purser.PriceRule) map[purser.OfferID]purser.PriceRule {
	out := map[purser.OfferID]purser.PriceRule{}
	for _, r := range rules {
		if r.Reason == purser.QuarantineFell {
			out[r.Offer] = r
		}
	}
	return out
}

// sourcePrivate is the feed of the operator's own hosts on this host.
func (a *App) sourcePrivate() string { return "private@" + a.host }

// collectPrivate stores what providers have of their own as offers. The operator
// declared it, so it needs no sieve; what is declared no longer is gone. How the price
// was found (given, from power, from amortization) is part of the source's name.
func (a *App) collectPrivate(ctx context.Context) error { return a.collectWithin(ctx, ownTime) }

// collectWithin is collectPrivate with a time for providers to answer in.
func (a *App) collectWithin(ctx context.Context, limit time.Duration) error {
	now := a.now()
	known, err := a.db.Sources(ctx)
	if err != nil {
		return err
	}
	groups := map[string][]purser.Offer{}
	var failed error // of providers that did not answer
	answers := a.askOwn(ctx, limit)
	for _, name := range slices.Sorted(maps.Keys(answers)) {
		offers, err := answers[name].offers, answers[name].err
		if err != nil && name == localHolder {
			return err
		} else if err != nil { // its last good offers stand
			failed = errors.Join(failed, err)
			continue
		}
		own := a.sourcePrivate()
		if name != localHolder {
			own = sourceOf(name) // the same from every host
		}
		groups[own] = nil
		for _, s := range known { // what nothing is left of is gone
			if strings.HasPrefix(s.Name, own+":") {
				groups[s.Name] = nil
			}
		}
		for _, offer := range offers {
			source := own
			if _, how, ok := strings.Cut(offer.Source, ":"); ok {
				source += ":" + how
			}
			offer.ValidFrom, offer.ObservedAt, offer.Source = now, now, source
			groups[source] = append(groups[source], offer)
		}
	}
	// Those that have offers come first, so that an offer that changes groups is not gone
	// in between.
	names := slices.SortedFunc(maps.Keys(groups), func(x, y string) int {
		return cmp.Or(len(groups[y])-len(groups[x]), strings.Compare(x, y))
	})
	for _, name := range names {
		if _, err := a.db.SavePrices(ctx, postgres.PriceBatch{Source: name, At: now, Offers: groups[name], Full: true, Trusted: true}); err != nil {
			return err
		}
	}
	return failed
}

// ownOffers are what a provider has of its own.
type ownOffers struct {
	offers []purser.Offer
	err    error
}

// askOwn asks all providers at once, so that one that is slow holds up no other.
func (a *App) askOwn(ctx context.Context, limit time.Duration) map[string]ownOffers {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var (
		mu  sync.Mutex
		all sync.WaitGroup
		out = map[string]ownOffers{}
	)
	for name, p := range a.providers {
		o, ok := providers.As[providers.Offerer](p)
		if !ok {
			continue
		}
		all.Go(func() {
			var offers []purser.Offer
			err := purser.Guard("app.askOwn", func() (err error) {
				offers, err = o.Offers(ctx)
				return err
			})
			mu.Lock()
			defer mu.Unlock()
			out[name] = ownOffers{offers, err}
		})
	}
	all.Wait()
	return out
}

// ownTime bounds an answer about one's own capacity, refreshTime one before a plan, and
// justLaunched is for how long a provider may not count a machine that it was asked for.
const (
	ownTime      = 2 * time.Minute
	refreshTime  = 5 * time.Second
	justLaunched = 10 * time.Second
)

// refreshOwn has providers say what is free now, so that a plan is made with it. What
// they said last stands where one does not answer in time.
func (a *App) refreshOwn(ctx context.Context) {
	own := slices.ContainsFunc(slices.Collect(maps.Values(a.providers)), func(p providers.Provider) bool {
		_, ok := providers.As[providers.Offerer](p)
		return ok && (p.Name() != localHolder || len(a.limits.Private) > 0)
	})
	if !own {
		return
	}
	if err := a.collectWithin(ctx, refreshTime); err != nil && ctx.Err() == nil {
		a.log.Debug("a plan is made with what was free before", slog.Any("error", err))
	}
}

// leftOf takes off the limits of offers what leases have taken since they were seen.
func leftOf(offers []purser.Offer, leases []purser.Lease) []purser.Offer {
	since := map[purser.OfferID][]purser.Lease{}
	for _, l := range leases {
		since[l.Offer.ID()] = append(since[l.Offer.ID()], l)
	}
	out := slices.Clone(offers)
	for i := range out {
		o := &out[i]
		if o.Limit <= 0 {
			continue
		}
		for _, l := range since[o.ID()] {
			// One without an instance may not have reached its provider yet.
			if l.Instance == "" || l.LaunchedAt.After(o.ObservedAt.Add(-justLaunched)) {
				o.Limit = max(0, o.Limit-1)
			}
		}
	}
	return out
}

// sourceOf is the feed of what a provider has of its own.
func sourceOf(provider string) string { return "own:" + provider }

// firstPrices collects what needs no network before the first plan, so that a fresh
// server has offers. The other sources follow by their schedule.
func (a *App) firstPrices(ctx context.Context) error {
	began := time.Now()
	for _, s := range a.sources {
		if !s.always || !a.config.enabled(s) {
			continue
		}
		// Another server that is starting collects the same: what it brings is there soon.
		if err := a.collect(ctx, s); err != nil && purser.KindOf(err) != purser.KindConflict {
			return err
		}
	}
	if err := a.collectPrivate(ctx); err != nil {
		if purser.KindOf(err) != purser.KindUnavailable {
			return err
		}
		a.log.Warn("not all providers could say what they have; it is tried again", slog.Any("error", err))
	}
	a.log.Debug("prices collected", slog.Duration("took", time.Since(began)))
	return nil
}

// usable are the offers that a plan may buy: in rehearsal every provider's, else those
// of enabled providers in their enabled regions, and private machines.
func (a *App) usable(offers []purser.Offer) []purser.Offer {
	offers = pricing.Plannable(offers, a.config.freshness(), a.now())
	if a.rehearsal {
		return offers
	}
	return slices.DeleteFunc(offers, func(o purser.Offer) bool {
		c, enabled := a.config.Providers[o.Provider]
		elsewhere := len(c.Regions) > 0 && !slices.Contains(c.Regions, o.Region)
		return o.Provider != localHolder && (!enabled || elsewhere)
	})
}
