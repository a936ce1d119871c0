package optimizer

import (
	"cmp"
	"slices"

	"purser"
)

// instance is one machine of a plan.
type instance struct {
	site       int32
	held       int // index in in.Held; -1: new
	pattern    pattern
	left       pattern // copies without a name yet
	span       int64
	placements []purser.Placement
}

// seat is where a copy of an item can sit.
type seatKey struct{ item, domain int32 }

// assembly turns counts into names: which replica sits where.
type assembly struct {
	k         *packing
	p         *Problem
	instances []*instance
	byHeld    map[int]*instance
	seats     map[seatKey][]*instance // instances with copies that have no name yet, in order
	running   map[groupKey][]runs     // held placements that may move, by group
	missed    map[groupKey]int        // replicas of training groups without a seat
}

// runs is a replica where it is now.
type runs struct {
	replica int
	item    int32
	held    int
}

// assemble names every copy of the packing. Replicas that run keep their seat where the packing has one for them.
func (k *packing) assemble() *assembly {
	a := &assembly{k: k, p: k.p, byHeld: map[int]*instance{}, seats: map[seatKey][]*instance{}, running: map[groupKey][]runs{}, missed: map[groupKey]int{}}
	a.makeInstances()
	a.findRunning()
	for c := range a.p.classes {
		a.seatClass(c)
	}
	return a
}

// makeInstances lists the machines: held ones by lease, then new ones by offer and load.
func (a *assembly) makeInstances() {
	list := slices.Clone(a.k.list)
	slices.SortStableFunc(list, func(x, y machines) int {
		return cmp.Or(cmp.Compare(x.site, y.site), comparePatterns(x.pattern, y.pattern))
	})
	used := map[int]int{}
	for _, m := range list {
		for range m.n {
			in := &instance{site: m.site, held: -1, pattern: m.pattern, left: slices.Clone(m.pattern), span: m.span}
			if held := a.p.sites[m.site].held; len(held) > 0 {
				first := a.p.sites[m.site].first
				in.held = held[used[first]]
				a.byHeld[in.held] = in
				used[first]++
			}
			a.instances = append(a.instances, in)
			for _, n := range m.pattern {
				key := seatKey{n.item, a.domainOf(n.item, m.site)}
				a.seats[key] = append(a.seats[key], in)
			}
		}
	}
}

func comparePatterns(a, b pattern) int {
	return slices.CompareFunc(a, b, func(x, y count) int { return cmp.Or(cmp.Compare(x.item, y.item), cmp.Compare(x.n, y.n)) })
}

// domainOf is the domain that a copy of the item on the site counts for, -1 where that does not matter.
func (a *assembly) domainOf(it, site int32) int32 {
	if l := a.k.t.levels[a.p.items[it].class]; l >= 0 {
		return a.p.sites[site].domain[l]
	}
	return -1
}

// findRunning lists what runs on held leases and may move.
func (a *assembly) findRunning() {
	if a.p.in.KeepPlacements {
		return
	}
	for h := range a.p.in.Held {
		for _, pl := range a.p.in.Held[h].Placements {
			if it := a.p.itemOf(a.p.placeOf[h], pl); it >= 0 {
				job := a.p.jobAt[pl.Job]
				key := groupKey{job, groupIndex(a.p.jobs[job], pl.Group)}
				a.running[key] = append(a.running[key], runs{pl.Replica, it, h})
			}
		}
	}
}

// take gives the next copy of an item in a domain, or the one on a held lease.
func (a *assembly) take(it, domain int32, held int) *instance {
	if held >= 0 {
		in := a.byHeld[held]
		if in != nil && in.drop(it) {
			return in
		}
		return nil
	}
	key := seatKey{it, domain}
	for len(a.seats[key]) > 0 {
		in := a.seats[key][0]
		if in.drop(it) {
			return in
		}
		a.seats[key] = a.seats[key][1:]
	}
	return nil
}

// drop takes one nameless copy of the item.
func (in *instance) drop(it int32) bool {
	for i := range in.left {
		if in.left[i].item == it && in.left[i].n > 0 {
			in.left[i].n--
			return true
		}
	}
	return false
}

// part is what one unit of a class has to be seated: so many copies of a variant (-1: any) in a domain.
type part struct {
	variant int
	domain  int32
	n       int64
}

// seatClass names the copies of one class.
func (a *assembly) seatClass(c int) {
	cl := &a.p.classes[c]
	parts := a.partsOf(c)
	staying := make([][]runs, len(cl.members))
	for m := range cl.members {
		staying[m] = a.keepSeats(c, &cl.members[m], parts[m])
	}
	for m := range cl.members {
		a.seatRest(c, &cl.members[m], parts[m], staying[m])
	}
}

// partsOf gives every member what it has to be seated. Gangs and services that run get the choice nearest to where they are.
func (a *assembly) partsOf(c int) [][]part {
	cl := &a.p.classes[c]
	out := make([][]part, len(cl.members))
	choices := a.choices(c)
	if choices == nil {
		for m := range out {
			out[m] = []part{{-1, -1, cl.least}}
		}
		return out
	}
	taken := make([]bool, len(choices))
	for pass := range 2 {
		for m := range out {
			if out[m] != nil {
				continue
			}
			best, bestScore := -1, int64(0)
			for i := range choices {
				if taken[i] {
					continue
				}
				if score := a.overlap(c, &cl.members[m], choices[i]); best < 0 || score > bestScore {
					best, bestScore = i, score
				}
				if pass == 1 {
					break // nothing runs: the first that is left
				}
			}
			if best >= 0 && (pass == 1 || bestScore > 0) {
				out[m], taken[best] = choices[best], true
			}
			if pass == 0 && len(a.running) == 0 {
				break
			}
		}
	}
	return out
}

// choices lists what members of the class are to be seated, one for each member that is placed at all; nil when each may sit anywhere.
func (a *assembly) choices(c int) [][]part {
	cl := &a.p.classes[c]
	var out [][]part
	switch {
	case cl.kind == kindGang:
		out = [][]part{}
		for _, g := range a.k.t.gangs[c] {
			short := int64(0)
			if tg, ok := a.k.t.index[targetKey{cl.variants[g.variant].item, g.zone}]; ok && int(tg) < len(a.k.need) {
				short = a.k.need[tg] / cl.variants[g.variant].gang
			}
			for range g.n - short {
				out = append(out, []part{{g.variant, g.zone, cl.variants[g.variant].gang}})
			}
		}
	case !cl.plain:
		out = [][]part{}
		for _, cfg := range a.k.t.configs[c] {
			ps := []part{}
			for _, p := range cfg {
				ps = append(ps, part(p))
			}
			out = append(out, ps)
		}
	}
	return out
}

// overlap counts the replicas of the member that run where the parts are.
func (a *assembly) overlap(c int, m *member, parts []part) int64 {
	total := int64(0)
	for _, p := range parts {
		here := int64(0)
		for _, r := range a.running[m.key] {
			if a.matches(c, r, p) {
				here++
			}
		}
		total += min(here, p.n)
	}
	return total
}

// matches says whether a running replica is of a part.
func (a *assembly) matches(c int, r runs, p part) bool {
	it := &a.p.items[r.item]
	if it.class != c || (p.variant >= 0 && !a.p.classes[c].sameWay(it.variant, p.variant)) {
		return false
	}
	if p.domain < 0 {
		return true
	}
	return a.p.heldDomain[r.held][a.k.t.levels[c]] == p.domain
}

// keepSeats leaves running replicas where they are, as far as the packing has seats for them there.
func (a *assembly) keepSeats(c int, m *member, parts []part) []runs {
	var kept []runs
	for i := range parts {
		for _, r := range a.running[m.key] {
			if parts[i].n == 0 || !a.matches(c, r, parts[i]) || !m.has(r.replica) {
				continue
			}
			it := r.item
			if parts[i].variant >= 0 {
				it = a.p.classes[c].variants[parts[i].variant].item
			}
			if in := a.take(it, 0, r.held); in != nil {
				a.name(in, m.key, r.replica, it)
				parts[i].n--
				kept = append(kept, r)
			}
		}
	}
	return kept
}

// has says whether the member includes the replica; a service includes any.
func (m *member) has(n int) bool { return m.replicas == nil || slices.Contains(m.replicas, n) }

// seatRest names the member's further copies.
func (a *assembly) seatRest(c int, m *member, parts []part, kept []runs) {
	cl := &a.p.classes[c]
	number := a.numbers(m, kept)
	seated := int64(len(kept))
	for _, p := range parts {
		for range p.n {
			in, it := a.seat(cl, p)
			if in == nil {
				continue
			}
			a.name(in, m.key, number(), it)
			seated++
		}
	}
	if cl.kind != kindService && seated < cl.least {
		a.missed[m.key] += int(cl.least - seated)
	}
}

// seat finds a seat for one copy of a part.
func (a *assembly) seat(cl *class, p part) (*instance, int32) {
	for v := range cl.variants {
		if p.variant >= 0 && v != p.variant {
			continue
		}
		it := cl.variants[v].item
		if in := a.take(it, p.domain, -1); in != nil {
			return in, it
		}
	}
	return nil, -1
}

// numbers gives the member's replica numbers that are not in use: its own, or for a service the lowest.
func (a *assembly) numbers(m *member, kept []runs) func() int {
	used := map[int]bool{}
	for _, r := range kept {
		used[r.replica] = true
	}
	if m.replicas != nil {
		at := 0
		return func() int {
			for used[m.replicas[at]] {
				at++
			}
			at++
			return m.replicas[at-1]
		}
	}
	for _, n := range a.p.kept[m.key] {
		used[n] = true
	}
	next := 0
	return func() int {
		for used[next] {
			next++
		}
		next++
		return next - 1
	}
}

// name writes a placement.
func (a *assembly) name(in *instance, key groupKey, replica int, it int32) {
	item := &a.p.items[it]
	v := &a.p.classes[item.class].variants[item.variant]
	in.placements = append(in.placements, purser.Placement{
		Job: a.p.jobs[key.job].ID, Group: a.p.jobs[key.job].Groups[key.group].Name, Replica: replica, Variant: v.name,
		Devices: purser.MilliDevices(v.size[dimDevice]), MilliCPU: v.size[dimCPU], MemoryMiB: v.size[dimMemory],
	})
}
