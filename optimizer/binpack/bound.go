package binpack

import (
	"math/bits"
	"slices"
)

// simpleBound is the best of the bounds that need no program: by volume and dual feasible functions in each dimension, and by items
// of which no two fit together.
func (p *problem) simpleBound() int {
	if len(p.size) == 0 {
		return 0
	}
	best := 1
	if !p.signed {
		best = p.cliqueBound()
	}
	for k := range p.room {
		if p.room[k] > 0 {
			best = max(best, p.dimensionBound(k))
		}
	}
	return best
}

// dimensionBound is the volume of the sizes in one dimension, and their volume under the function that counts a size above cap − t as a
// whole bin and one below t as nothing (Martello and Toth 1990), for every t ≤ cap/2.
func (p *problem) dimensionBound(k int) int {
	sizes := make([]int64, 0, p.total)
	for c := range p.size {
		for range p.count[c] {
			sizes = append(sizes, p.size[c][k])
		}
	}
	slices.Sort(sizes)
	room := p.room[k]
	sum := make([]int64, len(sizes)+1)
	for i, s := range sizes {
		sum[i+1] = sum[i] + s
	}
	best := (sum[len(sizes)] + room - 1) / room
	last := int64(-1)
	for _, t := range append([]int64{0}, sizes...) {
		if t > room/2 || t == last || p.signed { // what lends room lends it to any size
			continue
		}
		last = t
		from, _ := slices.BinarySearch(sizes, t)
		to, _ := slices.BinarySearch(sizes, room-t+1) // above room − t: a whole bin
		volume := sum[max(to, from)] - sum[from]
		best = max(best, (volume+room-1)/room+int64(len(sizes)-max(to, from)))
	}
	return int(best)
}

// cliqueBound grows sets of copies of which no two fit together, one from each class, and gives the largest size.
func (p *problem) cliqueBound() int {
	n := len(p.size)
	words := (n + 63) / 64
	apart := make([]uint64, n*words) // by class: the classes with which it does not fit
	degree := make([]int, n)
	for i := range n {
		for j := range i {
			if !p.fitTogether(i, j) {
				apart[i*words+j/64] |= 1 << (j % 64)
				apart[j*words+i/64] |= 1 << (i % 64)
				degree[i]++
				degree[j]++
			}
		}
	}
	best := 0
	left := make([]uint64, words)
	for first := range n {
		copy(left, apart[first*words:(first+1)*words])
		size := p.cliqueCopies(first)
		for {
			next, most := -1, -1
			for w, set := range left {
				for ; set != 0; set &= set - 1 {
					if c := w*64 + bits.TrailingZeros64(set); degree[c] > most {
						next, most = c, degree[c]
					}
				}
			}
			if next < 0 {
				break
			}
			size += p.cliqueCopies(next)
			for w := range left {
				left[w] &= apart[next*words+w]
			}
		}
		best = max(best, size)
	}
	return best
}

// cliqueCopies is how many bins a class's copies need by themselves where no two fit together, else 1.
func (p *problem) cliqueCopies(c int) int {
	if p.fitTogether(c, c) {
		return 1
	}
	return int(p.count[c])
}
