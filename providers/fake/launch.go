package fake

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"purser"
	"purser/providers"
)

func (c *Cloud) launch(r providers.Request, now time.Time) (*machine, error) {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s|%s|%s|%s", r.Installation, r.Lease.ID, r.Lease.Offer.ID(), r.JoinToken))
	params := hex.EncodeToString(sum[:])
	for _, m := range c.state.Machines {
		if c.config.Forgetful && m.state(c.config, now) == providers.Gone {
			continue
		}
		switch {
		case m.Token == r.Token && m.Params != params:
			return nil, c.refuse(purser.KindConflict, r.Lease.Offer, "the client token was used with other parameters", "a new attempt needs a new token")
		case m.Token == r.Token, m.Lease == r.Lease.ID && m.Installation == r.Installation:
			if m.Boot != nil && m.Boot.ServerURL != r.ServerURL {
				m.Boot.ServerURL, c.dirty = r.ServerURL, true
			}
			return m, nil
		}
	}
	offer, reservation, err := c.choose(r, now)
	if err != nil {
		c.log(Event{At: now, Kind: EventRefused, Lease: r.Lease.ID, Installation: r.Installation, Offer: r.Lease.Offer.ID(), Detail: err.Error()}, nil)
		return nil, err
	}
	if c.halfNext > 0 {
		c.halfNext--
		c.leaveDisk(disk{Installation: r.Installation, Lease: r.Lease.ID, MadeAt: now})
		return nil, c.refuse(purser.KindUnavailable, r.Lease.Offer, "the disk was made and the machine was not", "launch again")
	}
	return c.make(r, offer, reservation, params, now), nil
}

// make makes the machine, which takes over a disk that an earlier try has left.
func (c *Cloud) make(r providers.Request, offer purser.Offer, reservation, params string, now time.Time) *machine {
	c.state.Made++
	m := &machine{
		ID: fmt.Sprintf("i-%06d", c.state.Made), Number: c.state.Made, Token: r.Token, Params: params, Installation: r.Installation,
		Lease: r.Lease.ID, Offer: offer, Reservation: reservation, AskedAt: now,
	}
	if offer.Option == purser.Spot {
		m.Lot, m.RiskAt = c.draw("lot", m.Number).ExpFloat64(), now
	}
	if c.config.Hardware != nil {
		b := m.named()
		b.ServerURL, b.JoinToken = r.ServerURL, r.JoinToken
		m.Boot = &b
	}
	c.removeDisks(func(d disk) bool { return d.Installation == r.Installation && d.Lease == r.Lease.ID })
	c.state.Machines, c.open, c.dirty = append(c.state.Machines, m), append(c.open, m), true
	c.log(Event{At: now, Kind: EventLaunched}, m)
	return m
}

// choose takes the lease's offer or, where that cannot be had, the first of the pools
// that can.
func (c *Cloud) choose(r providers.Request, now time.Time) (purser.Offer, string, error) {
	reservation, first := c.admit(r.Lease.Offer, now)
	if first == nil {
		return r.Lease.Offer, reservation, nil
	}
	for _, o := range r.Pools {
		if o.ID() == r.Lease.Offer.ID() {
			continue
		}
		if reservation, err := c.admit(o, now); err == nil {
			return o, reservation, nil
		}
	}
	return purser.Offer{}, "", first
}

// admit says whether one more machine of the offer can be had, and from which
// reservation: first the price list, then the account, then the cloud.
func (c *Cloud) admit(o purser.Offer, now time.Time) (reservation string, err error) {
	if !c.sells(o) {
		return "", c.refuse(purser.KindInvalid, o, "the price list has no such offer", "launch what its list of offers has")
	}
	for _, q := range c.config.Quotas {
		if weight := q.Weight(o); weight > 0 && c.used(q, now)+weight > q.Limit*1000 {
			return "", c.refuse(purser.KindQuota, o, fmt.Sprintf("quota %s allows %d %s", q.Name, q.Limit, q.Unit), "ask for more of "+q.Name+", or take another region or type")
		}
	}
	if o.Option == purser.Reserved || o.Option == purser.CapacityBlock {
		for _, b := range c.config.Reserved {
			if b.Offer.ID() == o.ID() && c.free(b, now) > 0 {
				return b.ID, nil
			}
		}
		return "", c.refuse(purser.KindNoCapacity, o, "nothing reserved is free", "wait for a reserved machine to end, or buy more ahead")
	}
	for _, key := range slices.Sorted(maps.Keys(c.supply)) {
		if fits(key, o) && c.live(key, now) >= c.supply[key] {
			return "", c.refuse(purser.KindNoCapacity, o, "no machine is left ("+key+")", "another zone, type or purchase option may have one")
		}
	}
	return "", nil
}

func (c *Cloud) refuse(kind purser.Kind, o purser.Offer, message, hint string) error {
	return &purser.Error{Kind: kind, Op: "fake.Launch", Message: string(o.ID()) + ": " + message, Hint: hint}
}

// sells says whether the price list has the offer. What is reserved need not be on it.
func (c *Cloud) sells(o purser.Offer) bool {
	if len(c.list) == 0 {
		return true
	}
	for _, l := range c.list {
		if l.ID() == o.ID() {
			return true
		}
	}
	for _, b := range c.config.Reserved {
		if b.Offer.ID() == o.ID() {
			return true
		}
	}
	return false
}

// live counts the machines that a key of Capacity bounds.
func (c *Cloud) live(key string, now time.Time) int {
	n := 0
	for _, m := range c.open {
		if m.Reservation == "" && fits(key, m.Offer) && m.state(c.config, now) != providers.Gone {
			n++
		}
	}
	return n
}

// fits says whether a key of Capacity is about an offer.
func fits(key string, o purser.Offer) bool {
	zone, rest, ok := strings.Cut(key, "/")
	if !ok {
		return key == o.InstanceType
	}
	kind, option, _ := strings.Cut(rest, "/")
	is := func(want, have string) bool { return want == "*" || want == have }
	return is(zone, placeOf(o)) && is(kind, o.InstanceType) && is(option, string(o.Option))
}

// placeOf is the zone of an offer, or its region where it has none.
func placeOf(o purser.Offer) string {
	if o.Zone == "" {
		return o.Region
	}
	return o.Zone
}

// disk is what a launch leaves that fails half way.
type disk struct {
	Installation string         `json:"installation"`
	Lease        purser.LeaseID `json:"lease"`
	MadeAt       time.Time      `json:"made_at"`
}

func (c *Cloud) leaveDisk(d disk) {
	for _, have := range c.state.Disks {
		if have.Installation == d.Installation && have.Lease == d.Lease {
			return
		}
	}
	c.state.Disks, c.dirty = append(c.state.Disks, d), true
}

func (c *Cloud) removeDisks(gone func(disk) bool) (removed int) {
	kept := []disk{}
	for _, d := range c.state.Disks {
		if !gone(d) {
			kept = append(kept, d)
		}
	}
	removed = len(c.state.Disks) - len(kept)
	if removed > 0 {
		c.state.Disks, c.dirty = kept, true
	}
	return removed
}
