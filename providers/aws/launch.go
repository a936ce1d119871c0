package aws

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ec2"

	"purser"
	"purser/providers"
)

// settled is the age of a template by which its machine can be seen, if there was any:
// longer than anybody repeats a launch, and shorter than EC2 shows what was terminated.
const settled = 30 * time.Minute

// Launch looks for the lease's machine, and asks for it with the lease's template, which
// keeps every repetition the same. See the package comment.
func (p *Provider) Launch(ctx context.Context, r providers.Request) (providers.Instance, error) {
	if err := r.Check(); err != nil {
		return providers.Instance{}, err
	}
	in, err := p.launch(ctx, r)
	if e, ok := errors.AsType[*purser.Error](err); ok && !strings.Contains(e.Message, string(r.Lease.Offer.ID())) {
		named := *e
		named.Op, named.Message = opLaunch, fmt.Sprintf("%s: %s", r.Lease.Offer.ID(), e.Message)
		return in, &named
	}
	return in, err
}

func (p *Provider) launch(ctx context.Context, r providers.Request) (providers.Instance, error) {
	o := r.Lease.Offer
	if r.Installation != p.c.Installation || !tagForm.MatchString(string(r.Lease.ID)) {
		return providers.Instance{}, purser.Errorf(purser.KindInvalid, opLaunch, "lease %q of installation %q cannot be launched by %s", clip(string(r.Lease.ID)), clip(r.Installation), p.c.Installation)
	}
	if !slices.Contains(p.c.Regions, o.Region) {
		return providers.Instance{}, &purser.Error{
			Kind: purser.KindInvalid, Op: opLaunch, Message: fmt.Sprintf("%s: the region is not enabled here", o.ID()), Hint: "add it to the provider's regions",
		}
	}
	if m, ok, err := p.known(ctx, r.Lease); err != nil || ok {
		return m, err
	}
	a, err := p.ask(r)
	if err != nil {
		return providers.Instance{}, err
	}
	t, err := p.pin(ctx, r, &a)
	if err != nil {
		return providers.Instance{}, err
	}
	switch {
	case t.name != "" && p.c.Now().Sub(t.made) > settled:
		return gone(r, "it was asked for at "+t.made.UTC().Format(time.RFC3339)+" and is not there any more"), nil
	case t.name != "" && t.asked != a.digest():
		return providers.Instance{}, &purser.Error{
			Kind: purser.KindConflict, Op: opLaunch, Message: fmt.Sprintf("%s: the lease was asked for with other settings before", o.ID()), Hint: meanings[codeMismatch].hint,
		}
	}
	in, err := p.request(ctx, r, a, t)
	if err != nil {
		return p.unanswered(ctx, r, t, err)
	}
	return in, nil
}

// gone is the machine of a lease that has none any more, and gets no other.
func gone(r providers.Request, why string) providers.Instance {
	return providers.Instance{
		ID: r.Lease.Instance, Lease: r.Lease.ID, Installation: r.Installation, State: providers.Gone,
		Region: r.Lease.Offer.Region, InstanceType: r.Lease.Offer.InstanceType, Reason: why,
	}
}

// known looks for the lease's machine.
func (p *Provider) known(ctx context.Context, l purser.Lease) (providers.Instance, bool, error) {
	found, err := p.byLease(ctx, opLaunch, l.Offer.Region, l.ID)
	if err != nil {
		return providers.Instance{}, false, err
	}
	m, ok := foremost(found)
	return m.Instance, ok, nil
}

// request makes the one call that starts a machine.
func (p *Provider) request(ctx context.Context, r providers.Request, a ask, t template) (providers.Instance, error) {
	if t.name != "" && len(a.places) > 1 {
		in, err := p.createFleet(ctx, r, a, t)
		if !errors.Is(err, errUnknownAction) {
			return in, err
		}
	}
	return p.runInstances(ctx, r, a, t)
}

// unanswered deals with a launch that gave no machine. A refusal leaves nothing behind.
func (p *Provider) unanswered(ctx context.Context, r providers.Request, t template, err error) (providers.Instance, error) {
	var fault apiFault
	errors.As(err, &fault)
	switch fault.code {
	case codeTerminated:
		return gone(r, "it has been there and was terminated"), nil
	case codeMismatch:
		m, ok, lookErr := p.known(ctx, r.Lease)
		if lookErr != nil || ok {
			return m, lookErr
		}
		if t.name == "" {
			// Without a template the server's new address makes another request. The first
			// one's machine will be seen soon, or the fleet ends the lease after a while.
			return providers.Instance{}, &purser.Error{
				Kind: purser.KindUnavailable, Op: opLaunch, RetryAfter: 5 * time.Second, Cause: err,
				Message: fmt.Sprintf("%s: the machine was asked for before and is not seen yet", r.Lease.Offer.ID()),
			}
		}
	}
	switch purser.KindOf(err) {
	case purser.KindNoCapacity, purser.KindQuota, purser.KindInvalid, purser.KindForbidden:
		p.unpin(ctx, r.Lease.Offer.Region, t)
	default: // there may be a machine
	}
	return providers.Instance{}, err
}

// place is where and what a machine may be: a type in a zone, in a subnet.
type place struct {
	instanceType string
	zone         string // id or name; empty lets EC2 choose
	subnet       string // empty: the default VPC's
	maxPrice     string // of spot machines, USD per hour
}

// ask is all that is asked of EC2, but for what stands in the template.
type ask struct {
	region, family string
	option         purser.PurchaseOption
	places         []place // the offer's first
	groups         []string
	publicIP       bool
	reservation    string // that the machine is to use
}

// digest tells asks apart. The reservation is left out: the template keeps it.
func (a ask) digest() string {
	a.reservation = ""
	sum := sha256.Sum256(fmt.Appendf(nil, "purser ask 1|%+v", a))
	return hex.EncodeToString(sum[:16])
}

// clientToken is the launch's token: the lease and the attempt are in the request's, and
// the parameters in the digest, which the lease's template holds to.
func clientToken(r providers.Request, a ask) string {
	sum := sha256.Sum256([]byte(r.Token + "|" + a.digest()))
	return hex.EncodeToString(sum[:])
}

// ask says what would do for the lease: its offer, and those pools that are in the same
// region, are bought in the same way and start from the same image.
func (p *Provider) ask(r providers.Request) (ask, error) {
	o := r.Lease.Offer
	network := p.c.Places[o.Region]
	a := ask{region: o.Region, family: Family(o.InstanceType), option: o.Option, groups: network.SecurityGroups, publicIP: p.c.PublicIP}
	var without []string
	for _, pool := range append([]purser.Offer{o}, r.Pools...) {
		if pool.Provider != o.Provider || pool.Region != o.Region || pool.Option != o.Option || Family(pool.InstanceType) != a.family {
			continue
		}
		places := p.places(pool, network)
		if len(places) == 0 {
			without = append(without, pool.Zone)
		}
		for _, in := range places {
			if !slices.ContainsFunc(a.places, func(have place) bool {
				return have.instanceType == in.instanceType && have.zone == in.zone && have.subnet == in.subnet
			}) {
				a.places = append(a.places, in)
			}
		}
	}
	if len(a.places) > 1 { // in an order of their own
		slices.SortFunc(a.places[1:], func(a, b place) int {
			return cmp.Or(cmp.Compare(a.instanceType, b.instanceType), cmp.Compare(a.zone, b.zone))
		})
	}
	switch {
	case len(a.places) == 0:
		return a, &purser.Error{
			Kind: purser.KindInvalid, Op: opLaunch, Message: fmt.Sprintf("%s: places has no subnet in zone %s", o.ID(), without[0]), Hint: "name a subnet of that zone in places",
		}
	case o.Option == purser.Reserved || o.Option == purser.CapacityBlock:
		a.places = a.places[:1] // a reservation is for one type in one zone
	case o.Option != purser.OnDemand && o.Option != purser.Spot:
		return a, purser.Errorf(purser.KindInvalid, opLaunch, "%s: AWS does not sell machines as %s", o.ID(), o.Option)
	}
	return a, nil
}

// places are the pool's zone, or every zone that has a subnet for a pool without one.
func (p *Provider) places(pool purser.Offer, network Place) []place {
	in := place{instanceType: pool.InstanceType, zone: pool.Zone}
	if pool.Option == purser.Spot && pool.UnitPrice > 0 {
		in.maxPrice = maxPrice(pool.UnitPrice, p.c.MaxPriceFactor)
	}
	if len(network.Subnets) == 0 {
		return []place{in}
	}
	var out []place
	for _, zone := range slices.Sorted(maps.Keys(network.Subnets)) {
		if pool.Zone == "" || pool.Zone == zone {
			in.zone, in.subnet = zone, network.Subnets[zone]
			out = append(out, in)
		}
	}
	return out
}

// unpin removes the template of a launch that was refused, by its id: whoever repeats the
// launch makes it again, under the same name, and that one stays. Should this fail, Sweep
// removes it.
func (p *Provider) unpin(ctx context.Context, region string, t template) {
	if t.name == "" {
		return
	}
	_, _ = p.ec2(region).DeleteLaunchTemplate(ctx, &ec2.DeleteLaunchTemplateInput{LaunchTemplateId: &t.id})
}
