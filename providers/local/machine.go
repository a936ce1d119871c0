//go:build unix

package local

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"purser"
	"purser/providers"
)

// The states of machine.json. What the machine is doing right now is not in it but
// looked at each time.
const (
	stateIntent  = "intent"  // an agent may have been started
	stateStarted = "started" // PID is known
	stateEnding  = "ending"  // its end was asked for
	stateGone    = "gone"    // its agent and its tasks are gone
)

// machine is what stands in machine.json.
type machine struct {
	Lease        purser.LeaseID `json:"lease"`
	Installation string         `json:"installation"`
	Token        string         `json:"token,omitempty"`
	Offer        purser.OfferID `json:"offer,omitempty"`
	Private      bool           `json:"private,omitempty"`
	State        string         `json:"state"`
	PID          int            `json:"pid,omitempty"`
	Start        string         `json:"start,omitempty"` // of the process, see processStart
	Reason       string         `json:"reason,omitempty"`
	AskedAt      time.Time      `json:"asked_at"`
	EndingAt     time.Time      `json:"ending_at,omitzero"`
	ToldAt       time.Time      `json:"told_at,omitzero"` // the agent got SIGTERM
	GoneAt       time.Time      `json:"gone_at,omitzero"`
}

func readMachine(dir string) (machine, error) {
	var m machine
	b, err := os.ReadFile(filepath.Join(dir, "machine.json"))
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	return m, err
}

// write replaces machine.json, whole or not at all.
func (m machine) write(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, "machine.json"), append(b, '\n'))
}

// writeFile replaces a file that only this user may read.
func writeFile(path string, data []byte) error {
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// agentOf finds the process of the machine's agent: by the lock that it holds, by
// what was written down, or by its environment. working says that it has its lock;
// 0 is no process.
func (m machine) agentOf(dir string) (pid int, working bool) {
	if pid := lockHolder(filepath.Join(dir, "agent.lock")); pid > 0 {
		return pid, true
	}
	if m.PID > 0 && processStart(m.PID) == m.Start && m.Start != "" {
		return m.PID, false
	}
	if m.State == stateIntent || (m.State == stateEnding && m.PID == 0) {
		for _, pid := range processesWith(agentMark(dir)) {
			return pid, false
		}
	}
	return 0, false
}

// look says how the machine is and does what is due: an end that was asked for is
// carried on, and what a dead agent left is killed. The shared lock is held.
func (p *Provider) look(dir string, m machine) (providers.Instance, error) {
	if m.State == stateGone {
		return m.instance(providers.Gone), nil
	}
	pid, working := m.agentOf(dir)
	switch {
	case pid == 0 && m.State == stateIntent:
		return m.instance(providers.Pending), nil // the launch was cut short and will be repeated
	case pid == 0:
		return p.bury(dir, m)
	case m.State == stateEnding:
		return m.instance(providers.Stopping), p.end(dir, m, pid)
	case working:
		return m.instance(providers.Running), nil
	default:
		return m.instance(providers.Pending), nil
	}
}

// end tells the agent to end, once, and kills it when the grace is over. Its tasks
// are in groups of their own and are buried with the machine.
func (p *Provider) end(dir string, m machine, pid int) error {
	now := p.Now().UTC()
	switch {
	case m.ToldAt.IsZero():
		if err := writeFile(filepath.Join(dir, "terminated"), nil); err != nil {
			return err // an agent that has not begun would not see it
		}
		signalAgent(pid, syscall.SIGTERM)
		m.ToldAt = now
		return m.write(dir)
	case now.Sub(m.ToldAt) >= p.StopGrace:
		p.Logger.Warn("agent did not end in time and is killed", "lease", m.Lease, "pid", pid)
		signalAgent(pid, syscall.SIGKILL)
	}
	return nil
}

// bury ends what is left of the tasks of an agent that is gone, and writes down that
// the machine is.
func (p *Provider) bury(dir string, m machine) (providers.Instance, error) {
	if err := writeFile(filepath.Join(dir, "terminated"), nil); err != nil {
		return m.instance(providers.Stopping), err // an agent that was started twice must find this
	}
	if m.Token != "" {
		left, err := killLeftovers(dir)
		if err != nil || left {
			return m.instance(providers.Stopping), err // looked at again
		}
	}
	if m.Reason == "" {
		m.Reason = "its agent ended"
	}
	if err := os.Remove(filepath.Join(dir, "join-token")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return m.instance(providers.Stopping), err
	}
	m.State, m.GoneAt = stateGone, p.Now().UTC()
	return m.instance(providers.Gone), m.write(dir)
}

func (m machine) instance(s providers.InstanceState) providers.Instance {
	in := providers.Instance{ID: "local-" + string(m.Lease), Lease: m.Lease, Installation: m.Installation, State: s, StartedAt: m.AskedAt}
	if s == providers.Stopping || s == providers.Gone {
		in.Reason = m.Reason
	}
	return in
}
