package gcp

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"cloud.google.com/go/compute/apiv1/computepb"

	"purser"
	"purser/providers"
)

// Describe tells of the lease's machine. It looks where the lease says, and everywhere if
// there is nothing and the lease does not name its machine.
func (p *Provider) Describe(ctx context.Context, l purser.Lease) (providers.Instance, error) {
	a := ask{op: "gcp.Describe", what: "the look at the machine of " + clip(string(l.ID))}
	if err := ctx.Err(); err != nil {
		return providers.Instance{}, a.explain(ctx, err)
	}
	places, sure, err := p.placesOf(ctx, a, l)
	if err != nil {
		return providers.Instance{}, err
	}
	found, err := p.findIn(ctx, a, places, l.ID)
	if err != nil {
		return providers.Instance{}, err
	}
	if f := best(found); f.known {
		return f.in, nil
	}
	if !sure {
		places, err := p.everywhere(ctx, a, l)
		if err != nil {
			return providers.Instance{}, err
		}
		found, err := p.findIn(ctx, a, places, l.ID)
		if err != nil {
			return providers.Instance{}, err
		}
		if f := best(found); f.known {
			return f.in, nil
		}
	}
	return providers.Instance{}, purser.Errorf(purser.KindNotFound, a.op, "Google Cloud knows of no machine of lease %s", l.ID)
}

// Terminate asks for the end of the lease's machine.
func (p *Provider) Terminate(ctx context.Context, l purser.Lease) error {
	a := ask{op: "gcp.Terminate", what: "the end of the machine of " + clip(string(l.ID))}
	if err := ctx.Err(); err != nil {
		return a.explain(ctx, err)
	}
	places, sure, err := p.placesOf(ctx, a, l)
	if err != nil {
		return err
	}
	ended, err := p.endAll(ctx, a, places)
	if err != nil || ended || sure {
		return err
	}
	if places, err = p.everywhere(ctx, a, l); err != nil {
		return err
	}
	_, err = p.endAll(ctx, a, places)
	return err
}

func (p *Provider) endAll(ctx context.Context, a ask, places []place) (found bool, err error) {
	for _, at := range places {
		ended, err := p.end(ctx, a, at)
		if err != nil {
			return found, err
		}
		found = found || ended
	}
	return found, nil
}

func (p *Provider) end(ctx context.Context, a ask, at place) (bool, error) {
	if at.collection == collectionTPU {
		return p.endTPU(ctx, a, at)
	}
	return p.endVM(ctx, a, at)
}

// placesOf are the places where a lease's machine should be; sure says that it can be
// nowhere else. A lease whose id could not be launched here has none.
func (p *Provider) placesOf(ctx context.Context, a ask, l purser.Lease) (places []place, sure bool, err error) {
	name, err := nameOf(p.config.Installation, l.ID)
	if err != nil {
		return nil, true, nil //nolint:nilerr // no machine can have that name
	}
	if at, ok := placeOf(l.Instance); ok && at.name == name {
		return []place{at}, true, nil
	}
	o := l.Offer
	if o.Region == "" && o.Zone == "" {
		return nil, false, nil
	}
	slice := isSlice(o.InstanceType)
	if o.Zone == "" && slice && p.config.WithoutTPU {
		return nil, false, nil
	}
	zones, err := p.zonesOf(ctx, a, o, slice)
	if purser.KindOf(err) == purser.KindInvalid {
		return nil, false, nil // not a place of ours: the machine may be anywhere
	}
	for _, zone := range zones {
		places = append(places, place{zone, orElse(slice, collectionTPU, collectionVM), name})
	}
	return places, false, err
}

// everywhere gives the places in all zones where the lease has a machine now.
func (p *Provider) everywhere(ctx context.Context, a ask, l purser.Lease) ([]place, error) {
	name, err := nameOf(p.config.Installation, l.ID)
	if err != nil {
		return nil, err
	}
	var out []place
	if !isSlice(l.Offer.InstanceType) {
		err := p.eachVM(ctx, a, fmt.Sprintf("name = %q", name), func(at place, _ *computepb.Instance) error {
			if at.name == name {
				out = append(out, at)
			}
			return nil
		})
		if err != nil || l.Offer.InstanceType != "" {
			return out, err
		}
	}
	zones, err := p.tpuZones(ctx, a)
	if err != nil {
		return nil, err
	}
	places := make([]place, len(zones))
	for i, zone := range zones {
		places[i] = place{zone, collectionTPU, name}
	}
	found, err := p.findIn(ctx, a, places, l.ID)
	for i, f := range found {
		if f.known {
			out = append(out, places[i])
		}
	}
	return out, err
}

// List tells of every machine of this installation that is not gone, in the order of
// lease ids: those in the making, too, as far as the cloud lists them. It reads page by
// page and keeps what an instance says.
func (p *Provider) List(ctx context.Context) ([]providers.Instance, error) {
	a := ask{op: "gcp.List", what: "the list of machines"}
	if err := ctx.Err(); err != nil {
		return nil, a.explain(ctx, err)
	}
	var vms, tpus []providers.Instance
	err := parallel(2, func(i int) error {
		if i == 0 {
			return p.eachVM(ctx, a, p.oursFilter(), func(at place, m *computepb.Instance) error {
				if lease, ok := leaseOf(p.config.Installation, at.name); ok && m.GetLabels()[labelInstallation] == p.config.Installation {
					vms = append(vms, p.machine(at, lease, m))
				}
				return nil
			})
		}
		all, err := p.requests(ctx, a)
		for _, r := range all {
			tpus = append(tpus, p.slice(r.at, r.lease, r.queued, r.machine))
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	out := slices.DeleteFunc(append(vms, tpus...), func(in providers.Instance) bool { return in.State == providers.Gone })
	slices.SortStableFunc(out, func(x, y providers.Instance) int { return strings.Compare(string(x.Lease), string(y.Lease)) })
	return out, nil
}
