package optimizer

import (
	"context"
	"errors"
	"math"
)

// hostRounds bounds the rounds after rows of hosts were added: they are there for better plans, not for the bound.
const hostRounds = 30

// heuristicNodes bounds a knapsack that has to find good patterns, not to prove them.
const heuristicNodes = 2000

// Once the value has fallen by less than slowFall of itself for slowRounds rounds, more knapsack nodes do more than more rounds.
const (
	slowFall   = 1e-6
	slowRounds = 3
)

// hastyFall is slowFall where the bound is made elsewhere.
const hastyFall = 2e-5

// generation is what column generation is asked for.
type generation struct {
	rounds  int
	workers int
	nodes   []int64 // node limits of the knapsacks, used in turn once nothing is found with the one before
	raise   int64   // limit of those that are cut off again and again; 0: the next of nodes
	hasty   bool    // stop when the value hardly falls any more, whatever the bound is
	target  float64 // stop when the bound is within this share of the program's value
	ceiling int64   // stop when the bound has reached this; 0: never
	onRound func(round int)
}

// generate solves the program by column generation: it prices patterns until none earns anything, and keeps the best bound. errStopped
// says that time ran out; the bound and the columns so far stand.
func (r *relaxed) generate(ctx context.Context, g generation) error {
	level, last := 0, g.rounds
	// As long as the value falls fast, where the solution lies means little.
	patient, before := true, math.Inf(1)
	slow := 0
	for round := 0; round < last; round++ {
		settled, err := r.settle(ctx, patient)
		if err != nil {
			return err
		}
		d := r.prices()
		ask := r.order(d, g.nodes[level], g.workers)
		ask.raise = max(g.raise, g.nodes[min(level+1, len(g.nodes)-1)])
		results, err := ask.price(ctx)
		if err != nil {
			return errStopped
		}
		configs, worth, err := r.priceConfigs(ctx, d, g.workers)
		if err != nil {
			return err
		}
		if b, ok := r.bound(d, results, worth); ok {
			r.latest = b
			if !r.proof || b > r.best {
				r.best, r.proof = b, true
			}
		}
		if g.ceiling > 0 && r.proof && r.best >= g.ceiling {
			return nil
		}
		value := r.last.Objective*r.unit + float64(r.offset())
		if g.onRound != nil {
			g.onRound(round)
		}
		added, err := r.add(r.columnsOf(d, results))
		if err != nil {
			return err
		}
		if settled && r.proof && value-float64(r.latest) <= g.target*value {
			hosts, err := r.addHosts()
			if err != nil || hosts == 0 {
				return err
			}
			level, last = 0, min(last, round+hostRounds)
			continue
		}
		wait := !settled
		patient = value < before-0.02*math.Abs(before)
		fall := slowFall
		if g.hasty {
			fall = hastyFall
		}
		if slow++; value < before-fall*math.Abs(before) {
			slow = 0
		}
		before = value
		if g.hasty && settled && slow >= slowRounds {
			return nil
		}
		if added+configs > 0 && (slow < slowRounds || level == len(g.nodes)-1) || wait {
			continue
		}
		slow = 0
		if level++; level < len(g.nodes) {
			continue
		}
		hosts, err := r.addHosts()
		if err != nil || hosts == 0 {
			return err
		}
		level, last = 0, min(last, round+hostRounds)
	}
	return nil
}

// offset is what the program's value lacks of the plan's cost.
func (r *relaxed) offset() int64 {
	if r.count {
		return 0
	}
	return r.p.constant()
}

// settleRuns bounds how often domains are opened before patterns are priced again: many of them only lack patterns elsewhere.
const settleRuns = 2

// settle solves the program, opening domains while the solution does not survive the loss of one, a few times at the most; where
// patience is asked for, it only solves. It says whether the solution survives.
func (r *relaxed) settle(ctx context.Context, patient bool) (bool, error) {
	for n := 0; ; n++ {
		if err := r.run(ctx); err != nil || patient {
			return false, err
		}
		if n == settleRuns {
			return false, nil
		}
		broken, err := r.separate()
		if err != nil || broken == 0 {
			return err == nil, err
		}
	}
}

// order asks for patterns under the row prices d.
func (r *relaxed) order(d *duals, nodes int64, workers int) *order {
	return &order{
		m:       r.m,
		rents:   &rents{p: r.p, d: d, priced: !r.count},
		most:    func(it int32, _ domainIDs) int64 { return r.mostOf(it) },
		nodes:   nodes,
		workers: workers,
		memo:    r.memo,
	}
}

// mostOf is how many copies of an item on one machine are of use.
func (r *relaxed) mostOf(it int32) int64 {
	most := r.p.variantOf(it).most
	if r.on != nil {
		most = min(most, r.needs[r.p.items[it].class])
	}
	return most
}

func (p *Problem) variantOf(it int32) *variant {
	return &p.classes[p.items[it].class].variants[p.items[it].variant]
}

// sitesPerPattern is on how many sites a new pattern is offered while the cheapest ones are limited.
const sitesPerPattern = 4

// columnsOf puts the patterns found on the cheapest sites of their bucket.
func (ms *master) columnsOf(d *duals, results []priced) []column {
	var out []column
	rents := &rents{p: ms.p, d: d, priced: !ms.free}
	for i := range results {
		for _, sp := range results[i].patterns {
			lines := results[i].bucket.lines
			for range sitesPerPattern {
				s, _ := rents.cheapest(lines, sp.span)
				if s < 0 {
					break
				}
				out = append(out, ms.p.newColumn(ms.p.groupOf[s], s, append(pattern(nil), sp.counts...)))
				if st := &ms.p.sites[s]; st.limit < 0 && len(st.quotas) == 0 {
					break
				}
				lines = without(lines, s)
			}
		}
	}
	return out
}

func without(lines []rentLine, s int32) []rentLine {
	out := make([]rentLine, 0, len(lines))
	for _, l := range lines {
		if l.site != s {
			out = append(out, l)
		}
	}
	return out
}

// seed adds columns that give every class a place: for each the four cheapest machines full of its own replicas; and further ones.
func (r *relaxed) seed(more ...[]column) error {
	var cols []column
	for c := range r.p.classes {
		if r.missOf[c] < 0 {
			continue
		}
		cols = append(cols, r.p.singleColumns(c, 4, r.mostOf)...)
	}
	for _, m := range more {
		cols = append(cols, m...)
	}
	_, err := r.add(cols)
	return err
}

func joinClose(err error, ms *master) error { return errors.Join(err, ms.close()) }
