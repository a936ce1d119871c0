package policy

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"

	"purser"
)

// amount is thousandths of a device, thousandths of a vCPU, and MiB.
type amount [3]int64

func (a amount) fits(b amount) bool   { return a[0] <= b[0] && a[1] <= b[1] && a[2] <= b[2] }
func (a amount) plus(b amount) amount { return amount{a[0] + b[0], a[1] + b[1], a[2] + b[2]} }

func roomOf(o ShareOffer) amount { return amount{int64(o.Devices), o.MilliCPU, o.MemoryMiB} }

func needOf(v purser.Variant) amount { return amount{int64(v.Devices), v.MilliCPU, v.MemoryMiB} }

// ShareOffer is a machine that can be rented as often as wanted.
type ShareOffer struct {
	purser.Offer
	Paid time.Duration // what it is paid for before it works and after it is ended
	Wait time.Duration // from the call until it takes jobs
}

// holds says whether an empty machine holds a job.
func (o ShareOffer) holds(needs purser.Variant) bool {
	return needOf(needs).fits(roomOf(o)) && (needs.Devices == 0 || needs.Accelerator == o.Accelerator)
}

// ShareMachine is one that is held.
type ShareMachine struct {
	Number, Offer int
}

// ShareJob is a job to be placed.
type ShareJob struct {
	Number int
	Kind   string         // of interference
	Needs  purser.Variant // fits an offer: its devices, vCPUs and memory count
	At     int            // the number of the machine where it runs or goes to; negative: none
	Fixed  bool           // it has to stay there
	Move   time.Duration  // that it does not work for when it is moved
	Left   time.Duration  // how much longer it is expected to run
	Value  float64        // of an hour of its work, $; 0: its fair price
}

// ShareHold is a machine of the answer, and the jobs on it.
type ShareHold struct {
	Machine int // its number; negative: a new one
	Offer   int
	Jobs    []int // numbers
}

// Sharing says what is weighed when jobs share machines. The zero value is right for
// most.
type Sharing struct {
	Delay purser.USDPerHour // what an hour by which a job ends later is worth, beside the machines that it needs for longer
	Tries int               // how often a part of the plan is taken down and made anew; 0: 400
	Seed  uint64
	// Share is the share of its speed that a job of a kind keeps beside one of
	// another; with several others the shares multiply. Nil: nothing is slowed.
	Share func(kind, other string) float64
}

// Share places jobs on machines that they share, so that an hour's work costs least.
// It weighs, in $ per hour,
//
//	Σ_machines price  +  Σ_jobs (v + delay)·(1 − r)  +  Σ_moves cost/H
//
// where r is the share of its speed that a job keeps beside its neighbours, and v is
// its fair price: the cheapest dominant share of any machine that holds it,
//
//	v = min over offers of price · max over resources of needs/room
//
// or what a job's Value says (see Worth). A job that runs at r does (1−r) of an hour's
// work less, and that work has to be paid for later at about v. Eva's
// throughput-normalised reservation price (Chang et al., EuroSys 2025) is the same
// thought with the price of a machine of its own in the place of v, which is too much
// where jobs pack well.
//
// A new machine costs what it is paid for while it boots; a job that is moved loses
// its work for as long as it takes, at v + delay. Both count once and are spread over
// the time H that the arrangement is expected to last, which is until the first of the
// machine's jobs ends: 1/H = Σ 1/left over its jobs.
//
// The search takes down a few machines, builds them anew with some chance in it, and
// keeps what is better. What runs stays where it is unless moving it pays. A job that
// no offer holds has no place in the answer. Equal input gives an equal answer.
func Share(offers []ShareOffer, held []ShareMachine, jobs []ShareJob, s Sharing) []ShareHold {
	p := newSharing(offers, held, jobs, s)
	p.insert(p.waiting)
	for range cmp.Or(s.Tries, 400) {
		p.try()
	}
	return p.answer()
}

// sharing is a search under way.
type sharing struct {
	offers  []ShareOffer
	room    []amount  // of offers
	price   []float64 // of offers, $/h
	jobs    []ShareJob
	needs   []amount  // of jobs
	runs    [][]bool  // of jobs and offers: whether an empty machine holds the job
	kinds   []int     // of jobs
	fair    []float64 // of jobs, $/h
	worth   []float64 // fair price and delay, $/h
	left    []float64 // hours
	share   [][]float64
	racks   []*rack
	waiting []int // jobs that lie nowhere
	rng     *rand.Rand
}

func newSharing(offers []ShareOffer, held []ShareMachine, jobs []ShareJob, s Sharing) *sharing {
	p := &sharing{
		offers: offers, jobs: slices.Clone(jobs), rng: rand.New(rand.NewPCG(s.Seed, 0x5eed)), //nolint:gosec // a search, no secret
	}
	p.jobs = slices.DeleteFunc(p.jobs, func(j ShareJob) bool {
		return !slices.ContainsFunc(offers, func(o ShareOffer) bool { return o.holds(j.Needs) })
	})
	slices.SortFunc(p.jobs, func(a, b ShareJob) int { return a.Number - b.Number })
	for i := range offers {
		p.room = append(p.room, roomOf(offers[i]))
		p.price = append(p.price, offers[i].UnitPrice.USD())
	}
	index := map[string]int{}
	var names []string
	for i := range p.jobs {
		j := &p.jobs[i]
		k, ok := index[j.Kind]
		if !ok {
			k = len(names)
			index[j.Kind] = k
			names = append(names, j.Kind)
		}
		p.needs = append(p.needs, needOf(j.Needs))
		can := make([]bool, len(offers))
		for o := range offers {
			can[o] = offers[o].holds(j.Needs)
		}
		p.runs = append(p.runs, can)
		v := fairPrice(offers, j.Needs)
		if j.Value > 0 {
			v = j.Value
		}
		p.kinds = append(p.kinds, k)
		p.fair = append(p.fair, v)
		p.worth = append(p.worth, v+s.Delay.USD())
		p.left = append(p.left, max(leastLeft, j.Left.Hours()))
	}
	p.share = make([][]float64, len(names))
	for a := range names {
		p.share[a] = make([]float64, len(names))
		for b := range names {
			p.share[a][b] = 1
			if s.Share != nil {
				p.share[a][b] = s.Share(names[a], names[b])
			}
		}
	}
	machines := slices.Clone(held)
	slices.SortFunc(machines, func(a, b ShareMachine) int { return a.Number - b.Number })
	at := map[int]*rack{}
	for _, m := range machines {
		k := &rack{machine: m.Number, offer: m.Offer}
		p.racks = append(p.racks, k)
		at[m.Number] = k
	}
	for i := range p.jobs {
		if k := at[p.jobs[i].At]; k != nil && p.jobs[i].At >= 0 {
			p.add(k, i)
		} else {
			p.waiting = append(p.waiting, i)
		}
	}
	return p
}

// leastLeft is the shortest time that a job is taken to go on, in hours.
const leastLeft = 0.1

// answer gives the racks with jobs.
func (p *sharing) answer() []ShareHold {
	var out []ShareHold
	for _, k := range p.racks {
		if len(k.jobs) == 0 {
			continue
		}
		h := ShareHold{Machine: k.machine, Offer: k.offer}
		for _, i := range k.jobs {
			h.Jobs = append(h.Jobs, p.jobs[i].Number)
		}
		slices.Sort(h.Jobs)
		out = append(out, h)
	}
	return out
}
