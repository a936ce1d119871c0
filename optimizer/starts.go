package optimizer

import (
	"cmp"
	"math"
	"slices"
	"time"

	"purser"
)

// Work that may wait (purser.TaskGroup.CanWait) can begin at one of a few times: on machines that are in use until then, of which there
// are only so many, or in a cheaper hour. A place where it can begin later is a place of its own (addStarts). What is in use at a start
// time is counted by a row for each limit and each start time, and a site is told apart by the last start time that it reaches
// (splitSites): with that, limits over time are quotas like any other. Without anything that may wait there are no start times, and nothing
// of this is there.

const (
	// hourlyUntil is up to how many hours ahead runs can begin at every full hour; from there on the steps double.
	hourlyUntil = 4
	// startPlaces is for how many offers, the cheapest for it, a group can wait.
	startPlaces = 16
	// mostSplit bounds the sites that start times make of the problem's; with more, every other start time is given up.
	mostSplit = 4000
	// startMargin is how long before the last moment work that waits begins: plans are made again and again, not at every moment.
	startMargin = int64(5 * time.Minute)
	// waitPrice is the share of what its part of a machine costs that a replica's waiting counts, so that what can begin now for the same
	// money does.
	waitPrice = 0.001
)

// timeline is when runs can begin, and the rows that count what is in use then.
type timeline struct {
	times    []int64         // ns after Input.Now, ascending; the first is 0
	machines map[int][]int   // by place of an offer: by start time, the quota that stands for its limit then
	quotas   map[int][]int   // by quota: by start time, the quota that stands for it then; the first is itself
	frees    map[int][]int64 // by place of an offer: when its held machines are done, ns; those that are sure to be
}

// startTimes are when runs can begin: now, the next half and full hours of the clock, then in doubling steps, as far as anything may wait.
// Nil when nothing may.
func (p *Problem) startTimes() []int64 {
	longest := int64(0)
	for j := range p.jobs {
		for g := range p.jobs[j].Groups {
			longest = max(longest, p.window(&p.jobs[j], &p.jobs[j].Groups[g]))
		}
	}
	if longest == 0 {
		return nil
	}
	out := []int64{0}
	hour := p.in.Now.Truncate(time.Hour)
	add := func(after time.Duration) {
		if at := int64(hour.Add(after).Sub(p.in.Now)); at > 0 && at <= longest {
			out = append(out, at)
		}
	}
	add(30 * time.Minute)
	for h, step := 1, 1; len(out) < 40 && time.Duration(h)*time.Hour <= time.Duration(p.horizon); h += step {
		add(time.Duration(h) * time.Hour)
		if h >= hourlyUntil {
			step *= 2
		}
	}
	return out
}

// window is for how long from now a group's replicas may wait before they begin, in ns.
func (p *Problem) window(j *purser.Job, g *purser.TaskGroup) int64 {
	if g.Kind != purser.Training || g.CanWait <= 0 || p.in.Snapshot {
		return 0
	}
	from := j.SubmittedAt
	if from.IsZero() {
		from = p.in.Now
	}
	until := from.Add(g.CanWait).Sub(p.in.Now)
	if !g.Deadline.IsZero() {
		until = min(until, g.Deadline.Sub(p.in.Now))
	}
	return max(0, min(int64(until), p.horizon-1))
}

// setWaits notes how long each replica of a demand may wait: what runs does not wait, and a gang of which a part runs follows it.
func (p *Problem) setWaits(d *demand) {
	if p.line == nil {
		return
	}
	longest := p.window(d.job, d.group)
	at, found := slices.BinarySearch(p.line.times, longest)
	if !found {
		at--
	}
	wait := p.line.times[at]
	runs := func(r replica) bool {
		_, runs := p.where[replicaName{d.job.ID, d.group.Name, r.number}]
		return runs
	}
	if d.group.Gang && slices.ContainsFunc(d.replicas, runs) {
		wait = 0
	}
	for i := range d.replicas {
		if !runs(d.replicas[i]) {
			d.replicas[i].wait = wait
		}
	}
}

// doneBy is when a run that takes so long, start-up included, is sure to be done when it begins at a time, both in ns: what waits may
// begin a little late.
func doneBy(from, full int64) int64 {
	if from > 0 {
		full += startMargin
	}
	return from + full
}

// waitWorth is what it counts that a replica of such a size waits for so many ns, in nano-USD. A machine that costs nothing is taken for
// one of 1 $/h.
func waitWorth(o purser.Offer, size amounts, wait int64) int64 {
	if wait == 0 {
		return 0
	}
	perHour := int64(o.UnitPrice)
	if perHour == 0 {
		perHour = int64(purser.USDPerHourOf(1))
	}
	share := float64(size.share(capacityOf(o.Shape))) / 1e6
	return max(1, int64(math.Floor(float64(float64(perHour)*share)*float64(hoursOf(wait)*waitPrice))))
}

// latestStart is until when, in ns from now, a group can wait and still be sure of its deadline, whatever becomes of what it waits for: one
// of the offers whose supply is not known to end then still keeps it. Without a deadline, or without such an offer, it is no bound.
func (p *Problem) latestStart(g *purser.TaskGroup, left int) int64 {
	if g.Deadline.IsZero() {
		return math.MaxInt64
	}
	latest, found := int64(0), false
	for i := range p.in.Offers {
		o := &p.in.Offers[i]
		if o.Limit >= 0 || p.in.Atlas.Allows(g, *o) != "" || p.beyondQuota(o) {
			continue
		}
		for _, v := range g.Variants {
			if !runsOn(g, v, o) {
				continue
			}
			full, _ := p.spans(g, v, left, p.machineOf(*o))
			if at := int64(g.Deadline.Sub(p.in.Now)) - p.startUp(*o) - full; at >= 0 {
				latest, found = max(latest, at-startMargin), true
			}
		}
	}
	if !found {
		return math.MaxInt64
	}
	return latest
}

// runsOn says whether a replica of a variant fits the shape, its part of the disks included, and reaches the accuracy floor.
func runsOn(g *purser.TaskGroup, v purser.Variant, o *purser.Offer) bool {
	return (v.Accelerator == "" || canonicalName(v.Accelerator) == canonicalName(o.Accelerator)) &&
		v.DeviceMemoryMiB <= o.DeviceMemoryMiB && sizeOf(v).within(capacityOf(o.Shape)) && v.Quality >= g.MinQuality && g.DiskFits(v, o.Shape)
}

// beyondQuota says whether some quota has no room for a single machine of the offer.
func (p *Problem) beyondQuota(o *purser.Offer) bool {
	return slices.ContainsFunc(p.in.Quotas, func(q purser.Quota) bool { return q.Weight(*o) > q.Limit*1000 })
}

// addStarts adds the places where work that may wait can begin later, and judges them.
func (p *Problem) addStarts() {
	if p.line == nil {
		return
	}
	var waiting []*rawGroup
	for _, g := range p.raws {
		if g.wait > 0 {
			g.latest = p.latestStart(g.group, g.left)
			waiting = append(waiting, g)
		}
	}
	p.line.frees = p.freeings()
	tight := p.tightQuotas()
	offers := p.offersToWaitFor(waiting, tight)
	if len(offers) == 0 {
		p.line = nil
		return
	}
	p.thin(offers, tight)
	p.openRows(offers, tight)
	for _, o := range offers {
		for k := 1; k < len(p.line.times); k++ {
			at := len(p.places)
			p.places = append(p.places, p.later(o, k))
			for _, g := range waiting {
				p.judgeStart(g, at)
			}
		}
	}
}

// later is the place of an offer from the k-th start time on.
func (p *Problem) later(o, k int) place {
	pl := p.places[o]
	pl.begin, pl.from = k, p.line.times[k]
	if pl.limit >= 0 {
		pl.limit += p.freed(o, k)
	}
	var uses []quotaUse
	for _, u := range pl.quotas {
		if u.quota >= len(p.in.Quotas) {
			continue // what an offer shares with its twins under commitments is counted now
		}
		if rows, timed := p.line.quotas[u.quota]; timed {
			u.quota = rows[k]
		}
		uses = append(uses, u)
	}
	pl.quotas = uses
	return pl
}

// freed is how many held machines of an offer are done by the k-th start time.
func (p *Problem) freed(o, k int) int64 {
	n := int64(0)
	for _, at := range p.line.frees[o] {
		if k > 0 && at <= p.line.times[k] {
			n++
		}
	}
	return n
}

// judgeStart adds to a group the variants that can begin at a later place.
func (p *Problem) judgeStart(g *rawGroup, at int) {
	pl := &p.places[at]
	if pl.from > min(g.wait, g.latest) {
		return
	}
	for i := range g.ways {
		if stage, _ := p.judgeVariant(g, pl, i, canonicalName(g.ways[i].of().Accelerator)); stage == stageAllowed {
			g.fits[i] = append(g.fits[i], int32(at))
		}
	}
}

// freeings is when the held machines of each offer are done with what stays on them.
func (p *Problem) freeings() map[int][]int64 {
	at := map[purser.OfferID]int{}
	for i := range p.places {
		if len(p.places[i].held) == 0 && p.places[i].under == "" {
			at[p.places[i].offer.ID()] = i
		}
	}
	out := map[int][]int64{}
	for h := range p.in.Held {
		if o, ok := at[p.in.Held[h].Lease.Offer.ID()]; ok {
			out[o] = append(out[o], p.bases[h].span)
		}
	}
	return out
}

// tightQuotas says which quotas can be in the way: those that everything there is, each replica on a machine of its own, could use up. One
// that is used up beyond its limit lets nothing begin, and is not counted over time.
func (p *Problem) tightQuotas() []bool {
	replicas := int64(0)
	for _, g := range p.raws {
		n := max(g.n, 1)
		if g.group.Kind == purser.Inference {
			n = int64(math.Ceil(replicasOf(g.group)))
		}
		replicas += n * int64(len(g.members))
	}
	out := make([]bool, len(p.quotas))
	for q := range p.in.Quotas {
		most, stood := int64(0), int64(0)
		for i := range p.in.Offers {
			most = max(most, p.in.Quotas[q].Weight(p.in.Offers[i]))
		}
		for h := range p.in.Held {
			stood += p.in.Quotas[q].Weight(p.in.Held[h].Lease.Offer)
		}
		out[q] = most > 0 && stood <= p.in.Quotas[q].Limit*1000 && float64(most)*float64(replicas) > float64(p.quotas[q].limit)
	}
	return out
}

// offersToWaitFor lists the places of offers that are worth waiting for: those whose machines may all be in use, and those that get
// cheaper; of each group that may wait, the cheapest. A gang begins at once, so that others in the zones of those are worth it as well.
// The order is that of the offers.
func (p *Problem) offersToWaitFor(waiting []*rawGroup, tight []bool) []int {
	wanted := map[int]bool{}
	for _, g := range waiting {
		zones := map[int32]bool{}
		for _, o := range p.cheapestToWaitFor(g, func(pl *place) bool { return p.worthWaiting(pl, tight) }) {
			wanted[o] = true
			zones[p.places[o].domain[zoneLevel]] = true
		}
		if g.n <= 1 {
			continue
		}
		for _, o := range p.cheapestToWaitFor(g, func(pl *place) bool {
			return zones[pl.domain[zoneLevel]] && !p.worthWaiting(pl, tight) && !p.underOverdrawn(pl)
		}) {
			wanted[o] = true
		}
	}
	var out []int
	for o := range p.places {
		if wanted[o] {
			out = append(out, o)
		}
	}
	return out
}

// cheapestToWaitFor are the places of startPlaces offers at which a replica of the group could begin later for the least.
func (p *Problem) cheapestToWaitFor(g *rawGroup, worth func(*place) bool) []int {
	type choice struct {
		place int
		cost  float64
	}
	var list []choice
	for o := range p.places {
		pl := p.places[o]
		if len(pl.held) > 0 || pl.under != "" || !worth(&pl) {
			continue
		}
		if pl.limit >= 0 {
			pl.limit += int64(len(p.line.frees[o]))
		}
		pl.from, pl.quotas = p.line.times[1], nil
		best := math.Inf(1)
		for i := range g.ways {
			v := g.ways[i].of()
			if stage, _ := p.judgeVariant(g, &pl, i, canonicalName(v.Accelerator)); stage == stageAllowed {
				_, span := p.spans(g.ways[i].group, v, g.left, pl.machine)
				best = math.Min(best, float64(pl.paid(pl.start+span))*float64(sizeOf(v).share(pl.room)))
			}
		}
		if !math.IsInf(best, 1) {
			list = append(list, choice{o, best})
		}
	}
	slices.SortStableFunc(list, func(a, b choice) int { return cmp.Compare(a.cost, b.cost) })
	var out []int
	for _, c := range list[:min(len(list), startPlaces)] {
		out = append(out, c.place)
	}
	return out
}

// worthWaiting says whether an offer may be had later and not now, or for less.
func (p *Problem) worthWaiting(pl *place, tight []bool) bool {
	return !p.underOverdrawn(pl) && (pl.limit >= 0 || pl.hours != nil || slices.ContainsFunc(pl.quotas, func(u quotaUse) bool { return tight[u.quota] }))
}

// underOverdrawn says whether a quota that is used up beyond its limit keeps machines of the place from being taken.
func (p *Problem) underOverdrawn(pl *place) bool {
	return slices.ContainsFunc(p.in.Quotas, func(q purser.Quota) bool { return p.overdrawn(&q) && q.Weight(pl.offer) > 0 })
}

// overdrawn says whether held machines take more of a quota than there is.
func (p *Problem) overdrawn(q *purser.Quota) bool {
	stood := int64(0)
	for h := range p.in.Held {
		stood += q.Weight(p.in.Held[h].Lease.Offer)
	}
	return stood > q.Limit*1000
}

// thin gives up every other start time, the first excepted, until the sites that they make are few enough.
func (p *Problem) thin(offers []int, tight []bool) {
	counted := len(offers)
	for i := range p.places {
		if slices.ContainsFunc(p.quotaUses(p.places[i].offer), func(u quotaUse) bool { return tight[u.quota] }) {
			counted++
		}
	}
	for n := len(p.line.times); n > 2 && counted*n+len(offers)*n*n/2 > mostSplit; n = len(p.line.times) {
		kept := p.line.times[:2]
		for k := 3; k < n; k += 2 {
			kept = append(kept, p.line.times[k])
		}
		p.line.times = kept
	}
}

// openRows adds, for each start time, a quota for each limit and each quota that machines which begin later are under.
func (p *Problem) openRows(offers []int, tight []bool) {
	row := func(limit int64, name string) int {
		p.quotas = append(p.quotas, quota{limit: max(0, limit), name: name})
		return len(p.quotas) - 1
	}
	l := p.line
	l.machines, l.quotas = map[int][]int{}, map[int][]int{}
	var used []int
	for _, o := range offers {
		pl := &p.places[o]
		for _, u := range pl.quotas {
			if tight[u.quota] && !slices.Contains(used, u.quota) {
				used = append(used, u.quota)
			}
		}
		if pl.limit < 0 {
			continue
		}
		for k := range l.times {
			l.machines[o] = append(l.machines[o], row((pl.limit+p.freed(o, k))*1000, string(pl.offer.ID())))
		}
	}
	slices.Sort(used)
	for _, q := range used {
		l.quotas[q] = []int{q}
		for k := 1; k < len(l.times); k++ {
			limit := p.in.Quotas[q].Limit * 1000
			for h := range p.in.Held {
				if base := p.bases[h]; len(base.keep) > 0 && base.span > l.times[k] {
					limit -= p.in.Quotas[q].Weight(p.in.Held[h].Lease.Offer)
				}
			}
			l.quotas[q] = append(l.quotas[q], row(limit, p.in.Quotas[q].Name))
		}
	}
}
