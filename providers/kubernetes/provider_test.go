package kubernetes

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"purser"
	"purser/providers"
	"purser/providers/providertest"
)

const testInstallation = "inst-1"

// wire is the one transport of all tests.
var wire = &http.Transport{MaxIdleConnsPerHost: 64}

// provider makes a Provider on the cluster.
func (c *cluster) provider(t testing.TB, rt http.RoundTripper, more ...func(*Config)) *Provider {
	t.Helper()
	if rt == nil {
		rt = wire
	}
	dollar := purser.USDPerHour(1_000_000_000)
	config := Config{REST: c.rest(rt), Installation: testInstallation, DefaultPrice: &dollar, Now: c.Now}
	for _, m := range more {
		m(&config)
	}
	p, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func offersOf(t testing.TB, p *Provider) []purser.Offer {
	t.Helper()
	offers, err := p.Offers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return offers
}

func TestConformance(t *testing.T) {
	providertest.Run(t, func(t *testing.T) providertest.Subject {
		c := newCluster(t)
		for i := range 3 {
			c.set(*h100(fmt.Sprintf("n%d", i)))
		}
		p := c.provider(t, nil)
		return providertest.Subject{
			Provider: p, Installation: testInstallation, Offer: offersOf(t, p)[0],
			Again: func() providers.Provider { return c.provider(t, nil) },
			Other: func(name string) providers.Provider {
				return c.provider(t, nil, func(c *Config) { c.Installation = name })
			},
		}
	})
}

// world is a cluster with as many places as a storm has leases.
func world(t *testing.T, c *cluster) providertest.World {
	for i := range 3 {
		c.set(*h100(fmt.Sprintf("n%d", i)))
	}
	offers := offersOf(t, c.provider(t, nil))
	return providertest.World{
		Provider:     func(f *providertest.Faults) providers.Provider { return c.provider(t, f.RoundTripper(wire)) },
		Live:         c.live,
		Leavings:     c.leavings,
		Pass:         c.pass,
		Installation: testInstallation, Offers: offers,
	}
}

// live counts the claims of each lease that hold a place, whatever they are named.
func (c *cluster) live() map[purser.LeaseID]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := map[purser.LeaseID]int{}
	for _, m := range every[corev1.ConfigMap](c, "configmaps") {
		if claim, err := readClaim(m); err == nil && claim.State != claimEnding {
			out[claim.Lease]++
		}
	}
	return out
}

// leavings are places with more claims than they have room for.
func (c *cluster) leavings() (out []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	used := map[string]int64{}
	for _, m := range every[corev1.ConfigMap](c, "configmaps") {
		if claim, err := readClaim(m); err == nil && claim.State == claimHeld {
			used[claim.Part.Node] += claim.Part.Units
		}
	}
	for name, n := range used {
		if n > 8 {
			out = append(out, fmt.Sprintf("%s has claims on %d devices of 8", name, n))
		}
	}
	slices.Sort(out)
	return out
}

func TestStorm(t *testing.T) {
	begun := time.Now()
	providertest.Storm(t, func(t *testing.T) providertest.World { return world(t, newCluster(t)) }, providertest.StormOptions{})
	t.Logf("storm took %s", time.Since(begun).Round(time.Millisecond))
}

// Many launches at once, from several servers, on too few places: every place is taken
// once, and who gets none is told so.
func TestRace(t *testing.T) {
	const places, leases = 4, 10
	for round := range 20 {
		c := newCluster(t)
		for i := range places {
			c.set(*h100(fmt.Sprintf("n%d", i)))
		}
		p := c.provider(t, nil)
		offer := offersOf(t, p)[0]
		var mu sync.Mutex
		var wg sync.WaitGroup
		won := map[purser.LeaseID]int{}
		for i := range leases {
			for range 2 {
				p := c.provider(t, nil)
				wg.Go(func() {
					r := request(fmt.Sprintf("lease-%d-%d", round, i), offer)
					in, err := p.Launch(t.Context(), r)
					mu.Lock()
					defer mu.Unlock()
					if err == nil && in.State == providers.Running {
						won[r.Lease.ID]++
					} else if purser.KindOf(err) != purser.KindNoCapacity && purser.KindOf(err) != purser.KindUnavailable {
						t.Errorf("Launch(%s): %+v, %v", r.Lease.ID, in, err)
					}
				})
			}
		}
		wg.Wait()
		if over := c.leavings(); len(over) > 0 || len(won) != places {
			t.Fatalf("round %d: %d leases have places, of %d; too much: %v", round, len(won), places, over)
		}
	}
}

func request(id string, o purser.Offer) providers.Request {
	l := purser.Lease{ID: purser.LeaseID(id), Offer: o, Holder: Name, State: purser.LeaseLaunching, Attempt: 1}
	return providers.Request{
		Lease: l, Installation: testInstallation, Token: providers.ClientToken(testInstallation, l), JoinToken: "join-" + id, ServerURL: "http://127.0.0.1:1",
	}
}
