package binpack

import (
	"cmp"
	"context"
	"math"
	"slices"
)

// sack is a knapsack in many dimensions: patterns of much value, found depth first. Items are in the order of their value per weight,
// where the weight is the sizes' sum under the multipliers of the relaxed knapsack. A node keeps only what still fits, and bounds what each
// rest of its list can add by the relaxed knapsack (a Lagrangian, Martello and Toth 1990) and by how many more items fit at all.
//
// Values are integers, and floating-point bounds are rounded up, so what it proves holds exactly.
type sack struct {
	p      *problem
	items  []int32 // classes, best value per weight first
	size   []int64 // by position and dimension
	value  []int64 // by position
	left   []int32 // copies, by position
	weight []float64
	lambda []float64 // multipliers, by dimension

	ops     int64 // looks at an item that may still be done
	tick    int64 // until the context is looked at
	ended   func() bool
	best    int64 // only more than this is of interest
	open    int64 // no pattern that was passed over is worth more
	path    []int32
	frames  []frame
	lenders int     // items with a size below 0, which come first
	credit  []int64 // by position up to lenders and dimension: what the lenders from it on can lend

	found  []int32           // positions of the best pattern
	accept func(value int64) // called with each pattern instead of keeping the best; nil: none
}

// frame is what a node of one depth needs.
type frame struct {
	room  []int64
	cands []int32
	upper []int64
}

// newSack takes values by class, of which those above 0 matter, and the copies that may be used.
func newSack(ctx context.Context, p *problem, value []int64, copies []int32) *sack {
	k := &sack{p: p, ended: func() bool { return ctx.Err() != nil }, lambda: make([]float64, p.dims)}
	for c := range value {
		if copies[c] > 0 && (value[c] > 0 || p.lends[c]) {
			k.items = append(k.items, int32(c))
		}
	}
	k.order(value)
	for _, c := range k.items {
		k.size = append(k.size, p.size[c]...)
		k.value = append(k.value, value[c])
		k.left = append(k.left, copies[c])
	}
	k.lend()
	return k
}

// lend sums up what lenders can lend.
func (k *sack) lend() {
	d := k.p.dims
	k.credit = make([]int64, (k.lenders+1)*d)
	for i := k.lenders - 1; i >= 0; i-- {
		for x := range d {
			k.credit[i*d+x] = k.credit[(i+1)*d+x] - int64(k.left[i])*min(0, k.size[i*d+x])
		}
	}
}

// weightRounds is how often the multipliers are adjusted.
const weightRounds = 12

// order finds multipliers that make the relaxed knapsack's value small, and orders the items by them.
func (k *sack) order(value []int64) {
	p := k.p
	lambda := make([]float64, p.dims)
	for d := range lambda {
		if p.room[d] > 0 {
			lambda[d] = 1 / float64(p.room[d])
		}
	}
	weight := make([]float64, len(p.size))
	density := make([]float64, len(p.size))
	least := math.Inf(1)
	for range weightRounds {
		for _, c := range k.items {
			weight[c] = dot(lambda, p.size[c])
			density[c] = float64(value[c]) / max(weight[c], 1e-12)
		}
		slices.SortFunc(k.items, func(a, b int32) int { return cmp.Or(cmp.Compare(density[b], density[a]), cmp.Compare(a, b)) })
		used, total := k.relaxed(value, weight, dot(lambda, p.room))
		if total < least {
			least = total
			copy(k.lambda, lambda)
		}
		for d := range lambda {
			if p.room[d] > 0 {
				lambda[d] *= math.Sqrt((used[d] + 0.01) / (float64(p.room[d]) + 0.01))
			}
		}
	}
	k.weight = make([]float64, len(k.items))
	for _, c := range k.items {
		weight[c] = dot(k.lambda, p.size[c])
		density[c] = float64(value[c]) / max(weight[c], 1e-12)
	}
	slices.SortFunc(k.items, func(a, b int32) int {
		switch { // first what lends, so that the room only shrinks after it
		case p.lends[a] && !p.lends[b]:
			return -1
		case p.lends[b] && !p.lends[a]:
			return 1
		}
		return cmp.Or(cmp.Compare(density[b], density[a]), cmp.Compare(a, b))
	})
	for i, c := range k.items {
		k.weight[i] = weight[c]
		if p.lends[c] {
			k.lenders++
		}
	}
}

// relaxed fills the surrogate knapsack with parts of items: its value, and what it uses in each dimension.
func (k *sack) relaxed(value []int64, weight []float64, room float64) (used []float64, total float64) {
	used = make([]float64, k.p.dims)
	for _, c := range k.items {
		part := 1.0
		if weight[c] > room {
			part = room / weight[c]
		}
		total += part * float64(value[c])
		for d, s := range k.p.size[c] {
			used[d] += part * float64(s)
		}
		if room -= part * weight[c]; room <= 0 {
			break
		}
	}
	return used, total
}

func dot(a []float64, b []int64) float64 {
	sum := 0.0
	for k := range a {
		sum += float64(a[k] * float64(b[k])) // the conversion keeps machines from fusing the two operations
	}
	return sum
}

// at gives the frame of a depth.
func (k *sack) at(depth int) *frame {
	for len(k.frames) <= depth {
		k.frames = append(k.frames, frame{room: make([]int64, k.p.dims), cands: make([]int32, 0, len(k.items)), upper: make([]int64, len(k.items))})
	}
	return &k.frames[depth]
}

// root prepares the whole list in an empty bin.
func (k *sack) root() *frame {
	f := k.at(0)
	copy(f.room, k.p.room)
	f.cands = f.cands[:0]
	for i := range k.items {
		f.cands = append(f.cands, int32(i))
	}
	return f
}

// sweep searches, for each item in turn, the patterns of which it is the first, each within a number of looks and for more than floor, or
// than the best so far when rising. visit gets the best pattern of each item that has one. upper is proven: no pattern is worth more.
func (k *sack) sweep(floor, each, total int64, rising bool, visit func(value int64, pt pattern)) (upper, used int64) {
	f := k.root()
	k.open, k.best = floor, floor
	k.bound(f, 0)
	for at := range f.cands {
		if f.upper[at] <= floor {
			break
		}
		if total <= used || k.ended() {
			k.open = max(k.open, f.upper[at])
			break
		}
		k.best, k.found = floor, k.found[:0]
		allowed := min(each, total-used)
		k.ops = allowed
		k.take(0, at, 0)
		used += min(allowed-k.ops, total)
		if len(k.found) > 0 {
			k.open = max(k.open, k.best)
			visit(k.best, k.pattern(k.found))
			if rising {
				floor = k.best
			}
		}
	}
	return k.open, used
}

func (k *sack) pattern(path []int32) pattern {
	pt := make(pattern, len(path))
	for i, at := range path {
		pt[i] = k.items[at]
	}
	sortPattern(pt)
	return pt
}

// take puts the item at a place of the depth's list into the bin and searches on.
func (k *sack) take(depth, at int, value int64) {
	child := k.at(depth + 1)
	f := &k.frames[depth]
	i := f.cands[at]
	d := k.p.dims
	size := k.size[int(i)*d : int(i)*d+d]
	for x, s := range size {
		child.room[x] = f.room[x] - s
	}
	k.left[i]--
	k.path = append(k.path, i)
	from := at
	if k.left[i] == 0 {
		from++
	}
	child.cands = child.cands[:0]
	room := child.room
	if int(i) < k.lenders {
		room = make([]int64, d)
		for x := range room {
			room[x] = child.room[x] + k.credit[int(i)*d+x]
		}
	}
	for _, j := range f.cands[from:] {
		if fits(k.size[int(j)*d:int(j)*d+d], room) {
			child.cands = append(child.cands, j)
		}
	}
	k.ops -= int64(len(f.cands)-from) + 1
	if k.tick -= int64(len(f.cands)-from) + 1; k.tick < 0 {
		k.tick = 1 << 17
		if k.ended() {
			k.ops = math.MinInt64 / 2
		}
	}
	k.node(depth+1, value+k.value[i])
	k.path = k.path[:len(k.path)-1]
	k.left[i]++
}

// visit is told of each pattern.
func (k *sack) visit(value int64) {
	if k.accept != nil {
		if value > k.best {
			k.accept(value)
		}
	} else if value > k.best {
		k.best = value
		k.found = append(k.found[:0], k.path...)
	}
}

// node is a bin with a value: it is kept when it is the best, and what can be added is searched.
func (k *sack) node(depth int, value int64) {
	f := &k.frames[depth]
	if k.lenders == 0 || slices.Min(f.room) >= 0 {
		k.visit(value)
	}
	if len(f.cands) == 0 {
		return
	}
	k.bound(f, value)
	for at := range f.cands {
		f = &k.frames[depth] // the frames may have moved
		if f.upper[at] <= k.best {
			return
		}
		if k.ops <= 0 {
			k.open = max(k.open, f.upper[at])
			return
		}
		k.take(depth, at, value)
	}
}

// bound sets for each rest of a node's list what the node's patterns are worth at most when they go on from it.
func (k *sack) bound(f *frame, value int64) {
	room := dot(k.lambda, f.room)
	theta, left := 0.0, room
	for _, i := range f.cands {
		if left -= float64(k.weight[i] * float64(k.left[i])); left < 0 && k.weight[i] > leastWeight {
			theta = float64(k.value[i]) / k.weight[i]
			break
		}
	}
	most := k.most(f)
	lagrange, size := float64(theta*room), math.Abs(theta*room) // size: of all that was added, for the rounding
	var top [3]int64
	for at := len(f.cands) - 1; at >= 0; at-- {
		i := f.cands[at]
		if gain := float64(k.value[i]) - float64(theta*k.weight[i]); gain > 0 {
			lagrange += float64(gain * float64(k.left[i]))
			size += float64(gain * float64(k.left[i]))
		}
		for range min(k.left[i], 3) {
			v := k.value[i]
			switch {
			case v > top[0]:
				top[0], top[1], top[2] = v, top[0], top[1]
			case v > top[1]:
				top[1], top[2] = v, top[1]
			case v > top[2]:
				top[2] = v
			}
		}
		few := top[0]
		if most > 1 {
			few += top[1] + (most-2)*top[2]
		}
		if safe := lagrange + float64(size*roundingShare) + 1; safe < float64(few) {
			few = int64(safe) + 1
		}
		f.upper[at] = value + few
	}
}

const (
	// leastWeight is of an item whose value per weight says something.
	leastWeight = 1e-9
	// roundingShare is more than rounding loses of a sum of up to 2²⁰ terms.
	roundingShare = 1e-9
)

// manyItems is more than fit into any bin that matters for the bound by number.
const manyItems = 1 << 20

// most is how many of a node's items fit at most.
func (k *sack) most(f *frame) int64 {
	d := k.p.dims
	most := int64(manyItems)
	for x := range d {
		least := int64(math.MaxInt64)
		for _, i := range f.cands {
			least = min(least, k.size[int(i)*d+x])
		}
		if least > 0 {
			most = min(most, f.room[x]/least)
		}
	}
	return most
}
