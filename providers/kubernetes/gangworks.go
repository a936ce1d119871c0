package kubernetes

import (
	"cmp"
	"maps"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"purser"
	"purser/providers"
)

// gangWorks reads what members of gangs on a claim came to. A JobSet that has not been
// released runs nothing and is not told of: it is to be run once more.
func (p *Provider) gangWorks(c claim, t things, pods map[string][]*corev1.Pod) (out []providers.WorkState, give []verdict) {
	for _, task := range slices.Sorted(maps.Keys(c.Started)) {
		name, ok := c.gang(task)
		if !ok {
			continue
		}
		label := labelValue(string(task))
		mine := slices.DeleteFunc(slices.Clone(pods[label]), func(pod *corev1.Pod) bool { return pod.Labels[LabelGang] != name })
		var job *batchv1.Job
		for _, j := range t.jobs {
			if j.Labels[LabelGang] == name && j.Labels[LabelTask] == label {
				job = j
			}
		}
		g := t.gangOf(c, task)
		w, e, listed := p.memberWork(c, task, g, job, mine)
		if !listed {
			continue
		}
		if w.Checkpoint = ""; p.Checkpoints.lasting() && !w.StartedAt.IsZero() {
			w.Checkpoint = savesOf(g, task)
		}
		out = append(out, w)
		if e != nil && g != nil {
			give = append(give, verdict{gang: g, task: task, ending: *e})
		}
	}
	return out, give
}

func savesOf(g *gang, task purser.TaskID) string {
	if g != nil {
		for _, s := range g.seats {
			if s.Task == task {
				return cmp.Or(s.Saves, checkpointDir)
			}
		}
	}
	return checkpointDir
}

// failedFellow is why a replica ends whose gang has failed.
const failedFellow = "another replica of its gang failed"

// overdue says whether JobSet's controller had time enough to act since then.
func (p *Provider) overdue(since time.Time) bool { return p.Now().Sub(since) >= p.Patience }

// memberWork is what a member of a gang came to. listed is false while nothing of it can
// run. give says that the whole gang is to be ended, and as what this member ends.
func (p *Provider) memberWork(c claim, task purser.TaskID, g *gang, job *batchv1.Job, pods []*corev1.Pod) (w providers.WorkState, give *ending, listed bool) {
	w = startedBy(pods)
	w.Task = task
	living := slices.ContainsFunc(pods, alive)
	stopping := func(why string) { w.State, w.Reason = cmp.Or(runningSince(w), purser.TaskPlaced), "stopping: "+why }
	if e, ok := c.Endings[task]; ok {
		if (g == nil || g.deleting) && job == nil && !living { // a Job goes after its pods, whatever becomes of the others'

			w.State, w.Reason, w.EndedAt = e.State, e.Reason, e.At
			return w, nil, true
		}
		stopping(e.Reason)
		if g != nil && !g.deleting {
			give = &e // what was begun is done to its end
		}
		return w, give, true
	}
	if g == nil || !g.released {
		return w, nil, false
	}
	finished := job != nil && jobCondition(job, batchv1.JobComplete, batchv1.JobFailed) != nil
	switch {
	case finished:
		if w, _ = p.jobWork(job, pods); w.State != purser.TaskSucceeded && g.failed == "" && !g.deleting && p.overdue(w.EndedAt) {
			give = &ending{w.State, w.Reason, w.EndedAt} // nobody else ends the others
		}
	case g.deleting:
		stopping("its JobSet is being deleted")
		give = &ending{purser.TaskLost, "its JobSet was deleted", p.Now().UTC()}
	case g.failed != "" && (job != nil || living):
		stopping(failedFellow)
		if p.overdue(g.since) {
			give = &ending{purser.TaskLost, failedFellow, p.Now().UTC()}
		}
	case g.failed != "":
		w.State, w.Reason, w.EndedAt = purser.TaskLost, failedFellow+": "+g.failed, g.since.UTC()
	case g.completed && !living:
		zero := 0
		w.State, w.ExitCode, w.EndedAt = purser.TaskSucceeded, &zero, g.since.UTC()
	case job == nil:
		if w, give = p.waiting(w, pods, g.since, g.suspended); give != nil && len(pods) == 0 {
			give.Reason = "its JobSet made no Job; JobSet's controller may not run, or a ResourceQuota or a policy of the cluster refuses it"
		}
	default:
		w, give = p.jobWork(job, pods)
	}
	return w, give, true
}
