package postgres

import (
	"crypto/subtle"
	"fmt"
	"time"

	"github.com/riverqueue/river"

	"purser"
)

// setTask is the one place where a task's state changes.
func (w *world) setTask(t *taskRow, to purser.TaskState, reason string) error {
	if !t.State.Can(to) {
		return purser.Errorf(purser.KindInternal, "postgres.setTask", "task %s is %s and cannot become %s", t.ID, t.State, to)
	}
	if w.jobs[t.Job] == nil {
		return purser.Errorf(purser.KindInternal, "postgres.setTask", "task %s changes without the lock of job %s", t.ID, t.Job)
	}
	w.say(purser.Event{
		At: w.at, Actor: w.actor, Subject: "task", Name: string(t.ID), From: string(t.State), To: string(to), Reason: reason,
	})
	t.State, t.Reason, t.dirty = to, clean(reason, maxReason), true
	w.touched[t.Job] = true
	return nil
}

// finish ends a task and gives its replica a successor where one is due: after a
// loss always, after a failure while attempts are left. A task that is being stopped
// for good is cancelled however its process ended, unless it succeeded.
func (w *world) finish(t *taskRow, to purser.TaskState, reason string) error {
	if t.stopFor.forGood() && to != purser.TaskSucceeded {
		to = purser.TaskCancelled
	}
	if to == purser.TaskLost && !w.jobs[t.Job].open() {
		to = purser.TaskCancelled
	}
	group := w.jobs[t.Job].groups[t.Group]
	if to == purser.TaskSucceeded && group.kind == purser.Inference && !t.stopFor.forGood() && w.jobs[t.Job].open() {
		to, reason = purser.TaskFailed, "a service does not end by itself" // it would be bought a new machine at each end
	}
	lease, stopping := w.leases[t.Lease], t.stopFor != stopNot
	if err := w.setTask(t, to, reason); err != nil {
		return err
	}
	if t.EndedAt.IsZero() {
		t.EndedAt = w.at
	}
	t.EndedAt = latest(t.EndedAt, t.QueuedAt, t.PlacedAt, t.StartedAt)
	t.setStop(stopNot)
	t.missingSince = time.Time{}
	retry := to == purser.TaskFailed && t.Failures < group.retries && w.jobs[t.Job].open()
	if to != purser.TaskLost && !retry {
		w.endMove(t.ID, purser.MoveUndone)
		return nil
	}
	if err := w.succeed(t, retry); err != nil || !retry || stopping || group.kind != purser.Inference || lease == nil || !usable(lease.State) {
		return err
	}
	return w.again(t, lease)
}

// again puts the successor of a service's replica that failed back where it was: its
// machine is there, and whatever else the plan has stays as it is.
func (w *world) again(t *taskRow, lease *leaseRow) error {
	for _, next := range sortedByID(w.tasks, func(n *taskRow) bool {
		return n.fresh && n.newest && n.key() == t.key() && n.State == purser.TaskQueued
	}) {
		return w.place(next, lease, purser.Placement{
			Job: t.Job, Group: t.Group, Replica: t.Replica, Variant: t.Variant, Devices: t.Devices, MilliCPU: t.MilliCPU, MemoryMiB: t.MemoryMiB,
		}, "it is started again after a failure")
	}
	return nil
}

// succeed queues the next attempt of a replica, or puts it straight onto the lease
// that an open move takes it to.
func (w *world) succeed(t *taskRow, failed bool) error {
	next := &taskRow{fresh: true, newest: true, Task: purser.Task{
		ID: purser.TaskID(NewID("task", w.at)), Job: t.Job, Group: t.Group, Replica: t.Replica, Attempt: t.Attempt + 1, Failures: t.Failures,
		World: t.World, State: purser.TaskQueued, Checkpoint: t.Checkpoint, Reason: t.Reason, QueuedAt: w.at,
	}}
	if failed {
		next.Failures++
	}
	if next.Checkpoint != "" {
		next.Progress = t.Progress
	}
	t.newest, t.dirty = false, true
	w.tasks[next.ID] = next
	w.say(purser.Event{At: w.at, Actor: w.actor, Subject: "task", Name: string(next.ID), To: string(purser.TaskQueued), Reason: "follows " + string(t.ID)})
	return w.follow(t.ID, next, !failed)
}

// follow ends the move of task id, and when its target can still take the task,
// places next there.
func (w *world) follow(id purser.TaskID, next *taskRow, wanted bool) error {
	m := w.moves[id]
	if m == nil {
		return nil
	}
	target := w.leases[m.To]
	if !wanted || target == nil || !usable(target.State) {
		w.endMove(id, purser.MoveUndone)
		return nil
	}
	w.endMove(id, purser.MoveDone)
	return w.place(next, target, m.Placement, m.Reason)
}

// requeue puts back a task that no process has run.
func (w *world) requeue(t *taskRow, reason string) error {
	if t.stopFor.forGood() || !w.jobs[t.Job].open() {
		return w.finish(t, purser.TaskCancelled, reason)
	}
	if err := w.setTask(t, purser.TaskQueued, reason); err != nil {
		return err
	}
	t.Lease, t.Variant, t.Devices, t.MilliCPU, t.MemoryMiB, t.PlacedAt = "", "", 0, 0, 0, time.Time{}
	t.joined, t.missingSince, t.Port = false, time.Time{}, 0
	t.setStop(stopNot)
	return w.follow(t.ID, t, true)
}

// place puts a queued task on a lease whose lock is held.
func (w *world) place(t *taskRow, l *leaseRow, p purser.Placement, reason string) error {
	if err := w.setTask(t, purser.TaskPlaced, reason); err != nil {
		return err
	}
	t.Reason = ""
	t.Lease, t.Variant, t.Devices, t.MilliCPU, t.MemoryMiB, t.PlacedAt = l.ID, p.Variant, p.Devices, p.MilliCPU, p.MemoryMiB, latest(w.at, t.QueuedAt)
	t.joined = !l.RunningAt.IsZero()
	return nil
}

// stop ends a task that no agent can hold, and asks the agent to end it otherwise.
func (w *world) stop(t *taskRow, why stopReason, reason string) error {
	if why.forGood() {
		w.endMove(t.ID, purser.MoveUndone)
	}
	if t.State == purser.TaskQueued || (t.State == purser.TaskPlaced && !t.joined) {
		if why.forGood() {
			return w.finish(t, purser.TaskCancelled, reason)
		}
		if t.State == purser.TaskPlaced {
			return w.requeue(t, reason)
		}
		return nil
	}
	if why.strength() > t.stopFor.strength() {
		t.setStop(why)
		t.dirty = true
	}
	return nil
}

func (t *taskRow) setStop(why stopReason) {
	t.stopFor, t.Stop = why, why != stopNot
}

// transition applies a step to a lease, and to the tasks on it when it drains or ends.
func (w *world) transition(l *leaseRow, t purser.Transition) error {
	before := l.Lease
	// Clocks of two servers may differ, and what is charged already has been.
	t.At = latest(w.at, l.CreatedAt, l.LaunchedAt, l.RunningAt, l.DrainingAt, l.ChargedThrough)
	t.Reason = clean(t.Reason, maxReason)
	after, err := l.Apply(t)
	if err != nil {
		return err
	}
	l.Lease, l.dirty = after, true
	if before.State != after.State || before.Attempt != after.Attempt || before.Instance != after.Instance || before.Reason != after.Reason {
		w.say(purser.Event{
			At: w.at, Actor: w.actor, Subject: "lease", Name: string(l.ID), From: string(before.State), To: string(after.State), Reason: t.Reason,
		})
	}
	if t.Next >= 0 && !after.State.Ended() {
		w.step(after, w.at.Add(t.Next))
	}
	if before.State == after.State || !frees(after.State) {
		return nil
	}
	return w.free(l)
}

// step inserts the River job of a lease's next step.
func (w *world) step(l purser.Lease, due time.Time) {
	if due.Sub(w.at) < schedulerTurn {
		due = time.Time{}
	}
	w.steps = append(w.steps, river.InsertManyParams{Args: LeaseStep{Lease: string(l.ID), Fence: l.Fence}, InsertOpts: stepOpts(l, due)})
}

// free gives back the tasks of a lease that drains or has ended, and undoes the
// moves that go to it. While a lease drains its agent stops what it holds; when the
// lease has ended there is no agent any more.
func (w *world) free(l *leaseRow) error {
	for _, m := range sortedByID(w.moves, func(m *moveRow) bool { return m.To == l.ID }) {
		w.endMove(m.Task, purser.MoveUndone)
	}
	reason := fmt.Sprintf("its lease %s is %s", l.ID, l.State)
	if l.Reason != "" {
		reason += ": " + l.Reason
	}
	draining := l.State == purser.LeaseDraining
	for _, t := range sortedByID(w.tasks, func(t *taskRow) bool { return t.Lease == l.ID && !t.State.Ended() }) {
		var err error
		switch {
		case draining && !l.RunningAt.IsZero():
			err = w.stop(t, stopDrain, reason)
		case t.State == purser.TaskRunning:
			err = w.finish(t, purser.TaskLost, reason)
		default:
			err = w.requeue(t, reason)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func latest(times ...time.Time) time.Time {
	var out time.Time
	for _, t := range times {
		if t.After(out) {
			out = t
		}
	}
	return out
}

func sameHash(a, b []byte) bool { return len(a) > 0 && subtle.ConstantTimeCompare(a, b) == 1 }
