package kubernetes

import (
	"context"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"purser"
)

// things are the objects of tasks.
type things struct {
	jobs        []*batchv1.Job
	deployments []*appsv1.Deployment
	pods        []*corev1.Pod
	gangs       map[string]*gang // by name, of those whose members are among the tasks
}

// objects are those that a lease's end is awaited for. What a gang keeps of a member that
// has ended is not: it goes with the gang.
func (t things) objects() []metav1.Object {
	var out []metav1.Object
	for _, o := range t.jobs {
		if o.Labels[LabelGang] == "" || jobCondition(o, batchv1.JobComplete, batchv1.JobFailed) == nil {
			out = append(out, o)
		}
	}
	for _, o := range t.deployments {
		out = append(out, o)
	}
	for _, o := range t.pods {
		if o.Labels[LabelGang] == "" || alive(o) {
			out = append(out, o)
		}
	}
	return out
}

// gangOf is the JobSet that a claim's task is in; nil when there is none.
func (t things) gangOf(c claim, task purser.TaskID) *gang {
	name, _ := c.gang(task)
	if g := t.gangs[name]; g != nil && g.has(c.Lease, task) {
		return g
	}
	return nil
}

// waits says whether a gang of the claim is still to be ended, or told that it is to go on
// without a member there. One that is on its way out is not awaited: its other members may
// be on a place that is dead.
func (t things) waits(c claim) bool {
	for task := range c.Started {
		if g := t.gangOf(c, task); g != nil && !g.deleting && !g.forgotten[task] {
			return true
		}
	}
	return false
}

// things reads what a claim's tasks are made of from the API server itself.
func (p *Provider) things(ctx context.Context, op string, c claim) (t things, err error) {
	gangs := map[string]*gang{} // before their Jobs: what is seen of these is as new or newer
	for task := range c.Started {
		name, ok := c.gang(task)
		if !ok {
			continue
		}
		g, err := p.gangCalled(ctx, op, name)
		if err != nil {
			return t, err
		}
		if g != nil {
			gangs[name] = g
		}
	}
	t, err = p.selected(ctx, op, p.ofLease(partTask, c.Lease))
	t.gangs = gangs
	return t, err
}

func (p *Provider) selected(ctx context.Context, op, selector string) (t things, err error) {
	if t.jobs, err = p.jobs(ctx, op, selector); err != nil {
		return t, err
	}
	if t.deployments, err = p.deployments(ctx, op, selector); err != nil {
		return t, err
	}
	t.pods, err = p.listPods(ctx, op, p.Namespace, metav1.ListOptions{LabelSelector: selector})
	return t, err
}

// has says whether what runs a task is there and may run it.
func (t things) has(c claim, task purser.TaskID) bool {
	if _, ok := c.gang(task); ok {
		g := t.gangOf(c, task)
		return g != nil && g.released
	}
	label := labelValue(string(task))
	return slices.ContainsFunc(t.jobs, func(j *batchv1.Job) bool { return j.Labels[LabelTask] == label }) ||
		slices.ContainsFunc(t.deployments, func(d *appsv1.Deployment) bool { return d.Labels[LabelTask] == label })
}
