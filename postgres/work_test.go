package postgres

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"purser"
)

func TestSubmitTwiceChangesNothing(t *testing.T) {
	s := newScene(t)
	jobs := []purser.Job{training("b", 2), service("a")}
	first := must(s.SubmitJobs(t.Context(), "user", jobs))(t)
	events := must(s.LastEvent(t.Context()))(t)
	again := must(s.SubmitJobs(t.Context(), "user", []purser.Job{service("a"), training("b", 2)}))(t)
	if !first[0].Created || !first[1].Created || again[0].Created || again[1].Created || first[0].ID != again[1].ID || first[1].ID != again[0].ID {
		t.Errorf("%+v, then %+v", first, again)
	}
	if n := must(s.LastEvent(t.Context()))(t); n != events || len(s.tasks(first[0].ID)) != 2 || len(s.tasks(first[1].ID)) != 0 {
		t.Errorf("%d events after %d", n, events)
	}
	other := training("b", 3)
	_, err := s.SubmitJobs(t.Context(), "user", []purser.Job{training("c", 1), other})
	wantKind(t, err, purser.KindConflict)
	if _, err := s.Job(t.Context(), "p/c"); purser.KindOf(err) != purser.KindNotFound {
		t.Errorf("a refused batch left a job: %v", err)
	}
	_, err = s.SubmitJobs(t.Context(), "user", []purser.Job{training("c", 1), {Name: "B A D"}})
	wantKind(t, err, purser.KindInvalid)
	// The same twice in one batch is one job; an ended one stands for the same submission.
	twice := must(s.SubmitJobs(t.Context(), "user", []purser.Job{training("d", 1), training("d", 1)}))(t)
	if twice[0].ID != twice[1].ID || !twice[0].Created || twice[1].Created {
		t.Errorf("%+v", twice)
	}
	must(s.CancelJob(t.Context(), "user", twice[0].ID))(t)
	if r := must(s.SubmitJobs(t.Context(), "user", []purser.Job{training("d", 1)}))(t); r[0].Created || r[0].ID != twice[0].ID {
		t.Errorf("%+v", r)
	}
}

func TestJobsAreRead(t *testing.T) {
	s := newScene(t)
	want := training("one", 1)
	want.Labels = map[string]string{"team": "x"}
	want.Priority = 7
	id := s.submit(want)
	for _, ref := range []string{string(id), "p/one"} {
		j := must(s.Job(t.Context(), ref))(t)
		if j.ID != id || j.Labels["team"] != "x" || j.Priority != 7 || j.State != purser.JobQueued || j.SubmittedAt.IsZero() || string(j.Groups[0].Run.Files[0].Content) != "hello" {
			t.Errorf("%s: %+v", ref, j)
		}
		if j.Groups[0].RunTime != time.Hour || j.Groups[0].Variants[0].Devices != 1000 {
			t.Errorf("group %+v", j.Groups[0])
		}
	}
	_, err := s.Job(t.Context(), "one")
	wantKind(t, err, purser.KindNotFound)
	inDefault := training("one", 1)
	inDefault.Project = DefaultProject
	if id := s.submit(inDefault); must(s.Job(t.Context(), "one"))(t).ID != id {
		t.Error("a bare name is not looked for in the default project")
	}
	s.submit(service("two"))
	names := func(f JobFilter) (out []string) {
		for _, j := range must(s.Jobs(t.Context(), f))(t) {
			out = append(out, j.Project+"/"+j.Name)
			if len(j.Groups) != 1 || len(j.Groups[0].Run.Files) != 1 || j.Groups[0].Run.Files[0].Content != nil {
				t.Errorf("%s has groups %+v", j.Name, j.Groups)
			}
		}
		return out
	}
	if got := names(JobFilter{}); !slices.Equal(got, []string{"p/two", "default/one", "p/one"}) {
		t.Errorf("newest first: %v", got)
	}
	if got := names(JobFilter{Project: "p", Limit: 1, After: must(s.Job(t.Context(), "p/two"))(t).ID}); !slices.Equal(got, []string{"p/one"}) {
		t.Errorf("the page after two: %v", got)
	}
	must(s.CancelJob(t.Context(), "user", id))(t)
	if got := names(JobFilter{Live: true, Project: "p"}); !slices.Equal(got, []string{"p/two"}) {
		t.Errorf("live: %v", got)
	}
	if got := names(JobFilter{State: purser.JobCancelled}); !slices.Equal(got, []string{"p/one"}) {
		t.Errorf("cancelled: %v", got)
	}
}

// One job from the queue to success, with every transition in the audit.
func TestLifeOfAJob(t *testing.T) {
	s := newScene(t)
	job := s.submit(training("a", 1))
	task := s.tasks(job)[0]
	lease := s.place(offer(purser.OnDemand), task)
	if l := s.lease(lease); l.State != purser.LeasePlanned || l.Offer.UnitPrice != 40e9 || s.steps(lease) != 1 {
		t.Fatalf("%+v, %d steps", l, s.steps(lease))
	}
	if j := s.job(job); j.State != purser.JobRunning {
		t.Errorf("the job is %s", j.State)
	}
	l := s.advance(lease, purser.Transition{To: purser.LeaseLaunching, Attempt: 1, Next: time.Second})
	if l.Fence != 1 || l.LaunchedAt.IsZero() {
		t.Errorf("%+v", l)
	}
	s.advance(lease, purser.Transition{To: purser.LeaseLaunching, Instance: "i-1", Next: -1})
	s.run1(lease)
	orders := s.report(lease)
	if len(orders.Run) != 1 || orders.Run[0].Task.ID != task.ID || string(orders.Run[0].Group.Run.Files[0].Content) != "hello" || orders.Run[0].Job.Name != "a" || orders.Drain {
		t.Fatalf("orders %+v", orders)
	}
	if again := s.report(lease); len(begin(again)) != 1 {
		t.Error("an order whose answer was lost is not given again")
	}
	running := TaskReport{Task: task.ID, State: purser.TaskRunning, Progress: 0.5, Checkpoint: "/ck", Port: 80}
	if o := s.report(lease, running); len(begin(o)) != 0 || len(o.Run) != 1 || o.Run[0].Task.ID != task.ID || len(o.Stop) != 0 {
		t.Errorf("orders %+v", o)
	}
	if got := s.task(task.ID); got.State != purser.TaskRunning || got.Progress != 0.5 || got.Checkpoint != "/ck" || got.StartedAt.IsZero() {
		t.Errorf("%+v", got)
	}
	events := must(s.LastEvent(t.Context()))(t)
	s.report(lease, running)
	if n := must(s.LastEvent(t.Context()))(t); n != events {
		t.Error("the same report again wrote to the audit")
	}
	code := 0
	done := TaskReport{Task: task.ID, State: purser.TaskSucceeded, ExitCode: &code, Progress: 1}
	s.report(lease, done)
	s.report(lease, done)
	if got := s.task(task.ID); got.State != purser.TaskSucceeded || got.ExitCode == nil || *got.ExitCode != 0 || got.Lease != lease || got.EndedAt.IsZero() {
		t.Errorf("%+v", got)
	}
	if j := s.job(job); j.State != purser.JobSucceeded || j.EndedAt.IsZero() {
		t.Errorf("the job is %+v", j)
	}
	s.advance(lease, purser.Transition{To: purser.LeaseDraining, Reason: "its work has ended"})
	s.advance(lease, purser.Transition{To: purser.LeaseReleased, Next: -1})
	_, err := s.Report(t.Context(), lease, nil, s.clock.now())
	wantKind(t, err, purser.KindStale)
	for _, c := range []struct {
		subject, name string
		want          []string
	}{
		{"job", string(job), []string{"queued", "running", "succeeded"}},
		{"task", string(task.ID), []string{"queued", "placed", "running", "succeeded"}},
		{"lease", string(lease), []string{"planned", "launching", "running", "draining", "released"}},
	} {
		if got := s.audited(c.subject, c.name); !slices.Equal(got, c.want) {
			t.Errorf("%s went through %v, want %v", c.subject, got, c.want)
		}
	}
	var instances, open int
	if err := s.Pool().QueryRow(t.Context(), "select count(*), count(*) filter (where ended_at is null) from instances").Scan(&instances, &open); err != nil || instances != 1 || open != 0 {
		t.Errorf("%d instances, %d open, %v", instances, open, err)
	}
}

// begin lists what the orders newly bring; what goes on comes without its group.
func begin(o Orders) (out []purser.TaskID) {
	for _, r := range o.Run {
		if r.Group.Name != "" {
			out = append(out, r.Task.ID)
		}
	}
	return out
}

// run1 lets the agent of a launching lease join.
func (s *scene) run1(id purser.LeaseID) {
	s.Helper()
	must(s.JoinLease(s.Context(), id, secretOf(id), s.clock.now()))(s)
}

func TestFailuresAreRetried(t *testing.T) {
	s := newScene(t)
	job := s.submit(training("a", 2, func(g *purser.TaskGroup) { g.Retries = 1 }))
	first := s.tasks(job)
	lease := s.place(offer(purser.OnDemand), first...)
	s.run(lease)
	s.report(lease, is(first[0].ID, purser.TaskRunning), is(first[1].ID, purser.TaskRunning))
	code := 3
	fail := func(id purser.TaskID) {
		s.report(lease, TaskReport{Task: id, State: purser.TaskFailed, ExitCode: &code, Reason: "exit 3", Checkpoint: "/ck", Progress: 0.3}, is(first[1].ID, purser.TaskRunning))
	}
	fail(first[0].ID)
	next := s.tasks(job)[1]
	if next.Attempt != 2 || next.Failures != 1 || next.State != purser.TaskQueued || next.Checkpoint != "/ck" || next.Progress != 0.3 || s.job(job).State != purser.JobRunning {
		t.Fatalf("after one failure: %+v", next)
	}
	s.admit(purser.Admission{Place: []purser.TaskPlacement{put(next, lease)}})
	s.report(lease, is(next.ID, purser.TaskRunning), is(first[1].ID, purser.TaskRunning))
	fail(next.ID)
	if j := s.job(job); j.State != purser.JobFailed {
		t.Fatalf("after two failures the job is %s", j.State)
	}
	figures := must(s.JobFigures(t.Context(), []purser.JobID{job, "job-none"}))(t)
	if f := figures[job]; len(figures) != 1 || f.Tasks[purser.TaskFailed] != 1 || f.Tasks[purser.TaskRunning] != 1 || f.Reason != "exit 3" {
		t.Errorf("figures %+v", figures)
	}
	// The rest of a failed job is stopped.
	if o := s.report(lease, is(first[1].ID, purser.TaskRunning)); !slices.Equal(o.Stop, []purser.TaskID{first[1].ID}) {
		t.Errorf("orders %+v", o)
	}
	s.report(lease, is(first[1].ID, purser.TaskLost))
	if got := s.task(first[1].ID); got.State != purser.TaskCancelled {
		t.Errorf("the other task is %s", got.State)
	}
	if n := len(s.tasks(job)); n != 3 {
		t.Errorf("%d tasks", n)
	}
}

func TestCancel(t *testing.T) {
	s := newScene(t)
	job := s.submit(training("a", 4))
	tasks := s.tasks(job)
	running, planned := s.place(offer(purser.OnDemand), tasks[0], tasks[1]), s.place(offer(purser.Spot), tasks[2])
	s.run(running)
	s.report(running, is(tasks[0].ID, purser.TaskRunning))
	j := must(s.CancelJob(t.Context(), "boss", job))(t)
	if j.State != purser.JobRunning {
		t.Errorf("while a task runs the job is %s", j.State)
	}
	states := func() (out []purser.TaskState) {
		for _, t := range s.tasks(job) {
			out = append(out, t.State)
		}
		return out
	}
	if got := states(); !slices.Equal(got, []purser.TaskState{"running", "placed", "cancelled", "cancelled"}) {
		t.Errorf("tasks are %v", got)
	}
	if snapshot := must(s.Snapshot(t.Context()))(t); len(snapshot.Jobs) != 0 || len(snapshot.Tasks) != 2 || len(snapshot.Leases) != 2 {
		t.Errorf("the snapshot has %d jobs, %d tasks, %d leases", len(snapshot.Jobs), len(snapshot.Tasks), len(snapshot.Leases))
	}
	must(s.CancelJob(t.Context(), "boss", job))(t)
	// The agent does not have the placed task, and is not to get it.
	o := s.report(running, is(tasks[0].ID, purser.TaskRunning))
	if len(o.Run) != 0 || !slices.Equal(o.Stop, []purser.TaskID{tasks[0].ID}) {
		t.Errorf("orders %+v", o)
	}
	s.report(running, TaskReport{Task: tasks[0].ID, State: purser.TaskFailed, Reason: "killed"})
	if j := s.job(job); j.State != purser.JobCancelled || j.EndedAt.IsZero() {
		t.Errorf("the job is %s", j.State)
	}
	if got := states(); slices.ContainsFunc(got, func(s purser.TaskState) bool { return s != purser.TaskCancelled }) {
		t.Errorf("tasks are %v", got)
	}
	asked := 0
	for _, e := range must(s.Events(t.Context(), 0, 0))(t) {
		if e.Actor == "boss" && e.Subject == "job" {
			asked++
		}
	}
	if asked != 1 {
		t.Errorf("the audit has %d requests to cancel", asked)
	}
	_, err := s.CancelJob(t.Context(), "boss", "job-none")
	wantKind(t, err, purser.KindNotFound)
	if s.lease(planned).State != purser.LeasePlanned {
		t.Error("the cancelled job ended a lease")
	}
	idle := s.submit(service("s"))
	if j := must(s.CancelJob(t.Context(), "boss", idle))(t); j.State != purser.JobCancelled {
		t.Errorf("a service without tasks is %s", j.State)
	}
}

func TestServices(t *testing.T) {
	s := newScene(t)
	web := service("web")
	web.Groups[0].Retries = 2
	job := s.submit(web)
	l := s.newLease(offer(purser.OnDemand))
	start := func(replica int) purser.TaskPlacement {
		p := put(purser.Task{Job: job, Group: "serve", Replica: replica}, l.ID)
		p.Task = ""
		return p
	}
	r := s.admit(purser.Admission{Launch: []purser.Lease{l}, Start: []purser.TaskPlacement{start(0), start(1), start(1)}})
	if r.Started != 2 || r.Launched != 1 || len(r.Skipped) != 1 {
		t.Fatalf("%+v", r)
	}
	s.run(l.ID)
	tasks := s.tasks(job)
	s.report(l.ID, is(tasks[0].ID, purser.TaskRunning), is(tasks[1].ID, purser.TaskRunning))
	if r := s.admit(purser.Admission{Start: []purser.TaskPlacement{start(0)}, Stop: []purser.TaskID{tasks[1].ID}}); r.Started != 0 || r.Stopped != 1 {
		t.Fatalf("%+v", r)
	}
	o := s.report(l.ID, is(tasks[0].ID, purser.TaskRunning), is(tasks[1].ID, purser.TaskRunning))
	if !slices.Equal(o.Stop, []purser.TaskID{tasks[1].ID}) {
		t.Errorf("orders %+v", o)
	}
	s.report(l.ID, is(tasks[0].ID, purser.TaskSucceeded), is(tasks[1].ID, purser.TaskLost))
	// A service has no success: what ended is started again on the machine that it has.
	if j := s.job(job); j.State != purser.JobRunning {
		t.Errorf("the service is %s", j.State)
	}
	if r := s.admit(purser.Admission{Start: []purser.TaskPlacement{start(0)}}); r.Started != 0 {
		t.Fatalf("%+v", r)
	}
	newest := must(s.Tasks(t.Context(), TaskFilter{Job: job, NewestOnly: true}))(t)
	if len(newest) != 2 || newest[0].Attempt != 2 || newest[0].Failures != 1 || newest[0].Lease != l.ID || newest[0].State != purser.TaskPlaced || newest[1].State != purser.TaskCancelled {
		t.Errorf("%+v", newest)
	}
	must(s.CancelJob(t.Context(), "user", job))(t)
	s.report(l.ID)
	if j := s.job(job); j.State != purser.JobCancelled {
		t.Errorf("the service is %s", j.State)
	}
}

// A service that ends at once is not started for ever.
func TestAServiceThatEndsByItself(t *testing.T) {
	s := newScene(t)
	web := service("web")
	web.Groups[0].Retries = 2
	job := s.submit(web)
	l := s.newLease(offer(purser.OnDemand))
	first := put(purser.Task{Job: job, Group: "serve"}, l.ID)
	first.Task = ""
	s.admit(purser.Admission{Launch: []purser.Lease{l}, Start: []purser.TaskPlacement{first}})
	s.run(l.ID)
	for i := range 3 {
		newest := must(s.Tasks(t.Context(), TaskFilter{Job: job, NewestOnly: true}))(t)
		if len(newest) != 1 || newest[0].Attempt != i+1 || newest[0].State != purser.TaskPlaced {
			t.Fatalf("at the end number %d: %+v", i, newest)
		}
		if i == 2 { // the second restart waits
			if o := s.report(l.ID); len(o.Run) != 0 {
				t.Errorf("started again at once: %+v", o)
			}
			s.clock.pass(2 * time.Second)
			if o := s.report(l.ID); len(o.Run) != 1 {
				t.Errorf("not started after its pause: %+v", o)
			}
		}
		s.report(l.ID, is(newest[0].ID, purser.TaskSucceeded))
	}
	if RestartPause(1) != 0 || RestartPause(2) != time.Second || RestartPause(5) != 8*time.Second || RestartPause(1000) != mostRestartPause {
		t.Error("the pauses are wrong")
	}
	if j := s.job(job); j.State != purser.JobFailed {
		t.Errorf("after its retries the service is %s", j.State)
	}
}

func TestLogs(t *testing.T) {
	s := newScene(t)
	job := s.submit(training("a", 2))
	tasks := s.tasks(job)
	lease := s.place(offer(purser.OnDemand), tasks[0])
	line := func(task purser.TaskID, seq int64, text string) LogLine {
		return LogLine{Task: task, Seq: seq, At: s.clock.now(), Stream: "stderr", Text: text}
	}
	batch := []LogLine{line(tasks[0].ID, 1, "one"), line(tasks[0].ID, 2, "two \x00\xff"), line(tasks[1].ID, 1, "not on this lease"), line("task-none", 1, "x")}
	if n := must(s.AppendLogs(t.Context(), lease, batch))(t); n != 2 {
		t.Errorf("%d lines were added", n)
	}
	batch = append(batch, line(tasks[0].ID, 3, strings.Repeat("long ", 100_000)))
	if n := must(s.AppendLogs(t.Context(), lease, batch))(t); n != 1 {
		t.Errorf("%d lines were added the second time", n)
	}
	lines := must(s.Logs(t.Context(), LogFilter{Job: job}))(t)
	if len(lines) != 3 || lines[0].Text != "one" || lines[1].Text != "two \ufffd\ufffd" || lines[0].Stream != "stderr" || len(lines[2].Text) > maxLine+8 {
		t.Fatalf("%d lines: %.300s", len(lines), fmt.Sprint(lines))
	}
	if after := must(s.Logs(t.Context(), LogFilter{Task: tasks[0].ID, After: lines[0].ID, Limit: 1}))(t); len(after) != 1 || after[0].Seq != 2 {
		t.Errorf("after the first: %+v", after)
	}
	if tail := must(s.Logs(t.Context(), LogFilter{Job: job, Tail: true, Limit: 2}))(t); len(tail) != 2 || tail[0].Seq != 2 || tail[1].Seq != 3 {
		t.Errorf("tail: %+v", tail)
	}
	s.run(lease)
	s.report(lease, is(tasks[0].ID, purser.TaskSucceeded))
	if n, _, err := s.Prune(t.Context(), s.clock.pass(time.Hour), time.Time{}); err != nil || n != 3 {
		t.Errorf("%d lines were forgotten, %v", n, err)
	}
}
