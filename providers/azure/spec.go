package azure

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"math"

	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/compute/armcompute/v8"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/network/armnetwork/v9"

	"purser"
	"purser/providers"
	"purser/providers/bootstrap"
)

// admin is the user that Azure wants every Linux machine to have.
const admin = "purser"

// card is the network card of the request's machine: one private address.
func (p *Provider) card(r providers.Request, place Place) armnetwork.Interface {
	props := &armnetwork.InterfacePropertiesFormat{
		IPConfigurations: []*armnetwork.InterfaceIPConfiguration{{
			Name: ptr("private"),
			Properties: &armnetwork.InterfaceIPConfigurationPropertiesFormat{
				Primary: ptr(true), Subnet: &armnetwork.Subnet{ID: ptr(place.Subnet)},
				PrivateIPAllocationMethod: ptr(armnetwork.IPAllocationMethodDynamic),
			},
		}},
	}
	if p.cfg.AcceleratedNetworking {
		props.EnableAcceleratedNetworking = ptr(true)
	}
	if place.SecurityGroup != "" {
		props.NetworkSecurityGroup = &armnetwork.SecurityGroup{ID: ptr(place.SecurityGroup)}
	}
	return armnetwork.Interface{Location: ptr(r.Lease.Offer.Region), Tags: p.tags(r.Lease.ID), Properties: props}
}

// spec is the request's machine. Card and disk go when it goes.
func (p *Provider) spec(r providers.Request) (armcompute.VirtualMachine, error) {
	o, name := r.Lease.Offer, p.machineName(r.Lease.ID)
	var vm armcompute.VirtualMachine
	script, err := bootstrap.Script(r)
	if err != nil {
		return vm, err
	}
	image, err := p.image(o)
	if err != nil {
		return vm, err
	}
	key, err := p.key()
	if err != nil {
		return vm, err
	}
	props := &armcompute.VirtualMachineProperties{
		HardwareProfile: &armcompute.HardwareProfile{VMSize: ptr(armcompute.VirtualMachineSizeTypes(o.InstanceType))},
		StorageProfile: &armcompute.StorageProfile{
			ImageReference: image,
			OSDisk: &armcompute.OSDisk{
				Name: ptr(name + diskSuffix), CreateOption: ptr(armcompute.DiskCreateOptionTypesFromImage), DiskSizeGB: ptr(p.cfg.OSDiskGiB),
				DeleteOption: ptr(armcompute.DiskDeleteOptionTypesDelete), Caching: ptr(armcompute.CachingTypesReadWrite),
				ManagedDisk: &armcompute.ManagedDiskParameters{StorageAccountType: ptr(armcompute.StorageAccountTypes(p.cfg.OSDiskType))},
			},
		},
		OSProfile: &armcompute.OSProfile{
			ComputerName: ptr(name), AdminUsername: ptr(admin), CustomData: ptr(base64.StdEncoding.EncodeToString([]byte(script))),
			AllowExtensionOperations: ptr(false),
			LinuxConfiguration: &armcompute.LinuxConfiguration{
				DisablePasswordAuthentication: ptr(true),
				SSH: &armcompute.SSHConfiguration{PublicKeys: []*armcompute.SSHPublicKey{{
					Path: ptr("/home/" + admin + "/.ssh/authorized_keys"), KeyData: ptr(key),
				}}},
			},
		},
		NetworkProfile: &armcompute.NetworkProfile{NetworkInterfaces: []*armcompute.NetworkInterfaceReference{{
			ID:         ptr(p.cardID(name + cardSuffix)),
			Properties: &armcompute.NetworkInterfaceReferenceProperties{Primary: ptr(true), DeleteOption: ptr(armcompute.DeleteOptionsDelete)},
		}}},
		SecurityProfile: p.security(o),
	}
	if err := p.buy(props, o); err != nil {
		return vm, err
	}
	vm = armcompute.VirtualMachine{Location: ptr(o.Region), Tags: p.tags(r.Lease.ID), Properties: props}
	if o.Zone != "" {
		vm.Zones = []*string{ptr(o.Zone)}
	}
	return vm, nil
}

// buy sets how the machine is paid for.
func (p *Provider) buy(props *armcompute.VirtualMachineProperties, o purser.Offer) error {
	switch o.Option {
	case purser.OnDemand:
		props.Priority = ptr(armcompute.VirtualMachinePriorityTypesRegular)
	case purser.Spot:
		props.Priority = ptr(armcompute.VirtualMachinePriorityTypesSpot)
		props.EvictionPolicy = ptr(armcompute.VirtualMachineEvictionPolicyTypesDelete)
		props.BillingProfile = &armcompute.BillingProfile{MaxPrice: ptr(p.maxPrice(o.UnitPrice))}
	case purser.Reserved:
		group := p.cfg.Places[o.Region].ReservationGroup
		if group == "" {
			return &purser.Error{
				Kind: purser.KindInvalid, Op: "azure.Launch", Message: "no capacity reservation group is configured for " + string(o.ID()),
				Hint: "set the reservation group of " + o.Region,
			}
		}
		props.Priority = ptr(armcompute.VirtualMachinePriorityTypesRegular)
		props.CapacityReservation = &armcompute.CapacityReservationProfile{CapacityReservationGroup: &armcompute.SubResource{ID: ptr(group)}}
	default:
		return &purser.Error{
			Kind: purser.KindInvalid, Op: "azure.Launch", Message: "machines of Azure are not bought like " + string(o.ID()),
			Hint: "Azure has on_demand, spot and reserved",
		}
	}
	return nil
}

// maxPrice is the most that is paid, in USD an hour with five decimals, rounded up; -1 is
// Azure's word for the price on demand.
func (p *Provider) maxPrice(price purser.USDPerHour) float64 {
	if p.cfg.SpotPriceFactor == 0 || price <= 0 {
		return -1
	}
	return math.Ceil(price.USD()*p.cfg.SpotPriceFactor*1e5-1e-6) / 1e5
}

func (p *Provider) security(o purser.Offer) *armcompute.SecurityProfile {
	var s armcompute.SecurityProfile
	set := false
	if p.cfg.EncryptionAtHost {
		s.EncryptionAtHost, set = ptr(true), true
	}
	if p.cfg.TrustedLaunch == "all" || p.cfg.TrustedLaunch == "cpu" && o.Accelerator == "" {
		s.SecurityType, set = ptr(armcompute.SecurityTypesTrustedLaunch), true
		s.UefiSettings = &armcompute.UefiSettings{SecureBootEnabled: ptr(true), VTpmEnabled: ptr(true)}
	}
	if !set {
		return nil
	}
	return &s
}

// key is the configured key, or a new one whose private half is dropped here.
func (p *Provider) key() (string, error) {
	if p.cfg.SSHPublicKey != "" {
		return p.cfg.SSHPublicKey, nil
	}
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", purser.Wrap(purser.KindInternal, "azure.Launch", err)
	}
	const kind = "ssh-ed25519"
	var wire []byte
	for _, part := range [][]byte{[]byte(kind), public} { // RFC 8709, section 4
		wire = binary.BigEndian.AppendUint32(wire, uint32(len(part))) //nolint:gosec // 11 and 32
		wire = append(wire, part...)
	}
	return kind + " " + base64.StdEncoding.EncodeToString(wire) + " nobody", nil
}

func (p *Provider) cardID(name string) string {
	return "/subscriptions/" + p.cfg.Subscription + "/resourceGroups/" + p.cfg.ResourceGroup + "/providers/Microsoft.Network/networkInterfaces/" + name
}
