package kubernetes

import (
	"cmp"
	"context"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"purser"
	"purser/providers"
)

// TakesGang says whether the cluster has JobSet. With a queue of Kueue a gang must not be
// larger than Kueue takes as one.
func (p *Provider) TakesGang(ctx context.Context, replicas int) (bool, error) {
	if p.Queue != "" && replicas > queuedGang {
		return false, nil
	}
	return p.hasJobSets(ctx, "kubernetes.TakesGang")
}

// RunGang starts a gang as one JobSet. Four steps, each of which may be repeated, and
// after each of which the call may be cut off:
//
//	1 enrol     every member's claim notes the JobSet's name, if it holds and the task runs
//	            nowhere else: a task has one name at a time
//	2 create    the JobSet, suspended and in no queue: nothing begins by it
//	3 confirm   all claims are read again; where one has begun to end, or notes another
//	            name, the JobSet is deleted
//	4 release   it is resumed, or handed to its queue, if it is the one of step 2
//
// What ends a claim marks it first and then looks for JobSets, so either it finds this
// one or step 3 finds the mark.
func (p *Provider) RunGang(ctx context.Context, members []providers.Member) error {
	const op = "kubernetes.RunGang"
	members = slices.SortedFunc(slices.Values(members), func(a, b providers.Member) int { return cmp.Compare(a.Work.Task.Replica, b.Work.Task.Replica) })
	if len(members) == 0 {
		return purser.Errorf(purser.KindInvalid, op, "a gang needs members")
	}
	name := gangName(p.Installation, members)
	claims := make([]claim, len(members))
	for i, m := range members {
		if err := runnable(op, m.Work); err != nil {
			return err
		}
		c, err := p.holding(ctx, op, m.Lease.ID, m.Work.Task.ID)
		if err != nil || c.done(m.Work.Task.ID) {
			return err
		}
		claims[i] = c
	}
	if err := p.findQueue(ctx, op); err != nil {
		return err
	}
	set, seats, err := p.jobset(name, members, claims)
	if err != nil {
		return err
	}
	for i, m := range members {
		if err := p.enrol(ctx, op, claims[i], m.Work.Task.ID, name); err != nil {
			return err
		}
		if err := p.bring(ctx, op, claims[i], m.Work); err != nil {
			return err
		}
	}
	made, err := p.sets().Create(ctx, set, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		made, err = p.sets().Get(ctx, name, metav1.GetOptions{})
	}
	if err != nil {
		return failed(op, err)
	}
	g, err := readGang(made)
	if err != nil {
		return err
	}
	p.wrote.gangs.note(made.GetResourceVersion())
	switch {
	case g.deleting:
		return purser.Errorf(purser.KindUnavailable, op, "the gang's JobSet %s is on its way out; it is tried again", name)
	case !g.same(seats) && !g.released: // its tasks were given other machines before it began
		return cmp.Or(p.deleteGang(ctx, op, g), error(purser.Errorf(purser.KindUnavailable, op, "the gang's JobSet %s is made anew, for other machines; it is tried again", name)))
	case !g.same(seats):
		return purser.Errorf(purser.KindConflict, op, "the gang's JobSet %s runs already, on other machines", name)
	}
	if confirmed, err := p.confirm(ctx, op, g); err != nil || !confirmed {
		return err
	}
	return p.release(ctx, op, g)
}

// enrol notes on a held claim which object runs a task, before that is made. A task that
// another one runs is refused while that is there.
func (p *Provider) enrol(ctx context.Context, op string, c claim, task purser.TaskID, as string) error {
	for range tries {
		was, other := c.Started[task]
		if was == as || c.done(task) {
			return nil // what is done is seen once more before anything begins
		}
		if other {
			there, err := p.stands(ctx, op, c, task)
			if err != nil {
				return err
			}
			if there {
				return &purser.Error{Kind: purser.KindUnavailable, Op: op, RetryAfter: time.Second, Message: "task " + string(task) + " is still run by " + was + "; it is tried again"}
			}
		}
		if c.Started == nil {
			c.Started = map[purser.TaskID]string{}
		}
		c.Started[task] = as
		_, raced, err := p.update(ctx, op, c)
		if err != nil || !raced {
			return err
		}
		if c, err = p.holding(ctx, op, c.Lease, task); err != nil {
			return err
		}
	}
	return overtaken(op, c.Lease)
}

// stands says whether what a claim says of a task is there.
func (p *Provider) stands(ctx context.Context, op string, c claim, task purser.TaskID) (bool, error) {
	if name, ok := c.gang(task); ok {
		g, err := p.gangCalled(ctx, op, name)
		return g != nil, err
	}
	_, err := p.batch.Jobs(p.Namespace).Get(ctx, objectName(string(task)), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	return true, failed(op, err)
}

// confirm reads the claims of a gang once more. A JobSet that may not begin is deleted;
// why is an error, unless its tasks have ended already.
func (p *Provider) confirm(ctx context.Context, op string, g *gang) (bool, error) {
	for _, s := range g.seats {
		c, err := p.holding(ctx, op, s.Lease, s.Task)
		switch kind := purser.KindOf(err); {
		case err == nil && c.Started[s.Task] == g.name && !c.done(s.Task):
			continue
		case err != nil && kind != purser.KindConflict && kind != purser.KindNotFound:
			return false, err // nothing is known; a repeated RunGang finds it and looks again
		}
		return false, firstOf([]error{p.endGang(ctx, op, g, nil, "the machine of another replica of its gang was ended"), err})
	}
	return true, nil
}

// release lets a JobSet begin: Kueue resumes the one with a queue when it admits it.
func (p *Provider) release(ctx context.Context, op string, g *gang) error {
	if g.released {
		return nil
	}
	meta := map[string]any{"annotations": map[string]any{annotationReleased: p.Now().UTC().Format(time.RFC3339)}}
	spec := map[string]any{"suspend": false}
	if p.Queue != "" {
		meta["labels"], spec = map[string]any{queueLabel: p.Queue}, nil
	}
	out, err := p.patchGang(ctx, op, g, meta, spec)
	if err == nil && out == nil {
		return purser.Errorf(purser.KindUnavailable, op, "the gang's JobSet %s was deleted meanwhile; it is tried again", g.name)
	}
	return err
}

// endGang ends a whole gang: its claims note as what each member ends, the JobSet is deleted
// after its pods, and Works tells of the end when nothing is left. Members that causes does
// not name are lost for why.
func (p *Provider) endGang(ctx context.Context, op string, g *gang, causes map[purser.TaskID]ending, why string) error {
	if !g.released {
		return p.deleteGang(ctx, op, g) // nothing of it has run: its tasks are to be started anew
	}
	for _, s := range g.seats {
		e, ok := causes[s.Task]
		if !ok {
			e = ending{purser.TaskLost, why, p.Now().UTC()}
		}
		if err := p.noteEnding(ctx, op, g.name, s, e); err != nil {
			return err
		}
	}
	return p.deleteGang(ctx, op, g)
}

// stopGang ends a gang for one of its members, unless that has ended by itself.
func (p *Provider) stopGang(ctx context.Context, op string, c claim, name string, task purser.TaskID) error {
	g, err := p.gangCalled(ctx, op, name)
	if err != nil || g == nil || !g.has(c.Lease, task) || c.done(task) && g.deleting {
		return err
	}
	t, err := p.things(ctx, op, c)
	if err != nil {
		return err
	}
	works, _ := p.works(c, t)
	if slices.ContainsFunc(works, func(w providers.WorkState) bool { return w.Task == task && w.State.Ended() }) {
		return nil
	}
	told := ending{purser.TaskLost, "it was told to stop", p.Now().UTC()}
	return p.endGang(ctx, op, g, map[purser.TaskID]ending{task: told}, "another replica of its gang was told to stop")
}

// noteEnding writes on a member's claim as what it ends, unless that is known.
func (p *Provider) noteEnding(ctx context.Context, op, name string, s seat, e ending) error {
	for range tries {
		c, ok, foreign, err := p.claim(ctx, op, s.Lease)
		if err != nil || !ok || foreign || c.done(s.Task) || c.Started[s.Task] != name {
			return err
		}
		if c.Endings == nil {
			c.Endings = map[purser.TaskID]ending{}
		}
		c.Endings[s.Task] = e
		if _, raced, err := p.update(ctx, op, c); err != nil || !raced {
			return err
		}
	}
	return overtaken(op, s.Lease)
}

// leaveGangs ends the gangs of an ending claim whose members there have not ended, and lets
// the others go on without it.
func (p *Provider) leaveGangs(ctx context.Context, op string, c claim, t things, works []providers.WorkState) (errs []error) {
	for task := range c.Started {
		g := t.gangOf(c, task)
		switch i := slices.IndexFunc(works, func(w providers.WorkState) bool { return w.Task == task }); {
		case g == nil:
		case i >= 0 && works[i].State.Ended():
			errs = append(errs, p.forgetMember(ctx, op, g.name, c.Lease, task))
		default:
			errs = append(errs, p.endGang(ctx, op, g, nil, "the machine of another replica of its gang was ended"))
		}
	}
	return errs
}

// forgetMember notes on a gang's JobSet that nobody asks for a task any more, and deletes it
// after the last. A Job of its own must stay until then: JobSet makes it anew.
func (p *Provider) forgetMember(ctx context.Context, op, name string, lease purser.LeaseID, task purser.TaskID) error {
	g, err := p.gangCalled(ctx, op, name)
	if err != nil || g == nil || !g.has(lease, task) {
		return err
	}
	for _, s := range g.seats {
		if s.Task != task || g.forgotten[task] {
			continue
		}
		g, err = p.patchGang(ctx, op, g, map[string]any{"annotations": map[string]any{annotationForgotten + seatName(s.Replica)[1:]: "true"}}, nil)
		if err != nil || g == nil {
			return err
		}
	}
	if slices.ContainsFunc(g.seats, func(s seat) bool { return !g.forgotten[s.Task] }) {
		return nil
	}
	return p.deleteGang(ctx, op, g)
}

// sweepGangs deletes JobSets that no task needs any more, and those of which a lease holds
// nothing although its task has not ended.
func (p *Provider) sweepGangs(ctx context.Context, op string, grace time.Duration, claims []claim) (removed int, err error) {
	if has, err := p.hasJobSets(ctx, op); err != nil || !has {
		return 0, err
	}
	gangs, err := p.gangs(ctx, op) // those that can be read are swept whatever the others are
	byLease := map[purser.LeaseID]claim{}
	for _, c := range claims {
		byLease[c.Lease] = c
	}
	errs := []error{err}
	for _, g := range gangs {
		needed, bereft := false, false
		for _, s := range g.seats {
			c := byLease[s.Lease]
			switch {
			case g.forgotten[s.Task] || c.over(s.Task):
			case c.State == claimHeld && c.Started[s.Task] == g.name:
				needed = true
			default:
				bereft = true
			}
		}
		if g.deleting || needed && !bereft || p.Now().Sub(g.createdAt) <= grace {
			continue
		}
		if err := p.endGang(ctx, op, g, nil, "a machine of its gang has ended"); err != nil {
			errs = append(errs, err)
			continue
		}
		removed++
	}
	return removed, firstOf(errs)
}
