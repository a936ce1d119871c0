package fleet_test

import (
	"maps"
	"slices"
	"time"

	"purser"
	"purser/providers"
)

// agentsAct lets every machine's agent do one second of its work: start, join,
// report, run and stop tasks, and end itself. The end of an agent ends its machine,
// as agents on rented machines do.
func (w *world) agentsAct() {
	server := w.up(nil) != nil && !w.maybe(30) // some reports get lost
	for _, m := range w.cloud.Machines() {
		if m.Installation != "ours" {
			continue
		}
		a := w.agents[m.ID]
		if m.State == providers.Gone {
			delete(w.agents, m.ID)
			continue
		}
		if m.State != providers.Running && a == nil {
			continue
		}
		if a == nil {
			a = &agentProcess{
				machine: m.ID, lease: m.Lease, mute: w.maybe(4), begun: w.at, heard: w.at, running: map[purser.TaskID]time.Duration{},
				replicas: map[purser.TaskID]int{}, stopping: map[purser.TaskID]time.Duration{}, reportEnd: map[purser.TaskID]purser.TaskState{},
			}
			w.agents[m.ID] = a
		}
		if a.mute {
			continue
		}
		if m.State == providers.Stopping {
			a.drain(w) // the machine was told to end, or its notice came
		}
		a.work(w)
		if w.maybe(50) {
			a.cutOff = w.at.Add(time.Duration(w.rand.IntN(200)) * time.Second)
		}
		if server && !a.cutOff.After(w.at) && !a.report(w) {
			w.exit(a)
			continue
		}
		if w.at.Sub(a.heard) >= 120*time.Second {
			a.drain(w)
		}
		if a.draining && len(a.running) == 0 && (len(a.reportEnd) == 0 || w.at.Sub(a.heard) >= 125*time.Second) {
			w.exit(a)
		}
	}
}

func (w *world) exit(a *agentProcess) {
	delete(w.agents, a.machine)
	for _, m := range w.cloud.Live(a.lease) {
		if m.ID == a.machine {
			w.cloud.Kill(a.lease)
		}
	}
}

func (a *agentProcess) drain(w *world) {
	if !a.draining {
		a.draining = true
		for _, id := range slices.Sorted(maps.Keys(a.running)) {
			a.stop(w, id)
		}
	}
}

func (a *agentProcess) stop(w *world, id purser.TaskID) {
	if _, ok := a.stopping[id]; !ok {
		a.stopping[id] = time.Duration(w.rand.IntN(20)) * time.Second
	}
}

// work runs the tasks for a second.
func (a *agentProcess) work(w *world) {
	for _, id := range slices.Sorted(maps.Keys(a.running)) {
		if left, ok := a.stopping[id]; ok {
			if a.stopping[id] = left - time.Second; left <= 0 {
				delete(a.running, id)
				a.reportEnd[id] = purser.TaskLost
			}
			continue
		}
		if a.running[id] -= time.Second; a.running[id] <= 0 {
			delete(a.running, id)
			a.reportEnd[id] = purser.TaskSucceeded
		}
	}
}

// report joins or reports; false: the server refuses the agent.
func (a *agentProcess) report(w *world) bool {
	l, ok := w.store.leases[a.lease]
	if !a.joined {
		if !ok || l.State != purser.LeaseLaunching {
			return false
		}
		next, err := l.Apply(purser.Transition{To: purser.LeaseRunning, At: w.at, Next: -1})
		if err != nil {
			return false
		}
		w.store.leases[a.lease], l, a.joined = next, next, true
	}
	if l.State != purser.LeaseRunning && l.State != purser.LeaseDraining {
		return false
	}
	a.heard, l.HeartbeatAt = w.at, w.at
	w.store.leases[a.lease] = l
	for _, id := range slices.Sorted(maps.Keys(a.reportEnd)) {
		if t := w.store.tasks[id]; !t.State.Ended() && t.Lease == a.lease {
			if w.store.end(t, a.reportEnd[id]); a.reportEnd[id] == purser.TaskSucceeded {
				w.finished[t.Replica]++
			}
		}
		delete(a.reportEnd, id)
	}
	if l.State == purser.LeaseDraining {
		a.drain(w)
	}
	for _, t := range w.store.onLease(a.lease) {
		_, runs := a.running[t.ID]
		switch {
		case runs && t.Stop:
			a.stop(w, t.ID)
		case t.State == purser.TaskPlaced && !runs && (t.Stop || a.draining):
			t.State, t.Lease, t.Stop = purser.TaskQueued, "", false
			w.store.tasks[t.ID] = t
		case t.State == purser.TaskPlaced && !runs:
			t.State, t.StartedAt = purser.TaskRunning, w.at
			w.store.tasks[t.ID] = t
			a.running[t.ID], a.replicas[t.ID] = w.need[t.Replica], t.Replica
		}
	}
	return true
}
