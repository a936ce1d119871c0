package optimizer

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"purser"
)

// reasonWords says what an offer lacks.
var reasonWords = map[purser.RefusalReason]string{
	purser.ReasonAccelerator:  "have another accelerator",
	purser.ReasonDevices:      "have too few devices",
	purser.ReasonDeviceMemory: "have too little memory on a device",
	purser.ReasonCPU:          "have too few vCPUs",
	purser.ReasonMemory:       "have too little memory",
	purser.ReasonDisk:         "have too little room on their own disks",
	purser.ReasonProvider:     "are of a provider that is not allowed",
	purser.ReasonRegion:       "lie where it may not run",
	purser.ReasonResidency:    "lie in a country where its data may not be",
	purser.ReasonOption:       "are sold in a way that is not allowed",
	purser.ReasonPriceCeiling: "cost more than the ceiling",
	purser.ReasonConfidential: "have no confidential computing",
	purser.ReasonCompliance:   "lie where its rules are not said to be complied with",
	purser.ReasonLatency:      "lie too far from its users",
	purser.ReasonQuality:      "have room for variants below the accuracy floor alone",
	purser.ReasonDeadline:     "would finish after the deadline",
	purser.ReasonLimit:        "are sold out",
	purser.ReasonQuota:        "are beyond a quota or the spend limit",
}

// refusalSentence says why no offer serves the group, commonest reason first.
func (p *Problem) refusalSentence(g *rawGroup) string {
	if len(p.in.Offers) == 0 {
		return "no offer can serve it: there are no offers"
	}
	type part struct {
		reason purser.RefusalReason
		n      int
	}
	var parts []part
	for r, n := range g.reasons {
		parts = append(parts, part{r, n})
	}
	slices.SortFunc(parts, func(a, b part) int { return cmp.Or(cmp.Compare(b.n, a.n), cmp.Compare(a.reason, b.reason)) })
	var words []string
	for _, pt := range parts {
		words = append(words, fmt.Sprintf("%d %s", pt.n, reasonWords[pt.reason]))
	}
	return fmt.Sprintf("none of %d offers can serve it: %s", len(p.in.Offers), strings.Join(words, ", "))
}

// listRefusals counts, for each task group that needs a place, the offers that cannot serve it.
func (p *Problem) listRefusals() []purser.Refusal {
	var out []purser.Refusal
	seen := map[groupKey]bool{}
	for _, g := range p.raws {
		for _, m := range g.members {
			if seen[m.key] {
				continue
			}
			seen[m.key] = true
			job := &p.jobs[m.key.job]
			out = append(out, purser.Refusal{
				Job: job.ID, Group: job.Groups[m.key.group].Name, Offers: len(p.in.Offers),
				Allowed: g.allowed, Reasons: maps.Clone(g.reasons),
			})
		}
	}
	slices.SortFunc(out, func(a, b purser.Refusal) int {
		return cmp.Or(cmp.Compare(a.Job, b.Job), cmp.Compare(a.Group, b.Group))
	})
	return out
}

// unplaced lists what the plan misses, with a sentence each.
func (p *Problem) unplaced(a *assembly, plan purser.Plan) []purser.Unplaced {
	var out []purser.Unplaced
	add := func(k groupKey, n int, reason string) {
		out = append(out, purser.Unplaced{Job: p.jobs[k.job].ID, Group: p.jobs[k.job].Groups[k.group].Name, Replicas: n, Reason: reason})
	}
	for _, h := range p.hopeless {
		for _, m := range h.raw.members {
			add(m.key, h.replicas, h.reason)
		}
	}
	soldOut := p.soldOut()
	for k, n := range a.missed {
		add(k, n, soldOut(k))
	}
	for k, n := range p.servicesShort(plan) {
		add(k, n, soldOut(k))
	}
	slices.SortFunc(out, func(a, b purser.Unplaced) int {
		return cmp.Or(cmp.Compare(a.Job, b.Job), cmp.Compare(a.Group, b.Group), cmp.Compare(a.Reason, b.Reason))
	})
	return mergeUnplaced(out)
}

// mergeUnplaced adds up the lines of one group with one reason.
func mergeUnplaced(list []purser.Unplaced) []purser.Unplaced {
	var out []purser.Unplaced
	for _, u := range list {
		if n := len(out); n > 0 && out[n-1].Job == u.Job && out[n-1].Group == u.Group && out[n-1].Reason == u.Reason {
			out[n-1].Replicas += u.Replicas
			continue
		}
		out = append(out, u)
	}
	return out
}

// soldOut says why groups that offers could serve have no place.
func (p *Problem) soldOut() func(groupKey) string {
	rawOf := map[groupKey]*rawGroup{}
	for _, g := range p.raws {
		for _, m := range g.members {
			rawOf[m.key] = g
		}
	}
	return func(k groupKey) string {
		return fmt.Sprintf("%d of %d offers could serve it, but their limits and the quotas leave no machine for it%s", rawOf[k].allowed, len(p.in.Offers), p.apartSentence(k))
	}
}

// servicesShort is how many replicas of its fastest variant each service lacks that some offers could give.
func (p *Problem) servicesShort(plan purser.Plan) map[groupKey]int {
	have := map[groupKey][]rated{}
	for i, l := range plan.Leases {
		domain := p.domainsOf(l.Offer)
		for _, pl := range l.Placements {
			at := p.jobAt[pl.Job]
			k := groupKey{at, groupIndex(p.jobs[at], pl.Group)}
			g := &p.jobs[at].Groups[k.group]
			if g.Kind != purser.Inference {
				continue
			}
			v := slices.IndexFunc(g.Variants, func(v purser.Variant) bool { return v.Name == pl.Variant })
			if v < 0 {
				continue
			}
			have[k] = append(have[k], rated{rate: rateOf(g, g.Variants[v]), n: 1, domain: needOf(g).domainOn(domain, i+1)})
		}
	}
	out := map[groupKey]int{}
	for c := range p.classes {
		cl := &p.classes[c]
		for _, m := range cl.members {
			if cl.kind == kindService && !cl.need.met(have[m.key]) {
				out[m.key] = p.shortOf(&rawGroup{group: &p.jobs[m.key.job].Groups[m.key.group]}, cl.need, have[m.key])
			}
		}
	}
	return out
}

// runnersUp names for each placed group the offer of its first replica and the cheapest other offer that could serve one alone, and
// what that would cost more than the replica's part of its machine.
func (p *Problem) runnersUp(plan purser.Plan) []purser.RunnerUp {
	type first struct {
		offer   purser.Offer
		part    purser.USDPerHour
		replica int
		used    []purser.OfferID
	}
	firsts := map[groupKey]*first{}
	for _, l := range plan.Leases {
		id, room, sum := l.Offer.ID(), capacityOf(l.Offer.Shape), int64(0)
		for _, pl := range l.Placements {
			sum += placedSize(pl).share(room)
		}
		for _, pl := range l.Placements {
			at := p.jobAt[pl.Job]
			k := groupKey{at, groupIndex(p.jobs[at], pl.Group)}
			f := firsts[k]
			if f == nil {
				f = &first{replica: pl.Replica + 1}
				firsts[k] = f
			}
			f.used = append(f.used, id)
			if pl.Replica < f.replica {
				f.offer, f.replica = l.Offer, pl.Replica
				f.part = purser.USDPerHour(int64(float64(paidRate(l)) * float64(placedSize(pl).share(room)) / float64(sum)))
			}
		}
	}
	var out []purser.RunnerUp
	for c := range p.classes {
		ranked := p.rankedPlaces(c)
		done := map[groupKey]bool{}
		for _, m := range p.classes[c].members {
			f := firsts[m.key]
			if f == nil || done[m.key] {
				continue
			}
			done[m.key] = true
			for _, at := range ranked {
				// Offers that cost less an hour were passed over since they are slower there, taken back more often, or used up.
				if o := &p.places[at].offer; o.UnitPrice >= f.part && !slices.Contains(f.used, o.ID()) {
					out = append(out, purser.RunnerUp{
						Job: p.jobs[m.key.job].ID, Group: p.jobs[m.key.job].Groups[m.key.group].Name,
						Chosen: f.offer.ID(), RunnerUp: o.ID(), ExtraCost: o.UnitPrice - f.part,
					})
					break
				}
			}
		}
	}
	slices.SortStableFunc(out, func(a, b purser.RunnerUp) int {
		return cmp.Or(cmp.Compare(a.Job, b.Job), cmp.Compare(a.Group, b.Group), cmp.Compare(a.Chosen, b.Chosen))
	})
	return slices.CompactFunc(out, func(a, b purser.RunnerUp) bool { return a.Job == b.Job && a.Group == b.Group })
}

// rankedPlaces are the offers that can serve the class, cheapest first.
func (p *Problem) rankedPlaces(c int) []int32 {
	var out []int32
	for v := range p.classes[c].variants {
		for _, at := range p.classes[c].variants[v].places {
			if len(p.places[at].held) == 0 && p.places[at].begin == 0 && p.places[at].under == "" {
				out = append(out, at)
			}
		}
	}
	slices.Sort(out)
	out = slices.Compact(out)
	slices.SortStableFunc(out, func(a, b int32) int { return cmp.Compare(p.places[a].rate, p.places[b].rate) })
	return out
}
