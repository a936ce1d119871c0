package kubernetes

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"purser"
	"purser/providers"
)

// ending is what AnnotationEnd says: Purser ended the task, as what and why.
type ending struct {
	State  purser.TaskState `json:"state"`
	Reason string           `json:"reason"`
	At     time.Time        `json:"at"`
}

func endingOf(o metav1.Object) (e ending, ok bool) {
	err := json.Unmarshal([]byte(o.GetAnnotations()[AnnotationEnd]), &e)
	return e, err == nil
}

// verdict is that a task will come to nothing, as far as can be seen: its object is ended,
// or the whole gang whose member it is.
type verdict struct {
	object metav1.Object
	gang   *gang
	task   purser.TaskID
	ending ending
}

// Works tells of the lease's tasks. One that waits for its image or for room longer than
// Config.Patience, or whose service does not stay up, is ended here, with its whole gang,
// so that what is told as ended can not begin after all. That a task has ended is never told from caches; from
// them, one may be missing for a moment after another server has started it.
func (p *Provider) Works(ctx context.Context, l purser.Lease) ([]providers.WorkState, error) {
	const op = "kubernetes.Works"
	c, ok, foreign, err := p.claim(ctx, op, l.ID)
	if err != nil || !ok || foreign {
		return nil, err
	}
	t, cached, err := p.seen(ctx, op, c)
	if err != nil {
		return nil, err
	}
	works, verdicts := p.works(c, t)
	if cached && (len(verdicts) > 0 || slices.ContainsFunc(works, func(w providers.WorkState) bool { return w.State.Ended() })) {
		// The caches are not of one moment: a pod may be there that they lack.
		if t, err = p.things(ctx, op, c); err != nil {
			return nil, err
		}
		works, verdicts = p.works(c, t)
	}
	for _, v := range verdicts {
		if v.gang != nil {
			why := "another replica of its gang came to nothing: " + v.ending.Reason
			if v.gang.deleting {
				why = v.ending.Reason
			}
			err = p.endGang(ctx, op, v.gang, map[purser.TaskID]ending{v.task: v.ending}, why)
		} else {
			err = p.end(ctx, op, v.object, v.ending)
		}
		if err != nil {
			return nil, err
		}
	}
	works = slices.DeleteFunc(works, func(w providers.WorkState) bool { return c.over(w.Task) })
	for _, w := range c.Tasks {
		works = append(works, w)
	}
	slices.SortFunc(works, func(a, b providers.WorkState) int { return cmp.Compare(a.Task, b.Task) })
	return works, nil
}

// works reads what tasks came to from their objects, and which of them are to be given up.
func (p *Provider) works(c claim, t things) (out []providers.WorkState, give []verdict) {
	pods := map[string][]*corev1.Pod{}
	for _, pod := range t.pods {
		pods[pod.Labels[LabelTask]] = append(pods[pod.Labels[LabelTask]], pod)
	}
	for _, list := range pods {
		slices.SortFunc(list, func(a, b *corev1.Pod) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	}
	add := func(o metav1.Object, w providers.WorkState, e *ending) {
		if w.Checkpoint = ""; p.Checkpoints.lasting() && !w.StartedAt.IsZero() {
			w.Checkpoint = cmp.Or(o.GetAnnotations()[annotationSaves], checkpointDir)
		}
		out = append(out, w)
		if _, already := endingOf(o); e != nil && !already {
			give = append(give, verdict{object: o, ending: *e})
		}
	}
	for _, j := range t.jobs {
		if j.Labels[LabelGang] == "" {
			w, e := p.jobWork(j, pods[j.Labels[LabelTask]])
			add(j, w, e)
		}
	}
	for _, d := range t.deployments {
		w, e := p.deploymentWork(d, pods[d.Labels[LabelTask]])
		add(d, w, e)
	}
	members, more := p.gangWorks(c, t, pods)
	return append(out, members...), append(give, more...)
}

func (p *Provider) jobWork(j *batchv1.Job, pods []*corev1.Pod) (w providers.WorkState, give *ending) {
	w = begun(j, pods)
	finished := jobCondition(j, batchv1.JobComplete, batchv1.JobFailed)
	suspended := j.Spec.Suspend != nil && *j.Spec.Suspend
	if e, ok := endingOf(j); ok {
		if finished == nil && (!suspended || slices.ContainsFunc(pods, alive)) { // its pod may still be on its way
			w.State, w.Reason = cmp.Or(runningSince(w), purser.TaskPlaced), "stopping: "+e.Reason
			return w, nil
		}
		w.State, w.Reason, w.EndedAt, w.ExitCode = e.State, e.Reason, e.At, exitCode(pods)
		return w, nil
	}
	if finished == nil {
		since := j.CreationTimestamp.Time
		if at := j.Status.StartTime; at != nil && at.After(since) {
			since = at.Time // it was admitted by a queue
		}
		return p.waiting(w, pods, since, suspended)
	}
	w.EndedAt = finished.LastTransitionTime.UTC()
	w.ExitCode = exitCode(pods)
	if finished.Type == batchv1.JobComplete {
		zero := 0
		w.State, w.ExitCode = purser.TaskSucceeded, cmp.Or(w.ExitCode, &zero)
		return w, nil
	}
	w.State, w.Reason = purser.TaskLost, strings.TrimSpace("its Job failed: "+finished.Reason+" "+finished.Message)
	if w.ExitCode != nil && *w.ExitCode != 0 || finished.Reason == batchv1.JobReasonPodFailurePolicy {
		w.State, w.Reason = purser.TaskFailed, failureOf(pods, finished.Message)
	}
	return w, nil
}

func (p *Provider) deploymentWork(d *appsv1.Deployment, pods []*corev1.Pod) (w providers.WorkState, give *ending) {
	w = begun(d, pods)
	e, ok := endingOf(d)
	switch {
	case ok && slices.ContainsFunc(pods, alive):
		w.State, w.Reason = cmp.Or(runningSince(w), purser.TaskPlaced), "stopping: "+e.Reason
	case ok:
		w.State, w.Reason, w.EndedAt = e.State, e.Reason, e.At
	default:
		return p.waiting(w, pods, d.CreationTimestamp.Time, false)
	}
	return w, nil
}

// begun is a task before anything is known but when its command started for the first time.
func begun(o metav1.Object, pods []*corev1.Pod) providers.WorkState {
	w := startedBy(pods)
	w.Task = purser.TaskID(cmp.Or(o.GetAnnotations()[LabelTask], o.GetLabels()[LabelTask]))
	return w
}

func startedBy(pods []*corev1.Pod) (w providers.WorkState) {
	for _, pod := range pods {
		if s := container(pod); s != nil {
			for _, at := range []time.Time{startOf(s.LastTerminationState), startOf(s.State)} {
				if !at.IsZero() && (w.StartedAt.IsZero() || at.Before(w.StartedAt)) {
					w.StartedAt = at.UTC()
				}
			}
		}
	}
	return w
}

func startOf(s corev1.ContainerState) time.Time {
	switch {
	case s.Running != nil:
		return s.Running.StartedAt.Time
	case s.Terminated != nil:
		return s.Terminated.StartedAt.Time
	default:
		return time.Time{}
	}
}

// runningSince is running for a task that has started.
func runningSince(w providers.WorkState) purser.TaskState {
	if w.StartedAt.IsZero() {
		return ""
	}
	return purser.TaskRunning
}

// maxRestarts is how often a service may end by itself before it has failed.
const maxRestarts = 5

// waiting is a task that has not ended: it runs, or it says what it waits for. Its pod is
// awaited since a time, unless it is suspended.
func (p *Provider) waiting(w providers.WorkState, pods []*corev1.Pod, since time.Time, suspended bool) (providers.WorkState, *ending) {
	w.State = cmp.Or(runningSince(w), purser.TaskPlaced)
	now := p.Now().UTC()
	if len(pods) == 0 {
		switch w.Reason = "its pod is not there yet"; {
		case suspended:
			w.Reason = "it waits in the queue " + p.Queue
		case now.Sub(since) >= p.Patience:
			return w, &ending{purser.TaskLost, "its pod could not be made; a ResourceQuota or a policy of the cluster may refuse it", now}
		}
		return w, nil
	}
	pod := pods[len(pods)-1]
	since = pod.CreationTimestamp.Time
	s := container(pod)
	if s != nil && s.LastTerminationState.Terminated != nil {
		if at := s.LastTerminationState.Terminated.FinishedAt.Time; at.After(since) {
			since = at // its container is made anew
		}
	}
	late := now.Sub(since) >= p.Patience
	if s != nil && s.State.Waiting != nil {
		why := s.State.Waiting
		w.Reason = strings.TrimSpace(why.Reason + " " + why.Message)
		switch why.Reason {
		case "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "CreateContainerConfigError", "CreateContainerError":
			if late || why.Reason == "InvalidImageName" {
				return w, &ending{purser.TaskFailed, "its container cannot be made: " + w.Reason, now}
			}
		case "CrashLoopBackOff":
			if last := s.LastTerminationState.Terminated; s.RestartCount >= maxRestarts && last != nil {
				return w, &ending{purser.TaskFailed, fmt.Sprintf("it ended %d times, the last time with exit code %d", s.RestartCount+1, last.ExitCode), now}
			}
		}
		return w, nil
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable {
			e := unschedulable(c.Message)
			w.Reason = e.Error()
			if late {
				return w, &ending{purser.TaskLost, w.Reason, now}
			}
		}
	}
	return w, nil
}

// unschedulable is what the scheduler's words on a pod without a place mean.
func unschedulable(message string) *purser.Error {
	return purser.Errorf(purser.KindNoCapacity, "kubernetes.Works", "no_capacity: its place has no room for it: %s", message)
}

// alive says whether a pod may still do something.
func alive(pod *corev1.Pod) bool { return !ended(pod) }

// container is the state of a pod's task.
func container(pod *corev1.Pod) *corev1.ContainerStatus {
	for i := range pod.Status.ContainerStatuses {
		if pod.Status.ContainerStatuses[i].Name == containerName {
			return &pod.Status.ContainerStatuses[i]
		}
	}
	return nil
}

// exitCode is that of the newest pod whose task ended.
func exitCode(pods []*corev1.Pod) *int {
	for _, pod := range slices.Backward(pods) {
		if s := container(pod); s != nil && s.State.Terminated != nil {
			code := int(s.State.Terminated.ExitCode)
			return &code
		}
	}
	return nil
}

// failureOf says why the newest pod failed.
func failureOf(pods []*corev1.Pod, message string) string {
	for _, pod := range slices.Backward(pods) {
		s := container(pod)
		if s == nil || s.State.Terminated == nil {
			continue
		}
		if end := s.State.Terminated; end.Reason != "" && end.Reason != "Error" {
			return fmt.Sprintf("exit code %d (%s)", end.ExitCode, end.Reason)
		}
		return fmt.Sprintf("exit code %d", s.State.Terminated.ExitCode)
	}
	return message
}

func jobCondition(j *batchv1.Job, types ...batchv1.JobConditionType) *batchv1.JobCondition {
	for i, c := range j.Status.Conditions {
		if slices.Contains(types, c.Type) && c.Status == corev1.ConditionTrue {
			return &j.Status.Conditions[i]
		}
	}
	return nil
}

// Stop asks a task to stop, and with a member its whole gang. A Job gets a deadline that has passed, with which its pods are
// stopped and no other begins, also should Kueue admit it later; a Deployment is scaled to
// nothing.
func (p *Provider) Stop(ctx context.Context, l purser.Lease, task purser.TaskID) error {
	const op = "kubernetes.Stop"
	c, ok, foreign, err := p.claim(ctx, op, l.ID)
	if err != nil || foreign {
		return err
	}
	if name, member := c.gang(task); ok && member {
		return p.stopGang(ctx, op, c, name, task)
	}
	name := objectName(string(task))
	var o metav1.Object
	j, err := p.batch.Jobs(p.Namespace).Get(ctx, name, metav1.GetOptions{})
	switch {
	case err == nil && jobCondition(j, batchv1.JobComplete, batchv1.JobFailed) != nil:
		return nil
	case err == nil:
		o = j
	case apierrors.IsNotFound(err):
		d, err := p.apps.Deployments(p.Namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return gone(op, err)
		}
		o = d
	default:
		return failed(op, err)
	}
	if _, already := endingOf(o); already || o.GetLabels()[LabelLease] != labelValue(string(l.ID)) || o.GetLabels()[LabelInstallation] != p.Installation {
		return nil
	}
	return p.end(ctx, op, o, ending{purser.TaskLost, "it was told to stop", p.Now().UTC()})
}

// end lets a task end as e says.
func (p *Provider) end(ctx context.Context, op string, o metav1.Object, e ending) error {
	text, err := json.Marshal(e)
	if err != nil {
		return purser.Wrap(purser.KindInternal, op, err)
	}
	spec := map[string]any{"activeDeadlineSeconds": 1}
	if _, ok := o.(*appsv1.Deployment); ok {
		spec = map[string]any{"replicas": 0}
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{AnnotationEnd: string(text)}}, "spec": spec})
	if err != nil {
		return purser.Wrap(purser.KindInternal, op, err)
	}
	if _, ok := o.(*appsv1.Deployment); ok {
		d, err := p.apps.Deployments(p.Namespace).Patch(ctx, o.GetName(), types.MergePatchType, patch, metav1.PatchOptions{})
		if err == nil {
			p.wrote.deployments.note(d.ResourceVersion)
		}
		return gone(op, err)
	}
	j, err := p.batch.Jobs(p.Namespace).Patch(ctx, o.GetName(), types.MergePatchType, patch, metav1.PatchOptions{})
	if err == nil {
		p.wrote.jobs.note(j.ResourceVersion)
	}
	return gone(op, err)
}
