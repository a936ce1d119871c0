package optimizer

import (
	"cmp"
	"encoding/binary"
	"slices"
)

// count is so many copies of an item.
type count struct {
	item int32
	n    int64
}

// pattern is what shares one machine, by item.
type pattern []count

// column is a pattern on a machine of a site.
type column struct {
	group, site int32
	pattern     pattern
	span        int64 // of its longest member, ns
	cost        int64 // nano-USD
}

// key tells columns apart.
func (c *column) key() string {
	b := binary.LittleEndian.AppendUint32(make([]byte, 0, 4+8*len(c.pattern)), uint32(c.site))
	for _, n := range c.pattern {
		b = binary.LittleEndian.AppendUint32(b, uint32(n.item))
		b = binary.LittleEndian.AppendUint32(b, uint32(n.n))
	}
	return string(b)
}

// newColumn prices a pattern on a site. Counts of one item are added up.
func (p *Problem) newColumn(g, s int32, pat pattern) column {
	slices.SortFunc(pat, func(a, b count) int { return cmp.Compare(a.item, b.item) })
	merged := pat[:0]
	for _, n := range pat {
		if k := len(merged); k > 0 && merged[k-1].item == n.item {
			merged[k-1].n += n.n
		} else {
			merged = append(merged, n)
		}
	}
	c := column{group: g, site: s, pattern: merged}
	for _, n := range c.pattern {
		c.span = max(c.span, p.items[n.item].span)
		c.cost += p.groups[g].extraFor(n.item, n.n)
	}
	c.cost += p.sites[s].cost(c.span)
	return c
}

// extraFor is what n copies of an item cost beyond the machine, in nano-USD: those that stay first.
func (g *group) extraFor(it int32, n int64) int64 {
	at, ok := slices.BinarySearchFunc(g.entries, it, func(e entry, it int32) int { return cmp.Compare(e.item, it) })
	total := int64(0)
	for ; ok && n > 0 && at < len(g.entries) && g.entries[at].item == it; at++ {
		take := n
		if most := g.entries[at].most; most > 0 {
			take = min(take, most)
		}
		total += take * g.entries[at].extra
		n -= take
	}
	return total
}

// used is the room that the pattern takes.
func (p *Problem) used(pat pattern) amounts {
	var u amounts
	for _, n := range pat {
		u = u.plus(p.items[n.item].size, n.n)
	}
	return u
}

// term is a coefficient in a row.
type term struct {
	row  int32
	coef int64
}

// localTerm is a term of one item that holds in one failure domain alone.
type localTerm struct {
	item int32
	term
}

// matrix is the part of a covering program that concerns patterns: Σ over columns of Σ over members of term ≥ right-hand side. The
// bound and the dives have a matrix each, over the same items and groups.
type matrix struct {
	p      *Problem
	rows   int
	global [][]term                          // by item
	local  [levelCount]map[int32][]localTerm // by level and domain
	apart  int                               // the first row of what is kept apart
	hosts  map[int]int32                     // by class: the row that counts the machines that host it
}

func newMatrix(p *Problem) *matrix {
	m := &matrix{p: p, global: make([][]term, len(p.items)), hosts: map[int]int32{}}
	for l := range m.local {
		m.local[l] = map[int32][]localTerm{}
	}
	return m
}

// terms adds up the coefficients of a column by row.
func (m *matrix) terms(c *column) ([]int32, []float64) {
	sum := map[int32]int64{}
	add := func(t term, n int64) { sum[t.row] += n * t.coef }
	for _, n := range c.pattern {
		for _, t := range m.global[n.item] {
			add(t, n.n)
		}
		if row, ok := m.hosts[m.p.items[n.item].class]; ok {
			sum[row] = 1
		}
	}
	domain := m.p.sites[c.site].domain
	for l := range m.local {
		for _, t := range m.local[l][domain[l]] {
			for _, n := range c.pattern {
				if n.item == t.item {
					add(t.term, n.n)
				}
			}
		}
	}
	rows := make([]int32, 0, len(sum))
	for r, n := range sum {
		if n != 0 {
			rows = append(rows, r)
		}
	}
	slices.Sort(rows)
	values := make([]float64, len(rows))
	for i, r := range rows {
		values[i] = float64(sum[r])
	}
	return rows, values
}

// worths is what one copy of each item is worth at the row prices y, in nano-USD; where terms hold in one domain, they
// are added by worthIn.
func (m *matrix) worths(y []int64) []int64 {
	out := make([]int64, len(m.global))
	for it, ts := range m.global {
		for _, t := range ts {
			out[it] += t.coef * y[t.row]
		}
	}
	return out
}

// hostWorth is what it is worth, once a machine, that it hosts the item's class.
func (m *matrix) hostWorth(it int32, y []int64) int64 {
	if row, ok := m.hosts[m.p.items[it].class]; ok {
		return y[row]
	}
	return 0
}

// activeDomains gives the domains of the group in which some row with a price has terms of its own, else -1: what a group's patterns
// are worth depends on its menu and these alone.
func (m *matrix) activeDomains(g *group, y []int64) domainIDs {
	out := nowhere
	for l, d := range g.domain {
		if d >= 0 && slices.ContainsFunc(m.local[l][d], func(t localTerm) bool { return y[t.row] != 0 }) {
			out[l] = d
		}
	}
	return out
}

// localWorth is what a copy of the item is worth on the site beyond what it is worth anywhere.
func (m *matrix) localWorth(it int32, st *site, y []int64) int64 {
	total := int64(0)
	for l := range m.local {
		for _, t := range m.local[l][st.domain[l]] {
			if t.item == it {
				total += t.coef * y[t.row]
			}
		}
	}
	return total
}

// localWorths adds to w what holds in the domains.
func (m *matrix) localWorths(w []int64, domains domainIDs, y []int64) {
	for l, d := range domains {
		if d < 0 {
			continue
		}
		for _, t := range m.local[l][d] {
			w[t.item] += t.coef * y[t.row]
		}
	}
}

// compareInts compares pairs in turn.
func compareInts(pairs ...int64) int {
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i] != pairs[i+1] {
			if pairs[i] < pairs[i+1] {
				return -1
			}
			return 1
		}
	}
	return 0
}
