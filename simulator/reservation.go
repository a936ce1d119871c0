package simulator

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"
)

// Reservation is Eva's planner (Chang et al., EuroSys 2025), by reservation prices. A
// job's reservation price is that of the cheapest machine of its own, times the share
// of its speed that its neighbours are thought to leave it. Each round two plans are
// made: a partial one, which keeps every machine that is worth its price and places
// what is left, and a full one, which places everything anew; both fill machines from
// the dearest offer down as long as what lies there is worth the price. The full one
// is taken when it saves more, over the mean time until the next full one, than its
// moves and new machines cost.
//
// How much jobs slow one another is learned: the mean of what was seen of a job in
// the same company, else the product over pairs, 0.95 for one never seen.
type Reservation struct {
	seen   map[string]sight
	last   map[int]bool // jobs of the last round
	events int
	first  time.Duration // of the events
	latest time.Duration
	full   int // full plans taken
	fixed  int // jobs on their way in the last round
}

type sight struct{ sum, n float64 }

// Plan makes both plans and takes one.
func (p *Reservation) Plan(s State) (Plan, error) {
	if p.seen == nil {
		p.seen = map[string]sight{}
	}
	e := newEva(p, s)
	better := e.learn()
	fixed := 0
	for _, j := range s.Jobs {
		if j.Fixed {
			fixed++
		}
	}
	settled := fixed != p.fixed
	p.fixed = fixed
	p.count(s)
	if len(s.Jobs) == 0 || !s.Changed && !better && !settled {
		return s.Keep(), nil
	}
	partial, whole := e.partial(), e.whole()
	lasts := p.lasts(s.Now)
	if e.saves(whole)*lasts-e.moves(whole) > e.saves(partial)*lasts-e.moves(partial)+0.005 {
		p.full++
		return e.plan(whole), nil
	}
	return e.plan(partial), nil
}

// count takes in which jobs came and ended.
func (p *Reservation) count(s State) {
	now := map[int]bool{}
	changes := 0
	for _, j := range s.Jobs {
		now[j.Number] = true
		if !p.last[j.Number] {
			changes++
		}
	}
	for n := range p.last {
		if !now[n] {
			changes++
		}
	}
	if changes > 0 {
		if p.events == 0 {
			p.first = s.Now
		}
		p.events += changes
		p.latest = s.Now
	}
	p.last = now
}

// lasts is the mean time until the next full plan, in hours, when each event brings
// one with the chance seen so far.
func (p *Reservation) lasts(now time.Duration) float64 {
	if p.full == 0 || p.events < 2 {
		return now.Hours()
	}
	mean := (p.latest - p.first).Hours() / float64(p.events-1)
	return -mean / math.Log(1-min(float64(p.full)/float64(p.events), 1-1e-9))
}

// eva is one round of it.
type eva struct {
	p     *Reservation
	s     State
	jobs  map[int]Live
	alone map[int]int // the cheapest offer of each job
	price []float64   // of offers, $/h
	order []int       // offers, the dearest first
}

func newEva(p *Reservation, s State) *eva {
	e := &eva{p: p, s: s, jobs: map[int]Live{}, alone: map[int]int{}}
	for _, j := range s.Jobs {
		e.jobs[j.Number], e.alone[j.Number] = j, s.Cheapest(j)
	}
	for i, o := range s.Offers {
		e.price, e.order = append(e.price, o.UnitPrice.USD()), append(e.order, i)
	}
	slices.SortStableFunc(e.order, func(a, b int) int { return cmp.Compare(e.price[b], e.price[a]) })
	return e
}

// learn takes in the speeds on machines where everything lies.
func (e *eva) learn() bool {
	better := false
	for _, m := range e.s.Machines {
		if slices.ContainsFunc(m.Jobs, func(n int) bool { return e.jobs[n].Fixed || e.jobs[n].Rate == 0 }) {
			continue
		}
		for _, n := range m.Jobs {
			key := e.company(n, m.Jobs)
			old := e.p.seen[key]
			better = better || old.n == 0
			e.p.seen[key] = sight{old.sum + e.jobs[n].Rate, old.n + 1}
		}
	}
	return better
}

// company names a job and those beside it.
func (e *eva) company(n int, jobs []int) string {
	var names []string
	for _, o := range jobs {
		if o != n {
			names = append(names, e.jobs[o].Name)
		}
	}
	slices.Sort(names)
	return e.jobs[n].Name + "\x00" + strings.Join(names, "\x00")
}

// rate is the share of its speed that a job is thought to keep among jobs.
func (e *eva) rate(n int, jobs []int) float64 {
	if len(jobs) < 2 {
		return 1
	}
	if s, ok := e.p.seen[e.company(n, jobs)]; ok {
		return s.sum / s.n
	}
	const unseen = 0.95
	rate := 1.0
	for _, o := range jobs {
		if o == n {
			continue
		}
		if s, ok := e.p.seen[e.jobs[n].Name+"\x00"+e.jobs[o].Name]; ok {
			rate *= s.sum / s.n
		} else {
			rate *= unseen
		}
	}
	return rate
}

// worth is the reservation price of jobs that share a machine, $/h.
func (e *eva) worth(jobs []int) float64 {
	sum := 0.0
	for _, n := range jobs {
		sum += e.price[e.alone[n]] * e.rate(n, jobs)
	}
	return sum
}

func (e *eva) used(jobs []int) Amount {
	var sum Amount
	for _, n := range jobs {
		sum = sum.Plus(e.jobs[n].amount())
	}
	return sum
}

// holds says whether a machine has room for one job more.
func (e *eva) holds(offer int, jobs []int, n int) bool {
	return CanRun(e.jobs[n].Needs, e.s.Offers[offer]) && e.used(jobs).Plus(e.jobs[n].amount()).Fits(e.s.Offers[offer].Room())
}

// aligned is how much a job's needs lie along what is free.
func (e *eva) aligned(offer int, jobs []int, n int) float64 {
	room := e.s.Offers[offer].Room()
	free, need, sum := room.Minus(e.used(jobs)), e.jobs[n].amount(), 0.0
	for r := range room {
		if room[r] > 0 {
			sum += float64(need[r]) / float64(room[r]) * float64(free[r]) / float64(room[r])
		}
	}
	return sum
}

// began is the plan of what cannot be placed anew.
func (e *eva) began() []*Hold {
	var out []*Hold
	for _, m := range e.s.Machines {
		h := &Hold{Machine: m.Number, Offer: m.Offer}
		for _, n := range m.Jobs {
			if e.jobs[n].Fixed {
				h.Jobs = append(h.Jobs, n)
			}
		}
		if len(h.Jobs) > 0 {
			out = append(out, h)
		}
	}
	return out
}

func (e *eva) plan(holds []*Hold) Plan {
	var p Plan
	for _, h := range holds {
		p = append(p, *h)
	}
	return p
}
