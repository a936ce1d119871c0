package app

import (
	"strings"
	"testing"
	"time"

	"purser"
	"purser/api"
)

func (w *world) notice(id purser.LeaseID, n api.AgentNotice, tasks ...api.TaskReport) api.AgentOrders {
	w.t.Helper()
	orders, err := agentsPart{w.App}.Report(w.t.Context(), secretOf(id), api.AgentReport{Lease: id, Tasks: tasks, Notice: &n})
	w.must(err)
	return orders
}

// count says how often a lease's audit has a reason.
func (w *world) count(id purser.LeaseID, reason string) (n int) {
	w.t.Helper()
	events, err := w.db.Events(w.t.Context(), 0, 10_000)
	w.must(err)
	for _, e := range events {
		if e.Subject == "lease" && e.Name == string(id) && e.Reason == reason {
			n++
		}
	}
	return n
}

// A machine that says itself that it is taken back: its lease drains at once, its task
// goes on elsewhere from its checkpoint, the reason is in the audit and the plan, and
// the hazard counts one preemption, though the notice comes three times.
func TestMachineTellsThatItIsTakenBack(t *testing.T) {
	w := newWorld(t)
	w.price(map[string]float64{"a1": 1, "b1": 2})
	w.submitSteady(1)
	var id purser.LeaseID
	var task purser.TaskID
	for l, tasks := range w.running() {
		id, task = l, tasks[0]
	}
	soon := api.AgentNotice{Kind: "rebalance", Reason: "AWS expects to need the spot machine back"}
	for range 2 {
		if o := w.notice(id, soon, api.TaskReport{Task: task, State: purser.TaskRunning}); o.Drain || len(o.Run) != 1 {
			t.Fatalf("a rebalance alone: %+v", o)
		}
	}
	if l := w.lease(id); l.State != purser.LeaseRunning || l.Reason != soon.Reason || w.count(id, soon.Reason) != 1 {
		t.Fatalf("a rebalance is noted %d times on %+v", w.count(id, soon.Reason), l)
	}
	w.clock.pass(time.Minute)
	now := api.AgentNotice{Kind: "preempted", At: w.now().Add(2 * time.Minute), Reason: "AWS will terminate the spot machine", Leave: true}
	why := purser.TakenBack(now.Reason)
	for range 2 {
		if o := w.notice(id, now, api.TaskReport{Task: task, State: purser.TaskRunning, Checkpoint: "/ck/half", Progress: 0.5}); !o.Drain || len(o.Run) != 0 {
			t.Fatalf("orders: %+v", o)
		}
	}
	w.notice(id, now, api.TaskReport{Task: task, State: purser.TaskLost, Reason: why, Checkpoint: "/ck/half", Progress: 0.5, EndedAt: w.now()})
	if l := w.lease(id); l.State != purser.LeaseDraining || l.Reason != why || w.count(id, why) != 1 {
		t.Fatalf("told %d times on %+v", w.count(id, why), l)
	}
	tasks, err := jobsPart{w.App}.Tasks(t.Context(), jobRef("steady"))
	w.must(err)
	if len(tasks) != 2 || tasks[0].State != purser.TaskLost || tasks[0].Reason != why || tasks[1].State != purser.TaskQueued || tasks[1].Checkpoint != "/ck/half" || tasks[1].Failures != 0 {
		t.Fatalf("tasks: %+v", tasks)
	}
	w.must(w.plan(t.Context()))
	plan, err := plansPart{w.App}.Get(t.Context(), "latest")
	w.must(err)
	if len(plan.Setbacks) != 1 || plan.Setbacks[0].Lease != id || plan.Setbacks[0].Reason != why || !plan.Setbacks[0].Until.IsZero() {
		t.Errorf("the plan says %+v", plan.Setbacks)
	}
	w.cloud.Preempt(id, time.Second) // the provider tells of it, too
	w.must(w.reconcile(t.Context()))
	w.released(id)
	runs, err := w.db.SpotRuns(t.Context(), noon.Add(-time.Hour))
	w.must(err)
	if len(runs) != 0 {
		t.Fatalf("rehearsed machines count: %+v", runs)
	}
	_, err = w.db.Pool().Exec(t.Context(), "update leases set rehearsal = false")
	w.must(err)
	runs, err = w.db.SpotRuns(t.Context(), noon.Add(-time.Hour))
	w.must(err)
	preempted := 0
	for _, r := range runs {
		if r.Preempted {
			preempted++
		}
	}
	if preempted != 1 {
		t.Errorf("%d preemptions in %+v", preempted, runs)
	}
	if w.lease(id).State == purser.LeaseRunning || !strings.HasPrefix(w.lease(id).Reason, purser.ReasonTakenBack) {
		t.Errorf("%+v", w.lease(id))
	}
	at := w.running()
	if len(at) == 0 {
		t.Error("the work does not go on")
	}
}

// Maintenance that makes the agent leave drains the lease, whatever time it gives; such
// that does not is a note.
func TestMachineTellsOfMaintenance(t *testing.T) {
	w := newWorld(t)
	w.price(map[string]float64{"a1": 1})
	w.submitSteady(1)
	for id := range w.running() {
		n := api.AgentNotice{Kind: "maintenance", At: w.now().Add(24 * time.Hour), Reason: "AWS plans instance-retirement"}
		if o := w.notice(id, n); o.Drain || w.lease(id).Reason != n.Reason {
			t.Errorf("a day ahead: %+v, %+v", o, w.lease(id))
		}
		n.Leave = true
		if o := w.notice(id, n); !o.Drain || w.lease(id).Reason != purser.TakenBack(n.Reason) {
			t.Errorf("when the agent leaves: %+v, %+v", o, w.lease(id))
		}
	}
}
