package optimizer

import "slices"

// relaxation bounds what items from i on are worth in a room: Σ price_d·room_d over the dropped dimensions plus a table over the kept
// one, measured in units.
type relaxation struct {
	kept   int   // dimension
	unit   int64 // size of one unit
	units  int   // of the whole machine
	prices amounts
	net    []int64 // value less the dropped dimensions, by item
	need   []int   // units a copy takes, rounded down
	table  []int64 // [item][units]: the most that items from there on net in so many units
}

// maxUnits bounds the width of the table, and fineUnits that of a knapsack with many nodes: sizes are rounded down to units, and what hangs on
// whether seven copies fill a machine or eight takes many.
const (
	maxUnits  = 128
	fineUnits = 1024
	manyNodes = 2000
)

func (r *relaxation) bound(i int, room amounts) int64 {
	total := r.table[i*(r.units+1)+r.unitsIn(room)]
	for d, price := range r.prices {
		if price != 0 {
			total += price * room[d]
		}
	}
	return total
}

// unitsIn is how many whole units could be filled: rounded up where sizes are rounded down.
func (r *relaxation) unitsIn(room amounts) int {
	if r.unit == 0 {
		return r.units
	}
	return int(min((room[r.kept]+r.unit-1)/r.unit, int64(r.units)))
}

// takes says whether the table's best choice in that room uses item i.
func (r *relaxation) takes(i int, room amounts) bool {
	u := r.unitsIn(room)
	w := r.units + 1
	return r.net[i] > 0 && r.need[i] <= u && r.table[i*w+u] > r.table[(i+1)*w+u]
}

// relaxations makes the bounds: with the multipliers of the linear relaxation, and with none.
func (k *knapsack) relaxations() []relaxation {
	prices := k.multipliers()
	kept := dimDevice
	if k.room[dimDevice] == 0 || !slices.ContainsFunc(k.items, func(it sackItem) bool { return it.size[dimDevice] > 0 }) {
		kept = dimCPU
		if prices[dimMemory]*k.room[dimMemory] > prices[dimCPU]*k.room[dimCPU] {
			kept = dimMemory
		}
	}
	out := []relaxation{k.relaxation(kept, prices), k.priced(prices)}
	for d := range prices {
		if d != kept && prices[d] > 0 {
			out = append(out, k.relaxation(d, prices))
		}
	}
	if slices.ContainsFunc([]int{0, 1, 2}, func(d int) bool { return d != kept && prices[d] > 0 }) {
		out = append(out, k.relaxation(kept, amounts{}))
	}
	return out
}

// priced is the bound with a price on every dimension and no table.
func (k *knapsack) priced(prices amounts) relaxation {
	n := len(k.items)
	r := relaxation{kept: dimDevice, prices: prices, net: make([]int64, n), need: make([]int, n), table: make([]int64, n+1)}
	for i := n - 1; i >= 0; i-- {
		it := &k.items[i]
		r.net[i] = it.value
		for d := range prices {
			r.net[i] -= prices[d] * it.size[d]
		}
		r.table[i] = r.table[i+1] + max(0, r.net[i])*it.most
	}
	return r
}

// relaxation fills a table.
func (k *knapsack) relaxation(kept int, prices amounts) relaxation {
	n := len(k.items)
	prices[kept] = 0
	r := relaxation{kept: kept, prices: prices, net: make([]int64, n), need: make([]int, n)}
	r.measure(k)
	w := r.units + 1
	r.table = make([]int64, (n+1)*w)
	for i := n - 1; i >= 0; i-- {
		it := &k.items[i]
		r.net[i] = it.value
		for d := range prices {
			r.net[i] -= prices[d] * it.size[d]
		}
		row, next := r.table[i*w:(i+1)*w], r.table[(i+1)*w:(i+2)*w]
		r.fill(row, next, r.net[i], r.need[i], it.most)
	}
	return r
}

// measure chooses the unit: the greatest that divides every size of the kept dimension, else one that makes maxUnits of the machine, or fineUnits.
func (r *relaxation) measure(k *knapsack) {
	g := int64(0)
	for i := range k.items {
		g = gcd(g, k.items[i].size[r.kept])
	}
	whole, most := k.room[r.kept], int64(maxUnits)
	if k.fine {
		most = fineUnits
	}
	switch {
	case g == 0 || whole == 0:
		r.units, r.unit = 0, 0
		return
	case whole/g <= most:
		r.unit, r.units = g, int(whole/g)
	default:
		// ⌊size/unit⌋ units a copy can never add up to more than ⌈room/unit⌉.
		r.unit = (whole + most - 1) / most
		r.units = int((whole + r.unit - 1) / r.unit)
	}
	for i := range k.items {
		r.need[i] = int(k.items[i].size[r.kept] / r.unit)
	}
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// fill computes row[u] = max over c ≤ most of c·net + next[u − c·need].
func (r *relaxation) fill(row, next []int64, net int64, need int, most int64) {
	copy(row, next)
	switch {
	case net <= 0:
	case need == 0:
		for u := range row {
			row[u] += net * most
		}
	case most*int64(need) >= int64(r.units):
		for u := need; u < len(row); u++ {
			row[u] = max(row[u], row[u-need]+net)
		}
	default:
		for c := int64(1); c <= most; c++ {
			gain, use := c*net, int(c)*need
			for u := use; u < len(row); u++ {
				row[u] = max(row[u], next[u-use]+gain)
			}
		}
	}
}
