package bench

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"purser"
)

// amount is devices, vCPUs and GiB of memory.
type amount [3]int64

func (a amount) fits(room amount) bool { return a[0] <= room[0] && a[1] <= room[1] && a[2] <= room[2] }

func (a amount) plus(b amount) amount { return amount{a[0] + b[0], a[1] + b[1], a[2] + b[2]} }

func (a amount) minus(b amount) amount { return amount{a[0] - b[0], a[1] - b[1], a[2] - b[2]} }

// shares is a as shares of whole, by resource; what whole has nothing of counts 0.
func (a amount) shares(whole amount) [3]float64 {
	var s [3]float64
	for r := range a {
		if whole[r] > 0 {
			s[r] = float64(a[r]) / float64(whole[r])
		}
	}
	return s
}

// machineType is a machine that can be bought as often as wanted.
type machineType struct {
	name, family string
	room         amount
	price        purser.USDPerHour
}

// packTask has to lie on one machine.
type packTask struct {
	job, name string
	need      amount
	seconds   float64 // how long it runs
}

// packCase is a static packing problem: all tasks at once, least $/h.
type packCase struct {
	types []machineType // by price, dearest first
	tasks []packTask
}

// bin is one machine bought, and the tasks on it.
type bin struct {
	kind  int // of packCase.types
	tasks []int
	used  amount
}

func (b *bin) add(c *packCase, task int) {
	b.tasks = append(b.tasks, task)
	b.used = b.used.plus(c.tasks[task].need)
}

func (b *bin) free(c *packCase) amount { return c.types[b.kind].room.minus(b.used) }

// cost is the price of all bins together.
func (c *packCase) cost(bins []bin) purser.USDPerHour {
	sum := purser.USDPerHour(0)
	for _, b := range bins {
		sum += c.types[b.kind].price
	}
	return sum
}

// check says why bins are no packing of the case, from its types and tasks alone.
func (c *packCase) check(bins []bin) error {
	on := make([]int, len(c.tasks))
	for i, b := range bins {
		sum := amount{}
		for _, t := range b.tasks {
			on[t]++
			sum = sum.plus(c.tasks[t].need)
		}
		if !sum.fits(c.types[b.kind].room) {
			return purser.Errorf(purser.KindInternal, "bench", "machine %d, a %s, holds %v", i, c.types[b.kind].name, sum)
		}
	}
	for t, n := range on {
		if n != 1 {
			return purser.Errorf(purser.KindInternal, "bench", "task %s lies on %d machines", c.tasks[t].job, n)
		}
	}
	return nil
}

// cheapest is the cheapest type with room for a need; -1 when there is none.
func (c *packCase) cheapest(need amount) int {
	best := -1
	for k := range c.types {
		if need.fits(c.types[k].room) && (best < 0 || c.types[k].price < c.types[best].price) {
			best = k
		}
	}
	return best
}

// hopeless names a task that no machine can hold.
func (c *packCase) hopeless() error {
	for _, t := range c.tasks {
		if c.cheapest(t.need) < 0 {
			return fmt.Errorf("job %s: no machine of the catalogue holds %v (devices, vCPUs, GiB)", t.job, t.need)
		}
	}
	return nil
}

// shrink puts each bin's tasks on the cheapest type that holds them.
func (c *packCase) shrink(bins []bin) []bin {
	for i := range bins {
		bins[i].kind = c.cheapest(bins[i].used)
	}
	return bins
}

// alone is no packing: the cheapest machine of its own for each task.
func (c *packCase) alone() []bin {
	bins := make([]bin, len(c.tasks))
	for t := range c.tasks {
		bins[t].add(c, t)
	}
	return c.shrink(bins)
}

// fitDecreasing places tasks by size, largest first, on the first open machine with
// room, or on that with the least room left. Where there is none it opens the type
// that is cheapest per copy when full of that task's like, the larger of equals; in
// the end each machine is exchanged for the cheapest that holds what is on it.
func (c *packCase) fitDecreasing(best bool) []bin {
	var most amount
	for _, k := range c.types {
		for r := range most {
			most[r] = max(most[r], k.room[r])
		}
	}
	size := func(t int) float64 { s := c.tasks[t].need.shares(most); return max(s[0], s[1], s[2]) }
	order := c.order(func(a, b int) int { return cmp.Compare(size(b), size(a)) })
	var bins []bin
	for _, t := range order {
		at, least := -1, math.Inf(1)
		for i := range bins {
			free := bins[i].free(c)
			if !c.tasks[t].need.fits(free) {
				continue
			}
			if !best {
				at = i
				break
			}
			s := free.minus(c.tasks[t].need).shares(c.types[bins[i].kind].room)
			if left := s[0] + s[1] + s[2]; left < least {
				at, least = i, left
			}
		}
		if at < 0 {
			at = len(bins)
			bins = append(bins, bin{kind: c.cheapestFull(c.tasks[t].need)})
		}
		bins[at].add(c, t)
	}
	return c.shrink(bins)
}

// order is the tasks sorted; equal ones stay in the order of the trace.
func (c *packCase) order(compare func(a, b int) int) []int {
	out := make([]int, len(c.tasks))
	for t := range out {
		out[t] = t
	}
	slices.SortStableFunc(out, compare)
	return out
}

// cheapestFull is the type that is cheapest per copy of a need when full of it.
func (c *packCase) cheapestFull(need amount) int {
	best, least := -1, math.Inf(1)
	for k, m := range c.types { // dearest first: the larger of equals
		copies := int64(math.MaxInt64)
		for r := range need {
			if need[r] > 0 {
				copies = min(copies, m.room[r]/need[r])
			}
		}
		if copies > 0 && float64(m.price)/float64(copies) < least*(1-1e-12) {
			best, least = k, float64(m.price)/float64(copies)
		}
	}
	return best
}

// stratus packs by run time as Stratus does (Chung et al., SoCC'18). Tasks fall into
// bins of run times, each twice as long as the one before. From the longest bin
// down, a task first goes to a machine that is there already: one of its own bin
// whose longest task is nearest in run time, else one of a longer bin with most room
// (up-packing). What is left of a bin buys machines: of all pairs of a type and the
// first n tasks by run time, again and again the one with the highest score, which is
// the use of the resource that the group fills most, counted in smallest machines of
// the type's family, by the type's price.
func (c *packCase) stratus() []bin {
	level := func(t int) int { return int(math.Floor(math.Log2(max(1, c.tasks[t].seconds)))) }
	order := c.order(func(a, b int) int { return cmp.Compare(c.tasks[b].seconds, c.tasks[a].seconds) })
	var bins []bin
	for len(order) > 0 {
		n := 1
		for n < len(order) && level(order[n]) == level(order[0]) {
			n++
		}
		var wait []int
		for _, t := range order[:n] {
			if at := c.upPack(bins, t, level); at >= 0 {
				bins[at].add(c, t)
			} else {
				wait = append(wait, t)
			}
		}
		order = order[n:]
		for len(wait) > 0 {
			kind, first := c.bestGroup(wait)
			b := bin{kind: kind}
			for _, t := range wait[:first] {
				b.add(c, t)
			}
			bins = append(bins, b)
			wait = wait[first:]
		}
	}
	return bins
}

// upPack finds a machine for a task among those that are there; -1: none has room.
func (c *packCase) upPack(bins []bin, t int, level func(int) int) int {
	same, near, up, room := -1, math.Inf(1), -1, -1.0
	for i := range bins {
		free := bins[i].free(c)
		if !c.tasks[t].need.fits(free) {
			continue
		}
		longest := bins[i].tasks[0] // they came by run time
		if level(longest) == level(t) {
			if d := math.Abs(c.tasks[longest].seconds - c.tasks[t].seconds); d < near {
				same, near = i, d
			}
			continue
		}
		s := free.shares(c.types[bins[i].kind].room)
		if sum := s[0] + s[1] + s[2]; sum > room {
			up, room = i, sum
		}
	}
	if same >= 0 {
		return same
	}
	return up
}

// bestGroup chooses a type, and how many of the first waiting tasks it takes.
func (c *packCase) bestGroup(wait []int) (kind, first int) {
	kind, best, sum := -1, -1.0, amount{}
	for n, t := range wait {
		sum = sum.plus(c.tasks[t].need)
		if c.cheapest(sum) < 0 {
			break
		}
		for k, m := range c.types {
			if !sum.fits(m.room) {
				continue
			}
			s := sum.shares(m.room)
			r := 0
			for i := range s {
				if s[i] > s[r] {
					r = i
				}
			}
			score := float64(sum[r]) / float64(c.smallest(m.family).room[r]) / m.price.USD()
			if score > best*(1+1e-12) {
				kind, first, best = k, n+1, score
			}
		}
	}
	return kind, first
}

// smallest is the cheapest type of a family.
func (c *packCase) smallest(family string) machineType {
	for k := len(c.types) - 1; k >= 0; k-- {
		if c.types[k].family == family {
			return c.types[k]
		}
	}
	return machineType{}
}

// reservation is Eva's greedy by reservation prices (EuroSys'25, Algorithm 1). A
// task's reservation price is that of the cheapest machine of its own. From the
// dearest type down, a machine takes the task with the highest reservation price that
// fits, again and again; it is bought when those prices come to its own at least,
// else the next type is tried. The paper says nothing about tasks of equal price: the
// first of the trace is taken, or with align that whose needs lie most along what is
// free, as the authors' code has it.
func (c *packCase) reservation(align bool) []bin {
	price := make([]purser.USDPerHour, len(c.tasks))
	for t := range c.tasks {
		price[t] = c.types[c.cheapest(c.tasks[t].need)].price
	}
	var bins []bin
	placed := make([]bool, len(c.tasks))
	for k := 0; k < len(c.types); {
		b, sum := bin{kind: k}, purser.USDPerHour(0)
		for {
			t := c.nextReserved(&b, placed, price, align)
			if t < 0 {
				break
			}
			placed[t] = true
			b.add(c, t)
			sum += price[t]
		}
		if len(b.tasks) > 0 && sum >= c.types[k].price {
			bins = append(bins, b)
			continue
		}
		for _, t := range b.tasks {
			placed[t] = false
		}
		k++
	}
	return bins
}

// nextReserved is the task that a machine takes next; -1: none fits.
func (c *packCase) nextReserved(b *bin, placed []bool, price []purser.USDPerHour, align bool) int {
	best, along := -1, 0.0
	room, free := c.types[b.kind].room, b.free(c)
	for t := range c.tasks {
		if placed[t] || !c.tasks[t].need.fits(free) || best >= 0 && price[t] < price[best] {
			continue
		}
		score := 0.0
		if align {
			need, open := c.tasks[t].need.shares(room), free.shares(room)
			for r := range need {
				score += need[r] * open[r]
			}
		}
		if best < 0 || price[t] > price[best] || score > along {
			best, along = t, score
		}
	}
	return best
}
