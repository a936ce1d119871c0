package purser

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// PurchaseOption is the way that a machine is bought. The set is open: an option
// that is not named here is carried along and shown, and never treated as spot.
type PurchaseOption string

// The purchase options known by name.
const (
	OnDemand      PurchaseOption = "on_demand"
	Spot          PurchaseOption = "spot"
	Reserved      PurchaseOption = "reserved"
	CapacityBlock PurchaseOption = "capacity_block"
	FlexStart     PurchaseOption = "flex_start"
	Private       PurchaseOption = "private"
	Serverless    PurchaseOption = "serverless"
)

// OfferID names an offer for good: provider/region/zone/instance_type/option,
// with "-" for the zone of an offer that a whole region shares.
type OfferID string

// Shape is what a machine has to give. An offer has one, and so has a lease.
type Shape struct {
	Accelerator     string       `json:"accelerator,omitempty"`       // canonical name; empty for CPU-only
	Devices         MilliDevices `json:"milli_devices,omitempty"`     // 8000 is eight accelerators; 125 an eighth of one
	DeviceMemoryMiB int64        `json:"device_memory_mib,omitempty"` // of one whole device
	MilliCPU        int64        `json:"milli_cpu"`
	MemoryMiB       int64        `json:"memory_mib"`
	DiskMiB         int64        `json:"disk_mib,omitempty"` // local disk; 0 when none or unknown
}

// Offer is an instance type in a place under a purchase option at a price.
type Offer struct {
	Provider     string         `json:"provider"`
	Region       string         `json:"region"`
	Zone         string         `json:"zone,omitempty"` // empty: the whole region
	InstanceType string         `json:"instance_type"`
	Option       PurchaseOption `json:"purchase_option"`
	Shape

	UnitPrice  USDPerHour `json:"usd_per_hour"` // of the whole machine
	Limit      int        `json:"limit"`        // machines that can be had; Unlimited when not known
	ValidFrom  time.Time  `json:"valid_from"`   // when the price began
	ObservedAt time.Time  `json:"observed_at"`  // when we last saw it
	Source     string     `json:"source"`       // which feed said so
	Country    string     `json:"country,omitempty"`

	Terms Terms `json:"terms,omitzero"` // of serverless offers
}

// Terms are the conditions of a serverless offer, which is billed by the time that
// requests run: C = P·T_exec, with T_exec rounded up to BillingStep. A zero field is
// not known or not bounded.
type Terms struct {
	BillingStep   time.Duration `json:"billing_step,omitempty"`    // smallest time that is billed
	ColdStart     time.Duration `json:"cold_start,omitempty"`      // until the first request is served after idling
	MaxRequest    time.Duration `json:"max_request,omitempty"`     // longest run of one request
	MaxConcurrent int           `json:"max_concurrent,omitempty"`  // machines at once
	IdleBilled    time.Duration `json:"idle_billed,omitempty"`     // time after a request that is billed too
	PerRequest    Money         `json:"usd_per_request,omitempty"` // charged beside the time
}

// Unlimited is the Limit of an offer whose supply is not known to end.
const Unlimited = -1

// ID is the offer's lasting name.
func (o Offer) ID() OfferID {
	zone := o.Zone
	if zone == "" {
		zone = "-"
	}
	return OfferID(strings.Join([]string{o.Provider, o.Region, zone, o.InstanceType, string(o.Option)}, "/"))
}

// Domain is the failure domain of the offer at a level, or the empty string where it
// lies in none and is never lost: what is not private belongs to no site, and what is
// not spot to no pool. An offer without a zone is a zone of its own region. At the
// level of machines every machine is a domain, which an offer does not know: "".
func (o Offer) Domain(level DomainLevel) string {
	switch level {
	case DomainZone:
		if o.Zone == "" {
			return o.Provider + "/" + o.Region + "/-"
		}
		return o.Provider + "/" + o.Region + "/" + o.Zone
	case DomainRegion:
		return o.Provider + "/" + o.Region
	case DomainProvider:
		return o.Provider
	case DomainSite:
		if o.Option == Private {
			return o.Region // whichever provider lists the machines that stand there
		}
	case DomainSpotPool:
		if o.Option == Spot {
			return o.Domain(DomainZone) + "/" + o.InstanceType
		}
	case DomainNone, DomainMachine:
	}
	return ""
}

// DomainLevel is the size of a failure domain.
type DomainLevel string

// The levels of failure domain.
const (
	DomainNone     DomainLevel = ""
	DomainZone     DomainLevel = "zone"
	DomainRegion   DomainLevel = "region"
	DomainProvider DomainLevel = "provider"
	DomainSite     DomainLevel = "site"      // private machines of one region
	DomainSpotPool DomainLevel = "spot_pool" // spot machines of one type in one zone, which are taken back together
	DomainMachine  DomainLevel = "machine"
)

// DomainLevels are all of them, for messages.
func DomainLevels() []DomainLevel {
	return []DomainLevel{DomainZone, DomainRegion, DomainProvider, DomainSite, DomainSpotPool, DomainMachine}
}

// Check says what makes the offer impossible, or nil. It is about shape and
// price alone; whether a price can be believed is pricing's business.
func (o Offer) Check() error {
	fail := func(format string, a ...any) error {
		return Errorf(KindInvalid, "purser.Offer.Check", "%s: %s", o.ID(), fmt.Sprintf(format, a...))
	}
	switch {
	case o.Provider == "" || o.Region == "" || o.InstanceType == "" || o.Option == "":
		return fail("provider, region, instance type and purchase option must be given")
	case o.UnitPrice <= 0 && o.Option != Private:
		return fail("a price must be above 0")
	case o.UnitPrice < 0:
		return fail("a price must not be negative")
	case o.Devices < 0 || o.MilliCPU < 0 || o.MemoryMiB < 0 || o.DeviceMemoryMiB < 0:
		return fail("no size can be negative")
	case (o.Accelerator == "") != (o.Devices == 0):
		return fail("accelerator and device count belong together")
	case o.Limit < Unlimited:
		return fail("a limit is a count or unlimited")
	}
	return nil
}

// Quota is an account's limit on what may run at once.
type Quota struct {
	Name  string `json:"name"`  // e.g. aws/us-east-1/spot/P
	Limit int64  `json:"limit"` // in Unit
	Unit  string `json:"unit"`  // devices, vcpus, machines or cents_per_hour
	// Match: the offers that count against it. Empty fields match all.
	Provider    string         `json:"provider,omitempty"`
	Region      string         `json:"region,omitempty"`
	Option      PurchaseOption `json:"purchase_option,omitempty"`
	Accelerator string         `json:"accelerator,omitempty"`
	TypePrefix  string         `json:"instance_type_prefix,omitempty"` // several with commas between: any of them
}

// Weight is what one machine of the offer takes of the quota, in thousandths of
// its unit; 0 where the quota does not apply.
func (q Quota) Weight(o Offer) int64 {
	if (q.Provider != "" && q.Provider != o.Provider) || (q.Region != "" && q.Region != o.Region) ||
		(q.Option != "" && q.Option != o.Option) || (q.Accelerator != "" && q.Accelerator != o.Accelerator) ||
		!q.covers(o.InstanceType) {
		return 0
	}
	switch q.Unit {
	case QuotaDevices:
		return int64(o.Devices)
	case QuotaVCPUs:
		return o.MilliCPU
	case QuotaMachines:
		return 1000
	case QuotaCents:
		if o.Option == Private {
			return 0 // it is paid for already
		}
		return (int64(o.UnitPrice) + nanosPerMilliCent - 1) / nanosPerMilliCent
	default:
		return 0
	}
}

// covers says whether an instance type begins as the quota's do.
func (q Quota) covers(instanceType string) bool {
	for prefix := range strings.SplitSeq(q.TypePrefix, ",") {
		if strings.HasPrefix(instanceType, prefix) {
			return true
		}
	}
	return false
}

// nanosPerMilliCent is a thousandth of a cent in nano-USD.
const nanosPerMilliCent = 10_000

// The units of quotas.
const (
	QuotaDevices  = "devices"
	QuotaVCPUs    = "vcpus"
	QuotaMachines = "machines"
	QuotaCents    = "cents_per_hour" // what bought machines cost together, in US cents
)

// QuotaUnits are all of them, for messages.
func QuotaUnits() []string {
	return []string{QuotaDevices, QuotaVCPUs, QuotaMachines, QuotaCents}
}

// Check says what is wrong with the quota, or nil.
func (q Quota) Check() error {
	switch {
	case q.Name == "":
		return Errorf(KindInvalid, "purser.Quota.Check", "a quota needs a name")
	case q.Limit < 0:
		return Errorf(KindInvalid, "purser.Quota.Check", "quota %s: the limit must not be negative", q.Name)
	case !slices.Contains(QuotaUnits(), q.Unit):
		return Errorf(KindInvalid, "purser.Quota.Check", "quota %s: unit %q is not one of %s", q.Name, clip(q.Unit), strings.Join(QuotaUnits(), ", "))
	}
	return nil
}
