package optimizer

import (
	"math"
	"slices"
	"time"

	"purser"
)

// Scenario is a change of what a plan is made from, to see what would become of it.
type Scenario struct {
	Prices []PriceFactor
	// Lost are failure domains that are gone, with the machines in them: provider, provider/region, provider/region/zone, a private site, or
	// provider/region/zone/instance_type of a spot pool.
	Lost []string
	More []Extra
}

// PriceFactor multiplies the prices of the offers that it matches. Empty fields match all.
type PriceFactor struct {
	Provider, Region, InstanceType string
	Option                         purser.PurchaseOption
	Factor                         float64
}

// dearest bounds the prices that a scenario makes, so that what many machines cost together can be counted.
const dearest purser.USDPerHour = 100_000_000_000_000

func (f PriceFactor) matches(o purser.Offer) bool {
	return (f.Provider == "" || f.Provider == o.Provider) && (f.Region == "" || f.Region == o.Region) &&
		(f.InstanceType == "" || f.InstanceType == o.InstanceType) && (f.Option == "" || f.Option == o.Option)
}

// Extra is more of a quota, in its unit and by its name, more cents an hour of a commitment by its name, or more machines of an offer whose supply ends, by its id or instance type.
// Below 0 it is less.
type Extra struct {
	Name  string
	Count int64
}

// Apply gives the changed input; the given one stays as it is. not_found: something that the scenario names is not there; invalid: a
// factor that is no price's.
func (s Scenario) Apply(in Input) (Input, error) {
	in.Offers, in.Held, in.Quotas = slices.Clone(in.Offers), slices.Clone(in.Held), slices.Clone(in.Quotas)
	in.Commitments = slices.Clone(in.Commitments)
	for _, f := range s.Prices {
		if err := f.apply(in); err != nil {
			return in, err
		}
	}
	for _, domain := range s.Lost {
		if !in.lose(domain) {
			return in, purser.Errorf(purser.KindNotFound, "optimizer.Scenario", "no offer and no machine lies in %q", domain)
		}
	}
	for _, e := range s.More {
		if !e.apply(in) {
			return in, purser.Errorf(purser.KindNotFound, "optimizer.Scenario", "%q is neither a quota, a commitment nor an offer whose supply ends", e.Name)
		}
	}
	return in, nil
}

// apply changes offers, and held spot machines, which cost what spot costs now.
func (f PriceFactor) apply(in Input) error {
	const op = "optimizer.Scenario"
	if !(f.Factor > 0) || f.Factor > 1000 {
		return purser.Errorf(purser.KindInvalid, op, "a price can be multiplied by more than 0 and at most 1000, not by %g", f.Factor)
	}
	found, tooDear := false, false
	times := func(o *purser.Offer) {
		price := math.Round(float64(o.UnitPrice) * f.Factor)
		if price > float64(dearest) {
			tooDear = true
			return
		}
		o.UnitPrice = purser.USDPerHour(price)
	}
	for i := range in.Offers {
		if f.matches(in.Offers[i]) {
			times(&in.Offers[i])
			found = true
		}
	}
	for i := range in.Held {
		if o := &in.Held[i].Lease.Offer; f.matches(*o) && o.Option == purser.Spot {
			times(o)
		}
	}
	if tooDear {
		return purser.Errorf(purser.KindInvalid, op, "no machine costs more than %s", dearest)
	}
	if !found {
		return purser.Errorf(purser.KindNotFound, op, "no offer has the price that is to be changed")
	}
	return nil
}

func (in *Input) lose(domain string) bool {
	within := func(o purser.Offer) bool {
		return domain != "" && slices.ContainsFunc(domainLevels[:], func(l purser.DomainLevel) bool { return o.Domain(l) == domain })
	}
	before := len(in.Offers) + len(in.Held)
	in.Offers = slices.DeleteFunc(in.Offers, within)
	in.Held = slices.DeleteFunc(in.Held, func(h Held) bool { return within(h.Lease.Offer) })
	return len(in.Offers)+len(in.Held) < before
}

func (e Extra) apply(in Input) bool {
	found := false
	for i := range in.Quotas {
		if q := &in.Quotas[i]; q.Name == e.Name {
			q.Limit, found = max(0, q.Limit+e.Count), true
		}
	}
	for i := range in.Commitments {
		if c := &in.Commitments[i]; c.Name == e.Name && !found {
			c.UnitPrice, found = max(c.PriceOf(1), c.UnitPrice+c.PriceOf(1000*e.Count)), true
		}
	}
	for i := range in.Offers {
		if o := &in.Offers[i]; o.Limit >= 0 && !found && (string(o.ID()) == e.Name || o.InstanceType == e.Name) {
			o.Limit, found = max(0, o.Limit+int(e.Count)), true
		}
	}
	return found
}

// Bottleneck is a limit that a plan has used up, and the step by which more of it could matter.
type Bottleneck struct {
	Extra
	Unit string // of a quota; machines of an offer
}

// Bottlenecks lists what a plan leaves no room in: quotas and commitments in which its largest machine would not fit once more, or, where it has none
// of them, the smallest that there is; and private or reserved machines of which it has used
// up the last.
func Bottlenecks(in Input, plan purser.Plan) []Bottleneck {
	var out []Bottleneck
	bought := map[purser.OfferID]int{}
	for _, l := range plan.Leases {
		if l.Held == "" {
			bought[l.Offer.ID()]++
		}
	}
	for _, o := range in.Offers {
		owned := o.Option == purser.Private || o.Option == purser.Reserved || o.Option == purser.CapacityBlock
		if owned && o.Limit >= 0 && bought[o.ID()] >= o.Limit {
			out = append(out, Bottleneck{Extra{string(o.ID()), 1}, purser.QuotaMachines})
		}
	}
	for _, q := range in.Quotas {
		used, step := int64(0), int64(0)
		for _, l := range plan.Leases {
			w := q.Weight(l.Offer)
			used, step = used+w, max(step, w)
		}
		if step == 0 {
			step = smallest(in.Offers, q)
		}
		if step > 0 && used+step > q.Limit*1000 {
			out = append(out, Bottleneck{Extra{q.Name, (step + 999) / 1000}, q.Unit})
		}
	}
	return append(out, usedUp(in, plan)...)
}

// weighed is a quota or a commitment: what a machine of an offer takes of it.
type weighed interface{ Weight(purser.Offer) int64 }

// smallest is the least that a machine takes of a quota or a commitment; 0 when none does.
func smallest(offers []purser.Offer, q weighed) (least int64) {
	for _, o := range offers {
		if w := q.Weight(o); w > 0 && (least == 0 || w < least) {
			least = w
		}
	}
	return least
}

// Within gives an input in which all training must have ended so long after Now; earlier deadlines stand. The given one stays as it is.
func Within(in Input, longest time.Duration) Input {
	by := in.Now.Add(longest)
	in.Jobs = slices.Clone(in.Jobs)
	for i := range in.Jobs {
		in.Jobs[i].Groups = slices.Clone(in.Jobs[i].Groups)
		for k := range in.Jobs[i].Groups {
			g := &in.Jobs[i].Groups[k]
			if g.Kind == purser.Training && (g.Deadline.IsZero() || g.Deadline.After(by)) {
				g.Deadline = by
			}
		}
	}
	return in
}

// LastTraining is when the last training of a plan is expected to have ended, counted from the plan's begin; 0 without any. A lease is
// needed as long as its longest training, unless it serves as well: there the run times of its training count.
func LastTraining(in Input, plan purser.Plan) (last time.Duration) {
	groups := map[purser.JobID]map[string]purser.TaskGroup{}
	for _, j := range in.Jobs {
		groups[j.ID] = map[string]purser.TaskGroup{}
		for _, g := range j.Groups {
			groups[j.ID][g.Name] = g
		}
	}
	for _, l := range plan.Leases {
		longest, serves := time.Duration(0), false
		for _, p := range l.Placements {
			g := groups[p.Job][p.Group]
			serves = serves || g.Kind == purser.Inference
			for _, v := range g.Variants {
				if g.Kind == purser.Training && v.Name == p.Variant {
					longest = max(longest, g.RunTimeOn(v))
				}
			}
		}
		if longest > 0 && !serves {
			longest = l.Duration
		}
		last = max(last, min(longest, l.Duration))
	}
	for _, l := range plan.Later {
		last = max(last, l.Start.Sub(in.Now)+l.Duration)
	}
	return last
}
