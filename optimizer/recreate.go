package optimizer

import (
	"cmp"
	"context"
	"errors"
	"slices"
)

// recreate takes parts of the best plan down and makes them anew. In turn: the machines that cost most beyond what their load needs are
// packed anew; and all machines that host some classes are, with these classes committed to domains anew. Chance weighs both. It goes on
// as long as rounds are left and the gap is open.
func (s *search) recreate(ctx context.Context) error {
	committed := slices.ContainsFunc(s.p.classes, func(c class) bool { return !c.plain })
	for round := range s.o.Work.Dives {
		if s.done() {
			return nil
		}
		if ctx.Err() != nil {
			return errStopped
		}
		k := s.best.clone()
		k.t = k.t.clone()
		packings := []*packing{k}
		if committed && round%3 != 2 {
			var err error
			if packings, err = s.recommit(ctx, k, round%3 == 1); err != nil {
				return err
			}
		} else {
			s.ruin(k)
		}
		for _, k := range packings {
			if err := s.dive(ctx, k, partDive, "repair", round); err != nil {
				return err
			}
		}
	}
	return nil
}

// ruinedShare is the part of the machines that a round takes down; at the least and at the most so many.
const (
	ruinedShare = 0.2
	ruinedLeast = 12
	ruinedMost  = 400
)

func (k *packing) ruinedMachines() int64 {
	return min(int64(float64(k.rented())*ruinedShare)+ruinedLeast, ruinedMost)
}

// excess is by column what its machine costs beyond its load's parts of the cheapest machines full of their likes, in nano-USD.
func (k *packing) excess() []float64 {
	full := make([]int64, len(k.p.items))
	for c := range k.p.classes {
		cost := k.p.fullCosts(c)
		for v := range k.p.classes[c].variants {
			full[k.p.classes[c].variants[v].item] = cost
		}
	}
	out := make([]float64, len(k.list))
	for i := range k.list {
		m := &k.list[i]
		needed := int64(0)
		for _, n := range m.pattern {
			needed += n.n * full[n.item]
		}
		out[i] = float64(max(m.cost-needed, m.cost/50))
	}
	return out
}

// ruin takes the machines with most excess down.
func (s *search) ruin(k *packing) {
	order := make([]int, 0, len(k.list))
	excess := k.excess()
	for i := range k.list {
		excess[i] *= s.rng.Float64()
		if k.list[i].n > 0 {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(excess[b], excess[a]) })
	left := k.ruinedMachines()
	for _, i := range order {
		if left <= 0 {
			break
		}
		col := k.list[i].column
		n := min(k.list[i].n, left, 4)
		k.put(&col, -n)
		left -= n
	}
	k.tidy()
}

// ruinClasses takes down every machine that hosts one of some classes which are committed to domains, and takes back their commitments.
// It says how many units of each class are free then.
func (s *search) ruinClasses(k *packing) []int64 {
	excess := k.excess()
	byClass := make([]float64, len(s.p.classes))
	for i := range k.list {
		for _, n := range k.list[i].pattern {
			byClass[s.p.items[n.item].class] += excess[i] * float64(k.list[i].n)
		}
	}
	var order []int
	for c := range s.p.classes {
		byClass[c] *= s.rng.Float64()
		if !s.p.classes[c].plain && byClass[c] > 0 {
			order = append(order, c)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(byClass[b], byClass[a]) })
	units := make([]int64, len(s.p.classes))
	left := k.ruinedMachines()
	for n, c := range order {
		if left <= 0 {
			break
		}
		hosts := k.hostsOf(c)
		if hosts > 2*left && n > 0 {
			continue
		}
		left -= hosts
		k.clearClass(c)
		units[c] = k.free(c)
	}
	k.tidy()
	return units
}

func (p *Problem) hosts(pat pattern, c int) bool {
	return slices.ContainsFunc(pat, func(n count) bool { return p.items[n.item].class == c })
}

// hostsOf counts the machines that host a class.
func (k *packing) hostsOf(c int) int64 {
	total := int64(0)
	for i := range k.list {
		if k.p.hosts(k.list[i].pattern, c) {
			total += k.list[i].n
		}
	}
	return total
}

// clearClass takes down the machines that host a class.
func (k *packing) clearClass(c int) {
	for i := range k.list {
		if k.list[i].n > 0 && k.p.hosts(k.list[i].pattern, c) {
			col := k.list[i].column
			k.put(&col, -k.list[i].n)
		}
	}
}

// free takes back the commitments of a class of which nothing is placed, and says how many units it has.
func (k *packing) free(c int) int64 {
	n := k.units()[c]
	for tg := range k.need {
		if int(k.t.list[tg].class) == c {
			k.need[tg] = 0
		}
	}
	k.t.configs[c], k.t.gangs[c] = nil, nil
	return n
}

// recommit takes down some classes that are committed to domains, with the machines that host them, and commits them anew where a relaxed
// program of what is needed then has them.
func (s *search) recommit(ctx context.Context, k *packing, sites bool) ([]*packing, error) {
	units := s.ruinClasses(k)
	r, err := newRelaxed(ctx, s.rt, s.p, relaxedSpec{units: units, on: k, near: s.best.t})
	if err != nil {
		return nil, s.stopped(ctx, err)
	}
	defer r.close()
	if err := r.seed(r.cut(s.pool)); err != nil {
		return nil, s.stopped(ctx, err)
	}
	Dbg("recommit rows %d cols %d width %d services %d", r.height, len(r.cols), r.width, len(r.services))
	err = r.generate(ctx, generation{rounds: recommitRounds, workers: s.o.Workers, nodes: []int64{heuristicNodes}, target: 1e-6})
	if err != nil && !errors.Is(err, errUnsolved) {
		return nil, s.stopped(ctx, err)
	}
	Dbg("generated rows %d cols %d width %d %v", r.height, len(r.cols), r.width, err)
	defer func() { Dbg("committed rows %d cols %d width %d", r.height, len(r.cols), r.width) }()
	return s.commits(ctx, r, r.relaxedSpec, []bool{sites})
}

// cut leaves of columns what the program has needs of, and no more than that.
func (r *relaxed) cut(cols []column) []column {
	var out []column
	for i := range cols {
		var pat pattern
		for _, n := range cols[i].pattern {
			if n.n = min(n.n, r.needs[r.p.items[n.item].class]); n.n > 0 {
				pat = append(pat, n)
			}
		}
		if len(pat) > 0 && r.on.has(cols[i].site) > 0 {
			out = append(out, r.p.newColumn(cols[i].group, cols[i].site, pat))
		}
	}
	return out
}

// recommitRounds bounds the rounds of a relaxed program of a part.
const recommitRounds = 40

// tidy forgets the columns that are not rented any more.
func (k *packing) tidy() {
	kept := k.list[:0]
	clear(k.index)
	for _, m := range k.list {
		if m.n > 0 {
			k.index[m.key()] = len(kept)
			kept = append(kept, m)
		}
	}
	k.list = kept
}
