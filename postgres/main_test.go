package postgres

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"purser"
	"purser/internal/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// start is when the tests' clock begins.
var start = time.Date(2026, 11, 24, 6, 0, 0, 0, time.UTC)

// ticker is a clock that goes on by a millisecond whenever it is read, and by more
// when it is told to.
type ticker struct{ ns atomic.Int64 }

func (c *ticker) now() time.Time { return start.Add(time.Duration(c.ns.Add(int64(time.Millisecond)))) }

func (c *ticker) pass(d time.Duration) time.Time { return start.Add(time.Duration(c.ns.Add(int64(d)))) }

func migrated(t testing.TB) string {
	t.Helper()
	return pgtest.New(t, pgtest.Template{Name: "schema", Migrate: func(ctx context.Context, dsn string) error {
		_, err := Migrate(ctx, dsn)
		return err
	}})
}

// fresh is a store of its own with a clock of its own.
func fresh(t testing.TB) (*DB, *ticker) {
	t.Helper()
	c := &ticker{}
	db, err := Open(t.Context(), migrated(t), Options{Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return db, c
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func wantKind(t testing.TB, err error, kind purser.Kind) {
	t.Helper()
	if err == nil || purser.KindOf(err) != kind {
		t.Fatalf("%v; want an error of kind %s", err, kind)
	}
}

// training is a job of one group of n replicas.
func training(name string, n int, change ...func(*purser.TaskGroup)) purser.Job {
	g := purser.TaskGroup{
		Name: "train", Kind: purser.Training, Replicas: n, RunTime: time.Hour,
		Variants: []purser.Variant{{Name: "v", Accelerator: "A100-80GB", Devices: 1000, MilliCPU: 1000, MemoryMiB: 1024}},
		Run:      purser.Run{Command: "train", Files: []purser.File{{Path: "a.txt", Content: []byte("hello")}}},
	}
	for _, f := range change {
		f(&g)
	}
	return purser.Job{Project: "p", Name: name, Groups: []purser.TaskGroup{g}}
}

func service(name string) purser.Job {
	j := training(name, 0)
	j.Groups[0].Kind, j.Groups[0].RunTime, j.Groups[0].Demand, j.Groups[0].Name = purser.Inference, 0, 10, "serve"
	j.Groups[0].Variants[0].Throughput = 5
	return j
}

func offer(option purser.PurchaseOption) purser.Offer {
	return purser.Offer{
		Provider: "aws", Region: "us-east-1", InstanceType: "p4de.24xlarge", Option: option,
		Shape:     purser.Shape{Accelerator: "A100-80GB", Devices: 8000, DeviceMemoryMiB: 81920, MilliCPU: 96000, MemoryMiB: 1179648},
		UnitPrice: 40_000_000_000, Limit: purser.Unlimited, Source: "test", ValidFrom: start, ObservedAt: start,
	}
}

// scene is a store with helpers that play users, plans and agents.
type scene struct {
	testing.TB
	*DB
	clock *ticker
	plans int
}

func newScene(t testing.TB) *scene {
	t.Helper()
	db, c := fresh(t)
	return &scene{TB: t, DB: db, clock: c}
}

func (s *scene) submit(j purser.Job) purser.JobID {
	s.Helper()
	return must(s.SubmitJobs(s.Context(), "user", []purser.Job{j}))(s)[0].ID
}

func (s *scene) tasks(job purser.JobID) []purser.Task {
	s.Helper()
	return must(s.Tasks(s.Context(), TaskFilter{Job: job}))(s)
}

func (s *scene) task(id purser.TaskID) purser.Task {
	s.Helper()
	for _, t := range must(s.Tasks(s.Context(), TaskFilter{}))(s) {
		if t.ID == id {
			return t
		}
	}
	s.Fatalf("there is no task %s", id)
	return purser.Task{}
}

func (s *scene) job(id purser.JobID) purser.Job {
	s.Helper()
	return must(s.Job(s.Context(), string(id)))(s)
}

func (s *scene) lease(id purser.LeaseID) purser.Lease {
	s.Helper()
	return must(s.Lease(s.Context(), id))(s)
}

func (s *scene) newLease(o purser.Offer) purser.Lease {
	now := s.clock.now()
	return purser.Lease{ID: purser.LeaseID(NewID("lease", now)), Offer: o, Holder: "local", Rehearsal: true, State: purser.LeasePlanned, CreatedAt: now}
}

func put(t purser.Task, l purser.LeaseID) purser.TaskPlacement {
	return purser.TaskPlacement{Task: t.ID, Lease: l, Placement: purser.Placement{
		Job: t.Job, Group: t.Group, Replica: t.Replica, Variant: "v", Devices: 1000, MilliCPU: 1000, MemoryMiB: 1024,
	}}
}

// admit admits a new plan with the admission.
func (s *scene) admit(a purser.Admission) AdmitReport {
	s.Helper()
	return must(s.tryAdmit(a))(s)
}

func (s *scene) tryAdmit(a purser.Admission) (AdmitReport, error) {
	s.plans++
	snapshot, err := s.Snapshot(s.Context())
	if err != nil {
		return AdmitReport{}, err
	}
	p := purser.Plan{ID: purser.PlanID(NewID("plan", s.clock.now())), CreatedAt: snapshot.At, Status: purser.PlanOptimal, Horizon: 24 * time.Hour, Rehearsal: true}
	for _, l := range a.Launch {
		planned := purser.PlannedLease{Offer: l.Offer}
		for _, p := range append(append([]purser.TaskPlacement{}, a.Place...), a.Start...) {
			if p.Lease == l.ID {
				planned.Placements = append(planned.Placements, p.Placement)
			}
		}
		p.Leases = append(p.Leases, planned)
	}
	a.Plan, a.At = p.ID, s.clock.now()
	return s.AdmitPlan(s.Context(), "plan", p, a)
}

// place puts tasks on a new lease.
func (s *scene) place(o purser.Offer, tasks ...purser.Task) purser.LeaseID {
	s.Helper()
	l := s.newLease(o)
	a := purser.Admission{Launch: []purser.Lease{l}}
	for _, t := range tasks {
		a.Place = append(a.Place, put(t, l.ID))
	}
	if r := s.admit(a); r.Launched != 1 || r.Placed != len(tasks) {
		s.Fatalf("admitted %+v", r)
	}
	return l.ID
}

func (s *scene) advance(id purser.LeaseID, t purser.Transition) purser.Lease {
	s.Helper()
	return must(s.Advance(s.Context(), id, "step", func(purser.Lease) (purser.Transition, error) { return t, nil }))(s)
}

func secretOf(id purser.LeaseID) []byte { return fmt.Appendf(nil, "%-32.32s", id) }

// run takes a planned lease to running.
func (s *scene) run(id purser.LeaseID) {
	s.Helper()
	s.advance(id, purser.Transition{To: purser.LeaseLaunching, Attempt: 1, Next: time.Second})
	must(s.JoinLease(s.Context(), id, secretOf(id), s.clock.now()))(s)
}

func (s *scene) report(id purser.LeaseID, reports ...TaskReport) Orders {
	s.Helper()
	return must(s.Report(s.Context(), id, reports, s.clock.now()))(s)
}

func is(t purser.TaskID, state purser.TaskState) TaskReport { return TaskReport{Task: t, State: state} }

// audited lists the states that the audit has a thing go through.
func (s *scene) audited(subject, name string) []string {
	s.Helper()
	var out []string
	for _, e := range must(s.Events(s.Context(), 0, 100_000))(s) {
		if e.Subject == subject && e.Name == name && e.From != e.To {
			out = append(out, e.To)
		}
	}
	return out
}

// steps counts the River jobs of a lease that are still to come.
func (s *scene) steps(id purser.LeaseID) (n int) {
	s.Helper()
	err := s.Pool().QueryRow(s.Context(), "select count(*) from river.river_job where args->>'lease' = $1 and finalized_at is null", string(id)).Scan(&n)
	if err != nil {
		s.Fatal(err)
	}
	return n
}
