package providers

import (
	"context"
	"sync"
	"time"

	"purser"
)

// Breaker says when a provider that does not answer is left alone. After Failures
// unavailable calls in a row every call fails at once for OpenFor; then one call is
// let through, and its outcome decides.
//
// Terminate is always let through: a machine that costs money is not kept for the
// comfort of its provider.
type Breaker struct {
	Failures int           // Defaults to 8.
	OpenFor  time.Duration // Defaults to 20 s.
}

// WithBreaker puts a circuit breaker before a provider.
func WithBreaker(p Provider, b Breaker, now func() time.Time) Provider {
	if b.Failures <= 0 {
		b.Failures = 8
	}
	if b.OpenFor <= 0 {
		b.OpenFor = 20 * time.Second
	}
	c := &circuit{Breaker: b}
	return &wrapped{inner: p, around: func(ctx context.Context, call string, do func(context.Context) error) error {
		if left, open := c.open(now()); open && call != callTerminate {
			return &purser.Error{
				Kind: purser.KindUnavailable, Op: "providers." + call, RetryAfter: left,
				Message: p.Name() + " has not been answering and is left alone for a moment",
			}
		}
		err := do(ctx)
		c.saw(now(), err)
		return err
	}}
}

type circuit struct {
	Breaker
	mu     sync.Mutex
	failed int       // in a row
	until  time.Time // while open
}

// open says whether calls are refused, and for how long. The first caller after
// that time is the trial; the circuit stays open for the others meanwhile.
func (c *circuit) open(now time.Time) (time.Duration, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed < c.Failures {
		return 0, false
	}
	if left := c.until.Sub(now); left > 0 {
		return left, true
	}
	c.until = now.Add(c.OpenFor)
	return 0, false
}

func (c *circuit) saw(now time.Time, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil || purser.KindOf(err) != purser.KindUnavailable {
		c.failed = 0 // any real answer shows that it is there
		return
	}
	c.failed++
	if c.failed >= c.Failures {
		c.until = now.Add(c.OpenFor)
	}
}
