//go:build kubereal

package kubernetes

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"purser"
	"purser/providers"
)

// lives are a lease and its tasks on a real cluster.
type lives struct {
	*realWorld
	t     *testing.T
	p     *Provider
	lease purser.Lease
}

func (r *realWorld) lives(t *testing.T, p *Provider) lives {
	t.Helper()
	l := lives{realWorld: r, t: t, p: p}
	req := request("lease-a", offersOf(t, p)[0])
	if in, err := p.Launch(t.Context(), req); err != nil || in.State != providers.Running {
		t.Fatalf("Launch: %+v, %v", in, err)
	}
	l.lease = req.Lease
	return l
}

func (l lives) run(w providers.Work) {
	l.t.Helper()
	for range 2 { // it is found the second time
		if err := l.p.Run(l.t.Context(), l.lease, w); err != nil {
			l.t.Fatal(err)
		}
	}
}

func (l lives) becomes(task purser.TaskID, want purser.TaskState) (w providers.WorkState) {
	l.t.Helper()
	l.eventually(l.t, fmt.Sprintf("%s is %s", task, want), func() bool {
		all, err := l.p.Works(l.t.Context(), l.lease)
		if err != nil {
			l.t.Fatal(err)
		}
		for _, w = range all {
			if w.Task == task {
				return w.State == want
			}
		}
		return false
	})
	return w
}

// ends lets a task's container end with an exit code, as a kubelet would.
func (l lives) ends(task purser.TaskID, code int32) {
	l.t.Helper()
	pods := must[*corev1.PodList](l.t)(l.admin.CoreV1().Pods("purser").List(l.t.Context(), metav1.ListOptions{LabelSelector: LabelTask + "=" + string(task)}))
	for _, pod := range pods.Items {
		s := &pod.Status.ContainerStatuses[0]
		s.State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, StartedAt: s.State.Running.StartedAt, FinishedAt: metav1.Now()}}
		pod.Status.Phase = corev1.PodSucceeded
		if code != 0 {
			pod.Status.Phase = corev1.PodFailed
		}
		must[*corev1.Pod](l.t)(l.admin.CoreV1().Pods("purser").UpdateStatus(l.t.Context(), &pod, metav1.UpdateOptions{}))
	}
}

// TestRealTasks runs tasks of every end, the last of which is that of their machine.
func TestRealTasks(t *testing.T) {
	r := realCluster(t)
	r.nodes(t, h100("real-0"))
	l := r.lives(t, r.provider(t, nil))
	for _, id := range []string{"good", "bad", "stopped", "disrupted", "living"} {
		w := training(id, 1000)
		w.Group.Run.Files = []purser.File{{Path: "train.py", Content: []byte("pass"), Mode: 0o755}}
		w.Group.Checkpoint.Path = "ckpt"
		l.run(w)
		if w := l.becomes(purser.TaskID(id), purser.TaskRunning); w.StartedAt.IsZero() {
			t.Errorf("%+v", w)
		}
	}
	l.ends("good", 0)
	l.ends("bad", 3)
	if err := l.p.Stop(t.Context(), l.lease, "stopped"); err != nil {
		t.Fatal(err)
	}
	if w := l.becomes("good", purser.TaskSucceeded); w.ExitCode == nil || *w.ExitCode != 0 || w.EndedAt.IsZero() {
		t.Errorf("%+v", w)
	}
	if w := l.becomes("bad", purser.TaskFailed); w.ExitCode == nil || *w.ExitCode != 3 {
		t.Errorf("%+v", w)
	}
	l.becomes("stopped", purser.TaskLost)
	l.evict("disrupted")
	l.becomes("disrupted", purser.TaskRunning)
	for _, id := range []purser.TaskID{"good", "stopped"} {
		if err := l.p.Forget(t.Context(), l.lease, id); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.p.Terminate(t.Context(), l.lease); err != nil {
		t.Fatal(err)
	}
	r.eventually(t, "the machine is gone", func() bool {
		in, err := l.p.Describe(t.Context(), l.lease)
		return err == nil && in.State == providers.Gone
	})
	for id, want := range map[purser.TaskID]purser.TaskState{"bad": purser.TaskFailed, "living": purser.TaskLost, "disrupted": purser.TaskLost} {
		l.becomes(id, want)
	}
	if all, err := l.p.Works(t.Context(), l.lease); err != nil || len(all) != 3 {
		t.Errorf("Works: %+v, %v", all, err)
	}
}

// evict takes a task's pod away through the eviction API and waits for its successor.
func (l lives) evict(task string) {
	l.t.Helper()
	list := func() []corev1.Pod {
		return must[*corev1.PodList](l.t)(l.admin.CoreV1().Pods("purser").List(context.Background(), metav1.ListOptions{LabelSelector: LabelTask + "=" + task})).Items
	}
	first := list()[0].Name
	if err := l.admin.CoreV1().Pods("purser").EvictV1(l.t.Context(), &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: first}}); err != nil {
		l.t.Fatal(err)
	}
	l.eventually(l.t, "another pod runs", func() bool {
		for _, pod := range list() {
			if pod.Name != first && pod.Status.Phase == corev1.PodRunning {
				return true
			}
		}
		return false
	})
}

func TestRealService(t *testing.T) {
	r := realCluster(t)
	r.nodes(t, h100("real-0"))
	l := r.lives(t, r.provider(t, nil))
	w := training("serves", 2000)
	w.Group.Kind, w.Group.Port = purser.Inference, 8080
	l.run(w)
	l.becomes("serves", purser.TaskRunning)
	if err := l.p.Stop(t.Context(), l.lease, "serves"); err != nil {
		t.Fatal(err)
	}
	l.becomes("serves", purser.TaskLost)
	if err := l.p.Forget(t.Context(), l.lease, "serves"); err != nil {
		t.Fatal(err)
	}
	if all, err := l.p.Works(t.Context(), l.lease); err != nil || len(all) != 0 {
		t.Errorf("Works: %+v, %v", all, err)
	}
}

// TestRealDevices runs a task on devices of a driver (DRA), which the real scheduler
// allocates, and looks for what is free then.
func TestRealDevices(t *testing.T) {
	r := realCluster(t)
	n := node("real-dra", map[string]string{corev1.LabelInstanceTypeStable: "dra8"}, map[corev1.ResourceName]string{"cpu": "64", "memory": "512Gi"})
	r.nodes(t, n)
	slice := driverSlice("real-dra", "NVIDIA H100 80GB HBM3", 4)
	must[*resourcev1.ResourceSlice](t)(r.admin.ResourceV1().ResourceSlices().Create(t.Context(), &slice, metav1.CreateOptions{}))
	must[*resourcev1.DeviceClass](t)(r.admin.ResourceV1().DeviceClasses().Create(t.Context(), &resourcev1.DeviceClass{
		ObjectMeta: metav1.ObjectMeta{Name: "gpu.nvidia.com"},
		Spec:       resourcev1.DeviceClassSpec{Selectors: []resourcev1.DeviceSelector{{CEL: &resourcev1.CELDeviceSelector{Expression: `device.driver == "gpu.nvidia.com"`}}}},
	}, metav1.CreateOptions{}))
	t.Cleanup(func() {
		_ = r.admin.ResourceV1().ResourceSlices().Delete(context.Background(), slice.Name, metav1.DeleteOptions{})
	})
	p := r.provider(t, nil)
	if o := offersOf(t, p); len(o) != 1 || o[0].Devices != 4000 || o[0].Accelerator != "H100" {
		t.Fatalf("Offers: %+v", o)
	}
	l := r.lives(t, p)
	l.run(training("two", 2000))
	l.becomes("two", purser.TaskRunning)
	claims := must[*resourcev1.ResourceClaimList](t)(r.admin.ResourceV1().ResourceClaims("purser").List(t.Context(), metav1.ListOptions{}))
	if len(claims.Items) != 1 || claims.Items[0].Status.Allocation == nil || len(claims.Items[0].Status.Allocation.Devices.Results) != 2 || claims.Items[0].Labels[LabelLease] != "lease-a" {
		t.Errorf("claims of devices: %+v", claims.Items)
	}
	if o := offersOf(t, p); len(o) != 0 {
		t.Errorf("a place that is claimed in whole is offered: %+v", o)
	}
	if err := p.Terminate(t.Context(), l.lease); err != nil {
		t.Fatal(err)
	}
	r.eventually(t, "the devices are offered again", func() bool { o := offersOf(t, p); return len(o) == 1 && o[0].Devices == 4000 })
}

func TestRealQuota(t *testing.T) {
	r := realCluster(t)
	r.nodes(t, h100("real-0"))
	l := r.lives(t, r.provider(t, nil))
	quotas := r.admin.CoreV1().ResourceQuotas("purser")
	must[*corev1.ResourceQuota](t)(quotas.Create(t.Context(), &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Name: "team"}, Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{"count/jobs.batch": resource.MustParse("0")}},
	}, metav1.CreateOptions{}))
	t.Cleanup(func() { _ = quotas.Delete(context.Background(), "team", metav1.DeleteOptions{}) })
	r.eventually(t, "the quota counts", func() bool {
		q, err := quotas.Get(t.Context(), "team", metav1.GetOptions{})
		return err == nil && len(q.Status.Hard) > 0
	})
	if err := l.p.Run(t.Context(), l.lease, training("much", 1000)); purser.KindOf(err) != purser.KindQuota || !strings.Contains(err.Error(), "ResourceQuota") {
		t.Errorf("Run: %v", err)
	}
}

// TestRealInterruptions watches a place being cordoned and then deleted.
func TestRealInterruptions(t *testing.T) {
	r := realCluster(t)
	r.nodes(t, h100("real-0"))
	l := r.lives(t, r.provider(t, nil))
	heard := make(chan providers.Interruption, 100)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- l.p.Interruptions(ctx, func(_ context.Context, i providers.Interruption) error { heard <- i; return nil })
	}()
	hears := func(kind providers.InterruptionKind) {
		t.Helper()
		for {
			select {
			case i := <-heard:
				if i.Kind == kind && i.Lease == "lease-a" {
					return
				}
			case <-time.After(patience):
				t.Fatalf("no notice of %s", kind)
			}
		}
	}
	n := must[*corev1.Node](t)(r.admin.CoreV1().Nodes().Get(t.Context(), "real-0", metav1.GetOptions{}))
	n.Spec.Unschedulable = true
	must[*corev1.Node](t)(r.admin.CoreV1().Nodes().Update(t.Context(), n, metav1.UpdateOptions{}))
	hears(providers.Retired)
	if err := r.admin.CoreV1().Nodes().Delete(t.Context(), "real-0", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	hears(providers.Ended)
	if in, err := l.p.Describe(t.Context(), l.lease); err != nil || in.State != providers.Gone {
		t.Errorf("Describe: %+v, %v", in, err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Interruptions: %v", err)
	}
}
