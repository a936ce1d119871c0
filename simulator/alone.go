package simulator

// Alone gives each job the cheapest machine of its own: no packing.
type Alone struct{}

// Plan leaves everything where it is and rents a machine for each job that waits.
func (Alone) Plan(s State) (Plan, error) {
	p := s.Keep()
	for _, j := range s.Jobs {
		if j.Machine == New {
			p = append(p, Hold{Machine: New, Offer: s.Cheapest(j), Jobs: []int{j.Number}})
		}
	}
	return p, nil
}

// Keep is the plan that changes nothing, but for machines on which nothing lies:
// they are ended.
func (s State) Keep() Plan {
	var p Plan
	for _, m := range s.Machines {
		if len(m.Jobs) > 0 {
			p = append(p, Hold{Machine: m.Number, Offer: m.Offer, Jobs: m.Jobs})
		}
	}
	return p
}

// Cheapest is the cheapest offer that holds a job; of equal ones the first.
func (s State) Cheapest(j Live) int {
	best := -1
	for o := range s.Offers {
		if CanRun(j.Needs, s.Offers[o]) && (best < 0 || s.Offers[o].UnitPrice < s.Offers[best].UnitPrice) {
			best = o
		}
	}
	return best
}
