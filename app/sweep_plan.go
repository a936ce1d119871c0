package app

import (
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"log/slog"
	"slices"
	"time"

	"purser"
	"purser/fleet"
	"purser/optimizer"
	"purser/policy"
	"purser/postgres"
)

// actorPlan signs what the plan sweep does.
const actorPlan = "plan sweep"

// resolveEvery is how often a plan is made again while work waits that no plan
// could place: prices and supply change.
const resolveEvery = time.Minute

// lastPlan remembers what the newest plan was made from, so that nothing new costs
// nothing.
type lastPlan struct {
	key     uint64
	at      time.Time
	waiting string // what it could not place or lets wait, and why
}

// nothingIn says that an admission changes nothing.
func nothingIn(a purser.Admission) bool {
	return len(a.Launch)+len(a.Sizes)+len(a.Place)+len(a.Start)+len(a.Moves)+len(a.Withdraw)+len(a.Drain)+len(a.Stop) == 0
}

// plan places what waits. Everything that runs stays where it is: moving is the
// rebalance sweep's business.
func (a *App) plan(ctx context.Context) error {
	snap, err := a.db.Snapshot(ctx)
	if err != nil {
		return err
	}
	snap.Jobs = demandInForce(snap.Jobs, a.now())
	key, waits := snapshotKey(snap)
	key += a.imports.Load() // prices that a user brought are a reason to look again
	if key == a.last.key && (!waits || a.now().Sub(a.last.at) < resolveEvery) {
		return nil
	}
	plan, err := a.solve(ctx, snap, nil, true, a.config.PlanTime)
	if err != nil {
		return err
	}
	admission := fleet.Admit(a.admitInput(plan, snap))
	waiting := waitingText(plan)
	if nothingIn(admission) && waiting == a.last.waiting {
		a.last.key, a.last.at = key, a.now()
		return nil // what stands is what the plan would have
	}
	report, err := a.db.AdmitPlan(ctx, actorPlan, plan, admission)
	switch {
	case err != nil && purser.KindOf(err) == purser.KindStale:
		a.log.Info("a newer plan was admitted first")
		return nil // another server was faster; the next sweep looks again
	case err != nil:
		return err
	}
	a.last = lastPlan{key: key, at: a.now(), waiting: waiting}
	a.metrics.gap.Set(plan.Gap)
	a.metrics.price.Set(plan.UnitPrice.USD())
	a.log.Info("plan admitted", slog.String("plan", string(plan.ID)), slog.String("status", string(plan.Status)), slog.Float64("gap", plan.Gap),
		slog.Int("launched", report.Launched), slog.Int("placed", report.Placed+report.Started), slog.Int("unplaced", len(plan.Unplaced)), slog.Int("waiting", len(plan.Waiting)), slog.Duration("solve", plan.SolveTime))
	return nil
}

// waitingText is what a plan could not place, and what it lets wait for what until when.
func waitingText(plan purser.Plan) string {
	text := ""
	if len(plan.Unplaced) > 0 {
		text = fmt.Sprint(plan.Unplaced)
	}
	for _, w := range plan.Waiting {
		text += fmt.Sprintln(w.Job, w.Group, w.Replicas, w.For, w.Offer, w.Start)
	}
	return text
}

// snapshotKey is the same for snapshots that lead to the same plan, prices aside.
// waits says that a task is in the queue.
func snapshotKey(s postgres.Snapshot) (key uint64, waits bool) {
	h := fnv.New64a()
	for _, j := range s.Jobs {
		_, _ = fmt.Fprintln(h, "job", j.ID)
		for _, g := range j.Groups {
			if g.Kind == purser.Inference {
				_, _ = fmt.Fprintln(h, g.Name, g.Demand)
			}
		}
	}
	for _, t := range s.Tasks {
		_, _ = fmt.Fprintln(h, "task", t.ID, t.State == purser.TaskQueued, t.Lease, t.Stop)
		waits = waits || t.State == purser.TaskQueued
	}
	for _, l := range s.Leases {
		_, _ = fmt.Fprintln(h, "lease", l.ID, l.State == purser.LeaseDraining)
	}
	for _, q := range s.Quotas {
		_, _ = fmt.Fprintln(h, "quota", q)
	}
	for _, f := range s.Failed {
		_, _ = fmt.Fprintln(h, "failed", f.Offer, f.At)
	}
	return h.Sum64(), waits
}

// solve makes a plan from a snapshot, and checks it with code that knows no solver.
// more are jobs that are planned beside what is there. keep leaves what runs where
// it is. limit bounds the search.
func (a *App) solve(ctx context.Context, snap postgres.Snapshot, more []purser.Job, keep bool, limit time.Duration) (purser.Plan, error) {
	in, err := a.inputNow(ctx, snap, more, keep)
	if err != nil {
		return purser.Plan{}, err
	}
	plan, err := a.solveInput(ctx, in, limit)
	if err != nil {
		return purser.Plan{}, err
	}
	plan.ID, plan.CreatedAt, plan.Rehearsal = purser.PlanID(postgres.NewID("plan", a.now())), snap.At, a.rehearsal
	plan.Setbacks = setbacks(snap.Failed, a.now())
	return plan, nil
}

// inputNow is what a plan is made from now.
func (a *App) inputNow(ctx context.Context, snap postgres.Snapshot, more []purser.Job, keep bool) (optimizer.Input, error) {
	a.refreshOwn(ctx)
	offers, err := a.db.Offers(ctx, postgres.OfferFilter{})
	if err != nil {
		return optimizer.Input{}, err
	}
	offers, err = a.affordable(ctx, a.usable(leftOf(offers, snap.Leases)))
	if err != nil {
		return optimizer.Input{}, err
	}
	in := a.input(snap, offers, keep)
	in.Jobs = demandInForce(append(in.Jobs, more...), in.Now)
	return in, nil
}

func (a *App) solveInput(ctx context.Context, in optimizer.Input, limit time.Duration) (purser.Plan, error) {
	problem, err := optimizer.NewProblem(in)
	if err != nil {
		return purser.Plan{}, err
	}
	return solveWithin(ctx, a.solver, problem, limit)
}

// input turns a snapshot into the optimizer's words.
func (a *App) input(snap postgres.Snapshot, offers []purser.Offer, keep bool) optimizer.Input {
	now := a.now()
	price := map[purser.OfferID]purser.USDPerHour{}
	for _, o := range offers {
		price[o.ID()] = o.UnitPrice
	}
	offers = slices.DeleteFunc(offers, func(o purser.Offer) bool {
		return slices.ContainsFunc(snap.Failed, func(f postgres.FailedOffer) bool {
			return f.Offer == o.ID() && !f.Ran && policy.CoolingDown(f.Kind, f.At, now)
		})
	})
	in := optimizer.Input{Now: now, Horizon: a.config.Horizon, Offers: offers, Jobs: snap.Jobs, KeepPlacements: keep, StartUp: a.startUp, Hazard: hazardOf(snap.Hazards)}
	in.Carbon, in.CarbonPrice = a.config.Carbon.of, purser.MoneyOf(a.config.Carbon.PerTonne)
	in.Held = heldLeases(snap, price)
	in.Atlas = a.limits.Atlas
	in.Needs = needs(snap, in.Held, now)
	for _, s := range snap.Stages {
		in.Stages = append(in.Stages, optimizer.Stage{Job: s.Job, Group: s.Group, Outputs: s.Places})
	}
	// What stands in for machines is bounded.
	limit := purser.Quota{Name: "machines of this host", Unit: purser.QuotaMachines, Limit: int64(max(0, a.config.MaxMachines))}
	if !a.rehearsal {
		limit.Provider = localHolder
	}
	in.Quotas = slices.Concat(snap.Quotas, a.limits.Quotas, []purser.Quota{limit}, a.market.quotas())
	if q, ok := a.config.spendQuota(); ok {
		in.Quotas = append(in.Quotas, q)
	}
	ending := unheld(snap.Leases, in.Held)
	for i, q := range in.Quotas {
		in.Quotas[i].Limit = max(0, q.Limit-(taken(q, ending)+999)/1000)
	}
	a.commit(&in, ending)
	return in
}

// unheld are the leases that a plan does not count on, and whose machines are still
// there: they end, or what runs on them does.
func unheld(leases []purser.Lease, held []optimizer.Held) []purser.Lease {
	return slices.DeleteFunc(slices.Clone(leases), func(l purser.Lease) bool {
		return slices.ContainsFunc(held, func(h optimizer.Held) bool { return h.Lease.ID == l.ID })
	})
}

// maxSetbacks bounds what a plan tells of the hour before it.
const maxSetbacks = 50

// setbacks are what came to nothing before a plan, the newest first.
func setbacks(failed []postgres.FailedOffer, now time.Time) []purser.Setback {
	var out []purser.Setback
	for _, f := range failed[:min(len(failed), maxSetbacks)] {
		b := purser.Setback{Lease: f.Lease, Offer: f.Offer, Reason: f.Reason, At: f.At}
		if !f.Ran && policy.CoolingDown(f.Kind, f.At, now) {
			b.Until = f.At.Add(policy.CoolDown(f.Kind))
		}
		out = append(out, b)
	}
	return out
}

// startUp is how long a machine is paid for before it works. A process that stands
// in for one is there at once.
func (a *App) startUp(o purser.Offer) time.Duration {
	if a.rehearsal || o.Provider == localHolder {
		return 0
	}
	for _, k := range kindsOfProvider() {
		if k.name == o.Provider {
			return cmp.Or(a.config.Providers[k.name].StartUp, k.startUp)
		}
	}
	return 0
}

// heldLeases are the leases that stand, with what runs on them or is on its way to
// them. A spot lease costs what spot costs now.
func heldLeases(snap postgres.Snapshot, price map[purser.OfferID]purser.USDPerHour) []optimizer.Held {
	live := map[purser.JobID]bool{}
	for _, j := range snap.Jobs {
		live[j.ID] = true
	}
	on := map[purser.LeaseID][]purser.Placement{}
	ending := map[purser.LeaseID]purser.Shape{} // room that tasks of cancelled jobs still have
	for _, t := range snap.Tasks {
		switch s := ending[t.Lease]; {
		case t.Lease == "":
		case !live[t.Job]:
			s.Devices, s.MilliCPU, s.MemoryMiB = s.Devices+t.Devices, s.MilliCPU+t.MilliCPU, s.MemoryMiB+t.MemoryMiB
			ending[t.Lease] = s
		default:
			on[t.Lease] = append(on[t.Lease], purser.Placement{
				Job: t.Job, Group: t.Group, Replica: t.Replica, Variant: t.Variant, Devices: t.Devices, MilliCPU: t.MilliCPU, MemoryMiB: t.MemoryMiB,
			})
		}
	}
	var held []optimizer.Held
	for _, l := range snap.Leases {
		if l.State == purser.LeaseDraining {
			continue
		}
		if p, ok := price[l.Offer.ID()]; ok && l.Offer.Option == purser.Spot {
			l.Offer.UnitPrice = p
		}
		if s, ok := ending[l.ID]; ok && (s.Devices >= l.Offer.Devices || len(on[l.ID]) == 0) {
			continue // nothing of it can be counted on yet
		} else if ok {
			l.Offer.Devices, l.Offer.MilliCPU, l.Offer.MemoryMiB = l.Offer.Devices-s.Devices, max(0, l.Offer.MilliCPU-s.MilliCPU), max(0, l.Offer.MemoryMiB-s.MemoryMiB)
		}
		held = append(held, optimizer.Held{Lease: l, Placements: on[l.ID]})
	}
	return held
}

// needs says which replicas of training groups want a place: those in the queue,
// and those that run on a lease that stands. What runs on a draining lease comes
// back to the queue by itself.
func needs(snap postgres.Snapshot, held []optimizer.Held, now time.Time) []optimizer.Need {
	standing := map[purser.LeaseID]bool{}
	for _, h := range held {
		standing[h.Lease.ID] = true
	}
	groups := map[string]purser.TaskGroup{}
	byGroup := map[string]*optimizer.Need{}
	var order []string
	for _, j := range snap.Jobs {
		for _, g := range j.Groups {
			if g.Kind == purser.Training {
				k := string(j.ID) + "/" + g.Name
				groups[k] = g
				order = append(order, k)
				byGroup[k] = &optimizer.Need{Job: j.ID, Group: g.Name, Replicas: []int{}, Left: map[int]float64{}}
			}
		}
	}
	live := map[string][]purser.Task{}
	for _, t := range snap.Tasks {
		k := string(t.Job) + "/" + t.Group
		n := byGroup[k]
		live[k] = append(live[k], t)
		if n == nil || t.Stop || (t.State != purser.TaskQueued && !standing[t.Lease]) {
			continue
		}
		n.Replicas = append(n.Replicas, t.Replica)
		if left := shareLeft(groups[k], t, now); left < 1 {
			n.Left[t.Replica] = left
		}
	}
	out := make([]optimizer.Need, 0, len(order))
	for _, k := range order {
		if groups[k].Varies() {
			byGroup[k].World = purser.WorldOf(live[k])
		}
		out = append(out, *byGroup[k])
	}
	return out
}

// shareLeft is the share of a task's run that is still before it: by its own word,
// else by the time that it has run.
func shareLeft(g purser.TaskGroup, t purser.Task, now time.Time) float64 {
	done := t.Progress
	if done == 0 && t.State == purser.TaskRunning && !t.StartedAt.IsZero() {
		for _, v := range g.Variants {
			if whole := g.AsRun(t).RunTimeOn(v); v.Name == t.Variant && whole > 0 {
				done = float64(now.Sub(t.StartedAt)) / float64(whole)
			}
		}
	}
	if t.State == purser.TaskQueued && t.Checkpoint == "" {
		done = 0
	}
	return min(1, max(1-done, 1.0/32))
}

func (a *App) admitInput(plan purser.Plan, snap postgres.Snapshot) fleet.AdmitInput {
	return fleet.AdmitInput{
		Plan: plan, At: a.now(), Jobs: snap.Jobs, Tasks: snap.Tasks, Leases: snap.Leases, Moves: snap.Moves,
		Hold:  a.hold,
		NewID: func(prefix string) string { return postgres.NewID(prefix, a.now()) },
	}
}

// hold says who launches an offer: its provider where that is enabled, else a process
// of this host. The operator's own hosts are real in rehearsal too.
func (a *App) hold(o purser.Offer) fleet.Holding {
	if _, ok := a.providers[o.Provider]; ok && o.Provider != localHolder {
		return fleet.Holding{Holder: o.Provider}
	}
	return fleet.Holding{Holder: localHolder, Host: a.host, Rehearsal: a.rehearsal && o.Option != purser.Private}
}
