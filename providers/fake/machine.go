package fake

import (
	"cmp"
	"time"

	"purser"
	"purser/providers"
)

// machine is one machine, for good. What it is doing follows from its times alone.
type machine struct {
	ID           string         `json:"id"`
	Number       uint64         `json:"number"` // in the order of their making
	Token        string         `json:"token"`
	Params       string         `json:"params"` // a checksum of what the token was used with
	Installation string         `json:"installation"`
	Lease        purser.LeaseID `json:"lease"`
	Offer        purser.Offer   `json:"offer"` // the one that was taken of the request's
	Reservation  string         `json:"reservation,omitempty"`

	AskedAt time.Time `json:"asked_at"`
	Notice  time.Time `json:"notice,omitzero"`   // of its being taken back
	EndedAt time.Time `json:"ended_at,omitzero"` // its end was asked for, or it was taken
	GoneAt  time.Time `json:"gone_at,omitzero"`  // zero while it lives
	Asked   bool      `json:"asked,omitempty"`   // its owner asked for the end
	Reason  string    `json:"reason,omitempty"`

	// A spot machine is taken back when Risk, the integral of its hazard over the
	// time that it has lived, reaches Lot.
	Lot    float64   `json:"lot,omitempty"`
	Risk   float64   `json:"risk,omitempty"`
	RiskAt time.Time `json:"risk_at,omitzero"`

	Boot   *Boot `json:"boot,omitempty"` // what its agent will be told; nil once it was started
	Ran    bool  `json:"ran,omitempty"`  // it came to run
	Booted bool  `json:"booted,omitempty"`
	Closed bool  `json:"closed,omitempty"` // its end was logged
}

func (m *machine) state(c Config, now time.Time) providers.InstanceState {
	switch {
	case !m.GoneAt.IsZero() && !m.GoneAt.After(now):
		return providers.Gone
	case !m.EndedAt.IsZero() && !m.EndedAt.After(now):
		return providers.Stopping
	case !c.Spot.Quiet && !m.Notice.IsZero() && !m.Notice.After(now):
		return providers.Stopping
	case m.AskedAt.Add(c.BootTime).After(now):
		return providers.Pending
	default:
		return providers.Running
	}
}

// ending says whether its end was decided, by anybody.
func (m *machine) ending() bool {
	return !m.EndedAt.IsZero() || !m.Notice.IsZero() || !m.GoneAt.IsZero()
}

func (c *Cloud) show(m *machine, now time.Time) providers.Instance {
	in := providers.Instance{
		ID: m.ID, Lease: m.Lease, Installation: m.Installation, State: m.state(c.config, now), StartedAt: m.AskedAt,
		Region: m.Offer.Region, Zone: m.Offer.Zone, InstanceType: m.Offer.InstanceType,
	}
	if in.State == providers.Stopping || in.State == providers.Gone {
		in.Reason = m.Reason
	}
	return in
}

// end begins the end of a machine: its agent is told, and it is gone after StopTime.
func (c *Cloud) end(m *machine, now time.Time, reason string) {
	c.dirty = true
	if m.EndedAt.IsZero() {
		m.EndedAt, m.Reason = now, cmp.Or(m.Reason, reason)
		if m.Booted {
			c.config.Hardware.End(m.named())
		}
	}
	if gone := now.Add(c.config.StopTime); m.GoneAt.IsZero() || gone.Before(m.GoneAt) {
		m.GoneAt = gone
	}
}

// takeBack gives a machine notice.
func (c *Cloud) takeBack(m *machine, at time.Time, notice time.Duration, kind providers.InterruptionKind, reason string) {
	c.dirty = true
	m.Notice, m.Reason = at, reason
	if gone := at.Add(notice); m.GoneAt.IsZero() || gone.Before(m.GoneAt) {
		m.GoneAt = gone
	}
	c.notify(m, at, kind, m.GoneAt, reason)
	c.log(Event{At: at, Kind: EventNotice, Detail: reason}, m)
}

// Event is something that happened in the cloud.
type Event struct {
	At           time.Time      `json:"at"`
	Kind         EventKind      `json:"kind"`
	Machine      string         `json:"machine,omitempty"`
	Lease        purser.LeaseID `json:"lease,omitempty"`
	Installation string         `json:"installation,omitempty"`
	Offer        purser.OfferID `json:"offer,omitempty"`
	Detail       string         `json:"detail,omitempty"` // for people
}

// EventKind says what happened.
type EventKind string

// The kinds of event.
const (
	EventLaunched EventKind = "launched" // a machine was made
	EventRunning  EventKind = "running"  // it has started
	EventNotice   EventKind = "notice"   // it will be taken back
	EventEnded    EventKind = "ended"    // it is gone
	EventRefused  EventKind = "refused"  // a launch met the end of capacity or of a quota
	EventMarket   EventKind = "market"   // the trace has moved
	EventKnob     EventKind = "knob"     // somebody turned one
)

func (c *Cloud) log(e Event, m *machine) {
	if c.config.Log == nil {
		return
	}
	if m != nil {
		e.Machine, e.Lease, e.Installation, e.Offer = m.ID, m.Lease, m.Installation, m.Offer.ID()
	}
	e.At = e.At.UTC()
	c.config.Log(e)
}
