package binpack

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
)

// ejector empties bins: what it takes out of one bin goes into the others, and pushes out of them what stood in the way least often so
// far (ejection chains with penalties, Nagata and Bräysy 2009, there for vehicles).
type ejector struct {
	p       *problem
	rng     *rand.Rand
	bins    []bin
	pool    []int32 // copies without a bin
	penalty []int64 // by class: how often it found no room
	weight  []float64
	ops     int64 // left
	stuck   bool  // no way on
}

func newEjector(p *problem, packing []pattern, rng *rand.Rand) *ejector {
	e := &ejector{p: p, rng: rng, penalty: make([]int64, len(p.size))}
	for _, pt := range packing {
		b := p.newBin()
		for _, c := range pt {
			b.add(p, c)
		}
		e.bins = append(e.bins, b)
	}
	w := p.dimensionWeights(p.count)[0]
	for c := range p.size {
		e.weight = append(e.weight, sumMeasure(p, w, int32(c)))
	}
	return e
}

// open takes the bin apart that holds least, or one of the next.
func (e *ejector) open() {
	load := make([]float64, len(e.bins))
	order := make([]int, len(e.bins))
	for b := range e.bins {
		order[b] = b
		for _, c := range e.bins[b].in {
			load[b] += e.weight[c]
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(load[a], load[b]) })
	at := order[e.rng.IntN(min(3, len(order)))]
	e.pool = append(e.pool[:0], e.bins[at].in...)
	slices.SortFunc(e.pool, func(a, b int32) int { return cmp.Compare(e.weight[a], e.weight[b]) })
	e.bins = slices.Delete(e.bins, at, at+1)
	for c := range e.penalty {
		e.penalty[c] = 1
	}
}

// run goes on until the pool is empty or the looks are used up. The bins are a packing only when the pool is empty.
func (e *ejector) run(ops int64) {
	e.ops = ops
	for len(e.pool) > 0 && e.ops > 0 {
		c := e.pool[len(e.pool)-1]
		e.pool = e.pool[:len(e.pool)-1]
		if at := e.roomFor(c); at >= 0 {
			e.bins[at].add(e.p, c)
			continue
		}
		e.penalty[c]++
		at, out := e.cheapest(c)
		if at < 0 {
			e.pool = append(e.pool, c)
			e.stuck = true
			return
		}
		b := &e.bins[at]
		for i := len(out) - 1; i >= 0; i-- {
			e.pool = append(e.pool, b.remove(e.p, out[i]))
		}
		b.add(e.p, c)
		e.shake()
	}
}

// roomFor is a bin in which the class fits, from a random one on, or -1.
func (e *ejector) roomFor(c int32) int {
	from := e.rng.IntN(len(e.bins) + 1)
	e.ops -= int64(len(e.bins))
	for i := range e.bins {
		at := (from + i) % len(e.bins)
		if fits(e.p.size[c], e.bins[at].room) {
			return at
		}
	}
	return -1
}

// cheapest finds the bin, and the one or two places in it, that make room for a class at the least penalty; of equal ones it takes the lightest.
func (e *ejector) cheapest(c int32) (best int, out []int) {
	best = -1
	least, light := int64(math.MaxInt64), 0.0
	var pair [2]int
	n := 0
	for at := range e.bins {
		b := &e.bins[at]
		e.ops -= int64(len(b.in))
		for i, x := range b.in {
			px := e.penalty[x]
			if px > least {
				continue
			}
			wx := e.weight[x]
			if e.makesRoom(b, c, x, -1) {
				if px < least || wx < light {
					best, least, light, pair, n = at, px, wx, [2]int{i, 0}, 1
				}
				continue
			}
			for j := i + 1; j < len(b.in); j++ {
				y := b.in[j]
				py, wy := px+e.penalty[y], wx+e.weight[y]
				if py > least || py == least && wy >= light {
					continue
				}
				e.ops--
				if e.makesRoom(b, c, x, y) {
					best, least, light, pair, n = at, py, wy, [2]int{i, j}, 2
				}
			}
		}
	}
	return best, pair[:n]
}

// makesRoom says whether a class fits once one or two (y ≥ 0) classes have left the bin.
func (e *ejector) makesRoom(b *bin, c, x, y int32) bool {
	sx := e.p.size[x]
	for k, s := range e.p.size[c] {
		room := b.room[k] + sx[k]
		if y >= 0 {
			room += e.p.size[y][k]
		}
		if s > room {
			return false
		}
	}
	return true
}

// shakes is how many exchanges are tried after each ejection.
const shakes = 8

// shake exchanges random pairs of items, or moves single ones, where there is room.
func (e *ejector) shake() {
	for range shakes {
		e.ops--
		a, b := &e.bins[e.rng.IntN(len(e.bins))], &e.bins[e.rng.IntN(len(e.bins))]
		if a == b || len(a.in) == 0 {
			continue
		}
		i := e.rng.IntN(len(a.in))
		x := a.in[i]
		j := e.rng.IntN(len(b.in) + 1)
		if j == len(b.in) {
			if len(a.in) > 1 && fits(e.p.size[x], b.room) && e.spares(a, x) {
				b.add(e.p, a.remove(e.p, i))
			}
			continue
		}
		y := b.in[j]
		if x != y && e.swappable(a, x, y) && e.swappable(b, y, x) {
			a.remove(e.p, i)
			b.remove(e.p, j)
			a.add(e.p, y)
			b.add(e.p, x)
		}
	}
}

// spares says whether the bin still holds what else is in it once x has left: x may lend room.
func (e *ejector) spares(b *bin, x int32) bool {
	for k, s := range e.p.size[x] {
		if b.room[k]+s < 0 {
			return false
		}
	}
	return true
}

// swappable says whether y fits into a bin in x's place.
func (e *ejector) swappable(b *bin, x, y int32) bool {
	sx := e.p.size[x]
	for k, s := range e.p.size[y] {
		if s > b.room[k]+sx[k] {
			return false
		}
	}
	return true
}
