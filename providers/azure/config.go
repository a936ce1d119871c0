package azure

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/compute/armcompute/v8"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/network/armnetwork/v9"

	"purser"
	"purser/providers"
)

const provider = "azure"

// Config says where machines are started and how.
type Config struct {
	Subscription  string // its id
	ResourceGroup string // that holds all machines; it exists
	Installation  string // tag of this installation; machines of others are never touched

	// Places are the regions where machines may be started, by names such as eastus.
	// The first by name also holds the records of leases whose region is not known.
	Places map[string]Place

	// Credential defaults to the workload identity where its variables are set, or else
	// to azidentity.DefaultAzureCredential: the environment, a managed identity, az login.
	Credential azcore.TokenCredential
	// ARM are the settings of the SDK's clients: cloud, transport, retries. A try that
	// takes more than 30 s is given up, and none is repeated, unless it says otherwise.
	ARM arm.ClientOptions

	// Images are URNs (publisher:offer:sku:version) or resource ids by accelerator, or by
	// cpu, nvidia, amd, each with -arm64 behind it for Arm. The accelerator's own name goes
	// before its vendor, and that before cpu. What is missing has DefaultImages.
	Images map[string]string
	// OSDiskGiB is the size of the system disk. Defaults to 128.
	OSDiskGiB int32
	// OSDiskType defaults to StandardSSD_LRS, which every size takes.
	OSDiskType string
	// TrustedLaunch is cpu (machines without accelerators; the default), all or none.
	TrustedLaunch string
	// EncryptionAtHost also encrypts caches and temporary disks. The subscription must
	// have the feature EncryptionAtHost registered.
	EncryptionAtHost bool
	// AcceleratedNetworking is asked for on every card; the sizes in use must all have it.
	AcceleratedNetworking bool
	// SSHPublicKey is of the user purser on every machine. Empty: one that nobody has.
	SSHPublicKey string

	// SpotPriceFactor times the offer's price is the most that is paid for a spot machine,
	// which is evicted above it. 0: up to the price on demand.
	SpotPriceFactor float64

	// Patience is how long Launch looks for an early failure of the creation. Defaults to
	// 1.5 s; negative: not at all.
	Patience time.Duration
	// PollEvery is the pause between two looks. Defaults to 500 ms.
	PollEvery time.Duration
	// Remember is how long after its machine's end a lease is remembered. Defaults to 24 h.
	Remember time.Duration

	Now func() time.Time // Defaults to time.Now.
}

// Place is what machines of a region are attached to.
type Place struct {
	Subnet           string // resource id
	SecurityGroup    string // resource id of the cards' network security group; empty: the subnet's alone
	ReservationGroup string // resource id of the capacity reservation group of reserved offers; may be empty
}

// Provider is the adapter. It keeps no state but the cloud's.
type Provider struct {
	cfg    Config
	prefix string // of all names of the installation
	polls  int    // looks at an operation

	vms     *armcompute.VirtualMachinesClient
	disks   *armcompute.DisksClient
	usages  *armcompute.UsageClient
	groups  *armcompute.CapacityReservationGroupsClient
	bought  *armcompute.CapacityReservationsClient
	cards   *armnetwork.InterfacesClient
	records *armnetwork.ApplicationSecurityGroupsClient
}

var (
	_ providers.Provider = (*Provider)(nil)
	_ providers.Quoter   = (*Provider)(nil)
	_ providers.Sweeper  = (*Provider)(nil)
)

// New makes the adapter. Nothing is asked before its first call. invalid: what cannot be
// right; unauthorized: no credential is given and none can be found.
func New(cfg Config) (*Provider, error) {
	const op = "azure.New"
	if err := cfg.complete(op); err != nil {
		return nil, err
	}
	p := &Provider{cfg: cfg, prefix: prefixOf(cfg.Installation)}
	if cfg.Patience > 0 {
		p.polls = int(cfg.Patience / cfg.PollEvery)
	}
	compute, err := armcompute.NewClientFactory(cfg.Subscription, cfg.Credential, &cfg.ARM)
	if err != nil {
		return nil, purser.Errorf(purser.KindInvalid, op, "the clients of Azure Compute cannot be made: %w", err)
	}
	network, err := armnetwork.NewClientFactory(cfg.Subscription, cfg.Credential, &cfg.ARM)
	if err != nil {
		return nil, purser.Errorf(purser.KindInvalid, op, "the clients of Azure Network cannot be made: %w", err)
	}
	p.vms, p.disks, p.usages = compute.NewVirtualMachinesClient(), compute.NewDisksClient(), compute.NewUsageClient()
	p.groups, p.bought = compute.NewCapacityReservationGroupsClient(), compute.NewCapacityReservationsClient()
	p.cards, p.records = network.NewInterfacesClient(), network.NewApplicationSecurityGroupsClient()
	return p, nil
}

// Name is azure.
func (p *Provider) Name() string { return provider }

var (
	regionForm = regexp.MustCompile(`^[a-z0-9]{3,40}$`)
	idForm     = regexp.MustCompile(`^/subscriptions/[^/\s]+/resourceGroups/[^/\s]+/providers/[^/\s]+(/[^/\s]+/[^/\s]+)+$`)
	groupForm  = regexp.MustCompile(`^[-\w.()]{1,90}$`)
	keyForm    = regexp.MustCompile(`^(ssh-rsa|ssh-ed25519) [A-Za-z0-9+/=]+( .*)?$`)
)

// complete fills the defaults and checks what can be checked without asking.
func (c *Config) complete(op string) error {
	bad := func(message, hint string) error {
		return &purser.Error{Kind: purser.KindInvalid, Op: op, Message: message, Hint: hint}
	}
	c.Places, c.Images = maps.Clone(c.Places), maps.Clone(c.Images)
	switch {
	case c.Subscription == "" || c.Installation == "":
		return bad("Azure needs a subscription's id and the installation's tag", "set both")
	case !groupForm.MatchString(c.ResourceGroup):
		return bad("the resource group of Azure is not named like this: "+clip(c.ResourceGroup), "name one that exists")
	case len(c.Places) == 0:
		return bad("no region of Azure is given", "give each region its subnet")
	case c.TrustedLaunch != "" && c.TrustedLaunch != "cpu" && c.TrustedLaunch != "all" && c.TrustedLaunch != "none":
		return bad("trusted launch cannot be "+clip(c.TrustedLaunch), "it is cpu, all or none")
	case c.SpotPriceFactor < 0 || c.OSDiskGiB < 0:
		return bad("the factor over spot prices and the size of disks must not be negative", "leave them out for the defaults")
	case c.SSHPublicKey != "" && !keyForm.MatchString(c.SSHPublicKey):
		return bad("the SSH key for Azure's machines is none", "give a public key that begins with ssh-rsa or ssh-ed25519")
	}
	for _, region := range slices.Sorted(maps.Keys(c.Places)) {
		place := c.Places[region]
		if !regionForm.MatchString(region) {
			return bad("a region of Azure is not written like this: "+clip(region), "write it like eastus")
		}
		if !idForm.MatchString(place.Subnet) || place.SecurityGroup != "" && !idForm.MatchString(place.SecurityGroup) ||
			place.ReservationGroup != "" && !idForm.MatchString(place.ReservationGroup) {
			return bad("subnet, security group and reservation group of "+region+" must be resource ids", "they begin with /subscriptions/")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Images)) {
		if _, err := imageReference(c.Images[name]); err != nil {
			return bad("the image for "+clip(name)+" is none: "+clip(c.Images[name]), "write it publisher:offer:sku:version, or as a resource id")
		}
	}
	if rm, ok := c.ARM.Cloud.Services[cloud.ResourceManager]; ok && !c.ARM.InsecureAllowCredentialWithHTTP && !strings.HasPrefix(rm.Endpoint, "https://") {
		return bad("credentials of Azure are not sent without TLS", "the endpoint of the resource manager must begin with https://")
	}
	c.defaults()
	if c.Credential == nil {
		cred, err := defaultCredential(c.ARM.ClientOptions)
		if err != nil {
			return &purser.Error{Kind: purser.KindUnauthorized, Op: op, Message: "there is no credential for Azure", Hint: credentialHint, Cause: err}
		}
		c.Credential = cred
	}
	return nil
}

// defaultCredential puts the workload identity first: on a machine that has one, whatever
// secrets are left in the environment are not meant for Purser.
func defaultCredential(o azcore.ClientOptions) (azcore.TokenCredential, error) {
	if cred, err := azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{ClientOptions: o}); err == nil {
		return cred, nil
	}
	return azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{ClientOptions: o})
}

func (c *Config) defaults() {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&c.Patience, 1500*time.Millisecond)
	def(&c.PollEvery, 500*time.Millisecond)
	def(&c.Remember, 24*time.Hour)
	def(&c.ARM.Retry.TryTimeout, 30*time.Second)
	if c.ARM.Retry.MaxRetries == 0 {
		c.ARM.Retry.MaxRetries = -1 // the SDK's word for none
	}
	c.ARM.DisableRPRegistration = true // it would need a right to write on the whole subscription
	if c.TrustedLaunch == "" {
		c.TrustedLaunch = "cpu"
	}
	if c.OSDiskGiB == 0 {
		c.OSDiskGiB = 128
	}
	if c.OSDiskType == "" {
		c.OSDiskType = string(armcompute.StorageAccountTypesStandardSSDLRS)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
}

// pause waits, or returns false when ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
