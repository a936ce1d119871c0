package fake

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"purser"
	"purser/providers"
)

// NoEnd is the Capacity of what does not end.
const NoEnd = -1

// Knobs are what can be turned while a cloud runs, here or over the wire. What is
// missing stays as it is. Capacity, hazards and quotas outlive a restart.
type Knobs struct {
	Capacity map[string]int      `json:"capacity,omitempty"` // machines by key, as Config.Capacity; NoEnd
	Hazards  map[string]float64  `json:"hazards,omitempty"`  // preemptions per hour by instance type; "" for all others
	Quotas   []purser.Quota      `json:"quotas,omitempty"`   // in place of those of the same name, or beside the others
	Preempt  []Preemption        `json:"preempt,omitempty"`
	Kill     []purser.LeaseID    `json:"kill,omitempty"` // leases whose machine's hardware fails now
	Lose     map[string]int      `json:"lose,omitempty"` // answers that will be lost, by call
	Half     int                 `json:"half,omitempty"` // launches that will be left half done
	Fail     map[string][]Failed `json:"fail,omitempty"` // errors that the next calls will have, by call
}

// Preemption takes a lease's machine back.
type Preemption struct {
	Lease         purser.LeaseID `json:"lease"`
	NoticeSeconds float64        `json:"notice_seconds"` // until it is gone
}

// Turn turns knobs. Values that cannot be are invalid, and then none is turned.
func (c *Cloud) Turn(k Knobs) error {
	if err := k.check(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.config.Now()
	c.advance(now)
	c.settle(now)
	for _, key := range slices.Sorted(maps.Keys(k.Capacity)) {
		c.setSupply(key, k.Capacity[key])
	}
	for kind, h := range k.Hazards {
		c.hazards[kind], c.state.Hazards[kind] = h, h
	}
	for _, q := range k.Quotas {
		c.config.Quotas, c.state.Quotas = withQuota(c.config.Quotas, q), withQuota(c.state.Quotas, q)
	}
	for _, p := range k.Preempt {
		c.preempt(p.Lease, now, time.Duration(p.NoticeSeconds*float64(time.Second)))
	}
	for _, lease := range k.Kill {
		c.kill(lease, now)
	}
	for call, n := range k.Lose {
		c.loseNext[call] += n
	}
	for call, errs := range k.Fail {
		for _, e := range errs {
			c.failNext[call] = append(c.failNext[call], e.err())
		}
	}
	c.halfNext += k.Half
	c.dirty = true
	c.log(Event{At: now, Kind: EventKnob, Detail: k.String()}, nil)
	c.advance(now)
	return c.save()
}

// maxCapacity is more machines than any cloud has.
const maxCapacity = 1 << 30

func (k Knobs) check() error {
	fail := func(format string, a ...any) error {
		return purser.Errorf(purser.KindInvalid, "fake.Turn", format, a...)
	}
	for key, n := range k.Capacity {
		if n < NoEnd || n > maxCapacity {
			return fail("capacity %q: %d is no count of machines; %d is no end", short(key), n, NoEnd)
		}
	}
	for kind, h := range k.Hazards {
		if !(h >= 0 && h <= 1e6) {
			return fail("hazard %q: %g is no count of preemptions per hour", short(kind), h)
		}
	}
	for _, q := range k.Quotas {
		if err := q.Check(); err != nil {
			return err
		}
	}
	for _, p := range k.Preempt {
		if !(p.NoticeSeconds >= 0 && p.NoticeSeconds <= maxSeconds) {
			return fail("a notice of %g seconds cannot be", p.NoticeSeconds)
		}
	}
	for call, n := range k.Lose {
		if n < 0 || !slices.Contains(callNames, call) {
			return fail("lose %q: %d is no count of answers of a call; calls are %s", short(call), n, strings.Join(callNames, ", "))
		}
	}
	for call, errs := range k.Fail {
		if (call != Interruptions && !slices.Contains(callNames, call)) || slices.ContainsFunc(errs, func(f Failed) bool { return f.Kind == "" }) {
			return fail("fail %q: it needs a call and errors with a kind; calls are %s, %s", short(call), strings.Join(callNames, ", "), Interruptions)
		}
	}
	if k.Half < 0 {
		return fail("half: %d is no count of launches", k.Half)
	}
	return nil
}

// String names what is turned, for people.
func (k Knobs) String() string {
	out := ""
	for _, part := range []struct {
		name string
		n    int
	}{
		{"capacity", len(k.Capacity)},
		{"hazards", len(k.Hazards)},
		{"quotas", len(k.Quotas)},
		{"preempt", len(k.Preempt)},
		{"kill", len(k.Kill)},
		{"lose", len(k.Lose)},
		{"half", k.Half},
		{"fail", len(k.Fail)},
	} {
		if part.n > 0 {
			out += fmt.Sprintf(" %s (%d)", part.name, part.n)
		}
	}
	return "turned:" + out
}

// setSupply says how many machines of a key there are from now on.
func (c *Cloud) setSupply(key string, n int) {
	c.state.Supply[key], c.dirty = n, true
	if n == NoEnd {
		delete(c.supply, key)
		return
	}
	c.supply[key] = n
}

func withQuota(all []purser.Quota, q purser.Quota) []purser.Quota {
	for i := range all {
		if all[i].Name == q.Name {
			all[i] = q
			return all
		}
	}
	return append(all, q)
}

func (c *Cloud) preempt(lease purser.LeaseID, now time.Time, notice time.Duration) {
	for _, m := range c.open {
		if m.Lease == lease && m.GoneAt.IsZero() {
			c.takeBack(m, now, notice, providers.Preempted, "the cloud takes it back")
		}
	}
}

func (c *Cloud) kill(lease purser.LeaseID, now time.Time) {
	for _, m := range c.open {
		if m.Lease == lease && (m.GoneAt.IsZero() || m.GoneAt.After(now)) {
			m.EndedAt, m.GoneAt, m.Reason, c.dirty = now, now, "its hardware failed", true
		}
	}
}

// FailNext makes the next calls of a name fail, one with each error, without
// taking effect.
func (c *Cloud) FailNext(call string, errs ...error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failNext[call] = append(c.failNext[call], errs...)
}

// LoseNext makes the next n calls of a name take effect and answer unavailable.
func (c *Cloud) LoseNext(call string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.loseNext[call] += n
}

// HalfNext sets how many of the next launches that make a machine are left half done: a
// disk is made, and the answer is unavailable.
func (c *Cloud) HalfNext(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.halfNext = n
}

// Preempt takes the lease's machine back: it stops at once as far as anyone can see
// (unless Spot.Quiet), and is gone after the notice.
func (c *Cloud) Preempt(lease purser.LeaseID, notice time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.config.Now()
	c.advance(now)
	c.preempt(lease, now, notice)
	c.advance(now)
}

// Kill makes the lease's machine be gone at once, as when its hardware fails.
func (c *Cloud) Kill(lease purser.LeaseID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.config.Now()
	c.advance(now)
	c.kill(lease, now)
	c.advance(now)
}

// Machine is what the cloud knows of a machine, without lag.
type Machine struct {
	providers.Instance
	Offer    purser.OfferID // the one that was taken
	NoticeAt time.Time      // it was told that it is taken back; zero if it was not
	EndedAt  time.Time      // its end began; zero while nobody asked
	GoneAt   time.Time      // zero while it lives
}

// Known is how many machines are remembered, before anything that has become due since.
func (c *Cloud) Known() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.state.Machines)
}

// Machines gives every machine that is remembered, in the order of their making.
func (c *Cloud) Machines() []Machine {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.config.Now()
	c.advance(now)
	out := make([]Machine, 0, len(c.state.Machines))
	for _, m := range c.state.Machines {
		v := Machine{Instance: c.show(m, now), Offer: m.Offer.ID(), NoticeAt: m.Notice, EndedAt: m.EndedAt}
		if v.State == providers.Gone {
			v.GoneAt = m.GoneAt
		}
		out = append(out, v)
	}
	return out
}

// Live gives the machines of a lease that are not gone.
func (c *Cloud) Live(lease purser.LeaseID) (out []Machine) {
	for _, m := range c.Machines() {
		if m.Lease == lease && m.State != providers.Gone {
			out = append(out, m)
		}
	}
	return out
}

// Leavings names what an installation's launches have left and nobody has removed yet.
func (c *Cloud) Leavings(installation string) (out []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range c.state.Disks {
		if d.Installation == installation {
			out = append(out, "disk of "+string(d.Lease))
		}
	}
	return out
}
