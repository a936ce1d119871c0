package kubernetes

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"purser/providers"
)

// Sweep ends a gang that has lost a lease, and removes what nobody needs.
func TestSweepGangs(t *testing.T) {
	sweep := func(g *troupe, want int) {
		g.t.Helper()
		if n, err := g.p.Sweep(g.t.Context(), time.Minute); err != nil || n != want {
			g.t.Errorf("Sweep: %d, %v; want %d", n, err, want)
		}
	}
	g := newTroupe(t, 2)
	g.run()
	g.pass(2 * time.Minute)
	sweep(g, 0)
	g.drop("configmaps", "purser", "purser-l1")
	sweep(g, 1)
	g.turns(3)
	if n := len(g.running()) + len(g.objects["jobsets"]); n != 0 {
		t.Errorf("%d things are left", n)
	}
	done := newTroupe(t, 2)
	done.run()
	done.turns(2)
	done.finish("t0", 0)
	done.turns(2)
	done.must(done.p.Forget(t.Context(), done.members[0].Lease, "t0"))
	done.must(done.p.Terminate(t.Context(), done.members[0].Lease))
	if in, err := done.p.Describe(t.Context(), done.members[0].Lease); err != nil || in.State != providers.Gone {
		t.Errorf("the machine of one that succeeded: %+v, %v", in, err)
	}
	done.pass(48 * time.Hour)
	sweep(done, 1) // the tombstone of its lease
	done.pass(time.Second)
	sweep(done, 0)
	if got := done.running(); len(got) != 1 || got["t1"] != 1 {
		t.Errorf("the rest of the gang: %v", got)
	}
}

// JobSet comes to a cluster that is being watched, and leaves it again.
func TestWatchGangs(t *testing.T) {
	g := newTroupe(t, 2)
	g.missing[jobsets.Group] = true
	s := scene{g.cluster, t, g.p, g.members[0].Lease}
	l := s.listen(nil)
	watched := func() bool { w := g.p.watched.Load(); return w != nil && w.gangs != nil }
	if watched() {
		t.Fatal("what is not there is watched")
	}
	g.mu.Lock()
	g.missing[jobsets.Group] = false
	g.mu.Unlock()
	g.pass(discoverEvery)
	g.run() // unwatched as yet
	s.until("JobSets are watched", func() bool { g.pass(discoverEvery); return watched() })
	s.until("the gang runs", func() bool { g.pass(time.Second); return g.told() == "running; running" })
	got := callName("get", jobsets.Group, jobsets.Resource)
	before := g.count(got)
	for range 10 {
		g.told()
	}
	if n := g.count(got) - before; n != 0 {
		t.Errorf("JobSets were asked for %d times while they are watched", n)
	}
	g.finish("t1", 3)
	s.until("the failure of one is that of all", func() bool {
		g.pass(time.Second)
		told := g.told()
		return strings.HasPrefix(told, "lost another replica") && strings.HasSuffix(told, "failed(3) exit code 3")
	})
	g.vanishAPI()
	s.until("they are watched no more", func() bool { g.pass(discoverEvery); w := g.p.watched.Load(); return w != nil && w.gangs == nil })
	l.quiet()
}

// A watch that is broken without our knowing hides no task that another server started.
func TestBrokenWatchLosesNoTask(t *testing.T) {
	s := newScene(t)
	l := s.listen(nil)
	s.mu.Lock()
	s.deaf = true // events do not arrive any more
	s.mu.Unlock()
	other := s.provider(t, nil)
	for range 2 {
		if err := other.Run(t.Context(), s.lease, training("t", 1000)); err != nil {
			t.Fatal(err)
		}
	}
	s.pass(time.Second)
	s.pass(time.Second)
	if got := s.written(); got != "running" {
		t.Errorf("it is %q", got)
	}
	l.quiet()
}

// Nor does it hide a gang that another server has released since.
func TestBrokenWatchLosesNoGang(t *testing.T) {
	g := newTroupe(t, 2)
	s := scene{g.cluster, t, g.p, g.members[0].Lease}
	l := s.listen(nil)
	refuse := func(by func(verb, resource, name string) *metav1.Status) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.refuse = by
	}
	refuse(func(verb, resource, _ string) *metav1.Status {
		if verb == "patch" && resource == jobsets.Resource {
			return status(503, metav1.StatusReasonServiceUnavailable, "no")
		}
		return nil
	})
	other := g.provider(t, nil)
	if err := other.RunGang(t.Context(), g.members); err == nil {
		t.Fatal("it was released")
	}
	s.until("the JobSet is seen", func() bool { w := g.p.watched.Load(); return len(w.gangs.GetStore().List()) == 1 })
	g.mu.Lock()
	g.deaf = true
	g.mu.Unlock()
	refuse(nil)
	g.must(other.RunGang(t.Context(), g.members))
	g.turns(2)
	if got := g.told(); got != "running; running" {
		t.Errorf("it is %q", got)
	}
	l.quiet()
}
