package fleet_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"purser"
	"purser/fleet"
)

// scene is an AdmitInput that is written down quickly.
type scene struct {
	in  fleet.AdmitInput
	ids int
}

func newScene() *scene {
	s := &scene{in: fleet.AdmitInput{
		Plan: purser.Plan{ID: "plan-1"}, At: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), Gain: purser.MoneyOf(5), MoveReason: "it pays",
		Hold: func(o purser.Offer) fleet.Holding {
			return fleet.Holding{Holder: "holder-of-" + o.Provider, Host: "here", Rehearsal: o.Option != purser.Private}
		},
	}}
	s.in.NewID = func(prefix string) string { s.ids++; return fmt.Sprintf("%s-new-%d", prefix, s.ids) }
	return s
}

func (s *scene) group(job purser.JobID, kind purser.GroupKind, gang bool) *scene {
	s.in.Jobs = append(s.in.Jobs, purser.Job{ID: job, Groups: []purser.TaskGroup{{Name: "g", Kind: kind, Gang: gang}}})
	return s
}

// machineOf is an offer of n devices.
func machineOf(n int) purser.Offer {
	return purser.Offer{Provider: "aws", Region: "r", InstanceType: fmt.Sprint("gpu-", n), Option: purser.Spot, UnitPrice: 1, Shape: purser.Shape{Accelerator: "T4", Devices: purser.MilliDevices(n) * purser.OneDevice, MilliCPU: int64(n) * 1000, MemoryMiB: int64(n) * 1024}}
}

func (s *scene) held(id purser.LeaseID, state purser.LeaseState, devices int) *scene {
	s.in.Leases = append(s.in.Leases, purser.Lease{ID: id, State: state, Offer: machineOf(devices)})
	return s
}

func at(job purser.JobID, replica int, variant string) purser.Placement {
	return purser.Placement{Job: job, Group: "g", Replica: replica, Variant: variant, Devices: 1000, MilliCPU: 500, MemoryMiB: 512}
}

// task adds a live task of one device; an empty lease is the queue.
func (s *scene) task(id purser.TaskID, job purser.JobID, replica int, state purser.TaskState, lease purser.LeaseID) *scene {
	t := purser.Task{ID: id, Job: job, Group: "g", Replica: replica, Attempt: 1, State: state, Lease: lease}
	if lease != "" {
		t.Variant, t.Devices, t.MilliCPU, t.MemoryMiB = "v", 1000, 500, 512
	}
	s.in.Tasks = append(s.in.Tasks, t)
	return s
}

// plan adds a planned lease; an empty held is a new one.
func (s *scene) plan(held purser.LeaseID, devices int, placements ...purser.Placement) *scene {
	s.in.Plan.Leases = append(s.in.Plan.Leases, purser.PlannedLease{Held: held, Offer: machineOf(devices), Placements: placements})
	return s
}

func (s *scene) moves() *scene { s.in.AllowMoves = true; return s }

// said writes an admission in short.
func said(a purser.Admission) []string {
	out := []string{}
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	for _, l := range a.Launch {
		say("launch %s %s", l.ID, l.Offer.InstanceType)
	}
	for _, p := range a.Place {
		say("place %s on %s", p.Task, p.Lease)
	}
	for _, p := range a.Start {
		say("start %s/%d %s on %s", p.Placement.Job, p.Placement.Replica, p.Placement.Variant, p.Lease)
	}
	for _, m := range a.Moves {
		say("move %s from %s to %s", m.Task, m.From, m.To)
	}
	for _, id := range a.Withdraw {
		say("withdraw %s", id)
	}
	for _, id := range a.Drain {
		say("drain %s", id)
	}
	for _, id := range a.Stop {
		say("stop %s", id)
	}
	return out
}

func TestAdmit(t *testing.T) {
	const training, service = purser.Training, purser.Inference
	run, queued, placed := purser.TaskRunning, purser.TaskQueued, purser.TaskPlaced
	for _, c := range []struct {
		name string
		s    *scene
		want []string
	}{
		{
			"queued tasks onto a new machine",
			newScene().group("a", training, false).task("t0", "a", 0, queued, "").task("t1", "a", 1, queued, "").plan("", 2, at("a", 0, "v"), at("a", 1, "v")),
			[]string{"launch lease-new-1 gpu-2", "place t0 on lease-new-1", "place t1 on lease-new-1"},
		},
		{
			"a queued task onto a held machine beside what runs",
			newScene().group("a", training, false).held("h", purser.LeaseRunning, 2).task("t0", "a", 0, run, "h").task("t1", "a", 1, queued, "").plan("h", 2, at("a", 0, "v"), at("a", 1, "v")),
			[]string{"place t1 on h"},
		},
		{
			"a task that has ended since is left out, and its machine is not made",
			newScene().group("a", training, false).plan("", 2, at("a", 0, "v")),
			[]string{},
		},
		{
			"a job that has ended since",
			newScene().task("t0", "a", 0, queued, "").plan("", 2, at("a", 0, "v")),
			[]string{},
		},
		{
			"a task that is being cancelled",
			func() *scene {
				s := newScene().group("a", training, false).task("t0", "a", 0, queued, "").plan("", 2, at("a", 0, "v"))
				s.in.Tasks[0].Stop = true
				return s
			}(),
			[]string{},
		},
		{
			"a running task stays where moves are not allowed, and keeps its machine",
			newScene().group("a", training, false).held("h", purser.LeaseRunning, 2).task("t0", "a", 0, run, "h").plan("", 1, at("a", 0, "v")),
			[]string{},
		},
		{
			"a running task moves where they are",
			newScene().group("a", training, false).held("h", purser.LeaseRunning, 2).task("t0", "a", 0, run, "h").plan("", 1, at("a", 0, "v")).moves(),
			[]string{"launch lease-new-1 gpu-1", "move t0 from h to lease-new-1"},
		},
		{
			"a task that moves already",
			func() *scene {
				s := newScene().group("a", training, false).held("h", purser.LeaseRunning, 2).held("k", purser.LeaseLaunching, 1).task("t0", "a", 0, run, "h").plan("", 1, at("a", 0, "v")).moves()
				s.in.Moves = []purser.Move{{Task: "t0", From: "h", To: "k", State: purser.MoveWaiting, Placement: at("a", 0, "v")}}
				return s
			}(),
			[]string{},
		},
		{
			"room that is not free yet",
			newScene().group("a", training, false).held("h", purser.LeaseRunning, 1).task("t0", "a", 0, run, "h").task("t1", "a", 1, queued, "").plan("h", 1, at("a", 1, "v")).plan("", 1, at("a", 0, "v")).moves(),
			[]string{"launch lease-new-1 gpu-1", "move t0 from h to lease-new-1"},
		},
		{
			"machines that drain or are gone take nothing",
			newScene().group("a", training, false).held("h", purser.LeaseDraining, 2).task("t0", "a", 0, queued, "").task("t1", "a", 1, queued, "").plan("h", 2, at("a", 0, "v")).plan("gone", 2, at("a", 1, "v")),
			[]string{},
		},
		{
			"a task on a draining machine comes back by itself",
			newScene().group("a", training, false).held("h", purser.LeaseDraining, 2).task("t0", "a", 0, run, "h").plan("", 1, at("a", 0, "v")).moves(),
			[]string{},
		},
		{
			"machines without use",
			newScene().held("p", purser.LeasePlanned, 1).held("l", purser.LeaseLaunching, 1).held("r", purser.LeaseRunning, 1).held("d", purser.LeaseDraining, 1).held("u", purser.LeaseRunning, 1).plan("u", 1),
			[]string{"withdraw p", "drain l", "drain r"},
		},
		{
			"a gang of which one does not fit",
			newScene().group("a", training, true).held("h", purser.LeaseRunning, 1).group("b", training, false).task("x", "b", 0, run, "h").task("t0", "a", 0, queued, "").task("t1", "a", 1, queued, "").
				plan("h", 1, at("a", 0, "v")).plan("", 1, at("a", 1, "v")),
			[]string{},
		},
		{
			"a gang that fits",
			newScene().group("a", training, true).task("t0", "a", 0, queued, "").task("t1", "a", 1, queued, "").plan("", 1, at("a", 0, "v")).plan("", 1, at("a", 1, "v")),
			[]string{"launch lease-new-1 gpu-1", "launch lease-new-2 gpu-1", "place t0 on lease-new-1", "place t1 on lease-new-2"},
		},
		{
			"a service begins",
			newScene().group("s", service, false).plan("", 2, at("s", 0, "v"), at("s", 1, "v")),
			[]string{"launch lease-new-1 gpu-2", "start s/0 v on lease-new-1", "start s/1 v on lease-new-1"},
		},
		{
			"a service grows by the lowest free number, whatever the plan calls its replicas",
			newScene().group("s", service, false).held("h", purser.LeaseRunning, 4).task("t3", "s", 3, run, "h").task("t0", "s", 0, run, "h").plan("h", 4, at("s", 0, "v"), at("s", 1, "v"), at("s", 2, "v")),
			[]string{"start s/1 v on h"},
		},
		{
			"a service shrinks",
			newScene().group("s", service, false).held("h", purser.LeaseRunning, 4).held("k", purser.LeaseRunning, 4).task("t0", "s", 0, run, "h").task("t1", "s", 1, run, "k").task("t2", "s", 2, placed, "k").plan("k", 4, at("s", 0, "v")),
			[]string{"stop t0", "stop t2"},
		},
		{
			"a service that is not wholly served does not shrink",
			func() *scene {
				s := newScene().group("s", service, false).held("h", purser.LeaseRunning, 4).task("t0", "s", 0, run, "h").task("t1", "s", 1, run, "h").plan("h", 4, at("s", 0, "v"))
				s.in.Plan.Unplaced = []purser.Unplaced{{Job: "s", Group: "g", Replicas: 1}}
				return s
			}(),
			[]string{},
		},
		{
			"a lost replica of a service comes back in its place",
			newScene().group("s", service, false).held("h", purser.LeaseRunning, 4).task("t0", "s", 0, run, "h").task("t7", "s", 7, queued, "").plan("h", 4, at("s", 0, "v"), at("s", 1, "v")),
			[]string{"place t7 on h"},
		},
		{
			"a service stays where moves are not allowed: nothing more begins",
			newScene().group("s", service, false).held("h", purser.LeaseRunning, 4).task("t0", "s", 0, run, "h").plan("", 4, at("s", 0, "w")),
			[]string{},
		},
		{
			"a service moves",
			newScene().group("s", service, false).held("h", purser.LeaseRunning, 4).task("t0", "s", 0, run, "h").plan("", 4, at("s", 0, "w")).moves(),
			[]string{"launch lease-new-1 gpu-4", "move t0 from h to lease-new-1"},
		},
		{
			"a service on a draining machine begins elsewhere at once",
			newScene().group("s", service, false).held("h", purser.LeaseDraining, 4).task("t0", "s", 0, run, "h").plan("", 4, at("s", 0, "v")),
			[]string{"launch lease-new-1 gpu-4", "start s/1 v on lease-new-1"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := said(fleet.Admit(c.s.in)); !slices.Equal(got, c.want) {
				t.Errorf("admission\n  %q\nwant\n  %q", got, c.want)
			}
		})
	}
}

func TestAdmittedLeasesAndMoves(t *testing.T) {
	s := newScene().group("a", purser.Training, false).held("h", purser.LeaseRunning, 2).task("t0", "a", 0, purser.TaskRunning, "h").plan("", 1, at("a", 0, "w")).moves()
	a := fleet.Admit(s.in)
	l := a.Launch[0]
	if l.Plan != "plan-1" || l.Holder != "holder-of-aws" || l.Host != "here" || !l.Rehearsal || l.State != purser.LeasePlanned || !l.CreatedAt.Equal(s.in.At) || l.Offer.InstanceType != "gpu-1" {
		t.Errorf("lease %+v", l)
	}
	want := purser.Move{Task: "t0", From: "h", To: l.ID, Plan: "plan-1", State: purser.MoveWaiting, Gain: purser.MoneyOf(5), Placement: at("a", 0, "w"), Reason: "it pays", At: s.in.At}
	if a.Moves[0] != want {
		t.Errorf("move %+v, want %+v", a.Moves[0], want)
	}
	own := newScene().group("a", purser.Training, false).task("t0", "a", 0, purser.TaskQueued, "").plan("", 1, at("a", 0, "v"))
	own.in.Plan.Leases[0].Offer.Option = purser.Private
	if l := fleet.Admit(own.in).Launch[0]; l.Rehearsal {
		t.Error("an own host is rehearsed")
	}
}

// Whatever the snapshot and the plan: no machine is filled beyond its room, no task
// or replica is dealt with twice, nothing goes where it cannot, nothing that has
// work is given up, and the same input gives the same admission.
func TestAdmitIsSafe(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawScene(t)
		a := fleet.Admit(s.in)
		s.ids = 0
		again := fleet.Admit(s.in)
		x, _ := json.Marshal(a)
		y, _ := json.Marshal(again)
		if string(x) != string(y) {
			t.Fatalf("the same input gives\n%s\nand\n%s", x, y)
		}
		checkAdmission(t, s.in, a)
	})
}

func drawScene(t *rapid.T) *scene {
	s := newScene()
	s.in.AllowMoves = rapid.Bool().Draw(t, "moves")
	jobs := rapid.IntRange(1, 4).Draw(t, "jobs")
	for i := range jobs {
		kind := rapid.SampledFrom([]purser.GroupKind{purser.Training, purser.Inference}).Draw(t, "kind")
		s.group(purser.JobID(fmt.Sprint("job-", i)), kind, kind == purser.Training && rapid.Bool().Draw(t, "gang"))
	}
	leases := rapid.IntRange(0, 5).Draw(t, "leases")
	for i := range leases {
		s.held(purser.LeaseID(fmt.Sprint("held-", i)), rapid.SampledFrom([]purser.LeaseState{purser.LeasePlanned, purser.LeaseLaunching, purser.LeaseRunning, purser.LeaseDraining}).Draw(t, "state"), rapid.IntRange(1, 4).Draw(t, "devices"))
	}
	room := map[purser.LeaseID]int{}
	for _, l := range s.in.Leases {
		room[l.ID] = int(l.Offer.Devices / purser.OneDevice)
	}
	for j := range jobs {
		for r := range rapid.IntRange(0, 5).Draw(t, "tasks") {
			job := purser.JobID(fmt.Sprint("job-", j))
			id := purser.TaskID(fmt.Sprintf("task-%d-%d", j, r))
			if leases > 0 && rapid.Bool().Draw(t, "on a lease") {
				if l := purser.LeaseID(fmt.Sprint("held-", rapid.IntRange(0, leases-1).Draw(t, "lease"))); room[l] > 0 {
					room[l]--
					s.task(id, job, r, rapid.SampledFrom([]purser.TaskState{purser.TaskPlaced, purser.TaskRunning}).Draw(t, "task state"), l)
					continue
				}
			}
			s.task(id, job, r, purser.TaskQueued, "")
		}
	}
	var open []purser.LeaseID // planned leases hold each held one at most once
	for _, l := range s.in.Leases {
		open = append(open, l.ID)
	}
	for range rapid.IntRange(0, 6).Draw(t, "planned") {
		held, devices := purser.LeaseID(""), rapid.IntRange(1, 4).Draw(t, "size")
		if len(open) > 0 && rapid.Bool().Draw(t, "held") {
			held, open = open[0], open[1:]
		}
		var on []purser.Placement
		for range rapid.IntRange(0, 4).Draw(t, "placements") {
			on = append(on, at(purser.JobID(fmt.Sprint("job-", rapid.IntRange(0, jobs).Draw(t, "job"))), rapid.IntRange(0, 6).Draw(t, "replica"), rapid.SampledFrom([]string{"v", "w"}).Draw(t, "variant")))
		}
		s.plan(held, devices, on...)
	}
	return s
}

func checkAdmission(t *rapid.T, in fleet.AdmitInput, a purser.Admission) {
	leases := map[purser.LeaseID]purser.Lease{}
	used := map[purser.LeaseID]purser.MilliDevices{}
	has := map[purser.LeaseID]bool{}
	for _, l := range append(slices.Clone(in.Leases), a.Launch...) {
		leases[l.ID] = l
	}
	tasks := map[purser.TaskID]purser.Task{}
	live := map[string]bool{}
	for _, x := range in.Tasks {
		tasks[x.ID] = x
		live[fmt.Sprint(x.Job, x.Replica)] = true
		if x.Lease != "" {
			used[x.Lease] += x.Devices
			has[x.Lease] = true
		}
	}
	seen := map[purser.TaskID]bool{}
	put := func(id purser.LeaseID, p purser.Placement) {
		l, ok := leases[id]
		if !ok || l.State == purser.LeaseDraining {
			t.Fatalf("something goes to %s, which is %s", id, l.State)
		}
		has[id] = true
		if used[id] += p.Devices; used[id] > l.Offer.Devices {
			t.Fatalf("%s is filled with %s of %s devices", id, used[id], l.Offer.Devices)
		}
	}
	once := func(id purser.TaskID) purser.Task {
		if x, ok := tasks[id]; !ok || seen[id] {
			t.Fatalf("task %s is not there or dealt with twice (%+v)", id, x)
		}
		seen[id] = true
		return tasks[id]
	}
	for _, p := range a.Place {
		if x := once(p.Task); x.State != purser.TaskQueued || x.Replica != p.Placement.Replica || x.Job != p.Placement.Job {
			t.Fatalf("task %+v is placed as %+v", x, p)
		}
		put(p.Lease, p.Placement)
	}
	for _, m := range a.Moves {
		if x := once(m.Task); !in.AllowMoves || x.Lease != m.From || m.From == m.To || x.State == purser.TaskQueued || x.Replica != m.Placement.Replica {
			t.Fatalf("task %+v moves by %+v", x, m)
		}
		put(m.To, m.Placement)
	}
	for _, p := range a.Start {
		key := fmt.Sprint(p.Placement.Job, p.Placement.Replica)
		if live[key] {
			t.Fatalf("replica %s gets a second task", key)
		}
		live[key] = true
		put(p.Lease, p.Placement)
	}
	for _, id := range a.Stop {
		once(id)
	}
	for _, l := range a.Launch {
		if !has[l.ID] {
			t.Fatalf("lease %s is made for nothing", l.ID)
		}
	}
	for _, id := range append(slices.Clone(a.Withdraw), a.Drain...) {
		if has[id] || a.Reasons[id] == "" {
			t.Fatalf("lease %s is given up though it has work, or without a reason", id)
		}
	}
}
