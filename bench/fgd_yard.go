package bench

import (
	"math"
	"math/rand/v2"
	"slices"

	"purser"
	"purser/policy"
)

// yard is the private machines and the pods on them while they are placed by a rule.
type yard struct {
	needs  []policy.Need
	by     placer
	rooms  []policy.Room
	change []int       // how often each machine has changed
	scores [][]verdict // by need and machine
	runs   []podRun
	on     [][]int // by machine: what runs there
}

// verdict is a rule's score of one machine for one need, as of a change of the machine.
type verdict struct {
	score  float64
	device int
	change int
}

// podRun is a pod on a private machine.
type podRun struct {
	need, machine int
	devices       []int
}

func newYard(p *Private, by placer) *yard {
	y := &yard{
		needs: p.needs, by: by, rooms: slices.Clone(p.machines), on: make([][]int, len(p.machines)),
		change: make([]int, len(p.machines)), scores: make([][]verdict, len(p.needs)),
	}
	for i := range y.rooms {
		y.rooms[i].Devices = slices.Clone(y.rooms[i].Devices)
		y.change[i] = 1
	}
	return y
}

// find gives the machine and the device for a need, by the yard's rule.
func (y *yard) find(need int, rng *rand.Rand) (machine, device int, ok bool) {
	if y.scores[need] == nil {
		y.scores[need] = make([]verdict, len(y.rooms))
	}
	least, equal := math.Inf(1), 0
	for i := range y.rooms {
		v := &y.scores[need][i]
		if v.change != y.change[i] {
			score, d, fits := y.by.score(y.needs[need], y.rooms[i])
			if !fits {
				score = math.Inf(1)
			}
			*v = verdict{score, d, y.change[i]}
		}
		switch {
		case v.score < least:
			least, machine, device, equal = v.score, i, v.device, 1
		case y.by.chance && v.score == least && !math.IsInf(least, 1):
			if equal++; rng.IntN(equal) == 0 {
				machine, device = i, v.device
			}
		}
	}
	return machine, device, equal > 0
}

// start puts a pod of a need on a machine that holds it, from a device on.
func (y *yard) start(need, machine, device int) {
	id := len(y.runs)
	y.runs = append(y.runs, podRun{need: need})
	y.put(id, machine, y.rooms[machine].On(y.needs[need], device))
}

// put puts a pod that is nowhere on devices of a machine that has room for it there.
func (y *yard) put(id, machine int, devices []int) {
	r := &y.runs[id]
	r.machine, r.devices = machine, devices
	y.rooms[machine].Take(y.needs[r.need], devices)
	y.on[machine] = append(y.on[machine], id)
	y.change[machine]++
}

// lift takes a pod off its machine.
func (y *yard) lift(id int) {
	r := y.runs[id]
	y.rooms[r.machine].Give(y.needs[r.need], r.devices)
	at := slices.Index(y.on[r.machine], id)
	y.on[r.machine] = slices.Delete(y.on[r.machine], at, at+1)
	y.change[r.machine]++
}

// follow goes on by another rule.
func (y *yard) follow(by placer) {
	y.by = by
	clear(y.scores)
}

// running counts the pods on the machines.
func (y *yard) running() (n int) {
	for _, ids := range y.on {
		n += len(ids)
	}
	return n
}

// allocated is what the pods on the machines have of devices.
func (y *yard) allocated() (sum purser.MilliDevices) {
	for _, ids := range y.on {
		for _, id := range ids {
			sum += y.needs[y.runs[id].need].Devices
		}
	}
	return sum
}
