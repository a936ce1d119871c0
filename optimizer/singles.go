package optimizer

import (
	"cmp"
	"math"
	"slices"
)

// singleColumns gives columns of one class alone: on up to n machines that are cheapest for each replica, as many copies as fit and
// most allows; and on the cheapest that is not limited.
func (p *Problem) singleColumns(c, n int, most func(it int32) int64) []column {
	type choice struct {
		group, site int32
		count       count
		each        float64 // nano-USD a replica
	}
	var all []choice
	for v := range p.classes[c].variants {
		vt := &p.classes[c].variants[v]
		limit := most(vt.item)
		if limit <= 0 {
			continue
		}
		for _, g := range p.groupsOf[vt.item] {
			copies := vt.size.copies(p.groups[g].room, limit)
			if copies <= 0 {
				continue
			}
			for k, s := range p.groups[g].sites {
				cost := p.sites[s].cost(vt.span) + p.groups[g].extraFor(vt.item, copies)
				all = append(all, choice{g, s, count{vt.item, copies}, float64(cost) / float64(copies)})
				if k >= n {
					break
				}
			}
		}
	}
	slices.SortStableFunc(all, func(a, b choice) int {
		return cmp.Or(cmp.Compare(a.each, b.each), cmp.Compare(a.site, b.site), cmp.Compare(a.count.item, b.count.item))
	})
	var out []column
	free := false
	for k, ch := range all {
		st := &p.sites[ch.site]
		open := st.limit < 0 && len(st.quotas) == 0
		if k < n || (open && !free) {
			out = append(out, p.newColumn(ch.group, ch.site, pattern{ch.count}))
		}
		free = free || open
	}
	return out
}

// singleIn gives the machine in a domain of a level (anywhere where level is -1) that is cheapest for a copy of the item when full of it, and the cheapest that is not limited.
func (p *Problem) singleIn(it int32, level int, domain int32, most int64) []column {
	var best, open column
	bestEach, openEach := math.Inf(1), math.Inf(1)
	for _, g := range p.groupsOf[it] {
		n := p.items[it].size.copies(p.groups[g].room, most)
		if n == 0 {
			continue
		}
		for _, s := range p.groups[g].sites {
			st := &p.sites[s]
			if level >= 0 && st.domain[level] != domain {
				continue
			}
			c := p.newColumn(g, s, pattern{{it, n}})
			each := float64(c.cost) / float64(n)
			if each < bestEach {
				best, bestEach = c, each
			}
			if st.limit < 0 && len(st.quotas) == 0 && each < openEach {
				open, openEach = c, each
			}
		}
	}
	var out []column
	if !math.IsInf(bestEach, 1) {
		out = append(out, best)
	}
	if !math.IsInf(openEach, 1) && open.site != best.site {
		out = append(out, open)
	}
	return out
}
