package optimizer

import (
	"math"
	"time"

	"purser"
)

// How runs on machines that may be taken back are counted.
const (
	// stretchSteps is the fineness of how much longer a run takes: rounded to a 64th, so that like offers stay alike.
	stretchSteps = 64
	maxStretch   = 64 // a run that is interrupted more often than it gets on is not worth telling apart
	// hazardSteps is the fineness of hazards: so many to a factor of ten.
	hazardSteps = 4
	maxHazard   = 3600.0 // per hour
	// sureShare is the share of runs that keep their deadline.
	sureShare = 0.95
	// outage is for how long a machine that was taken back is waited for, in hours.
	outage = 10.0 / 60
	// leastCheckpoint is the least time that writing a checkpoint is taken for when the best interval is asked for, in hours.
	leastCheckpoint = 1.0 / 3600
)

// hazard is how many times per hour of running a machine of the offer is taken back, rounded up to a grid of hazardSteps to the
// decade; 0 for machines that are ours while we pay. With Input.Snapshot nothing is ever taken back.
func (p *Problem) hazard(o purser.Offer) float64 {
	if p.in.Hazard == nil || p.in.Snapshot {
		return 0
	}
	h := p.in.Hazard(o)
	if !(h > 0) {
		return 0
	}
	return math.Pow(10, math.Ceil(hazardSteps*math.Log10(min(h, maxHazard))-1e-9)/hazardSteps)
}

// gangHazard is the hazard of a run on offers of a shape: a gang stops with any of its machines, of which it needs at the least as
// many as its replicas fill.
func gangHazard(h float64, g *purser.TaskGroup, v purser.Variant, shape purser.Shape) float64 {
	replicas := int64(g.Replicas) * int64(max(v.Stages, 1))
	if h == 0 || !g.Gang || replicas <= 1 {
		return h
	}
	room, size, fit := capacityOf(shape), sizeOf(v), replicas
	for d := range size {
		if size[d] > 0 {
			fit = min(fit, room[d]/size[d])
		}
	}
	if fit < 1 {
		return h
	}
	machines := (replicas + fit - 1) / fit
	return h * float64(machines)
}

// stretch is by how much longer a run of t hours takes under a hazard, expected and with sureShare. Its run time is taken to include
// the checkpoints that it writes, so both are 1 without a hazard.
//
// A run that writes a checkpoint every τ hours, which takes δ, and starts from one in r, takes expected
//
//	t · φ(τ)/(1 + δ/τ),   φ(τ) = (1/h + r)(e^{h(τ+δ)} − 1)/τ
//
// (Daly 2006); each start reads the data anew, which takes load and is in r. One without checkpoints, or with none before its end, (1/h + r)(e^{ht} − 1). With sureShare it ends within
// t + N·(τ + r + outage), N being that quantile of the Poisson distribution with mean h·t·φ.
func stretch(t, h float64, c purser.Checkpoint, load time.Duration) (expected, sure float64) {
	if h <= 0 || t <= 0 {
		return 1, 1
	}
	write, again := c.Times()
	delta, restart := write.Hours(), (again + load).Hours()
	tau := c.Every.Hours()
	switch {
	case c.Path == "":
		tau = t
	case tau <= 0:
		tau = bestInterval(h, delta)
	}
	if tau >= t {
		tau, delta, restart = t, 0, again.Hours() // none is written before the end; t has the loading in it
	}
	expected = float64((1/h+restart)*math.Expm1(h*(tau+delta))) / (tau + delta)
	if !(expected < maxStretch) {
		return maxStretch, maxStretch
	}
	interruptions := poissonQuantile(h*t*expected, sureShare)
	return expected, min(maxStretch, 1+float64(interruptions)*(tau+restart+outage)/t)
}

// bestInterval is the interval between checkpoints with the least expected run time, h·τ = 1 + W₀(−e^{−1−hδ}), in hours, by Newton's
// method from Young's √(2δ/h).
func bestInterval(h, delta float64) float64 {
	delta = max(delta, leastCheckpoint)
	x := min(1, math.Sqrt(2*delta*h)) // h·τ; the root of x + e^{−x−hδ} = 1 in (0, 1)
	for range 50 {
		e := math.Exp(-x - h*delta)
		next := x - (x+e-1)/(1-e)
		if !(next > 0) {
			next = x / 2
		}
		if math.Abs(next-x) < 1e-12 {
			break
		}
		x = next
	}
	return x / h
}

// poissonQuantile is the least n with P(N ≤ n) ≥ share for N of the Poisson distribution with a mean.
func poissonQuantile(mean, share float64) int {
	if mean > 1000 { // far in, it is normal
		return int(math.Ceil(mean + 1.645*math.Sqrt(mean)))
	}
	p := math.Exp(-mean)
	sum := p
	n := 0
	for sum < share && n < 2000 {
		n++
		p *= mean / float64(n)
		sum += p
	}
	return n
}

// stretched makes a time in ns longer by a factor, which is rounded to a 64th.
func stretched(ns int64, factor float64, round func(float64) float64) int64 {
	steps := int64(round(float64((factor - 1) * stretchSteps)))
	return min(ns/stretchSteps*(stretchSteps+steps)+ns%stretchSteps, maxSpan)
}

// hoursOf is a time in ns in hours.
func hoursOf(ns int64) float64 { return float64(ns) / float64(time.Hour) }
