package aws

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"purser"
	"purser/pricing"
	"purser/pricing/feed"
)

const opSpot = "aws.Spot"

// spot reads spot prices and what AWS says about interruption and capacity.
type spot struct {
	api    api
	files  *feed.Client
	scores *scores
}

// NewSpot gives a collector of spot prices by zone, their history and signals, which
// asks with the credentials of opt.Config. It fails when the options are wrong.
func NewSpot(opt Options) (pricing.Collector, error) {
	opt, err := opt.complete("aws.NewSpot")
	if err != nil {
		return nil, err
	}
	return &spot{api: newAPI(opt), files: opt.files(), scores: newScores()}, nil
}

// Source is SourceSpot.
func (*spot) Source() string { return SourceSpot }

// Collect emits a batch for each region. Signals are asked first, so that a failure
// of prices is the last thing that can happen.
func (c *spot) Collect(ctx context.Context, emit func(pricing.Batch) error) error {
	if err := c.api.signedIn(ctx, opSpot); err != nil {
		return err
	}
	v := view{now: c.api.opt.Now().UTC(), machines: map[string]machines{}}
	regions, err := c.api.regions(ctx, opSpot)
	if err != nil {
		return err
	}
	failed := failures{op: opSpot, total: len(regions)}
	if v.bands, err = c.bands(ctx); err != nil {
		failed.beside = append(failed.beside, err)
	}
	fetch := func(ctx context.Context, region string) (machines, error) { return c.api.machines(ctx, opSpot, region) }
	err = inOrder(ctx, opSpot, regions, fetch, func(region string, m machines, err error) error {
		if err != nil {
			return failed.add(region, err)
		}
		failed.good++
		v.machines[region] = m
		return nil
	})
	if err != nil {
		return err
	}
	if v.scores, err = c.placement(ctx, v); err != nil {
		failed.beside = append(failed.beside, err)
	}
	failed.step()
	prices := func(ctx context.Context, region string) (pricing.Batch, error) { return c.region(ctx, region, v) }
	if err := emitAll(ctx, &failed, slices.Sorted(maps.Keys(v.machines)), prices, emit); err != nil {
		return err
	}
	return failed.err()
}

// view is what one collection knows before it asks for prices.
type view struct {
	now      time.Time
	machines map[string]machines // by region
	bands    bands
	scores   map[scored]score
}

// pool is what has a spot price of its own.
type pool struct{ zone, instanceType string }

func (p pool) compare(q pool) int {
	return cmp.Or(cmp.Compare(p.zone, q.zone), cmp.Compare(p.instanceType, q.instanceType))
}

// quote is a spot price as AWS writes it.
type quote struct {
	at    time.Time
	usd   string
	plain bool // of Linux/UNIX, and not of Linux/UNIX (Amazon VPC)
}

// before says whether q gives way to a quote of the same pool.
func (q quote) before(r quote) bool {
	if q.plain != r.plain {
		return r.plain
	}
	return q.at.Before(r.at)
}

func (c *spot) region(ctx context.Context, region string, v view) (pricing.Batch, error) {
	b := pricing.Batch{Source: SourceSpot, Region: region, ObservedAt: v.now}
	quotes := map[pool]quote{}
	err := c.history(ctx, region, v.now, time.Time{}, func(p pool, q quote) {
		if old, ok := quotes[p]; !ok || old.before(q) {
			quotes[p] = q
		}
	})
	if err != nil {
		return b, err
	}
	offered := v.machines[region]
	ids := map[pool]current{}
	for _, p := range slices.SortedFunc(maps.Keys(quotes), pool.compare) {
		m := offered.types[p.instanceType]
		if !m.spot || (p.zone != "" && !slices.Contains(offered.zones[p.instanceType], p.zone)) {
			continue
		}
		r := spotRow(m, region, p, quotes[p], v.now)
		b.Rows = append(b.Rows, r)
		ids[p] = current{r.Offer.ID(), r.Offer.ValidFrom}
	}
	if b.Past, err = c.past(ctx, region, v.now, ids); err != nil {
		return b, err
	}
	b.Signals = v.signals(region, b.Rows)
	return b, nil
}

func spotRow(m machine, region string, p pool, q quote, now time.Time) pricing.Row {
	r := m.row(purser.Offer{
		Region: region, Zone: p.zone, InstanceType: p.instanceType, Option: purser.Spot, Source: SourceSpot,
		ObservedAt: now, ValidFrom: earlier(q.at, now),
	}, "ec2:DescribeSpotPriceHistory "+region+" "+p.zone)
	if p.zone == "" {
		r.Reason, r.Detail = pricing.QuarantineIncomplete, "the price does not say the id of its zone"
		return r
	}
	return priced(r, q.usd)
}

// history asks for the spot prices of a region with Linux: with a since those from
// then on to now, without one those in force now, which is what AWS gives when the
// time asked for is the present.
func (c *spot) history(ctx context.Context, region string, now, since time.Time, each func(pool, quote)) error {
	in := &ec2.DescribeSpotPriceHistoryInput{
		ProductDescriptions: []string{string(types.RIProductDescriptionLinuxUnix), string(types.RIProductDescriptionLinuxUnixAmazonVpc)},
		StartTime:           &now, MaxResults: awssdk.Int32(1000),
	}
	if !since.IsZero() {
		in.StartTime, in.EndTime = &since, &now
	}
	pages := ec2.NewDescribeSpotPriceHistoryPaginator(c.api.ec2(region), in)
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return call{opSpot, "ec2:DescribeSpotPriceHistory", region}.failed(ctx, err)
		}
		for _, s := range page.SpotPriceHistory {
			// Names such as us-east-1a mean another zone in each account; the id does not.
			p := pool{strings.Clone(awssdk.ToString(s.AvailabilityZoneId)), string(s.InstanceType)}
			each(p, quote{awssdk.ToTime(s.Timestamp), awssdk.ToString(s.SpotPrice), s.ProductDescription == types.RIProductDescriptionLinuxUnix})
		}
	}
	return nil
}
