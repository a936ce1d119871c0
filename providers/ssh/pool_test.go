package ssh

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"purser"
	"purser/providers"
)

// deadHost is one whose address refuses connections.
func deadHost(t *testing.T, s *testServer, name string) Host {
	t.Helper()
	h := s.host(name)
	h.Port = freePort(t)
	return h
}

// A host that does not answer makes the listing fail by its name, unless it is drained, and
// touches no other host's leases.
func TestDeadHostDoesNotBlindThePool(t *testing.T) {
	s := newServer(t)
	alive, dead := s.host("alive"), deadHost(t, s, "dead")
	p := newPool(t, s.configOf(alive, dead))
	l, lost, none := leaseOn(alive, "lease-a"), leaseOn(dead, "lease-b"), leaseOn(alive, "lease-c")
	if in, err := p.Launch(t.Context(), request(l)); err != nil || in.State != providers.Running {
		t.Fatalf("launch beside a dead host: %+v, %v", in, err)
	}
	if _, err := p.List(t.Context()); purser.KindOf(err) != purser.KindUnavailable || !strings.Contains(err.Error(), "host dead") {
		t.Errorf("List with a dead host: %v", err)
	}
	if in, err := p.Describe(t.Context(), l); err != nil || in.State != providers.Running {
		t.Errorf("Describe beside a dead host: %+v, %v", in, err)
	}
	if _, err := p.Describe(t.Context(), none); purser.KindOf(err) != purser.KindNotFound {
		t.Errorf("Describe of a lease that its host does not know: %v", err)
	}
	if _, err := p.Describe(t.Context(), purser.Lease{ID: "lease-c"}); purser.KindOf(err) != purser.KindUnavailable {
		t.Errorf("Describe of a lease that may be on the dead host: %v", err)
	}
	if in, err := p.Describe(t.Context(), purser.Lease{ID: "lease-a"}); err != nil || in.ID != "ssh-alive-lease-a" {
		t.Errorf("Describe without a place: %+v, %v", in, err)
	}
	for call, err := range map[string]error{
		"Describe": func() error { _, err := p.Describe(t.Context(), lost); return err }(), "Terminate": p.Terminate(t.Context(), lost),
		"Launch": func() error { _, err := p.Launch(t.Context(), request(lost)); return err }(),
	} {
		if purser.KindOf(err) != purser.KindUnavailable {
			t.Errorf("%s on a dead host: %v", call, err)
		}
	}
	if offers, err := p.Offers(t.Context()); err != nil || len(offers) != 1 || offers[0].InstanceType != "alive" || offers[0].Limit != 2 {
		t.Errorf("Offers with a dead host gave %+v, %v", offers, err)
	}
	dead.Drained = true
	p = newPool(t, s.configOf(alive, dead))
	if all, err := p.List(t.Context()); err != nil || len(all) != 1 || all[0].Lease != "lease-a" {
		t.Errorf("List with a dead host that is drained gave %+v, %v", all, err)
	}
	if _, err := p.Sweep(t.Context(), time.Hour); err != nil {
		t.Errorf("Sweep with a dead host that is drained: %v", err)
	}
	gone := newPool(t, s.configOf(dead))
	if _, err := gone.Describe(t.Context(), l); purser.KindOf(err) != purser.KindUnavailable {
		t.Errorf("Describe of a lease whose host is not in the inventory: %v", err)
	}
	if _, err := gone.Launch(t.Context(), request(l)); purser.KindOf(err) != purser.KindInvalid {
		t.Errorf("Launch on a host that is not in the inventory: %v", err)
	}
}

// A drained host takes no new lease, and shows and ends what it has.
func TestDrainedHost(t *testing.T) {
	s := newServer(t)
	h := s.host("a")
	l := leaseOn(h, "lease-a")
	if _, err := newPool(t, s.configOf(h)).Launch(t.Context(), request(l)); err != nil {
		t.Fatal(err)
	}
	h.Drained = true
	p := newPool(t, s.configOf(h))
	if _, err := p.Launch(t.Context(), request(leaseOn(h, "lease-b"))); purser.KindOf(err) != purser.KindNoCapacity {
		t.Errorf("a new lease on a drained host: %v", err)
	}
	if in, err := p.Launch(t.Context(), request(l)); err != nil || in.State != providers.Running {
		t.Errorf("the lease that it has: %+v, %v", in, err)
	}
	if all, err := p.List(t.Context()); err != nil || len(all) != 1 {
		t.Errorf("List gave %+v, %v", all, err)
	}
	if offers, err := p.Offers(t.Context()); err != nil || len(offers) != 0 {
		t.Errorf("Offers gave %+v, %v", offers, err)
	}
	if err := p.Terminate(t.Context(), l); err != nil {
		t.Error(err)
	}
	eventually(t, "the machine is gone", func() bool {
		in, err := p.Describe(t.Context(), l)
		return err == nil && in.State == providers.Gone
	})
}

// A full host says so at once, with one command, whoever has its places; a place that is free
// again is taken.
func TestFullHost(t *testing.T) {
	s := newServer(t)
	h := s.host("a")
	h.Places = 1
	p := newPool(t, s.configOf(h))
	c := s.configOf(h)
	c.Installation = "theirs"
	other := newPool(t, c)
	theirs := request(leaseOn(h, "lease-a"))
	theirs.Installation = "theirs"
	if _, err := other.Launch(t.Context(), theirs); err != nil {
		t.Fatal(err)
	}
	l := leaseOn(h, "lease-b")
	before, began := len(s.ran()), time.Now()
	_, err := p.Launch(t.Context(), request(l))
	if purser.KindOf(err) != purser.KindNoCapacity || !strings.Contains(err.Error(), string(l.Offer.ID())) || time.Since(began) > 2*time.Second || len(s.ran())-before != 1 {
		t.Errorf("a full host gave %v after %s and %d commands", err, time.Since(began), len(s.ran())-before)
	}
	if status, err := p.Inspect(t.Context()); err != nil || status[0].Taken != 1 || status[0].Free != 0 || status[0].Report.Taken[0] != "theirs/lease-a" {
		t.Errorf("Inspect gave %+v, %v", status, err)
	}
	if err := other.Terminate(t.Context(), theirs.Lease); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the place is free", func() bool {
		_, err := p.Launch(t.Context(), request(l))
		return err == nil
	})
}

// Another attempt's token is a conflict, another installation's request is refused.
func TestLaunchRefusals(t *testing.T) {
	s := newServer(t)
	h := s.host("a")
	p := newPool(t, s.configOf(h))
	r := request(leaseOn(h, "lease-a"))
	if _, err := p.Launch(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		spoil func(*providers.Request)
		want  purser.Kind
	}{
		"another token":         {func(r *providers.Request) { r.Token = "other" }, purser.KindConflict},
		"another installation":  {func(r *providers.Request) { r.Installation = "theirs" }, purser.KindForbidden},
		"a lease with a slash":  {func(r *providers.Request) { r.Lease.ID = "../a" }, purser.KindInvalid},
		"a token of two words":  {func(r *providers.Request) { r.Token = "a b" }, purser.KindInvalid},
		"a secret of two lines": {func(r *providers.Request) { r.JoinToken = "a\nb" }, purser.KindInvalid},
	} {
		r := r
		c.spoil(&r)
		_, err := p.Launch(t.Context(), r)
		if err == nil || purser.KindOf(err) != c.want {
			t.Errorf("%s gave %v, want %s", name, err, c.want)
		}
	}
	r.ServerURL = `http://x/'; touch "$HOME/pwned"; echo '`
	r.Lease = leaseOn(h, "lease-q")
	if _, err := p.Launch(t.Context(), r); err != nil {
		t.Errorf("quotes in a value: %v", err)
	}
	if _, err := os.Stat(filepath.Join(s.home("a"), "pwned")); err == nil {
		t.Error("a value was run as a command")
	}
}

// An agent that ends by itself is gone with its last words, one that does not end is killed
// after the grace, and what its tasks left is killed before it is called gone.
func TestEnds(t *testing.T) {
	s := newServer(t)
	h := s.host("a")
	var clock atomic.Int64
	clock.Store(1_800_000_000)
	c := s.configOf(h)
	c.StopGrace = 30 * time.Second
	c.Now = func() time.Time { return time.Unix(clock.Load(), 0) }
	p := newPool(t, c)
	state := func(l purser.Lease) providers.Instance {
		in, err := p.Describe(t.Context(), l)
		if err != nil {
			t.Fatal(err)
		}
		return in
	}
	failing := leaseOn(h, "lease-failing")
	if _, err := p.Launch(t.Context(), request(failing)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the failing agent is gone", func() bool { return state(failing).State == providers.Gone })
	if in := state(failing); in.Reason != "its agent ended: no such luck" || in.StartedAt.Unix() != 1_800_000_000 {
		t.Errorf("it is remembered as %+v", in)
	}

	stubborn, busy := leaseOn(h, "lease-stubborn"), leaseOn(h, "lease-busy")
	for _, l := range []purser.Lease{stubborn, busy} {
		if _, err := p.Launch(t.Context(), request(l)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "both work", func() bool {
		return len(livingAgents(s.home("a"))[stubborn.ID]) == 1 && len(marksOf(s.home("a"), "task")[busy.ID]) == 1
	})
	for _, l := range []purser.Lease{stubborn, busy} {
		if err := p.Terminate(t.Context(), l); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the busy one is gone", func() bool { return state(busy).State == providers.Gone })
	if task := marksOf(s.home("a"), "task")[busy.ID][0]; alive(task, s.dir) {
		t.Errorf("task %d of an ended machine lives", task)
	}
	clock.Add(29)
	if in := state(stubborn); in.State != providers.Stopping || len(livingAgents(s.home("a"))[stubborn.ID]) != 1 {
		t.Errorf("within the grace it is %+v", in)
	}
	clock.Add(2)
	eventually(t, "the stubborn one is killed", func() bool { return state(stubborn).State == providers.Gone })
	if len(livingAgents(s.home("a"))[stubborn.ID]) != 0 {
		t.Error("it lives")
	}
	clock.Add(86_400 - 40)
	if _, err := p.Sweep(t.Context(), time.Hour); err != nil {
		t.Error(err)
	}
	if in := state(stubborn); in.State != providers.Gone {
		t.Errorf("within a day it is %+v", in)
	}
	clock.Add(100)
	if n, err := p.Sweep(t.Context(), time.Hour); err != nil || n != 3 {
		t.Errorf("after a day Sweep removed %d, %v", n, err)
	}
	if _, err := p.Describe(t.Context(), stubborn); purser.KindOf(err) != purser.KindNotFound {
		t.Errorf("after a day: %v", err)
	}
}

// A connection that is lost is made anew by the next call; commands on one host are bounded.
func TestConnections(t *testing.T) {
	s := newServer(t)
	h := s.host("a")
	c := s.configOf(h)
	c.MaxSessions = 2
	var dials, now, most atomic.Int64
	c.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		dials.Add(1)
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	p := newPool(t, c)
	release := make(chan struct{})
	s.set(func(string) error {
		n := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		<-release
		return nil
	}, nil)
	done := make(chan error)
	for range 6 {
		go func() { _, err := p.List(t.Context()); done <- err }()
	}
	eventually(t, "two commands are under way", func() bool { return now.Load() == 2 })
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := p.List(short); purser.KindOf(err) != purser.KindUnavailable {
		t.Errorf("a call whose time ended in the queue: %v", err)
	}
	close(release)
	for range 6 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if most.Load() != 2 || dials.Load() != 1 {
		t.Errorf("%d commands at once over %d connections; want 2 over 1", most.Load(), dials.Load())
	}
	s.drop()
	eventually(t, "the next call works", func() bool { _, err := p.List(t.Context()); return err == nil })
	if dials.Load() != 2 {
		t.Errorf("%d connections", dials.Load())
	}
	hang := make(chan struct{})
	s.set(func(string) error { <-hang; return nil }, nil)
	defer close(hang)
	c.CommandTimeout = 30 * time.Millisecond
	if _, err := newPool(t, c).List(t.Context()); purser.KindOf(err) != purser.KindUnavailable || !strings.Contains(err.Error(), "in time") {
		t.Errorf("a command that hangs: %v", err)
	}
}

// An unused connection is closed, and a dead one is noticed by the signs of life.
func TestIdleConnectionIsClosed(t *testing.T) {
	s := newServer(t)
	c := s.configOf(s.host("a"))
	c.IdleTime, c.KeepAlive = 30*time.Millisecond, 10*time.Millisecond
	p := newPool(t, c)
	if _, err := p.List(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the connection is closed", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.conns) == 0
	})
	if _, err := p.List(t.Context()); err != nil {
		t.Errorf("a call after that: %v", err)
	}
}

// Launches of one lease at the same time, from several servers, begin one agent; launches of
// several leases on a host of one place give it to one.
func TestLaunchesAtTheSameTime(t *testing.T) {
	s := newServer(t)
	h := s.host("a")
	h.Places = 1
	var pools []*Provider
	for range 3 {
		pools = append(pools, newPool(t, s.configOf(h)))
	}
	if _, err := pools[0].Launch(t.Context(), request(leaseOn(h, "lease-failing"))); err != nil {
		t.Fatal(err) // the program is there now, so that nothing keeps the others apart
	}
	eventually(t, "the place is free", func() bool {
		all, err := pools[0].List(t.Context())
		return err == nil && len(all) == 0
	})
	var won, full atomic.Int64
	var all sync.WaitGroup
	for i := range 12 {
		all.Go(func() {
			_, err := pools[i%3].Launch(t.Context(), request(leaseOn(h, fmt.Sprintf("lease-%d", i/4))))
			switch {
			case err == nil:
				won.Add(1)
			case purser.KindOf(err) == purser.KindNoCapacity:
				full.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if won.Load() != 4 || full.Load() != 8 {
		t.Errorf("%d launches worked and %d found the host full; want the 4 of one lease and 8", won.Load(), full.Load())
	}
	settle(t, s.home("a"))
	began := marksOf(s.home("a"), "agent")
	delete(began, "lease-failing")
	for id, pids := range began {
		if len(pids) != 1 {
			t.Errorf("lease %s: %d agents began", id, len(pids))
		}
	}
	if len(began) != 1 {
		t.Errorf("%d leases have agents", len(began))
	}
}

// A launch that comes after the end was asked for starts nothing.
func TestEndedBeforeItWasLaunched(t *testing.T) {
	s := newServer(t)
	h := s.host("a")
	p := newPool(t, s.configOf(h))
	l := leaseOn(h, "lease-a")
	if err := p.Terminate(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	if in, err := p.Launch(t.Context(), request(l)); err != nil || in.State != providers.Gone || in.Reason != "it was ended before it was launched" {
		t.Errorf("the late launch gave %+v, %v", in, err)
	}
	if left := marksOf(s.home("a"), "agent"); len(left) > 0 {
		t.Errorf("agents began: %v", left)
	}
}
