package app

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"purser"
	"purser/api"
	"purser/fleet"
	"purser/providers"
	"purser/providers/fake"
)

// newCloudWorld is a world whose server has a cloud named fake enabled, with offers of
// its own, besides what it could rehearse.
func newCloudWorld(t *testing.T, market fake.Config, limit SpendLimit) *world {
	t.Helper()
	w := newWorld(t)
	market.Name, market.Now = fake.Name, w.clock.now
	w.cloud = fake.New(market)
	w.enable(fake.Name, w.cloud.Provider(w.installation))
	w.config.SpendLimit = limit
	return w
}

// enable enables a provider as a start with it in the configuration does.
func (w *world) enable(name string, p providers.Provider) {
	w.t.Helper()
	w.rehearsal = false
	w.config.Providers = map[string]ProviderConfig{name: {}}
	w.providers[name] = p
	var err error
	w.fleet, err = fleet.New(fleet.Config{
		Store: w.db, Upkeep: w.db, Providers: w.providers, Installation: w.installation, Secret: w.secret, Host: w.host, ServerURL: w.url, Logger: w.log, Now: w.now,
		Pools: w.pools,
	})
	w.must(err)
}

// small is an offer of one T4 of the enabled cloud.
func small(zone string, option purser.PurchaseOption, price float64) purser.Offer {
	o := offer("small", option, price)
	o.Provider, o.Zone = fake.Name, zone
	o.Devices, o.MilliCPU, o.MemoryMiB = 1000, 8000, 32<<10
	return o
}

// listOffers stores the cloud's own offers.
func (w *world) listOffers() {
	w.t.Helper()
	w.must(w.collectPrivate(w.t.Context()))
}

func TestEnabledCloudAloneIsBought(t *testing.T) {
	w := newCloudWorld(t, fake.Config{Offers: []purser.Offer{small("z1", purser.OnDemand, 2)}}, SpendLimit{})
	w.price(map[string]float64{"a1": 0.01}) // of a cloud that is not enabled, and far cheaper
	w.listOffers()
	w.submitSteady(1)
	w.running()
	leases := w.leases()
	if len(leases) != 1 || leases[0].Holder != fake.Name || leases[0].Host != "" || leases[0].Rehearsal || leases[0].Offer.Provider != fake.Name {
		t.Fatalf("leases: %+v", leases)
	}
	if machines := w.cloud.Machines(); len(machines) != 1 || machines[0].Lease != leases[0].ID {
		t.Fatalf("machines: %+v", machines)
	}
}

func TestRegionsThatAreNotEnabledAreNotBought(t *testing.T) {
	a := idle(t)
	a.rehearsal = false
	a.config.Providers = map[string]ProviderConfig{"aws": {Regions: []string{"eu-north-1"}}}
	here, there := offer("x", purser.OnDemand, 1), offer("x", purser.OnDemand, 1)
	here.Region = "eu-north-1"
	own := offer("host", purser.Private, 0)
	own.Provider = localHolder
	strange := offer("y", purser.OnDemand, 1)
	strange.Provider = "gcp"
	var got []string
	for _, o := range a.usable([]purser.Offer{here, there, own, strange}) {
		got = append(got, o.Provider+"/"+o.Region)
	}
	if want := "aws/eu-north-1 local/us-east-1"; strings.Join(got, " ") != want {
		t.Errorf("usable: %v, want %s", got, want)
	}
}

func TestSpendLimitBoundsWhatRunsAtOnce(t *testing.T) {
	w := newCloudWorld(t, fake.Config{Offers: []purser.Offer{small("z1", purser.OnDemand, 2)}}, SpendLimit{PerHour: 5})
	w.listOffers()
	w.submitSteady(4) // would be $8 an hour
	w.running()
	if n := len(w.leases()); n != 2 {
		t.Fatalf("%d machines at $2 an hour under a limit of $5", n)
	}
	plan, err := w.db.Plan(t.Context(), "latest")
	w.must(err)
	if len(plan.Unplaced) == 0 {
		t.Error("the plan does not say what could not be placed")
	}
}

// Once the month has cost its limit nothing more is bought, and what runs goes on.
func TestSpendLimitOfTheMonth(t *testing.T) {
	w := newCloudWorld(t, fake.Config{Offers: []purser.Offer{small("z1", purser.OnDemand, 2)}}, SpendLimit{PerMonth: 3})
	w.listOffers()
	w.submitSteady(1)
	for id, tasks := range w.running() {
		w.clock.pass(2 * time.Hour)
		w.report(id, purser.TaskRunning, tasks...)
	}
	if _, err := w.charge(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.submit(strings.Replace(strings.Replace(oneJob, "REPLICAS", "1", 1), "steady", "second", 1))
	w.must(w.plan(t.Context()))
	leases := w.leases()
	if len(leases) != 1 || leases[0].State != purser.LeaseRunning {
		t.Fatalf("after $4 of $3: %+v", leases)
	}
}

func TestMarketKnowsWhatOthersUse(t *testing.T) {
	q := purser.Quota{Name: "fake/small", Unit: purser.QuotaMachines, Limit: 10, Provider: fake.Name}
	cents := purser.Quota{Name: "cents", Unit: purser.QuotaCents, Limit: 1000}
	lease := func(id purser.LeaseID, state purser.LeaseState) purser.Lease {
		return purser.Lease{ID: id, Holder: fake.Name, State: state, Offer: small("z1", purser.OnDemand, 2)}
	}
	live := []purser.Lease{lease("a", purser.LeaseRunning), lease("b", purser.LeaseDraining), lease("c", purser.LeasePlanned)}
	var m market
	m.heard(fake.Name, providers.Headroom{Quotas: []purser.Quota{q, cents}, Used: map[string]int64{"fake/small": 5}}, live, noon)
	got := map[string]int64{}
	for _, q := range m.quotas() {
		if got[q.Name] = q.Limit; q.Provider != fake.Name {
			t.Errorf("%+v binds other clouds too", q)
		}
	}
	// 5 are used, 2 of them ours, so 3 are others'.
	if got["fake/small"] != 10-3 || got["cents"] != 1000 {
		t.Errorf("left: %v", got)
	}
	var none market
	if left := none.quotas(); len(left) != 0 {
		t.Errorf("of a cloud that said nothing: %v", left)
	}
}

// The account's quota holds in plans, and what was bought ahead becomes offers.
func TestHeadroomReachesPlans(t *testing.T) {
	bought := small("z1", purser.Reserved, 0.5)
	w := newCloudWorld(t, fake.Config{
		Offers:   []purser.Offer{small("z1", purser.OnDemand, 2)},
		Quotas:   []purser.Quota{{Name: "fake/on_demand", Unit: purser.QuotaMachines, Limit: 1, Provider: fake.Name, Option: purser.OnDemand}},
		Reserved: []providers.Reservation{{ID: "r-1", Offer: bought, Total: 1}},
	}, SpendLimit{})
	w.listOffers()
	q, _ := providers.As[providers.Quoter](w.providers[fake.Name])
	w.must(w.askHeadroom(t.Context(), fake.Name, q))
	w.submitSteady(3)
	w.running()
	var options []string
	for _, l := range w.leases() {
		options = append(options, string(l.Offer.Option))
	}
	slices.Sort(options)
	if strings.Join(options, " ") != "on_demand reserved" {
		t.Fatalf("bought: %v; one by the quota and one that was reserved are right", options)
	}
	view, err := providersPart{w.App}.Providers(t.Context())
	w.must(err)
	i := slices.IndexFunc(view.Providers, func(p api.Provider) bool { return p.Name == fake.Name })
	if i < 0 || len(view.Providers[i].Quotas) != 1 || len(view.Providers[i].Reserved) != 1 || view.Providers[i].LimitsAt == nil {
		t.Errorf("view: %+v", view)
	}
}

// A spot machine may come from another zone, and the lease then says so.
func TestPoolsOfASpotLease(t *testing.T) {
	w := newCloudWorld(t, fake.Config{Offers: []purser.Offer{
		small("z1", purser.Spot, 1), small("z2", purser.Spot, 1.05), small("z3", purser.Spot, 1.5), small("z1", purser.OnDemand, 3),
	}}, SpendLimit{})
	w.listOffers()
	w.submitSteady(1)
	w.must(w.plan(t.Context()))
	l := w.leases()[0]
	pools, err := w.pools(t.Context(), l)
	w.must(err)
	var zones []string
	for _, o := range pools {
		zones = append(zones, o.Zone)
	}
	slices.Sort(zones)
	if strings.Join(zones, " ") != "z1 z2" {
		t.Fatalf("pools: %v, want those within a tenth of the price", zones)
	}
	other := l.Offer
	other.Zone = "z2"
	after, err := w.db.Advance(t.Context(), l.ID, "tester", func(l purser.Lease) (purser.Transition, error) {
		return purser.Transition{To: purser.LeaseLaunching, Attempt: 1, Offer: other, At: w.now()}, nil
	})
	w.must(err)
	if again := w.lease(l.ID); again.Offer.Zone != "z2" || after.Offer.ID() != again.Offer.ID() {
		t.Errorf("the lease has %s", again.Offer.ID())
	}
}

// What a cloud says reaches the lease.
func TestNoticesOfACloudDrain(t *testing.T) {
	w := newCloudWorld(t, fake.Config{Offers: []purser.Offer{small("z1", purser.Spot, 1)}, Spot: fake.Spot{Notice: 2 * time.Minute}}, SpendLimit{})
	w.listOffers()
	w.submitSteady(1)
	w.running()
	id := w.leases()[0].ID
	w.cloud.Preempt(id, 2*time.Minute)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	in, _ := providers.As[providers.Interrupter](w.providers[fake.Name])
	err := in.Interruptions(ctx, func(ctx context.Context, n providers.Interruption) error {
		defer cancel()
		return w.fleet.Interrupted(ctx, n)
	})
	w.must(err)
	if l := w.lease(id); l.State != purser.LeaseDraining || !strings.HasPrefix(l.Reason, purser.ReasonTakenBack) {
		t.Errorf("the lease is %s: %s", l.State, l.Reason)
	}
}

// Machines that stood in for others end once there are real ones.
func TestRehearsalEndsWhenAProviderIsEnabled(t *testing.T) {
	w := newWorld(t)
	w.price(map[string]float64{"a1": 1})
	w.submitSteady(1)
	w.running()
	l := w.leases()[0]
	w.must(w.endRehearsal(t.Context()))
	if got := w.lease(l.ID); !l.Rehearsal || got.State != purser.LeaseRunning {
		t.Fatalf("in rehearsal: %+v", got)
	}
	w.enable(fake.Name, fake.New(fake.Config{Now: w.clock.now}).Provider(w.installation))
	for range 2 { // the second time it drains already
		w.must(w.endRehearsal(t.Context()))
	}
	if got := w.lease(l.ID); got.State != purser.LeaseDraining || !strings.Contains(got.Reason, "rehearsal") {
		t.Errorf("with a provider: %s, %s", got.State, got.Reason)
	}
}

func TestLeavingsAreSwept(t *testing.T) {
	w := newCloudWorld(t, fake.Config{}, SpendLimit{})
	swept := 0
	w.enable(fake.Name, sweeper{w.cloud.Provider(w.installation), &swept})
	w.must(w.sweepLeavings(t.Context()))
	w.config.Providers[fake.Name] = ProviderConfig{DryRun: true}
	w.must(w.sweepLeavings(t.Context()))
	if swept != 1 {
		t.Errorf("swept %d times; once, and not in a dry run, is right", swept)
	}
}

type sweeper struct {
	providers.Provider
	swept *int
}

func (s sweeper) Sweep(context.Context, time.Duration) (int, error) {
	*s.swept++
	return 0, nil
}

// What leases took since an offer was seen is not there any more; what the provider had
// counted already is not taken off twice.
func TestLeftOfOffers(t *testing.T) {
	o, free := small("z1", purser.Private, 0), small("z2", purser.OnDemand, 1)
	o.Limit, o.ObservedAt, free.Limit = 5, noon, purser.Unlimited
	lease := func(at time.Time) purser.Lease { return purser.Lease{ID: "l", Offer: o, Instance: "i", LaunchedAt: at} }
	leases := []purser.Lease{{Offer: o, LaunchedAt: noon.Add(-time.Hour)}, lease(noon.Add(time.Second)), lease(noon.Add(-time.Second)), lease(noon.Add(-time.Minute)), {ID: "x", Offer: free}}
	left := leftOf([]purser.Offer{o, free}, leases)
	if left[0].Limit != 2 || left[1].Limit != purser.Unlimited || o.Limit != 5 {
		t.Errorf("left: %d and %d", left[0].Limit, left[1].Limit)
	}
}

// The pool's inventory becomes hosts; what is wrong with it is said with its place.
func TestSSHPoolFromItsInventory(t *testing.T) {
	a := idle(t)
	a.installation, a.programs = "inst-1", map[string]program{}
	dir := t.TempDir()
	key := filepath.Join(dir, "key")
	if err := os.WriteFile(key, []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "hosts.yaml")
	build := func(text string) (providers.Provider, error) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return newSSHProvider(t.Context(), a, ProviderConfig{Inventory: path})
	}
	p, err := build("user: u\nkey_file: key\nhosts:\n  - {name: a, address: 127.0.0.1, port: 1, host_keys: [\"SHA256:uNiVztksCsDhcc0u9e8BrrQdoVRZnd9J4bXYqxTIxtg\"], usd_per_hour: 1}\n")
	if err != nil || p.Name() != "ssh" {
		t.Fatalf("%v, %v", p, err)
	}
	if _, err := p.List(t.Context()); err == nil {
		t.Error("a key that is none opens a host")
	}
	if err := a.abort(); err != nil { // closes the pool
		t.Error(err)
	}
	if _, err := build("hosts:\n  - {name: a}\n"); purser.KindOf(err) != purser.KindInvalid || !strings.Contains(err.Error(), "hosts.yaml:2") {
		t.Errorf("a host without an address: %v", err)
	}
	if _, err := newSSHProvider(t.Context(), a, ProviderConfig{Inventory: dir + "/none"}); purser.KindOf(err) != purser.KindInvalid {
		t.Errorf("no inventory: %v", err)
	}
	if _, err := a.programForHost("arm64"); purser.KindOf(err) != purser.KindNotFound {
		t.Errorf("a program that is not there: %v", err)
	}
}
