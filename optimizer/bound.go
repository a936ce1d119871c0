package optimizer

import (
	"math"
	"math/big"
	"math/bits"
	"slices"
)

// proofShift is how finely classes are scaled for a bound.
const proofShift = 40

// bound is what the row prices d and the proofs of a pricing round (of patterns, and of what a service of each kind is worth) show: no plan costs less, in nano-USD. ok is false when they show
// nothing. It is exact: row prices are integers, and every rounding goes the safe way.
//
// Row prices under which no pattern earns anything sum up to a bound. Where patterns could still earn, the prices of all rows of the
// classes concerned are scaled down by the worst rent/(rent + profit) of a bucket with the class in it (Farley's bound, class by class).
// Buckets of held leases, which are few machines, pay for it with a higher price of their limit instead.
func (r *relaxed) bound(d *duals, results []priced, worth []int64) (int64, bool) {
	p := r.p
	keep := make([]int64, len(p.classes))
	for c := range keep {
		keep[c] = 1 << proofShift
	}
	total := new(big.Int)
	add := func(n int64) { total.Add(total, big.NewInt(n)) }
	addProduct := func(a, b int64) { total.Add(total, new(big.Int).Mul(big.NewInt(a), big.NewInt(b))) }
	for i := range results {
		if results[i].upper <= 0 {
			continue
		}
		if machines, all := p.heldMachines(&results[i].bucket); all {
			addProduct(-machines, results[i].upper)
			continue
		}
		for _, e := range p.groups[results[i].bucket.groups[0]].entries {
			if ratio := ratioFor(results[i].ratios, p.items[e.item].span); ratio < 1 {
				c := p.items[e.item].class
				keep[c] = min(keep[c], max(0, int64(math.Floor(ratio*(1<<proofShift)))-1))
			}
		}
	}
	addScaled := func(price, n int64, c int) {
		part := new(big.Int).Mul(big.NewInt(price), big.NewInt(n))
		total.Add(total, part.Rsh(part.Mul(part, big.NewInt(keep[c])), proofShift)) // floors
	}
	for c, row := range r.rowOf {
		if row >= 0 {
			addScaled(d.rows[row], p.classes[c].least*r.units[c], c)
		}
	}
	for c, row := range r.m.hosts {
		addScaled(d.rows[row], r.p.hostsNeeded(c, r.units[c]), c)
	}
	for i := range r.services {
		addScaled(worth[i], r.units[r.services[i].class], r.services[i].class)
	}
	for s, price := range d.limits {
		addProduct(-p.sites[s].limit, price)
	}
	for q, price := range d.quotas {
		part := new(big.Int).Mul(big.NewInt(price), big.NewInt(p.quotas[q].limit))
		total.Sub(total, part.Div(part.Add(part, big.NewInt(999)), big.NewInt(1000)))
	}
	for i, row := range p.apartRows {
		// Not scaled, as limits are not: what items lose by these rows is then no less than in the proof.
		addProduct(-row.limit, d.rows[r.m.apart+i])
	}
	for i, price := range d.tallies {
		if price > 0 {
			addProduct(price, r.tallies[i].least)
		} else {
			addProduct(price, r.tallies[i].most)
		}
	}
	r.addMissed(total, d, keep)
	if !r.count {
		add(p.constant())
	}
	if !total.IsInt64() {
		return 0, false
	}
	return total.Int64(), true
}

// constant is what every plan costs: what runs on and may not move, and moving everything that may, of which what stays gives back.
func (p *Problem) constant() int64 {
	n := p.basePaid
	for i := range p.sites {
		if p.sites[i].first < i {
			continue // its machines are counted there
		}
		for _, s := range p.sites[i].now {
			n += s.worth * s.count * p.sites[i].limit
		}
	}
	return n
}

// heldMachines counts the machines of a bucket when every one of them is held.
func (p *Problem) heldMachines(b *bucket) (machines int64, all bool) {
	for _, g := range b.groups {
		for _, s := range p.groups[g].sites {
			if len(p.sites[s].held) == 0 {
				return 0, false
			}
			machines += p.sites[s].limit
		}
	}
	return machines, true
}

// prices reads the row prices of the last solution.
func (r *relaxed) prices() *duals {
	d := r.duals()
	for _, at := range r.levelAt {
		d.levels = append(d.levels, int64(math.Round(math.Max(0, -r.last.RowDual[at])*r.unit)))
	}
	return d
}

// addMissed takes off what the missed replicas could earn, and the price of the levels' limits.
func (r *relaxed) addMissed(total *big.Int, d *duals, keep []int64) {
	p := r.p
	if !r.lenient() {
		return
	}
	rows := slices.Clone(r.rowOf)
	for i := range r.services {
		rows[r.services[i].class] = r.services[i].rest[r.services[i].fastest]
	}
	for c := range r.p.classes {
		if rows[c] < 0 || p.classes[c].sizes {
			continue // what a gang of several sizes is worth knows of missing it
		}
		worth := mulUp(d.rows[rows[c]], keep[c], proofShift)
		cost := int64(math.Floor(r.unit * p.missWeight(p.classes[c].level))) // where they are counted
		if !r.count {
			cost = d.levels[r.p.classes[c].level]
		}
		if worth > cost {
			total.Sub(total, new(big.Int).Mul(big.NewInt(worth-cost), big.NewInt(r.missCap(c))))
		}
	}
	if !r.count {
		for level, most := range r.missMax {
			total.Sub(total, new(big.Int).Mul(big.NewInt(d.levels[level]), big.NewInt(most)))
		}
	}
}

// mulUp is ⌈a·b / 2^shift⌉ for a, b ≥ 0.
func mulUp(a, b int64, shift uint) int64 {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	lo, carry := bits.Add64(lo, 1<<shift-1, 0)
	hi += carry
	return int64(hi<<(64-shift) | lo>>shift)
}
