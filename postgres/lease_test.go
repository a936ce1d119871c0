package postgres

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"purser"
)

// running is a lease with a running and a placed task of one job.
func (s *scene) running() (lease purser.LeaseID, job purser.JobID, tasks []purser.Task) {
	s.Helper()
	job = s.submit(training(NewID("j", s.clock.now()), 2))
	tasks = s.tasks(job)
	lease = s.place(offer(purser.OnDemand), tasks...)
	s.run(lease)
	s.report(lease, TaskReport{Task: tasks[0].ID, State: purser.TaskRunning, Checkpoint: "/ck", Progress: 0.4})
	return lease, job, s.tasks(job)
}

func states(tasks []purser.Task) (out []purser.TaskState) {
	for _, t := range tasks {
		out = append(out, t.State)
	}
	return out
}

func TestAdvanceRefusesAndRollsBack(t *testing.T) {
	s := newScene(t)
	lease, job, tasks := s.running()
	before, events := s.lease(lease), must(s.LastEvent(t.Context()))(t)
	_, err := s.Advance(t.Context(), lease, "x", func(purser.Lease) (purser.Transition, error) {
		return purser.Transition{To: purser.LeaseWithdrawn}, nil
	})
	wantKind(t, err, purser.KindConflict)
	sentinel := errors.New("not now")
	_, err = s.Advance(t.Context(), lease, "x", func(purser.Lease) (purser.Transition, error) {
		return purser.Transition{To: purser.LeaseFailed}, sentinel
	})
	if err != sentinel { //nolint:errorlint // it is to come back as it is
		t.Errorf("decide's error came back as %v", err)
	}
	_, err = s.Advance(t.Context(), "lease-none", "x", nil)
	wantKind(t, err, purser.KindNotFound)
	if l := s.advance(lease, purser.Transition{}); l != before {
		t.Errorf("no transition changed %+v", l)
	}
	// Without its audit row a transition is not made, and neither without its next step.
	for _, broken := range []string{
		"alter table audit rename to audit_away; -- audit",
		"alter table river.river_job rename to river_job_away; -- river",
	} {
		must(s.Pool().Exec(t.Context(), broken))(t)
		_, err = s.Advance(t.Context(), lease, "x", func(purser.Lease) (purser.Transition, error) { return purser.Transition{To: purser.LeaseDraining}, nil })
		if err == nil {
			t.Errorf("a transition was made after %s", broken)
		}
		must(s.Pool().Exec(t.Context(), `do $$ begin
			if to_regclass('audit_away') is not null then alter table audit_away rename to audit; end if;
			if to_regclass('river.river_job_away') is not null then alter table river.river_job_away rename to river_job; end if; end $$`))(t)
	}
	// The server kills the connection in the middle.
	killed := 0
	_, err = s.Advance(t.Context(), lease, "x", func(purser.Lease) (purser.Transition, error) {
		killed++
		must(s.Pool().Exec(t.Context(), "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and state = 'idle in transaction'"))(t)
		return purser.Transition{To: purser.LeaseDraining}, nil
	})
	wantKind(t, err, purser.KindUnavailable)
	// How often it is tried anew depends on how the end of the connection is noticed.
	if l := s.lease(lease); l != before || killed == 0 {
		t.Errorf("%+v became %+v, %d tries", before, l, killed)
	}
	if n := must(s.LastEvent(t.Context()))(t); n != events || !slices.Equal(states(s.tasks(job)), states(tasks)) {
		t.Errorf("what was rolled back left %d events after %d, tasks %v", n, events, states(s.tasks(job)))
	}
	s.advance(lease, purser.Transition{To: purser.LeaseDraining, Next: -1})
}

func TestFailedLeaseGivesItsTasksBack(t *testing.T) {
	s := newScene(t)
	lease, job, tasks := s.running()
	s.advance(lease, purser.Transition{To: purser.LeaseFailed, Reason: "silent", Next: -1})
	got := s.tasks(job)
	if !slices.Equal(states(got), []purser.TaskState{"lost", "queued", "queued"}) {
		t.Fatalf("tasks are %v", states(got))
	}
	if next := got[1]; next.Attempt != 2 || next.Failures != 0 || next.Checkpoint != "/ck" || next.Progress != 0.4 || next.Lease != "" || next.Replica != 0 {
		t.Errorf("the successor is %+v", next)
	}
	if back := got[2]; back.ID != tasks[1].ID || back.Attempt != 1 || back.Lease != "" || back.Devices != 0 || !back.PlacedAt.IsZero() {
		t.Errorf("the task that had not begun is %+v", back)
	}
	if j := s.job(job); j.State != purser.JobRunning {
		t.Errorf("the job is %s", j.State)
	}
}

func TestDrainingLetsTasksStop(t *testing.T) {
	s := newScene(t)
	lease, job, tasks := s.running()
	s.advance(lease, purser.Transition{To: purser.LeaseDraining, Reason: "moving out"})
	if got := s.tasks(job); !slices.Equal(states(got), []purser.TaskState{"running", "placed"}) || !got[0].Stop || !got[1].Stop {
		t.Fatalf("%+v", got)
	}
	o := s.report(lease, is(tasks[0].ID, purser.TaskRunning))
	if !o.Drain || len(o.Run) != 0 || !slices.Equal(o.Stop, []purser.TaskID{tasks[0].ID}) {
		t.Errorf("orders %+v", o)
	}
	s.report(lease, TaskReport{Task: tasks[0].ID, State: purser.TaskLost, Checkpoint: "/ck2"})
	if got := s.tasks(job); !slices.Equal(states(got), []purser.TaskState{"lost", "queued", "queued"}) || got[1].Checkpoint != "/ck2" || got[1].Stop {
		t.Errorf("%+v", got)
	}
	s.advance(lease, purser.Transition{To: purser.LeaseReleased, Next: -1})
	// A lease that nobody joined gives back at once.
	other := s.place(offer(purser.Spot), s.tasks(job)[1])
	s.advance(other, purser.Transition{To: purser.LeaseLaunching, Attempt: 1})
	s.advance(other, purser.Transition{To: purser.LeaseDraining})
	if got := s.tasks(job)[1]; got.State != purser.TaskQueued {
		t.Errorf("%+v", got)
	}
}

func TestTasksThatTheAgentHasLost(t *testing.T) {
	s := newScene(t)
	lease, job, tasks := s.running()
	s.report(lease) // one report without it proves nothing
	if got := s.task(tasks[0].ID); got.State != purser.TaskRunning {
		t.Fatalf("%+v", got)
	}
	s.clock.pass(missingAfter / 2)
	s.report(lease, is(tasks[0].ID, purser.TaskRunning)) // there it is again
	s.clock.pass(missingAfter)
	s.report(lease)
	s.report(lease)
	if got := s.task(tasks[0].ID); got.State != purser.TaskRunning {
		t.Fatalf("%+v", got)
	}
	s.clock.pass(missingAfter)
	s.report(lease)
	if got := s.tasks(job); !slices.Equal(states(got), []purser.TaskState{"lost", "queued", "placed"}) {
		t.Errorf("%v", states(got))
	}
	// What is not on the lease is to stop.
	if o := s.report(lease, is(tasks[0].ID, purser.TaskRunning), is("task-none", purser.TaskRunning), is("task-ended", purser.TaskFailed)); !slices.Equal(o.Stop, []purser.TaskID{"task-none", tasks[0].ID}) && !slices.Equal(o.Stop, []purser.TaskID{tasks[0].ID, "task-none"}) {
		t.Errorf("orders %+v", o)
	}
}

func TestJoin(t *testing.T) {
	s := newScene(t)
	task := s.tasks(s.submit(training("a", 1)))[0]
	lease := s.place(offer(purser.OnDemand), task)
	secret, other := secretOf("one"), secretOf("two")
	_, err := s.JoinLease(t.Context(), lease, secret, s.clock.now())
	wantKind(t, err, purser.KindStale)
	s.advance(lease, purser.Transition{To: purser.LeaseLaunching, Attempt: 1})
	_, err = s.AgentLease(t.Context(), secret)
	wantKind(t, err, purser.KindUnauthorized)
	_, err = s.Report(t.Context(), lease, nil, s.clock.now())
	wantKind(t, err, purser.KindStale)
	_, err = s.JoinLease(t.Context(), lease, nil, s.clock.now())
	wantKind(t, err, purser.KindInvalid)
	first := must(s.JoinLease(t.Context(), lease, secret, s.clock.now()))(t)
	if first.State != purser.LeaseRunning || first.RunningAt.IsZero() || first.HeartbeatAt.IsZero() {
		t.Errorf("%+v", first)
	}
	again := must(s.JoinLease(t.Context(), lease, secret, s.clock.now()))(t)
	if again.Fence != first.Fence || again.RunningAt != first.RunningAt || !again.HeartbeatAt.After(first.HeartbeatAt) {
		t.Errorf("joining again: %+v after %+v", again, first)
	}
	_, err = s.JoinLease(t.Context(), lease, other, s.clock.now())
	wantKind(t, err, purser.KindForbidden)
	if l := must(s.AgentLease(t.Context(), secret))(t); l.ID != lease {
		t.Errorf("the agent's lease is %s", l.ID)
	}
	s.advance(lease, purser.Transition{To: purser.LeaseDraining})
	if l := must(s.JoinLease(t.Context(), lease, secret, s.clock.now()))(t); l.State != purser.LeaseDraining {
		t.Errorf("an agent that starts again while it drains finds %+v", l)
	}
	s.advance(lease, purser.Transition{To: purser.LeaseReleased})
	_, err = s.JoinLease(t.Context(), lease, secret, s.clock.now())
	wantKind(t, err, purser.KindStale)
	_, err = s.JoinLease(t.Context(), "lease-none", secret, s.clock.now())
	wantKind(t, err, purser.KindNotFound)
	late := s.place(offer(purser.Spot), s.tasks(task.Job)[0])
	s.advance(late, purser.Transition{To: purser.LeaseLaunching})
	s.advance(late, purser.Transition{To: purser.LeaseDraining})
	_, err = s.JoinLease(t.Context(), late, other, s.clock.now())
	wantKind(t, err, purser.KindStale)
}

func TestDrainAll(t *testing.T) {
	s := newScene(t)
	running, _, _ := s.running()
	job := s.submit(training("p", 1))
	planned := s.place(offer(purser.Spot), s.tasks(job)[0])
	here := s.newLease(offer(purser.OnDemand))
	here.Host = "here"
	s.admit(purser.Admission{Launch: []purser.Lease{here}})
	if n := must(s.DrainAll(t.Context(), "stop", "here", "the server stops"))(t); n != 1 || s.lease(here.ID).State != purser.LeaseWithdrawn || s.lease(planned).State != purser.LeasePlanned {
		t.Errorf("%d leases of one host were drained", n)
	}
	if n := must(s.DrainAll(t.Context(), "stop", "", "the server stops"))(t); n != 2 {
		t.Errorf("%d leases were drained", n)
	}
	if a, b := s.lease(running), s.lease(planned); a.State != purser.LeaseDraining || a.Reason != "the server stops" || b.State != purser.LeaseWithdrawn {
		t.Errorf("%+v %+v", a, b)
	}
	if got := s.tasks(job)[0]; got.State != purser.TaskQueued {
		t.Errorf("%+v", got)
	}
	if n := must(s.DrainAll(t.Context(), "stop", "", "again"))(t); n != 0 {
		t.Errorf("%d leases were drained again", n)
	}
	if live := must(s.LiveLeases(t.Context()))(t); len(live) != 1 || live[0].ID != running {
		t.Errorf("live: %+v", live)
	}
	if ended := must(s.Leases(t.Context(), LeaseFilter{State: purser.LeaseWithdrawn, Limit: 1}))(t); len(ended) != 1 || ended[0].ID != here.ID {
		t.Errorf("withdrawn, newest first: %+v", ended)
	}
}

// A step that is being worked inserts its successor, and a lost one is made good.
func TestSteps(t *testing.T) {
	s := newScene(t)
	lease := s.place(offer(purser.OnDemand), s.tasks(s.submit(training("a", 1)))[0])
	if n := must(s.NudgeLeases(t.Context(), time.Now()))(t); n != 0 || s.steps(lease) != 1 {
		t.Errorf("%d leases were nudged, %d steps", n, s.steps(lease))
	}
	sql := func(q string) { must(s.Pool().Exec(t.Context(), q))(t) }
	sql("update river.river_job set state = 'running', attempt = 1, attempted_at = now(), attempted_by = '{dead}'")
	s.advance(lease, purser.Transition{To: purser.LeaseLaunching, Attempt: 1, Next: 0})
	if n := s.steps(lease); n != 2 {
		t.Fatalf("%d steps; the one that runs and its successor are wanted", n)
	}
	if s.Beat(t.Context(), Replica{ID: "alive", Host: "h", StartedAt: start, BeatAt: time.Now()}) != nil || s.Beat(t.Context(), Replica{ID: "dead", Host: "h", StartedAt: start, BeatAt: time.Now().Add(-time.Hour)}) != nil {
		t.Fatal("no beat")
	}
	sql("update river.river_job set attempted_at = now() - interval '1 minute' where state = 'running'")
	if n := must(s.ReapDead(t.Context(), time.Now().Add(-20*time.Second)))(t); n != 1 {
		t.Errorf("%d jobs were handed on", n)
	}
	if r := must(s.Replicas(t.Context()))(t); len(r) != 1 || r[0].ID != "alive" {
		t.Errorf("%+v", r)
	}
	sql("delete from river.river_job")
	if n := must(s.NudgeLeases(t.Context(), time.Now()))(t); n != 1 || s.steps(lease) != 1 {
		t.Errorf("%d leases were nudged, %d steps", n, s.steps(lease))
	}
	// One that completed and one that waits long for its next try do not count.
	sql("update river.river_job set state = 'completed', finalized_at = now()")
	if n := must(s.NudgeLeases(t.Context(), time.Now()))(t); n != 1 {
		t.Errorf("%d leases were nudged after the step had completed", n)
	}
	sql("update river.river_job set state = 'retryable', scheduled_at = now() + interval '1 hour' where state <> 'completed'")
	if n := must(s.NudgeLeases(t.Context(), time.Now()))(t); n != 1 {
		t.Errorf("%d leases were nudged while the step waits an hour", n)
	}
	if StepQueue("") != river.QueueDefault || StepQueue("My.Host_1") == StepQueue("other") || len(StepQueue("x")) > 64 {
		t.Errorf("queues %s %s", StepQueue("My.Host_1"), StepQueue("other"))
	}
	l := s.lease(lease)
	if !(LeaseStep{Lease: string(lease), Fence: l.Fence}).Current(l) || (LeaseStep{Lease: string(lease), Fence: l.Fence - 1}).Current(l) {
		t.Error("only the step of the present fence is current")
	}
}

type stepWorker struct {
	river.WorkerDefaults[LeaseStep]
	did chan LeaseStep
	db  *DB
}

func (w *stepWorker) Work(ctx context.Context, job *river.Job[LeaseStep]) error {
	l, err := w.db.Lease(ctx, purser.LeaseID(job.Args.Lease))
	if err != nil || !job.Args.Current(l) {
		return err
	}
	_, err = w.db.Advance(ctx, l.ID, "worker", func(l purser.Lease) (purser.Transition, error) {
		if l.Attempt == 3 {
			return purser.Transition{}, nil
		}
		return purser.Transition{To: purser.LeaseLaunching, Attempt: l.Attempt + 1}, nil
	})
	w.did <- job.Args
	return err
}

// A real River client works the chain of steps that Advance inserts.
func TestRiverWorksTheSteps(t *testing.T) {
	db, err := Open(t.Context(), migrated(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	s := &scene{TB: t, DB: db, clock: &ticker{}}
	s.clock.pass(time.Since(start))
	w := &stepWorker{did: make(chan LeaseStep, 10), db: db}
	workers := river.NewWorkers()
	river.AddWorker(workers, w)
	client := must(river.NewClient(riverpgxv5.New(db.Pool()), &river.Config{
		Schema: Schema, Workers: workers, Queues: map[string]river.QueueConfig{StepQueue(""): {MaxWorkers: 4}}, FetchPollInterval: 100 * time.Millisecond,
	}))(t)
	if err := client.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Stop(context.Background()) })
	s.place(offer(purser.OnDemand), s.tasks(s.submit(training("a", 1)))[0])
	deadline := time.After(30 * time.Second)
	for want := range int64(4) {
		select {
		case got := <-w.did:
			if got.Fence != want {
				t.Errorf("step %d has fence %d", want, got.Fence)
			}
		case <-deadline:
			t.Fatalf("step %d did not come", want)
		}
	}
}
