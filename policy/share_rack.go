package policy

import "slices"

// rack is a machine of the plan that is searched, held or new, with its jobs.
type rack struct {
	machine int // negative: new
	offer   int
	jobs    []int // indices
	rates   []float64
	used    amount
}

func (k *rack) clone() *rack {
	c := *k
	c.jobs, c.rates = slices.Clone(k.jobs), slices.Clone(k.rates)
	return &c
}

// hosts says whether a rack has room for one more job.
func (p *sharing) hosts(k *rack, i int) bool {
	return p.runs[i][k.offer] && k.used.plus(p.needs[i]).fits(p.room[k.offer])
}

// add puts a job on a rack.
func (p *sharing) add(k *rack, i int) {
	mine := 1.0
	for at, other := range k.jobs {
		k.rates[at] *= p.share[p.kinds[other]][p.kinds[i]]
		mine *= p.share[p.kinds[i]][p.kinds[other]]
	}
	k.jobs, k.rates = append(k.jobs, i), append(k.rates, mine)
	k.used = k.used.plus(p.needs[i])
}

// remove takes a job off a rack. Rates are computed anew, so that they do not drift.
func (p *sharing) remove(k *rack, i int) {
	jobs := k.jobs
	k.jobs, k.rates, k.used = nil, nil, amount{}
	for _, other := range jobs {
		if other != i {
			p.add(k, other)
		}
	}
}

// cost is what a rack costs, $ per hour; one without jobs costs nothing.
func (p *sharing) cost(k *rack) float64 {
	if len(k.jobs) == 0 {
		return 0
	}
	o := &p.offers[k.offer]
	sum, once, ends := p.price[k.offer], 0.0, 0.0
	if k.machine < 0 {
		once = sum * o.Paid.Hours()
	}
	for at, i := range k.jobs {
		sum += p.worth[i] * (1 - k.rates[at])
		once += p.arrival(k, i)
		ends += 1 / p.left[i]
	}
	return sum + once*ends
}

// arrival is what it costs once that a job comes to a rack, $.
func (p *sharing) arrival(k *rack, i int) float64 {
	j := &p.jobs[i]
	wait := 0.0
	if k.machine < 0 {
		wait = p.offers[k.offer].Wait.Hours()
	}
	switch {
	case j.At >= 0 && k.machine != j.At:
		wait += j.Move.Hours()
	case j.At >= 0:
		return 0
	}
	return p.worth[i] * wait
}

// with is the cost of a rack with one job more.
func (p *sharing) with(k *rack, i int) float64 {
	o := &p.offers[k.offer]
	sum, once, ends := p.price[k.offer], p.arrival(k, i), 1/p.left[i]
	if k.machine < 0 {
		once += sum * o.Paid.Hours()
	}
	mine := 1.0
	for at, other := range k.jobs {
		mine *= p.share[p.kinds[i]][p.kinds[other]]
		sum += p.worth[other] * (1 - k.rates[at]*p.share[p.kinds[other]][p.kinds[i]])
		once += p.arrival(k, other)
		ends += 1 / p.left[other]
	}
	sum += p.worth[i] * (1 - mine)
	return sum + once*ends
}
