//go:build unix

package local

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"purser"
	"purser/providers"
)

// Name is the provider's name, as leases carry it in Holder.
const Name = "local"

// Config is what a Provider works with.
type Config struct {
	Dir            string   // one folder per lease below it; made if missing
	CheckpointRoot string   // outlives leases. Defaults to Dir/checkpoints.
	Installation   string   // tag of our machines
	Binary         string   // purser
	Args           []string // Defaults to agent.
	Host           string   // this host's name, the zone of its offers. Defaults to local.

	MaxMachines int    // that stand in for bought ones, at once. Defaults to 16.
	Hosts       []Host // the operator's own capacity on this host

	PassEnv   []string      // names of further variables that agents and tasks inherit
	StopGrace time.Duration // from SIGTERM to SIGKILL of an agent. Defaults to 30 s.
	Remember  time.Duration // how long folders of ended machines stay. Defaults to 24 h.

	Logger *slog.Logger
	Now    func() time.Time // Defaults to time.Now.
}

// Host is capacity of the operator's own: Count machines of a shape.
type Host struct {
	Name      string // the offers' instance type
	Shape     purser.Shape
	UnitPrice purser.USDPerHour // marginal: what running it costs more than leaving it; may be 0
	Count     int               // Defaults to 1.
	Region    string            // Defaults to local.
	Zone      string            // Defaults to Config.Host.
	Country   string            // ISO 3166 alpha-2
	Source    string            // who says the price. Defaults to local.
}

// Provider starts agents on this host.
type Provider struct {
	Config
	since time.Time
	step  func(string) error // tests cut a launch short here; nil elsewhere
}

var (
	_ providers.Provider = (*Provider)(nil)
	_ providers.Offerer  = (*Provider)(nil)
)

// New makes a Provider and its folders.
func New(c Config) (*Provider, error) {
	if c.Dir == "" || c.Installation == "" || c.Binary == "" {
		return nil, purser.Errorf(purser.KindInvalid, "local.New", "the local provider needs a folder, the installation's id and the path of purser")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	var err error
	if c.Dir, err = filepath.Abs(c.Dir); err != nil {
		return nil, purser.Wrap(purser.KindInvalid, "local.New", err)
	}
	if c.CheckpointRoot == "" {
		c.CheckpointRoot = filepath.Join(c.Dir, "checkpoints")
	}
	if c.Args == nil {
		c.Args = []string{"agent"}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	c.Host = cmp.Or(c.Host, "local")
	c.MaxMachines = cmp.Or(c.MaxMachines, 16)
	c.StopGrace = cmp.Or(c.StopGrace, 30*time.Second)
	c.Remember = cmp.Or(c.Remember, 24*time.Hour)
	for _, dir := range []string{c.Dir, filepath.Join(c.Dir, leasesDir), c.CheckpointRoot} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, purser.Errorf(purser.KindInvalid, "local.New", "the folder %s cannot be made: %w", dir, err)
		}
	}
	return &Provider{Config: c, since: c.Now().UTC()}, nil
}

const leasesDir = "leases"

// Name is local.
func (p *Provider) Name() string { return Name }

// Offers lists the operator's own hosts, with those that are free as Limit.
func (p *Provider) Offers(context.Context) ([]purser.Offer, error) {
	var out []purser.Offer
	used := map[purser.OfferID]int{}
	if len(p.Hosts) > 0 {
		live, err := p.live()
		if err != nil {
			return nil, purser.Wrap(purser.KindUnavailable, "local.Offers", err)
		}
		for _, m := range live {
			if m.Private {
				used[m.Offer]++
			}
		}
	}
	for _, h := range p.Hosts {
		o := p.offer(h)
		o.Limit = max(0, o.Limit-used[o.ID()])
		if err := o.Check(); err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, nil
}

func (p *Provider) offer(h Host) purser.Offer {
	return purser.Offer{
		Provider: Name, Region: cmp.Or(h.Region, "local"), Zone: cmp.Or(h.Zone, p.Host), InstanceType: h.Name, Option: purser.Private,
		Shape: h.Shape, UnitPrice: h.UnitPrice, Limit: max(h.Count, 1), ValidFrom: p.since, ObservedAt: p.Now().UTC(),
		Source: cmp.Or(h.Source, Name), Country: h.Country,
	}
}

// leaseForm is the form of ids that are safe as names of folders.
var leaseForm = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,99}$`)

func (p *Provider) dir(lease purser.LeaseID) (string, error) {
	if !leaseForm.MatchString(string(lease)) {
		return "", purser.Errorf(purser.KindInvalid, "local", "%q cannot be the name of a lease's folder", lease)
	}
	return filepath.Join(p.Dir, leasesDir, string(lease)), nil
}

// locked runs do for a lease under the lock that all servers of this host share.
func (p *Provider) locked(ctx context.Context, op string, lease purser.LeaseID, do func(dir string) error) error {
	dir, err := p.dir(lease)
	if err != nil {
		return err
	}
	unlock, err := lockDir(ctx, p.Dir)
	if err != nil {
		return purser.Wrap(purser.KindUnavailable, op, err)
	}
	defer unlock()
	return purser.Wrap(purser.KindInternal, op, do(dir))
}

// Describe tells of the lease's machine, and carries an end on that was asked for.
func (p *Provider) Describe(ctx context.Context, l purser.Lease) (out providers.Instance, err error) {
	lease := l.ID
	err = p.locked(ctx, "local.Describe", lease, func(dir string) error {
		m, err := readMachine(dir)
		if errors.Is(err, fs.ErrNotExist) || (err == nil && m.Installation != p.Installation) {
			return purser.Errorf(purser.KindNotFound, "local.Describe", "this host has no machine of lease %s", lease)
		}
		if err != nil {
			return err
		}
		out, err = p.look(dir, m)
		return err
	})
	return out, err
}

// List tells of the machines that are not gone, and forgets those that have been
// gone for long.
func (p *Provider) List(ctx context.Context) ([]providers.Instance, error) {
	entries, err := os.ReadDir(filepath.Join(p.Dir, leasesDir))
	if err != nil {
		return nil, purser.Wrap(purser.KindInternal, "local.List", err)
	}
	if err := ctx.Err(); err != nil {
		return nil, purser.Wrap(purser.KindUnavailable, "local.List", err)
	}
	out := []providers.Instance{}
	for _, e := range entries {
		lease := purser.LeaseID(e.Name())
		if !leaseForm.MatchString(e.Name()) {
			continue
		}
		in, err := p.Describe(ctx, purser.Lease{ID: lease})
		switch {
		case err == nil && in.State != providers.Gone:
			out = append(out, in)
		case err == nil:
			err = p.forget(ctx, lease)
		}
		if err != nil && purser.KindOf(err) != purser.KindNotFound {
			return nil, err
		}
	}
	slices.SortFunc(out, func(a, b providers.Instance) int { return cmp.Compare(a.Lease, b.Lease) })
	return out, nil
}

func (p *Provider) forget(ctx context.Context, lease purser.LeaseID) error {
	return p.locked(ctx, "local.List", lease, func(dir string) error {
		m, err := readMachine(dir)
		if err != nil || m.GoneAt.IsZero() || p.Now().Sub(m.GoneAt) < p.Remember {
			return err
		}
		return os.RemoveAll(dir)
	})
}

// Terminate asks for the end. A lease without a machine is noted, so that a launch
// that is still on its way finds it ended.
func (p *Provider) Terminate(ctx context.Context, l purser.Lease) error {
	lease := l.ID
	return p.locked(ctx, "local.Terminate", lease, func(dir string) error {
		m, err := readMachine(dir)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			m = machine{Lease: lease, Installation: p.Installation, State: stateEnding, AskedAt: p.Now().UTC()}
		case err != nil:
			return err
		case m.Installation != p.Installation:
			return purser.Errorf(purser.KindForbidden, "local.Terminate", "the machine of lease %s belongs to another installation", lease)
		}
		if m.EndingAt.IsZero() {
			m.State, m.EndingAt, m.Reason = stateEnding, p.Now().UTC(), cmp.Or(m.Reason, "it was terminated")
			if err := m.write(dir); err != nil {
				return err
			}
		}
		_, err = p.look(dir, m)
		return err
	})
}
