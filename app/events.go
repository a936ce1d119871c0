package app

import (
	"context"
	"sync"

	"purser"
	"purser/server"
)

type eventsPart struct{ *App }

func (p eventsPart) Events(ctx context.Context, after int64, limit int) ([]purser.Event, error) {
	return p.db.Events(ctx, after, limit)
}

func (p eventsPart) Last(ctx context.Context) (int64, error) { return p.db.LastEvent(ctx) }

func (p eventsPart) Changed(ctx context.Context) <-chan struct{} { return p.changes.watch(ctx) }

var _ server.Events = eventsPart{}

// changes wakes everybody who follows the events, from the one connection that
// listens to the database.
type changes struct {
	mu       sync.Mutex
	watchers map[chan struct{}]bool
}

func newChanges() *changes { return &changes{watchers: map[chan struct{}]bool{}} }

// watch gives a channel of one place: a watcher that is slow misses no change, it
// is only told once of several.
func (c *changes) watch(ctx context.Context) <-chan struct{} {
	ch := make(chan struct{}, 1)
	c.mu.Lock()
	c.watchers[ch] = true
	c.mu.Unlock()
	context.AfterFunc(ctx, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.watchers, ch)
		close(ch)
	})
	return ch
}

func (c *changes) wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for ch := range c.watchers {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}
