package optimizer

import (
	"cmp"
	"encoding/binary"
	"slices"
)

// group is a set of sites that look the same to the search but for price, start-up, limit and quotas: the same room, the same items at
// the same extra cost, the same failure domains where those matter. Its sites share their patterns (the shape split).
type group struct {
	room    amounts
	sites   []int32
	domain  domainIDs // of every site, at the levels where it matters; else -1
	entries []entry
	menu    int32 // groups with the same room and entries have the same menu
}

// entry is an item as a group offers it.
type entry struct {
	item  int32
	extra int64 // nano-USD a copy beside the machine, or less than 0 for a replica that stays
	most  int64 // copies on these terms; 0: no limit
}

// offers says whether the item can run there.
func (g *group) offers(it int32) bool {
	_, ok := slices.BinarySearchFunc(g.entries, it, func(e entry, it int32) int { return cmp.Compare(e.item, it) })
	return ok
}

// buildGroups sorts the sites into groups.
func (p *Problem) buildGroups() {
	useDomain := p.levelsThatMatter()
	entries := p.entriesBySite()
	byKey := map[string]int{}
	menus := map[string]int32{}
	for s := range p.sites {
		if len(entries[s]) == 0 || p.sites[s].limit == 0 {
			continue
		}
		g := group{room: p.sites[s].room, entries: entries[s], domain: nowhere}
		for l := range useDomain {
			if useDomain[l] {
				g.domain[l] = p.sites[s].domain[l]
			}
		}
		menu := menuKey(&g)
		key := menu
		for _, d := range g.domain {
			key += string(binary.LittleEndian.AppendUint32(nil, uint32(d)))
		}
		at, known := byKey[key]
		if !known {
			id, ok := menus[menu]
			if !ok {
				id = int32(len(menus))
				menus[menu] = id
			}
			g.menu = id
			at = len(p.groups)
			byKey[key] = at
			p.groups = append(p.groups, g)
		}
		p.groups[at].sites = append(p.groups[at].sites, int32(s))
	}
	p.groupOf = make([]int32, len(p.sites))
	for s := range p.groupOf {
		p.groupOf[s] = -1
	}
	p.groupsOf = make([][]int32, len(p.items))
	for i := range p.groups {
		last := int32(-1)
		for _, e := range p.groups[i].entries {
			if e.item != last {
				p.groupsOf[e.item] = append(p.groupsOf[e.item], int32(i))
			}
			last = e.item
		}
		p.groups[i].sites = p.undominated(p.groups[i].sites)
		for _, s := range p.groups[i].sites {
			p.groupOf[s] = int32(i)
		}
	}
}

// levelsThatMatter says at which levels domains have to be told apart: zones for gangs, and what services must survive.
func (p *Problem) levelsThatMatter() [levelCount]bool {
	var use [levelCount]bool
	for i := range p.classes {
		switch c := &p.classes[i]; {
		case c.kind == kindGang:
			use[zoneLevel] = true
		case c.need.level >= 0 && c.kind == kindService:
			use[c.need.level] = true
		case c.apart != nil && !c.apart.machines:
			use[c.apart.level] = true
		}
	}
	return use
}

// entriesBySite turns the classes' lists of places around.
func (p *Problem) entriesBySite() [][]entry {
	byPlace := make([][]entry, len(p.places))
	for c := range p.classes {
		for v := range p.classes[c].variants {
			vt := &p.classes[c].variants[v]
			for k, at := range vt.places {
				byPlace[at] = append(byPlace[at], entry{item: vt.item, extra: vt.extra[k]})
			}
		}
	}
	out := make([][]entry, len(p.sites))
	for s := range p.sites {
		st := &p.sites[s]
		list := byPlace[st.at]
		if len(st.now) > 0 {
			list = slices.Clone(list)
			for _, n := range st.now {
				// What stays reads no data anew, and may stay even where the filters would no longer let it come.
				for _, it := range p.siblings(n.item) {
					list = append(list, entry{item: it, extra: -n.worth, most: n.count})
				}
			}
			slices.SortFunc(list, func(a, b entry) int {
				return cmp.Or(cmp.Compare(a.item, b.item), cmp.Compare(a.extra, b.extra))
			})
		}
		if st.until > 0 {
			list = slices.DeleteFunc(slices.Clone(list), func(e entry) bool { return !p.lasts(st, e.item) })
		}
		out[s] = list
	}
	return out
}

func menuKey(g *group) string {
	b := make([]byte, 0, 24+12*len(g.entries))
	for _, r := range g.room {
		b = binary.LittleEndian.AppendUint64(b, uint64(r))
	}
	for _, e := range g.entries {
		b = binary.LittleEndian.AppendUint32(b, uint32(e.item))
		b = binary.LittleEndian.AppendUint64(b, uint64(e.extra))
		b = binary.LittleEndian.AppendUint64(b, uint64(e.most))
	}
	return string(b)
}

// undominated drops the sites that an unlimited one with the same quotas makes superfluous: dearer or equal, and slower or equal.
func (p *Problem) undominated(sites []int32) []int32 {
	slices.SortStableFunc(sites, func(a, b int32) int {
		x, y := &p.sites[a], &p.sites[b]
		return cmp.Or(cmp.Compare(x.rate, y.rate), cmp.Compare(x.start, y.start), cmp.Compare(a, b))
	})
	var kept []int32
	for _, s := range sites {
		st := &p.sites[s]
		dominated := slices.ContainsFunc(kept, func(k int32) bool {
			other := &p.sites[k]
			return other.hours == nil && st.hours == nil && other.limit < 0 && len(st.held) == 0 && other.start <= st.start && slices.Equal(other.quotas, st.quotas)
		})
		if !dominated {
			kept = append(kept, s)
		}
	}
	return kept
}
