package app

import (
	"bytes"
	"cmp"
	"context"
	"log/slog"
	"slices"
	"time"

	"purser"
	"purser/api"
	"purser/postgres"
	"purser/pricing"
	"purser/pricing/csvfile"
	"purser/server"
)

type pricesPart struct{ *App }

func (p pricesPart) Offers(ctx context.Context, q server.OfferQuery) ([]purser.Offer, error) {
	f := postgres.OfferFilter{Provider: q.Provider, Region: q.Region, Option: q.Option, Source: q.Source}
	if q.Accelerator != "" {
		for _, a := range purser.AcceleratorsMatching(q.Accelerator) {
			f.Accelerators = append(f.Accelerators, a.Name)
		}
		if len(f.Accelerators) == 0 {
			e := purser.Errorf(purser.KindInvalid, "app.Offers", "%q is not an accelerator that Purser knows", q.Accelerator)
			if near := purser.SuggestAccelerator(q.Accelerator); near != "" {
				e.Hint = "did you mean " + near + "?"
			}
			return nil, e
		}
	}
	offers, err := p.db.Offers(ctx, f)
	if err != nil {
		return nil, err
	}
	sortByDevicePrice(offers)
	return offers[:min(len(offers), q.Limit)], nil
}

// sortByDevicePrice puts the cheapest device first, and machines without any last.
func sortByDevicePrice(offers []purser.Offer) {
	per := func(o purser.Offer) float64 {
		if o.Devices == 0 {
			return 1e18 + o.UnitPrice.USD()
		}
		return o.UnitPrice.USD() / o.Devices.Devices()
	}
	slices.SortStableFunc(offers, func(a, b purser.Offer) int {
		return cmp.Or(cmp.Compare(per(a), per(b)), cmp.Compare(a.ID(), b.ID()))
	})
}

func (p pricesPart) History(ctx context.Context, id purser.OfferID, from, to time.Time) ([]purser.PricePoint, error) {
	return p.db.PriceHistory(ctx, id, from, to)
}

func (p pricesPart) Sources(ctx context.Context) ([]api.Source, error) {
	sources, err := p.db.Sources(ctx)
	out := []api.Source{}
	for _, s := range sources {
		say := s.LastError
		if say == "" {
			say = s.Alarm
		}
		out = append(out, api.Source{Name: s.Name, LastAt: s.LastAt, LastError: say, Offers: s.Offers, Quarantined: s.Quarantined})
	}
	return out, err
}

func (p pricesPart) Quarantine(ctx context.Context, source string, limit int) ([]purser.Quarantined, error) {
	return p.db.Quarantine(ctx, source, limit)
}

// Import reads the list whole before anything is stored.
func (p pricesPart) Import(ctx context.Context, actor string, f server.PriceFile) (api.PriceReport, error) {
	if f.AsOf.After(p.now().Add(time.Hour)) {
		return api.PriceReport{}, purser.Errorf(purser.KindInvalid, "app.Import", "prices cannot have been seen at %s, which is to come", f.AsOf.Format(time.RFC3339))
	}
	opt := csvfile.Options{Path: f.Name, Provider: f.Provider, AsOf: f.AsOf}
	rows, err := csvfile.Read(ctx, bytes.NewReader(f.Content), f.Name, opt)
	if err != nil {
		return api.PriceReport{}, err
	}
	source := "file:" + f.Name
	if len(rows) > 0 {
		source = rows[0].Offer.Source
	}
	report, err := p.save(ctx, source, f.AsOf, rows)
	if err == nil {
		p.log.Info("prices imported", slog.String("source", source), slog.String("actor", actor), slog.Int("offers", report.Seen), slog.Int("quarantined", report.Quarantined))
		p.imports.Add(1)
		p.sweeps.kick("plan")
	}
	return report, err
}

// save sifts rows and stores what comes of it in one transaction.
func (a *App) save(ctx context.Context, source string, at time.Time, rows []pricing.Row) (api.PriceReport, error) {
	sifted := pricing.Sift(rows)
	r, err := a.db.SavePrices(ctx, source, at, sifted.Offers, sifted.Quarantined, true)
	return api.PriceReport{
		Source: source, Seen: r.Seen, New: r.New, Changed: r.Changed, Unchanged: r.Unchanged, Older: r.Older, Gone: r.Gone, Quarantined: r.Quarantined,
		Stale: len(sifted.Offers) - len(a.usable(sifted.Offers)), Alarm: r.Alarm,
	}, err
}

// newest is the latest time that a row was observed at.
func newest(rows []pricing.Row) (at time.Time) {
	for _, r := range rows {
		if r.Offer.ObservedAt.After(at) {
			at = r.Offer.ObservedAt
		}
	}
	return at
}
