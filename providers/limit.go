package providers

import (
	"context"
	"sync"
	"time"

	"purser"
)

// RateLimit bounds the calls to a provider: PerSecond on average, Burst at once.
// A call waits for its turn; one whose turn would come after the caller's deadline
// fails as throttled at once, and takes no turn.
type RateLimit struct {
	PerSecond float64 // Defaults to 10.
	Burst     int     // Defaults to 20.
}

// WithRateLimit makes calls wait for their turn. Calls that by names have a limit of
// their own, as clouds do it; the others share l.
func WithRateLimit(p Provider, l RateLimit, by map[string]RateLimit, now func() time.Time, wait func(context.Context, time.Duration) error) Provider {
	shared, own := l.queue(), map[string]*queue{}
	for call, l := range by {
		own[call] = l.queue()
	}
	return &wrapped{inner: p, around: func(ctx context.Context, call string, do func(context.Context) error) error {
		q := own[call]
		if q == nil {
			q = shared
		}
		pause, ok := q.turn(ctx, now())
		if !ok {
			return &purser.Error{
				Kind: purser.KindThrottled, Op: "providers." + call, RetryAfter: pause,
				Message: "too many calls to " + p.Name() + " are waiting already",
			}
		}
		if err := wait(ctx, pause); err != nil {
			return purser.Wrap(purser.KindUnavailable, "providers."+call, err)
		}
		return do(ctx)
	}}
}

func (l RateLimit) queue() *queue {
	if l.PerSecond <= 0 {
		l.PerSecond = 10
	}
	if l.Burst <= 0 {
		l.Burst = 20
	}
	every := time.Duration(float64(time.Second) / l.PerSecond)
	return &queue{every: every, slack: every * time.Duration(l.Burst-1)}
}

// queue hands out turns (the generic cell rate algorithm): next is when the next
// call is due if calls came evenly; a call may come slack earlier than it is due.
type queue struct {
	mu    sync.Mutex
	every time.Duration
	slack time.Duration
	next  time.Time
}

func (q *queue) turn(ctx context.Context, now time.Time) (time.Duration, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	due := q.next
	if due.Before(now) {
		due = now
	}
	pause := max(due.Add(-q.slack).Sub(now), 0)
	if pause > 0 && outlasts(ctx, pause) {
		return pause, false
	}
	q.next = due.Add(q.every)
	return pause, true
}
