package postgres

import (
	"context"
	"fmt"

	"purser"
)

// apply decides what still holds, and then changes the world.
func (m *admitting) apply(context.Context) error {
	unsized, err := m.resize()
	if err != nil {
		return err
	}
	places := m.checkPlaces(unsized)
	starts := m.checkStarts()
	moves := m.checkMoves()
	m.makeLeases()
	for _, p := range places {
		if err := m.place(m.tasks[p.Task], m.leases[p.Lease], p.Placement, "plan "+string(m.plan.ID)); err != nil {
			return err
		}
		m.report.Placed++
	}
	for _, p := range starts {
		if err := m.start(p); err != nil {
			return err
		}
		m.report.Started++
	}
	for _, v := range moves {
		v.Plan, v.State, v.At = m.plan.ID, purser.MoveWaiting, m.at
		m.moves[v.Task] = &moveRow{Move: v, fresh: true}
		m.say(purser.Event{At: m.at, Actor: m.actor, Subject: "move", Name: string(v.Task), To: string(v.State), Reason: v.Reason})
		m.report.Moved++
	}
	if err := m.end(m.Withdraw, purser.LeaseWithdrawn, &m.report.Withdrawn); err != nil {
		return err
	}
	if err := m.end(m.Drain, purser.LeaseDraining, &m.report.Drained); err != nil {
		return err
	}
	return m.stopUnneeded()
}

type groupKey struct {
	job   purser.JobID
	group string
}

type replicaKey struct {
	groupKey
	replica int
}

func (t *taskRow) key() replicaKey { return replicaKey{groupKey{t.Job, t.Group}, t.Replica} }

// checkPlaces keeps the placements of tasks that still wait, on leases that can
// still take them; of a gang all or none.
// broken are gangs that cannot be placed already.
func (m *admitting) checkPlaces(broken map[groupKey]bool) []purser.TaskPlacement {
	seen := map[purser.TaskID]bool{}
	var kept []purser.TaskPlacement
	for _, p := range m.Place {
		reason := m.waits(p)
		if seen[p.Task] {
			reason = "it is placed twice"
		}
		seen[p.Task] = true
		if reason == "" {
			_, reason = m.target(p.Lease, p.Placement)
		}
		if reason == "" {
			kept = append(kept, p)
			continue
		}
		m.skip("task", p.Task, reason)
		if t := m.tasks[p.Task]; t != nil && m.jobs[t.Job].groups[t.Group].gang {
			broken[groupKey{t.Job, t.Group}] = true
		}
	}
	var whole []purser.TaskPlacement
	for _, p := range kept {
		t := m.tasks[p.Task]
		if broken[groupKey{t.Job, t.Group}] {
			m.giveBack(p.Lease, p.Placement)
			m.skip("task", p.Task, "another replica of its gang cannot be placed")
			continue
		}
		whole = append(whole, p)
	}
	return whole
}

// waits says why a task cannot be placed any more, or "".
func (m *admitting) waits(p purser.TaskPlacement) string {
	t := m.tasks[p.Task]
	switch {
	case t == nil:
		return "there is no such task"
	case t.State != purser.TaskQueued:
		return fmt.Sprintf("it is %s", t.State)
	case !m.jobs[t.Job].open():
		return "its job has ended or is about to"
	}
	return ""
}

// checkStarts keeps the new replicas of services that have no live task.
func (m *admitting) checkStarts() []purser.TaskPlacement {
	live := map[replicaKey]bool{}
	for _, t := range m.tasks {
		if !t.State.Ended() {
			live[t.key()] = true
		}
		if t.newest {
			m.latest[t.key()] = t
		}
	}
	var kept []purser.TaskPlacement
	for _, p := range m.Start {
		key := replicaKey{groupKey{p.Placement.Job, p.Placement.Group}, p.Placement.Replica}
		var reason string
		j := m.jobs[key.job]
		switch {
		case j == nil:
			reason = "there is no such job"
		case !j.open():
			reason = "its job has ended or is about to"
		case j.groups[key.group].kind != purser.Inference:
			reason = "it is not a replica of a service"
		case live[key]:
			reason = "the replica has a task already"
		default:
			_, reason = m.target(p.Lease, p.Placement)
		}
		if reason != "" {
			m.skip("task", fmt.Sprintf("%s/%s/%d", key.job, key.group, key.replica), reason)
			continue
		}
		live[key] = true
		kept = append(kept, p)
	}
	return kept
}

// start makes the task of a service's replica and places it.
func (m *admitting) start(p purser.TaskPlacement) error {
	t := &taskRow{fresh: true, newest: true, Task: purser.Task{
		ID: purser.TaskID(NewID("task", m.at)), Job: p.Placement.Job, Group: p.Placement.Group, Replica: p.Placement.Replica, Attempt: 1,
		State: purser.TaskQueued, QueuedAt: m.at,
	}}
	if before := m.latest[t.key()]; before != nil {
		before.newest, before.dirty = false, true
		t.Attempt = before.Attempt + 1
	}
	m.tasks[t.ID] = t
	m.say(purser.Event{At: m.at, Actor: m.actor, Subject: "task", Name: string(t.ID), To: string(t.State), Reason: "plan " + string(m.plan.ID)})
	return m.place(t, m.leases[p.Lease], p.Placement, "plan "+string(m.plan.ID))
}

// checkMoves keeps the moves of tasks that are where the plan saw them and are not
// on their way already.
func (m *admitting) checkMoves() []purser.Move {
	seen := map[purser.TaskID]bool{}
	var kept []purser.Move
	for _, v := range m.Moves {
		t := m.tasks[v.Task]
		var reason string
		twice := seen[v.Task]
		seen[v.Task] = true
		switch {
		case t == nil:
			reason = "there is no such task"
		case t.State != purser.TaskPlaced && t.State != purser.TaskRunning:
			reason = fmt.Sprintf("it is %s", t.State)
		case t.Lease != v.From:
			reason = fmt.Sprintf("it is not on lease %s", v.From)
		case t.stopFor != stopNot || !m.jobs[t.Job].open():
			reason = "it is being stopped"
		case m.moves[v.Task] != nil || twice:
			reason = "it is moving already"
		case v.From == v.To:
			reason = "it is there already"
		default:
			_, reason = m.target(v.To, v.Placement)
		}
		if reason != "" {
			m.skip("move", v.Task, reason)
			continue
		}
		kept = append(kept, v)
	}
	return kept
}

// end withdraws or drains the leases that the plan has no use for.
func (m *admitting) end(ids []purser.LeaseID, to purser.LeaseState, count *int) error {
	for _, id := range ids {
		l := m.leases[id]
		if l == nil {
			m.skip("lease", id, "there is no such lease")
			continue
		}
		if !l.State.Can(to) {
			m.skip("lease", id, fmt.Sprintf("it is %s", l.State))
			continue
		}
		reason := m.Reasons[id]
		if reason == "" {
			reason = "plan " + string(m.plan.ID) + " has no use for it"
		}
		if err := m.transition(l, purser.Transition{To: to, Reason: reason}); err != nil {
			return err
		}
		*count++
	}
	return nil
}

// stopUnneeded stops the replicas that services no longer need.
func (m *admitting) stopUnneeded() error {
	for _, id := range m.Stop {
		t := m.tasks[id]
		switch {
		case t == nil:
			m.skip("task", id, "there is no such task")
		case t.State.Ended():
			m.skip("task", id, fmt.Sprintf("it is %s", t.State))
		case m.jobs[t.Job].groups[t.Group].kind != purser.Inference:
			m.skip("task", id, "it is not a replica of a service")
		default:
			if err := m.stop(t, stopUnneeded, "the service no longer needs it"); err != nil {
				return err
			}
			m.report.Stopped++
		}
	}
	return nil
}
