package fleet_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"purser"
	"purser/fleet"
	"purser/providers"
	"purser/providers/fake"
)

// bench is one fleet, one cloud and a clock that only tests move.
type bench struct {
	*testing.T
	at    time.Time
	store *memory
	cloud *fake.Cloud
	fleet *fleet.Fleet
}

func newBench(t *testing.T, c fake.Config, change func(*fleet.Config)) *bench {
	b := &bench{T: t, at: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)}
	now := func() time.Time { return b.at }
	b.store = newMemory(now)
	c.Name, c.Now = "cloud", now
	b.cloud = fake.New(c)
	config := fleet.Config{
		Store: b.store, Upkeep: b.store, Providers: map[string]providers.Provider{"cloud": b.cloud.Provider("ours")},
		Installation: "ours", Secret: []byte("0123456789abcdef"), ServerURL: "http://server", Logger: slog.New(slog.DiscardHandler), Now: now,
	}
	if change != nil {
		change(&config)
	}
	var err error
	if b.fleet, err = fleet.New(config); err != nil {
		t.Fatal(err)
	}
	return b
}

// lease puts a lease with work for it into the store.
func (b *bench) lease(id purser.LeaseID, change func(*purser.Lease)) {
	l := purser.Lease{ID: id, Offer: bigOffer(), Holder: "cloud", State: purser.LeasePlanned, CreatedAt: b.at}
	if change != nil {
		change(&l)
	}
	b.store.leases[id] = l
	task := purser.TaskID("task-of-" + id)
	b.store.tasks[task] = purser.Task{ID: task, Job: "job", Group: "g", Lease: id, State: purser.TaskPlaced, Attempt: 1}
}

func (b *bench) step(id purser.LeaseID) time.Duration {
	b.Helper()
	again, err := b.fleet.Step(context.Background(), id)
	if err != nil {
		b.Fatalf("Step(%s): %v", id, err)
	}
	return again
}

func (b *bench) is(id purser.LeaseID, want purser.LeaseState, reason string) {
	b.Helper()
	if l := b.store.leases[id]; l.State != want || !strings.Contains(l.Reason, reason) {
		b.Fatalf("lease %s is %s (%q), want %s with %q", id, l.State, l.Reason, want, reason)
	}
}

// join is what the store does when the lease's agent joins.
func (b *bench) join(id purser.LeaseID) {
	b.Helper()
	l, err := b.store.leases[id].Apply(purser.Transition{To: purser.LeaseRunning, At: b.at})
	if err != nil {
		b.Fatal(err)
	}
	b.store.leases[id] = l
}

func (b *bench) reconcile() fleet.Reconciled {
	b.Helper()
	r, err := b.fleet.Reconcile(context.Background())
	if err != nil {
		b.Fatalf("Reconcile: %v", err)
	}
	return r
}

func TestLeaseFromPlanToRelease(t *testing.T) {
	b := newBench(t, fake.Config{BootTime: 30 * time.Second, StopTime: 5 * time.Second}, nil)
	b.lease("a", nil)
	if again := b.step("a"); again >= 0 || len(b.cloud.Machines()) != 0 {
		t.Fatalf("the provider was called before the intent stood: again %s, %v", again, b.cloud.Machines())
	}
	b.is("a", purser.LeaseLaunching, "")
	if l := b.store.leases["a"]; l.Attempt != 1 || !l.LaunchedAt.Equal(b.at) {
		t.Fatalf("the intent is %+v", l)
	}
	b.step("a")
	if l := b.store.leases["a"]; l.Instance == "" || len(b.cloud.Live("a")) != 1 {
		t.Fatalf("after the launch: %+v", l)
	}
	secret := []byte("0123456789abcdef")
	if one := fleet.JoinToken(secret, "a", 1); one != fleet.JoinToken(secret, "a", 1) || one == fleet.JoinToken(secret, "a", 2) || one == fleet.JoinToken(secret, "b", 1) {
		t.Error("a join token is not that of its lease and attempt alone")
	}
	for range 3 {
		if again := b.step("a"); again != time.Second {
			t.Fatalf("waiting for the agent: again %s", again)
		}
	}
	b.at = b.at.Add(40 * time.Second)
	b.join("a")
	if again := b.step("a"); again >= 0 {
		t.Errorf("a running lease wants another step in %s", again)
	}
	_, _ = b.store.Advance(context.Background(), "a", "test", func(purser.Lease) (purser.Transition, error) {
		return purser.Transition{To: purser.LeaseDraining, At: b.at}, nil
	})
	if again := b.step("a"); again != time.Second || b.cloud.Live("a")[0].State != providers.Running {
		t.Fatalf("the machine was ended while a task could still stop: again %s, %+v", again, b.cloud.Live("a"))
	}
	b.store.end(b.store.tasks["task-of-a"], purser.TaskLost)
	b.step("a")
	if b.cloud.Live("a")[0].State != providers.Stopping {
		t.Fatalf("the machine was not ended: %+v", b.cloud.Live("a"))
	}
	b.is("a", purser.LeaseDraining, "") // until the provider says that it is gone
	b.step("a")
	b.is("a", purser.LeaseDraining, "")
	b.at = b.at.Add(5 * time.Second)
	b.step("a")
	b.is("a", purser.LeaseReleased, "")
	if again := b.step("a"); again >= 0 {
		t.Errorf("an ended lease wants another step in %s", again)
	}
	var way []string
	for _, e := range b.store.audit {
		way = append(way, e.From+">"+e.To)
	}
	if got := strings.Join(way, " "); got != "planned>launching launching>launching running>draining draining>released" {
		t.Errorf("the audit says %s", got)
	}
}

func TestLaunchFailures(t *testing.T) {
	for _, c := range []struct {
		kind   purser.Kind
		state  purser.LeaseState
		reason string
	}{
		{purser.KindNoCapacity, purser.LeaseFailed, "no_capacity: because"},
		{purser.KindQuota, purser.LeaseFailed, "quota: because"},
		{purser.KindInvalid, purser.LeaseFailed, "invalid: because"},
		{purser.KindForbidden, purser.LeaseFailed, "forbidden: because"},
		{purser.KindConflict, purser.LeaseDraining, "conflict: because"}, // there may be a machine
		{purser.KindThrottled, purser.LeaseLaunching, ""},
		{purser.KindUnavailable, purser.LeaseLaunching, ""},
		{purser.KindInternal, purser.LeaseLaunching, ""},
	} {
		t.Run(string(c.kind), func(t *testing.T) {
			b := newBench(t, fake.Config{}, nil)
			b.lease("a", nil)
			b.step("a")
			b.cloud.FailNext(fake.Launch, purser.Errorf(c.kind, "cloud", "because"))
			again := b.step("a")
			b.is("a", c.state, c.reason)
			if (again > 0) != (c.state == purser.LeaseLaunching) {
				t.Errorf("again %s", again)
			}
			if task := b.store.tasks["task-of-a"]; (task.State == purser.TaskQueued) != (c.state != purser.LeaseLaunching) {
				t.Errorf("its task is %s", task.State)
			}
		})
	}
}

// A launch without a definite answer is repeated with growing pauses, as the same
// launch, and given up after ten minutes by looking for the machine and ending it.
func TestLaunchWithoutAnAnswer(t *testing.T) {
	b := newBench(t, fake.Config{}, nil)
	b.lease("a", nil)
	b.step("a")
	b.cloud.LoseNext(fake.Launch, 1)
	var pauses []time.Duration
	pause := b.step("a")
	for b.store.leases["a"].State == purser.LeaseLaunching {
		b.cloud.FailNext(fake.Launch, purser.Errorf(purser.KindUnavailable, "cloud", "no answer"))
		pauses = append(pauses, pause)
		b.at = b.at.Add(pause)
		if pause = b.step("a"); len(pauses) > 100 {
			t.Fatal("it never gives up")
		}
	}
	if len(pauses) < 20 || pauses[0] != time.Second || pauses[len(pauses)-1] != 30*time.Second {
		t.Errorf("pauses %v", pauses)
	}
	b.is("a", purser.LeaseDraining, "unavailable: no answer")
	b.step("a")
	b.step("a")
	b.is("a", purser.LeaseFailed, "unavailable: no answer")
	if n := len(b.cloud.Machines()); n != 1 || len(b.cloud.Live("a")) != 0 {
		t.Errorf("%d machines were made, %d live", n, len(b.cloud.Live("a")))
	}
}

func TestThrottledLaunchWaitsAsLongAsIsAsked(t *testing.T) {
	b := newBench(t, fake.Config{}, nil)
	b.lease("a", nil)
	b.step("a")
	b.cloud.FailNext(fake.Launch, &purser.Error{Kind: purser.KindThrottled, RetryAfter: 17 * time.Second})
	if again := b.step("a"); again != 17*time.Second {
		t.Errorf("again %s", again)
	}
}

func TestMachineThatNeverJoins(t *testing.T) {
	for holder, timeout := range map[string]time.Duration{"cloud": 5 * time.Minute, "local": time.Minute} {
		b := newBench(t, fake.Config{}, func(c *fleet.Config) {
			if holder == "local" {
				c.Timing.JoinTimeouts = map[string]time.Duration{"cloud": time.Minute}
			}
		})
		b.lease("a", nil)
		b.step("a")
		b.step("a")
		b.at = b.at.Add(timeout)
		b.step("a")
		b.is("a", purser.LeaseLaunching, "")
		b.at = b.at.Add(time.Second)
		b.step("a")
		b.is("a", purser.LeaseDraining, "did not join within "+timeout.String())
		b.step("a")
		b.step("a")
		b.is("a", purser.LeaseFailed, "did not join")
		if task := b.store.tasks["task-of-a"]; task.State != purser.TaskQueued {
			t.Errorf("its task is %s", task.State)
		}
	}
}

func TestMachineThatIsGoneBeforeItJoins(t *testing.T) {
	b := newBench(t, fake.Config{}, nil)
	b.lease("a", nil)
	b.step("a")
	b.step("a")
	b.cloud.Kill("a")
	b.step("a")
	b.is("a", purser.LeaseFailed, "its machine ended before its agent joined: its hardware failed")
}

// The lease ended while its machine was being made: the machine goes at once.
func TestMachineForALeaseThatEnded(t *testing.T) {
	var b *bench
	b = newBench(t, fake.Config{Hook: func(_ context.Context, call string, _ purser.LeaseID, done bool) error {
		if call == fake.Launch && done {
			l := b.store.leases["a"]
			l.State, l.EndedAt = purser.LeaseFailed, b.at
			b.store.leases["a"] = l
		}
		return nil
	}}, nil)
	b.lease("a", nil)
	b.step("a")
	b.step("a")
	if len(b.cloud.Machines()) != 1 || len(b.cloud.Live("a")) != 0 {
		t.Errorf("machines %+v", b.cloud.Machines())
	}
}

func TestDrainWaitsOnlyWhileItHelps(t *testing.T) {
	draining := func(b *bench) func(*purser.Lease) {
		return func(l *purser.Lease) {
			l.State, l.Attempt, l.LaunchedAt, l.RunningAt, l.HeartbeatAt, l.DrainingAt = purser.LeaseDraining, 1, b.at, b.at, b.at, b.at
		}
	}
	b := newBench(t, fake.Config{StopTime: time.Minute}, nil)
	b.lease("a", nil)
	b.step("a")
	b.step("a")
	b.lease("a", draining(b))
	b.step("a")
	if b.cloud.Live("a")[0].State != providers.Running {
		t.Fatal("the machine was ended while its agent stops a task")
	}
	b.at = b.at.Add(30 * time.Second)
	b.step("a")
	if b.cloud.Live("a")[0].State != providers.Stopping {
		t.Error("after 30 s the machine still runs")
	}

	b = newBench(t, fake.Config{StopTime: time.Minute}, nil)
	b.lease("a", nil)
	b.step("a")
	b.step("a")
	b.at = b.at.Add(70 * time.Second)
	b.lease("a", func(l *purser.Lease) { draining(b)(l); l.HeartbeatAt = b.at.Add(-60 * time.Second) })
	b.step("a")
	if b.cloud.Live("a")[0].State != providers.Stopping {
		t.Error("a silent agent is waited for")
	}
}

// A provider whose listings lag does not know the machine yet; the lease is not
// over until that cannot be the reason any more.
func TestDrainOfAMachineThatIsNotSeenYet(t *testing.T) {
	b := newBench(t, fake.Config{Lag: 50 * time.Second}, nil)
	b.lease("a", nil)
	b.step("a")
	b.step("a")
	b.lease("a", func(l *purser.Lease) {
		l.State, l.Attempt, l.LaunchedAt, l.DrainingAt = purser.LeaseDraining, 1, b.at, b.at
	})
	for range 49 {
		b.step("a")
		b.is("a", purser.LeaseDraining, "")
		b.at = b.at.Add(time.Second)
	}
	b.at = b.at.Add(20 * time.Second)
	b.step("a")
	b.is("a", purser.LeaseFailed, "")
	if len(b.cloud.Live("a")) != 0 {
		t.Error("its machine lives")
	}
}

func TestStepElsewhere(t *testing.T) {
	b := newBench(t, fake.Config{}, func(c *fleet.Config) { c.Host = "here" })
	b.lease("a", func(l *purser.Lease) { l.Host = "there" })
	if again := b.step("a"); again <= 0 {
		t.Errorf("again %s", again)
	}
	b.is("a", purser.LeasePlanned, "")
	b.lease("b", func(l *purser.Lease) { l.Holder = "unknown" })
	b.step("b")
	b.step("b")
	b.is("b", purser.LeaseFailed, "no provider named unknown is enabled")
	b.lease("c", func(l *purser.Lease) {
		l.Holder, l.State, l.Attempt, l.Instance = "unknown", purser.LeaseDraining, 1, "i-1"
	})
	if again := b.step("c"); again <= 0 {
		t.Errorf("again %s", again)
	}
	b.is("c", purser.LeaseDraining, "") // its machine may live; only its provider could say
	if _, err := b.fleet.Step(context.Background(), "none"); purser.KindOf(err) != purser.KindNotFound {
		t.Errorf("an unknown lease: %v", err)
	}
}

func TestStepReturnsTheStoresErrors(t *testing.T) {
	b := newBench(t, fake.Config{}, nil)
	b.lease("a", func(l *purser.Lease) { l.State, l.Attempt = purser.LeaseLaunching, 1 })
	b.store.cut = func(call string, _ bool) {
		if call == "Advance" {
			panic(errors.New("the database is gone"))
		}
	}
	func() {
		defer func() { _ = recover() }()
		_, _ = b.fleet.Step(context.Background(), "a")
	}()
	b.store.cut = func(string, bool) {}
	b.step("a")
	if n := len(b.cloud.Machines()); n != 1 {
		t.Errorf("after a step that was cut off there are %d machines", n)
	}
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	m := newMemory(time.Now)
	good := fleet.Config{Store: m, Upkeep: m, Logger: slog.New(slog.DiscardHandler), Installation: "ours", Secret: []byte("0123456789abcdef")}
	if _, err := fleet.New(good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*fleet.Config){
		"no store":        func(c *fleet.Config) { c.Store = nil },
		"no upkeep":       func(c *fleet.Config) { c.Upkeep = nil },
		"no logger":       func(c *fleet.Config) { c.Logger = nil },
		"no installation": func(c *fleet.Config) { c.Installation = "" },
		"short secret":    func(c *fleet.Config) { c.Secret = []byte("short") },
		"misnamed": func(c *fleet.Config) {
			c.Providers = map[string]providers.Provider{"x": fake.New(fake.Config{}).Provider("ours")}
		},
	} {
		c := good
		change(&c)
		if _, err := fleet.New(c); err == nil || purser.KindOf(err) != purser.KindInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestJoinTokens(t *testing.T) {
	secret := []byte("0123456789abcdef")
	a := fleet.JoinToken(secret, "lease-1", 1)
	if a != fleet.JoinToken(secret, "lease-1", 1) {
		t.Error("a repeated launch gets another token")
	}
	for _, b := range []string{fleet.JoinToken(secret, "lease-1", 2), fleet.JoinToken(secret, "lease-11", 1), fleet.JoinToken(secret, "lease-1|1", 1), fleet.JoinToken([]byte("another secret!!"), "lease-1", 1)} {
		if a == b {
			t.Error("two launches have one token")
		}
	}
}
