package optimizer

import (
	"context"
	"errors"
	"math"
)

// relax solves the relaxed program, takes its bound, and commits gangs and services as its solution has them. short says that the program
// leaves something over although the spec asks for everything; nothing is committed then.
func (s *search) relax(ctx context.Context, spec relaxedSpec) (packings []*packing, short bool, err error) {
	r, err := newRelaxed(ctx, s.rt, s.p, spec)
	if err != nil {
		return nil, false, s.stopped(ctx, err)
	}
	defer r.close()
	if err := r.seed(s.pool, s.best.columns()); err != nil {
		return nil, false, s.stopped(ctx, err)
	}
	whole := spec.units == nil && spec.on == nil
	g := generation{
		rounds: s.o.Work.Rounds, workers: s.o.Workers, nodes: []int64{500, 20_000, s.o.Work.KnapsackNodes}, target: s.closeness(),
		onRound: func(round int) {
			if !whole || !r.proof {
				return
			}
			s.served = max(s.served, r.best)
			if s.missed == 0 {
				s.raise(r.best, "bound", round)
			}
		},
	}
	if whole && !s.p.small() {
		g.nodes, g.raise, g.hasty = []int64{500}, 20_000, true // the tree sees to the bound
	}
	err = r.generate(ctx, g)
	s.learn(r.cols)
	if err != nil && !(errors.Is(err, errUnsolved) && len(r.last.RowDual) > 0) {
		return nil, false, s.stopped(ctx, err)
	}
	if whole && s.missed > 0 && r.leavesOver() {
		return nil, true, nil
	}
	if whole && !s.p.small() {
		if s.tree, err = newTree(ctx, s.rt, r, s.closeness()); err != nil {
			return nil, false, s.stopped(ctx, err)
		}
	}
	s.proof = &proof{m: r.m.clone(), d: r.prices(), bound: r.latest, whole: whole}
	packings, err = s.commits(ctx, r, spec, []bool{false, true}, s.o.Workers)
	return packings, false, err
}

// commits rounds a relaxed program's solution, with and without numbers of machines being rounded first, to packings that are to be dived.
func (s *search) commits(ctx context.Context, r *relaxed, spec relaxedSpec, sites []bool, workers int) ([]*packing, error) {
	hints := r.hints()
	solved := true
	// Where a program was not solved, the last hints have to do.
	check := func(err error) error {
		if errors.Is(err, errUnsolved) {
			solved = false
			return nil
		}
		return s.stopped(ctx, err)
	}
	if err := check(r.prepareCommit(ctx, fixRounds, workers)); err != nil {
		return nil, err
	}
	var out []*packing
	for _, with := range sites {
		if solved && len(r.services) > 0 {
			fixed, err := r.fixCommitted(ctx, with)
			if err := check(err); err != nil {
				return nil, err
			}
			if solved {
				hints = fixed
			}
		}
		out = append(out, s.packingOf(spec, hints))
		if !solved || len(r.services) == 0 {
			break
		}
	}
	return out, nil
}

// beside does a step of the search while the tree grows, and takes over what the tree proves.
func (s *search) beside(ctx context.Context, steps int, step func() error) error {
	if s.tree == nil || s.tree.stuck {
		return step()
	}
	ceiling := int64(math.MaxInt64)
	if s.missed == 0 {
		ceiling = s.best.cost + s.p.constant()
	}
	grown := make(chan error, 1)
	go func() { grown <- s.tree.grow(ctx, steps, ceiling, s.o.Work.KnapsackNodes) }()
	err := step()
	treeErr := <-grown
	s.served = max(s.served, s.tree.bound())
	if s.missed == 0 {
		s.raise(s.served, "bound", len(s.tree.leaves))
	}
	if err == nil && treeErr != nil {
		err = s.stopped(ctx, treeErr)
	}
	return err
}

// packingOf commits hints, on top of the packing that the program went on from.
func (s *search) packingOf(spec relaxedSpec, hints []hint) *packing {
	t := s.p.commit(hints, spec.units)
	if spec.on == nil {
		return newPacking(t)
	}
	k := spec.on.clone()
	k.t = k.t.clone()
	k.merge(t)
	return k
}

// closeness is how near the relaxed program's bound has to come to its value, as a share: a tenth of the gap that is aimed for, and in
// small problems, where more can be proven, a ten-millionth.
func (s *search) closeness() float64 {
	if s.p.small() {
		return 1e-7
	}
	return max(s.o.GapTarget/10, 1e-7)
}

// fixRounds bounds the pricing rounds before services are rounded.
const fixRounds = 6

// stopped turns errors of an ended context into errStopped.
func (s *search) stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errStopped
	}
	return err
}

// wholeDive and partDive say how a dive goes about a whole plan and a part of one.
var (
	wholeDive = diveOptions{nodes: heuristicNodes, first: 20, rounds: 12, share: 0.5}
	partDive  = diveOptions{nodes: heuristicNodes, first: 12, rounds: 8, share: 0.7}
)

// dive packs what the packing needs, and considers the result.
func (s *search) dive(ctx context.Context, k *packing, o diveOptions, stage string, round int) error {
	cols, err := s.pack(ctx, k, o)
	s.learn(cols)
	if err == nil {
		s.consider(k, stage, round)
	}
	return err
}

// pack packs what the packing needs, repairs what is left over, and gives the columns that were made.
func (s *search) pack(ctx context.Context, k *packing, o diveOptions) ([]column, error) {
	o.workers = s.o.Workers
	d, err := newDive(ctx, s.rt, k, o)
	if err != nil {
		return nil, s.stopped(ctx, err)
	}
	defer d.close()
	if _, err := d.add(d.project(s.worthwhile())); err != nil {
		return nil, s.stopped(ctx, err)
	}
	if err := d.run(ctx); err != nil && !errors.Is(err, errUnsolved) {
		return nil, s.stopped(ctx, err)
	}
	k.addMissing()
	k.repair()
	k.eliminate(s.excess)
	return d.cols, nil
}

// wasteMost is how much of a column's cost may be beyond what its members are worth for it to be used again.
const wasteMost = 0.15

// worthwhile are the columns made so far that are not far from being worth their cost in the relaxed program.
func (s *search) worthwhile() []column {
	if s.proof == nil {
		return s.pool
	}
	worths := s.proof.m.worths(s.proof.d.rows)
	out := make([]column, 0, len(s.pool))
	for i := range s.pool {
		if c := &s.pool[i]; float64(s.proof.waste(c, worths)) <= wasteMost*float64(c.cost) {
			out = append(out, *c)
		}
	}
	return out
}
