package app

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"purser"
	"purser/postgres"
	"purser/providers"
	"purser/providers/fake"
)

// runner is a cluster in memory that runs tasks itself.
type runner struct {
	providers.Provider
	mu    sync.Mutex
	works map[purser.TaskID]*providers.WorkState
	lines map[purser.TaskID][]providers.LogLine
	down  error
	told  []string // what was asked, in order
}

func (r *runner) Run(_ context.Context, _ purser.Lease, w providers.Work) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told = append(r.told, "run "+w.Group.Run.Command+" of "+w.JobName)
	if r.works[w.Task.ID] == nil {
		r.works[w.Task.ID] = &providers.WorkState{Task: w.Task.ID, State: purser.TaskPlaced}
	}
	return nil
}

func (r *runner) Stop(_ context.Context, _ purser.Lease, id purser.TaskID) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told = append(r.told, "stop")
	if w := r.works[id]; w != nil {
		w.State, w.Checkpoint, w.Reason = purser.TaskLost, "ckpt-7", "stopped"
	}
	return nil
}

func (r *runner) Works(context.Context, purser.Lease) ([]providers.WorkState, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []providers.WorkState
	for _, w := range r.works {
		out = append(out, *w)
	}
	return out, r.down
}

func (r *runner) Logs(_ context.Context, _ purser.Lease, id purser.TaskID, since time.Time) ([]providers.LogLine, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(r.lines[id]), func(l providers.LogLine) bool { return !l.At.After(since) }), nil
}

func (r *runner) Forget(_ context.Context, _ purser.Lease, id purser.TaskID) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told = append(r.told, "forget")
	delete(r.works, id)
	return nil
}

func (r *runner) change(do func(*providers.WorkState)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range r.works {
		do(w)
	}
}

func newRunnerWorld(t *testing.T) (*world, *runner) {
	t.Helper()
	w := newCloudWorld(t, fake.Config{Offers: []purser.Offer{small("z1", purser.Private, 0)}}, SpendLimit{})
	r := &runner{Provider: w.cloud.Provider(w.installation), works: map[purser.TaskID]*providers.WorkState{}, lines: map[purser.TaskID][]providers.LogLine{}}
	w.listOffers()
	w.enable(fake.Name, r)
	w.submitSteady(1)
	w.must(w.plan(t.Context()))
	w.steps()
	return w, r
}

func (w *world) attends() {
	w.t.Helper()
	w.must(w.attend(w.t.Context()))
}

func (w *world) task() purser.Task {
	w.t.Helper()
	tasks, err := w.db.Tasks(w.t.Context(), postgres.TaskFilter{})
	w.must(err)
	if len(tasks) == 0 {
		w.t.Fatal("there is no task")
	}
	return tasks[len(tasks)-1]
}

// A provider that runs tasks itself has no agents; the server plays them.
func TestAttendRunsATaskToItsEnd(t *testing.T) {
	w, r := newRunnerWorld(t)
	w.attends() // the machine is there: it joins
	l := w.leases()[0]
	if l.State != purser.LeaseRunning {
		t.Fatalf("the lease is %s", l.State)
	}
	w.attends() // the report is answered with the order to run
	if len(r.works) != 1 || !slices.Contains(r.told, "run true of steady") {
		t.Fatalf("works %v after %v", r.works, r.told)
	}
	w.attends() // known, and not yet begun: not ordered again
	if n := len(r.told); n != 1 {
		t.Errorf("asked: %v", r.told)
	}
	id := w.task().ID
	r.change(func(s *providers.WorkState) { s.State, s.StartedAt = purser.TaskRunning, w.now() })
	at := w.now()
	r.lines[id] = []providers.LogLine{{At: at, Text: "one"}, {At: at.Add(time.Millisecond), Text: "two"}}
	w.attends()
	if task := w.task(); task.State != purser.TaskRunning {
		t.Fatalf("the task is %s", task.State)
	}
	zero := 0
	r.change(func(s *providers.WorkState) { s.State, s.ExitCode, s.EndedAt = purser.TaskSucceeded, &zero, w.now() })
	r.lines[id] = append(r.lines[id], providers.LogLine{At: at.Add(time.Second), Text: "three"})
	w.attends()
	if task := w.task(); task.State != purser.TaskSucceeded || len(r.works) != 0 {
		t.Errorf("the task is %s, left: %v", task.State, r.works)
	}
	lines, err := w.db.Logs(t.Context(), postgres.LogFilter{Task: id})
	w.must(err)
	var text []string
	for _, l := range lines {
		text = append(text, l.Text)
	}
	if strings.Join(text, " ") != "one two three" {
		t.Errorf("lines: %v", text)
	}
}

// Machines are attended wherever a provider runs tasks itself, and nowhere else.
func TestAttendIsScheduled(t *testing.T) {
	w, _ := newRunnerWorld(t)
	w.restUnneeded()
	if w.sweeps.list["attend"].schedule == nil {
		t.Error("nobody attends the tasks of a provider that runs them itself")
	}
	w.enable(fake.Name, w.cloud.Provider(w.installation))
	w.restUnneeded()
	if w.sweeps.list["attend"].schedule != nil {
		t.Error("machines with agents are attended")
	}
}

// A cluster that does not answer for a while is believed to run on; one that is asked
// to stop gives its checkpoint.
func TestAttendThroughAnOutageAndADrain(t *testing.T) {
	w, r := newRunnerWorld(t)
	w.attends()
	w.attends()
	r.change(func(s *providers.WorkState) { s.State, s.StartedAt = purser.TaskRunning, w.now() })
	w.attends()
	r.down = purser.Errorf(purser.KindUnavailable, "test", "no answer")
	for range 5 {
		w.clock.pass(time.Minute)
		w.attends()
	}
	if l := w.leases()[0]; w.now().Sub(l.HeartbeatAt) > time.Second || w.task().State != purser.TaskRunning {
		t.Fatalf("after an outage of five minutes: heard %s, the task is %s", l.HeartbeatAt, w.task().State)
	}
	w.clock.pass(attendPatience)
	if err := w.attend(t.Context()); purser.KindOf(err) != purser.KindUnavailable {
		t.Errorf("an outage without end: %v", err)
	}
	r.down = nil
	_, err := w.db.Advance(t.Context(), w.leases()[0].ID, "tester", func(purser.Lease) (purser.Transition, error) {
		return purser.Transition{To: purser.LeaseDraining, Reason: "test", At: w.now()}, nil
	})
	w.must(err)
	w.attends()
	w.attends()
	tasks, err := w.db.LiveTasks(t.Context())
	w.must(err)
	if len(tasks) != 1 || tasks[0].State != purser.TaskQueued || tasks[0].Checkpoint != "ckpt-7" {
		t.Errorf("after the drain: %+v; asked %v", tasks, r.told)
	}
}
