package providers

import (
	"context"
	"time"

	"purser"
)

// Options says how a provider is wrapped. The zero value of each field has a
// default.
type Options struct {
	Limit   RateLimit            // of calls that Limits does not name
	Limits  map[string]RateLimit // by call: launch, describe, list, terminate
	DryRun  bool                 // reads alone go through
	Retry   Retry
	Breaker Breaker
	Metrics *Metrics // nil: none

	Now  func() time.Time                           // Defaults to time.Now.
	Wait func(context.Context, time.Duration) error // Defaults to a timer that ctx cuts short.
}

// Decorate wraps a provider in the usual order, from the outside: metrics (what
// callers see), circuit breaker, retry, rate limit (each try counts).
func Decorate(p Provider, o Options) Provider {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Wait == nil {
		o.Wait = wait
	}
	if o.DryRun {
		p = WithDryRun(p)
	}
	p = WithRateLimit(p, o.Limit, o.Limits, o.Now, o.Wait)
	p = WithRetry(p, o.Retry, o.Wait)
	p = WithBreaker(p, o.Breaker, o.Now)
	if o.Metrics != nil {
		p = o.Metrics.Wrap(p, o.Now)
	}
	return p
}

// As finds what a provider can do besides below any decorators: an Offerer, an
// Interrupter, a Quoter, a Sweeper or a Runner.
func As[T any](p Provider) (T, bool) {
	for {
		if o, ok := p.(T); ok {
			return o, true
		}
		w, ok := p.(interface{ unwrap() Provider })
		if !ok {
			var none T
			return none, false
		}
		p = w.unwrap()
	}
}

// The names of calls, as decorators and metrics know them.
const (
	callLaunch    = "launch"
	callDescribe  = "describe"
	callList      = "list"
	callTerminate = "terminate"
)

// wrapped runs every call of a provider through around.
type wrapped struct {
	inner  Provider
	around func(ctx context.Context, call string, do func(context.Context) error) error
}

func (w *wrapped) unwrap() Provider { return w.inner }

func (w *wrapped) Name() string { return w.inner.Name() }

func (w *wrapped) Launch(ctx context.Context, r Request) (out Instance, err error) {
	err = w.around(ctx, callLaunch, func(ctx context.Context) error {
		out, err = w.inner.Launch(ctx, r)
		return err
	})
	return out, err
}

func (w *wrapped) Describe(ctx context.Context, l purser.Lease) (out Instance, err error) {
	err = w.around(ctx, callDescribe, func(ctx context.Context) error {
		out, err = w.inner.Describe(ctx, l)
		return err
	})
	return out, err
}

func (w *wrapped) List(ctx context.Context) (out []Instance, err error) {
	err = w.around(ctx, callList, func(ctx context.Context) error {
		out, err = w.inner.List(ctx)
		return err
	})
	return out, err
}

func (w *wrapped) Terminate(ctx context.Context, l purser.Lease) error {
	return w.around(ctx, callTerminate, func(ctx context.Context) error {
		return w.inner.Terminate(ctx, l)
	})
}

func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// transient says whether the same call may do better later.
func transient(err error) bool {
	k := purser.KindOf(err)
	return k == purser.KindThrottled || k == purser.KindUnavailable
}
