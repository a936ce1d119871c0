package agent

import (
	"slices"

	"purser"
)

// devices hands out device numbers. Whole devices are exclusive; shares of 1/8, 1/4
// and 1/2 are packed onto one device, the fullest that has room, so that whole ones
// stay free. It is deterministic: the same requests in the same order get the same
// numbers.
type devices struct {
	free []purser.MilliDevices // by device number; the last may be a share of one
	caps []purser.MilliDevices
}

func newDevices(total purser.MilliDevices) *devices {
	d := &devices{}
	for total > 0 {
		d.caps = append(d.caps, min(total, purser.OneDevice))
		total -= purser.OneDevice
	}
	d.free = slices.Clone(d.caps)
	return d
}

// grant is what a task has: numbers of devices, and how much of each.
type grant struct {
	numbers []int
	each    purser.MilliDevices
}

// take gives devices to a task, or says that there are not enough now.
func (d *devices) take(want purser.MilliDevices) (grant, bool) {
	if want <= 0 {
		return grant{}, true
	}
	if want < purser.OneDevice || !want.Whole() {
		return d.share(want)
	}
	g := grant{each: purser.OneDevice}
	for i, free := range d.free {
		if free == purser.OneDevice && len(g.numbers) < int(want/purser.OneDevice) {
			g.numbers = append(g.numbers, i)
		}
	}
	if len(g.numbers) < int(want/purser.OneDevice) {
		return grant{}, false
	}
	for _, i := range g.numbers {
		d.free[i] -= g.each
	}
	return g, true
}

func (d *devices) share(want purser.MilliDevices) (grant, bool) {
	best := -1
	for i, free := range d.free {
		if free >= want && (best < 0 || free < d.free[best]) {
			best = i
		}
	}
	if best < 0 {
		return grant{}, false
	}
	d.free[best] -= want
	return grant{numbers: []int{best}, each: want}, true
}

// give takes back what a task had.
func (d *devices) give(g grant) {
	for _, i := range g.numbers {
		d.free[i] = min(d.free[i]+g.each, d.caps[i])
	}
}
