package azure_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"purser"
	"purser/providers"
	"purser/providers/azure"
	"purser/providers/providertest"
)

func offer(size string, option purser.PurchaseOption) purser.Offer {
	return purser.Offer{
		Provider: "azure", Region: "eastus", Zone: "1", InstanceType: size, Option: option, UnitPrice: purser.USDPerHour(3_673_000_000),
		Shape: purser.Shape{Accelerator: "A100-80GB", Devices: 1000, MilliCPU: 24_000, MemoryMiB: 220 << 10}, Limit: purser.Unlimited,
	}
}

const a100 = "Standard_NC24ads_A100_v4"

func request(id string, o purser.Offer) providers.Request {
	l := purser.Lease{ID: purser.LeaseID(id), Offer: o, Holder: "azure", State: purser.LeaseLaunching, Attempt: 1}
	return providers.Request{
		Lease: l, Installation: "test", Token: providers.ClientToken("test", l), JoinToken: "join-" + id, ServerURL: "https://purser.example:8443",
		AgentSHA256: map[string]string{"amd64": strings.Repeat("0", 64), "arm64": strings.Repeat("1", 64)},
	}
}

// withAgent gives the conformance suite's requests the checksums that a server has.
type withAgent struct{ *azure.Provider }

func (p withAgent) Launch(ctx context.Context, r providers.Request) (providers.Instance, error) {
	if r.AgentSHA256 == nil {
		r.AgentSHA256 = map[string]string{"amd64": strings.Repeat("0", 64)}
	}
	return p.Provider.Launch(ctx, r)
}

func TestConformance(t *testing.T) {
	h := newHub(t, true)
	for name, set := range map[string]func(*fakeCloud){
		"prompt":            func(*fakeCloud) {},
		"slow to show":      func(c *fakeCloud) { c.lag = 35 * time.Second },
		"cards that linger": func(c *fakeCloud) { c.slowCards = true },
	} {
		t.Run(name, func(t *testing.T) {
			providertest.Run(t, func(t *testing.T) providertest.Subject {
				c := h.cloud()
				c.step = 5 * time.Second
				set(c)
				t.Cleanup(func() { noOddCalls(t, c) })
				another := func(installation string) providers.Provider {
					return withAgent{h.provider(t, c, func(cfg *azure.Config) { cfg.Installation, cfg.Patience = installation, 2*time.Millisecond })}
				}
				again := func() providers.Provider { return another("test") }
				return providertest.Subject{Provider: again(), Installation: "test", Again: again, Other: another, Offer: offer(a100, purser.Spot)}
			})
		})
	}
}

func noOddCalls(t *testing.T, c *fakeCloud) {
	t.Helper()
	c.locked(func() {
		if len(c.odd) > 0 {
			t.Errorf("Azure has no such calls: %v", c.odd)
		}
	})
}

// lives counts the machines of each lease that cost money, and notes the ones that came
// after an end that the adapter had confirmed.
type lives struct {
	*fakeCloud
	mu    sync.Mutex
	ended map[purser.LeaseID]int // machines that had been made by then
}

// ending tells lives of every end that was confirmed.
type ending struct {
	*azure.Provider
	lives *lives
}

func (e ending) Terminate(ctx context.Context, l purser.Lease) error {
	err := e.Provider.Terminate(ctx, l)
	if err == nil {
		e.lives.mu.Lock()
		defer e.lives.mu.Unlock()
		e.lives.locked(func() { e.lives.ended[l.ID] = e.lives.made[l.ID] })
	}
	return err
}

func (l *lives) count(t *testing.T) map[purser.LeaseID]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := map[purser.LeaseID]int{}
	l.locked(func() {
		for _, m := range l.vms {
			out[purser.LeaseID(m.body.Tags["purser-lease"])]++
		}
		for id, n := range l.made {
			if before, ok := l.ended[id]; ok && n > before {
				t.Errorf("lease %s got a machine after its end", id)
			}
		}
	})
	return out
}

func TestStorm(t *testing.T) {
	h := newHub(t, false)
	schedules := 0
	providertest.Storm(t, func(t *testing.T) providertest.World {
		schedules++
		l := &lives{fakeCloud: h.cloud(), ended: map[purser.LeaseID]int{}}
		l.lag = []time.Duration{0, 0, 20 * time.Second, 50 * time.Second}[schedules%4]
		l.slowCards = schedules%3 == 0
		return providertest.World{
			Provider: func(f *providertest.Faults) providers.Provider {
				p, err := azure.New(h.config(l.fakeCloud, f.RoundTripper(h.Client().Transport)))
				if err != nil {
					t.Fatal(err)
				}
				return ending{p, l}
			},
			Live:         func() map[purser.LeaseID]int { return l.count(t) },
			Leavings:     l.leavings,
			Pass:         l.pass,
			Installation: "test",
			Offers:       []purser.Offer{offer(a100, purser.Spot), offer(a100, purser.OnDemand), regional()},
		}
	}, providertest.StormOptions{})
}

func regional() purser.Offer {
	return purser.Offer{
		Provider: "azure", Region: "westus2", InstanceType: "Standard_D4ps_v5", Option: purser.Spot, UnitPrice: 30_000_000,
		Shape: purser.Shape{MilliCPU: 4000, MemoryMiB: 16 << 10}, Limit: purser.Unlimited,
	}
}

// leavings are cards and disks without a machine.
func (c *fakeCloud) leavings() (left []string) {
	c.locked(func() {
		for name, card := range c.cards {
			if c.vms[card.machine] == nil {
				left = append(left, name)
			}
		}
		for name, d := range c.disks {
			if c.vms[d.machine] == nil {
				left = append(left, name)
			}
		}
		if len(c.odd) > 0 {
			left = append(left, fmt.Sprint("odd calls: ", c.odd))
		}
	})
	return left
}
