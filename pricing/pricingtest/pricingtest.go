// Package pricingtest holds the suite that every pricing.Collector passes, and a
// collector that emits what a test gives it. The suite asks only what the
// interface promises, so it needs a feed that answers: a file, a bundled list, or
// a stand-in for a cloud's API. It fails a test with a sentence that says which
// promise was broken and by which row.
package pricingtest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"purser"
	"purser/pricing"
)

// Run checks the collector that newCollector makes. The feed must offer at least
// one price that can be believed.
func Run(t *testing.T, newCollector func() pricing.Collector) {
	t.Helper()
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			if err := c.check(t.Context(), newCollector()); err != nil {
				t.Error(err)
			}
		})
	}
}

var checks = []struct {
	name  string
	check func(context.Context, pricing.Collector) error
}{
	{"rows say what an offer needs", checkRows},
	{"rows make offers", checkSift},
	{"the same feed gives the same rows", checkRepeat},
	{"two collections at once do not mix", checkConcurrent},
	{"an error of emit ends it and comes back", checkEmitError},
	{"a context that has ended is obeyed", checkEnded},
	{"a context that ends is obeyed", checkEnding},
}

func collect(ctx context.Context, c pricing.Collector) ([]pricing.Batch, error) {
	var out []pricing.Batch
	err := c.Collect(ctx, func(b pricing.Batch) error {
		out = append(out, b)
		return nil
	})
	return out, err
}

func checkRows(ctx context.Context, c pricing.Collector) error {
	if c.Source() == "" {
		return errors.New("it has no Source")
	}
	batches, err := collect(ctx, c)
	if err != nil {
		return fmt.Errorf("it failed: %w", err)
	}
	rows := 0
	type part struct{ source, region string }
	parts := map[part]bool{}
	for i, b := range batches {
		k := part{b.Source, b.Region}
		if parts[k] {
			return fmt.Errorf("batch %d is the second one of source %q and region %q: a batch is all that there is of it", i, b.Source, b.Region)
		}
		parts[k] = true
		if b.Source != c.Source() && !strings.HasPrefix(b.Source, c.Source()+":") {
			return fmt.Errorf("batch %d says source %q, which does not begin with the collector's %q", i, b.Source, c.Source())
		}
		var newest time.Time
		for j, r := range b.Rows {
			if err := checkRow(b, r); err != nil {
				return fmt.Errorf("batch %d row %d (%s, %s): %w", i, j, r.Offer.ID(), r.Place, err)
			}
			if r.Offer.ObservedAt.After(newest) {
				newest = r.Offer.ObservedAt
			}
		}
		if err := checkRest(b); err != nil {
			return fmt.Errorf("batch %d: %w", i, err)
		}
		if len(b.Rows) > 0 && !newest.Equal(b.ObservedAt) {
			return fmt.Errorf("batch %d says it was observed at %s, its newest row at %s", i, b.ObservedAt, newest)
		}
		rows += len(b.Rows) + len(b.Past) + len(b.Signals)
	}
	if rows == 0 {
		return errors.New("it emitted no rows, and nothing beside them")
	}
	return nil
}

// checkRest looks at what a batch says beside its rows.
func checkRest(b pricing.Batch) error {
	if b.ObservedAt.IsZero() || b.ObservedAt.Location() != time.UTC {
		return fmt.Errorf("it was observed at %s: a time in UTC must be given", b.ObservedAt)
	}
	for _, p := range b.Past {
		if p.Offer == "" || p.From.IsZero() || p.From.Location() != time.UTC || p.From.After(b.ObservedAt) || p.UnitPrice < 0 || p.Gone != (p.UnitPrice == 0) {
			return fmt.Errorf("past price %+v: an offer, a time in UTC that is not to come, and a price above 0 or that it was gone must be given", p)
		}
	}
	for _, s := range b.Signals {
		switch {
		case s.Provider == "" || s.Region == "" || s.InstanceType == "" || s.Option == "" || s.Detail == "":
			return fmt.Errorf("signal %+v: provider, region, instance type, purchase option and a detail must be given", s)
		case b.Region != "" && s.Region != b.Region:
			return fmt.Errorf("signal %+v is not of the batch's region %q", s, b.Region)
		case s.Kind != purser.SignalInterruption && s.Kind != purser.SignalAvailability:
			return fmt.Errorf("signal %+v is of no kind that there is", s)
		case !(s.Low >= 0 && s.Low <= s.High) || math.IsInf(s.High, 0) || (s.Kind == purser.SignalAvailability && s.High > 1):
			return fmt.Errorf("signal %+v: its range is none", s)
		}
	}
	return nil
}

func checkRow(b pricing.Batch, r pricing.Row) error {
	o := r.Offer
	switch {
	case b.Region != "" && o.Region != b.Region:
		return fmt.Errorf("its region is %q, its batch's %q", o.Region, b.Region)
	case o.Provider == "" || o.Region == "" || o.InstanceType == "" || o.Option == "":
		return errors.New("provider, region, instance type and purchase option must be given")
	case o.Source != b.Source:
		return fmt.Errorf("its source is %q, its batch's %q", o.Source, b.Source)
	case o.ObservedAt.IsZero() || o.ObservedAt.Location() != time.UTC:
		return fmt.Errorf("it was observed at %s: a time in UTC must be given", o.ObservedAt)
	case r.Place == "":
		return errors.New("it does not say where in the feed it stands")
	case o.Limit == 0 || o.Limit < purser.Unlimited:
		return fmt.Errorf("its limit is %d: a count above 0, or unlimited", o.Limit)
	case o.Accelerator != "" && r.AcceleratorName != "" && !sameAccelerator(o.Accelerator, r.AcceleratorName):
		return fmt.Errorf("it is %s and says %q", o.Accelerator, r.AcceleratorName)
	case (r.Reason == "") != (r.Detail == ""):
		return errors.New("a reason and a sentence about it belong together")
	}
	return nil
}

// sameAccelerator allows a collector to know better than the feed's name, within
// what the name can mean.
func sameAccelerator(canonical, name string) bool {
	known, ok := purser.AcceleratorNamed(canonical)
	if !ok || known.Name != canonical {
		return false
	}
	meant, ok := purser.AcceleratorNamed(name)
	return !ok || meant.Kind == known.Kind
}

func checkSift(ctx context.Context, c pricing.Collector) error {
	rows, err := pricing.Collect(ctx, c)
	if err != nil {
		return fmt.Errorf("it failed: %w", err)
	}
	sifted := pricing.Sift(rows)
	if n := len(sifted.Offers) + len(sifted.Quarantined) + sifted.Merged; n != len(rows) {
		return fmt.Errorf("%d rows became %d", len(rows), n)
	}
	if len(rows) > 0 && len(sifted.Offers) == 0 {
		return fmt.Errorf("none of %d rows can be believed", len(rows))
	}
	for _, o := range sifted.Offers {
		if err := o.Check(); err != nil {
			return err
		}
	}
	return nil
}

func checkRepeat(ctx context.Context, c pricing.Collector) error {
	first, err := collect(ctx, c)
	if err != nil {
		return fmt.Errorf("it failed: %w", err)
	}
	second, err := collect(ctx, c)
	if err != nil {
		return fmt.Errorf("it failed when called again: %w", err)
	}
	return sameBatches(first, second)
}

func sameBatches(first, second []pricing.Batch) error {
	if len(first) != len(second) {
		return fmt.Errorf("%d batches, then %d", len(first), len(second))
	}
	for i := range first {
		if !reflect.DeepEqual(first[i], second[i]) {
			return fmt.Errorf("batch %d differs between two collections", i)
		}
	}
	return nil
}

func checkConcurrent(ctx context.Context, c pricing.Collector) error {
	var got [2][]pricing.Batch
	var errs [2]error
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() { got[i], errs[i] = collect(ctx, c) })
	}
	wg.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		return fmt.Errorf("it failed: %w", err)
	}
	return sameBatches(got[0], got[1])
}

func checkEmitError(ctx context.Context, c pricing.Collector) error {
	refusal := errors.New("the store refuses")
	calls := 0
	err := c.Collect(ctx, func(pricing.Batch) error {
		calls++
		return refusal
	})
	if !errors.Is(err, refusal) {
		return fmt.Errorf("emit failed and Collect returned another error: %w", orNone(err))
	}
	if calls != 1 {
		return fmt.Errorf("emit was called %d times after it had failed", calls-1)
	}
	return nil
}

var errNone = errors.New("no error")

// orNone makes the absence of an error something to show.
func orNone(err error) error {
	if err == nil {
		return errNone
	}
	return err
}

func checkEnded(ctx context.Context, c pricing.Collector) error {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	batches, err := collect(ctx, c)
	if !errors.Is(err, context.Canceled) {
		return fmt.Errorf("the context had ended and Collect returned: %w", orNone(err))
	}
	if len(batches) > 0 {
		return fmt.Errorf("the context had ended and %d batches came", len(batches))
	}
	return nil
}

func checkEnding(ctx context.Context, c pricing.Collector) error {
	all, err := collect(ctx, c)
	if err != nil {
		return fmt.Errorf("it failed: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	calls := 0
	err = c.Collect(ctx, func(pricing.Batch) error {
		calls++
		cancel()
		return nil
	})
	if calls != 1 {
		return fmt.Errorf("%d batches came after the context had ended", calls-1)
	}
	if len(all) > 1 && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("the context ended before the second of %d batches and Collect returned: %w", len(all), orNone(err))
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("the context ended and Collect returned %w", err)
	}
	return nil
}
