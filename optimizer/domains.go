package optimizer

import (
	"cmp"
	"slices"

	"purser"
)

// domainLevels are the levels at which an offer says where its machines lie. At the level of machines every machine is a domain of its
// own; what has to survive their loss is counted otherwise (anymachine.go).
var domainLevels = [...]purser.DomainLevel{
	purser.DomainZone, purser.DomainRegion, purser.DomainProvider, purser.DomainSite, purser.DomainSpotPool,
}

const (
	levelCount = len(domainLevels)
	zoneLevel  = 0
	// placeLevels are the first levels: those at which everything lies in some domain.
	placeLevels = 3
)

// domainIDs are the numbers of the domains that something lies in, by level.
type domainIDs [levelCount]int32

// nowhere is what a thing without domains has.
var nowhere = domainIDs{-1, -1, -1, -1, -1}

// safe is the number of what lies in no domain of a level and is never lost with one.
const safe = 0

// levelIndex is the place of a level in domainLevels, or -1.
func levelIndex(l purser.DomainLevel) int { return slices.Index(domainLevels[:], l) }

// domainTable numbers the failure domains of one level from 1.
type domainTable struct {
	index map[string]int32
	names []string
}

func newDomainTable() domainTable {
	return domainTable{index: map[string]int32{"": safe}, names: []string{""}}
}

func (t *domainTable) number(name string) int32 {
	if n, ok := t.index[name]; ok {
		return n
	}
	n := int32(len(t.names))
	t.index[name] = n
	t.names = append(t.names, name)
	return n
}

func (p *Problem) domainsOf(o purser.Offer) domainIDs {
	var d domainIDs
	for l, level := range domainLevels {
		d[l] = p.domains[l].number(o.Domain(level))
	}
	return d
}

// rated is so many replicas of a service as its need sees them.
type rated struct {
	rate   float64
	domain int32 // -1: not known, or of no account
	n      int64
	cap    float64 // above 0: of these, no machine holds a larger rate (see machineKind)
}

// load is the rate in a domain.
type load struct {
	domain int32
	rate   float64
}

// heaviest are the up to k domains with the largest rates that can be lost, the largest first, and their rates together.
func heaviest(replicas []rated, k int) (list []load, lost float64) {
	for _, r := range replicas {
		if r.domain <= safe {
			continue
		}
		at := slices.IndexFunc(list, func(l load) bool { return l.domain == r.domain })
		if at < 0 {
			at = len(list)
			list = append(list, load{domain: r.domain})
		}
		list[at].rate += r.rate * float64(r.n)
	}
	slices.SortStableFunc(list, func(a, b load) int { return cmp.Compare(b.rate, a.rate) })
	list = list[:min(k, len(list))]
	for _, l := range list {
		lost += l.rate
	}
	return list, lost
}

// sum adds up replicas and their rates.
func sum(replicas []rated) (n int64, rate float64) {
	for _, r := range replicas {
		n, rate = n+r.n, rate+r.rate*float64(r.n)
	}
	return n, rate
}

// topSum is the sum of the k largest.
func topSum(xs []float64, k int) float64 {
	sorted := slices.Sorted(slices.Values(xs))
	total := 0.0
	for i := range min(k, len(sorted)) {
		total += sorted[len(sorted)-1-i]
	}
	return total
}
