package binpack

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"sync"

	"purser"
	"purser/optimizer/highs"
)

// Options limit a search.
type Options struct {
	// Work is how much each of the two sides of the search may do, in the solver's units of about 0.1 ms. 0 means DefaultWork.
	Work int64
	// Seed is of the random choices.
	Seed uint64
}

// DefaultWork is about ten seconds.
const DefaultWork = 100_000

// Result is a packing and what is proven about it.
type Result struct {
	Bins  [][]int // item numbers, one entry a copy
	Bound int     // no packing has fewer bins
	Cut   bool    // the context ended the search
}

// Solve packs an instance. An error means that the call failed: a wrong instance, a solver that broke, a context that ended before the
// first packing. When the context ends later, the best so far is returned. Without a deadline the result depends on the
// instance and the options alone.
func Solve(ctx context.Context, rt *highs.Runtime, in Instance, o Options) (Result, error) {
	if rt == nil {
		return Result{}, purser.Errorf(purser.KindInvalid, op, "there is no solver")
	}
	if err := in.Validate(); err != nil {
		return Result{}, err
	}
	if err := ctx.Err(); err != nil {
		return Result{}, purser.Wrap(purser.KindUnavailable, op, err)
	}
	if o.Work <= 0 {
		o.Work = DefaultWork
	}
	s := &search{p: newProblem(in), rt: rt, o: o, known: map[string]bool{}}
	s.bound = s.p.simpleBound()
	err := s.run(ctx)
	if err != nil && !errors.Is(err, errStopped) {
		return Result{}, err
	}
	r := Result{Bins: s.p.bins(s.best), Bound: s.bound + len(s.p.alone), Cut: ctx.Err() != nil}
	return r, in.Check(r.Bins)
}

// search is one run of the methods, each for what the ones before leave open.
type search struct {
	p     *problem
	rt    *highs.Runtime
	o     Options
	best  []pattern
	bound int
	pool  []pattern
	known map[string]bool
	spent int64  // work done, of Options.Work
	tasks uint64 // tasks begun
	first uint64 // the dive without chance

	cols  []pattern // of the covering program, as solved
	basis highs.Basis
}

func (s *search) done() bool { return len(s.best) <= s.bound }

// learn keeps patterns for later programs.
func (s *search) learn(patterns []pattern) {
	for _, pt := range patterns {
		if key := pt.key(); !s.known[key] {
			s.known[key] = true
			s.pool = append(s.pool, pt)
		}
	}
}

// consider takes over a packing that is better than the best. A packing may hold more than is needed.
func (s *search) consider(patterns []pattern) {
	if patterns == nil || s.best != nil && len(patterns) >= len(s.best) {
		return
	}
	s.learn(patterns)
	need := slices.Clone(s.p.count)
	var best []pattern
	for _, pt := range patterns {
		pt = pt.trim(need)
		if !s.p.holds(pt) { // what was dropped lent room
			return
		}
		for _, c := range pt {
			need[c]--
		}
		if len(pt) > 0 {
			best = append(best, pt)
		}
	}
	s.best = best
}

func (s *search) random(stream uint64) *rand.Rand { return rand.New(rand.NewPCG(s.o.Seed, stream)) }

func (s *search) run(ctx context.Context) error {
	if len(s.p.size) == 0 {
		return nil
	}
	s.start(ctx)
	if s.done() {
		return nil
	}
	s.empty(ctx)
	if s.done() {
		return nil
	}
	return s.improve(ctx)
}

// start makes packings by every rule, then by blurred rules.
func (s *search) start(ctx context.Context) {
	p := s.p
	rng := s.random(0)
	weights := p.dimensionWeights(p.count)
	looks := s.shortly() * workUnit
	for round := range startRounds {
		for _, m := range []measure{sumMeasure, squareMeasure, largestMeasure} {
			for _, w := range weights {
				blur := rng
				if round == 0 {
					blur = nil
				}
				list := p.decreasing(p.count, w, m, blur)
				s.consider(patternsOf(p.itemCentric(list, w, round%2 == 0)))
				for _, sc := range []score{dotScore, angleScore, nearScore} {
					s.consider(patternsOf(p.binCentric(list, w, sc)))
				}
				looks -= startLooks * int64(p.total) * int64(p.total)
				if s.done() || looks < 0 || ctx.Err() != nil {
					s.spent += s.shortly() - max(0, looks/workUnit)
					return
				}
			}
		}
	}
}

const (
	// startRounds is how often all rules are tried.
	startRounds = 12
	// startLooks is what the rules together cost for each pair of items.
	startLooks = 5
)

// shortly is the work for one of the quick methods: little of much, but enough of little to be of use.
func (s *search) shortly() int64 { return max(s.o.Work/50, min(s.o.Work/4, 300)) }

// empty tries to do with one bin less, again and again.
func (s *search) empty(ctx context.Context) {
	rng := s.random(1)
	looks := s.shortly() * workUnit
	for looks > 0 && ctx.Err() == nil && !s.done() {
		e := newEjector(s.p, s.best, rng)
		e.open()
		for looks > 0 && ctx.Err() == nil && !e.stuck && len(e.pool) > 0 {
			e.run(ejectSlice)
			looks -= ejectSlice - e.ops
		}
		if len(e.pool) > 0 {
			break
		}
		s.consider(patternsOf(e.bins))
	}
	s.spent += s.shortly() - max(0, looks/workUnit)
}

// ejectSlice is how many looks an ejector may do between two looks at the context.
const ejectSlice = 50_000

// rootLooks is the effort of pricing at the root.
var rootLooks = []int64{300, 5_000, 200_000, math.MaxInt64 / 4}

// improve solves the covering program and searches from its solution, on two sides, until nothing is left open.
func (s *search) improve(ctx context.Context) error {
	if err := s.root(ctx); err != nil || s.done() {
		return err
	}
	s.first = s.tasks + 1
	return s.rounds(ctx, func(round int) (task, task) {
		if round == exactRound {
			return s.dive, s.exactly
		}
		return s.dive, s.dive
	})
}

// exactRound is when the exact search is tried: after two dives, which mostly settle it.
const exactRound = 1

// outcome is what a task came to. Patterns are a packing, or nil; a bound of 0 says nothing.
type outcome struct {
	packing []pattern
	bound   int
	used    int64
}

// task is a step of the search that reads it only, so that two can run beside each other. Its random choices come from the number.
type task func(ctx context.Context, work int64, number uint64) (outcome, error)

// rounds does two tasks at a time until the work is spent or nothing is open.
func (s *search) rounds(ctx context.Context, choose func(round int) (task, task)) error {
	for round := 0; !s.done() && ctx.Err() == nil && s.spent < s.o.Work; round++ {
		first, second := choose(round)
		var out [2]outcome
		var errs [2]error
		var wait sync.WaitGroup
		for i, t := range []task{first, second} {
			s.tasks++
			number := s.tasks
			wait.Go(func() { out[i], errs[i] = t(ctx, s.o.Work-s.spent, number) })
		}
		wait.Wait()
		for i := range out {
			if errs[i] != nil && !errors.Is(errs[i], errStopped) {
				return errs[i]
			}
			s.consider(out[i].packing)
			s.bound = max(s.bound, out[i].bound)
		}
		s.spent += max(out[0].used, out[1].used, 1)
	}
	return nil
}

// root solves the covering program and takes its bound. It ends early once the bound is as high as the program's value lets it get.
func (s *search) root(ctx context.Context) error {
	pr, err := newProgram(ctx, s.rt, s.p, (s.o.Work-s.spent)/2)
	if err != nil {
		return stopped(ctx, err)
	}
	defer pr.close()
	if _, err := pr.add(s.pool); err != nil {
		return stopped(ctx, err)
	}
	before := pr.work
	bound, err := pr.generate(ctx, generation{rounds: maxRounds, looks: rootLooks, batch: rootBatch, done: func(objective float64, bound int) bool {
		return bound >= int(math.Ceil(objective-tolerance)) || bound >= len(s.best)
	}})
	s.bound = max(s.bound, bound)
	s.spent += before - pr.work
	if err != nil && !errors.Is(err, errStopped) {
		return err
	}
	s.cols = pr.cols
	s.basis, err = pr.solver.Basis()
	return stopped(ctx, err)
}

const (
	// maxRounds bounds column generation where nothing else does.
	maxRounds = 10_000
	rootBatch = 100
)

// resume opens the covering program as the root left it.
func (s *search) resume(ctx context.Context, work int64) (*program, error) {
	pr, err := newProgram(ctx, s.rt, s.p, work)
	if err != nil {
		return nil, stopped(ctx, err)
	}
	if err := pr.warm(s.cols, s.basis); err != nil {
		pr.close()
		return nil, stopped(ctx, err)
	}
	return pr, nil
}

// dive is the task of diving from the root's solution for one bin less.
func (s *search) dive(ctx context.Context, work int64, number uint64) (outcome, error) {
	pr, err := s.resume(ctx, work)
	if err != nil {
		return outcome{}, err
	}
	defer pr.close()
	d := &dive{pr: pr, rng: s.random(number), most: len(s.best) - 1, retries: diveRetries, blur: 0.3}
	if number == s.first {
		d.blur = 0
	}
	packing, err := d.run(ctx)
	return outcome{packing: packing, used: work - pr.work}, err
}

// diveRetries is how often a dive goes back to a choice.
const diveRetries = 20
