package pricingtest

import (
	"context"
	"errors"
	"testing"
	"time"

	"purser"
	"purser/pricing"
)

var seen = time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)

func row(instanceType string, usd int64) pricing.Row {
	return pricing.Row{Offer: purser.Offer{
		Provider: "aws", Region: "us-east-1", InstanceType: instanceType, Option: purser.OnDemand, Limit: purser.Unlimited,
		Shape:     purser.Shape{Accelerator: "T4", Devices: purser.OneDevice, MilliCPU: 4000, MemoryMiB: 16 << 10},
		UnitPrice: purser.USDPerHour(usd * 1e9),
	}}
}

func twoBatches() *Fake {
	f := NewFake("feed", seen, row("a", 1), row("b", 2))
	second := NewFake("feed:second", seen.Add(time.Hour), row("c", 3))
	f.Batches = append(f.Batches, second.Batches...)
	return f
}

func TestFakePasses(t *testing.T) {
	Run(t, func() pricing.Collector { return NewFake("feed", seen, row("a", 1)) })
	Run(t, func() pricing.Collector { return twoBatches() })
}

// wrong is a Collector made of two functions, to break one promise each.
type wrong struct {
	source  string
	collect func(context.Context, func(pricing.Batch) error) error
}

func (w wrong) Source() string { return w.source }
func (w wrong) Collect(ctx context.Context, emit func(pricing.Batch) error) error {
	return w.collect(ctx, emit)
}

func TestSuiteFindsBrokenPromises(t *testing.T) {
	changed := func(change func(*pricing.Row)) pricing.Collector {
		f := twoBatches()
		change(&f.Batches[0].Rows[1])
		return f
	}
	calls := 0
	for name, c := range map[string]pricing.Collector{
		"no region":       changed(func(r *pricing.Row) { r.Offer.Region = "" }),
		"no place":        changed(func(r *pricing.Row) { r.Place = "" }),
		"no time":         changed(func(r *pricing.Row) { r.Offer.ObservedAt = time.Time{} }),
		"local time":      changed(func(r *pricing.Row) { r.Offer.ObservedAt = seen.In(time.FixedZone("x", 3600)) }),
		"other source":    changed(func(r *pricing.Row) { r.Offer.Source = "elsewhere" }),
		"limit forgotten": changed(func(r *pricing.Row) { r.Offer.Limit = 0 }),
		"newer than said": changed(func(r *pricing.Row) { r.Offer.ObservedAt = seen.Add(time.Minute) }),
		"bare reason":     changed(func(r *pricing.Row) { r.Reason = pricing.QuarantineIncomplete }),
		"no rows":         &Fake{Name: "feed"},
		"fails":           &Fake{Name: "feed", Batches: twoBatches().Batches, Err: errors.New("broken")},
		"none believed":   NewFake("feed", seen, row("a", 0)),
		"no source":       wrong{"", twoBatches().Collect},
		"deaf to ctx": wrong{"feed", func(_ context.Context, emit func(pricing.Batch) error) error {
			return twoBatches().Collect(context.Background(), emit)
		}},
		"swallows emit's error": wrong{"feed", func(ctx context.Context, emit func(pricing.Batch) error) error {
			for _, b := range twoBatches().Batches {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				_ = emit(b)
			}
			return nil
		}},
		"another answer each time": wrong{"feed", func(ctx context.Context, emit func(pricing.Batch) error) error {
			calls++
			return NewFake("feed", seen, row("a", int64(calls))).Collect(ctx, emit)
		}},
	} {
		var broken error
		for _, check := range checks {
			if check.name == "two collections at once do not mix" {
				continue // the wrong ones above are not made for it
			}
			broken = errors.Join(broken, check.check(t.Context(), c))
		}
		if broken == nil {
			t.Errorf("%s: the suite found nothing", name)
		}
	}
}

func TestFakeWaitsAndFails(t *testing.T) {
	stop := errors.New("stopped")
	f := twoBatches()
	f.Before = func(_ context.Context, batch int) error {
		if batch == 1 {
			return stop
		}
		return nil
	}
	got, err := collect(t.Context(), f)
	if !errors.Is(err, stop) || len(got) != 1 {
		t.Errorf("got %d batches and %v, want 1 and the error", len(got), err)
	}
}
