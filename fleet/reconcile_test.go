package fleet_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"purser"
	"purser/fleet"
	"purser/providers"
	"purser/providers/fake"
)

// machine makes a machine directly at the cloud.
func (b *bench) machine(lease purser.LeaseID, installation string) {
	b.Helper()
	l := purser.Lease{ID: lease, Offer: bigOffer(), Attempt: 1}
	if _, err := b.cloud.Provider(installation).Launch(context.Background(), providers.Request{Lease: l, Installation: installation, Token: providers.ClientToken(installation, l)}); err != nil {
		b.Fatal(err)
	}
}

// running puts a running lease with work and its machine into the world.
func (b *bench) running(id purser.LeaseID) {
	b.lease(id, func(l *purser.Lease) {
		l.State, l.Attempt, l.LaunchedAt, l.RunningAt, l.HeartbeatAt = purser.LeaseRunning, 1, b.at, b.at, b.at
	})
	b.machine(id, "ours")
}

func (b *bench) change(id purser.LeaseID, change func(*purser.Lease)) {
	l := b.store.leases[id]
	change(&l)
	b.store.leases[id] = l
}

func TestOrphans(t *testing.T) {
	b := newBench(t, fake.Config{}, nil)
	b.running("lives")
	b.machine("unknown", "ours")
	b.machine("theirs", "theirs")
	b.running("ended")
	b.change("ended", func(l *purser.Lease) { l.State, l.EndedAt = purser.LeaseFailed, b.at })
	b.at = b.at.Add(29 * time.Second)
	b.change("lives", func(l *purser.Lease) { l.HeartbeatAt = b.at })
	if r := b.reconcile(); r.Orphans != 0 || r.Machines != 3 {
		t.Fatalf("before the grace was over: %+v", r)
	}
	b.at = b.at.Add(time.Second)
	if r := b.reconcile(); r.Orphans != 2 {
		t.Fatalf("after the grace: %+v", r)
	}
	for lease, want := range map[purser.LeaseID]int{"lives": 1, "unknown": 0, "ended": 0, "theirs": 1} {
		if got := len(b.cloud.Live(lease)); got != want {
			t.Errorf("lease %s has %d machines, want %d", lease, got, want)
		}
	}
}

// When a sweep would end more than half of what it sees, more likely the database is
// the wrong one.
func TestStopAndAlarm(t *testing.T) {
	for _, c := range []struct {
		orphans, live int
		alarm         bool
	}{{3, 0, false}, {4, 4, false}, {4, 3, true}, {20, 2, true}, {20, 20, false}} {
		b := newBench(t, fake.Config{}, nil)
		for i := range c.live {
			b.running(purser.LeaseID(fmt.Sprint("live-", i)))
		}
		for i := range c.orphans {
			b.machine(purser.LeaseID(fmt.Sprint("orphan-", i)), "ours")
		}
		b.at = b.at.Add(30 * time.Second)
		for id := range b.store.leases {
			b.change(id, func(l *purser.Lease) { l.HeartbeatAt = b.at })
		}
		r := b.reconcile()
		if alarm := len(r.Alarms) > 0; alarm != c.alarm || (r.Orphans == 0) != c.alarm {
			t.Errorf("%d orphans beside %d: %+v", c.orphans, c.live, r)
		}
	}
}

// A provider that shows other people's machines (a filter that broke) does not make
// the fleet end them.
func TestOthersMachinesAreNotTouchedEvenIfListed(t *testing.T) {
	cloud := &leaky{}
	b := newBench(t, fake.Config{}, func(c *fleet.Config) { c.Providers["leaky"] = cloud })
	b.at = b.at.Add(time.Hour)
	if r := b.reconcile(); r.Machines != 0 || r.Orphans != 0 || len(cloud.ended) != 0 {
		t.Errorf("%+v, ended %v", r, cloud.ended)
	}
}

type leaky struct {
	providers.Provider
	ended []purser.LeaseID
}

func (*leaky) Name() string { return "leaky" }

func (*leaky) List(context.Context) ([]providers.Instance, error) {
	return []providers.Instance{{ID: "x", Lease: "theirs", Installation: "theirs", State: providers.Running}}, nil
}

func (l *leaky) Terminate(_ context.Context, lease purser.Lease) error {
	l.ended = append(l.ended, lease.ID)
	return nil
}

func TestMachineIsGone(t *testing.T) {
	b := newBench(t, fake.Config{}, nil)
	b.running("a")
	b.cloud.Kill("a")
	b.at = b.at.Add(9 * time.Second)
	b.reconcile()
	b.is("a", purser.LeaseRunning, "") // its agent was heard a moment ago
	b.at = b.at.Add(time.Second)
	if r := b.reconcile(); r.Failed != 1 {
		t.Errorf("%+v", r)
	}
	b.is("a", purser.LeaseFailed, "its machine is gone: its hardware failed")
}

func TestSilentAgents(t *testing.T) {
	b := newBench(t, fake.Config{}, nil)
	b.running("a")
	b.at = b.at.Add(149 * time.Second)
	b.reconcile()
	b.is("a", purser.LeaseRunning, "") // its machine is there
	b.at = b.at.Add(time.Second)
	if r := b.reconcile(); r.Draining != 1 {
		t.Errorf("%+v", r)
	}
	b.is("a", purser.LeaseDraining, "its agent has not been heard for 2m30s")

	// A forgetful, lagging cloud does not know the machine; that proves nothing for a
	// while after it began.
	b = newBench(t, fake.Config{Lag: 55 * time.Second}, nil)
	b.running("a")
	b.at = b.at.Add(50 * time.Second)
	b.reconcile()
	b.is("a", purser.LeaseRunning, "")
}

// A provider that does not answer proves nothing about any machine.
func TestProviderWithoutAnAnswer(t *testing.T) {
	b := newBench(t, fake.Config{}, nil)
	b.running("a")
	b.at = b.at.Add(20 * time.Second)
	b.cloud.FailNext(fake.List, purser.Errorf(purser.KindUnavailable, "cloud", "no answer"))
	if _, err := b.fleet.Reconcile(context.Background()); err == nil || !strings.Contains(err.Error(), "listing the machines of cloud") {
		t.Errorf("Reconcile: %v", err)
	}
	b.is("a", purser.LeaseRunning, "")
	b.at = b.at.Add(45 * time.Second)
	b.cloud.FailNext(fake.Describe, purser.Errorf(purser.KindThrottled, "cloud", "slowly"))
	if _, err := b.fleet.Reconcile(context.Background()); err == nil || !strings.Contains(err.Error(), "lease a") {
		t.Errorf("Reconcile: %v", err)
	}
	b.is("a", purser.LeaseRunning, "")
}

func TestPreemptionDrains(t *testing.T) {
	b := newBench(t, fake.Config{}, nil)
	b.running("a")
	b.cloud.Preempt("a", 30*time.Second)
	b.reconcile()
	b.is("a", purser.LeaseDraining, "its machine is being taken back: the cloud takes it back")
}

func TestIdleLeases(t *testing.T) {
	b := newBench(t, fake.Config{}, nil)
	b.running("idle")
	b.running("busy")
	b.running("target")
	b.lease("planned", nil)
	b.lease("launching", func(l *purser.Lease) { l.State, l.Attempt, l.LaunchedAt = purser.LeaseLaunching, 1, b.at })
	for _, id := range []purser.TaskID{"task-of-idle", "task-of-target", "task-of-planned", "task-of-launching"} {
		b.store.end(b.store.tasks[id], purser.TaskSucceeded)
	}
	b.store.moves = []purser.Move{{Task: "task-of-busy", From: "busy", To: "target", State: purser.MoveWaiting}}
	heard := func() {
		for _, id := range []purser.LeaseID{"idle", "busy", "target"} {
			b.change(id, func(l *purser.Lease) { l.HeartbeatAt = b.at })
		}
	}
	b.reconcile()
	b.at = b.at.Add(14 * time.Second)
	heard()
	if r := b.reconcile(); r.Draining+r.Withdrawn != 0 {
		t.Fatalf("before the grace was over: %+v", r)
	}
	b.at = b.at.Add(time.Second)
	heard()
	if r := b.reconcile(); r.Draining != 2 || r.Withdrawn != 1 {
		t.Fatalf("after the grace: %+v", r)
	}
	b.is("idle", purser.LeaseDraining, "its work has ended")
	b.is("busy", purser.LeaseRunning, "")
	b.is("target", purser.LeaseRunning, "")
	b.is("planned", purser.LeaseWithdrawn, "its work ended before it was launched")
	b.is("launching", purser.LeaseDraining, "its work ended before its machine came")
}

// Work that comes back begins the grace anew.
func TestIdleGraceBeginsAnew(t *testing.T) {
	b := newBench(t, fake.Config{}, nil)
	b.running("a")
	task := b.store.tasks["task-of-a"]
	for range 5 {
		task.State = purser.TaskSucceeded
		b.store.tasks[task.ID] = task
		b.reconcile()
		b.at = b.at.Add(14 * time.Second)
		task.State = purser.TaskRunning
		b.store.tasks[task.ID] = task
		b.change("a", func(l *purser.Lease) { l.HeartbeatAt = b.at })
		b.reconcile()
		b.at = b.at.Add(5 * time.Second)
		b.change("a", func(l *purser.Lease) { l.HeartbeatAt = b.at })
	}
	b.is("a", purser.LeaseRunning, "")
}

// The server of another host looks after its machines; when it does not, agents end
// themselves and the leases can be ended from here.
func TestLeasesOfAnotherHost(t *testing.T) {
	b := newBench(t, fake.Config{}, func(c *fleet.Config) { c.Host = "here" })
	there := func(state purser.LeaseState) func(*purser.Lease) {
		return func(l *purser.Lease) {
			l.Host, l.State, l.Attempt = "there", state, 1
			if state != purser.LeasePlanned {
				l.LaunchedAt = b.at
			}
			if state == purser.LeaseRunning || state == purser.LeaseDraining {
				l.RunningAt, l.HeartbeatAt, l.DrainingAt = b.at, b.at, b.at
			}
		}
	}
	states := []purser.LeaseState{purser.LeasePlanned, purser.LeaseLaunching, purser.LeaseRunning, purser.LeaseDraining}
	for _, s := range states {
		b.lease(purser.LeaseID(s), there(s))
	}
	b.at = b.at.Add(150 * time.Second)
	b.reconcile()
	for _, s := range states {
		b.is(purser.LeaseID(s), s, "")
	}
	b.at = b.at.Add(6 * time.Minute)
	if r := b.reconcile(); r.Failed != 3 || r.Withdrawn != 1 {
		t.Errorf("%+v", r)
	}
}

func TestAlarmForAMachineThatDoesNotEnd(t *testing.T) {
	b := newBench(t, fake.Config{StopTime: time.Hour}, nil)
	b.running("a")
	b.change("a", func(l *purser.Lease) { l.State, l.DrainingAt = purser.LeaseDraining, b.at })
	b.at = b.at.Add(11 * time.Minute)
	if r := b.reconcile(); len(r.Alarms) != 1 || !strings.Contains(r.Alarms[0], "lease a has been draining for 11m0s") {
		t.Errorf("%+v", r)
	}
}
