package simulator

import (
	"time"

	"purser"
	"purser/policy"
)

// Shared is the planner that lets jobs share machines by policy.Share. It learns what
// jobs do to one another from the speeds that it sees, and what an hour of their work
// is worth from what it had to pay. It knows no run times: a job is expected to run for
// as long again as it has run, and Young more.
type Shared struct {
	Delay  purser.USDPerHour // what an hour's delay of a job is worth; see policy.Sharing
	Young  time.Duration     // what is expected of a job that has just begun; 0: an hour
	Unseen float64           // share of its speed expected of a job beside one of a kind never seen; 0: 0.95
	Tries  int               // 0: policy's
	Seed   uint64

	seen  *policy.Interference
	worth policy.Worth
	last  int // jobs on their way in the last round
}

// Plan places what has come, and moves what pays.
func (p *Shared) Plan(s State) (Plan, error) {
	if p.seen == nil {
		p.seen, p.worth = policy.NewInterference(either(p.Unseen, 0.95)), policy.Worth{}
	}
	learned := p.learn(s)
	fixed := 0
	for _, j := range s.Jobs {
		if j.Fixed {
			fixed++
		}
	}
	settled := fixed < p.last
	p.last = fixed
	if !s.Changed && !learned && !settled {
		return s.Keep(), nil
	}
	offers := make([]policy.ShareOffer, len(s.Offers))
	for i, o := range s.Offers {
		offers[i] = policy.ShareOffer{Offer: o.Offer, Paid: o.Booting + o.Ending, Wait: o.Asked + o.Booting}
	}
	var held []policy.ShareMachine
	for _, m := range s.Machines {
		held = append(held, policy.ShareMachine{Number: m.Number, Offer: m.Offer})
	}
	p.balance(s, offers)
	var jobs []policy.ShareJob
	for _, j := range s.Jobs {
		left := j.Left
		if left == 0 {
			left = j.Age + either(p.Young, time.Hour)
		}
		jobs = append(jobs, policy.ShareJob{
			Number: j.Number, Kind: j.Name, Needs: j.Needs,
			At: j.Machine, Fixed: j.Fixed, Move: j.Downtime, Left: left, Value: p.worth.Of(j.Name),
		})
	}
	var plan Plan
	for _, h := range policy.Share(offers, held, jobs, policy.Sharing{
		Delay: p.Delay, Tries: p.Tries, Seed: p.Seed + uint64(s.Now/time.Second), Share: p.seen.Share, //nolint:gosec // time is not negative
	}) {
		plan = append(plan, Hold{Machine: h.Machine, Offer: h.Offer, Jobs: h.Jobs})
	}
	return plan, nil
}

// balance takes in what each machine costs and what it does for it.
func (p *Shared) balance(s State, offers []policy.ShareOffer) {
	jobs := map[int]Live{}
	for _, j := range s.Jobs {
		jobs[j.Number] = j
		if p.worth.Of(j.Name) == 0 {
			p.worth.Begin(j.Name, offers, j.Needs)
		}
	}
	for _, m := range s.Machines {
		var names []string
		var rates []float64
		for _, n := range m.Jobs {
			if j := jobs[n]; j.Rate > 0 && !j.Fixed {
				names, rates = append(names, j.Name), append(rates, j.Rate)
			}
		}
		if len(names) == len(m.Jobs) {
			p.worth.Learn(s.Offers[m.Offer].UnitPrice, names, rates)
		}
	}
}

// learn takes in the speeds of jobs whose neighbours all lie on the machine, and says
// whether anything is known better than before.
func (p *Shared) learn(s State) bool {
	at := map[int]int{}
	for i, j := range s.Jobs {
		at[j.Number] = i
	}
	better := false
	for _, m := range s.Machines {
		var names []string
		for _, n := range m.Jobs {
			if j := s.Jobs[at[n]]; j.Rate > 0 && !j.Fixed {
				names = append(names, j.Name)
			}
		}
		if len(names) != len(m.Jobs) || len(names) < 2 {
			continue
		}
		for k, n := range m.Jobs {
			others := append(append([]string(nil), names[:k]...), names[k+1:]...)
			better = p.seen.Learn(names[k], others, s.Jobs[at[n]].Rate) || better
		}
	}
	return better
}

// either is a value, or another where it is zero.
func either[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}
