package aws

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"purser"
	"purser/providers"
)

// reservations hands over the region's capacity reservations that are or will be in
// force, and that we may use.
func (p *Provider) reservations(ctx context.Context, op, region string, each func(types.CapacityReservation), more ...types.Filter) error {
	filters := append(more, filter("state", string(types.CapacityReservationStateActive), string(types.CapacityReservationStateScheduled)))
	if key, value, ok := strings.Cut(p.c.ReservationTag, "="); ok {
		filters = append(filters, filter("tag:"+key, value))
	}
	pages := ec2.NewDescribeCapacityReservationsPaginator(p.ec2(region), &ec2.DescribeCapacityReservationsInput{Filters: filters, MaxResults: awssdk.Int32(100)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return failed(ctx, op, "ec2:DescribeCapacityReservations in "+region, err)
		}
		for _, r := range page.CapacityReservations {
			each(r)
		}
	}
	return nil
}

func optionOf(r types.CapacityReservation) purser.PurchaseOption {
	if r.ReservationType == types.CapacityReservationTypeCapacityBlock {
		return purser.CapacityBlock
	}
	return purser.Reserved
}

// freeReservation is a reservation that has a machine of the offer free: the one that
// ends first, since what is left of it is lost first.
func (p *Provider) freeReservation(ctx context.Context, o purser.Offer) (string, error) {
	var free []types.CapacityReservation
	err := p.reservations(ctx, opLaunch, o.Region, func(r types.CapacityReservation) {
		zone := o.Zone == "" || o.Zone == awssdk.ToString(r.AvailabilityZoneId) || o.Zone == awssdk.ToString(r.AvailabilityZone)
		if zone && optionOf(r) == o.Option && awssdk.ToString(r.InstanceType) == o.InstanceType &&
			r.State == types.CapacityReservationStateActive && awssdk.ToInt32(r.AvailableInstanceCount) > 0 {
			free = append(free, r)
		}
	}, filter("instance-type", o.InstanceType))
	switch {
	case err != nil:
		return "", err
	case len(free) == 0:
		return "", &purser.Error{
			Kind: purser.KindNoCapacity, Op: opLaunch, Message: fmt.Sprintf("%s: no reservation has a free machine", o.ID()),
			Hint: meanings["ReservationCapacityExceeded"].hint,
		}
	}
	first := slices.MinFunc(free, func(a, b types.CapacityReservation) int {
		switch {
		case (a.EndDate == nil) != (b.EndDate == nil):
			return cmp.Compare(btoi(a.EndDate == nil), btoi(b.EndDate == nil))
		case a.EndDate != nil && !a.EndDate.Equal(*b.EndDate):
			return a.EndDate.Compare(*b.EndDate)
		}
		return cmp.Compare(awssdk.ToString(a.CapacityReservationId), awssdk.ToString(b.CapacityReservationId))
	})
	return awssdk.ToString(first.CapacityReservationId), nil
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// blockEnds is how long before the end of a capacity block AWS begins to end its machines.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/capacity-blocks-how.html
const blockEnds = 30 * time.Minute

// onTop is what running a machine of a reservation costs beside what was paid ahead:
// nothing, or as little as an offer's price can be.
const onTop purser.USDPerHour = 1

// reserved lists the region's reservations as offers.
func (p *Provider) reserved(ctx context.Context, region string) (out []providers.Reservation, err error) {
	var names []string
	err = p.reservations(ctx, opQuotas, region, func(r types.CapacityReservation) {
		o := purser.Offer{
			Provider: Name, Region: region, Zone: awssdk.ToString(r.AvailabilityZoneId), InstanceType: awssdk.ToString(r.InstanceType), Option: optionOf(r),
			UnitPrice: onTop, ObservedAt: p.c.Now(), ValidFrom: awssdk.ToTime(r.StartDate), Source: "aws:DescribeCapacityReservations",
		}
		v := providers.Reservation{
			ID: awssdk.ToString(r.CapacityReservationId), Total: int(awssdk.ToInt32(r.TotalInstanceCount)), Free: int(awssdk.ToInt32(r.AvailableInstanceCount)),
			From: awssdk.ToTime(r.StartDate), Until: awssdk.ToTime(r.EndDate),
		}
		if r.State == types.CapacityReservationStateScheduled {
			v.Free = v.Total // nothing runs in it yet
		}
		if o.Option == purser.CapacityBlock && !v.Until.IsZero() {
			v.Until = v.Until.Add(-blockEnds)
		}
		o.Limit = v.Free
		v.Offer = o
		out, names = append(out, v), append(names, o.InstanceType)
	})
	if err != nil || len(out) == 0 {
		return nil, err
	}
	slices.Sort(names)
	shapes, err := p.shapes(ctx, region, slices.Compact(names))
	if err != nil {
		return nil, err
	}
	for i := range out {
		out[i].Offer.Shape = shapes[out[i].Offer.InstanceType]
	}
	slices.SortFunc(out, func(a, b providers.Reservation) int { return cmp.Compare(a.ID, b.ID) })
	return out, nil
}
