package fleet

import (
	"cmp"
	"slices"
	"time"

	"purser"
)

// Holding says who launches a lease.
type Holding struct {
	Holder    string // provider adapter
	Host      string // for machines that only one host's server can see
	Rehearsal bool   // nothing is bought; Holder stands in for the machine
}

// AdmitInput is the snapshot that a plan was made from, and the plan.
type AdmitInput struct {
	Plan   purser.Plan // with its ID
	At     time.Time
	Jobs   []purser.Job   // live ones
	Tasks  []purser.Task  // that have not ended
	Leases []purser.Lease // that have not ended
	Moves  []purser.Move  // neither done nor undone

	// AllowMoves lets live tasks be moved to where the plan has them. Without it
	// they are left where they are.
	AllowMoves bool
	Gain       purser.Money // what the moves together save over the plan's horizon
	MoveReason string       // the sentence that says why they pay

	Hold  func(purser.Offer) Holding // for new leases
	NewID func(prefix string) string // of a lease
}

// Admit decides what becomes of the world when the plan is admitted. It is pure:
// the same input, with a NewID that repeats itself, gives the same admission.
//
//   - A queued task goes to its placement's lease.
//   - A live task that is on another lease moves, or stays when moves are not
//     allowed or it is moving already.
//   - Replicas of a service are alike, so placements are matched with the tasks that
//     are there, wherever that leaves a task where it is; what is missing starts,
//     with the lowest free replica numbers, and what is too much stops, provided
//     that the plan serves the whole group.
//   - Nothing is placed where no room is left: a plan may count on room that a task
//     has not left yet. Such a task waits for the next plan.
//   - The replicas of a gang go together or not at all. One that waits as a whole
//     gets the size that the plan has; one that runs keeps its own.
//   - A new lease is made only if something goes to it. A lease that the plan has no
//     use for, and that no task is on or moving to, is withdrawn or drained.
func Admit(in AdmitInput) purser.Admission {
	a := newAdmission(in)
	for i, planned := range in.Plan.Leases {
		for _, p := range planned.Placements {
			key := groupKey{p.Job, p.Group}
			if len(a.spots[key]) == 0 {
				a.order = append(a.order, key)
			}
			a.spots[key] = append(a.spots[key], spot{lease: i, placement: p})
		}
	}
	for _, key := range a.order {
		switch g, known := a.known[key]; {
		case !known: // its job ended since the snapshot
		case g.Kind == purser.Inference:
			a.service(key)
		default:
			if g.Varies() && !a.size(key) {
				continue
			}
			a.train(key, g.Gang)
		}
	}
	a.letGo()
	return a.out
}

type groupKey struct {
	job   purser.JobID
	group string
}

type replicaKey struct {
	groupKey
	replica int
}

// spot is a placement and the index of its lease in the plan.
type spot struct {
	lease     int
	placement purser.Placement
}

type admission struct {
	in  AdmitInput
	out purser.Admission

	known  map[groupKey]purser.TaskGroup // of live jobs
	leases map[purser.LeaseID]purser.Lease
	byKey  map[replicaKey]purser.Task
	groups map[groupKey][]purser.Task // by replica
	moving map[purser.TaskID]bool
	room   map[purser.LeaseID]size
	busy   map[purser.LeaseID]bool // a task is on it, or will be
	used   map[purser.LeaseID]bool // the plan has a use for it
	made   map[int]purser.LeaseID  // new leases by index in the plan
	free   map[groupKey]int        // no replica number below it is free
	spots  map[groupKey][]spot
	order  []groupKey // of spots, as the plan has them
}

// size is room on a machine.
type size struct {
	devices             purser.MilliDevices
	milliCPU, memoryMiB int64
}

func (s size) less(p purser.Placement) (size, bool) {
	s = size{s.devices - p.Devices, s.milliCPU - p.MilliCPU, s.memoryMiB - p.MemoryMiB}
	return s, s.devices >= 0 && s.milliCPU >= 0 && s.memoryMiB >= 0
}

func roomOf(s purser.Shape) size { return size{s.Devices, s.MilliCPU, s.MemoryMiB} }

func newAdmission(in AdmitInput) *admission {
	a := &admission{
		in: in, out: purser.Admission{Plan: in.Plan.ID, At: in.At, Reasons: map[purser.LeaseID]string{}},
		known: map[groupKey]purser.TaskGroup{}, leases: map[purser.LeaseID]purser.Lease{},
		byKey: map[replicaKey]purser.Task{}, groups: map[groupKey][]purser.Task{}, moving: map[purser.TaskID]bool{},
		room: map[purser.LeaseID]size{}, busy: map[purser.LeaseID]bool{}, used: map[purser.LeaseID]bool{},
		made: map[int]purser.LeaseID{}, free: map[groupKey]int{}, spots: map[groupKey][]spot{},
	}
	for _, j := range in.Jobs {
		for _, g := range j.Groups {
			a.known[groupKey{j.ID, g.Name}] = g
		}
	}
	for _, l := range in.Leases {
		a.leases[l.ID] = l
		a.room[l.ID] = roomOf(l.Offer.Shape)
	}
	for _, t := range in.Tasks {
		key := groupKey{t.Job, t.Group}
		a.byKey[replicaKey{key, t.Replica}] = t
		a.groups[key] = append(a.groups[key], t)
		if t.Lease != "" {
			a.busy[t.Lease] = true
			a.room[t.Lease], _ = a.room[t.Lease].less(placementOf(t))
		}
	}
	for _, ts := range a.groups {
		slices.SortFunc(ts, func(x, y purser.Task) int { return cmp.Compare(x.Replica, y.Replica) })
	}
	for _, m := range in.Moves {
		a.moving[m.Task] = true
		a.busy[m.To] = true
		a.room[m.To], _ = a.room[m.To].less(m.Placement)
	}
	for _, l := range in.Plan.Leases {
		if l.Held != "" {
			a.used[l.Held] = true
		}
	}
	return a
}

func placementOf(t purser.Task) purser.Placement {
	return purser.Placement{Job: t.Job, Group: t.Group, Replica: t.Replica, Variant: t.Variant, Devices: t.Devices, MilliCPU: t.MilliCPU, MemoryMiB: t.MemoryMiB}
}

// train puts the replicas of a training group where the plan has them.
func (a *admission) train(key groupKey, gang bool) {
	var tasks []purser.Task
	var spots []spot
	seen := map[int]bool{}
	for _, s := range a.spots[key] {
		t, ok := a.byKey[replicaKey{key, s.placement.Replica}]
		again := seen[s.placement.Replica] // no plan that was checked has a replica twice
		seen[s.placement.Replica] = true
		if ok && !again && !t.Stop && a.goes(t, s) { // else it ended since, is about to, or stays
			tasks, spots = append(tasks, t), append(spots, s)
		}
	}
	if gang && !a.fit(spots) {
		return
	}
	for i, t := range tasks {
		a.put(t, spots[i])
	}
}

// goes says whether a live task is to go to a spot. It stays where it is when it is
// there, moves already, may not move, or will come back to the queue by itself.
func (a *admission) goes(t purser.Task, s spot) bool {
	if t.State == purser.TaskQueued {
		return true
	}
	return a.in.AllowMoves && t.Lease != a.in.Plan.Leases[s.lease].Held && !a.moving[t.ID] && !a.draining(t.Lease)
}

// put takes a live task that goes to a spot there, if there is room.
func (a *admission) put(t purser.Task, s spot) {
	to, ok := a.take(s)
	if !ok {
		return
	}
	if t.State == purser.TaskQueued {
		a.out.Place = append(a.out.Place, purser.TaskPlacement{Task: t.ID, Lease: to, Placement: s.placement})
		return
	}
	a.moving[t.ID] = true
	a.out.Moves = append(a.out.Moves, purser.Move{
		Task: t.ID, From: t.Lease, To: to, Plan: a.in.Plan.ID, State: purser.MoveWaiting,
		Gain: a.in.Gain, Placement: s.placement, Reason: a.in.MoveReason, At: a.in.At,
	})
}

// draining says whether the lease is on its way out; its tasks will come back to
// the queue by themselves.
func (a *admission) draining(id purser.LeaseID) bool {
	return a.leases[id].State == purser.LeaseDraining
}

// roomAt is what is left on a planned lease; nothing when it is gone or on its way
// out.
func (a *admission) roomAt(i int) (size, bool) {
	planned := a.in.Plan.Leases[i]
	id := planned.Held
	if id == "" {
		id = a.made[i]
	}
	if id == "" {
		return roomOf(planned.Offer.Shape), true
	}
	l, ok := a.leases[id]
	return a.room[id], ok && l.State != purser.LeaseDraining
}

// fit says whether all spots have room, together.
func (a *admission) fit(spots []spot) bool {
	left := map[int]size{}
	for _, s := range spots {
		room, taken := left[s.lease]
		if !taken {
			var ok bool
			if room, ok = a.roomAt(s.lease); !ok {
				return false
			}
		}
		room, ok := room.less(s.placement)
		if !ok {
			return false
		}
		left[s.lease] = room
	}
	return true
}

// take takes room for a placement on its lease, which is made if it is new.
func (a *admission) take(s spot) (purser.LeaseID, bool) {
	if !a.fit([]spot{s}) {
		return "", false
	}
	id := a.in.Plan.Leases[s.lease].Held
	if id == "" {
		id = a.made[s.lease]
	}
	if id == "" {
		id = a.launch(s.lease)
	}
	a.room[id], _ = a.room[id].less(s.placement)
	a.busy[id] = true
	return id, true
}

// launch makes the lease of a planned one.
func (a *admission) launch(i int) purser.LeaseID {
	offer := a.in.Plan.Leases[i].Offer
	h := a.in.Hold(offer)
	l := purser.Lease{
		ID: purser.LeaseID(a.in.NewID("lease")), Plan: a.in.Plan.ID, Offer: offer,
		Holder: h.Holder, Host: h.Host, Rehearsal: h.Rehearsal, State: purser.LeasePlanned, CreatedAt: a.in.At,
	}
	a.out.Launch = append(a.out.Launch, l)
	a.made[i], a.leases[l.ID], a.used[l.ID], a.room[l.ID] = l.ID, l, true, roomOf(offer.Shape)
	return l.ID
}

// letGo ends the leases that nothing is on and that the plan has no use for.
func (a *admission) letGo() {
	for _, l := range a.in.Leases {
		if a.used[l.ID] || a.busy[l.ID] {
			continue
		}
		switch l.State {
		case purser.LeasePlanned:
			a.out.Withdraw = append(a.out.Withdraw, l.ID)
		case purser.LeaseLaunching, purser.LeaseRunning:
			a.out.Drain = append(a.out.Drain, l.ID)
		default:
			continue
		}
		a.out.Reasons[l.ID] = "the newest plan has no use for it"
	}
}
