package kubernetes

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"
)

// This file is what JobSet's controller and webhook do with the JobSets of Purser, as far
// as tests need it: Jobs of JobSet's names and labels, made anew when they are missing,
// suspended and resumed with it; one that fails fails the JobSet, whose other active Jobs
// are deleted then; a JobSet that is on its way out is left alone.

// The labels that JobSet gives to Jobs and pods.
const (
	jobsetNameLabel = "jobset.sigs.k8s.io/jobset-name"
	jobsetJobLabel  = "jobset.sigs.k8s.io/replicatedjob-name"
)

// replicated is one of a JobSet's replicated jobs.
type replicated struct {
	Name     string                  `json:"name"`
	Replicas int                     `json:"replicas"`
	Template batchv1.JobTemplateSpec `json:"template"`
}

func replicatedOf(u *unstructured.Unstructured) (out []replicated) {
	list, _, _ := unstructured.NestedSlice(u.Object, "spec", "replicatedJobs")
	text, err := json.Marshal(list)
	if err == nil {
		err = json.Unmarshal(text, &out)
	}
	if err != nil {
		panic(err)
	}
	return out
}

// jobsetJob is the Job of a replicated job's replica.
func jobsetJob(u *unstructured.Unstructured, r replicated, index int) *batchv1.Job {
	yes := true
	j := &batchv1.Job{ObjectMeta: *r.Template.ObjectMeta.DeepCopy(), Spec: *r.Template.Spec.DeepCopy()}
	j.Name, j.Namespace = fmt.Sprintf("%s-%s-%d", u.GetName(), r.Name, index), u.GetNamespace()
	j.OwnerReferences = []metav1.OwnerReference{{APIVersion: u.GetAPIVersion(), Kind: u.GetKind(), Name: u.GetName(), UID: u.GetUID(), Controller: &yes, BlockOwnerDeletion: &yes}}
	for _, labels := range []*map[string]string{&j.Labels, &j.Spec.Template.Labels} {
		*labels = maps.Clone(*labels)
		if *labels == nil {
			*labels = map[string]string{}
		}
		(*labels)[jobsetNameLabel], (*labels)[jobsetJobLabel] = u.GetName(), r.Name
	}
	if dns, _, _ := unstructured.NestedBool(u.Object, "spec", "network", "enableDNSHostnames"); dns {
		j.Spec.Template.Spec.Subdomain = u.GetName()
	}
	suspended, _, _ := unstructured.NestedBool(u.Object, "spec", "suspend")
	j.Spec.Suspend = &suspended
	return j
}

// jobsetTurn is what JobSet's controller does in one turn, given the JobSet's own Jobs.
type jobsetTurn struct {
	create, change, remove []*batchv1.Job
	condition              string // that becomes true
	reason, message        string
}

func turnOf(u *unstructured.Unstructured, jobs []*batchv1.Job) (t jobsetTurn) {
	if u.GetDeletionTimestamp() != nil {
		return t
	}
	byName := map[string]*batchv1.Job{}
	var active []*batchv1.Job
	var broken *batchv1.Job
	done := 0
	for _, j := range jobs {
		byName[j.Name] = j
		switch {
		case jobCondition(j, batchv1.JobFailed) != nil:
			broken = j
		case jobCondition(j, batchv1.JobComplete) != nil:
			done++
		case j.DeletionTimestamp == nil:
			active = append(active, j)
		}
	}
	conditions, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
	over := slices.ContainsFunc(conditions, func(c any) bool {
		m, _ := c.(map[string]any)
		return m["status"] == "True" && (m["type"] == "Failed" || m["type"] == "Completed")
	})
	switch {
	case over:
		t.remove = active
		return t
	case broken != nil:
		t.condition, t.reason, t.message = "Failed", "FailedJobs", "jobset failed due to one or more job failures (first failed job: "+broken.Name+")"
		return t
	}
	want := 0
	suspended, _, _ := unstructured.NestedBool(u.Object, "spec", "suspend")
	for _, r := range replicatedOf(u) {
		for i := range r.Replicas {
			want++
			j := jobsetJob(u, r, i)
			if byName[j.Name] == nil {
				t.create = append(t.create, j)
			}
		}
	}
	for _, j := range active {
		if j.Spec.Suspend == nil || *j.Spec.Suspend != suspended {
			j.Spec.Suspend = &suspended
			t.change = append(t.change, j)
		}
	}
	if done == want {
		t.condition, t.reason, t.message = "Completed", "AllJobsCompleted", "jobset completed successfully"
	}
	return t
}

// withCondition is a JobSet that has one more condition.
func withCondition(u *unstructured.Unstructured, t jobsetTurn, at time.Time) *unstructured.Unstructured {
	u = u.DeepCopy()
	conditions, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
	conditions = append(conditions, map[string]any{"type": t.condition, "status": "True", "reason": t.reason, "message": t.message, "lastTransitionTime": at.UTC().Format(time.RFC3339)})
	if err := unstructured.SetNestedSlice(u.Object, conditions, "status", "conditions"); err != nil {
		panic(err)
	}
	_ = unstructured.SetNestedField(u.Object, t.condition, "status", "terminalState") // status is a map by now
	return u
}

// workJobSets plays JobSet's controller and the garbage collector for all JobSets. Without
// the API, what JobSets owned goes.
func (c *cluster) workJobSets() {
	if c.noController {
		return
	}
	standing := map[string]bool{}
	for _, key := range slices.Sorted(maps.Keys(c.objects["jobsets"])) {
		o := c.objects["jobsets"][key]
		u := &unstructured.Unstructured{Object: clone(o.content)}
		var jobs []*batchv1.Job
		for _, j := range every[batchv1.Job](c, "jobs") {
			if j.Labels[jobsetNameLabel] == u.GetName() && slices.ContainsFunc(j.OwnerReferences, func(r metav1.OwnerReference) bool { return r.UID == o.UID }) {
				jobs = append(jobs, j)
			}
		}
		standing[string(o.UID)] = true
		if o.DeletionTimestamp != nil {
			for _, j := range jobs {
				c.removeJob(j)
			}
			if len(jobs) == 0 {
				c.vanish("jobsets", o)
			}
			continue
		}
		t := turnOf(u, jobs)
		for _, j := range append(t.create, t.change...) {
			if most, ok := c.quota["jobs"]; !ok || len(c.objects["jobs"]) < most {
				c.store(*j)
			}
		}
		for _, j := range t.remove {
			c.removeJob(j)
		}
		if t.condition != "" {
			in := call{group: jobsets.Group, version: jobsets.Version, resource: jobsets.Resource, kind: "JobSet", namespace: u.GetNamespace(), name: u.GetName()}
			if _, fault := c.put(in, o, withCondition(u, t, c.now).Object); fault != nil {
				panic(fault.Message)
			}
		}
	}
	for _, j := range every[batchv1.Job](c, "jobs") {
		if len(j.OwnerReferences) > 0 && j.OwnerReferences[0].Kind == "JobSet" && !standing[string(j.OwnerReferences[0].UID)] {
			c.removeJob(j)
		}
	}
}

// removeJob deletes a Job in the foreground.
func (c *cluster) removeJob(j *batchv1.Job) {
	if j.DeletionTimestamp == nil {
		now := metav1.NewTime(c.now)
		j.DeletionTimestamp = &now
		c.store(*j)
	}
}

// invalidJobSet is what JobSet's webhook refuses, and what a Job's template is refused for.
func invalidJobSet(in call, o *object) string {
	u := &unstructured.Unstructured{Object: o.content}
	for _, r := range replicatedOf(u) {
		longest := in.name + "-" + r.Name + "-" + strconv.Itoa(r.Replicas-1) + "-0-abcde"
		if problems := validation.IsDNS1035Label(longest); len(problems) > 0 {
			return longest + ": " + problems[0]
		}
		job := jobsetJob(u, r, 0)
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(job)
		if err != nil {
			return err.Error()
		}
		if problem := invalidTask(call{kind: "Job", name: job.Name}, &object{ObjectMeta: job.ObjectMeta, content: content}); problem != "" {
			return problem
		}
	}
	return ""
}

// jobset reads a stored JobSet as Purser does; nil when there is none.
func (c *cluster) jobset(name string) *gang {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := c.objects["jobsets"]["purser/"+name]
	if o == nil {
		return nil
	}
	g, err := readGang(&unstructured.Unstructured{Object: clone(o.content)})
	if err != nil {
		panic(err)
	}
	return g
}

// running counts the pods of each task that have begun and not ended.
func (c *cluster) running() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := map[string]int{}
	for _, pod := range every[corev1.Pod](c, "pods") {
		if pod.Status.Phase == corev1.PodRunning {
			out[pod.Labels[LabelTask]]++
		}
	}
	return out
}
