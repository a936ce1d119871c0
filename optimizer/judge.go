package optimizer

import (
	"math"

	"purser"
)

// judge writes bound, gap and status into the plan.
func (s *search) judge(plan *purser.Plan) {
	plan.Bound = min(purser.Money(max(s.bound, 0)), plan.Objective)
	plan.Gap = gapOf(plan.Objective, plan.Bound)
	plan.CutByTime = s.cut
	switch {
	case len(s.p.hopeless) > 0 || (s.lacks && len(plan.Unplaced) > 0):
		plan.Status = purser.PlanInfeasible
	case len(plan.Unplaced) > 0:
		plan.Status = purser.PlanLimit
	case plan.Gap <= provenGap:
		plan.Status = purser.PlanOptimal
	default:
		plan.Status = purser.PlanFeasible
	}
}

// choose takes the plan with moves only when it places more, or saves at least the least gain. The bound of the problem with moves holds
// for both.
func (p *Problem) choose(stay, move purser.Plan) purser.Plan {
	stay.Objective, stay.ExtraCost = p.Price(stay), p.extraOf(stay)
	less := countUnplaced(move) < countUnplaced(stay)
	gain := float64(stay.Objective - move.Objective)
	if less || (countUnplaced(move) == countUnplaced(stay) && gain >= math.Max(p.minGain*float64(stay.Objective), 1)) {
		return move
	}
	stay.Bound = min(move.Bound, stay.Objective)
	stay.Gap = gapOf(stay.Objective, stay.Bound)
	if stay.Status == purser.PlanOptimal || stay.Status == purser.PlanFeasible {
		stay.Status = purser.PlanFeasible
		if stay.Gap <= provenGap {
			stay.Status = purser.PlanOptimal
		}
	}
	stay.CutByTime = move.CutByTime
	stay.Refusals = p.listRefusals()
	stay.RunnersUp = p.runnersUp(stay)
	return stay
}

func countUnplaced(plan purser.Plan) int {
	n := 0
	for _, u := range plan.Unplaced {
		n += u.Replicas
	}
	return n
}
