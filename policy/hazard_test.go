package policy

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"gonum.org/v1/gonum/stat/distuv"
	"pgregory.net/rapid"
)

// monthly is the hazard of a share that is preempted within a month.
func monthly(share float64) float64 { return -math.Log(1-share) / 730 }

func TestPrior(t *testing.T) {
	for name, c := range map[string]struct {
		low, high, mean, alpha float64
	}{
		"below 5 % a month":   {0, monthly(0.05), monthly(0.05) / 2, 0.25},
		"5 to 10 % a month":   {monthly(0.05), monthly(0.10), (monthly(0.05) + monthly(0.10)) / 2, 1},
		"wide":                {0.1, 0.9, 0.5, 1 / (1.6 * 1.6)},
		"a point":             {0.01, 0.01, 0.01, 1},
		"none ever":           {0, 0, minMean, 1},
		"all the time":        {1e9, 1e9, maxMean, 1},
		"no number":           {math.NaN(), 1, 0.02, 0.25},
		"no number above":     {0, math.NaN(), 0.02, 0.25},
		"negative":            {-1, 1, 0.02, 0.25},
		"upside down":         {2, 1, 0.02, 0.25},
		"without end":         {0, math.Inf(1), 0.02, 0.25},
		"infinite throughout": {math.Inf(1), math.Inf(1), 0.02, 0.25},
	} {
		h := Prior(c.low, c.high)
		if math.Abs(h.Mean-c.mean) > 1e-12*c.mean || math.Abs(h.Alpha-c.alpha) > 1e-12 || h.Events != 0 || h.Hours != 0 || h.Basis == "" {
			t.Errorf("%s: %+v, want mean %g and α %g", name, h, c.mean, c.alpha)
		}
	}
	if h := DefaultPrior(); h != Prior(math.NaN(), 0) || h.Basis != "no band known" || h.Mean != 0.02 {
		t.Errorf("the default prior is %+v", h)
	}
}

// Against half the quantiles of chi-squared with 8 degrees of freedom, out of tables.
func TestPosteriorInterval(t *testing.T) {
	h := Posterior(Hazard{Alpha: 1, Beta: 50}, 3, 150)
	if h.Mean != 0.02 || h.Events != 3 || h.Hours != 150 || math.Abs(h.Low-1.744770/200) > 1e-8 || math.Abs(h.High-6.680783/200) > 1e-8 {
		t.Errorf("Gamma(4, 200): %+v", h)
	}
	before := DefaultPrior()
	if h := Posterior(Hazard{}, 1, 10); h != Posterior(before, 1, 10) {
		t.Errorf("the zero prior gives %+v", h)
	}
	for _, c := range [][2]float64{{-1, 1}, {1, -1}, {math.NaN(), 1}, {1, math.NaN()}, {math.Inf(1), 1}, {1, math.Inf(1)}} {
		if h := Posterior(before, c[0], c[1]); h != before {
			t.Errorf("%v events in %v hours give %+v", c[0], c[1], h)
		}
	}
}

func drawPrior(t *rapid.T) Hazard {
	if rapid.Bool().Draw(t, "no band") {
		return DefaultPrior()
	}
	low := math.Pow(10, rapid.Float64Range(-6, 1).Draw(t, "log low"))
	if rapid.Bool().Draw(t, "from 0") {
		low = 0
	}
	return Prior(low, low+math.Pow(10, rapid.Float64Range(-6, 1).Draw(t, "log width")))
}

func TestHazardLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		prior := drawPrior(t)
		events := rapid.OneOf(rapid.Just(0.0), rapid.Float64Range(0, 1e5)).Draw(t, "events")
		hours := rapid.OneOf(rapid.Just(0.0), rapid.Float64Range(0, 1e7)).Draw(t, "hours")
		h := Posterior(prior, events, hours)
		for _, x := range []Hazard{prior, h} {
			if !(x.Low >= 0 && x.Low < x.Mean && x.Mean < x.High) || math.IsInf(x.High, 0) || x.Basis == "" {
				t.Fatalf("the interval does not hold the mean: %+v", x)
			}
			d := distuv.Gamma{Alpha: x.Alpha, Beta: x.Beta}
			if p := d.CDF(x.High) - d.CDF(x.Low); math.Abs(p-0.8) > 1e-6 {
				t.Fatalf("the interval holds %g of %+v", p, x)
			}
		}
		more := rapid.Float64Range(0.01, 1e4).Draw(t, "more")
		if worse := Posterior(prior, events+more, hours); worse.Mean <= h.Mean || worse.Low <= h.Low || worse.High <= h.High {
			t.Fatalf("%g more preemptions turn %+v into %+v", more, h, worse)
		}
		if quieter := Posterior(prior, events, hours+(h.Beta*more)); quieter.Mean >= h.Mean || quieter.High >= h.High {
			t.Fatalf("more quiet hours turn %+v into %+v", h, quieter)
		}
		// The same rate seen for longer leaves the mean and narrows the interval.
		surer := Posterior(h, more, more/h.Mean)
		if math.Abs(surer.Mean-h.Mean) > 1e-9*h.Mean || surer.High-surer.Low >= h.High-h.Low {
			t.Fatalf("%g more events at the same rate turn %+v into %+v", more, h, surer)
		}
		// What is seen in two parts is what is seen at once.
		twice := Posterior(Posterior(prior, events/2, hours/4), events/2, hours*3/4)
		if math.Abs(twice.Mean-h.Mean) > 1e-9*h.Mean || math.Abs(twice.High-h.High) > 1e-6*h.High {
			t.Fatalf("in two parts %+v, at once %+v", twice, h)
		}
	})
}

// The interval holds the true hazard as often as it says when hazards are as the
// prior has them.
func TestIntervalIsCalibrated(t *testing.T) {
	for name, prior := range map[string]Hazard{
		"default": DefaultPrior(), "below 5 % a month": Prior(0, monthly(0.05)), "5 to 10 % a month": Prior(monthly(0.05), monthly(0.10)), "daily": Prior(0.02, 0.08),
	} {
		src := rand.New(rand.NewPCG(7, 11))
		held, n := 0, 4000
		for i := range n {
			truth := distuv.Gamma{Alpha: prior.Alpha, Beta: prior.Beta, Src: src}.Rand()
			hours := prior.Beta * math.Pow(10, float64(i%5)-2) // from hardly any to much
			events := 0.0
			if truth*hours > 0 {
				events = distuv.Poisson{Lambda: truth * hours, Src: src}.Rand()
			}
			if h := Posterior(prior, events, hours); h.Low <= truth && truth <= h.High {
				held++
			}
		}
		if share := float64(held) / float64(n); share < 0.77 || share > 0.83 {
			t.Errorf("%s: the 80 %% interval held the hazard in %.3f of %d cases", name, share, n)
		}
	}
}

func TestObserve(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	ago := func(h float64) time.Time { return now.Add(-time.Duration(h * float64(time.Hour))) }
	for name, c := range map[string]struct {
		runs          []Run
		halfLife      time.Duration
		events, hours float64
	}{
		"nothing":                {nil, time.Hour, 0, 0},
		"nothing is forgotten":   {[]Run{{ago(1000), ago(990), true}, {ago(5), ago(2), false}}, 0, 1, 13},
		"preempted now":          {[]Run{{ago(10), now, true}}, 0, 1, 10},
		"one half-life ago":      {[]Run{{ago(24), ago(24), true}}, 24 * time.Hour, 0.5, 0},
		"two half-lives ago":     {[]Run{{ago(48), ago(48), true}}, 24 * time.Hour, 0.25, 0},
		"since ever":             {[]Run{{ago(100000), now, false}}, 24 * time.Hour, 0, 24 / math.Ln2},
		"the last half-life":     {[]Run{{ago(24), now, false}}, 24 * time.Hour, 0, 12 / math.Ln2},
		"the one before":         {[]Run{{ago(48), ago(24), true}}, 24 * time.Hour, 0.5, 6 / math.Ln2},
		"still running":          {[]Run{{From: ago(3)}}, 0, 0, 3},
		"still running, by slip": {[]Run{{From: ago(3), Preempted: true}}, 0, 0, 3},
		"ends after now":         {[]Run{{ago(3), now.Add(time.Hour), true}}, 0, 0, 3},
		"begins after now":       {[]Run{{now.Add(time.Hour), now.Add(2 * time.Hour), true}, {From: now.Add(time.Hour)}}, 0, 0, 0},
		"ends before it begins":  {[]Run{{ago(2), ago(3), true}}, 0, 1, 0},
		"a moment, long ago":     {[]Run{{ago(1e6), ago(1e6 - 1), true}}, time.Hour, 0, 0},
	} {
		events, hours := Observe(c.runs, now, c.halfLife)
		if math.Abs(events-c.events) > 1e-12 || math.Abs(hours-c.hours) > 1e-9 {
			t.Errorf("%s: %g events in %g hours, want %g in %g", name, events, hours, c.events, c.hours)
		}
	}
}

// Cutting a run in two changes nothing, and time that passes makes all of it count
// less by the same factor.
func TestObserveLaws(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		span := func(name string) time.Duration {
			return time.Duration(rapid.Int64Range(1, int64(1000*time.Hour)).Draw(t, name))
		}
		end, length, halfLife := now.Add(-span("age")), span("length"), span("half-life")
		run := Run{From: end.Add(-length), To: end, Preempted: rapid.Bool().Draw(t, "preempted")}
		middle := run.From.Add(time.Duration(rapid.Int64Range(0, int64(length)).Draw(t, "cut")))
		events, hours := Observe([]Run{run}, now, halfLife)
		inTwo, hoursInTwo := Observe([]Run{{From: run.From, To: middle}, {From: middle, To: run.To, Preempted: run.Preempted}}, now, halfLife)
		if inTwo != events || math.Abs(hoursInTwo-hours) > 1e-9*hours+1e-300 {
			t.Fatalf("%g events in %g hours at once, %g in %g in two parts", events, hours, inTwo, hoursInTwo)
		}
		if full := length.Hours(); hours < 0 || hours > full*(1+1e-12) {
			t.Fatalf("%g hours of running count as %g", full, hours)
		}
		later, laterHours := Observe([]Run{run}, now.Add(halfLife), halfLife)
		if math.Abs(later-events/2) > 1e-9*events+1e-300 || math.Abs(laterHours-hours/2) > 1e-9*hours+1e-300 {
			t.Fatalf("%g and %g, a half-life later %g and %g", events, hours, later, laterHours)
		}
	})
}
