package simulator

import (
	"slices"
	"time"
)

// step is where a job stands.
type step int

const (
	unborn   step = iota // has not arrived
	waiting              // for a planner to place it
	bound                // for its machine to be up and to have room
	loading              // onto its machine
	there                // on its machine; it works after its start
	stopping             // told to stop
	saving               // its checkpoint, in order to move
	gone                 // its work is done
)

type job struct {
	step       step
	target, at int     // machines: where it goes to, where it lies; New: nowhere
	left       float64 // seconds of work at full speed, as of since
	since      int64
	rate       float64
	set        bool // its rate was set while it worked
	working    bool
	generation int // of its rate
	starts     int
	first      int64 // when it first lay on a machine; -1: never
}

// lies says whether it lies on its machine and slows others.
func (t *job) lies() bool { return t.step == there || t.step == stopping }

// movable says whether it may be placed now.
func (t *job) movable() bool { return t.step == waiting || t.step == there }

// settle counts the work done up to a time.
func (t *job) settle(now int64) {
	if t.working && t.set {
		t.left -= t.rate * float64(now-t.since)
	}
	t.since = now
}

type machine struct {
	number, offer    int
	up               bool
	ending, stopping bool
	paidFrom         int64 // -1: it is not there yet
	inside           []int // jobs that take up room
	used             Amount
	wanted           []int // jobs that the plan has here
	programs         map[string]bool
	touched          bool
}

// rent asks for a machine.
func (r *run) rent(offer int) *machine {
	m := &machine{number: r.rented, offer: offer, paidFrom: -1, programs: map[string]bool{}}
	r.rented++
	r.report.Machines++
	r.held = append(r.held, m)
	r.byNumber[m.number] = m
	o := &r.w.Offers[offer]
	r.after(o.Asked, func(r *run) { m.paidFrom = r.now })
	r.after(o.Asked+o.Booting, func(r *run) {
		m.up = true
		r.touch(m)
	})
	return m
}

// goneMachine counts what a machine cost. One that was ended before it was there
// costs nothing.
func (r *run) goneMachine(m *machine) {
	r.held = slices.DeleteFunc(r.held, func(o *machine) bool { return o == m })
	delete(r.byNumber, m.number)
	if m.paidFrom >= 0 {
		held := seconds(r.now - m.paidFrom)
		r.report.Held += held
		r.report.Cost += r.w.Offers[m.offer].UnitPrice.For(held)
	}
	r.report.Length = seconds(r.now)
}

// place sends a job to a machine, away from where it lies.
func (r *run) place(n int, m *machine) {
	t := &r.jobs[n]
	if t.step == there {
		from := r.byNumber[t.at]
		from.wanted = slices.DeleteFunc(from.wanted, func(o int) bool { return o == n })
		r.report.Moves++
		t.step = stopping
		r.after(r.w.Jobs[n].Stop, func(r *run) { r.stop(n) })
	} else {
		t.step = bound
		r.touch(m)
	}
	t.target = m.number
	m.wanted = append(m.wanted, n)
}

// stop ends a job's work for now, and begins its checkpoint.
func (r *run) stop(n int) {
	t := &r.jobs[n]
	if t.step != stopping {
		return // its work was done before
	}
	t.settle(r.now)
	t.working, t.set, t.step = false, false, saving
	t.generation++
	t.starts++
	r.touch(r.byNumber[t.at])
	r.after(r.w.Jobs[n].Save, func(r *run) {
		r.leave(n)
		t.step = bound
		r.touch(r.byNumber[t.target])
	})
}

// leave frees a job's room.
func (r *run) leave(n int) {
	t := &r.jobs[n]
	m := r.byNumber[t.at]
	m.inside = slices.DeleteFunc(m.inside, func(o int) bool { return o == n })
	m.used = m.used.Minus(r.w.Jobs[n].Amount())
	t.at = New
	r.touch(m)
}

// startJobs loads the jobs that are bound for a machine and have room there, in the
// order in which they were placed.
func (r *run) startJobs(m *machine) {
	if !m.up {
		return
	}
	room := r.w.Offers[m.offer].Room()
	for _, n := range m.wanted {
		t := &r.jobs[n]
		j := &r.w.Jobs[n]
		if t.step != bound || !j.Amount().Fits(room.Minus(m.used)) {
			continue
		}
		t.step, t.at = loading, m.number
		m.inside = append(m.inside, n)
		m.used = m.used.Plus(j.Amount())
		d := j.Fetch
		if !m.programs[j.Program] {
			d += j.Build
		}
		r.after(d, func(r *run) { r.loaded(n, m) })
	}
}

// loaded has a job on its machine.
func (r *run) loaded(n int, m *machine) {
	t := &r.jobs[n]
	t.step, t.rate, t.set = there, 0, false
	if t.first < 0 {
		t.first = r.now
	}
	m.programs[r.w.Jobs[n].Program] = true
	r.touch(m)
	starts := t.starts
	r.after(r.w.Jobs[n].Start, func(r *run) {
		if t.starts == starts && t.lies() {
			t.settle(r.now)
			t.working = true
			r.touch(m)
		}
	})
}

// end has a job's work done.
func (r *run) end(n int) {
	t := &r.jobs[n]
	t.settle(r.now)
	r.leave(n)
	m := r.byNumber[t.target]
	m.wanted = slices.DeleteFunc(m.wanted, func(o int) bool { return o == n })
	r.touch(m)
	t.step, t.working, t.target = gone, false, New
	t.generation++
	r.live = slices.DeleteFunc(r.live, func(o int) bool { return o == n })
	r.changed = true
	r.report.Jobs++
	r.sum += r.now - int64(r.w.Jobs[n].Arrives/time.Second)
}
