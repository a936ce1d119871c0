package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"purser"
)

// Client calls a server. The zero value is not of use; see NewClient.
type Client struct {
	base   string
	token  string
	http   *http.Client
	tries  int
	pause  time.Duration
	userAg string
}

// NewClient makes a client of the server at base, e.g. http://127.0.0.1:7077.
// token is sent as a bearer; it may be empty for the open calls.
func NewClient(base, token string) *Client {
	return &Client{
		base: strings.TrimRight(base, "/"), token: token, tries: 3, pause: 200 * time.Millisecond,
		http: &http.Client{Timeout: 60 * time.Second}, userAg: "purser",
	}
}

// maxAnswer bounds what is read of one answer.
const maxAnswer = 256 << 20

// Get reads path into out.
func (c *Client) Get(ctx context.Context, path string, query url.Values, out any) error {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return c.call(ctx, http.MethodGet, path, nil, out, true)
}

// Post sends in and reads out. repeatable says that the server answers the same
// call alike a second time, so that a lost answer may be asked for again.
func (c *Client) Post(ctx context.Context, path string, in, out any, repeatable bool) error {
	return c.call(ctx, http.MethodPost, path, in, out, repeatable)
}

// Delete removes what path names.
func (c *Client) Delete(ctx context.Context, path string) error {
	return c.call(ctx, http.MethodDelete, path, nil, nil, true)
}

// rawBody is sent as it is.
type rawBody []byte

func (c *Client) call(ctx context.Context, method, path string, in, out any, repeatable bool) error {
	var body []byte
	if raw, ok := in.(rawBody); ok {
		body = raw
	} else if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return purser.Wrap(purser.KindInternal, "api.Client", err)
		}
		body = b
	}
	tries := 1
	if repeatable {
		tries = c.tries
	}
	var err error
	for try := range tries {
		if try > 0 {
			if waitErr := pause(ctx, c.pause<<(try-1)); waitErr != nil {
				return err
			}
		}
		if err = c.once(ctx, method, path, body, out); err == nil || ctx.Err() != nil {
			return err
		}
		if k := purser.KindOf(err); k != purser.KindUnavailable && k != purser.KindThrottled {
			return err
		}
	}
	return err
}

// pause waits about d, a random quarter more or less, so that many callers do not
// come back together.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d*3/4 + rand.N(d/2+1))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

func (c *Client) once(ctx context.Context, method, path string, body []byte, out any) error {
	resp, err := c.send(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return &purser.Error{Kind: purser.KindUnavailable, Op: "api.Client", Message: "the server's answer broke off", Cause: err}
	}
	if len(data) > maxAnswer {
		return purser.Errorf(purser.KindInternal, "api.Client", "the server's answer is larger than %d MiB", maxAnswer>>20)
	}
	if resp.StatusCode >= 400 {
		return problem(resp, data)
	}
	if out == nil || len(data) == 0 {
		return nil
	}
	if err := json.Unmarshal(data, out); err != nil {
		return &purser.Error{Kind: purser.KindInternal, Op: "api.Client", Message: "the server's answer cannot be read; is it of another version?", Cause: err}
	}
	return nil
}

func (c *Client) send(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, purser.Errorf(purser.KindInvalid, "api.Client", "%q is not the address of a server: %w", c.base, err)
	}
	switch {
	case strings.HasPrefix(path, importPath):
		req.Header.Set("Content-Type", "application/octet-stream")
	case body != nil:
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", c.userAg)
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, &purser.Error{
			Kind: purser.KindUnavailable, Op: "api.Client", Message: fmt.Sprintf("the server at %s cannot be reached", c.base),
			Hint: "start it with: purser serve", Cause: err,
		}
	}
	return resp, nil
}

// problem turns an answer of 400 or more into the error that the server meant.
func problem(resp *http.Response, data []byte) error {
	var p Problem
	if err := json.Unmarshal(data, &p); err != nil || p.Code == "" {
		kind := purser.KindInternal
		if resp.StatusCode == http.StatusBadGateway || resp.StatusCode == http.StatusServiceUnavailable || resp.StatusCode == http.StatusGatewayTimeout {
			kind = purser.KindUnavailable
		}
		return purser.Errorf(kind, "api.Client", "the server answered %s", resp.Status)
	}
	e := &purser.Error{Kind: p.Code, Op: "api.Client", Message: p.Detail, Hint: p.Hint, Place: p.Place}
	if e.Message == "" {
		e.Message = p.Title
	}
	for _, f := range p.Errors {
		if f.Location != "" {
			e.Message += fmt.Sprintf("; %s: %s", f.Location, f.Message)
		} else {
			e.Message += "; " + f.Message
		}
	}
	if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s > 0 {
		e.RetryAfter = time.Duration(s) * time.Second
	}
	return e
}

// Events calls each for every event after the one given, until ctx ends or each
// fails. It reconnects when the stream breaks, and misses nothing.
func (c *Client) Events(ctx context.Context, after int64, each func(purser.Event) error) error {
	for {
		last, err := c.stream(ctx, after, each)
		after = last
		var stop stopError
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &stop):
			return stop.error
		case err != nil && purser.KindOf(err) != purser.KindUnavailable:
			return err
		}
		if err := pause(ctx, time.Second); err != nil {
			return err
		}
	}
}

type stopError struct{ error }

func (c *Client) stream(ctx context.Context, after int64, each func(purser.Event) error) (int64, error) {
	streaming := &Client{base: c.base, token: c.token, http: &http.Client{}, userAg: c.userAg}
	resp, err := streaming.send(ctx, http.MethodGet, "/v1/events/stream?after="+strconv.FormatInt(after, 10), nil)
	if err != nil {
		return after, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode >= 400 {
		data, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
		return after, problem(resp, data)
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data:")
		if !ok {
			continue
		}
		var e purser.Event
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			return after, purser.Errorf(purser.KindInternal, "api.Client.Events", "an event cannot be read: %w", err)
		}
		if e.ID == 0 {
			continue // keeps the connection open
		}
		after = e.ID
		if err := each(e); err != nil {
			return after, stopError{err}
		}
	}
	return after, &purser.Error{Kind: purser.KindUnavailable, Op: "api.Client.Events", Message: "the stream of events broke off", Cause: lines.Err()}
}
