package optimizer

import "math"

// multipliers are prices per unit of each dimension at which Σ price·room + Σ most·max(0, value − price·size) is least: the duals of the
// linear relaxation. Any prices ≥ 0 give a valid bound; these are as good as prices alone can be.
func (k *knapsack) multipliers() amounts {
	s := newSackProgram(k)
	for range sackPivots {
		if !s.pivot() {
			break
		}
	}
	var prices amounts
	for d, y := range s.prices() {
		if k.room[d] > 0 && y > 0 {
			prices[d] = int64(y / float64(k.room[d]))
		}
	}
	return prices
}

// sackPivots bounds the steps of the simplex method.
const sackPivots = 60

// sackProgram is the linear relaxation of a knapsack, max Σ value·x with Σ size·x ≤ 1 in each dimension (in parts of the room) and x ≤ most,
// and where the primal simplex method with bounds stands on it. No product is fused with a sum, so that every machine computes the same.
type sackProgram struct {
	n       int
	value   []float64
	size    [][dims]float64
	most    []float64
	atMost  []bool
	basis   [dims]int // items, and n + d for what is free of a dimension
	in      []bool    // in the basis
	x       [dims]float64
	inverse [dims][dims]float64
}

func newSackProgram(k *knapsack) *sackProgram {
	n := len(k.items)
	s := &sackProgram{
		n: n, value: make([]float64, n), size: make([][dims]float64, n), most: make([]float64, n), atMost: make([]bool, n), in: make([]bool, n+dims),
	}
	for i := range k.items {
		it := &k.items[i]
		s.value[i], s.most[i] = float64(it.value), float64(it.most)
		for d, x := range it.size {
			if k.room[d] > 0 {
				s.size[i][d] = float64(x) / float64(k.room[d])
			}
		}
	}
	for d := range dims {
		s.basis[d], s.in[n+d], s.x[d], s.inverse[d][d] = n+d, true, 1, 1
	}
	return s
}

// worth is the objective's coefficient, bound the most, and row d's coefficient at, of an item or of what is free.
func (s *sackProgram) worth(j int) float64 {
	if j < s.n {
		return s.value[j]
	}
	return 0
}

func (s *sackProgram) bound(j int) float64 {
	if j < s.n {
		return s.most[j]
	}
	return math.Inf(1)
}

func (s *sackProgram) at(j, d int) float64 {
	switch {
	case j < s.n:
		return s.size[j][d]
	case j-s.n == d:
		return 1
	}
	return 0
}

// prices are those of the dimensions, in value for the whole room.
func (s *sackProgram) prices() [dims]float64 {
	var y [dims]float64
	for r, j := range s.basis {
		c := s.worth(j)
		for d := range dims {
			y[d] += float64(c * s.inverse[r][d])
		}
	}
	return y
}

// gain is what one more of a nonbasic variable earns at the prices.
func (s *sackProgram) gain(j int, y *[dims]float64) float64 {
	g := s.worth(j)
	for d := range dims {
		g -= float64(y[d] * s.at(j, d))
	}
	return g
}

// pivot makes one step: the variable that earns most at the prices enters. It is false at the optimum.
func (s *sackProgram) pivot() bool {
	y := s.prices()
	enter, best := -1, 0.0
	for j := range s.n + dims {
		if s.in[j] {
			continue
		}
		g := s.gain(j, &y)
		if j < s.n && s.atMost[j] {
			g = -g
		}
		if g > best && g > 1e-9*s.worth(j) {
			enter, best = j, g
		}
	}
	if enter < 0 {
		return false
	}
	sign := 1.0
	if enter < s.n && s.atMost[enter] {
		sign = -1
	}
	var w [dims]float64 // how the basis falls with each unit
	for r := range dims {
		for d := range dims {
			w[r] += float64(s.inverse[r][d] * s.at(enter, d))
		}
		w[r] *= sign
	}
	step, leave, full := s.bound(enter), -1, false
	for r, j := range s.basis {
		switch {
		case w[r] > 1e-12:
			if t := s.x[r] / w[r]; t < step {
				step, leave, full = t, r, false
			}
		case w[r] < -1e-12 && !math.IsInf(s.bound(j), 1):
			if t := (s.bound(j) - s.x[r]) / -w[r]; t < step {
				step, leave, full = t, r, true
			}
		}
	}
	if math.IsInf(step, 1) {
		return false // cannot be: every item takes room
	}
	step = math.Max(step, 0)
	for r := range dims {
		s.x[r] -= float64(step * w[r])
	}
	if leave < 0 {
		s.atMost[enter] = !s.atMost[enter]
		return true
	}
	s.exchange(enter, leave, full, sign, step, &w)
	return true
}

// exchange puts a variable into the basis for another, which stays at its bound.
func (s *sackProgram) exchange(enter, leave int, full bool, sign, step float64, w *[dims]float64) {
	out := s.basis[leave]
	s.in[out], s.in[enter] = false, true
	if out < s.n {
		s.atMost[out] = full
	}
	s.basis[leave], s.x[leave] = enter, step
	if sign < 0 {
		s.x[leave] = s.bound(enter) - step
		s.atMost[enter] = false
	}
	turn := sign * w[leave]
	for d := range dims {
		s.inverse[leave][d] /= turn
	}
	for r := range dims {
		if f := sign * w[r]; r != leave && f != 0 {
			for d := range dims {
				s.inverse[r][d] -= float64(f * s.inverse[leave][d])
			}
		}
	}
}
