package azure

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/compute/armcompute/v8"

	"purser"
	"purser/pricing"
)

// machine is what a size is in a region.
type machine struct {
	name   string // as Azure writes it
	shape  purser.Shape
	device string   // the name of the accelerator, known to Purser or not
	zones  []string // where it can be had; one empty name is the whole region
	spot   bool     // it can be had as a spot machine

	reason pricing.QuarantineReason // why its prices cannot be used
	detail string
}

// finder finds the machine of a size written in any case.
type finder func(size string) (machine, bool)

// catalogue knows the machines that can be had in a region.
type catalogue interface {
	region(ctx context.Context, region string, now time.Time) (finder, error)
}

// newCatalogue makes the catalogue of a subscription, or of the tables without one.
func newCatalogue(op string, opt Options) (catalogue, error) {
	devices := newTable()
	if opt.Subscription == "" {
		return devices, nil
	}
	client, err := armcompute.NewResourceSKUsClient(opt.Subscription, opt.Credential, opt.armOptions())
	if err != nil {
		return nil, purser.Errorf(purser.KindInvalid, op, "the client of the Resource SKUs API cannot be made: %w", err)
	}
	return skus{client, devices}, nil
}

// table has the accelerated sizes by their names in lower case.
type table map[string]accelerated

func newTable() table {
	t := table{}
	for _, a := range acceleratedSizes() {
		t[strings.ToLower(a.name)] = a
	}
	return t
}

// region finds the sizes that the tables of this package have, in the whole region.
func (t table) region(_ context.Context, _ string, now time.Time) (finder, error) {
	return func(size string) (machine, bool) {
		m := machine{name: size, zones: []string{""}, spot: true}
		if a, ok := t[strings.ToLower(size)]; ok {
			m.name, m.shape.MilliCPU, m.shape.MemoryMiB = a.name, a.vCPUs*1000, a.memoryGiB*1024
			m.equip(a)
			return m, a.until == "" || now.Format(time.DateOnly) <= a.until
		}
		if namedAccelerated(size) {
			m.refuse(unknownAccelerated)
			return m, true
		}
		g, ok := generalSize(size)
		m.name, m.shape.MilliCPU, m.shape.MemoryMiB = g.name, g.vCPUs*1000, g.memoryGiB*1024
		return m, ok
	}, nil
}

const unknownAccelerated = "it has accelerators, and which ones is not known"

// namedAccelerated says whether a size's name is one of the N families.
func namedAccelerated(size string) bool {
	return strings.HasPrefix(strings.ToLower(size), "standard_n")
}

// equip gives the machine its devices.
func (m *machine) equip(a accelerated) {
	m.device = a.device
	m.shape.Devices = a.devices
	if known, ok := purser.AcceleratorNamed(a.device); ok {
		m.shape.Accelerator, m.shape.DeviceMemoryMiB = known.Name, int64(known.MemoryGiB*1024)
	}
}

func (m *machine) refuse(detail string) { m.reason, m.detail = pricing.QuarantineIncomplete, detail }

// skus reads the sizes of a subscription.
type skus struct {
	client  *armcompute.ResourceSKUsClient
	devices table
}

// region reads the sizes that the subscription may have in the region.
func (s skus) region(ctx context.Context, region string, _ time.Time) (finder, error) {
	const op = "azure.SKUs"
	filter := "location eq '" + region + "'"
	found := map[string]machine{}
	listed := false
	pages := s.client.NewListPager(&armcompute.ResourceSKUsClientListOptions{Filter: &filter})
	for pages.More() {
		p, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fault(ctx, op, "Microsoft.Compute/skus/read", err)
		}
		for _, sku := range p.Value {
			if sku == nil || !strings.EqualFold(value(sku.ResourceType), "virtualMachines") || value(sku.Name) == "" {
				continue
			}
			listed = true
			if m, ok := s.machine(sku, region); ok {
				found[strings.ToLower(m.name)] = m
			}
		}
	}
	if !listed {
		return nil, &purser.Error{
			Kind: purser.KindNotFound, Op: op, Message: "the subscription has no sizes of machines in " + region,
			Hint: "leave the region out if the subscription may not use it",
		}
	}
	return func(size string) (machine, bool) {
		m, ok := found[strings.ToLower(size)]
		return m, ok
	}, nil
}

// machine reads a SKU; it is false where the subscription cannot have it.
func (s skus) machine(sku *armcompute.ResourceSKU, region string) (machine, bool) {
	zones, offered := zonesOf(sku, region)
	if !offered {
		return machine{}, false
	}
	can := map[string]string{}
	for _, c := range sku.Capabilities {
		if c != nil {
			can[value(c.Name)] = value(c.Value)
		}
	}
	m := machine{name: value(sku.Name), zones: zones, spot: strings.EqualFold(can["LowPriorityCapable"], "true")}
	vCPUs := can["vCPUsAvailable"]
	if vCPUs == "" {
		vCPUs = can["vCPUs"]
	}
	var okCPU, okMemory bool
	m.shape.MilliCPU, okCPU = thousandths(vCPUs)
	m.shape.MemoryMiB, okMemory = mebibytes(can["MemoryGB"])
	if disk, ok := thousandths(can["MaxResourceVolumeMB"]); ok {
		m.shape.DiskMiB = disk / 1000
	}
	a, known := s.devices[strings.ToLower(m.name)]
	gpus, _ := thousandths(can["GPUs"])
	switch {
	case known:
		m.equip(a)
	case namedAccelerated(m.name) || gpus > 0:
		m.refuse(unknownAccelerated)
	}
	if !okCPU || !okMemory {
		m.refuse("its SKU does not say vCPUs and memory")
	}
	return m, true
}

// zonesOf gives the zones of the region that a size can be had in, or one empty name
// where the size has no zones, and whether it can be had there at all.
func zonesOf(sku *armcompute.ResourceSKU, region string) ([]string, bool) {
	closed := map[string]bool{}
	for _, r := range sku.Restrictions {
		if r == nil || !restricts(r, region) {
			continue
		}
		if r.Type == nil || *r.Type != armcompute.ResourceSKURestrictionsTypeZone {
			return nil, false
		}
		if r.RestrictionInfo != nil {
			for _, z := range r.RestrictionInfo.Zones {
				closed[value(z)] = true
			}
		}
	}
	var open []string
	here, zonal := false, false
	for _, l := range sku.LocationInfo {
		if l == nil || !strings.EqualFold(value(l.Location), region) {
			continue
		}
		here = true
		for _, z := range l.Zones {
			zonal = true
			if !closed[value(z)] {
				open = append(open, value(z))
			}
		}
	}
	if here && !zonal {
		return []string{""}, true
	}
	slices.Sort(open)
	open = slices.Compact(open)
	return open, len(open) > 0
}

// restricts says whether a restriction is about the region. One that names no place
// is about all of them. The names' case varies.
func restricts(r *armcompute.ResourceSKURestrictions, region string) bool {
	places := r.Values
	if r.RestrictionInfo != nil && len(r.RestrictionInfo.Locations) > 0 {
		places = r.RestrictionInfo.Locations
	}
	return len(places) == 0 || slices.ContainsFunc(places, func(p *string) bool { return strings.EqualFold(value(p), region) })
}

func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// thousandths reads a number of a capability, such as 96 or 0.5, in thousandths.
func thousandths(s string) (int64, bool) {
	n, err := purser.ParseMoney(s) // the same form: digits with at most one point
	return int64(n) / 1_000_000, err == nil && n >= 0
}

// mebibytes reads a number of GiB, which the API calls GB.
func mebibytes(s string) (int64, bool) {
	if s == "" || strings.Trim(s, "0123456789.") != "" {
		return 0, false
	}
	mib, err := purser.ParseMiB(s)
	return mib, err == nil && mib > 0
}
