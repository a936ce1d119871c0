package policy

import "math"

// Interference learns, from the speeds that are seen, how much jobs slow one another
// on a shared machine. The share of its speed that a job of kind i keeps is taken to
// be the product over the other jobs j beside it,
//
//	r_i = Π_j f(i, j),  so  ln r_i = Σ_j ln f(i, j)
//
// A job that was seen beside jobs of one kind alone gives f of that pair exactly.
// From others, what is seen more or less than expected is spread evenly over the
// pairs that are not exactly known (a Kaczmarz step), so that repeated sights in
// other company pin each pair down. Pairs never seen have the share given at first.
//
// The zero value knows nothing and cannot be used; see NewInterference.
type Interference struct {
	unseen float64
	pairs  map[[2]string]pair
}

type pair struct {
	log   float64 // ln f
	exact bool
}

// NewInterference begins with a share that is expected of every pair, above 0 and at
// most 1.
func NewInterference(unseen float64) *Interference {
	return &Interference{unseen: math.Log(unseen), pairs: map[[2]string]pair{}}
}

// Share is the share of its speed that a job of a kind keeps beside one of another.
func (f *Interference) Share(kind, other string) float64 {
	return math.Exp(f.log(kind, other))
}

func (f *Interference) log(kind, other string) float64 {
	if p, ok := f.pairs[[2]string{kind, other}]; ok {
		return p.log
	}
	return f.unseen
}

// Learn takes in that a job of a kind kept a share of its speed beside others. It
// says whether anything is known better than before. A share that is not above 0
// teaches nothing; one above 1 is taken for 1.
func (f *Interference) Learn(kind string, others []string, share float64) bool {
	if !(share > 0) || len(others) == 0 {
		return false
	}
	const rounding = 1e-9
	rest := math.Log(min(share, 1))
	open := 0 // of others, each counted as often as it is there
	single := ""
	one := true
	for _, o := range others {
		p, ok := f.pairs[[2]string{kind, o}]
		if ok && p.exact {
			rest -= p.log
			continue
		}
		if open > 0 && o != single {
			one = false
		}
		open++
		single = o
	}
	if open == 0 {
		return false
	}
	if one {
		f.pairs[[2]string{kind, single}] = pair{log: min(0, rest/float64(open)), exact: true}
		return true
	}
	for _, o := range others {
		if p := f.pairs[[2]string{kind, o}]; !p.exact {
			rest -= f.log(kind, o)
		}
	}
	if math.Abs(rest) < rounding {
		return false
	}
	// A pair that is there twice takes twice the step and weighs twice: Σ n² of them.
	times := map[string]float64{}
	for _, o := range others {
		if !f.pairs[[2]string{kind, o}].exact {
			times[o]++
		}
	}
	weight := 0.0
	for _, o := range others {
		weight += times[o] // n for each of the n
	}
	done := map[string]bool{}
	for _, o := range others {
		if times[o] > 0 && !done[o] {
			done[o] = true
			f.pairs[[2]string{kind, o}] = pair{log: min(0, f.log(kind, o)+rest*times[o]/weight)}
		}
	}
	return true
}
