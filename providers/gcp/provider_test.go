package gcp

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"purser"
	"purser/providers"
	"purser/providers/providertest"
)

const installation = "test-1"

// config is for a provider of the world; its waits make the world's time go by.
func (c *cloud) config(w *world, project string, transport http.RoundTripper) Config {
	if transport == nil {
		transport = c.server.Client().Transport
	}
	return Config{
		Project: project, Installation: installation, Endpoint: c.server.URL, HTTPClient: &http.Client{Transport: transport},
		Now: w.clock,
		Wait: func(ctx context.Context, d time.Duration) error {
			w.pass(d)
			return ctx.Err()
		},
	}
}

func (c *cloud) provider(t testing.TB, w *world, change ...func(*Config)) *Provider {
	t.Helper()
	conf := c.config(w, "proj", nil)
	for _, f := range change {
		f(&conf)
	}
	p, err := New(conf)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func gpuOffer() purser.Offer {
	return purser.Offer{
		Provider: "gcp", Region: "us-central1", Zone: "us-central1-a", InstanceType: "g2-standard-4", Option: purser.Spot,
		Shape: purser.Shape{Accelerator: "L4", Devices: 1000, MilliCPU: 4000, MemoryMiB: 16384}, UnitPrice: 280_000_000, Limit: purser.Unlimited,
	}
}

func tpuOffer() purser.Offer {
	return purser.Offer{
		Provider: "gcp", Region: "us-east5", Zone: "us-east5-b", InstanceType: "v6e-4", Option: purser.Spot,
		Shape: purser.Shape{Accelerator: "TPU-V6E", Devices: 4000, MilliCPU: 180_000, MemoryMiB: 720 * 1024}, UnitPrice: 1_000_000_000, Limit: purser.Unlimited,
	}
}

func with(o purser.Offer, change func(*purser.Offer)) purser.Offer {
	change(&o)
	return o
}

// sums gives requests the agent's checksums, which the suite's have none of.
type sums struct{ *Provider }

func (s sums) Launch(ctx context.Context, r providers.Request) (providers.Instance, error) {
	r.AgentSHA256 = map[string]string{"amd64": strings.Repeat("0", 64)}
	return s.Provider.Launch(ctx, r)
}

func TestConformance(t *testing.T) {
	whole := func(o purser.Offer) purser.Offer { return with(o, func(o *purser.Offer) { o.Zone = "" }) }
	for name, offer := range map[string]purser.Offer{"machines": gpuOffer(), "machines of a region": whole(gpuOffer()), "tpus": tpuOffer(), "tpus of a region": whole(tpuOffer())} {
		t.Run(name, func(t *testing.T) {
			c := newCloud(t)
			providertest.Run(t, func(t *testing.T) providertest.Subject {
				w := c.world("proj")
				w.tick, w.hidden = time.Second, 1500*time.Millisecond
				made := func(tag string) providers.Provider {
					return sums{c.provider(t, w, func(c *Config) { c.Installation = tag })}
				}
				return providertest.Subject{
					Provider: made(installation), Installation: installation, Offer: offer,
					Again: func() providers.Provider { return made(installation) }, Other: made,
				}
			})
		})
	}
}

func storm(t *testing.T, offers ...purser.Offer) {
	c := newCloud(t)
	n := 0
	begun := time.Now()
	providertest.Storm(t, func(t *testing.T) providertest.World {
		n++
		project := fmt.Sprintf("proj-%d", n)
		w := c.world(project)
		w.hidden, w.lag, w.leaveDisks = 300*time.Millisecond, 700*time.Millisecond, true
		return providertest.World{
			Provider: func(f *providertest.Faults) providers.Provider {
				p, err := New(c.config(w, project, f.RoundTripper(c.server.Client().Transport)))
				if err != nil {
					t.Fatal(err)
				}
				return p
			},
			Live: w.live, Leavings: w.leavings, Pass: w.pass, Installation: installation, Offers: offers,
		}
	}, providertest.StormOptions{})
	t.Logf("%s", time.Since(begun).Round(time.Millisecond))
}

func TestStormOfMachines(t *testing.T) {
	storm(t, gpuOffer(),
		with(gpuOffer(), func(o *purser.Offer) { o.Zone = "" }),
		with(gpuOffer(), func(o *purser.Offer) {
			o.InstanceType, o.Zone, o.Option = "n1-standard-8+T4x1", "us-central1-b", purser.OnDemand
		}),
	)
}

func TestStormOfTPUs(t *testing.T) {
	storm(t, tpuOffer(),
		with(tpuOffer(), func(o *purser.Offer) {
			o.InstanceType, o.Region, o.Zone, o.Option = "v5litepod-4", "us-central1", "", purser.OnDemand
		}),
	)
}
