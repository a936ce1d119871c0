package app

import (
	"slices"
	"testing"
	"time"

	"purser"
)

// moved brings one replica to run on a1, makes b1 far cheaper, and rebalances.
func moved(t *testing.T) (w *world, from purser.LeaseID, task purser.TaskID) {
	t.Helper()
	w = newWorld(t)
	w.price(map[string]float64{"a1": 2, "b1": 2.5})
	w.submitSteady(1)
	for id, tasks := range w.running() {
		from, task = id, tasks[0]
	}
	for range 2 { // on unchanged prices nothing moves
		out, err := w.rebalance(t.Context(), "tester", false, 20*time.Second)
		w.must(err)
		if out.Pays || len(out.Moves) != 0 || out.Reason == "" || out.Now != out.After {
			t.Fatalf("on unchanged prices: %+v", out)
		}
	}
	w.clock.pass(time.Hour)
	w.report(from, purser.TaskRunning, task)
	w.price(map[string]float64{"a1": 2, "b1": 0.9})
	dry, err := w.rebalance(t.Context(), "tester", true, 20*time.Second)
	w.must(err)
	if !dry.Pays || !dry.DryRun || len(dry.Moves) != 1 || dry.Moves[0].Job != "steady" || dry.Saving <= 0 || dry.After != purser.USDPerHourOf(0.9) {
		t.Fatalf("dry run: %+v", dry)
	}
	if n := len(w.leases()); n != 1 {
		t.Fatalf("a dry run left %d leases", n)
	}
	out, err := w.rebalance(t.Context(), "tester", false, 20*time.Second)
	w.must(err)
	if !out.Pays || len(out.Moves) != 1 || out.Moves[0].From != dry.Moves[0].From || out.Moves[0].To != dry.Moves[0].To {
		t.Fatalf("rebalanced: %+v", out)
	}
	return w, from, task
}

// target is the lease that a move goes to.
func (w *world) target(from purser.LeaseID) purser.Lease {
	w.t.Helper()
	leases := w.leases()
	i := slices.IndexFunc(leases, func(l purser.Lease) bool { return l.ID != from })
	if i < 0 {
		w.t.Fatal("there is no lease to move to")
	}
	return leases[i]
}

// The work goes on where it is until the new machine stands, then moves; the old
// machine is let go.
func TestRebalanceMoves(t *testing.T) {
	w, from, task := moved(t)
	to := w.target(from)
	if to.Offer.InstanceType != "b1" {
		t.Fatalf("it moves to %s", to.Offer.InstanceType)
	}
	if o := w.report(from, purser.TaskRunning, task); len(o.Stop) != 0 || len(o.Run) != 1 {
		t.Errorf("it is stopped before the new machine stands: %+v", o)
	}
	w.must(w.plan(t.Context()))
	if again, err := w.rebalance(t.Context(), "tester", false, 20*time.Second); err != nil || again.Pays {
		t.Errorf("while moves are under way: %+v, %v", again, err)
	}
	w.steps()
	w.join(to.ID)
	w.report(to.ID, purser.TaskRunning)
	w.must(w.reconcile(t.Context()))
	if o := w.report(from, purser.TaskRunning, task); len(o.Stop) != 1 || o.Stop[0] != task {
		t.Fatalf("it is not stopped: %+v", o)
	}
	w.report(from, purser.TaskLost, task)
	next := tasksIn(w.report(to.ID, purser.TaskRunning))
	if len(next) != 1 || next[0] == task {
		t.Fatalf("on the new machine: %v", next)
	}
	w.report(to.ID, purser.TaskRunning, next...)
	if j := w.job(); j.State != purser.JobRunning || j.Tasks.Running != 1 {
		t.Errorf("after the move: %+v", j)
	}
	for range 10 {
		if w.lease(from).State.Ended() {
			break
		}
		w.clock.pass(20 * time.Second)
		w.report(to.ID, purser.TaskRunning, next...)
		w.must(w.reconcile(t.Context()))
		w.steps()
	}
	if l := w.lease(from); l.State != purser.LeaseReleased {
		t.Errorf("the old machine: %s %s", l.State, l.Reason)
	}
	if out, err := w.rebalance(t.Context(), "tester", false, 20*time.Second); err != nil || out.Pays {
		t.Errorf("it moves again: %+v, %v", out, err)
	}
}

// A machine that never comes undoes the move; the work has not been touched.
func TestRebalanceIsUndoneWhenTheMachineNeverComes(t *testing.T) {
	w, from, task := moved(t)
	to := w.target(from)
	w.cloud.FailNext("launch", purser.Errorf(purser.KindNoCapacity, "cloud", "none left"))
	w.steps()
	if l := w.lease(to.ID); l.State != purser.LeaseFailed {
		t.Fatalf("the new machine: %s %s", l.State, l.Reason)
	}
	w.must(w.reconcile(t.Context()))
	if o := w.report(from, purser.TaskRunning, task); len(o.Stop) != 0 || len(o.Run) != 1 || o.Drain {
		t.Errorf("the work is disturbed: %+v", o)
	}
	moves, err := w.db.OpenMoves(t.Context())
	w.must(err)
	if len(moves) != 0 {
		t.Errorf("moves are open: %+v", moves)
	}
	if j := w.job(); j.Tasks.Running != 1 || j.Tasks.Lost != 0 {
		t.Errorf("after it: %+v", j.Tasks)
	}
	if out, err := w.rebalance(t.Context(), "tester", false, 20*time.Second); err != nil || out.Pays {
		t.Errorf("it tries an offer that was just refused: %+v, %v", out, err)
	}
	w.clock.pass(11 * time.Minute)
	w.report(from, purser.TaskRunning, task)
	if out, err := w.rebalance(t.Context(), "tester", true, 20*time.Second); err != nil || !out.Pays {
		t.Errorf("it does not try again: %+v, %v", out, err)
	}
}
