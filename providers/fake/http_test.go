package fake_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"purser"
	"purser/providers"
	"purser/providers/fake"
	"purser/providers/providertest"
)

// sky serves any number of clouds on one address, each below a path of its own.
type sky struct {
	*httptest.Server
	mu     sync.Mutex
	clouds map[string]http.Handler
}

func newSky(t testing.TB) *sky {
	t.Helper()
	s := &sky{clouds: map[string]http.Handler{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		s.mu.Lock()
		h := s.clouds[name]
		s.mu.Unlock()
		http.StripPrefix("/"+name, h).ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// add gives a cloud an address.
func (s *sky) add(c *fake.Cloud) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := fmt.Sprintf("cloud-%d", len(s.clouds))
	s.clouds[name] = fake.Handler(c)
	return s.URL + "/" + name
}

func dial(t testing.TB, url, installation string, via http.RoundTripper) *fake.Client {
	t.Helper()
	c, err := fake.Dial(fake.DialConfig{URL: url, Installation: installation, Transport: via})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestConformanceHTTP(t *testing.T) {
	s := newSky(t)
	providertest.Run(t, func(t *testing.T) providertest.Subject {
		url := s.add(fake.New(fake.Config{BootTime: 20 * time.Millisecond, StopTime: 20 * time.Millisecond}))
		return providertest.Subject{
			Provider: dial(t, url, "ours", nil), Installation: "ours", Offer: offer(), Patience: 5 * time.Second,
			Again: func() providers.Provider { return dial(t, url, "ours", nil) },
			Other: func(name string) providers.Provider { return dial(t, url, name, nil) },
		}
	})
}

// Whatever becomes of requests and answers between client and cloud.
func TestStormHTTP(t *testing.T) {
	s := newSky(t)
	base := &http.Transport{}
	t.Cleanup(base.CloseIdleConnections)
	providertest.Storm(t, func(t *testing.T) providertest.World {
		now := newClock()
		cloud := fake.New(stormyConfig(now))
		url := s.add(cloud)
		return stormy(cloud, now, func(f *providertest.Faults) providers.Provider {
			c, err := fake.Dial(fake.DialConfig{URL: url, Installation: "ours", Transport: f.RoundTripper(base)})
			if err != nil {
				t.Fatal(err)
			}
			return c
		})
	}, providertest.StormOptions{})
}

// Every error of a cloud is the same error at the client.
func TestErrorsCrossTheWire(t *testing.T) {
	cloud := fake.New(fake.Config{})
	c := dial(t, newSky(t).add(cloud), "ours", nil)
	for _, kind := range []purser.Kind{
		purser.KindInvalid, purser.KindNotFound, purser.KindConflict, purser.KindUnauthorized, purser.KindForbidden, purser.KindInfeasible,
		purser.KindNoCapacity, purser.KindQuota, purser.KindThrottled, purser.KindStale, purser.KindUnavailable, purser.KindInternal,
	} {
		cloud.FailNext(fake.Launch, &purser.Error{Kind: kind, Message: "because", Hint: "do this", RetryAfter: 1500 * time.Millisecond})
		_, err := c.Launch(t.Context(), request("a"))
		got, ok := err.(*purser.Error) //nolint:errorlint // the error itself
		if !ok || got.Kind != kind || got.Message != "because" || got.Hint != "do this" || got.RetryAfter != 1500*time.Millisecond {
			t.Errorf("%s came as %#v", kind, err)
		}
	}
	if len(cloud.Machines()) != 0 {
		t.Errorf("failed launches left %+v", cloud.Machines())
	}
}

// All that a caller gives and gets is the same over the wire.
func TestTheWireLosesNothing(t *testing.T) {
	now := newClock()
	market := fake.BuiltIn(fake.Name)
	market.Quotas = []purser.Quota{{Name: "q", Limit: 10, Unit: purser.QuotaMachines, Option: purser.Spot}}
	held := market.Offers[0]
	held.Option = purser.Reserved
	market.Reserved = []providers.Reservation{{ID: "res-1", Offer: held, Total: 2, From: now.now(), Until: now.now().Add(time.Hour)}}
	config := fake.Config{Now: now.now, BootTime: time.Minute}
	market.Into(&config)
	cloud := fake.New(config)
	here, there := cloud.Provider("ours"), dial(t, newSky(t).add(cloud), "ours", nil)
	r := request("a")
	r.Lease.Offer = market.Offers[1]
	r.Lease.Offer.Terms.PerRequest = purser.MoneyOf(0.000000123)
	r.Pools = market.Offers[:3]
	if _, err := there.Launch(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	same := func(what string, a, b any, errs ...error) {
		t.Helper()
		for _, err := range errs {
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
		}
		if !reflect.DeepEqual(a, b) {
			t.Errorf("%s: here %+v, there %+v", what, a, b)
		}
	}
	in1, err1 := here.Launch(t.Context(), r)
	in2, err2 := there.Launch(t.Context(), r)
	same("launch", in1, in2, err1, err2)
	d1, err1 := here.Describe(t.Context(), r.Lease)
	d2, err2 := there.Describe(t.Context(), r.Lease)
	same("describe", d1, d2, err1, err2)
	l1, err1 := here.List(t.Context())
	l2, err2 := there.List(t.Context())
	same("list", l1, l2, err1, err2)
	q1, err1 := here.Quotas(t.Context())
	q2, err2 := there.Quotas(t.Context())
	same("quotas", q1, q2, err1, err2)
	o1, err1 := here.Offers(t.Context())
	o2, err2 := there.Offers(t.Context())
	same("offers", o1, o2, err1, err2)
	m2, err2 := there.Machines(t.Context())
	same("machines", cloud.Machines(), m2, err2)
	if len(l1) != 1 || len(o1) == 0 || len(q1.Reserved) != 1 || l1[0].Zone == "" && l1[0].Region == "" {
		t.Errorf("too little was compared: %+v %+v %+v", l1, o1, q1)
	}
}

// What is lost leaves no answer at all, and the effect that it had.
func TestLostCallsBreakTheConnection(t *testing.T) {
	cloud := fake.New(fake.Config{})
	url := newSky(t).add(cloud)
	c := dial(t, url, "ours", nil)
	cloud.LoseNext(fake.Launch, 1)
	if _, err := c.Launch(t.Context(), request("a")); purser.KindOf(err) != purser.KindUnavailable || !strings.Contains(err.Error(), "EOF") {
		t.Errorf("a lost answer came as %v", err)
	}
	if len(cloud.Machines()) != 1 {
		t.Errorf("machines: %+v", cloud.Machines())
	}
	if in, err := c.Launch(t.Context(), request("a")); err != nil || in.ID != cloud.Machines()[0].ID {
		t.Errorf("the launch after it: %+v, %v", in, err)
	}
	gone := fake.New(fake.Config{Calls: fake.Calls{LoseBefore: 1}})
	if _, err := dial(t, newSky(t).add(gone), "ours", nil).Launch(t.Context(), request("a")); purser.KindOf(err) != purser.KindUnavailable || len(gone.Machines()) != 0 {
		t.Errorf("a lost request: %v, %+v", err, gone.Machines())
	}
}

func TestHandlerRefusesWhatItDoesNotKnow(t *testing.T) {
	url := newSky(t).add(fake.New(fake.Config{}))
	good, _ := json.Marshal(map[string]string{"installation": "ours"})
	for name, c := range map[string]struct {
		method, path, kind, body string
		want                     int
	}{
		"a list":               {"POST", "/v1/list", "application/json", string(good), 200},
		"a charset":            {"POST", "/v1/list", "application/json; charset=utf-8", string(good), 200},
		"another method":       {"GET", "/v1/list", "application/json", "", 405},
		"an unknown call":      {"POST", "/v1/reboot", "application/json", "{}", 404},
		"a form":               {"POST", "/v1/list", "text/plain", string(good), 422},
		"no type":              {"POST", "/v1/list", "", string(good), 422},
		"an unknown field":     {"POST", "/v1/list", "application/json", `{"installation":"ours","x":1}`, 422},
		"half an object":       {"POST", "/v1/list", "application/json", `{"installation":`, 422},
		"two objects":          {"POST", "/v1/list", "application/json", `{} {}`, 422},
		"a huge body":          {"POST", "/v1/list", "application/json", `{"installation":"` + strings.Repeat("x", 9<<20) + `"}`, 422},
		"a launch of nothing":  {"POST", "/v1/launch", "application/json", `{}`, 422},
		"a knob that cannot":   {"POST", "/v1/turn", "application/json", `{"capacity":{"big":-7}}`, 422},
		"a hazard below zero":  {"POST", "/v1/turn", "application/json", `{"hazards":{"big":-1}}`, 422},
		"a quota without unit": {"POST", "/v1/turn", "application/json", `{"quotas":[{"name":"q","limit":1}]}`, 422},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), c.method, url+c.path, strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", c.kind)
			res, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			if res.StatusCode != c.want {
				t.Errorf("status %d, want %d", res.StatusCode, c.want)
			}
		})
	}
}

// A client that reaches something else says so by the contract's kinds.
func TestClientOfSomethingElse(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		want   purser.Kind
	}{
		"no JSON":        {200, "<html>", purser.KindUnavailable},
		"half an answer": {200, `{"instances":[`, purser.KindUnavailable},
		"401":            {401, "who", purser.KindUnauthorized},
		"403":            {403, "no", purser.KindForbidden},
		"404":            {404, "not here", purser.KindInvalid},
		"429":            {429, "", purser.KindThrottled},
		"302":            {302, "", purser.KindInvalid},
		"500":            {500, "oh", purser.KindUnavailable},
		"502":            {502, "<html>", purser.KindUnavailable},
		"unknown kind":   {500, `{"error":{"kind":"funny","message":"x"}}`, purser.KindUnavailable},
		"another status": {404, `{"error":{"kind":"quota","message":"x"}}`, purser.KindInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(c.status)
				_, _ = w.Write([]byte(c.body))
			}))
			defer s.Close()
			if _, err := dial(t, s.URL, "ours", nil).List(t.Context()); err == nil || purser.KindOf(err) != c.want {
				t.Errorf("List: %v, want %s", err, c.want)
			}
		})
	}
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	if _, err := dial(t, s.URL, "ours", nil).List(t.Context()); purser.KindOf(err) != purser.KindUnavailable {
		t.Errorf("nobody there: %v", err)
	}
	for _, url := range []string{"", "127.0.0.1:7070", "ftp://x", "http://", "://"} {
		if _, err := fake.Dial(fake.DialConfig{URL: url, Installation: "ours"}); purser.KindOf(err) != purser.KindInvalid {
			t.Errorf("Dial(%q): %v", url, err)
		}
	}
	if _, err := fake.Dial(fake.DialConfig{URL: "http://127.0.0.1:1"}); purser.KindOf(err) != purser.KindInvalid {
		t.Errorf("Dial for nobody: %v", err)
	}
}

// fill starts n machines over 30 zones.
func fill(t testing.TB, cloud *fake.Cloud, n int) {
	t.Helper()
	for i := range n {
		r := request(fmt.Sprintf("lease-%05d", i))
		r.Lease.Offer.Zone = fmt.Sprintf("zone-%d", i%30)
		r.Token = providers.ClientToken("ours", r.Lease)
		if _, err := cloud.Provider("ours").Launch(context.Background(), r); err != nil {
			t.Fatal(err)
		}
	}
}

// BenchmarkList5000 lists 5,000 machines of 30 zones over HTTP, at 50 ms a call.
func BenchmarkList5000(b *testing.B) {
	cloud := fake.New(fake.Config{Calls: fake.Calls{Latency: map[string]fake.Latency{fake.List: {Fixed: 50 * time.Millisecond}}}})
	fill(b, cloud, 5000)
	c := dial(b, newSky(b).add(cloud), "ours", nil)
	b.ReportAllocs()
	for b.Loop() {
		if all, err := c.List(b.Context()); err != nil || len(all) != 5000 {
			b.Fatalf("%d machines, %v", len(all), err)
		}
	}
}
