package optimizer

// hints reads from a solution of the relaxed program where each class lies that has to be committed.
func (r *relaxed) hints() []hint {
	out := make([]hint, len(r.p.classes))
	for i := range r.cols {
		x := r.value(i)
		if x < 1e-9 {
			continue
		}
		for _, n := range r.cols[i].pattern {
			it := &r.p.items[n.item]
			cl := &r.p.classes[it.class]
			if cl.plain {
				continue
			}
			k := massKey{it.variant, -1}
			if l := r.p.commitLevel(cl); l >= 0 {
				k.domain = r.p.sites[r.cols[i].site].domain[l]
			}
			if out[it.class].mass == nil {
				out[it.class].mass = mass{}
			}
			out[it.class].mass[k] += x * float64(n.n)
		}
	}
	for i := range r.services {
		h := &out[r.services[i].class]
		if r.services[i].rest == nil {
			r.services[i].massOfGangs(h)
			continue
		}
		for _, cfg := range r.services[i].configs {
			if cfg.fixed > 0 {
				h.fixed = true
			}
		}
		for _, cfg := range r.services[i].configs {
			if h.fixed {
				if cfg.fixed > 0 {
					h.configs, h.weights = append(h.configs, cfg.parts), append(h.weights, float64(cfg.fixed))
				}
				continue
			}
			if int(cfg.at) < len(r.last.ColValue) && r.last.ColValue[cfg.at] > 1e-9 {
				h.configs, h.weights = append(h.configs, cfg.parts), append(h.weights, r.last.ColValue[cfg.at])
			}
		}
	}
	return out
}

// massOfGangs reads the gangs that were fixed.
func (s *serviceRows) massOfGangs(h *hint) {
	fixed := mass{}
	for _, c := range s.configs {
		if c.fixed > 0 {
			fixed[massKey{c.parts[0].variant, c.parts[0].domain}] += float64(c.fixed * c.parts[0].n)
		}
	}
	if len(fixed) > 0 {
		h.mass = fixed
	}
}
