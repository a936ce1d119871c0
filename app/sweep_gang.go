package app

import (
	"cmp"
	"context"
	"slices"
	"time"

	"purser"
	"purser/postgres"
	"purser/providers"
)

// attendMember is how much longer than attendCall a call may take for each member of a gang.
const attendMember = 100 * time.Millisecond

// gang finds with whom a task is to start that is ordered to. alone: by itself, since it has
// no gang, its provider cannot run gangs as one, or others of it run already or are with other
// providers. Without members and not alone it is to wait: others have no machine yet, or it is
// another's part to start them all (that of the lowest replica, so that it is asked for once).
func (a *App) gang(ctx context.Context, l purser.Lease, c *cluster, s postgres.TaskSpec) (members []providers.Member, alone bool, err error) {
	runner, ok := providers.As[providers.GangRunner](a.providers[l.Holder])
	if !ok || !s.Group.Gang || cmp.Or(s.Task.World, s.Group.Replicas) < 2 {
		return nil, true, nil
	}
	tasks, err := a.db.Tasks(ctx, postgres.TaskFilter{Job: s.Task.Job, Live: true})
	if err != nil {
		return nil, false, err
	}
	tasks = slices.DeleteFunc(tasks, func(t purser.Task) bool { return t.Group != s.Task.Group })
	runs := slices.ContainsFunc(tasks, func(t purser.Task) bool { return t.State == purser.TaskRunning })
	if runs || len(tasks) < 2 {
		return nil, true, nil
	}
	takes := false
	err = c.ask(ctx, func(ctx context.Context) error {
		takes, err = runner.TakesGang(ctx, len(tasks))
		return err
	})
	if err != nil || !takes {
		return nil, err == nil, err
	}
	for _, t := range tasks {
		if t.State != purser.TaskPlaced || t.Stop || a.now().Sub(t.PlacedAt) < postgres.RestartPause(t.Failures) {
			return nil, false, nil
		}
		on, err := a.db.Lease(ctx, t.Lease)
		switch {
		case err != nil:
			return nil, false, err
		case on.Holder != l.Holder:
			return nil, true, nil
		case on.State != purser.LeaseRunning:
			return nil, false, nil
		}
		members = append(members, providers.Member{Lease: on, Work: a.work(postgres.TaskSpec{Task: t, Group: s.Group, Job: s.Job})})
	}
	if slices.ContainsFunc(tasks, func(t purser.Task) bool { return t.Replica < s.Task.Replica }) {
		return nil, false, nil
	}
	return members, false, nil
}

// work is what a provider needs to run a task.
func (a *App) work(s postgres.TaskSpec) providers.Work {
	return providers.Work{Task: s.Task, Group: s.Group, Project: s.Job.Project, JobName: s.Job.Name, Installation: a.installation}
}

// begin has a provider start a task, or the gang that it is the first of. waits says that
// nothing was asked.
func (a *App) begin(ctx context.Context, l purser.Lease, c *cluster, s postgres.TaskSpec) (waits bool, err error) {
	members, alone, err := a.gang(ctx, l, c, s)
	switch {
	case err != nil:
		return true, err
	case alone:
		return false, c.ask(ctx, func(ctx context.Context) error { return c.Run(ctx, l, a.work(s)) })
	case len(members) == 0:
		return true, nil
	}
	runner, _ := providers.As[providers.GangRunner](a.providers[l.Holder])
	return false, c.askFor(ctx, attendCall+time.Duration(len(members))*attendMember, func(ctx context.Context) error { return runner.RunGang(ctx, members) })
}
