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
// plan takes, and frontTime the search for each.
const frontTime = 2 * time.Second

func frontShares() []float64 { return []float64{0.85, 0.7, 0.55, 0.4, 0.3, 0.2, 0.1} }

// Front plans the same work with ever nearer deadlines.
func (p plansPart) Front(ctx context.Context) (api.Front, error) {
	var out api.Front
	in, done, err := p.question(ctx, false)
	if err != nil {
		return out, err
	}
	defer done()
	cheapest, err := p.solveInput(ctx, in, p.askedTime()/3)
	if err != nil {
		return out, err
	}
	longest := optimizer.LastTraining(in, cheapest)
	if longest <= 0 {
		out.Reason = "no training is planned, so nothing could end sooner"
		return out, nil
	}
	points := []api.FrontPoint{pointOf(in, cheapest)}
	for _, share := range frontShares() {
		hastened := optimizer.Within(in, time.Duration(share*float64(longest)))
		plan, err := p.solveInput(ctx, hastened, min(frontTime, p.config.PlanTime))
		if err != nil {
			return out, err
		}
		if missed(plan) > missed(cheapest) {
			break // nearer deadlines leave out more
		}
		points = append(points, pointOf(in, plan))
	}
	out.Points = undominated(points)
	if len(out.Points) == 1 {
		out.Reason = "no other machines would have it done sooner"
	}
	return out, nil
}

func pointOf(in optimizer.Input, plan purser.Plan) api.FrontPoint {
	return api.FrontPoint{
		Hours: optimizer.LastTraining(in, plan).Hours(), Objective: plan.Objective, Bound: plan.Bound, Rate: plan.UnitPrice, Machines: len(plan.Leases),
	}
}

// undominated keeps the points that no other is at least as soon and as cheap as, the
// latest first, and says what each costs more than the cheapest.
func undominated(points []api.FrontPoint) []api.FrontPoint {
	slices.SortStableFunc(points, func(x, y api.FrontPoint) int {
		return cmp.Or(cmp.Compare(x.Objective, y.Objective), cmp.Compare(x.Hours, y.Hours))
	})
	var kept []api.FrontPoint
	for _, x := range points {
		if len(kept) == 0 || x.Hours < kept[len(kept)-1].Hours {
			x.Extra = x.Objective - points[0].Objective
			kept = append(kept, x)
		}
	}
	return kept
}
