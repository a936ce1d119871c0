package azure

import (
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/compute/armcompute/v8"

	"purser/providers"
)

// seen is what a machine's description says.
type seen struct {
	state   providers.InstanceState
	reason  string // for people
	failure string // code of a failed creation that left no machine running
	message string // of the failure
	end     bool   // it does nothing, and is to be deleted
}

// look reads a machine's provisioning and power, see the package comment. A description
// without an instance view has no power.
func look(vm *armcompute.VirtualMachine) seen {
	if vm.Properties == nil {
		return seen{state: providers.Pending}
	}
	power, failure, message := statuses(vm.Properties.InstanceView)
	switch provisioning(vm) {
	case "creating":
		return seen{state: providers.Pending}
	case "deleting":
		return seen{state: providers.Stopping, reason: "it is being deleted"}
	case "failed":
		switch power {
		case "running", "starting":
			return seen{state: providers.Running, reason: because(failure, message)}
		case "", "deallocated", "unknown":
			return seen{state: providers.Gone, reason: because(failure, message), failure: failure, message: message, end: true}
		}
	}
	switch power {
	case "stopping", "deallocating":
		return seen{state: providers.Stopping, reason: "it is being stopped"}
	case "stopped":
		return seen{state: providers.Stopping, reason: "it is powered off, and billed until it is deleted", end: true}
	case "deallocated":
		return seen{state: providers.Gone, reason: "it was deallocated", end: true}
	}
	return seen{state: providers.Running}
}

func provisioning(vm *armcompute.VirtualMachine) string {
	return strings.ToLower(value(vm.Properties.ProvisioningState))
}

func failed(vm *armcompute.VirtualMachine) bool { return provisioning(vm) == "failed" }

// statuses reads an instance view: codes such as PowerState/running and
// ProvisioningState/failed/AllocationFailed.
func statuses(view *armcompute.VirtualMachineInstanceView) (power, failure, message string) {
	if view == nil {
		return "", "", ""
	}
	for _, s := range view.Statuses {
		if s == nil {
			continue
		}
		part := strings.Split(value(s.Code), "/")
		switch {
		case len(part) == 2 && strings.EqualFold(part[0], "PowerState"):
			power = strings.ToLower(part[1])
		case len(part) >= 2 && strings.EqualFold(part[0], "ProvisioningState") && strings.EqualFold(part[1], "failed"):
			message = value(s.Message)
			if len(part) > 2 {
				failure = part[2]
			}
		}
	}
	return power, failure, message
}

func because(code, message string) string {
	switch {
	case code == "" && message == "":
		return "its creation failed"
	case message == "":
		return "its creation failed: " + code
	default:
		return clip("its creation failed: " + strings.Join(strings.Fields(message), " "))
	}
}

// instance is the machine as the contract has it.
func (p *Provider) instance(vm *armcompute.VirtualMachine) providers.Instance {
	is := look(vm)
	lease, _ := p.ours(vm.Tags)
	in := providers.Instance{
		ID: value(vm.Name), Lease: lease, Installation: p.cfg.Installation, State: is.state, Reason: is.reason,
		Region: regionOf(vm.Location), StartedAt: written(vm.Tags),
	}
	if v, ok := verdictOf(is.failure, is.message); ok && is.failure != "" {
		in.Refused = v.kind
	}
	if len(vm.Zones) > 0 {
		in.Zone = value(vm.Zones[0])
	}
	if props := vm.Properties; props != nil {
		if props.HardwareProfile != nil {
			in.InstanceType = string(value(props.HardwareProfile.VMSize))
		}
		if props.TimeCreated != nil {
			in.StartedAt = props.TimeCreated.UTC()
		}
	}
	return in
}
