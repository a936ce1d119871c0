package optimizer

import (
	"math"
	"slices"
)

// separate opens the domains of the rest where the last solution has more than its configurations could lose, and says how many.
func (r *relaxed) separate() (int, error) {
	opened := 0
	in := r.ratesByDomain()
	for i := range r.services {
		s := &r.services[i]
		cl := &r.p.classes[s.class]
		if cl.need.level < 0 {
			continue
		}
		most := r.mostInRest(s)
		var broken []int32
		for d, x := range in[s.class] {
			if d != safe && x > most*(1+1e-6)+1e-9 && !slices.Contains(s.domains, d) {
				broken = append(broken, d)
			}
		}
		slices.Sort(broken)
		for _, d := range broken {
			if err := r.open(s, d); err != nil {
				return 0, err
			}
			opened++
		}
	}
	return opened, r.refresh()
}

// mostInRest is the largest rate that one domain of the rest can have when every configuration in use survives its loss.
func (r *relaxed) mostInRest(s *serviceRows) float64 {
	cl := &r.p.classes[s.class]
	standing := 0.0
	for _, x := range cl.standing {
		standing += x.rate * float64(x.n)
	}
	most := 0.0
	for _, cfg := range s.configs {
		if int(cfg.at) >= len(r.last.ColValue) || r.last.ColValue[cfg.at] <= 1e-9 {
			continue
		}
		total, rest := standing, 0.0
		for _, p := range cfg.parts {
			x := cl.variants[p.variant].rate * float64(p.n)
			total += x
			if p.domain < 0 {
				rest += x
			}
		}
		most += r.last.ColValue[cfg.at] * math.Max(0, math.Min(rest, total-cl.need.keep*(1-rateSlack)))
	}
	return most
}

// ratesByDomain adds up the last solution's rates by class and domain, for classes that have to survive.
func (r *relaxed) ratesByDomain() []map[int32]float64 {
	out := make([]map[int32]float64, len(r.p.classes))
	for c := range r.cols {
		x := r.value(c)
		if x <= 1e-9 {
			continue
		}
		for _, n := range r.cols[c].pattern {
			it := &r.p.items[n.item]
			cl := &r.p.classes[it.class]
			if cl.plain || cl.need.level < 0 {
				continue
			}
			if out[it.class] == nil {
				out[it.class] = map[int32]float64{}
			}
			out[it.class][r.p.sites[r.cols[c].site].domain[cl.need.level]] += x * float64(n.n) * cl.variants[it.variant].rate
		}
	}
	return out
}
