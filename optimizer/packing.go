package optimizer

import (
	"math"
	"slices"
)

// machines is a column that is rented so many times.
type machines struct {
	column
	n    int64
	free amounts // room that is left on each
}

// packing is a plan in the making: what is rented, and what is left of needs, limits and quotas.
type packing struct {
	p       *Problem
	t       *targets
	need    []int64 // by target
	limit   []int64 // by site; -1: no limit
	quota   []int64 // thousandths
	apart   []int64 // by row of what is kept apart
	list    []machines
	index   map[string]int // by column key
	cost    int64          // nano-USD
	ejected int            // replicas that got their place by ejecting others
}

func newPacking(t *targets) *packing {
	k := &packing{p: t.p, t: t, index: map[string]int{}}
	for i := range t.list {
		k.need = append(k.need, t.list[i].need)
	}
	for s := range t.p.sites {
		k.limit = append(k.limit, t.p.sites[s].limit)
	}
	for q := range t.p.quotas {
		k.quota = append(k.quota, t.p.quotas[q].limit)
	}
	for i := range t.p.apartRows {
		k.apart = append(k.apart, t.p.apartRows[i].limit)
	}
	return k
}

func (k *packing) clone() *packing {
	c := *k
	c.need, c.limit, c.quota, c.list = slices.Clone(k.need), slices.Clone(k.limit), slices.Clone(k.quota), slices.Clone(k.list)
	c.apart = slices.Clone(k.apart)
	c.index = make(map[string]int, len(k.index))
	for key, at := range k.index {
		c.index[key] = at
	}
	return &c
}

// has is how many machines of a site can still be had.
func (k *packing) has(s int32) int64 {
	n := int64(math.MaxInt64)
	if k.limit[s] >= 0 {
		n = k.limit[s]
	}
	for _, u := range k.p.sites[s].quotas {
		n = min(n, k.quota[u.quota]/u.weight)
	}
	return n
}

// wanted is by target what a column holds; ok is false when it holds what is no target, or more than one machine may.
func (k *packing) wanted(c *column) (list []count, ok bool) {
	list = make([]count, 0, len(c.pattern))
	ok = k.p.keepsCaps(c.site, c.pattern)
	for _, n := range c.pattern {
		tg := k.t.of(n.item, c.site)
		if tg < 0 {
			return nil, false
		}
		at := slices.IndexFunc(list, func(w count) bool { return w.item == tg })
		if at < 0 {
			list = append(list, count{tg, n.n})
		} else {
			list[at].n += n.n
		}
	}
	return list, ok
}

// times is how often a column can be put without holding more of anything than is needed: 0 for one that is not proper any more.
func (k *packing) times(c *column) int64 {
	want, ok := k.wanted(c)
	if !ok || len(want) == 0 {
		return 0
	}
	n := k.has(c.site)
	for _, w := range want {
		n = min(n, k.need[w.item]/w.n)
	}
	for _, u := range k.p.apartUses(c.site, c.pattern) {
		n = min(n, k.apart[u.item]/u.n)
	}
	return n
}

// put rents n machines of a column; a negative n gives some back.
func (k *packing) put(c *column, n int64) {
	want, _ := k.wanted(c)
	for _, w := range want {
		k.need[w.item] -= n * w.n
	}
	if k.limit[c.site] >= 0 {
		k.limit[c.site] -= n
	}
	for _, u := range k.p.sites[c.site].quotas {
		k.quota[u.quota] -= n * u.weight
	}
	for _, u := range k.p.apartUses(c.site, c.pattern) {
		k.apart[u.item] -= n * u.n
	}
	k.cost += n * c.cost
	key := c.key()
	if at, known := k.index[key]; known {
		k.list[at].n += n
		return
	}
	k.index[key] = len(k.list)
	k.list = append(k.list, machines{*c, n, k.p.groups[c.group].room.minus(k.p.used(c.pattern))})
}

// left is how many replicas are still to be placed.
func (k *packing) left() int64 {
	n := int64(0)
	for _, x := range k.need {
		n += x
	}
	return n
}

// rented counts the machines.
func (k *packing) rented() int64 {
	n := int64(0)
	for i := range k.list {
		n += k.list[i].n
	}
	return n
}

// merge adds further targets to those of the packing. Plain ones need what they need already.
func (k *packing) merge(t *targets) {
	k.sync()
	for i := range t.list {
		tg := &t.list[i]
		if tg.variant >= 0 {
			to := k.ensure(int(tg.class), int(tg.variant), tg.domain)
			k.need[to] += tg.need
			k.t.list[to].need += tg.need
		}
	}
	for c := range t.gangs {
		k.t.configs[c] = append(k.t.configs[c], t.configs[c]...)
		for _, g := range t.gangs[c] {
			k.t.addGangs(c, massKey{g.variant, g.zone}, g.n)
		}
	}
}
