package fake_test

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"purser"
	"purser/providers"
	"purser/providers/fake"
)

// of is a request for an offer.
func of(id string, o purser.Offer) providers.Request {
	l := purser.Lease{ID: purser.LeaseID(id), Offer: o, Attempt: 1}
	return providers.Request{Lease: l, Installation: "ours", Token: providers.ClientToken("ours", l), JoinToken: "secret"}
}

func kindOf(p providers.Provider, r providers.Request, t *testing.T) purser.Kind {
	t.Helper()
	_, err := p.Launch(t.Context(), r)
	if err == nil {
		return ""
	}
	if !strings.Contains(err.Error(), string(r.Lease.Offer.ID())) || !strings.Contains(err.Error(), "(") {
		t.Errorf("the error names no offer or gives no hint: %v", err)
	}
	return purser.KindOf(err)
}

// Capacity ends by place, type and option, and comes back as machines go.
func TestCapacityRunsOutAndReturns(t *testing.T) {
	now := newClock()
	cloud := fake.New(fake.Config{Now: now.now, StopTime: time.Minute, Capacity: map[string]int{"r1-a/big/spot": 2, "r1/*/on_demand": 1}})
	p := cloud.Provider("ours")
	if a, b, c := kindOf(p, of("a", spotOffer()), t), kindOf(p, of("b", spotOffer()), t), kindOf(p, of("c", spotOffer()), t); a != "" || b != "" || c != purser.KindNoCapacity {
		t.Fatalf("three spot machines where there are two: %q %q %q", a, b, c)
	}
	if d, e := kindOf(p, of("d", offer()), t), kindOf(p, of("e", offer()), t); d != "" || e != purser.KindNoCapacity {
		t.Fatalf("two on demand where there is one: %q %q", d, e)
	}
	if err := p.Terminate(t.Context(), purser.Lease{ID: "a"}); err != nil {
		t.Fatal(err)
	}
	if c := kindOf(p, of("c", spotOffer()), t); c != purser.KindNoCapacity {
		t.Fatalf("a machine that stops is still there, but: %q", c)
	}
	now.pass(time.Minute)
	if c := kindOf(p, of("c", spotOffer()), t); c != "" {
		t.Fatalf("capacity does not return: %q", c)
	}
	// Other pools of the request do as well.
	r := of("f", spotOffer())
	r.Pools = []purser.Offer{offer(), spotOffer(), {Provider: "fake", Region: "r2", InstanceType: "small", Option: purser.Spot, UnitPrice: 1}}
	if in, err := p.Launch(t.Context(), r); err != nil || in.Region != "r2" || in.InstanceType != "small" {
		t.Errorf("of the pools: %+v, %v", in, err)
	}
	if err := cloud.Turn(fake.Knobs{Capacity: map[string]int{"r1/*/on_demand": fake.NoEnd}}); err != nil || kindOf(p, of("e", offer()), t) != "" {
		t.Errorf("without an end: %v", err)
	}
}

func TestQuotaIsNotCapacity(t *testing.T) {
	for name, c := range map[string]struct {
		quota purser.Quota
		fit   int // machines
	}{
		"machines": {purser.Quota{Name: "q", Unit: purser.QuotaMachines, Limit: 3}, 3},
		"vcpus":    {purser.Quota{Name: "q", Unit: purser.QuotaVCPUs, Limit: 20}, 2},
		"devices":  {purser.Quota{Name: "q", Unit: purser.QuotaDevices, Limit: 16, Accelerator: "T4"}, 4},
		"others":   {purser.Quota{Name: "q", Unit: purser.QuotaMachines, Limit: 0, Option: purser.OnDemand}, 5},
	} {
		t.Run(name, func(t *testing.T) {
			cloud := fake.New(fake.Config{Quotas: []purser.Quota{c.quota}, Capacity: map[string]int{"big": 5}})
			o := spotOffer()
			o.Shape = purser.Shape{Accelerator: "T4", Devices: 4000, MilliCPU: 8000}
			fit := 0
			kind := purser.Kind("")
			for i := range 6 {
				// The quota is the account's: it counts the machines of others too.
				r := of(fmt.Sprintf("l%d", i), o)
				r.Installation = []string{"ours", "theirs"}[i%2]
				r.Token = providers.ClientToken(r.Installation, r.Lease)
				if kind = kindOf(cloud.Provider(r.Installation), r, t); kind != "" {
					break
				}
				fit++
			}
			want := purser.KindQuota
			if c.fit == 5 {
				want = purser.KindNoCapacity
			}
			if fit != c.fit || kind != want {
				t.Errorf("%d machines fit, then %q; want %d, then %s", fit, kind, c.fit, want)
			}
			h, err := cloud.Provider("ours").Quotas(t.Context())
			if err != nil || len(h.Quotas) != 1 || (c.fit < 5 && h.Used["q"] == 0) || h.Used["q"] > max(c.quota.Limit, 0) {
				t.Errorf("quotas: %+v, %v", h, err)
			}
		})
	}
}

func TestReservations(t *testing.T) {
	now := newClock()
	held := offer()
	held.Option = purser.Reserved
	config := fake.Config{
		Now: now.now, Offers: []purser.Offer{offer()}, Spot: fake.Spot{Notice: time.Minute},
		Reserved: []providers.Reservation{{ID: "r", Offer: held, Total: 1, From: now.now().Add(time.Hour), Until: now.now().Add(3 * time.Hour)}},
	}
	cloud := fake.New(config)
	p := cloud.Provider("ours")
	if k := kindOf(p, of("a", held), t); k != purser.KindNoCapacity {
		t.Fatalf("before its beginning: %q", k)
	}
	if k := kindOf(p, of("a", spotOffer()), t); k != purser.KindInvalid {
		t.Fatalf("what the price list lacks: %q", k)
	}
	now.pass(time.Hour)
	if a, b := kindOf(p, of("a", held), t), kindOf(p, of("b", held), t); a != "" || b != purser.KindNoCapacity {
		t.Fatalf("one was bought: %q %q", a, b)
	}
	if h, err := p.Quotas(t.Context()); err != nil || len(h.Reserved) != 1 || h.Reserved[0].Free != 0 || h.Reserved[0].Offer.Limit != 0 {
		t.Errorf("headroom: %+v, %v", h, err)
	}
	now.pass(2*time.Hour - time.Minute)
	if in, err := p.Describe(t.Context(), purser.Lease{ID: "a"}); err != nil || in.State != providers.Stopping || in.Reason == "" {
		t.Errorf("a minute before its end: %+v, %v", in, err)
	}
	now.pass(time.Minute)
	if in, err := p.Describe(t.Context(), purser.Lease{ID: "a"}); err != nil || in.State != providers.Gone {
		t.Errorf("at its end: %+v, %v", in, err)
	}
}

// A throttled call says when the next one will do, and then it does.
func TestThrottling(t *testing.T) {
	now := newClock()
	cloud := fake.New(fake.Config{Now: now.now, Calls: fake.Calls{Limits: map[string]fake.Limit{fake.List: {PerSecond: 0.5, Burst: 2}}}})
	for name, p := range map[string]providers.Provider{"here": cloud.Provider("ours"), "there": dial(t, newSky(t).add(cloud), "ours", nil)} {
		for range 2 {
			if _, err := p.List(t.Context()); err != nil {
				t.Fatalf("%s: within the burst: %v", name, err)
			}
		}
		_, err := p.List(t.Context())
		e, ok := err.(*purser.Error) //nolint:errorlint // the error itself
		if !ok || e.Kind != purser.KindThrottled || e.RetryAfter != 2*time.Second {
			t.Fatalf("%s: beyond the burst: %#v", name, err)
		}
		if _, err := p.Describe(t.Context(), purser.Lease{ID: "a"}); purser.KindOf(err) != purser.KindNotFound {
			t.Errorf("%s: another call: %v", name, err)
		}
		now.pass(e.RetryAfter - time.Millisecond)
		if _, err := p.List(t.Context()); purser.KindOf(err) != purser.KindThrottled {
			t.Errorf("%s: too early: %v", name, err)
		}
		now.pass(time.Millisecond)
		if _, err := p.List(t.Context()); err != nil {
			t.Errorf("%s: as it was told: %v", name, err)
		}
		now.pass(time.Minute)
	}
}

// What goes wrong by lot goes wrong at its share.
func TestCallsAreLostAtTheirShare(t *testing.T) {
	cloud := fake.New(fake.Config{Seed: 3, Calls: fake.Calls{LoseBefore: 0.1, LoseAfter: 0.2}})
	p := cloud.Provider("ours")
	const n = 2000
	failed := 0
	for i := range n {
		if k := kindOnly(p, of(fmt.Sprintf("l%d", i), offer()), t); k == purser.KindUnavailable {
			failed++
		} else if k != "" {
			t.Fatalf("launch: %s", k)
		}
	}
	made := len(cloud.Machines())
	if got := float64(failed) / n; math.Abs(got-0.28) > 0.04 {
		t.Errorf("%.3f of the launches failed; want 0.1 + 0.9·0.2", got)
	}
	if got := float64(made) / n; math.Abs(got-0.9) > 0.03 {
		t.Errorf("%.3f of the launches had an effect; want 0.9", got)
	}
}

func kindOnly(p providers.Provider, r providers.Request, t *testing.T) purser.Kind {
	t.Helper()
	if _, err := p.Launch(t.Context(), r); err != nil {
		return purser.KindOf(err)
	}
	return ""
}

// Machines under a constant hazard live as long as the exponential law says, whatever
// the hazard changes to and how often anybody looks.
func TestHazard(t *testing.T) {
	now := newClock()
	cloud := fake.New(fake.Config{Now: now.now, Seed: 7, Spot: fake.Spot{Hazards: map[string]float64{"big": 0.5}}})
	p := cloud.Provider("ours")
	const n = 2000
	for i := range n {
		if k := kindOnly(p, of(fmt.Sprintf("l%d", i), spotOffer()), t); k != "" {
			t.Fatal(k)
		}
	}
	if k := kindOnly(p, of("steady", offer()), t); k != "" {
		t.Fatal(k)
	}
	left := func() float64 {
		all, err := p.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return float64(len(all)-1) / n
	}
	now.pass(time.Hour)
	if got := left(); math.Abs(got-math.Exp(-0.5)) > 0.035 {
		t.Errorf("after an hour %.3f are left, want e^-0.5", got)
	}
	if err := cloud.Turn(fake.Knobs{Hazards: map[string]float64{"big": 2}}); err != nil {
		t.Fatal(err)
	}
	now.pass(time.Hour)
	if got := left(); math.Abs(got-math.Exp(-2.5)) > 0.02 {
		t.Errorf("after another at 2 %.3f are left, want e^-2.5", got)
	}
	if len(cloud.Live("steady")) != 1 {
		t.Error("a machine on demand was taken back")
	}
}

func TestSpotPricesMoveAndStayBelowOnDemand(t *testing.T) {
	now := newClock()
	config := fake.Config{Now: now.now, Seed: 1, Spot: fake.Spot{Swing: 0.3}}
	fake.BuiltIn(fake.Name).Into(&config)
	cloud, again := fake.New(config), fake.New(config)
	config.Seed = 2
	other := fake.New(config)
	list := func(c *fake.Cloud) map[purser.OfferID]purser.Offer {
		offers, err := c.Provider("ours").Offers(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		out := map[purser.OfferID]purser.Offer{}
		for _, o := range offers {
			if err := o.Check(); err != nil {
				t.Fatal(err)
			}
			out[o.ID()] = o
		}
		return out
	}
	before := list(cloud)
	moved := 0
	for range 48 {
		now.pass(time.Hour)
		for id, o := range list(cloud) {
			if o.UnitPrice != before[id].UnitPrice {
				if moved++; o.Option != purser.Spot || !o.ValidFrom.Equal(now.now()) {
					t.Fatalf("%s moved: %+v", id, o)
				}
			}
			onDemand := o
			onDemand.Zone, onDemand.Option = "", purser.OnDemand
			if o.UnitPrice > before[onDemand.ID()].UnitPrice {
				t.Errorf("%s costs %s, more than on demand", id, o.UnitPrice)
			}
		}
	}
	if moved < 48*10 {
		t.Errorf("prices moved %d times", moved)
	}
	a, b, c := list(cloud), list(again), list(other)
	differ := 0
	for id := range a {
		if a[id].UnitPrice != b[id].UnitPrice {
			t.Errorf("the same seed gives %s and %s for %s, looked at hourly and once", a[id].UnitPrice, b[id].UnitPrice, id)
		}
		if a[id].UnitPrice != c[id].UnitPrice {
			differ++
		}
	}
	if differ < 10 {
		t.Errorf("another seed differs in %d offers", differ)
	}
}

// The same seed and calls are the same history, byte for byte, however often anybody
// looks in between.
func TestSameSeedSameMarket(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		steps := rapid.SliceOfN(rapid.IntRange(0, 9), 1, 40).Draw(t, "steps")
		looks := rapid.SliceOfN(rapid.IntRange(1, 9), len(steps), len(steps)).Draw(t, "looks")
		seed := rapid.Uint64().Draw(t, "seed")
		history := func(seed uint64, often bool) string {
			now := newClock()
			var log strings.Builder
			config := fake.Config{
				Now: now.now, Seed: seed, BootTime: time.Minute, StopTime: 30 * time.Second, Calls: fake.Calls{Duplicates: 0.5},
				Capacity: map[string]int{"r1-a/big/spot": 5},
				Spot: fake.Spot{
					Hazards: map[string]float64{"": 1.5}, Notice: 2 * time.Minute, Swing: 0.2,
					Trace: []fake.TraceRow{{At: 40 * time.Minute, Zone: "r1-a", InstanceType: "big", Available: 2}, {At: 90 * time.Minute, Zone: "*", InstanceType: "*", Available: 6, Preempted: 1}},
				},
				Log: func(e fake.Event) { b, _ := json.Marshal(e); log.Write(append(b, '\n')) },
			}
			cloud := fake.New(config)
			p := cloud.Provider("ours")
			for i, s := range steps {
				switch {
				case s < 6:
					_, _ = p.Launch(t.Context(), of(fmt.Sprintf("l%d", i), spotOffer()))
				case s == 6:
					_ = p.Terminate(t.Context(), purser.Lease{ID: purser.LeaseID(fmt.Sprintf("l%d", i/2))})
				}
				pause := time.Duration(s+1) * 3 * time.Minute
				if often {
					for range looks[i] {
						now.pass(pause / 18 / time.Duration(looks[i]))
						_, _ = p.List(t.Context())
						_ = cloud.Tick()
					}
					pause -= pause / 18 / time.Duration(looks[i]) * time.Duration(looks[i])
				}
				now.pass(pause)
			}
			_ = cloud.Tick()
			return log.String()
		}
		if a, b := history(seed, false), history(seed, true); a != b {
			t.Fatalf("not looked at:\n%s\nlooked at:\n%s", a, b)
		}
	})
}

// Whoever drives a cloud that is another process turns the same knobs.
func TestKnobsOverTheWire(t *testing.T) {
	cloud := fake.New(fake.Config{Quotas: []purser.Quota{{Name: "q", Limit: 10, Unit: purser.QuotaMachines}}})
	c := dial(t, newSky(t).add(cloud), "ours", nil)
	launch := func(id string, want purser.Kind) {
		t.Helper()
		if k := kindOnly(c, of(id, spotOffer()), t); k != want {
			t.Errorf("launch of %s: %q, want %q", id, k, want)
		}
	}
	turn := func(k fake.Knobs) {
		t.Helper()
		if err := c.Turn(t.Context(), k); err != nil {
			t.Fatal(err)
		}
	}
	launch("a", "")
	turn(fake.Knobs{
		Lose: map[string]int{fake.Launch: 1}, Half: 1,
		Fail: map[string][]fake.Failed{fake.Launch: {{Kind: purser.KindThrottled, Message: "slowly", RetryAfterSeconds: 2}}, fake.Interruptions: {{Kind: purser.KindForbidden, Message: "no"}}},
	})
	launch("b", purser.KindThrottled)
	launch("b", purser.KindUnavailable) // half done
	if left := cloud.Leavings("ours"); len(left) != 1 {
		t.Errorf("left over: %v", left)
	}
	if n, err := c.Sweep(t.Context(), time.Hour); n != 0 || err != nil {
		t.Errorf("a sweep of what is older: %d, %v", n, err)
	}
	if n, err := c.Sweep(t.Context(), 0); n != 1 || err != nil || len(cloud.Leavings("ours")) != 0 {
		t.Errorf("a sweep: %d, %v, left %v", n, err, cloud.Leavings("ours"))
	}
	launch("b", purser.KindUnavailable) // its answer is lost
	launch("b", "")
	if err := c.Interruptions(t.Context(), newEars().hear); purser.KindOf(err) != purser.KindForbidden {
		t.Errorf("Interruptions: %v", err)
	}
	turn(fake.Knobs{Quotas: []purser.Quota{{Name: "q", Limit: 2, Unit: purser.QuotaMachines}}})
	launch("c", purser.KindQuota)
	turn(fake.Knobs{Quotas: []purser.Quota{{Name: "q", Limit: 3, Unit: purser.QuotaMachines}}, Capacity: map[string]int{"big": 2}})
	launch("c", purser.KindNoCapacity)
	turn(fake.Knobs{Kill: []purser.LeaseID{"a"}})
	launch("c", "")
	if in, err := c.Describe(t.Context(), purser.Lease{ID: "a"}); err != nil || in.State != providers.Gone || in.Reason != "its hardware failed" {
		t.Errorf("killed: %+v, %v", in, err)
	}
}

func TestKnobsTellWhatIsWrong(t *testing.T) {
	cloud := fake.New(fake.Config{})
	for name, k := range map[string]fake.Knobs{
		"capacity": {Capacity: map[string]int{"x": -2}},
		"hazard":   {Hazards: map[string]float64{"x": math.NaN()}},
		"quota":    {Quotas: []purser.Quota{{Name: "q", Limit: -1, Unit: purser.QuotaVCPUs}}},
		"notice":   {Preempt: []fake.Preemption{{Lease: "a", NoticeSeconds: -1}}},
		"lose":     {Lose: map[string]int{fake.List: -1}},
		"no call":  {Lose: map[string]int{"reboot": 1}},
		"fail":     {Fail: map[string][]fake.Failed{"reboot": {{Kind: purser.KindQuota}}}},
		"no kind":  {Fail: map[string][]fake.Failed{fake.List: {{Message: "x"}}}},
		"half":     {Half: -1},
	} {
		if err := cloud.Turn(k); purser.KindOf(err) != purser.KindInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}
