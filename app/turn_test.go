package app

import (
	"strings"
	"sync"
	"testing"
	"time"

	"purser"
	"purser/api"
	"purser/fleet"
	"purser/server"
)

func joinTokenOf(w *world, id purser.LeaseID, attempt int) string {
	return fleet.JoinToken(w.secret, id, attempt)
}

func jobRef(name string) server.JobRef { return server.JobRef{Ref: name, Project: "default"} }

// One turn of everything: prices, a submission, the plan, machines, agents, logs,
// success, release and charges, with the figures that follow from them.
func TestOneTurn(t *testing.T) {
	w := newWorld(t)
	w.price(map[string]float64{"a1": 1, "a4": 3, "b1": 2})
	w.submitSteady(4)
	if j := w.job(); j.State != purser.JobQueued || j.Tasks.Queued != 4 || !j.Rehearsal {
		t.Fatalf("after the submission: %+v", j)
	}
	at := w.running()
	if len(at) != 1 {
		t.Fatalf("four replicas are on %d machines: the one of four devices is cheapest", len(at))
	}
	var id purser.LeaseID
	var tasks []purser.TaskID
	for id, tasks = range at {
		break // there is one
	}
	if l := w.lease(id); l.Offer.InstanceType != "a4" || l.State != purser.LeaseRunning || !l.Rehearsal || l.Host != "here" || len(tasks) != 4 {
		t.Fatalf("%+v with %v", l, tasks)
	}
	w.must(w.plan(t.Context())) // sees what it has admitted
	before := w.last
	w.must(w.plan(t.Context()))
	if w.last != before {
		t.Error("a plan was made though nothing is new")
	}
	began := w.lease(id).RunningAt
	w.clock.pass(2 * time.Hour)
	w.report(id, purser.TaskRunning, tasks...)
	_, err := w.charge(t.Context())
	w.must(err)
	w.spends(purser.USDPerHourOf(3), purser.MoneyOf(6), 0.01)
	w.report(id, purser.TaskSucceeded, tasks...)
	if again := w.report(id, purser.TaskSucceeded, tasks...); len(again.Run)+len(again.Stop) != 0 {
		t.Errorf("orders after the end: %+v", again)
	}
	j := w.job()
	if j.State != purser.JobSucceeded || j.Progress != 1 || j.Tasks.Succeeded != 4 {
		t.Errorf("after the end: %+v", j)
	}
	w.released(id)
	lines, err := w.charge(t.Context())
	w.must(err)
	if more, err := w.charge(t.Context()); err != nil || more != 0 || lines == 0 {
		t.Errorf("%d lines, then %d more, %v", lines, more, err)
	}
	l := w.lease(id)
	want := purser.USDPerHourOf(3).For(l.EndedAt.Truncate(time.Second).Sub(began.Truncate(time.Second)))
	charges, err := moneyPart{w.App}.Charges(t.Context(), server.ChargeQuery{Lease: id, Limit: 1000})
	w.must(err)
	if diff := (charges.Total - want).USD(); diff > 0.001 || diff < -0.001 {
		t.Errorf("charged %s, want %s", charges.Total.Decimal(), want.Decimal())
	}
	w.spends(0, charges.Total, 0)
	logs, err := logsPart{w.App}.Logs(t.Context(), server.LogQuery{Job: jobRef("steady"), Limit: 1000})
	w.must(err)
	if !logs.Ended || len(logs.Lines) < 12 || !strings.Contains(logs.Lines[len(logs.Lines)-1].Text, "succeeded") {
		t.Errorf("logs: %+v", logs)
	}
}

// released lets an idle lease go, as the reconcile sweep and the steps do.
func (w *world) released(id purser.LeaseID) {
	w.t.Helper()
	for range 10 {
		if w.lease(id).State.Ended() {
			return
		}
		w.clock.pass(20 * time.Second)
		w.must(w.reconcile(w.t.Context()))
		w.steps()
	}
	w.t.Fatalf("the lease is not let go: %+v", w.lease(id))
}

// spends checks the month's figures, and that the projection is what its assumption
// says.
func (w *world) spends(rate purser.USDPerHour, sum purser.Money, slack float64) {
	w.t.Helper()
	s, err := moneyPart{w.App}.Spend(w.t.Context())
	w.must(err)
	if d := (s.MonthToDate - sum).USD(); s.RatePerHour != rate || d > slack || d < -slack {
		w.t.Errorf("spent %s at %s, want %s at %s", s.MonthToDate, s.RatePerHour, sum, rate)
	}
	left := time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC).Sub(s.At)
	if d := (s.MonthEnd - s.MonthToDate - rate.For(left)).USD(); d > 0.01 || d < -0.01 || s.Assumption == "" || !s.Rehearsal {
		w.t.Errorf("month end %s of %s and %s for %s: %+v", s.MonthEnd, s.MonthToDate, rate, left, s)
	}
	var byJob purser.Money
	for _, r := range s.ByJob {
		byJob += r.Billed
	}
	if byJob != s.MonthToDate {
		w.t.Errorf("jobs add up to %s, the month to %s", byJob, s.MonthToDate)
	}
}

// What cannot be placed says why, is tried again when prices change or time passes,
// and is not planned over and over meanwhile.
func TestWaitingSaysWhy(t *testing.T) {
	w := newWorld(t)
	w.price(map[string]float64{"a1": 1})
	w.submit("jobs: [{name: steady, train: {accelerators: 'H100:8', run_time: 1h, command: 'true'}}]")
	w.must(w.plan(t.Context()))
	if j := w.job(); j.State != purser.JobQueued || j.Reason == "" {
		t.Errorf("it does not say why it waits: %+v", j)
	}
	before := w.last
	w.must(w.plan(t.Context()))
	if w.last != before {
		t.Error("planned again at once")
	}
	plans, err := plansPart{w.App}.List(t.Context(), 10)
	w.must(err)
	w.clock.pass(2 * resolveEvery)
	w.must(w.plan(t.Context()))
	if w.last == before {
		t.Error("not planned again after a while")
	}
	again, err := plansPart{w.App}.List(t.Context(), 10)
	w.must(err)
	if len(plans) != 1 || len(again) != 1 {
		t.Errorf("%d plans, then %d: a plan that says the same is not kept", len(plans), len(again))
	}
}

func TestCancelStopsWhatRuns(t *testing.T) {
	w := newWorld(t)
	w.price(map[string]float64{"a1": 1})
	w.submitSteady(1)
	for id, tasks := range w.running() {
		j, err := jobsPart{w.App}.Cancel(t.Context(), "tester", jobRef("steady"))
		w.must(err)
		if j.State.Ended() {
			t.Errorf("it has ended while a task runs: %+v", j)
		}
		orders := w.report(id, purser.TaskRunning, tasks...)
		if len(orders.Stop) != 1 || orders.Stop[0] != tasks[0] {
			t.Fatalf("orders after the cancellation: %+v", orders)
		}
		w.must(w.plan(t.Context()))
		w.report(id, purser.TaskLost, tasks...)
		if j := w.job(); j.State != purser.JobCancelled {
			t.Errorf("after the end of its task: %+v", j)
		}
		w.released(id)
	}
	w.must(w.plan(t.Context()))
	if n := len(w.leases()); n != 0 {
		t.Errorf("%d leases stand for nothing", n)
	}
}

// An offer whose launch is refused is left alone; the work goes elsewhere.
func TestRefusedLaunchGoesElsewhere(t *testing.T) {
	w := newWorld(t)
	w.price(map[string]float64{"a1": 1, "b1": 2})
	w.submitSteady(1)
	w.cloud.FailNext("launch", purser.Errorf(purser.KindNoCapacity, "cloud", "none left"))
	w.must(w.plan(t.Context()))
	w.steps()
	at := w.running()
	if len(at) != 1 {
		t.Fatalf("%d machines", len(at))
	}
	for id := range at {
		if l := w.lease(id); l.Offer.InstanceType != "b1" {
			t.Errorf("it went to %s", l.Offer.InstanceType)
		}
	}
}

// Agents say who they are: a wrong join token, another agent's secret and unknown
// secrets are refused.
func TestAgentsThatAreNotWhoTheySay(t *testing.T) {
	w := newWorld(t)
	w.price(map[string]float64{"a1": 1})
	w.submitSteady(2)
	w.must(w.plan(t.Context()))
	w.steps()
	leases := w.leases()
	if len(leases) != 2 {
		t.Fatalf("%d leases", len(leases))
	}
	agents := agentsPart{w.App}
	first, second := leases[0].ID, leases[1].ID
	for name, token := range map[string]string{"none": "", "a guess": "guess", "another lease's": joinTokenOf(w, second, 1), "another attempt's": joinTokenOf(w, first, 2)} {
		if _, err := agents.Join(t.Context(), token, api.AgentJoin{Lease: first, Secret: secretOf(first)}); purser.KindOf(err) != purser.KindForbidden {
			t.Errorf("%s token: %v", name, err)
		}
	}
	w.join(first)
	w.join(first) // a lost answer costs nothing
	if _, err := agents.Join(t.Context(), joinTokenOf(w, first, 1), api.AgentJoin{Lease: first, Secret: secretOf(second)}); purser.KindOf(err) != purser.KindForbidden {
		t.Errorf("a second agent: %v", err)
	}
	w.join(second)
	if _, err := agents.Report(t.Context(), "nobody", api.AgentReport{Lease: first}); purser.KindOf(err) != purser.KindUnauthorized {
		t.Errorf("an unknown secret: %v", err)
	}
	if _, err := agents.Report(t.Context(), secretOf(second), api.AgentReport{Lease: first}); purser.KindOf(err) != purser.KindForbidden {
		t.Errorf("another's report: %v", err)
	}
	mine := tasksIn(w.report(first, purser.TaskRunning))
	theirs := tasksIn(w.report(second, purser.TaskRunning))
	w.report(first, purser.TaskRunning, mine...)
	r := api.AgentReport{Lease: first, Tasks: []api.TaskReport{{Task: theirs[0], State: purser.TaskFailed}}}
	_, _ = agents.Report(t.Context(), secretOf(first), r)
	if j := w.job(); j.Tasks.Failed != 0 {
		t.Errorf("an agent failed a task of another machine: %+v", j.Tasks)
	}
}

// The sweep and a stop charge at the same time, and so may other servers: nobody
// fails, and no second is charged twice.
func TestChargesAtTheSameTime(t *testing.T) {
	dsn, clock := database1(t), &hand{}
	w, other := newWorldOn(t, dsn, clock, "here"), newWorldOn(t, dsn, clock, "there")
	w.price(map[string]float64{"a1": 1})
	w.submitSteady(3)
	w.running()
	for range 5 {
		clock.pass(time.Minute)
		var all sync.WaitGroup
		for _, a := range []*App{w.App, w.App, other.App, other.App} {
			all.Go(func() {
				if _, err := a.charge(t.Context()); err != nil {
					t.Errorf("charge: %v", err)
				}
			})
		}
		all.Wait()
	}
	charges, err := moneyPart{w.App}.Charges(t.Context(), server.ChargeQuery{Limit: 10_000})
	w.must(err)
	// Each line is a job's share or idle room: together they are what the machines cost.
	var want purser.Money
	for _, l := range w.leases() {
		if l.ChargedThrough.Sub(l.RunningAt) < 4*time.Minute {
			t.Errorf("%s is charged through %s", l.ID, l.ChargedThrough)
		}
		want += l.Offer.UnitPrice.For(l.ChargedThrough.Sub(l.RunningAt.Truncate(time.Second)))
	}
	if diff := (charges.Total - want).USD(); len(charges.Charges) == 0 || diff > 0.001 || diff < -0.001 {
		t.Errorf("charged %s, want %s", charges.Total.Decimal(), want.Decimal())
	}
}
