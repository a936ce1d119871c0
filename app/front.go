package app

import (
	"cmp"
	"context"
	"slices"
	"time"

	"purser"
	"purser/api"
	"purser/optimizer"
)

// frontShares are the deadlines that are tried, as shares of the time that the cheapest
// plan takes, frontPrices the prices of a tonne of carbon in USD, and frontTime the search
// for each.
const frontTime = 2 * time.Second

func frontShares() []float64 { return []float64{0.85, 0.7, 0.55, 0.4, 0.3, 0.2, 0.1} }

func frontPrices() []float64 { return []float64{50, 150, 500, 1500, 5000, 20_000, 100_000} }

// Front plans the same work with ever nearer deadlines, or with ever dearer carbon.
func (p plansPart) Front(ctx context.Context, against string) (api.Front, error) {
	in, done, err := p.question(ctx, false)
	if err != nil {
		return api.Front{}, err
	}
	defer done()
	cheapest, err := p.solveInput(ctx, in, p.askedTime()/3)
	if err != nil {
		return api.Front{}, err
	}
	if against == api.AgainstCarbon {
		return p.carbonFront(ctx, in, cheapest)
	}
	return p.timeFront(ctx, in, cheapest)
}

func (p plansPart) timeFront(ctx context.Context, in optimizer.Input, cheapest purser.Plan) (api.Front, error) {
	longest := optimizer.LastTraining(in, cheapest)
	if longest <= 0 {
		return api.Front{Reason: "no training is planned, so nothing could end sooner"}, nil
	}
	points := []api.FrontPoint{pointOf(in, cheapest)}
	for _, share := range frontShares() {
		plan, err := p.solveInput(ctx, optimizer.Within(in, time.Duration(share*float64(longest))), min(frontTime, p.config.PlanTime))
		if err != nil {
			return api.Front{}, err
		}
		if missed(plan) > missed(cheapest) {
			break // nearer deadlines leave out more
		}
		points = append(points, pointOf(in, plan))
	}
	out := api.Front{Points: undominated(points, func(x api.FrontPoint) float64 { return x.Hours })}
	if len(out.Points) == 1 {
		out.Reason = "no other machines would have it done sooner"
	}
	return out, nil
}

func (p plansPart) carbonFront(ctx context.Context, in optimizer.Input, now purser.Plan) (api.Front, error) {
	if len(now.Leases) == 0 {
		return api.Front{Reason: "nothing is planned, so nothing could take less carbon"}, nil
	}
	points := []api.FrontPoint{pointOf(in, now)}
	for _, perTonne := range append([]float64{0}, frontPrices()...) {
		in.CarbonPrice = purser.MoneyOf(perTonne)
		plan, err := p.solveInput(ctx, in, min(frontTime, p.config.PlanTime))
		if err != nil {
			return api.Front{}, err
		}
		if missed(plan) > missed(now) {
			continue // it was cut short
		}
		points = append(points, pointOf(in, plan))
	}
	out := api.Front{Points: undominated(points, func(x api.FrontPoint) float64 { return x.CarbonKg })}
	if len(out.Points) == 1 {
		out.Reason = "no other machines would take less carbon"
	}
	return out, nil
}

func pointOf(in optimizer.Input, plan purser.Plan) api.FrontPoint {
	return api.FrontPoint{
		Hours: optimizer.LastTraining(in, plan).Hours(), CarbonKg: plan.CarbonGrams / 1000, Objective: plan.Objective - plan.CarbonCost,
		Bound: plan.Bound, Rate: plan.UnitPrice, Machines: len(plan.Leases),
	}
}

// undominated keeps the points that no other is at least as good and as cheap as, the
// cheapest first, and says what each costs more than that.
func undominated(points []api.FrontPoint, measure func(api.FrontPoint) float64) []api.FrontPoint {
	slices.SortStableFunc(points, func(x, y api.FrontPoint) int {
		return cmp.Or(cmp.Compare(x.Objective, y.Objective), cmp.Compare(measure(x), measure(y)))
	})
	var kept []api.FrontPoint
	for _, x := range points {
		if len(kept) == 0 || measure(x) < measure(kept[len(kept)-1]) {
			x.Extra = x.Objective - points[0].Objective
			kept = append(kept, x)
		}
	}
	return kept
}
