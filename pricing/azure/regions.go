package azure

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"purser"
	"purser/pricing"
)

// eachRegion fetches the regions, at most ahead of them at a time, and emits their
// batches in the given order. No more than that many batches are held.
func eachRegion(ctx context.Context, op string, regions []string, ahead int, fetch func(context.Context, string) (pricing.Batch, error), emit func(pricing.Batch) error) error {
	type result struct {
		batch pricing.Batch
		err   error
	}
	outer := ctx
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	results := make([]chan result, len(regions))
	started := 0
	var failed failures
	for i, region := range regions {
		for ; started < len(regions) && started < i+ahead; started++ {
			done, name := make(chan result, 1), regions[started]
			results[started] = done
			running.Go(func() {
				b, err := fetch(ctx, name)
				done <- result{b, err}
			})
		}
		got := <-results[i]
		results[i] = nil
		switch {
		case outer.Err() != nil:
			return purser.Errorf(purser.KindUnavailable, op, "the collection was ended: %w", outer.Err())
		case got.err == nil:
			if err := emit(got.batch); err != nil {
				return err
			}
		case refusedEverywhere(got.err):
			return got.err
		default:
			failed = append(failed, failure{region, got.err})
		}
	}
	return failed.err(op, len(regions))
}

// refusedEverywhere says whether the next region would meet the same.
func refusedEverywhere(err error) bool {
	k := purser.KindOf(err)
	return k == purser.KindUnauthorized || k == purser.KindForbidden
}

type failure struct {
	region string
	err    error
}

type failures []failure

// err is one error for all regions that failed, of the first one's kind, or nil.
func (f failures) err(op string, of int) error {
	if len(f) == 0 {
		return nil
	}
	all := &purser.Error{Op: op}
	var said []string
	for i, one := range f {
		e, ok := errors.AsType[*purser.Error](one.err)
		if !ok {
			e = &purser.Error{Kind: purser.KindInternal, Message: one.err.Error(), Cause: one.err}
		}
		if i == 0 {
			all.Kind, all.Hint, all.Cause = e.Kind, e.Hint, e.Cause
		}
		all.RetryAfter = max(all.RetryAfter, e.RetryAfter)
		said = append(said, one.region+": "+e.Message)
	}
	all.Message = fmt.Sprintf("%d of %d regions could not be read: %s", len(f), of, strings.Join(said, "; "))
	return all
}
