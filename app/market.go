package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"purser"
	"purser/api"
	"purser/fleet"
	"purser/ledger"
	"purser/postgres"
	"purser/pricing"
	"purser/providers"
)

// headroomEvery is how often clouds are asked for quotas and reservations, and
// headroomTime how long an answer may take.
const (
	headroomEvery = 10 * time.Minute
	headroomTime  = 2 * time.Minute
)

// market is what clouds say of our account, by provider. What was said last stands
// while one does not answer.
type market struct {
	mu        sync.Mutex
	headroom  map[string]headroom
	providers map[string]standing
}

// headroom is an answer. Others use what is used and not ours.
type headroom struct {
	quotas []purser.Quota
	others map[string]int64 // by quota, in thousandths of its unit
	said   providers.Headroom
	at     time.Time
}

// standing is how a provider fared last.
type standing struct {
	listing fleet.Listing
	at      time.Time // of the listing
	listErr *api.ProviderFailure
	limits  *api.ProviderFailure
	notices *api.ProviderFailure
}

// heard takes an answer in; live are the leases that stood when it was asked for.
func (m *market) heard(provider string, h providers.Headroom, live []purser.Lease, now time.Time) {
	known := headroom{quotas: slices.Clone(h.Quotas), others: map[string]int64{}, said: h, at: now}
	asked := slices.DeleteFunc(slices.Clone(live), func(l purser.Lease) bool { return l.State == purser.LeasePlanned })
	for i := range known.quotas {
		q := &known.quotas[i]
		q.Provider = provider // an account's limit binds nobody else
		if used, told := h.Used[q.Name]; told {
			known.others[q.Name] = max(0, used*1000-taken(*q, asked))
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.headroom == nil {
		m.headroom = map[string]headroom{}
	}
	m.headroom[provider] = known
}

// change notes how a provider fared.
func (m *market) change(provider string, do func(*standing)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.providers == nil {
		m.providers = map[string]standing{}
	}
	s := m.providers[provider]
	do(&s)
	m.providers[provider] = s
}

// listed notes how providers listed their machines.
func (m *market) listed(listings map[string]fleet.Listing, now time.Time) {
	for name, l := range listings {
		m.change(name, func(s *standing) {
			s.listErr = failureOf(l.Err, now)
			if l.Err == nil {
				s.listing, s.at = l, now
			}
		})
	}
}

// look gives what is known of a provider.
func (m *market) look(provider string) (standing, headroom) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.providers[provider], m.headroom[provider]
}

// failureOf is an error as users read it; nil for none.
func failureOf(err error, at time.Time) *api.ProviderFailure {
	if err == nil {
		return nil
	}
	out := &api.ProviderFailure{Kind: string(purser.KindOf(err)), Message: err.Error(), At: at}
	if e, ok := errors.AsType[*purser.Error](err); ok {
		out.Hint = e.Hint
		if e.Message != "" {
			out.Message = e.Message
		}
	}
	return out
}

// taken is what leases take of a quota, in thousandths of its unit.
func taken(q purser.Quota, leases []purser.Lease) (sum int64) {
	for _, l := range leases {
		sum += q.Weight(l.Offer)
	}
	return sum
}

// quotas are the limits that are left to us: without what others use.
func (m *market) quotas() []purser.Quota {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []purser.Quota
	for _, provider := range slices.Sorted(maps.Keys(m.headroom)) {
		for _, q := range m.headroom[provider].quotas {
			q.Limit = max(0, q.Limit-(m.headroom[provider].others[q.Name]+999)/1000)
			out = append(out, q)
		}
	}
	return out
}

// askHeadroom asks one provider. Reservations become offers; those that are gone
// disappear.
func (a *App) askHeadroom(ctx context.Context, name string, q providers.Quoter) error {
	ctx, cancel := context.WithTimeout(ctx, headroomTime)
	defer cancel()
	live, err := a.db.LiveLeases(ctx)
	if err != nil {
		return err
	}
	source, now := pricing.SourceReserved+name, a.now() // what is launched while the answer comes may not be in it
	h, err := q.Quotas(ctx)
	if err != nil {
		return err
	}
	a.market.heard(name, h, live, now)
	offers := map[purser.OfferID]purser.Offer{}
	for _, r := range h.Reserved {
		if !r.From.After(now) && (r.Until.IsZero() || r.Until.After(now)) {
			o, known := a.whole(ctx, r.Offer)
			if !known {
				continue // no price list says what machines of this type have
			}
			o.ObservedAt, o.ValidFrom, o.Source = now, now, source
			o.Limit = r.Free
			if twin, ok := offers[o.ID()]; ok {
				o.Limit += twin.Limit
			}
			offers[o.ID()] = o
		}
	}
	list := slices.SortedFunc(maps.Values(offers), func(x, y purser.Offer) int {
		if x.ID() < y.ID() {
			return -1
		}
		return 1
	})
	_, err = a.db.SavePrices(ctx, postgres.PriceBatch{Source: source, At: now, Offers: list, Full: true, Trusted: true})
	return err
}

// whole gives a reserved offer what only price lists know: what its machines have, and
// the country of its region. What was paid ahead costs next to nothing to run. false when
// it stays unknown what the machines have.
func (a *App) whole(ctx context.Context, o purser.Offer) (purser.Offer, bool) {
	o.UnitPrice = max(o.UnitPrice, 1)
	alike, err := a.db.Offers(ctx, postgres.OfferFilter{Provider: o.Provider, Gone: true})
	if err != nil {
		return o, false
	}
	for _, x := range alike {
		if o.MilliCPU == 0 && x.InstanceType == o.InstanceType {
			o.Shape = x.Shape
		}
		if o.Country == "" && x.Region == o.Region {
			o.Country = x.Country
		}
	}
	return o, o.MilliCPU > 0
}

// watchAccounts asks all clouds for their limits, at once and then again and again.
func (a *App) watchAccounts(ctx context.Context) {
	tick := time.NewTicker(headroomEvery)
	defer tick.Stop()
	for {
		for _, name := range slices.Sorted(maps.Keys(a.providers)) {
			q, ok := providers.As[providers.Quoter](a.providers[name])
			if !ok {
				continue
			}
			err := a.askHeadroom(ctx, name, q)
			if ctx.Err() != nil {
				return
			}
			a.market.change(name, func(s *standing) { s.limits = failureOf(err, a.now()) })
			if err != nil {
				a.log.Warn("a cloud's limits could not be read; what it said last stands", slog.String("provider", name), slog.Any("error", err))
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// listenToClouds takes in every notice about machines, until ctx ends.
func (a *App) listenToClouds(ctx context.Context) {
	for _, name := range slices.Sorted(maps.Keys(a.providers)) {
		in, ok := providers.As[providers.Interrupter](a.providers[name])
		if !ok {
			continue
		}
		a.background.Go(func() { a.listenTo(ctx, name, in) })
	}
}

// The pauses before a cloud that refused to tell of interruptions is asked again:
// permissions and credentials are mended while the server runs.
const (
	firstDeaf = time.Minute
	mostDeaf  = 10 * time.Minute
)

// listenTo takes in a cloud's notices, past refusals, until ctx ends.
func (a *App) listenTo(ctx context.Context, name string, in providers.Interrupter) {
	for pause := firstDeaf; ctx.Err() == nil; pause = min(2*pause, mostDeaf) {
		began := a.now()
		a.market.change(name, func(s *standing) { s.notices = nil }) // a refusal comes within seconds
		err := purser.Guard("app.listen", func() error {
			return in.Interruptions(ctx, func(ctx context.Context, n providers.Interruption) error {
				err := a.fleet.Interrupted(ctx, n)
				a.sweeps.kick("reconcile")
				return err
			})
		})
		if err == nil || ctx.Err() != nil {
			return
		}
		if a.now().Sub(began) > mostDeaf {
			pause = firstDeaf // it was heard for long
		}
		a.market.change(name, func(s *standing) { s.notices = failureOf(err, a.now()) })
		a.log.Error("notices of a cloud cannot be heard; its machines are looked after by listing alone", slog.String("provider", name), slog.Any("error", err))
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// sweepLeavings has clouds remove what no machine is left of.
func (a *App) sweepLeavings(ctx context.Context) error {
	var failed error
	for _, name := range slices.Sorted(maps.Keys(a.providers)) {
		s, ok := providers.As[providers.Sweeper](a.providers[name])
		if !ok || a.config.Providers[name].DryRun {
			continue
		}
		n, err := s.Sweep(ctx, leavingsGrace)
		if n > 0 {
			a.log.Info("what machines left behind was removed", slog.String("provider", name), slog.Int("things", n))
		}
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", name, err))
		}
	}
	return failed
}

// leavingsGrace is how old a thing without a machine must be before it is removed.
const leavingsGrace = 15 * time.Minute

// affordable leaves out what is bought once the month's limit is spent. What runs goes
// on, and private machines are free to use.
func (a *App) affordable(ctx context.Context, offers []purser.Offer) ([]purser.Offer, error) {
	limit := a.config.SpendLimit.PerMonth
	if limit == 0 || a.rehearsal {
		return offers, nil
	}
	begin, end := ledger.Month(a.now())
	rows, err := a.db.Spend(ctx, begin, end)
	if err != nil {
		return nil, err
	}
	spent := purser.Money(0)
	for _, r := range rows {
		if !r.Rehearsal {
			spent += r.Billed
		}
	}
	if spent.USD() < limit {
		return offers, nil
	}
	a.log.Warn("the month's spend limit is reached: nothing more is bought", slog.String("spent", spent.String()), slog.Float64("usd_per_month", limit))
	return slices.DeleteFunc(offers, func(o purser.Offer) bool { return o.Option != purser.Private }), nil
}
