package simulator

// FirstFit puts a job that waits on the first machine with room, and rents the
// cheapest machine of its own for it where there is none. Nothing moves.
type FirstFit struct{}

// Plan places the jobs that wait, by number.
func (FirstFit) Plan(s State) (Plan, error) {
	p := s.Keep()
	used := s.used(p)
	for _, j := range s.Jobs {
		if j.Machine != New {
			continue
		}
		need, at := j.amount(), -1
		for i, h := range p {
			if CanRun(j.Needs, s.Offers[h.Offer]) && need.Plus(used[i]).Fits(s.Offers[h.Offer].Room()) {
				at = i
				break
			}
		}
		if at < 0 {
			at = len(p)
			p, used = append(p, Hold{Machine: New, Offer: s.Cheapest(j)}), append(used, Amount{})
		}
		p[at].Jobs, used[at] = append(p[at].Jobs, j.Number), used[at].Plus(need)
	}
	return p, nil
}

func (j Live) amount() Amount { return Job{Needs: j.Needs}.Amount() }

// used is what lies on each machine of a plan.
func (s State) used(p Plan) []Amount {
	need := map[int]Amount{}
	for _, j := range s.Jobs {
		need[j.Number] = j.amount()
	}
	out := make([]Amount, len(p))
	for i, h := range p {
		for _, n := range h.Jobs {
			out[i] = out[i].Plus(need[n])
		}
	}
	return out
}
