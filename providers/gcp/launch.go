package gcp

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"cloud.google.com/go/compute/apiv1/computepb"

	"purser"
	"purser/providers"
)

// Launch starts the lease's machine, or finds it. An offer of a whole region tries its
// zones in the order of their names; a zone that refused a lease once refuses it for good,
// since the refusal is remembered under the same request id.
func (p *Provider) Launch(ctx context.Context, r providers.Request) (providers.Instance, error) {
	const op = "gcp.Launch"
	if err := r.Check(); err != nil {
		return providers.Instance{}, err
	}
	o := r.Lease.Offer
	if r.Installation != p.config.Installation {
		return providers.Instance{}, purser.Errorf(purser.KindInvalid, op, "the launch of %s is another installation's: %s", r.Lease.ID, clip(r.Installation))
	}
	name, err := nameOf(p.config.Installation, r.Lease.ID)
	if err != nil {
		return providers.Instance{}, err
	}
	k, err := p.kindOf(o.InstanceType)
	if err != nil {
		return providers.Instance{}, err
	}
	a := ask{op: op, what: fmt.Sprintf("the launch of %s", o.ID()), secret: r.JoinToken}
	zones, err := p.zonesOf(ctx, a, o, k.slice)
	if err != nil {
		return providers.Instance{}, err
	}
	places := make([]place, len(zones))
	for i, zone := range zones {
		places[i] = place{zone, orElse(k.slice, collectionTPU, collectionVM), name}
	}
	found, err := p.findIn(ctx, a, places, r.Lease.ID)
	if err != nil {
		return providers.Instance{}, err
	}
	if f := best(found); f.known && f.refused == nil {
		return f.in, nil
	}
	deadline := p.config.Now().Add(p.config.PollFor)
	var refusal error
	for i, at := range places {
		var in providers.Instance
		if why := found[i].refused; why != nil {
			err = why
		} else {
			in, err = p.start(ctx, a, at, k, r, deadline)
		}
		if err == nil {
			return in, nil
		}
		if refusal == nil {
			refusal = err
		}
		if !elsewhere(err) {
			return providers.Instance{}, err
		}
	}
	return providers.Instance{}, refusal
}

// elsewhere says whether a zone's refusal leaves room for another's consent: the zone has
// no such machine, now or ever. Quotas are the region's, and what was not answered may
// have taken effect.
func elsewhere(err error) bool {
	switch purser.KindOf(err) {
	case purser.KindNoCapacity, purser.KindNotFound:
		return true
	case purser.KindInvalid:
		s, ok := errors.AsType[said](err)
		return ok && strings.Contains(s.message, "does not exist in zone")
	default:
		return false
	}
}

// start asks for the machine in one place.
func (p *Provider) start(ctx context.Context, a ask, at place, k kind, r providers.Request, deadline time.Time) (providers.Instance, error) {
	if k.slice {
		body, err := p.sliceSpec(at, k, r)
		if err != nil {
			return providers.Instance{}, err
		}
		return p.startTPU(ctx, a, at, body, r, deadline)
	}
	reservation, err := p.reservationFor(ctx, a, at.zone, r.Lease.Offer)
	if err != nil {
		return providers.Instance{}, err
	}
	body, err := p.machineSpec(at, k, r, reservation)
	if err != nil {
		return providers.Instance{}, err
	}
	return p.startVM(ctx, a, at, body, r, deadline)
}

// zonesOf are the zones that an offer can be launched in, in the order of their names.
func (p *Provider) zonesOf(ctx context.Context, a ask, o purser.Offer, slice bool) ([]string, error) {
	switch {
	case o.Zone != "" && (!zoneForm.MatchString(o.Zone) || regionOf(o.Zone) != o.Region):
		return nil, purser.Errorf(purser.KindInvalid, a.op, "Google Cloud has no zone %q in %q", clip(o.Zone), clip(o.Region))
	case o.Zone != "":
		return []string{o.Zone}, nil
	}
	out := slices.Clone(p.config.Zones[o.Region])
	if len(out) == 0 {
		all, err := p.listZones(ctx, a, slice)
		if err != nil {
			return nil, err
		}
		out = slices.DeleteFunc(all, func(zone string) bool { return regionOf(zone) != o.Region })
	}
	if len(out) == 0 {
		return nil, purser.Errorf(purser.KindInvalid, a.op, "Google Cloud has no zone in %q", clip(o.Region))
	}
	slices.Sort(out)
	return out, nil
}

func (p *Provider) listZones(ctx context.Context, a ask, slice bool) ([]string, error) {
	if slice {
		zones, err := p.tpuZones(ctx, a)
		return slices.Clone(zones), err
	}
	client, err := p.zones(ctx)
	if err != nil {
		return nil, a.explain(ctx, err)
	}
	defer client.Close() // closes nothing that could lose anything
	var out []string
	err = each(client.List(ctx, &computepb.ListZonesRequest{Project: p.config.Project, MaxResults: new(uint32(pageSize))}), func(z *computepb.Zone) error {
		if zoneForm.MatchString(z.GetName()) {
			out = append(out, z.GetName())
		}
		return nil
	})
	return out, a.maybe(ctx, err)
}

// find looks for the machine in one place.
func (p *Provider) find(ctx context.Context, a ask, at place, lease purser.LeaseID) (finding, error) {
	if at.collection == collectionTPU {
		return p.findTPU(ctx, a, at, lease)
	}
	return p.findVM(ctx, a, at, lease)
}

// findIn looks in several places at once.
func (p *Provider) findIn(ctx context.Context, a ask, places []place, lease purser.LeaseID) ([]finding, error) {
	out := make([]finding, len(places))
	err := parallel(len(places), func(i int) (err error) {
		out[i], err = p.find(ctx, a, places[i], lease)
		return err
	})
	return out, err
}

// best is the finding that says most of the lease: a machine that is, before one that was,
// before one that never came.
func best(found []finding) (out finding) {
	worth := func(f finding) int {
		switch {
		case !f.known:
			return 0
		case f.refused != nil:
			return 1
		case f.in.State == providers.Gone:
			return 2
		default:
			return 3
		}
	}
	for _, f := range found {
		if worth(f) > worth(out) {
			out = f
		}
	}
	return out
}
