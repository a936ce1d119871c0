package kubernetes

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// This file is what turns Jobs and Deployments into pods, places pods and runs them: as
// far as tests need controllers, a scheduler and a kubelet. kube-real.sh has the real ones.

// node makes a Node that is Ready.
func node(name string, labels map[string]string, has map[corev1.ResourceName]string) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
		corev1.LabelHostname: name, corev1.LabelTopologyRegion: "eu-1", corev1.LabelTopologyZone: "eu-1a",
	}}}
	for k, v := range labels {
		n.Labels[k] = v
	}
	n.Status.Allocatable = corev1.ResourceList{}
	for k, v := range has {
		n.Status.Allocatable[k] = resource.MustParse(v)
	}
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	return n
}

// h100 is a Node with eight H100.
func h100(name string) *corev1.Node {
	return node(name, map[string]string{corev1.LabelInstanceTypeStable: "p5.48xlarge", "nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"},
		map[corev1.ResourceName]string{"cpu": "192", "memory": "2000Gi", "nvidia.com/gpu": "8"})
}

// pass lets time go by.
func (c *cluster) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	c.work()
}

// work lets the cluster's own parts do what there is to do.
func (c *cluster) work() {
	for _, pod := range every[corev1.Pod](c, "pods") {
		if pod.DeletionTimestamp != nil && (c.stuck == "" || pod.Labels[LabelTask] != c.stuck) {
			c.vanish("pods", c.objects["pods"][pod.Namespace+"/"+pod.Name])
		}
	}
	c.workJobSets()
	for _, j := range every[batchv1.Job](c, "jobs") {
		c.workJob(j)
	}
	for _, d := range every[appsv1.Deployment](c, "deployments") {
		c.workDeployment(d)
	}
	for _, pod := range every[corev1.Pod](c, "pods") {
		c.place(pod)
	}
}

func (c *cluster) owned(uid string) (out []*corev1.Pod) {
	for _, pod := range every[corev1.Pod](c, "pods") {
		if slices.ContainsFunc(pod.OwnerReferences, func(o metav1.OwnerReference) bool { return string(o.UID) == uid }) {
			out = append(out, pod)
		}
	}
	return out
}

// stop ends pods gracefully; they are gone with the next turn.
func (c *cluster) stop(pods []*corev1.Pod) {
	for _, pod := range pods {
		if !ended(pod) && pod.DeletionTimestamp == nil {
			now := metav1.NewTime(c.now)
			pod.DeletionTimestamp = &now
			c.store(*pod)
		}
	}
}

func (c *cluster) workJob(j *batchv1.Job) {
	pods := c.owned(string(j.UID))
	live := slices.DeleteFunc(slices.Clone(pods), ended)
	if j.DeletionTimestamp != nil {
		for _, pod := range pods {
			if ended(pod) {
				c.vanish("pods", c.objects["pods"][pod.Namespace+"/"+pod.Name])
			}
		}
		if c.stop(live); len(live) == 0 {
			c.vanish("jobs", c.objects["jobs"][j.Namespace+"/"+j.Name])
		}
		return
	}
	if jobCondition(j, batchv1.JobComplete, batchv1.JobFailed) != nil {
		return
	}
	now := metav1.NewTime(c.now)
	end := func(kind batchv1.JobConditionType, reason, message string) {
		c.stop(live)
		j.Status.Conditions = append(j.Status.Conditions, batchv1.JobCondition{Type: kind, Status: corev1.ConditionTrue, Reason: reason, Message: message, LastTransitionTime: now})
		j.Status.CompletionTime = &now
		c.store(*j)
	}
	if j.Spec.Suspend != nil && *j.Spec.Suspend {
		c.stop(live)
		return
	}
	if j.Status.StartTime == nil {
		j.Status.StartTime = &now
		c.store(*j)
	}
	if d := j.Spec.ActiveDeadlineSeconds; d != nil && c.now.Sub(j.Status.StartTime.Time) >= time.Duration(*d)*time.Second {
		end(batchv1.JobFailed, batchv1.JobReasonDeadlineExceeded, "Job was active longer than specified deadline")
		return
	}
	for _, pod := range pods {
		switch {
		case pod.Status.Phase == corev1.PodSucceeded:
			end(batchv1.JobComplete, batchv1.JobReasonCompletionsReached, "")
			return
		case pod.Status.Phase == corev1.PodFailed && disrupted(pod) == "":
			end(batchv1.JobFailed, batchv1.JobReasonPodFailurePolicy, "Container task for pod "+pod.Name+" failed")
			return
		}
	}
	if len(live) == 0 {
		c.pod(fmt.Sprintf("%s-0-%d", j.Name, c.version), j.Spec.Template, metav1.OwnerReference{APIVersion: "batch/v1", Kind: "Job", Name: j.Name, UID: j.UID}, j.Namespace)
	}
}

func (c *cluster) workDeployment(d *appsv1.Deployment) {
	live := slices.DeleteFunc(c.owned(string(d.UID)), ended)
	if d.DeletionTimestamp != nil || *d.Spec.Replicas == 0 {
		if c.stop(live); len(live) == 0 && d.DeletionTimestamp != nil {
			c.vanish("deployments", c.objects["deployments"][d.Namespace+"/"+d.Name])
		}
		return
	}
	if len(live) == 0 {
		c.pod(fmt.Sprintf("%s-%d", d.Name, c.version), d.Spec.Template, metav1.OwnerReference{APIVersion: "apps/v1", Kind: "Deployment", Name: d.Name, UID: d.UID}, d.Namespace)
	}
}

func (c *cluster) pod(name string, t corev1.PodTemplateSpec, owner metav1.OwnerReference, namespace string) {
	if most, ok := c.quota["pods"]; ok && len(c.objects["pods"]) >= most {
		return // a controller tells of it in an event and tries again
	}
	pod := corev1.Pod{ObjectMeta: t.ObjectMeta, Spec: t.Spec}
	pod.Name, pod.Namespace, pod.OwnerReferences = name, namespace, []metav1.OwnerReference{owner}
	pod.Status.Phase = corev1.PodPending
	c.store(pod)
}

// place puts a pod onto the Node that it asks for, if it fits there, and starts it.
func (c *cluster) place(pod *corev1.Pod) {
	if pod.Status.Phase != corev1.PodPending || pod.Spec.NodeName != "" || pod.DeletionTimestamp != nil {
		return
	}
	want := wanted(pod)
	o := c.objects["nodes"]["/"+want]
	if o == nil {
		c.unplaced(pod, "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.")
		return
	}
	n := into[corev1.Node](o)
	if n.Spec.Unschedulable {
		c.unplaced(pod, "0/1 nodes are available: 1 node(s) were unschedulable.")
		return
	}
	used := corev1.ResourceList{}
	for _, other := range every[corev1.Pod](c, "pods") {
		if other.Spec.NodeName == want && !ended(other) {
			add(used, asks(other))
		}
	}
	for name, q := range asks(pod) {
		free := n.Status.Allocatable[name]
		free.Sub(used[name])
		if q.Cmp(free) > 0 {
			c.unplaced(pod, fmt.Sprintf("0/1 nodes are available: 1 Insufficient %s.", name))
			return
		}
	}
	pod.Spec.NodeName, pod.Status.Phase = want, corev1.PodRunning
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue}}
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: containerName, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(c.now)}}}}
	c.store(*pod)
}

func wanted(pod *corev1.Pod) string {
	if pod.Spec.Affinity == nil {
		return ""
	}
	term := pod.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms[0]
	for _, r := range append(term.MatchExpressions, term.MatchFields...) {
		return r.Values[0]
	}
	return ""
}

func (c *cluster) unplaced(pod *corev1.Pod, message string) {
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable, Message: message}}
	c.store(*pod)
}

// finish ends the pods of a task that run, with an exit code.
func (c *cluster) finish(task string, code int32, conditions ...corev1.PodCondition) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, pod := range every[corev1.Pod](c, "pods") {
		if pod.Labels[LabelTask] != task || ended(pod) {
			continue
		}
		pod.Status.Phase = corev1.PodSucceeded
		if code != 0 {
			pod.Status.Phase = corev1.PodFailed
		}
		pod.Status.Conditions = append(pod.Status.Conditions, conditions...)
		s := &pod.Status.ContainerStatuses[0]
		start := s.State.Running.StartedAt
		s.State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, StartedAt: start, FinishedAt: metav1.NewTime(c.now), Reason: "Error"}}
		c.store(*pod)
	}
	c.work()
}

// invalidTask is what a real server refuses of Jobs and Deployments.
func invalidTask(in call, o *object) string {
	text, err := json.Marshal(o.content)
	if err != nil {
		return err.Error()
	}
	var t corev1.PodTemplateSpec
	if in.kind == "Job" {
		var j batchv1.Job
		if err := json.Unmarshal(text, &j); err != nil {
			return err.Error()
		}
		t = j.Spec.Template
		switch {
		case t.Spec.RestartPolicy != corev1.RestartPolicyNever && t.Spec.RestartPolicy != corev1.RestartPolicyOnFailure:
			return "spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\""
		case j.Spec.PodFailurePolicy != nil && t.Spec.RestartPolicy != corev1.RestartPolicyNever:
			return "spec.template.spec.restartPolicy: only \"Never\" is supported when podFailurePolicy is specified"
		case len(in.name) > 63:
			return "metadata.name: must be no more than 63 characters"
		}
	} else {
		var d appsv1.Deployment
		if err := json.Unmarshal(text, &d); err != nil {
			return err.Error()
		}
		t = d.Spec.Template
		for k, v := range d.Spec.Selector.MatchLabels {
			if t.Labels[k] != v {
				return "spec.template.metadata.labels: `selector` does not match template `labels`"
			}
		}
	}
	for _, o := range t.Spec.Tolerations {
		if len(validation.IsQualifiedName(o.Key)) > 0 {
			return fmt.Sprintf("spec.template.spec.tolerations.key: Invalid value: %q", o.Key)
		}
	}
	volumes := map[string]bool{}
	for _, v := range t.Spec.Volumes {
		volumes[v.Name] = true
	}
	for _, c := range t.Spec.Containers {
		paths := map[string]bool{}
		for _, m := range c.VolumeMounts {
			if !volumes[m.Name] {
				return "volumeMounts: Not found: " + m.Name
			}
			if paths[m.MountPath] {
				return "volumeMounts: Invalid value: must be unique: " + m.MountPath
			}
			paths[m.MountPath] = true
		}
		if c.Image == "" {
			return "containers[0].image: Required value"
		}
	}
	return ""
}

// driverSlice are n devices of a product that a driver publishes on a Node (DRA).
func driverSlice(node, product string, n int) resourcev1.ResourceSlice {
	s := resourcev1.ResourceSlice{ObjectMeta: metav1.ObjectMeta{Name: "slice-" + node}, Spec: resourcev1.ResourceSliceSpec{
		Driver: "gpu.nvidia.com", NodeName: &node, Pool: resourcev1.ResourcePool{Name: node, Generation: 1, ResourceSliceCount: 1},
	}}
	kind := "gpu"
	for i := range n {
		s.Spec.Devices = append(s.Spec.Devices, resourcev1.Device{
			Name: fmt.Sprintf("gpu-%d", i), Attributes: map[resourcev1.QualifiedName]resourcev1.DeviceAttribute{"productName": {StringValue: &product}, "type": {StringValue: &kind}},
			Capacity: map[resourcev1.QualifiedName]resourcev1.DeviceCapacity{"memory": {Value: resource.MustParse("80Gi")}},
		})
	}
	return s
}
