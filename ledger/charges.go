package ledger

import (
	"cmp"
	"slices"
	"time"

	"purser"
)

// Input is one lease and all that its charges over [From, To) depend on.
type Input struct {
	Lease     purser.Lease
	Tasks     []purser.Task       // every task that ever was on the lease, ended or not
	Prices    []purser.PricePoint // spot: of its offer, with the one in force at the start; others: not looked at
	ListPrice purser.USDPerHour   // of the same machine on demand; 0 when not known
	Committed purser.USDPerHour   // what it takes of the commitment that it runs under; 0: it runs under none
	Projects  map[purser.JobID]string
	From, To  time.Time
}

// Charges gives the lines of [From, To), cut to the time that the lease is charged
// for, in the order of time and, within an interval, of task ids with idle room
// last. Windows that follow one another give charges that follow one another.
func Charges(in Input) []purser.Charge {
	begin, end := span(in.Lease)
	from, to := latest(second(in.From), begin), earliest(second(in.To), end)
	if in.Lease.RunningAt.IsZero() || !from.Before(to) {
		return nil
	}
	held := presences(in)
	var out []purser.Charge
	for _, p := range priced(in, begin) {
		lo, hi := latest(from, p.begin), to
		if !p.end.IsZero() {
			hi = earliest(hi, p.end)
		}
		for lo.Before(hi) {
			next := nextChange(held, lo, hi)
			out = append(out, lines(in, p, held, lo, next)...)
			lo = next
		}
	}
	return out
}

// Through is how far charges can be made at a time: the last whole second, or the
// end of the lease if that is earlier. It is what ChargedThrough becomes.
func Through(l purser.Lease, now time.Time) time.Time {
	_, end := span(l)
	return earliest(second(now), end)
}

// span is the time that the lease is charged for. A lease that has not ended goes
// on for good.
func span(l purser.Lease) (begin, end time.Time) {
	if l.EndedAt.IsZero() {
		return second(l.RunningAt), forever
	}
	return second(l.RunningAt), second(l.EndedAt)
}

// forever is later than any lease ends.
var forever = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)

// second cuts a time down to a whole second of UTC.
func second(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// stretch is a time of one price. end is zero for the last one.
type stretch struct {
	begin, end time.Time
	point      purser.PricePoint
}

// priced cuts the lease's time into stretches of one price. Spot follows the
// points; before the first of them the price is the one that it was bought at.
func priced(in Input, begin time.Time) []stretch {
	offer := in.Lease.Offer
	locked := purser.PricePoint{From: begin, UnitPrice: offer.UnitPrice, Source: offer.Source, ObservedAt: offer.ObservedAt}
	out := []stretch{{begin: begin, point: locked}}
	if offer.Option != purser.Spot {
		return out
	}
	points := slices.Clone(in.Prices)
	slices.SortStableFunc(points, func(a, b purser.PricePoint) int { return a.From.Compare(b.From) })
	for _, p := range points {
		at := latest(second(p.From), begin)
		last := &out[len(out)-1]
		switch {
		case p.UnitPrice == last.point.UnitPrice:
			continue // a price that was seen again is not a new stretch
		case at.Equal(last.begin):
			last.point = p
		default:
			last.end = at
			out = append(out, stretch{begin: at, point: p})
		}
	}
	return out
}

// cost is what [from, to) within the stretch costs at a price. See the package
// comment: it adds up over any cuts.
func (s stretch) cost(p purser.USDPerHour, from, to time.Time) purser.Money {
	return p.For(to.Sub(s.begin)) - p.For(from.Sub(s.begin))
}

// presence is the time that room is held for a task. end is zero while it lasts.
type presence struct {
	task       purser.Task
	begin, end time.Time
	weight     uint64 // share of the machine, in parts of whole
}

func (p presence) covers(from, to time.Time) bool {
	return !p.begin.After(from) && (p.end.IsZero() || !p.end.Before(to))
}

func presences(in Input) []presence {
	var out []presence
	for _, t := range in.Tasks {
		begin := t.PlacedAt
		if begin.IsZero() {
			begin = t.StartedAt
		}
		if t.Lease != in.Lease.ID || begin.IsZero() {
			continue // another lease's, or back in the queue
		}
		p := presence{task: t, begin: second(begin), weight: share(in.Lease.Offer.Shape, t)}
		if !t.EndedAt.IsZero() {
			p.end = second(t.EndedAt)
		}
		if p.end.IsZero() || p.begin.Before(p.end) {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b presence) int { return cmp.Compare(a.task.ID, b.task.ID) })
	return out
}

// nextChange is the first moment after lo at which a task comes or goes, or hi.
func nextChange(held []presence, lo, hi time.Time) time.Time {
	next := hi
	for _, p := range held {
		for _, at := range []time.Time{p.begin, p.end} {
			if at.After(lo) && at.Before(next) {
				next = at
			}
		}
	}
	return next
}

// lines splits the interval [from, to), in which neither price nor tasks change.
func lines(in Input, s stretch, held []presence, from, to time.Time) []purser.Charge {
	var here []presence
	var weights []uint64
	var total uint64
	for _, p := range held {
		if p.covers(from, to) {
			here, weights, total = append(here, p), append(weights, p.weight), total+p.weight
		}
	}
	if total < whole {
		weights = append(weights, whole-total) // idle room
	}
	price, spread := s.point.UnitPrice, s.point.UnitPrice
	if in.Committed > 0 {
		price, spread = 0, in.Committed
	}
	billed, effective := split(s.cost(price, from, to), weights), split(s.cost(spread, from, to), weights)
	list := split(s.cost(listPrice(in, s), from, to), weights)
	out := make([]purser.Charge, len(weights))
	for i := range out {
		c := purser.Charge{
			Lease: in.Lease.ID, Offer: in.Lease.Offer.ID(), Start: from, End: to, UnitPrice: s.point.UnitPrice,
			ListCost: list[i], BilledCost: billed[i], EffectiveCost: effective[i],
			Rehearsal: in.Lease.Rehearsal, PriceSource: s.point.Source, PriceObservedAt: s.point.ObservedAt,
		}
		if i < len(here) {
			c.Job, c.Task, c.Project = here[i].task.Job, here[i].task.ID, in.Projects[here[i].task.Job]
		}
		out[i] = c
	}
	return out
}

func listPrice(in Input, s stretch) purser.USDPerHour {
	if in.ListPrice == 0 || in.Lease.Offer.Option == purser.OnDemand || in.Lease.Offer.Option == purser.Private {
		return s.point.UnitPrice
	}
	return in.ListPrice
}
