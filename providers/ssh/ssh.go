package ssh

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"purser"
	"purser/providers"
)

// Provider runs agents on the hosts of an inventory. It keeps connections and nothing else.
type Provider struct {
	Config
	hosts map[string]*host
	names []string // of hosts, in order
	work  sync.WaitGroup
	ended context.Context //nolint:containedctx // Close ends by it what goes on in the background
	end   context.CancelFunc
}

var (
	_ providers.Provider = (*Provider)(nil)
	_ providers.Offerer  = (*Provider)(nil)
	_ providers.Sweeper  = (*Provider)(nil)
)

// New makes a Provider. It connects to nothing yet.
func New(c Config) (*Provider, error) {
	c = c.withDefaults()
	if err := c.check(); err != nil {
		return nil, err
	}
	p := &Provider{Config: c, hosts: map[string]*host{}}
	p.ended, p.end = context.WithCancel(context.Background())
	for _, h := range c.Hosts {
		made, err := newHost(h, &p.Config)
		if err != nil {
			return nil, purser.Wrap(purser.KindInvalid, "ssh.New", err)
		}
		p.hosts[h.Name] = made
		p.names = append(p.names, h.Name)
	}
	slices.Sort(p.names)
	return p, nil
}

// Close ends the connections and what goes on in the background. The machines stay.
func (p *Provider) Close() error {
	p.end()
	for _, h := range p.hosts {
		h.close()
	}
	p.work.Wait()
	return nil
}

// Name is ssh.
func (p *Provider) Name() string { return Name }

// begin looks at what every call for a lease needs.
func (p *Provider) begin(ctx context.Context, op string, lease purser.LeaseID) error {
	if err := ctx.Err(); err != nil {
		return purser.Wrap(purser.KindUnavailable, op, err)
	}
	if !nameForm.MatchString(string(lease)) {
		return purser.Errorf(purser.KindInvalid, op, "%q cannot be the name of a lease's folder", lease)
	}
	return nil
}

// each asks several hosts at once, and returns when all have answered. The first failure by the
// order of hosts is returned.
func (p *Provider) each(ctx context.Context, hosts []*host, do func(context.Context, int, *host) error) error {
	errs := make([]error, len(hosts))
	turns := make(chan struct{}, p.Parallel)
	var all sync.WaitGroup
	for i, h := range hosts {
		turns <- struct{}{}
		all.Go(func() {
			defer func() { <-turns }()
			errs[i] = do(ctx, i, h)
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *Provider) every() []*host {
	out := make([]*host, 0, len(p.names))
	for _, name := range p.names {
		out = append(out, p.hosts[name])
	}
	return out
}

// ask lists a host's machines of this installation: all, or those of one lease.
func (p *Provider) ask(ctx context.Context, h *host, only purser.LeaseID) ([]providers.Instance, error) {
	lines, err := p.script(ctx, h, "list", values{"only": string(only)})
	if err != nil {
		return nil, err
	}
	got, err := answers(lines)
	if err != nil {
		return nil, err
	}
	var out []providers.Instance
	for _, a := range got {
		out = append(out, p.instance(h, a))
	}
	return out, nil
}

// Describe tells of the lease's machine, and carries an end on that was asked for. It looks on
// the host of the offer first. Where that one knows of none, the others are asked, and those
// that do not answer do not matter; without an offer every host must answer.
func (p *Provider) Describe(ctx context.Context, l purser.Lease) (providers.Instance, error) {
	const op = "ssh.Describe"
	if err := p.begin(ctx, op, l.ID); err != nil {
		return providers.Instance{}, err
	}
	home, err := p.home(op, l)
	if err != nil {
		return providers.Instance{}, err
	}
	if home != nil {
		if got, err := p.ask(ctx, home, l.ID); err != nil || len(got) > 0 {
			return first(got), err
		}
	}
	found, err := p.search(ctx, home, l.ID)
	switch {
	case len(found) > 0:
		return found[0].in, nil
	case err != nil && home == nil:
		return providers.Instance{}, err
	}
	return providers.Instance{}, purser.Errorf(purser.KindNotFound, op, "no host of the SSH pool has a machine of lease %s", l.ID)
}

func first(got []providers.Instance) providers.Instance {
	if len(got) == 0 {
		return providers.Instance{}
	}
	return got[0]
}

// home is the host of the lease's offer; nil when the lease does not say. A host that is not in
// the inventory any more may still run the lease.
func (p *Provider) home(op string, l purser.Lease) (*host, error) {
	if l.Offer.InstanceType == "" {
		return nil, nil //nolint:nilnil // not known, and no failure
	}
	h := p.hosts[l.Offer.InstanceType]
	if h == nil {
		return nil, &purser.Error{
			Kind: purser.KindUnavailable, Op: op, Message: "lease " + string(l.ID) + " is of host " + l.Offer.InstanceType + ", which is not in the inventory",
			Hint: "put it back, drained, until its leases have ended",
		}
	}
	return h, nil
}

// found is a machine with its host.
type found struct {
	in providers.Instance
	on *host
}

// search asks every host but one for a lease's machine. Machines that are not gone come first.
func (p *Provider) search(ctx context.Context, but *host, lease purser.LeaseID) ([]found, error) {
	hosts := slices.DeleteFunc(p.every(), func(h *host) bool { return h == but })
	got := make([]found, len(hosts))
	err := p.each(ctx, hosts, func(ctx context.Context, i int, h *host) error {
		in, err := p.ask(ctx, h, lease)
		if err == nil && len(in) > 0 {
			got[i] = found{in[0], h}
		}
		return err
	})
	got = slices.DeleteFunc(got, func(f found) bool { return f.on == nil })
	slices.SortStableFunc(got, func(a, b found) int {
		return cmp.Compare(boolInt(a.in.State == providers.Gone), boolInt(b.in.State == providers.Gone))
	})
	return got, err
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// List tells of the machines that are not gone, on all hosts. A host that does not answer is an
// error that names it, unless it is drained.
func (p *Provider) List(ctx context.Context) ([]providers.Instance, error) {
	if err := ctx.Err(); err != nil {
		return nil, purser.Wrap(purser.KindUnavailable, "ssh.List", err)
	}
	hosts := p.every()
	got := make([][]providers.Instance, len(hosts))
	err := p.each(ctx, hosts, func(ctx context.Context, i int, h *host) (err error) {
		got[i], err = p.ask(ctx, h, "")
		if h.Drained && purser.KindOf(err) == purser.KindUnavailable && ctx.Err() == nil {
			return nil
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	out := slices.Concat(got...)
	slices.SortFunc(out, func(a, b providers.Instance) int { return cmp.Compare(a.Lease, b.Lease) })
	if out == nil {
		out = []providers.Instance{}
	}
	return out, nil
}

// Terminate asks for the end of the lease's machine, on the host of its offer; without an offer
// wherever it is.
func (p *Provider) Terminate(ctx context.Context, l purser.Lease) error {
	const op = "ssh.Terminate"
	if err := p.begin(ctx, op, l.ID); err != nil {
		return err
	}
	home, err := p.home(op, l)
	if err != nil {
		return err
	}
	if home != nil {
		return p.finish(ctx, home, l.ID)
	}
	got, failed := p.search(ctx, nil, l.ID)
	for _, f := range got {
		if err := p.finish(ctx, f.on, l.ID); err != nil {
			return err
		}
	}
	return failed
}

func (p *Provider) finish(ctx context.Context, h *host, lease purser.LeaseID) error {
	_, err := p.script(ctx, h, "end", values{"lease": string(lease)})
	if e, ok := err.(*purser.Error); ok && e.Kind == purser.KindNoCapacity { //nolint:errorlint // our own, unwrapped
		out := *e // a disk that is full does not end a machine, and must not end the asking
		out.Kind = purser.KindUnavailable
		return &out
	}
	return err
}

// Sweep removes from the hosts what no machine needs: programs that are not to be run any more
// and parts of programs, older than grace, and what is remembered of leases that ended longer
// ago than Remember. Hosts that are drained and do not answer are passed over.
func (p *Provider) Sweep(ctx context.Context, grace time.Duration) (int, error) {
	hosts := p.every()
	removed := make([]int, len(hosts))
	err := p.each(ctx, hosts, func(ctx context.Context, i int, h *host) error {
		lines, err := p.script(ctx, h, "sweep", values{
			"remember": seconds(max(grace, p.Remember)), "minutes": strconv.Itoa(int(grace / time.Minute)), "amd64": p.sum("amd64"), "arm64": p.sum("arm64"),
		})
		if h.Drained && purser.KindOf(err) == purser.KindUnavailable && ctx.Err() == nil {
			return nil
		}
		for _, line := range lines {
			if n, ok := cutInt(line, "removed "); ok {
				removed[i] = n
			}
		}
		return err
	})
	total := 0
	for _, n := range removed {
		total += n
	}
	return total, err
}
