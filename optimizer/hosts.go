package optimizer

import "slices"

// A class of few replicas can use a small part of a large machine in the relaxed program, and pays that part alone. Rows of hosts mend
// that: the machines that host a class, each counted once, are at least as many as its replicas need, and at least as many as the domains
// that its services have to be spread over. In a knapsack they make the first copy of a class worth more than the others.

// hostsNeeded is the least number of machines that host units of the class.
func (p *Problem) hostsNeeded(c int, units int64) int64 {
	cl := &p.classes[c]
	if units == 0 {
		return 0
	}
	fit := int64(1)
	for v := range cl.variants {
		vt := &cl.variants[v]
		for _, g := range p.groupsOf[vt.item] {
			fit = max(fit, vt.size.copies(p.groups[g].room, vt.most))
		}
	}
	need := (cl.least*units + fit - 1) / fit
	if cl.kind == kindService && len(cl.standing) == 0 {
		need = max(need, p.fewestDomains(cl))
	}
	return need
}

// fewestDomains is into how many domains a service has to be spread whatever its number of replicas. Of n replicas at most n − spare may
// lie in any k domains, so n·k/(n − spare) domains are needed, rounded up: the fewer, the more replicas there are. One more than can be
// lost always do, unless there is a most; one that cannot be lost does alone.
func (p *Problem) fewestDomains(c *class) int64 {
	if c.spare == 0 || p.canBeSafe(c) {
		return 1
	}
	k := int64(c.need.failures)
	if in := c.need.max - c.spare; c.need.max > 0 && in > 0 {
		return (c.need.max*k + in - 1) / in
	}
	return k + 1
}

// addHosts adds the rows of hosts that the last solution breaks, and says how many.
func (r *relaxed) addHosts() (int, error) {
	if r.lenient() || !r.p.small() {
		return 0, nil
	}
	hosting := make([]float64, len(r.p.classes))
	for c := range r.cols {
		x := r.value(c)
		if x <= 1e-9 {
			continue
		}
		last := -1
		for _, n := range r.cols[c].pattern { // by item, so by class
			if class := r.p.items[n.item].class; class != last {
				hosting[class] += x
				last = class
			}
		}
	}
	added := 0
	for c := range r.p.classes {
		if _, has := r.m.hosts[c]; has {
			continue
		}
		need := r.p.hostsNeeded(c, r.units[c])
		if hosting[c] >= float64(need)-1e-6 {
			continue
		}
		row := r.m.rows
		r.m.rows++
		r.m.hosts[c] = int32(row)
		if err := r.addRows(row, []float64{float64(need)}); err != nil {
			return 0, err
		}
		r.markClass(c)
		added++
	}
	return added, r.refresh()
}

// markClass notes that the coefficients of columns with replicas of the class have changed.
func (r *relaxed) markClass(c int) {
	for i := range r.cols {
		if slices.ContainsFunc(r.cols[i].pattern, func(n count) bool { return r.p.items[n.item].class == c }) {
			r.stale[int32(i)] = true
		}
	}
}
