package aws

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"

	"purser"
)

const (
	// scoredRegions is how many regions are asked about at once: AWS answers with the
	// ten best, so that of more the worst would be missing.
	scoredRegions = 10
	// scoredTypes is the least number of types: AWS scores fewer low in any case.
	scoredTypes = 3
)

// scored is what has a score: a region's machines with a device.
type scored struct{ region, accelerator string }

// score is a placement score from 1 to 10.
type score struct {
	of    int
	types int // that any of would do
	at    time.Time
}

func (s score) share() float64 { return float64(s.of) / 10 }

func (s score) detail() string {
	return fmt.Sprintf("placement score %d of 10 for one of %d machine types with this device, asked at %s", s.of, s.types, s.at.Format(time.RFC3339))
}

// question is one configuration that is asked for scores. AWS limits how many
// different ones an account may ask a day, so that there are few of them and they
// stay the same from day to day.
type question struct {
	accelerator    string
	types, regions []string
}

func (q question) key() string {
	return strings.Join([]string{q.accelerator, strings.Join(q.types, " "), strings.Join(q.regions, " ")}, "|")
}

// scores remembers the answers, for all collections of a collector.
type scores struct {
	turn chan struct{} // holds one token: whoever has it may ask and write
	told map[string]answered
}

type answered struct {
	at      time.Time
	regions map[string]int
}

func newScores() *scores {
	s := &scores{turn: make(chan struct{}, 1), told: map[string]answered{}}
	s.turn <- struct{}{}
	return s
}

// placement gives the scores of machines with accelerators. After a failure nothing
// more is asked, and what is known is given along with the error.
func (c *spot) placement(ctx context.Context, v view) (map[scored]score, error) {
	if c.api.opt.ScoresEvery < 0 {
		return nil, nil
	}
	select {
	case <-ctx.Done():
		return nil, ended(ctx, opSpot)
	case <-c.scores.turn:
	}
	defer func() { c.scores.turn <- struct{}{} }()
	maps.DeleteFunc(c.scores.told, func(_ string, a answered) bool { return v.now.Sub(a.at) >= c.api.opt.ScoresEvery })
	out := map[scored]score{}
	var failed error
	for _, q := range questions(v.machines) {
		a, ok := c.scores.told[q.key()]
		if !ok && failed == nil {
			if a, failed = c.ask(ctx, q, v.now); failed == nil {
				c.scores.told[q.key()] = a
			}
		}
		for region, n := range a.regions {
			out[scored{region, q.accelerator}] = score{n, len(q.types), a.at}
		}
	}
	if failed != nil {
		return out, purser.Errorf(purser.KindOf(failed), opSpot, "placement scores are missing: %w", failed)
	}
	return out, nil
}

// questions groups the spot machines by device, over all regions, and the regions
// by tens.
func questions(offered map[string]machines) []question {
	types, regions := map[string][]string{}, map[string][]string{}
	for _, region := range slices.Sorted(maps.Keys(offered)) {
		for t, m := range offered[region].types {
			if a := m.shape.Accelerator; a != "" && m.spot && len(offered[region].zones[t]) > 0 {
				types[a] = append(types[a], t)
				regions[a] = append(regions[a], region)
			}
		}
	}
	var out []question
	for _, a := range slices.Sorted(maps.Keys(types)) {
		slices.Sort(types[a])
		distinct := slices.Compact(types[a])
		if len(distinct) < scoredTypes {
			continue
		}
		for chunk := range slices.Chunk(slices.Compact(regions[a]), scoredRegions) {
			out = append(out, question{a, distinct, chunk})
		}
	}
	return out
}

func (c *spot) ask(ctx context.Context, q question, now time.Time) (answered, error) {
	a := answered{at: now, regions: map[string]int{}}
	pages := ec2.NewGetSpotPlacementScoresPaginator(c.api.ec2(c.api.home()), &ec2.GetSpotPlacementScoresInput{
		InstanceTypes: q.types, RegionNames: q.regions, TargetCapacity: awssdk.Int32(1), SingleAvailabilityZone: awssdk.Bool(false),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return a, call{opSpot, "ec2:GetSpotPlacementScores", c.api.home()}.failed(ctx, err)
		}
		for _, s := range page.SpotPlacementScores {
			if n := int(awssdk.ToInt32(s.Score)); n >= 1 && n <= 10 {
				a.regions[awssdk.ToString(s.Region)] = n
			}
		}
	}
	return a, nil
}
