package app

import (
	"strings"
	"testing"
	"time"

	"purser"
)

// What can wait is not launched while there is no room for it, says so, and begins once there is.
func TestWorkWaitsForRoom(t *testing.T) {
	w := newWorld(t)
	w.config.MaxMachines = 1
	w.price(map[string]float64{"a1": 1})
	w.submit(`
jobs:
  - {name: first, train: {accelerators: T4:1, cpus: 1, memory: 1GiB, run_time: 1h, command: "true"}}
  - {name: steady, train: {accelerators: T4:1, cpus: 1, memory: 1GiB, run_time: 1h, can_wait: 8h, command: "true"}}
`)
	at := w.running()
	if len(at) != 1 {
		t.Fatalf("%d machines are launched", len(at))
	}
	j := w.job()
	if j.State != purser.JobQueued || !strings.HasPrefix(j.Reason, "waits for room in a quota of aws/") {
		t.Fatalf("it does not say that it waits: %+v", j)
	}
	plan, err := plansPart{w.App}.Get(t.Context(), "latest")
	w.must(err)
	if len(plan.Waiting) != 1 || len(plan.Unplaced) != 0 || plan.Status == purser.PlanLimit || !strings.Contains(plan.Summary, "1 replica waits") {
		t.Fatalf("%+v", plan)
	}
	if d := plan.Waiting[0].Latest.Sub(w.now()); d > 8*time.Hour || d < 8*time.Hour-time.Minute {
		t.Errorf("it may wait until %s", plan.Waiting[0].Latest)
	}
	kept, err := w.db.Plan(t.Context(), "latest")
	w.must(err)
	if len(kept.Later) != 1 {
		t.Errorf("the plan that is kept says nothing of the machine that it waits for: %+v", kept)
	}
	w.clock.pass(2 * resolveEvery)
	w.must(w.plan(t.Context()))
	w.must(w.plan(t.Context()))
	plans, err := plansPart{w.App}.List(t.Context(), 10)
	w.must(err)
	if len(plans) != 1 || len(plans[0].Waiting) != 1 {
		t.Errorf("%d plans: one that says the same is not kept", len(plans))
	}
	for id, tasks := range at {
		w.report(id, purser.TaskSucceeded, tasks...)
	}
	w.running()
	if j := w.job(); j.State != purser.JobRunning || j.Reason != "" {
		t.Errorf("it does not begin once there is room: %+v", j)
	}
}
