package bench

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"strconv"

	"purser"
	"purser/optimizer/highs"
	"purser/simulator"
)

// workClass is jobs that are alike to every machine, and to one another.
type workClass struct {
	program string
	need    simulator.Amount
	example simulator.Job
	hours   float64 // of work at full speed, of all of them together
}

// mixture is a machine of an offer and the jobs that share it, by class.
type mixture struct {
	offer   int
	classes []int
}

// workBound is what the work of a world costs at least, however it is scheduled, when
// machines cost nothing while they boot or stand empty and moves take no time.
//
// At each moment each machine holds some mixture p of jobs, which costs its price c_p
// an hour and does R_kp hours of class k's work in an hour, slowed as it is. So the
// hours x_p of all mixtures satisfy
//
//	min Σ c_p·x_p   with   Σ_p R_kp·x_p ≥ W_k  for every class k
//
// and any prices π ≥ 0 of work with Σ_k π_k·R_kp ≤ c_p for every mixture give the
// bound Σ_k π_k·W_k. The program is solved by column generation; a search over all
// mixtures of an offer finds the one that π makes worth most beside its price, and π
// is divided by that worth, so the bound holds at any time.
func workBound(ctx context.Context, rt *highs.Runtime, w simulator.World) (float64, error) {
	classes := classesOf(w)
	solver, err := rt.NewSolver(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { _ = solver.Close() }()
	var rows highs.Rows
	for _, k := range classes {
		rows.Append(k.hours, math.Inf(1), nil, nil)
	}
	if err := errors.Join(solver.SetPresolve(false), solver.AddRows(rows)); err != nil {
		return 0, err
	}
	m := newMixer(w, classes)
	var start []mixture
	for k := range classes {
		for o := range w.Offers {
			if m.runs[k][o] {
				start = append(start, mixture{o, []int{k}})
			}
		}
	}
	if err := solver.AddCols(m.columns(start)); err != nil {
		return 0, err
	}
	best := 0.0
	const rounds, enough = 300, 1e-3
	for range rounds {
		res, err := solver.Run(ctx, highs.Limits{})
		if err != nil {
			return best, err
		}
		if res.Status != highs.StatusOptimal {
			return best, purser.Errorf(purser.KindInternal, "bench", "the bound's program ended as %v", res.Status)
		}
		price := slices.Clone(res.RowDual)
		bound := 0.0
		for k := range price {
			price[k] = max(0, price[k])
			bound += price[k] * classes[k].hours
		}
		found, worth := m.best(price)
		best = max(best, bound/worth)
		if worth <= 1+enough {
			break
		}
		if err := solver.AddCols(m.columns(found)); err != nil {
			return best, err
		}
	}
	return best, nil
}

// mostClasses is how many kinds of work the bound counts: those that cost most alone.
// What it leaves out would make it higher.
const mostClasses = 28

// classesOf sorts the work of a world.
func classesOf(w simulator.World) []workClass {
	var out []workClass
	at := map[string]int{}
	for _, j := range w.Jobs {
		key := j.Program
		for _, n := range j.Amount() {
			key += " " + strconv.FormatInt(n, 10)
		}
		k, ok := at[key]
		if !ok {
			k = len(out)
			at[key] = k
			out = append(out, workClass{program: j.Program, need: j.Amount(), example: j})
		}
		out[k].hours += j.Work.Hours()
	}
	out = slices.DeleteFunc(out, func(k workClass) bool { return k.hours == 0 })
	alone := func(k workClass) float64 {
		return k.hours * w.Offers[(simulator.State{Offers: w.Offers}).Cheapest(simulator.Live{Needs: k.example.Needs})].UnitPrice.USD()
	}
	slices.SortStableFunc(out, func(a, b workClass) int { return cmp.Compare(alone(b), alone(a)) })
	return out[:min(len(out), mostClasses)]
}

// mixer searches mixtures.
type mixer struct {
	w       simulator.World
	classes []workClass
	runs    [][]bool    // of classes and offers
	slow    [][]float64 // of classes
}

func newMixer(w simulator.World, classes []workClass) *mixer {
	m := &mixer{w: w, classes: classes}
	for _, k := range classes {
		var runs []bool
		for _, o := range w.Offers {
			runs = append(runs, simulator.CanRun(k.example.Needs, o))
		}
		var slow []float64
		for _, other := range classes {
			s := 1.0
			if w.Slow != nil {
				s = w.Slow(k.program, other.program)
			}
			slow = append(slow, s)
		}
		m.runs, m.slow = append(m.runs, runs), append(m.slow, slow)
	}
	return m
}

// columns are mixtures as columns of the program.
func (m *mixer) columns(list []mixture) highs.Columns {
	var out highs.Columns
	for _, x := range list {
		var rows []int32
		var values []float64
		for at, k := range x.classes {
			rate := 1.0
			for other, l := range x.classes {
				if other != at {
					rate *= m.slow[k][l]
				}
			}
			if n := len(rows); n > 0 && rows[n-1] == int32(k) { //nolint:gosec // a few classes
				values[n-1] += rate
				continue
			}
			rows, values = append(rows, int32(k)), append(values, rate) //nolint:gosec // a few classes
		}
		out.Append(m.w.Offers[x.offer].UnitPrice.USD(), 0, math.Inf(1), rows, values)
	}
	return out
}

// best gives, for each offer and class, the mixture begun by the class that is worth
// most by prices of work, where it is worth more than it costs, and the highest worth
// by cost of all mixtures.
func (m *mixer) best(price []float64) (found []mixture, worth float64) {
	for o := range m.w.Offers {
		s := mixing{m: m, offer: o, price: price, room: m.w.Offers[o].Room(), floor: m.w.Offers[o].UnitPrice.USD()}
		for k := range m.classes {
			if m.runs[k][o] && price[k] > 0 {
				s.list = append(s.list, k)
			}
		}
		least := s.floor
		s.most = least
		for at, k := range s.list {
			s.most = min(s.most, least*(1+tiny)) // each class gets a column of its own
			s.chosen = nil
			s.with(at, k, nil, simulator.Amount{})
			if s.chosen != nil {
				found = append(found, mixture{o, s.chosen})
				worth = max(worth, s.most/s.floor)
			}
		}
	}
	return found, max(worth, 1+tiny)
}

// tiny is what a mixture may be worth above its price without being found.
const tiny = 1e-6

// mixing is the search on one offer.
type mixing struct {
	m      *mixer
	offer  int
	price  []float64
	room   simulator.Amount
	floor  float64 // the offer's price
	list   []int   // classes that can be there
	most   float64
	chosen []int
}

// with tries a class beside those that are there, and all that may follow it.
func (s *mixing) with(at, k int, there []int, used simulator.Amount) {
	used = used.Plus(s.m.classes[k].need)
	if !used.Fits(s.room) {
		return
	}
	there = append(slices.Clone(there), k)
	value := 0.0
	for i, a := range there {
		rate := 1.0
		for j, b := range there {
			if i != j {
				rate *= s.m.slow[a][b]
			}
		}
		value += s.price[a] * rate
	}
	if value > s.most {
		s.most, s.chosen = value, there
	}
	free := s.room.Minus(used)
	if value+s.above(at, there, free) <= s.most {
		return
	}
	for n := at; n < len(s.list); n++ {
		s.with(n, s.list[n], there, used)
	}
}

// above is what jobs that are added cannot be worth more than: each at the rate that
// those already there leave it, filling the free room of one resource at the best
// worth for it.
func (s *mixing) above(at int, there []int, free simulator.Amount) float64 {
	least := math.Inf(1)
	var density [3]float64
	open := [3]bool{true, true, true}
	for _, k := range s.list[at:] {
		need := s.m.classes[k].need
		if !need.Fits(free) {
			continue
		}
		rate := 1.0
		for _, b := range there {
			rate *= s.m.slow[k][b]
		}
		for r := range need {
			if need[r] == 0 {
				open[r] = false
				continue
			}
			density[r] = max(density[r], s.price[k]*rate/float64(need[r]))
		}
	}
	for r := range density {
		if open[r] {
			least = min(least, density[r]*float64(free[r]))
		}
	}
	return least
}
