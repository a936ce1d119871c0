package aws

import (
	"context"
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
				Handler: c, Throttle: throttle, Refuse: refuse, NoAuth: name == "bulk",
				New: func(url string, client *http.Client) pricing.Collector {
					opt := options(url, client)
					opt.Since, opt.Timeout = wanted, 250*time.Millisecond
					return made(t, construct, opt)
				},
			})
		})
	}
}
