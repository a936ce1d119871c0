package bench

import (
	"context"
	"fmt"
	"time"

	"purser"
	"purser/optimizer"
	"purser/optimizer/highs"
)

// FleetRun says how E4 is run.
type FleetRun struct {
	TPOT  float64       // the objective: mean seconds per output token
	Rates []float64     // requests per second
	Limit time.Duration // for each plan
	Now   func() time.Time
}

// From reserveFrom requests per second on, a fleet is also planned with a reserve: each
// class still served in full after the loss of any one machine, and of any one zone. For
// zones it has whole engines for replicas and reserveZones zones to choose from for each
// kind of machine.
const (
	reserveFrom  = 16
	reserveZones = 8
)

// sharesPerEngine is how finely a plan without a reserve divides an engine among
// classes. Engines have 1, 2, 4, 8 or 16 devices, so that such a share is one that
// devices can be divided into.
const sharesPerEngine = 8

// Run plans the fleets of each setting and rate. The baselines:
//
//   - best single type: all on one accelerator, on the cheapest set of its machines,
//     with load that can be divided at will. Over all rates it is one accelerator.
//   - Mélange's program, which divides load at will, too. It is a lower bound for any
//     fleet; the figure "bound" is the planner's, for classes and shares as ours has them.
//
// The settings after the first also give their saving against the best single type of
// the first.
func (f *Fleet) Run(ctx context.Context, rt *highs.Runtime, r FleetRun) ([]Figure, error) {
	var out []Figure
	first := 0.0 // the best single type of the first setting, over all rates
	for i, s := range fleetSettings {
		m := f.market(s, r.TPOT)
		if len(m.offers) == 0 {
			return out, purser.Errorf(purser.KindInvalid, "bench", "no machine serves a request within %g s per token", r.TPOT)
		}
		figures, ours, single, err := m.run(ctx, rt, r)
		out = append(out, figures...)
		if err != nil {
			return out, err
		}
		if i == 0 {
			first = single
			continue
		}
		out = append(out, Figure{Case: m.title() + ", all rates", Method: savingMethod, Value: 1 - ours/first, Unit: "share, against " + fleetSettings[0].name})
	}
	return out, nil
}

const (
	ourMethod     = "ours"
	singleMethod  = "best single type"
	savingMethod  = "saving"
	melangeMethod = "Mélange's program"
)

// run gives the figures of one setting, and what ours and the best single type come to
// over all rates.
func (m *fleetMarket) run(ctx context.Context, rt *highs.Runtime, r FleetRun) (out []Figure, ours, single float64, err error) {
	total, singles := map[string]float64{}, make([]float64, len(m.engines))
	for _, rate := range r.Rates {
		if !(rate > 0 && rate <= 1e4) {
			return out, 0, 0, purser.Errorf(purser.KindInvalid, "bench", "a rate lies above 0 and at most at 10,000 requests per second, not %g", rate)
		}
		for k := range singles {
			singles[k] += m.single(k, rate)
		}
		figures, err := m.plan(ctx, rt, r, rate)
		if err != nil {
			return out, 0, 0, err
		}
		for _, f := range figures {
			total[f.Method] += f.Value
		}
		out = append(out, figures...)
	}
	name := m.title() + ", all rates"
	ours = total[ourMethod]
	single, which := m.least(singles)
	return append(out,
		Figure{Case: name, Method: melangeMethod, Value: total[melangeMethod], Unit: "USD/h"},
		Figure{Case: name, Method: ourMethod, Value: ours, Unit: "USD/h"},
		Figure{Case: name, Method: singleMethod, Value: single, Unit: "USD/h, " + which},
		Figure{Case: name, Method: savingMethod, Value: 1 - ours/single, Unit: "share"}), ours, single, nil
}

// least is the lowest cost by engine, and of which accelerator.
func (m *fleetMarket) least(costs []float64) (cost float64, which string) {
	best := 0
	for k, c := range costs {
		if c < costs[best] {
			best = k
		}
	}
	return costs[best], m.engines[best].accelerator
}

// plan gives the figures of one rate.
func (m *fleetMarket) plan(ctx context.Context, rt *highs.Runtime, r FleetRun, rate float64) ([]Figure, error) {
	name := fmt.Sprintf("%s, %g req/s", m.title(), rate)
	singles := make([]float64, len(m.engines))
	for k := range singles {
		singles[k] = m.single(k, rate)
	}
	single, which := m.least(singles)
	began := r.Now()
	divided, err := m.melange(ctx, rt, rate)
	if err != nil {
		return nil, err
	}
	took := r.Now().Sub(began).Seconds()
	routed := m.routed()
	exact, seconds, err := r.solve(ctx, rt, routed.input(rate, purser.DomainNone))
	if err != nil {
		return nil, err
	}
	ours := exact.Objective.USD()
	out := []Figure{
		{Case: name, Method: melangeMethod, Value: divided, Unit: "USD/h", Seconds: took},
		{Case: name, Method: "bound", Value: exact.Bound.USD(), Unit: "USD/h"},
		{Case: name, Method: ourMethod, Value: ours, Unit: "USD/h", Seconds: seconds},
		{Case: name, Method: "gap", Value: exact.Gap, Unit: "share"},
		{Case: name, Method: singleMethod, Value: single, Unit: "USD/h, " + which},
		{Case: name, Method: savingMethod, Value: 1 - ours/single, Unit: "share"},
	}
	if rate < reserveFrom {
		return out, nil
	}
	for _, level := range []purser.DomainLevel{purser.DomainMachine, purser.DomainZone} {
		spare, seconds, err := r.solve(ctx, rt, routed.input(rate, level))
		if err != nil {
			return nil, err
		}
		over := fmt.Sprintf(", N+1 over %ss", level)
		out = append(out,
			Figure{Case: name, Method: "bound" + over, Value: spare.Bound.USD(), Unit: "USD/h"},
			Figure{Case: name, Method: "ours" + over, Value: spare.Objective.USD(), Unit: "USD/h", Seconds: seconds},
			Figure{Case: name, Method: "reserve" + over, Value: spare.Objective.USD()/ours - 1, Unit: "share"})
	}
	return out, nil
}

// solve plans, checks, and says how long planning took.
func (r FleetRun) solve(ctx context.Context, rt *highs.Runtime, in optimizer.Input) (purser.Plan, float64, error) {
	ctx, cancel := context.WithTimeout(ctx, r.Limit)
	defer cancel()
	began := r.Now()
	p, err := optimizer.NewProblem(in)
	if err != nil {
		return purser.Plan{}, 0, err
	}
	plan, err := optimizer.Solve(ctx, rt, p, optimizer.Options{})
	if err != nil {
		return purser.Plan{}, 0, err
	}
	seconds := r.Now().Sub(began).Seconds()
	if len(plan.Unplaced) > 0 {
		u := plan.Unplaced[0]
		return purser.Plan{}, 0, purser.Errorf(purser.KindInfeasible, "bench", "requests of %s are not served: %s", u.Job, u.Reason)
	}
	return plan, seconds, optimizer.Check(p, plan)
}

// input is a service for each class of requests, with a variant for each engine that
// serves it. It prices one moment: $ per hour of what runs.
func (m *fleetMarket) input(rate float64, reserve purser.DomainLevel) optimizer.Input {
	parts, survive := purser.MilliDevices(sharesPerEngine), purser.Survive{}
	in := optimizer.Input{Snapshot: true, Offers: m.cheapest(1)}
	if reserve != purser.DomainNone {
		survive = purser.Survive{Level: reserve, Share: 1}
	}
	if reserve == purser.DomainZone {
		parts = 1
		in.Offers = m.cheapest(reserveZones)
	}
	for i, b := range m.buckets {
		g := purser.TaskGroup{Name: "serve", Kind: purser.Inference, Demand: rate * b.share, Survive: survive, Run: purser.Run{Command: "true"}}
		for _, e := range m.engines {
			if e.rates[i] > 0 {
				g.Variants = append(g.Variants, purser.Variant{
					Name: e.accelerator, Accelerator: e.accelerator, Devices: purser.MilliDevices(e.devices) * purser.OneDevice / parts,
					Throughput: e.rates[i] / float64(parts),
				})
			}
		}
		id := fmt.Sprintf("class-%d-%.0f-in-%.0f-out", i, b.in, b.out)
		in.Jobs = append(in.Jobs, purser.Job{ID: purser.JobID(id), Project: "fleet", Name: id, Groups: []purser.TaskGroup{g}})
	}
	return in
}
