package optimizer

import (
	"context"
	"errors"
	"time"

	"purser"
	"purser/optimizer/highs"
)

// Solve searches for a plan. An error means that the call failed: a nil problem, a solver that broke, a context that ended before the
// first plan. What was found is the plan's Status. ID, CreatedAt, Rehearsal and SolveTime are the caller's to set.
//
// The first plan takes milliseconds. When the context ends after that, the best plan so far is returned, marked CutByTime. Without a
// deadline the result depends on the problem, the options' limits and the seed alone.
func Solve(ctx context.Context, rt *highs.Runtime, p *Problem, o Options) (purser.Plan, error) {
	if p == nil || rt == nil {
		return purser.Plan{}, purser.Errorf(purser.KindInvalid, "optimizer.Solve", "there is no problem or no solver")
	}
	if err := ctx.Err(); err != nil {
		return purser.Plan{}, purser.Wrap(purser.KindUnavailable, "optimizer.Solve", err)
	}
	o = o.settled()
	ctx, cancel := p.searchContext(ctx)
	defer cancel()
	var stay purser.Plan
	if p.stay != nil {
		var err error
		if stay, err = solveOne(ctx, rt, p.stay, o, nil); err != nil {
			return purser.Plan{}, err
		}
	}
	plan, err := solveOne(ctx, rt, p, o, &stay)
	if err != nil {
		return purser.Plan{}, err
	}
	if p.stay != nil {
		plan = p.choose(stay, plan)
	}
	if err := Check(p, plan); err != nil {
		return purser.Plan{}, err
	}
	return plan, nil
}

// writingTime is what it takes to write down, explain and check a plan, for each replica.
const writingTime = 10 * time.Microsecond

// searchContext ends so much before the context's deadline that the plan can be written down by then.
func (p *Problem) searchContext(ctx context.Context) (context.Context, context.CancelFunc) {
	return highs.EndingBefore(ctx, time.Duration(p.Size().Replicas)*writingTime)
}

// settled fills in the defaults.
func (o Options) settled() Options {
	def := func(x *int, d int) {
		if *x <= 0 {
			*x = d
		}
	}
	def(&o.Work.Rounds, 400)
	def(&o.Work.Dives, 60)
	def(&o.Workers, 2)
	if o.Work.KnapsackNodes <= 0 {
		o.Work.KnapsackNodes = 2_000_000
	}
	if o.Work.MIPWork <= 0 {
		o.Work.MIPWork = 20_000
	}
	if o.GapTarget == 0 {
		o.GapTarget = DefaultGapTarget
	}
	return o
}

// provenGap is the gap that counts as none: what floating-point programs leave.
const provenGap = 1e-6

// search is one run of the methods on one problem.
type search struct {
	p         *Problem
	rt        *highs.Runtime
	o         Options
	best      *packing
	missed    int64    // of best, weighted by priority
	base      *packing // what further rounds begin with
	baseScore float64
	bound     int64 // nano-USD; 0 until something is proven: nothing costs less than nothing
	served    int64 // the bound of the plans that leave nothing over
	lacks     bool  // it is proven that not everything can be placed
	cut       bool  // the context ended the search

	proof *proof   // of the relaxed program
	tree  *tree    // grown from it, nil where an exact program does its work
	pool  []column // columns of all programs
	known map[string]bool
}

// solveOne runs the methods in turn, each for what the ones before leave open. hint is a plan to begin with, or nil.
func solveOne(ctx context.Context, rt *highs.Runtime, p *Problem, o Options, hint *purser.Plan) (purser.Plan, error) {
	s := &search{p: p, rt: rt, o: o, known: map[string]bool{}}
	defer func() {
		if s.tree != nil {
			_ = s.tree.r.close()
		}
	}()
	s.start()
	if hint != nil {
		s.learn(p.columnsOfPlan(*hint))
	}
	err := s.improve(ctx)
	if err != nil && !errors.Is(err, errStopped) && !errors.Is(err, errUnsolved) {
		return purser.Plan{}, err
	}
	s.cut = errors.Is(err, errStopped)
	plan := p.build(s.best)
	s.judge(&plan)
	return plan, nil
}

// improve is the search after the first plans. errStopped: the context ended it.
func (s *search) improve(ctx context.Context) error {
	if len(s.p.classes) == 0 {
		s.bound = s.p.constant()
		return nil
	}
	packings, short, err := s.relax(ctx, relaxedSpec{})
	if err != nil {
		return err
	}
	if short {
		// Limits and quotas leave no machine for some of it: aim for what they leave room for.
		units, err := s.shortage(ctx)
		if err != nil {
			return err
		}
		if packings, _, err = s.relax(ctx, relaxedSpec{units: units}); err != nil {
			return err
		}
	}
	for _, k := range packings {
		steps := treeSteps
		if len(s.p.classes) > manyClasses {
			steps = treeStepsRepair
		}
		if err := s.beside(ctx, steps, func() error { return s.dive(ctx, k, wholeDive, "dive", 0) }); err != nil {
			return err
		}
	}
	if s.missed > 0 {
		if err := s.exactMissed(ctx); err != nil {
			return err
		}
	}
	if s.missed == 0 {
		s.raise(s.served, "bound", 0)
	}
	if s.missed > 0 {
		if err := s.boundMissed(ctx); err != nil {
			return err
		}
	}
	if s.done() {
		return nil
	}
	if err := s.exact(ctx); err != nil {
		return err
	}
	if err := s.recreate(ctx); err != nil || s.missed == 0 {
		return err
	}
	return s.boundMissed(ctx)
}

// treeSteps is how often the tree branches beside a dive, treeStepsRepair how often beside a pair of repairs and beside a dive of manyClasses:
// there its steps take the time that the dive needs, and a few dear machines are a small part of the gap.
const (
	treeSteps       = 4
	treeStepsRepair = 1
	manyClasses     = 500
)

// start makes the first plans without the solver.
func (s *search) start() {
	t := s.p.commit(nil, nil)
	k := newPacking(t)
	k.greedy()
	k.repair()
	s.consider(k, "greedy", 0)
	k = newPacking(s.p.commit(nil, nil))
	k.alone()
	k.repair()
	s.consider(k, "greedy", 1)
	if s.missed == 0 {
		return
	}
	for i, hints := range s.p.kindHints() {
		k = newPacking(s.p.commit(hints, nil))
		k.greedy()
		k.repair()
		s.consider(k, "greedy", 2+i)
	}
}

// consider takes over a packing that is better than the best: less missed, then cheaper. The base, which further rounds begin with, may
// miss something when it is much cheaper.
func (s *search) consider(k *packing, stage string, round int) {
	k.strip()
	if score := k.score(); s.base == nil || score < s.baseScore {
		s.base, s.baseScore = k, score
	}
	missed := k.missed()
	if s.best != nil && (missed > s.missed || (missed == s.missed && k.cost >= s.best.cost)) {
		return
	}
	s.best, s.missed = k, missed
	s.report(stage, round)
}

// missPrice is what a missed replica counts against a packing, in parts of the cheapest machine for it.
const missPrice = 10

// score is the cost with what is missed at a price.
func (k *packing) score() float64 {
	total := float64(k.cost)
	for tg, n := range k.need {
		if c := int(k.t.list[tg].class); n > 0 && !k.oneService(c) {
			total += missPrice * float64(k.p.classes[c].missedOf(k.t.list[tg].variant, n)) * float64(k.p.aloneCost(c)) * k.p.missWeight(k.p.classes[c].level)
		}
	}
	for c, n := range k.lacking() {
		total += missPrice * float64(n) * float64(k.p.aloneCost(c)) * k.p.missWeight(k.p.classes[c].level)
	}
	return total
}

func (s *search) report(stage string, round int) {
	if s.o.Progress == nil {
		return
	}
	objective := purser.Money(s.best.cost + s.p.constant())
	bound := min(purser.Money(s.bound), objective)
	s.o.Progress(Progress{Stage: stage, Round: round, Objective: objective, Bound: bound, Gap: gapOf(objective, bound), Machines: int(s.best.rented())})
}

// gap is how far the best plan can be from the best possible.
func (s *search) gap() float64 {
	objective := s.best.cost + s.p.constant()
	return gapOf(purser.Money(objective), purser.Money(min(s.bound, objective)))
}

// done says whether the gap is small enough.
func (s *search) done() bool { return s.gap() <= max(s.o.GapTarget, 0) }

// raise takes over a bound that is better than the one so far.
func (s *search) raise(bound int64, stage string, round int) {
	if bound > s.bound {
		s.bound = bound
		s.report(stage, round)
	}
}

// learn keeps columns for later programs.
func (s *search) learn(cols []column) {
	for i := range cols {
		if key := cols[i].key(); !s.known[key] {
			s.known[key] = true
			s.pool = append(s.pool, cols[i])
		}
	}
}
