package optimizer

import (
	"cmp"
	"math"
	"slices"
)

// alike says whether all slots have one rate, so that a configuration is a number of replicas in each domain.
func (s *configSearch) alike() bool {
	for i := range s.slots {
		if s.slots[i].rate != s.slots[0].rate {
			return false
		}
	}
	for _, r := range s.class.standing {
		if r.rate != s.slots[0].rate {
			return false
		}
	}
	return s.need.level >= 0 && s.need.failures <= 1 && len(s.slots) > 0
}

// capsTried bounds the caps that are all tried.
const capsTried = 200

// byCaps solves the case of one rate exactly: for every number m that no domain may exceed, the cheapest replicas up to m a domain,
// max(least, spare + m) of them. Above capsTried the caps where a further domain is opened are tried, and the mixtures give the bound.
func (s *configSearch) byCaps() {
	rate := s.slots[0].rate
	need := max(int64(s.heads.need), ceilDiv(s.need.rate-s.rates.total, rate)+int64(s.heads.total))
	spare := int64(s.heads.keep)
	order := make([]int, len(s.slots))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(s.slots[a].price, s.slots[b].price) })
	first := int64(1)
	if slices.ContainsFunc(s.at, func(d int) bool { return math.IsInf(s.size(d), 1) }) {
		first = 0 // all of it can lie where nothing is lost
	}
	for d, x := range s.heads.in {
		first = max(first, int64(math.Ceil(x/s.size(d)-rateSlack)))
	}
	last := max(need, spare, first)
	if last <= capsTried {
		for m := first; m <= last; m++ {
			s.withCap(m, max(need, spare+m), order)
		}
		return
	}
	for k := int64(1); k <= int64(len(s.slots))+1; k++ {
		for _, m := range []int64{(need + k - 1) / k, (spare + k - 1) / k, spare/k + 1} {
			if m >= first {
				s.withCap(m, max(need, spare+m), order)
			}
		}
	}
	if bound := s.least(&s.heads, 0); !math.IsInf(bound, 1) {
		s.lower = min(s.lower, int64(math.Min(bound*(1-1e-12), 9e18)))
	}
}

// withCap takes the cheapest replicas up to a number in all, with at most m in a domain.
func (s *configSearch) withCap(m, all int64, order []int) {
	have := int64(s.heads.total)
	if s.need.max > 0 && all > s.need.max {
		return
	}
	clear(s.counts)
	room := make([]int64, s.last+1)
	for d := range room {
		if size := s.size(d); math.IsInf(size, 1) {
			room[d] = math.MaxInt64
		} else {
			room[d] = int64(size)*m - int64(math.Ceil(s.heads.in[d]))
		}
	}
	cost := int64(0)
	for _, i := range order {
		n := min(all-have, room[s.at[i]])
		if n <= 0 {
			continue
		}
		s.counts[i] = n
		room[s.at[i]] -= n
		have += n
		cost += n * s.slots[i].price
	}
	if have >= all && cost < s.best {
		s.keepBest(cost)
	}
	clear(s.counts)
}
