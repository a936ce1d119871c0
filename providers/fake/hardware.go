package fake

import "purser"

// Hardware is what a cloud's machines run on. The cloud makes one call at a time, and
// repeats calls after a restart.
type Hardware interface {
	// Boot starts the machine's agent, or finds it.
	Boot(b Boot) error
	// Lives says whether the machine's agent, or anything that it started, is there. Of b
	// it gets what names the machine.
	Lives(b Boot) bool
	// End asks the agent to end, as Lives names it; repeated, it ends it by force. It does
	// not wait, and says whether something is still there.
	End(b Boot) (left bool)
}

// Boot is what a machine's agent is told. The token is forgotten once it was told.
type Boot struct {
	Machine      string         `json:"machine"`
	Lease        purser.LeaseID `json:"lease"`
	Installation string         `json:"installation"`
	Offer        purser.Offer   `json:"offer"`
	ServerURL    string         `json:"server_url,omitempty"`
	JoinToken    string         `json:"join_token,omitempty"`
}

// named is what names the machine to its hardware.
func (m *machine) named() Boot {
	return Boot{Machine: m.ID, Lease: m.Lease, Installation: m.Installation, Offer: m.Offer}
}

// look finds agents that have ended: a machine without one powers itself off.
func (c *Cloud) look() {
	if c.config.Hardware == nil {
		return
	}
	now := c.config.Now()
	for _, m := range c.open {
		if !m.Booted || (!m.GoneAt.IsZero() && !m.GoneAt.After(now)) || c.config.Hardware.Lives(m.named()) {
			continue
		}
		if m.EndedAt.IsZero() {
			m.EndedAt, m.Reason = now, "its agent ended, and it powered itself off"
		}
		m.GoneAt, c.dirty = now, true
	}
}
