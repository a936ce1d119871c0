package fake

import (
	"time"

	"purser"
	"purser/providers"
)

// Calls, for FailNext and LoseNext.
const (
	Launch    = "launch"
	Describe  = "describe"
	List      = "list"
	Terminate = "terminate"
)

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

// Preempt takes the lease's machine back: it stops at once as far as anyone can see,
// and is gone after the notice.
func (c *Cloud) Preempt(lease purser.LeaseID, notice time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.config.Now()
	for _, m := range c.machines {
		if m.lease == lease && m.goneAt.IsZero() {
			m.notice, m.reason, m.goneAt = now, "the cloud takes it back", now.Add(notice)
		}
	}
}

// Kill makes the lease's machine be gone at once, as when its hardware fails.
func (c *Cloud) Kill(lease purser.LeaseID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.config.Now()
	for _, m := range c.machines {
		if m.lease == lease && (m.goneAt.IsZero() || m.goneAt.After(now)) {
			m.endedAt, m.goneAt, m.reason = now, now, "its hardware failed"
		}
	}
}

// Machine is what the cloud knows of a machine, without lag.
type Machine struct {
	providers.Instance
	EndedAt time.Time // its end began; zero while nobody asked
	GoneAt  time.Time // zero while it lives
}

// Machines gives every machine that ever was, in the order of their making.
func (c *Cloud) Machines() []Machine {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.config.Now()
	var out []Machine
	for _, m := range c.machines {
		v := Machine{Instance: c.show(m, now), EndedAt: m.endedAt}
		if v.State == providers.Gone {
			v.GoneAt = m.goneAt
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
