package aws

import (
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"purser/pricing"
	"purser/pricing/pricingtest"
)

var constructors = map[string]func(Options) (pricing.Collector, error){"on demand": NewOnDemand, "bulk": NewBulk, "spot": NewSpot}

// wanted makes history be wanted.
func wanted(context.Context, string, string) (time.Time, error) {
	return noon.Add(-72 * time.Hour), nil
}

func TestConformance(t *testing.T) {
	t.Parallel()
	for name, construct := range constructors {
		t.Run(name, func(t *testing.T) {
			opt := serve(t, world(t))
			opt.Since = wanted
			pricingtest.Run(t, func() pricing.Collector { return made(t, construct, opt) })
		})
	}
}

// pack moves the body of a request into a header, and unpack back. A server notices
// that a client has hung up only once it has read the body, and one that fails or
// is silent on purpose does not read it.
type pack struct{ next http.RoundTripper }

func (p pack) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		r = r.Clone(r.Context())
		r.Header.Set("X-Body", base64.StdEncoding.EncodeToString(body))
		r.Body, r.ContentLength = http.NoBody, 0
	}
	return p.next.RoundTrip(r)
}

type unpack struct{ next http.Handler }

func (u unpack) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = io.NopCloser(base64.NewDecoder(base64.StdEncoding, strings.NewReader(r.Header.Get("X-Body"))))
	u.next.ServeHTTP(w, r)
}

func TestFaults(t *testing.T) {
	t.Parallel()
	for name, construct := range constructors {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := world(t)
			c.pageSize = 1000
			throttle := func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.Header.Get("X-Amz-Target") != "":
					pricingError(http.StatusBadRequest, "ThrottlingException", "Rate exceeded")(w, r)
				case r.Method == http.MethodPost:
					ec2Error(http.StatusServiceUnavailable, "RequestLimitExceeded", "Request limit exceeded.")(w, r)
				default:
					http.Error(w, "slow down", http.StatusTooManyRequests)
				}
			}
			refuse := func(w http.ResponseWriter, r *http.Request) {
				if strings.HasPrefix(r.Header.Get("X-Amz-Target"), "AWSPriceListService.") {
					pricingError(http.StatusBadRequest, "AccessDeniedException", "no")(w, r)
					return
				}
				ec2Error(http.StatusForbidden, "UnauthorizedOperation", "You are not authorized to perform this operation.")(w, r)
			}
			pricingtest.RunFaults(t, pricingtest.Feed{
				Handler: unpack{c}, Throttle: throttle, Refuse: refuse, NoAuth: name == "bulk",
				New: func(url string, client *http.Client) pricing.Collector {
					opt := options(url, &http.Client{Transport: pack{client.Transport}})
					opt.Since, opt.Timeout = wanted, 250*time.Millisecond
					return made(t, construct, opt)
				},
			})
		})
	}
}
