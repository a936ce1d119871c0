package optimizer

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
)

// recreate takes parts of the plan down and makes them anew. In turn: the machines that cost most beyond what their load is worth are
// packed anew; and all machines that host some classes are, with these classes committed to domains anew. Chance weighs both. Rounds go in
// pairs, side by side, from the same plan. It goes on as long as rounds are left and the gap is open.
func (s *search) recreate(ctx context.Context) error {
	committed := slices.ContainsFunc(s.p.classes, func(c class) bool { return !c.plain })
	for first := 0; first < s.o.Work.Dives && !s.done(); first += roundsAtOnce {
		if ctx.Err() != nil {
			return errStopped
		}
		rounds := make([]*round, roundsAtOnce)
		for i := range rounds {
			n := first + i
			rounds[i] = &round{search: s, rng: rand.New(rand.NewPCG(s.o.Seed, uint64(n)+1))}
			rounds[i].recommits = committed && n%3 != 2
			rounds[i].sites = n%3 == 1
		}
		err := s.beside(ctx, treeStepsRepair, func() error {
			inParallel(len(rounds), s.o.Workers, func(i int) { rounds[i].run(ctx, s.base.clone()) })
			return nil
		})
		if err != nil {
			return err
		}
		for i, r := range rounds {
			s.learn(r.learned)
			if r.err != nil && !errors.Is(r.err, errUnsolved) {
				return r.err
			}
			if r.err == nil {
				s.consider(r.result, "repair", first+i)
			}
		}
	}
	return nil
}

// roundsAtOnce is how many rounds begin from one plan. It does not depend on the number of workers, so neither does the result.
const roundsAtOnce = 2

// round is one try to better the plan. It only reads the search.
type round struct {
	*search
	rng       *rand.Rand
	recommits bool
	sites     bool

	result  *packing
	learned []column
	err     error
}

func (r *round) run(ctx context.Context, k *packing) {
	k.t = k.t.clone()
	if r.recommits {
		k, r.err = r.recommit(ctx, k)
	} else {
		r.ruin(k)
	}
	if r.err == nil {
		r.learned, r.err = r.pack(ctx, k, partDive)
		r.result = k
	}
}

// ruinedShare is the part of the machines that a round takes down; at the least and at the most so many, and at the most packedMost where
// they are only packed anew, which takes longer.
const (
	ruinedShare = 0.2
	ruinedLeast = 12
	ruinedMost  = 400
	packedMost  = 150
)

func (k *packing) ruinedMachines() int64 {
	return min(int64(float64(k.rented())*ruinedShare)+ruinedLeast, ruinedMost)
}

// excess is by column what its machine costs beyond what its load is worth at the row prices of the relaxed program, in nano-USD: together
// that is much of the gap.
func (s *search) excess(k *packing) []float64 {
	worths := s.proof.m.worths(s.proof.d.rows)
	out := make([]float64, len(k.list))
	for i := range k.list {
		c := &k.list[i].column
		out[i] = float64(max(s.proof.waste(c, worths), c.cost/200))
	}
	return out
}

// ruin takes the machines with most excess down.
func (r *round) ruin(k *packing) {
	order := make([]int, 0, len(k.list))
	excess := r.excess(k)
	for i := range k.list {
		excess[i] *= r.rng.Float64()
		if k.list[i].n > 0 {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(excess[b], excess[a]) })
	left := min(k.ruinedMachines(), packedMost)
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
func (r *round) ruinClasses(k *packing) []int64 {
	s := r.search
	excess := r.excess(k)
	byClass := make([]float64, len(s.p.classes))
	for i := range k.list {
		for _, n := range k.list[i].pattern {
			byClass[s.p.items[n.item].class] += excess[i] * float64(k.list[i].n)
		}
	}
	for tg, n := range k.need {
		if n > 0 {
			c := int(k.t.list[tg].class)
			byClass[c] += missPrice * float64(n) * float64(s.p.aloneCost(c))
		}
	}
	var order []int
	for c := range s.p.classes {
		byClass[c] *= r.rng.Float64()
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
func (r *round) recommit(ctx context.Context, k *packing) (*packing, error) {
	units := r.ruinClasses(k)
	if slices.Max(units) == 0 {
		r.ruin(k) // no class that is committed costs more than it is worth
		return k, nil
	}
	part, err := newRelaxed(ctx, r.rt, r.p, relaxedSpec{units: units, on: k, near: r.base.t})
	if err != nil {
		return nil, r.stopped(ctx, err)
	}
	defer part.close()
	if err := part.seed(part.cut(r.worthwhile())); err != nil {
		return nil, r.stopped(ctx, err)
	}
	err = part.generate(ctx, generation{rounds: recommitRounds, workers: 1, nodes: []int64{heuristicNodes}, target: 1e-5})
	if err != nil && !errors.Is(err, errUnsolved) {
		return nil, r.stopped(ctx, err)
	}
	packings, err := r.commits(ctx, part, part.relaxedSpec, []bool{r.sites}, 1)
	if err != nil {
		return nil, err
	}
	r.learned = part.cols
	return packings[0], nil
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
