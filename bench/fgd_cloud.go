package bench

import (
	"cmp"
	"math"
	"slices"

	"purser"
	"purser/policy"
)

// cloudRoom is an empty machine of a type, of any accelerator.
func cloudRoom(t machineType) policy.Room {
	return policy.RoomOf(purser.Shape{Devices: purser.MilliDevices(t.room[0]) * purser.OneDevice, MilliCPU: 1000 * t.room[1], MemoryMiB: 1024 * t.room[2]})
}

// worth is what a need is reckoned to cost in the cloud, in $/h: of all types the least
// price of its share, which is the largest of devices, CPU and memory. Where it does
// not fit on the type the share is above 1.
func (p *Private) worth(n policy.Need) float64 {
	least := math.Inf(1)
	for _, t := range p.types {
		room := cloudRoom(t)
		share := max(ratio(int64(n.Devices), int64(idle(room))), ratio(n.MilliCPU, room.MilliCPU), ratio(n.MemoryMiB, room.MemoryMiB))
		least = min(least, t.price.USD()*share)
	}
	return least
}

func ratio(part, whole int64) float64 {
	if part == 0 {
		return 0
	}
	return float64(part) / float64(whole) // infinite where there is nothing
}

// cloudBill prices pods, counted by need, on machines of the cloud by first fit
// decreasing: pods by their worth, each on the first open machine that holds it, or on
// a new one of the cheapest type that does. Which accelerator a pod wants is left
// aside, as the catalogue has only one. Nowhere counts the pods that no type holds.
func (p *Private) cloudBill(pods []int) (usd float64, nowhere int) {
	order := make([]int, 0, len(pods))
	worth := make([]float64, len(pods))
	for i, n := range p.needs {
		order = append(order, i)
		worth[i] = p.worth(n)
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(worth[b], worth[a]) })
	var open []policy.Room
	for _, i := range order {
		n := anywhere(p.needs[i])
		first := 0 // equal pods: what had no room for one has none for the next
		for left := pods[i]; left > 0; left-- {
			for first < len(open) && !open[first].Fits(n) {
				first++
			}
			if first == len(open) {
				t, ok := p.cheapest(n)
				if !ok {
					nowhere += left
					break
				}
				open = append(open, cloudRoom(t))
				usd += t.price.USD()
			}
			_, device, _ := open[first].Try(n, loose)
			open[first].Take(n, open[first].On(n, device))
		}
	}
	return usd, nowhere
}

// anywhere is a need whatever the accelerator.
func anywhere(n policy.Need) policy.Need {
	n.Accelerators = nil
	return n
}

// cheapest is the cheapest type that holds a need.
func (p *Private) cheapest(n policy.Need) (best machineType, ok bool) {
	n = anywhere(n)
	for _, t := range p.types {
		if (!ok || t.price < best.price) && cloudRoom(t).Fits(n) {
			best, ok = t, true
		}
	}
	return best, ok
}

// perDevice is the least price of a device, in $/h.
func (p *Private) perDevice() float64 {
	least := math.Inf(1)
	for _, t := range p.types {
		least = min(least, t.price.USD()/float64(t.room[0])) // infinite without devices
	}
	return least
}
