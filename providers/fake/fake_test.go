package fake_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"purser"
	"purser/providers"
	"purser/providers/fake"
	"purser/providers/providertest"
)

func offer() purser.Offer {
	return purser.Offer{Provider: "fake", Region: "r1", InstanceType: "big", Option: purser.OnDemand, UnitPrice: purser.USDPerHourOf(1), Limit: purser.Unlimited}
}

func spotOffer() purser.Offer {
	o := offer()
	o.Zone, o.Option, o.UnitPrice = "r1-a", purser.Spot, purser.USDPerHourOf(0.4)
	return o
}

func TestConformance(t *testing.T) {
	for name, c := range map[string]fake.Config{
		"at once":  {},
		"in time":  {BootTime: 30 * time.Millisecond, StopTime: 30 * time.Millisecond},
		"capacity": {Capacity: map[string]int{"big": 3}},
	} {
		t.Run(name, func(t *testing.T) {
			providertest.Run(t, func(*testing.T) providertest.Subject {
				cloud := fake.New(c)
				return providertest.Subject{
					Provider: cloud.Provider("ours"), Installation: "ours", Offer: offer(), Patience: 5 * time.Second,
					Again: func() providers.Provider { return cloud.Provider("ours") },
					Other: func(name string) providers.Provider { return cloud.Provider(name) },
				}
			})
		})
	}
}

// The usual decorators change nothing about the contract.
func TestConformanceDecorated(t *testing.T) {
	providertest.Run(t, func(*testing.T) providertest.Subject {
		cloud := fake.New(fake.Config{})
		wrap := func(p providers.Provider) providers.Provider {
			return providers.Decorate(p, providers.Options{Limit: providers.RateLimit{PerSecond: 1000, Burst: 1000}})
		}
		return providertest.Subject{
			Provider: wrap(cloud.Provider("ours")), Installation: "ours", Offer: offer(), Patience: 5 * time.Second,
			Again: func() providers.Provider { return wrap(cloud.Provider("ours")) },
			Other: func(name string) providers.Provider { return wrap(cloud.Provider(name)) },
		}
	})
}

// stormy is a cloud for one schedule: calls go wrong on their way, and the first launch
// is left half done.
func stormy(cloud *fake.Cloud, now *clock, provider func(*providertest.Faults) providers.Provider) providertest.World {
	cloud.HalfNext(1)
	servers := 0
	return providertest.World{
		Provider: func(f *providertest.Faults) providers.Provider {
			if servers++; servers > 1 {
				cloud.HalfNext(0)
			}
			return provider(f)
		},
		Live: func() map[purser.LeaseID]int {
			live := map[purser.LeaseID]int{}
			for _, m := range cloud.Machines() {
				if m.State != providers.Gone {
					live[m.Lease]++
				}
			}
			return live
		},
		Leavings: func() []string { return cloud.Leavings("ours") },
		Pass:     now.pass, Installation: "ours", Offers: []purser.Offer{offer(), spotOffer()},
	}
}

func stormyConfig(now *clock) fake.Config {
	return fake.Config{Now: now.now, BootTime: time.Minute, StopTime: 30 * time.Second, Lag: 20 * time.Second}
}

// The suite that the other adapters pass, on a cloud whose calls go wrong as wholes.
func TestStorm(t *testing.T) {
	providertest.Storm(t, func(*testing.T) providertest.World {
		now := newClock()
		cloud := fake.New(stormyConfig(now))
		return stormy(cloud, now, func(f *providertest.Faults) providers.Provider { return f.Provider(cloud.Provider("ours")) })
	}, providertest.StormOptions{})
}

// clock is a virtual clock.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func request(id string) providers.Request {
	l := purser.Lease{ID: purser.LeaseID(id), Offer: offer(), Attempt: 1}
	return providers.Request{Lease: l, Installation: "ours", Token: providers.ClientToken("ours", l), JoinToken: "secret"}
}

func TestKnobs(t *testing.T) {
	ctx := t.Context()
	now := newClock()
	cloud := fake.New(fake.Config{Now: now.now, BootTime: time.Minute, StopTime: 10 * time.Second, Capacity: map[string]int{"big": 1}})
	p := cloud.Provider("ours")

	cloud.FailNext(fake.Launch, purser.Errorf(purser.KindThrottled, "x", "slowly"))
	if _, err := p.Launch(ctx, request("a")); purser.KindOf(err) != purser.KindThrottled || len(cloud.Machines()) != 0 {
		t.Fatalf("FailNext: %v, %v", err, cloud.Machines())
	}
	cloud.LoseNext(fake.Launch, 1)
	if _, err := p.Launch(ctx, request("a")); purser.KindOf(err) != purser.KindUnavailable || len(cloud.Machines()) != 1 {
		t.Fatalf("LoseNext: %v, %v", err, cloud.Machines())
	}
	if in, err := p.Launch(ctx, request("a")); err != nil || in.State != providers.Pending {
		t.Fatalf("Launch after a lost answer: %+v, %v", in, err)
	}
	if _, err := p.Launch(ctx, request("b")); purser.KindOf(err) != purser.KindNoCapacity {
		t.Fatalf("beyond the capacity: %v", err)
	}
	other := request("a")
	other.JoinToken = "another"
	if _, err := p.Launch(ctx, other); purser.KindOf(err) != purser.KindConflict {
		t.Fatalf("the same token with other parameters: %v", err)
	}
	now.pass(time.Minute)
	if in, _ := p.Describe(ctx, purser.Lease{ID: "a"}); in.State != providers.Running {
		t.Fatalf("after the boot time: %+v", in)
	}
	cloud.Preempt("a", 30*time.Second)
	if in, _ := p.Describe(ctx, purser.Lease{ID: "a"}); in.State != providers.Stopping || in.Reason == "" {
		t.Fatalf("preempted: %+v", in)
	}
	now.pass(30 * time.Second)
	if in, _ := p.Describe(ctx, purser.Lease{ID: "a"}); in.State != providers.Gone || len(cloud.Live("a")) != 0 {
		t.Fatalf("after the notice: %+v", in)
	}
	if in, err := p.Launch(ctx, request("b")); err != nil || in.State != providers.Pending {
		t.Fatalf("the capacity does not come back: %+v, %v", in, err)
	}
	cloud.Kill("b")
	if m := cloud.Machines()[1]; m.State != providers.Gone || !m.GoneAt.Equal(now.now()) {
		t.Fatalf("killed: %+v", m)
	}
}

func TestLag(t *testing.T) {
	ctx := t.Context()
	now := newClock()
	cloud := fake.New(fake.Config{Now: now.now, Lag: 20 * time.Second})
	p := cloud.Provider("ours")
	if _, err := p.Launch(ctx, request("a")); err != nil {
		t.Fatal(err)
	}
	all, _ := p.List(ctx)
	if _, err := p.Describe(ctx, purser.Lease{ID: "a"}); purser.KindOf(err) != purser.KindNotFound || len(all) != 0 {
		t.Fatalf("a new machine is seen at once: %v, %v", all, err)
	}
	now.pass(20 * time.Second)
	if in, err := p.Describe(ctx, purser.Lease{ID: "a"}); err != nil || in.State != providers.Running {
		t.Fatalf("after the lag: %+v, %v", in, err)
	}
	_ = p.Terminate(ctx, purser.Lease{ID: "a"})
	if in, _ := p.Describe(ctx, purser.Lease{ID: "a"}); in.State != providers.Running {
		t.Fatalf("the end is seen at once: %+v", in)
	}
	now.pass(20 * time.Second)
	if in, _ := p.Describe(ctx, purser.Lease{ID: "a"}); in.State != providers.Gone {
		t.Fatalf("the end after the lag: %+v", in)
	}
}

func TestForgetfulCloudGivesASecondMachine(t *testing.T) {
	cloud := fake.New(fake.Config{Forgetful: true})
	p := cloud.Provider("ours")
	for range 2 {
		if _, err := p.Launch(t.Context(), request("a")); err != nil {
			t.Fatal(err)
		}
		_ = p.Terminate(t.Context(), purser.Lease{ID: "a"})
	}
	if len(cloud.Machines()) != 2 {
		t.Fatalf("machines: %+v", cloud.Machines())
	}
	if _, err := p.Describe(t.Context(), purser.Lease{ID: "a"}); purser.KindOf(err) != purser.KindNotFound {
		t.Fatalf("Describe: %v", err)
	}
}

func TestHookFailsBeforeAndAfter(t *testing.T) {
	stop := errors.New("stop")
	for _, done := range []bool{false, true} {
		cloud := fake.New(fake.Config{Hook: func(_ context.Context, call string, lease purser.LeaseID, d bool) error {
			if call == fake.Launch && lease == "a" && d == done {
				return stop
			}
			return nil
		}})
		_, err := cloud.Provider("ours").Launch(t.Context(), request("a"))
		if !errors.Is(err, stop) || (len(cloud.Machines()) == 1) != done {
			t.Errorf("done=%v: %v, %v", done, err, cloud.Machines())
		}
	}
}
