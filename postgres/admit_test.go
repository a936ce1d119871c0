package postgres

import (
	"slices"
	"strings"
	"testing"
	"time"

	"purser"
)

func skippedFor(r AdmitReport, name any) string {
	for _, s := range r.Skipped {
		if s.Name == name {
			return s.Reason
		}
	}
	return ""
}

func TestAdmitChecksAgain(t *testing.T) {
	s := newScene(t)
	job := s.submit(training("a", 4))
	tasks := s.tasks(job)
	other := s.submit(training("b", 1))
	otherTask := s.tasks(other)[0]
	taken := s.place(offer(purser.OnDemand), tasks[0])
	must(s.CancelJob(t.Context(), "user", other))(t)

	empty, part, spare := s.newLease(offer(purser.OnDemand)), s.newLease(offer(purser.Spot)), s.newLease(offer(purser.OnDemand))
	r := s.admit(purser.Admission{
		Launch: []purser.Lease{empty, part, spare},
		Place: []purser.TaskPlacement{
			put(tasks[0], empty.ID), put(otherTask, empty.ID), // placed already, cancelled
			put(tasks[1], part.ID), put(tasks[1], part.ID), // twice
			put(tasks[2], "lease-none"), put(purser.Task{ID: "task-none"}, part.ID),
			put(tasks[3], taken),
		},
		Withdraw: []purser.LeaseID{"lease-none"}, Drain: []purser.LeaseID{taken}, Stop: []purser.TaskID{tasks[1].ID},
	})
	if r.Launched != 2 || r.Placed != 2 || r.Drained != 0 || r.Withdrawn != 0 || r.Stopped != 0 {
		t.Errorf("%+v", r)
	}
	for name, want := range map[any]string{
		string(tasks[0].ID): "placed", string(otherTask.ID): "cancelled", string(empty.ID): "nothing would run", string(tasks[2].ID): "no lease",
		"task-none": "no such task", string(taken): "planned", "lease-none": "no such lease",
	} {
		if got := skippedFor(r, name); !strings.Contains(got, want) {
			t.Errorf("%v was skipped because %q, want %q", name, got, want)
		}
	}
	if _, err := s.Lease(t.Context(), empty.ID); purser.KindOf(err) != purser.KindNotFound {
		t.Errorf("a lease with nothing on it was made: %v", err)
	}
	if l := s.lease(spare.ID); l.State != purser.LeasePlanned || s.steps(spare.ID) != 1 {
		t.Errorf("spare capacity: %+v", l)
	}
	if got := states(s.tasks(job)); !slices.Equal(got, []purser.TaskState{"placed", "placed", "queued", "placed"}) {
		t.Errorf("%v", got)
	}
	if r := s.admit(purser.Admission{Withdraw: []purser.LeaseID{taken}}); r.Withdrawn != 1 {
		t.Errorf("%+v", r)
	}
	if got := states(s.tasks(job)); !slices.Equal(got, []purser.TaskState{"queued", "placed", "queued", "queued"}) {
		t.Errorf("after the withdrawal: %v", got)
	}
	var placements int
	if err := s.Pool().QueryRow(t.Context(), "select count(*) from placements where lease = $1", string(part.ID)).Scan(&placements); err != nil || placements != 3 {
		t.Errorf("%d placements are kept for the plan's machine, %v", placements, err)
	}
}

func TestAdmitKeepsToTheRoom(t *testing.T) {
	s := newScene(t)
	o := offer(purser.OnDemand)
	o.Devices = 2000
	tasks := s.tasks(s.submit(training("a", 4)))
	lease := s.place(o, tasks[0])
	r := s.admit(purser.Admission{Place: []purser.TaskPlacement{put(tasks[1], lease), put(tasks[2], lease)}})
	if r.Placed != 1 || !strings.Contains(skippedFor(r, string(tasks[2].ID)), "no room") {
		t.Errorf("%+v", r)
	}
	// A move that is on its way takes room too.
	other := s.place(o, tasks[2])
	s.run(lease)
	s.run(other)
	r = s.admit(purser.Admission{Moves: []purser.Move{{Task: tasks[0].ID, From: lease, To: other, Placement: put(tasks[0], other).Placement}}})
	if r.Moved != 1 {
		t.Fatalf("%+v", r)
	}
	if r := s.admit(purser.Admission{Place: []purser.TaskPlacement{put(tasks[3], other)}}); r.Placed != 0 {
		t.Errorf("the room of a move was given away: %+v", r)
	}
}

// What one admission starts and drains at once is asked to stop.
func TestAdmitStartsWhereItDrains(t *testing.T) {
	s := newScene(t)
	lease, _, _ := s.running()
	job := s.submit(service("web"))
	p := put(purser.Task{Job: job, Group: "serve"}, lease)
	p.Task = ""
	if r := s.admit(purser.Admission{Start: []purser.TaskPlacement{p}, Drain: []purser.LeaseID{lease}}); r.Started != 1 || r.Drained != 1 {
		t.Fatalf("%+v", r)
	}
	if task := s.tasks(job)[0]; task.State != purser.TaskPlaced || !task.Stop {
		t.Errorf("%+v", task)
	}
	s.report(lease)
	if task := s.tasks(job)[0]; task.State != purser.TaskQueued || task.Stop {
		t.Errorf("%+v", task)
	}
}

func TestAdmitGangsWhole(t *testing.T) {
	s := newScene(t)
	job := s.submit(training("g", 3, func(g *purser.TaskGroup) { g.Gang = true }))
	tasks := s.tasks(job)
	o := offer(purser.OnDemand)
	o.Devices = 2000
	l := s.newLease(o)
	r := s.admit(purser.Admission{Launch: []purser.Lease{l}, Place: []purser.TaskPlacement{put(tasks[0], l.ID), put(tasks[1], l.ID), put(tasks[2], l.ID)}})
	if r.Placed != 0 || r.Launched != 0 || len(r.Skipped) != 4 {
		t.Errorf("a gang with room for two of three: %+v", r)
	}
	if got := states(s.tasks(job)); slices.Contains(got, purser.TaskPlaced) {
		t.Errorf("%v", got)
	}
}

func TestAdmitStaleAndTwice(t *testing.T) {
	s := newScene(t)
	task := s.tasks(s.submit(training("a", 1)))[0]
	old := must(s.Snapshot(t.Context()))(t)
	lease := s.place(offer(purser.OnDemand), task)
	p := purser.Plan{ID: "plan-late", CreatedAt: old.At, Status: purser.PlanOptimal}
	_, err := s.AdmitPlan(t.Context(), "plan", p, purser.Admission{Plan: p.ID})
	wantKind(t, err, purser.KindStale)
	p.CreatedAt = must(s.Snapshot(t.Context()))(t).At
	p.Leases = []purser.PlannedLease{{Offer: offer(purser.OnDemand), Held: lease, Placements: []purser.Placement{put(task, lease).Placement}}}
	p.Refusals = []purser.Refusal{{Job: task.Job, Group: "train", Offers: 3, Allowed: 1, Reasons: map[purser.RefusalReason]int{purser.ReasonCPU: 2}}}
	p.Objective, p.Bound, p.Gap = 12_345_678_901, 12_000_000_000, 0.028
	events := must(s.LastEvent(t.Context()))(t)
	must(s.AdmitPlan(t.Context(), "plan", p, purser.Admission{}))(t)
	_, err = s.AdmitPlan(t.Context(), "plan", p, purser.Admission{})
	wantKind(t, err, purser.KindConflict)
	if n := must(s.LastEvent(t.Context()))(t); n != events+1 {
		t.Errorf("%d audit rows for one plan", n-events)
	}
	for _, id := range []purser.PlanID{"plan-late", "latest"} {
		got := must(s.Plan(t.Context(), id))(t)
		if got.ID != p.ID || got.Objective != p.Objective || got.Gap != p.Gap || len(got.Leases) != 1 || len(got.Refusals) != 1 || got.Refusals[0].Reasons[purser.ReasonCPU] != 2 || !got.CreatedAt.Equal(p.CreatedAt) {
			t.Errorf("%s: %+v", id, got)
		}
	}
	if list := must(s.Plans(t.Context(), 0))(t); len(list) != 2 || list[0].ID != p.ID || list[0].Bound != p.Bound || list[0].Leases != nil {
		t.Errorf("%+v", list)
	}
	_, err = s.Plan(t.Context(), "plan-none")
	wantKind(t, err, purser.KindNotFound)
	for _, bad := range []purser.Plan{{}, {ID: "x"}, {ID: "x", CreatedAt: time.Now().Add(time.Hour), Status: "odd"}} {
		_, err = s.AdmitPlan(t.Context(), "plan", bad, purser.Admission{})
		wantKind(t, err, purser.KindInvalid)
	}
	var plans int
	if _, n, err := s.Prune(t.Context(), time.Time{}, time.Now().Add(time.Hour)); err != nil || n != 0 {
		t.Errorf("%d plans were forgotten, %v", n, err) // one has a lease, one is the newest
	}
	s.admit(purser.Admission{})
	if _, n, err := s.Prune(t.Context(), time.Time{}, time.Now().Add(time.Hour)); err != nil || n != 1 {
		t.Errorf("%d plans were forgotten, %v", n, err)
	}
	if err := s.Pool().QueryRow(t.Context(), "select count(*) from plans").Scan(&plans); err != nil || plans != 2 {
		t.Errorf("%d plans are left, %v", plans, err)
	}
}

func TestSnapshot(t *testing.T) {
	s := newScene(t)
	lease, job, tasks := s.running()
	other := s.place(offer(purser.Spot), s.tasks(s.submit(training("x", 1)))[0])
	s.admit(purser.Admission{Moves: []purser.Move{{Task: tasks[0].ID, From: lease, To: other, Gain: 5, Reason: "cheaper", Placement: put(tasks[0], other).Placement}}})
	failed := s.place(offer(purser.OnDemand), s.tasks(s.submit(training("y", 1)))[0])
	s.advance(failed, purser.Transition{To: purser.LeaseLaunching, Attempt: 1})
	s.advance(failed, purser.Transition{To: purser.LeaseFailed, Reason: "no_capacity: none left"})
	never := s.place(offer(purser.Spot), s.tasks(s.submit(training("z", 1)))[0])
	s.advance(never, purser.Transition{To: purser.LeaseLaunching, Attempt: 1})
	s.advance(never, purser.Transition{To: purser.LeaseDraining, Reason: "unavailable: it did not join"})
	s.advance(never, purser.Transition{To: purser.LeaseReleased})
	unwanted := s.place(offer(purser.Reserved), s.tasks(s.submit(training("u", 1)))[0])
	s.advance(unwanted, purser.Transition{To: purser.LeaseLaunching, Attempt: 1})
	s.advance(unwanted, purser.Transition{To: purser.LeaseDraining, Reason: "the newest plan has no use for it"})
	s.advance(unwanted, purser.Transition{To: purser.LeaseReleased})
	quotas := []purser.Quota{{Name: "a", Limit: 3, Unit: purser.QuotaMachines}}
	if err := s.SetQuotas(t.Context(), "user", quotas); err != nil {
		t.Fatal(err)
	}
	snap := must(s.Snapshot(t.Context()))(t)
	if len(snap.Jobs) != 5 || len(snap.Tasks) != 6 || len(snap.Leases) != 2 || len(snap.Moves) != 1 || !slices.Equal(snap.Quotas, quotas) || snap.At.IsZero() {
		t.Errorf("%+v", snap)
	}
	if m := snap.Moves[0]; m.Gain != 5 || m.State != purser.MoveWaiting || m.Placement.Devices != 1000 || m.From != lease || m.To != other {
		t.Errorf("%+v", m)
	}
	if open := must(s.OpenMoves(t.Context()))(t); !slices.Equal(open, snap.Moves) {
		t.Errorf("%+v", open)
	}
	if f := snap.Failed; len(f) != 2 || f[1].Kind != purser.KindNoCapacity || f[1].Offer != offer(purser.OnDemand).ID() || f[0].Kind != purser.KindUnavailable {
		t.Errorf("%+v", f)
	}
	s.clock.pass(2 * failedFor)
	if snap := must(s.Snapshot(t.Context()))(t); len(snap.Failed) != 0 {
		t.Errorf("an old failure is still told: %+v", snap.Failed)
	}
	_ = job
}

func TestMove(t *testing.T) {
	for name, c := range map[string]struct {
		then func(s *scene, from, to purser.LeaseID, task purser.Task)
		move purser.MoveState
		want []purser.TaskState // of the moved replica
		on   string             // where its newest task is
	}{
		"done": {func(s *scene, from, to purser.LeaseID, task purser.Task) {
			s.run(to)
			if n := must(s.ProgressMoves(s.Context(), s.clock.now()))(s); n != 1 {
				s.Errorf("%d moves went on", n)
			}
			if o := s.report(from, is(task.ID, purser.TaskRunning)); !slices.Equal(o.Stop, []purser.TaskID{task.ID}) {
				s.Errorf("orders %+v", o)
			}
			s.report(from, TaskReport{Task: task.ID, State: purser.TaskLost, Checkpoint: "/new"})
		}, purser.MoveDone, []purser.TaskState{"lost", "placed"}, "to"},
		"its lease fails first": {func(s *scene, from, to purser.LeaseID, task purser.Task) {
			s.advance(from, purser.Transition{To: purser.LeaseFailed, Reason: "gone"})
		}, purser.MoveDone, []purser.TaskState{"lost", "placed"}, "to"},
		"the new lease fails": {func(s *scene, from, to purser.LeaseID, task purser.Task) {
			s.advance(to, purser.Transition{To: purser.LeaseLaunching})
			s.advance(to, purser.Transition{To: purser.LeaseFailed})
		}, purser.MoveUndone, []purser.TaskState{"running"}, "from"},
		"the new lease fails late": {func(s *scene, from, to purser.LeaseID, task purser.Task) {
			s.run(to)
			must(s.ProgressMoves(s.Context(), s.clock.now()))(s)
			s.advance(to, purser.Transition{To: purser.LeaseFailed})
			s.report(from, is(task.ID, purser.TaskLost))
		}, purser.MoveUndone, []purser.TaskState{"lost", "queued"}, ""},
		"it ends by itself": {func(s *scene, from, to purser.LeaseID, task purser.Task) {
			s.run(to)
			must(s.ProgressMoves(s.Context(), s.clock.now()))(s)
			s.report(from, is(task.ID, purser.TaskSucceeded))
		}, purser.MoveUndone, []purser.TaskState{"succeeded"}, "from"},
		"it is cancelled": {func(s *scene, from, to purser.LeaseID, task purser.Task) {
			must(s.CancelJob(s.Context(), "user", task.Job))(s)
			s.run(to)
			if n := must(s.ProgressMoves(s.Context(), s.clock.now()))(s); n != 0 {
				s.Errorf("%d moves went on", n)
			}
			s.report(from, is(task.ID, purser.TaskLost))
		}, purser.MoveUndone, []purser.TaskState{"cancelled"}, "from"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			from, job, tasks := s.running()
			to := s.newLease(offer(purser.Spot))
			move := purser.Move{Task: tasks[0].ID, From: from, To: to.ID, Reason: "cheaper", Placement: put(tasks[0], to.ID).Placement}
			if r := s.admit(purser.Admission{Launch: []purser.Lease{to}, Moves: []purser.Move{move, move}}); r.Moved != 1 || r.Launched != 1 || len(r.Skipped) != 1 {
				t.Fatalf("%+v", r)
			}
			if n := must(s.ProgressMoves(t.Context(), s.clock.now()))(t); n != 0 {
				t.Errorf("%d moves went on before the machine was there", n)
			}
			c.then(s, from, to.ID, tasks[0])
			var state purser.MoveState
			if err := s.Pool().QueryRow(t.Context(), "select state from moves").Scan(&state); err != nil || state != c.move {
				t.Errorf("the move is %s, %v; want %s", state, err, c.move)
			}
			var got []purser.TaskState
			var on purser.LeaseID
			for _, task := range s.tasks(job) {
				if task.Replica == 0 {
					got, on = append(got, task.State), task.Lease
				}
			}
			if want := map[string]purser.LeaseID{"from": from, "to": to.ID}[c.on]; !slices.Equal(got, c.want) || on != want {
				t.Errorf("tasks are %v on %q; want %v on %q", got, on, c.want, want)
			}
		})
	}
}
