package simulator

import (
	"slices"
	"time"

	"purser"
)

// Planner decides, once a round, which machines are held and what runs on them. It
// may remember what it saw; the same states in the same order give the same plans.
type Planner interface {
	// Plan gives the machines to be held from now on. A machine that it leaves out is
	// ended. Each job in the state lies on one machine of the plan, or on none, and
	// then waits. The plan is the simulator's afterwards.
	Plan(s State) (Plan, error)
}

// Plan is the machines that a planner wants.
type Plan []Hold

// Hold is one of them.
type Hold struct {
	Machine int   // the machine's number, or New
	Offer   int   // of a new machine
	Jobs    []int // job numbers
}

// New is the number of a machine that is not rented yet.
const New = -1

// State is what a planner gets to see in a round. It belongs to the planner.
type State struct {
	Now      time.Duration
	Offers   []Offer
	Machines []Machine // held, by number
	Jobs     []Live    // arrived and not ended, by number
	Changed  bool      // whether a job has come or ended since the last round
}

// Machine is one that is held.
type Machine struct {
	Number, Offer int
	Jobs          []int // that lie on it or are on their way to it, by number
	Up            bool  // it takes jobs
}

// Live is a job that has arrived and not ended.
type Live struct {
	Number   int
	Name     string
	Needs    purser.Variant
	Machine  int           // where it lies or goes to; New: nowhere yet
	Fixed    bool          // on its way to a machine; it cannot be placed anew before it is there
	Rate     float64       // the share of its full speed at which it runs now; 0 while it does not lie on a machine
	Age      time.Duration // since it first lay on a machine
	Downtime time.Duration // that it does not work for when it is moved, without waiting for room
	Left     time.Duration // of its work at full speed; 0 unless planners are told
}

// see makes the state of a round.
func (r *run) see() State {
	s := State{Now: seconds(r.now), Offers: slices.Clone(r.w.Offers), Changed: r.changed}
	for _, m := range r.held {
		if m.ending {
			continue
		}
		jobs := slices.Clone(m.wanted)
		slices.Sort(jobs)
		s.Machines = append(s.Machines, Machine{Number: m.number, Offer: m.offer, Jobs: jobs, Up: m.up})
	}
	for _, n := range r.live {
		t := &r.jobs[n]
		j := &r.w.Jobs[n]
		l := Live{Number: n, Name: j.Name, Needs: j.Needs, Machine: t.target, Fixed: !t.movable(), Downtime: j.Stop + j.Save + j.Fetch + j.Build + j.Start}
		if t.first >= 0 {
			l.Age = seconds(r.now - t.first)
		}
		if t.lies() {
			l.Rate = t.rate
		}
		if r.o.TellLeft {
			t.settle(r.now)
			l.Left = max(time.Second, time.Duration(t.left*float64(time.Second)))
		}
		s.Jobs = append(s.Jobs, l)
	}
	return s
}

// refuse says why a plan cannot be carried out; nil when it can.
func (r *run) refuse(p Plan) error {
	bad := func(format string, a ...any) error {
		return purser.Errorf(purser.KindInternal, "simulator", "the plan of round %v: "+format, append([]any{seconds(r.now)}, a...)...)
	}
	placed, named := map[int]int{}, map[int]bool{}
	for _, h := range p {
		o := h.Offer
		if h.Machine != New {
			m := r.machine(h.Machine)
			if m == nil || m.ending || named[h.Machine] {
				return bad("machine %d is not held, or named twice", h.Machine)
			}
			named[h.Machine], o = true, m.offer
		}
		if o < 0 || o >= len(r.w.Offers) {
			return bad("there is no offer %d", o)
		}
		var sum Amount
		for _, n := range h.Jobs {
			if n < 0 || n >= len(r.jobs) || r.jobs[n].step == gone || r.jobs[n].step == unborn {
				return bad("job %d does not live", n)
			}
			if _, twice := placed[n]; twice {
				return bad("job %d is placed twice", n)
			}
			placed[n] = h.Machine
			if !CanRun(r.w.Jobs[n].Needs, r.w.Offers[o]) {
				return bad("job %d cannot run on a %s", n, r.w.Offers[o].InstanceType)
			}
			sum = sum.Plus(r.w.Jobs[n].Amount())
		}
		if !sum.Fits(r.w.Offers[o].Room()) {
			return bad("a %s has no room for %v", r.w.Offers[o].InstanceType, sum)
		}
	}
	for _, n := range r.live {
		t := &r.jobs[n]
		at, ok := placed[n]
		switch {
		case !ok && t.target != New:
			return bad("job %d lies on machine %d and has no place any more", n, t.target)
		case ok && !t.movable() && at != t.target:
			return bad("job %d is on its way to machine %d and cannot go to another", n, t.target)
		}
	}
	return nil
}
