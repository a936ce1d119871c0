package kubernetes

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"purser"
	"purser/providers"
)

// troupe is a gang on a cluster with JobSet: replica i is task t<i> on lease l<i>, on a
// place of its own.
type troupe struct {
	*cluster
	t       *testing.T
	p       *Provider
	members []providers.Member
}

func newTroupe(t *testing.T, n int, more ...func(*Config)) *troupe {
	t.Helper()
	c := newCluster(t)
	c.missing[jobsets.Group] = false
	for i := range n {
		c.set(*h100(fmt.Sprintf("n%d", i)))
	}
	g := &troupe{cluster: c, t: t, p: c.provider(t, nil, more...)}
	offer := offersOf(t, g.p)[0]
	for i := range n {
		r := request(fmt.Sprintf("l%d", i), offer)
		if _, err := g.p.Launch(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		g.members = append(g.members, providers.Member{Lease: r.Lease, Work: replica(fmt.Sprintf("t%d", i), i, n, 1)})
	}
	return g
}

func replica(id string, i, n, attempt int) providers.Work {
	w := training(id, 1000)
	w.Task.Replica, w.Task.Attempt = i, attempt
	w.Group.Replicas, w.Group.Gang = n, true
	return w
}

func (g *troupe) run() {
	g.t.Helper()
	if err := g.p.RunGang(g.t.Context(), g.members); err != nil {
		g.t.Fatal(err)
	}
}

func (g *troupe) name() string { return gangName(testInstallation, g.members) }

func (g *troupe) must(err error) {
	g.t.Helper()
	if err != nil {
		g.t.Fatal(err)
	}
}

// told is what Works says of every lease's task, in the order of replicas.
func (g *troupe) told() string {
	g.t.Helper()
	var out []string
	for _, m := range g.members {
		all, err := g.p.Works(g.t.Context(), m.Lease)
		g.must(err)
		if len(all) == 0 {
			out = append(out, "–")
		}
		for _, w := range all {
			text := string(w.State)
			if w.ExitCode != nil {
				text += fmt.Sprintf("(%d)", *w.ExitCode)
			}
			if w.State.Ended() == w.EndedAt.IsZero() {
				g.t.Errorf("times do not fit: %+v", w)
			}
			out = append(out, strings.TrimSpace(text+" "+w.Reason))
		}
	}
	return strings.Join(out, "; ")
}

func (g *troupe) turns(n int) {
	for range n {
		g.pass(time.Second)
	}
}

// A gang is one JobSet of Jobs that are pinned to their leases' places and know each other.
func TestRunGangMakes(t *testing.T) {
	g := newTroupe(t, 3, func(c *Config) { c.Checkpoints.PVC = "shared" })
	for i := range g.members {
		g.members[i].Work.Group.Run.Env = map[string]string{"PURSER_HOSTS": "mine"}
		g.members[i].Work.Group.Run.Files = []purser.File{{Path: "f"}}
	}
	slices.Reverse(g.members) // in whatever order they come
	g.run()
	slices.Reverse(g.members)
	g.run()
	other := g.provider(t, nil, func(c *Config) { c.Checkpoints.PVC = "shared" })
	g.must(other.RunGang(t.Context(), g.members)) // a server that was started anew
	g.turns(2)
	if got := g.told(); got != "running; running; running" {
		t.Fatalf("it is %q", got)
	}
	if len(g.objects["jobsets"]) != 1 || len(g.objects["jobs"]) != 3 || !strings.HasPrefix(g.name(), "purser-") {
		t.Fatalf("%d JobSets, %d Jobs", len(g.objects["jobsets"]), len(g.objects["jobs"]))
	}
	name := g.name()
	for i := range 3 {
		j := into[batchv1.Job](g.objects["jobs"][fmt.Sprintf("purser/%s-r%d-0", name, i)])
		pod := j.Spec.Template.Spec
		env := map[string]string{}
		for _, e := range pod.Containers[0].Env {
			env[e.Name] = e.Value
		}
		hosts := fmt.Sprintf("%[1]s-r0-0-0.%[1]s,%[1]s-r1-0-0.%[1]s,%[1]s-r2-0-0.%[1]s", name)
		claim, _, _, err := g.p.claim(t.Context(), "test", g.members[i].Lease.ID)
		g.must(err)
		for what, ok := range map[string]bool{
			"pinned to its lease's place": wanted(&corev1.Pod{Spec: pod}) == claim.Part.Node,
			"its lease's":                 j.Labels[LabelLease] == fmt.Sprintf("l%d", i) && j.Spec.Template.Labels[LabelTask] == fmt.Sprintf("t%d", i),
			"it knows the others":         env["PURSER_HOSTS"] == hosts && env["PURSER_REPLICA"] == fmt.Sprint(i),
			"a name in the network":       pod.Subdomain == name && *j.Spec.CompletionMode == batchv1.IndexedCompletion,
			"asked to stop by a hook":     pod.Containers[0].Lifecycle.PreStop != nil && *pod.TerminationGracePeriodSeconds == 25,
			"no attempt but the first":    *j.Spec.BackoffLimit == 0 && j.Spec.TTLSecondsAfterFinished == nil && len(j.Spec.PodFailurePolicy.Rules) == 2,
			"a checkpoint of its own":     strings.HasSuffix(pod.Containers[0].VolumeMounts[2].SubPath, fmt.Sprintf("train/%d", i)),
			"noted on its claim":          claim.Started[g.members[i].Work.Task.ID] == name,
		} {
			if !ok {
				t.Errorf("replica %d: not so: %s\n%+v", i, what, j)
			}
		}
	}
	if all, err := g.p.Works(t.Context(), g.members[1].Lease); err != nil || all[0].Checkpoint != "/purser/checkpoint" {
		t.Errorf("Works: %+v, %v", all, err)
	}
	for i := range 3 {
		g.finish(fmt.Sprintf("t%d", i), 0)
	}
	g.turns(2)
	if got := g.told(); got != "succeeded(0); succeeded(0); succeeded(0)" {
		t.Errorf("at the end it is %q", got)
	}
	for i, m := range g.members {
		g.must(g.p.Forget(t.Context(), m.Lease, m.Work.Task.ID))
		g.turns(2)
		if left := g.jobset(name) != nil; left != (i < 2) {
			t.Errorf("after %d of 3 are forgotten the JobSet is there: %t", i+1, left)
		}
		g.run() // comes late
	}
	g.turns(2)
	if got := g.told(); got != "–; –; –" || len(g.objects["jobs"])+len(g.objects["jobsets"])+len(g.objects["pods"]) != 0 {
		t.Errorf("after all is forgotten it is %q, and %v are left", got, slices.Collect(maps.Keys(g.objects["jobs"])))
	}
}

// What becomes of a gang by what becomes of its members.
func TestGangWorks(t *testing.T) {
	run := []func(*troupe){(*troupe).run}
	running := append(run, func(g *troupe) { g.turns(2) })
	turns := func(g *troupe) { g.turns(3) }
	exits := func(task string, code int32) func(*troupe) { return func(g *troupe) { g.finish(task, code) } }
	terminate := func(i int) func(*troupe) {
		return func(g *troupe) { g.must(g.p.Terminate(g.t.Context(), g.members[i].Lease)) }
	}
	stop := func(g *troupe) { g.must(g.p.Stop(g.t.Context(), g.members[1].Lease, "t1")) }
	late := func(g *troupe) { g.pass(5 * time.Minute); g.told() }
	broken := func(g *troupe) {
		g.mu.Lock()
		defer g.mu.Unlock()
		for _, pod := range every[corev1.Pod](g.cluster, "pods") {
			if pod.Labels[LabelTask] == "t1" {
				pod.Status.ContainerStatuses[0].State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "InvalidImageName"}}
				g.store(*pod)
			}
		}
		g.mu.Unlock()
		g.told()
		g.mu.Lock()
	}
	byHand := func(g *troupe) {
		g.mu.Lock()
		defer g.mu.Unlock()
		o := g.objects["jobsets"]["purser/"+g.name()]
		content := clone(o.content)
		section(content, "metadata")["deletionTimestamp"] = g.now.Format(time.RFC3339)
		_, _ = g.put(call{group: jobsets.Group, version: jobsets.Version, resource: jobsets.Resource, kind: "JobSet"}, o, content)
		g.mu.Unlock()
		g.told()
		g.mu.Lock()
	}
	const lost = "lost another replica of its gang "
	for name, c := range map[string]struct {
		steps []func(*troupe)
		want  string
		left  int // pods that run
	}{
		"just made": {run, "placed its pod is not there yet; placed its pod is not there yet", 0},
		"running":   {running, "running; running", 2},
		"one failed": {
			append(running, exits("t1", 3), turns, turns),
			lost + "failed: FailedJobs jobset failed due to one or more job failures (first failed job: NAME-r1-0); failed(3) exit code 3", 0,
		},
		"one failed, just now":         {append(running, exits("t1", 3), func(g *troupe) { g.turns(1) }), "running stopping: another replica of its gang failed; failed(3) exit code 3", 1},
		"one succeeded":                {append(running, exits("t0", 0), turns), "succeeded(0); running", 1},
		"told to stop":                 {append(running, stop), "running stopping: another replica of its gang was told to stop; running stopping: it was told to stop", 2},
		"stopped":                      {append(running, stop, stop, turns, stop), lost + "was told to stop; lost it was told to stop", 0},
		"stopped before it began":      {append(run, stop, turns), lost + "was told to stop; lost it was told to stop", 0},
		"a machine ended":              {append(running, terminate(1), turns), "lost the machine of another replica of its gang was ended; lost its machine was ended", 0},
		"the machine of a done one":    {append(running, exits("t1", 0), turns, terminate(1), turns, late), "running; succeeded(0)", 1},
		"a failed one's machine ended": {append(running, exits("t1", 3), terminate(1), turns, turns), lost + "failed: FailedJobs jobset failed due to one or more job failures (first failed job: NAME-r1-0); failed(3) exit code 3", 0},
		"no image": {
			append(running, broken, turns),
			lost + "came to nothing: its container cannot be made: InvalidImageName; failed its container cannot be made: InvalidImageName", 0,
		},
		"deleted by somebody":    {append(running, byHand, turns), "lost its JobSet was deleted; lost its JobSet was deleted", 0},
		"nobody acts on JobSets": {append([]func(*troupe){func(g *troupe) { g.noController = true }}, append(running, late, func(g *troupe) { g.noController = false }, turns)...), "lost its JobSet made no Job; JobSet's controller may not run, or a ResourceQuota or a policy of the cluster refuses it; " + lost + "came to nothing: its JobSet made no Job; JobSet's controller may not run, or a ResourceQuota or a policy of the cluster refuses it", 0},
		"nobody acts any more": {
			append(running, func(g *troupe) { g.finish("t1", 3); g.noController = true }, late, func(g *troupe) { g.noController = false }, turns),
			lost + "came to nothing: exit code 3; failed exit code 3", 0,
		},
		"started after its end":   {append(running, stop, turns, (*troupe).run, turns), lost + "was told to stop; lost it was told to stop", 0},
		"disrupted":               {append(running, func(g *troupe) { g.finish("t1", 143, disruption) }, turns), "running; running", 2},
		"JobSet leaves the place": {append(running, func(g *troupe) { g.vanishAPI() }, turns, turns), "–; –", 0},
	} {
		t.Run(name, func(t *testing.T) {
			g := newTroupe(t, 2)
			for _, step := range slices.Clone(c.steps) {
				step(g)
			}
			if got, want := g.told(), strings.ReplaceAll(c.want, "NAME", g.name()); got != want {
				t.Errorf("it is %q\nwant  %q", got, want)
			}
			if n := len(g.running()); n != c.left {
				t.Errorf("%d pods run, want %d", n, c.left)
			}
		})
	}
}

// vanishAPI takes JobSet's CRD away, and with it all JobSets.
func (c *cluster) vanishAPI() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.missing[jobsets.Group] = true
	for _, o := range c.objects["jobsets"] {
		c.vanish("jobsets", o)
	}
}

// The next attempt of a gang is another JobSet, and the end of a lease is not awaited for
// longer than its own pods are there, though another place of the gang is dead.
func TestGangGoesOnFromADeadPlace(t *testing.T) {
	g := newTroupe(t, 2)
	g.set(*h100("n2"))
	g.run()
	g.turns(2)
	first := g.name()
	g.must(g.p.Terminate(t.Context(), g.members[1].Lease))
	g.stuck = "t1" // its kubelet does not answer
	g.turns(5)
	if got := g.told(); got != "lost the machine of another replica of its gang was ended; lost its machine was ended" {
		t.Fatalf("it is %q", got)
	}
	r := request("l2", g.members[0].Lease.Offer)
	if _, err := g.p.Launch(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	g.must(g.p.Forget(t.Context(), g.members[0].Lease, "t0"))
	g.members = []providers.Member{{Lease: g.members[0].Lease, Work: replica("t0-2", 0, 2, 2)}, {Lease: r.Lease, Work: replica("t1-2", 1, 2, 2)}}
	g.run()
	g.turns(2)
	if got := g.told(); got != "running; running" || g.name() == first || g.jobset(first) == nil {
		t.Errorf("it is %q", got)
	}
}

// With a queue a gang waits as a whole, and Kueue resumes it.
func TestGangInAQueue(t *testing.T) {
	g := newTroupe(t, 2, func(c *Config) { c.Queue = "team" })
	if err := g.p.RunGang(t.Context(), g.members); purser.KindOf(err) != purser.KindInvalid {
		t.Errorf("without the queue: %v", err)
	}
	g.missing["kueue.x-k8s.io"] = false
	g.set(LocalQueue{ObjectMeta: metav1.ObjectMeta{Name: "team", Namespace: "purser"}})
	g.run()
	g.turns(2)
	if got := g.told(); got != "placed it waits in the queue team; placed it waits in the queue team" {
		t.Errorf("it is %q", got)
	}
	admit := func(yes bool) {
		g.mu.Lock()
		defer g.mu.Unlock()
		o := g.objects["jobsets"]["purser/"+g.name()]
		content := clone(o.content)
		section(content, "spec")["suspend"] = !yes
		_, _ = g.put(call{group: jobsets.Group, version: jobsets.Version, resource: jobsets.Resource, kind: "JobSet"}, o, content)
		if o.Labels[queueLabel] != "team" {
			t.Errorf("the JobSet has the labels %v", o.Labels)
		}
		for _, j := range every[batchv1.Job](g.cluster, "jobs") {
			if j.Labels[queueLabel] != "" {
				t.Errorf("a Job of it is in the queue by itself: %v", j.Labels)
			}
		}
	}
	admit(true)
	g.turns(2)
	if got := g.told(); got != "running; running" {
		t.Errorf("admitted, it is %q", got)
	}
	admit(false) // it makes way for others
	g.turns(2)
	if got := g.told(); got != "placed it waits in the queue team; placed it waits in the queue team" || len(g.running()) != 0 {
		t.Errorf("evicted, it is %q", got)
	}
	for replicas, want := range map[int]bool{2: true, 8: true, 9: false} {
		if ok, err := g.p.TakesGang(t.Context(), replicas); err != nil || ok != want {
			t.Errorf("TakesGang(%d): %t, %v", replicas, ok, err)
		}
	}
}

// A cluster takes gangs while it has JobSet and Purser's account may use it.
func TestTakesGang(t *testing.T) {
	g := newTroupe(t, 1)
	takes := func(what string, want bool) {
		t.Helper()
		g.pass(discoverEvery)
		if ok, err := g.p.TakesGang(t.Context(), 100); err != nil || ok != want {
			t.Errorf("%s: %t, %v", what, ok, err)
		}
	}
	takes("with JobSet", true)
	g.vanishAPI()
	takes("without JobSet", false)
	g.missing[jobsets.Group] = false
	takes("with JobSet again", true)
	g.allowed[callName("list", jobsets.Group, jobsets.Resource)] = false
	takes("without the permission", false)
	g.refuse = func(_, _, _ string) *metav1.Status { return status(503, metav1.StatusReasonServiceUnavailable, "no") }
	g.allowed[callName("list", jobsets.Group, jobsets.Resource)] = true
	g.pass(discoverEvery)
	if _, err := g.p.TakesGang(t.Context(), 2); purser.KindOf(err) != purser.KindUnavailable {
		t.Errorf("without an answer: %v", err)
	}
}

// A task has one name at a time: it does not run by itself and in a gang, nor in two.
func TestGangOrAlone(t *testing.T) {
	g := newTroupe(t, 2)
	m := g.members[1]
	g.must(g.p.Run(t.Context(), m.Lease, m.Work))
	if err := g.p.RunGang(t.Context(), g.members); purser.KindOf(err) != purser.KindUnavailable {
		t.Errorf("RunGang beside a Job of a member's own: %v", err)
	}
	g.turns(2)
	if got := g.running(); len(got) != 1 || got["t1"] != 1 {
		t.Errorf("run: %v", got)
	}
	g.drop("jobs", "purser", "purser-t1")
	g.run() // what was noted is not there any more
	if err := g.p.Run(t.Context(), m.Lease, m.Work); purser.KindOf(err) != purser.KindUnavailable {
		t.Errorf("Run beside its gang: %v", err)
	}
	again := slices.Clone(g.members)
	again[0].Work = replica("t0-2", 0, 2, 2)
	if err := g.p.RunGang(t.Context(), again); purser.KindOf(err) != purser.KindUnavailable {
		t.Errorf("RunGang of one that runs in another: %v", err)
	}
	elsewhere := slices.Clone(g.members)
	elsewhere[0].Lease, elsewhere[1].Lease = elsewhere[1].Lease, elsewhere[0].Lease
	if err := g.p.RunGang(t.Context(), elsewhere); purser.KindOf(err) != purser.KindConflict {
		t.Errorf("RunGang on other machines: %v", err)
	}
	g.turns(3)
	if got := g.told(); got != "running; running" || len(g.objects["jobsets"]) != 1 {
		t.Errorf("it is %q, in %d JobSets", got, len(g.objects["jobsets"]))
	}
}

// A gang that was cut off before it began is no hindrance when its tasks are given other
// machines, of which one may hold several.
func TestGangGetsOtherMachines(t *testing.T) {
	g := newTroupe(t, 2)
	g.refuse = func(verb, resource, _ string) *metav1.Status {
		if verb == "patch" && resource == jobsets.Resource {
			return status(503, metav1.StatusReasonServiceUnavailable, "no")
		}
		return nil
	}
	if err := g.p.RunGang(t.Context(), g.members); purser.KindOf(err) != purser.KindUnavailable {
		t.Fatalf("RunGang: %v", err)
	}
	g.refuse = nil
	g.turns(3)
	if got := g.told(); got != "–; –" || len(g.running()) != 0 {
		t.Fatalf("before it is released it is %q", got)
	}
	first := g.members[1].Lease
	g.members[1].Lease = g.members[0].Lease
	for range 5 {
		_ = g.p.RunGang(t.Context(), g.members) // what was there has to go
		g.turns(1)
	}
	if all, err := g.p.Works(t.Context(), first); err != nil || len(all) != 0 {
		t.Errorf("on the machine that it was to be on: %+v, %v", all, err)
	}
	if all, err := g.p.Works(t.Context(), g.members[0].Lease); err != nil || len(all) != 2 || all[1].State != purser.TaskRunning || len(g.running()) != 2 {
		t.Errorf("on the one machine: %+v, %v", all, err)
	}
	g.must(g.p.Terminate(t.Context(), first))
	g.turns(3)
	if len(g.running()) != 2 {
		t.Errorf("the end of a machine that has no part in it ended it: %v", g.running())
	}
}

// What cannot run as a gang is refused, and leaves no JobSet.
func TestRunGangRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*troupe)
		want  purser.Kind
	}{
		"no members":            {func(g *troupe) { g.members = nil }, purser.KindInvalid},
		"nothing to run":        {func(g *troupe) { g.members[1].Work.Group.Run = purser.Run{} }, purser.KindInvalid},
		"more than there is":    {func(g *troupe) { g.members[1].Work.Task.Devices = 9000 }, purser.KindInvalid},
		"a machine that ends":   {func(g *troupe) { g.must(g.p.Terminate(g.t.Context(), g.members[1].Lease)) }, purser.KindConflict},
		"no machine":            {func(g *troupe) { g.drop("configmaps", "purser", "purser-l1") }, purser.KindNotFound},
		"the namespace's quota": {func(g *troupe) { g.quota["jobsets"] = 0 }, purser.KindQuota},
		"no such API":           {func(g *troupe) { g.vanishAPI() }, purser.KindInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			g := newTroupe(t, 2)
			c.spoil(g)
			if err := g.p.RunGang(t.Context(), g.members); purser.KindOf(err) != c.want {
				t.Errorf("RunGang: %v, want %s", err, c.want)
			}
			if n := len(g.objects["jobsets"]); n != 0 {
				t.Errorf("it left %d JobSets", n)
			}
		})
	}
}
