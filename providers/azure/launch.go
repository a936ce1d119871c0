package azure

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/compute/armcompute/v8"

	"purser"
	"purser/providers"
)

const opLaunch = "azure.Launch"

// Launch starts the lease's machine, or finds it. Of the request's offers it takes the
// lease's own.
func (p *Provider) Launch(ctx context.Context, r providers.Request) (providers.Instance, error) {
	if err := r.Check(); err != nil {
		return providers.Instance{}, err
	}
	if r.Installation != p.cfg.Installation {
		return providers.Instance{}, purser.Errorf(purser.KindInvalid, opLaunch, "the launch of %s is of another installation than this adapter", r.Lease.ID)
	}
	name := p.machineName(r.Lease.ID)
	vm, err := p.machine(ctx, opLaunch, name)
	if err != nil {
		return providers.Instance{}, err
	}
	if vm != nil {
		return p.found(ctx, r, vm)
	}
	rec, err := p.recall(ctx, opLaunch, name)
	if err != nil {
		return providers.Instance{}, err
	}
	if rec != nil {
		return p.recorded(ctx, r, *rec)
	}
	return p.start(ctx, r)
}

// recorded answers for a lease that has had its machine, or has one since the record was
// looked for: records are written after machines.
func (p *Provider) recorded(ctx context.Context, r providers.Request, rec record) (providers.Instance, error) {
	vm, err := p.machine(ctx, opLaunch, p.machineName(r.Lease.ID))
	if err != nil {
		return providers.Instance{}, err
	}
	if vm != nil {
		return p.found(ctx, r, vm)
	}
	if !rec.ended && p.cfg.Now().Sub(rec.written) < settle {
		return p.promised(r, providers.Pending, ""), nil // Azure's front may not show it yet
	}
	return p.promised(r, providers.Gone, "the lease's machine has ended"), nil
}

// promised is the lease's machine where Azure shows none.
func (p *Provider) promised(r providers.Request, s providers.InstanceState, reason string) providers.Instance {
	o := r.Lease.Offer
	in := providers.Instance{
		ID: p.machineName(r.Lease.ID), Lease: r.Lease.ID, Installation: p.cfg.Installation, State: s, Reason: reason,
		Region: o.Region, Zone: o.Zone, InstanceType: o.InstanceType,
	}
	if s != providers.Gone {
		in.StartedAt = p.cfg.Now().UTC()
	}
	return in
}

// found answers with a machine that is there. Whoever finds it makes sure that it is on
// record, since the one who made it may have been killed before.
func (p *Provider) found(ctx context.Context, r providers.Request, vm *armcompute.VirtualMachine) (providers.Instance, error) {
	if lease, ok := p.ours(vm.Tags); !ok || lease != r.Lease.ID {
		return providers.Instance{}, &purser.Error{
			Kind: purser.KindConflict, Op: opLaunch, Message: "a machine of Azure named " + value(vm.Name) + " is there and not of lease " + string(r.Lease.ID),
			Hint: "delete it, or restore its tags",
		}
	}
	is := look(vm)
	if is.failure != "" {
		if v, ok := verdictOf(is.failure, is.message); ok && v.kind != purser.KindUnavailable {
			p.clear(ctx, value(vm.Name))
			return providers.Instance{}, v.launchError(r.Lease.Offer, is.failure, errors.New(clip(is.message)))
		}
	}
	if is.state == providers.Gone {
		return p.instance(vm), nil
	}
	rec, err := p.recall(ctx, opLaunch, value(vm.Name))
	if err == nil && rec == nil {
		err = p.remember(ctx, opLaunch, r.Lease, record{machine: vmID(vm)})
	}
	if err != nil {
		return providers.Instance{}, err
	}
	return p.instance(vm), nil
}

// start makes card and machine, and puts the machine on record.
func (p *Provider) start(ctx context.Context, r providers.Request) (providers.Instance, error) {
	o, name := r.Lease.Offer, p.machineName(r.Lease.ID)
	place, ok := p.cfg.Places[o.Region]
	if !ok {
		return providers.Instance{}, &purser.Error{
			Kind: purser.KindInvalid, Op: opLaunch, Message: "no subnet is configured for " + string(o.ID()), Hint: "add the region " + clip(o.Region) + " with its subnet",
		}
	}
	spec, err := p.spec(r)
	if err != nil {
		return providers.Instance{}, err
	}
	looks := p.polls
	card, err := p.cards.BeginCreateOrUpdate(ctx, p.cfg.ResourceGroup, name+cardSuffix, p.card(r, place), nil)
	if err == nil {
		err = watch(ctx, p, card, &looks)
	}
	if err != nil {
		return providers.Instance{}, fault(ctx, opLaunch, err, &o)
	}
	var resp *http.Response
	created, err := p.vms.BeginCreateOrUpdate(policy.WithCaptureResponse(ctx, &resp), p.cfg.ResourceGroup, name, spec,
		&armcompute.VirtualMachinesClientBeginCreateOrUpdateOptions{IfNoneMatch: ptr(string(azcore.ETagAny))})
	switch {
	case there(err):
		return p.hidden(ctx, r)
	case err != nil:
		return providers.Instance{}, cardGone(fault(ctx, opLaunch, err, &o), err, name+cardSuffix)
	}
	if err := watch(ctx, p, created, &looks); err != nil {
		p.clear(ctx, name)
		return providers.Instance{}, fault(ctx, opLaunch, err, &o)
	}
	return p.claim(ctx, r, answered(resp))
}

// clear asks for the end of a machine whose creation failed, since its disk costs money.
// If that cannot be asked for now, Sweep does it; the failure is what the caller has to hear.
func (p *Provider) clear(ctx context.Context, name string) {
	_ = p.remove(ctx, opLaunch, name)
}

// hidden answers for a machine that another call has just made, and that Azure's front
// may not show yet.
func (p *Provider) hidden(ctx context.Context, r providers.Request) (providers.Instance, error) {
	vm, err := p.machine(ctx, opLaunch, p.machineName(r.Lease.ID))
	switch {
	case err != nil:
		return providers.Instance{}, err
	case vm != nil:
		return p.found(ctx, r, vm)
	}
	rec, err := p.recall(ctx, opLaunch, p.machineName(r.Lease.ID))
	switch {
	case err != nil:
		return providers.Instance{}, err
	case rec != nil: // written meanwhile, by who made it or who ended it
		return p.recorded(ctx, r, *rec)
	}
	if err := p.remember(ctx, opLaunch, r.Lease, record{}); err != nil {
		return providers.Instance{}, err
	}
	return p.promised(r, providers.Pending, ""), nil
}

// claim puts a machine that this call has made on record. If the lease had its machine
// already, or shall have none, this one came too late and is ended.
func (p *Provider) claim(ctx context.Context, r providers.Request, vm *armcompute.VirtualMachine) (providers.Instance, error) {
	name, mine := p.machineName(r.Lease.ID), vmID(vm)
	rec, err := p.recall(ctx, opLaunch, name)
	if err != nil {
		return providers.Instance{}, err
	}
	if rec != nil && (rec.ended || rec.machine != "" && mine != "" && rec.machine != mine) {
		if err := p.remove(ctx, opLaunch, name); err != nil {
			return providers.Instance{}, err
		}
		return p.promised(r, providers.Gone, "the lease had ended when its machine came"), nil
	}
	if rec == nil || rec.machine == "" {
		if err := p.remember(ctx, opLaunch, r.Lease, record{machine: mine}); err != nil {
			return providers.Instance{}, err
		}
	}
	in := p.promised(r, providers.Pending, "")
	if vm != nil && vm.Properties != nil && vm.Properties.TimeCreated != nil {
		in.StartedAt = vm.Properties.TimeCreated.UTC()
	}
	return in, nil
}

// watch looks at an operation until it ends or the looks are used up, and gives the error
// that it ended with. What the looks themselves meet tells nothing: the operation was
// taken on and goes its way.
func watch[T any](ctx context.Context, p *Provider, op *runtime.Poller[T], looks *int) error {
	for !op.Done() {
		if *looks <= 0 || !pause(ctx, p.cfg.PollEvery) {
			return nil
		}
		*looks--
		if _, err := op.Poll(ctx); err != nil { //nolint:bodyclose // the SDK reads and closes it
			if v, _ := verdictOf(codeOf(err), messageOf(err)); v.kind == purser.KindNoCapacity || v.kind == purser.KindQuota {
				return err // said of the creation, and not of the look
			}
			return nil
		}
	}
	_, err := op.Result(ctx)
	if e, ok := errors.AsType[*azcore.ResponseError](err); ok && ended(e) {
		return err
	}
	return nil
}

// ended says whether the error is the end of an operation, and not a failed look at it.
func ended(e *azcore.ResponseError) bool {
	return e.StatusCode == http.StatusOK || e.RawResponse != nil && e.RawResponse.Request != nil &&
		strings.Contains(strings.ToLower(e.RawResponse.Request.URL.Path), "/operations/")
}

// answered reads the machine from the answer to its creation; nil if it has none.
func answered(resp *http.Response) *armcompute.VirtualMachine {
	if resp == nil {
		return nil
	}
	body, err := runtime.Payload(resp)
	if err != nil || len(body) == 0 {
		return nil
	}
	var vm armcompute.VirtualMachine
	if vm.UnmarshalJSON(body) != nil {
		return nil
	}
	return &vm
}

func vmID(vm *armcompute.VirtualMachine) string {
	if vm == nil || vm.Properties == nil {
		return ""
	}
	return value(vm.Properties.VMID)
}

// cardGone makes a refusal for want of the card that was just made worth a repetition: a
// sweep may have taken it for a leaving.
func cardGone(out, err error, card string) error {
	switch codeOf(err) {
	case "ResourceNotFound", "NotFound", "InvalidResourceReference":
		if strings.Contains(messageOf(err), card) {
			return &purser.Error{Kind: purser.KindUnavailable, Op: opLaunch, Message: "the machine's network card was removed while the machine was made", Cause: err}
		}
	}
	return out
}
