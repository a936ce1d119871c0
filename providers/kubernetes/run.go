package kubernetes

import (
	"context"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"purser"
	"purser/providers"
)

// queueLabel hands an object to a LocalQueue of Kueue.
const queueLabel = "kueue.x-k8s.io/queue-name"

// queueVersions are the versions of Kueue's API, newest first.
var queueVersions = []string{"v1beta2", "v1beta1"}

// Run starts the task on the lease's machine: a Job for a training group, a Deployment
// for a service. A claim that ends at the same moment is seen by one of the two: the claim
// ends before its tasks are listed, and it is read once more after a task was made.
func (p *Provider) Run(ctx context.Context, l purser.Lease, w providers.Work) error {
	const op = "kubernetes.Run"
	if err := runnable(op, w); err != nil {
		return err
	}
	c, err := p.holding(ctx, op, l.ID, w.Task.ID)
	if err != nil {
		return err
	}
	if c.done(w.Task.ID) {
		return nil
	}
	if err := p.findQueue(ctx, op); err != nil {
		return err
	}
	template, err := p.template(c, w)
	if err != nil {
		return err
	}
	as := objectName(string(w.Task.ID))
	if err := p.enrol(ctx, op, c, w.Task.ID, as); err != nil {
		return err
	}
	if err := p.bring(ctx, op, c, w); err != nil {
		return err
	}
	if service(w) {
		err = p.runDeployment(ctx, op, c, w, template)
	} else {
		err = p.runJob(ctx, op, c, w, template)
	}
	if err != nil {
		return err
	}
	again, err := p.holding(ctx, op, l.ID, w.Task.ID)
	switch kind := purser.KindOf(err); {
	case err == nil && !again.done(w.Task.ID) && again.Started[w.Task.ID] == as:
		return nil
	case err != nil && kind != purser.KindConflict && kind != purser.KindNotFound:
		return err // nothing is known; a repeated Run finds the task and looks again
	}
	return firstOf([]error{p.deleteTask(ctx, op, w.Task.ID), err})
}

// runnable refuses a task without anything to run.
func runnable(op string, w providers.Work) error {
	if w.Task.ID == "" || (w.Group.Run.Command == "" && w.Group.Run.Image == "") {
		return purser.Errorf(purser.KindInvalid, op, "there is nothing to run")
	}
	return nil
}

// holding reads the claim that a task is to run on.
func (p *Provider) holding(ctx context.Context, op string, lease purser.LeaseID, task purser.TaskID) (claim, error) {
	c, ok, foreign, err := p.claim(ctx, op, lease)
	switch {
	case err != nil:
		return claim{}, err
	case foreign:
		return claim{}, belongsToOthers(op, lease)
	case !ok:
		return claim{}, purser.Errorf(purser.KindNotFound, op, "task %s cannot start: lease %s has no claim in the cluster", task, lease)
	case c.State != claimHeld:
		return claim{}, purser.Errorf(purser.KindConflict, op, "task %s cannot start: the machine of lease %s is %s", task, lease, c.State)
	}
	return c, nil
}

// findQueue makes sure that the queue exists: without it objects would wait for ever.
func (p *Provider) findQueue(ctx context.Context, op string) error {
	if p.Queue == "" {
		return nil
	}
	var err error
	for _, version := range queueVersions {
		queues := schema.GroupVersionResource{Group: "kueue.x-k8s.io", Version: version, Resource: "localqueues"}
		if _, err = p.dynamic.Resource(queues).Namespace(p.Namespace).Get(ctx, p.Queue, metav1.GetOptions{}); err == nil {
			return nil
		}
		if !apierrors.IsNotFound(err) {
			return failed(op, err)
		}
	}
	return &purser.Error{
		Kind: purser.KindInvalid, Op: op, Message: fmt.Sprintf("the cluster has no queue named %s in namespace %s", p.Queue, p.Namespace), Cause: err,
		Hint: "make the LocalQueue, or leave the queue out of the configuration",
	}
}

// bring makes what a task's pod needs: the group's files, and a template for devices.
func (p *Provider) bring(ctx context.Context, op string, c claim, w providers.Work) error {
	if files := w.Group.Run.Files; len(files) > 0 {
		meta := p.meta(filesName(w.Task.ID), partFiles, c.Lease)
		meta.OwnerReferences = ownedBy(c.name, c.uid)
		m := &corev1.ConfigMap{ObjectMeta: meta, BinaryData: map[string][]byte{}}
		for i, f := range files {
			m.BinaryData[fileKey(i)] = f.Content
		}
		if _, err := p.core.ConfigMaps(p.Namespace).Create(ctx, m, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
			return failed(op, err)
		}
	}
	if devices, err := units(c.Part, w.Task); err != nil || devices == 0 || c.Part.Driver == "" {
		return err
	} else if _, err = p.resource.ResourceClaimTemplates(p.Namespace).Create(ctx, p.deviceTemplate(c, w, devices), metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return failed(op, err)
	}
	return nil
}

// taskMeta is the beginning of a Job or a Deployment.
func (p *Provider) taskMeta(c claim, w providers.Work) metav1.ObjectMeta {
	meta := p.meta(objectName(string(w.Task.ID)), partTask, c.Lease)
	meta.Labels[LabelTask] = labelValue(string(w.Task.ID))
	meta.Annotations = map[string]string{LabelTask: string(w.Task.ID), annotationSaves: saves(w)} // in full, see labelValue
	meta.OwnerReferences = ownedBy(c.name, c.uid)
	if p.Queue != "" {
		meta.Labels[queueLabel] = p.Queue
	}
	return meta
}

// keepFinished is how long what has ended stays should nobody read it.
const keepFinished = 24 * time.Hour

// taskJob is the Job of a training task.
func taskJob(template corev1.PodTemplateSpec) batchv1.JobSpec {
	indexed, one, none := batchv1.IndexedCompletion, int32(1), int32(0)
	replace := batchv1.Failed // or two pods of a task might write checkpoints at once
	return batchv1.JobSpec{
		CompletionMode: &indexed, Completions: &one, Parallelism: &one, BackoffLimit: &none, PodReplacementPolicy: &replace, Template: template,
		PodFailurePolicy: &batchv1.PodFailurePolicy{Rules: []batchv1.PodFailurePolicyRule{
			{Action: batchv1.PodFailurePolicyActionIgnore, OnPodConditions: []batchv1.PodFailurePolicyOnPodConditionsPattern{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue}}},
			{Action: batchv1.PodFailurePolicyActionFailJob, OnExitCodes: &batchv1.PodFailurePolicyOnExitCodesRequirement{Operator: batchv1.PodFailurePolicyOnExitCodesOpNotIn, Values: []int32{0}}},
		}},
	}
}

// runJob makes the Job of a training task, or finds it. Its pod is made anew after a
// disruption, on the same place, which is no failure; every exit code but 0 is one.
func (p *Provider) runJob(ctx context.Context, op string, c claim, w providers.Work, template corev1.PodTemplateSpec) error {
	waits, kept := p.Queue != "", int32(keepFinished/time.Second)
	job := &batchv1.Job{ObjectMeta: p.taskMeta(c, w), Spec: taskJob(template)}
	job.Spec.Suspend, job.Spec.TTLSecondsAfterFinished = &waits, &kept
	made, err := p.batch.Jobs(p.Namespace).Create(ctx, job, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		made, err = p.batch.Jobs(p.Namespace).Get(ctx, job.Name, metav1.GetOptions{})
		if err == nil {
			err = p.sameLease(op, made, c, w)
		}
	}
	if err != nil {
		return failed(op, err)
	}
	p.wrote.jobs.note(made.ResourceVersion)
	return nil
}

// runDeployment makes the Deployment of a service's replica, or finds it.
func (p *Provider) runDeployment(ctx context.Context, op string, c claim, w providers.Work, template corev1.PodTemplateSpec) error {
	one, kept := int32(1), int32(0)
	if p.Queue != "" {
		template.Labels[queueLabel] = p.Queue
	}
	d := &appsv1.Deployment{ObjectMeta: p.taskMeta(c, w), Spec: appsv1.DeploymentSpec{
		Replicas: &one, RevisionHistoryLimit: &kept, Strategy: appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType},
		Selector: &metav1.LabelSelector{MatchLabels: map[string]string{LabelTask: labelValue(string(w.Task.ID)), LabelInstallation: p.Installation}}, Template: template,
	}}
	made, err := p.apps.Deployments(p.Namespace).Create(ctx, d, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		made, err = p.apps.Deployments(p.Namespace).Get(ctx, d.Name, metav1.GetOptions{})
		if err == nil {
			err = p.sameLease(op, made, c, w)
		}
	}
	if err != nil {
		return failed(op, err)
	}
	p.wrote.deployments.note(made.ResourceVersion)
	return nil
}

// sameLease refuses to take an object for a task's that runs elsewhere.
func (p *Provider) sameLease(op string, o metav1.Object, c claim, w providers.Work) error {
	if o.GetLabels()[LabelLease] == labelValue(string(c.Lease)) && o.GetLabels()[LabelInstallation] == p.Installation {
		return nil
	}
	return purser.Errorf(purser.KindConflict, op, "task %s runs already, on another machine (%s)", w.Task.ID, o.GetLabels()[LabelLease])
}

// deleteTask removes all that a task is made of.
func (p *Provider) deleteTask(ctx context.Context, op string, task purser.TaskID) error {
	name := objectName(string(task))
	for _, err := range []error{p.deleteJob(ctx, op, name), p.deleteDeployment(ctx, op, name), p.deleteFile(ctx, op, filesName(task)), p.deleteTemplate(ctx, op, name)} {
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *Provider) deleteFile(ctx context.Context, op, name string) error {
	return gone(op, p.core.ConfigMaps(p.Namespace).Delete(ctx, name, metav1.DeleteOptions{}))
}

func (p *Provider) deleteTemplate(ctx context.Context, op, name string) error {
	return gone(op, p.resource.ResourceClaimTemplates(p.Namespace).Delete(ctx, name, metav1.DeleteOptions{}))
}

// deleteFiles removes what tasks of a lease need beside their pods.
func (p *Provider) deleteFiles(ctx context.Context, op string, works []providers.WorkState) error {
	for _, w := range works {
		if err := firstOf([]error{p.deleteFile(ctx, op, filesName(w.Task)), p.deleteTemplate(ctx, op, objectName(string(w.Task)))}); err != nil {
			return err
		}
	}
	return nil
}

// maxForgotten is how many forgotten tasks a claim remembers, the latest: a start is late
// by a minute or so, and a ConfigMap has 1 MiB for all that a lease ever runs.
const maxForgotten = 1000

// Forget removes an ended task's objects and lets its lease tell of it no more. The claim
// remembers the name, so that a start that comes late does not run it again.
func (p *Provider) Forget(ctx context.Context, l purser.Lease, task purser.TaskID) error {
	const op = "kubernetes.Forget"
	for range tries {
		c, ok, foreign, err := p.claim(ctx, op, l.ID)
		if err != nil || foreign {
			return err
		}
		raced := false
		gang, member := c.gang(task)
		if ok && (!slices.Contains(c.Forgotten, task)) {
			delete(c.Tasks, task)
			c.settled(task)
			c.Forgotten = append(c.Forgotten, task)
			c.Forgotten = c.Forgotten[max(len(c.Forgotten)-maxForgotten, 0):]
			_, raced, err = p.update(ctx, op, c)
		}
		if err != nil {
			return err
		}
		if raced {
			continue
		}
		if member {
			err = p.forgetMember(ctx, op, gang, l.ID, task)
		}
		return firstOf([]error{p.deleteTask(ctx, op, task), err})
	}
	return overtaken(op, l.ID)
}
