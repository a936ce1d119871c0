package aws

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"purser"
	"purser/pricing"
	"purser/pricing/feed"
)

const opBulk = "aws.Bulk"

// bulk reads on-demand prices from the public files.
type bulk struct {
	opt   Options
	files *feed.Client
}

// NewBulk gives a collector of on-demand prices by region, which needs no
// credentials. It fails when the options are wrong.
func NewBulk(opt Options) (pricing.Collector, error) {
	opt, err := opt.complete("aws.NewBulk")
	if err != nil {
		return nil, err
	}
	return &bulk{opt, opt.files()}, nil
}

// Source is SourceBulk.
func (*bulk) Source() string { return SourceBulk }

// Collect emits a batch for each region.
func (c *bulk) Collect(ctx context.Context, emit func(pricing.Batch) error) error {
	now := c.opt.Now().UTC()
	files, err := c.index(ctx)
	if err != nil {
		return err
	}
	regions := c.opt.Regions
	if len(regions) == 0 {
		regions = slices.Sorted(maps.Keys(files))
	}
	fetch := func(ctx context.Context, region string) (pricing.Batch, error) {
		return c.region(ctx, region, files[region], now)
	}
	return batches(ctx, opBulk, regions, fetch, emit)
}

// index gives the address of each region's file. Local and Wavelength zones, which
// the index lists like regions, are left out.
func (c *bulk) index(ctx context.Context) (map[string]string, error) {
	var offers struct {
		Offers map[string]struct {
			Regions string `json:"currentRegionIndexUrl"`
		} `json:"offers"`
	}
	if err := c.files.JSON(ctx, opBulk, feed.Get(c.opt.PriceFiles+"/offers/v1.0/aws/index.json"), &offers); err != nil {
		return nil, err
	}
	at, err := c.address(offers.Offers["AmazonEC2"].Regions)
	if err != nil {
		return nil, err
	}
	var index struct {
		Regions map[string]struct {
			File string `json:"currentVersionUrl"`
		} `json:"regions"`
	}
	if err := c.files.JSON(ctx, opBulk, feed.Get(at), &index); err != nil {
		return nil, err
	}
	out := map[string]string{}
	for region, r := range index.Regions {
		if !regionForm.MatchString(region) {
			continue
		}
		at, err := c.address(r.File)
		if err != nil {
			return nil, err
		}
		out[region] = strings.TrimSuffix(at, ".json") + ".csv"
	}
	if len(out) == 0 {
		return nil, purser.Errorf(purser.KindInvalid, opBulk, "the index of price files names no region")
	}
	return out, nil
}

// address completes a path of an index, which must stay on the same host.
func (c *bulk) address(path string) (string, error) {
	if !strings.HasPrefix(path, "/offers/") || !strings.HasSuffix(path, ".json") {
		return "", purser.Errorf(purser.KindInvalid, opBulk, "an index of price files says %q where the path of a JSON file is expected", clip(path))
	}
	return c.opt.PriceFiles + path, nil
}

// region reads the file of a region, from the beginning again when it breaks off.
func (c *bulk) region(ctx context.Context, region, file string, now time.Time) (pricing.Batch, error) {
	b := pricing.Batch{Source: SourceBulk, Region: region, ObservedAt: now}
	if file == "" {
		return b, purser.Errorf(purser.KindNotFound, opBulk, "the index of price files does not have the region")
	}
	for try := 1; ; try++ {
		rows, broke, err := c.read(ctx, region, file, now)
		switch {
		case ctx.Err() != nil:
			return b, ended(ctx, opBulk)
		case err == nil:
			b.Rows = rows
			return b, nil
		case !broke || try >= c.opt.Tries:
			return b, err
		}
		timer := time.NewTimer(c.opt.Pause << min(try-1, 4))
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}

// read also says whether the file broke off after it was opened; until then the
// client has tried again already.
func (c *bulk) read(ctx context.Context, region, file string, now time.Time) (rows []pricing.Row, broke bool, err error) {
	body, err := c.files.Open(ctx, opBulk, feed.Get(file))
	if err != nil {
		return nil, false, err
	}
	defer body.Close() // only read from
	rows, err = readOffers(body, region, file, now)
	return rows, purser.KindOf(err) == purser.KindUnavailable, err
}
