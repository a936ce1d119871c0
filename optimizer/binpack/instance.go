package binpack

import (
	"purser"
)

const op = "binpack"

// Limits of what an Instance may hold, so that no sum of sizes overflows.
const (
	maxDimensions = 64
	maxCapacity   = int64(1) << 40
	maxItems      = 1 << 20
)

// Instance is a problem of vector bin packing: pack every item into as few equal bins as possible, so that in no dimension the sizes in a
// bin exceed its capacity.
type Instance struct {
	Capacity []int64 // per dimension
	Items    []Item
}

// Item is a number of equal things to be packed. A size below 0 makes room for others in its bin: some published instances have such.
type Item struct {
	Size  []int64 // per dimension
	Count int
}

// Validate says what is wrong with the instance. An item that fits no bin is invalid too.
func (in Instance) Validate() error {
	if d := len(in.Capacity); d < 1 || d > maxDimensions {
		return purser.Errorf(purser.KindInvalid, op, "bins have %d dimensions, not 1 to %d", d, maxDimensions)
	}
	for k, c := range in.Capacity {
		if c < 0 || c > maxCapacity {
			return purser.Errorf(purser.KindInvalid, op, "the capacity in dimension %d is %d, not 0 to %d", k, c, maxCapacity)
		}
	}
	total := 0
	for i, it := range in.Items {
		if len(it.Size) != len(in.Capacity) {
			return purser.Errorf(purser.KindInvalid, op, "item %d has %d sizes for %d dimensions", i, len(it.Size), len(in.Capacity))
		}
		if it.Count < 0 || it.Count > maxItems {
			return purser.Errorf(purser.KindInvalid, op, "item %d is wanted %d times", i, it.Count)
		}
		for k, s := range it.Size {
			if s < -maxCapacity || s > in.Capacity[k] {
				return purser.Errorf(purser.KindInvalid, op, "item %d has size %d in dimension %d, where a bin has %d", i, s, k, in.Capacity[k])
			}
		}
		if total += it.Count; total > maxItems {
			return purser.Errorf(purser.KindInvalid, op, "there are more than %d items", maxItems)
		}
	}
	return nil
}

// Check verifies a packing from the instance alone: every bin within its capacity, every item packed as often as it is wanted. A bin
// lists the numbers of its items, one entry a copy.
func (in Instance) Check(bins [][]int) error {
	packed := make([]int, len(in.Items))
	for b, bin := range bins {
		load := make([]int64, len(in.Capacity))
		for _, i := range bin {
			if i < 0 || i >= len(in.Items) {
				return purser.Errorf(purser.KindInternal, op, "bin %d holds item %d of %d", b, i, len(in.Items))
			}
			packed[i]++
			for k, s := range in.Items[i].Size {
				load[k] += s
			}
		}
		for k, c := range in.Capacity {
			if load[k] > c {
				return purser.Errorf(purser.KindInternal, op, "bin %d holds %d in dimension %d, of %d", b, load[k], k, c)
			}
		}
	}
	for i, it := range in.Items {
		if packed[i] != it.Count {
			return purser.Errorf(purser.KindInternal, op, "item %d is packed %d times, not %d", i, packed[i], it.Count)
		}
	}
	return nil
}
