package azure

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/compute/armcompute/v8"

	"purser"
	"purser/providers"
)

// family is a quota that accelerated sizes share, in vCPUs on demand.
type family struct{ name, accelerator, prefix string }

// families are those whose sizes an accelerator and the beginning of the size's name
// tell from others (the confidential NCC40ads_H100_v5 alone is counted with a family that
// is not its own). Other families' quotas are known by a launch alone. Source: the
// families of the Resource SKUs API.
func families() []family {
	return []family{
		{"standardncasv3_t4", "T4", "Standard_NC"},
		{"standardncadsa10v4", "A10", "Standard_NC"},
		{"standardnvadsa10v5", "A10", "Standard_NV"},
		{"standardncadsa100v4", "A100-80GB", "Standard_NC"},
		{"standardndasv4_a100", "A100-40GB", "Standard_ND"},
		{"standardndamsv4_a100", "A100-80GB", "Standard_ND"},
		{"standardncadsh100v5", "H100-NVL", "Standard_NC"},
		{"standardndsh100v5", "H100", "Standard_ND"},
		{"standardndsh200v5", "H200", "Standard_ND"},
	}
}

// Quotas reads the limits of every place and what was reserved there. Spot machines of
// all sizes share one quota in a region; on demand there is one over all sizes, and one
// for each accelerated family. Reserved offers have no shape and no price: sizes are
// named as the price lists name them.
func (p *Provider) Quotas(ctx context.Context) (providers.Headroom, error) {
	const op = "azure.Quotas"
	out := providers.Headroom{Used: map[string]int64{}}
	var mu sync.Mutex
	err := each(p.regions(), 8, func(region string) error {
		usages, err := p.usage(ctx, op, region)
		if err != nil {
			return err
		}
		var bought []providers.Reservation
		if group := p.cfg.Places[region].ReservationGroup; group != "" {
			if bought, err = p.reserved(ctx, op, group); err != nil {
				return err
			}
		}
		mu.Lock()
		defer mu.Unlock()
		for q, used := range usages {
			out.Quotas = append(out.Quotas, q)
			out.Used[q.Name] = used
		}
		out.Reserved = append(out.Reserved, bought...)
		return nil
	})
	if err != nil {
		return providers.Headroom{}, err
	}
	slices.SortFunc(out.Quotas, func(a, b purser.Quota) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(out.Reserved, func(a, b providers.Reservation) int { return strings.Compare(a.ID, b.ID) })
	return out, nil
}

// usage reads a region's quotas with what is used of them.
func (p *Provider) usage(ctx context.Context, op, region string) (map[purser.Quota]int64, error) {
	out := map[purser.Quota]int64{}
	pages := p.usages.NewListPager(region, nil)
	for pages.More() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fault(ctx, op, err, nil)
		}
		for _, u := range page.Value {
			if u == nil || u.Name == nil || u.Limit == nil {
				continue
			}
			if q, ok := quotaOf(region, value(u.Name.Value)); ok {
				q.Limit = max(value(u.Limit), 0)
				out[q] = int64(value(u.CurrentValue))
			}
		}
	}
	if len(out) == 0 {
		return nil, purser.Errorf(purser.KindUnavailable, op, "Azure tells no quotas of %s", region)
	}
	return out, nil
}

// quotaOf says which offers one of Azure's quotas is about.
func quotaOf(region, name string) (purser.Quota, bool) {
	q := purser.Quota{Provider: provider, Region: region, Option: purser.OnDemand, Unit: purser.QuotaVCPUs}
	name = strings.ToLower(name)
	switch name {
	case "cores":
		q.Name = provider + "/" + region + "/on_demand"
		return q, true
	case "lowprioritycores":
		q.Name, q.Option = provider+"/"+region+"/spot", purser.Spot
		return q, true
	}
	for _, f := range families() {
		if strings.TrimSuffix(name, "family") == f.name {
			q.Name, q.Accelerator, q.TypePrefix = provider+"/"+region+"/on_demand/"+f.name, f.accelerator, f.prefix
			return q, true
		}
	}
	return q, false
}

// reserved reads a capacity reservation group.
func (p *Provider) reserved(ctx context.Context, op, id string) ([]providers.Reservation, error) {
	part := strings.Split(id, "/") // its form was checked: 4 is the resource group, 8 the name
	if len(part) != 9 {
		return nil, purser.Errorf(purser.KindInvalid, op, "%q is no capacity reservation group", clip(id))
	}
	group, err := p.groups.Get(ctx, part[4], part[8], &armcompute.CapacityReservationGroupsClientGetOptions{Expand: ptr(armcompute.CapacityReservationGroupInstanceViewTypesInstanceView)})
	if err != nil {
		return nil, fault(ctx, op, err, nil)
	}
	used := map[string]int{}
	if group.Properties != nil && group.Properties.InstanceView != nil {
		for _, v := range group.Properties.InstanceView.CapacityReservations {
			if v != nil && v.UtilizationInfo != nil {
				used[strings.ToLower(value(v.Name))] = len(v.UtilizationInfo.VirtualMachinesAllocated)
			}
		}
	}
	var out []providers.Reservation
	pages := p.bought.NewListByCapacityReservationGroupPager(part[4], part[8], nil)
	for pages.More() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fault(ctx, op, err, nil)
		}
		for _, r := range page.Value {
			if r != nil && r.SKU != nil {
				out = append(out, reservation(r, used[strings.ToLower(value(r.Name))]))
			}
		}
	}
	return out, nil
}

func reservation(r *armcompute.CapacityReservation, used int) providers.Reservation {
	total := int(value(r.SKU.Capacity))
	free := max(total-used, 0)
	out := providers.Reservation{
		ID: value(r.ID), Total: total, Free: free,
		Offer: purser.Offer{Provider: provider, Region: regionOf(r.Location), InstanceType: value(r.SKU.Name), Option: purser.Reserved, Limit: free, Source: provider},
	}
	if len(r.Zones) > 0 {
		out.Offer.Zone = value(r.Zones[0])
	}
	if r.Properties == nil {
		return out
	}
	out.From = value(r.Properties.TimeCreated).UTC()
	if s := r.Properties.ScheduleProfile; s != nil { // a block of capacity
		if from, err := time.Parse(time.DateOnly, value(s.Start)); err == nil {
			out.From = from
		}
		if until, err := time.Parse(time.DateOnly, value(s.End)); err == nil {
			out.Until = until
		}
	}
	return out
}

// regionOf writes a location as regions are written: East US as eastus.
func regionOf(location *string) string {
	return strings.ToLower(strings.ReplaceAll(value(location), " ", ""))
}

// regions are the places' names in order.
func (p *Provider) regions() []string { return slices.Sorted(maps.Keys(p.cfg.Places)) }
