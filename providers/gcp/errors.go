package gcp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"cloud.google.com/go/auth"
	"cloud.google.com/go/compute/apiv1/computepb"
	"google.golang.org/api/googleapi"
	tpuapi "google.golang.org/api/tpu/v2"

	"purser"
)

// rule is what a code means.
type rule struct {
	code  string
	kind  purser.Kind
	after time.Duration // when it may be worth asking again; 0 is unknown
	hint  string        // with %s for the quota's metric, in rules of kind quota alone
}

const (
	askElsewhere = "take another zone or machine type, or wait"
	askForMore   = "ask Google for more of %s (IAM & Admin, Quotas)"
	slower       = "fewer calls at once; the project's rate of API calls is limited"
	enable       = "run gcloud services enable compute.googleapis.com tpu.googleapis.com, or leave TPUs out"
	grant        = "give the account the role in docs/permissions/gcp-role.json"
)

// codes is the one table from Google's codes to our kinds: of operations (upper case),
// of HTTP answers (camel case), of TPU states and statuses (gRPC's names). Sources: the
// reference of Compute Engine's errors (cloud.google.com/compute/docs/troubleshooting),
// google/rpc/code.proto.
var codes = []rule{
	{"ZONE_RESOURCE_POOL_EXHAUSTED", purser.KindNoCapacity, 10 * time.Minute, askElsewhere},
	{"ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS", purser.KindNoCapacity, 10 * time.Minute, askElsewhere},
	{"RESOURCE_POOL_EXHAUSTED", purser.KindNoCapacity, 10 * time.Minute, askElsewhere},
	{"insufficientCapacity", purser.KindNoCapacity, 10 * time.Minute, askElsewhere},
	{"STOCKOUT", purser.KindNoCapacity, 10 * time.Minute, askElsewhere},
	{"UNSUPPORTED_OPERATION", purser.KindNoCapacity, 10 * time.Minute, "the zone does not do this now: " + askElsewhere},
	{"RESERVATION_CAPACITY_EXCEEDED", purser.KindNoCapacity, 10 * time.Minute, "all machines of the reservation are in use"},
	{"RESERVATION_NOT_FOUND", purser.KindNoCapacity, time.Hour, "the reservation has ended"},

	{"QUOTA_EXCEEDED", purser.KindQuota, 0, askForMore},
	{"limitExceeded", purser.KindQuota, 0, askForMore},
	{"IP_SPACE_EXHAUSTED", purser.KindQuota, 0, "the subnetwork has no address left; widen it"},
	{"IP_SPACE_EXHAUSTED_WITH_DETAILS", purser.KindQuota, 0, "the subnetwork has no address left; widen it"},

	{"RATE_LIMIT_EXCEEDED", purser.KindThrottled, 5 * time.Second, slower},
	{"userRateLimitExceeded", purser.KindThrottled, 5 * time.Second, slower},
	{"RESOURCE_OPERATION_RATE_EXCEEDED", purser.KindThrottled, 5 * time.Second, slower},
	{"CONCURRENT_OPERATIONS_QUOTA_EXCEEDED", purser.KindThrottled, 5 * time.Second, slower},
	{"dailyLimitExceeded", purser.KindThrottled, time.Hour, slower},

	{"RESOURCE_NOT_READY", purser.KindUnavailable, 2 * time.Second, ""},
	{"RESOURCE_IN_USE_BY_ANOTHER_RESOURCE", purser.KindUnavailable, 2 * time.Second, ""},
	{"INTERNAL_ERROR", purser.KindUnavailable, 0, ""},
	{"backendError", purser.KindUnavailable, 0, ""},
	{"INTERNAL", purser.KindUnavailable, 0, ""},
	{"UNAVAILABLE", purser.KindUnavailable, 0, ""},
	{"DEADLINE_EXCEEDED", purser.KindUnavailable, 0, ""},
	{"ABORTED", purser.KindUnavailable, 0, ""},
	{"CANCELLED", purser.KindUnavailable, 0, ""},

	{"PERMISSIONS_ERROR", purser.KindForbidden, 0, grant},
	{"PERMISSION_DENIED", purser.KindForbidden, 0, grant},
	{"forbidden", purser.KindForbidden, 0, grant},
	{"insufficientPermissions", purser.KindForbidden, 0, grant},
	{"SERVICE_DISABLED", purser.KindForbidden, 0, enable},
	{"accessNotConfigured", purser.KindForbidden, 0, enable},
	{"BILLING_DISABLED", purser.KindForbidden, 0, "the project has no billing account"},
	{"VM_EXTERNAL_IP_ACCESS_POLICY_CONSTRAINT", purser.KindForbidden, 0, "the organisation forbids external addresses; leave ExternalIP out"},
	{"conditionNotMet", purser.KindForbidden, 0, "a policy of the organisation forbids it"},
	{"UNAUTHENTICATED", purser.KindUnauthorized, 0, renew},
	{"authError", purser.KindUnauthorized, 0, renew},

	{"RESOURCE_ALREADY_EXISTS", purser.KindConflict, 0, ""},
	{"alreadyExists", purser.KindConflict, 0, ""},
	{"ALREADY_EXISTS", purser.KindConflict, 0, ""},
	{"INVALID_RESERVATION", purser.KindInvalid, 0, "the reservation is for other machines"},
	{"UNSUPPORTED_TPU_CONFIGURATION", purser.KindInvalid, 0, "the zone has no TPU of this type, or not with this runtime version"},
	{"RESOURCE_NOT_FOUND", purser.KindNotFound, 0, ""},
	{"notFound", purser.KindNotFound, 0, ""},
	{"NOT_FOUND", purser.KindNotFound, 0, ""},
	{"invalid", purser.KindInvalid, 0, ""},
	{"INVALID_ARGUMENT", purser.KindInvalid, 0, ""},
	{"INVALID_FIELD_VALUE", purser.KindInvalid, 0, ""},
	{"FAILED_PRECONDITION", purser.KindInvalid, 0, ""},
	{"OUT_OF_RANGE", purser.KindInvalid, 0, ""},
}

const renew = "run gcloud auth application-default login, or renew the key"

// grpcCodes are the numbers in the statuses of TPU requests.
var grpcCodes = map[int64]string{
	1: "CANCELLED", 3: "INVALID_ARGUMENT", 4: "DEADLINE_EXCEEDED", 5: "NOT_FOUND", 6: "ALREADY_EXISTS", 7: "PERMISSION_DENIED",
	8: "RESOURCE_EXHAUSTED", 9: "FAILED_PRECONDITION", 10: "ABORTED", 11: "OUT_OF_RANGE", 13: "INTERNAL", 14: "UNAVAILABLE", 16: "UNAUTHENTICATED",
}

// ruleOf finds a code's row, however it is spelt: quotaExceeded is QUOTA_EXCEEDED.
func ruleOf(code string) (rule, bool) {
	plain := func(s string) string { return strings.ToUpper(strings.ReplaceAll(s, "_", "")) }
	for _, r := range codes {
		if plain(r.code) == plain(code) {
			return r, true
		}
	}
	return rule{}, false
}

// ask is what was asked for, for the sentences of errors.
type ask struct {
	op     string // e.g. gcp.Launch
	what   string // e.g. the launch of gcp/…
	secret string // is taken out of what the cloud says
}

// said is what the cloud answered in place of what was asked for.
type said struct {
	status  int      // of HTTP; 0 where there is none
	codes   []string // the most telling first
	message string
	after   time.Duration
}

func (s said) Error() string {
	return strings.TrimSpace(strings.Join(s.codes, " ") + " " + clip(s.message))
}

// explain gives an error of the SDK its kind.
func (a ask) explain(ctx context.Context, err error) *purser.Error {
	if ctx.Err() != nil {
		return purser.Errorf(purser.KindUnavailable, a.op, "%s was cut off: %w", a.what, ctx.Err())
	}
	if e, ok := errors.AsType[*purser.Error](err); ok {
		return e
	}
	if e, ok := errors.AsType[*googleapi.Error](err); ok {
		return a.refused(answerOf(e))
	}
	if e, ok := errors.AsType[*auth.Error](err); ok {
		out := &purser.Error{Kind: purser.KindUnauthorized, Op: a.op, Message: "no token could be had for the credentials of Google Cloud", Hint: renew}
		if r := e.Response; r != nil && (r.StatusCode == http.StatusTooManyRequests || r.StatusCode >= http.StatusInternalServerError) {
			out.Kind, out.Hint = purser.KindUnavailable, ""
		}
		return out
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err // what it wraps says enough, without the address
	}
	return purser.Errorf(purser.KindUnavailable, a.op, "%s got no answer that can be read: %s", a.what, a.clean(err.Error()))
}

// answerOf takes an HTTP answer apart. The most telling code is in the details, if
// there are any, then the older list, then the status.
func answerOf(e *googleapi.Error) said {
	out := said{status: e.Code, message: e.Message}
	var body struct {
		Error struct {
			Status  string
			Details []struct{ Reason string }
		}
	}
	_ = json.Unmarshal([]byte(e.Body), &body) // some answers are no JSON; their status says enough
	for _, d := range body.Error.Details {
		out.add(d.Reason)
	}
	for _, item := range e.Errors {
		out.add(item.Reason)
	}
	out.add(body.Error.Status)
	if n, err := strconv.Atoi(e.Header.Get("Retry-After")); err == nil && n > 0 && n < 24*3600 {
		out.after = time.Duration(n) * time.Second
	}
	return out
}

func (s *said) add(code string) {
	if code != "" {
		s.codes = append(s.codes, code)
	}
}

// operationError is what a finished operation says went wrong; ok where nothing did.
func operationError(op *computepb.Operation) (out said, failed bool) {
	for _, e := range op.GetError().GetErrors() {
		out.add(e.GetCode())
		if out.message == "" {
			out.message = e.GetMessage()
		}
	}
	out.status = int(op.GetHttpErrorStatusCode())
	if out.message == "" {
		out.message = op.GetHttpErrorMessage()
	}
	return out, len(out.codes) > 0 || out.status >= http.StatusBadRequest
}

// tpuError is a status of the TPU API.
func tpuError(s *tpuapi.Status) said {
	out := said{message: s.Message}
	out.add(grpcCodes[s.Code])
	return out
}

// refused gives an answer its kind, by the first of its codes that is known, or by its
// status.
func (a ask) refused(s said) *purser.Error {
	r := rule{kind: kindOfStatus(s.status)}
	for _, code := range s.codes {
		if strings.EqualFold(code, "RESOURCE_EXHAUSTED") {
			r = exhausted(s.message)
			break
		}
		if known, ok := ruleOf(code); ok {
			r = known
			break
		}
	}
	out := &purser.Error{Kind: r.kind, Op: a.op, Hint: r.hint, RetryAfter: max(r.after, s.after), Cause: said{s.status, s.codes, a.clean(s.message), 0}}
	if r.kind == purser.KindQuota && strings.Contains(r.hint, "%s") {
		out.Hint = fmt.Sprintf(r.hint, metricOf(s.message))
	}
	why := strings.Join(s.codes[:min(len(s.codes), 1)], "")
	if why == "" {
		why = strings.TrimSpace(strconv.Itoa(s.status) + " " + http.StatusText(s.status))
	}
	out.Message = fmt.Sprintf("%s was answered with %s", a.what, why)
	return out
}

// exhausted tells apart what the TPU API calls RESOURCE_EXHAUSTED: a rate of calls, a
// limit of the project, and, as it is without either, a zone without capacity.
func exhausted(message string) rule {
	m := strings.ToLower(message)
	switch {
	case strings.Contains(m, "per minute") || strings.Contains(m, "per second"):
		return rule{"", purser.KindThrottled, 5 * time.Second, slower}
	case strings.Contains(m, "quota"):
		return rule{"", purser.KindQuota, 0, askForMore}
	default:
		return rule{"", purser.KindNoCapacity, 10 * time.Minute, askElsewhere}
	}
}

var metricForm = regexp.MustCompile(`'([A-Za-z0-9_./-]+)'`)

// metricOf is the quota that a message names.
func metricOf(message string) string {
	if m := metricForm.FindStringSubmatch(message); m != nil {
		return m[1]
	}
	return "the quota that is named in the log"
}

func kindOfStatus(code int) purser.Kind {
	switch code {
	case http.StatusUnauthorized:
		return purser.KindUnauthorized
	case http.StatusForbidden:
		return purser.KindForbidden
	case http.StatusNotFound, http.StatusGone:
		return purser.KindNotFound
	case http.StatusConflict, http.StatusPreconditionFailed:
		return purser.KindConflict
	case http.StatusTooManyRequests:
		return purser.KindThrottled
	case http.StatusRequestTimeout:
		return purser.KindUnavailable
	}
	if code >= http.StatusBadRequest && code < http.StatusInternalServerError {
		return purser.KindInvalid
	}
	return purser.KindUnavailable
}

// clean keeps the beginning of what an API says, in one line and without the secret.
func (a ask) clean(text string) string {
	if a.secret != "" {
		text = strings.ReplaceAll(text, a.secret, "[secret]")
	}
	return clip(text)
}

func clip(text string) string {
	const most = 300
	s := strings.Join(strings.Fields(strings.ToValidUTF8(text, "")), " ")
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

// maybe explains an error that may be none.
func (a ask) maybe(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	return a.explain(ctx, err)
}

// status is the HTTP status of an answer of the SDK's; 0 where there is none.
func status(err error) int {
	if e, ok := errors.AsType[*googleapi.Error](err); ok {
		return e.Code
	}
	return 0
}
