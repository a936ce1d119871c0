package app

import (
	"context"
	"strings"
	"testing"
	"time"

	"purser"
	"purser/postgres"
	"purser/providers"
	"purser/providers/fake"
)

// A machine whose work was cancelled costs money until it has ended, and takes of every
// limit until then.
func TestCancelledWorkStillCountsAgainstLimits(t *testing.T) {
	w := newCloudWorld(t, fake.Config{Offers: []purser.Offer{small("z1", purser.OnDemand, 2)}}, SpendLimit{PerHour: 3})
	w.listOffers()
	w.submitSteady(1)
	for id, tasks := range w.running() {
		w.report(id, purser.TaskRunning, tasks...)
	}
	_, err := jobsPart{w.App}.Cancel(t.Context(), "tester", jobRef("steady"))
	w.must(err)
	w.submit(strings.Replace(strings.Replace(oneJob, "REPLICAS", "1", 1), "steady", "second", 1))
	w.must(w.plan(t.Context()))
	if leases := w.leases(); len(leases) != 1 || leases[0].State != purser.LeaseRunning {
		t.Fatalf("machines at $2 an hour under a limit of $3: %+v", leases)
	}
}

// So does one that drains, of limits that the operator wrote.
func TestDrainingMachinesCountAgainstQuotas(t *testing.T) {
	a := idle(t)
	a.limits.Quotas = []purser.Quota{{Name: "two", Unit: purser.QuotaMachines, Limit: 2}}
	lease := purser.Lease{ID: "a", State: purser.LeaseDraining, Offer: offer("x", purser.OnDemand, 1)}
	for _, q := range a.input(postgres.Snapshot{Leases: []purser.Lease{lease}}, nil, true).Quotas {
		if q.Name == "two" && q.Limit != 1 {
			t.Errorf("%d machines may be launched beside one that still runs; 1 is right", q.Limit)
		}
	}
}

// A dearer pool is no way around the spend limit.
func TestPoolsKeepTheSpendLimit(t *testing.T) {
	for limit, want := range map[float64]int{2: 2, 2.1: 2, 2.2: 3, 0: 3} {
		w := newCloudWorld(t, fake.Config{Offers: []purser.Offer{small("z1", purser.Spot, 1), small("z2", purser.Spot, 1.05), small("z3", purser.Spot, 1)}}, SpendLimit{PerHour: limit})
		w.listOffers()
		w.submitSteady(2)
		w.must(w.plan(t.Context()))
		pools, err := w.pools(t.Context(), w.leases()[0])
		w.must(err)
		if n := len(w.leases()); n != 2 || len(pools) != want {
			t.Errorf("limit $%g: %d leases, pools %v; want %d of them", limit, n, pools, want)
		}
	}
}

// ownHosts has offers of its own, and takes its time to say so.
type ownHosts struct {
	providers.Provider
	offers func(context.Context) ([]purser.Offer, error)
}

func (o ownHosts) Offers(ctx context.Context) ([]purser.Offer, error) { return o.offers(ctx) }

// A host that is not offered any more is gone, however its price was found.
func TestOwnHostsDepart(t *testing.T) {
	w := newCloudWorld(t, fake.Config{}, SpendLimit{})
	host := small("z1", purser.Private, 1)
	host.Limit, host.Source = 1, "private:power"
	have := []purser.Offer{host}
	w.enable(fake.Name, ownHosts{w.providers[fake.Name], func(context.Context) ([]purser.Offer, error) { return have, nil }})
	w.listOffers()
	count := func() int {
		offers, err := w.db.Offers(t.Context(), postgres.OfferFilter{Provider: fake.Name})
		w.must(err)
		return len(offers)
	}
	if n := count(); n != 1 {
		t.Fatalf("%d offers of one host", n)
	}
	have = nil
	w.listOffers()
	if n := count(); n != 0 {
		t.Errorf("%d offers of a host that was taken out", n)
	}
}

// A provider that does not answer keeps nobody from saying what is free.
func TestASlowProviderHoldsUpNoOther(t *testing.T) {
	w := newCloudWorld(t, fake.Config{}, SpendLimit{})
	w.enable(fake.Name, ownHosts{w.providers[fake.Name], func(ctx context.Context) ([]purser.Offer, error) {
		<-ctx.Done()
		return nil, purser.Wrap(purser.KindUnavailable, "test", ctx.Err())
	}})
	host := small("z1", purser.Private, 1)
	w.providers["ssh"] = ownHosts{w.providers[localHolder], func(ctx context.Context) ([]purser.Offer, error) { return []purser.Offer{host}, ctx.Err() }}
	if err := w.collectWithin(t.Context(), 20*time.Millisecond); purser.KindOf(err) != purser.KindUnavailable {
		t.Errorf("a provider that does not answer: %v", err)
	}
	offers, err := w.db.Offers(t.Context(), postgres.OfferFilter{Provider: fake.Name})
	w.must(err)
	if len(offers) != 1 {
		t.Errorf("%d offers of the one that answers", len(offers))
	}
}

// slowQuoter is a cloud whose answer about limits takes a minute.
type slowQuoter struct {
	w    *world
	says providers.Headroom
}

func (q slowQuoter) Quotas(context.Context) (providers.Headroom, error) {
	q.w.clock.pass(time.Minute)
	return q.says, nil
}

// What was launched while a cloud told of its reservations may not be in the answer, and
// is taken off.
func TestReservationsAreAsOldAsTheQuestion(t *testing.T) {
	w := newCloudWorld(t, fake.Config{}, SpendLimit{})
	asked, bought := w.now(), small("z1", purser.Reserved, 0.5)
	w.must(w.askHeadroom(t.Context(), fake.Name, slowQuoter{w, providers.Headroom{Reserved: []providers.Reservation{{ID: "r", Offer: bought, Total: 1, Free: 1}}}}))
	offers, err := w.db.Offers(t.Context(), postgres.OfferFilter{Provider: fake.Name})
	w.must(err)
	if len(offers) != 1 || offers[0].ObservedAt.Sub(asked) > time.Second {
		t.Fatalf("%+v; seen at %s is right", offers, asked)
	}
	l := purser.Lease{ID: "l", Offer: offers[0], Instance: "i", LaunchedAt: asked.Add(20 * time.Second)}
	if left := leftOf(offers, []purser.Lease{l}); left[0].Limit != 0 {
		t.Errorf("%d are free of one that was taken meanwhile", left[0].Limit)
	}
}
