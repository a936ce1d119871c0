package bench

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"purser"
)

// The experiment's figures, as shares of all devices: what the pods ask for that
// arrive, and after how much of that a round of moves comes, or a look at the mix; and
// the share of the pods on private machines that a round may move.
const (
	arriving   = 1.30
	movesEvery = 0.01
	learnEvery = 0.05
	mayMove    = 0.05
)

// PrivateRow is what one method came to, by seed.
type PrivateRow struct {
	List, Method string
	Allocation   []float64 // devices in use in the end, % of all devices
	Cloud        []float64 // $/h in the cloud for the pods that are on no private machine
	Nowhere      []float64 // those of them that no type of the catalogue holds, unpriced
	Moved        []float64 // most moves of a round, % of the pods on private machines
	Seconds      float64   // for all seeds, which run side by side
}

// method is a way to place pods.
type method struct {
	name   string
	by     placer
	learns bool      // the rule knows only the pods that have come so far
	worth  []float64 // of each need, for swaps; nil: nothing moves
}

// Run places pods by every method. For each seed, pods are drawn from the list with
// replacement until they ask for 130 % of the devices, and come one after the other;
// none ends. All methods get the same pods and place each that fits when it comes. The
// others go to the cloud, at the price of cloudBill; the private machines cost the same
// whatever is on them, so that price is the one that tells.
//
// The mix that FGD and "ours" know is the list. "Ours, mix learned" knows the pods that
// have come, looked at anew with each 5 % of the devices asked for. "Ours, swaps for
// devices" and "for price" have a round of moves with each 1 %, in which at most 5 % of
// the pods on private machines may move: pods there are exchanged for pods in the cloud
// that use more of the devices or, with equal use, cost more in the cloud; or only for
// those that cost more.
func (p *Private) Run(seeds int, now func() time.Time) []PrivateRow {
	methods := []method{{name: "cloud alone", by: placer{score: nothingFits}}}
	for _, by := range p.placers() {
		methods = append(methods, method{name: by.name, by: by})
	}
	ours := methods[len(methods)-1].by
	devices, price := make([]float64, len(p.needs)), make([]float64, len(p.needs))
	for i, n := range p.needs {
		price[i] = p.worth(n)
		devices[i] = float64(n.Devices) + price[i]/1e6
	}
	methods = append(methods,
		method{name: "ours, mix learned", by: p.learned(make([]int, len(p.needs))), learns: true},
		method{name: "ours, swaps for devices", by: ours, worth: devices},
		method{name: "ours, swaps for price", by: ours, worth: price},
	)
	rows := []PrivateRow{p.row("bound", seeds, now, p.bound)}
	for _, m := range methods {
		rows = append(rows, p.row(m.name, seeds, now, func(seed uint64) outcome {
			y, cloud, moved := p.play(m, p.arrivals(seed), seed)
			usd, nowhere := p.cloudBill(cloud)
			return outcome{100 * float64(y.allocated()) / float64(p.capacity()), usd, float64(nowhere), 100 * moved}
		}))
	}
	return rows
}

// outcome is one seed's part of a row.
type outcome struct{ allocation, cloud, nowhere, moved float64 }

func (p *Private) row(name string, seeds int, now func() time.Time, run func(seed uint64) outcome) PrivateRow {
	began := now()
	outcomes := make([]outcome, seeds)
	var all sync.WaitGroup
	for i := range seeds {
		all.Go(func() { outcomes[i] = run(uint64(i) + 1) })
	}
	all.Wait()
	row := PrivateRow{List: p.list, Method: name, Seconds: now().Sub(began).Seconds()}
	for _, o := range outcomes {
		row.Allocation = append(row.Allocation, o.allocation)
		row.Cloud = append(row.Cloud, o.cloud)
		row.Nowhere = append(row.Nowhere, o.nowhere)
		row.Moved = append(row.Moved, o.moved)
	}
	return row
}

// arrivals are the pods of a seed, as needs, in their order.
func (p *Private) arrivals(seed uint64) []int {
	rng := rand.New(rand.NewPCG(seed, 1))
	var out []int
	for asked, goal := 0.0, arriving*float64(p.capacity()); asked < goal; {
		need := p.pods[rng.IntN(len(p.pods))]
		asked += float64(p.needs[need].Devices)
		out = append(out, need)
	}
	return out
}

// bound is what no method passes: all devices in use, and for the devices beyond,
// the least price per device. Pods that no type holds are left out, as in the bill.
func (p *Private) bound(seed uint64) outcome {
	var asked, nowhere purser.MilliDevices
	for _, need := range p.arrivals(seed) {
		n := p.needs[need]
		asked += n.Devices
		if _, ok := p.cheapest(n); !ok {
			nowhere += n.Devices
		}
	}
	capacity := p.capacity()
	o := outcome{allocation: 100 * min(1, float64(asked)/float64(capacity))}
	if beyond := asked - nowhere - capacity; beyond > 0 {
		o.cloud = beyond.Devices() * p.perDevice()
	}
	return o
}

// play places pods in turn. It gives the private machines in the end, the pods in the
// cloud by need, and the largest share of the pods that a round moved.
func (p *Private) play(m method, pods []int, seed uint64) (y *yard, cloud []int, moved float64) {
	chance := rand.New(rand.NewPCG(seed, 2))
	y, cloud = newYard(p, m.by), make([]int, len(p.needs))
	come := make([]int, len(p.needs))
	s := newSwapper(y, cloud, m.worth)
	move, learn, asked := every(movesEvery), every(learnEvery), 0.0
	for _, need := range pods {
		asked += float64(p.needs[need].Devices) / float64(p.capacity())
		come[need]++
		if machine, device, ok := y.find(need, chance); ok {
			y.start(need, machine, device)
		} else {
			cloud[need]++
		}
		if m.learns && learn(asked) {
			y.follow(p.learned(come))
		}
		if m.worth != nil && move(asked) {
			running := float64(y.running())
			moved = max(moved, float64(s.round(int(mayMove*running)))/max(running, 1))
		}
	}
	return y, cloud, moved
}

// every says true when what it is told has reached a further multiple of a step.
func every(step float64) func(reached float64) bool {
	next := 1.0
	return func(reached float64) bool {
		if reached < next*step {
			return false
		}
		next++
		return true
	}
}

// Figures gives the row as single figures: mean, least and most of the seeds.
func (r PrivateRow) Figures() []Figure {
	var out []Figure
	for _, f := range []struct {
		unit   string
		values []float64
	}{
		{"% of the devices", r.Allocation},
		{"USD/h in the cloud", r.Cloud},
		{"pods without a place", r.Nowhere},
		{"% moved in a round, at most", r.Moved},
	} {
		mean, least, most := Spread(f.values)
		for _, s := range []struct {
			name  string
			value float64
		}{{"mean", mean}, {"least", least}, {"most", most}} {
			name := fmt.Sprintf("E6a %s, %s of %d seeds", r.List, s.name, len(f.values))
			out = append(out, Figure{Case: name, Method: r.Method, Value: s.value, Unit: f.unit, Seconds: r.Seconds})
		}
	}
	return out
}

// Spread is the mean, the least and the most of some values.
func Spread(values []float64) (mean, least, most float64) {
	for _, v := range values {
		mean += v / float64(len(values))
	}
	return mean, slices.Min(values), slices.Max(values)
}
