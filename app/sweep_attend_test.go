package app

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"purser"
	"purser/postgres"
	"purser/providers"
	"purser/providers/fake"
)

// moody is a cluster that refuses to start tasks, or does not give their lines.
type moody struct {
	*runner
	refuses, silent error
}

func (m *moody) Run(ctx context.Context, l purser.Lease, w providers.Work) error {
	if m.refuses != nil {
		return m.refuses
	}
	return m.runner.Run(ctx, l, w)
}

func (m *moody) Logs(ctx context.Context, l purser.Lease, id purser.TaskID, since time.Time) ([]providers.LogLine, error) {
	if m.silent != nil {
		return nil, m.silent
	}
	return m.runner.Logs(ctx, l, id, since)
}

func newMoodyWorld(t *testing.T) (*world, *moody) {
	t.Helper()
	w, r := newRunnerWorld(t)
	m := &moody{runner: r}
	w.enable(fake.Name, m)
	w.attends() // it joins
	return w, m
}

func (w *world) lines(id purser.TaskID) (text []string) {
	w.t.Helper()
	lines, err := w.db.Logs(w.t.Context(), postgres.LogFilter{Task: id, Limit: 1 << 20})
	w.must(err)
	for _, l := range lines {
		text = append(text, l.Text)
	}
	return text
}

// Clusters write times in nanoseconds, several lines at the same one. Each is stored
// once, and all of them before what the task left is removed.
func TestAttendStoresEachLineOnce(t *testing.T) {
	w, m := newMoodyWorld(t)
	w.attends()
	id, at := w.task().ID, w.now().Add(123456789)
	m.change(func(s *providers.WorkState) { s.State, s.StartedAt = purser.TaskRunning, w.now() })
	m.lines[id] = []providers.LogLine{{At: at, Text: "0"}, {At: at, Text: "1"}}
	for range 3 {
		w.attends()
	}
	if got := w.lines(id); len(got) != 2 {
		t.Fatalf("lines: %q", got)
	}
	const all = 2*attendLines + 10
	for i := 2; i < all; i++ {
		m.lines[id] = append(m.lines[id], providers.LogLine{At: at.Add(time.Duration(i/2) * time.Microsecond), Text: fmt.Sprint(i)})
	}
	zero := 0
	m.change(func(s *providers.WorkState) { s.State, s.ExitCode, s.EndedAt = purser.TaskSucceeded, &zero, w.now() })
	m.silent = purser.Errorf(purser.KindUnavailable, "test", "no answer")
	w.attends()
	if task := w.task(); task.State != purser.TaskSucceeded || len(m.works) != 1 {
		t.Fatalf("before its lines are read the task is %s, left: %v", task.State, m.works)
	}
	m.silent = nil
	w.attends()
	got := w.lines(id)
	if len(got) != all || len(m.works) != 0 {
		t.Fatalf("%d lines of %d, left: %v", len(got), all, m.works)
	}
	for i, text := range got {
		if text != fmt.Sprint(i) {
			t.Fatalf("line %d is %q", i, text)
		}
	}
}

// A task that can never start on its machine is not ordered for ever.
func TestAttendReportsWhatCannotStart(t *testing.T) {
	w, m := newMoodyWorld(t)
	m.refuses = purser.Errorf(purser.KindQuota, "test", "full")
	if err := w.attend(t.Context()); purser.KindOf(err) != purser.KindQuota || w.task().State != purser.TaskPlaced {
		t.Errorf("what may pass: %v, the task is %s", err, w.task().State)
	}
	id := w.task().ID
	m.refuses = purser.Errorf(purser.KindInvalid, "test", "it needs a share of a device")
	w.attends()
	tasks, err := w.db.Tasks(t.Context(), postgres.TaskFilter{})
	w.must(err)
	for _, task := range tasks {
		if task.ID == id && (task.State != purser.TaskFailed || task.Reason != "it needs a share of a device") {
			t.Errorf("the task is %s: %s", task.State, task.Reason)
		}
	}
}

// While a cluster does not answer, a task that only another server has seen run is not
// taken for lost.
func TestAttendThroughAnOutageThatAnotherServerSawMoreBefore(t *testing.T) {
	w, m := newMoodyWorld(t)
	w.attends() // nothing is there yet; the task is ordered
	id := w.task().ID
	_, err := w.db.Report(t.Context(), w.leases()[0].ID, []postgres.TaskReport{{Task: id, State: purser.TaskRunning, StartedAt: w.now()}}, w.now())
	w.must(err)
	for _, kind := range []purser.Kind{purser.KindUnavailable, purser.KindUnavailable, purser.KindThrottled} {
		m.down = purser.Errorf(kind, "test", "no answer")
		w.clock.pass(11 * time.Second)
		w.attends()
	}
	if task := w.task(); task.ID != id || task.State != purser.TaskRunning {
		t.Errorf("the task is %s: %s", task.State, task.Reason)
	}
}

// A cluster that leaves a call without an answer is waited for once in a turn.
func TestAttendDoesNotWaitAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c cluster
		began := time.Now()
		for range 100 {
			err := c.ask(t.Context(), func(ctx context.Context) error {
				<-ctx.Done()
				return purser.Wrap(purser.KindUnavailable, "test", ctx.Err())
			})
			if purser.KindOf(err) != purser.KindUnavailable {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took != attendCall {
			t.Errorf("it took %s", took)
		}
	})
}
