package optimizer

import (
	"math"
	"slices"
)

// lossRows are the rows of (3) for one service in the exact program, in units of the rate of its fastest variant. Each gives the
// coefficients that a replica without a place has in them.
type lossRows struct {
	*exactProgram
	cl       *class
	vars     []countVar
	entries  []map[int32]float64 // by count
	fastest  float64
	standing float64           // rate
	in       map[int32]float64 // of it, by domain
}

// lossable are the domains that can be lost with something in them.
func (l *lossRows) lossable() []int32 {
	var out []int32
	for _, v := range l.vars {
		out = append(out, v.domain)
	}
	for d := range l.in {
		out = append(out, d)
	}
	slices.Sort(out)
	return slices.DeleteFunc(slices.Compact(out), func(d int32) bool { return d <= safe })
}

// one has a row for each domain: what lies outside it.
func (l *lossRows) one() []entryOf {
	var misses []entryOf
	for _, d := range l.lossable() {
		at := l.row((l.cl.need.keep*(1-rateSlack)-l.standing+l.in[d])/l.fastest, math.Inf(1))
		for i, v := range l.vars {
			if v.domain != d {
				l.entries[i][at] = l.cl.variants[v.variant].rate / l.fastest
			}
		}
		misses = append(misses, entryOf{at, 1})
	}
	return misses
}

// several is for the loss of k domains at once: what the k heaviest hold is the least of k·m + Σ max(0, rate − m) over all m, so
//
//	Σ rate − k·m − Σ t ≥ keep,  t_d + m ≥ rate_d,  m, t ≥ 0
func (l *lossRows) several() []entryOf {
	left := l.row((l.cl.need.keep*(1-rateSlack)-l.standing)/l.fastest, math.Inf(1))
	m := []entryOf{{left, -float64(l.cl.need.failures)}}
	for i, v := range l.vars {
		l.entries[i][left] = l.cl.variants[v.variant].rate / l.fastest
	}
	for _, d := range l.lossable() {
		at := l.row(l.in[d]/l.fastest, math.Inf(1))
		for i, v := range l.vars {
			if v.domain == d {
				l.entries[i][at] = -l.cl.variants[v.variant].rate / l.fastest
			}
		}
		m = append(m, entryOf{at, 1})
		l.parts = append(l.parts, []entryOf{{left, -1}, {at, 1}})
	}
	l.parts = append(l.parts, m)
	return []entryOf{{left, 1}}
}

// machines has a switch y for each kind, of which one is on: the copies of the kind are as many as it asks for.
func (l *lossRows) machines() []entryOf {
	on := l.row(1, math.Inf(1))
	var misses []entryOf
	for q, k := range l.cl.kinds {
		ask := l.cl.need.keep*(1-rateSlack) + float64(l.cl.need.failures)*k.hi - cappedSum(l.cl.standing, k.hi)
		at := l.row(0, math.Inf(1))
		for i, v := range l.vars {
			if l.cl.variants[v.variant].kind == q+1 {
				l.entries[i][at] = l.cl.worthOf(v.variant) / l.fastest
			}
		}
		l.switches = append(l.switches, []entryOf{{on, 1}, {at, -math.Max(0, ask) / l.fastest}})
		misses = append(misses, entryOf{at, 1})
	}
	return misses
}
