package azure

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/compute/armcompute/v8"

	"purser"
	"purser/providers"
)

// settle is how long Azure's front may not show what was made.
const settle = time.Minute

// machine reads a machine with its power; nil when there is none.
func (p *Provider) machine(ctx context.Context, op, name string) (*armcompute.VirtualMachine, error) {
	got, err := p.vms.Get(ctx, p.cfg.ResourceGroup, name, &armcompute.VirtualMachinesClientGetOptions{Expand: ptr(armcompute.InstanceViewTypesInstanceView)})
	if missing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fault(ctx, op, err, nil)
	}
	return &got.VirtualMachine, nil
}

// Describe tells of the lease's machine. One that is no more is gone while the lease is
// remembered, and not_found after that.
func (p *Provider) Describe(ctx context.Context, l purser.Lease) (providers.Instance, error) {
	const op = "azure.Describe"
	name := p.machineName(l.ID)
	vm, err := p.machine(ctx, op, name)
	if err != nil {
		return providers.Instance{}, err
	}
	if vm != nil {
		if lease, ok := p.ours(vm.Tags); ok && lease == l.ID {
			return p.instance(vm), nil
		}
		return providers.Instance{}, unknown(op, l.ID)
	}
	rec, err := p.recall(ctx, op, name)
	if err != nil {
		return providers.Instance{}, err
	}
	if rec == nil || !rec.ended && p.cfg.Now().Sub(rec.written) < settle {
		return providers.Instance{}, unknown(op, l.ID)
	}
	return providers.Instance{
		ID: name, Lease: l.ID, Installation: p.cfg.Installation, State: providers.Gone, Reason: "the lease's machine has ended",
		Region: l.Offer.Region, Zone: l.Offer.Zone, InstanceType: l.Offer.InstanceType,
	}, nil
}

func unknown(op string, id purser.LeaseID) error {
	return purser.Errorf(purser.KindNotFound, op, "Azure has no machine of lease %s", id)
}

// List tells of all machines of the installation in the resource group that are not gone.
func (p *Provider) List(ctx context.Context) ([]providers.Instance, error) {
	vms, err := p.machines(ctx, "azure.List")
	if err != nil {
		return nil, err
	}
	out := make([]providers.Instance, 0, len(vms))
	for _, vm := range vms {
		if in := p.instance(vm); in.State != providers.Gone {
			out = append(out, in)
		}
	}
	slices.SortFunc(out, func(a, b providers.Instance) int { return strings.Compare(string(a.Lease), string(b.Lease)) })
	return out, nil
}

// machines reads the installation's machines with their power. Azure has one listing with
// tags and without power, and another, of the whole subscription, with power and without
// tags; they are read at the same time. Azure may leave out the power of some: of those
// whose creation failed it decides whether they run, so they are asked for one by one.
func (p *Provider) machines(ctx context.Context, op string) ([]*armcompute.VirtualMachine, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type answer struct {
		views map[string]*armcompute.VirtualMachineInstanceView
		err   error
	}
	powers := make(chan answer, 1)
	go func() {
		views, err := p.powers(ctx, op)
		powers <- answer{views, err}
	}()
	vms, err := p.tagged(ctx, op)
	if err != nil {
		cancel()
		<-powers
		return nil, err
	}
	power := <-powers
	if power.err != nil {
		return nil, power.err
	}
	var unsure []int
	for i, vm := range vms {
		vm.Properties.InstanceView = power.views[strings.ToLower(value(vm.Name))]
		if seen, _, _ := statuses(vm.Properties.InstanceView); seen == "" && failed(vm) {
			unsure = append(unsure, i)
		}
	}
	err = each(unsure, 8, func(i int) error {
		vm, err := p.machine(ctx, op, value(vms[i].Name))
		vms[i] = vm
		return err
	})
	return slices.DeleteFunc(vms, func(vm *armcompute.VirtualMachine) bool { return vm == nil || vm.Properties == nil }), err
}

// tagged lists the installation's machines, without their power. What List does not need
// is dropped page by page.
func (p *Provider) tagged(ctx context.Context, op string) ([]*armcompute.VirtualMachine, error) {
	var out []*armcompute.VirtualMachine
	pages := p.vms.NewListPager(p.cfg.ResourceGroup, nil)
	for pages.More() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fault(ctx, op, err, nil)
		}
		for _, vm := range page.Value {
			if vm == nil || vm.Properties == nil {
				continue
			}
			if _, ok := p.ours(vm.Tags); ok {
				out = append(out, &armcompute.VirtualMachine{
					Name: vm.Name, Location: vm.Location, Zones: vm.Zones, Tags: vm.Tags,
					Properties: &armcompute.VirtualMachineProperties{
						ProvisioningState: vm.Properties.ProvisioningState, TimeCreated: vm.Properties.TimeCreated, HardwareProfile: vm.Properties.HardwareProfile,
					},
				})
			}
		}
	}
	return out, nil
}

// powers reads the power of the machines that have a name of ours in our resource group,
// by their names in lower case.
func (p *Provider) powers(ctx context.Context, op string) (map[string]*armcompute.VirtualMachineInstanceView, error) {
	out := map[string]*armcompute.VirtualMachineInstanceView{}
	begin := strings.ToLower("/subscriptions/" + p.cfg.Subscription + "/resourceGroups/" + p.cfg.ResourceGroup + "/providers/Microsoft.Compute/virtualMachines/")
	pages := p.vms.NewListAllPager(&armcompute.VirtualMachinesClientListAllOptions{StatusOnly: ptr("true")})
	for pages.More() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fault(ctx, op, err, nil)
		}
		for _, vm := range page.Value {
			if vm == nil || vm.Properties == nil || vm.Properties.InstanceView == nil {
				continue
			}
			if name, ok := strings.CutPrefix(strings.ToLower(value(vm.ID)), begin); ok && strings.HasPrefix(name, p.prefix) {
				out[name] = &armcompute.VirtualMachineInstanceView{Statuses: vm.Properties.InstanceView.Statuses}
			}
		}
	}
	return out, nil
}

// each does the items, at most so many at a time, and gives the first error in their order.
func each[T any](items []T, most int, do func(T) error) error {
	errs := make([]error, len(items))
	var wg sync.WaitGroup
	slots := make(chan struct{}, most)
	for i, item := range items {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			errs[i] = do(item)
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// Terminate asks for the end of the lease's machine. The lease's end is put on record
// first, so that a launch that is under way ends what it makes. Should the record fail,
// the machine is ended all the same, and the error makes the caller come again.
func (p *Provider) Terminate(ctx context.Context, l purser.Lease) error {
	const op = "azure.Terminate"
	if l.ID == "" {
		return purser.Errorf(purser.KindInvalid, op, "an end needs a lease")
	}
	name := p.machineName(l.ID)
	record := p.remember(ctx, op, l, record{ended: true})
	vm, err := p.machine(ctx, op, name)
	if err != nil {
		return err
	}
	if vm != nil {
		if lease, ok := p.ours(vm.Tags); !ok || lease != l.ID {
			return &purser.Error{
				Kind: purser.KindForbidden, Op: op, Message: "the machine of Azure named " + name + " is not tagged as lease " + string(l.ID) + "'s and is left alone",
				Hint: "delete it by hand, or restore its tags",
			}
		}
		if provisioning(vm) == "deleting" {
			return record
		}
	}
	// One that is not shown is asked for too: it may be on its way.
	if err := p.remove(ctx, op, name); err != nil {
		return err
	}
	return record
}

// remove asks for the deletion of a machine, with its card and its disk, without waiting
// for its system to shut down.
func (p *Provider) remove(ctx context.Context, op, name string) error {
	_, err := p.vms.BeginDelete(ctx, p.cfg.ResourceGroup, name, &armcompute.VirtualMachinesClientBeginDeleteOptions{ForceDeletion: ptr(true)})
	if err == nil || missing(err) {
		return nil
	}
	return fault(ctx, op, err, nil)
}
