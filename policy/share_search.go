package policy

import (
	"cmp"
	"math"
	"slices"
)

// insert puts jobs, those with the highest fair price first, where they cost least:
// on a rack or on a new machine.
func (p *sharing) insert(jobs []int) {
	order := slices.Clone(jobs)
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(p.fair[b], p.fair[a]) })
	for _, i := range order {
		best, least := (*rack)(nil), math.Inf(1)
		for _, k := range p.racks {
			if !p.hosts(k, i) {
				continue
			}
			if c := p.with(k, i) - p.cost(k); c < least {
				best, least = k, c
			}
		}
		for o := range p.offers {
			k := &rack{machine: -1, offer: o}
			if !p.hosts(k, i) {
				continue
			}
			if c := p.with(k, i); c < least {
				best, least = k, c
			}
		}
		if best.machine < 0 && len(best.jobs) == 0 {
			p.racks = append(p.racks, best)
		}
		p.add(best, i)
	}
}

// How much chance there is in the search.
const (
	mostDown = 4   // racks that are taken down at once
	mostOpen = 3   // racks that keep their jobs and may take more
	newKinds = 5   // offers that are tried for a new machine
	noise    = 0.3 // by which a gain is taken for more or less than it is
)

// try takes down a few racks, builds what was on them anew, and keeps the better.
func (p *sharing) try() {
	down, open := p.choose()
	before := 0.0
	saved := make([]*rack, 0, len(down)+len(open))
	var pool []int
	for n, k := range slices.Concat(down, open) {
		before += p.cost(k)
		saved = append(saved, k.clone())
		if n >= len(down) {
			continue
		}
		for _, i := range saved[n].jobs {
			if !p.jobs[i].Fixed {
				p.remove(k, i)
				pool = append(pool, i)
			}
		}
	}
	slices.Sort(pool)
	added := p.build(pool, slices.Concat(down, open))
	after := 0.0
	for _, k := range slices.Concat(down, open, added) {
		after += p.cost(k)
	}
	const least = 1e-9
	if after < before-least {
		p.racks = slices.DeleteFunc(append(p.racks, added...), func(k *rack) bool { return k.machine < 0 && len(k.jobs) == 0 })
		return
	}
	for n, k := range slices.Concat(down, open) {
		*k = *saved[n]
	}
}

// choose names the racks to be taken down, and others that may take more. The first
// is the one of two that makes less of what it costs; held machines without jobs are
// always open.
func (p *sharing) choose() (down, open []*rack) {
	var used []*rack
	for _, k := range p.racks {
		if len(k.jobs) > 0 {
			used = append(used, k)
		} else {
			open = append(open, k)
		}
	}
	if len(used) == 0 {
		return nil, nil
	}
	p.rng.Shuffle(len(used), func(a, b int) { used[a], used[b] = used[b], used[a] })
	if len(used) > 1 && p.ratio(used[1]) > p.ratio(used[0]) {
		used[0], used[1] = used[1], used[0]
	}
	n := min(1+p.rng.IntN(mostDown), len(used))
	m := min(p.rng.IntN(mostOpen+1), len(used)-n)
	return used[:n], append(open, used[n:n+m]...)
}

// ratio is what a rack costs for each $ of work that it does.
func (p *sharing) ratio(k *rack) float64 {
	fair := 0.0
	for _, i := range k.jobs {
		fair += p.fair[i]
	}
	return p.cost(k) / fair
}

// build places a pool on racks and on new machines. Again and again, each rack and
// some new machines are filled on trial, and the one that costs least for each $ of
// work that comes to it is taken.
func (p *sharing) build(pool []int, racks []*rack) (added []*rack) {
	for len(pool) > 0 {
		var best, into *rack
		least := math.Inf(1)
		consider := func(k, trial *rack) {
			fair, cost := 0.0, p.cost(trial)
			for _, i := range trial.jobs {
				fair += p.fair[i]
			}
			if k != nil {
				cost -= p.cost(k)
				for _, i := range k.jobs {
					fair -= p.fair[i]
				}
			}
			if len(trial.jobs) == 0 || k != nil && len(trial.jobs) == len(k.jobs) {
				return
			}
			if score := cost / fair * (1 + noise/3*p.rng.Float64()); score < least {
				best, into, least = trial, k, score
			}
		}
		for _, k := range racks {
			trial := k.clone()
			p.fill(trial, pool)
			consider(k, trial)
		}
		for range newKinds {
			trial := &rack{machine: -1, offer: p.rng.IntN(len(p.offers))}
			p.fill(trial, pool)
			p.shrink(trial)
			consider(nil, trial)
		}
		if best == nil {
			best, into = p.alone(pool[0]), nil
		}
		if into != nil {
			*into = *best
		} else {
			added = append(added, best)
		}
		pool = slices.DeleteFunc(pool, func(i int) bool { return slices.Contains(best.jobs, i) })
	}
	return added
}

// fill adds jobs of a pool to a rack as long as one is worth it: the one that gains
// most goes first. An empty rack begins with any, or with one that runs there.
func (p *sharing) fill(k *rack, pool []int) {
	in := make([]bool, len(pool))
	if len(k.jobs) == 0 {
		first := p.first(k, pool)
		if first < 0 {
			return
		}
		p.add(k, pool[first])
		in[first] = true
	}
	for {
		best, most := -1, 0.0
		now := p.cost(k)
		for at, i := range pool {
			if in[at] || !p.hosts(k, i) {
				continue
			}
			gain := (p.worth[i] + p.arrivalAlone(i) - (p.with(k, i) - now)) * (1 + noise*(2*p.rng.Float64()-1))
			if gain > most {
				best, most = at, gain
			}
		}
		if best < 0 {
			return
		}
		p.add(k, pool[best])
		in[best] = true
	}
}

// arrivalAlone is what a job that is placed elsewhere costs for coming there, $ per
// hour: nothing is added to a machine for it that another would not have to bear.
func (p *sharing) arrivalAlone(i int) float64 {
	if p.jobs[i].At < 0 {
		return 0
	}
	return p.worth[i] * p.jobs[i].Move.Hours() / p.left[i]
}

// first chooses the job with which a rack begins; -1: none fits.
func (p *sharing) first(k *rack, pool []int) int {
	var can, here []int
	for at, i := range pool {
		if p.hosts(k, i) {
			can = append(can, at)
			if k.machine >= 0 && p.jobs[i].At == k.machine {
				here = append(here, at)
			}
		}
	}
	switch {
	case len(here) > 0 && p.rng.IntN(4) > 0:
		return here[p.rng.IntN(len(here))]
	case len(can) > 0:
		return can[p.rng.IntN(len(can))]
	default:
		return -1
	}
}

// shrink exchanges a new machine for the cheapest that holds its jobs.
func (p *sharing) shrink(k *rack) {
	for o := range p.offers {
		if p.price[o] < p.price[k.offer] && k.used.fits(p.room[o]) && !slices.ContainsFunc(k.jobs, func(i int) bool { return !p.runs[i][o] }) {
			k.offer = o
		}
	}
}

// alone is the cheapest new machine for one job.
func (p *sharing) alone(i int) *rack {
	var best *rack
	for o := range p.offers {
		k := &rack{machine: -1, offer: o}
		if p.hosts(k, i) && (best == nil || p.price[o] < p.price[best.offer]) {
			best = k
		}
	}
	p.add(best, i)
	return best
}
