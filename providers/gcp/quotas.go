package gcp

import (
	"context"
	"math"
	"slices"
	"strings"

	compute "cloud.google.com/go/compute/apiv1"
	"cloud.google.com/go/compute/apiv1/computepb"

	"purser"
	"purser/providers"
)

// families are the quotas of vCPUs and the machine types that count against them
// (https://cloud.google.com/compute/resource-usage).
var families = map[string][]string{
	"CPUS": {"n1-", "e2-"}, "N2_CPUS": {"n2-"}, "N2D_CPUS": {"n2d-"}, "C2_CPUS": {"c2-"}, "C2D_CPUS": {"c2d-"}, "C3_CPUS": {"c3-"},
	"A2_CPUS": {"a2-"}, "T2A_CPUS": {"t2a-"}, "T2D_CPUS": {"t2d-"}, "M1_CPUS": {"m1-"}, "M2_CPUS": {"m2-"}, "M3_CPUS": {"m3-"},
}

// sharing are GPUs whose quotas tell apart what we call by one name, by machine type.
var sharing = map[string]string{"H100": "a3-highgpu-", "H100_MEGA": "a3-megagpu-"}

// Quotas reads what the project may have in each region, and its reservations. Spot and
// flex start count against the PREEMPTIBLE quota of a GPU or of vCPUs where the project
// has one, and against the plain one elsewhere. The limits of all regions together cap
// each region's. TPU quotas are not among them.
func (p *Provider) Quotas(ctx context.Context) (providers.Headroom, error) {
	a := ask{op: "gcp.Quotas", what: "the list of quotas"}
	all, err := p.projectLimits(ctx, a)
	if err != nil {
		return providers.Headroom{}, err
	}
	client, err := p.regions(ctx)
	if err != nil {
		return providers.Headroom{}, a.explain(ctx, err)
	}
	defer client.Close() // closes nothing that could lose anything
	out := providers.Headroom{Used: map[string]int64{}}
	err = each(client.List(ctx, &computepb.ListRegionsRequest{Project: p.config.Project, MaxResults: new(uint32(pageSize))}), func(r *computepb.Region) error {
		if len(r.GetQuotas()) == 0 {
			return purser.Errorf(purser.KindUnavailable, a.op, "%s is not whole: region %s tells none", a.what, clip(r.GetName()))
		}
		addRegion(&out, r, all)
		return nil
	})
	if err != nil {
		return providers.Headroom{}, a.explain(ctx, err)
	}
	slices.SortFunc(out.Quotas, func(x, y purser.Quota) int { return strings.Compare(x.Name, y.Name) })
	out.Reserved, err = p.reserved(ctx, a)
	if err != nil {
		return providers.Headroom{}, err
	}
	return out, nil
}

// projectLimits are the limits of all regions together, by metric.
func (p *Provider) projectLimits(ctx context.Context, a ask) (map[string]*computepb.Quota, error) {
	client, err := p.projects(ctx)
	if err != nil {
		return nil, a.explain(ctx, err)
	}
	defer client.Close() // closes nothing that could lose anything
	project, err := client.Get(ctx, &computepb.GetProjectRequest{Project: p.config.Project})
	if err != nil {
		return nil, a.explain(ctx, err)
	}
	return byMetric(project.GetQuotas()), nil
}

func byMetric(list []*computepb.Quota) map[string]*computepb.Quota {
	out := make(map[string]*computepb.Quota, len(list))
	for _, q := range list {
		out[q.GetMetric()] = q
	}
	return out
}

// addRegion writes a region's quotas as ours.
func addRegion(out *providers.Headroom, r *computepb.Region, all map[string]*computepb.Quota) {
	have := byMetric(r.GetQuotas())
	for metric, q := range have {
		if prefixes, ok := families[metric]; ok {
			for _, prefix := range prefixes {
				add(out, r.GetName(), metric, prefix, q, all["CPUS_ALL_REGIONS"], options(have["PREEMPTIBLE_CPUS"]),
					purser.Quota{Unit: purser.QuotaVCPUs, TypePrefix: prefix})
			}
		}
		gpu, ok := strings.CutSuffix(metric, "_GPUS")
		gpu, ours := strings.CutPrefix(strings.TrimPrefix(gpu, "PREEMPTIBLE_"), "NVIDIA_")
		accelerator, known := purser.AcceleratorNamed(gpu)
		if !ok || !ours || !known {
			continue
		}
		match := purser.Quota{Unit: purser.QuotaDevices, Accelerator: accelerator.Name, TypePrefix: sharing[gpu]}
		if strings.HasPrefix(metric, "PREEMPTIBLE_") {
			if q.GetLimit() > 0 {
				add(out, r.GetName(), metric, "", q, all["GPUS_ALL_REGIONS"], interruptible, match)
			}
			continue
		}
		add(out, r.GetName(), metric, "", q, all["GPUS_ALL_REGIONS"], options(have["PREEMPTIBLE_"+metric]), match)
	}
	if q := have["PREEMPTIBLE_CPUS"]; q.GetLimit() > 0 {
		add(out, r.GetName(), "PREEMPTIBLE_CPUS", "", q, all["CPUS_ALL_REGIONS"], interruptible, purser.Quota{Unit: purser.QuotaVCPUs})
	}
}

// interruptible are the options that a PREEMPTIBLE quota bounds.
var interruptible = []purser.PurchaseOption{purser.Spot, purser.FlexStart}

// options are those that a plain quota bounds: all where the project has no PREEMPTIBLE one.
func options(preemptible *computepb.Quota) []purser.PurchaseOption {
	if preemptible.GetLimit() > 0 {
		return []purser.PurchaseOption{purser.OnDemand}
	}
	return []purser.PurchaseOption{""}
}

// add writes one quota, once for each option that it bounds.
func add(out *providers.Headroom, region, metric, part string, q, overall *computepb.Quota, options []purser.PurchaseOption, match purser.Quota) {
	limit := q.GetLimit()
	if overall != nil {
		limit = min(limit, overall.GetLimit())
	}
	for _, option := range options {
		match.Name = provider + "/" + region + "/" + metric
		for _, more := range []string{part, string(option)} {
			if more != "" {
				match.Name += "/" + strings.TrimSuffix(more, "-")
			}
		}
		match.Provider, match.Region, match.Option = provider, region, option
		match.Limit = int64(math.Max(math.Floor(limit), 0))
		out.Quotas = append(out.Quotas, match)
		out.Used[match.Name] = int64(math.Ceil(q.GetUsage()))
	}
}

// reserved lists reservations of machines, in all zones.
func (p *Provider) reserved(ctx context.Context, a ask) ([]providers.Reservation, error) {
	a.what = "the list of reservations"
	client, err := p.reservations(ctx)
	if err != nil {
		return nil, a.explain(ctx, err)
	}
	defer client.Close() // closes nothing that could lose anything
	shapes, err := p.machineTypes(ctx)
	if err != nil {
		return nil, a.explain(ctx, err)
	}
	defer shapes.Close() // closes nothing that could lose anything
	known := map[string]purser.Shape{}
	var out []providers.Reservation
	it := client.AggregatedList(ctx, &computepb.AggregatedListReservationsRequest{Project: p.config.Project, MaxResults: new(uint32(pageSize))})
	err = each(it, func(scope compute.ReservationsScopedListPair) error {
		whole, _ := it.Response.(*computepb.ReservationAggregatedList)
		if err := a.complete(scope.Key, whole.GetUnreachables(), whole.GetWarning(), scope.Value.GetWarning()); err != nil {
			return err
		}
		zone := strings.TrimPrefix(scope.Key, "zones/")
		for _, r := range scope.Value.GetReservations() {
			if r.GetSpecificReservation() == nil || r.GetStatus() != "READY" {
				continue // of TPUs, or not there yet
			}
			key := zone + " " + reservedType(r)
			if _, ok := known[key]; !ok {
				if known[key], err = p.shapeOf(ctx, shapes, zone, r); err != nil {
					return err
				}
			}
			out = append(out, reservationOf(zone, r, known[key]))
		}
		return nil
	})
	return out, a.maybe(ctx, err)
}

// freeOfCharge is the price of a reserved machine on top of what was paid: as good as
// nothing, since an offer's price must be above 0.
const freeOfCharge = purser.USDPerHour(1)

func reservationOf(zone string, r *computepb.Reservation, shape purser.Shape) providers.Reservation {
	free := int(freeOf(r))
	return providers.Reservation{
		ID: "zones/" + zone + "/reservations/" + r.GetName(), Total: int(r.GetSpecificReservation().GetCount()), Free: free,
		From: parseTime(r.GetCreationTimestamp()), Until: parseTime(r.GetDeleteAtTime()),
		Offer: purser.Offer{
			Provider: provider, Region: regionOf(zone), Zone: zone, InstanceType: reservedType(r), Option: reservedOption(r), Shape: shape,
			UnitPrice: freeOfCharge, Limit: free, ValidFrom: parseTime(r.GetCreationTimestamp()), Source: provider,
		},
	}
}

// shapeOf is what a reserved machine gives, as the list of machine types says.
func (p *Provider) shapeOf(ctx context.Context, client *compute.MachineTypesClient, zone string, r *computepb.Reservation) (purser.Shape, error) {
	properties := r.GetSpecificReservation().GetInstanceProperties()
	m, err := client.Get(ctx, &computepb.GetMachineTypeRequest{Project: p.config.Project, Zone: zone, MachineType: last(properties.GetMachineType())})
	if err != nil {
		return purser.Shape{}, err
	}
	out := purser.Shape{MilliCPU: int64(m.GetGuestCpus()) * 1000, MemoryMiB: int64(m.GetMemoryMb())}
	card, cards := "", int32(0)
	for _, g := range m.GetAccelerators() {
		card, cards = g.GetGuestAcceleratorType(), g.GetGuestAcceleratorCount()
	}
	for _, g := range properties.GetGuestAccelerators() {
		card, cards = last(g.GetAcceleratorType()), g.GetAcceleratorCount()
	}
	if a, ok := purser.AcceleratorNamed(card); ok {
		out.Accelerator, out.Devices, out.DeviceMemoryMiB = a.Name, purser.MilliDevices(cards)*purser.OneDevice, int64(a.MemoryGiB*1024)
	}
	return out, nil
}
