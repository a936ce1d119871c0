package policy

import (
	"math"
	"slices"

	"purser"
)

// Fit says which private machine a task goes to, when tasks come one after the other
// and none is moved: the one on which it spoils least of what tasks of a known mix
// could still use. Two quantities say what is spoilt of a machine's free devices, both
// in thousandths of a device, so that they add up without a weight:
//
//   - Fragments (Weng et al., "Beware of Fragmentation", USENIX ATC 2023): what the
//     next task of the mix could not use,
//
//     F = Σ_i w_i·x_i ÷ Σ_i w_i
//
//     where x_i is what is free on devices too small for task i, and all that is free
//     if the task does not fit or asks for no device.
//
//   - Stranded: what is left over when the mix has used up the CPU or the memory,
//
//     S = max(0, G − CPU·g/c, G − memory·g/m)
//
//     where G is what is free of the devices, and g, c and m are what the tasks of the
//     mix that ask for devices ask for together.
//
// F notices a shortage of CPU when the next task no longer fits. S notices it with the
// first task, and so keeps machines with much CPU for tasks that ask for much.
//
// A task goes where F + S grows least, and to the first such machine. It is never
// refused where it fits. A Fit does not change, and may be shared.
type Fit struct {
	named  map[string]view // by accelerator, for those that a need of the mix names
	others view
}

// Known is a part of the mix: a need, and how often it comes compared with others.
type Known struct {
	Need   Need
	Weight float64
}

// NewFit makes the rule for a mix. Parts without a positive weight, and impossible
// needs, do not count. An empty mix gives first fit. A placement takes time in proportion to the machines and
// to the parts of the mix, so equal needs should be one part.
func NewFit(mix []Known) *Fit {
	var counts []Known
	for _, k := range mix {
		if k.Weight > 0 && !math.IsInf(k.Weight, 1) && k.Need.possible() {
			counts = append(counts, k)
		}
	}
	f := &Fit{named: map[string]view{}, others: viewOf(counts, "")}
	for _, k := range counts {
		for _, a := range k.Need.Accelerators {
			if _, ok := f.named[a]; !ok {
				f.named[a] = viewOf(counts, a)
			}
		}
	}
	return f
}

// Place gives the machine for a task and the device that it begins on, for Room.On, or
// false if it fits on none.
func (f *Fit) Place(n Need, rooms []Room) (machine, device int, ok bool) {
	least := math.Inf(1)
	for i, r := range rooms {
		if growth, d, fits := f.Growth(n, r); fits && growth < least {
			least, machine, device, ok = growth, i, d, true
		}
	}
	return machine, device, ok
}

// Growth is by how much F + S grows when the task goes to a machine, on its best
// device. It may be negative: where a task uses up a fragment.
func (f *Fit) Growth(n Need, r Room) (growth float64, device int, ok bool) {
	v := f.view(r)
	after, device, ok := r.Try(n, func(after Room) float64 { return v.fragments(after) + v.stranded(after) })
	if !ok {
		return 0, 0, false
	}
	// Rounded, so that what is equal stays so whatever the order and the width of sums.
	return math.Round((after-v.fragments(r)-v.stranded(r))*1e6) / 1e6, device, true
}

// Fragments is F of a machine, in thousandths of a device.
func (f *Fit) Fragments(r Room) float64 { return f.view(r).fragments(r) }

// Stranded is S of a machine, in thousandths of a device.
func (f *Fit) Stranded(r Room) float64 { return f.view(r).stranded(r) }

func (f *Fit) view(r Room) view {
	if v, ok := f.named[r.Accelerator]; ok {
		return v
	}
	return f.others
}

// view is the mix as machines with one accelerator see it.
type view struct {
	bands     []band
	useless   float64 // share of the mix that asks for no device, or for another accelerator
	perCPU    float64 // thousandths of a device per thousandth of a CPU: g/c
	perMemory float64 // and per MiB: g/m
}

// band is the tasks of the mix that ask for the same devices.
type band struct {
	count int
	share purser.MilliDevices // of each device
	parts []part
}

type part struct {
	milliCPU, memoryMiB int64
	weight              float64 // share of the mix
}

func viewOf(mix []Known, accelerator string) view {
	var v view
	var sum, devices, cpu, memory float64
	for _, k := range mix {
		sum += k.Weight
	}
	for _, k := range mix {
		n, w := k.Need, k.Weight/sum
		count, share := n.each()
		if count == 0 || !n.allows(accelerator) {
			v.useless += w
			continue
		}
		i := slices.IndexFunc(v.bands, func(b band) bool { return b.count == count && b.share == share })
		if i < 0 {
			i = len(v.bands)
			v.bands = append(v.bands, band{count: count, share: share})
		}
		v.bands[i].parts = append(v.bands[i].parts, part{n.MilliCPU, n.MemoryMiB, w})
		devices, cpu, memory = devices+w*float64(n.Devices), cpu+w*float64(n.MilliCPU), memory+w*float64(n.MemoryMiB)
	}
	// For a mix that takes no CPU, or no memory, the ratio is infinite: it strands nothing.
	v.perCPU, v.perMemory = devices/cpu, devices/memory
	return v
}

func (v view) fragments(r Room) float64 {
	all := r.free()
	if all == 0 {
		return 0
	}
	sum := v.useless * float64(all)
	for _, b := range v.bands {
		large := 0
		var small purser.MilliDevices
		for _, d := range r.Devices {
			if d >= b.share {
				large++
			} else {
				small += d
			}
		}
		for _, p := range b.parts {
			if large < b.count || p.milliCPU > r.MilliCPU || p.memoryMiB > r.MemoryMiB {
				sum += p.weight * float64(all)
			} else {
				sum += p.weight * float64(small)
			}
		}
	}
	return sum
}

func (v view) stranded(r Room) float64 {
	if len(v.bands) == 0 {
		return 0
	}
	g := float64(r.free())
	left := 0.0
	for _, usable := range []float64{float64(r.MilliCPU) * v.perCPU, float64(r.MemoryMiB) * v.perMemory} {
		if usable < g { // false for 0·∞ too
			left = max(left, g-usable)
		}
	}
	return left
}
