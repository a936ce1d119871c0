package simulator

import "slices"

// partial keeps what is worth its price and places the rest.
func (e *eva) partial() []*Hold {
	holds := e.began()
	var free []int
	for _, j := range e.s.Jobs {
		if j.Machine == New {
			free = append(free, j.Number)
		}
	}
	for _, m := range e.s.Machines {
		at := slices.IndexFunc(holds, func(h *Hold) bool { return h.Machine == m.Number })
		var loose []int
		for _, n := range m.Jobs {
			if !e.jobs[n].Fixed {
				loose = append(loose, n)
			}
		}
		switch {
		case at >= 0:
			holds[at].Jobs = append(holds[at].Jobs, loose...)
		case len(loose) == 0:
		case e.worth(loose) < e.price[m.Offer] && (len(loose) > 1 || e.alone[loose[0]] != m.Offer):
			free = append(free, loose...)
		default:
			holds = append(holds, &Hold{Machine: m.Number, Offer: m.Offer, Jobs: loose})
		}
	}
	return e.fromAbove(e.beside(holds, &free), free)
}

// whole places everything anew but what is on its way.
func (e *eva) whole() []*Hold {
	var free []int
	for _, j := range e.s.Jobs {
		if !j.Fixed {
			free = append(free, j.Number)
		}
	}
	return e.fromAbove(e.beside(e.began(), &free), free)
}

// score orders what a machine may take next.
type score struct {
	worth float64
	here  bool
	along float64
}

func (a score) above(b score) bool {
	switch {
	case a.worth != b.worth:
		return a.worth > b.worth
	case a.here != b.here:
		return a.here
	}
	return a.along > b.along
}

func (e *eva) score(machine, offer int, jobs []int, n int) score {
	return score{e.worth(append(slices.Clone(jobs), n)), machine != New && e.jobs[n].Machine == machine, e.aligned(offer, jobs, n)}
}

// beside puts jobs on machines of a plan as long as any has room for one.
func (e *eva) beside(holds []*Hold, free *[]int) []*Hold {
	for {
		best, at, into := score{worth: -1}, -1, (*Hold)(nil)
		for i, n := range *free {
			for _, h := range holds {
				if !e.holds(h.Offer, h.Jobs, n) {
					continue
				}
				if s := e.score(h.Machine, h.Offer, h.Jobs, n); s.above(best) {
					best, at, into = s, i, h
				}
			}
		}
		if into == nil {
			return holds
		}
		into.Jobs = append(into.Jobs, (*free)[at])
		*free = slices.Delete(*free, at, at+1)
	}
}

// fromAbove fills machines from the dearest offer down.
func (e *eva) fromAbove(holds []*Hold, free []int) []*Hold {
	for _, offer := range e.order {
		idle := e.idle(holds, offer)
		for len(free) > 0 {
			machine := New
			if len(idle) > 0 {
				machine = idle[0]
			}
			jobs := e.fill(machine, offer, free)
			if len(jobs) == 0 || e.price[offer] > e.worth(jobs) && (len(jobs) > 1 || e.alone[jobs[0]] != offer) {
				break
			}
			final := e.smallest(jobs, offer)
			if final != offer {
				machine = New
			} else if machine != New {
				idle = idle[1:]
			}
			holds = append(holds, &Hold{Machine: machine, Offer: final, Jobs: jobs})
			free = slices.DeleteFunc(free, func(n int) bool { return slices.Contains(jobs, n) })
		}
		// What is cheapest alone on this offer gets one of its own.
		for _, n := range slices.Clone(free) {
			if e.alone[n] != offer {
				continue
			}
			h := &Hold{Machine: New, Offer: offer, Jobs: []int{n}}
			if len(idle) > 0 {
				h.Machine, idle = idle[0], idle[1:]
			}
			holds = append(holds, h)
			free = slices.DeleteFunc(free, func(o int) bool { return o == n })
		}
	}
	return holds
}

// idle is the machines of an offer that are up and not in the plan, those with most
// jobs first.
func (e *eva) idle(holds []*Hold, offer int) []int {
	var list []Machine
	for _, m := range e.s.Machines {
		if m.Offer == offer && m.Up && !slices.ContainsFunc(holds, func(h *Hold) bool { return h.Machine == m.Number }) {
			list = append(list, m)
		}
	}
	slices.SortStableFunc(list, func(a, b Machine) int { return len(b.Jobs) - len(a.Jobs) })
	var out []int
	for _, m := range list {
		out = append(out, m.Number)
	}
	return out
}

// fill takes the job that makes a machine worth most, again and again, until one
// would make it worth less.
func (e *eva) fill(machine, offer int, free []int) []int {
	var jobs []int
	worth := 0.0
	for {
		best, next := score{worth: -1}, -1
		for _, n := range free {
			if slices.Contains(jobs, n) || !e.holds(offer, jobs, n) {
				continue
			}
			if s := e.score(machine, offer, jobs, n); s.above(best) {
				best, next = s, n
			}
		}
		if next < 0 || best.worth < worth {
			return jobs
		}
		jobs, worth = append(jobs, next), best.worth
	}
}

// smallest is the cheapest offer that holds jobs.
func (e *eva) smallest(jobs []int, offer int) int {
	need := e.used(jobs)
	for i := len(e.order) - 1; i >= 0; i-- {
		o := e.order[i]
		if need.Fits(e.s.Offers[o].Room()) && !slices.ContainsFunc(jobs, func(n int) bool { return !CanRun(e.jobs[n].Needs, e.s.Offers[o]) }) {
			return o
		}
	}
	return offer
}

// saves is what a plan's jobs are worth more than its machines, $/h.
func (e *eva) saves(holds []*Hold) float64 {
	sum := 0.0
	for _, h := range holds {
		sum += e.worth(h.Jobs) - e.price[h.Offer]
	}
	return sum
}

// moves is what a plan costs once, $: the time that jobs lose at their reservation
// prices, and five minutes of each new machine.
func (e *eva) moves(holds []*Hold) float64 {
	sum := 0.0
	for _, h := range holds {
		if h.Machine == New {
			sum += e.price[h.Offer] / 12
		}
		for _, n := range h.Jobs {
			if h.Machine == New || e.jobs[n].Machine != h.Machine {
				sum += e.jobs[n].Downtime.Hours() * e.price[e.alone[n]]
			}
		}
	}
	return sum
}
