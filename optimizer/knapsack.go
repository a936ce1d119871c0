package optimizer

import (
	"cmp"
	"slices"
)

// knapsack finds the patterns that earn most on one machine: max Σ value·n − rent(longest member), within the room in every
// dimension and the limits of copies. All arithmetic is in integers (nano-USD, milli-devices, milli-vCPU, MiB), so the result is the
// same on every machine.
//
// Items are sorted by run time, longest first; a search picks the longest member and then goes on among those not longer, so that all
// cut times are searched at once. Its bound drops the dimensions but one for prices per unit (a Lagrangian with the multipliers of the
// linear relaxation) and keeps that one, mostly devices, exact by dynamic programming over what is left of it.
type knapsack struct {
	room  amounts
	items []sackItem
	pools []int64 // copies left of what several items share

	uneven bool // the rent may fall where the longest member is longer
	fine   bool // bounds are made in small units

	relax  []relaxation
	uppers []spanUpper // by run time, see solve
	nodes  int64       // left
	best   int64       // profit to beat
	open   int64       // the largest bound of what was not searched
	chosen []sackCount
	found  []sackPattern
}

// sackItem is an entry of a menu as the knapsack sees it.
type sackItem struct {
	item  int32
	pool  int32
	size  amounts
	value int64
	extra int64 // what a copy costs beyond the machine; the value is less by it
	most  int64
	span  int64
	rent  int64 // of a machine whose longest member this is
}

type sackCount struct {
	at int
	n  int64
}

// sackPattern is a pattern with its profit.
type sackPattern struct {
	profit int64
	counts pattern
	span   int64
}

// patternsKept is how many of the best patterns a search returns.
const patternsKept = 3

// solve searches within a number of nodes for patterns with a profit above floor. upper is proven: no pattern earns more; uppers has it by
// the run time of the longest member.
func (k *knapsack) solve(floor, nodes int64) (found []sackPattern, upper int64) {
	k.best, k.nodes, k.found, k.uppers, k.fine = floor, nodes, k.found[:0], k.uppers[:0], nodes > manyNodes
	k.prepare()
	if len(k.items) == 0 {
		return nil, floor
	}
	k.relax = k.relaxations()
	order := make([]int, len(k.items))
	uppers := make([]int64, len(k.items))
	for i := range k.items {
		order[i] = i
		uppers[i] = k.bound(i, k.room) - k.items[i].rent
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(uppers[b], uppers[a]) })
	for n, i := range order {
		if uppers[i] <= k.best || n >= 8 {
			break
		}
		k.guided(i)
	}
	for lo := 0; lo < len(k.items); {
		u := spanUpper{span: k.items[lo].span, rent: k.items[lo].rent, lo: lo}
		for ; lo < len(k.items) && k.items[lo].span == u.span; lo++ {
			u.upper = max(u.upper, uppers[lo])
		}
		k.uppers = append(k.uppers, u)
	}
	slices.SortStableFunc(k.uppers, func(a, b spanUpper) int { return cmp.Compare(b.upper, a.upper) })
	for i := range k.uppers {
		u := &k.uppers[i]
		if u.upper > k.best {
			u.upper = min(u.upper, k.within(u.lo))
		}
		upper = max(upper, u.upper)
	}
	slices.SortStableFunc(k.found, func(a, b sackPattern) int { return cmp.Compare(b.profit, a.profit) })
	return k.found, max(k.best, upper)
}

// spanUpper says that no pattern whose longest member has the span earns more than upper.
type spanUpper struct {
	span, rent int64
	upper      int64
	lo         int // the first item of the span
}

// within searches the patterns whose longest member has the span of item lo, and gives what none of them exceeds.
func (k *knapsack) within(lo int) int64 {
	all, relax := k.items, k.relax
	k.items = slices.Clone(all[lo:])
	k.open = k.best
	// What is scarce among the items that are not longer can be another dimension than among all.
	k.relax = k.relaxations()
	for range reductions {
		if !k.reduce(all[lo].rent) {
			break
		}
		k.relax = k.relaxations()
	}
	for i := 0; i < len(k.items) && k.items[i].span == all[lo].span; i++ {
		if k.bound(i, k.room)-k.items[i].rent <= k.best {
			break
		}
		k.from(i)
	}
	k.items, k.relax = all, relax
	return max(k.best, k.open)
}

// reductions is how often copies are cut down and bounds made anew before a search.
const reductions = 4

// reduce cuts the copies of each item down to what a pattern that beats the best can hold, and drops items of which none can. It says
// whether that changed anything.
func (k *knapsack) reduce(rent int64) bool {
	changed := false
	kept := make([]sackItem, 0, len(k.items))
	for _, it := range k.items {
		n := it.most
		for n > 0 && n*it.value+k.bound(0, k.room.plus(it.size, -n))-rent <= k.best {
			n--
		}
		changed = changed || n < it.most
		if it.most = n; n > 0 {
			kept = append(kept, it)
		}
	}
	k.items = kept
	return changed
}

// prepare drops what cannot help, and sorts: longest first, then by value for its share of the machine.
func (k *knapsack) prepare() {
	kept := k.items[:0]
	for _, it := range k.items {
		it.most = it.size.copies(k.room, min(it.most, k.pools[it.pool]))
		if (it.value > 0 || k.uneven) && it.most > 0 {
			kept = append(kept, it)
		}
	}
	k.items = kept
	slices.SortStableFunc(k.items, func(a, b sackItem) int {
		return cmp.Or(cmp.Compare(b.span, a.span), cmp.Compare(k.density(&b), k.density(&a)), cmp.Compare(a.item, b.item))
	})
	if !k.uneven {
		k.dropDominated()
	}
}

// density is the value for each millionth of the machine's scarcest dimension.
func (k *knapsack) density(it *sackItem) int64 { return it.value / it.size.share(k.room) }

// dropDominated drops an item when another is not larger, not longer and not worth less, and there are enough copies of it to fill the
// machine alone.
func (k *knapsack) dropDominated() {
	if len(k.items) > 1500 {
		return
	}
	full := func(it *sackItem) bool { return it.size.copies(k.room, it.most+1) == it.most }
	gone := make([]bool, len(k.items))
	for i := range k.items {
		a := &k.items[i]
		if !full(a) || k.pools[a.pool] <= a.most {
			continue
		}
		for j := range k.items {
			b := &k.items[j]
			if i == j || gone[j] || gone[i] || a.value < b.value || a.span > b.span || !a.size.within(b.size) {
				continue
			}
			gone[j] = true
		}
	}
	kept := k.items[:0]
	for i, it := range k.items {
		if !gone[i] {
			kept = append(kept, it)
		}
	}
	k.items = kept
}

// bound is the most that items from i on can be worth in the room.
func (k *knapsack) bound(i int, room amounts) int64 {
	best := k.relax[0].bound(i, room)
	for r := 1; r < len(k.relax); r++ {
		best = min(best, k.relax[r].bound(i, room))
	}
	return best
}

// from searches the patterns whose longest member is item i.
func (k *knapsack) from(i int) {
	it := &k.items[i]
	k.chosen = k.chosen[:0]
	k.take(i, it.most, k.room, -it.rent)
}

// take tries every number of copies of item i from n down to 1, each with what can follow.
func (k *knapsack) take(i int, n int64, room amounts, profit int64) {
	it := &k.items[i]
	depth := len(k.chosen)
	n = it.size.copies(room, min(n, k.pools[it.pool]))
	for ; n > 0; n-- {
		left, gain := room.plus(it.size, -n), profit+n*it.value
		switch whole := profit + k.bound(i, room); {
		case whole <= k.best:
			return
		case k.nodes <= 0:
			k.open = max(k.open, whole)
			return
		case gain+k.bound(i+1, left) <= k.best:
			continue // fewer copies leave room for what is worth more
		}
		k.nodes--
		k.chosen = append(k.chosen[:depth], sackCount{i, n})
		k.pools[it.pool] -= n
		if gain > k.best {
			k.record(gain)
		}
		k.extend(i+1, left, gain)
		k.pools[it.pool] += n
	}
	k.chosen = k.chosen[:depth]
}

// extend adds items from i on. The bound falls with i, so the first that cannot beat the best ends the loop.
func (k *knapsack) extend(i int, room amounts, profit int64) {
	for ; i < len(k.items); i++ {
		upper := profit + k.bound(i, room)
		if upper <= k.best {
			return
		}
		if k.nodes <= 0 {
			k.open = max(k.open, upper)
			return
		}
		k.take(i, k.items[i].most, room, profit)
	}
}

// record keeps the chosen pattern.
func (k *knapsack) record(profit int64) {
	k.best = profit
	sp := sackPattern{profit: profit, counts: make(pattern, 0, len(k.chosen)), span: k.items[k.chosen[0].at].span}
	for _, c := range k.chosen {
		sp.counts = append(sp.counts, count{k.items[c.at].item, c.n})
	}
	if len(k.found) == patternsKept {
		k.found = append(k.found[:0], k.found[1:]...)
	}
	k.found = append(k.found, sp)
}

// guided makes one good pattern that begins with item i: it follows the choices of the first relaxation as far as they fit, and then
// fills up.
func (k *knapsack) guided(i int) {
	r := &k.relax[0]
	room, profit := k.room, -k.items[i].rent
	k.chosen = k.chosen[:0]
	put := func(at int, n int64) {
		it := &k.items[at]
		if n = it.size.copies(room, min(n, k.pools[it.pool])); n <= 0 {
			return
		}
		room, profit = room.plus(it.size, -n), profit+n*it.value
		k.pools[it.pool] -= n
		if d := len(k.chosen); d > 0 && k.chosen[d-1].at == at {
			k.chosen[d-1].n += n
		} else {
			k.chosen = append(k.chosen, sackCount{at, n})
		}
	}
	put(i, 1)
	left := k.items[i].most - 1
	for at := i; at < len(k.items); at++ {
		if at > i {
			left = k.items[at].most
		}
		for left > 0 && r.takes(at, room) && k.items[at].size.within(room) && k.pools[k.items[at].pool] > 0 {
			put(at, 1)
			left--
		}
	}
	for at := i; at < len(k.items); at++ {
		already := int64(0)
		for _, c := range k.chosen {
			if c.at == at {
				already += c.n
			}
		}
		put(at, k.items[at].most-already)
	}
	if len(k.chosen) > 0 && profit > k.best {
		k.record(profit)
	}
	for _, c := range k.chosen {
		k.pools[k.items[c.at].pool] += c.n
	}
}
