package kubernetes

import (
	"fmt"
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

// training is the work of a training task.
func training(id string, devices purser.MilliDevices) providers.Work {
	return providers.Work{
		Task:    purser.Task{ID: purser.TaskID(id), Job: "job-1", Group: "train", Attempt: 1, Variant: "v", Devices: devices, MilliCPU: 4000, MemoryMiB: 8192},
		Group:   purser.TaskGroup{Name: "train", Kind: purser.Training, Replicas: 1, Run: purser.Run{Command: "python train.py"}},
		Project: "p", JobName: "j", Installation: testInstallation,
	}
}

func serving(id string) providers.Work {
	w := training(id, 1000)
	w.Group.Kind, w.Group.Port = purser.Inference, 8080
	return w
}

// scene is a lease on a cluster.
type scene struct {
	*cluster
	t     *testing.T
	p     *Provider
	lease purser.Lease
}

func newScene(t *testing.T, more ...func(*Config)) scene {
	t.Helper()
	c := newCluster(t)
	c.set(*h100("n0"))
	s := scene{cluster: c, t: t, p: c.provider(t, nil, more...)}
	r := request("lease-a", offersOf(t, s.p)[0])
	if _, err := s.p.Launch(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	s.lease = r.Lease
	return s
}

func (s scene) run(w providers.Work) {
	s.t.Helper()
	if err := s.p.Run(s.t.Context(), s.lease, w); err != nil {
		s.t.Fatal(err)
	}
}

func (s scene) works() []providers.WorkState {
	s.t.Helper()
	all, err := s.p.Works(s.t.Context(), s.lease)
	if err != nil {
		s.t.Fatal(err)
	}
	return all
}

// written is the one task's state: STATE(EXIT CODE) REASON.
func (s scene) written() string {
	s.t.Helper()
	all := s.works()
	if len(all) != 1 {
		return fmt.Sprintf("%d tasks", len(all))
	}
	w := all[0]
	out := string(w.State)
	if w.ExitCode != nil {
		out += fmt.Sprintf("(%d)", *w.ExitCode)
	}
	if w.State.Ended() == w.EndedAt.IsZero() || (w.State == purser.TaskRunning || w.State == purser.TaskSucceeded) && w.StartedAt.IsZero() {
		s.t.Errorf("times do not fit: %+v", w)
	}
	return strings.TrimSpace(out + " " + w.Reason)
}

// pods changes the pods of the task.
func (s scene) pods(by func(*corev1.Pod)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, pod := range every[corev1.Pod](s.cluster, "pods") {
		if pod.Labels[LabelTask] == "t" {
			by(pod)
			s.store(*pod)
		}
	}
}

func (s scene) waits(reason, message string) {
	s.pods(func(pod *corev1.Pod) {
		pod.Status.ContainerStatuses[0].State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
	})
}

func (s scene) stop() {
	s.t.Helper()
	if err := s.p.Stop(s.t.Context(), s.lease, "t"); err != nil {
		s.t.Fatal(err)
	}
}

func (s scene) terminate() {
	s.t.Helper()
	if err := s.p.Terminate(s.t.Context(), s.lease); err != nil {
		s.t.Fatal(err)
	}
}

var disruption = corev1.PodCondition{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "EvictionByEvictionAPI", Message: "evicted"}

// What becomes of a task by what becomes of its objects.
func TestWorks(t *testing.T) {
	second := func(s scene) { s.pass(time.Second) }
	job := []func(scene){func(s scene) { s.run(training("t", 1000)) }}
	running := append(job, second)
	service := []func(scene){func(s scene) { s.run(serving("t")) }, second}
	crash := func(n int32) func(scene) {
		return func(s scene) {
			s.pods(func(pod *corev1.Pod) {
				c := &pod.Status.ContainerStatuses[0]
				c.RestartCount = n
				c.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{ExitCode: 2, StartedAt: metav1.NewTime(s.now)}
				c.State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}
			})
		}
	}
	exits := func(code int32, c ...corev1.PodCondition) func(scene) {
		return func(s scene) { s.finish("t", code, c...) }
	}
	full := func(s scene) { s.set(pod("web", "n0", "nvidia.com/gpu", "8")) }
	pull := func(s scene) { s.waits("ImagePullBackOff", "no such image") }
	late := func(s scene) { s.pass(5 * time.Minute) }
	stop, terminate := scene.stop, scene.terminate
	for name, c := range map[string]struct {
		steps []func(scene)
		want  string
	}{
		"just made":                      {job, "placed its pod is not there yet"},
		"running":                        {running, "running"},
		"succeeded":                      {append(running, exits(0)), "succeeded(0)"},
		"failed":                         {append(running, exits(3)), "failed(3) exit code 3"},
		"waiting for its image":          {append(running, pull), "placed ImagePullBackOff no such image"},
		"no image for too long":          {append(running, pull, late, func(s scene) { s.works() }, second, second), "failed its container cannot be made: ImagePullBackOff no such image"},
		"no room":                        {append([]func(scene){full}, running...), "placed no_capacity: its place has no room for it: 0/1 nodes are available: 1 Insufficient nvidia.com/gpu."},
		"no room for too long":           {append([]func(scene){full}, append(running, late, func(s scene) { s.works() }, second, second)...), "lost no_capacity: its place has no room for it: 0/1 nodes are available: 1 Insufficient nvidia.com/gpu."},
		"a quota refuses its pod":        {append([]func(scene){func(s scene) { s.quota["pods"] = 0 }}, append(running, late, func(s scene) { s.works() }, second, second)...), "lost its pod could not be made; a ResourceQuota or a policy of the cluster may refuse it"},
		"told to stop":                   {append(running, stop), "running stopping: it was told to stop"},
		"stopped":                        {append(running, stop, second, second), "lost it was told to stop"},
		"stopped before it began":        {append(job, stop, second, second), "lost it was told to stop"},
		"stopped after its end":          {append(running, exits(0), stop), "succeeded(0)"},
		"disrupted":                      {append(running, exits(143, disruption), second), "running"},
		"its machine ended":              {append(running, terminate), "lost its machine was ended"},
		"its machine ended, long ago":    {append(running, terminate, late, late), "lost its machine was ended"},
		"its machine ended after it":     {append(running, exits(3), terminate, late, late), "failed(3) exit code 3"},
		"started again":                  {append(running, job[0], second), "running"},
		"started after its machine":      {append(running, terminate, late, late, func(s scene) { _ = s.p.Run(s.t.Context(), s.lease, training("t", 1000)) }, second), "lost its machine was ended"},
		"a service runs":                 {service, "running"},
		"a service is stopped":           {append(service, stop, second, second), "lost it was told to stop"},
		"a service ended twice":          {append(service, crash(2)), "running CrashLoopBackOff"},
		"a service does not stay":        {append(service, crash(5), func(s scene) { s.works() }, second, second), "failed it ended 6 times, the last time with exit code 2"},
		"a service's machine ended":      {append(service, terminate, late), "lost its machine was ended"},
		"a Job that somebody else ended": {append(running, func(s scene) { s.finishJob("FailureTarget", "DeadlineExceeded") }), "lost its Job failed: DeadlineExceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			for _, step := range slices.Clone(c.steps) {
				step(s)
			}
			if got := s.written(); got != c.want {
				t.Errorf("it is %q, want %q", got, c.want)
			}
		})
	}
}

func (s scene) finishJob(_, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	j := into[batchv1.Job](s.objects["jobs"]["purser/purser-t"])
	j.Status.Conditions = append(j.Status.Conditions, batchv1.JobCondition{Type: batchv1.JobFailed, Status: corev1.ConditionTrue, Reason: reason, LastTransitionTime: metav1.NewTime(s.now)})
	s.store(*j)
}

// Run makes what its documentation says.
func TestRunMakes(t *testing.T) {
	s := newScene(t, func(c *Config) {
		c.Checkpoints.PVC, c.ImagePullSecret = "shared", "registry"
		c.Tolerations = []corev1.Toleration{{Key: "team", Operator: corev1.TolerationOpExists}}
	})
	w := training("t", 2000)
	w.Group.Run = purser.Run{
		Command: "python train.py", Setup: "pip install x", Image: "pytorch:1", Env: map[string]string{"A": "$(HOME)", "PURSER_LEASE": "mine"}, Workdir: "src",
		Files: []purser.File{{Path: "train.py", Content: []byte{0xff, 0}, Mode: 0o755}},
	}
	w.Group.Checkpoint.Path = "ckpt"
	s.run(w)
	j := into[batchv1.Job](s.objects["jobs"]["purser/purser-t"])
	pod := j.Spec.Template.Spec
	c := pod.Containers[0]
	env := map[string]string{}
	for _, e := range c.Env {
		env[e.Name] = e.Value
	}
	mounts := map[string]string{}
	for _, m := range c.VolumeMounts {
		mounts[m.MountPath] = m.Name + ":" + m.SubPath
	}
	rules := j.Spec.PodFailurePolicy.Rules
	files := into[corev1.ConfigMap](s.objects["configmaps"]["purser/purser-t-files"])
	for what, ok := range map[string]bool{
		"an Indexed Job of one":          *j.Spec.CompletionMode == batchv1.IndexedCompletion && *j.Spec.Completions == 1 && *j.Spec.Parallelism == 1 && *j.Spec.BackoffLimit == 0,
		"disruptions are ignored":        rules[0].Action == batchv1.PodFailurePolicyActionIgnore && rules[0].OnPodConditions[0].Type == corev1.DisruptionTarget,
		"exit codes fail it":             rules[1].Action == batchv1.PodFailurePolicyActionFailJob && rules[1].OnExitCodes.Operator == batchv1.PodFailurePolicyOnExitCodesOpNotIn,
		"pinned":                         wanted(&corev1.Pod{Spec: pod}) == "n0" && pod.NodeName == "",
		"asked to stop by a hook":        strings.Contains(c.Lifecycle.PreStop.Exec.Command[2], "kill -s TERM") && *pod.TerminationGracePeriodSeconds == 25,
		"devices":                        c.Resources.Limits.Name("nvidia.com/gpu", "").Value() == 2 && c.Resources.Requests.Cpu().MilliValue() == 4000 && c.Resources.Requests.Memory().Value() == 8<<30,
		"a shell that stays":             c.Command[2] == "{ pip install x\n} && { python train.py\n}\nexit $?\n" && c.Image == "pytorch:1" && c.WorkingDir == "/purser/work/src",
		"no account in the pod":          !*pod.AutomountServiceAccountToken && !*c.SecurityContext.AllowPrivilegeEscalation,
		"environment":                    env["PURSER_LEASE"] == "lease-a" && env["PURSER_DEVICES"] == "0,1" && env["A"] == "$$(HOME)" && env["PURSER_CHECKPOINT_DIR"] == "/purser/checkpoint" && env["PURSER_JOB"] == "j",
		"files":                          mounts["/purser/work/src/train.py"] == "files:file-0" && string(files.BinaryData["file-0"]) == "\xff\x00" && files.OwnerReferences[0].Name == "purser-lease-a",
		"checkpoints on the volume":      mounts["/purser/work/src/ckpt"] == "checkpoint:purser/inst-1/job-1/train/0" && mounts["/purser/checkpoint"] == mounts["/purser/work/src/ckpt"],
		"a secret for the image":         pod.ImagePullSecrets[0].Name == "registry",
		"tolerations":                    slices.ContainsFunc(pod.Tolerations, func(o corev1.Toleration) bool { return o.Key == "nvidia.com/gpu" }) && pod.Tolerations[0].Key == "team",
		"goes with its claim":            j.OwnerReferences[0].Name == "purser-lease-a" && j.Labels[LabelInstallation] == testInstallation,
		"is not suspended without Kueue": !*j.Spec.Suspend,
	} {
		if !ok {
			t.Errorf("not so: %s\n%+v", what, j.Spec)
		}
	}
	s.pass(time.Second)
	if all := s.works(); all[0].Checkpoint != "/purser/checkpoint" {
		t.Errorf("it has no checkpoint: %+v", all)
	}
}

// What cannot run is refused, and leaves nothing.
func TestRunRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(scene, *providers.Work)
		want  purser.Kind
	}{
		"nothing to run":            {func(_ scene, w *providers.Work) { w.Group.Run = purser.Run{} }, purser.KindInvalid},
		"a share of a device":       {func(_ scene, w *providers.Work) { w.Task.Devices = 125 }, purser.KindInvalid},
		"more than there is":        {func(_ scene, w *providers.Work) { w.Task.Devices = 9000 }, purser.KindInvalid},
		"a path out of its own":     {func(_ scene, w *providers.Work) { w.Group.Run.Files = []purser.File{{Path: "../x"}} }, purser.KindInvalid},
		"a machine that ends":       {func(s scene, _ *providers.Work) { s.terminate() }, purser.KindConflict},
		"no machine":                {func(s scene, _ *providers.Work) { s.drop("configmaps", "purser", "purser-lease-a") }, purser.KindNotFound},
		"the namespace's quota":     {func(s scene, _ *providers.Work) { s.quota["jobs"] = 0 }, purser.KindQuota},
		"a queue that is not there": {func(s scene, _ *providers.Work) { s.p.Queue = "team" }, purser.KindInvalid},
		"another machine's task": {func(s scene, w *providers.Work) {
			other := request("lease-b", s.lease.Offer)
			s.set(*h100("n1"))
			if _, err := s.p.Launch(s.t.Context(), other); err != nil {
				s.t.Fatal(err)
			}
			if err := s.p.Run(s.t.Context(), other.Lease, *w); err != nil {
				s.t.Fatal(err)
			}
		}, purser.KindConflict},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			w := training("t", 1000)
			c.spoil(s, &w)
			if err := s.p.Run(t.Context(), s.lease, w); purser.KindOf(err) != c.want {
				t.Errorf("Run: %v, want %s", err, c.want)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			for _, j := range every[batchv1.Job](s.cluster, "jobs") {
				if j.Labels[LabelLease] == "lease-a" {
					t.Errorf("it left the Job %s", j.Name)
				}
			}
		})
	}
}

// A machine that is ended between the two looks of Run takes the task with it.
func TestRunWhileEnding(t *testing.T) {
	s := newScene(t)
	once := false
	other := s.provider(t, nil)
	s.refuse = func(verb, resource, _ string) *metav1.Status {
		if verb == "create" && resource == "jobs" && !once {
			once = true
			c := into[corev1.ConfigMap](s.objects["configmaps"]["purser/purser-lease-a"])
			end, err := readClaim(c)
			if err != nil {
				panic(err)
			}
			end.State, end.EndedAt = claimEnding, s.now
			m, err := other.object(end)
			if err != nil {
				panic(err)
			}
			s.store(*m)
		}
		return nil
	}
	if err := s.p.Run(t.Context(), s.lease, training("t", 1000)); purser.KindOf(err) != purser.KindConflict {
		t.Errorf("Run: %v", err)
	}
	s.pass(time.Second)
	if in, err := s.p.Describe(t.Context(), s.lease); err != nil || in.State != providers.Gone {
		t.Errorf("Describe: %+v, %v", in, err)
	}
}

// With Kueue, a Job waits suspended and with its queue's name until it is admitted.
func TestQueue(t *testing.T) {
	s := newScene(t, func(c *Config) { c.Queue = "team" })
	s.missing["kueue.x-k8s.io"] = false
	s.set(LocalQueue{TypeMeta: metav1.TypeMeta{Kind: "LocalQueue"}, ObjectMeta: metav1.ObjectMeta{Name: "team", Namespace: "purser"}})
	s.run(training("t", 1000))
	s.pass(time.Second)
	if got := s.written(); got != "placed it waits in the queue team" {
		t.Errorf("it is %q", got)
	}
	s.mu.Lock()
	j := into[batchv1.Job](s.objects["jobs"]["purser/purser-t"])
	if j.Labels[queueLabel] != "team" || !*j.Spec.Suspend {
		t.Errorf("the Job is not handed to the queue: %+v", j.ObjectMeta)
	}
	no := false
	j.Spec.Suspend = &no
	s.store(*j)
	s.mu.Unlock()
	s.pass(time.Second)
	if got := s.written(); got != "running" {
		t.Errorf("admitted, it is %q", got)
	}
}

// LocalQueue is Kueue's, as far as it is read.
type LocalQueue struct {
	metav1.TypeMeta
	metav1.ObjectMeta `json:"metadata"`
}

// A task is told until it is forgotten, and never runs again.
func TestForget(t *testing.T) {
	s := newScene(t)
	w := training("t", 1000)
	w.Group.Run.Files = []purser.File{{Path: "f"}}
	s.run(w)
	s.run(training("u", 1000))
	s.pass(time.Second)
	s.finish("t", 0)
	for range 2 {
		if err := s.p.Forget(t.Context(), s.lease, "t"); err != nil {
			t.Fatal(err)
		}
		s.run(w) // comes late
		s.pass(time.Second)
		s.pass(time.Second)
		if all := s.works(); len(all) != 1 || all[0].Task != "u" {
			t.Errorf("after Forget: %+v", all)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, resource := range []string{"jobs", "pods", "configmaps"} {
		for key := range s.objects[resource] {
			if strings.Contains(key, "purser-t") {
				t.Errorf("Forget left %s %s", resource, key)
			}
		}
	}
}

func TestLogs(t *testing.T) {
	s := newScene(t)
	s.run(training("t", 1000))
	if lines, err := s.p.Logs(t.Context(), s.lease, "t", time.Time{}); err != nil || len(lines) != 0 {
		t.Errorf("before it began: %v, %v", lines, err)
	}
	s.pass(time.Second)
	if lines, err := s.p.Logs(t.Context(), s.lease, "t", time.Time{}); err != nil || len(lines) != 0 {
		t.Errorf("while its container is made: %v, %v", lines, err)
	}
	s.pods(func(pod *corev1.Pod) {
		s.logs[pod.Name] = "2026-03-01T00:00:01.5Z epoch 1\n2026-03-01T00:00:02.000000001Z epoch 2\n2026-03-01T00:00:03Z \n"
	})
	lines, err := s.p.Logs(t.Context(), s.lease, "t", time.Date(2026, 3, 1, 0, 0, 1, 5e8, time.UTC))
	if err != nil || len(lines) != 2 || lines[0].Text != "epoch 2" || lines[0].At.Nanosecond() != 1 || lines[1].Text != "" {
		t.Errorf("%+v, %v", lines, err)
	}
}

// The devices of a driver (DRA) are asked for by a template.
func TestRunOnDynamicDevices(t *testing.T) {
	k := newCluster(t)
	k.set(*node("n0", nil, has()))
	k.set(driverSlice("n0", "NVIDIA H100 80GB HBM3", 4))
	p := k.provider(t, nil)
	r := request("lease-a", offersOf(t, p)[0])
	if _, err := p.Launch(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	s := scene{k, t, p, r.Lease}
	s.run(training("t", 2000))
	s.pass(time.Second)
	if got := s.written(); got != "running" {
		t.Errorf("it is %q", got)
	}
	s.mu.Lock()
	if n := len(s.objects["resourceclaimtemplates"]); n != 1 {
		t.Errorf("%d templates", n)
	}
	s.mu.Unlock()
	s.terminate()
	if n := len(s.objects["resourceclaimtemplates"]); n != 0 {
		t.Errorf("%d templates are left", n)
	}
}

// The end of a machine is awaited while its place is there to see it.
func TestEndOnDeadPlace(t *testing.T) {
	s := newScene(t)
	s.run(training("t", 1000))
	s.pass(time.Second)
	state := func(want providers.InstanceState, listed int) {
		t.Helper()
		if in, err := s.p.Describe(t.Context(), s.lease); err != nil || in.State != want {
			t.Errorf("Describe: %+v, %v; want %s", in, err, want)
		}
		if all, err := s.p.List(t.Context()); err != nil || len(all) != listed {
			t.Errorf("List: %+v, %v", all, err)
		}
	}
	state(providers.Running, 1)
	s.terminate()
	state(providers.Stopping, 1)
	s.change("n0", ready(corev1.ConditionUnknown, s.now.Add(-notReadyGrace)))
	state(providers.Gone, 0)
	s.drop("nodes", "", "n0")
	state(providers.Gone, 0)
}

// Sweep removes tombstones after a day, and tasks whose claim is no more.
func TestSweep(t *testing.T) {
	s := newScene(t)
	s.run(training("t", 1000))
	s.drop("configmaps", "purser", "purser-lease-a")
	sweep := func(want int) {
		t.Helper()
		if n, err := s.p.Sweep(t.Context(), time.Minute); err != nil || n != want {
			t.Errorf("Sweep: %d, %v; want %d", n, err, want)
		}
	}
	sweep(0) // it may be under way
	s.pass(2 * time.Minute)
	sweep(1)
	s.pass(2 * time.Minute)
	if err := s.p.Terminate(t.Context(), purser.Lease{ID: "lease-b"}); err != nil {
		t.Fatal(err)
	}
	s.pass(23 * time.Hour)
	sweep(0)
	s.pass(2 * time.Hour)
	sweep(1)
	if n := len(s.objects["configmaps"]); n != 0 {
		t.Errorf("%d claims are left", n)
	}
	r := request("lease-c", offersOf(t, s.p)[0])
	if _, err := s.p.Launch(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	s.drop("nodes", "", "n0")
	s.pass(2 * time.Minute)
	sweep(0)
	if in, err := s.p.Describe(t.Context(), r.Lease); err != nil || in.State != providers.Gone || !strings.Contains(in.Reason, "no longer in the cluster") {
		t.Errorf("Describe: %+v, %v", in, err)
	}
	if c := into[corev1.ConfigMap](s.objects["configmaps"]["purser/purser-lease-c"]); !strings.Contains(c.Data[claimKey], string(claimEnding)) {
		t.Errorf("no tombstone: %s", c.Data)
	}
}
