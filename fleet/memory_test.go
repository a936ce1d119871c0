package fleet_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"purser"
)

// memory is a store that keeps to the rules of the real one: a transition gives back
// tasks, writes its audit row and its step, all or nothing.
type memory struct {
	now    func() time.Time
	leases map[purser.LeaseID]purser.Lease
	tasks  map[purser.TaskID]purser.Task
	moves  []purser.Move
	steps  []step
	audit  []purser.Event
	ids    int
	// cut is called as each call begins and, when it is committed, again with done.
	cut func(call string, done bool)
}

// step is a River job.
type step struct {
	lease purser.LeaseID
	fence int64
	due   time.Time
}

func newMemory(now func() time.Time) *memory {
	return &memory{
		now: now, leases: map[purser.LeaseID]purser.Lease{}, tasks: map[purser.TaskID]purser.Task{},
		cut: func(string, bool) {},
	}
}

func (m *memory) newID(prefix string) string {
	m.ids++
	return fmt.Sprintf("%s-%04d", prefix, m.ids)
}

func (m *memory) Lease(_ context.Context, id purser.LeaseID) (purser.Lease, error) {
	m.cut("Lease", false)
	l, ok := m.leases[id]
	if !ok {
		return l, purser.Errorf(purser.KindNotFound, "memory.Lease", "there is no lease %s", id)
	}
	return l, nil
}

func (m *memory) Advance(_ context.Context, id purser.LeaseID, actor string, decide func(purser.Lease) (purser.Transition, error)) (purser.Lease, error) {
	m.cut("Advance", false)
	l, ok := m.leases[id]
	if !ok {
		return l, purser.Errorf(purser.KindNotFound, "memory.Advance", "there is no lease %s", id)
	}
	t, err := decide(l)
	if err != nil || t.To == "" {
		return l, err
	}
	next, err := l.Apply(t)
	if err != nil {
		return l, err
	}
	m.audit = append(m.audit, purser.Event{At: t.At, Actor: actor, Subject: "lease", Name: string(id), From: string(l.State), To: string(t.To), Reason: t.Reason})
	m.leases[id] = next
	if t.Next >= 0 && !next.State.Ended() {
		m.steps = append(m.steps, step{lease: id, fence: next.Fence, due: t.At.Add(t.Next)})
	}
	if l.State != next.State {
		m.free(next)
	}
	m.cut("Advance", true)
	return next, nil
}

// free gives back the tasks of a lease that drains or has ended.
func (m *memory) free(l purser.Lease) {
	for _, t := range m.onLease(l.ID) {
		switch {
		case l.State == purser.LeaseDraining && !l.RunningAt.IsZero():
			t.Stop = true
			m.tasks[t.ID] = t
		case !l.State.Ended() && l.State != purser.LeaseDraining:
		case t.State == purser.TaskRunning:
			m.end(t, purser.TaskLost)
		default:
			t.State, t.Lease, t.Stop = purser.TaskQueued, "", false
			m.tasks[t.ID] = t
		}
	}
}

// end ends a task; a lost one has a successor.
func (m *memory) end(t purser.Task, to purser.TaskState) {
	t.State, t.EndedAt = to, m.now()
	m.tasks[t.ID] = t
	if to == purser.TaskLost {
		next := purser.Task{ID: purser.TaskID(m.newID("task")), Job: t.Job, Group: t.Group, Replica: t.Replica, Attempt: t.Attempt + 1, State: purser.TaskQueued, QueuedAt: m.now()}
		m.tasks[next.ID] = next
	}
}

// onLease gives the live tasks of a lease by id.
func (m *memory) onLease(id purser.LeaseID) []purser.Task {
	return slices.DeleteFunc(m.live(), func(t purser.Task) bool { return t.Lease != id })
}

func (m *memory) live() []purser.Task {
	var out []purser.Task
	for _, id := range slices.Sorted(maps.Keys(m.tasks)) {
		if t := m.tasks[id]; !t.State.Ended() {
			out = append(out, t)
		}
	}
	return out
}

func (m *memory) LiveLeases(context.Context) ([]purser.Lease, error) {
	m.cut("LiveLeases", false)
	var out []purser.Lease
	for _, l := range m.leases {
		if !l.State.Ended() {
			out = append(out, l)
		}
	}
	slices.SortFunc(out, func(a, b purser.Lease) int { return cmp.Compare(a.ID, b.ID) })
	return out, nil
}

func (m *memory) LiveTasks(context.Context) ([]purser.Task, error) {
	m.cut("LiveTasks", false)
	return m.live(), nil
}

func (m *memory) OpenMoves(context.Context) ([]purser.Move, error) {
	m.cut("OpenMoves", false)
	return slices.DeleteFunc(slices.Clone(m.moves), func(x purser.Move) bool {
		return x.State == purser.MoveDone || x.State == purser.MoveUndone
	}), nil
}

func (m *memory) ProgressMoves(context.Context, time.Time) (int, error) {
	m.cut("ProgressMoves", false)
	return 0, nil
}

func (m *memory) NudgeLeases(_ context.Context, now time.Time) (int, error) {
	m.cut("NudgeLeases", false)
	n := 0
	for _, id := range slices.Sorted(maps.Keys(m.leases)) {
		l := m.leases[id]
		if l.State != purser.LeasePlanned && l.State != purser.LeaseLaunching && l.State != purser.LeaseDraining {
			continue
		}
		if !slices.ContainsFunc(m.steps, func(s step) bool { return s.lease == id && s.fence == l.Fence }) {
			m.steps = append(m.steps, step{lease: id, fence: l.Fence, due: now})
			n++
		}
	}
	return n, nil
}

// admit applies an admission as the real store does: what is no longer true is left
// out.
func (m *memory) admit(a purser.Admission) {
	for _, l := range a.Launch {
		m.leases[l.ID] = l
		m.steps = append(m.steps, step{lease: l.ID, fence: l.Fence, due: a.At})
	}
	for _, p := range a.Place {
		t, l := m.tasks[p.Task], m.leases[p.Lease]
		if t.State == purser.TaskQueued && !l.State.Ended() && l.State != purser.LeaseDraining {
			t.State, t.Lease, t.PlacedAt = purser.TaskPlaced, p.Lease, a.At
			t.Devices, t.MilliCPU, t.MemoryMiB, t.Variant = p.Placement.Devices, p.Placement.MilliCPU, p.Placement.MemoryMiB, p.Placement.Variant
			m.tasks[t.ID] = t
		}
	}
	for _, id := range append(slices.Clone(a.Withdraw), a.Drain...) {
		_, _ = m.Advance(context.Background(), id, "plan", func(l purser.Lease) (purser.Transition, error) {
			switch l.State {
			case purser.LeasePlanned:
				return purser.Transition{To: purser.LeaseWithdrawn, Reason: a.Reasons[id], At: a.At, Next: -1}, nil
			case purser.LeaseLaunching, purser.LeaseRunning:
				return purser.Transition{To: purser.LeaseDraining, Reason: a.Reasons[id], At: a.At}, nil
			default:
				return purser.Transition{}, nil
			}
		})
	}
}
