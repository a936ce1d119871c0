package fake

import (
	"context"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"purser"
	"purser/providers"
)

// Tick does what has become due, for clouds that nobody calls, and ends machines whose
// agents have ended. An error is one of writing the state down.
func (c *Cloud) Tick() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.config.Now()
	c.advance(now)
	c.look()
	c.advance(now)
	c.forget(now)
	return c.save()
}

// due is something that happens at its own time.
type due struct {
	at time.Time
	do func()
}

// advance does everything that was due up to now, in order of time; of what is due at
// once the market comes first, then the machines in the order of their making.
func (c *Cloud) advance(now time.Time) {
	for {
		next := c.next(now)
		if next.do == nil {
			break
		}
		next.do()
	}
	c.open = slices.DeleteFunc(c.open, func(m *machine) bool { return m.Closed })
}

func (c *Cloud) next(now time.Time) (first due) {
	offer := func(at time.Time, do func()) {
		if !at.After(now) && (first.do == nil || at.Before(first.at)) {
			first = due{at, do}
		}
	}
	if i := c.state.Row; i < len(c.config.Spot.Trace) {
		at := c.state.Since.Add(c.config.Spot.Trace[i].At)
		offer(at, func() { c.follow(c.config.Spot.Trace[i], i, at) })
	}
	for _, m := range c.open {
		if m.Closed {
			continue
		}
		if boots := m.AskedAt.Add(c.config.BootTime); !m.Ran && m.EndedAt.IsZero() && (m.GoneAt.IsZero() || boots.Before(m.GoneAt)) {
			offer(boots, func() { c.boot(m, boots) })
		}
		if !m.GoneAt.IsZero() {
			offer(m.GoneAt, func() { c.close(m, now) })
			continue
		}
		if at, ok := c.taken(m); ok {
			offer(at, func() { c.takeBack(m, at, c.config.Spot.Notice, providers.Preempted, "the cloud takes it back") })
		}
		if until := c.until(m); !until.IsZero() {
			at := later(until.Add(-c.config.Spot.Notice), m.AskedAt)
			offer(at, func() { c.takeBack(m, at, until.Sub(at), providers.Retired, "its reservation ends") })
		}
	}
	return first
}

// boot lets a machine run, and starts its agent.
func (c *Cloud) boot(m *machine, at time.Time) {
	m.Ran, c.dirty = true, true
	c.log(Event{At: at, Kind: EventRunning}, m)
	if m.Boot == nil {
		return
	}
	// The intent is on disk since the launch; should this process be killed here, the next
	// one finds the agent instead of starting another.
	if err := c.config.Hardware.Boot(*m.Boot); err != nil {
		m.EndedAt, m.GoneAt, m.Reason = at, at, "it could not be booted: "+err.Error()
	}
	m.Booted, m.Boot = m.EndedAt.IsZero(), nil
}

// dies is how long after its end what is left of a machine is looked at again.
const dies = 50 * time.Millisecond

// close ends what is left of a machine and writes down that it is gone.
func (c *Cloud) close(m *machine, now time.Time) {
	c.dirty = true
	if m.Booted && c.config.Hardware.End(m.named()) {
		m.GoneAt = now.Add(dies) // something of it is still there
		return
	}
	m.Closed, m.Boot = true, nil
	if !m.Asked {
		c.notify(m, m.GoneAt, providers.Ended, m.GoneAt, m.Reason)
	}
	c.log(Event{At: m.GoneAt, Kind: EventEnded, Detail: m.Reason}, m)
}

// follow applies a row of the trace: so many machines there are from now on, and so many
// of those that run are taken back, with those that are more than there are.
func (c *Cloud) follow(row TraceRow, number int, at time.Time) {
	c.state.Row, c.dirty = number+1, true
	var running []*machine
	for _, m := range c.open {
		if fits(row.key(), m.Offer) && !m.ending() {
			running = append(running, m)
		}
	}
	take := row.Preempted
	if row.Available != Unchanged {
		c.setSupply(row.key(), row.Available)
		take = max(take, len(running)-row.Available)
	}
	c.log(Event{At: at, Kind: EventMarket, Detail: row.String()}, nil)
	lots := c.draw("trace", uint64(number))
	lots.Shuffle(len(running), func(i, j int) { running[i], running[j] = running[j], running[i] })
	for _, m := range running[:min(take, len(running))] {
		c.takeBack(m, at, c.config.Spot.Notice, providers.Preempted, "the cloud takes it back")
	}
}

// hazard is in preemptions per hour.
func (c *Cloud) hazard(instanceType string) float64 {
	if h, ok := c.hazards[instanceType]; ok {
		return h
	}
	return c.hazards[""]
}

// taken is when a spot machine's lot is drawn, as the hazard is now.
func (c *Cloud) taken(m *machine) (time.Time, bool) {
	h := c.hazard(m.Offer.InstanceType)
	if m.RiskAt.IsZero() || h <= 0 || m.ending() {
		return time.Time{}, false
	}
	hours := (m.Lot - m.Risk) / h
	if hours > 24*365*100 {
		return time.Time{}, false
	}
	return later(m.RiskAt.Add(time.Duration(hours*float64(time.Hour)).Round(time.Millisecond)), m.RiskAt), true
}

// settle writes down the risk that machines have run so far, before hazards change.
func (c *Cloud) settle(now time.Time) {
	for _, m := range c.open {
		if !m.RiskAt.IsZero() && !m.ending() {
			m.Risk += c.hazard(m.Offer.InstanceType) * now.Sub(m.RiskAt).Hours()
			m.RiskAt, c.dirty = now, true
		}
	}
}

// until is when the reservation of a machine ends; zero: never, or it has none.
func (c *Cloud) until(m *machine) time.Time {
	for _, b := range c.config.Reserved {
		if m.Reservation != "" && b.ID == m.Reservation && !m.ending() {
			return b.Until
		}
	}
	return time.Time{}
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// draw is the source of lots for one thing. It depends on the seed and on what it is
// for, so that the order in which things are drawn does not matter.
func (c *Cloud) draw(what string, number uint64) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(what))
	return rand.New(rand.NewPCG(c.config.Seed^h.Sum64(), number+1)) //nolint:gosec // a game of chance that is to be repeated, no secret
}

// walk is where a spot price stands.
type walk struct {
	steps int
	x     float64 // logarithm of price ÷ list price
}

// pull is what is left of a deviation after a step.
const pull = 0.9

// price is what an offer costs now: its list price, walked on for spot.
func (c *Cloud) price(o purser.Offer, now time.Time) purser.USDPerHour {
	if o.Option != purser.Spot || c.config.Spot.Swing <= 0 {
		return o.UnitPrice
	}
	w := c.walks[o.ID()]
	if w == nil {
		w = &walk{}
		c.walks[o.ID()] = w
	}
	for steps := int(now.Sub(c.state.Since) / c.config.Spot.PriceEvery); w.steps < steps; w.steps++ {
		w.x = pull*w.x + c.config.Spot.Swing*c.draw("price "+string(o.ID()), uint64(w.steps)).NormFloat64()
	}
	p := max(purser.USDPerHour(math.Round(float64(o.UnitPrice)*math.Exp(w.x))), 1)
	for _, l := range c.list {
		if l.Option == purser.OnDemand && l.InstanceType == o.InstanceType && l.Region == o.Region && (l.Zone == o.Zone || l.Zone == "") {
			p = min(p, l.UnitPrice)
		}
	}
	return p
}

// Offers is the price list as it is now, the same for every installation.
func (p *Provider) Offers(ctx context.Context) (out []purser.Offer, err error) {
	c := p.cloud
	err = c.call(ctx, Offers, "", func(now time.Time) error {
		out = slices.Clone(c.list)
		for i := range out {
			o := &out[i]
			o.UnitPrice, o.ObservedAt, o.Source = c.price(*o, now), now.UTC(), c.config.Name
			if o.Limit > 0 {
				o.Limit = max(0, o.Limit-c.live(keyOf(*o), now))
			}
			if o.Option == purser.Spot && c.config.Spot.Swing > 0 {
				o.ValidFrom = c.state.Since.Add(now.Sub(c.state.Since).Truncate(c.config.Spot.PriceEvery)).UTC()
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// String is the row for people.
func (r TraceRow) String() string {
	s := r.key()
	if r.Available != Unchanged {
		s += fmt.Sprintf(": %d available", r.Available)
	}
	if r.Preempted > 0 {
		s += fmt.Sprintf(": %d taken back", r.Preempted)
	}
	return s
}
