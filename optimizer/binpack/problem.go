package binpack

import (
	"cmp"
	"slices"
)

// problem is an instance made ready: equal items are one class, classes are in an order of their content alone, and items that can
// share a bin with nothing have theirs already.
type problem struct {
	dims   int
	room   []int64
	size   [][]int64 // by class
	count  []int32   // by class
	items  [][]int   // by class: item numbers, one entry a copy
	total  int       // copies of all classes
	lends  []bool    // by class: whether a size is below 0
	signed bool      // whether any class lends
	alone  [][]int   // bins of items that fit with nothing else
}

// pattern is what a bin holds: class numbers in rising order, one entry a copy.
type pattern []int32

// newProblem takes a valid instance.
func newProblem(in Instance) *problem {
	p := &problem{dims: len(in.Capacity), room: in.Capacity}
	order := make([]int, 0, len(in.Items))
	for i := range in.Items {
		if in.Items[i].Count > 0 {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return slices.Compare(in.Items[b].Size, in.Items[a].Size) })
	for at := 0; at < len(order); {
		size := in.Items[order[at]].Size
		var copies []int
		for ; at < len(order) && slices.Equal(in.Items[order[at]].Size, size); at++ {
			copies = append(copies, slices.Repeat([]int{order[at]}, in.Items[order[at]].Count)...)
		}
		p.size, p.items = append(p.size, size), append(p.items, copies)
	}
	for _, size := range p.size {
		lends := slices.Min(size) < 0
		p.lends, p.signed = append(p.lends, lends), p.signed || lends
	}
	if !p.signed {
		p.setLonersApart()
	}
	for _, copies := range p.items {
		p.count = append(p.count, int32(len(copies)))
		p.total += len(copies)
	}
	return p
}

// setLonersApart gives a bin to each item that fits with no other. Leaving one out makes another fit with no less, so once is enough.
func (p *problem) setLonersApart() {
	social := make([]bool, len(p.size))
	for i := range p.size {
		social[i] = social[i] || len(p.items[i]) > 1 && p.fitTogether(i, i)
		for j := i + 1; j < len(p.size); j++ {
			if (!social[i] || !social[j]) && p.fitTogether(i, j) {
				social[i], social[j] = true, true
			}
		}
	}
	kept := 0
	for i := range p.size {
		if social[i] {
			p.size[kept], p.items[kept] = p.size[i], p.items[i]
			kept++
			continue
		}
		for _, item := range p.items[i] {
			p.alone = append(p.alone, []int{item})
		}
	}
	p.size, p.items = p.size[:kept], p.items[:kept]
}

func (p *problem) fitTogether(i, j int) bool {
	for k, c := range p.room {
		if p.size[i][k]+p.size[j][k] > c {
			return false
		}
	}
	return true
}

// fits says whether a size is within a room.
func fits(size, room []int64) bool {
	for k, s := range size {
		if s > room[k] {
			return false
		}
	}
	return true
}

// holds says whether a bin has room for all of a pattern.
func (p *problem) holds(pt pattern) bool {
	for k, c := range p.room {
		for _, i := range pt {
			c -= p.size[i][k]
		}
		if c < 0 {
			return false
		}
	}
	return true
}

// relative is the class's size in a dimension as a share of the bin.
func (p *problem) relative(class int32, k int) float64 {
	if p.room[k] == 0 {
		return 0
	}
	return float64(p.size[class][k]) / float64(p.room[k])
}

// bins turns patterns that hold every class exactly count times into bins of item numbers, those of loners first.
func (p *problem) bins(patterns []pattern) [][]int {
	out := slices.Clone(p.alone)
	next := make([]int, len(p.items))
	for _, pt := range patterns {
		bin := make([]int, len(pt))
		for i, c := range pt {
			bin[i] = p.items[c][next[c]]
			next[c]++
		}
		slices.Sort(bin)
		out = append(out, bin)
	}
	return out
}

// trim is the part of a pattern that is still needed.
func (pt pattern) trim(need []int32) pattern {
	out := make(pattern, 0, len(pt))
	for i := 0; i < len(pt); {
		j := i
		for ; j < len(pt) && pt[j] == pt[i]; j++ {
			if int32(j-i) < need[pt[i]] {
				out = append(out, pt[i])
			}
		}
		i = j
	}
	return out
}

// key tells patterns apart.
func (pt pattern) key() string {
	b := make([]byte, 0, 3*len(pt))
	for _, c := range pt {
		b = append(b, byte(c), byte(c>>8), byte(c>>16))
	}
	return string(b)
}

// sortPattern puts a pattern's classes in order.
func sortPattern(pt pattern) { slices.SortFunc(pt, func(a, b int32) int { return cmp.Compare(a, b) }) }
