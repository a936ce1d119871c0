package fake

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"purser"
	"purser/providers"
)

// DialConfig says which cloud a Client speaks to, and for whom.
type DialConfig struct {
	URL          string                                     // where Handler is served, e.g. http://127.0.0.1:7070
	Installation string                                     // tag of ours
	Name         string                                     // the cloud's. Defaults to fake.
	Transport    http.RoundTripper                          // Defaults to one of its own.
	Wait         func(context.Context, time.Duration) error // passes the time after a failure. Defaults to a timer.
}

// Client is a provider whose cloud is another process. It repeats nothing by itself.
type Client struct {
	config DialConfig
	base   *url.URL
	http   *http.Client
}

var (
	_ providers.Provider    = (*Client)(nil)
	_ providers.Offerer     = (*Client)(nil)
	_ providers.Interrupter = (*Client)(nil)
	_ providers.Quoter      = (*Client)(nil)
	_ providers.Sweeper     = (*Client)(nil)
)

// Dial makes a Client. It calls nobody: an address that cannot be is invalid, a cloud that
// does not answer is unavailable at the first call.
func Dial(c DialConfig) (*Client, error) {
	base, err := url.Parse(c.URL)
	if err != nil || (base.Scheme != "http" && base.Scheme != "https") || base.Host == "" {
		return nil, &purser.Error{Kind: purser.KindInvalid, Op: "fake.Dial", Message: strconv.Quote(c.URL) + " is no address of a cloud", Hint: "give the one that purser fakecloud prints, such as http://127.0.0.1:7070", Cause: err}
	}
	if c.Installation == "" {
		return nil, purser.Errorf(purser.KindInvalid, "fake.Dial", "a provider works for an installation")
	}
	c.Name = cmp.Or(c.Name, Name)
	if c.Wait == nil {
		c.Wait = wait
	}
	if c.Transport == nil {
		c.Transport = &http.Transport{MaxIdleConnsPerHost: 16, IdleConnTimeout: 30 * time.Second}
	}
	// Calls end with their context. A cloud that redirects is none of ours.
	client := &http.Client{Transport: c.Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return &Client{config: c, base: base, http: client}, nil
}

// Close ends connections that wait for the next call.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Name is the cloud's name.
func (c *Client) Name() string { return c.config.Name }

// Launch makes the lease's machine or finds it.
func (c *Client) Launch(ctx context.Context, r providers.Request) (providers.Instance, error) {
	if err := r.Check(); err != nil {
		return providers.Instance{}, err
	}
	in, err := ask[wireInstance](ctx, c, Launch, wireRequest(r))
	return providers.Instance(in), err
}

// Describe tells of the lease's machine.
func (c *Client) Describe(ctx context.Context, l purser.Lease) (providers.Instance, error) {
	in, err := ask[wireInstance](ctx, c, Describe, asksLease{c.config.Installation, l})
	return providers.Instance(in), err
}

// List tells of the installation's machines.
func (c *Client) List(ctx context.Context) ([]providers.Instance, error) {
	has, err := ask[hasInstances](ctx, c, List, asksInstallation{c.config.Installation})
	if err != nil {
		return nil, err
	}
	var out []providers.Instance
	for _, in := range has.Instances {
		out = append(out, providers.Instance(in))
	}
	return out, nil
}

// Terminate asks for the end of the lease's machine.
func (c *Client) Terminate(ctx context.Context, l purser.Lease) error {
	_, err := ask[nothing](ctx, c, Terminate, asksLease{c.config.Installation, l})
	return err
}

// Offers is the cloud's price list as it is now.
func (c *Client) Offers(ctx context.Context) ([]purser.Offer, error) {
	has, err := ask[hasOffers](ctx, c, Offers, asksInstallation{c.config.Installation})
	return has.Offers, err
}

// Quotas tells what the account may have, what it uses, and what was bought ahead.
func (c *Client) Quotas(ctx context.Context) (providers.Headroom, error) {
	has, err := ask[hasQuotas](ctx, c, Quotas, asksInstallation{c.config.Installation})
	if err != nil {
		return providers.Headroom{}, err
	}
	return has.headroom(), nil
}

// Sweep removes disks that launches left when they failed half way.
func (c *Client) Sweep(ctx context.Context, grace time.Duration) (int, error) {
	has, err := ask[hasRemoved](ctx, c, Sweep, asksSweep{c.config.Installation, grace.Seconds()})
	return has.Removed, err
}

// Interruptions delivers the notices about the installation's machines until ctx ends.
func (c *Client) Interruptions(ctx context.Context, deliver func(context.Context, providers.Interruption) error) error {
	return follow(ctx, c.config.Wait, follower{
		next: func(ctx context.Context) ([]notice, error) {
			has, err := ask[hasNotices](ctx, c, wireNotices, asksNotices{c.config.Installation, maxWait.Seconds()})
			return has.Notices, err
		},
		ack: func(ctx context.Context, number uint64) error {
			_, err := ask[nothing](ctx, c, wireAcknowledge, asksAcknowledge{c.config.Installation, number})
			return err
		},
	}, deliver)
}

// Machines tells of every machine that the cloud remembers, of all installations, without
// lag: for tests and demonstrations.
func (c *Client) Machines(ctx context.Context) ([]Machine, error) {
	has, err := ask[hasMachines](ctx, c, wireMachines, nothing{})
	var out []Machine
	for _, m := range has.Machines {
		out = append(out, Machine{providers.Instance(m.wireInstance), m.Offer, m.NoticeAt, m.EndedAt, m.GoneAt})
	}
	return out, err
}

// Turn turns the cloud's knobs.
func (c *Client) Turn(ctx context.Context, k Knobs) error {
	_, err := ask[nothing](ctx, c, wireTurn, k)
	return err
}

// ask makes one call. What was not answered, or not in full, is unavailable: it may have
// taken effect.
func ask[Answer any](ctx context.Context, c *Client, call string, body any) (out Answer, err error) {
	op := "fake." + call
	b, err := json.Marshal(body)
	if err != nil {
		return out, purser.Wrap(purser.KindInvalid, op, err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base.JoinPath("v1", call).String(), bytes.NewReader(b))
	if err != nil {
		return out, purser.Wrap(purser.KindInvalid, op, err)
	}
	r.Header.Set("Content-Type", "application/json")
	res, err := c.http.Do(r)
	if err != nil {
		return out, purser.Errorf(purser.KindUnavailable, op, "the cloud does not answer: %w", err)
	}
	defer func() { _ = res.Body.Close() }() // read whole, or of no use
	b, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err == nil && len(b) > maxAnswer {
		err = errors.New("it is too long")
	}
	if err != nil {
		return out, purser.Errorf(purser.KindUnavailable, op, "the answer did not come whole: %w", err)
	}
	if res.StatusCode != http.StatusOK {
		return out, failure(op, res.StatusCode, b)
	}
	if err := json.Unmarshal(b, &out); err != nil {
		var none Answer
		return none, purser.Errorf(purser.KindUnavailable, op, "the answer cannot be understood: %w", err)
	}
	return out, nil
}

// failure is the error of an answer: what the cloud says, or, where something else
// answered in its place, what the status says.
func failure(op string, status int, body []byte) error {
	var said struct {
		Error Failed `json:"error"`
	}
	known := func(k purser.Kind) bool {
		return k == purser.KindInternal || purser.HTTPStatus(k) != http.StatusInternalServerError
	}
	if json.Unmarshal(body, &said) == nil && known(said.Error.Kind) && purser.HTTPStatus(said.Error.Kind) == status {
		e := said.Error.err()
		if p, ok := errors.AsType[*purser.Error](e); ok {
			p.Op = op
		}
		return e
	}
	kind := purser.KindUnavailable
	switch {
	case status == http.StatusUnauthorized:
		kind = purser.KindUnauthorized
	case status == http.StatusForbidden:
		kind = purser.KindForbidden
	case status == http.StatusTooManyRequests:
		kind = purser.KindThrottled
	case status < http.StatusInternalServerError:
		kind = purser.KindInvalid
	}
	return &purser.Error{Kind: kind, Op: op, Message: "the cloud answered with status " + strconv.Itoa(status), Hint: "see whether purser fakecloud listens at this address"}
}
