package kubernetes

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"purser"
	"purser/providers"
)

// Each reason of the API server, through the real SDK, as the kind that it means.
func TestFailures(t *testing.T) {
	for _, c := range []struct {
		code    int32
		reason  metav1.StatusReason
		message string
		wait    int32
		want    purser.Kind
		hint    string // part of it
		after   time.Duration
	}{
		{403, metav1.StatusReasonForbidden, `jobs.batch is forbidden: User "purser" cannot create resource "jobs" in API group "batch" in the namespace "purser"`, 0, purser.KindForbidden, "kubernetes-role.yaml", 0},
		{403, metav1.StatusReasonForbidden, `configmaps "purser-l" is forbidden: exceeded quota: team, requested: count/configmaps=1, used: count/configmaps=5, limited: count/configmaps=5`, 0, purser.KindQuota, "ResourceQuota", 0},
		{403, metav1.StatusReasonForbidden, `unable to create new content in namespace purser because it is being terminated`, 0, purser.KindInvalid, "namespace", 0},
		{403, metav1.StatusReasonForbidden, `admission webhook "policy" denied the request: no`, 0, purser.KindForbidden, "policy", 0},
		{403, metav1.StatusReasonForbidden, `Insufficient nvidia.com/gpu`, 0, purser.KindNoCapacity, "machines", 0},
		{401, metav1.StatusReasonUnauthorized, "Unauthorized", 0, purser.KindUnauthorized, "credentials", 0},
		{404, metav1.StatusReasonNotFound, `namespaces "purser" not found`, 0, purser.KindInvalid, "namespace", 0},
		{404, metav1.StatusReasonNotFound, "the server could not find the requested resource", 0, purser.KindInvalid, "API", 0},
		{404, metav1.StatusReasonNotFound, `nodes "x" not found`, 0, purser.KindNotFound, "", 0},
		{409, metav1.StatusReasonAlreadyExists, "already exists", 0, purser.KindConflict, "", 0},
		{409, metav1.StatusReasonConflict, "the object has been modified", 0, purser.KindUnavailable, "same time", time.Second},
		{410, metav1.StatusReasonExpired, "too old", 0, purser.KindUnavailable, "", time.Second},
		{410, metav1.StatusReasonGone, "gone", 0, purser.KindUnavailable, "", time.Second},
		{422, metav1.StatusReasonInvalid, "spec: Invalid value", 0, purser.KindInvalid, "", 0},
		{400, metav1.StatusReasonBadRequest, "bad", 0, purser.KindInvalid, "", 0},
		{413, metav1.StatusReasonRequestEntityTooLarge, "limit is 3145728", 0, purser.KindInvalid, "1 MiB", 0},
		{405, metav1.StatusReasonMethodNotAllowed, "no", 0, purser.KindInvalid, "", 0},
		{406, metav1.StatusReasonNotAcceptable, "no", 0, purser.KindInvalid, "", 0},
		{415, metav1.StatusReasonUnsupportedMediaType, "no", 0, purser.KindInvalid, "", 0},
		{429, metav1.StatusReasonTooManyRequests, "slow down", 7, purser.KindThrottled, "", 7 * time.Second},
		{429, metav1.StatusReasonTooManyRequests, "slow down", 0, purser.KindThrottled, "too often", time.Second},
		{500, metav1.StatusReasonServerTimeout, "timed out", 3, purser.KindUnavailable, "", 3 * time.Second},
		{504, metav1.StatusReasonTimeout, "timed out", 0, purser.KindUnavailable, "", 0},
		{500, metav1.StatusReasonInternalError, "webhook", 0, purser.KindUnavailable, "webhook", 0},
		{503, metav1.StatusReasonServiceUnavailable, "no", 0, purser.KindUnavailable, "", 0},
		{500, metav1.StatusReasonStoreReadError, "no", 0, purser.KindUnavailable, "", 0},
		{418, "Teapot", "no", 0, purser.KindInvalid, "", 0},
		{403, "Odd", "no", 0, purser.KindForbidden, "", 0},
		{401, "Odd", "no", 0, purser.KindUnauthorized, "", 0},
		{409, "Odd", "no", 0, purser.KindConflict, "", 0},
		{507, "Odd", "no", 0, purser.KindUnavailable, "", 0},
	} {
		s := status(c.code, c.reason, "%s", c.message)
		if c.wait > 0 {
			s.Details = &metav1.StatusDetails{RetryAfterSeconds: c.wait}
		}
		k := newCluster(t)
		k.refuse = func(string, string, string) *metav1.Status { return s }
		_, err := k.provider(t, nil).nodes(t.Context(), "test", false)
		e, ok := errors.AsType[*purser.Error](err)
		if !ok || e.Kind != c.want || !strings.Contains(e.Hint, c.hint) || e.RetryAfter != c.after {
			t.Errorf("%d %s %q: %+v", c.code, c.reason, c.message, err)
		}
		if n := k.count("list /nodes"); n != 1 {
			t.Errorf("%d %s: %d calls; the SDK repeats by itself", c.code, c.reason, n)
		}
	}
}

// No answer is unavailable, and is not asked for again by the SDK.
func TestNoAnswer(t *testing.T) {
	c := newCluster(t)
	calls := 0
	p := c.provider(t, roundTrip(func(*http.Request) (*http.Response, error) {
		calls++
		return nil, io.ErrUnexpectedEOF
	}))
	_, err := p.Launch(t.Context(), request("lease-a", purser.Offer{Provider: Name}))
	if purser.KindOf(err) != purser.KindUnavailable || calls != 1 || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%v after %d calls", err, calls)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A launch that the namespace's quota refuses makes one attempt, and so does one without
// room; both are told at once, name the offer and leave nothing.
func TestRefusedLaunch(t *testing.T) {
	for name, c := range map[string]struct {
		spoil  func(*cluster)
		offer  func(*purser.Offer)
		kind   purser.Kind
		writes int
	}{
		"quota":   {func(c *cluster) { c.quota["configmaps"] = 0 }, nil, purser.KindQuota, 1},
		"taken":   {func(c *cluster) { c.set(pod("web", "n0", "nvidia.com/gpu", "8")) }, nil, purser.KindNoCapacity, 0},
		"no such": {nil, func(o *purser.Offer) { o.InstanceType = "p5.48xlarge-b200-8d-192c-2000g" }, purser.KindNoCapacity, 0},
	} {
		t.Run(name, func(t *testing.T) {
			k := newCluster(t)
			k.set(*h100("n0"))
			p := k.provider(t, nil)
			offer := offersOf(t, p)[0]
			if c.spoil != nil {
				c.spoil(k)
			}
			if c.offer != nil {
				c.offer(&offer)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			_, err := p.Launch(ctx, request("lease-a", offer))
			e, ok := errors.AsType[*purser.Error](err)
			if !ok || e.Kind != c.kind || e.Hint == "" || !strings.Contains(e.Message, string(offer.ID())) {
				t.Errorf("Launch: %+v", err)
			}
			if n := k.count("create /configmaps"); n != c.writes {
				t.Errorf("%d claims were asked for, want %d", n, c.writes)
			}
			if in, err := p.Describe(t.Context(), purser.Lease{ID: "lease-a"}); purser.KindOf(err) != purser.KindNotFound {
				t.Errorf("it left %+v, %v", in, err)
			}
		})
	}
}

// A place that is taken between the look and the claim is left for the next one, and the
// last one is given back.
func TestTakenMeanwhile(t *testing.T) {
	k := newCluster(t)
	k.set(*h100("n0"))
	k.set(*h100("n1"))
	p := k.provider(t, nil)
	offer := offersOf(t, p)[0]
	created := false
	k.refuse = func(verb, resource, _ string) *metav1.Status {
		if verb == "create" && resource == "configmaps" && !created { // others' pods come at the same moment
			created = true
			k.store(pod("web-0", "n0", "nvidia.com/gpu", "1"))
			k.store(pod("web-1", "n1", "nvidia.com/gpu", "1"))
		}
		return nil
	}
	if in, err := p.Launch(t.Context(), request("lease-a", offer)); purser.KindOf(err) != purser.KindNoCapacity {
		t.Errorf("Launch: %+v, %v", in, err)
	}
	if n := k.live()["lease-a"]; n != 0 {
		t.Errorf("the claim was not given back")
	}
	k.drop("pods", "default", "web-1")
	if in, err := p.Launch(t.Context(), request("lease-a", offer)); err != nil || in.State != providers.Running {
		t.Errorf("Launch: %+v, %v", in, err)
	}
}
