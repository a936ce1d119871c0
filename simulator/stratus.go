package simulator

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// Stratus packs by run time as Stratus does (Chung et al., SoCC 2018). It has to be
// told how long jobs still run. Jobs and machines fall into bins of run times, each
// twice as long as the one before; a machine is in the bin of its longest job. A job
// that waits goes, where there is room, to the machine of its own bin whose time is
// nearest to its own, else to the one of a longer bin with most room, else to the one
// of a shorter bin with most room. What is left buys machines: groups of the longest
// first, each with one job more than the one before, on the offer with the highest
// use of its scarcest resource for its price. A machine on which less than half of
// everything is used gives its jobs up, to be placed so again.
type Stratus struct{}

// Plan places what waits and empties what is used too little.
func (Stratus) Plan(s State) (Plan, error) {
	t := &stratus{s: s, jobs: map[int]Live{}}
	for _, j := range s.Jobs {
		t.jobs[j.Number] = j
	}
	for _, h := range s.Keep() {
		t.holds = append(t.holds, &h)
	}
	var wait []int
	for _, j := range s.Jobs {
		if j.Machine == New {
			wait = append(wait, j.Number)
		}
	}
	t.place(wait)
	for _, h := range slices.Clone(t.holds) {
		if t.idle(h) {
			t.holds = slices.DeleteFunc(t.holds, func(o *Hold) bool { return o == h })
			t.place(h.Jobs)
		}
	}
	var p Plan
	for _, h := range t.holds {
		p = append(p, *h)
	}
	return p, nil
}

type stratus struct {
	s     State
	jobs  map[int]Live
	holds []*Hold
}

func bin(left time.Duration) int { return int(math.Floor(math.Log2(max(1, left.Seconds())))) }

// longest is how long a machine's jobs still run.
func (t *stratus) longest(h *Hold) time.Duration {
	var most time.Duration
	for _, n := range h.Jobs {
		most = max(most, t.jobs[n].Left)
	}
	return most
}

func (t *stratus) used(jobs []int) Amount {
	var sum Amount
	for _, n := range jobs {
		sum = sum.Plus(t.jobs[n].amount())
	}
	return sum
}

// place puts jobs on machines, and buys machines for those that find none.
func (t *stratus) place(jobs []int) {
	var left []int
	for _, n := range jobs {
		if h := t.find(t.jobs[n]); h != nil {
			h.Jobs = append(h.Jobs, n)
		} else {
			left = append(left, n)
		}
	}
	slices.SortStableFunc(left, func(a, b int) int { return cmp.Compare(t.jobs[b].Left, t.jobs[a].Left) })
	for size := 1; len(left) > 0; size++ {
		group, offer := t.group(left, size)
		t.holds = append(t.holds, &Hold{Machine: New, Offer: offer, Jobs: slices.Clone(left[:group])})
		left = left[group:]
	}
}

// find chooses a machine with room for a job; nil: there is none.
func (t *stratus) find(j Live) *Hold {
	var best [3]*Hold // of its own bin, of a longer one, of a shorter one
	score := [3]float64{math.Inf(-1), math.Inf(-1), math.Inf(-1)}
	for _, h := range t.holds {
		room := t.s.Offers[h.Offer].Room()
		free := room.Minus(t.used(h.Jobs))
		if !CanRun(j.Needs, t.s.Offers[h.Offer]) || !j.amount().Fits(free) {
			continue
		}
		longest := t.longest(h)
		kind, value := 0, -math.Abs((longest - j.Left).Seconds())
		if d := bin(longest) - bin(j.Left); d > 0 {
			kind, value = 1, evenly(free)
		} else if d < 0 {
			kind, value = 2, evenly(free)
		}
		if value > score[kind] {
			best[kind], score[kind] = h, value
		}
	}
	for _, h := range best {
		if h != nil {
			return h
		}
	}
	return nil
}

// evenly counts a device, a vCPU and a GiB as one each.
func evenly(a Amount) float64 {
	return float64(a[0])/1000 + float64(a[1])/1000 + float64(a[2])/1024
}

// group is how many of the first jobs share a new machine, at most so many, and of
// which offer.
func (t *stratus) group(jobs []int, most int) (n, offer int) {
	var sum Amount
	n, offer = 0, -1
	for n < min(most, len(jobs)) {
		next := sum.Plus(t.jobs[jobs[n]].amount())
		o := t.efficient(jobs[:n+1], next)
		if o < 0 {
			break
		}
		sum, offer = next, o
		n++
	}
	return n, offer
}

// efficient is the offer whose scarcest resource is used most for its price; -1: none
// holds the jobs.
func (t *stratus) efficient(jobs []int, need Amount) int {
	best, most := -1, 0.0
	for o := range t.s.Offers {
		offer := &t.s.Offers[o]
		room := offer.Room()
		if !need.Fits(room) || slices.ContainsFunc(jobs, func(n int) bool { return !CanRun(t.jobs[n].Needs, *offer) }) {
			continue
		}
		share, r := 0.0, 0
		for i := range need {
			if room[i] > 0 && float64(need[i])/float64(room[i]) > share {
				share, r = float64(need[i])/float64(room[i]), i
			}
		}
		if score := float64(need[r]) / t.smallest(*offer, r) / offer.UnitPrice.USD(); best < 0 || score > most {
			best, most = o, score
		}
	}
	return best
}

// smallest is the least of a resource that an offer of the same accelerator has.
func (t *stratus) smallest(like Offer, r int) float64 {
	least := math.Inf(1)
	for _, o := range t.s.Offers {
		if o.Accelerator == like.Accelerator && o.Room()[r] > 0 {
			least = min(least, float64(o.Room()[r]))
		}
	}
	return least
}

// idle says whether a machine gives up its jobs: less than half of each resource is
// used, nothing on it is on its way, and it is not the cheapest for one job.
func (t *stratus) idle(h *Hold) bool {
	used, room := t.used(h.Jobs), t.s.Offers[h.Offer].Room()
	for r := range used {
		if room[r] > 0 && 2*used[r] >= room[r] {
			return false
		}
	}
	for _, n := range h.Jobs {
		if t.jobs[n].Fixed {
			return false
		}
	}
	return len(h.Jobs) > 1 || t.s.Cheapest(t.jobs[h.Jobs[0]]) != h.Offer
}
