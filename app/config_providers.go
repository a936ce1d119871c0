package app

import (
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"purser"
)

// SpendLimit bounds what is bought from clouds. Without it none may be enabled.
type SpendLimit struct {
	// PerHour is what all bought machines together may cost in an hour, in USD.
	PerHour float64 `koanf:"usd_per_hour"`
	// PerMonth is what a calendar month (UTC) may have cost before nothing more is bought,
	// in USD. What runs then goes on to its end. 0: no such limit.
	PerMonth float64 `koanf:"usd_per_month"`
}

// ProviderConfig is how machines of a provider are launched. Naming a provider enables
// it. Which fields a provider has is said by providerFields.
type ProviderConfig struct {
	// DryRun lets the provider read and launch nothing.
	DryRun bool `koanf:"dry_run"`
	// PerSecond is how many calls a second are made to it at most. Defaults to the provider's own.
	PerSecond float64 `koanf:"calls_per_second"`
	// StartUp is how long its machines are paid for before they work, for plans. Defaults to the provider's own.
	StartUp time.Duration `koanf:"start_up"`
	// JoinWithin is how long a machine may take until its agent joins. Defaults to the provider's own.
	JoinWithin time.Duration `koanf:"join_within"`

	// Regions are where machines may be launched, and all that is listed.
	Regions []string `koanf:"regions"`
	// Subnets are by zone id (aws) or region (azure).
	Subnets map[string]string `koanf:"subnets"`
	// SecurityGroups of machines, by region.
	SecurityGroups map[string]string `koanf:"security_groups"`
	// InstanceProfile is the machines' IAM role (aws).
	InstanceProfile string `koanf:"instance_profile"`
	// Queues are SQS queues with the account's events, as URLs by region (aws).
	Queues map[string]string `koanf:"queues"`
	// OwnQueues says that nobody else reads the queues, so that what is not about our machines is deleted too.
	OwnQueues bool `koanf:"own_queues"`
	// PublicIP gives machines a public address.
	PublicIP bool `koanf:"public_ip"`
	// DiskGiB is the size of the system disk.
	DiskGiB int `koanf:"disk_gib"`
	// KMSKey encrypts it.
	KMSKey string `koanf:"kms_key"`

	// Project (gcp) or subscription (azure) that pays.
	Project string `koanf:"project"`
	// Network and Subnetwork of machines (gcp).
	Network    string `koanf:"network"`
	Subnetwork string `koanf:"subnetwork"`
	// ServiceAccount that machines act as (gcp).
	ServiceAccount string `koanf:"service_account"`
	// Tags of the network's rules (gcp).
	Tags []string `koanf:"tags"`

	// ResourceGroup that holds all machines (azure).
	ResourceGroup string `koanf:"resource_group"`

	// Kubeconfig and Context say how the cluster is reached; empty: as kubectl and pods do.
	Kubeconfig string `koanf:"kubeconfig"`
	Context    string `koanf:"context"`
	// Namespace of our objects. Queue is a LocalQueue of Kueue in it.
	Namespace string `koanf:"namespace"`
	Queue     string `koanf:"queue"`
	// Prices are USD per device and hour by accelerator, and under cpu per vCPU (kubernetes).
	Prices map[string]float64 `koanf:"prices"`
	// Checkpoints is a PersistentVolumeClaim that keeps them (kubernetes).
	Checkpoints string `koanf:"checkpoints"`
	// Image runs groups that name none (kubernetes).
	Image string `koanf:"image"`

	// Inventory is the file of the pool's hosts (ssh).
	Inventory string `koanf:"inventory"`

	// URL is the address of a cloud's stand-in: purser fakecloud (fake), any EC2 (aws), an emulator (gcp).
	URL string `koanf:"url"`
}

// The fields that every provider has, and those of each beside them.
var (
	commonFields   = []string{"dry_run", "calls_per_second", "start_up", "join_within"}
	providerFields = map[string][]string{
		"aws":        {"regions", "subnets", "security_groups", "instance_profile", "queues", "own_queues", "public_ip", "disk_gib", "kms_key", "url"},
		"gcp":        {"regions", "project", "network", "subnetwork", "service_account", "tags", "public_ip", "disk_gib", "kms_key", "url"},
		"azure":      {"regions", "project", "resource_group", "subnets", "security_groups", "disk_gib"},
		"kubernetes": {"kubeconfig", "context", "namespace", "queue", "prices", "checkpoints", "image"},
		"ssh":        {"inventory"},
		"fake":       {"url"},
	}
)

// providerKeys are the settings of any provider.
func providerKeys() []string {
	fields := slices.Clone(commonFields)
	for _, own := range providerFields {
		fields = append(fields, own...)
	}
	slices.Sort(fields)
	var keys []string
	for _, f := range slices.Compact(fields) {
		keys = append(keys, "providers.NAME."+f)
	}
	return keys
}

// paid says that machines of the provider cost money beside what is paid already.
func paid(name string) bool { return name == "aws" || name == "gcp" || name == "azure" }

// knownProviderKey says whether providers.REST may be in a configuration, and why not.
func knownProviderKey(rest string) (ok bool, why string) {
	name, field, whole := strings.Cut(rest, ".")
	own, known := providerFields[name]
	if !known {
		return false, "the providers are: " + strings.Join(slices.Sorted(maps.Keys(providerFields)), ", ")
	}
	field, _, _ = strings.Cut(field, ".") // the keys of a map are the operator's own
	if fields := slices.Concat(commonFields, own); whole && !slices.Contains(fields, field) {
		return false, name + " has: " + strings.Join(fields, ", ")
	}
	return true, ""
}

// checkProviders refuses what would buy without a limit, or buy machines that could
// never reach the server.
func (c Config) checkProviders(bad func(key, message string) error) error {
	s := c.SpendLimit
	if !within(s.PerHour, 1e6) || !within(s.PerMonth, 1e9) {
		return bad("spend_limit", "a spend limit is not negative; at most a million USD an hour and a billion a month")
	}
	for _, name := range slices.Sorted(maps.Keys(c.Providers)) {
		p, key := c.Providers[name], "providers."+name
		switch {
		case paid(name) && !p.DryRun && s.PerHour == 0:
			return bad("spend_limit.usd_per_hour", fmt.Sprintf("%s is enabled and would buy without a limit: set what all machines together may cost in an hour, or %s.dry_run", name, key))
		case paid(name) && !p.DryRun && p.URL == "" && unreachable(c.PublicURL):
			return bad("public_url", fmt.Sprintf("machines of %s could not reach a server at %s: set the address at which they can", name, c.whereabouts()))
		case p.PerSecond < 0 || p.StartUp < 0 || p.JoinWithin < 0 || p.DiskGiB < 0 || p.DiskGiB > 65536:
			return bad(key, "neither a rate nor a time nor a size is negative; a disk has 65536 GiB at most")
		case paid(name) && name != "gcp" && len(p.Regions) == 0:
			return bad(key+".regions", "name the regions where machines may be launched, such as [us-east-1]")
		}
		if field, place := p.stray(name); field != "" {
			return bad(key+"."+field+"."+place, fmt.Sprintf("it lies in none of the regions %s, and nothing would use it: subnets are by zone id (aws: use1-az1) or region (azure), security groups by region", strings.Join(p.Regions, ", ")))
		}
		for accelerator, price := range p.Prices {
			if !within(price, 1e6) {
				return bad(key+".prices."+accelerator, "a price is not negative, and at most a million USD an hour")
			}
		}
		if u, err := url.Parse(p.URL); p.URL != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
			return bad(key+".url", fmt.Sprintf("%q is not an address that begins with http:// or https://", p.URL))
		}
	}
	for name, need := range map[string]string{"fake": "url", "ssh": "inventory"} {
		if p, ok := c.Providers[name]; ok && p.URL+p.Inventory == "" {
			return bad("providers."+name+"."+need, need+" must be given")
		}
	}
	return nil
}

// stray finds a setting of a place that is in no enabled region. Machines would come
// without it, in the default network.
func (p ProviderConfig) stray(name string) (field, place string) {
	for _, zone := range slices.Sorted(maps.Keys(p.Subnets)) {
		if !slices.ContainsFunc(p.Regions, func(r string) bool {
			return zone == r && name == "azure" || strings.HasPrefix(zone, zoneIDPrefix(r)+"-") && name == "aws"
		}) {
			return "subnets", zone
		}
	}
	for _, region := range slices.Sorted(maps.Keys(p.SecurityGroups)) {
		if !slices.Contains(p.Regions, region) {
			return "security_groups", region
		}
	}
	return "", ""
}

func (c Config) whereabouts() string {
	if c.PublicURL == "" {
		return "an address of this host alone"
	}
	return c.PublicURL
}

// unreachable says that only this host finds the address.
func unreachable(publicURL string) bool {
	u, err := url.Parse(publicURL)
	if err != nil || u.Hostname() == "" || u.Hostname() == "localhost" {
		return true
	}
	ip := net.ParseIP(u.Hostname())
	return ip != nil && (ip.IsLoopback() || ip.IsUnspecified())
}

// spendQuota is the limit as the optimizer knows it.
func (c Config) spendQuota() (purser.Quota, bool) {
	return purser.Quota{Name: "spend limit", Unit: purser.QuotaCents, Limit: int64(c.SpendLimit.PerHour * 100)}, c.SpendLimit.PerHour != 0
}
