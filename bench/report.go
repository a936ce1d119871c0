package bench

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"purser"
	"purser/optimizer"
	"purser/optimizer/highs"
)

// Figure is one number of an experiment.
type Figure struct {
	Case    string  `json:"case"`
	Method  string  `json:"method"` // bound, ours, or a baseline's name
	Value   float64 `json:"value"`
	Unit    string  `json:"unit"`
	Seconds float64 `json:"seconds,omitempty"`
}

// Result is what one rung came to.
type Result struct {
	Jobs, Replicas, Offers, Classes int  // replicas: the least that everything needs, reserves included
	Unlike                          bool // no two jobs are alike
	Bound, Ours, NoPacking          purser.Money
	Baselines                       []Baseline
	Gap                             float64
	Seconds                         float64 // of building the problem, solving and checking, without compiling the solver
	CPUSeconds                      float64 // the same, of all cores; 0 where the system does not say
	PeakMiB                         float64 // of the process, solver included; 0 where the system does not say
	Status                          purser.PlanStatus
	Unplaced                        int
	Machines                        int
}

// Baseline is what a rule of thumb comes to, within limits and quotas.
type Baseline struct {
	Name   string
	Cost   purser.Money
	Failed bool // it found no place for everything: there is no cost
}

// Text is the cost, or a dash.
func (b Baseline) Text() string {
	if b.Failed {
		return "—"
	}
	return b.Cost.String()
}

// Name is the rung's name in tables and JSON.
func (r Result) Name() string {
	if r.Unlike {
		return fmt.Sprintf("ladder %d unlike on %d", r.Jobs, r.Offers)
	}
	return fmt.Sprintf("ladder %d on %d", r.Jobs, r.Offers)
}

// Figures gives the result as single figures.
func (r Result) Figures() []Figure {
	out := []Figure{
		{Case: r.Name(), Method: "bound", Value: r.Bound.USD(), Unit: "USD"},
		{Case: r.Name(), Method: "ours", Value: r.Ours.USD(), Unit: "USD", Seconds: r.Seconds},
		{Case: r.Name(), Method: "CPU", Value: r.CPUSeconds, Unit: "s"},
		{Case: r.Name(), Method: "no packing", Value: r.NoPacking.USD(), Unit: "USD"},
		{Case: r.Name(), Method: "gap", Value: r.Gap, Unit: "share"},
		{Case: r.Name(), Method: "peak memory", Value: r.PeakMiB, Unit: "MiB"},
	}
	for _, b := range r.Baselines {
		if b.Failed {
			continue
		}
		out = append(out, Figure{Case: r.Name(), Method: b.Name, Value: b.Cost.USD(), Unit: "USD"})
	}
	return out
}

// RunRung solves one rung within a time and checks the plan.
func RunRung(ctx context.Context, rt *highs.Runtime, l *Ladder, jobs, offers int, seed uint64, limit time.Duration, now func() time.Time) (Result, error) {
	r, err := runRung(ctx, rt, l.Rung(jobs, offers, seed), limit, now)
	r.Jobs, r.Offers = jobs, offers
	return r, err
}

// RunUnlike solves one rung of the second ladder, whose jobs are all unlike.
func RunUnlike(ctx context.Context, rt *highs.Runtime, l *Ladder, jobs, offers int, seed uint64, limit time.Duration, now func() time.Time) (Result, error) {
	r, err := runRung(ctx, rt, l.Unlike(jobs, offers, seed), limit, now)
	r.Jobs, r.Offers, r.Unlike = jobs, offers, true
	return r, err
}

func runRung(ctx context.Context, rt *highs.Runtime, in optimizer.Input, limit time.Duration, now func() time.Time) (Result, error) {
	began, cpu := now(), cpuSeconds()
	ctx, cancel := context.WithTimeout(ctx, limit-limit/25) // the rest is for the plan's explanation and its check
	defer cancel()
	p, err := optimizer.NewProblem(in)
	if err != nil {
		return Result{}, err
	}
	plan, err := optimizer.Solve(ctx, rt, p, optimizer.Options{})
	if err != nil {
		return Result{}, err
	}
	if err := optimizer.Check(p, plan); err != nil {
		return Result{}, err
	}
	r := Result{
		Replicas: p.Size().Replicas, Classes: p.Size().Classes, Bound: plan.Bound, Ours: plan.Objective, Gap: plan.Gap, Status: plan.Status,
		Seconds: now().Sub(began).Seconds(), CPUSeconds: cpuSeconds() - cpu, PeakMiB: peakMiB(), Machines: len(plan.Leases), NoPacking: noPacking(in, plan),
	}
	for _, u := range plan.Unplaced {
		r.Unplaced += u.Replicas
	}
	r.Baselines = baselines(in)
	return r, nil
}

// noPacking prices the plan's replicas with the cheapest machine of its own for
// each: what a planner pays that places one task at a time. Limits and quotas do
// not bind it, so it is below what such a planner would really pay.
func noPacking(in optimizer.Input, plan purser.Plan) purser.Money {
	type key struct {
		job   purser.JobID
		group string
	}
	price := map[key]purser.Money{}
	for _, j := range in.Jobs {
		for _, g := range j.Groups {
			price[key{j.ID, g.Name}] = cheapestAlone(in, g)
		}
	}
	var sum purser.Money
	for _, l := range plan.Leases {
		for _, p := range l.Placements {
			sum += price[key{p.Job, p.Group}]
		}
	}
	return sum
}

func cheapestAlone(in optimizer.Input, g purser.TaskGroup) purser.Money {
	best := purser.Money(-1)
	for _, v := range g.Variants {
		d := in.Horizon
		if g.Kind == purser.Training {
			d = min(d, g.RunTimeOn(v))
		}
		for _, o := range in.Offers {
			if o.Accelerator != v.Accelerator || o.Devices < v.Devices || o.MilliCPU < v.MilliCPU || o.MemoryMiB < v.MemoryMiB || o.Option == purser.Private {
				continue
			}
			if c := o.UnitPrice.For(d + optimizer.DefaultStartUp(o)); best < 0 || c < best {
				best = c
			}
		}
	}
	return max(best, 0)
}

// cpuSeconds is what the process has used so far, where Linux says it: in its own and the system's name, in hundredths of a second.
func cpuSeconds() float64 {
	b, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(b), ") ") // the command's name may hold spaces
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	own, err1 := strconv.ParseFloat(fields[11], 64)
	system, err2 := strconv.ParseFloat(fields[12], 64)
	if err1 != nil || err2 != nil {
		return 0
	}
	return (own + system) / 100
}

// peakMiB reads the process's largest resident size where Linux says it.
func peakMiB() float64 {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return 0
	}
	defer func() { _ = f.Close() }()
	for s := bufio.NewScanner(f); s.Scan(); {
		if rest, ok := strings.CutPrefix(s.Text(), "VmHWM:"); ok {
			kb, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 64)
			if err == nil {
				return kb / 1024
			}
		}
	}
	return 0
}
