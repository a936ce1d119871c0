package simulator

import (
	"container/heap"
	"context"
	"math"
	"slices"
	"time"
)

// Options say how a run goes.
type Options struct {
	// TellLeft lets planners know how much work each job has left.
	TellLeft bool
	// Look is called after each round's plan has been carried out.
	Look func(State, Plan)
}

// Run simulates a world under a planner until every job has ended and every machine
// is gone. An error is the context's, that of a world that cannot be (invalid), the
// planner's, or that of a plan that cannot be carried out (internal).
func Run(ctx context.Context, w World, p Planner, o Options) (Report, error) {
	if err := w.check(); err != nil {
		return Report{}, err
	}
	r := &run{w: &w, o: o, jobs: make([]job, len(w.Jobs)), byNumber: map[int]*machine{}}
	for i := range w.Jobs {
		r.jobs[i] = job{left: w.Jobs[i].Work.Seconds(), first: -1, target: New, at: New}
		r.push(int64(w.Jobs[i].Arrives/time.Second), classArrival, event{job: i})
	}
	r.push(0, classRound, event{})
	for r.events.Len() > 0 {
		r.now = r.events.list[0].at
		for r.events.Len() > 0 && r.events.list[0].at == r.now {
			e := heap.Pop(&r.events).(event) //nolint:errcheck // the queue holds nothing else
			if e.class != classRound {
				r.happen(e)
				continue
			}
			if err := ctx.Err(); err != nil {
				return r.report, err
			}
			if err := r.round(p); err != nil {
				return r.report, err
			}
		}
		r.sync()
	}
	if r.report.Jobs > 0 {
		r.report.MeanTime = time.Duration(float64(r.sum) / float64(r.report.Jobs) * float64(time.Second))
	}
	return r.report, nil
}

// Events at one second happen in this order.
const (
	classStep    = iota // what a machine or a job had begun is done
	classArrival        // a job arrives
	classRound          // the planner is asked
	classEnd            // a job's work is done
)

// event is something that happens at a second.
type event struct {
	at         int64
	class      int
	seq        int // events of one second and class happen in the order in which they were set
	job        int
	do         func(*run)
	generation int // of the job's rate; the end of its work at another rate does not happen
}

type queue struct{ list []event }

func (q *queue) Len() int      { return len(q.list) }
func (q *queue) Swap(i, j int) { q.list[i], q.list[j] = q.list[j], q.list[i] }
func (q *queue) Push(x any)    { q.list = append(q.list, x.(event)) } //nolint:errcheck // it is given nothing else
func (q *queue) Less(i, j int) bool {
	a, b := &q.list[i], &q.list[j]
	if a.at != b.at {
		return a.at < b.at
	}
	if a.class != b.class {
		return a.class < b.class
	}
	return a.seq < b.seq
}

func (q *queue) Pop() any {
	e := q.list[len(q.list)-1]
	q.list = q.list[:len(q.list)-1]
	return e
}

type run struct {
	w        *World
	o        Options
	now      int64 // seconds
	seq      int
	events   queue
	jobs     []job
	live     []int      // arrived and not ended, by number
	held     []*machine // until they are gone, by number
	byNumber map[int]*machine
	touched  []*machine // what lies on them has changed since the last sync
	changed  bool
	rented   int
	sum      int64 // seconds from arrival to end
	report   Report
}

func seconds(s int64) time.Duration { return time.Duration(s) * time.Second }

func (r *run) push(at int64, class int, e event) {
	r.seq++
	e.at, e.class, e.seq = at, class, r.seq
	heap.Push(&r.events, e)
}

// after sets what a machine or a job has done after a while.
func (r *run) after(d time.Duration, do func(*run)) {
	r.push(r.now+int64(d/time.Second), classStep, event{do: do})
}

func (r *run) machine(number int) *machine { return r.byNumber[number] }

func (r *run) touch(m *machine) {
	if !m.touched {
		m.touched = true
		r.touched = append(r.touched, m)
	}
}

func (r *run) happen(e event) {
	switch e.class {
	case classStep:
		e.do(r)
	case classArrival:
		r.jobs[e.job].step = waiting
		r.live = append(r.live, e.job)
		r.changed = true
	case classEnd:
		if t := &r.jobs[e.job]; t.working && t.generation == e.generation {
			r.end(e.job)
		}
	}
}

// round asks the planner and carries out its plan. Rounds in which nothing lives and
// nothing is held are passed over.
func (r *run) round(p Planner) error {
	every := int64(r.w.Round / time.Second)
	if len(r.live) > 0 || len(r.held) > 0 {
		r.report.Rounds++
		r.report.MostLive = max(r.report.MostLive, len(r.live))
		s := r.see()
		plan, err := p.Plan(s)
		if err != nil {
			return err
		}
		if err := r.refuse(plan); err != nil {
			return err
		}
		r.carryOut(plan)
		r.changed = false
		if r.o.Look != nil {
			r.o.Look(s, plan)
		}
		r.push(r.now+every, classRound, event{})
		return nil
	}
	if next := r.events.next(classArrival); next >= 0 {
		r.push((next+every-1)/every*every, classRound, event{})
	}
	return nil
}

// next is when the next event of a class happens; -1: never.
func (q *queue) next(class int) int64 {
	at := int64(-1)
	for i := range q.list {
		if q.list[i].class == class && (at < 0 || q.list[i].at < at) {
			at = q.list[i].at
		}
	}
	return at
}

// carryOut begins what a plan says.
func (r *run) carryOut(p Plan) {
	wanted := map[*machine]bool{}
	targets := make([]*machine, len(p))
	for i, h := range p {
		m := r.machine(h.Machine)
		if h.Machine == New {
			m = r.rent(h.Offer)
		}
		targets[i], wanted[m] = m, true
	}
	for _, m := range r.held {
		if !wanted[m] && !m.ending {
			m.ending = true
			r.touch(m)
		}
	}
	for i, h := range p {
		for _, n := range h.Jobs {
			if r.jobs[n].target != targets[i].number {
				r.place(n, targets[i])
			}
		}
	}
}

// sync starts what has room by now, ends machines that are empty, and sets the
// rates on the machines that were touched.
func (r *run) sync() {
	slices.SortFunc(r.touched, func(a, b *machine) int { return a.number - b.number })
	for len(r.touched) > 0 {
		list := r.touched
		r.touched = nil
		for _, m := range list {
			m.touched = false
			r.startJobs(m)
			if m.ending && !m.stopping && len(m.inside) == 0 {
				m.stopping = true
				r.after(r.w.Offers[m.offer].Ending, func(r *run) { r.goneMachine(m) })
			}
			r.setRates(m)
		}
	}
}

// setRates gives each job on a machine the rate that the others leave it.
func (r *run) setRates(m *machine) {
	for _, n := range m.inside {
		t := &r.jobs[n]
		if !t.lies() {
			continue
		}
		rate := 1.0
		if r.w.Slow != nil {
			for _, other := range m.inside {
				if other != n && r.jobs[other].lies() {
					rate *= r.w.Slow(r.w.Jobs[n].Program, r.w.Jobs[other].Program)
				}
			}
		}
		if rate == t.rate && t.set == t.working {
			continue
		}
		t.settle(r.now)
		t.rate, t.set = rate, t.working
		t.generation++
		if t.working {
			r.push(r.now+t.secondsLeft(), classEnd, event{job: n, generation: t.generation})
		}
	}
}

// secondsLeft is in how many whole seconds a job's work is done at its rate. What a
// sum of floats is too much by alone does not take another second.
func (t *job) secondsLeft() int64 {
	const rounding = 1e-6
	return max(0, int64(math.Ceil(t.left/t.rate-rounding)))
}
