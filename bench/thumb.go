package bench

import (
	"cmp"
	"math"
	"slices"
	"time"

	"purser"
	"purser/optimizer"
)

// Baselines of the ladder: rules of thumb that give every replica a place, within limits and quotas. What is tied to zones is committed first,
// the same way for all of them: a gang to the zone, and a service to the zones, where machines without a limit full of its likes are
// cheapest. A service that needs n replicas and survives the loss of a zone has ⌈n/(k−1)⌉ in each of k zones, k being what costs least.

// room is devices, vCPUs and memory, in thousandths and MiB.
type room [3]int64

func roomOf(s purser.Shape) room { return room{int64(s.Devices), s.MilliCPU, s.MemoryMiB} }

// copies is how many of need fit, at most most.
func (r room) copies(need room, most int64) int64 {
	for d := range need {
		if need[d] > 0 {
			most = min(most, r[d]/need[d])
		}
	}
	return max(most, 0)
}

func (r room) less(need room, n int64) room {
	for d := range r {
		r[d] -= n * need[d]
	}
	return r
}

// share is the sum of r's shares of the whole.
func (r room) share(whole room) float64 {
	sum := 0.0
	for d := range r {
		if whole[d] > 0 {
			sum += float64(r[d]) / float64(whole[d])
		}
	}
	return sum
}

// lot is a number of like replicas.
type lot struct {
	group *purser.TaskGroup
	jobs  []purser.JobID // whose replicas these are, each with an equal number
	v     purser.Variant
	zone  string // "": any
	need  room
	span  time.Duration
	n     int64 // to be placed
	alone purser.Money
}

// fill is so many replicas of a lot on a machine.
type fill struct {
	lot int
	n   int64
}

// shelf is a number of machines bought, all with the same load.
type shelf struct {
	offer int
	n     int64
	fills []fill
	free  room
	span  time.Duration
	zone  string // of what is on it; "": it could be anywhere
}

// thumb is a rung in the hands of a rule of thumb.
type thumb struct {
	in      optimizer.Input
	lots    []lot
	limit   []int64          // by offer; -1: none
	quota   []int64          // thousandths
	by      map[string][]int // offers by accelerator
	most    map[string]room  // and the most that any of them has
	shelves map[string][]*shelf
}

// newThumb commits a rung. The same input gives the same lots.
func newThumb(in optimizer.Input) *thumb {
	t := &thumb{in: in, by: map[string][]int{}, most: map[string]room{}, shelves: map[string][]*shelf{}}
	for i, o := range in.Offers {
		t.by[o.Accelerator] = append(t.by[o.Accelerator], i)
		t.limit = append(t.limit, int64(o.Limit))
		most := t.most[o.Accelerator]
		for d, x := range roomOf(o.Shape) {
			most[d] = max(most[d], x)
		}
		t.most[o.Accelerator] = most
	}
	for _, q := range in.Quotas {
		t.quota = append(t.quota, q.Limit*1000)
	}
	at := map[*purser.Variant]int{}
	var classes [][]purser.Job
	for _, j := range in.Jobs {
		key := &j.Groups[0].Variants[0] // the jobs of a class share their variants
		if _, ok := at[key]; !ok {
			at[key] = len(classes)
			classes = append(classes, nil)
		}
		classes[at[key]] = append(classes[at[key]], j)
	}
	for _, jobs := range classes {
		t.commit(jobs)
	}
	for i := range t.lots {
		t.lots[i].alone = t.cost(t.cheapest(&t.lots[i], false), t.lots[i].span)
	}
	return t
}

// bound says whether an offer has a limit, or is under a quota.
func (t *thumb) bound(o int) bool {
	return t.in.Offers[o].Limit >= 0 || slices.ContainsFunc(t.in.Quotas, func(q purser.Quota) bool { return q.Weight(t.in.Offers[o]) > 0 })
}

// has is how many machines of an offer can still be bought.
func (t *thumb) has(o int) int64 {
	n := int64(math.MaxInt64)
	if t.limit[o] >= 0 {
		n = t.limit[o]
	}
	for q := range t.in.Quotas {
		if w := t.in.Quotas[q].Weight(t.in.Offers[o]); w > 0 {
			n = min(n, t.quota[q]/w)
		}
	}
	return n
}

// cost is a machine's price for its start-up and a span; the dearest thing there is where there is no machine.
func (t *thumb) cost(o int, span time.Duration) purser.Money {
	if o < 0 {
		return math.MaxInt64
	}
	return t.in.Offers[o].UnitPrice.For(optimizer.DefaultStartUp(t.in.Offers[o]) + min(span, t.in.Horizon))
}

// commit makes the lots of a class.
func (t *thumb) commit(jobs []purser.Job) {
	g := &jobs[0].Groups[0]
	ids := make([]purser.JobID, len(jobs))
	for i, j := range jobs {
		ids[i] = j.ID
	}
	var best []lot
	least := math.Inf(1)
	for _, v := range g.Variants {
		l := lot{group: g, jobs: ids, v: v, need: room{int64(v.Devices), v.MilliCPU, v.MemoryMiB}, span: t.in.Horizon, n: int64(g.Replicas)}
		if g.Kind == purser.Training {
			l.span = min(t.in.Horizon, g.RunTimeOn(v))
		}
		zones, each := t.zones(&l)
		switch {
		case g.Kind == purser.Inference:
			n := int64(math.Ceil(g.Demand/v.Throughput - 1e-9))
			sum := 0.0
			for k := range zones {
				if sum += each[k]; k == 0 {
					continue
				}
				in := (n + int64(k) - 1) / int64(k)
				if c := sum * float64(in); c < least {
					least, best = c, best[:0:0]
					for _, z := range zones[:k+1] {
						one := l
						one.zone, one.n = z, in
						best = append(best, one)
					}
				}
			}
		case len(zones) > 0 && each[0]*float64(l.n) < least:
			if g.Gang {
				l.zone = zones[0]
			}
			least, best = each[0]*float64(l.n), []lot{l}
		}
	}
	for _, l := range best {
		l.n *= int64(len(jobs))
		t.lots = append(t.lots, l)
	}
}

// zones are those with a machine without a limit for the lot, the cheapest first, and what a replica costs there on a machine full of its
// likes.
func (t *thumb) zones(l *lot) (zones []string, each []float64) {
	per := map[string]float64{}
	for _, o := range t.by[l.v.Accelerator] {
		offer := &t.in.Offers[o]
		copies := roomOf(offer.Shape).copies(l.need, math.MaxInt32)
		if copies == 0 || t.bound(o) {
			continue
		}
		z := offer.Domain(purser.DomainZone)
		c := float64(t.cost(o, l.span)) / float64(copies)
		if old, ok := per[z]; !ok || c < old {
			per[z] = c
		}
	}
	for z := range per {
		zones = append(zones, z)
	}
	slices.SortFunc(zones, func(a, b string) int { return cmp.Or(cmp.Compare(per[a], per[b]), cmp.Compare(a, b)) })
	for _, z := range zones {
		each = append(each, per[z])
	}
	return zones, each
}

// cheapest is the offer that is cheapest for the lot by itself, or with full per copy on a machine full of its likes, among those that can
// still be had; -1: none.
func (t *thumb) cheapest(l *lot, full bool) int {
	best, least := -1, math.Inf(1)
	for _, o := range t.by[l.v.Accelerator] {
		offer := &t.in.Offers[o]
		copies := roomOf(offer.Shape).copies(l.need, max(l.n, 1))
		if copies == 0 || l.zone != "" && offer.Domain(purser.DomainZone) != l.zone || t.has(o) == 0 {
			continue
		}
		c := float64(t.cost(o, l.span))
		if full {
			c /= float64(copies)
		}
		if c < least {
			best, least = o, c
		}
	}
	return best
}

// buy rents machines with the same load, as many as there are or as lots have replicas for, and says how many.
func (t *thumb) buy(o int, fills []fill) int64 {
	n := t.has(o)
	s := &shelf{offer: o, fills: fills, free: roomOf(t.in.Offers[o].Shape)}
	for _, f := range fills {
		l := &t.lots[f.lot]
		n = min(n, l.n/f.n)
		s.free, s.span = s.free.less(l.need, f.n), max(s.span, l.span)
		if l.zone != "" {
			s.zone = l.zone
		}
	}
	if n == 0 {
		return 0
	}
	s.n = n
	for _, f := range fills {
		t.lots[f.lot].n -= n * f.n
	}
	if t.limit[o] >= 0 {
		t.limit[o] -= n
	}
	for q := range t.quota {
		t.quota[q] -= n * t.in.Quotas[q].Weight(t.in.Offers[o])
	}
	a := t.in.Offers[o].Accelerator
	t.shelves[a] = append(t.shelves[a], s)
	return n
}

// fits says how many copies of a lot a machine of the shelf has room for.
func (t *thumb) fits(s *shelf, l *lot) int64 {
	if l.zone != "" && t.in.Offers[s.offer].Domain(purser.DomainZone) != l.zone {
		return 0
	}
	return s.free.copies(l.need, l.n)
}

// add puts copies of a lot onto the machines of a shelf, the same number on each. Machines for which the lot does not suffice are split off.
func (t *thumb) add(s *shelf, at int) {
	l := &t.lots[at]
	each := t.fits(s, l)
	if each == 0 {
		return
	}
	n := min(s.n, l.n/each)
	if n < s.n {
		rest := *s
		rest.n, rest.fills = s.n-n, slices.Clone(s.fills)
		a := t.in.Offers[s.offer].Accelerator
		t.shelves[a] = append(t.shelves[a], &rest)
		s.n = n
	}
	s.fills = append(s.fills, fill{at, each})
	s.free, s.span = s.free.less(l.need, each), max(s.span, l.span)
	if l.zone != "" {
		s.zone = l.zone
	}
	l.n -= n * each
}

// total is what all machines cost; ok is false when something has no place.
func (t *thumb) total() (sum purser.Money, ok bool) {
	for i := range t.lots {
		if t.lots[i].n > 0 {
			return 0, false
		}
	}
	for _, list := range t.shelves {
		for _, s := range list {
			sum += purser.Money(s.n) * t.cost(s.offer, s.span)
		}
	}
	return sum, true
}
