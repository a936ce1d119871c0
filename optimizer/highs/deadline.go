package highs

import (
	"context"
	"time"
)

// EndingBefore gives a context that ends so much before ctx's deadline; without a deadline it ends with ctx. It is here since no other
// package of the optimizer may look at the clock.
func EndingBefore(ctx context.Context, margin time.Duration) (context.Context, context.CancelFunc) {
	at, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, at.Add(-margin))
}
