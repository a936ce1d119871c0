package kubernetes

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"purser"
	"purser/providers"
)

// missingNamespace says whether an answer that something was not found means the namespace.
func missingNamespace(err error) bool {
	status, ok := errors.AsType[*apierrors.StatusError](err)
	return ok && status.Status().Details != nil && status.Status().Details.Kind == "namespaces"
}

// Launch takes a part of the cluster for the lease, or finds the one that it has. Nothing
// starts by it, and nothing is paid.
func (p *Provider) Launch(ctx context.Context, r providers.Request) (providers.Instance, error) {
	const op = "kubernetes.Launch"
	if err := r.Check(); err != nil {
		return providers.Instance{}, err
	}
	if r.Installation != p.Installation {
		return providers.Instance{}, purser.Errorf(purser.KindInvalid, op, "the launch is for installation %s, and this provider works for %s", r.Installation, p.Installation)
	}
	in, err := p.launch(ctx, op, r)
	return in, p.naming(r.Lease, err)
}

// naming makes the error of a launch name the offer.
func (p *Provider) naming(l purser.Lease, err error) error {
	if err == nil {
		return nil
	}
	e, ok := err.(*purser.Error) //nolint:errorlint // all of ours are bare
	if !ok {
		return err
	}
	named := *e
	named.Message = fmt.Sprintf("%s: %s", l.Offer.ID(), e.Message)
	return &named
}

func (p *Provider) launch(ctx context.Context, op string, r providers.Request) (providers.Instance, error) {
	tried := map[string]bool{} // places that turned out to be taken
	for range tries {
		c, ok, foreign, err := p.claim(ctx, op, r.Lease.ID)
		switch {
		case err != nil:
			return providers.Instance{}, err
		case foreign:
			return providers.Instance{}, belongsToOthers(op, r.Lease.ID)
		case ok && c.State != claimPending:
			return p.instance(ctx, op, c)
		}
		if !ok {
			var raced bool
			if c, raced, err = p.begin(ctx, op, r, tried); err != nil {
				return providers.Instance{}, err
			}
			if raced {
				continue
			}
		}
		in, settled, err := p.settle(ctx, op, r, c, tried)
		if err != nil || settled {
			return in, err
		}
	}
	return providers.Instance{}, overtaken(op, r.Lease.ID)
}

// begin makes the lease's claim, on the place that looks best.
func (p *Provider) begin(ctx context.Context, op string, r providers.Request, tried map[string]bool) (c claim, raced bool, err error) {
	at, err := p.choose(ctx, op, r, tried)
	if err != nil {
		return claim{}, false, err
	}
	return p.create(ctx, op, claim{Lease: r.Lease.ID, State: claimPending, Part: at})
}

// settle makes a pending claim held if there is room for it beside everything that was
// there before it, else moves it. settled is false when somebody else wrote meanwhile, or
// when the claim has moved and has to be looked at anew.
func (p *Provider) settle(ctx context.Context, op string, r providers.Request, c claim, tried map[string]bool) (in providers.Instance, settled bool, err error) {
	v, err := p.lookAt(ctx, op, c.Part)
	if err != nil {
		return in, false, err
	}
	if m := v.find(c.Part.Node); m != nil && m.problem == "" && m.room(before(v.claims[m.name], c)).fits(c.Part) {
		c.State, c.Order = claimHeld, c.order()
		c, raced, err := p.update(ctx, op, c)
		if err != nil || raced {
			return in, false, err
		}
		in, err = p.instance(ctx, op, c)
		return in, true, err
	}
	tried[c.Part.Node] = true
	at, err := p.choose(ctx, op, r, tried)
	if err != nil {
		if purser.KindOf(err) != purser.KindNoCapacity && purser.KindOf(err) != purser.KindInvalid {
			return in, false, err
		}
		if raced, undone := p.drop(ctx, op, c); raced || undone != nil {
			return in, false, undone
		}
		return in, false, err
	}
	// Its place in the order is that of this write, behind everyone who chose earlier.
	c.Part, c.Order = at, 0
	_, _, err = p.update(ctx, op, c)
	return in, false, err
}

// before gives the claims that go before c: those that are held or ending, and those that
// were given this place earlier.
func before(claims []claim, c claim) []claim {
	return slices.DeleteFunc(slices.Clone(claims), func(o claim) bool {
		return o.name == c.name || o.State == claimPending && o.order() > c.order()
	})
}

// choose finds the place for a lease: where the least is left over, so that large parts
// stay whole. Among equals the lease decides by lot, so that launches at the same time
// get in each other's way less often. It may look at caches: settle does not.
func (p *Provider) choose(ctx context.Context, op string, r providers.Request, tried map[string]bool) (part, error) {
	v, err := p.look(ctx, op)
	if err != nil {
		return part{}, err
	}
	meant := false
	for _, o := range append([]purser.Offer{r.Lease.Offer}, r.Pools...) {
		if o.Provider != p.Name() {
			continue
		}
		var fit []candidate
		for _, m := range v.members {
			for _, l := range m.pools {
				at, ok := m.partOf(l, o)
				if !ok {
					continue
				}
				meant = true
				room := m.room(others(v.claims[m.name], r.Lease.ID))
				if m.problem == "" && !tried[m.name] && room.fits(at) {
					fit = append(fit, candidate{at, room.units[at.Pool] - at.Units, room.milliCPU - at.MilliCPU, lot(r.Lease.ID, m.name)})
				}
			}
		}
		if len(fit) > 0 {
			return slices.MinFunc(fit, candidate.compare).part, nil
		}
	}
	return part{}, noRoom(op, r.Lease.Offer, meant)
}

func others(claims []claim, lease purser.LeaseID) []claim {
	return slices.DeleteFunc(slices.Clone(claims), func(c claim) bool { return c.Lease == lease })
}

// candidate is a place with what would be left of it.
type candidate struct {
	part            part
	units, milliCPU int64
	lot             uint64
}

func (a candidate) compare(b candidate) int {
	return cmp.Or(cmp.Compare(a.units, b.units), cmp.Compare(a.milliCPU, b.milliCPU), cmp.Compare(a.lot, b.lot), cmp.Compare(a.part.Node, b.part.Node))
}

func lot(lease purser.LeaseID, node string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(string(lease) + "|" + node)) // never fails
	return h.Sum64()
}

// noRoom is the error of a launch that no place can take.
func noRoom(op string, o purser.Offer, meant bool) error {
	if !meant {
		return &purser.Error{
			Kind: purser.KindNoCapacity, Op: op, Message: "the cluster has no such part any more",
			Hint: "plan again: the offers are made anew from what is there",
		}
	}
	return &purser.Error{
		Kind: purser.KindNoCapacity, Op: op, Message: fmt.Sprintf("no place of the cluster has %s devices, %d vCPUs and %d GiB of this kind free", o.Devices, o.MilliCPU/1000, o.MemoryMiB/1024),
		Hint: "wait for other work in the cluster to end, or add machines to it",
	}
}
