package app

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"purser"
	"purser/api"
	"purser/postgres"
	"purser/server"
)

type feedsPart struct{ *App }

// Sources lists the sources that can be read and those that prices came from.
func (p feedsPart) Sources(ctx context.Context) ([]api.Source, error) {
	stored, err := p.db.Sources(ctx)
	if err != nil {
		return nil, err
	}
	out := []api.Source{}
	at := map[string]int{}
	now := p.now()
	for _, s := range p.sources {
		shown := api.Source{Name: s.name, Says: s.says, Enabled: p.config.enabled(s)}
		if shown.Enabled {
			shown.Schedule = cmp.Or(p.config.Sources[s.name].Schedule, s.schedule)
			if schedule, err := scheduleParser().Parse(shown.Schedule); err == nil {
				next := schedule.Next(now).Add(jitter(p.installation, s.name))
				shown.NextAt = &next
			}
		}
		at[s.name] = len(out)
		out = append(out, shown)
	}
	for _, s := range stored {
		i, ok := at[s.Name]
		if !ok {
			i = len(out)
			out = append(out, api.Source{Name: s.Name})
		}
		o := &out[i]
		o.LastAt, o.BeganAt, o.EndedAt, o.Progress = s.LastAt, timeOrNil(s.BeganAt), timeOrNil(s.EndedAt), s.Progress
		o.LastError, o.ErrorKind, o.Failures, o.Alarm = s.LastError, s.ErrorKind, s.Failures, s.Alarm
		o.Regions, o.Offers, o.Quarantined = s.Regions, s.Offers, s.Quarantined
	}
	return out, nil
}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// Collect has a source collected by this server, now.
func (p feedsPart) Collect(ctx context.Context, actor, name string) (api.Source, error) {
	if _, err := p.source(name); err != nil {
		return api.Source{}, err
	}
	p.log.Info("a source is collected by hand", slog.String("source", name), slog.String("actor", actor))
	p.sweeps.kick(sweepOf(name))
	list, err := p.Sources(ctx)
	for _, s := range list {
		if s.Name == name {
			return s, err
		}
	}
	return api.Source{}, err
}

func (p feedsPart) Quarantine(ctx context.Context, q server.QuarantineQuery) ([]api.QuarantinedPrice, error) {
	rows, err := p.db.Quarantine(ctx, postgres.QuarantineFilter{Source: q.Source, Reason: q.Reason, Offer: q.Offer, Kept: q.Kept, Limit: q.Limit})
	var out []api.QuarantinedPrice
	for _, h := range rows {
		out = append(out, api.QuarantinedPrice{
			Offer: api.OfferOf(h.Offer), Source: h.Source, Reason: h.Reason, Detail: h.Detail, Place: h.Place,
			FirstSeenAt: h.FirstSeenAt, LastSeenAt: h.LastSeenAt, KeptAt: timeOrNil(h.KeptAt),
		})
	}
	return out, err
}

// A rule is about prices near the one that it was made for, and holds for ruleDays
// unless said otherwise.
const (
	ruleDays  = 30
	ruleRange = 2 // half to twice the price
)

// held finds the one price in quarantine that a review means.
func (p feedsPart) held(ctx context.Context, r api.Review) (postgres.Held, error) {
	const op = "app.Review"
	rows, err := p.db.Quarantine(ctx, postgres.QuarantineFilter{Source: r.Source, Offer: r.Offer, Reason: r.Reason, Kept: true})
	switch {
	case err != nil:
		return postgres.Held{}, err
	case len(rows) == 0:
		return postgres.Held{}, purser.Errorf(purser.KindNotFound, op, "no price of offer %s is in quarantine", r.Offer)
	case len(rows) > 1:
		e := purser.Errorf(purser.KindConflict, op, "%d prices of offer %s are in quarantine", len(rows), r.Offer)
		e.Hint = "say which by source and reason, such as " + rows[0].Source + " and " + string(rows[0].Reason)
		return postgres.Held{}, e
	}
	return rows[0], nil
}

func (p feedsPart) rule(actor string, r api.Review, o purser.Offer, reason purser.QuarantineReason) purser.PriceRule {
	now := p.now()
	days := cmp.Or(r.Days, ruleDays)
	return purser.PriceRule{
		Offer: o.ID(), Reason: reason, Low: o.UnitPrice / ruleRange, High: o.UnitPrice * ruleRange,
		Until: now.Add(time.Duration(days * 24 * float64(time.Hour))), Actor: actor, Note: r.Note, MadeAt: now,
	}
}

// Release believes a price: it is stored as its source said it, and the rule lets the
// same through at later collections.
func (p feedsPart) Release(ctx context.Context, actor string, r api.Review) (purser.PriceRule, error) {
	held, err := p.held(ctx, r)
	if err != nil {
		return purser.PriceRule{}, err
	}
	o := held.Offer
	if held.Reason == purser.QuarantineByHand {
		e := purser.Errorf(purser.KindConflict, "app.Release", "an operator stopped believing offer %s", o.ID())
		e.Hint = "end that rule: purser prices rules drop OFFER by_hand"
		return purser.PriceRule{}, e
	}
	if err := o.Check(); err != nil || o.UnitPrice == 0 {
		e := purser.Errorf(purser.KindInvalid, "app.Release", "%s cannot be an offer, whoever believes it: %s", o.ID(), held.Detail)
		e.Hint = "import a list with the right row, or leave it"
		return purser.PriceRule{}, e
	}
	rule := p.rule(actor, r, o, held.Reason)
	if err := p.db.SavePriceRule(ctx, rule); err != nil {
		return rule, err
	}
	_, err = p.db.SavePrices(ctx, postgres.PriceBatch{Source: held.Source, Region: held.Region, At: p.now(), Offers: []purser.Offer{o}, Trusted: true})
	p.imports.Add(1)
	p.sweeps.kick("plan")
	return rule, err
}

func (p feedsPart) Keep(ctx context.Context, actor string, r api.Review) error {
	held, err := p.held(ctx, r)
	if err != nil {
		return err
	}
	return p.db.KeepQuarantined(ctx, actor, held.Source, r.Offer, held.Reason, r.Note)
}

// Block stops believing an offer at whatever price: it is gone at once, and the rule
// keeps it in quarantine at later collections.
func (p feedsPart) Block(ctx context.Context, actor string, r api.Review) (purser.PriceRule, error) {
	offers, err := p.db.Offers(ctx, postgres.OfferFilter{ID: r.Offer})
	if err != nil {
		return purser.PriceRule{}, err
	}
	if len(offers) == 0 {
		return purser.PriceRule{}, purser.Errorf(purser.KindNotFound, "app.Block", "there is no offer %s that can be had", r.Offer)
	}
	rule := p.rule(actor, r, offers[0], purser.QuarantineByHand)
	rule.Low, rule.High = 0, purser.USDPerHour(1<<62)
	if err := p.db.BlockOffer(ctx, rule); err != nil {
		return rule, err
	}
	p.imports.Add(1)
	p.sweeps.kick("plan")
	return rule, nil
}

func (p feedsPart) Rules(ctx context.Context) ([]purser.PriceRule, error) {
	return p.db.PriceRules(ctx, p.now())
}

func (p feedsPart) DropRule(ctx context.Context, actor string, offer purser.OfferID, reason purser.QuarantineReason) error {
	return p.db.DropPriceRule(ctx, actor, offer, reason)
}
