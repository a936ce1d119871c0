package optimizer

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"purser"
)

// build makes the plan of a packing: machines with names on them, what it costs, what is missed and why.
func (p *Problem) build(k *packing) purser.Plan {
	a := k.assemble()
	plan := purser.Plan{Status: purser.PlanFeasible, Horizon: time.Duration(p.horizon)}
	for _, in := range a.instances {
		st := &p.sites[in.site]
		l := purser.PlannedLease{Offer: st.offer, Commitment: st.under, Duration: durationOf(st.start + in.span), Placements: in.placements}
		if in.held >= 0 {
			l = p.heldLease(in.held, in)
		}
		switch {
		case len(l.Placements) == 0:
		case st.begin > 0:
			plan.Later = append(plan.Later, purser.LaterLease{PlannedLease: l, Start: p.in.Now.Add(durationOf(st.from))})
		default:
			plan.Leases = append(plan.Leases, l)
		}
	}
	for h := range p.bases {
		if len(p.bases[h].keep) > 0 && a.byHeld[h] == nil {
			plan.Leases = append(plan.Leases, p.heldLease(h, nil))
		}
	}
	for i := range plan.Leases {
		slices.SortFunc(plan.Leases[i].Placements, comparePlacements)
	}
	slices.SortStableFunc(plan.Leases, compareLeases)
	sortLater(plan.Later)
	plan.Objective, plan.ExtraCost = p.Price(plan), p.extraOf(plan)
	for i := range plan.Leases {
		plan.UnitPrice += paidRate(plan.Leases[i])
	}
	plan.Commitments = p.commitmentsUsed(plan)
	plan.CarbonGrams, plan.CarbonCost = p.carbonOf(plan)
	plan.BaselinePrice = p.baseline(plan)
	plan.Waiting = p.waiting(plan)
	plan.Unplaced = p.unplaced(a, plan)
	if len(plan.Unplaced) > 0 {
		plan.Status = purser.PlanLimit
	}
	plan.Services = p.services(plan)
	plan.Refusals = p.listRefusals()
	plan.RunnersUp = p.runnersUp(plan)
	return plan
}

// heldLease is a held lease with what stays on it and what comes.
func (p *Problem) heldLease(h int, in *instance) purser.PlannedLease {
	held, base := p.in.Held[h], p.bases[h]
	l := purser.PlannedLease{Offer: held.Lease.Offer, Held: held.Lease.ID, Commitment: held.Commitment, Duration: durationOf(base.span)}
	for _, at := range base.keep {
		l.Placements = append(l.Placements, held.Placements[at])
	}
	if in != nil {
		l.Duration = max(l.Duration, durationOf(in.span))
		l.Placements = append(l.Placements, in.placements...)
	}
	return l
}

func comparePlacements(a, b purser.Placement) int {
	return cmp.Or(cmp.Compare(a.Job, b.Job), cmp.Compare(a.Group, b.Group), cmp.Compare(a.Replica, b.Replica))
}

// compareLeases puts held leases first, and then goes by offer and load.
func compareLeases(a, b purser.PlannedLease) int {
	if (a.Held != "") != (b.Held != "") {
		if a.Held != "" {
			return -1
		}
		return 1
	}
	return cmp.Or(cmp.Compare(a.Held, b.Held), cmp.Compare(a.Offer.ID(), b.Offer.ID()), cmp.Compare(a.Commitment, b.Commitment), slices.CompareFunc(a.Placements, b.Placements, comparePlacements))
}

// Price is what a plan costs over the horizon: for each lease its price, and that of its carbon, for as long as it is needed (with a new
// machine's start-up), what each replica that comes to a machine costs beside it, a trifle for each that waits, and for each replica that runs and leaves
// its machine what moving costs.
func (p *Problem) Price(plan purser.Plan) purser.Money {
	total := p.extraOf(plan)
	stays := map[replicaName]bool{}
	for _, l := range plan.Leases {
		total += purser.Money(p.costUnder(l.Offer, l.Commitment, int64(l.Duration)))
		for _, pl := range l.Placements {
			if p.standsOn(l, pl) {
				stays[replicaName{pl.Job, pl.Group, pl.Replica}] = true
			}
		}
	}
	total += purser.Money(p.laterCost(plan.Later))
	if p.in.KeepPlacements {
		return total
	}
	for s := range p.sites {
		if p.sites[s].first < s {
			continue
		}
		for _, h := range p.sites[s].held {
			total += purser.Money(p.leaving(h, stays))
		}
	}
	return total
}

// leaving is what it costs that replicas leave a held lease, in nano-USD.
func (p *Problem) leaving(h int, stays map[replicaName]bool) int64 {
	total := int64(0)
	for _, pl := range p.in.Held[h].Placements {
		if it := p.itemOf(p.placeOf[h], pl); it >= 0 && !stays[replicaName{pl.Job, pl.Group, pl.Replica}] {
			total += p.moveWorth(p.in.Held[h].Lease.Offer, p.items[it].size)
		}
	}
	return total
}

// baseline is what each placed replica alone on its cheapest on-demand machine costs per hour.
func (p *Problem) baseline(plan purser.Plan) purser.USDPerHour {
	cache := map[string]purser.USDPerHour{}
	type key struct {
		groupKey
		variant string
	}
	known := map[key]purser.USDPerHour{}
	total := purser.USDPerHour(0)
	for _, l := range plan.Leases {
		for _, pl := range l.Placements {
			at := p.jobAt[pl.Job]
			k := key{groupKey{at, groupIndex(p.jobs[at], pl.Group)}, pl.Variant}
			price, ok := known[k]
			if !ok {
				price = p.alonePrice(&p.jobs[at].Groups[k.group], pl, cache)
				known[k] = price
			}
			if price == 0 {
				price = l.Offer.UnitPrice // nothing that is offered can serve it: it stands where it is
			}
			total += price
		}
	}
	return total
}

// alonePrice is the price of the cheapest on-demand machine that can serve a placement alone. What the group says of purchase options
// and of a price ceiling does not count here; where there is no such machine, the cheapest that the group allows does. 0: none.
func (p *Problem) alonePrice(g *purser.TaskGroup, pl purser.Placement, cache map[string]purser.USDPerHour) purser.USDPerHour {
	v := slices.IndexFunc(g.Variants, func(v purser.Variant) bool { return v.Name == pl.Variant })
	if v < 0 {
		return 0
	}
	name := fmt.Sprintf("%v|%v|%v|%v", g.Variants[v], g.Where, g.Users, g.MaxLatency)
	if price, ok := cache[name]; ok {
		return price
	}
	open := *g
	open.Where.Options, open.Where.MaxPerHour = nil, 0
	alone := &purser.TaskGroup{Kind: g.Kind, Variants: g.Variants[v : v+1], Where: purser.Where{}}
	raw := &rawGroup{group: alone, left: leftSteps, ways: []way{{group: alone}}}
	want := canonicalName(g.Variants[v].Accelerator)
	best, allowed := purser.USDPerHour(0), purser.USDPerHour(0)
	for i := range p.places {
		at := &p.places[i]
		if len(at.held) > 0 || at.begin > 0 {
			continue
		}
		if stage, _ := p.judgeVariant(raw, at, 0, want); stage < stageWhere {
			continue
		}
		price := at.offer.UnitPrice
		if at.offer.Option == purser.OnDemand && p.in.Atlas.Allows(&open, at.offer) == "" && (best == 0 || price < best) {
			best = price
		}
		if p.in.Atlas.Allows(g, at.offer) == "" && (allowed == 0 || price < allowed) {
			allowed = price
		}
	}
	if best == 0 {
		best = allowed
	}
	cache[name] = best
	return best
}
