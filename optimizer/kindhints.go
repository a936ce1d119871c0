package optimizer

// mostKindHints bounds the first plans that begin with a kind of their own.
const mostKindHints = 48

// kindHints are commitments to begin with where services have to survive the loss of machines: each such class with one variant of one of
// its kinds, the same number of kind and variant for all. What is cheapest for a kind by itself may ask for more machines than there are,
// and another kind's replicas then fit where no single replica that is moved helps.
func (p *Problem) kindHints() [][]hint {
	kinds, variants := 0, 0
	for c := range p.classes {
		if n := len(p.classes[c].kinds); n > 0 {
			kinds, variants = max(kinds, n), max(variants, len(p.classes[c].variants)/(n+1))
		}
	}
	var out [][]hint
	for q := 1; q <= kinds; q++ {
		for v := range variants {
			if len(out) == mostKindHints {
				return out
			}
			hints := make([]hint, len(p.classes))
			for c := range p.classes {
				hints[c] = p.classes[c].kindHint(q, v)
			}
			out = append(out, hints)
		}
	}
	return out
}

// kindHint is one variant of a kind for all replicas of a class, as many as it may have, or twice as many as it needs: those that do not fit
// are exchanged one by one for slower ones, and what is superfluous is taken away in the end. Nothing where the class has no such variant.
func (c *class) kindHint(kind, variant int) hint {
	replicas := 2 * c.replicas()
	if c.need.max > 0 {
		replicas = c.need.max
		for _, r := range c.standing {
			replicas -= r.n
		}
	}
	for i := range c.variants {
		if c.variants[i].kind != kind {
			continue
		}
		if variant == 0 {
			return hint{mass: mass{massKey{i, -1}: float64(max(replicas, 1))}}
		}
		variant--
	}
	return hint{}
}
