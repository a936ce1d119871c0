package optimizer

import (
	"math"
	"slices"
)

// commitService gives every service of the class its replicas by variant and domain, so that each serves its rate and survives. They
// begin with the configurations of the hint, as often as it has them, or with an even share of its mass.
func (t *targets) commitService(c int, h hint, n int64) {
	cl := &t.p.classes[c]
	b := newServiceBuilder(t.p, c, h.mass)
	begin := h.begin(int(n))
	sums := make([]int64, len(b.keys))
	for s := range int(n) {
		left := float64(int(n) - s)
		counts := make([]int64, len(b.keys))
		if begin == nil {
			for i := range counts {
				counts[i] = int64(math.Floor(b.rest[i]/left + 1e-6))
			}
		} else {
			b.place(begin[s], counts)
		}
		b.finish(counts, left)
		var cfg config
		for i, n := range counts {
			if n > 0 {
				cfg = append(cfg, configPart{b.keys[i].variant, b.keys[i].domain, n})
			}
			b.rest[i] = math.Max(0, b.rest[i]-float64(n))
			sums[i] += n
		}
		t.configs[c] = append(t.configs[c], cfg)
	}
	for i, k := range b.keys {
		t.add(target{int32(c), int32(k.variant), k.domain, sums[i]}, cl.variants[k.variant].item)
	}
}

// serviceBuilder makes up one service at a time.
type serviceBuilder struct {
	cl    *class
	costs mass
	keys  []massKey
	rest  []float64 // by key: mass not yet given to a service
}

// limitedFactor keeps services from places where every machine is limited, but where their mass lies or nothing else is left.
const limitedFactor = 1000

func newServiceBuilder(p *Problem, c int, m mass) *serviceBuilder {
	costs, limited := p.unitCosts(c)
	for k := range limited {
		if limited[k] {
			costs[k] *= limitedFactor
		}
	}
	b := &serviceBuilder{cl: &p.classes[c], costs: costs}
	b.keys = b.costs.keys()
	b.rest = make([]float64, len(b.keys))
	for i, k := range b.keys {
		b.rest[i] = m[k]
	}
	return b
}

// place begins a service with a configuration. What the configuration has in the rest goes to where most mass is left, into domains
// that it does not use yet as long as there are such.
func (b *serviceBuilder) place(cfg config, counts []int64) {
	used := map[int32]bool{}
	for _, part := range cfg {
		used[part.domain] = true
		for i, k := range b.keys {
			if k.variant == part.variant && k.domain == part.domain {
				counts[i] += part.n
			}
		}
	}
	if b.cl.need.level < 0 {
		return
	}
	for _, part := range cfg {
		for n := part.n; part.domain < 0 && n > 0; n-- {
			best := -1
			for i, k := range b.keys {
				if k.variant != part.variant {
					continue
				}
				if best < 0 || b.freer(i, best, used, counts) {
					best = i
				}
			}
			if best < 0 {
				break
			}
			counts[best]++
			used[b.keys[best].domain] = true
		}
	}
}

// freer says whether a replica of the rest goes rather to key i than to key k.
func (b *serviceBuilder) freer(i, k int, used map[int32]bool, counts []int64) bool {
	if x, y := used[b.keys[i].domain], used[b.keys[k].domain]; x != y {
		return y
	}
	x, y := b.rest[i]-float64(counts[i]), b.rest[k]-float64(counts[k])
	if math.Max(x, 0) != math.Max(y, 0) {
		return x > y
	}
	return b.costs[b.keys[i]] < b.costs[b.keys[k]]
}

// finish adds what is missing and takes off what is not needed. The service is one of so many that share what is left of the mass.
func (b *serviceBuilder) finish(counts []int64, services float64) {
	if b.cl.need.machines && !b.cl.need.met(b.replicas(counts)) {
		b.fillMachines(counts)
	}
	over := func(i int) float64 { return float64(counts[i]) - b.rest[i]/services } // above its share
	for !b.cl.need.machines && !b.cl.need.met(b.replicas(counts)) {
		if b.full(counts) {
			if !b.swap(counts) {
				break
			}
			continue
		}
		avoid := b.lackOutside(counts)
		best := -1
		for i, k := range b.keys {
			if slices.ContainsFunc(avoid, func(l load) bool { return l.domain == k.domain }) {
				continue
			}
			if best < 0 || b.better(i, best, over) {
				best = i
			}
		}
		if best < 0 {
			break
		}
		counts[best]++
	}
	for b.cl.need.met(b.replicas(counts)) {
		worst := -1
		for i := range counts {
			if counts[i] == 0 {
				continue
			}
			counts[i]--
			if b.cl.need.met(b.replicas(counts)) && (worst < 0 || over(i)+1 > over(worst)+1e-9) {
				worst = i
			}
			counts[i]++
		}
		if worst < 0 {
			break
		}
		counts[worst]--
	}
}

// better says whether to add to i rather than to k: what is further below its share first, then what is cheaper for its rate.
func (b *serviceBuilder) better(i, k int, over func(int) float64) bool {
	x, y := over(i), over(k)
	if math.Min(x, 0) < math.Min(y, 0)-1e-9 {
		return true
	}
	if math.Min(x, 0) > math.Min(y, 0)+1e-9 {
		return false
	}
	return b.perRate(i) < b.perRate(k)
}

func (b *serviceBuilder) perRate(i int) float64 {
	return b.costs[b.keys[i]] / math.Max(b.cl.variants[b.keys[i].variant].rate, 1e-12)
}

// replicas lists the counted replicas with the base.
func (b *serviceBuilder) replicas(counts []int64) []rated {
	var out []rated
	for i, n := range counts {
		if n > 0 {
			out = append(out, b.cl.ratedAs(b.keys[i].variant, b.keys[i].domain, n))
		}
	}
	return append(out, b.cl.standing...)
}

// full says whether the service may have no more replicas.
func (b *serviceBuilder) full(counts []int64) bool {
	n := int64(len(b.cl.standing))
	for _, k := range counts {
		n += k
	}
	return b.cl.need.max > 0 && n >= b.cl.need.max
}

// swap puts the fastest variant in the place of a slower one, in the same domain; false when there is none.
func (b *serviceBuilder) swap(counts []int64) bool {
	for i, n := range counts {
		if n == 0 {
			continue
		}
		for k := range b.keys {
			if b.keys[k].domain == b.keys[i].domain && b.cl.variants[b.keys[k].variant].rate > b.cl.variants[b.keys[i].variant].rate {
				counts[i]--
				counts[k]++
				return true
			}
		}
	}
	return false
}

// lackOutside is where nothing more can help: in the domains whose loss the rest cannot do without.
func (b *serviceBuilder) lackOutside(counts []int64) []load {
	if b.cl.need.level < 0 {
		return nil
	}
	reps := b.replicas(counts)
	_, total := sum(reps)
	if list, lost := heaviest(reps, b.cl.need.failures); total-lost < b.cl.need.keep*(1-rateSlack) {
		return list
	}
	return nil
}

// strip takes out the replicas that services serve without.
func (k *packing) strip() {
	for c := range k.t.configs {
		cl, level := &k.p.classes[c], k.t.levels[c]
		for i, cfg := range k.t.configs[c] {
			kept := cl.strip(cfg)
			for _, part := range cfg {
				it := cl.variants[part.variant].item
				tg, ok := k.t.index[targetKey{it, part.domain}]
				if !ok {
					continue
				}
				for range part.n - kept.of(part.variant, part.domain) {
					if k.need[tg] > 0 || k.remove(it, level, part.domain) {
						k.need[tg]--
						k.t.list[tg].need--
						k.t.configs[c][i] = k.t.configs[c][i].less(part.variant, part.domain)
					}
				}
			}
		}
	}
}

// less is the configuration with one replica less.
func (c config) less(variant int, domain int32) config {
	var out config
	for _, p := range c {
		if p.variant == variant && p.domain == domain {
			p.n--
		}
		if p.n > 0 {
			out = append(out, p)
		}
	}
	return out
}

// strip leaves out of a configuration what it serves without.
func (c *class) strip(cfg config) config {
	if !c.need.met(c.rated(cfg)) {
		return cfg
	}
	out := append(config(nil), cfg...)
	for i := len(out) - 1; i >= 0; i-- {
		for out[i].n > 0 {
			out[i].n--
			if !c.need.met(c.rated(out)) {
				out[i].n++
				break
			}
		}
	}
	kept := out[:0]
	for _, p := range out {
		if p.n > 0 {
			kept = append(kept, p)
		}
	}
	return kept
}
