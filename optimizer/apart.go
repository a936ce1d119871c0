package optimizer

import (
	"cmp"
	"fmt"
	"slices"

	"purser"
)

// Row (6): of a group that is kept apart, at most so many replicas lie in one domain. Groups have rows of their own for the domains that
// they can use, and packings count what each domain has left. At the level of machines the rows are caps of patterns.

// apart is what one group asks for.
type apart struct {
	cap      int64
	level    int  // -1: machines
	machines bool // the domains are machines
	rowOf    map[int32]int32
	held     map[purser.LeaseID]int64 // replicas that run now, by lease
	kept     map[purser.LeaseID]int64 // and those that stay
}

// apartRow is one row: what may come to a domain.
type apartRow struct {
	key    groupKey
	level  int
	domain int32
	limit  int64
}

// buildApart reads the groups that are kept apart. Where more than the cap run in a domain already, as many may.
func (p *Problem) buildApart() {
	p.apart = map[groupKey]*apart{}
	for c := range p.classes {
		cl := &p.classes[c]
		key := cl.members[0].key
		group := &p.jobs[key.job].Groups[key.group]
		if group.Spread.Level == purser.DomainNone {
			continue
		}
		if p.apart[key] == nil {
			p.apart[key] = p.newApart(key, group)
		}
		cl.apart = p.apart[key]
		if cl.apart.machines {
			continue
		}
		for v := range cl.variants {
			for _, at := range cl.variants[v].places {
				p.apartRow(key, p.places[at].domain[cl.apart.level])
			}
		}
	}
	slices.SortFunc(p.apartRows, func(a, b apartRow) int {
		return cmp.Or(compareKeys(a.key, b.key), cmp.Compare(a.domain, b.domain))
	})
	for i, r := range p.apartRows {
		p.apart[r.key].rowOf[r.domain] = int32(i)
	}
}

func (p *Problem) newApart(key groupKey, g *purser.TaskGroup) *apart {
	a := &apart{cap: int64(g.Spread.Most(g.Replicas)), level: levelIndex(g.Spread.Level), machines: g.Spread.Level == purser.DomainMachine}
	a.rowOf, a.held, a.kept = map[int32]int32{}, map[purser.LeaseID]int64{}, map[purser.LeaseID]int64{}
	for h := range p.in.Held {
		lease := p.in.Held[h].Lease.ID
		for at, pl := range p.in.Held[h].Placements {
			if p.jobAt[pl.Job] != key.job || pl.Group != g.Name {
				continue
			}
			a.held[lease]++
			if slices.Contains(p.bases[h].keep, at) {
				a.kept[lease]++
			}
		}
	}
	return a
}

// apartRow makes the row of a domain, if there is none and the domain is one.
func (p *Problem) apartRow(key groupKey, domain int32) {
	a := p.apart[key]
	if _, known := a.rowOf[domain]; known || domain == safe {
		return
	}
	a.rowOf[domain] = -1
	held, kept := int64(0), int64(0)
	for h := range p.in.Held {
		if p.heldDomain[h][a.level] == domain {
			held += a.held[p.in.Held[h].Lease.ID]
			kept += a.kept[p.in.Held[h].Lease.ID]
		}
	}
	p.apartRows = append(p.apartRows, apartRow{key, a.level, domain, max(a.cap, held) - kept})
}

// apartRowOf is the row that a copy of the item on the site counts in, or -1.
func (p *Problem) apartRowOf(it, site int32) int32 {
	a := p.classes[p.items[it].class].apart
	if a == nil || a.machines {
		return -1
	}
	if row, ok := a.rowOf[p.sites[site].domain[a.level]]; ok {
		return row
	}
	return -1
}

// onMachine is how many copies of a group that is kept apart may come to a machine of the site.
func (p *Problem) onMachine(a *apart, site int32) int64 {
	held, kept := int64(0), int64(0)
	if list := p.sites[site].held; len(list) > 0 {
		id := p.in.Held[list[0]].Lease.ID
		held, kept = a.held[id], a.kept[id]
	}
	return max(a.cap, held) - kept
}

// mostOnMachine is the most that any machine may hold of the group.
func (a *apart) mostOnMachine() int64 {
	most := a.cap
	for _, n := range a.held {
		most = max(most, n)
	}
	return most
}

// addApart adds the rows to a matrix, the first as its row first: Σ −a ≥ −limit.
func (m *matrix) addApart(first int) {
	m.apart, m.rows = first, first+len(m.p.apartRows)
	for c := range m.p.classes {
		cl := &m.p.classes[c]
		if cl.apart == nil || cl.apart.machines {
			continue
		}
		for _, row := range cl.apart.rowOf {
			r := &m.p.apartRows[row]
			for v := range cl.variants {
				m.local[r.level][r.domain] = append(m.local[r.level][r.domain], localTerm{cl.variants[v].item, term{int32(first) + row, -1}})
			}
		}
	}
	for l := range m.local {
		for d := range m.local[l] {
			slices.SortStableFunc(m.local[l][d], func(a, b localTerm) int { return cmp.Or(cmp.Compare(a.item, b.item), cmp.Compare(a.row, b.row)) })
		}
	}
}

// apartUses is what a pattern on a site takes of the rows.
func (p *Problem) apartUses(site int32, pat pattern) []count {
	if len(p.apartRows) == 0 {
		return nil
	}
	var out []count
	for _, n := range pat {
		row := p.apartRowOf(n.item, site)
		if row < 0 {
			continue
		}
		if at := slices.IndexFunc(out, func(c count) bool { return c.item == row }); at >= 0 {
			out[at].n += n.n
		} else {
			out = append(out, count{row, n.n})
		}
	}
	return out
}

// withinApart cuts a pattern down to what the rows have left.
func (k *packing) withinApart(site int32, pat pattern) pattern {
	if len(k.p.apartRows) == 0 {
		return pat
	}
	used := map[int32]int64{}
	out := make(pattern, 0, len(pat))
	for _, n := range pat {
		if row := k.p.apartRowOf(n.item, site); row >= 0 {
			n.n = min(n.n, k.apart[row]-used[row])
			used[row] += max(n.n, 0)
		}
		if n.n > 0 {
			out = append(out, n)
		}
	}
	return out
}

// apartLeft says whether one more copy of the item may lie where the site is.
func (k *packing) apartLeft(it, site int32) bool {
	row := k.p.apartRowOf(it, site)
	return row < 0 || k.apart[row] > 0
}

// apartSentence says that a group is kept apart, for what has no place.
func (p *Problem) apartSentence(k groupKey) string {
	s := p.jobs[k.job].Groups[k.group].Spread
	if s.Level == purser.DomainNone {
		return ""
	}
	return fmt.Sprintf("; at most %d of its replicas may lie in one %s", s.Most(p.jobs[k.job].Groups[k.group].Replicas), levelWord(s.Level))
}

// spread checks that no domain holds more of a group than its cap, or than run there now.
func (c *checker) spread(key groupKey) error {
	group := &c.p.jobs[key.job].Groups[key.group]
	level := group.Spread.Level
	if level == purser.DomainNone {
		return nil
	}
	in, held := map[string]int{}, map[string]int{}
	leaseAt := map[purser.LeaseID]int{}
	for i, l := range c.plan.Leases {
		leaseAt[l.Held] = i
	}
	for _, h := range c.p.in.Held {
		at, stands := leaseAt[h.Lease.ID]
		for _, pl := range h.Placements {
			if c.p.jobAt[pl.Job] == key.job && pl.Group == group.Name && (stands || level != purser.DomainMachine) {
				held[placedOn{offer: h.Lease.Offer, lease: at}.domain(level)]++
			}
		}
	}
	for _, on := range c.placed[key] {
		if d := on.domain(level); d != "" {
			in[d]++
		}
	}
	for d, n := range in {
		if n > max(group.Spread.Most(group.Replicas), held[d]) {
			return wrong("%s: %d replicas lie in the %s %s, and at most %d may", c.p.name(key), n, level, d, group.Spread.Most(group.Replicas))
		}
	}
	return nil
}
