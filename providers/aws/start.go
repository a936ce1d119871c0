package aws

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"purser"
	"purser/providers"
)

// errUnknownAction says that the endpoint has no CreateFleet.
var errUnknownAction = errors.New("the endpoint does not know CreateFleet")

// firstVersion is the only version that a lease's template has.
const firstVersion = "1"

// runInstances asks for a machine in the first place.
func (p *Provider) runInstances(ctx context.Context, r providers.Request, a ask, t template) (providers.Instance, error) {
	at, token := a.places[0], clientToken(r, a)
	in := &ec2.RunInstancesInput{
		MinCount: awssdk.Int32(1), MaxCount: awssdk.Int32(1), InstanceType: types.InstanceType(at.instanceType), ClientToken: &token,
		// The whole interface is named again, since a subnet has to stand in it.
		NetworkInterfaces: []types.InstanceNetworkInterfaceSpecification{{
			DeviceIndex: awssdk.Int32(0), AssociatePublicIpAddress: &a.publicIP, DeleteOnTermination: awssdk.Bool(true), Groups: a.groups, SubnetId: optional(at.subnet),
		}},
	}
	if at.subnet == "" && at.zone != "" {
		in.Placement = &types.Placement{}
		in.Placement.AvailabilityZone, in.Placement.AvailabilityZoneId = zoneOf(a.region, at.zone)
	}
	switch a.option {
	case purser.Spot:
		in.InstanceMarketOptions = &types.InstanceMarketOptionsRequest{MarketType: types.MarketTypeSpot, SpotOptions: &types.SpotMarketOptions{
			MaxPrice: optional(at.maxPrice), SpotInstanceType: types.SpotInstanceTypeOneTime, InstanceInterruptionBehavior: types.InstanceInterruptionBehaviorTerminate,
		}}
	case purser.CapacityBlock:
		in.InstanceMarketOptions = &types.InstanceMarketOptionsRequest{MarketType: types.MarketTypeCapacityBlock}
	default: // the market is the usual one
	}
	if t.name != "" {
		in.LaunchTemplate = &types.LaunchTemplateSpecification{LaunchTemplateName: &t.name, Version: awssdk.String(firstVersion)}
	} else {
		t.settings.inline(in)
	}
	out, err := p.ec2(a.region).RunInstances(ctx, in)
	if err != nil {
		return providers.Instance{}, failedLaunch(ctx, r, "ec2:RunInstances", err)
	}
	if len(out.Instances) == 0 {
		return providers.Instance{}, purser.Errorf(purser.KindUnavailable, opLaunch, "%s: AWS took the request on and names no machine", r.Lease.Offer.ID())
	}
	m := machineOf(a.region, out.Instances[0])
	m.Lease, m.Installation = r.Lease.ID, r.Installation
	m.Zone, m.InstanceType = cmp.Or(m.Zone, at.zone), cmp.Or(m.InstanceType, at.instanceType)
	return m.Instance, nil
}

// createFleet asks for a machine in any of the places. The fleet is of the kind that is
// gone with its answer: nothing of it stays.
func (p *Provider) createFleet(ctx context.Context, r providers.Request, a ask, t template) (providers.Instance, error) {
	token := clientToken(r, a)
	in := &ec2.CreateFleetInput{
		Type: types.FleetTypeInstant, ClientToken: &token,
		TargetCapacitySpecification: &types.TargetCapacitySpecificationRequest{TotalTargetCapacity: awssdk.Int32(1), DefaultTargetCapacityType: types.DefaultTargetCapacityTypeOnDemand},
		LaunchTemplateConfigs: []types.FleetLaunchTemplateConfigRequest{{
			LaunchTemplateSpecification: &types.FleetLaunchTemplateSpecificationRequest{LaunchTemplateName: &t.name, Version: awssdk.String(firstVersion)},
		}},
		TagSpecifications: tagged([]types.Tag{tagOf(tagLease, string(r.Lease.ID)), tagOf(tagInstallation, r.Installation)}, types.ResourceTypeFleet),
	}
	if a.option == purser.Spot {
		in.TargetCapacitySpecification.DefaultTargetCapacityType = types.DefaultTargetCapacityTypeSpot
		in.SpotOptions = &types.SpotOptionsRequest{
			AllocationStrategy: types.SpotAllocationStrategyPriceCapacityOptimized, InstanceInterruptionBehavior: types.SpotInstanceInterruptionBehaviorTerminate,
		}
	} else {
		in.OnDemandOptions = &types.OnDemandOptionsRequest{AllocationStrategy: types.FleetOnDemandAllocationStrategyLowestPrice}
	}
	for _, at := range a.places {
		o := types.FleetLaunchTemplateOverridesRequest{InstanceType: types.InstanceType(at.instanceType), MaxPrice: optional(at.maxPrice), SubnetId: optional(at.subnet)}
		if at.subnet == "" && at.zone != "" {
			o.AvailabilityZone, o.AvailabilityZoneId = zoneOf(a.region, at.zone)
		}
		in.LaunchTemplateConfigs[0].Overrides = append(in.LaunchTemplateConfigs[0].Overrides, o)
	}
	out, err := p.ec2(a.region).CreateFleet(ctx, in)
	switch {
	case unknownAction(err):
		return providers.Instance{}, errUnknownAction
	case err != nil:
		return providers.Instance{}, failedLaunch(ctx, r, "ec2:CreateFleet", err)
	}
	for _, i := range out.Instances {
		for _, id := range i.InstanceIds {
			return providers.Instance{
				ID: id, Lease: r.Lease.ID, Installation: r.Installation, State: providers.Pending,
				Region: a.region, Zone: awssdk.ToString(i.AvailabilityZoneId), InstanceType: string(i.InstanceType),
			}, nil
		}
	}
	if len(out.Errors) == 0 {
		return providers.Instance{}, purser.Errorf(purser.KindUnavailable, opLaunch, "%s: the fleet has neither a machine nor a reason", r.Lease.Offer.ID())
	}
	refusal := refusedBy(r, a.places[0], out.Errors)
	if refusal.Kind == purser.KindThrottled || refusal.Kind == purser.KindUnavailable {
		// The token gets the same answer again: asking once more cannot help this lease.
		return gone(r, refusal.Message), nil
	}
	return providers.Instance{}, refusal
}

// refusedBy makes one error of what each place of a fleet answered: that of the offer's
// own place where there is one.
func refusedBy(r providers.Request, own place, faults []types.CreateFleetError) *purser.Error {
	first := faults[max(0, slices.IndexFunc(faults, func(e types.CreateFleetError) bool { return isOwn(e, own) }))]
	fault := apiFault{awssdk.ToString(first.ErrorCode), clip(awssdk.ToString(first.ErrorMessage)), badRequest}
	e := fault.error(opLaunch, launched(r, "ec2:CreateFleet"))
	var codes []string
	for _, f := range faults {
		codes = append(codes, awssdk.ToString(f.ErrorCode))
	}
	slices.Sort(codes)
	e.Message += fmt.Sprintf(" (%d places: %s)", len(faults), strings.Join(slices.Compact(codes), ", "))
	return e
}

// badRequest is the status that a place's answer would have had, had it been asked alone.
const badRequest = 400

// isOwn says whether an answer is that of the place.
func isOwn(e types.CreateFleetError, at place) bool {
	if e.LaunchTemplateAndOverrides == nil || e.LaunchTemplateAndOverrides.Overrides == nil {
		return false
	}
	o := e.LaunchTemplateAndOverrides.Overrides
	return string(o.InstanceType) == at.instanceType && awssdk.ToString(o.SubnetId) == at.subnet &&
		(at.subnet != "" || at.zone == awssdk.ToString(o.AvailabilityZoneId) || at.zone == awssdk.ToString(o.AvailabilityZone))
}

// zoneOf gives the zone as a name (us-east-1a) or as an id (use1-az1): a request has
// one of them alone.
func zoneOf(region, zone string) (name, id *string) {
	if strings.HasPrefix(zone, region) {
		return &zone, nil
	}
	return nil, &zone
}

// maxPrice is the most that a machine may cost in USD per hour, rounded up to $0.0001,
// which is as fine as AWS takes it.
func maxPrice(p purser.USDPerHour, factor float64) string {
	return strconv.FormatFloat(math.Ceil(p.USD()*factor*1e4-1e-6)/1e4, 'f', 4, 64)
}

// launched names a call and the offer that it was for.
func launched(r providers.Request, action string) string {
	return fmt.Sprintf("%s (%s)", r.Lease.Offer.ID(), action)
}

func failedLaunch(ctx context.Context, r providers.Request, action string, err error) error {
	return failed(ctx, opLaunch, launched(r, action), err)
}
