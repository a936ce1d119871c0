package binpack

import (
	"cmp"
	"context"
	"math"
	"math/rand/v2"
	"slices"
)

// dive packs what is needed by taking patterns of the program's solution one after the other, with column generation after each
// (Sadykov et al. 2019). Where the program proves that the packing would get too large it goes back to its last choice, a limited number of times.
type dive struct {
	pr      *program
	rng     *rand.Rand
	blur    float64 // how far chance moves a pattern's share
	most    int     // bins allowed
	retries int     // left
	taken   []pattern
}

// diveGeneration is the effort of column generation in a dive.
var diveLooks = []int64{200, 3000}

const (
	diveRounds = 8
	diveBatch  = 60
	// tolerance is within what a sum of the solver's values counts as whole.
	tolerance = 1e-6
	// surely is the share from which a pattern is as good as taken.
	surely = 0.99
)

// run dives for a packing of at most so many bins. nil: none was found.
func (d *dive) run(ctx context.Context) ([]pattern, error) {
	ok, err := d.step(ctx, slices.Clone(d.pr.p.count), nil)
	if err != nil || !ok {
		return nil, err
	}
	return d.taken, nil
}

// step packs what is needed into the bins that are left.
func (d *dive) step(ctx context.Context, need []int32, tabu []pattern) (bool, error) {
	for {
		if !slices.ContainsFunc(need, func(n int32) bool { return n > 0 }) {
			return len(d.taken) <= d.most, nil
		}
		if err := d.pr.demand(need); err != nil {
			return false, stopped(ctx, err)
		}
		left := float64(d.most - len(d.taken))
		last := math.Inf(1)
		_, err := d.pr.generate(ctx, generation{rounds: diveRounds, looks: diveLooks, batch: diveBatch, done: func(objective float64, _ int) bool {
			stalled := objective <= left+tolerance && last-objective < 0.01
			last = objective
			return stalled
		}})
		if err != nil {
			return false, err
		}
		if d.pr.last.Objective > left+tolerance {
			return false, nil
		}
		pick := d.pick(need, tabu)
		if len(pick) == 0 {
			return false, nil
		}
		mark := len(d.taken)
		rest := slices.Clone(need)
		for _, pt := range pick {
			d.taken = append(d.taken, pt)
			for _, c := range pt {
				rest[c]--
			}
		}
		ok, err := d.step(ctx, rest, nil)
		if ok || err != nil {
			return ok, err
		}
		d.taken = d.taken[:mark]
		if d.retries--; d.retries < 0 {
			return false, nil
		}
		tabu = append(tabu, pick...)
	}
}

// pick chooses the patterns to take: all that are taken nearly whole, or else the one with the largest share, and a few more while many are left.
func (d *dive) pick(need []int32, tabu []pattern) []pattern {
	type share struct {
		x, key float64
		pt     pattern
	}
	var list []share
	for j, x := range d.pr.last.ColValue {
		if x < 1e-4 || j >= len(d.pr.cols) {
			continue
		}
		pt := d.pr.cols[j].trim(need)
		if len(pt) == 0 || d.pr.p.signed && !d.pr.p.holds(pt) || slices.ContainsFunc(tabu, func(t pattern) bool { return slices.Equal(t, pt) }) {
			continue
		}
		list = append(list, share{x: x, key: x + d.blur*d.rng.Float64(), pt: pt})
	}
	slices.SortStableFunc(list, func(a, b share) int { return cmp.Compare(b.key, a.key) })
	few, least := 1+len(list)/20, 0.5
	if total(need) > manyLeft { // programs are slow then: go ahead in large steps
		few, least = 1+(d.most-len(d.taken))/4, 0.2
	}
	left := slices.Clone(need)
	var out []pattern
	for _, s := range list {
		sure := s.x >= surely && len(tabu) == 0
		if !sure && (len(out) >= few || len(out) > 0 && s.x < least) {
			continue
		}
		if !within(s.pt, left) {
			continue
		}
		for _, c := range s.pt {
			left[c]--
		}
		out = append(out, s.pt)
	}
	return out
}

// within says whether all of a pattern is still needed.
func within(pt pattern, need []int32) bool { return len(pt.trim(need)) == len(pt) }

// manyLeft is from how many items on a dive takes many patterns at once.
const manyLeft = 260

func total(need []int32) int {
	sum := 0
	for _, n := range need {
		sum += int(n)
	}
	return sum
}
