package optimizer

import (
	"cmp"
	"math"
	"slices"
)

// repair places one by one what a packing has left over: into room on machines that are rented, or onto new ones, whichever costs less.
// Gangs and services may change where they were committed to. What is left then is missed.
func (k *packing) repair() {
	order := make([]int32, len(k.need))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortStableFunc(order, func(a, b int32) int {
		x, y := &k.p.classes[k.t.list[a].class], &k.p.classes[k.t.list[b].class]
		return cmp.Or(cmp.Compare(x.level, y.level), cmp.Compare(y.variants[0].size.share(amounts{1 << 40, 1 << 40, 1 << 40}), x.variants[0].size.share(amounts{1 << 40, 1 << 40, 1 << 40})))
	})
	for _, tg := range order {
		if k.need[tg] <= 0 {
			continue
		}
		switch cl := &k.p.classes[k.t.list[tg].class]; {
		case cl.kind == kindGang:
			k.repairGangs(tg)
		case cl.plain:
			for k.need[tg] > 0 && k.insertAny(tg) {
			}
		default:
			k.repairService(tg)
		}
	}
}

// insertion is a way to place one more copy: a column that becomes another, or a new one.
type insertion struct {
	old  int // index in list; -1: a new machine
	next column
	cost int64 // more than before
	ok   bool
}

// cheapestInsertion finds where one copy of an item costs least; in a domain of a level, or anywhere where level is -1.
func (k *packing) cheapestInsertion(it int32, level int, domain int32) insertion {
	best := insertion{old: -1, cost: math.MaxInt64}
	size := k.p.items[it].size
	for _, g := range k.p.groupsOf[it] {
		for _, s := range k.p.groups[g].sites {
			if level >= 0 && k.p.sites[s].domain[level] != domain || k.has(s) <= 0 || !size.within(k.p.groups[g].room) || !k.p.keepsCaps(s, pattern{{it, 1}}) || !k.apartLeft(it, s) {
				continue
			}
			if c := k.p.newColumn(g, s, pattern{{it, 1}}); c.cost < best.cost {
				best = insertion{-1, c, c.cost, true}
			}
		}
	}
	for i := range k.list {
		m := &k.list[i]
		if m.n <= 0 || !size.within(m.free) || (level >= 0 && k.p.sites[m.site].domain[level] != domain) || !k.p.groups[m.group].offers(it) {
			continue
		}
		c := k.p.newColumn(m.group, m.site, append(slices.Clone(m.pattern), count{it, 1}))
		if !k.p.keepsCaps(m.site, c.pattern) || !k.apartLeft(it, m.site) {
			continue
		}
		if more := c.cost - m.cost; more < best.cost {
			best = insertion{i, c, more, true}
		}
	}
	return best
}

// apply places the copy.
func (k *packing) apply(in insertion) {
	if in.old >= 0 {
		old := k.list[in.old].column
		k.put(&old, -1)
	}
	k.put(&in.next, 1)
}

// insertAny places one replica of a target that may lie anywhere.
func (k *packing) insertAny(tg int32) bool {
	best := insertion{cost: math.MaxInt64}
	cl := &k.p.classes[k.t.list[tg].class]
	for v := range cl.variants {
		if in := k.cheapestInsertion(cl.variants[v].item, -1, -1); in.ok && in.cost < best.cost {
			best = in
		}
	}
	if best.ok {
		k.apply(best)
		return true
	}
	return slices.ContainsFunc(cl.variants, func(v variant) bool { return k.eject(v.item, -1, -1) })
}

// remove takes one copy of an item out of a machine in the domain, where that saves most.
func (k *packing) remove(it int32, level int, domain int32) bool {
	best, saving := -1, int64(math.MinInt64)
	var next column
	for i := range k.list {
		m := &k.list[i]
		if m.n <= 0 || (level >= 0 && k.p.sites[m.site].domain[level] != domain) {
			continue
		}
		pat := m.pattern.less(it)
		if pat == nil {
			continue
		}
		c := column{group: m.group, site: m.site}
		if len(pat) > 0 {
			c = k.p.newColumn(m.group, m.site, pat)
		}
		if s := m.cost - c.cost; s > saving {
			best, saving, next = i, s, c
		}
	}
	if best < 0 {
		return false
	}
	old := k.list[best].column
	k.put(&old, -1)
	if len(next.pattern) > 0 {
		k.put(&next, 1)
	}
	return true
}

// less is the pattern with one copy of the item less; nil when it has none.
func (p pattern) less(it int32) pattern {
	at := slices.IndexFunc(p, func(n count) bool { return n.item == it })
	if at < 0 {
		return nil
	}
	out := append(make(pattern, 0, len(p)), p...)
	if out[at].n--; out[at].n == 0 {
		out = slices.Delete(out, at, at+1)
	}
	return out
}

// ensure gives the target of an item in a domain, making it where there is none.
func (k *packing) ensure(class, variant int, domain int32) int32 {
	it := k.p.classes[class].variants[variant].item
	tg, ok := k.t.index[targetKey{it, domain}]
	if !ok {
		tg = int32(len(k.t.list))
		k.t.add(target{int32(class), int32(variant), domain, 1}, it)
		k.t.list[tg].need = 0
	}
	k.sync()
	return tg
}

// sync learns of targets that were made since.
func (k *packing) sync() {
	for len(k.need) < len(k.t.list) {
		k.need = append(k.need, 0)
	}
}

// zonesTried is in how many zones a gang is tried before it is given up or the cheapest is taken.
const zonesTried = 6

// repairGangs places the gangs that the target has left over, each as a whole, where it costs least.
func (k *packing) repairGangs(tg int32) {
	t := k.t.list[tg]
	cl := &k.p.classes[t.class]
	it := cl.variants[t.variant].item
	for k.need[tg] > 0 {
		for k.need[tg]%cl.variants[t.variant].gang != 0 && k.remove(it, zoneLevel, t.domain) {
		}
		keys := k.p.keysByCost(int(t.class))
		var best *packing
		var bestKey massKey
		tried := 0
		for _, key := range append([]massKey{{int(t.variant), t.domain}}, keys...) {
			if tried++; tried > zonesTried {
				break
			}
			trial := k.clone()
			if trial.moveGang(tg, key) && (best == nil || trial.cost < best.cost) {
				best, bestKey = trial, key
			}
		}
		k.sync()
		if best == nil {
			return
		}
		best.sync()
		*k = *best
		k.t.addGangs(int(t.class), massKey{int(t.variant), t.domain}, -1)
		k.t.addGangs(int(t.class), bestKey, 1)
	}
}

// moveGang places one gang of the target at another key.
func (k *packing) moveGang(tg int32, key massKey) bool {
	class := int(k.t.list[tg].class)
	cl := &k.p.classes[class]
	to := k.ensure(class, key.variant, key.domain)
	k.need[tg] -= cl.variants[k.t.list[tg].variant].gang
	k.need[to] += cl.variants[key.variant].gang
	it := cl.variants[key.variant].item
	for range cl.variants[key.variant].gang {
		in := k.cheapestInsertion(it, zoneLevel, key.domain)
		if !in.ok {
			return false
		}
		k.apply(in)
	}
	return true
}

// addGangs keeps the record of where gangs are.
func (t *targets) addGangs(class int, key massKey, n int64) {
	for i := range t.gangs[class] {
		if g := &t.gangs[class][i]; g.variant == key.variant && g.zone == key.domain {
			g.n += n
			return
		}
	}
	t.gangs[class] = append(t.gangs[class], gangAt{key.variant, key.domain, n})
}

// repairService places the replicas that the target has left over, elsewhere if need be, as long as their services still serve and
// survive then.
func (k *packing) repairService(tg int32) {
	t := k.t.list[tg]
	class := int(t.class)
	cl := &k.p.classes[class]
	level := k.t.levels[class]
	for k.need[tg] > 0 {
		if in := k.cheapestInsertion(cl.variants[t.variant].item, level, t.domain); in.ok {
			k.apply(in)
			continue
		}
		if !k.moveReplica(tg, class, level) && !k.eject(cl.variants[t.variant].item, level, t.domain) {
			return
		}
	}
}

// moveReplica gives one service another replica instead of one that the target has left over.
func (k *packing) moveReplica(tg int32, class, level int) bool {
	t := k.t.list[tg]
	cl := &k.p.classes[class]
	from := -1
	for i := range k.t.configs[class] {
		if k.t.configs[class][i].of(int(t.variant), t.domain) > 0 {
			from = i
		}
	}
	if from < 0 {
		return false
	}
	best, bestKey := insertion{cost: math.MaxInt64}, massKey{}
	for _, key := range k.p.keysOf(class, level) {
		if key.variant == int(t.variant) && key.domain == t.domain {
			continue
		}
		moved := k.t.configs[class][from].move(int(t.variant), t.domain, key)
		if !cl.need.met(cl.rated(moved)) {
			continue
		}
		if in := k.cheapestInsertion(cl.variants[key.variant].item, level, key.domain); in.ok && in.cost < best.cost {
			best, bestKey = in, key
		}
	}
	if !best.ok {
		return false
	}
	to := k.ensure(class, bestKey.variant, bestKey.domain)
	k.need[tg]--
	k.need[to]++
	k.t.configs[class][from] = k.t.configs[class][from].move(int(t.variant), t.domain, bestKey)
	k.apply(best)
	return true
}

// keysOf lists every variant and domain of the level where replicas of the class can be.
func (p *Problem) keysOf(class, level int) []massKey {
	seen := mass{}
	for v := range p.classes[class].variants {
		for _, g := range p.groupsOf[p.classes[class].variants[v].item] {
			for _, s := range p.groups[g].sites {
				k := massKey{v, -1}
				if level >= 0 {
					k.domain = p.sites[s].domain[level]
				}
				seen[k] = 1
			}
		}
	}
	return seen.keys()
}

// of is how many replicas a configuration has of a variant in a domain.
func (c config) of(variant int, domain int32) int64 {
	for _, p := range c {
		if p.variant == variant && p.domain == domain {
			return p.n
		}
	}
	return 0
}

// move is the configuration with one replica elsewhere.
func (c config) move(variant int, domain int32, to massKey) config {
	var out config
	added := false
	for _, p := range c {
		if p.variant == variant && p.domain == domain {
			p.n--
		}
		if p.variant == to.variant && p.domain == to.domain {
			p.n++
			added = true
		}
		if p.n > 0 {
			out = append(out, p)
		}
	}
	if !added {
		out = append(out, configPart{to.variant, to.domain, 1})
	}
	return out
}

// rated is the configuration with what stands, as the need sees it.
func (c *class) rated(cfg config) []rated {
	out := make([]rated, 0, len(cfg)+len(c.standing))
	for _, p := range cfg {
		out = append(out, c.ratedAs(p.variant, p.domain, p.n))
	}
	return append(out, c.standing...)
}
