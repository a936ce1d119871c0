package fake

import (
	"context"
	"errors"
	"fmt"
	"time"

	"purser"
	"purser/providers"
)

// The names of calls, for Calls, FailNext and LoseNext.
const (
	Launch        = "launch"
	Describe      = "describe"
	List          = "list"
	Terminate     = "terminate"
	Quotas        = "quotas"
	Sweep         = "sweep"
	Offers        = "offers"
	Interruptions = "interruptions" // for FailNext alone
)

// callNames are those that can be lost, in the order in which people read them.
var callNames = []string{Launch, Describe, List, Terminate, Quotas, Sweep, Offers}

// Calls says how calls fare on their way. Maps go by the name of a call; "" is for those
// that are not named.
type Calls struct {
	Latency    map[string]Latency
	Limits     map[string]Limit // each call has a bucket of its own
	LoseBefore float64          // share of requests that never arrive, 0 to 1
	LoseAfter  float64          // share of answers that are lost, 0 to 1
	Duplicates float64          // share of notices that come twice, 0 to 1
}

// Latency is what a call takes before it has its effect: Fixed, and up to Jitter more.
type Latency struct {
	Fixed, Jitter time.Duration
}

// Limit is a token bucket: PerSecond on average, Burst at once. A call without a token
// is throttled, and told when there will be one. The zero value is no limit.
type Limit struct {
	PerSecond float64 `json:"per_second"`
	Burst     int     `json:"burst"` // Defaults to 1.
}

// bucket is how full a token bucket was at a time.
type bucket struct {
	tokens float64
	at     time.Time
}

// call runs one call with all that can go wrong with it.
func (c *Cloud) call(ctx context.Context, name string, lease purser.LeaseID, do func(now time.Time) error) error {
	if c.config.Hook != nil {
		if err := c.config.Hook(ctx, name, lease, false); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return purser.Wrap(purser.KindUnavailable, "fake."+name, err)
	}
	lost, err := c.travel(ctx, name)
	if err != nil {
		return err
	}
	if err := c.effect(name, do); err != nil {
		return err
	}
	if lost {
		return lostAnswer(name)
	}
	if c.config.Hook != nil {
		return c.config.Hook(ctx, name, lease, true)
	}
	return nil
}

// travel is a call's way to the cloud. lost says that its answer will not arrive.
func (c *Cloud) travel(ctx context.Context, name string) (lost bool, err error) {
	c.mu.Lock()
	calls := c.config.Calls
	number := c.state.Calls[name]
	c.state.Calls[name] = number + 1
	after, throttled := c.throttle(name)
	lots := c.draw("call "+name, number)
	c.mu.Unlock()
	pause := named(calls.Latency, name)
	d := pause.Fixed + time.Duration(lots.Float64()*float64(pause.Jitter))
	before, lost := lots.Float64() < calls.LoseBefore, lots.Float64() < calls.LoseAfter
	if throttled {
		return false, &purser.Error{
			Kind: purser.KindThrottled, Op: "fake." + name, RetryAfter: after,
			Message: fmt.Sprintf("too many calls of %s", name), Hint: "call less often",
		}
	}
	if d > 0 {
		if err := c.config.Wait(ctx, d); err != nil {
			return false, purser.Wrap(purser.KindUnavailable, "fake."+name, err)
		}
	}
	if before {
		return false, purser.Errorf(purser.KindUnavailable, "fake."+name, "the request did not arrive: %w", errLost)
	}
	return lost, nil
}

// throttle takes a token of the call's bucket, or says when there is one.
func (c *Cloud) throttle(name string) (after time.Duration, throttled bool) {
	l := named(c.config.Calls.Limits, name)
	if l.PerSecond <= 0 {
		return 0, false
	}
	now, most := c.config.Now(), float64(max(l.Burst, 1))
	b := c.buckets[name]
	if b == nil {
		b = &bucket{tokens: most, at: now}
		c.buckets[name] = b
	}
	b.tokens = min(most, b.tokens+max(0, now.Sub(b.at).Seconds())*l.PerSecond)
	b.at = now
	if b.tokens < 1 {
		return time.Duration((1 - b.tokens) / l.PerSecond * float64(time.Second)).Round(time.Millisecond), true
	}
	b.tokens--
	return 0, false
}

func named[T any](by map[string]T, name string) T {
	if v, ok := by[name]; ok {
		return v
	}
	return by[""]
}

func (c *Cloud) effect(name string, do func(now time.Time) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.failing(name); err != nil {
		return err
	}
	now := c.config.Now()
	c.advance(now)
	// Nothing is answered, and no agent is started, that a restart would not know of.
	err := errors.Join(do(now), c.save())
	if err == nil {
		c.advance(now) // what takes no time has happened when the answer comes
		err = c.save()
	}
	if err != nil {
		return err
	}
	if c.loseNext[name] > 0 {
		c.loseNext[name]--
		return lostAnswer(name)
	}
	return nil
}

// errLost marks what is not answered at all: over the wire the connection breaks.
var errLost = errors.New("fake: connection lost")

func lostAnswer(name string) error {
	return purser.Errorf(purser.KindUnavailable, "fake."+name, "the answer was lost: %w", errLost)
}

// failing is the error that the next call of a name is to have.
func (c *Cloud) failing(name string) error {
	errs := c.failNext[name]
	if len(errs) == 0 {
		return nil
	}
	c.failNext[name] = errs[1:]
	return errs[0]
}

// Quotas tells what the account may have, what it uses, and what was bought ahead.
func (p *Provider) Quotas(ctx context.Context) (out providers.Headroom, err error) {
	c := p.cloud
	err = c.call(ctx, Quotas, "", func(now time.Time) error {
		out = providers.Headroom{Used: map[string]int64{}}
		for _, q := range c.config.Quotas {
			out.Quotas = append(out.Quotas, q)
			out.Used[q.Name] = (c.used(q, now) + 999) / 1000
		}
		for _, b := range c.config.Reserved {
			b.Free = c.free(b, now)
			b.Offer.Limit = b.Free
			out.Reserved = append(out.Reserved, b)
		}
		return nil
	})
	if err != nil {
		return providers.Headroom{}, err
	}
	return out, nil
}

// used is how much of a quota is in use, in thousandths of its unit.
func (c *Cloud) used(q purser.Quota, now time.Time) (sum int64) {
	for _, m := range c.open {
		if m.state(c.config, now) != providers.Gone {
			sum += q.Weight(m.Offer)
		}
	}
	return sum
}

// free is how many machines of a reservation can be launched now.
func (c *Cloud) free(b providers.Reservation, now time.Time) int {
	if now.Before(b.From) || (!b.Until.IsZero() && !now.Before(b.Until)) {
		return 0
	}
	n := b.Total
	for _, m := range c.open {
		if m.Reservation == b.ID && m.state(c.config, now) != providers.Gone {
			n--
		}
	}
	return max(n, 0)
}
