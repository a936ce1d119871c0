package optimizer

import (
	"time"

	"purser"
)

// place is somewhere a replica can go: an offer, or held leases whose offer, room and paid time are equal.
type place struct {
	offer    purser.Offer
	accel    string // canonical
	room     amounts
	start    int64 // ns that a new machine is paid before it works
	paidSpan int64 // ns that are paid anyway (keep mode)
	limit    int64 // machines; -1: no limit
	held     []int // indices in in.Held; none for an offer
	domain   domainIDs
	quotas   []quotaUse
	machine  machine
	rate     purser.USDPerHour // what an hour of it counts: its price and that of its carbon
	hours    *hours            // nil: its price stays

	// Of a place where work begins later: the number of the start time, and the time, in ns after Input.Now. 0: now.
	begin int
	from  int64
	under string // the commitment that machines of it run under
}

// quotaUse is what one machine takes of a quota, in thousandths of its unit.
type quotaUse struct {
	quota  int
	weight int64
}

// The filters in their order. A variant that fails at a later one came closer.
const (
	stageAccelerator = iota
	stageDevices
	stageDeviceMemory
	stageCPU
	stageMemory
	stageDisk
	stageWhere
	stageQuality
	stageDeadline
	stageLimit
	stageQuota
	stageAllowed
)

// judge runs the filters for every variant of the group on the place: the variants that can run there are added to the group, and the
// reason of the one that came closest is returned, "" when one can.
func (p *Problem) judge(g *rawGroup, at int, canonical []string) purser.RefusalReason {
	best, why := -1, purser.RefusalReason("")
	for i := range g.ways {
		stage, reason := p.judgeVariant(g, &p.places[at], i, canonical[i])
		if stage > best {
			best, why = stage, reason
		}
		if stage == stageAllowed {
			g.fits[i] = append(g.fits[i], int32(at))
		}
	}
	return why
}

func (p *Problem) judgeVariant(g *rawGroup, pl *place, i int, canonical string) (int, purser.RefusalReason) {
	w := &g.ways[i]
	v := &g.group.Variants[w.variant]
	size := sizeOf(*v)
	switch {
	case canonical != "" && canonical != pl.accel:
		return stageAccelerator, purser.ReasonAccelerator
	case size[dimDevice] > pl.room[dimDevice]:
		return stageDevices, purser.ReasonDevices
	case v.DeviceMemoryMiB > 0 && v.DeviceMemoryMiB > pl.offer.DeviceMemoryMiB:
		return stageDeviceMemory, purser.ReasonDeviceMemory
	case size[dimCPU] > pl.room[dimCPU]:
		return stageCPU, purser.ReasonCPU
	case size[dimMemory] > pl.room[dimMemory]:
		return stageMemory, purser.ReasonMemory
	case !g.group.DiskFits(*v, pl.offer.Shape):
		return stageDisk, purser.ReasonDisk
	}
	if g.staysOn(pl, v.Name) {
		return stageAllowed, ""
	}
	if reason := p.in.Atlas.Allows(g.group, pl.offer); reason != "" {
		return stageWhere, reason
	}
	if (g.onlyZone != "" && g.onlyZone != pl.offer.Domain(purser.DomainZone)) || (g.onlyName != "" && g.onlyName != v.Name) {
		return stageWhere, purser.ReasonRegion
	}
	if v.Quality < g.group.MinQuality {
		return stageQuality, purser.ReasonQuality
	}
	if full, _ := p.spans(w.group, *v, g.left, pl.machine); !g.group.Deadline.IsZero() {
		if p.in.Now.Add(time.Duration(doneBy(pl.from, pl.start+full))).After(g.group.Deadline) {
			return stageDeadline, purser.ReasonDeadline
		}
	}
	if pl.limit == 0 {
		return stageLimit, purser.ReasonLimit
	}
	for _, u := range pl.quotas {
		if u.weight > p.quotas[u.quota].limit {
			return stageQuota, purser.ReasonQuota
		}
	}
	return stageAllowed, ""
}

// canonicalName is the one name of an accelerator; a name that is not known is its own.
func canonicalName(name string) string {
	if a, known := purser.AcceleratorNamed(name); known {
		return a.Name
	}
	return name
}

// judgeAll finds the places of every raw group and counts the offers that are refused.
func (p *Problem) judgeAll(raws []*rawGroup) {
	names := map[string]string{"": ""}
	canonical := func(name string) string {
		c, ok := names[name]
		if !ok {
			c = canonicalName(name)
			names[name] = c
		}
		return c
	}
	for i := range p.places {
		p.places[i].accel = canonical(p.places[i].offer.Accelerator)
	}
	for _, g := range raws {
		wanted := make([]string, len(g.ways))
		for i := range g.ways {
			wanted[i] = canonical(g.ways[i].of().Accelerator)
		}
		g.fits = make([][]int32, len(g.ways))
		g.reasons = map[purser.RefusalReason]int{}
		for i := range p.places {
			reason := p.judge(g, i, wanted)
			switch {
			case len(p.places[i].held) > 0 || p.places[i].under != "":
			case reason == "":
				g.allowed++
			default:
				g.reasons[reason]++
			}
		}
	}
}
