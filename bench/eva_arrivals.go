package bench

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"purser"
	"purser/optimizer/highs"
	"purser/simulator"
)

// Arrivals is E1 (b) and (c): jobs that arrive one after the other, in one simulator.
type Arrivals struct {
	Dir   string
	Seed  uint64           // of our planner's search
	Tries int              // of our planner in a round; 0: its default
	Now   func() time.Time // a clock, for how long rounds take
	Say   func(string)     // what is done by now
}

// ourDelay is what an hour's delay of a job is worth in these runs.
const ourDelay = 3

// RunJobs simulates the published 200 jobs on both catalogues, and further samples
// of the trace drawn from seeds 1 to samples: what our planner's settings do
// elsewhere. Both sides have the same catalogue: what planners see is what machines
// have, as in the published runs but for the machines' spare vCPUs.
func (a Arrivals) RunJobs(ctx context.Context, rt *highs.Runtime, samples int) ([]Figure, error) {
	var out []Figure
	for sample := range samples + 1 {
		for _, catalogue := range strings.Fields(evaCatalogues) {
			name := "E1b " + catalogue
			w, err := readEvaWorld(a.Dir, catalogue)
			if err == nil && sample > 0 {
				name += fmt.Sprintf(" sample %d", sample)
				w, err = evaSample(a.Dir, catalogue, uint64(sample)) //nolint:gosec // counted up from 0
			}
			if err != nil {
				return out, err
			}
			figures, err := a.run(ctx, rt, name, w)
			out = append(out, figures...)
			if err != nil {
				return out, err
			}
		}
	}
	return out, nil
}

// RunFull simulates all pods of the trace; see readEvaFull for mix.
func (a Arrivals) RunFull(ctx context.Context, rt *highs.Runtime, mix uint64) ([]Figure, error) {
	w, err := readEvaFull(a.Dir, evaFull, mix)
	if err != nil {
		return nil, err
	}
	name := "E1c"
	if mix > 0 {
		name += fmt.Sprintf(" mix %d", mix)
	}
	out := []Figure{{Case: name, Method: "no packing, run times alone", Value: runTimesAlone(w), Unit: "usd"}}
	if a.Tries == 0 {
		a.Tries = fullTries
	}
	figures, err := a.run(ctx, rt, name, w)
	return append(out, figures...), err
}

// fullTries are enough where 6,000 more jobs come: four times as many save 0.5 %.
const fullTries = 100

// evaFull is the catalogue of the full trace.
const evaFull = "ec2_config_virt"

// runTimesAlone is what it costs when each job has the cheapest machine of its own for
// exactly as long as it works.
func runTimesAlone(w simulator.World) float64 {
	s, sum := simulator.State{Offers: w.Offers}, purser.Money(0)
	for _, j := range w.Jobs {
		sum += w.Offers[s.Cheapest(simulator.Live{Needs: j.Needs})].UnitPrice.For(j.Work)
	}
	return sum.USD()
}

// contender is a planner with its name. Some are told how long jobs still run.
type contender struct {
	name    string
	planner simulator.Planner
	told    bool
}

func (a Arrivals) contenders() []contender {
	ours := func() *simulator.Shared {
		return &simulator.Shared{Delay: purser.USDPerHourOf(ourDelay), Tries: a.Tries, Seed: a.Seed}
	}
	return []contender{
		{"no packing", simulator.Alone{}, false},
		{"first fit", simulator.FirstFit{}, false},
		{"Stratus run-time binning, told run times", simulator.Stratus{}, true},
		{"reservation-price greedy (Eva)", &simulator.Reservation{}, false},
		{"ours", ours(), false},
		{"ours, told run times", ours(), true},
	}
}

// run simulates one world under every planner, and gives its bounds.
func (a Arrivals) run(ctx context.Context, rt *highs.Runtime, name string, w simulator.World) ([]Figure, error) {
	began := a.Now()
	bound, err := workBound(ctx, rt, w)
	if err != nil {
		return nil, err
	}
	out := []Figure{
		{Case: name, Method: "bound, at full speed", Value: fullSpeedBound(w), Unit: "usd"},
		{Case: name, Method: "bound", Value: bound, Unit: "usd", Seconds: a.Now().Sub(began).Seconds()},
	}
	for _, c := range a.contenders() {
		t := &timed{planner: c.planner, now: a.Now}
		began := a.Now()
		report, err := simulator.Run(ctx, w, t, simulator.Options{TellLeft: c.told})
		if err != nil {
			return out, fmt.Errorf("%s: %s: %w", name, c.name, err)
		}
		a.Say(fmt.Sprintf("%s: %s: %v", name, c.name, report))
		out = append(out,
			Figure{Case: name, Method: c.name, Value: report.Cost.USD(), Unit: "usd", Seconds: a.Now().Sub(began).Seconds()},
			Figure{Case: name, Method: c.name, Value: report.MeanTime.Hours(), Unit: "hours"},
			Figure{Case: name, Method: c.name + ", longest round", Value: t.longest.Seconds(), Unit: "s"})
	}
	return out, nil
}

// timed is a planner under a clock.
type timed struct {
	planner simulator.Planner
	now     func() time.Time
	longest time.Duration
	least   int // of jobs that live in the rounds that count
	until   time.Duration
}

func (t *timed) Plan(s simulator.State) (simulator.Plan, error) {
	if t.until > 0 && s.Now >= t.until {
		return nil, errEnoughRounds
	}
	began := t.now()
	p, err := t.planner.Plan(s)
	if took := t.now().Sub(began); len(s.Jobs) >= t.least {
		t.longest = max(t.longest, took)
	}
	return p, err
}

var errEnoughRounds = purser.Errorf(purser.KindConflict, "bench", "enough rounds")

// fullSpeedBound is what the work of a world costs at least when nothing slows it: the
// simple bound of RunEva with each job counted for its hours.
func fullSpeedBound(w simulator.World) float64 {
	var c packCase
	for _, o := range w.Offers {
		c.types = append(c.types, machineType{name: o.InstanceType, room: plain(o.Room()), price: o.UnitPrice})
	}
	for _, j := range w.Jobs {
		c.tasks = append(c.tasks, packTask{need: plain(j.Amount()), seconds: j.Work.Seconds()})
	}
	one, _ := c.boundsOver(func(t packTask) float64 { return t.seconds / 3600 })
	return one
}

// plain counts in devices, vCPUs and GiB.
func plain(a simulator.Amount) amount { return amount{a[0] / 1000, a[1] / 1000, a[2] / 1024} }

// RunRounds lets a thousand jobs of the full trace, of those that work for hours,
// arrive within an hour, and gives the longest of the rounds with all of them.
func (a Arrivals) RunRounds(ctx context.Context, live int) ([]Figure, error) {
	w, err := readEvaFull(a.Dir, evaFull, 0)
	if err != nil {
		return nil, err
	}
	const long, within = 3 * time.Hour, time.Hour
	w.Jobs = slices.DeleteFunc(w.Jobs, func(j simulator.Job) bool { return j.Work < long })
	pool := w.Jobs
	w.Jobs = nil
	for n := range live {
		j := pool[n*len(pool)/live]
		j.Arrives = (within * time.Duration(n) / time.Duration(live)).Truncate(time.Second)
		w.Jobs = append(w.Jobs, j)
	}
	var out []Figure
	for _, c := range a.contenders() {
		if c.name != "ours" {
			continue
		}
		t := &timed{planner: c.planner, now: a.Now, least: live, until: 2 * within}
		if _, err := simulator.Run(ctx, w, t, simulator.Options{}); err != nil && err != errEnoughRounds { //nolint:errorlint // the very value that timed gave
			return out, err
		}
		out = append(out, Figure{Case: fmt.Sprintf("E1c round at %d live jobs", live), Method: c.name, Value: t.longest.Seconds(), Unit: "s"})
	}
	return out, nil
}

// evaSample draws 200 jobs as the authors drew theirs: pods of the trace in any order,
// arrivals on average 20 minutes apart, and run times of which four in five lie
// between 32 minutes and 17 hours and the others between 17 hours and a week, even
// by their logarithm.
func evaSample(dir, catalogue string, seed uint64) (simulator.World, error) {
	w, err := readEvaFull(dir, evaFull, 0)
	if err != nil {
		return w, err
	}
	offers, err := evaOffers(dir, catalogue)
	if err != nil {
		return w, err
	}
	w.Offers = offers
	rng := rand.New(rand.NewPCG(seed, 0xe1b)) //nolint:gosec // a sample, no secret
	pods := slices.DeleteFunc(w.Jobs, func(j simulator.Job) bool {
		return !slices.ContainsFunc(offers, func(o simulator.Offer) bool { return simulator.CanRun(j.Needs, o) })
	})
	rng.Shuffle(len(pods), func(a, b int) { pods[a], pods[b] = pods[b], pods[a] })
	const jobs, apart = 200, 1200
	w.Jobs = slices.Clone(pods[:min(jobs, len(pods))])
	at := 0.0
	for i := range w.Jobs {
		at += rng.ExpFloat64() * apart
		power := 1.5 + 1.5*rng.Float64()
		if rng.Float64() > 0.8 {
			power = 3 + rng.Float64()
		}
		w.Jobs[i].Arrives = time.Duration(at) * time.Second
		w.Jobs[i].Work = time.Duration(60*math.Pow(10, power)) * time.Second
	}
	return w, nil
}
