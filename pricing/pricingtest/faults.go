package pricingtest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"sync"
	"testing"
	"time"

	"purser"
	"purser/pricing"
)

// Feed is a stand-in for the API that a collector reads, for the suite of faults.
type Feed struct {
	// Handler answers as the API does. It is asked by several goroutines.
	Handler http.Handler
	// New makes a collector of the server at url, to be reached with client. Its pauses
	// between tries must be short (milliseconds), its number of tries two or more, and
	// the time that it waits for an answer or for the next byte at most a second.
	New func(url string, client *http.Client) pricing.Collector
	// Throttle and Refuse answer as the API does when it throttles and when the
	// caller's permissions do not reach. Default: plain 429 and 403.
	Throttle, Refuse http.HandlerFunc
	// NoAuth says that the API asks for no credentials, so that Refuse is not tried.
	NoAuth bool
	// OneRequest says that a collection is one request, so that nothing can be half done.
	OneRequest bool
}

// RunFaults checks what a collector makes of an API that is slow, throttles, breaks
// off, fails or refuses. The feed must give at least one batch when nothing is wrong.
//
//   - A single fault of any request, that may pass, is survived: the same batches come.
//   - A fault that lasts gives an error of the right kind, and never an empty or
//     shorter batch of a region: a part of what is there would make the rest look gone.
func RunFaults(t *testing.T, feed Feed) {
	t.Helper()
	if feed.Throttle == nil {
		feed.Throttle = func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "slow down", http.StatusTooManyRequests) }
	}
	if feed.Refuse == nil {
		feed.Refuse = func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) }
	}
	good, requests := feed.whole(t)
	for name, fault := range map[string]struct {
		answer http.HandlerFunc
		kinds  []purser.Kind
	}{
		"throttled": {feed.Throttle, []purser.Kind{purser.KindThrottled}},
		"5xx":       {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "oops", http.StatusInternalServerError) }, unavailable},
		"gateway":   {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>", http.StatusBadGateway) }, unavailable},
		"hung up":   {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, unavailable},
		"cut off":   {feed.cut, unavailable},
		"silent":    {silent, unavailable},
	} {
		t.Run(name+" once", func(t *testing.T) {
			for at := range requests {
				got, err := feed.run(t, func(n int) http.HandlerFunc { return pick(n == at, fault.answer) })
				if err != nil {
					t.Errorf("request %d of %d: %v", at+1, requests, err)
				} else if err := sameSets(good, got); err != nil {
					t.Errorf("request %d of %d: %v", at+1, requests, err)
				}
			}
		})
		t.Run(name+" for good", func(t *testing.T) {
			for _, from := range starts(requests) {
				got, err := feed.run(t, func(n int) http.HandlerFunc { return pick(n >= from, fault.answer) })
				feed.judge(t, good, got, err, fault.kinds...)
			}
		})
	}
	if !feed.NoAuth {
		t.Run("refused", func(t *testing.T) {
			got, err := feed.run(t, func(int) http.HandlerFunc { return feed.Refuse })
			feed.judge(t, good, got, err, purser.KindForbidden, purser.KindUnauthorized)
		})
	}
}

// silent takes the request in and never answers. A body that is not read would keep the
// server from seeing that the client has hung up.
func silent(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

var unavailable = []purser.Kind{purser.KindUnavailable}

func pick(yes bool, h http.HandlerFunc) http.HandlerFunc {
	if yes {
		return h
	}
	return nil
}

// starts are the requests from which on a lasting fault is tried.
func starts(requests int) []int {
	if requests == 1 {
		return []int{0}
	}
	return []int{0, requests - 1}
}

// cut sends half of the true answer and hangs up.
func (f Feed) cut(w http.ResponseWriter, r *http.Request) {
	rec := httptest.NewRecorder()
	f.Handler.ServeHTTP(rec, r)
	for k, v := range rec.Header() {
		if k != "Content-Length" {
			w.Header()[k] = v
		}
	}
	w.WriteHeader(rec.Code)
	_, _ = w.Write(rec.Body.Bytes()[:rec.Body.Len()/2])
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

func (f Feed) whole(t *testing.T) (good []pricing.Batch, requests int) {
	t.Helper()
	var mu sync.Mutex
	good, err := f.run(t, func(int) http.HandlerFunc {
		mu.Lock()
		defer mu.Unlock()
		requests++
		return nil
	})
	if err != nil || len(good) == 0 {
		t.Fatalf("with nothing wrong it gave %d batches and: %v", len(good), err)
	}
	return good, requests
}

// run collects from a server that answers as fault says, by the number of the
// request, counted from 0; nil is the true answer.
func (f Feed) run(t *testing.T, fault func(n int) http.HandlerFunc) ([]pricing.Batch, error) {
	t.Helper()
	var mu sync.Mutex
	n := 0
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		at := n
		n++
		mu.Unlock()
		if h := fault(at); h != nil {
			h(w, r)
			return
		}
		f.Handler.ServeHTTP(w, r)
	}))
	srv.Config.ErrorLog = nil
	defer srv.Close()
	defer srv.CloseClientConnections()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	return collect(ctx, f.New(srv.URL, srv.Client()))
}

// judge looks at a collection that met a lasting fault.
func (f Feed) judge(t *testing.T, good, got []pricing.Batch, err error, kinds ...purser.Kind) {
	t.Helper()
	if err == nil {
		t.Error("it says that all is well")
		return
	}
	e, ok := errors.AsType[*purser.Error](err)
	if !ok {
		t.Errorf("the error is no *purser.Error: %v", err)
		return
	}
	fits := false
	for _, k := range kinds {
		fits = fits || e.Kind == k
	}
	if !fits {
		t.Errorf("the kind is %s, want one of %v: %v", e.Kind, kinds, err)
	}
	if f.OneRequest && len(got) > 0 {
		t.Errorf("%d batches came of a request that failed", len(got))
	}
	for _, b := range got {
		if !contains(good, b) {
			t.Errorf("a batch of region %q came that is not the whole of it: %d rows", b.Region, len(b.Rows))
		}
	}
}

// sameSets compares batches without regard to their order.
func sameSets(a, b []pricing.Batch) error {
	if len(a) != len(b) {
		return sameBatches(a, b)
	}
	for _, x := range b {
		if !contains(a, x) {
			return errors.New("a batch of region " + x.Region + " differs from what comes when nothing is wrong")
		}
	}
	return nil
}

func contains(list []pricing.Batch, b pricing.Batch) bool {
	for _, x := range list {
		if sameButPlace(x, b) {
			return true
		}
	}
	return false
}

// sameButPlace compares batches apart from the Place of rows, which may hold the
// address of the server.
func sameButPlace(a, b pricing.Batch) bool {
	strip := func(b pricing.Batch) pricing.Batch {
		rows := make([]pricing.Row, len(b.Rows))
		for i, r := range b.Rows {
			r.Place = ""
			rows[i] = r
		}
		b.Rows = rows
		return b
	}
	return reflect.DeepEqual(strip(a), strip(b))
}
