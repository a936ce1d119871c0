package optimizer

import (
	"cmp"
	"maps"
	"math"
	"slices"
)

// A plan is made in two steps. Gangs and services are first committed: how many gangs run on which variant in which zone, which
// replicas a service has in which domain. What is left is to pack targets, numbers of replicas that may be packed anyhow, and any
// packing of the targets is a plan. The bound knows nothing of this.

// target is a number of replicas of a class that have to be packed, of one variant in one domain where that was committed.
type target struct {
	class   int32
	variant int32 // -1: any
	domain  int32 // of the class's level; -1: any
	need    int64
}

// targets are what a packing has to place.
type targets struct {
	p       *Problem
	list    []target
	levels  []int // by class: the level of its domains; -1: anywhere
	index   map[targetKey]int32
	configs [][]config // by class, of services that were committed: one for each member
	gangs   [][]gangAt // by class
}

type targetKey struct{ item, domain int32 }

// config is what one service has: so many replicas of a variant in a domain (-1: anywhere).
type config []configPart

type configPart struct {
	variant int
	domain  int32
	n       int64
}

// gangAt is so many gangs on one variant in one zone.
type gangAt struct {
	variant int
	zone    int32
	n       int64
}

// domainsOf lists where the services of a class are.
func (t *targets) domainsOf(class int) []massKey {
	seen := mass{}
	for _, cfg := range t.configs[class] {
		for _, p := range cfg {
			seen[massKey{p.variant, p.domain}]++
		}
	}
	return seen.keys()
}

// clone copies what changes when a packing is repaired.
func (t *targets) clone() *targets {
	c := *t
	c.list, c.index = slices.Clone(t.list), maps.Clone(t.index)
	c.configs, c.gangs = make([][]config, len(t.configs)), make([][]gangAt, len(t.gangs))
	for i := range t.configs {
		c.configs[i], c.gangs[i] = slices.Clone(t.configs[i]), slices.Clone(t.gangs[i])
	}
	return &c
}

// of is the target that a copy of the item on the site counts for, or -1.
func (t *targets) of(it, s int32) int32 {
	domain := int32(-1)
	if l := t.levels[t.p.items[it].class]; l >= 0 {
		domain = t.p.sites[s].domain[l]
	}
	if at, ok := t.index[targetKey{it, domain}]; ok {
		return at
	}
	return -1
}

// add makes a target for some items in a domain.
func (t *targets) add(tg target, items ...int32) {
	if tg.need <= 0 {
		return
	}
	for _, it := range items {
		t.index[targetKey{it, tg.domain}] = int32(len(t.list))
	}
	t.list = append(t.list, tg)
}

// mass says how much of a class lies where: replicas by variant and domain, as a fractional solution or a guess has it.
type mass map[massKey]float64

type massKey struct {
	variant int
	domain  int32
}

// hint says how a solution has one class: its mass, and for services its configurations with their weights.
type hint struct {
	mass    mass
	configs []config
	weights []float64
	fixed   bool // the weights are whole
}

// begin rounds the weights to whole services by largest remainder; nil without configurations.
func (h *hint) begin(services int) []config {
	sum := 0.0
	for _, w := range h.weights {
		sum += w
	}
	if sum <= 0 {
		return nil
	}
	shares := make([]float64, len(h.weights))
	for i, w := range h.weights {
		shares[i] = w / sum
	}
	out := make([]config, 0, services)
	for i, n := range apportion(shares, int64(services)) {
		for range n {
			out = append(out, h.configs[i])
		}
	}
	return out
}

// apportion splits a whole number by shares that sum up to 1, by largest remainder.
func apportion(shares []float64, whole int64) []int64 {
	counts := make([]int64, len(shares))
	order := make([]int, len(shares))
	given := int64(0)
	for i, s := range shares {
		order[i] = i
		counts[i] = int64(math.Floor(s*float64(whole) + 1e-9))
		given += counts[i]
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Compare(shares[b]*float64(whole)-float64(counts[b]), shares[a]*float64(whole)-float64(counts[a]))
	})
	for i := 0; given < whole; i++ {
		counts[order[i%len(order)]]++
		given++
	}
	return counts
}

// commit turns hints, by class, into targets for so many units of each (nil: all). A class without a hint is committed to where it is
// cheapest.
func (p *Problem) commit(hints []hint, units []int64) *targets {
	if hints == nil {
		hints = make([]hint, len(p.classes))
	}
	t := newTargets(p)
	for c := range p.classes {
		cl := &p.classes[c]
		t.levels[c] = p.commitLevel(cl)
		n := cl.units()
		if units != nil {
			n = units[c]
		}
		switch {
		case n == 0:
		case cl.kind == kindGang:
			t.commitGangs(c, hints[c].mass, n)
		case cl.plain:
			t.addPlain(c, n)
		default:
			h := hints[c]
			if len(h.mass) == 0 {
				h = hint{mass: p.cheapestMass(c)}
			}
			t.commitService(c, h, n)
		}
	}
	return t
}

func newTargets(p *Problem) *targets {
	return &targets{
		p: p, index: map[targetKey]int32{}, levels: make([]int, len(p.classes)),
		configs: make([][]config, len(p.classes)), gangs: make([][]gangAt, len(p.classes)),
	}
}

// addPlain makes the target of units that may lie anywhere.
func (t *targets) addPlain(c int, units int64) {
	cl := &t.p.classes[c]
	items := make([]int32, len(cl.variants))
	for v := range cl.variants {
		items[v] = cl.variants[v].item
	}
	t.add(target{int32(c), -1, -1, cl.least * units}, items...)
}

// commitLevel is the level of the domains that a class is committed to.
func (p *Problem) commitLevel(c *class) int {
	switch {
	case c.kind == kindGang:
		return zoneLevel
	case c.plain:
		return -1
	}
	return c.need.level
}

// commitGangs gives every gang a variant and a zone, by largest remainder.
func (t *targets) commitGangs(c int, m mass, n int64) {
	cl := &t.p.classes[c]
	if len(m) == 0 {
		m = t.p.cheapestMass(c)
	}
	keys := m.keys()
	sum := 0.0
	shares := make([]float64, len(keys))
	for i, k := range keys {
		shares[i] = m[k]
		if cl.sizes {
			shares[i] /= float64(cl.variants[k.variant].gang) // gangs, not replicas
		}
		sum += shares[i]
	}
	for i := range shares {
		shares[i] /= sum
	}
	counts := apportion(shares, n)
	for i, k := range keys {
		if counts[i] > 0 {
			t.gangs[c] = append(t.gangs[c], gangAt{k.variant, k.domain, counts[i]})
			t.add(target{int32(c), int32(k.variant), k.domain, counts[i] * cl.variants[k.variant].gang}, cl.variants[k.variant].item)
		}
	}
}

// keys are the places of a mass in a fixed order.
func (m mass) keys() []massKey {
	keys := make([]massKey, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b massKey) int {
		return cmp.Or(cmp.Compare(a.variant, b.variant), cmp.Compare(a.domain, b.domain))
	})
	return keys
}

// unitCosts is what a replica costs at the least by variant and domain of the class's level: its part of a machine full of its likes.
// limited says where every machine is limited.
func (p *Problem) unitCosts(c int) (costs mass, limited map[massKey]bool) {
	cl := &p.classes[c]
	level := p.commitLevel(cl)
	costs, limited = mass{}, map[massKey]bool{}
	for v := range cl.variants {
		vt := &cl.variants[v]
		for _, g := range p.groupsOf[vt.item] {
			copies := vt.size.copies(p.groups[g].room, vt.most)
			if copies == 0 {
				continue
			}
			for _, s := range p.groups[g].sites {
				st := &p.sites[s]
				k := massKey{v, -1}
				if level >= 0 {
					k.domain = st.domain[level]
				}
				each := float64(st.cost(vt.span)+p.groups[g].extraFor(vt.item, copies)) / float64(copies)
				old, known := costs[k]
				open := st.limit < 0 && len(st.quotas) == 0
				switch {
				case !known, open && limited[k], each < old && open != limited[k]:
					costs[k], limited[k] = each, !open
				}
			}
		}
	}
	return costs, limited
}

// keysByCost are the variants and domains of a class, the cheapest first; those where every machine is limited come last.
func (p *Problem) keysByCost(c int) []massKey {
	costs, limited := p.unitCosts(c)
	keys := costs.keys()
	if p.classes[c].sizes {
		for _, k := range keys {
			costs[k] *= float64(p.classes[c].variants[k.variant].gang) // of a gang, not of a replica
		}
	}
	slices.SortStableFunc(keys, func(a, b massKey) int {
		if limited[a] != limited[b] {
			if limited[b] {
				return -1
			}
			return 1
		}
		return cmp.Compare(costs[a], costs[b])
	})
	return keys
}

// cheapestMass puts everything where it is cheapest; what has to survive, see survivingMass.
func (p *Problem) cheapestMass(c int) mass {
	cl := &p.classes[c]
	switch {
	case cl.spare == 0:
		return mass{p.keysByCost(c)[0]: float64(cl.replicas())}
	case len(cl.variants) == 1:
		return p.evenMass(c) // fewest replicas: machines are shared with others
	}
	return p.survivingMass(c)
}
