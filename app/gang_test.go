package app

import (
	"context"
	"fmt"
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

// troupes is a cluster in memory that keeps tasks by lease and may run gangs as one.
type troupes struct {
	providers.Provider
	mu    sync.Mutex
	has   bool // JobSet
	works map[purser.LeaseID]map[purser.TaskID]*providers.WorkState
	told  []string
	fails error
}

func (r *troupes) put(l purser.LeaseID, id purser.TaskID) {
	if r.works[l] == nil {
		r.works[l] = map[purser.TaskID]*providers.WorkState{}
	}
	if r.works[l][id] == nil {
		r.works[l][id] = &providers.WorkState{Task: id, State: purser.TaskPlaced}
	}
}

func (r *troupes) Run(_ context.Context, l purser.Lease, w providers.Work) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.told = append(r.told, fmt.Sprint("run ", w.Task.Replica)); r.fails != nil {
		return r.fails
	}
	r.put(l.ID, w.Task.ID)
	return nil
}

func (r *troupes) TakesGang(context.Context, int) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.has, nil
}

func (r *troupes) RunGang(_ context.Context, members []providers.Member) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	text := "gang"
	for _, m := range members {
		text += fmt.Sprintf(" %d/%d", m.Work.Task.Replica, m.Work.Task.Attempt)
	}
	if r.told = append(r.told, text); r.fails != nil {
		return r.fails
	}
	for _, m := range members {
		r.put(m.Lease.ID, m.Work.Task.ID)
	}
	return nil
}

func (r *troupes) Stop(context.Context, purser.Lease, purser.TaskID) error { return nil }

func (r *troupes) Works(_ context.Context, l purser.Lease) (out []providers.WorkState, _ error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range r.works[l.ID] {
		out = append(out, *w)
	}
	return out, nil
}

func (r *troupes) Logs(context.Context, purser.Lease, purser.TaskID, time.Time) ([]providers.LogLine, error) {
	return nil, nil
}

func (r *troupes) Forget(_ context.Context, l purser.Lease, id purser.TaskID) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.works[l.ID], id)
	return nil
}

// all changes every task.
func (r *troupes) all(do func(*providers.WorkState)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, works := range r.works {
		for _, w := range works {
			do(w)
		}
	}
}

const gangJob = `
jobs:
  - name: together
    train: {replicas: 2, gang: true, accelerators: T4:1, cpus: 1, memory: 1GiB, run_time: 20h, retries: 3, checkpoint: {every: 10m}, command: "true"}
`

// newTroupeWorld has a gang of two on two machines of a cluster, which have not joined.
func newTroupeWorld(t *testing.T) (*world, *troupes) {
	t.Helper()
	w := newCloudWorld(t, fake.Config{Offers: []purser.Offer{small("z1", purser.Private, 0)}}, SpendLimit{})
	r := &troupes{Provider: w.cloud.Provider(w.installation), has: true, works: map[purser.LeaseID]map[purser.TaskID]*providers.WorkState{}}
	w.listOffers()
	w.enable(fake.Name, r)
	w.submit(gangJob)
	w.must(w.plan(t.Context()))
	w.steps()
	if n := len(w.leases()); n != 2 {
		t.Fatalf("%d leases", n)
	}
	return w, r
}

func (w *world) states() string {
	w.t.Helper()
	tasks, err := w.db.Tasks(w.t.Context(), postgres.TaskFilter{NewestOnly: true})
	w.must(err)
	slices.SortFunc(tasks, func(x, y purser.Task) int { return x.Replica - y.Replica })
	var out []string
	for _, task := range tasks {
		out = append(out, fmt.Sprintf("%d/%d %s", task.Replica, task.Attempt, task.State))
	}
	return strings.Join(out, ", ")
}

// A gang is handed over in one call, once all its machines are there, and again after it
// has ended as a whole.
func TestAttendStartsAGangAtOnce(t *testing.T) {
	w, r := newTroupeWorld(t)
	one := w.leases()[0]
	w.must(w.attendLease(t.Context(), one, &cluster{Runner: r})) // joins
	for range 3 {
		w.must(w.attendLease(t.Context(), w.lease(one.ID), &cluster{Runner: r}))
	}
	if len(r.told) != 0 {
		t.Fatalf("with one machine of two: %v", r.told)
	}
	for range 3 {
		w.attends()
	}
	if got := strings.Join(r.told, "; "); got != "gang 0/1 1/1" {
		t.Fatalf("asked: %v", got)
	}
	r.all(func(s *providers.WorkState) { s.State, s.StartedAt = purser.TaskRunning, w.now() })
	w.attends()
	if got := w.states(); got != "0/1 running, 1/1 running" {
		t.Fatalf("tasks: %s", got)
	}
	one1 := 1
	r.all(func(s *providers.WorkState) {
		s.State, s.Reason, s.EndedAt = purser.TaskLost, "another replica of its gang failed", w.now()
		if task, err := w.db.Tasks(t.Context(), postgres.TaskFilter{Live: true}); err == nil && task[0].ID == s.Task {
			s.State, s.ExitCode = purser.TaskFailed, &one1
		}
	})
	w.attends()
	if got := w.states(); got != "0/2 queued, 1/2 queued" {
		t.Fatalf("tasks: %s", got)
	}
	w.must(w.plan(t.Context()))
	w.steps()
	for range 3 {
		w.attends()
	}
	if got := strings.Join(r.told, "; "); got != "gang 0/1 1/1; gang 0/2 1/2" {
		t.Errorf("asked: %v", got)
	}
}

// Without JobSet, and beside replicas that run, each starts by itself, as soon as it may.
func TestAttendStartsOneByOneWithoutGangs(t *testing.T) {
	w, r := newTroupeWorld(t)
	r.has = false
	one := w.leases()[0]
	w.must(w.attendLease(t.Context(), one, &cluster{Runner: r}))
	w.must(w.attendLease(t.Context(), w.lease(one.ID), &cluster{Runner: r}))
	if len(r.told) != 1 || !strings.HasPrefix(r.told[0], "run ") {
		t.Fatalf("asked: %v", r.told)
	}
	r.all(func(s *providers.WorkState) { s.State, s.StartedAt = purser.TaskRunning, w.now() })
	w.attends()
	r.has = true // JobSet has come to the cluster
	for range 3 {
		w.attends()
	}
	if len(r.told) != 2 || !strings.HasPrefix(r.told[1], "run ") {
		t.Errorf("asked: %v", r.told)
	}
}

// What a quota of the cluster refuses is tried for a while, and has failed then.
func TestAttendGivesUpOnAQuota(t *testing.T) {
	w, r := newTroupeWorld(t)
	w.attends()
	r.fails = purser.Errorf(purser.KindQuota, "test", "exceeded quota")
	for range 3 {
		if err := w.attend(t.Context()); purser.KindOf(err) != purser.KindQuota {
			t.Fatalf("attend: %v", err)
		}
	}
	if got := w.states(); got != "0/1 placed, 1/1 placed" {
		t.Fatalf("tasks: %s", got)
	}
	w.clock.pass(attendPatience)
	w.attends()
	tasks, err := w.db.Tasks(t.Context(), postgres.TaskFilter{})
	w.must(err)
	if !slices.ContainsFunc(tasks, func(x purser.Task) bool { return x.State == purser.TaskFailed && x.Reason == "exceeded quota" }) {
		t.Errorf("tasks: %+v", tasks)
	}
}
