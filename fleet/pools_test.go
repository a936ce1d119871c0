package fleet_test

import (
	"context"
	"testing"
	"time"

	"purser"
	"purser/fleet"
	"purser/providers"
	"purser/providers/fake"
)

// A launch that is repeated comes with the pools of the first call, whatever prices do
// meanwhile: other parameters would be another launch.
func TestRepeatedLaunchesHaveTheSamePools(t *testing.T) {
	asked := 0
	seen := map[string]int{}
	b := newBench(t, fake.Config{}, func(c *fleet.Config) {
		c.Pools = func(context.Context, purser.Lease) ([]purser.Offer, error) {
			asked++
			return []purser.Offer{{Provider: "fake", Zone: []string{"a", "b", "c"}[asked-1]}}, nil
		}
		for name, p := range c.Providers {
			c.Providers[name] = noting{p, seen}
		}
	})
	b.lease("a", nil)
	b.step("a")
	b.cloud.LoseNext(fake.Launch, 2)
	for range 3 {
		b.step("a")
		b.at = b.at.Add(5 * time.Second)
	}
	if asked != 1 || len(seen) != 1 || seen["a"] < 2 {
		t.Errorf("asked for pools %d times; launched with %v", asked, seen)
	}
}

// noting notes the zones of the pools that launches come with.
type noting struct {
	providers.Provider
	seen map[string]int
}

func (n noting) Launch(ctx context.Context, r providers.Request) (providers.Instance, error) {
	for _, o := range r.Pools {
		n.seen[o.Zone]++
	}
	r.Pools = nil
	return n.Provider.Launch(ctx, r)
}

// A machine that stops and is never gone is told to end again.
func TestAMachineThatNeverStopsIsToldAgain(t *testing.T) {
	told := 0
	b := newBench(t, fake.Config{StopTime: time.Hour}, func(c *fleet.Config) {
		for name, p := range c.Providers {
			c.Providers[name] = counting{p, &told}
		}
	})
	b.lease("a", nil)
	b.step("a")
	b.step("a")
	b.at = b.at.Add(time.Hour) // it does not join
	for range 4 {
		b.step("a")
	}
	b.is("a", purser.LeaseDraining, "did not join")
	if told != 1 {
		t.Errorf("told %d times to begin with", told)
	}
	b.at = b.at.Add(5 * time.Minute)
	b.step("a")
	if told != 2 {
		t.Errorf("told %d times after five minutes", told)
	}
}

type counting struct {
	providers.Provider
	told *int
}

func (c counting) Terminate(ctx context.Context, l purser.Lease) error {
	*c.told++
	return c.Provider.Terminate(ctx, l)
}

// What a cloud refuses after it took a launch on cools the offer as a refusal at once.
func TestALateRefusalKeepsItsKind(t *testing.T) {
	b := newBench(t, fake.Config{}, func(c *fleet.Config) {
		for name, p := range c.Providers {
			c.Providers[name] = late{p}
		}
	})
	b.lease("a", nil)
	for range 3 {
		b.step("a")
	}
	b.is("a", purser.LeaseFailed, "no_capacity: none is left")
}

// late takes every launch on and refuses it later.
type late struct{ providers.Provider }

func (l late) Describe(context.Context, purser.Lease) (providers.Instance, error) {
	return providers.Instance{ID: "m", State: providers.Gone, Reason: "none is left", Refused: purser.KindNoCapacity}, nil
}
