package agent

import (
	"cmp"
	"context"
	"path/filepath"
	"slices"

	"purser"
	"purser/api"
)

// accept takes a task on. It waits for devices until startWaiting finds some.
func (a *agent) accept(s api.TaskSpec) {
	id := s.Task.ID
	a.runs[id] = &run{
		spec:   s,
		report: api.TaskReport{Task: id, State: purser.TaskPlaced},
		log:    newTaskLog(id, a.LogMemory, a.Now),
	}
	a.order = append(a.order, id)
}

// startWaiting starts the tasks that have waited and have devices now, those that
// need most first, since shares pack exactly in that order.
func (a *agent) startWaiting(ctx context.Context) {
	if a.draining {
		return
	}
	var waiting []*run
	for _, id := range a.order {
		if r := a.runs[id]; !r.started && !r.ended() {
			waiting = append(waiting, r)
		}
	}
	slices.SortStableFunc(waiting, func(x, y *run) int {
		return cmp.Or(cmp.Compare(y.spec.Task.Devices, x.spec.Task.Devices), cmp.Compare(x.report.Task, y.report.Task))
	})
	for _, r := range waiting {
		if g, ok := a.devices.take(r.spec.Task.Devices); ok {
			r.grant = g
			a.start(ctx, r)
		}
	}
}

// start begins a task. Where that cannot be, the task has failed.
func (a *agent) start(ctx context.Context, r *run) {
	r.started = true
	r.report.State, r.report.StartedAt = purser.TaskRunning, a.Now().UTC()
	ctx, r.stop = context.WithCancel(ctx)
	x, err := a.equip(ctx, r)
	a.note(r) // before it runs, so that a crash cannot run it twice
	go func() {
		e := ending{task: r.report.Task, err: err}
		if err == nil {
			e.outcome, e.err = x.execute(ctx)
		}
		select {
		case a.endings <- e:
		case <-a.gone: // the drain took all its time and nobody listens
		}
	}()
}

// equip makes ready what the task needs.
func (a *agent) equip(ctx context.Context, r *run) (execution, error) {
	var err error
	if r.folders, err = prepare(a.Config, r.spec); err != nil {
		return execution{}, err
	}
	if listens(r.spec.Group) {
		taken := map[int]bool{}
		for _, other := range a.runs {
			if !other.ended() {
				taken[other.report.Port] = true
			}
		}
		ports := filepath.Join(a.CheckpointRoot, ".ports")
		if r.report.Port, r.port, err = choosePort(ctx, ports, r.spec.Group.Port, taken); err != nil {
			return execution{}, err
		}
	}
	runtime, err := chooseRuntime(a.Config, r.spec.Group.Run, a.rehearsal)
	if err != nil {
		return execution{}, err
	}
	if r.spec.Group.Run.Image != "" && runtime == "" {
		r.log.add("agent", "no container runtime here: in this rehearsal the command runs without its image "+r.spec.Group.Run.Image)
	}
	a.Logger.Info("task starts", "task", r.report.Task, "devices", numbersOf(r.grant), "port", r.report.Port)
	return execution{
		config: a.Config, spec: r.spec, folders: r.folders, grant: r.grant, log: r.log, runtime: runtime,
		env: environment(a.Lease, r.spec, r.folders, r.grant, r.report.Port),
	}, nil
}
