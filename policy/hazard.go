package policy

import (
	"fmt"
	"math"
	"time"

	"gonum.org/v1/gonum/stat/distuv"
)

// Hazard is what is known of a machine type's hazard in a zone: preemptions per hour
// of running. The hazard λ is gamma distributed, and preemptions come as a Poisson
// process of rate λ, so that what was seen only adds to the two parameters:
//
//	λ ~ Gamma(α, β),  α = α₀ + events,  β = β₀ + hours,  mean = α/β
//
// A hazard seen nowhere yet, which is its prior, has no events and no hours.
type Hazard struct {
	Mean   float64 `json:"mean"`   // per hour of running
	Low    float64 `json:"low"`    // λ lies within [Low, High] with 80 %: a tenth is left out at each end
	High   float64 `json:"high"`   //
	Events float64 `json:"events"` // preemptions seen, old ones counting less
	Hours  float64 `json:"hours"`  // hours of running seen, old ones counting less
	Alpha  float64 `json:"alpha"`
	Beta   float64 `json:"beta"` // hours
	Basis  string  `json:"basis"`
}

// What a prior is worth. A cloud's band is the mean over many customers and a whole
// region, so one's own zone may be far outside it: its relative half-width is widened
// by bandWidening, and held within [minSpread, maxSpread]. At the least spread the
// prior counts as much as one preemption seen; beyond the greatest its interval would
// no longer hold its mean.
const (
	bandWidening = 2
	minSpread    = 1 // standard deviation over mean, so α₀ = 1
	maxSpread    = 2 // α₀ = 1/4
)

// The band where a source says none: a preemption every 50 hours, give or take much,
// which is between what clouds publish (months) and what traces of scarce GPUs show
// (a few hours).
const (
	defaultLow  = 0
	defaultHigh = 0.04
)

// The means that are believed: from one preemption in a thousand years to one a
// second.
const (
	minMean = 1e-7
	maxMean = 3600
)

// The share of the distribution below Low and above High.
const intervalTail = 0.1

// Prior makes a prior of a source's interruption band, in preemptions per hour:
//
//	mean = (low + high)/2
//	α₀ = 1/s²,  β₀ = α₀/mean,  s = 2 · (high − low)/(high + low), within [1, 2]
//
// A band that is none (negative, upside down, not a number) gives DefaultPrior.
func Prior(low, high float64) Hazard {
	if !(low >= 0 && low <= high) || math.IsInf(high, 0) {
		return DefaultPrior()
	}
	return priorOf(low, high, fmt.Sprintf("band of %.3g to %.3g preemptions per hour", low, high))
}

// DefaultPrior is the prior where a source says nothing.
func DefaultPrior() Hazard {
	return priorOf(defaultLow, defaultHigh, "no band known")
}

func priorOf(low, high float64, basis string) Hazard {
	mean := min(max((low+high)/2, minMean), maxMean)
	half := 0.0
	if high > 0 {
		half = (high - low) / (high + low)
	}
	spread := min(max(bandWidening*half, minSpread), maxSpread)
	alpha := 1 / (spread * spread)
	return hazard(Hazard{Alpha: alpha, Beta: alpha / mean, Basis: basis})
}

// Posterior is the prior with what was seen: events preemptions in so many hours of
// running, as Observe counts them. Figures that cannot be (negative, not a number) add
// nothing, and a prior that is none, such as the zero one, is DefaultPrior.
func Posterior(prior Hazard, events, hours float64) Hazard {
	if !(prior.Alpha > 0 && prior.Beta > 0) {
		prior = DefaultPrior()
	}
	if !(events >= 0) || !(hours >= 0) || math.IsInf(events, 0) || math.IsInf(hours, 0) {
		return prior
	}
	prior.Alpha += events
	prior.Beta += hours
	prior.Events += events
	prior.Hours += hours
	return hazard(prior)
}

// hazard fills what follows from the parameters.
func hazard(h Hazard) Hazard {
	d := distuv.Gamma{Alpha: h.Alpha, Beta: h.Beta}
	h.Mean, h.Low, h.High = d.Mean(), d.Quantile(intervalTail), d.Quantile(1-intervalTail)
	return h
}

// Run is a machine's running, and whether it ended by preemption.
type Run struct {
	From      time.Time
	To        time.Time // zero: it still runs
	Preempted bool      // at To
}

// Observe counts preemptions and hours of running as of now. What is older counts
// less, halved for each halfLife of its age, so that a market that has changed is
// believed again after a few of them:
//
//	events = Σ 2^(−(now − to)/halfLife)
//	hours = Σ ∫ 2^(−(now − t)/halfLife) dt over [from, to]
//
// A halfLife of 0 or less forgets nothing. What lies after now is left out.
func Observe(runs []Run, now time.Time, halfLife time.Duration) (events, hours float64) {
	for _, r := range runs {
		to, preempted := r.To, r.Preempted && !r.To.IsZero()
		if to.IsZero() || to.After(now) {
			to, preempted = now, false
		}
		weight := weightAt(now.Sub(to), halfLife)
		if preempted {
			events += weight
		}
		if ran := to.Sub(r.From); ran > 0 {
			hours += weight * weightedHours(ran, halfLife)
		}
	}
	return events, hours
}

func weightAt(age, halfLife time.Duration) float64 {
	if halfLife <= 0 {
		return 1
	}
	return math.Exp2(-float64(age) / float64(halfLife))
}

// weightedHours is what hours of running that end now count for.
func weightedHours(ran, halfLife time.Duration) float64 {
	if halfLife <= 0 {
		return ran.Hours()
	}
	return -math.Expm1(-math.Ln2*float64(ran)/float64(halfLife)) * halfLife.Hours() / math.Ln2
}
