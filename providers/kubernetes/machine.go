package kubernetes

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"purser"
	"purser/providers"
)

// instance is a claim as its lease's machine.
func (p *Provider) instance(ctx context.Context, op string, c claim) (providers.Instance, error) {
	left := false
	if c.State == claimEnding {
		t, err := p.things(ctx, op, c)
		if left = len(t.objects()) > 0 || t.waits(c); err != nil || !left {
			return p.state(c, nil, left), err
		}
	}
	if c.State == claimPending {
		return p.state(c, nil, left), nil
	}
	n, err := p.node(ctx, op, c.Part.Node)
	if err != nil {
		return providers.Instance{}, err
	}
	return p.state(c, n, left), nil
}

// state is a claim as an instance. n is the claim's Node, nil when it is gone; left says
// whether tasks of an ending claim are still there.
func (p *Provider) state(c claim, n *corev1.Node, left bool) providers.Instance {
	in := providers.Instance{
		ID: c.name, Lease: c.Lease, Installation: c.installation, StartedAt: c.createdAt, Reason: c.Reason,
		Region: c.Part.Region, Zone: c.Part.Zone, InstanceType: c.Part.InstanceType,
	}
	if c.State == claimPending {
		in.State = providers.Pending
		return in
	}
	why, dead := p.dead(n, c.Part.Node)
	switch {
	case c.State == claimEnding && left && !dead:
		in.State = providers.Stopping
	case c.State == claimEnding:
		in.State = providers.Gone
	case dead:
		in.State, in.Reason = providers.Gone, why
	default:
		// Where the place is being emptied the machine still runs, and has to be ended like
		// any other: Stopping would say that its end was asked for.
		if in.State, in.Reason = providers.Running, leaving(n); in.Reason != "" {
			in.Reason = n.Name + ": " + in.Reason
		}
	}
	return in
}

// dead says whether a place is gone for good, as far as anybody can wait: what was left of
// tasks there cannot be seen to end.
func (p *Provider) dead(n *corev1.Node, name string) (why string, dead bool) {
	if n == nil {
		return name + " is no longer in the cluster", true
	}
	since, not := notReady(n)
	return fmt.Sprintf("%s is not Ready since %s", name, since.UTC().Format(time.RFC3339)), not && p.Now().Sub(since) >= notReadyGrace
}

// Describe tells of the lease's claim.
func (p *Provider) Describe(ctx context.Context, l purser.Lease) (providers.Instance, error) {
	const op = "kubernetes.Describe"
	c, ok, _, err := p.claim(ctx, op, l.ID)
	if err != nil {
		return providers.Instance{}, err
	}
	if !ok {
		return providers.Instance{}, purser.Errorf(purser.KindNotFound, op, "lease %s has no claim in the cluster", l.ID)
	}
	return p.instance(ctx, op, c)
}

// List tells of every claim of this installation that is not gone.
func (p *Provider) List(ctx context.Context) ([]providers.Instance, error) {
	const op = "kubernetes.List"
	claims, err := p.claims(ctx, op, true, true)
	if err != nil {
		return nil, err
	}
	nodes, err := p.nodes(ctx, op, true)
	if err != nil {
		return nil, err
	}
	place := map[string]*corev1.Node{}
	for _, n := range nodes {
		place[n.Name] = n
	}
	left, err := p.stillThere(ctx, op, claims)
	if err != nil {
		return nil, err
	}
	out := []providers.Instance{}
	for _, c := range claims {
		n := place[c.Part.Node]
		if n == nil && c.State == claimHeld { // the caches of claims and of Nodes are not of one moment
			if n, err = p.node(ctx, op, c.Part.Node); err != nil {
				return nil, err
			}
		}
		if in := p.state(c, n, left[labelValue(string(c.Lease))]); in.State != providers.Gone {
			out = append(out, in)
		}
	}
	slices.SortFunc(out, func(a, b providers.Instance) int { return cmp.Compare(a.Lease, b.Lease) })
	return out, nil
}

// stillThere says of which leases whose end was asked for something is left. It asks
// nothing when none is ending.
func (p *Provider) stillThere(ctx context.Context, op string, claims []claim) (map[string]bool, error) {
	if !slices.ContainsFunc(claims, func(c claim) bool { return c.State == claimEnding }) {
		return nil, nil //nolint:nilnil // nothing is left of none
	}
	t, err := p.selected(ctx, op, p.ofInstallation(partTask))
	if err != nil {
		return nil, err
	}
	left := map[string]bool{}
	for _, o := range t.objects() {
		left[o.GetLabels()[LabelLease]] = true
	}
	return left, nil
}

// Terminate marks the lease's claim as ending, or writes a tombstone where there is none,
// and deletes what its tasks are made of.
func (p *Provider) Terminate(ctx context.Context, l purser.Lease) error {
	const op = "kubernetes.Terminate"
	for range tries {
		c, ok, foreign, err := p.claim(ctx, op, l.ID)
		if err != nil || foreign {
			return err
		}
		raced := false
		switch {
		case !ok:
			_, raced, err = p.create(ctx, op, claim{Lease: l.ID, State: claimEnding, EndedAt: p.Now().UTC(), Reason: "its end was asked for before it began"})
			if err == nil && !raced {
				return nil
			}
		case c.State != claimEnding:
			c.Order, c.State, c.EndedAt = c.order(), claimEnding, p.Now().UTC()
			c, raced, err = p.update(ctx, op, c)
		}
		if err != nil {
			return err
		}
		if !raced {
			return p.clear(ctx, op, c)
		}
	}
	return overtaken(op, l.ID)
}

// clear deletes the tasks of an ending claim, after writing down what became of them. The
// claim was ending before they are listed: a task that is started later looks at its
// claim once more and goes again, see Run.
func (p *Provider) clear(ctx context.Context, op string, c claim) error {
	t, err := p.things(ctx, op, c)
	if err != nil || len(t.objects())+len(t.gangs) == 0 {
		return err
	}
	works, _ := p.works(c, t)
	if err := p.remember(ctx, op, c, works, "its machine was ended"); err != nil {
		return err
	}
	errs := p.leaveGangs(ctx, op, c, t, works)
	for _, j := range t.jobs {
		if t.gangs[j.Labels[LabelGang]] == nil {
			errs = append(errs, p.deleteJob(ctx, op, j.Name))
		}
	}
	for _, d := range t.deployments {
		errs = append(errs, p.deleteDeployment(ctx, op, d.Name))
	}
	errs = append(errs, p.deleteFiles(ctx, op, works))
	return firstOf(errs)
}

func firstOf(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// remember writes down what became of tasks whose objects are about to go. Those that have
// not ended are lost.
func (p *Provider) remember(ctx context.Context, op string, c claim, works []providers.WorkState, why string) error {
	for range tries {
		changed := false
		for _, w := range works {
			if c.over(w.Task) {
				continue
			}
			if !w.State.Ended() {
				w.State, w.Reason, w.EndedAt = purser.TaskLost, why, p.Now().UTC()
			}
			if c.Tasks == nil {
				c.Tasks = map[purser.TaskID]providers.WorkState{}
			}
			delete(c.Endings, w.Task)
			c.Tasks[w.Task], changed = w, true
		}
		if !changed {
			return nil
		}
		_, raced, err := p.update(ctx, op, c)
		if err != nil || !raced {
			return err
		}
		var ok bool
		if c, ok, _, err = p.claim(ctx, op, c.Lease); err != nil || !ok {
			return err
		}
	}
	return overtaken(op, c.Lease)
}

// foreground deletes an object after its pods, so that it is seen until they are gone.
func foreground() metav1.DeleteOptions {
	policy := metav1.DeletePropagationForeground
	return metav1.DeleteOptions{PropagationPolicy: &policy}
}

func (p *Provider) deleteJob(ctx context.Context, op, name string) error {
	return gone(op, p.batch.Jobs(p.Namespace).Delete(ctx, name, foreground()))
}

func (p *Provider) deleteDeployment(ctx context.Context, op, name string) error {
	return gone(op, p.apps.Deployments(p.Namespace).Delete(ctx, name, foreground()))
}

// gone is the error of a deletion: what is not there any more is none.
func gone(op string, err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return failed(op, err)
}

// Sweep removes claims of leases that ended longer ago than Config.Remember, tasks whose
// claim has ended or is missing, and makes tombstones of claims whose place has left the
// cluster.
func (p *Provider) Sweep(ctx context.Context, grace time.Duration) (removed int, err error) {
	const op = "kubernetes.Sweep"
	claims, err := p.claims(ctx, op, false, true)
	if err != nil {
		return 0, err
	}
	nodes, err := p.nodes(ctx, op, false)
	if err != nil {
		return 0, err
	}
	there := map[string]bool{}
	for _, n := range nodes {
		there[n.Name] = true
	}
	now := p.Now()
	holds := map[string]bool{}
	var errs []error
	for _, c := range claims {
		switch {
		case c.State == claimEnding && now.Sub(c.EndedAt) > p.Remember:
			raced, err := p.drop(ctx, op, c)
			errs = append(errs, err)
			if err == nil && !raced {
				removed++
			}
		case c.State == claimHeld && !there[c.Part.Node] && now.Sub(c.createdAt) > grace:
			c.State, c.EndedAt, c.Reason = claimEnding, now.UTC(), c.Part.Node+" is no longer in the cluster"
			_, _, err := p.update(ctx, op, c)
			errs = append(errs, err)
		case c.State != claimEnding:
			holds[labelValue(string(c.Lease))] = true
		}
	}
	n, err := p.sweepTasks(ctx, op, grace, holds)
	gangs, also := p.sweepGangs(ctx, op, grace, claims)
	return removed + n + gangs, errors.Join(append(errs, err, also)...)
}

// sweepTasks deletes objects of tasks whose lease holds nothing.
func (p *Provider) sweepTasks(ctx context.Context, op string, grace time.Duration, holds map[string]bool) (removed int, err error) {
	stray := func(o metav1.Object) bool {
		return !holds[o.GetLabels()[LabelLease]] && o.GetDeletionTimestamp().IsZero() && p.Now().Sub(o.GetCreationTimestamp().Time) > grace
	}
	var errs []error
	remove := func(o metav1.Object, by func(context.Context, string, string) error) {
		if !stray(o) {
			return
		}
		if err := by(ctx, op, o.GetName()); err != nil {
			errs = append(errs, err)
			return
		}
		removed++
	}
	jobs, err := p.jobs(ctx, op, p.ofInstallation(partTask))
	if err != nil {
		return 0, err
	}
	for _, j := range jobs {
		if j.Labels[LabelGang] == "" { // those go with their JobSet, which would make them anew
			remove(j, p.deleteJob)
		}
	}
	deployments, err := p.deployments(ctx, op, p.ofInstallation(partTask))
	if err != nil {
		return removed, err
	}
	for _, d := range deployments {
		remove(d, p.deleteDeployment)
	}
	files, err := p.configMaps(ctx, op, p.ofInstallation(partFiles))
	if err != nil {
		return removed, err
	}
	for _, f := range files {
		remove(f, p.deleteFile)
	}
	return removed, errors.Join(errs...)
}
