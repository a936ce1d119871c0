package azure

import (
	"context"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/network/armnetwork/v9"

	"purser"
)

// record is what is remembered of a lease: it has had its machine, or shall have none.
type record struct {
	machine string    // vmId; empty when it is not known
	ended   bool      // written by Terminate, or by Sweep when the machine had gone
	written time.Time // when it was last written
}

// recall reads the lease's record; nil when there is none.
func (p *Provider) recall(ctx context.Context, op, name string) (*record, error) {
	got, err := p.records.Get(ctx, p.cfg.ResourceGroup, name, nil)
	if missing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fault(ctx, op, err, nil)
	}
	r := recordOf(&got.ApplicationSecurityGroup)
	return &r, nil
}

func recordOf(g *armnetwork.ApplicationSecurityGroup) record {
	return record{machine: tag(g.Tags, tagMachine), ended: tag(g.Tags, tagEnded) != "", written: written(g.Tags)}
}

// remember writes the lease's record. One that lies in another region cannot be written
// anew and need not be. Where no more records fit the lease is not remembered: that is no
// reason to start no machine, or to end none.
func (p *Provider) remember(ctx context.Context, op string, l purser.Lease, r record) error {
	region := l.Offer.Region
	if _, ok := p.cfg.Places[region]; !ok {
		region = p.regions()[0]
	}
	tags := p.tags(l.ID, tagMachine, r.machine)
	if r.ended {
		tags[tagEnded] = ptr("true")
	}
	err := p.write(ctx, op, p.machineName(l.ID), region, tags)
	if purser.KindOf(err) == purser.KindQuota {
		return nil
	}
	return err
}

// write makes a record, or replaces it.
func (p *Provider) write(ctx context.Context, op, name, region string, tags map[string]*string) error {
	group := armnetwork.ApplicationSecurityGroup{Location: ptr(region), Tags: tags, Properties: &armnetwork.ApplicationSecurityGroupPropertiesFormat{}}
	_, err := p.records.BeginCreateOrUpdate(ctx, p.cfg.ResourceGroup, name, group, nil)
	if err == nil || codeOf(err) == "InvalidResourceLocation" {
		return nil
	}
	return fault(ctx, op, err, nil)
}
