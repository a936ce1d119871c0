package providers_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"pgregory.net/rapid"

	"purser"
	"purser/providers"
	"purser/providers/fake"
)

// waits is a clock on which waiting is what passes time.
type waits struct {
	at    time.Time
	slept []time.Duration
}

func newWaits() *waits { return &waits{at: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)} }

func (w *waits) now() time.Time { return w.at }

func (w *waits) wait(ctx context.Context, d time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	w.at = w.at.Add(d)
	if d > 0 {
		w.slept = append(w.slept, d)
	}
	return nil
}

func throttled(after time.Duration) error {
	return &purser.Error{Kind: purser.KindThrottled, Message: "slowly", RetryAfter: after}
}

func unavailable() error { return purser.Errorf(purser.KindUnavailable, "x", "no answer") }

func TestRetry(t *testing.T) {
	for _, c := range []struct {
		name  string
		fails []error
		want  purser.Kind // empty: it works in the end
		slept []time.Duration
	}{
		{"works at once", nil, "", nil},
		{"unavailable twice", []error{unavailable(), unavailable()}, "", []time.Duration{200 * time.Millisecond, 400 * time.Millisecond}},
		{"the provider names a pause", []error{throttled(3 * time.Second)}, "", []time.Duration{3 * time.Second}},
		{"the provider names too long a pause", []error{throttled(time.Hour)}, purser.KindThrottled, nil},
		{"too many times", []error{unavailable(), unavailable(), unavailable(), unavailable()}, purser.KindUnavailable, []time.Duration{200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond}},
		{"no capacity is not repeated", []error{purser.Errorf(purser.KindNoCapacity, "x", "none")}, purser.KindNoCapacity, nil},
		{"quota is not repeated", []error{purser.Errorf(purser.KindQuota, "x", "limit")}, purser.KindQuota, nil},
		{"an unknown fault is not repeated", []error{errors.New("?")}, purser.KindInternal, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			cloud, w := fake.New(fake.Config{}), newWaits()
			cloud.FailNext(fake.List, c.fails...)
			_, err := providers.WithRetry(cloud.Provider("ours"), providers.Retry{}, w.wait).List(t.Context())
			if (err == nil) != (c.want == "") || (err != nil && purser.KindOf(err) != c.want) || !slices.Equal(w.slept, c.slept) {
				t.Errorf("got %v after %v; want %q after %v", err, w.slept, c.want, c.slept)
			}
		})
	}
}

func TestRetryBudget(t *testing.T) {
	cloud, w := fake.New(fake.Config{}), newWaits()
	p := providers.WithRetry(cloud.Provider("ours"), providers.Retry{Tries: 100, Budget: 3}, w.wait)
	for range 20 {
		cloud.FailNext(fake.List, unavailable())
	}
	if _, err := p.List(t.Context()); err == nil || len(w.slept) != 3 {
		t.Fatalf("a budget of 3 gave %d retries, %v", len(w.slept), err)
	}
	if _, err := p.List(t.Context()); err == nil || len(w.slept) != 3 {
		t.Fatalf("an empty budget gave a retry: %d, %v", len(w.slept), err)
	}
	for { // ten that work give one retry back
		if _, err := p.List(t.Context()); err == nil {
			break
		}
	}
	for range 9 {
		_, _ = p.List(t.Context())
	}
	cloud.FailNext(fake.List, unavailable())
	if _, err := p.List(t.Context()); err != nil || len(w.slept) != 4 {
		t.Fatalf("the budget did not come back: %d, %v", len(w.slept), err)
	}
}

func TestRetryStopsWithItsCaller(t *testing.T) {
	cloud, w := fake.New(fake.Config{}), newWaits()
	p := providers.WithRetry(cloud.Provider("ours"), providers.Retry{}, w.wait)
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(50*time.Millisecond)) // less than the first pause
	defer cancel()
	cloud.FailNext(fake.List, unavailable())
	if _, err := p.List(ctx); purser.KindOf(err) != purser.KindUnavailable || len(w.slept) != 0 {
		t.Errorf("a pause was begun that outlasts the caller: %v, %v", w.slept, err)
	}
}

// A lost answer of a launch is repaired by the retry: one machine, and its answer.
func TestRetryAfterALostAnswer(t *testing.T) {
	cloud, w := fake.New(fake.Config{}), newWaits()
	p := providers.WithRetry(cloud.Provider("ours"), providers.Retry{}, w.wait)
	cloud.LoseNext(fake.Launch, 2)
	l := purser.Lease{ID: "a", Attempt: 1}
	in, err := p.Launch(t.Context(), providers.Request{Lease: l, Installation: "ours", Token: providers.ClientToken("ours", l)})
	if err != nil || in.ID == "" || len(cloud.Machines()) != 1 {
		t.Errorf("%+v, %v, %d machines", in, err, len(cloud.Machines()))
	}
}

func TestRateLimit(t *testing.T) {
	cloud, w := fake.New(fake.Config{}), newWaits()
	p := providers.WithRateLimit(cloud.Provider("ours"), providers.RateLimit{PerSecond: 2, Burst: 3}, nil, w.now, w.wait)
	for range 7 {
		if _, err := p.List(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	half := 500 * time.Millisecond
	if !slices.Equal(w.slept, []time.Duration{half, half, half, half}) {
		t.Errorf("three at once, then two a second: waited %v", w.slept)
	}
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(10*time.Millisecond))
	defer cancel()
	_, err := p.List(ctx)
	var e *purser.Error
	if !errors.As(err, &e) || e.Kind != purser.KindThrottled || e.RetryAfter != half {
		t.Errorf("a turn after the deadline: %v", err)
	}
}

// In no second are there more calls than the rate and the burst allow.
func TestRateLimitHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWaits()
		rate, burst := rapid.IntRange(1, 50).Draw(t, "rate"), rapid.IntRange(1, 20).Draw(t, "burst")
		var calls []time.Time
		cloud := fake.New(fake.Config{Hook: func(_ context.Context, _ string, _ purser.LeaseID, done bool) error {
			if !done {
				calls = append(calls, w.at)
			}
			return nil
		}})
		p := providers.WithRateLimit(cloud.Provider("ours"), providers.RateLimit{PerSecond: float64(rate), Burst: burst}, nil, w.now, w.wait)
		for range rapid.IntRange(1, 100).Draw(t, "calls") {
			w.at = w.at.Add(time.Duration(rapid.IntRange(0, 300).Draw(t, "idle ms")) * time.Millisecond)
			if _, err := p.List(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		for i, from := range calls {
			n := 0
			for _, c := range calls[i:] {
				if c.Sub(from) < time.Second {
					n++
				}
			}
			if n > rate+burst {
				t.Fatalf("%d calls within a second; %d a second and %d at once are allowed", n, rate, burst)
			}
		}
	})
}

func TestBreaker(t *testing.T) {
	cloud, w := fake.New(fake.Config{}), newWaits()
	calls := 0
	hooked := fake.New(fake.Config{Hook: func(_ context.Context, _ string, _ purser.LeaseID, done bool) error {
		calls++
		return unavailable()
	}})
	p := providers.WithBreaker(hooked.Provider("ours"), providers.Breaker{Failures: 3, OpenFor: 10 * time.Second}, w.now)
	list := func() error { _, err := p.List(t.Context()); return err }
	for range 5 {
		_ = list()
	}
	var e *purser.Error
	if err := list(); calls != 3 || !errors.As(err, &e) || e.Kind != purser.KindUnavailable || e.RetryAfter != 10*time.Second {
		t.Fatalf("after 3 failures %d calls came through; %v", calls, err)
	}
	if _ = p.Terminate(t.Context(), purser.Lease{ID: "a"}); calls != 4 {
		t.Error("a machine cannot be ended while the circuit is open")
	}
	w.at = w.at.Add(10 * time.Second)
	if _, _ = list(), list(); calls != 5 {
		t.Errorf("after the pause %d calls came through instead of one", calls-4)
	}

	p = providers.WithBreaker(cloud.Provider("ours"), providers.Breaker{Failures: 2, OpenFor: 10 * time.Second}, w.now)
	cloud.FailNext(fake.List, unavailable(), purser.Errorf(purser.KindQuota, "x", "limit"), unavailable())
	_, _, _ = list(), list(), list()
	if err := list(); err != nil {
		t.Errorf("failures that are not in a row open the circuit: %v", err)
	}
	cloud.FailNext(fake.List, unavailable(), unavailable())
	_, _ = list(), list()
	w.at = w.at.Add(10 * time.Second)
	if first, second := list(), list(); first != nil || second != nil {
		t.Errorf("a trial that works does not close the circuit: %v, %v", first, second)
	}
}

func TestMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	m, err := providers.NewMetrics(reg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := providers.NewMetrics(reg); err == nil {
		t.Error("metrics can be registered twice")
	}
	cloud, w := fake.New(fake.Config{}), newWaits()
	p := m.Wrap(cloud.Provider("ours"), w.now)
	cloud.FailNext(fake.List, throttled(0))
	_, _ = p.List(t.Context())
	_, _ = p.List(t.Context())
	_, _ = p.Describe(t.Context(), purser.Lease{ID: "none"})
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range families {
		for _, m := range f.GetMetric() {
			labels := ""
			for _, l := range m.GetLabel() {
				labels += " " + l.GetName() + "=" + l.GetValue()
			}
			got = append(got, fmt.Sprintf("%s%s: %v %d", f.GetName(), labels, m.GetCounter().GetValue(), m.GetHistogram().GetSampleCount()))
		}
	}
	want := []string{
		"purser_provider_call_seconds call=describe provider=fake: 0 1",
		"purser_provider_call_seconds call=list provider=fake: 0 2",
		"purser_provider_calls_total call=describe kind=not_found provider=fake: 1 0",
		"purser_provider_calls_total call=list kind=ok provider=fake: 1 0",
		"purser_provider_calls_total call=list kind=throttled provider=fake: 1 0",
	}
	if !slices.Equal(got, want) {
		t.Errorf("metrics are %q, want %q", got, want)
	}
}

func TestClientToken(t *testing.T) {
	l := purser.Lease{ID: "lease-1", Attempt: 1, Offer: purser.Offer{Provider: "aws", InstanceType: "p5"}}
	token := providers.ClientToken("ours", l)
	if len(token) != 64 || strings.Trim(token, "0123456789abcdef") != "" {
		t.Errorf("token %q is not 64 characters that every cloud takes", token)
	}
	later := l
	later.State, later.Fence, later.Instance, later.Reason = purser.LeaseRunning, 9, "i-1", "x"
	if providers.ClientToken("ours", later) != token {
		t.Error("the token changes while the attempt does not")
	}
	for name, change := range map[string]func(*purser.Lease){
		"lease":   func(l *purser.Lease) { l.ID = "lease-2" },
		"attempt": func(l *purser.Lease) { l.Attempt = 2 },
		"offer":   func(l *purser.Lease) { l.Offer.InstanceType = "p4d" },
	} {
		x := l
		change(&x)
		if providers.ClientToken("ours", x) == token {
			t.Errorf("another %s has the same token", name)
		}
	}
	if providers.ClientToken("theirs", l) == token {
		t.Error("another installation has the same token")
	}
}

type offering struct{ providers.Provider }

func (offering) Offers(context.Context) ([]purser.Offer, error) { return nil, nil }

func TestOffererIsFoundBelowDecorators(t *testing.T) {
	p := struct{ providers.Provider }{fake.New(fake.Config{}).Provider("ours")}
	if _, ok := providers.As[providers.Offerer](providers.Decorate(offering{p}, providers.Options{})); !ok {
		t.Error("the decorators hide the offers")
	}
	if _, ok := providers.As[providers.Offerer](providers.Decorate(p, providers.Options{})); ok {
		t.Error("a provider without offers has some")
	}
}

// Each call that has a limit of its own waits for that one alone.
func TestRateLimitByCall(t *testing.T) {
	cloud, w := fake.New(fake.Config{}), newWaits()
	p := providers.WithRateLimit(cloud.Provider("ours"), providers.RateLimit{PerSecond: 1, Burst: 1}, map[string]providers.RateLimit{"list": {PerSecond: 10, Burst: 2}}, w.now, w.wait)
	for range 3 {
		if _, err := p.List(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		_, _ = p.Describe(t.Context(), purser.Lease{ID: "none"})
	}
	if want := []time.Duration{100 * time.Millisecond, time.Second}; !slices.Equal(w.slept, want) {
		t.Errorf("waited %v, want %v", w.slept, want)
	}
}

func TestDryRun(t *testing.T) {
	cloud := fake.New(fake.Config{})
	p := providers.Decorate(offering{cloud.Provider("ours")}, providers.Options{DryRun: true})
	l := purser.Lease{ID: "a", Offer: purser.Offer{InstanceType: "p5", Option: purser.Spot, Region: "r", Zone: "r-a"}}
	_, err := p.Launch(t.Context(), providers.Request{Lease: l, Installation: "ours", Token: "t"})
	if purser.KindOf(err) != purser.KindForbidden || !strings.Contains(err.Error(), "fake would start p5 (spot) in r-a for lease a") {
		t.Errorf("Launch: %v", err)
	}
	if err := p.Terminate(t.Context(), l); purser.KindOf(err) != purser.KindForbidden {
		t.Errorf("Terminate: %v", err)
	}
	if _, err := p.Launch(t.Context(), providers.Request{}); purser.KindOf(err) != purser.KindInvalid {
		t.Errorf("an unfit launch: %v", err)
	}
	if all, err := p.List(t.Context()); err != nil || len(all) != 0 || len(cloud.Machines()) != 0 {
		t.Errorf("List: %v, %v", all, err)
	}
	if _, ok := providers.As[providers.Offerer](p); !ok {
		t.Error("a dry run hides the offers")
	}
}
