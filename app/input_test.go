package app

import (
	"log/slog"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"purser"
	"purser/optimizer"
	"purser/policy"
	"purser/postgres"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// idle is an App with a clock that stands, and nothing behind it.
func idle(t *testing.T) *App {
	t.Helper()
	config := DefaultConfig()
	config.DataDir = t.TempDir()
	return New(config, Options{Version: "test", Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return noon }})
}

func offer(kind string, option purser.PurchaseOption, price float64) purser.Offer {
	return purser.Offer{
		Provider: "aws", Region: "us-east-1", InstanceType: kind, Option: option, UnitPrice: purser.USDPerHourOf(price), Limit: purser.Unlimited,
		Shape:      purser.Shape{Accelerator: "T4", Devices: 4000, DeviceMemoryMiB: 16 << 10, MilliCPU: 48_000, MemoryMiB: 192 << 10},
		ObservedAt: noon, ValidFrom: noon, Source: "test",
	}
}

func training(id purser.JobID, replicas int) purser.Job {
	return purser.Job{ID: id, Project: "default", Name: string(id), Groups: []purser.TaskGroup{{
		Name: "train", Kind: purser.Training, Replicas: replicas, RunTime: time.Hour, Run: purser.Run{Command: "true"},
		Variants: []purser.Variant{{Name: "T4", Accelerator: "T4", Devices: 1000, MilliCPU: 1000, MemoryMiB: 1024}},
	}}}
}

func on(lease purser.LeaseID, job purser.JobID, replica int, state purser.TaskState) purser.Task {
	return purser.Task{
		ID: purser.TaskID(string(job) + "-" + string(rune('0'+replica))), Job: job, Group: "train", Replica: replica, Attempt: 1, State: state,
		Lease: lease, Variant: "T4", Devices: 1000, MilliCPU: 1000, MemoryMiB: 1024,
	}
}

func leased(id purser.LeaseID, state purser.LeaseState, o purser.Offer) purser.Lease {
	return purser.Lease{ID: id, State: state, Offer: o, Holder: localHolder, Rehearsal: true}
}

func TestHeldLeases(t *testing.T) {
	spot, od := offer("spot", purser.Spot, 1), offer("od", purser.OnDemand, 4)
	now := map[purser.OfferID]purser.USDPerHour{spot.ID(): purser.USDPerHourOf(3), od.ID(): purser.USDPerHourOf(9)}
	for name, c := range map[string]struct {
		snap postgres.Snapshot
		want map[purser.LeaseID]string // devices @ price, placements
	}{
		"spot costs what it costs now, on demand what was agreed": {
			postgres.Snapshot{
				Jobs: []purser.Job{training("a", 2)}, Leases: []purser.Lease{leased("l1", purser.LeaseRunning, spot), leased("l2", purser.LeaseRunning, od)},
				Tasks: []purser.Task{on("l1", "a", 0, purser.TaskRunning), on("l2", "a", 1, purser.TaskPlaced)},
			},
			map[purser.LeaseID]string{"l1": "4000 $3.00/h 1", "l2": "4000 $4.00/h 1"},
		},
		"draining leases are not counted on": {
			postgres.Snapshot{Jobs: []purser.Job{training("a", 1)}, Leases: []purser.Lease{leased("l1", purser.LeaseDraining, od)}, Tasks: []purser.Task{on("l1", "a", 0, purser.TaskRunning)}},
			map[purser.LeaseID]string{},
		},
		"idle leases are": {
			postgres.Snapshot{Leases: []purser.Lease{leased("l1", purser.LeaseRunning, od)}},
			map[purser.LeaseID]string{"l1": "4000 $4.00/h 0"},
		},
		"cancelled work keeps its room until it has ended": {
			postgres.Snapshot{
				Jobs: []purser.Job{training("a", 1)}, Leases: []purser.Lease{leased("l1", purser.LeaseRunning, od)},
				Tasks: []purser.Task{on("l1", "a", 0, purser.TaskRunning), on("l1", "gone", 0, purser.TaskRunning), on("l1", "gone", 1, purser.TaskRunning)},
			},
			map[purser.LeaseID]string{"l1": "2000 $4.00/h 1"},
		},
		"a lease with cancelled work alone is about to go": {
			postgres.Snapshot{Leases: []purser.Lease{leased("l1", purser.LeaseRunning, od)}, Tasks: []purser.Task{on("l1", "gone", 0, purser.TaskRunning)}},
			map[purser.LeaseID]string{},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := map[purser.LeaseID]string{}
			for _, h := range heldLeases(c.snap, now) {
				got[h.Lease.ID] = strings.Join([]string{itoa(int(h.Lease.Offer.Devices)), h.Lease.Offer.UnitPrice.String(), itoa(len(h.Placements))}, " ")
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("held %v, want %v", got, c.want)
			}
		})
	}
}

func itoa(n int) string { return strconv.Itoa(n) }

func TestNeeds(t *testing.T) {
	service := purser.Job{ID: "s", Groups: []purser.TaskGroup{{Name: "serve", Kind: purser.Inference, Demand: 5}}}
	snap := postgres.Snapshot{
		Jobs: []purser.Job{training("a", 5), service, training("b", 1)},
		Tasks: []purser.Task{
			on("", "a", 0, purser.TaskQueued), on("standing", "a", 1, purser.TaskPlaced), on("draining", "a", 2, purser.TaskRunning),
			func() purser.Task { x := on("standing", "a", 3, purser.TaskRunning); x.Progress = 0.75; return x }(),
			func() purser.Task { x := on("standing", "a", 4, purser.TaskRunning); x.Stop = true; return x }(),
			on("standing", "cancelled", 0, purser.TaskRunning),
		},
	}
	got := needs(snap, []optimizer.Held{{Lease: purser.Lease{ID: "standing"}}}, noon)
	want := []optimizer.Need{
		{Job: "a", Group: "train", Replicas: []int{0, 1, 3}, Left: map[int]float64{3: 0.25}},
		{Job: "b", Group: "train", Replicas: []int{}, Left: map[int]float64{}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("needs %+v, want %+v", got, want)
	}
}

func TestShareLeft(t *testing.T) {
	g := training("a", 1).Groups[0]
	began := func(ago time.Duration) purser.Task {
		x := on("l", "a", 0, purser.TaskRunning)
		x.StartedAt = noon.Add(-ago)
		return x
	}
	for name, c := range map[string]struct {
		task purser.Task
		want float64
	}{
		"queued":                            {on("", "a", 0, purser.TaskQueued), 1},
		"placed":                            {on("l", "a", 0, purser.TaskPlaced), 1},
		"its own word":                      {func() purser.Task { x := began(time.Minute); x.Progress = 0.5; return x }(), 0.5},
		"by time":                           {began(15 * time.Minute), 0.75},
		"longer than thought":               {began(5 * time.Hour), 1.0 / 32},
		"a start that lies ahead":           {began(-time.Hour), 1},
		"another variant":                   {func() purser.Task { x := began(30 * time.Minute); x.Variant = "none"; return x }(), 1},
		"queued again without a checkpoint": {func() purser.Task { x := on("", "a", 0, purser.TaskQueued); x.Progress = 0.9; return x }(), 1},
		"queued again with one": {func() purser.Task {
			x := on("", "a", 0, purser.TaskQueued)
			x.Progress, x.Checkpoint = 0.75, "/c"
			return x
		}(), 0.25},
	} {
		if got := shareLeft(g, c.task, noon); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// What the optimizer is told never breaks its rules: a share lies above 0 and at most
// at 1, a replica is needed once, and no lease is held that drains.
func TestInputKeepsItsPromises(t *testing.T) {
	a := idle(t)
	rapid.Check(t, func(rt *rapid.T) {
		states := []purser.LeaseState{purser.LeasePlanned, purser.LeaseLaunching, purser.LeaseRunning, purser.LeaseDraining}
		snap := postgres.Snapshot{At: noon}
		for i := range rapid.IntRange(0, 4).Draw(rt, "leases") {
			big := offer("m", purser.Spot, 1)
			big.Devices = 16_000
			snap.Leases = append(snap.Leases, leased(purser.LeaseID("l"+itoa(i)), rapid.SampledFrom(states).Draw(rt, "state"), big))
		}
		for j := range rapid.IntRange(0, 3).Draw(rt, "jobs") {
			job := training(purser.JobID("j"+itoa(j)), 4)
			if rapid.Bool().Draw(rt, "live") {
				snap.Jobs = append(snap.Jobs, job)
			}
			for r := range 4 {
				x := on("", job.ID, r, purser.TaskQueued)
				if len(snap.Leases) > 0 && rapid.Bool().Draw(rt, "placed") {
					x = on(rapid.SampledFrom(snap.Leases).Draw(rt, "lease").ID, job.ID, r, rapid.SampledFrom([]purser.TaskState{purser.TaskPlaced, purser.TaskRunning}).Draw(rt, "task"))
				}
				x.Progress = rapid.SampledFrom([]float64{0, 0, 0.3, 1, 1.7, -2}).Draw(rt, "progress")
				x.StartedAt = noon.Add(time.Duration(rapid.IntRange(-100, 100).Draw(rt, "minutes")) * time.Minute)
				x.Stop = rapid.Bool().Draw(rt, "stop")
				snap.Tasks = append(snap.Tasks, x)
			}
		}
		in := a.input(snap, []purser.Offer{offer("m", purser.Spot, 2)}, true)
		for _, n := range in.Needs {
			seen := map[int]bool{}
			for _, r := range n.Replicas {
				if seen[r] {
					rt.Fatalf("replica %d is needed twice", r)
				}
				seen[r] = true
			}
			for r, left := range n.Left {
				if !seen[r] || left <= 0 || left > 1 {
					rt.Fatalf("replica %d has %v left", r, left)
				}
			}
		}
		for _, h := range in.Held {
			if h.Lease.State == purser.LeaseDraining || h.Lease.Offer.Devices <= 0 || h.Lease.Offer.MilliCPU < 0 {
				rt.Fatalf("held: %+v", h.Lease)
			}
		}
		if _, err := optimizer.NewProblem(in); err != nil {
			rt.Fatalf("the optimizer refuses it: %v", err)
		}
	})
}

func TestInputLeavesOutWhatCoolsDown(t *testing.T) {
	a := idle(t)
	a.config.MaxMachines = 3
	a.limits.Quotas = []purser.Quota{{Name: "mine", Unit: purser.QuotaMachines, Limit: 9}}
	offers := []purser.Offer{offer("gone", purser.Spot, 1), offer("back", purser.Spot, 2), offer("fine", purser.Spot, 3)}
	snap := postgres.Snapshot{
		Failed: []postgres.FailedOffer{
			{Offer: offers[0].ID(), Kind: purser.KindNoCapacity, At: noon.Add(-time.Minute)},
			{Offer: offers[1].ID(), Kind: purser.KindNoCapacity, At: noon.Add(-policy.CoolDown(purser.KindNoCapacity) - time.Second)},
		},
		Leases: []purser.Lease{leased("l1", purser.LeaseDraining, offers[0]), leased("l2", purser.LeaseRunning, offers[2])},
		Quotas: []purser.Quota{{Name: "stored", Unit: purser.QuotaMachines, Limit: 7}},
	}
	in := a.input(snap, offers, false)
	if len(in.Offers) != 2 || in.Offers[0].InstanceType != "back" || in.Offers[1].InstanceType != "fine" || in.KeepPlacements {
		t.Errorf("offers %+v", in.Offers)
	}
	if len(in.Quotas) != 3 || in.Quotas[0].Name != "stored" || in.Quotas[1].Name != "mine" || in.Quotas[2].Limit != 2 {
		t.Errorf("a draining machine still takes a place: %+v", in.Quotas)
	}
}

func TestUsableLeavesOutStalePrices(t *testing.T) {
	a := idle(t)
	old, private := offer("old", purser.Spot, 1), offer("private", purser.Private, 0)
	old.ObservedAt = noon.AddDate(0, -1, 0)
	got := a.usable([]purser.Offer{old, offer("new", purser.Spot, 1), private})
	if len(got) != 2 || got[0].InstanceType != "new" || got[1].InstanceType != "private" {
		t.Errorf("usable: %+v", got)
	}
}

// The key changes exactly with what a plan depends on.
func TestSnapshotKey(t *testing.T) {
	snap := func() postgres.Snapshot {
		return postgres.Snapshot{
			Jobs: []purser.Job{training("a", 2)}, Leases: []purser.Lease{leased("l1", purser.LeaseRunning, offer("m", purser.Spot, 1))},
			Tasks: []purser.Task{on("l1", "a", 0, purser.TaskRunning), on("l1", "a", 1, purser.TaskPlaced)},
		}
	}
	base, waits := snapshotKey(snap())
	if waits {
		t.Error("nothing is in the queue")
	}
	for name, c := range map[string]struct {
		change func(*postgres.Snapshot)
		same   bool
		waits  bool
	}{
		"nothing":            {func(*postgres.Snapshot) {}, true, false},
		"time":               {func(s *postgres.Snapshot) { s.At = noon }, true, false},
		"a placed task runs": {func(s *postgres.Snapshot) { s.Tasks[1].State = purser.TaskRunning }, true, false},
		"progress":           {func(s *postgres.Snapshot) { s.Tasks[0].Progress = 0.5 }, true, false},
		"back in the queue":  {func(s *postgres.Snapshot) { s.Tasks[0].State, s.Tasks[0].Lease = purser.TaskQueued, "" }, false, true},
		"another lease":      {func(s *postgres.Snapshot) { s.Tasks[0].Lease = "l2" }, false, false},
		"told to stop":       {func(s *postgres.Snapshot) { s.Tasks[0].Stop = true }, false, false},
		"a lease drains":     {func(s *postgres.Snapshot) { s.Leases[0].State = purser.LeaseDraining }, false, false},
		"a lease ended":      {func(s *postgres.Snapshot) { s.Leases = nil }, false, false},
		"a new job":          {func(s *postgres.Snapshot) { s.Jobs = append(s.Jobs, training("b", 1)) }, false, false},
		"a quota":            {func(s *postgres.Snapshot) { s.Quotas = []purser.Quota{{Limit: 1}} }, false, false},
		"a failed launch":    {func(s *postgres.Snapshot) { s.Failed = []postgres.FailedOffer{{Offer: "o", At: noon}} }, false, false},
	} {
		s := snap()
		c.change(&s)
		if key, waits := snapshotKey(s); (key == base) != c.same || waits != c.waits {
			t.Errorf("%s: same key %t, waits %t", name, key == base, waits)
		}
	}
}

func TestNothingIn(t *testing.T) {
	if !nothingIn(purser.Admission{}) {
		t.Error("an empty admission changes nothing")
	}
	v := reflect.ValueOf(&purser.Admission{}).Elem()
	for i := range v.NumField() {
		if v.Field(i).Kind() != reflect.Slice {
			continue
		}
		full := reflect.New(v.Type()).Elem()
		full.Field(i).Set(reflect.MakeSlice(v.Field(i).Type(), 1, 1))
		if a, ok := full.Interface().(purser.Admission); !ok || nothingIn(a) {
			t.Errorf("an admission with %s is said to change nothing", v.Type().Field(i).Name)
		}
	}
}

func TestTakes(t *testing.T) {
	room := purser.Shape{Devices: 4000, MilliCPU: 8000, MemoryMiB: 1000}
	for _, c := range []struct {
		p    purser.Placement
		s    purser.Shape
		want float64
	}{
		{purser.Placement{}, room, 0},
		{purser.Placement{Devices: 1000}, room, 0.25},
		{purser.Placement{Devices: 1000, MilliCPU: 4000}, room, 0.5},
		{purser.Placement{MemoryMiB: 900}, room, 0.9},
		{purser.Placement{Devices: 9000}, room, 1},
		{purser.Placement{Devices: 1000, MilliCPU: 100}, purser.Shape{MilliCPU: 1000}, 0.1},
	} {
		if got := takes(c.p, c.s); got != c.want {
			t.Errorf("%+v of %+v: %v, want %v", c.p, c.s, got, c.want)
		}
	}
}

func TestMovePays(t *testing.T) {
	a := idle(t)
	cheap, dear := offer("cheap", purser.Spot, 1), offer("dear", purser.Spot, 9)
	snap := postgres.Snapshot{Leases: []purser.Lease{leased("l1", purser.LeaseRunning, dear), leased("l2", purser.LeaseRunning, cheap)}}
	stay := purser.Plan{Objective: purser.MoneyOf(100)}
	admission := purser.Admission{Moves: []purser.Move{{From: "l1", Placement: purser.Placement{Devices: 4000}}}}
	for name, c := range map[string]struct {
		move      float64
		admission purser.Admission
		pays      bool
	}{
		"no moves":             {50, purser.Admission{}, false},
		"half is saved":        {50, admission, true},
		"too little is saved":  {99.5, admission, false},
		"less than disturbed":  {60, admission, false}, // 0.4 saved ÷ 0.9 disturbed < 0.5
		"it would cost more":   {110, admission, false},
		"a small disturbance":  {90, purser.Admission{Moves: []purser.Move{{From: "l2", Placement: purser.Placement{Devices: 4000}}}}, true},
		"from a lease unknown": {50, purser.Admission{Moves: []purser.Move{{From: "l9", Placement: purser.Placement{Devices: 4000}}}}, false},
	} {
		pays, reason := a.movePays(stay, purser.Plan{Objective: purser.MoneyOf(c.move)}, snap, c.admission)
		if pays != c.pays || reason == "" {
			t.Errorf("%s: %t, %q", name, pays, reason)
		}
	}
}

func TestCannotMove(t *testing.T) {
	running := postgres.Snapshot{Tasks: []purser.Task{on("l1", "a", 0, purser.TaskRunning)}}
	if r := cannotMove(running); r != "" {
		t.Errorf("what runs can move: %q", r)
	}
	running.Moves = []purser.Move{{}}
	if r := cannotMove(running); !strings.Contains(r, "under way") {
		t.Errorf("moves under way: %q", r)
	}
	if r := cannotMove(postgres.Snapshot{Tasks: []purser.Task{on("", "a", 0, purser.TaskQueued)}}); r != "nothing runs" {
		t.Errorf("a queue alone: %q", r)
	}
}
