package optimizer

import (
	"context"
	"errors"
	"math"

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

// settled fills in the defaults.
func (o Options) settled() Options {
	def := func(x *int, d int) {
		if *x <= 0 {
			*x = d
		}
	}
	def(&o.Work.Rounds, 400)
	def(&o.Work.Dives, 12)
	def(&o.Workers, 2)
	if o.Work.KnapsackNodes <= 0 {
		o.Work.KnapsackNodes = 200_000
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
	lacks     bool  // it is proven that not everything can be placed
	cut       bool  // the context ended the search

	proof *proof   // of the relaxed program
	pool  []column // columns of all programs
	known map[string]bool
}

// solveOne runs the methods in turn, each for what the ones before leave open. hint is a plan to begin with, or nil.
func solveOne(ctx context.Context, rt *highs.Runtime, p *Problem, o Options, hint *purser.Plan) (purser.Plan, error) {
	s := &search{p: p, rt: rt, o: o, known: map[string]bool{}}
	s.start()
	if hint != nil {
		s.learn(p.columnsOfPlan(*hint))
	}
	if err := s.improve(ctx); err != nil && !errors.Is(err, errStopped) && !errors.Is(err, errUnsolved) {
		return purser.Plan{}, err
	}
	s.cut = ctx.Err() != nil
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
	spec := relaxedSpec{}
	if s.best.left() > 0 {
		units, err := s.shortage(ctx)
		if err != nil {
			return err
		}
		spec.units = units
	}
	packings, err := s.relax(ctx, spec)
	if err != nil {
		return err
	}
	for _, k := range packings {
		if err := s.dive(ctx, k, wholeDive, "dive", 0); err != nil {
			return err
		}
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
	return s.recreate(ctx)
}

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
}

// consider takes over a packing that is better than the best: less missed, then cheaper. The base, which further rounds begin with, may
// miss something when it is much cheaper.
func (s *search) consider(k *packing, stage string, round int) {
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
		if n > 0 {
			c := int(k.t.list[tg].class)
			total += missPrice * float64(n) * float64(k.p.aloneCost(c)) * k.p.missWeight(k.p.classes[c].level)
		}
	}
	for c, n := range k.units() {
		cl := &k.p.classes[c]
		total += missPrice * float64((cl.units()-n)*cl.least) * float64(k.p.aloneCost(c)) * k.p.missWeight(cl.level)
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

// relax solves the relaxed program, takes its bound, and commits gangs and services as its solution has them.
func (s *search) relax(ctx context.Context, spec relaxedSpec) ([]*packing, error) {
	r, err := newRelaxed(ctx, s.rt, s.p, spec)
	if err != nil {
		return nil, s.stopped(ctx, err)
	}
	defer r.close()
	if err := r.seed(s.pool, s.best.columns()); err != nil {
		return nil, s.stopped(ctx, err)
	}
	whole := spec.units == nil && spec.on == nil
	err = r.generate(ctx, generation{
		rounds: s.o.Work.Rounds, workers: s.o.Workers, nodes: []int64{500, 20_000, s.o.Work.KnapsackNodes}, target: s.closeness(),
		onRound: func(round int) {
			if whole && r.proof {
				s.raise(r.best, "bound", round)
			}
		},
	})
	s.learn(r.cols)
	if err != nil && !(errors.Is(err, errUnsolved) && len(r.last.RowDual) > 0) {
		return nil, s.stopped(ctx, err)
	}
	if Debug != nil {
		d := r.prices()
		results, _ := r.order(d, 200000, 2).price(ctx)
		for i := range results {
			if results[i].ratio < 0.9999 {
				Dbg("bucket ratio %.6f upper %d capped %v", results[i].ratio, results[i].upper, results[i].capped)
				g := &r.p.groups[results[i].bucket.groups[0]]
				Dbg("   room %v site %s price %v entries %d", g.room, r.p.sites[g.sites[0]].offer.ID(), r.p.sites[g.sites[0]].offer.UnitPrice, len(g.entries))
				w := r.m.worths(d.rows)
				r.m.localWorths(w, results[i].bucket.domains, d.rows)
				for _, e := range g.entries {
					if w[e.item] > 0 {
						Dbg("      item %d size %v worth %d span %.2f most %d", e.item, r.p.items[e.item].size, w[e.item], float64(r.p.items[e.item].span)/3.6e12, r.p.variantOf(e.item).most)
					}
				}
			}
		}
		for i := range r.services {
			sv := &r.services[i]
			slots, rest := r.slots(sv, d)
			cs := newConfigSearch(r.p.classes[sv.class].need, r.p.classes[sv.class].standing, slots, rest)
			now := d.rows[sv.convex]
			low := cs.solve(configNodes, now)
			if float64(now-low) > 0.002*float64(now) {
				Dbg("service class %d now %d low %d found %d slots %d rest %v few %v alike %v need %+v least %d nodes %d", sv.class, now, low, len(cs.most), len(slots), rest, cs.few(), cs.alike(), r.p.classes[sv.class].need, r.p.classes[sv.class].least, cs.nodes)
			}
		}
		Dbg("relaxed value %.2f latest %.2f", r.last.Objective*r.unit/1e9, float64(r.latest)/1e9)
	}
	s.proof = &proof{m: r.m.clone(), d: r.prices(), bound: r.latest, whole: whole}
	return s.commits(ctx, r, spec, []bool{false, true}, s.o.Workers)
}

// commits rounds a relaxed program's solution, with and without numbers of machines being rounded first, to packings that are to be dived.
func (s *search) commits(ctx context.Context, r *relaxed, spec relaxedSpec, sites []bool, workers int) ([]*packing, error) {
	hints := r.hints()
	err := r.prepareCommit(ctx, fixRounds, workers)
	var out []*packing
	Dbg("prepared: value %.2f rows %d services %d err %v", r.last.Objective*r.unit/1e9, r.height, len(r.services), err)
	for _, with := range sites {
		if err == nil && len(r.services) > 0 {
			var fixed []hint
			if fixed, err = r.fixCommitted(ctx, with); err == nil {
				hints = fixed
			}
		}
		if err != nil && !errors.Is(err, errUnsolved) {
			return nil, s.stopped(ctx, err)
		}
		Dbg("commit with sites %v: err %v value %.2f", with, err, r.last.Objective*r.unit/1e9)
		// Where a program was not solved, the last hints have to do.
		out = append(out, s.packingOf(spec, hints))
		if err != nil || len(r.services) == 0 {
			break
		}
	}
	return out, nil
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
	wholeDive = diveOptions{nodes: heuristicNodes, first: 12, rounds: 10, share: 0.7}
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
	Dbg("dived cost %.2f left %d", float64(k.cost)/1e9, k.left())
	k.repair()
	Dbg("repaired cost %.2f left %d missed %d", float64(k.cost)/1e9, k.left(), k.missed())
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

// judge writes bound, gap and status into the plan.
func (s *search) judge(plan *purser.Plan) {
	plan.Bound = min(purser.Money(max(s.bound, 0)), plan.Objective)
	plan.Gap = gapOf(plan.Objective, plan.Bound)
	plan.CutByTime = s.cut
	switch {
	case len(s.p.hopeless) > 0 || (s.lacks && len(plan.Unplaced) > 0):
		plan.Status = purser.PlanInfeasible
	case len(plan.Unplaced) > 0:
		plan.Status = purser.PlanLimit
	case plan.Gap <= provenGap:
		plan.Status = purser.PlanOptimal
	default:
		plan.Status = purser.PlanFeasible
	}
}

// choose takes the plan with moves only when it places more, or saves at least the least gain. The bound of the problem with moves holds
// for both.
func (p *Problem) choose(stay, move purser.Plan) purser.Plan {
	stay.Objective = p.Price(stay)
	less := countUnplaced(move) < countUnplaced(stay)
	gain := float64(stay.Objective - move.Objective)
	if less || (countUnplaced(move) == countUnplaced(stay) && gain >= math.Max(p.minGain*float64(stay.Objective), 1)) {
		return move
	}
	stay.Bound = min(move.Bound, stay.Objective)
	stay.Gap = gapOf(stay.Objective, stay.Bound)
	if stay.Status == purser.PlanOptimal || stay.Status == purser.PlanFeasible {
		stay.Status = purser.PlanFeasible
		if stay.Gap <= provenGap {
			stay.Status = purser.PlanOptimal
		}
	}
	stay.CutByTime = move.CutByTime
	stay.Refusals = p.listRefusals()
	stay.RunnersUp = p.runnersUp(stay)
	return stay
}

func countUnplaced(plan purser.Plan) int {
	n := 0
	for _, u := range plan.Unplaced {
		n += u.Replicas
	}
	return n
}
