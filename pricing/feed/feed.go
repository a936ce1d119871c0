// Package feed asks the HTTP APIs that price feeds are read from, and says what
// went wrong in Purser's kinds. It is for feeds without an SDK of their own.
//
// # Waiting
//
// Requests to one API keep Every apart. One that was throttled (429), not served
// (408, 5xx) or not answered is repeated up to Tries times, after pauses of 1, 2, 4 …
// times Pause, give or take a quarter, or what Retry-After says if that is longer. A
// pause above MaxPause is not waited for: the error tells it as RetryAfter.
//
// # Failures
//
//	401                          unauthorized
//	403                          forbidden
//	404, 410                     not_found
//	429                          throttled
//	408, 5xx, no answer, a body that ends early or stalls for Stall   unavailable
//	other statuses, a body that is no JSON of the form, one above MaxBytes   invalid
//
// A message never holds a header or the query of an address, where keys may stand.
// When ctx ends, its error is in the chain.
package feed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"purser"
)

// Client asks one API. The zero value works. It may be used by several goroutines.
type Client struct {
	HTTP     *http.Client  // Defaults to one of its own. Redirects are followed as it says.
	Every    time.Duration // least time between two requests. Defaults to none.
	Tries    int           // of one request. Defaults to 4.
	Pause    time.Duration // before the second try. Defaults to 1 s.
	MaxPause time.Duration // longest pause that is waited for. Defaults to 30 s.
	Timeout  time.Duration // until the head of an answer is there. Defaults to 30 s.
	Stall    time.Duration // longest time without a byte of the body. Defaults to 30 s.
	MaxBytes int64         // of a JSON body. Defaults to 64 MiB.

	once    sync.Once
	limiter *rate.Limiter
	own     *http.Client
}

func (c *Client) setUp() {
	c.once.Do(func() {
		c.limiter = rate.NewLimiter(rate.Inf, 1)
		if c.Every > 0 {
			c.limiter = rate.NewLimiter(rate.Every(c.Every), 1)
		}
		if c.own = c.HTTP; c.own == nil {
			c.own = &http.Client{}
		}
	})
}

func or[T comparable](v, fallback T) T {
	var zero T
	if v == zero {
		return fallback
	}
	return v
}

// JSON sends the request that newRequest makes, anew for every try, and decodes the
// body of a 200 into out.
func (c *Client) JSON(ctx context.Context, op string, newRequest func(context.Context) (*http.Request, error), out any) error {
	return c.again(ctx, op, func() error {
		body, err := c.open(ctx, op, newRequest)
		if err != nil {
			return err
		}
		defer body.Close() // only read from
		limit := or(c.MaxBytes, 64<<20)
		b, err := io.ReadAll(io.LimitReader(body, limit+1))
		if err != nil {
			return err
		}
		if int64(len(b)) > limit {
			return purser.Errorf(purser.KindInvalid, op, "%s: the answer is larger than %d MiB", body.at, limit>>20)
		}
		if err := json.Unmarshal(b, out); err != nil {
			return purser.Errorf(purser.KindInvalid, op, "%s: the answer does not have the form that is expected: %w", body.at, err)
		}
		return nil
	})
}

// Open sends the request and gives the body of a 200 as a stream, for answers too
// large to hold. Opening is tried several times; once the body has begun, a fault
// is returned by Read. The caller closes it.
func (c *Client) Open(ctx context.Context, op string, newRequest func(context.Context) (*http.Request, error)) (io.ReadCloser, error) {
	var body *stream
	err := c.again(ctx, op, func() (err error) {
		body, err = c.open(ctx, op, newRequest)
		return err
	})
	if err != nil {
		return nil, err
	}
	return body, nil
}

// Get makes a newRequest for an address.
func Get(address string, header ...string) func(context.Context) (*http.Request, error) {
	return func(ctx context.Context) (*http.Request, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return nil, err
		}
		for i := 0; i+1 < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		return req, nil
	}
}

// again tries until it works, it makes no sense, or ctx ends.
func (c *Client) again(ctx context.Context, op string, try func() error) error {
	pause := or(c.Pause, time.Second)
	for n := 1; ; n++ {
		c.setUp()
		if err := c.limiter.Wait(ctx); err != nil {
			return ended(ctx, op, err)
		}
		err := try()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ended(ctx, op, err)
		}
		e, ok := errors.AsType[*purser.Error](err)
		if !ok || (e.Kind != purser.KindThrottled && e.Kind != purser.KindUnavailable) || n >= or(c.Tries, 4) {
			return err
		}
		wait := max(e.RetryAfter, pause*3/4+rand.N(pause/2+1))
		if wait > or(c.MaxPause, 30*time.Second) {
			return err
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ended(ctx, op, err)
		case <-timer.C:
		}
		pause *= 2
	}
}

// ended is the error of a call whose context has ended.
func ended(ctx context.Context, op string, err error) error {
	cause := ctx.Err()
	if cause == nil {
		cause = err // the limiter sees that the deadline comes before its turn
	}
	return purser.Errorf(purser.KindUnavailable, op, "the collection was ended: %w", cause)
}

func (c *Client) open(ctx context.Context, op string, newRequest func(context.Context) (*http.Request, error)) (*stream, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	req, err := newRequest(ctx)
	if err != nil {
		cancel(nil)
		return nil, purser.Errorf(purser.KindInternal, op, "the request cannot be made: %w", err)
	}
	at := req.URL.Scheme + "://" + req.URL.Host + req.URL.Path
	timer := time.AfterFunc(or(c.Timeout, 30*time.Second), func() { cancel(errSilent) })
	resp, err := c.own.Do(req) //nolint:bodyclose // the stream closes it
	timer.Stop()
	if err != nil {
		defer cancel(nil)
		return nil, noAnswer(ctx, op, at, err)
	}
	body := &stream{ctx: ctx, cancel: cancel, body: resp.Body, op: op, at: at, stall: or(c.Stall, 30*time.Second)}
	if resp.StatusCode == http.StatusOK {
		return body, nil
	}
	defer body.Close() // only read from
	said, _ := io.ReadAll(io.LimitReader(resp.Body, 2<<10))
	return nil, refused(op, at, resp, said)
}

var errSilent = errors.New("it is silent")

func noAnswer(ctx context.Context, op, at string, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	// A *url.Error repeats the address with its query, so only what it wraps is told.
	if inner := errors.Unwrap(err); inner != nil {
		err = inner
	}
	return purser.Errorf(purser.KindUnavailable, op, "%s does not answer: %w", at, err)
}

// KindOfStatus is the kind of an HTTP status that is not a success.
func KindOfStatus(status int) purser.Kind {
	switch {
	case status == http.StatusUnauthorized:
		return purser.KindUnauthorized
	case status == http.StatusForbidden:
		return purser.KindForbidden
	case status == http.StatusNotFound || status == http.StatusGone:
		return purser.KindNotFound
	case status == http.StatusTooManyRequests:
		return purser.KindThrottled
	case status == http.StatusRequestTimeout || status >= 500:
		return purser.KindUnavailable
	default:
		return purser.KindInvalid
	}
}

func refused(op, at string, resp *http.Response, said []byte) error {
	return &purser.Error{
		Kind: KindOfStatus(resp.StatusCode), Op: op, Message: fmt.Sprintf("%s answers %s", at, resp.Status),
		RetryAfter: retryAfter(resp.Header), Cause: errors.New(clip(said)),
	}
}

// clip keeps the beginning of what an API says, in one line.
func clip(said []byte) string {
	const most = 200
	s := strings.Join(strings.Fields(strings.ToValidUTF8(string(said), "")), " ")
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return or(s, "it says nothing more")
}

// retryAfter reads Retry-After in seconds; as a date it is not read, since clocks differ.
func retryAfter(h http.Header) time.Duration {
	n, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || n < 0 || n > 24*3600 {
		return 0
	}
	return time.Duration(n) * time.Second
}

// stream is a body that does not stall for ever.
type stream struct {
	ctx    context.Context //nolint:containedctx // the request's, which ends with the body
	cancel context.CancelCauseFunc
	body   io.ReadCloser
	op, at string
	stall  time.Duration
}

func (s *stream) Read(p []byte) (int, error) {
	timer := time.AfterFunc(s.stall, func() { s.cancel(errSilent) })
	n, err := s.body.Read(p)
	timer.Stop()
	if err != nil && !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		if cause := context.Cause(s.ctx); cause != nil {
			err = cause
		}
		return n, purser.Errorf(purser.KindUnavailable, s.op, "%s: the answer broke off: %w", s.at, err)
	}
	return n, err
}

func (s *stream) Close() error {
	err := s.body.Close()
	s.cancel(nil)
	return err
}
