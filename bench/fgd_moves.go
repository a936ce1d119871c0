package bench

import (
	"cmp"
	"slices"
)

// swapper exchanges, in rounds, pods on private machines for pods in the cloud that
// are worth more on them. Each pod that changes its place is a move.
type swapper struct {
	y      *yard
	cloud  []int     // pods in the cloud, by need
	worth  []float64 // of each need, on a private machine
	order  []int     // the needs by worth, greatest first
	budget int       // moves left in this round
}

func newSwapper(y *yard, cloud []int, worth []float64) *swapper {
	s := &swapper{y: y, cloud: cloud, worth: worth, order: make([]int, len(worth))}
	for i := range s.order {
		s.order[i] = i
	}
	slices.SortStableFunc(s.order, func(a, b int) int { return cmp.Compare(worth[b], worth[a]) })
	return s
}

// exchange is of pods on one machine for a pod in the cloud.
type exchange struct {
	out  []int
	gain float64 // in worth, per move
}

// round makes the exchanges that gain most per move, brings what fits beside the new
// pods too, and says how many moves that was.
func (s *swapper) round(budget int) (moves int) {
	s.budget = budget
	gone := map[int]bool{}
	for _, e := range s.exchanges() {
		if s.budget <= len(e.out) {
			break
		}
		if slices.ContainsFunc(e.out, func(id int) bool { return gone[id] }) {
			continue
		}
		need, _, ok := s.gain(e.out) // what was best may be gone
		if !ok {
			continue
		}
		machine := s.y.runs[e.out[0]].machine
		for _, id := range e.out {
			gone[id] = true
			s.y.lift(id)
			s.budget--
		}
		for ; ok; need, ok = s.best(machine, 0) {
			s.fetch(need, machine)
			if s.budget == 0 {
				break
			}
		}
		for _, id := range e.out {
			s.cloud[s.y.runs[id].need]++
		}
	}
	return budget - s.budget
}

// exchanges are those of each pod, and of each pair of one with devices and one
// without, that gain anything; the best come first. The pairs matter where devices are
// all taken, but pods without any take the CPU that others would need.
func (s *swapper) exchanges() []exchange {
	var all []exchange
	add := func(out ...int) {
		if _, gain, ok := s.gain(out); ok {
			all = append(all, exchange{out, gain / float64(len(out)+1)})
		}
	}
	plain := func(id int) bool { return s.y.needs[s.y.runs[id].need].Devices == 0 }
	for _, ids := range s.y.on {
		for _, id := range ids {
			add(id)
			for _, other := range ids {
				if !plain(id) && plain(other) {
					add(id, other)
				}
			}
		}
	}
	slices.SortStableFunc(all, func(a, b exchange) int { return cmp.Compare(b.gain, a.gain) })
	return all
}

// gain is what the best exchange of pods on one machine is worth, if there is any.
func (s *swapper) gain(out []int) (need int, gain float64, ok bool) {
	machine, least := s.y.runs[out[0]].machine, 0.0
	room := &s.y.rooms[machine]
	for _, id := range out {
		r := s.y.runs[id]
		room.Give(s.y.needs[r.need], r.devices)
		least += s.worth[r.need]
	}
	need, ok = s.best(machine, least)
	for _, id := range out {
		r := s.y.runs[id]
		room.Take(s.y.needs[r.need], r.devices)
	}
	return need, s.worth[need] - least, ok
}

// best is the pod in the cloud of greatest worth that a machine has room for, if that
// is above a least.
func (s *swapper) best(machine int, least float64) (need int, ok bool) {
	for _, i := range s.order {
		if s.worth[i] <= least {
			break
		}
		if s.cloud[i] > 0 && s.y.rooms[machine].Fits(s.y.needs[i]) {
			return i, true
		}
	}
	return 0, false
}

// fetch brings a pod from the cloud to a machine that has room for it.
func (s *swapper) fetch(need, machine int) {
	_, device, _ := s.y.by.score(s.y.needs[need], s.y.rooms[machine])
	s.y.start(need, machine, device)
	s.cloud[need]--
	s.budget--
}
