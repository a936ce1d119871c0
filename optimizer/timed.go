package optimizer

import (
	"slices"
	"time"

	"purser"
)

// splitSites tells the sites apart by the last start time that their machines are in use at, where that is counted.
func (p *Problem) splitSites() {
	if p.line == nil {
		return
	}
	spans := make([][]int64, len(p.places))
	for c := range p.classes {
		for v := range p.classes[c].variants {
			for _, at := range p.classes[c].variants[v].places {
				spans[at] = append(spans[at], p.classes[c].variants[v].span)
			}
		}
	}
	offerAt := map[purser.OfferID]int{}
	for i := range p.places {
		if len(p.places[i].held) == 0 && p.places[i].begin == 0 && p.places[i].under == "" {
			offerAt[p.places[i].offer.ID()] = i
		}
	}
	var out []site
	for s := range p.sites {
		st := p.sites[s]
		rows := p.rowsOf(&st, offerAt)
		if rows == nil {
			st.first = len(out)
			out = append(out, st)
			continue
		}
		var ends []int
		for _, span := range spans[st.at] {
			ends = append(ends, p.reach(st.place, span))
		}
		for _, n := range st.now {
			ends = append(ends, p.reach(st.place, p.items[n.item].span))
		}
		slices.Sort(ends)
		ends = slices.Compact(ends)
		if len(ends) > 1 && len(st.held) > 0 {
			// A held machine is there once, whatever it is used for.
			p.quotas = append(p.quotas, quota{limit: int64(len(st.held)) * 1000, name: string(st.offer.ID())})
			for k := range rows {
				if k == st.begin {
					rows[k] = append(rows[k], quotaUse{len(p.quotas) - 1, 1000})
				}
			}
		}
		if len(st.held) == 0 && st.limit >= 0 && p.line.machines[offerAt[st.offer.ID()]] == nil {
			// Nothing waits for this offer: its parts share the limit that it has now.
			p.quotas = append(p.quotas, quota{limit: st.limit * 1000, name: string(st.offer.ID())})
			rows[st.begin] = append(rows[st.begin], quotaUse{len(p.quotas) - 1, 1000})
		}
		first := len(out)
		for _, end := range ends {
			part := st
			part.first, part.until, part.quotas = first, end, nil
			for k := st.begin; k < end; k++ {
				part.quotas = append(part.quotas, rows[k]...)
			}
			if len(st.held) == 0 {
				part.limit = -1
			}
			out = append(out, part)
		}
		if len(ends) == 0 {
			st.first = first
			out = append(out, st)
		}
	}
	p.sites = out
}

// rowsOf is by start time what a machine of the site that is in use then takes of which quotas; nil where no later time counts.
func (p *Problem) rowsOf(st *site, offerAt map[purser.OfferID]int) [][]quotaUse {
	l := p.line
	rows := make([][]quotaUse, len(l.times))
	later := false
	at, offered := offerAt[st.offer.ID()]
	var machines []int
	if offered {
		machines = l.machines[at]
	}
	for k := st.begin; k < len(l.times); k++ {
		if k > 0 && len(st.held) > 0 && l.times[k] < st.paidSpan {
			continue // what stays there is counted already
		}
		if machines != nil && (k > 0 || len(st.held) == 0) {
			rows[k] = append(rows[k], quotaUse{machines[k], 1000})
			later = later || k > 0
		}
		if k == 0 {
			rows[k] = append(rows[k], st.place.quotas...)
			continue
		}
		for _, u := range p.quotaUses(st.offer) {
			timed, ok := l.quotas[u.quota]
			switch {
			case ok:
				rows[k] = append(rows[k], quotaUse{timed[k], u.weight})
				later = true
			case k == st.begin:
				rows[k] = append(rows[k], u)
			}
		}
	}
	if !later {
		return nil
	}
	return rows
}

// reach is the first start time after it began at which a machine whose longest member runs for span is not in use any more; the number
// of start times when there is none.
func (p *Problem) reach(pl *place, span int64) int {
	busy := pl.from + max(pl.start+span, pl.paidSpan)
	for k := pl.begin + 1; k < len(p.line.times); k++ {
		if p.line.times[k] >= busy {
			return k
		}
	}
	return len(p.line.times)
}

// lasts says whether an item is done on a site before the start time until which its machines are taken to be in use.
func (p *Problem) lasts(st *site, it int32) bool {
	return st.until == 0 || p.reach(st.place, p.items[it].span) <= st.until
}

// hours are an offer's prices over time, with that of its carbon. They change with the hour of the clock.
type hours struct {
	starts []int64 // ns after Input.Now
	price  []purser.USDPerHour
	sum    []int64 // nano-USD until the start
}

// mostHours is for how many hours prices are asked for; the last one stands for what follows.
const mostHours = 14 * 24

// hoursOfOffer are the prices of an offer over time, nil where they do not change.
func (p *Problem) hoursOfOffer(o purser.Offer) *hours {
	if p.in.PriceAt == nil || p.in.Snapshot {
		return nil
	}
	h := &hours{}
	clock := p.in.Now.Truncate(time.Hour)
	changes := false
	for i := range int64(mostHours) {
		at := max(0, int64(clock.Add(time.Duration(i)*time.Hour).Sub(p.in.Now)))
		if at >= 2*p.horizon {
			break
		}
		price, sum := max(0, p.in.PriceAt(o, p.in.Now.Add(durationOf(at))))+p.carbonRate(o), int64(0)
		if n := len(h.starts); n > 0 {
			sum = h.sum[n-1] + int64(h.price[n-1].For(durationOf(at-h.starts[n-1])))
		}
		h.starts, h.price, h.sum = append(h.starts, at), append(h.price, price), append(h.sum, sum)
		changes = changes || price != p.rate(o)
	}
	if !changes {
		return nil
	}
	return h
}

// until is what a machine costs from Input.Now on for so many ns.
func (h *hours) until(ns int64) int64 {
	at, found := slices.BinarySearch(h.starts, ns)
	if !found {
		at--
	}
	return h.sum[at] + int64(h.price[at].For(durationOf(ns-h.starts[at])))
}

// paid is what a machine of the place costs for so many ns from when it begins.
func (pl *place) paid(ns int64) int64 {
	if pl.hours == nil {
		return int64(pl.rate.For(durationOf(ns)))
	}
	return pl.hours.until(pl.from+ns) - pl.hours.until(pl.from)
}

// costOf is what a machine of an offer costs from one time to another, in ns after Input.Now.
func (p *Problem) costOf(o purser.Offer, from, to int64) int64 {
	if h := p.hours[o]; h != nil {
		return h.until(to) - h.until(from)
	}
	return int64(p.rate(o).For(durationOf(to - from)))
}

// buildHours notes the offers whose prices change.
func (p *Problem) buildHours() {
	if p.in.PriceAt == nil {
		return
	}
	p.hours = map[purser.Offer]*hours{}
	note := func(o purser.Offer) {
		if h := p.hoursOfOffer(o); h != nil {
			p.hours[o] = h
		}
	}
	for _, o := range p.in.Offers {
		note(o)
	}
	for h := range p.in.Held {
		note(p.in.Held[h].Lease.Offer)
	}
}
