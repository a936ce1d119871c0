package optimizer

import (
	"cmp"
	"math"
	"slices"
)

// A service that survives the loss of any k of d domains has keep/(d−k) of its rate in each: many domains need few replicas, few
// domains fill their machines. survivingMass tries numbers of domains and takes the cheapest.

// offering is a machine that a variant of a class can be had on in a domain.
type offering struct {
	copies int64
	cost   float64 // of the whole machine
}

// offerings lists, by variant and domain, the machines that are not worse than another in both regards.
func (p *Problem) offerings(c int) map[massKey][]offering {
	cl := &p.classes[c]
	level := p.commitLevel(cl)
	out := map[massKey][]offering{}
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
				o := offering{copies, float64(st.cost(vt.span) + p.groups[g].extraFor(vt.item, copies))}
				if st.limit >= 0 || len(st.quotas) > 0 {
					o.cost *= limitedFactor
				}
				out[k] = append(out[k], o)
			}
		}
	}
	for k, list := range out {
		slices.SortFunc(list, func(a, b offering) int {
			return cmp.Or(cmp.Compare(a.cost, b.cost), cmp.Compare(b.copies, a.copies))
		})
		kept, most := list[:0], int64(0)
		for _, o := range list {
			if o.copies > most {
				kept, most = append(kept, o), o.copies
			}
		}
		out[k] = kept
	}
	return out
}

// costOf is about what n replicas cost: the best of full machines of one kind, and a smaller one for the rest.
func costOf(list []offering, n int64) float64 {
	best := math.Inf(1)
	for _, o := range list {
		full, rest := float64(n/o.copies)*o.cost, n%o.copies
		if rest > 0 {
			// The list is by cost: the first that holds the rest is the cheapest for it.
			at := slices.IndexFunc(list, func(x offering) bool { return x.copies >= rest })
			full += list[at].cost
		}
		best = math.Min(best, full)
	}
	return best
}

// share is what one domain holds of a service, and about what it costs.
type share struct {
	key  massKey
	n    int64
	cost float64
}

// survivingMass gives a service that has to survive its replicas by variant and domain.
func (p *Problem) survivingMass(c int) mass {
	cl := &p.classes[c]
	all := p.offerings(c)
	keys := make(mass, len(all))
	for k := range all {
		keys[k] = 0
	}
	order := keys.keys()
	domains := map[int32]bool{}
	for _, k := range order {
		domains[k.domain] = true
	}
	best, least := []share(nil), math.Inf(1)
	k := cl.need.failures
	for d := k + 1; d <= max(len(domains), k+1); d++ {
		load := math.Max(cl.need.keep/float64(d-k), math.Max(cl.need.rate, float64(cl.need.min))/float64(d))
		most := int64(math.MaxInt64)
		if cl.need.max > 0 {
			most = cl.need.max / int64(d)
		}
		shares := p.cheapestShares(cl, order, all, load, most)
		if len(shares) < min(d, len(domains)) {
			continue // more replicas than the service may have
		}
		shares = shares[:min(d, len(shares))]
		sum := 0.0
		for _, s := range shares {
			sum += s.cost
		}
		if sum < least {
			best, least = shares, sum
		}
	}
	if best == nil {
		return p.evenMass(c)
	}
	out := mass{}
	for _, s := range best {
		out[s.key] = float64(s.n * cl.units())
	}
	return out
}

// evenMass spreads the least number of replicas over as few of the cheapest domains as it needs.
func (p *Problem) evenMass(c int) mass {
	cl := &p.classes[c]
	in := max((cl.least-cl.spare)/int64(max(cl.need.failures, 1)), 1)
	domains := (cl.least + in - 1) / in
	out, seen := mass{}, map[int32]bool{}
	for _, k := range p.keysByCost(c) {
		if int64(len(seen)) == domains {
			break
		}
		if !seen[k.domain] {
			seen[k.domain] = true
			out[k] = float64(cl.replicas()) / float64(domains)
		}
	}
	return out
}

// cheapestShares is, for each domain, the variant that serves a rate in it for least with at most so many replicas, the cheapest
// domains first.
func (p *Problem) cheapestShares(cl *class, order []massKey, all map[massKey][]offering, load float64, most int64) []share {
	at := map[int32]int{}
	var out []share
	for _, k := range order {
		n := max(ceilDiv(load, math.Max(cl.variants[k.variant].rate, 1e-12)), 1)
		if n > most {
			continue
		}
		s := share{k, n, costOf(all[k], n)}
		i, seen := at[k.domain]
		switch {
		case !seen:
			at[k.domain] = len(out)
			out = append(out, s)
		case s.cost < out[i].cost:
			out[i] = s
		}
	}
	slices.SortStableFunc(out, func(a, b share) int { return cmp.Compare(a.cost, b.cost) })
	return out
}
