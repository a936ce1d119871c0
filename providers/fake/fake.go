package fake

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"purser"
	"purser/providers"
)

// Config sets a cloud up. The zero value is a cloud without ends or troubles.
type Config struct {
	Name     string           // of the provider. Defaults to fake.
	Now      func() time.Time // Defaults to time.Now.
	Seed     uint64           // of all that is drawn by lot
	BootTime time.Duration    // from pending to running. Defaults to 0: at once.
	StopTime time.Duration    // from stopping to gone. Defaults to 0: at once.
	Lag      time.Duration    // by which Describe and List are late. Defaults to 0.
	Remember time.Duration    // how long machines that are gone stay known. Defaults to 0: for ever.

	// Offers is the price list. Nothing else can be launched, unless it is empty.
	Offers []purser.Offer

	// Capacity is how many machines there are, by instance type or by
	// ZONE/TYPE/OPTION, where * stands for any and an offer without a zone lies in
	// its region. Every entry that fits an offer bounds it; no entry is no end.
	Capacity map[string]int

	// Quotas bound what the account has at once, over all installations.
	Quotas []purser.Quota

	// Reserved was bought ahead: offers under reserved or capacity_block can be
	// launched within it alone. Free is not read. At Until its machines are taken back.
	Reserved []providers.Reservation

	Spot  Spot
	Calls Calls

	// Hardware runs an agent for each machine. Nil: machines do nothing.
	Hardware Hardware

	// Forgetful clouds do not remember machines that are gone, so that a launch that
	// comes after the end makes a new machine. The contract asks for better; the
	// fleet must cope with it.
	Forgetful bool

	// Hook, if set, is called as each call begins and, when it has taken effect,
	// again with done. An error is returned to the caller in place of the answer.
	Hook func(ctx context.Context, call string, lease purser.LeaseID, done bool) error

	// Log, if set, hears of everything that happens, in order of time. It must not
	// call the cloud.
	Log func(Event)

	// Wait passes the time of latencies and polls. Defaults to a timer.
	Wait func(context.Context, time.Duration) error
}

// Spot is how the market for spot machines moves.
type Spot struct {
	Hazards    map[string]float64 // preemptions per hour of running by instance type; "" is for all others
	Trace      []TraceRow         // what was recorded; its time begins with the cloud
	Notice     time.Duration      // from the notice to the end. Defaults to 0: both at once.
	Quiet      bool               // a machine under notice shows as running
	PriceEvery time.Duration      // between steps of the prices' walk. Defaults to an hour.
	Swing      float64            // standard deviation of a step's logarithm. 0: prices stand still.
}

// Cloud is the state that all its providers share.
type Cloud struct {
	mu       sync.Mutex
	config   Config
	state    state
	open     []*machine // whose end was not logged yet, in the order of their making
	supply   map[string]int
	hazards  map[string]float64
	list     []purser.Offer
	walks    map[purser.OfferID]*walk
	buckets  map[string]*bucket
	failNext map[string][]error
	loseNext map[string]int
	halfNext int
	file     string
	dirty    bool
	changed  chan struct{} // closed when there is a new notice
}

// New makes an empty cloud in memory.
func New(c Config) *Cloud {
	if c.Name == "" {
		c.Name = Name
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Wait == nil {
		c.Wait = wait
	}
	if c.Spot.PriceEvery <= 0 {
		c.Spot.PriceEvery = time.Hour
	}
	cloud := &Cloud{
		config: c, supply: map[string]int{}, hazards: map[string]float64{}, list: slices.Clone(c.Offers), walks: map[purser.OfferID]*walk{},
		buckets: map[string]*bucket{}, failNext: map[string][]error{}, loseNext: map[string]int{}, changed: make(chan struct{}),
	}
	cloud.begin()
	cloud.config.Quotas = slices.Clone(c.Quotas)
	for k, v := range c.Capacity {
		cloud.supply[k] = v
	}
	for k, v := range c.Spot.Hazards {
		cloud.hazards[k] = v
	}
	return cloud
}

// Name is what the provider is called unless Config says otherwise.
const Name = "fake"

// Provider is the view of one installation.
func (c *Cloud) Provider(installation string) *Provider {
	return &Provider{cloud: c, installation: installation}
}

// Provider implements providers.Provider on a Cloud.
type Provider struct {
	cloud        *Cloud
	installation string
}

var (
	_ providers.Provider    = (*Provider)(nil)
	_ providers.Offerer     = (*Provider)(nil)
	_ providers.Interrupter = (*Provider)(nil)
	_ providers.Quoter      = (*Provider)(nil)
	_ providers.Sweeper     = (*Provider)(nil)
)

// Name is the cloud's name.
func (p *Provider) Name() string { return p.cloud.config.Name }

// Launch makes the lease's machine or finds it, by its client token and by its tag.
func (p *Provider) Launch(ctx context.Context, r providers.Request) (out providers.Instance, err error) {
	if err := r.Check(); err != nil {
		return out, err
	}
	err = p.cloud.call(ctx, Launch, r.Lease.ID, func(now time.Time) error {
		m, err := p.cloud.launch(r, now)
		if err != nil {
			return err
		}
		out = p.cloud.show(m, now)
		return nil
	})
	return out, err
}

// Describe tells of the lease's machine as it was Lag ago.
func (p *Provider) Describe(ctx context.Context, l purser.Lease) (out providers.Instance, err error) {
	err = p.cloud.call(ctx, Describe, l.ID, func(now time.Time) error {
		seen := now.Add(-p.cloud.config.Lag)
		m := p.cloud.find(p.installation, l.ID, seen)
		if m == nil || (p.cloud.config.Forgetful && m.state(p.cloud.config, seen) == providers.Gone) {
			return purser.Errorf(purser.KindNotFound, "fake.Describe", "there is no machine of lease %s", l.ID)
		}
		out = p.cloud.show(m, seen)
		return nil
	})
	return out, err
}

// List tells of the installation's machines as they were Lag ago.
func (p *Provider) List(ctx context.Context) (out []providers.Instance, err error) {
	err = p.cloud.call(ctx, List, "", func(now time.Time) error {
		seen := now.Add(-p.cloud.config.Lag)
		for _, m := range p.cloud.state.Machines {
			if m.Installation == p.installation && !m.AskedAt.After(seen) && m.state(p.cloud.config, seen) != providers.Gone {
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

// Terminate asks for the end of the lease's machines, seen or not yet seen, and removes
// a disk that a launch has left.
func (p *Provider) Terminate(ctx context.Context, l purser.Lease) error {
	return p.cloud.call(ctx, Terminate, l.ID, func(now time.Time) error {
		for _, m := range p.cloud.state.Machines {
			if m.Lease == l.ID && m.Installation == p.installation && m.state(p.cloud.config, now) != providers.Gone {
				m.Asked = true
				p.cloud.end(m, now, "it was terminated")
			}
		}
		p.cloud.removeDisks(func(d disk) bool { return d.Installation == p.installation && d.Lease == l.ID })
		return nil
	})
}

// Sweep removes disks that launches left when they failed half way.
func (p *Provider) Sweep(ctx context.Context, grace time.Duration) (removed int, err error) {
	err = p.cloud.call(ctx, Sweep, "", func(now time.Time) error {
		removed = p.cloud.removeDisks(func(d disk) bool {
			return d.Installation == p.installation && now.Sub(d.MadeAt) >= grace
		})
		return nil
	})
	return removed, err
}

// find is the lease's machine that was known at a time; the newest if a forgetful
// cloud made several.
func (c *Cloud) find(installation string, lease purser.LeaseID, seen time.Time) *machine {
	for _, m := range slices.Backward(c.state.Machines) {
		if m.Lease == lease && m.Installation == installation && !m.AskedAt.After(seen) {
			return m
		}
	}
	return nil
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
