package gcp

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/auth"

	"purser"
	"purser/pricing"
	"purser/pricing/pricingtest"
)

// throttle answers as Compute Engine does, with 403 and a reason.
func throttle(w http.ResponseWriter, _ *http.Request) {
	refuse(w, http.StatusForbidden, "PERMISSION_DENIED", "rateLimitExceeded", "Rate Limit Exceeded")
}

func forbid(w http.ResponseWriter, _ *http.Request) {
	refuse(w, http.StatusForbidden, "PERMISSION_DENIED", "forbidden", "Required permission is missing")
}

func TestFaults(t *testing.T) {
	t.Parallel()
	w := world()
	w.skuPage, w.machinePage, w.tpuPage = 60, 500, 100
	pricingtest.RunFaults(t, pricingtest.Feed{
		Handler: w, Throttle: throttle, Refuse: forbid,
		New: func(url string, client *http.Client) pricing.Collector {
			opt := quick(url, client)
			opt.Project = "proj"
			return must(New(opt))
		},
	})
}

func TestSpotFaults(t *testing.T) {
	t.Parallel()
	w := spotWorld()
	w.machinePage = 6
	pricingtest.RunFaults(t, pricingtest.Feed{
		Handler: w, Refuse: forbid,
		New: func(url string, client *http.Client) pricing.Collector {
			opt := quick(url, client)
			opt.Project = "proj"
			return must(NewSpotHistory(opt))
		},
	})
}

// failing answers requests whose path contains a part in its own way.
func failing(h http.Handler, part string, answer http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, part) {
			answer(w, r)
			return
		}
		h.ServeHTTP(w, r)
	})
}

func saying(code int, status, reason string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { refuse(w, code, status, reason, "it says why") }
}

func TestErrors(t *testing.T) {
	for name, c := range map[string]struct {
		part   string
		answer http.HandlerFunc
		kind   purser.Kind
		says   string
		spot   bool
	}{
		"expired token":          {"/skus", saying(401, "UNAUTHENTICATED", "authError"), purser.KindUnauthorized, "have expired", false},
		"bad key":                {"/skus", saying(400, "INVALID_ARGUMENT", "API_KEY_INVALID"), purser.KindUnauthorized, "API key is not valid", false},
		"catalogue not enabled":  {"/skus", saying(403, "PERMISSION_DENIED", "SERVICE_DISABLED"), purser.KindForbidden, "gcloud services enable cloudbilling.googleapis.com", false},
		"catalogue forbidden":    {"/skus", forbid, purser.KindForbidden, "enable cloudbilling.googleapis.com", false},
		"machine types":          {"/machineTypes", forbid, purser.KindForbidden, "compute.machineTypes.list", false},
		"compute not enabled":    {"/machineTypes", saying(403, "PERMISSION_DENIED", "accessNotConfigured"), purser.KindForbidden, "compute.googleapis.com, which is not enabled", false},
		"accelerator types":      {"/aggregated/acceleratorTypes", forbid, purser.KindForbidden, "compute.acceleratorTypes.list", false},
		"no such project":        {"/machineTypes", saying(404, "NOT_FOUND", "notFound"), purser.KindNotFound, "404", false},
		"TPU not enabled":        {"/v2/", saying(403, "PERMISSION_DENIED", "SERVICE_DISABLED"), purser.KindForbidden, "gcloud services enable tpu.googleapis.com; or collect without TPUs", false},
		"TPU zones":              {"/v2/projects/proj/locations", forbid, purser.KindForbidden, "tpu.locations.list", false},
		"TPU types everywhere":   {"/acceleratorTypes", tpuOnly(forbid), purser.KindForbidden, "tpu.acceleratorTypes.list", false},
		"quota in 403":           {"/skus", saying(403, "PERMISSION_DENIED", "RATE_LIMIT_EXCEEDED"), purser.KindThrottled, "403", false},
		"quota in 429":           {"/skus", saying(429, "RESOURCE_EXHAUSTED", "rateLimitExceeded"), purser.KindThrottled, "429", false},
		"server error":           {"/machineTypes", saying(503, "UNAVAILABLE", "backendError"), purser.KindUnavailable, "503", false},
		"no JSON":                {"/skus", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }, purser.KindInvalid, "form", false},
		"no JSON of TPUs":        {"/v2/", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }, purser.KindInvalid, "form", false},
		"wrong type":             {"/skus", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"skus":7}`)) }, purser.KindInvalid, "form", false},
		"history forbidden":      {"/advice/", forbid, purser.KindForbidden, "compute.advice.capacityHistory", true},
		"history not understood": {"/advice/", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("[]")) }, purser.KindInvalid, "form", true},
		"history throttled":      {"/advice/", saying(429, "RESOURCE_EXHAUSTED", "rateLimitExceeded"), purser.KindThrottled, "us-central1, us-east4", true},
	} {
		t.Run(name, func(t *testing.T) {
			opt := serve(t, failing(spotWorld(), c.part, c.answer))
			opt.Project = "proj"
			collecting := must(New(opt))
			if c.spot {
				collecting = must(NewSpotHistory(opt))
			}
			batches := 0
			err := collecting.Collect(t.Context(), func(pricing.Batch) error { batches++; return nil })
			if purser.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.says) || batches > 0 {
				t.Errorf("%d batches, kind %s, want %s and %q: %v", batches, purser.KindOf(err), c.kind, c.says, err)
			}
		})
	}
}

// tpuOnly lets Compute Engine's accelerator types through.
func tpuOnly(answer http.HandlerFunc) http.HandlerFunc {
	w := spotWorld()
	return func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/v2/") {
			answer(rw, r)
			return
		}
		w.ServeHTTP(rw, r)
	}
}

// TestClosedZone has one TPU zone that refuses the project, and one that is broken.
func TestClosedZone(t *testing.T) {
	h := failing(world(), "/us-east5-a/", forbid)
	h = failing(h, "/europe-west4-b/", saying(500, "INTERNAL", "backendError"))
	opt := serve(t, h)
	opt.Project = "proj"
	got := map[string]int{}
	err := must(New(opt)).Collect(t.Context(), func(b pricing.Batch) error { got[b.Region] = len(b.Rows); return nil })
	if purser.KindOf(err) != purser.KindUnavailable || !strings.Contains(err.Error(), "europe-west4") || strings.Contains(err.Error(), "us-east5") {
		t.Errorf("the error is %v", err)
	}
	if _, ok := got["europe-west4"]; ok || got["us-east5"] != 0 || got["us-central2"] == 0 {
		t.Errorf("rows by region %v", got)
	}
}

func TestRetryAfter(t *testing.T) {
	opt := serve(t, failing(world(), "/skus", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "90")
		refuse(w, http.StatusTooManyRequests, "RESOURCE_EXHAUSTED", "rateLimitExceeded", "slow down")
	}))
	err := must(New(opt)).Collect(t.Context(), func(pricing.Batch) error { return nil })
	if e, ok := errors.AsType[*purser.Error](err); !ok || e.Kind != purser.KindThrottled || e.RetryAfter != 90*time.Second {
		t.Errorf("the error is %v", err)
	}
}

// TestSlowBody gives an answer in pieces, whose whole takes longer than silence may.
func TestSlowBody(t *testing.T) {
	w := world()
	want := len(offers(t, serve(t, w)))
	opt := serve(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rec := httptest.NewRecorder()
		w.ServeHTTP(rec, r)
		rest, size := rec.Body.Bytes(), rec.Body.Len()/4+1
		for len(rest) > 0 {
			n := min(size, len(rest))
			_, _ = rw.Write(rest[:n])
			_ = http.NewResponseController(rw).Flush()
			rest = rest[n:]
			tick := time.NewTimer(30 * time.Millisecond)
			<-tick.C
		}
	}))
	opt.Silence, opt.Tries = 100*time.Millisecond, 6
	w.skuPage = 1000
	if got := len(offers(t, opt)); got != want {
		t.Errorf("%d offers, want %d", got, want)
	}
}

// TestCredentials checks what is sent, and that errors do not hold it.
func TestCredentials(t *testing.T) {
	const secret = "AIza-very-secret"
	token := func(context.Context) (*auth.Token, error) {
		return &auth.Token{Value: secret, Type: "Bearer", Expiry: time.Now().Add(time.Hour)}, nil
	}
	own := auth.NewCredentials(&auth.CredentialsOptions{TokenProvider: provide(token)})
	var sent []string
	opt := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent = append(sent, r.URL.Path+" "+r.URL.Query().Get("key")+" "+r.Header.Get("X-Goog-Api-Key")+" "+r.Header.Get("Authorization"))
		refuse(w, 500, "INTERNAL", "backendError", "oops")
	}))
	for name, c := range map[string]struct {
		set  func(*Options)
		want string
	}{
		"key":         {func(o *Options) { o.APIKey = secret }, " " + secret + " "},
		"credentials": {func(o *Options) { o.Credentials = own }, "  Bearer " + secret},
		"key first":   {func(o *Options) { o.APIKey, o.Credentials = secret, own }, " " + secret + " "},
	} {
		t.Run(name, func(t *testing.T) {
			sent = nil
			o := opt
			c.set(&o)
			err := must(New(o)).Collect(t.Context(), func(pricing.Batch) error { return nil })
			if purser.KindOf(err) != purser.KindUnavailable || strings.Contains(err.Error(), secret) {
				t.Errorf("the error is %v", err)
			}
			if len(sent) == 0 || !strings.HasSuffix(sent[0], "/skus "+c.want) {
				t.Errorf("it sent %q, want %q", sent, c.want)
			}
		})
	}
}

type provide func(context.Context) (*auth.Token, error)

func (p provide) Token(ctx context.Context) (*auth.Token, error) { return p(ctx) }

// TestNoToken has credentials that are no longer taken, and a token service that fails.
func TestNoToken(t *testing.T) {
	for status, kind := range map[int]purser.Kind{400: purser.KindUnauthorized, 401: purser.KindUnauthorized, 503: purser.KindUnavailable} {
		opt := serve(t, world())
		opt.Credentials = auth.NewCredentials(&auth.CredentialsOptions{TokenProvider: provide(func(context.Context) (*auth.Token, error) {
			return nil, &auth.Error{Response: &http.Response{StatusCode: status}, Body: []byte(`{"error":"invalid_grant"}`), Err: errors.New("secret")}
		})})
		err := must(New(opt)).Collect(t.Context(), func(pricing.Batch) error { return nil })
		if purser.KindOf(err) != kind || strings.Contains(err.Error(), "secret") {
			t.Errorf("status %d: kind %s: %v", status, purser.KindOf(err), err)
		}
	}
}

func TestNoCredentials(t *testing.T) {
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", t.TempDir()+"/none.json")
	opt := serve(t, world())
	opt.HTTPClient = nil
	err := must(New(opt)).Collect(t.Context(), func(pricing.Batch) error { return nil })
	if purser.KindOf(err) != purser.KindUnauthorized || !strings.Contains(err.Error(), "gcloud auth application-default login") {
		t.Errorf("the error is %v", err)
	}
}

func TestOptions(t *testing.T) {
	for name, opt := range map[string]Options{"project": {Project: "../other"}, "region": {Project: "p", Regions: []string{"us/east"}}} {
		if _, err := New(opt); purser.KindOf(err) != purser.KindInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := NewSpotHistory(Options{}); purser.KindOf(err) != purser.KindInvalid {
		t.Errorf("a history without a project: %v", err)
	}
	if c := must(New(Options{Project: "example.com:my-project"})); c.Source() != "gcp" {
		t.Errorf("the source is %s", c.Source())
	}
}
