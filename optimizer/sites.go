package optimizer

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"

	"purser"
)

// site is a place with what runs there now. Equal held leases are one site with as many machines.
type site struct {
	*place
	at    int   // index of the place
	held  []int // indices in in.Held, by lease ID; none for an offer
	limit int64 // machines; -1: no limit
	now   []stay

	quotas []quotaUse // what a machine takes; of a site that is told apart by time, also of what stands for limits over time
	first  int        // the first of the sites that share its machines
	until  int        // the start time at which its machines are not in use any more; 0: that is not told apart
}

// stay is worth keeping: so many copies of an item run on each machine of a site now, and each is worth what moving it would cost.
type stay struct {
	item  int32
	count int64
	worth int64 // nano-USD a copy
}

// cost is what one machine of the site costs when its longest member runs for span ns, beyond what is paid anyway.
func (s *site) cost(span int64) int64 {
	if span <= s.paidSpan {
		return 0
	}
	return s.paid(s.start+span) - s.paid(s.paidSpan)
}

// buildPlaces makes the places: every offer, and the held leases by offer, free room and paid time. Quotas lose what stays.
func (p *Problem) buildPlaces() {
	p.buildQuotas()
	p.buildCommitments()
	p.buildHours()
	for _, o := range p.in.Offers {
		limit := int64(o.Limit)
		if limit < 0 {
			limit = -1
		}
		p.places = append(p.places, place{
			offer: o, room: capacityOf(o.Shape), start: p.startUp(o), limit: limit,
			domain: p.domainsOf(o), quotas: p.quotaUses(o), machine: p.machineOf(o), rate: p.rate(o), hours: p.hours[o],
		})
		p.addTwins(len(p.places) - 1)
	}
	index := map[string]int{}
	p.placeOf = make([]int32, len(p.in.Held))
	for h := range p.in.Held {
		o, base := p.in.Held[h].Lease.Offer, p.bases[h]
		room := capacityOf(o.Shape).plus(base.used, -1)
		for d := range room {
			room[d] = max(room[d], 0)
		}
		under := p.in.Held[h].Commitment
		p.basePaid += p.costUnder(o, under, base.span)
		pl := place{offer: o, room: room, paidSpan: base.span, domain: p.domainsOf(o), machine: p.machineOf(o), hours: p.hours[o], rate: p.rate(o)}
		pl.putUnder(p, under)
		if len(base.keep) == 0 {
			pl.quotas = append(p.quotaUses(o), p.commitmentUse(o, under)...)
		}
		key := under + "\x00" + offerKey(o, room[0], room[1], room[2], base.span, int64(len(pl.quotas)), p.ownPlace(h))
		at, known := index[key]
		if !known {
			at = len(p.places)
			index[key] = at
			p.places = append(p.places, pl)
		}
		p.placeOf[h] = int32(at)
		p.places[at].held = append(p.places[at].held, h)
		p.places[at].limit = int64(len(p.places[at].held))
	}
}

// buildQuotas reads the quotas. What the held leases take counts against them; where that alone is over the limit, the limit is what
// they take: a quota that was lowered stops new machines and ends none.
func (p *Problem) buildQuotas() {
	for _, q := range p.in.Quotas {
		limit, all, kept := q.Limit*1000, int64(0), int64(0)
		for h := range p.in.Held {
			w := q.Weight(p.in.Held[h].Lease.Offer)
			all += w
			if len(p.bases[h].keep) > 0 {
				kept += w
			}
		}
		p.quotas = append(p.quotas, quota{limit: max(limit, all) - kept, name: q.Name})
	}
}

func (p *Problem) quotaUses(o purser.Offer) []quotaUse {
	var out []quotaUse
	for i, q := range p.in.Quotas {
		if w := q.Weight(o); w > 0 {
			out = append(out, quotaUse{i, w})
		}
	}
	return out
}

// offerKey writes what makes two held leases' offers alike, with further numbers.
func offerKey(o purser.Offer, more ...int64) string {
	b := append([]byte(o.ID()), 0)
	b = append(append(b, o.Accelerator...), 0)
	b = append(append(b, o.Country...), 0)
	for _, n := range append([]int64{int64(o.UnitPrice), int64(o.Devices), o.DeviceMemoryMiB, o.MilliCPU, o.MemoryMiB, o.DiskMiB}, more...) {
		b = binary.LittleEndian.AppendUint64(b, uint64(n))
	}
	return string(b)
}

// buildSites makes sites of places; held leases are told apart by what runs on them, as far as it may move.
func (p *Problem) buildSites() {
	p.itemOf = p.itemFinder()
	index := map[string]int{}
	for i := range p.places {
		pl := &p.places[i]
		if len(pl.held) == 0 {
			p.sites = append(p.sites, site{place: pl, at: i, limit: pl.limit, quotas: pl.quotas, first: len(p.sites)})
			continue
		}
		for _, h := range pl.held {
			var now []stay
			if !p.in.KeepPlacements {
				now = p.staysOn(h)
			}
			b := binary.LittleEndian.AppendUint64(nil, uint64(i))
			for _, s := range now {
				for _, n := range []int64{int64(s.item), s.count, s.worth} {
					b = binary.LittleEndian.AppendUint64(b, uint64(n))
				}
			}
			at, known := index[string(b)]
			if !known {
				at = len(p.sites)
				index[string(b)] = at
				p.sites = append(p.sites, site{place: pl, at: i, now: now, quotas: pl.quotas, first: at})
			}
			p.sites[at].held = append(p.sites[at].held, h)
			p.sites[at].limit++
		}
	}
}

// itemFinder gives a function from a replica on a place and the name of its variant to its item, -1 when it needs no place any more.
// Of several items of a name, which differ by where they run, it is the one of that place.
func (p *Problem) itemFinder() func(place int32, pl purser.Placement) int32 {
	type key struct {
		groupKey
		replica int
	}
	classOf := map[key]int{}
	for c := range p.classes {
		for _, m := range p.classes[c].members {
			if p.classes[c].kind == kindService {
				classOf[key{m.key, -1}] = c
			}
			for _, r := range m.replicas {
				classOf[key{m.key, r}] = c
			}
		}
	}
	return func(place int32, pl purser.Placement) int32 {
		job := p.jobAt[pl.Job]
		k := groupKey{job, groupIndex(p.jobs[job], pl.Group)}
		c, ok := classOf[key{k, pl.Replica}]
		if !ok {
			if c, ok = classOf[key{k, -1}]; !ok {
				return -1
			}
		}
		found := int32(-1)
		for v := range p.classes[c].variants {
			vt := &p.classes[c].variants[v]
			if vt.name != pl.Variant {
				continue
			}
			if _, here := slices.BinarySearch(vt.places, place); here || found < 0 {
				found = vt.item
				if here {
					break
				}
			}
		}
		return found
	}
}

// staysOn counts what runs on a held lease now by item.
func (p *Problem) staysOn(h int) []stay {
	var out []stay
	held := p.in.Held[h]
	for _, pl := range held.Placements {
		it := p.itemOf(p.placeOf[h], pl)
		if it < 0 {
			continue
		}
		at := slices.IndexFunc(out, func(s stay) bool { return s.item == it })
		if at < 0 {
			at = len(out)
			out = append(out, stay{item: it, worth: p.moveWorth(held.Lease.Offer, p.items[it].size)})
		}
		out[at].count++
	}
	slices.SortFunc(out, func(a, b stay) int { return cmp.Compare(a.item, b.item) })
	return out
}

// moveWorth is what moving a replica of such a size off a machine costs, in nano-USD: its share of the machine's price for MoveHours.
// A machine that costs nothing is taken for one of 1 $/h, so that nothing moves for nothing.
func (p *Problem) moveWorth(o purser.Offer, size amounts) int64 {
	perHour := int64(o.UnitPrice)
	if perHour == 0 {
		perHour = int64(purser.USDPerHourOf(1))
	}
	share := float64(size.share(capacityOf(o.Shape))) / 1e6
	return max(1, int64(math.Floor(float64(perHour)*share*p.moveCost)))
}
