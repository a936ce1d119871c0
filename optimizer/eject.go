package optimizer

import (
	"cmp"
	"math"
	"slices"
)

// ejectTries is how many machines are tried to be given up for one replica, and ejectMost how many replicas of a packing get their place
// that way.
const (
	ejectTries = 24
	ejectMost  = 200
)

// eject places one copy of an item where a limit or a quota is used up: it gives up a machine under the same limit or quota whose load can
// go elsewhere, where that costs least. It says whether that worked.
func (k *packing) eject(it int32, level int, domain int32) bool {
	if k.ejected >= ejectMost {
		return false
	}
	sites := k.closedSites(it, level, domain)
	if len(sites) == 0 {
		return false
	}
	var best *packing
	for _, at := range k.rivals(sites) {
		trial := k.clone()
		col := trial.list[at].column
		trial.put(&col, -1)
		in := trial.cheapestInsertion(it, level, domain)
		if !in.ok {
			continue
		}
		trial.apply(in)
		if trial.reseat(&col) && (best == nil || trial.cost < best.cost) {
			best = trial
		}
	}
	if best == nil {
		return false
	}
	best.sync()
	*k = *best
	k.ejected++
	return true
}

// closedSites are the sites of the domain that could host the item and have no machine left.
func (k *packing) closedSites(it int32, level int, domain int32) []int32 {
	var out []int32
	for _, g := range k.p.groupsOf[it] {
		for _, s := range k.p.groups[g].sites {
			if (level < 0 || k.p.sites[s].domain[level] == domain) && k.has(s) <= 0 {
				out = append(out, s)
			}
		}
	}
	return out
}

// rivals are the columns on machines that share a used-up limit or quota with one of the sites, those with the smallest loads first.
func (k *packing) rivals(sites []int32) []int {
	wanted := map[int32]bool{}
	quotas := map[int]bool{}
	for _, s := range sites {
		wanted[s] = true
		for _, u := range k.p.sites[s].quotas {
			if k.quota[u.quota] < u.weight {
				quotas[u.quota] = true
			}
		}
	}
	var out []int
	for i := range k.list {
		m := &k.list[i]
		shares := wanted[m.site] || slices.ContainsFunc(k.p.sites[m.site].quotas, func(u quotaUse) bool { return quotas[u.quota] })
		if m.n > 0 && shares {
			out = append(out, i)
		}
	}
	size := func(i int) int64 {
		n := int64(0)
		for _, c := range k.list[i].pattern {
			n += c.n
		}
		return n
	}
	slices.SortStableFunc(out, func(a, b int) int {
		return cmp.Or(cmp.Compare(size(a), size(b)), cmp.Compare(k.list[a].cost, k.list[b].cost))
	})
	return out[:min(len(out), ejectTries)]
}

// reseat places everything that a machine held, each copy on its own.
func (k *packing) reseat(c *column) bool {
	for _, n := range c.pattern {
		cl := &k.p.classes[k.p.items[n.item].class]
		level, domain := k.t.levels[k.p.items[n.item].class], int32(-1)
		if level >= 0 {
			domain = k.p.sites[c.site].domain[level]
		}
		for range n.n {
			best := insertion{cost: math.MaxInt64}
			for v := range cl.variants {
				if it := cl.variants[v].item; cl.plain || it == n.item {
					if in := k.cheapestInsertion(it, level, domain); in.ok && in.cost < best.cost {
						best = in
					}
				}
			}
			if !best.ok {
				return false
			}
			k.apply(best)
		}
	}
	return true
}
