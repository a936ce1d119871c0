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

// What each notice does to a lease in each state, and that the same notice again does
// nothing.
func TestInterrupted(t *testing.T) {
	const why = "AWS will terminate the spot machine"
	for name, c := range map[string]struct {
		notice providers.Interruption
		from   purser.LeaseState
		to     purser.LeaseState
		reason string
	}{
		"preempted":               {providers.Interruption{Kind: providers.Preempted, Reason: why}, purser.LeaseRunning, purser.LeaseDraining, purser.ReasonTakenBack + ": " + why},
		"no reason given":         {providers.Interruption{Kind: providers.Preempted}, purser.LeaseRunning, purser.LeaseDraining, purser.ReasonTakenBack},
		"before its agent joined": {providers.Interruption{Kind: providers.Preempted, Reason: why}, purser.LeaseLaunching, purser.LeaseDraining, purser.ReasonTakenBack + ": " + why},
		"it has stopped":          {providers.Interruption{Kind: providers.Ended, Reason: why}, purser.LeaseRunning, purser.LeaseDraining, purser.ReasonTakenBack + ": " + why},
		"retired soon":            {providers.Interruption{Kind: providers.Retired, Reason: why, At: noon.Add(time.Minute)}, purser.LeaseRunning, purser.LeaseDraining, purser.ReasonTakenBack + ": " + why},
		"retired, no time given":  {providers.Interruption{Kind: providers.Retired, Reason: why}, purser.LeaseRunning, purser.LeaseDraining, purser.ReasonTakenBack + ": " + why},
		"retired in two weeks":    {providers.Interruption{Kind: providers.Retired, Reason: why, At: noon.AddDate(0, 0, 14)}, purser.LeaseRunning, purser.LeaseRunning, why},
		"rebalance":               {providers.Interruption{Kind: providers.Rebalance, Reason: "soon"}, purser.LeaseRunning, purser.LeaseRunning, "soon"},
		"rebalance, launching":    {providers.Interruption{Kind: providers.Rebalance, Reason: "soon"}, purser.LeaseLaunching, purser.LeaseLaunching, ""},
		"planned":                 {providers.Interruption{Kind: providers.Preempted, Reason: why}, purser.LeasePlanned, purser.LeasePlanned, ""},
		"it drains already":       {providers.Interruption{Kind: providers.Preempted, Reason: why}, purser.LeaseDraining, purser.LeaseDraining, "before"},
		"another machine":         {providers.Interruption{Kind: providers.Preempted, Instance: "i-other", Reason: why}, purser.LeaseRunning, purser.LeaseRunning, ""},
		"a word of tomorrow":      {providers.Interruption{Kind: "dance", Reason: why}, purser.LeaseRunning, purser.LeaseRunning, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, fake.Config{}, nil)
			b.at = noon
			b.lease("a", func(l *purser.Lease) {
				l.State, l.Instance, l.Attempt = c.from, "i-a", 1
				if c.from == purser.LeaseDraining {
					l.Reason, l.DrainingAt = "before", b.at
				}
				if c.from != purser.LeasePlanned {
					l.LaunchedAt = b.at
				}
			})
			c.notice.Lease = "a"
			var fence int64
			for i := range 3 {
				if err := b.fleet.Interrupted(context.Background(), c.notice); err != nil {
					t.Fatal(err)
				}
				l := b.store.leases["a"]
				if l.State != c.to || l.Reason != c.reason {
					t.Fatalf("the lease is %s (%q), want %s (%q)", l.State, l.Reason, c.to, c.reason)
				}
				if i > 0 && l.Fence != fence {
					t.Fatal("the same notice again changed the lease")
				}
				fence = l.Fence
			}
		})
	}
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// The machine tells first, its provider after it, and then lists it as stopping: one
// drain, and its task is in the queue again.
func TestTakenBackOnceWhoeverTells(t *testing.T) {
	b := newBench(t, fake.Config{}, nil)
	b.running("a")
	ctx := context.Background()
	if err := b.fleet.Interrupted(ctx, providers.Interruption{Lease: "a", Kind: providers.Rebalance, Reason: "soon"}); err != nil {
		t.Fatal(err)
	}
	for _, n := range []providers.Interruption{
		{Lease: "a", Kind: providers.Preempted, Reason: "says the machine"},
		{Lease: "a", Kind: providers.Preempted, Reason: "says the provider"},
		{Lease: "a", Kind: providers.Rebalance, Reason: "late"},
		{Lease: "none", Kind: providers.Preempted, Reason: "of nobody"},
	} {
		if err := b.fleet.Interrupted(ctx, n); err != nil {
			t.Fatal(err)
		}
	}
	b.cloud.Preempt("a", 30*time.Second)
	if r := b.reconcile(); r.Draining != 0 {
		t.Errorf("reconcile drained it again: %+v", r)
	}
	b.is("a", purser.LeaseDraining, "its machine is being taken back: says the machine")
	for range 200 { // agent and machine end
		if b.store.leases["a"].State.Ended() {
			break
		}
		b.at = b.at.Add(time.Second)
		b.step("a")
	}
	b.is("a", purser.LeaseReleased, "says the machine")
	if task := b.store.tasks["task-of-a"]; task.State != purser.TaskQueued && task.State != purser.TaskLost {
		t.Errorf("its task is %s", task.State)
	}
	if err := b.fleet.Interrupted(ctx, providers.Interruption{Lease: "a", Kind: providers.Ended, Reason: "afterwards"}); err != nil {
		t.Fatal(err)
	}
	b.is("a", purser.LeaseReleased, "says the machine")
}

// A store that fails is the caller's to try again: the cloud keeps the notice.
func TestInterruptedWithoutAStore(t *testing.T) {
	b := newBench(t, fake.Config{}, func(c *fleet.Config) { c.Store = downStore{c.Store} })
	b.running("a")
	err := b.fleet.Interrupted(context.Background(), providers.Interruption{Lease: "a", Kind: providers.Preempted})
	if purser.KindOf(err) != purser.KindUnavailable {
		t.Errorf("%v", err)
	}
}

type downStore struct{ fleet.Store }

func (downStore) Advance(context.Context, purser.LeaseID, string, func(purser.Lease) (purser.Transition, error)) (purser.Lease, error) {
	return purser.Lease{}, purser.Errorf(purser.KindUnavailable, "store", "it is away")
}

// New machines are told the checksums of the agent's program.
func TestLaunchCarriesTheChecksums(t *testing.T) {
	sums := map[string]string{"amd64": "00"}
	seen := &asked{}
	b := newBench(t, fake.Config{}, func(c *fleet.Config) {
		seen.Provider, c.AgentSHA256 = c.Providers["cloud"], sums
		c.Providers = map[string]providers.Provider{"cloud": seen}
	})
	b.lease("a", nil)
	b.step("a")
	b.step("a")
	if seen.request.AgentSHA256["amd64"] != "00" || seen.request.JoinToken == "" || seen.request.ServerURL == "" {
		t.Errorf("asked for %+v", seen.request)
	}
}

type asked struct {
	providers.Provider
	request providers.Request
}

func (a *asked) Launch(ctx context.Context, r providers.Request) (providers.Instance, error) {
	a.request = r
	return a.Provider.Launch(ctx, r)
}

// A join token outlives every launch that may still succeed, and nothing else.
func TestJoinBy(t *testing.T) {
	b := newBench(t, fake.Config{}, nil)
	if by := b.fleet.JoinBy(purser.Lease{LaunchedAt: noon, Holder: "cloud"}); !by.Equal(noon.Add(15 * time.Minute)) {
		t.Errorf("of a cloud: %s", by)
	}
	if by := b.fleet.JoinBy(purser.Lease{LaunchedAt: noon, Holder: "local"}); !by.Equal(noon.Add(11 * time.Minute)) {
		t.Errorf("of this host: %s", by)
	}
}
