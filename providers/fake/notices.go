package fake

import (
	"context"
	"slices"
	"time"

	"purser"
	"purser/providers"
)

// notice is an interruption that waits to be acknowledged.
type notice struct {
	Number       uint64                     `json:"number"` // in the order of their making
	Installation string                     `json:"installation"`
	Lease        purser.LeaseID             `json:"lease"`
	Machine      string                     `json:"machine"`
	Kind         providers.InterruptionKind `json:"kind"`
	At           time.Time                  `json:"at,omitzero"` // when the machine stops
	Reason       string                     `json:"reason,omitempty"`
	MadeAt       time.Time                  `json:"made_at"`
	Left         int                        `json:"left"` // acknowledgements that it takes to be rid of it
}

func (n notice) interruption() providers.Interruption {
	return providers.Interruption{Lease: n.Lease, Instance: n.Machine, Kind: n.Kind, At: n.At, Reason: n.Reason}
}

// keepNotices is how long a notice waits for somebody to read it.
const keepNotices = 24 * time.Hour

// notify puts a notice about a machine into its installation's queue.
func (c *Cloud) notify(m *machine, at time.Time, kind providers.InterruptionKind, stops time.Time, reason string) {
	c.state.Noticed++
	n := notice{
		Number: c.state.Noticed, Installation: m.Installation, Lease: m.Lease, Machine: m.ID, Kind: kind,
		At: stops.UTC(), Reason: reason, MadeAt: at, Left: 1,
	}
	if c.draw("duplicate", n.Number).Float64() < c.config.Calls.Duplicates {
		n.Left++
	}
	if stops.IsZero() {
		n.At = time.Time{}
	}
	c.state.Notices = slices.DeleteFunc(c.state.Notices, func(old notice) bool { return at.Sub(old.MadeAt) > keepNotices })
	c.state.Notices = append(c.state.Notices, n)
	close(c.changed)
	c.changed, c.dirty = make(chan struct{}), true
}

// notices gives an installation's queue, oldest first, and a channel that is closed when
// there is a new notice for anybody.
func (c *Cloud) notices(installation string) (out []notice, changed <-chan struct{}, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.failing(Interruptions); err != nil {
		return nil, c.changed, err
	}
	c.advance(c.config.Now())
	for _, n := range c.state.Notices {
		if n.Installation == installation {
			out = append(out, n)
		}
	}
	return out, c.changed, c.save()
}

// acknowledge takes a notice off the queue, or makes it come once more.
func (c *Cloud) acknowledge(installation string, number uint64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.state.Notices {
		if n := &c.state.Notices[i]; n.Number == number && n.Installation == installation {
			n.Left--
			c.dirty = true
		}
	}
	c.state.Notices = slices.DeleteFunc(c.state.Notices, func(n notice) bool { return n.Left <= 0 })
	return c.save()
}

// lookEvery is how often an empty queue is looked at, since a virtual clock wakes nobody.
const lookEvery = 100 * time.Millisecond

// Interruptions delivers the notices about the installation's machines until ctx ends.
func (p *Provider) Interruptions(ctx context.Context, deliver func(context.Context, providers.Interruption) error) error {
	return follow(ctx, p.cloud.config.Wait, follower{
		next: func(ctx context.Context) ([]notice, error) { return p.cloud.await(ctx, p.installation, lookEvery) },
		ack:  func(_ context.Context, number uint64) error { return p.cloud.acknowledge(p.installation, number) },
	}, deliver)
}

// await gives the queue, and waits for up to a time while it is empty.
func (c *Cloud) await(ctx context.Context, installation string, most time.Duration) ([]notice, error) {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	for {
		found, changed, err := c.notices(installation)
		if err != nil || len(found) > 0 || ctx.Err() != nil {
			return found, err
		}
		look := time.NewTimer(lookEvery)
		select {
		case <-ctx.Done():
		case <-changed:
		case <-look.C:
		}
		look.Stop()
	}
}

// follower reads a queue of notices, here or over the wire.
type follower struct {
	next func(context.Context) ([]notice, error)
	ack  func(context.Context, uint64) error
}

// The pauses after something failed: they double from the first to the last.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 15 * time.Second
)

// follow hands each notice to deliver, at least once: one that could not be delivered or
// acknowledged comes again, and holds nothing up meanwhile.
func follow(ctx context.Context, wait func(context.Context, time.Duration) error, f follower, deliver func(context.Context, providers.Interruption) error) error {
	pause := firstPause
	for ctx.Err() == nil {
		err := round(ctx, f, deliver)
		switch {
		case err == nil:
			pause = firstPause
			continue
		case ctx.Err() == nil && hopeless(err):
			return err
		}
		_ = wait(ctx, pause) // the end of ctx ends the loop
		pause = min(2*pause, lastPause)
	}
	return nil
}

// round delivers what is in the queue.
func round(ctx context.Context, f follower, deliver func(context.Context, providers.Interruption) error) error {
	found, err := f.next(ctx)
	for _, n := range found {
		if told := tell(ctx, f, n, deliver); told != nil {
			err = told
		}
	}
	return err
}

// hopeless says whether asking again can never help.
func hopeless(err error) bool {
	k := purser.KindOf(err)
	return k == purser.KindForbidden || k == purser.KindUnauthorized || k == purser.KindInvalid
}

// tell delivers one notice and acknowledges it.
func tell(ctx context.Context, f follower, n notice, deliver func(context.Context, providers.Interruption) error) error {
	if err := deliver(ctx, n.interruption()); err != nil {
		// Whatever keeps the receiver from it, the cloud has not refused anything.
		return purser.Errorf(purser.KindUnavailable, "fake.Interruptions", "a notice was not taken: %v", err)
	}
	return f.ack(ctx, n.Number)
}
