package app

import (
	"cmp"
	"context"
	"slices"
	"time"

	"purser"
	"purser/policy"
	"purser/postgres"
)

// hazardMemory is how far back machines of ours are looked at; hazardHalfLife is the
// age at which what they saw counts half; signalMemory is the age from which on what a
// source said counts no more.
const (
	hazardMemory   = 180 * 24 * time.Hour
	hazardHalfLife = 30 * 24 * time.Hour
	signalMemory   = 60 * 24 * time.Hour
)

// estimateHazards estimates how often spot machines are taken back: for every type and
// zone that a source says something of, or that we had machines in.
func (a *App) estimateHazards(ctx context.Context) error {
	now := a.now()
	signals, err := a.db.Signals(ctx, "", "", "")
	if err != nil {
		return err
	}
	runs, err := a.db.SpotRuns(ctx, now.Add(-hazardMemory))
	if err != nil {
		return err
	}
	return a.db.SaveHazards(ctx, now, hazards(signals, runs, now))
}

// spotPlace is a type in a zone; an empty zone stands for a whole region.
type spotPlace struct{ provider, region, zone, instanceType string }

// hazards joins what sources say, as the prior, with what our machines saw. A signal of
// a whole region is the prior of its zones that have none of their own.
func hazards(signals []purser.Signal, runs []postgres.SpotRun, now time.Time) []postgres.SpotHazard {
	bands := map[spotPlace]purser.Signal{}
	for _, s := range signals {
		if s.Kind != purser.SignalInterruption || now.Sub(s.ObservedAt) > signalMemory {
			continue
		}
		k := spotPlace{s.Provider, s.Region, s.Zone, s.InstanceType}
		if known, ok := bands[k]; !ok || s.ObservedAt.After(known.ObservedAt) {
			bands[k] = s
		}
	}
	seen := map[spotPlace][]policy.Run{}
	for _, r := range runs {
		k := spotPlace{r.Provider, r.Region, r.Zone, r.InstanceType}
		seen[k] = append(seen[k], policy.Run{From: r.From, To: r.To, Preempted: r.Preempted})
	}
	places := map[spotPlace]bool{}
	for k := range bands {
		places[k] = true
	}
	for k := range seen {
		places[k] = true
	}
	out := make([]postgres.SpotHazard, 0, len(places))
	for k := range places {
		prior := policy.DefaultPrior()
		band, ok := bands[k]
		if !ok {
			band, ok = bands[spotPlace{k.provider, k.region, "", k.instanceType}]
		}
		if ok {
			prior = policy.Prior(band.Low, band.High)
			prior.Basis = band.Source + ": " + band.Detail
		}
		events, hours := policy.Observe(seen[k], now, hazardHalfLife)
		h := policy.Posterior(prior, events, hours)
		out = append(out, postgres.SpotHazard{
			Provider: k.provider, Region: k.region, Zone: k.zone, InstanceType: k.instanceType, Mean: h.Mean, Low: h.Low, High: h.High,
			Alpha: h.Alpha, Beta: h.Beta, Events: h.Events, Hours: h.Hours, Basis: h.Basis, ComputedAt: now,
		})
	}
	slices.SortFunc(out, func(x, y postgres.SpotHazard) int {
		return cmp.Or(cmp.Compare(x.Provider, y.Provider), cmp.Compare(x.Region, y.Region), cmp.Compare(x.Zone, y.Zone), cmp.Compare(x.InstanceType, y.InstanceType))
	})
	return out
}

// hazardOf tells the hazard of offers: of spot ones the estimate for their zone, else for
// their region, else the one that is made of nothing known; others are not taken back.
func hazardOf(list []postgres.SpotHazard) func(purser.Offer) float64 {
	known := make(map[spotPlace]float64, len(list))
	for _, h := range list {
		known[spotPlace{h.Provider, h.Region, h.Zone, h.InstanceType}] = h.Mean
	}
	unknown := policy.DefaultPrior().Mean
	return func(o purser.Offer) float64 {
		if o.Option != purser.Spot {
			return 0
		}
		for _, zone := range []string{o.Zone, ""} {
			if h, ok := known[spotPlace{o.Provider, o.Region, zone, o.InstanceType}]; ok {
				return h
			}
		}
		return unknown
	}
}
