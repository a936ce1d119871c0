package aws

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"

	"purser"
)

// parallel is how many regions are read at once.
const parallel = 4

// regions gives the regions to read, sorted.
func (a api) regions(ctx context.Context, op string) ([]string, error) {
	if len(a.opt.Regions) > 0 {
		return a.opt.Regions, nil
	}
	// Without AllRegions, AWS gives those enabled in the account.
	out, err := a.ec2(a.home()).DescribeRegions(ctx, &ec2.DescribeRegionsInput{})
	if err != nil {
		return nil, call{op, "ec2:DescribeRegions", a.home()}.failed(ctx, err)
	}
	var names []string
	for _, r := range out.Regions {
		names = append(names, awssdk.ToString(r.RegionName))
	}
	if len(names) == 0 {
		return nil, purser.Errorf(purser.KindInvalid, op, "ec2:DescribeRegions names no region")
	}
	slices.Sort(names)
	return names, nil
}

type answer[T any] struct {
	value T
	err   error
}

// inOrder fetches something of each region, a few at once, and hands it over in
// the order of the regions. A region is begun once all but the parallel ones before
// it are handed over, so that no more than those are held. It ends at once with an
// error of take.
func inOrder[T any](ctx context.Context, op string, regions []string, fetch func(context.Context, string) (T, error), take func(string, T, error) error) error {
	inner, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	answers := make([]chan answer[T], len(regions))
	begin := func(i int) {
		ch := make(chan answer[T], 1)
		answers[i] = ch
		wg.Go(func() {
			value, err := fetch(inner, regions[i])
			ch <- answer[T]{value, err}
		})
	}
	for i := range min(parallel, len(regions)) {
		begin(i)
	}
	for i, region := range regions {
		got := <-answers[i]
		if ctx.Err() != nil {
			return ended(ctx, op)
		}
		if err := take(region, got.value, got.err); err != nil {
			return err
		}
		if i+parallel < len(regions) {
			begin(i + parallel)
		}
	}
	return nil
}

// failures collects what failed, to be told at the end.
type failures struct {
	op      string
	total   int // regions that were to be read
	regions []string
	errs    []error // of the regions
	beside  []error // of what is not needed for prices

	good, refused int // regions of this step
}

// step begins another round over the regions.
func (f *failures) step() { f.good, f.refused = 0, 0 }

// add notes a region that failed. It returns the error when it would meet every
// other region too: when the credentials themselves are refused, or when the first
// regions have all been refused. One region that refuses may not be enabled, or an
// organisation's policy may forbid it alone.
func (f *failures) add(region string, err error) error {
	f.regions, f.errs = append(f.regions, region), append(f.errs, err)
	kind := purser.KindOf(err)
	if kind != purser.KindUnauthorized && kind != purser.KindForbidden {
		return nil
	}
	f.refused++
	fault, _ := errors.AsType[apiFault](err)
	everywhere := kind == purser.KindUnauthorized && !slices.Contains(notEnabled, fault.code)
	if everywhere || (f.good == 0 && f.refused >= min(parallel, f.total)) {
		return err
	}
	return nil
}

// err is nil when nothing failed.
func (f *failures) err() error {
	all := slices.Concat(f.errs, f.beside)
	if len(all) == 0 {
		return nil
	}
	var said []string
	if len(f.errs) > 0 {
		said = append(said, fmt.Sprintf("%d of %d regions could not be read", len(f.errs), f.total))
	}
	for i, err := range f.errs {
		said = append(said, f.regions[i]+": "+err.Error())
	}
	for _, err := range f.beside {
		said = append(said, "prices are there, but "+err.Error())
	}
	e := &purser.Error{Kind: purser.KindOf(all[0]), Op: f.op, Message: strings.Join(said, "; ")}
	for _, err := range f.errs {
		if p, ok := errors.AsType[*purser.Error](err); ok {
			e.RetryAfter = max(e.RetryAfter, p.RetryAfter)
		}
	}
	return e
}
