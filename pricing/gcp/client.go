package gcp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"cloud.google.com/go/auth/credentials"
	"cloud.google.com/go/auth/httptransport"
	"google.golang.org/api/iterator"
	"google.golang.org/api/option"

	"purser"
)

const cloudPlatform = "https://www.googleapis.com/auth/cloud-platform"

// connect makes the options of an SDK client whose requests end with ctx and do not
// wait for ever. With a key, requests carry it instead of credentials.
func connect(ctx context.Context, opt Options, key string) ([]option.ClientOption, error) {
	var base http.RoundTripper
	if opt.HTTPClient != nil {
		base = orElse(opt.HTTPClient.Transport == nil, http.DefaultTransport, opt.HTTPClient.Transport)
	}
	how := &httptransport.Options{BaseRoundTripper: base, DisableTelemetry: true, UniverseDomain: "googleapis.com"}
	switch {
	case key != "":
		// Sent as a header by hand: in the query it would stand in errors and logs.
		how.DisableAuthentication, how.Headers = true, http.Header{"X-Goog-Api-Key": {key}}
	case opt.Credentials != nil:
		own := *opt.Credentials // the transport writes to it
		how.Credentials = &own
	case opt.HTTPClient != nil:
		how.DisableAuthentication = true
	default:
		how.DetectOpts = &credentials.DetectOptions{Scopes: []string{cloudPlatform}}
	}
	client, err := httptransport.NewClient(how)
	if err != nil {
		return nil, &purser.Error{
			Kind: purser.KindUnauthorized, Op: "gcp.Collect", Message: "no credentials of Google Cloud were found", Cause: errors.New(clip(err.Error())),
			Hint: "give an API key for list prices alone, or run gcloud auth application-default login, or use workload identity",
		}
	}
	client.Transport = bounded(ctx, client.Transport, opt.Silence)
	options := []option.ClientOption{option.WithHTTPClient(client)}
	if opt.Endpoint != "" {
		options = append(options, option.WithEndpoint(opt.Endpoint))
	}
	return options, nil
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

var (
	errSilent   = errors.New("it is silent")
	errTooLarge = errors.New("the answer is larger than 256 MiB")
	errEndless  = errors.New("the list has no end")
)

const (
	maxAnswer = 256 << 20
	maxGets   = 5000 // of one client, far above the pages of all its lists
)

// bounded ends requests when ctx does, since the SDK's lists do not pass theirs on, and
// when nothing has come for the time of silence. It also ends lists that go round, which
// the SDK's iterators follow for ever.
func bounded(ctx context.Context, next http.RoundTripper, silence time.Duration) http.RoundTripper {
	var gets atomic.Int64
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodGet && gets.Add(1) > maxGets {
			return nil, errEndless
		}
		own, cancel := context.WithCancelCause(r.Context())
		stop := context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })
		timer := time.AfterFunc(silence, func() { cancel(errSilent) })
		resp, err := next.RoundTrip(r.WithContext(own))
		timer.Stop()
		if err != nil {
			err = because(own, err)
			stop()
			cancel(nil)
			return nil, err
		}
		fail := func(err error) error { return because(own, err) }
		done := func() { stop(); cancel(nil) }
		resp.Body = &answer{body: resp.Body, left: maxAnswer, silence: silence, quiet: func() { cancel(errSilent) }, fail: fail, done: done}
		return resp, nil
	})
}

// because prefers why a request was ended to how that looked.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// answer is a body that does not stall for ever and does not fill memory.
type answer struct {
	body    io.ReadCloser
	left    int
	silence time.Duration
	quiet   func()
	fail    func(error) error
	done    func()
}

func (a *answer) Read(p []byte) (int, error) {
	timer := time.AfterFunc(a.silence, a.quiet)
	n, err := a.body.Read(p)
	timer.Stop()
	if a.left -= n; a.left < 0 {
		return 0, errTooLarge
	}
	if err != nil && !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = a.fail(err)
	}
	return n, err
}

func (a *answer) Close() error {
	err := a.body.Close()
	a.done()
	return err
}

// again tries until it works, it makes no sense, or ctx ends. The SDK's own repeating
// is never used: it has no end of its own and differs between clients.
func again[T any](ctx context.Context, opt Options, n need, try func() (T, error)) (T, error) {
	const maxPause = 30 * time.Second
	pause := opt.Pause
	for tries := 1; ; tries++ {
		out, err := try()
		if err == nil {
			return out, nil
		}
		e := n.explain(ctx, err)
		if ctx.Err() != nil || (e.Kind != purser.KindThrottled && e.Kind != purser.KindUnavailable) || tries >= opt.Tries {
			return out, e
		}
		wait := max(pause, e.RetryAfter)
		if wait > maxPause && e.RetryAfter > maxPause {
			return out, e
		}
		timer := time.NewTimer(min(wait, maxPause))
		select {
		case <-ctx.Done():
			timer.Stop()
			return out, ended(ctx, n.op)
		case <-timer.C:
		}
		pause *= 2
	}
}

// pager is an iterator of the SDK.
type pager[T any] interface {
	Next() (T, error)
	PageInfo() *iterator.PageInfo
}

// pages gives the items of a list, page by page; open begins at a page. Each page is
// an iterator of its own, since one that has failed once fails for ever.
func pages[T any](ctx context.Context, opt Options, n need, open func(token string) pager[T], take func(T) error) error {
	type page struct {
		items []T
		next  string
	}
	token := ""
	for {
		p, err := again(ctx, opt, n, func() (page, error) {
			items, next, err := readPage(open(token))
			return page{items, next}, err
		})
		if err != nil {
			return err
		}
		for _, item := range p.items {
			if err := take(item); err != nil {
				return err
			}
		}
		if token = p.next; token == "" {
			return nil
		}
	}
}

func readPage[T any](it pager[T]) (items []T, next string, err error) {
	for {
		item, err := it.Next()
		if errors.Is(err, iterator.Done) {
			return items, "", nil
		}
		if err != nil {
			return nil, "", err
		}
		items = append(items, item)
		if it.PageInfo().Remaining() == 0 {
			return items, it.PageInfo().Token, nil
		}
	}
}

// inParallel calls do for 0 to n-1, four at a time, until all are done or ctx ends.
func inParallel(ctx context.Context, n int, do func(i int)) {
	const workers = 4
	work := make(chan int)
	done := make(chan struct{})
	for range workers {
		go func() {
			defer func() { done <- struct{}{} }()
			for i := range work {
				do(i)
			}
		}()
	}
	for i := 0; i < n && ctx.Err() == nil; i++ {
		work <- i
	}
	close(work)
	for range workers {
		<-done
	}
}

// ended is the error of a call whose context has ended.
func ended(ctx context.Context, op string) *purser.Error {
	return purser.Errorf(purser.KindUnavailable, op, "the collection was ended: %w", ctx.Err())
}

// failures are the regions that could not be collected, in the order of their failing.
type failures struct {
	regions []string
	errs    []error
}

func (f *failures) add(region string, err error) {
	f.regions, f.errs = append(f.regions, region), append(f.errs, err)
}

// err names the regions and says why the first failed, with that one's kind.
func (f *failures) err(op string) error {
	if len(f.errs) == 0 {
		return nil
	}
	out := &purser.Error{Kind: purser.KindUnavailable, Op: op, Cause: f.errs[0]}
	said := f.errs[0].Error()
	if e, ok := errors.AsType[*purser.Error](f.errs[0]); ok {
		out.Kind, out.Hint, out.RetryAfter, out.Cause, said = e.Kind, e.Hint, e.RetryAfter, e.Cause, e.Message
	}
	out.Message = fmt.Sprintf("not collected: %s: %s", list(f.regions), said)
	return out
}
