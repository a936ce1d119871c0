package app

import (
	"context"
	"errors"
	"time"

	"purser"
	"purser/jobfile"
	"purser/optimizer"
	"purser/optimizer/highs"
	"purser/pricing"
	"purser/pricing/bundled"
	"purser/pricing/csvfile"
)

// solveWithin solves and checks. When the time is up the best plan so far is the
// plan, and says so; a plan that fails its check is never given away.
func solveWithin(ctx context.Context, rt *highs.Runtime, p *optimizer.Problem, limit time.Duration) (purser.Plan, error) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	plan, err := optimizer.Solve(ctx, rt, p, optimizer.Options{})
	if err != nil {
		return plan, err
	}
	plan.SolveTime = time.Since(began)
	return plan, optimizer.Check(p, plan)
}

// PlanRequest is all that a plan without a database is made from.
type PlanRequest struct {
	Jobs     []purser.Job
	Prices   []PriceList // empty: the bundled list
	Limits   jobfile.Limits
	Horizon  time.Duration
	Carbon   CarbonRule
	Time     time.Duration // how long the optimizer may search
	CacheDir string        // of the compiled solver; empty: none
	Now      time.Time
	Progress func(string) // told each step; nil: nobody
}

// PriceList is a file of prices in the catalogue form.
type PriceList struct {
	Path     string
	Provider string // empty: from the file's name
	AsOf     time.Time
}

// collectorsOf reads price lists, or the bundled list where there are none.
func collectorsOf(lists []PriceList) ([]pricing.Collector, error) {
	if len(lists) == 0 {
		return []pricing.Collector{bundled.New()}, nil
	}
	var out []pricing.Collector
	for _, l := range lists {
		c, err := csvfile.New(csvfile.Options{Path: l.Path, Provider: l.Provider, AsOf: l.AsOf})
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// PlanResult is the plan, and the prices that were not believed.
type PlanResult struct {
	Plan        purser.Plan
	Offers      int
	Quarantined []purser.Quarantined
}

// PlanFiles makes a plan from files alone: no server and no database.
func PlanFiles(ctx context.Context, r PlanRequest) (PlanResult, error) {
	say := r.Progress
	if say == nil {
		say = func(string) {}
	}
	var out PlanResult
	collectors, err := collectorsOf(r.Prices)
	if err != nil {
		return out, err
	}
	offers := []purser.Offer{}
	for _, o := range r.Limits.Private {
		o.ValidFrom, o.ObservedAt = r.Now, r.Now
		offers = append(offers, o)
	}
	for _, c := range collectors {
		say("reading prices: " + c.Source())
		rows, err := pricing.Collect(ctx, c)
		if err != nil {
			return out, err
		}
		sifted := pricing.Sift(rows)
		offers = append(offers, sifted.Offers...)
		out.Quarantined = append(out.Quarantined, sifted.Quarantined...)
	}
	out.Offers = len(offers)
	for i := range r.Jobs {
		if r.Jobs[i].ID == "" {
			r.Jobs[i].ID = purser.JobID(r.Jobs[i].Project + "/" + r.Jobs[i].Name)
		}
	}
	problem, err := optimizer.NewProblem(optimizer.Input{
		Now: r.Now, Horizon: r.Horizon, Offers: offers, Jobs: demandInForce(r.Jobs, r.Now), Quotas: r.Limits.Quotas, Commitments: r.Limits.Commitments, Atlas: r.Limits.Atlas,
		Hazard: hazardOf(nil),
		Carbon: r.Carbon.of, CarbonPrice: purser.MoneyOf(r.Carbon.PerTonne),
	})
	if err != nil {
		return out, err
	}
	say("loading the solver")
	rt, err := highs.New(ctx, highs.Config{CacheDir: r.CacheDir})
	if err != nil {
		return out, purser.Wrap(purser.KindUnavailable, "app.PlanFiles", err)
	}
	say("solving")
	out.Plan, err = solveWithin(ctx, rt, problem, r.Time)
	out.Plan.CreatedAt = r.Now
	return out, errors.Join(err, rt.Close(context.WithoutCancel(ctx)))
}

// Solver loads the solver alone, for benchmarks.
func Solver(ctx context.Context, cacheDir string) (*highs.Runtime, error) {
	rt, err := highs.New(ctx, highs.Config{CacheDir: cacheDir})
	return rt, purser.Wrap(purser.KindUnavailable, "app.Solver", err)
}
