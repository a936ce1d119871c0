package app

import (
	"context"
	"slices"
	"strconv"

	"purser"
	"purser/api"
	"purser/postgres"
	"purser/server"
)

type jobsPart struct{ *App }

func (p jobsPart) Submit(ctx context.Context, actor string, jobs []purser.Job) (api.Submitted, error) {
	for i := range jobs {
		if err := checkDeadlines(jobs[i], p.App); err != nil {
			return api.Submitted{}, err
		}
	}
	done, err := p.db.SubmitJobs(ctx, actor, jobs)
	if err != nil {
		return api.Submitted{}, err
	}
	out := api.Submitted{Jobs: []api.SubmittedJob{}}
	fresh := false
	for i, s := range done {
		out.Jobs = append(out.Jobs, api.SubmittedJob{ID: s.ID, Project: jobs[i].Project, Name: jobs[i].Name, Created: s.Created})
		fresh = fresh || s.Created
	}
	if fresh {
		p.sweeps.kick("plan")
	}
	return out, nil
}

// checkDeadlines refuses what is late before it begins.
func checkDeadlines(j purser.Job, a *App) error {
	for _, g := range j.Groups {
		if !g.Deadline.IsZero() && g.Deadline.Before(a.now()) {
			return purser.Errorf(purser.KindInvalid, "app.Submit", "job %s, group %s: the deadline %s has passed already", j.Name, g.Name, g.Deadline.Format("2006-01-02T15:04:05Z07:00"))
		}
	}
	return nil
}

func (p jobsPart) List(ctx context.Context, q server.JobQuery) (api.Jobs, error) {
	jobs, err := p.db.Jobs(ctx, postgres.JobFilter{Project: q.Project, State: q.State, Live: q.Live, Limit: q.Limit, After: purser.JobID(q.After)})
	if err != nil {
		return api.Jobs{}, err
	}
	views, err := p.views(ctx, jobs)
	out := api.Jobs{Jobs: views}
	if len(jobs) == q.Limit && len(jobs) > 0 {
		out.Next = string(jobs[len(jobs)-1].ID)
	}
	return out, err
}

// views adds to jobs what follows from their tasks and charges.
func (a *App) views(ctx context.Context, jobs []purser.Job) ([]api.Job, error) {
	ids := make([]purser.JobID, 0, len(jobs))
	for _, j := range jobs {
		ids = append(ids, j.ID)
	}
	figures, err := a.db.JobFigures(ctx, ids)
	if err != nil {
		return nil, err
	}
	waiting, err := a.whyWaiting(ctx, jobs)
	if err != nil {
		return nil, err
	}
	out := make([]api.Job, 0, len(jobs))
	for _, j := range jobs {
		out = append(out, a.jobView(j, figures[j.ID], waiting))
	}
	return out, nil
}

func (a *App) jobView(j purser.Job, f postgres.JobFigures, waiting map[purser.JobID]string) api.Job {
	v := api.Job{
		ID: j.ID, Project: j.Project, Name: j.Name, Labels: j.Labels, Priority: j.Priority, State: j.State, Reason: f.Reason,
		SubmittedAt: j.SubmittedAt, EndedAt: optional(j.EndedAt), Groups: []api.Group{}, Progress: f.Progress, Cost: f.Billed, Rehearsal: a.rehearsal,
	}
	for state, n := range f.Tasks {
		for range n {
			v.Tasks.Add(state)
		}
	}
	for _, g := range j.Groups {
		group := api.Group{Name: g.Name, Kind: g.Kind, Replicas: g.Replicas, Sizes: g.Sizes, After: g.After, Gang: g.Gang, Demand: demandAt(g, a.now()), Variants: []string{}}
		for _, x := range g.Variants {
			group.Variants = append(group.Variants, x.Name)
		}
		v.Groups = append(v.Groups, group)
	}
	if v.State == purser.JobSucceeded {
		v.Progress = 1 // a gang may have let go of replicas on its way
	}
	if v.State == purser.JobQueued && v.Reason == "" {
		v.Reason = waiting[j.ID]
	}
	return v
}

// whyWaiting says, for jobs that the newest plan lets wait or could not place, why.
func (a *App) whyWaiting(ctx context.Context, jobs []purser.Job) (map[purser.JobID]string, error) {
	if !slices.ContainsFunc(jobs, func(j purser.Job) bool { return j.State == purser.JobQueued }) {
		return nil, nil
	}
	plan, err := a.db.Plan(ctx, "latest")
	if err != nil {
		if purser.KindOf(err) == purser.KindNotFound {
			err = nil
		}
		return nil, err
	}
	out := map[purser.JobID]string{}
	for _, w := range plan.Waiting {
		out[w.Job] = w.Sentence()
	}
	for _, u := range plan.Unplaced {
		out[u.Job] = u.Reason
	}
	return out, nil
}

// find reads a job by id, or by name within a project.
func (a *App) find(ctx context.Context, ref server.JobRef) (purser.Job, error) {
	name := ref.Ref
	if ref.Project != "" {
		name = ref.Project + "/" + ref.Ref
	}
	return a.db.Job(ctx, name)
}

func (p jobsPart) Get(ctx context.Context, ref server.JobRef) (api.Job, error) {
	j, err := p.find(ctx, ref)
	if err != nil {
		return api.Job{}, err
	}
	views, err := p.views(ctx, []purser.Job{j})
	if err != nil {
		return api.Job{}, err
	}
	return views[0], nil
}

func (p jobsPart) Tasks(ctx context.Context, ref server.JobRef) ([]purser.Task, error) {
	j, err := p.find(ctx, ref)
	if err != nil {
		return nil, err
	}
	return p.db.Tasks(ctx, postgres.TaskFilter{Job: j.ID})
}

func (p jobsPart) Cancel(ctx context.Context, actor string, ref server.JobRef) (api.Job, error) {
	j, err := p.find(ctx, ref)
	if err != nil {
		return api.Job{}, err
	}
	if _, err := p.db.CancelJob(ctx, actor, j.ID); err != nil {
		return api.Job{}, err
	}
	return p.Get(ctx, server.JobRef{Ref: string(j.ID)})
}

type logsPart struct{ *App }

// Logs pages through a job's lines; the cursor is the number of the last one.
func (p logsPart) Logs(ctx context.Context, q server.LogQuery) (api.Logs, error) {
	j, err := p.find(ctx, q.Job)
	if err != nil {
		return api.Logs{}, err
	}
	var after int64
	if q.After != "" {
		if after, err = strconv.ParseInt(q.After, 10, 64); err != nil || after < 0 {
			return api.Logs{}, purser.Errorf(purser.KindInvalid, "app.Logs", "%q is not the next of an earlier page", q.After)
		}
	}
	lines, err := p.db.Logs(ctx, postgres.LogFilter{Job: j.ID, Task: q.Task, After: after, Limit: q.Limit})
	if err != nil {
		return api.Logs{}, err
	}
	out := api.Logs{Lines: make([]api.LogLine, 0, len(lines)), Next: q.After}
	for _, l := range lines {
		out.Lines = append(out.Lines, api.LogLine{Task: l.Task, Seq: l.Seq, At: l.At, Stream: l.Stream, Text: l.Text})
		out.Next = strconv.FormatInt(l.ID, 10)
	}
	out.Ended = j.State.Ended() && len(lines) < q.Limit
	return out, nil
}
