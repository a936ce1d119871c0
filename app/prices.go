package app

import (
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

// filter makes the store's filter of a query; invalid: an accelerator that nobody knows.
func filter(q server.OfferQuery) (postgres.OfferFilter, error) {
	f := postgres.OfferFilter{Provider: q.Provider, Region: q.Region, Option: q.Option, Source: q.Source, ID: q.ID, Accelerated: q.Accelerated, AsOf: q.AsOf}
	if q.Accelerator == "" {
		return f, nil
	}
	for _, a := range purser.AcceleratorsMatching(q.Accelerator) {
		f.Accelerators = append(f.Accelerators, a.Name)
	}
	if len(f.Accelerators) == 0 {
		e := purser.Errorf(purser.KindInvalid, "app.Offers", "%q is not an accelerator that Purser knows", q.Accelerator)
		if near := purser.SuggestAccelerator(q.Accelerator); near != "" {
			e.Hint = "did you mean " + near + "?"
		}
		return f, e
	}
	return f, nil
}

// tooSmall says whether a machine has less than a query asks for.
func tooSmall(o purser.Offer, q server.OfferQuery) bool {
	return float64(o.DeviceMemoryMiB) < q.MinMemoryGiB*1024 || o.Devices.Devices() < q.MinDevices
}

// tooDear says whether an offer costs more than a query asks for. A machine that has
// none of what the price is for costs any.
func tooDear(o purser.Offer, q server.OfferQuery) bool {
	return q.MaxPrice > 0 && pricing.Per(q.Per).Of(o) > q.MaxPrice
}

func (p pricesPart) Offers(ctx context.Context, q server.OfferQuery) (api.Offers, error) {
	out := api.Offers{Offers: []api.Offer{}}
	f, err := filter(q)
	if err != nil {
		return out, err
	}
	now := p.now()
	if !q.AsOf.IsZero() {
		if q.AsOf.After(now.Add(time.Minute)) {
			return out, purser.Errorf(purser.KindInvalid, "app.Offers", "nobody knows the prices of %s, which is to come", q.AsOf.Format(time.RFC3339))
		}
		out.AsOf = &q.AsOf
	}
	offers, err := p.db.Offers(ctx, f)
	if err != nil {
		return out, err
	}
	offers = slices.DeleteFunc(offers, func(o purser.Offer) bool { return tooSmall(o, q) || tooDear(o, q) })
	pricing.Rank(offers, pricing.Per(q.Per))
	fresh := p.config.freshness()
	for _, o := range offers[:min(len(offers), q.Limit)] {
		shown := api.OfferOf(o)
		shown.Stale = q.AsOf.IsZero() && fresh.Stale(o, now)
		out.Offers = append(out.Offers, shown)
	}
	return out, nil
}

func (p pricesPart) History(ctx context.Context, id purser.OfferID, from, to time.Time, byDay bool) (api.PriceHistory, error) {
	out := api.PriceHistory{Offer: id, Points: []purser.PricePoint{}, Days: []api.PriceDay{}}
	if !from.Before(to) {
		return out, noTime(from, to)
	}
	if !byDay {
		points, err := p.db.PriceHistory(ctx, id, from, to)
		out.Points = append(out.Points, points...)
		return out, err
	}
	days, err := p.db.PriceDays(ctx, postgres.OfferFilter{ID: id}, from, to)
	for _, d := range days {
		out.Days = append(out.Days, api.PriceDay{
			Day: d.Day.Format(time.DateOnly), Low: d.Low, High: d.High, Mean: d.Mean, Last: d.Last, Hours: float64(d.Seconds) / 3600,
		})
	}
	return out, err
}

func noTime(from, to time.Time) error {
	return purser.Errorf(purser.KindInvalid, "app.prices", "the time from %s to %s is none", from.Format(time.RFC3339), to.Format(time.RFC3339))
}

// byDaysFrom is the span from which on the cheapest is told day by day.
const byDaysFrom = 60 * 24 * time.Hour

func (p pricesPart) Cheapest(ctx context.Context, q server.OfferQuery, from, to time.Time) (api.Cheapest, error) {
	out := api.Cheapest{Per: q.Per, Steps: []api.CheapestStep{}}
	f, err := filter(q)
	if err != nil {
		return out, err
	}
	if !from.Before(to) {
		return out, noTime(from, to)
	}
	f.Gone = true
	offers, err := p.db.Offers(ctx, f)
	if err != nil {
		return out, err
	}
	amount := map[purser.OfferID]float64{}
	for _, o := range offers {
		if !tooSmall(o, q) {
			amount[o.ID()] = pricing.Per(q.Per).Amount(o)
		}
	}
	var points map[purser.OfferID][]purser.PricePoint
	if to.Sub(from) > byDaysFrom {
		days, e := p.db.PriceDays(ctx, f, from, to)
		points, err = daysAsPoints(days), e
	} else {
		points, err = p.db.PricePoints(ctx, f, from, to)
	}
	if err != nil {
		return out, err
	}
	for _, s := range pricing.Cheapest(points, func(id purser.OfferID) float64 { return amount[id] }, from, to) {
		out.Steps = append(out.Steps, api.CheapestStep{From: s.From, Offer: s.Offer, UnitPrice: s.Price})
	}
	return out, nil
}

// daysAsPoints makes points of days: over a day in which its price changed an offer
// costs the day's mean, after it the last price.
func daysAsPoints(days []postgres.PriceDay) map[purser.OfferID][]purser.PricePoint {
	out := map[purser.OfferID][]purser.PricePoint{}
	for _, d := range days {
		list := out[d.Offer]
		if n := len(list); n > 0 && list[n-1].From.Equal(d.Day) {
			list = list[:n-1] // the day says more than what the one before ended with
		}
		list = append(list,
			purser.PricePoint{From: d.Day, UnitPrice: d.Mean, Gone: d.Mean == 0},
			purser.PricePoint{From: d.Day.AddDate(0, 0, 1), UnitPrice: d.Last, Gone: d.Last == 0})
		out[d.Offer] = list
	}
	return out
}

func (p pricesPart) Hazards(ctx context.Context, provider, region, instanceType string) (api.Hazards, error) {
	out := api.Hazards{Hazards: []api.Hazard{}}
	list, err := p.db.Hazards(ctx, provider, region, instanceType)
	if err != nil {
		return out, err
	}
	signals, err := p.db.Signals(ctx, provider, region, instanceType)
	if err != nil {
		return out, err
	}
	said := map[spotPlace][]purser.Signal{}
	for _, s := range signals {
		k := spotPlace{s.Provider, s.Region, s.Zone, s.InstanceType}
		said[k] = append(said[k], s)
	}
	for _, h := range list {
		k := spotPlace{h.Provider, h.Region, h.Zone, h.InstanceType}
		all := slices.Clone(said[k])
		if h.Zone != "" {
			all = append(all, said[spotPlace{h.Provider, h.Region, "", h.InstanceType}]...)
		}
		out.Hazards = append(out.Hazards, api.Hazard{
			Provider: h.Provider, Region: h.Region, Zone: h.Zone, InstanceType: h.InstanceType, Mean: h.Mean, Low: h.Low, High: h.High,
			Events: h.Events, Hours: h.Hours, Basis: h.Basis, ComputedAt: h.ComputedAt, Signals: append([]purser.Signal{}, all...),
		})
	}
	return out, nil
}

// Import reads the file whole before anything is stored.
func (p pricesPart) Import(ctx context.Context, actor string, f server.PriceFile) (api.PriceReport, error) {
	if f.AsOf.After(p.now().Add(time.Hour)) {
		return api.PriceReport{}, purser.Errorf(purser.KindInvalid, "app.Import", "prices cannot have been seen at %s, which is to come", f.AsOf.Format(time.RFC3339))
	}
	opt := csvfile.Options{Path: f.Name, Provider: f.Provider, AsOf: f.AsOf}
	offers, err := p.db.Offers(ctx, postgres.OfferFilter{Gone: true})
	if err != nil {
		return api.PriceReport{}, err
	}
	b, err := csvfile.ReadBatch(ctx, f.Content, f.Name, pricing.ShapesOf(offers), opt)
	if err != nil {
		return api.PriceReport{}, err
	}
	rules, err := p.db.PriceRules(ctx, p.now())
	if err != nil {
		return api.PriceReport{}, err
	}
	sifted := pricing.Review(pricing.Sift(b.Rows), rules, p.now())
	r, err := p.db.SavePrices(ctx, postgres.PriceBatch{
		Source: b.Source, At: b.ObservedAt, Offers: sifted.Offers, Quarantined: sifted.Quarantined, Past: b.Past, Full: true, Trusted: true,
	})
	report := api.PriceReport{
		Source: b.Source, Seen: r.Seen, New: r.New, Changed: r.Changed, Unchanged: r.Unchanged, Older: r.Older, Gone: r.Gone, Quarantined: r.Quarantined,
		Past: r.Past, Stale: len(sifted.Offers) - len(p.usable(sifted.Offers)), Alarm: r.Alarm,
	}
	if err == nil {
		p.log.Info("prices imported", slog.String("source", b.Source), slog.String("actor", actor), slog.Int("offers", report.Seen), slog.Int("quarantined", report.Quarantined))
		p.imports.Add(1)
		p.sweeps.kick("plan")
		if r.Past > 0 {
			p.sweeps.kick("prune") // the days behind it are rolled up there
		}
	}
	return report, err
}
