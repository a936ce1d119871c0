package fleet_test

import (
	"context"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"purser"
	"purser/fleet"
	"purser/providers"
	"purser/providers/fake"
)

// check holds the world to the promises, every second.
func (w *world) check() {
	live := map[purser.LeaseID]int{}
	canEnd := w.up(nil) != nil
	for _, m := range w.cloud.Machines() {
		if m.State == providers.Gone || m.Installation != "ours" {
			continue
		}
		live[m.Lease]++
		l, ok := w.store.leases[m.Lease]
		if !ok {
			w.fault("machine %s was made for %s, which no intent was written for", m.ID, m.Lease)
		}
		if canEnd && l.State.Ended() && m.State != providers.Stopping {
			w.outlived[m.ID]++
		}
	}
	for id, n := range live {
		if n > 1 {
			w.fault("lease %s has %d machines", id, n)
		}
	}
	for id, s := range w.outlived {
		if s == 151 {
			w.fault("machine %s outlives its lease by more than 150 s", id)
		}
	}
	replicas := map[int]int{}
	for _, t := range w.store.live() {
		if replicas[t.Replica]++; replicas[t.Replica] > 1 {
			w.fault("replica %d has two live tasks", t.Replica)
		}
	}
	runs := map[int]string{}
	for _, id := range slices.Sorted(maps.Keys(w.agents)) {
		for task := range w.agents[id].running {
			r := w.agents[id].replicas[task]
			if other := runs[r]; other != "" {
				w.fault("replica %d runs on machines %s and %s", r, other, id)
			}
			runs[r] = id
		}
	}
}

// plan places what is queued, the simple way: what a held machine has room for goes
// there, the rest to new machines, two to each.
func (w *world) plan() {
	plan := purser.Plan{ID: purser.PlanID(w.store.newID("plan"))}
	leases, _ := w.store.LiveLeases(context.Background())
	tasks := w.store.live()
	index := map[purser.LeaseID]int{}
	room := map[int]int{}
	for _, l := range leases {
		if l.State == purser.LeaseDraining {
			continue
		}
		on := w.store.onLease(l.ID)
		if len(on) == 0 && w.tidy && w.rand.IntN(2) == 0 {
			continue // the plan has no use for it
		}
		index[l.ID] = len(plan.Leases)
		room[len(plan.Leases)] = 2 - len(on)
		plan.Leases = append(plan.Leases, purser.PlannedLease{Offer: l.Offer, Held: l.ID})
	}
	for _, t := range tasks {
		p := purser.Placement{Job: t.Job, Group: t.Group, Replica: t.Replica, Variant: "v", MilliCPU: 500}
		if t.State != purser.TaskQueued {
			if i, ok := index[t.Lease]; ok {
				plan.Leases[i].Placements = append(plan.Leases[i].Placements, p)
			}
			continue
		}
		i := slices.IndexFunc(plan.Leases, func(l purser.PlannedLease) bool { return room[index[l.Held]] > 0 && l.Held != "" })
		if i < 0 {
			i = slices.IndexFunc(plan.Leases, func(l purser.PlannedLease) bool { return l.Held == "" && len(l.Placements) < 2 })
		}
		if i < 0 {
			i = len(plan.Leases)
			plan.Leases = append(plan.Leases, purser.PlannedLease{Offer: bigOffer()})
		}
		room[i]--
		plan.Leases[i].Placements = append(plan.Leases[i].Placements, p)
	}
	group := purser.TaskGroup{Name: "g", Kind: purser.Training, Replicas: len(w.need)}
	w.store.admit(fleet.Admit(fleet.AdmitInput{
		Plan: plan, At: w.at, Jobs: []purser.Job{{ID: "job", Groups: []purser.TaskGroup{group}}}, Tasks: tasks, Leases: leases,
		Hold:  func(purser.Offer) fleet.Holding { return fleet.Holding{Holder: "cloud"} },
		NewID: w.store.newID,
	}))
}

func bigOffer() purser.Offer {
	return purser.Offer{Provider: "cloud", Region: "r", InstanceType: "big", Option: purser.OnDemand, UnitPrice: 1, Shape: purser.Shape{MilliCPU: 1000}, Limit: purser.Unlimited}
}

// turn is one second of everything.
func (w *world) turn(second int) {
	w.pass(time.Second)
	for range 1 + w.rand.IntN(4) {
		w.takeStep(nil)
	}
	if second%5 == 0 && w.up(nil) != nil {
		w.plan()
	}
}

func (w *world) done() bool {
	leases, _ := w.store.LiveLeases(context.Background())
	return len(leases) == 0 && len(w.store.live()) == 0 && !slices.ContainsFunc(w.cloud.Machines(), func(m fake.Machine) bool {
		return m.Installation == "ours" && m.State != providers.Gone
	})
}

// simulate runs a world through trouble and then calm, and gives the broken promises.
func simulate(seed uint64) (*world, []string) {
	w := newWorld(seed)
	strangers := []string{"theirs-1", "theirs-2"}
	for _, id := range strangers {
		l := purser.Lease{ID: purser.LeaseID(id), Offer: bigOffer(), Attempt: 1}
		l.Offer.InstanceType = "other"
		if _, err := w.cloud.Provider("theirs").Launch(context.Background(), providers.Request{Lease: l, Installation: "theirs", Token: providers.ClientToken("theirs", l)}); err != nil {
			panic(err)
		}
	}
	second := 0
	for ; second < 400 && len(w.faults) == 0; second++ {
		w.turn(second)
	}
	w.calm = true
	for end := second + 1500; second < end && len(w.faults) == 0 && !w.done(); second++ {
		w.turn(second)
	}
	if len(w.faults) > 0 {
		return w, w.faults
	}
	if !w.done() {
		leases, _ := w.store.LiveLeases(context.Background())
		w.fault("after 1500 calm seconds %d leases and %d tasks are still there, or machines", len(leases), len(w.store.live()))
	}
	for r := range w.need {
		if w.finished[r] != 1 {
			w.fault("replica %d finished %d times", r, w.finished[r])
		}
	}
	for _, id := range strangers {
		if len(w.cloud.Live(purser.LeaseID(id))) != 1 {
			w.fault("a machine of another installation was ended")
		}
	}
	return w, w.faults
}

// The promises hold over 1,000 random worlds in which servers die at any border
// between two calls, answers are lost, calls fail and are repeated, clouds lag and
// forget, machines are taken back, break, or never start their agent: at most one
// machine per lease; none outlives its lease by more than 150 s while a server is
// there to end it; nothing of others is touched; no work is lost, done twice or done
// in two places at once.
func TestPromisesHoldWhateverDies(t *testing.T) {
	const perCheck = 10 // rapid makes 100 checks
	var worlds, machines, crashes, orphans, failed, nudged int
	rapid.Check(t, func(t *rapid.T) {
		for range perCheck {
			seed := rapid.Uint64().Draw(t, "seed")
			w, faults := simulate(seed)
			for _, f := range faults {
				t.Errorf("world %d: %s", seed, f)
			}
			worlds++
			machines += len(w.cloud.Machines()) - 2
			crashes += w.crashes
			orphans += w.orphans
			failed += w.failed
			nudged += w.nudged
			if len(faults) > 0 {
				t.FailNow()
			}
		}
	})
	t.Logf("%d worlds, %d machines, %d servers died, %d orphans ended, %d machines found gone, %d leases nudged", worlds, machines, crashes, orphans, failed, nudged)
}
