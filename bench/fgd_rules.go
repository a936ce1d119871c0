package bench

import (
	"math"

	"purser"
	"purser/policy"
)

// placer is a rule for pods as they arrive: each goes to the machine with the least
// score of those that hold it, and there on the device with the least score.
type placer struct {
	name   string
	score  func(n policy.Need, r policy.Room) (score float64, device int, ok bool)
	chance bool // one of the equal machines is drawn; otherwise it is the first
}

// placers are the baselines, as Weng et al. (USENIX ATC 2023) describe them, and our
// rule, which is the last.
//
//   - Best fit: least of what is left, devices and CPU each as a share of the largest
//     machine's.
//   - Dot product: least inner product of what is free and what is asked for, in the
//     same shares.
//   - FGD: least growth of the fragments, as policy.Fit has them. As in the authors'
//     simulator the growth is rounded, to hundredths of 1/(1+e^growth), and one of the
//     equal machines drawn. Without the rounding it places less.
//
// The first four put shares on the fullest device that has room.
func (p *Private) placers() []placer {
	cpu, devices := int64(1), purser.MilliDevices(1)
	for _, m := range p.machines {
		cpu, devices = max(cpu, m.MilliCPU), max(devices, idle(m))
	}
	share := func(a purser.MilliDevices, c int64) (float64, float64) {
		return float64(a) / float64(devices), float64(c) / float64(cpu)
	}
	on := func(score func(n policy.Need, r policy.Room) float64) func(policy.Need, policy.Room) (float64, int, bool) {
		return func(n policy.Need, r policy.Room) (float64, int, bool) {
			_, device, ok := r.Try(n, loose)
			return score(n, r), device, ok
		}
	}
	equal := on(func(policy.Need, policy.Room) float64 { return 0 })
	fit := p.known(p.counts())
	return []placer{
		{name: "random", score: equal, chance: true},
		{name: "first fit", score: equal},
		{name: "dot product", score: on(func(n policy.Need, r policy.Room) float64 {
			a, c := share(idle(r), r.MilliCPU)
			b, d := share(n.Devices, n.MilliCPU)
			return a*b + c*d
		})},
		{name: "best fit", score: on(func(n policy.Need, r policy.Room) float64 {
			a, c := share(idle(r)-n.Devices, r.MilliCPU-n.MilliCPU)
			return a + c
		})},
		{name: "FGD", chance: true, score: func(n policy.Need, r policy.Room) (float64, int, bool) {
			after, device, ok := r.Try(n, fit.Fragments)
			return -math.Floor(100 / (1 + math.Exp((after-fit.Fragments(r))/1000))), device, ok
		}},
		{name: "ours", score: fit.Growth},
	}
}

// nothingFits is the rule of those who have no private machines.
func nothingFits(policy.Need, policy.Room) (score float64, device int, ok bool) { return 0, 0, false }

// learned is our rule for a mix in which each need comes so often.
func (p *Private) learned(counts []int) placer { return placer{score: p.known(counts).Growth} }

// counts is how often the list has each need.
func (p *Private) counts() []int {
	n := make([]int, len(p.needs))
	for _, i := range p.pods {
		n[i]++
	}
	return n
}

// known is the rule for a mix in which each need comes so often.
func (p *Private) known(counts []int) *policy.Fit {
	mix := make([]policy.Known, len(counts))
	for i, n := range counts {
		mix[i] = policy.Known{Need: p.needs[i], Weight: float64(n)}
	}
	return policy.NewFit(mix)
}

// loose is less, the less room is left on the devices that are not full: with the sum
// given, the squares are largest where it lies on few devices.
func loose(r policy.Room) float64 {
	var squares purser.MilliDevices
	for _, d := range r.Devices {
		squares += d * d
	}
	return -float64(squares)
}

// idle is what is free of a machine's devices.
func idle(r policy.Room) (sum purser.MilliDevices) {
	for _, d := range r.Devices {
		sum += d
	}
	return sum
}
