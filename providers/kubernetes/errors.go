package kubernetes

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"purser"
)

// failure is what an answer of the API server means.
type failure struct {
	reason metav1.StatusReason
	text   string // part of the message, where the reason alone does not tell; empty: any
	kind   purser.Kind
	hint   string
	retry  time.Duration // when the server does not say
}

// failures are the API server's reasons (k8s.io/apimachinery, StatusReason) as our kinds;
// the first that fits counts. Reasons that are missing go by their HTTP status.
var failures = []failure{
	{metav1.StatusReasonForbidden, "exceeded quota", purser.KindQuota, "raise the ResourceQuota of Purser's namespace, or end other work in it", 0},
	{metav1.StatusReasonForbidden, "quota", purser.KindQuota, "raise the ResourceQuota of Purser's namespace, or end other work in it", 0},
	{metav1.StatusReasonForbidden, "Insufficient ", purser.KindNoCapacity, "wait for other work in the cluster to end, or add machines to it", 0},
	{metav1.StatusReasonForbidden, "is being terminated", purser.KindInvalid, "Purser's namespace is being deleted; make it anew or configure another", 0},
	{metav1.StatusReasonForbidden, "admission webhook", purser.KindForbidden, "a policy of the cluster refuses this; its message says which", 0},
	{metav1.StatusReasonForbidden, "", purser.KindForbidden, "give Purser's account the roles in docs/permissions/kubernetes-role.yaml", 0},
	{metav1.StatusReasonUnauthorized, "", purser.KindUnauthorized, "the cluster does not accept the credentials; make new ones", 0},
	{metav1.StatusReasonNotFound, `namespaces "`, purser.KindInvalid, "make the namespace that Purser is configured with", 0},
	{metav1.StatusReasonNotFound, "could not find the requested resource", purser.KindInvalid, "the cluster lacks this API; it may be too old", 0},
	{metav1.StatusReasonNotFound, "", purser.KindNotFound, "", 0},
	{metav1.StatusReasonAlreadyExists, "", purser.KindConflict, "", 0},
	{metav1.StatusReasonConflict, "", purser.KindUnavailable, "somebody else wrote at the same time; it is tried again", time.Second},
	{metav1.StatusReasonGone, "", purser.KindUnavailable, "", time.Second},
	{metav1.StatusReasonExpired, "", purser.KindUnavailable, "", time.Second},
	{metav1.StatusReasonInvalid, "", purser.KindInvalid, "", 0},
	{metav1.StatusReasonBadRequest, "", purser.KindInvalid, "", 0},
	{metav1.StatusReasonRequestEntityTooLarge, "", purser.KindInvalid, "the files of a group fit into 1 MiB at most", 0},
	{metav1.StatusReasonMethodNotAllowed, "", purser.KindInvalid, "", 0},
	{metav1.StatusReasonNotAcceptable, "", purser.KindInvalid, "", 0},
	{metav1.StatusReasonUnsupportedMediaType, "", purser.KindInvalid, "", 0},
	{metav1.StatusReasonTooManyRequests, "", purser.KindThrottled, "the cluster's API is asked too often", time.Second},
	{metav1.StatusReasonServerTimeout, "", purser.KindUnavailable, "", time.Second},
	{metav1.StatusReasonTimeout, "", purser.KindUnavailable, "", 0},
	{metav1.StatusReasonInternalError, "", purser.KindUnavailable, "the cluster's API has an internal fault, or a webhook of the cluster does not answer", 0},
	{metav1.StatusReasonServiceUnavailable, "", purser.KindUnavailable, "", 0},
	{metav1.StatusReasonStoreReadError, "", purser.KindUnavailable, "", 0},
}

// byStatus is the kind of an answer whose reason is not known.
func byStatus(code int) purser.Kind {
	switch {
	case code == http.StatusUnauthorized:
		return purser.KindUnauthorized
	case code == http.StatusForbidden:
		return purser.KindForbidden
	case code == http.StatusNotFound:
		return purser.KindNotFound
	case code == http.StatusConflict:
		return purser.KindConflict
	case code == http.StatusTooManyRequests:
		return purser.KindThrottled
	case code >= 400 && code < 500:
		return purser.KindInvalid
	default:
		return purser.KindUnavailable
	}
}

// failed gives an error of the SDK its kind. It is nil for nil, and an error that has a
// kind keeps it.
func failed(op string, err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*purser.Error](err); ok {
		return e
	}
	if e, ok := errors.AsType[noAnswer](err); ok {
		if e.status == 0 {
			return &purser.Error{Kind: purser.KindUnavailable, Op: op, Message: "the cluster's API does not answer", Cause: e.cause}
		}
		return &purser.Error{Kind: e.kind(), Op: op, Message: "the cluster's API asks to wait", RetryAfter: e.wait, Cause: err}
	}
	s, ok := errors.AsType[*apierrors.StatusError](err)
	if !ok {
		// No answer, or one that cannot be read: the call may have taken effect.
		return &purser.Error{Kind: purser.KindUnavailable, Op: op, Message: "the cluster's API did not answer as it should", Cause: err}
	}
	status := s.Status()
	e := &purser.Error{Kind: byStatus(int(status.Code)), Op: op, Message: "the cluster refused: " + status.Message, Cause: err}
	for _, f := range failures {
		if f.reason == status.Reason && strings.Contains(status.Message, f.text) {
			e.Kind, e.Hint, e.RetryAfter = f.kind, f.hint, f.retry
			break
		}
	}
	if wait, ok := apierrors.SuggestsClientDelay(err); ok {
		e.RetryAfter = time.Duration(wait) * time.Second
	}
	return said(e)
}

// said keeps the cause for the log without its text, which the message has.
func said(e *purser.Error) *purser.Error {
	cause := e.Cause
	e.Cause = nil
	out, ok := errors.AsType[*purser.Error](purser.Wrap(e.Kind, e.Op, cause))
	if !ok {
		return e
	}
	out.Message, out.Hint, out.RetryAfter = e.Message, e.Hint, e.RetryAfter
	return out
}

// once keeps the SDK from repeating calls by itself, which it does up to ten times with
// the pauses that the server names, and for reads after a lost connection: whoever calls
// Purser's providers repeats what is worth it. Both are hidden from the SDK in an error.
func once(base http.RoundTripper) http.RoundTripper { return onceTripper{base} }

type onceTripper struct{ base http.RoundTripper }

// noAnswer is no answer, or one that only says to wait. It does not unwrap, since the SDK
// would look through it.
type noAnswer struct {
	cause  error // of no answer
	status int   // 0: no answer at all
	wait   time.Duration
}

func (e noAnswer) Error() string {
	if e.status == 0 {
		return "no answer from the cluster's API"
	}
	return "HTTP status " + strconv.Itoa(e.status) + " from the cluster's API"
}

func (e noAnswer) kind() purser.Kind { return byStatus(e.status) }

// RoundTrip makes the call.
func (t onceTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := t.base.RoundTrip(r)
	if err != nil {
		return nil, noAnswer{cause: err}
	}
	after := res.Header.Get("Retry-After")
	if after == "" || (res.StatusCode != http.StatusTooManyRequests && res.StatusCode < 500) {
		return res, nil
	}
	_, _ = io.CopyN(io.Discard, res.Body, 64<<10) // so that the connection can be used again
	_ = res.Body.Close()                          // read as far as it matters
	seconds, err := strconv.Atoi(after)
	if err != nil {
		seconds = 1
	}
	return nil, noAnswer{status: res.StatusCode, wait: time.Duration(seconds) * time.Second}
}
