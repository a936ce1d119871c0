package optimizer

import (
	"context"
	"math"
	"slices"
)

// missed is what the packing leaves over, weighted by priority.
func (k *packing) missed() int64 {
	total := 0.0
	for tg, n := range k.need {
		if c := int(k.t.list[tg].class); n > 0 && !k.oneService(c) {
			total += float64(k.p.classes[c].missedOf(k.t.list[tg].variant, n)) * k.p.missWeight(k.p.classes[c].level)
		}
	}
	for c, n := range k.lacking() {
		total += float64(n) * k.p.missWeight(k.p.classes[c].level)
	}
	return int64(total)
}

// oneService says whether a class is one committed service. What it lacks is then told by what is placed of it, as the plan tells it: by
// more replicas elsewhere it may serve with fewer than its configuration has left.
func (k *packing) oneService(c int) bool {
	cl := &k.p.classes[c]
	return cl.kind == kindService && !cl.plain && len(k.t.configs[c]) == 1
}

// placedOf is what is placed of the configuration of a class that is one committed service.
func (k *packing) placedOf(c int) config {
	placed := slices.Clone(k.t.configs[c][0])
	for tg, n := range k.need {
		t := k.t.list[tg]
		if int(t.class) != c {
			continue
		}
		for i := range placed {
			p := &placed[i]
			if (t.variant < 0 || t.variant == int32(p.variant)) && (t.domain < 0 || t.domain == p.domain) {
				less := min(n, p.n)
				p.n -= less
				n -= less
			}
		}
	}
	return placed
}

// lacking is by class the replicas of units that are not committed, and those that committed services lack to serve.
func (k *packing) lacking() []int64 {
	out := make([]int64, len(k.p.classes))
	for c, n := range k.units() {
		cl := &k.p.classes[c]
		out[c] = (cl.units() - n) * cl.least
		for _, cfg := range k.t.configs[c] {
			if k.oneService(c) {
				cfg = k.placedOf(c)
			}
			if have := cl.rated(cfg); !cl.need.met(have) {
				out[c] += int64(k.p.shortOf(&rawGroup{group: &k.p.jobs[cl.members[0].key.job].Groups[cl.members[0].key.group]}, cl.need, have))
			}
		}
	}
	return out
}

// units is how many units of each class are committed.
func (k *packing) units() []int64 {
	out := make([]int64, len(k.p.classes))
	for c := range out {
		cl := &k.p.classes[c]
		switch {
		case cl.kind == kindGang:
			for _, g := range k.t.gangs[c] {
				out[c] += g.n
			}
		case !cl.plain:
			out[c] = int64(len(k.t.configs[c]))
		default:
			if tg, ok := k.t.index[targetKey{cl.variants[0].item, -1}]; ok {
				out[c] = k.t.list[tg].need / cl.least
			}
		}
	}
	return out
}

// shortage looks for what limits and quotas leave no machine for: it solves the relaxed program that counts what is missed, notes
// whether something must be, and says how many units of each class to aim for.
func (s *search) shortage(ctx context.Context) ([]int64, error) {
	r, err := newRelaxed(ctx, s.rt, s.p, relaxedSpec{count: true})
	if err != nil {
		return nil, s.stopped(ctx, err)
	}
	defer r.close()
	if err := r.seed(s.pool, s.best.columns()); err != nil {
		return nil, s.stopped(ctx, err)
	}
	err = r.generate(ctx, generation{
		rounds: s.o.Work.Rounds, workers: s.o.Workers,
		nodes: []int64{500, 20_000, s.o.Work.KnapsackNodes}, target: 1e-6,
	})
	s.learn(r.cols)
	if err != nil {
		return nil, s.stopped(ctx, err)
	}
	// The count is in units of the program's money; a thousandth of a replica is the solver's noise.
	s.lacks = r.proof && float64(r.best) > 1e-3*r.unit
	units := make([]int64, len(s.p.classes))
	for c := range units {
		cl := &s.p.classes[c]
		if r.missOf[c] < 0 {
			continue
		}
		short := r.last.ColValue[r.missOf[c]] / float64(cl.least)
		units[c] = max(0, cl.units()-int64(math.Floor(short+1e-6)))
	}
	return units, nil
}

// boundMissed takes the bound of the plans that miss no more than the best one does, level by level.
func (s *search) boundMissed(ctx context.Context) error {
	plan := s.p.build(s.best)
	levels := make([]int64, max(s.p.levels, 1))
	hopeless := map[groupKey]int{}
	for _, h := range s.p.hopeless {
		for _, m := range h.raw.members {
			hopeless[m.key] += h.replicas
		}
	}
	levelOf := map[groupKey]int{}
	for c := range s.p.classes {
		for _, m := range s.p.classes[c].members {
			levelOf[m.key] = s.p.classes[c].level
		}
	}
	for _, u := range plan.Unplaced {
		at := s.p.jobAt[u.Job]
		key := groupKey{at, groupIndex(s.p.jobs[at], u.Group)}
		n := u.Replicas - hopeless[key]
		hopeless[key] = max(0, hopeless[key]-u.Replicas)
		if n > 0 {
			levels[levelOf[key]] += int64(n)
		}
	}
	r, err := newRelaxed(ctx, s.rt, s.p, relaxedSpec{missMax: levels})
	if err != nil {
		return s.stopped(ctx, err)
	}
	defer r.close()
	if err := r.seed(s.pool, s.best.columns()); err != nil {
		return s.stopped(ctx, err)
	}
	s.bound = 0
	err = r.generate(ctx, generation{
		rounds: s.o.Work.Rounds, workers: s.o.Workers, target: 1e-6,
		nodes: []int64{500, 20_000, s.o.Work.KnapsackNodes}, onRound: func(round int) {
			if r.proof {
				s.raise(r.best, "bound", round)
			}
		},
	})
	s.learn(r.cols)
	if err != nil {
		return s.stopped(ctx, err)
	}
	return nil
}

// addMissing gives the packing targets for the units that were not aimed for, so that a repair can try them.
func (k *packing) addMissing() {
	k.sync()
	for c, n := range k.units() {
		cl := &k.p.classes[c]
		lack := cl.units() - n
		if lack <= 0 {
			continue
		}
		switch {
		case cl.kind == kindGang:
			key := k.p.cheapestMass(c).keys()[0]
			tg := k.ensure(c, key.variant, key.domain)
			k.need[tg] += lack * cl.variants[key.variant].gang
			k.t.addGangs(c, key, lack)
		case !cl.plain:
			b := newServiceBuilder(k.p, c, k.p.cheapestMass(c))
			for range lack {
				counts := make([]int64, len(b.keys))
				b.finish(counts, 1)
				var cfg config
				for i, n := range counts {
					if n > 0 {
						cfg = append(cfg, configPart{b.keys[i].variant, b.keys[i].domain, n})
						k.need[k.ensure(c, b.keys[i].variant, b.keys[i].domain)] += n
					}
				}
				k.t.configs[c] = append(k.t.configs[c], cfg)
			}
		default:
			if tg, ok := k.t.index[targetKey{cl.variants[0].item, -1}]; ok {
				k.sync()
				k.need[tg] += lack * cl.least
				k.t.list[tg].need += lack * cl.least
				continue
			}
			items := make([]int32, len(cl.variants))
			for v := range items {
				items[v] = cl.variants[v].item
			}
			k.t.add(target{int32(c), -1, -1, lack * cl.least}, items...)
			k.need = append(k.need, lack*cl.least)
		}
	}
}

// columns are the columns that the packing rents.
func (k *packing) columns() []column {
	out := make([]column, 0, len(k.list))
	for i := range k.list {
		if k.list[i].n > 0 {
			out = append(out, k.list[i].column)
		}
	}
	return out
}

// alone packs every replica onto a machine of its own, the cheapest that can be had.
func (k *packing) alone() {
	for tg := range k.t.list {
		t := &k.t.list[tg]
		for k.need[tg] > 0 {
			cols := k.p.singleColumns(int(t.class), 8, func(int32) int64 { return 1 })
			if t.domain >= 0 || t.variant >= 0 {
				cols = k.p.singleIn(k.p.classes[t.class].variants[t.variant].item, k.t.levels[t.class], t.domain, 1)
			}
			cols = slices.DeleteFunc(cols, func(c column) bool { return k.times(&c) == 0 })
			if len(cols) == 0 {
				break
			}
			best := slices.MinFunc(cols, func(a, b column) int {
				if a.cost != b.cost {
					return compareInts(a.cost, b.cost)
				}
				return compareInts(int64(a.site), int64(b.site))
			})
			k.put(&best, k.times(&best))
		}
	}
}
