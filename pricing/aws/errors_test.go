package aws

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"

	"purser"
	"purser/pricing"
)

// always answers an action with an error, in the regions named or in all.
func always(h http.HandlerFunc, action string, regions ...string) func(string, string) http.HandlerFunc {
	return func(a, region string) http.HandlerFunc {
		if strings.HasPrefix(a, action) && (len(regions) == 0 || slices.Contains(regions, region)) {
			return h
		}
		return nil
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		collector string
		fault     func(string, string) http.HandlerFunc
		kind      purser.Kind
		says      string
		most      int // requests
	}{
		"may not ask for regions":   {"spot", always(ec2Error(403, "UnauthorizedOperation", "no"), "ec2:DescribeRegions"), purser.KindForbidden, "ec2:DescribeRegions", 1},
		"may not ask for spot":      {"spot", always(ec2Error(403, "UnauthorizedOperation", "no"), "ec2:DescribeSpotPriceHistory"), purser.KindForbidden, "ec2:DescribeSpotPriceHistory", 99},
		"may not ask for types":     {"on demand", always(ec2Error(403, "UnauthorizedOperation", "no"), "ec2:DescribeInstanceTypes"), purser.KindForbidden, "ec2:DescribeInstanceTypes", 99},
		"may not ask for offerings": {"on demand", always(ec2Error(403, "UnauthorizedOperation", "no"), "ec2:DescribeInstanceTypeOfferings"), purser.KindForbidden, "ec2:DescribeInstanceTypeOfferings", 99},
		"may not ask for prices":    {"on demand", always(pricingError(400, "AccessDeniedException", "no"), "pricing:"), purser.KindForbidden, "pricing:GetProducts", 3},
		"expired token":             {"spot", always(ec2Error(400, "ExpiredToken", "no"), "ec2:"), purser.KindUnauthorized, "credentials that are in force", 1},
		"expired token of pricing":  {"on demand", always(pricingError(400, "ExpiredTokenException", "no"), "pricing:"), purser.KindUnauthorized, "credentials that are in force", 3},
		"wrong key":                 {"spot", always(ec2Error(401, "AuthFailure", "no"), "ec2:"), purser.KindUnauthorized, "credentials that are in force", 1},
		"unknown key":               {"spot", always(ec2Error(403, "InvalidClientTokenId", "no"), "ec2:"), purser.KindUnauthorized, "credentials that are in force", 1},
		"unknown client":            {"on demand", always(pricingError(400, "UnrecognizedClientException", "no"), "pricing:"), purser.KindUnauthorized, "credentials that are in force", 3},
		"wrong secret":              {"spot", always(ec2Error(403, "SignatureDoesNotMatch", "sent the-session-token"), "ec2:"), purser.KindUnauthorized, "credentials that are in force", 1},
		"wrong clock":               {"spot", always(ec2Error(400, "RequestExpired", "no"), "ec2:"), purser.KindUnauthorized, "clock", 1},
		"a bad request":             {"spot", always(ec2Error(400, "InvalidParameterValue", "bad StartTime"), "ec2:DescribeSpot"), purser.KindInvalid, "bad StartTime", 99},
		"throttled":                 {"spot", always(ec2Error(503, "RequestLimitExceeded", "slow"), "ec2:DescribeRegions"), purser.KindThrottled, "RequestLimitExceeded", 3},
		"not XML":                   {"spot", always(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<a><b></a>") }, "ec2:DescribeRegions"), purser.KindInvalid, "ec2:DescribeRegions", 3},
		"not a product":             {"on demand", always(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"PriceList":["[1]"]}`) }, "pricing:"), purser.KindInvalid, "pricing:GetProducts", 99},
		"XML that ends early": {"spot", always(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "<DescribeRegionsResponse><regionInfo>")
		}, "ec2:DescribeRegions"), purser.KindUnavailable, "ec2:DescribeRegions", 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := world(t)
			c.fault = test.fault
			batches, err := collect(made(t, constructors[test.collector], serve(t, c)))
			if e, ok := errors.AsType[*purser.Error](err); !ok || e.Kind != test.kind || !strings.Contains(err.Error(), test.says) || len(batches) > 0 {
				t.Errorf("got %d batches and %v (%s), want %s with %q", len(batches), err, purser.KindOf(err), test.kind, test.says)
			}
			for _, secret := range []string{"AKIDEXAMPLE", "the-secret-key", "the-session-token"} {
				if err != nil && strings.Contains(err.Error(), secret) {
					t.Errorf("the error tells a secret: %v", err)
				}
			}
			if len(c.asked) > test.most {
				t.Errorf("%d requests, want at most %d", len(c.asked), test.most)
			}
		})
	}
}

func TestRefusedEverywhereEndsSoon(t *testing.T) {
	t.Parallel()
	c := world(t)
	c.regions = []string{"r-a-1", "r-b-1", "r-c-1", "r-d-1", "r-e-1", "r-f-1", "r-g-1", "r-h-1", "r-i-1"}
	c.fault = always(ec2Error(403, "UnauthorizedOperation", "no"), "ec2:DescribeInstanceTypes")
	_, err := collect(made(t, NewSpot, serve(t, c)))
	if purser.KindOf(err) != purser.KindForbidden || c.count("ec2:DescribeInstanceTypes") >= len(c.regions) {
		t.Errorf("%d requests and %v", c.count("ec2:DescribeInstanceTypes"), err)
	}
}

func TestRegionThatIsNotEnabledIsLeftOut(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"AuthFailure", "OptInRequired", "UnauthorizedOperation"} {
		for name, construct := range map[string]func(Options) (pricing.Collector, error){"on demand": NewOnDemand, "spot": NewSpot} {
			c := world(t)
			c.fault = always(ec2Error(401, code, "no"), "ec2:Describe", "ap-east-1")
			opt := serve(t, c)
			opt.Regions = []string{"us-east-2", "ap-east-1", "us-east-1", "us-east-1"}
			batches, err := collect(made(t, construct, opt))
			if len(batches) != 2 || batches[0].Region != "us-east-1" || batches[1].Region != "us-east-2" {
				t.Errorf("%s, %s: %d batches", name, code, len(batches))
			}
			if err == nil || !strings.Contains(err.Error(), "1 of 3 regions could not be read; ap-east-1: ") {
				t.Errorf("%s, %s: %v", name, code, err)
			}
		}
	}
}

type noCredentials struct{}

func (noCredentials) Retrieve(context.Context) (awssdk.Credentials, error) {
	return awssdk.Credentials{}, errors.New("the profile is at the-secret-place")
}

func TestNoCredentials(t *testing.T) {
	t.Parallel()
	for name, provider := range map[string]awssdk.CredentialsProvider{"nil": nil, "failing": noCredentials{}} {
		for _, construct := range []func(Options) (pricing.Collector, error){NewOnDemand, NewSpot} {
			c := world(t)
			opt := serve(t, c)
			opt.Config.Credentials = provider
			_, err := collect(made(t, construct, opt))
			e, ok := errors.AsType[*purser.Error](err)
			if !ok || e.Kind != purser.KindUnauthorized || !strings.Contains(e.Hint, "AWS_ACCESS_KEY_ID") || strings.Contains(err.Error(), "secret-place") || len(c.asked) > 0 {
				t.Errorf("%s: %v after %d requests", name, err, len(c.asked))
			}
		}
	}
	c := world(t)
	opt := serve(t, c)
	opt.Config = awssdk.Config{}
	if batches, err := collect(made(t, NewBulk, opt)); err != nil || len(batches) != 2 {
		t.Errorf("the public files need credentials: %d batches, %v", len(batches), err)
	}
}

// The server's clock is an hour ahead, and it takes no signature older than 5 min.
func TestClockSkewIsPutRight(t *testing.T) {
	t.Parallel()
	c := world(t)
	refused := 0
	skewed := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		server := time.Now().Add(time.Hour)
		w.Header().Set("Date", server.UTC().Format(http.TimeFormat))
		signed, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
		if r.Method == http.MethodPost && (err != nil || server.Sub(signed).Abs() > 5*time.Minute) {
			c.mu.Lock()
			refused++
			c.mu.Unlock()
			ec2Error(http.StatusForbidden, "RequestTimeTooSkewed", "The difference is too large.")(w, r)
			return
		}
		c.ServeHTTP(w, r)
	})
	batches, err := collect(made(t, NewSpot, serveHandler(t, skewed)))
	if err != nil || len(batches) != 2 || refused == 0 {
		t.Errorf("%d batches, %d refused, %v", len(batches), refused, err)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	for name, opt := range map[string]Options{"pricing region": {PricingRegion: "us-west-2"}, "a zone": {Regions: []string{"us-east-1a"}}, "a local zone": {Regions: []string{"us-west-2-lax-1"}}} {
		for _, construct := range constructors {
			if c, err := construct(opt); c != nil || purser.KindOf(err) != purser.KindInvalid {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	c := world(t)
	opt := serve(t, c)
	opt.PricingRegion = "eu-central-1"
	rowsOf(t, made(t, NewOnDemand, opt))
	for _, a := range c.requests("pricing:GetProducts") {
		if a.region != "eu-central-1" {
			t.Errorf("the price list was asked in %s", a.region)
		}
	}
}

func TestSinceThatFailsFailsTheRegion(t *testing.T) {
	t.Parallel()
	opt := serve(t, world(t))
	opt.Since = func(_ context.Context, _, region string) (time.Time, error) {
		if region == "us-east-1" {
			return time.Time{}, errors.New("the store is away")
		}
		return time.Time{}, nil
	}
	batches, err := collect(made(t, NewSpot, opt))
	if len(batches) != 1 || batches[0].Region != "us-east-2" || purser.KindOf(err) != purser.KindUnavailable || !strings.Contains(err.Error(), "us-east-1: the store is away") {
		t.Errorf("%d batches and %v", len(batches), err)
	}
}
