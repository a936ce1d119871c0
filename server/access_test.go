package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"purser"
	"purser/api"
	"purser/server"
)

// listening serves on a port of its own, as serve does, and gives its address.
func listening(t *testing.T, p server.Parts) (*server.Server, string) {
	t.Helper()
	s := server.New(server.Config{Version: "test", Logger: slog.New(slog.DiscardHandler)}, p)
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = s.Shutdown(ctx)
		if err := <-done; err != nil {
			t.Errorf("serving ended with %v", err)
		}
	})
	return s, "http://" + l.Addr().String()
}

// A stream that was opened with a token ends with that token: what happens after
// the revocation is not sent.
func TestRevocationEndsOpenStreams(t *testing.T) {
	h := start(t)
	h.revoked = map[string]bool{}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	operator := api.NewClient(h.url, "operator")
	file := api.JobFile{Text: "name: first\ntrain: {cpus: 1, run_time: 1m, command: 'true'}"}
	if _, err := operator.Submit(ctx, file); err != nil {
		t.Fatal(err)
	}
	seen := make(chan string, 8)
	done := make(chan error, 1)
	go func() {
		done <- api.NewClient(h.url, "viewer").Events(ctx, 0, func(e purser.Event) error { seen <- e.Name; return nil })
	}()
	if got := <-seen; got != "job-first" {
		t.Fatalf("first event: %s", got)
	}
	h.mu.Lock()
	h.revoked["viewer"] = true
	h.mu.Unlock()
	file.Text = strings.Replace(file.Text, "first", "second", 1)
	if _, err := operator.Submit(ctx, file); err != nil {
		t.Fatal(err)
	}
	if err := <-done; purser.KindOf(err) != purser.KindUnauthorized {
		t.Errorf("the follower ended with %v", err)
	}
	if len(seen) != 0 {
		t.Errorf("an event was sent after the revocation: %s", <-seen)
	}
}

func TestSignOutEndsTheSession(t *testing.T) {
	h := start(t)
	resp, body := h.call(t, "DELETE", "/v1/session", "", "", "Cookie", "purser_session=viewer")
	if resp.StatusCode != 204 || len(resp.cookies) != 1 || resp.cookies[0].MaxAge >= 0 {
		t.Fatalf("%d %s %v", resp.StatusCode, body, resp.cookies)
	}
	if fmt.Sprint(h.signedOut) != "[viewer]" {
		t.Errorf("sessions ended: %v", h.signedOut)
	}
	if resp, _ := h.call(t, "DELETE", "/v1/session", "", "", "Cookie", "purser_session=viewer", "Origin", "https://evil.example"); resp.StatusCode != 403 {
		t.Errorf("another site signed somebody out: %d", resp.StatusCode)
	}
}

// Refusals before any operation are problems too, and no answer of the API may be
// kept by a cache.
func TestRefusalsAreProblemsAndUncached(t *testing.T) {
	h := start(t)
	for name, c := range map[string]struct {
		method, path, body string
		header             []string
		status             int
	}{
		"another site":       {"POST", "/v1/logins", "", []string{"Authorization", "Bearer viewer", "Sec-Fetch-Site", "cross-site"}, 403},
		"another origin":     {"POST", "/v1/logins", "", []string{"Authorization", "Bearer viewer", "Origin", "https://evil.example"}, 403},
		"no token":           {"GET", "/v1/jobs", "", nil, 401},
		"not a bearer":       {"GET", "/v1/jobs", "", []string{"Authorization", "Basic dmlld2VyOg=="}, 401},
		"an empty bearer":    {"GET", "/v1/jobs", "", []string{"Authorization", "Bearer "}, 401},
		"long code":          {"POST", "/v1/session", `{"code":"` + strings.Repeat("x", 5000) + `"}`, nil, 413},
		"join of megabytes":  {"POST", "/v1/agent/join", `{"lease":"` + strings.Repeat("x", 1<<20) + `"}`, []string{"Authorization", "Bearer join"}, 413},
		"agent's bare call":  {"POST", "/v1/agent/report", `{"lease":"l","tasks":[],"logs":[]}`, nil, 401},
		"user's token there": {"POST", "/v1/agent/join", `{"lease":"l","secret":"` + strings.Repeat("a", 64) + `","host":"h","pid":1,"version":"v"}`, []string{"Authorization", "Bearer admin"}, 403},
	} {
		t.Run(name, func(t *testing.T) {
			resp, body := h.call(t, c.method, c.path, "", c.body, c.header...)
			if resp.StatusCode != c.status || resp.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%d %s %s", resp.StatusCode, resp.Header.Get("Content-Type"), body)
			}
			if resp.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("Cache-Control %q", resp.Header.Get("Cache-Control"))
			}
			if (resp.StatusCode == 401) != (resp.Header.Get("WWW-Authenticate") != "") && !strings.HasPrefix(c.path, "/v1/agent/") {
				t.Errorf("%d with WWW-Authenticate %q", resp.StatusCode, resp.Header.Get("WWW-Authenticate"))
			}
		})
	}
	if resp, _ := h.call(t, "GET", "/metrics", "", ""); resp.Header.Get("WWW-Authenticate") != "Bearer" {
		t.Error("metrics do not say how to sign in")
	}
}

// Methods are the caller's to invent; series are not.
func TestMetricsHaveBoundedSeries(t *testing.T) {
	h := start(t)
	for i := range 20 {
		h.call(t, fmt.Sprintf("BREW%d", i), fmt.Sprintf("/coffee/%d", i), "", "")
	}
	_, body := h.call(t, "GET", "/metrics", "viewer", "")
	if strings.Contains(body, "BREW") || strings.Contains(body, "coffee") || !strings.Contains(body, `method="other"`) {
		t.Errorf("the series hold what callers invent:\n%.2000s", body)
	}
}

// stuck never answers until it is released.
type stuck struct {
	plans
	begun, release chan struct{}
}

func (s stuck) List(ctx context.Context, _ int) ([]api.Plan, error) {
	close(s.begun)
	select {
	case <-s.release:
	case <-ctx.Done():
	}
	return nil, ctx.Err()
}

// A stop ends streams at once, and cuts off a call that outlasts it.
func TestShutdownWithOpenCalls(t *testing.T) {
	f := &fake{logins: map[string]bool{}}
	p := parts(f)
	held := stuck{plans{f}, make(chan struct{}), make(chan struct{})}
	p.Plans = held
	s, url := listening(t, p)
	stream := call(t, url+"/v1/events/stream")
	if stream.err != nil || stream.status != 200 {
		t.Fatalf("no stream: %+v", stream)
	}
	answered := make(chan opened, 1)
	go func() { answered <- call(t, url+"/v1/plans") }()
	<-held.begun
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) || purser.KindOf(err) != purser.KindUnavailable {
		t.Errorf("the stop says %v", err)
	}
	if _, err := io.ReadAll(stream.body); err != nil {
		t.Errorf("the stream did not end cleanly: %v", err)
	}
	if got := <-answered; got.err == nil {
		t.Errorf("the call that was cut off was answered with %d", got.status)
	}
}

// opened is an answer whose body is read by the test, and closed at its end.
type opened struct {
	status     int
	retryAfter string
	body       io.Reader
	err        error
}

func call(t *testing.T, url string) opened {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		return opened{err: err}
	}
	req.Header.Set("Authorization", "Bearer viewer")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return opened{err: err}
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return opened{resp.StatusCode, resp.Header.Get("Retry-After"), resp.Body, nil}
}

func TestFiveHundredStreamsAtMost(t *testing.T) {
	f := &fake{logins: map[string]bool{}}
	_, url := listening(t, parts(f))
	for i := range 500 {
		if got := call(t, url+"/v1/events/stream"); got.err != nil || got.status != http.StatusOK {
			t.Fatalf("stream %d: %+v", i+1, got)
		}
	}
	if got := call(t, url+"/v1/events/stream"); got.err != nil || got.status != http.StatusTooManyRequests || got.retryAfter == "" {
		t.Errorf("stream 501: %+v", got)
	}
}
