package gcp

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"google.golang.org/api/googleapi"

	"purser"
)

// kinds is what each code must be: from the wire facts, not from the table.
var kinds = map[string]purser.Kind{
	"ZONE_RESOURCE_POOL_EXHAUSTED": purser.KindNoCapacity, "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS": purser.KindNoCapacity, "RESOURCE_POOL_EXHAUSTED": purser.KindNoCapacity,
	"insufficientCapacity": purser.KindNoCapacity, "STOCKOUT": purser.KindNoCapacity, "UNSUPPORTED_OPERATION": purser.KindNoCapacity,
	"RESERVATION_CAPACITY_EXCEEDED": purser.KindNoCapacity, "RESERVATION_NOT_FOUND": purser.KindNoCapacity,
	"QUOTA_EXCEEDED": purser.KindQuota, "quotaExceeded": purser.KindQuota, "limitExceeded": purser.KindQuota, "IP_SPACE_EXHAUSTED": purser.KindQuota,
	"IP_SPACE_EXHAUSTED_WITH_DETAILS": purser.KindQuota,
	"rateLimitExceeded":               purser.KindThrottled, "RATE_LIMIT_EXCEEDED": purser.KindThrottled, "userRateLimitExceeded": purser.KindThrottled,
	"RESOURCE_OPERATION_RATE_EXCEEDED": purser.KindThrottled, "CONCURRENT_OPERATIONS_QUOTA_EXCEEDED": purser.KindThrottled, "dailyLimitExceeded": purser.KindThrottled,
	"RESOURCE_NOT_READY": purser.KindUnavailable, "resourceNotReady": purser.KindUnavailable, "RESOURCE_IN_USE_BY_ANOTHER_RESOURCE": purser.KindUnavailable,
	"INTERNAL_ERROR": purser.KindUnavailable, "backendError": purser.KindUnavailable, "INTERNAL": purser.KindUnavailable, "UNAVAILABLE": purser.KindUnavailable,
	"DEADLINE_EXCEEDED": purser.KindUnavailable, "ABORTED": purser.KindUnavailable, "CANCELLED": purser.KindUnavailable,
	"PERMISSIONS_ERROR": purser.KindForbidden, "PERMISSION_DENIED": purser.KindForbidden, "forbidden": purser.KindForbidden, "insufficientPermissions": purser.KindForbidden,
	"SERVICE_DISABLED": purser.KindForbidden, "accessNotConfigured": purser.KindForbidden, "BILLING_DISABLED": purser.KindForbidden,
	"VM_EXTERNAL_IP_ACCESS_POLICY_CONSTRAINT": purser.KindForbidden, "conditionNotMet": purser.KindForbidden,
	"UNAUTHENTICATED": purser.KindUnauthorized, "authError": purser.KindUnauthorized,
	"RESOURCE_ALREADY_EXISTS": purser.KindConflict, "alreadyExists": purser.KindConflict, "ALREADY_EXISTS": purser.KindConflict,
	"INVALID_RESERVATION": purser.KindInvalid, "UNSUPPORTED_TPU_CONFIGURATION": purser.KindInvalid, "invalid": purser.KindInvalid, "INVALID_ARGUMENT": purser.KindInvalid,
	"INVALID_FIELD_VALUE": purser.KindInvalid, "FAILED_PRECONDITION": purser.KindInvalid, "OUT_OF_RANGE": purser.KindInvalid,
	"RESOURCE_NOT_FOUND": purser.KindNotFound, "notFound": purser.KindNotFound, "NOT_FOUND": purser.KindNotFound,
}

func TestKindOfEachCode(t *testing.T) {
	a := ask{op: "gcp.Launch", what: "the launch of gcp/x"}
	for code, want := range kinds {
		if e := a.refused(said{codes: []string{code}}); e.Kind != want || !strings.Contains(e.Message, code) {
			t.Errorf("%s is %s (%s); want %s", code, e.Kind, e.Message, want)
		}
	}
	for _, r := range codes {
		if _, ok := kinds[r.code]; !ok {
			t.Errorf("%s has no row in this test", r.code)
		}
		helped := r.kind == purser.KindNoCapacity || r.kind == purser.KindQuota || r.kind == purser.KindForbidden || r.kind == purser.KindUnauthorized
		if helped && r.hint == "" {
			t.Errorf("%s says nothing that a person can do", r.code)
		}
		if (r.kind == purser.KindNoCapacity || r.kind == purser.KindThrottled) && r.after == 0 {
			t.Errorf("%s does not say when to ask again", r.code)
		}
	}
	for status, want := range map[int]purser.Kind{
		400: purser.KindInvalid, 401: purser.KindUnauthorized, 403: purser.KindForbidden, 404: purser.KindNotFound, 408: purser.KindUnavailable, 409: purser.KindConflict,
		410: purser.KindNotFound, 412: purser.KindConflict, 418: purser.KindInvalid, 429: purser.KindThrottled, 500: purser.KindUnavailable, 502: purser.KindUnavailable, 503: purser.KindUnavailable,
	} {
		if e := a.refused(said{status: status, codes: []string{"SOMETHING_NEW"}}); e.Kind != want {
			t.Errorf("an unknown code with %d is %s; want %s", status, e.Kind, want)
		}
	}
}

// The TPU API calls a full zone, a quota and a rate by the same name.
func TestResourceExhaustedOfTPUs(t *testing.T) {
	a := ask{op: "gcp.Launch", what: "the launch of gcp/x"}
	for message, want := range map[string]purser.Kind{
		"There is no more capacity in the zone \"us-east5-b\"":                                       purser.KindNoCapacity,
		"Quota limit 'TPUV6EPreemptiblePerProjectPerZone' has been exceeded. Limit: 0":               purser.KindQuota,
		"Quota exceeded for quota metric 'Requests' and limit 'Requests per minute' of service 'tpu": purser.KindThrottled,
		"": purser.KindNoCapacity,
	} {
		for _, s := range []said{{status: 429, codes: []string{"RESOURCE_EXHAUSTED"}, message: message}, tpuErrorOf(8, message)} {
			if e := a.refused(s); e.Kind != want {
				t.Errorf("%q is %s; want %s", message, e.Kind, want)
			}
		}
	}
}

func tpuErrorOf(code int64, message string) said {
	out := said{message: message}
	out.add(grpcCodes[code])
	return out
}

func TestErrorsOfTheWire(t *testing.T) {
	a := ask{op: "gcp.Launch", what: "the launch of gcp/x", secret: "join-secret"}
	body := `{"error":{"code":403,"message":"API has not been used","status":"PERMISSION_DENIED","details":[{"reason":"SERVICE_DISABLED"}]}}`
	e := a.explain(t.Context(), &googleapi.Error{Code: 403, Body: body, Message: "it says join-secret", Header: http.Header{"Retry-After": {"7"}}})
	if e.Kind != purser.KindForbidden || !strings.Contains(e.Hint, "gcloud services enable") || e.RetryAfter != 7*time.Second || strings.Contains(e.Error(), "join-secret") {
		t.Errorf("a disabled API is %+v", e)
	}
	if e := a.explain(t.Context(), &url.Error{Op: "Get", URL: "https://secret.example", Err: errors.New("connection reset")}); e.Kind != purser.KindUnavailable || strings.Contains(e.Error(), "secret.example") {
		t.Errorf("a broken connection is %+v", e)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if e := a.explain(ctx, errors.New("x")); e.Kind != purser.KindUnavailable || !errors.Is(e, context.Canceled) {
		t.Errorf("an ended call is %+v", e)
	}
}
