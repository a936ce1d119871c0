// Package fake is a cloud in memory: a working provider with knobs for everything
// that goes wrong in real ones. It passes the conformance suite, and stands in for
// clouds in the tests of fleet and app.
//
// Time comes from Config.Now, so a virtual clock drives it: a machine runs BootTime
// after it was asked for and is gone StopTime after its end was asked for, and
// listings lag behind by Lag. Knobs may be turned at any time.
//
// Failures are those of the contract; besides, FailNext and LoseNext make any call
// fail before or after it took effect, and Hook may fail it too.
package fake

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"purser"
	"purser/providers"
)

// Config sets a cloud up.
type Config struct {
	Name     string           // of the provider. Defaults to fake.
	Now      func() time.Time // Defaults to time.Now.
	BootTime time.Duration    // from pending to running. Defaults to 0: at once.
	StopTime time.Duration    // from stopping to gone. Defaults to 0: at once.
	Lag      time.Duration    // by which Describe and List are late. Defaults to 0.

	// Capacity is how many machines of an instance type there are; types that are
	// missing never end.
	Capacity map[string]int

	// Forgetful clouds do not remember machines that are gone, so that a launch that
	// comes after the end makes a new machine. The contract asks for better; the
	// fleet must cope with it.
	Forgetful bool

	// Hook, if set, is called as each call begins and, when it has taken effect,
	// again with done. An error is returned to the caller in place of the answer.
	Hook func(ctx context.Context, call string, lease purser.LeaseID, done bool) error
}

// Cloud is the state that all its providers share.
type Cloud struct {
	mu       sync.Mutex
	config   Config
	machines []*machine
	failNext map[string][]error
	loseNext map[string]int
}

// machine is one machine, for good.
type machine struct {
	id, token, installation, params string
	lease                           purser.LeaseID
	instanceType                    string
	askedAt                         time.Time
	notice                          time.Time // of its preemption
	endedAt                         time.Time // its end was asked for, or it was taken
	goneAt                          time.Time // zero while it lives
	reason                          string
}

// New makes an empty cloud.
func New(c Config) *Cloud {
	if c.Name == "" {
		c.Name = "fake"
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Cloud{config: c, failNext: map[string][]error{}, loseNext: map[string]int{}}
}

// Provider is the view of one installation.
func (c *Cloud) Provider(installation string) *Provider {
	return &Provider{cloud: c, installation: installation}
}

// Provider implements providers.Provider on a Cloud.
type Provider struct {
	cloud        *Cloud
	installation string
}

var _ providers.Provider = (*Provider)(nil)

// Name is the cloud's name.
func (p *Provider) Name() string { return p.cloud.config.Name }

// Launch makes the lease's machine or finds it, by its client token and by its tag.
func (p *Provider) Launch(ctx context.Context, r providers.Request) (out providers.Instance, err error) {
	if err := r.Check(); err != nil {
		return out, err
	}
	err = p.cloud.call(ctx, "launch", r.Lease.ID, func(now time.Time) error {
		m, err := p.cloud.launch(r, now)
		if err != nil {
			return err
		}
		out = p.cloud.show(m, now)
		return nil
	})
	return out, err
}

func (c *Cloud) launch(r providers.Request, now time.Time) (*machine, error) {
	params := fmt.Sprintf("%s|%s", r.Lease.Offer.ID(), r.JoinToken)
	live := 0
	for _, m := range c.machines {
		gone := m.state(c.config, now) == providers.Gone
		if m.token == r.Token && !(gone && c.config.Forgetful) {
			if m.params != params {
				return nil, purser.Errorf(purser.KindConflict, "fake.Launch", "the client token was used with other parameters")
			}
			return m, nil
		}
		if m.lease == r.Lease.ID && m.installation == r.Installation && !(gone && c.config.Forgetful) {
			return m, nil
		}
		if m.instanceType == r.Lease.Offer.InstanceType && !gone {
			live++
		}
	}
	if most, limited := c.config.Capacity[r.Lease.Offer.InstanceType]; limited && live >= most {
		return nil, purser.Errorf(purser.KindNoCapacity, "fake.Launch", "no %s is left", r.Lease.Offer.InstanceType)
	}
	m := &machine{
		id: fmt.Sprintf("i-%06d", len(c.machines)+1), token: r.Token, installation: r.Installation, params: params,
		lease: r.Lease.ID, instanceType: r.Lease.Offer.InstanceType, askedAt: now,
	}
	c.machines = append(c.machines, m)
	return m, nil
}

// Describe tells of the lease's machine as it was Lag ago.
func (p *Provider) Describe(ctx context.Context, l purser.Lease) (out providers.Instance, err error) {
	lease := l.ID
	err = p.cloud.call(ctx, "describe", lease, func(now time.Time) error {
		seen := now.Add(-p.cloud.config.Lag)
		m := p.cloud.find(p.installation, lease, seen)
		if m == nil || (p.cloud.config.Forgetful && m.state(p.cloud.config, seen) == providers.Gone) {
			return purser.Errorf(purser.KindNotFound, "fake.Describe", "there is no machine of lease %s", lease)
		}
		out = p.cloud.show(m, seen)
		return nil
	})
	return out, err
}

// List tells of the installation's machines as they were Lag ago.
func (p *Provider) List(ctx context.Context) (out []providers.Instance, err error) {
	err = p.cloud.call(ctx, "list", "", func(now time.Time) error {
		seen := now.Add(-p.cloud.config.Lag)
		for _, m := range p.cloud.machines {
			if m.installation == p.installation && !m.askedAt.After(seen) && m.state(p.cloud.config, seen) != providers.Gone {
				out = append(out, p.cloud.show(m, seen))
			}
		}
		slices.SortFunc(out, func(a, b providers.Instance) int {
			return cmp.Or(cmp.Compare(a.Lease, b.Lease), cmp.Compare(a.ID, b.ID))
		})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Terminate asks for the end of the lease's machines, seen or not yet seen.
func (p *Provider) Terminate(ctx context.Context, l purser.Lease) error {
	lease := l.ID
	return p.cloud.call(ctx, "terminate", lease, func(now time.Time) error {
		for _, m := range p.cloud.machines {
			if m.lease == lease && m.installation == p.installation {
				m.end(p.cloud.config, now, "it was terminated")
			}
		}
		return nil
	})
}

// call runs one call with all that can go wrong with it.
func (c *Cloud) call(ctx context.Context, name string, lease purser.LeaseID, do func(now time.Time) error) error {
	if c.config.Hook != nil {
		if err := c.config.Hook(ctx, name, lease, false); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return purser.Wrap(purser.KindUnavailable, "fake."+name, err)
	}
	if err := c.effect(name, do); err != nil {
		return err
	}
	if c.config.Hook != nil {
		return c.config.Hook(ctx, name, lease, true)
	}
	return nil
}

func (c *Cloud) effect(name string, do func(now time.Time) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if errs := c.failNext[name]; len(errs) > 0 {
		c.failNext[name] = errs[1:]
		return errs[0]
	}
	if err := do(c.config.Now()); err != nil {
		return err
	}
	if c.loseNext[name] > 0 {
		c.loseNext[name]--
		return purser.Errorf(purser.KindUnavailable, "fake."+name, "the answer was lost")
	}
	return nil
}

// find is the lease's machine that was known at a time; the newest if a forgetful
// cloud made several.
func (c *Cloud) find(installation string, lease purser.LeaseID, seen time.Time) *machine {
	for _, m := range slices.Backward(c.machines) {
		if m.lease == lease && m.installation == installation && !m.askedAt.After(seen) {
			return m
		}
	}
	return nil
}

func (c *Cloud) show(m *machine, now time.Time) providers.Instance {
	in := providers.Instance{ID: m.id, Lease: m.lease, Installation: m.installation, State: m.state(c.config, now), StartedAt: m.askedAt}
	if in.State == providers.Stopping || in.State == providers.Gone {
		in.Reason = m.reason
	}
	return in
}

func (m *machine) state(c Config, now time.Time) providers.InstanceState {
	switch {
	case !m.goneAt.IsZero() && !m.goneAt.After(now):
		return providers.Gone
	case !m.endedAt.IsZero() && !m.endedAt.After(now), !m.notice.IsZero() && !m.notice.After(now):
		return providers.Stopping
	case m.askedAt.Add(c.BootTime).After(now):
		return providers.Pending
	default:
		return providers.Running
	}
}

func (m *machine) end(c Config, now time.Time, reason string) {
	if m.endedAt.IsZero() {
		m.endedAt, m.reason = now, reason
	}
	if gone := now.Add(c.StopTime); m.goneAt.IsZero() || gone.Before(m.goneAt) {
		m.goneAt = gone
	}
}
