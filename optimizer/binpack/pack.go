package binpack

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
)

// bin is an open bin of a packing in the making.
type bin struct {
	room []int64
	in   []int32 // classes, one entry a copy
}

func (p *problem) newBin() bin { return bin{room: slices.Clone(p.room)} }

func (b *bin) add(p *problem, c int32) {
	for k, s := range p.size[c] {
		b.room[k] -= s
	}
	b.in = append(b.in, c)
}

// remove takes out the copy at a place.
func (b *bin) remove(p *problem, at int) int32 {
	c := b.in[at]
	for k, s := range p.size[c] {
		b.room[k] += s
	}
	b.in = slices.Delete(b.in, at, at+1)
	return c
}

func patternsOf(bins []bin) []pattern {
	out := make([]pattern, 0, len(bins))
	for i := range bins {
		pt := pattern(slices.Clone(bins[i].in))
		sortPattern(pt)
		out = append(out, pt)
	}
	return out
}

// copies lists every copy's class.
func (p *problem) copies(need []int32) []int32 {
	var out []int32
	for c, n := range need {
		out = append(out, slices.Repeat([]int32{int32(c)}, int(n))...)
	}
	return out
}

// weights of dimensions that the heuristics try: even, by the share of all bins' room that is asked for, and its powers.
func (p *problem) dimensionWeights(need []int32) [][]float64 {
	load := make([]float64, p.dims)
	for c, n := range need {
		for k := range load {
			load[k] += float64(n) * p.relative(int32(c), k)
		}
	}
	top := slices.Max(load)
	var out [][]float64
	for _, power := range []float64{1, 0, 3, 8} {
		w := make([]float64, p.dims)
		for k := range w {
			w[k] = math.Pow((load[k]+1e-9)/(top+1e-9), power)
		}
		out = append(out, w)
	}
	return out
}

// measure is the size of a class as one number.
type measure func(p *problem, w []float64, c int32) float64

func sumMeasure(p *problem, w []float64, c int32) float64 {
	sum := 0.0
	for k := range w {
		sum += float64(w[k] * p.relative(c, k))
	}
	return sum
}

func squareMeasure(p *problem, w []float64, c int32) float64 {
	sum := 0.0
	for k := range w {
		r := p.relative(c, k)
		sum += float64(w[k] * float64(r*r))
	}
	return sum
}

func largestMeasure(p *problem, w []float64, c int32) float64 {
	most := 0.0
	for k := range w {
		most = max(most, float64(w[k]*p.relative(c, k)))
	}
	return most
}

// decreasing orders copies by a measure, the largest first; rng, where there is one, blurs it.
func (p *problem) decreasing(need []int32, w []float64, m measure, rng *rand.Rand) []int32 {
	key := make([]float64, len(need))
	for c := range need {
		key[c] = m(p, w, int32(c))
		if rng != nil {
			key[c] *= 0.85 + 0.3*rng.Float64()
		}
	}
	list := p.copies(need)
	slices.SortStableFunc(list, func(a, b int32) int { return cmp.Compare(key[b], key[a]) })
	return list
}

// itemCentric packs one item after the other: into the first bin in which it fits, or the one that it leaves the least room in (Panigrahy et al. 2011).
func (p *problem) itemCentric(list []int32, w []float64, best bool) []bin {
	var bins []bin
	for _, c := range list {
		at, least := -1, math.Inf(1)
		for b := range bins {
			if !fits(p.size[c], bins[b].room) {
				continue
			}
			if !best {
				at = b
				break
			}
			if left := p.leftover(bins[b].room, p.size[c], w); left < least {
				at, least = b, left
			}
		}
		if at < 0 {
			bins = append(bins, p.newBin())
			at = len(bins) - 1
		}
		bins[at].add(p, c)
	}
	return bins
}

// leftover is the weighted square of the room that is left once a size is packed.
func (p *problem) leftover(room, size []int64, w []float64) float64 {
	sum := 0.0
	for k := range w {
		if p.room[k] > 0 {
			r := float64(room[k]-size[k]) / float64(p.room[k])
			sum += float64(w[k] * float64(r*r))
		}
	}
	return sum
}

// score says how well a class suits a room.
type score func(p *problem, w []float64, room []int64, c int32) float64

// dotScore is the dot product of the size and the room, both as shares of the bin.
func dotScore(p *problem, w []float64, room []int64, c int32) float64 {
	sum := 0.0
	for k := range w {
		if p.room[k] > 0 {
			sum += float64(w[k] * float64(p.relative(c, k)*float64(room[k])/float64(p.room[k])))
		}
	}
	return sum
}

// angleScore is the dot product without regard to the size's length.
func angleScore(p *problem, w []float64, room []int64, c int32) float64 {
	return dotScore(p, w, room, c) / (math.Sqrt(squareMeasure(p, w, c)) + 1e-9)
}

// nearScore prefers what leaves the least.
func nearScore(p *problem, w []float64, room []int64, c int32) float64 {
	return -p.leftover(room, p.size[c], w)
}

// binCentric fills one bin after the other, each time with what suits its room best (Panigrahy et al. 2011). A bin begins with the first of
// the list that is left.
func (p *problem) binCentric(list []int32, w []float64, s score) []bin {
	list = slices.Clone(list)
	var bins []bin
	for len(list) > 0 {
		b := p.newBin()
		b.add(p, list[0])
		list = list[1:]
		for {
			at, most := -1, math.Inf(-1)
			for i, c := range list {
				if i > 0 && list[i-1] == c || !fits(p.size[c], b.room) {
					continue
				}
				if v := s(p, w, b.room, c); v > most {
					at, most = i, v
				}
			}
			if at < 0 {
				break
			}
			b.add(p, list[at])
			list = slices.Delete(list, at, at+1)
		}
		bins = append(bins, b)
	}
	return bins
}
