package aws

import (
	"cmp"
	"context"
	"slices"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"purser"
	"purser/providers"
)

// The tags of all that is made for a lease. Templates have two more: what was asked for
// with them, and when Sweep first saw them without a machine.
const (
	tagLease        = "purser-lease"
	tagInstallation = "purser-installation"
	tagAsked        = "purser-asked"
	tagEnded        = "purser-ended"
)

// machine is an instance with the state that EC2 gives it.
type machine struct {
	providers.Instance
	state types.InstanceStateName
}

// alive are the states of what is not gone.
var alive = filter("instance-state-name", "pending", "running", "shutting-down", "stopping", "stopped")

// pageSize bounds the machines that are decoded at once in a region.
const pageSize = 500

func filter(name string, values ...string) types.Filter {
	return types.Filter{Name: &name, Values: values}
}

// ours are the filters of what carries the installation's tag.
func ours(installation string, more ...types.Filter) []types.Filter {
	return append(more, filter("tag:"+tagInstallation, installation))
}

// machines hands over the region's machines that pass the filters, page by page.
func (p *Provider) machines(ctx context.Context, op, region string, filters []types.Filter, each func(machine)) error {
	return p.instances(ctx, op, region, filters, func(i types.Instance) { each(machineOf(region, i)) })
}

func (p *Provider) instances(ctx context.Context, op, region string, filters []types.Filter, each func(types.Instance)) error {
	pages := ec2.NewDescribeInstancesPaginator(p.ec2(region), &ec2.DescribeInstancesInput{Filters: filters, MaxResults: awssdk.Int32(pageSize)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return failed(ctx, op, "ec2:DescribeInstances in "+region, err)
		}
		for _, r := range page.Reservations {
			for _, i := range r.Instances {
				each(i)
			}
		}
	}
	return nil
}

// byLease gives the lease's machines, those that are gone among them for about an hour.
func (p *Provider) byLease(ctx context.Context, op, region string, id purser.LeaseID) (found []machine, err error) {
	err = p.machines(ctx, op, region, ours(p.c.Installation, filter("tag:"+tagLease, string(id))), func(m machine) { found = append(found, m) })
	return found, err
}

// byID gives the machine that the lease names, if it is the lease's.
func (p *Provider) byID(ctx context.Context, op, region string, l purser.Lease) ([]machine, error) {
	out, err := p.ec2(region).DescribeInstances(ctx, &ec2.DescribeInstancesInput{InstanceIds: []string{l.Instance}})
	switch {
	case code(err) == "InvalidInstanceID.NotFound" || code(err) == "InvalidInstanceID.Malformed":
		return nil, nil // too new, long gone, or of another region
	case err != nil:
		return nil, failed(ctx, op, "ec2:DescribeInstances in "+region, err)
	}
	for _, r := range out.Reservations {
		for _, i := range r.Instances {
			if m := machineOf(region, i); m.Lease == l.ID && m.Installation == p.c.Installation {
				return []machine{m}, nil
			}
		}
	}
	return nil, nil
}

// end asks for the end of a machine that does not end already. One that is stopped
// still has its volume.
func (p *Provider) end(ctx context.Context, op string, m machine) error {
	if m.state == types.InstanceStateNameTerminated || m.state == types.InstanceStateNameShuttingDown {
		return nil
	}
	_, err := p.ec2(m.Region).TerminateInstances(ctx, &ec2.TerminateInstancesInput{InstanceIds: []string{m.ID}})
	if err != nil && code(err) != "InvalidInstanceID.NotFound" {
		return failed(ctx, op, "ec2:TerminateInstances of "+m.ID+" in "+m.Region, err)
	}
	return nil
}

// foremost is the machine that tells most of a lease: one that lives before one that
// ends before one that is gone, and then the eldest.
func foremost(found []machine) (machine, bool) {
	if len(found) == 0 {
		return machine{}, false
	}
	rank := func(m machine) int {
		return slices.Index([]providers.InstanceState{providers.Running, providers.Pending, providers.Stopping, providers.Gone}, m.State)
	}
	return slices.MinFunc(found, func(a, b machine) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), a.StartedAt.Compare(b.StartedAt), cmp.Compare(a.ID, b.ID))
	}), true
}

func machineOf(region string, i types.Instance) machine {
	m := machine{Instance: providers.Instance{
		ID: awssdk.ToString(i.InstanceId), Region: region, InstanceType: string(i.InstanceType), StartedAt: awssdk.ToTime(i.LaunchTime),
		Lease: purser.LeaseID(tag(i.Tags, tagLease)), Installation: tag(i.Tags, tagInstallation),
	}}
	if i.Placement != nil {
		m.Zone = cmp.Or(awssdk.ToString(i.Placement.AvailabilityZoneId), awssdk.ToString(i.Placement.AvailabilityZone))
	}
	if i.State != nil {
		m.state = i.State.Name
	}
	m.State = stateOf(m.state)
	if m.State == providers.Stopping || m.State == providers.Gone {
		m.Reason = reasonOf(i)
	}
	return m
}

func tag(tags []types.Tag, key string) string {
	for _, t := range tags {
		if awssdk.ToString(t.Key) == key {
			return awssdk.ToString(t.Value)
		}
	}
	return ""
}

// stateOf maps EC2's states. A stopped machine does not end by itself, and its volume is
// paid for: it counts as running, so that it is ended like one that nobody hears of.
func stateOf(s types.InstanceStateName) providers.InstanceState {
	switch s {
	case types.InstanceStateNameRunning, types.InstanceStateNameStopped:
		return providers.Running
	case types.InstanceStateNameShuttingDown, types.InstanceStateNameStopping:
		return providers.Stopping
	case types.InstanceStateNameTerminated:
		return providers.Gone
	default:
		return providers.Pending
	}
}

// reasons are the codes of StateReason in our words; others keep AWS's.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_StateReason.html
var reasons = map[string]string{
	"Server.SpotInstanceTermination":      "AWS took the spot machine back",
	"Server.SpotInstanceShutdown":         "AWS took the spot machine back",
	"Server.InsufficientInstanceCapacity": "AWS had no room for it after all",
	"Server.InternalError":                "AWS failed to start it",
	"Server.ScheduledStop":                "AWS retired its hardware",
	"Client.InstanceInitiatedShutdown":    "it powered itself off",
	"Client.UserInitiatedShutdown":        "it was terminated",
	"Client.InternalError":                "it could not start, most often for a key of encryption that it may not use",
	"Client.VolumeLimitExceeded":          "the account's limit of volumes was reached",
}

func reasonOf(i types.Instance) string {
	if i.StateReason == nil {
		return clip(awssdk.ToString(i.StateTransitionReason))
	}
	if words, ok := reasons[awssdk.ToString(i.StateReason.Code)]; ok {
		return words
	}
	return clip(awssdk.ToString(i.StateReason.Message))
}
