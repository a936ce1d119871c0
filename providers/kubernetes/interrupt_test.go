package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"purser"
	"purser/providers"
)

// listener hears the interruptions of a scene's provider.
type listener struct {
	scene
	heard chan providers.Interruption
	end   func() error
}

// listen begins to hear. The clock stands still, so that each notice comes by watching.
func (s scene) listen(deliver func(providers.Interruption) error) listener {
	s.t.Helper()
	l := listener{scene: s, heard: make(chan providers.Interruption, 100)}
	ctx, cancel := context.WithCancel(s.t.Context())
	done := make(chan error, 1)
	go func() {
		done <- s.p.Interruptions(ctx, func(_ context.Context, i providers.Interruption) error {
			if deliver != nil {
				if err := deliver(i); err != nil {
					return err
				}
			}
			l.heard <- i
			return nil
		})
	}()
	l.end = func() error { cancel(); return <-done }
	s.until("the caches are filled", func() bool { return s.p.watched.Load() != nil })
	return l
}

// until waits for something that other goroutines do.
func (s scene) until(what string, ok func() bool) {
	s.t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline.C:
			s.t.Fatal("never: " + what)
		case <-tick.C:
		}
	}
}

func (l listener) hears(kind providers.InterruptionKind, reason string) {
	l.t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	select {
	case i := <-l.heard:
		if i.Kind != kind || i.Lease != "lease-a" || i.Instance != "purser-lease-a" || !strings.Contains(i.Reason, reason) {
			l.t.Fatalf("heard %+v, want %s %s", i, kind, reason)
		}
	case <-deadline.C:
		l.t.Fatalf("heard nothing of %s", kind)
	}
}

func (l listener) quiet() {
	l.t.Helper()
	if err := l.end(); err != nil {
		l.t.Errorf("Interruptions: %v", err)
	}
	if l.p.watched.Load() != nil {
		l.t.Error("caches are used that nobody fills")
	}
	select {
	case i := <-l.heard:
		l.t.Errorf("heard %+v too", i)
	default:
	}
}

func TestInterruptions(t *testing.T) {
	for name, c := range map[string]struct {
		happens func(scene)
		kind    providers.InterruptionKind
		reason  string
		state   providers.InstanceState // by then
	}{
		"cordoned":   {func(s scene) { s.change("n0", func(n *corev1.Node) { n.Spec.Unschedulable = true }) }, providers.Retired, "cordoned", providers.Running},
		"autoscaler": {func(s scene) { s.change("n0", taint("ToBeDeletedByClusterAutoscaler")) }, providers.Preempted, "autoscaler", providers.Running},
		"its cloud":  {func(s scene) { s.change("n0", taint("cloud.google.com/impending-node-termination")) }, providers.Preempted, "takes it back", providers.Running},
		"being deleted": {func(s scene) {
			s.change("n0", func(n *corev1.Node) { now := metav1.NewTime(s.now); n.DeletionTimestamp = &now })
		}, providers.Preempted, "being deleted", providers.Running},
		"deleted":        {func(s scene) { s.drop("nodes", "", "n0") }, providers.Ended, "no longer in the cluster", providers.Gone},
		"not Ready":      {func(s scene) { s.change("n0", ready(corev1.ConditionUnknown, s.now)) }, providers.Rebalance, "not Ready", providers.Running},
		"long not Ready": {func(s scene) { s.change("n0", ready(corev1.ConditionFalse, s.now.Add(-5*time.Minute))) }, providers.Ended, "not Ready", providers.Gone},
		"a pod is evicted": {func(s scene) {
			s.pods(func(pod *corev1.Pod) { pod.Status.Conditions = append(pod.Status.Conditions, disruption) })
		}, providers.Preempted, "EvictionByEvictionAPI", providers.Running},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			s.run(training("t", 1000))
			s.pass(time.Second)
			l := s.listen(nil)
			c.happens(s)
			l.hears(c.kind, c.reason)
			if in, err := s.p.Describe(t.Context(), s.lease); err != nil || in.State != c.state || (in.Reason == "") != (name == "not Ready" || name == "a pod is evicted") {
				t.Errorf("Describe: %+v, %v; want %s", in, err, c.state)
			}
			l.quiet()
		})
	}
}

func taint(key string) func(*corev1.Node) {
	return func(n *corev1.Node) {
		n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: key, Effect: corev1.TaintEffectNoSchedule})
	}
}

func ready(s corev1.ConditionStatus, since time.Time) func(*corev1.Node) {
	return func(n *corev1.Node) {
		n.Status.Conditions[0].Status, n.Status.Conditions[0].LastTransitionTime = s, metav1.NewTime(since)
	}
}

// What happened while nobody watched is told, what could not be delivered comes again, and
// a machine of another installation is not told of.
func TestInterruptionsAtLeastOnce(t *testing.T) {
	s := newScene(t)
	other := s.provider(t, nil, func(c *Config) { c.Installation = "somebody-else" })
	s.set(*h100("n1"))
	r := request("lease-b", s.lease.Offer)
	r.Installation = "somebody-else"
	if _, err := other.Launch(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	for _, n := range []string{"n0", "n1"} {
		s.change(n, taint("karpenter.sh/disrupted"))
	}
	tries := 0
	l := s.listen(func(providers.Interruption) error {
		if tries++; tries < 3 {
			return errors.New("the database is away")
		}
		return nil
	})
	l.hears(providers.Preempted, "Karpenter")
	l.quiet()
	again := s.listen(nil)
	again.hears(providers.Preempted, "Karpenter")
	again.quiet()
}

// A watch that ends goes on, or lists anew where the server has forgotten its place; also
// in clusters whose watches cannot begin with a list.
func TestLostWatch(t *testing.T) {
	for _, forget := range []bool{false, true} {
		for _, old := range []bool{false, true} {
			t.Run(fmt.Sprintf("forgotten %v, old server %v", forget, old), func(t *testing.T) {
				s := newScene(t)
				s.noInitial = old
				l := s.listen(nil)
				s.cut(forget)
				s.change("n0", func(n *corev1.Node) { n.Spec.Unschedulable = true })
				if forget {
					s.cut(true) // the change itself is forgotten, too
				}
				l.hears(providers.Retired, "cordoned")
				l.quiet()
			})
		}
	}
}

// Watching that is not allowed ends with that answer.
func TestInterruptionsForbidden(t *testing.T) {
	s := newScene(t)
	s.allowed["list /nodes"], s.allowed["watch /nodes"] = false, false
	err := s.p.Interruptions(t.Context(), func(context.Context, providers.Interruption) error { return nil })
	if purser.KindOf(err) != purser.KindForbidden || !strings.Contains(err.Error(), "nodes") || !strings.Contains(err.Error(), "kubernetes-role.yaml") {
		t.Errorf("Interruptions: %v", err)
	}
}

// Credentials that are refused for a while do not end it.
func TestInterruptionsRefusedForAWhile(t *testing.T) {
	s := newScene(t)
	l := s.listen(nil)
	refuse := func(by func(verb, resource, name string) *metav1.Status) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.refuse = by
	}
	refuse(func(verb, _, _ string) *metav1.Status {
		if verb == "list" || verb == "watch" {
			return status(401, metav1.StatusReasonUnauthorized, "Unauthorized")
		}
		return nil
	})
	s.cut(true)
	s.until("the refusal is seen", func() bool { return s.p.watched.Load() == nil })
	s.change("n0", func(n *corev1.Node) { n.Spec.Unschedulable = true })
	refuse(nil)
	l.hears(providers.Retired, "cordoned")
	l.quiet()
}

// While the cluster is watched, looks read from caches, and see what was just written.
func TestCaches(t *testing.T) {
	s := newScene(t)
	l := s.listen(nil)
	before := map[string]int{}
	for _, call := range []string{"list /pods", "list /nodes", "list /configmaps", "list batch/jobs"} {
		before[call] = s.count(call)
	}
	for range 10 {
		if len(offersOf(t, s.p)) != 0 {
			t.Error("a place that is claimed is offered")
		}
		if all, err := s.p.List(t.Context()); err != nil || len(all) != 1 {
			t.Errorf("List: %+v, %v", all, err)
		}
		s.works()
	}
	for call, n := range before {
		if s.count(call) != n {
			t.Errorf("%s was called %d times", call, s.count(call)-n)
		}
	}
	for i := range 20 {
		s.run(training(fmt.Sprintf("t%02d", i), 0))
		if all := s.works(); len(all) != i+1 {
			t.Fatalf("after starting %d tasks there are %d", i+1, len(all))
		}
	}
	s.until("pods of tasks are seen", func() bool {
		s.pass(time.Second)
		return s.works()[19].State == purser.TaskRunning
	})
	l.quiet()
}
