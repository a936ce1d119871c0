package aws

import (
	"context"
	"math"
	"slices"
	"strings"

	"purser"
	"purser/pricing"
	"purser/pricing/feed"
)

// band is a range of shares of machines that are interrupted within a month.
type band struct {
	label     string // as AWS writes it
	low, high float64
}

// advisorBands are the bands of the Spot Advisor by number. AWS gives the last one
// no upper end; 95 % a month, ten days of life on average, is our guess of it.
var advisorBands = []band{{"<5%", 0, 0.05}, {"5-10%", 0.05, 0.10}, {"10-15%", 0.10, 0.15}, {"15-20%", 0.15, 0.20}, {">20%", 0.20, 0.95}}

// hazard is the preemptions per hour of running that make a share p of machines be
// interrupted within a month: -ln(1-p)/730, in [0, 0.0041].
func hazard(p float64) float64 { return -math.Log1p(-p) / purser.HoursPerMonth }

// bands are the bands by region and instance type.
type bands map[string]map[string]band

// advisorFile is the Spot Advisor's file, as far as it is read.
type advisorFile struct {
	Ranges []struct {
		Index int    `json:"index"`
		Label string `json:"label"`
	} `json:"ranges"`
	Regions map[string]struct {
		Linux map[string]struct {
			Band *int `json:"r"`
		}
	} `json:"spot_advisor"`
}

// bands reads the Spot Advisor.
func (c *spot) bands(ctx context.Context) (bands, error) {
	var f advisorFile
	if err := c.files.JSON(ctx, opSpot, feed.Get(c.api.opt.AdvisorURL), &f); err != nil {
		return nil, purser.Errorf(purser.KindOf(err), opSpot, "the Spot Advisor's interruption rates are missing: %w", err)
	}
	return f.bands()
}

// bands leaves out the machines whose band is not known. It fails when the bands
// are not those that we know.
func (f advisorFile) bands() (bands, error) {
	if len(f.Regions) == 0 {
		return nil, purser.Errorf(purser.KindInvalid, opSpot, "the Spot Advisor's file names no region")
	}
	for _, r := range f.Ranges {
		if r.Index < 0 || r.Index >= len(advisorBands) || strings.ReplaceAll(r.Label, " ", "") != advisorBands[r.Index].label {
			return nil, purser.Errorf(purser.KindInvalid, opSpot, "the Spot Advisor has other bands than those we know: number %d is %q", r.Index, clip(r.Label))
		}
	}
	out := bands{}
	for region, r := range f.Regions {
		out[region] = map[string]band{}
		for t, m := range r.Linux {
			if m.Band != nil && *m.Band >= 0 && *m.Band < len(advisorBands) {
				out[region][t] = advisorBands[*m.Band]
			}
		}
	}
	return out, nil
}

// signals are what is known of the machines that have rows, sorted by type.
func (v view) signals(region string, rows []pricing.Row) []purser.Signal {
	var sold []string
	for _, r := range rows {
		sold = append(sold, r.Offer.InstanceType)
	}
	slices.Sort(sold)
	var out []purser.Signal
	for _, t := range slices.Compact(sold) {
		s := purser.Signal{Provider: provider, Region: region, InstanceType: t, Option: purser.Spot, Source: SourceSpot, ObservedAt: v.now}
		if b, ok := v.bands[region][t]; ok {
			s.Kind, s.Low, s.High, s.Detail = purser.SignalInterruption, hazard(b.low), hazard(b.high), b.label+" a month"
			out = append(out, s)
		}
		if x, ok := v.scores[scored{region, v.machines[region].types[t].shape.Accelerator}]; ok {
			s.Kind, s.Low, s.High, s.Detail = purser.SignalAvailability, x.share(), x.share(), x.detail()
			out = append(out, s)
		}
	}
	return out
}
