package azure_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	azfake "github.com/Azure/azure-sdk-for-go/sdk/azcore/fake"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"purser"
	"purser/pricing"
	"purser/pricing/azure"
)

func TestOptionsThatCannotBe(t *testing.T) {
	credential := &azfake.TokenCredential{}
	for name, c := range map[string]struct {
		options azure.Options
		make    func(azure.Options) (pricing.Collector, error)
		kind    purser.Kind
	}{
		"subscription alone":     {azure.Options{Subscription: "x"}, azure.New, purser.KindUnauthorized},
		"credential alone":       {azure.Options{Credential: credential}, azure.New, purser.KindInvalid},
		"history without either": {azure.Options{}, azure.NewSpotHistory, purser.KindUnauthorized},
		"no address":             {azure.Options{PriceURL: "prices"}, azure.New, purser.KindInvalid},
	} {
		made, err := c.make(c.options)
		e, ok := errors.AsType[*purser.Error](err)
		if made != nil || !ok || e.Kind != c.kind || e.Hint == "" {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestRegions(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range azure.DefaultRegions() {
		if seen[r] || pricing.Country("azure", r) == "" {
			t.Errorf("%s stands twice, or its country is not known", r)
		}
		seen[r] = true
	}
	if len(seen) < 40 {
		t.Errorf("%d regions", len(seen))
	}
}

// A region that fails is left out and named; the others come, in order.
func TestOneRegionFails(t *testing.T) {
	f := catalogueOf()
	srv := serve(t, f)
	made, err := azure.New(options(srv.URL, srv.Client(), "westus3", "nowhere", "eastus", "eastus"))
	got, err := gather(t, collector(t, made, err))
	if len(got) != 2 || got[0].Region != "eastus" || got[1].Region != "westus3" {
		t.Errorf("got %d batches", len(got))
	}
	if purser.KindOf(err) != purser.KindNotFound || !strings.Contains(err.Error(), "1 of 3 regions could not be read: nowhere: ") {
		t.Errorf("got %v", err)
	}
	made, err = azure.New(signedIn(options(srv.URL, srv.Client(), "nowhere")))
	if _, err := gather(t, collector(t, made, err)); purser.KindOf(err) != purser.KindNotFound || !strings.Contains(err.Error(), "sizes") {
		t.Errorf("got %v", err)
	}
}

const secret = "s3cr3t-t0ken"

type tokens struct {
	token string
	err   error
}

func (c *tokens) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: c.token, ExpiresOn: time.Now().Add(time.Hour)}, c.err
}

func both(t *testing.T, o azure.Options) map[string]pricing.Collector {
	t.Helper()
	prices, err := azure.New(o)
	prices = collector(t, prices, err)
	o.Subscription = ""
	history, err := azure.NewSpotHistory(o)
	return map[string]pricing.Collector{"Microsoft.Compute/skus/read": prices, "Microsoft.ResourceGraph/resources/read": collector(t, history, err)}
}

// A refusal ends the call at once: no region's prices without its restrictions.
func TestRefusals(t *testing.T) {
	login := func(status int) error {
		return &azidentity.AuthenticationFailedError{RawResponse: &http.Response{
			StatusCode: status, Status: http.StatusText(status), Header: http.Header{"Retry-After": {"7"}}, Body: http.NoBody,
		}}
	}
	for name, c := range map[string]struct {
		credential *tokens
		status     int
		kind       purser.Kind
		retryAfter time.Duration
	}{
		"expired":        {&tokens{token: secret}, http.StatusUnauthorized, purser.KindUnauthorized, 0},
		"not permitted":  {&tokens{token: secret}, http.StatusForbidden, purser.KindForbidden, 0},
		"no login":       {&tokens{err: azidentity.NewCredentialUnavailableError("no managed identity")}, 0, purser.KindUnauthorized, 0},
		"wrong login":    {&tokens{err: login(http.StatusUnauthorized)}, 0, purser.KindUnauthorized, 0},
		"login is busy":  {&tokens{err: login(http.StatusTooManyRequests)}, 0, purser.KindThrottled, 7 * time.Second},
		"login is away":  {&tokens{err: login(http.StatusServiceUnavailable)}, 0, purser.KindUnavailable, 7 * time.Second},
		"another tenant": {&tokens{token: secret}, http.StatusNotFound, purser.KindNotFound, 0},
		"busy":           {&tokens{token: secret}, http.StatusTooManyRequests, purser.KindThrottled, 17 * time.Second},
	} {
		srv := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") == "" {
				catalogueOf().ServeHTTP(w, r)
				return
			}
			if c.status == http.StatusTooManyRequests {
				w.Header().Set("Retry-After", "17")
			}
			refuse(w, c.status, "Refused")
		}))
		o := signedIn(options(srv.URL, srv.Client(), regions...))
		o.Credential = c.credential
		for permission, made := range both(t, o) {
			got, err := gather(t, made)
			e, ok := errors.AsType[*purser.Error](err)
			if !ok || e.Kind != c.kind || e.RetryAfter != c.retryAfter || len(got) != 0 {
				t.Errorf("%s: got %d batches and %v", name, len(got), err)
				continue
			}
			refusal := c.kind == purser.KindUnauthorized || c.kind == purser.KindForbidden
			if refusal && (!strings.Contains(e.Message, permission) || e.Hint == "") {
				t.Errorf("%s: %v does not name %s, or what to do", name, err, permission)
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%s: the token is told", name)
			}
		}
	}
}

// A token that Azure no longer takes is replaced when it is collected again.
func TestExpiredToken(t *testing.T) {
	f := catalogueOf()
	f.token = "new"
	srv := serve(t, f)
	c := &tokens{token: "old"}
	o := signedIn(options(srv.URL, srv.Client(), regions...))
	o.Credential = c
	collectors := both(t, o)
	for _, made := range collectors {
		if _, err := gather(t, made); purser.KindOf(err) != purser.KindUnauthorized {
			t.Errorf("got %v", err)
		}
	}
	c.token = "new"
	for _, made := range collectors {
		if got, err := gather(t, made); err != nil || len(got) != 2 {
			t.Errorf("got %d batches and %v", len(got), err)
		}
	}
}

func TestAnswersOfAnotherForm(t *testing.T) {
	for name, body := range map[string]string{"html": "<html>", "a list": "[1,2]", "numbers": `{"value":[1],"data":[1],"Items":[1]}`} {
		srv := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) }))
		for _, made := range both(t, signedIn(options(srv.URL, srv.Client(), "eastus"))) {
			if got, err := gather(t, made); purser.KindOf(err) != purser.KindInvalid || len(got) != 0 {
				t.Errorf("%s: got %d batches and %v", name, len(got), err)
			}
		}
		made, err := azure.New(options(srv.URL, srv.Client(), "eastus"))
		if got, err := gather(t, collector(t, made, err)); purser.KindOf(err) != purser.KindInvalid || len(got) != 0 {
			t.Errorf("%s: got %d batches and %v", name, len(got), err)
		}
	}
}
