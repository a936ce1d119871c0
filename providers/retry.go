package providers

import (
	"context"
	"errors"
	"sync"
	"time"

	"purser"
)

// Retry says how throttled and unavailable calls are repeated. All other errors
// are returned at once: repeating them cannot help.
//
// The n-th pause is Base·2ⁿ⁻¹, at most Max, or RetryAfter where the provider names
// a longer one. A pause that would outlast the caller's deadline is not begun. The
// budget keeps retries from becoming a second flood when everything fails: each
// retry takes one, each success gives a tenth back.
type Retry struct {
	Tries  int           // at most, the first included. Defaults to 4; 1 never repeats.
	Base   time.Duration // Defaults to 200 ms.
	Max    time.Duration // Defaults to 5 s; a RetryAfter above it ends the retrying.
	Budget int           // retries in store. Defaults to 20.
}

// WithRetry repeats what is worth repeating.
func WithRetry(p Provider, r Retry, wait func(context.Context, time.Duration) error) Provider {
	if r.Tries == 0 {
		r.Tries = 4
	}
	if r.Base == 0 {
		r.Base = 200 * time.Millisecond
	}
	if r.Max == 0 {
		r.Max = 5 * time.Second
	}
	if r.Budget == 0 {
		r.Budget = 20
	}
	b := &budget{tenths: 10 * r.Budget, most: 10 * r.Budget}
	return &wrapped{inner: p, around: func(ctx context.Context, _ string, do func(context.Context) error) error {
		for try := 1; ; try++ {
			err := do(ctx)
			if err == nil {
				b.give()
				return nil
			}
			if !transient(err) || ctx.Err() != nil || try >= r.Tries {
				return err
			}
			pause := min(r.Base<<(try-1), r.Max)
			if e, ok := errors.AsType[*purser.Error](err); ok && e.RetryAfter > pause {
				pause = e.RetryAfter
			}
			if pause > r.Max || outlasts(ctx, pause) || !b.take() {
				return err
			}
			if wait(ctx, pause) != nil {
				return err
			}
		}
	}}
}

func outlasts(ctx context.Context, d time.Duration) bool {
	deadline, ok := ctx.Deadline()
	return ok && time.Until(deadline) < d
}

type budget struct {
	mu           sync.Mutex
	tenths, most int
}

func (b *budget) take() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.tenths < 10 {
		return false
	}
	b.tenths -= 10
	return true
}

func (b *budget) give() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tenths = min(b.tenths+1, b.most)
}
