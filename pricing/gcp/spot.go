package gcp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	compute "cloud.google.com/go/compute/apiv1"
	"cloud.google.com/go/compute/apiv1/computepb"

	"purser"
	"purser/pricing"
)

// historyKept is how far back past prices are given where nobody says.
const historyKept = 90 * 24 * time.Hour

// spotHistory collects past spot prices and preemptions.
type spotHistory struct{ opt Options }

var _ pricing.Collector = (*spotHistory)(nil)

// NewSpotHistory makes the collector of past spot prices and preemptions, by the name of
// gcp-spot. It checks the options; nothing is asked before it collects.
func NewSpotHistory(opt Options) (pricing.Collector, error) {
	const op = "gcp.NewSpotHistory"
	opt, err := opt.complete(op)
	if err != nil {
		return nil, err
	}
	if opt.Project == "" {
		return nil, &purser.Error{Kind: purser.KindInvalid, Op: op, Message: "the history of spot prices is asked for a project", Hint: "give the id of a project"}
	}
	return &spotHistory{opt}, nil
}

// Source is gcp-spot.
func (c *spotHistory) Source() string { return sourceOfSpot }

// pool is a machine type in a zone.
type pool struct{ region, zone, machineType string }

// Collect emits one batch without rows for each region.
func (c *spotHistory) Collect(ctx context.Context, emit func(pricing.Batch) error) error {
	if ctx.Err() != nil {
		return ended(ctx, "gcp.Collect")
	}
	options, err := connect(ctx, c.opt, "")
	if err != nil {
		return err
	}
	s := newSupply()
	if err := s.readMachines(ctx, c.opt, options); err != nil {
		return err
	}
	client, err := compute.NewAdviceRESTClient(ctx, options...)
	if err != nil {
		return needAdvice("the history of spot prices", "capacityHistory").explain(ctx, err)
	}
	defer client.Close() // closes nothing that could lose anything
	return c.regions(ctx, client, s, emit)
}

func (c *spotHistory) regions(ctx context.Context, client *compute.AdviceClient, s *supply, emit func(pricing.Batch) error) error {
	const op = "gcp.Collect"
	now := c.opt.Now().UTC()
	var failed failures
	var unknown error // why a region of which nothing is known is left out
	calls, emitted := 0, 0
	regions := union(c.opt, s.regions())
	for i, region := range regions {
		pools := s.pools(region)
		if calls += len(pools) * orElse(c.opt.Availability, 2, 1); calls > c.opt.MaxCalls {
			failed.add(region, c.tooMany())
			continue
		}
		b, err := c.region(ctx, client, now, region, pools, s.failed[region])
		switch {
		case ctx.Err() != nil:
			return ended(ctx, op)
		case hopeless(err):
			for _, rest := range regions[i:] {
				failed.add(rest, err)
			}
			return failed.err(op)
		case isUnknown(err):
			unknown = cmp.Or(unknown, err)
			continue
		case err != nil:
			failed.add(region, err)
			continue
		}
		if err := emit(b); err != nil {
			return err
		}
		emitted += len(pools)
	}
	if len(failed.errs) == 0 && emitted == 0 && unknown != nil {
		return unknown // it is the question that is wrong, not a machine type that is new
	}
	return failed.err(op)
}

func (c *spotHistory) tooMany() error {
	return &purser.Error{
		Kind: purser.KindInvalid, Op: "gcp.Collect", Message: fmt.Sprintf("more than %d calls would be needed for one collection", c.opt.MaxCalls),
		Hint: "name fewer regions, or allow more calls",
	}
}

// hopeless says that the next region would be refused as well, or that to go on asking
// would make things worse.
func hopeless(err error) bool {
	k := purser.KindOf(err)
	return err != nil && (k == purser.KindUnauthorized || k == purser.KindForbidden || k == purser.KindThrottled)
}

// pools are the accelerator machine types that a region's zones sell, sorted.
func (s *supply) pools(region string) []pool {
	var out []pool
	for _, m := range s.of(region) {
		for _, name := range slices.Sorted(maps.Keys(m.machines)) {
			if m.machines[name].device != "" {
				out = append(out, pool{region, m.zone, name})
			}
		}
	}
	return out
}

// found is what is known of a pool.
type found struct {
	past    []purser.PastPrice
	signals []purser.Signal
	err     error
}

// isUnknown tells a pool that the API has nothing of from a call that failed.
func isUnknown(err error) bool {
	a, ok := errors.AsType[answered](err)
	k := purser.KindOf(err)
	return ok && (a.code == http.StatusBadRequest || a.code == http.StatusNotFound) && (k == purser.KindInvalid || k == purser.KindNotFound)
}

// region asks about all pools of a region. Pools of which nothing is known are passed
// over; where that is all of them, the error says so.
func (c *spotHistory) region(ctx context.Context, client *compute.AdviceClient, now time.Time, region string, pools []pool, failed error) (pricing.Batch, error) {
	b := pricing.Batch{Source: sourceOfSpot, Region: region, ObservedAt: now}
	if failed != nil {
		return b, failed
	}
	since, err := c.since(ctx, now, region)
	if err != nil {
		return b, err
	}
	all := make([]found, len(pools))
	inParallel(ctx, len(pools), func(i int) { all[i] = c.pool(ctx, client, now, since, pools[i]) })
	known := 0
	for _, f := range all {
		switch {
		case f.err == nil:
			known++
		case !isUnknown(f.err):
			return b, f.err
		}
		b.Past, b.Signals = append(b.Past, f.past...), append(b.Signals, f.signals...)
	}
	if known == 0 && len(pools) > 0 {
		return b, all[0].err
	}
	return b, nil
}

func (c *spotHistory) since(ctx context.Context, now time.Time, region string) (time.Time, error) {
	if c.opt.Since == nil {
		return now.Add(-historyKept), nil
	}
	t, err := c.opt.Since(ctx, sourceOfSpot, region)
	return t, purser.Wrap(purser.KindInternal, "gcp.Collect", err)
}

func needAdvice(what, method string) need {
	return needCompute(what, "advice."+method)
}

// pool asks about one pool.
func (c *spotHistory) pool(ctx context.Context, client *compute.AdviceClient, now, since time.Time, p pool) found {
	history, err := c.history(ctx, client, p)
	if err != nil {
		return found{err: err}
	}
	past, err := pastPrices(p, history.GetPriceHistory(), now, since)
	if err != nil {
		return found{err: err}
	}
	out := found{past: past}
	if s, ok := interruption(p, history.GetPreemptionHistory(), now); ok {
		out.signals = append(out.signals, s)
	}
	if !c.opt.Availability {
		return out
	}
	advice, err := c.capacity(ctx, client, p)
	if err != nil && !isUnknown(err) {
		return found{err: err}
	}
	if s, ok := availability(p, advice, now); ok {
		out.signals = append(out.signals, s)
	}
	return out
}

func (c *spotHistory) history(ctx context.Context, client *compute.AdviceClient, p pool) (*computepb.CapacityHistoryResponse, error) {
	req := &computepb.CapacityHistoryAdviceRequest{
		Project: c.opt.Project, Region: p.region,
		CapacityHistoryRequestResource: &computepb.CapacityHistoryRequest{
			Types:          []string{"PRICE", "PREEMPTION"},
			LocationPolicy: &computepb.CapacityHistoryRequestLocationPolicy{Location: new("zones/" + p.zone)},
			InstanceProperties: &computepb.CapacityHistoryRequestInstanceProperties{
				MachineType: &p.machineType,
				Scheduling:  &computepb.CapacityHistoryRequestInstancePropertiesScheduling{ProvisioningModel: new("SPOT")},
			},
		},
	}
	n := needAdvice("the spot history of "+p.machineType+" in "+p.zone, "capacityHistory")
	return again(ctx, c.opt, n, func() (*computepb.CapacityHistoryResponse, error) { return client.CapacityHistory(ctx, req) })
}

func (c *spotHistory) capacity(ctx context.Context, client *compute.AdviceClient, p pool) (*computepb.CapacityAdviceResponse, error) {
	req := &computepb.CapacityAdviceRpcRequest{
		Project: c.opt.Project, Region: p.region,
		CapacityAdviceRequestResource: &computepb.CapacityAdviceRequest{
			Size: new(int32(1)),
			DistributionPolicy: &computepb.CapacityAdviceRequestDistributionPolicy{
				TargetShape: new("ANY_SINGLE_ZONE"),
				Zones:       []*computepb.CapacityAdviceRequestDistributionPolicyZoneConfiguration{{Zone: new("zones/" + p.zone)}},
			},
			InstanceFlexibilityPolicy: &computepb.CapacityAdviceRequestInstanceFlexibilityPolicy{
				InstanceSelections: map[string]*computepb.CapacityAdviceRequestInstanceFlexibilityPolicyInstanceSelection{
					"only": {MachineTypes: []string{p.machineType}},
				},
			},
			InstanceProperties: &computepb.CapacityAdviceRequestInstanceProperties{
				Scheduling: &computepb.CapacityAdviceRequestInstancePropertiesScheduling{ProvisioningModel: new("SPOT")},
			},
		},
	}
	n := needAdvice("the spot capacity of "+p.machineType+" in "+p.zone, "capacity")
	return again(ctx, c.opt, n, func() (*computepb.CapacityAdviceResponse, error) { return client.Capacity(ctx, req) })
}

// offer is the ID of the pool's spot offer, equal to that of package's prices.
func (p pool) offer() purser.OfferID {
	return purser.Offer{Provider: provider, Region: p.region, Zone: p.zone, InstanceType: p.machineType, Option: purser.Spot}.ID()
}

// pastPrices are the changes of the price that were in force after since. A price that
// makes no sense, and one that is to come, are left out.
func pastPrices(p pool, records []*computepb.CapacityHistoryResponsePriceRecord, now, since time.Time) ([]purser.PastPrice, error) {
	var out []purser.PastPrice
	for _, r := range records {
		from, to, err := times(r.GetInterval())
		if err != nil {
			return nil, purser.Errorf(purser.KindInvalid, "gcp.Collect", "the spot history of %s in %s: %w", p.machineType, p.zone, err)
		}
		m := r.GetListPrice()
		price := purser.USDPerHour(nanoUSD(m.GetUnits(), m.GetNanos()))
		if c := m.GetCurrencyCode(); price <= 0 || (c != "" && c != "USD") || from.After(now) || (!to.IsZero() && !to.After(since)) {
			continue
		}
		out = append(out, purser.PastPrice{Offer: p.offer(), From: from, UnitPrice: price})
	}
	slices.SortFunc(out, func(a, b purser.PastPrice) int {
		return cmp.Or(a.From.Compare(b.From), cmp.Compare(b.UnitPrice, a.UnitPrice))
	})
	out = slices.CompactFunc(out, func(a, b purser.PastPrice) bool { return a.From.Equal(b.From) })
	return slices.CompactFunc(out, func(a, b purser.PastPrice) bool { return a.UnitPrice == b.UnitPrice }), nil
}

// times reads an interval; its end may be missing.
func times(i *computepb.Interval) (from, to time.Time, err error) {
	if from, err = time.Parse(time.RFC3339, i.GetStartTime()); err != nil {
		return from, to, errors.New("an interval does not say when it began")
	}
	if i.GetEndTime() == "" {
		return from.UTC(), to, nil
	}
	if to, err = time.Parse(time.RFC3339, i.GetEndTime()); err != nil || to.Before(from) {
		return from, to, errors.New("an interval does not say when it ended")
	}
	return from.UTC(), to.UTC(), nil
}

func (p pool) signal(kind purser.SignalKind, value float64, detail string, now time.Time) purser.Signal {
	return purser.Signal{
		Provider: provider, Region: p.region, Zone: p.zone, InstanceType: p.machineType, Option: purser.Spot,
		Kind: kind, Low: value, High: value, Detail: detail, Source: sourceOfSpot, ObservedAt: now,
	}
}

// availability is the score of the only zone and machine type that was asked about.
func availability(p pool, a *computepb.CapacityAdviceResponse, now time.Time) (purser.Signal, bool) {
	for _, r := range a.GetRecommendations() {
		score := r.GetScores()
		if score.GetObtainability() < 0 || score.GetObtainability() > 1 || score == nil || score.Obtainability == nil {
			continue
		}
		detail := fmt.Sprintf("obtainability %.2f for one machine", score.GetObtainability())
		if up := strings.TrimSpace(score.GetEstimatedUptime()); up != "" {
			detail += ", estimated uptime " + clip(up)
		}
		return p.signal(purser.SignalAvailability, score.GetObtainability(), detail, now), true
	}
	return purser.Signal{}, false
}
