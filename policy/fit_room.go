package policy

import (
	"math"
	"slices"

	"purser"
)

// Room is what a machine has free.
type Room struct {
	Accelerator string
	Devices     []purser.MilliDevices // of each device, 0 to 1000
	MilliCPU    int64
	MemoryMiB   int64
}

// RoomOf is an empty machine of a shape. What it has beyond whole devices is not used.
func RoomOf(s purser.Shape) Room {
	r := Room{Accelerator: s.Accelerator, MilliCPU: s.MilliCPU, MemoryMiB: s.MemoryMiB}
	for d := s.Devices; d >= purser.OneDevice; d -= purser.OneDevice {
		r.Devices = append(r.Devices, purser.OneDevice)
	}
	return r
}

// Need is what a task asks of one machine.
type Need struct {
	Devices      purser.MilliDevices // whole ones, or a share of one; all else fits nowhere
	MilliCPU     int64
	MemoryMiB    int64
	Accelerators []string // one of these; empty: any
}

// NeedOf is the need of a task that asks for a shape.
func NeedOf(s purser.Shape) Need {
	n := Need{Devices: s.Devices, MilliCPU: s.MilliCPU, MemoryMiB: s.MemoryMiB}
	if s.Accelerator != "" {
		n.Accelerators = []string{s.Accelerator}
	}
	return n
}

// each is on how many devices the need is, and what it takes of each.
func (n Need) each() (count int, share purser.MilliDevices) {
	switch {
	case n.Devices >= 0 && n.Devices.Whole():
		return int(n.Devices / purser.OneDevice), purser.OneDevice
	case n.Devices > 0 && n.Devices < purser.OneDevice:
		return 1, n.Devices
	default:
		return math.MaxInt, purser.OneDevice
	}
}

func (n Need) possible() bool {
	count, _ := n.each()
	return count < math.MaxInt && n.MilliCPU >= 0 && n.MemoryMiB >= 0
}

func (n Need) allows(accelerator string) bool {
	return n.Devices == 0 || len(n.Accelerators) == 0 || slices.Contains(n.Accelerators, accelerator)
}

// Fits says whether the room holds the need. Impossible needs fit nowhere.
func (r Room) Fits(n Need) bool {
	if !n.possible() || n.MilliCPU > r.MilliCPU || n.MemoryMiB > r.MemoryMiB || !n.allows(r.Accelerator) {
		return false
	}
	count, share := n.each()
	for _, d := range r.Devices {
		if d >= share {
			count--
		}
	}
	return count <= 0
}

// Try gives the device that a task begins on so that a score of what the room is then
// is least, with that score, or false if the task does not fit. Of equal devices it
// tries the first; the device of a task without any is 0.
func (r Room) Try(n Need, score func(after Room) float64) (least float64, device int, ok bool) {
	if !r.Fits(n) {
		return 0, 0, false
	}
	after := r
	after.Devices = slices.Clone(r.Devices)
	count, share := n.each()
	if count != 1 {
		after.Take(n, r.On(n, 0))
		return score(after), 0, true
	}
	after.MilliCPU, after.MemoryMiB = r.MilliCPU-n.MilliCPU, r.MemoryMiB-n.MemoryMiB
	for i, d := range r.Devices {
		if d < share || slices.Contains(r.Devices[:i], d) {
			continue
		}
		after.Devices[i] -= share
		if s := score(after); !ok || s < least {
			least, device, ok = s, i, true
		}
		after.Devices[i] = d
	}
	return least, device, ok
}

// On gives the devices for a task that fits: the first with room, from a device on.
func (r Room) On(n Need, device int) []int {
	var on []int
	for count, share := n.each(); len(on) < count && device < len(r.Devices); device++ {
		if r.Devices[device] >= share {
			on = append(on, device)
		}
	}
	return on
}

// Take puts a task on devices of the room, which has to have what the task takes.
func (r *Room) Take(n Need, on []int) { r.change(n, on, 1) }

// Give takes a task off the devices that it is on.
func (r *Room) Give(n Need, on []int) { r.change(n, on, -1) }

func (r *Room) change(n Need, on []int, sign int64) {
	r.MilliCPU -= sign * n.MilliCPU
	r.MemoryMiB -= sign * n.MemoryMiB
	_, share := n.each()
	for _, d := range on {
		r.Devices[d] -= purser.MilliDevices(sign) * share
	}
}

func (r Room) free() (sum purser.MilliDevices) {
	for _, d := range r.Devices {
		sum += d
	}
	return sum
}
