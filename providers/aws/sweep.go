package aws

import (
	"context"
	"sync/atomic"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"purser"
)

// remembered is how long the template of a lease stays after its machine, as the sign
// that the lease has had its machine.
const remembered = 24 * time.Hour

// mostTagged is how many things one call may tag.
const mostTagged = 500

// Sweep removes the templates of leases whose machine is gone, a day after it first saw
// them without one. A launch makes nothing else that could be left: volumes and network
// interfaces go with their machine, spot requests are for one machine, and instant fleets
// keep nothing.
func (p *Provider) Sweep(ctx context.Context, grace time.Duration) (int, error) {
	var removed atomic.Int64
	err := p.everywhere(ctx, p.c.Regions, func(ctx context.Context, _ int, region string) error {
		n, err := p.sweep(ctx, region, grace)
		removed.Add(int64(n))
		return err
	})
	return int(removed.Load()), err
}

func (p *Provider) sweep(ctx context.Context, region string, grace time.Duration) (removed int, err error) {
	old, err := p.templates(ctx, region, p.c.Now().Add(-grace))
	if err != nil || len(old) == 0 {
		return 0, err
	}
	// Machines are read after templates: a template that is old by then has shown its
	// machine, if it has one.
	used := map[purser.LeaseID]bool{}
	if err := p.machines(ctx, opSweep, region, ours(p.c.Installation, alive), func(m machine) { used[m.Lease] = true }); err != nil {
		return 0, err
	}
	var begin, undo []string
	for _, t := range old {
		switch {
		case used[t.lease] && !t.ended.IsZero(): // its machine came late
			undo = append(undo, t.id)
		case used[t.lease]:
		case t.ended.IsZero():
			begin = append(begin, t.id)
		case p.c.Now().Sub(t.ended) >= remembered:
			_, err := p.ec2(region).DeleteLaunchTemplate(ctx, &ec2.DeleteLaunchTemplateInput{LaunchTemplateId: &t.id})
			if err != nil && code(err) != "InvalidLaunchTemplateId.NotFound" {
				return removed, failed(ctx, opSweep, "ec2:DeleteLaunchTemplate in "+region, err)
			}
			removed++
		}
	}
	if err := p.mark(ctx, region, begin, p.c.Now().UTC().Format(time.RFC3339)); err != nil {
		return removed, err
	}
	return removed, p.mark(ctx, region, undo, "")
}

// mark writes since when templates have had no machine; empty takes it back.
func (p *Provider) mark(ctx context.Context, region string, ids []string, since string) error {
	for len(ids) > 0 {
		some := ids[:min(len(ids), mostTagged)]
		ids = ids[len(some):]
		_, err := p.ec2(region).CreateTags(ctx, &ec2.CreateTagsInput{Resources: some, Tags: []types.Tag{tagOf(tagEnded, since)}})
		if err != nil {
			return failed(ctx, opSweep, "ec2:CreateTags in "+region, err)
		}
	}
	return nil
}

// templates are the installation's templates that were made before a time.
func (p *Provider) templates(ctx context.Context, region string, before time.Time) (old []template, err error) {
	pages := ec2.NewDescribeLaunchTemplatesPaginator(p.ec2(region), &ec2.DescribeLaunchTemplatesInput{Filters: ours(p.c.Installation), MaxResults: awssdk.Int32(200)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if unknownAction(err) {
			return nil, nil // an endpoint without templates has no leavings
		}
		if err != nil {
			return nil, failed(ctx, opSweep, "ec2:DescribeLaunchTemplates in "+region, err)
		}
		for _, t := range page.LaunchTemplates {
			if t := templateOf(t); t.made.Before(before) && t.lease != "" {
				old = append(old, t)
			}
		}
	}
	return old, nil
}
