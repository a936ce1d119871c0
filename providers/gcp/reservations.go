package gcp

import (
	"context"

	"cloud.google.com/go/compute/apiv1/computepb"

	"purser"
)

// reservationFor gives the reservation that a machine of the offer is to use, nil for
// offers that use none, and no_capacity where all are in use.
func (p *Provider) reservationFor(ctx context.Context, a ask, zone string, o purser.Offer) (*computepb.Reservation, error) {
	if o.Option != purser.Reserved && o.Option != purser.CapacityBlock {
		return nil, nil //nolint:nilnil // it needs none
	}
	client, err := p.reservations(ctx)
	if err != nil {
		return nil, a.explain(ctx, err)
	}
	defer client.Close() // closes nothing that could lose anything
	var free *computepb.Reservation
	err = each(client.List(ctx, &computepb.ListReservationsRequest{Project: p.config.Project, Zone: zone, MaxResults: new(uint32(pageSize))}), func(r *computepb.Reservation) error {
		if free == nil && reservedType(r) == o.InstanceType && reservedOption(r) == o.Option && freeOf(r) > 0 {
			free = r
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, a.explain(ctx, err)
	case free == nil:
		return nil, a.refused(said{codes: []string{"RESERVATION_CAPACITY_EXCEEDED"}, message: "no reservation of this type has a machine left in " + zone})
	}
	return free, nil
}

func reservedType(r *computepb.Reservation) string {
	m := r.GetSpecificReservation().GetInstanceProperties()
	card, cards := "", int64(0)
	for _, g := range m.GetGuestAccelerators() {
		card, cards = last(g.GetAcceleratorType()), int64(g.GetAcceleratorCount())
	}
	return typeOf(last(m.GetMachineType()), card, cards)
}

// reservedOption tells capacity bought for a time from capacity bought until further
// notice.
func reservedOption(r *computepb.Reservation) purser.PurchaseOption {
	if r.GetDeleteAtTime() != "" && r.GetSpecificReservationRequired() {
		return purser.CapacityBlock
	}
	return purser.Reserved
}

func freeOf(r *computepb.Reservation) int64 {
	if r.GetStatus() != "READY" {
		return 0
	}
	return max(r.GetSpecificReservation().GetCount()-r.GetSpecificReservation().GetInUseCount(), 0)
}
