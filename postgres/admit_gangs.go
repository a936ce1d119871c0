package postgres

import (
	"fmt"

	"purser"
)

// resize gives waiting gangs the size that the plan decides: what is missing is queued, what is too much ends, and
// each task learns how many they are. A gang of which something runs by now, or has ended, keeps its size; it is
// skipped, and nothing of it is placed.
func (m *admitting) resize() (skipped map[groupKey]bool, err error) {
	skipped = map[groupKey]bool{}
	for _, s := range m.Sizes {
		key := groupKey{s.Job, s.Group}
		live, newest := map[int]*taskRow{}, map[int]*taskRow{}
		var tasks []purser.Task
		for _, t := range m.tasks {
			if t.Job != s.Job || t.Group != s.Group {
				continue
			}
			if t.newest {
				newest[t.Replica] = t
			}
			if !t.State.Ended() {
				live[t.Replica] = t
				tasks = append(tasks, t.Task)
			}
		}
		if j := m.jobs[s.Job]; j == nil || !j.open() || len(tasks) == 0 || purser.WorldOf(tasks) != 0 {
			skipped[key] = true
			m.skip("task", fmt.Sprintf("%s/%s", s.Job, s.Group), "the gang does not wait as a whole any more")
			continue
		}
		if err := m.resizeOne(s, live, newest); err != nil {
			return nil, err
		}
	}
	return skipped, nil
}

func (m *admitting) resizeOne(s purser.GangSize, live, newest map[int]*taskRow) error {
	reason := "plan " + string(m.plan.ID)
	for r := range s.Replicas {
		t := live[r]
		if t == nil {
			t = &taskRow{fresh: true, newest: true, Task: purser.Task{
				ID: s.New[r], Job: s.Job, Group: s.Group, Replica: r, Attempt: 1, State: purser.TaskQueued, QueuedAt: m.at,
			}}
			if t.ID == "" {
				t.ID = purser.TaskID(NewID("task", m.at))
			}
			if before := newest[r]; before != nil {
				before.newest, before.dirty = false, true
				t.Attempt, t.Failures, t.Checkpoint = before.Attempt+1, before.Failures, before.Checkpoint
			}
			m.tasks[t.ID] = t
			m.say(purser.Event{At: m.at, Actor: m.actor, Subject: "task", Name: string(t.ID), To: string(t.State), Reason: reason})
		}
		t.World, t.dirty = s.Replicas, true
	}
	for _, t := range sortedByID(m.tasks, func(t *taskRow) bool { return live[t.Replica] == t && t.Replica >= s.Replicas }) {
		if err := m.stop(t, stopUnneeded, "the plan runs its gang with fewer replicas"); err != nil {
			return err
		}
	}
	return nil
}
