package gcp

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	compute "cloud.google.com/go/compute/apiv1"
	"cloud.google.com/go/compute/apiv1/computepb"

	"purser"
)

// market is what one zone sells or, with no zone, a region.
type market struct {
	zone     string
	machines map[string]machine
	cards    map[string]int64 // the most GPUs that can be attached to a machine
	slices   []string         // TPU types
}

// supply is what is sold where.
type supply struct {
	markets map[string]map[string]*market // by region and zone
	failed  map[string]error              // regions of which not all could be read
}

func newSupply() *supply {
	return &supply{markets: map[string]map[string]*market{}, failed: map[string]error{}}
}

// at gives the market of a zone, which it makes when it is new.
func (s *supply) at(region, zone string) *market {
	if s.markets[region] == nil {
		s.markets[region] = map[string]*market{}
	}
	m := s.markets[region][zone]
	if m == nil {
		m = &market{zone: zone, machines: map[string]machine{}, cards: map[string]int64{}}
		s.markets[region][zone] = m
	}
	return m
}

// fail marks a region as not read; the first reason stays.
func (s *supply) fail(region string, err error) {
	s.failed[region] = cmp.Or(s.failed[region], err)
}

func (s *supply) regions() []string {
	return slices.Concat(slices.Collect(maps.Keys(s.markets)), slices.Collect(maps.Keys(s.failed)))
}

// of gives a region's markets in the order of zones.
func (s *supply) of(region string) []*market {
	zones := s.markets[region]
	out := make([]*market, 0, len(zones))
	for _, zone := range slices.Sorted(maps.Keys(zones)) {
		out = append(out, zones[zone])
	}
	return out
}

// listedSupply takes the package's own table for what regions sell; prices decide
// which of it is an offer.
func listedSupply(regions []string, tpus bool) *supply {
	s := newSupply()
	for _, region := range regions {
		m := s.at(region, "")
		maps.Copy(m.machines, accelerated)
		maps.Copy(m.machines, hosts)
		for _, a := range attachments {
			m.cards[a.device] = max(m.cards[a.device], a.count)
		}
		if tpus {
			m.slices = listedSlices()
		}
	}
	return s
}

// readSupply asks what the project is sold in each zone.
func readSupply(ctx context.Context, opt Options) (*supply, error) {
	options, err := connect(ctx, opt, "")
	if err != nil {
		return nil, err
	}
	s := newSupply()
	if err := s.readMachines(ctx, opt, options); err != nil {
		return nil, err
	}
	if err := s.readCards(ctx, opt, options); err != nil {
		return nil, err
	}
	if opt.WithoutTPU {
		return s, nil
	}
	return s, s.readSlices(ctx, opt, options)
}

// given leaves out what is empty.
func given(token string) *string {
	if token == "" {
		return nil
	}
	return &token
}

func needCompute(what, method string) need {
	return need{op: "gcp.Collect", what: what, api: "compute.googleapis.com", permission: "compute." + method, role: "roles/compute.viewer"}
}

func (s *supply) readMachines(ctx context.Context, opt Options, options clientOptions) error {
	n := needCompute("the list of machine types", "machineTypes.list")
	client, err := compute.NewMachineTypesRESTClient(ctx, options...)
	if err != nil {
		return n.explain(ctx, err)
	}
	defer client.Close() // closes nothing that could lose anything
	open := func(token string) pager[compute.MachineTypesScopedListPair] {
		return client.AggregatedList(ctx, &computepb.AggregatedListMachineTypesRequest{Project: opt.Project, MaxResults: new(uint32(500)), PageToken: given(token)})
	}
	return pages(ctx, opt, n, open, func(p compute.MachineTypesScopedListPair) error {
		region, zone, ok := s.scope(opt, n, p.Key, p.Value.GetWarning())
		if !ok {
			return nil
		}
		m := s.at(region, zone)
		for _, t := range p.Value.GetMachineTypes() {
			if known, ok := machineOf(t); ok {
				m.machines[known.name] = known
			}
		}
		return nil
	})
}

func (s *supply) readCards(ctx context.Context, opt Options, options clientOptions) error {
	n := needCompute("the list of accelerator types", "acceleratorTypes.list")
	client, err := compute.NewAcceleratorTypesRESTClient(ctx, options...)
	if err != nil {
		return n.explain(ctx, err)
	}
	defer client.Close() // closes nothing that could lose anything
	open := func(token string) pager[compute.AcceleratorTypesScopedListPair] {
		return client.AggregatedList(ctx, &computepb.AggregatedListAcceleratorTypesRequest{Project: opt.Project, MaxResults: new(uint32(500)), PageToken: given(token)})
	}
	return pages(ctx, opt, n, open, func(p compute.AcceleratorTypesScopedListPair) error {
		region, zone, ok := s.scope(opt, n, p.Key, p.Value.GetWarning())
		if !ok {
			return nil
		}
		for _, t := range p.Value.GetAcceleratorTypes() {
			if device, ok := attachable[t.GetName()]; ok && usable(t.GetDeprecated()) {
				s.at(region, zone).cards[device] = int64(t.GetMaximumCardsPerInstance())
			}
		}
		return nil
	})
}

// scope reads the key of a part of an aggregated list. A zone that did not answer has
// a warning, and its region is not known.
func (s *supply) scope(opt Options, n need, key string, w *computepb.Warning) (region, zone string, ok bool) {
	zone, ok = strings.CutPrefix(key, "zones/")
	region = regionOf(zone)
	if !ok || region == "" || !opt.wanted(region) {
		return "", "", false
	}
	if w.GetCode() == "UNREACHABLE" {
		s.fail(region, purser.Errorf(purser.KindUnavailable, n.op, "%s does not have zone %s, which does not answer", n.what, zone))
	}
	return region, zone, true
}

// regionOf is a zone's region: us-central1 of us-central1-a.
func regionOf(zone string) string {
	i := strings.LastIndexByte(zone, '-')
	return zone[:max(i, 0)]
}

// usable says whether machines can still be made of what is on its way out.
func usable(d *computepb.DeprecationStatus) bool {
	return d.GetState() != "OBSOLETE" && d.GetState() != "DELETED"
}

// localSSD is the size of one partition of the local SSDs of machine types that are
// known here, in GiB.
const localSSD = 375

// machineOf reads a machine type; false for those that are not known.
func machineOf(t *computepb.MachineType) (machine, bool) {
	m := machine{name: t.GetName(), vCPUs: int64(t.GetGuestCpus()), memoryMiB: int64(t.GetMemoryMb())}
	listed, built := accelerated[m.name]
	if !usable(t.GetDeprecated()) || (!built && !general.MatchString(m.name)) {
		return machine{}, false
	}
	m.ssdGiB = localSSD * int64(t.GetBundledLocalSsds().GetPartitionCount())
	if built {
		m.device, m.devices, m.ssdGiB = listed.device, listed.devices, max(m.ssdGiB, listed.ssdGiB)
	}
	return m, true
}
