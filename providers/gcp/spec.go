package gcp

import (
	"fmt"
	"time"

	"cloud.google.com/go/compute/apiv1/computepb"
	tpuapi "google.golang.org/api/tpu/v2"

	"purser"
	"purser/providers"
	"purser/providers/bootstrap"
)

// machineSpec is the body of an instance's insertion. Nobody can log in: keys of the
// project are blocked, the serial port is shut, and there is no address of its own unless
// the settings give one. Disks are encrypted by the cloud, always.
func (p *Provider) machineSpec(at place, k kind, r providers.Request, reservation *computepb.Reservation) (*computepb.Instance, error) {
	script, err := bootstrap.Script(r)
	if err != nil {
		return nil, err
	}
	scheduling, err := p.scheduling(k, r.Lease.Offer.Option)
	if err != nil {
		return nil, err
	}
	var metadata []*computepb.Items
	for _, pair := range p.metadata(script) {
		metadata = append(metadata, &computepb.Items{Key: &pair[0], Value: &pair[1]})
	}
	m := &computepb.Instance{
		Name: &at.name, MachineType: new("zones/" + at.zone + "/machineTypes/" + k.name), Labels: p.labels(r.Lease.ID),
		Description: new("machine of a Purser lease"), CanIpForward: new(false), DeletionProtection: new(false),
		Metadata: &computepb.Metadata{Items: metadata}, Scheduling: scheduling,
		Disks: []*computepb.AttachedDisk{p.bootDisk(at, k, r.Lease.ID)}, NetworkInterfaces: []*computepb.NetworkInterface{p.network(at)},
		ReservationAffinity: affinity(reservation),
		// Drivers of GPUs are not signed by a key that Secure Boot knows.
		ShieldedInstanceConfig: &computepb.ShieldedInstanceConfig{EnableSecureBoot: new(!k.gpus), EnableVtpm: new(true), EnableIntegrityMonitoring: new(true)},
	}
	if k.cards > 0 {
		m.GuestAccelerators = []*computepb.AcceleratorConfig{{
			AcceleratorType: new("zones/" + at.zone + "/acceleratorTypes/" + k.card), AcceleratorCount: new(int32(k.cards)), //nolint:gosec // at most 99
		}}
	}
	if p.config.ServiceAccount != "" {
		m.ServiceAccounts = []*computepb.ServiceAccount{{Email: &p.config.ServiceAccount, Scopes: []string{cloudPlatform}}}
	}
	if len(p.config.Tags) > 0 {
		m.Tags = &computepb.Tags{Items: p.config.Tags}
	}
	if r.Lease.Offer.Option == purser.FlexStart {
		m.Params = &computepb.InstanceParams{RequestValidForDuration: duration(p.config.FlexWait)}
	}
	return m, nil
}

// metadata is what a machine finds out about itself, and what settings of the project it
// does not follow.
func (p *Provider) metadata(script string) [][2]string {
	return [][2]string{{"startup-script", script}, {"block-project-ssh-keys", "TRUE"}, {"enable-oslogin", "TRUE"}, {"serial-port-enable", "FALSE"}}
}

func (p *Provider) bootDisk(at place, k kind, lease purser.LeaseID) *computepb.AttachedDisk {
	image := orElse(k.gpus, p.config.GPUImage, p.config.CPUImage)
	source := "projects/" + image.Project + "/global/images/" + orElse(image.Name == "", "family/"+image.Family, image.Name)
	disk := &computepb.AttachedDisk{
		Boot: new(true), AutoDelete: new(true),
		InitializeParams: &computepb.AttachedDiskInitializeParams{
			SourceImage: &source, DiskSizeGb: &p.config.DiskGiB, DiskType: new("zones/" + at.zone + "/diskTypes/" + diskType(k.name)), Labels: p.labels(lease),
		},
	}
	if p.config.KMSKey != "" {
		disk.DiskEncryptionKey = &computepb.CustomerEncryptionKey{KmsKeyName: &p.config.KMSKey}
	}
	return disk
}

// subnet is the subnetwork of a zone, or empty for the network's own.
func (p *Provider) subnet(zone string) string {
	if p.config.Subnetwork == "" {
		return ""
	}
	return "projects/" + p.config.Project + "/regions/" + regionOf(zone) + "/subnetworks/" + p.config.Subnetwork
}

func (p *Provider) network(at place) *computepb.NetworkInterface {
	n := &computepb.NetworkInterface{}
	if subnet := p.subnet(at.zone); subnet != "" {
		n.Subnetwork = &subnet
	} else {
		n.Network = new("global/networks/" + p.config.Network)
	}
	if p.config.ExternalIP {
		n.AccessConfigs = []*computepb.AccessConfig{{Name: new("External NAT"), Type: new("ONE_TO_ONE_NAT")}}
	}
	return n
}

func duration(d time.Duration) *computepb.Duration {
	return &computepb.Duration{Seconds: new(int64(d.Seconds()))}
}

// scheduling says how the machine is bought and that it is deleted, not stopped, by
// whatever ends it from the cloud's side.
func (p *Provider) scheduling(k kind, option purser.PurchaseOption) (*computepb.Scheduling, error) {
	s := &computepb.Scheduling{AutomaticRestart: new(false), OnHostMaintenance: new("TERMINATE"), ProvisioningModel: new("STANDARD")}
	run := p.config.MaxRun
	switch option {
	case purser.OnDemand, purser.Reserved:
		if !k.gpus {
			s.OnHostMaintenance = new("MIGRATE")
		}
	case purser.Spot:
		s.ProvisioningModel, s.InstanceTerminationAction = new("SPOT"), new("DELETE")
	case purser.FlexStart:
		s.ProvisioningModel = new("FLEX_START")
		run = orElse(run == 0, p.config.FlexRun, min(run, p.config.FlexRun))
	case purser.CapacityBlock:
		s.ProvisioningModel, s.InstanceTerminationAction = new("RESERVATION_BOUND"), new("DELETE")
	default:
		return nil, purser.Errorf(purser.KindInvalid, "gcp.Launch", "Google Cloud sells no machine as %s", option)
	}
	if run > 0 {
		s.MaxRunDuration, s.InstanceTerminationAction = duration(run), new("DELETE")
	}
	return s, nil
}

// affinity keeps machines that are not meant for a reservation from using one up.
func affinity(r *computepb.Reservation) *computepb.ReservationAffinity {
	switch {
	case r == nil:
		return &computepb.ReservationAffinity{ConsumeReservationType: new("NO_RESERVATION")}
	case r.GetSpecificReservationRequired():
		return &computepb.ReservationAffinity{
			ConsumeReservationType: new("SPECIFIC_RESERVATION"), Key: new("compute.googleapis.com/reservation-name"), Values: []string{r.GetName()},
		}
	default:
		return &computepb.ReservationAffinity{ConsumeReservationType: new("ANY_RESERVATION")}
	}
}

// sliceSpec is the body of a queued resource: one TPU machine, asked for as soon as
// there is one and given up after TPUWait.
func (p *Provider) sliceSpec(at place, k kind, r providers.Request) (*tpuapi.QueuedResource, error) {
	script, err := bootstrap.Script(r)
	if err != nil {
		return nil, err
	}
	machine := &tpuapi.Node{
		AcceleratorType: k.name, RuntimeVersion: k.runtime, Labels: p.labels(r.Lease.ID), Metadata: map[string]string{}, Tags: p.config.Tags,
		Description:            "machine of a Purser lease",
		NetworkConfig:          &tpuapi.NetworkConfig{EnableExternalIps: p.config.ExternalIP, Network: p.config.Network},
		ShieldedInstanceConfig: &tpuapi.ShieldedInstanceConfig{EnableSecureBoot: true},
	}
	if !p.config.ExternalIP {
		machine.NetworkConfig.ForceSendFields = []string{"EnableExternalIps"}
	}
	if subnet := p.subnet(at.zone); subnet != "" {
		machine.NetworkConfig.Network, machine.NetworkConfig.Subnetwork = "", subnet
	}
	for _, pair := range p.metadata(script) {
		machine.Metadata[pair[0]] = pair[1]
	}
	if p.config.ServiceAccount != "" {
		machine.ServiceAccount = &tpuapi.ServiceAccount{Email: p.config.ServiceAccount, Scope: []string{cloudPlatform}}
	}
	if p.config.KMSKey != "" {
		machine.BootDiskConfig = &tpuapi.BootDiskConfig{CustomerEncryptionKey: &tpuapi.CustomerEncryptionKey{KmsKeyName: p.config.KMSKey}}
	}
	out := &tpuapi.QueuedResource{
		Tpu:            &tpuapi.Tpu{NodeSpec: []*tpuapi.NodeSpec{{Parent: p.parent(at.zone), NodeId: at.name, Node: machine}}},
		QueueingPolicy: &tpuapi.QueueingPolicy{ValidUntilDuration: fmt.Sprintf("%ds", int64(p.config.TPUWait.Seconds()))},
	}
	switch option := r.Lease.Offer.Option; option {
	case purser.OnDemand:
	case purser.Spot:
		out.Spot = &tpuapi.Spot{}
	default:
		return nil, purser.Errorf(purser.KindInvalid, "gcp.Launch", "the TPU API that is used here (v2) sells no slice as %s", option)
	}
	return out, nil
}
