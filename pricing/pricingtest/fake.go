package pricingtest

import (
	"context"
	"slices"
	"time"

	"purser"
	"purser/pricing"
)

// Fake is a Collector that emits what it is given. Its fields are set before use.
type Fake struct {
	Name    string
	Batches []pricing.Batch
	Err     error // returned after the batches

	// Before, when set, is called before each batch, counted from 0, and once more
	// before the end; its error ends the collection. A feed that hangs waits here
	// for ctx.
	Before func(ctx context.Context, batch int) error
}

var _ pricing.Collector = (*Fake)(nil)

// Source is the Name.
func (f *Fake) Source() string { return f.Name }

// Collect emits the batches.
func (f *Fake) Collect(ctx context.Context, emit func(pricing.Batch) error) error {
	for i, b := range f.Batches {
		if err := f.before(ctx, i); err != nil {
			return err
		}
		b.Rows = slices.Clone(b.Rows)
		if err := emit(b); err != nil {
			return err
		}
	}
	if err := f.before(ctx, len(f.Batches)); err != nil {
		return err
	}
	return f.Err
}

func (f *Fake) before(ctx context.Context, batch int) error {
	if err := ctx.Err(); err != nil {
		return purser.Wrap(purser.KindUnavailable, "pricingtest.Collect", err)
	}
	if f.Before == nil {
		return nil
	}
	return f.Before(ctx, batch)
}

// NewFake makes a Fake with one batch of rows, which it marks with the source and
// the time where they name none.
func NewFake(source string, observedAt time.Time, rows ...pricing.Row) *Fake {
	b := pricing.Batch{Source: source, ObservedAt: observedAt, Rows: slices.Clone(rows)}
	for i := range b.Rows {
		o := &b.Rows[i].Offer
		if o.Source == "" {
			o.Source = source
		}
		if o.ObservedAt.IsZero() {
			o.ObservedAt = observedAt
		}
		if b.Rows[i].Place == "" {
			b.Rows[i].Place = source
		}
	}
	return &Fake{Name: source, Batches: []pricing.Batch{b}}
}
