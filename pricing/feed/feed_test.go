package feed_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"purser"
	"purser/pricing"
	"purser/pricing/feed"
	"purser/pricing/pricingtest"
)

var seen = time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)

// shop is a collector of two regions over a Client, one request each.
type shop struct {
	url    string
	client *feed.Client
}

func (shop) Source() string { return "shop" }

func (s shop) Collect(ctx context.Context, emit func(pricing.Batch) error) error {
	var errs []error
	for _, region := range []string{"us-east-1", "eu-west-1"} {
		var prices map[string]float64
		at := s.url + "/" + region
		err := s.client.JSON(ctx, "shop.Collect", feed.Get(at+"?key=secret"), &prices)
		if ctx.Err() != nil || purser.KindOf(err) == purser.KindForbidden {
			return err
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		b := pricing.Batch{Source: "shop", Region: region, ObservedAt: seen}
		for name, p := range prices {
			b.Rows = append(b.Rows, pricing.Row{Place: at, Offer: purser.Offer{
				Provider: "aws", Region: region, InstanceType: name, Option: purser.OnDemand, Limit: purser.Unlimited, Source: "shop", ObservedAt: seen,
				UnitPrice: purser.USDPerHour(p * 1e9), Shape: purser.Shape{MilliCPU: 1000, MemoryMiB: 1024},
			}})
		}
		if err := emit(b); err != nil {
			return err
		}
	}
	if err := errors.Join(errs...); err != nil {
		return purser.Wrap(purser.KindOf(errs[0]), "shop.Collect", err)
	}
	return nil
}

func answer(w http.ResponseWriter, _ *http.Request) {
	_ = json.NewEncoder(w).Encode(map[string]float64{"small": 1.5})
}

func quick(client *http.Client) *feed.Client {
	return &feed.Client{HTTP: client, Tries: 3, Pause: time.Millisecond, Timeout: 200 * time.Millisecond, Stall: 200 * time.Millisecond}
}

func TestFaults(t *testing.T) {
	pricingtest.RunFaults(t, pricingtest.Feed{
		Handler: http.HandlerFunc(answer),
		New: func(url string, client *http.Client) pricing.Collector {
			return shop{url: url, client: quick(client)}
		},
	})
}

func TestConforms(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(answer))
	defer srv.Close()
	pricingtest.Run(t, func() pricing.Collector { return shop{srv.URL, quick(srv.Client())} })
}

func TestAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		status     int
		retryAfter string
		body       string
		kind       purser.Kind
		after      time.Duration
		says       string
	}{
		"no JSON":          {200, "", "<html>", purser.KindInvalid, 0, "does not have the form"},
		"other JSON":       {200, "", `[1]`, purser.KindInvalid, 0, "does not have the form"},
		"large":            {200, "", `{"a":1,` + strings.Repeat(" ", 1<<20) + `"b":2}`, purser.KindInvalid, 0, "larger than 1 MiB"},
		"bad request":      {400, "", "which?", purser.KindInvalid, 0, "400 Bad Request: which?"},
		"no key":           {401, "", "", purser.KindUnauthorized, 0, "401"},
		"gone":             {410, "", "", purser.KindNotFound, 0, "410"},
		"wait long":        {429, "3600", "", purser.KindThrottled, time.Hour, "429"},
		"wait nonsense":    {429, "-5", "", purser.KindThrottled, 0, "429"},
		"request time-out": {408, "", "", purser.KindUnavailable, 0, "408"},
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if c.retryAfter != "" {
				w.Header().Set("Retry-After", c.retryAfter)
			}
			w.WriteHeader(c.status)
			_, _ = io.WriteString(w, c.body)
		}))
		client := quick(srv.Client())
		client.MaxBytes = 1 << 20
		var out map[string]int
		err := client.JSON(t.Context(), "feed.Test", feed.Get(srv.URL+"/x?key=secret"), &out)
		srv.Close()
		e, ok := errors.AsType[*purser.Error](err)
		if !ok || e.Kind != c.kind || e.RetryAfter != c.after || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got %v (kind %s, retry after %s), want %s that says %q and no key", name, err, purser.KindOf(err), e.RetryAfter, c.kind, c.says)
		}
	}
}

func TestUnreachableKeepsKeysToItself(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	url := srv.URL
	srv.Close()
	err := quick(nil).JSON(t.Context(), "feed.Test", feed.Get(url+"/x?key=secret"), new(int))
	if purser.KindOf(err) != purser.KindUnavailable || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v, want unavailable without the key", err)
	}
}

func TestWaitsAsTold(t *testing.T) {
	var at []time.Time
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		at = append(at, time.Now())
		if len(at) == 1 {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		fmt.Fprint(w, "{}")
	}))
	defer srv.Close()
	if err := quick(srv.Client()).JSON(t.Context(), "feed.Test", feed.Get(srv.URL), new(map[string]int)); err != nil {
		t.Fatal(err)
	}
	if len(at) != 2 || at[1].Sub(at[0]) < time.Second {
		t.Errorf("asked at %v: Retry-After said a second", at)
	}
}

func TestKeepsItsPace(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "{}") }))
	defer srv.Close()
	client := quick(srv.Client())
	client.Every = 30 * time.Millisecond
	began := time.Now()
	for range 4 {
		if err := client.JSON(t.Context(), "feed.Test", feed.Get(srv.URL), new(map[string]int)); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(began); took < 90*time.Millisecond {
		t.Errorf("4 requests took %s: 30 ms lie between two", took)
	}
}

func TestStreamThatBreaksOff(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"hangs up": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, "half")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		},
		"stalls": func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, "half")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		},
	} {
		srv := httptest.NewServer(h)
		body, err := quick(srv.Client()).Open(t.Context(), "feed.Test", feed.Get(srv.URL))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		b, err := io.ReadAll(body)
		if string(b) != "half" || purser.KindOf(err) != purser.KindUnavailable {
			t.Errorf("%s: read %q and %v, want half and unavailable", name, b, err)
		}
		_ = body.Close()
		srv.CloseClientConnections()
		srv.Close()
	}
}
