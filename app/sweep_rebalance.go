package app

import (
	"context"
	"log/slog"
	"time"

	"purser"
	"purser/api"
	"purser/fleet"
	"purser/policy"
	"purser/postgres"
)

// actorRebalance signs what the rebalance sweep does.
const actorRebalance = "rebalance sweep"

func (a *App) scheduledRebalance(ctx context.Context) error {
	out, err := a.rebalance(ctx, actorRebalance, false, a.config.PlanTime)
	if err == nil && len(out.Moves) > 0 {
		a.log.Info("rebalanced", slog.Int("moves", len(out.Moves)), slog.String("saving", out.Saving.String()))
	}
	return err
}

// rebalance solves the same snapshot twice: once with everything where it is, once
// with moves at their price. It moves when policy says that the difference pays.
// limit bounds each of the two searches.
func (a *App) rebalance(ctx context.Context, actor string, dryRun bool, limit time.Duration) (api.Rebalanced, error) {
	out := api.Rebalanced{DryRun: dryRun, Rehearsal: a.rehearsal, HorizonHrs: a.config.Horizon.Hours(), Moves: []api.RebalanceMove{}}
	snap, err := a.db.Snapshot(ctx)
	if err != nil {
		return out, err
	}
	if reason := cannotMove(snap); reason != "" {
		out.Reason = reason
		out.Now = priceOf(snap)
		out.After = out.Now
		return out, nil
	}
	stay, err := a.solve(ctx, snap, nil, true, limit)
	if err != nil {
		return out, err
	}
	move, err := a.solve(ctx, snap, nil, false, limit)
	if err != nil {
		return out, err
	}
	in := a.admitInput(move, snap)
	in.AllowMoves = true
	in.Gain = stay.Objective - move.Objective
	admission := fleet.Admit(in)
	out.Now, out.After, out.Saving = stay.UnitPrice, move.UnitPrice, in.Gain
	out.Pays, out.Reason = a.movePays(stay, move, snap, admission)
	if !out.Pays {
		return out, nil
	}
	out.Moves = a.moveViews(ctx, snap, admission)
	if dryRun {
		return out, nil
	}
	for i := range admission.Moves {
		admission.Moves[i].Reason = out.Reason
	}
	_, err = a.db.AdmitPlan(ctx, actor, move, admission)
	return out, err
}

// cannotMove says why there is nothing to weigh, or "".
func cannotMove(s postgres.Snapshot) string {
	if len(s.Moves) > 0 {
		return "earlier moves are still under way"
	}
	for _, t := range s.Tasks {
		if t.State == purser.TaskRunning || t.State == purser.TaskPlaced {
			return ""
		}
	}
	return "nothing runs"
}

func priceOf(s postgres.Snapshot) (sum purser.USDPerHour) {
	for _, l := range s.Leases {
		sum += l.Offer.UnitPrice
	}
	return sum
}

// movePays weighs the gain against the share of what runs that would be disturbed,
// by price.
func (a *App) movePays(stay, move purser.Plan, snap postgres.Snapshot, admission purser.Admission) (bool, string) {
	if len(admission.Moves) == 0 {
		return false, "everything runs where it is cheapest"
	}
	leases := map[purser.LeaseID]purser.Lease{}
	all := 0.0
	for _, l := range snap.Leases {
		leases[l.ID] = l
		all += l.Offer.UnitPrice.USD()
	}
	disturbed := 0.0
	for _, m := range admission.Moves {
		o := leases[m.From].Offer
		disturbed += o.UnitPrice.USD() * takes(m.Placement, o.Shape)
	}
	r := a.config.Rebalance
	if all > 0 {
		disturbed /= all
	}
	return policy.MovePays(stay.Objective, move.Objective, disturbed, policy.MoveRule{
		Threshold: r.Threshold, MinGain: purser.MoneyOf(r.MinGain), MinShare: r.MinShare,
	})
}

// takes is the largest share of a machine's room, over its dimensions, that a
// placement has.
func takes(p purser.Placement, s purser.Shape) float64 {
	share := 0.0
	for _, d := range []struct{ need, room int64 }{
		{int64(p.Devices), int64(s.Devices)}, {p.MilliCPU, s.MilliCPU}, {p.MemoryMiB, s.MemoryMiB},
	} {
		if d.room > 0 {
			share = max(share, float64(d.need)/float64(d.room))
		}
	}
	return min(1, share)
}

func (a *App) moveViews(ctx context.Context, snap postgres.Snapshot, admission purser.Admission) []api.RebalanceMove {
	offers := map[purser.LeaseID]purser.OfferID{}
	for _, l := range snap.Leases {
		offers[l.ID] = l.Offer.ID()
	}
	for _, l := range admission.Launch {
		offers[l.ID] = l.Offer.ID()
	}
	name := a.namesOf(ctx)
	out := []api.RebalanceMove{}
	for _, m := range admission.Moves {
		out = append(out, api.RebalanceMove{
			Task: m.Task, Job: name(m.Placement.Job), Group: m.Placement.Group, Replica: m.Placement.Replica, From: offers[m.From], To: offers[m.To],
		})
	}
	return out
}
