package azure_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"purser"
	"purser/providers/azure"
)

const quotaText = "Operation could not be completed as it results in exceeding approved standardNCADSA100v4Family Cores quota. Additional details - Deployment Model: Resource Manager, Location: eastus, Current Limit: 24, Current Usage: 24, Additional Required: 24, (Minimum) New Limit Required: 48."

// errorTable is what Azure says, and what it means. Every row of the adapter's table is
// in it, see TestEveryCodeIsTested.
var errorTable = []struct {
	status        int
	code, message string
	kind          purser.Kind
	hint          string // a part of it
	wait          time.Duration
}{
	{409, "AllocationFailed", "Allocation failed. We do not have sufficient capacity for the requested VM size in this region.", purser.KindNoCapacity, "another", time.Hour},
	{409, "ZonalAllocationFailed", "Allocation failed. We do not have sufficient capacity for the requested VM size in this zone.", purser.KindNoCapacity, "zone", time.Hour},
	{409, "OverconstrainedAllocationRequest", "Allocation failed. VM(s) with the following constraints cannot be allocated.", purser.KindNoCapacity, "another", time.Hour},
	{409, "OverconstrainedZonalAllocationRequest", "Allocation failed. VM(s) with the following constraints cannot be allocated.", purser.KindNoCapacity, "another", time.Hour},
	{409, "SkuNotAvailable", "The requested size for resource is currently not available in location 'eastus' for Spot.", purser.KindNoCapacity, "on demand", time.Hour},
	{409, "SkuNotAvailable", "The requested VM size is not available in location 'eastus'.", purser.KindNoCapacity, "ask Azure", 23 * time.Hour},
	{409, "OperationNotAllowed", "Unable to perform operation since the provided max price '0.01 USD' is lower than the current spot price.", purser.KindNoCapacity, "factor", time.Hour},

	{409, "OperationNotAllowed", quotaText, purser.KindQuota, "higher quota", 0},
	{409, "OperationNotAllowed", strings.Replace(quotaText, "Current Limit: 24", "Current Limit: 0", 1), purser.KindQuota, "higher quota", 0},
	{409, "OperationNotAllowed", "Operation could not be completed as it results in exceeding approved LowPriorityCores quota.", purser.KindQuota, "higher quota", 0},
	{409, "OperationNotAllowed", "exceeding approved Total Regional Cores. Current Limit: 10, Current Usage: 10", purser.KindQuota, "higher quota", 0},
	{403, "QuotaExceeded", "Operation results in exceeding quota limits of Core.", purser.KindQuota, "higher quota", 0},
	{409, "ResourceQuotaExceeded", "", purser.KindQuota, "resource group", 0},
	{400, "NetworkInterfaceCountLimitReached", "", purser.KindQuota, "higher quota", 0},
	{400, "ApplicationSecurityGroupCountLimitReached", "", purser.KindQuota, "higher quota", 0},
	{400, "SubnetIsFull", "Subnet machines does not have enough capacity for 1 IP addresses.", purser.KindQuota, "larger subnet", 0},

	{429, "TooManyRequests", "", purser.KindThrottled, "", 0},
	{429, "SubscriptionRequestsThrottled", "", purser.KindThrottled, "", 0},
	{409, "OperationNotAllowed", "The server rejected the request because too many requests have been received for this subscription.", purser.KindThrottled, "", 0},
	{429, "OperationNotAllowed", "no quota of calls is left", purser.KindThrottled, "", 0}, // calls, not cores
	{429, "", "", purser.KindThrottled, "", 0},
	{409, "OperationNotAllowed", "The VM is marked for deletion.", purser.KindUnavailable, "", 10 * time.Second},
	{409, "AnotherOperationInProgress", "", purser.KindUnavailable, "", 5 * time.Second},
	{409, "OperationPreempted", "", purser.KindUnavailable, "", 5 * time.Second},
	{409, "RetryableError", "", purser.KindUnavailable, "", 5 * time.Second},
	{409, "RetryableErrorDueToAnotherOperation", "", purser.KindUnavailable, "", 5 * time.Second},
	{409, "ReferencedResourceNotProvisioned", "", purser.KindUnavailable, "", 5 * time.Second},
	{400, "NicReservedForAnotherVm", "", purser.KindUnavailable, "", 3 * time.Minute},
	{500, "InternalServerError", "", purser.KindUnavailable, "", 0},
	{500, "InternalExecutionError", "", purser.KindUnavailable, "", 0},
	{503, "ServerTimeout", "", purser.KindUnavailable, "", 0},
	{504, "GatewayTimeout", "", purser.KindUnavailable, "", 0},
	{503, "Nonsense", "", purser.KindUnavailable, "", 0},
	{408, "Nonsense", "", purser.KindUnavailable, "", 0},

	{401, "InvalidAuthenticationToken", "", purser.KindUnauthorized, "identity", 0},
	{401, "InvalidAuthenticationTokenTenant", "", purser.KindUnauthorized, "identity", 0},
	{401, "ExpiredAuthenticationToken", "", purser.KindUnauthorized, "clock", 0},
	{401, "AuthenticationFailed", "", purser.KindUnauthorized, "identity", 0},
	{401, "Nonsense", "", purser.KindUnauthorized, "identity", 0},
	{403, "AuthorizationFailed", "", purser.KindForbidden, "azure-role.json", 0},
	{403, "LinkedAuthorizationFailed", "", purser.KindForbidden, "azure-role.json", 0},
	{403, "RequestDisallowedByPolicy", "", purser.KindForbidden, "policies", 0},
	{409, "ScopeLocked", "", purser.KindForbidden, "lock", 0},
	{409, "ReadOnlyDisabledSubscription", "", purser.KindForbidden, "subscription", 0},
	{409, "MissingSubscriptionRegistration", "", purser.KindForbidden, "az provider register", 0},
	{403, "Nonsense", "", purser.KindForbidden, "", 0},
	{404, "ResourceGroupNotFound", "", purser.KindInvalid, "make it", 0},
	{404, "SubscriptionNotFound", "", purser.KindInvalid, "subscription", 0},
	{409, "OperationNotAllowed", "The VM size 'Standard_B1s' is not supported for creation of Azure Spot VM.", purser.KindInvalid, "on demand", 0},
	{400, "InvalidParameter", "", purser.KindInvalid, "cause", 0},
	{400, "BadRequest", "", purser.KindInvalid, "cause", 0},
	{400, "InvalidRequestContent", "", purser.KindInvalid, "", 0},
	{400, "InvalidResourceReference", "", purser.KindInvalid, "ids", 0},
	{404, "PlatformImageNotFound", "", purser.KindInvalid, "image", 0},
	{404, "ImageNotFound", "", purser.KindInvalid, "image", 0},
	{404, "GalleryImageNotFound", "", purser.KindInvalid, "image", 0},
	{400, "ResourcePurchaseValidationFailed", "", purser.KindInvalid, "terms", 0},
	{400, "LocationNotAvailableForResourceType", "", purser.KindInvalid, "region", 0},
	{400, "NoRegisteredProviderFound", "", purser.KindInvalid, "region", 0},
	{400, "Nonsense", "", purser.KindInvalid, "", 0},
	{409, "OperationNotAllowed", "for a reason that nobody knows", purser.KindConflict, "", 0},
	{409, "Nonsense", "", purser.KindConflict, "", 0},
}

func TestErrorTable(t *testing.T) {
	h := newHub(t, true)
	for _, e := range errorTable {
		t.Run(e.code+" "+e.message, func(t *testing.T) {
			c := h.cloud()
			c.full = func(*vmBody) *refusal { return &refusal{status: e.status, code: e.code, message: e.message} }
			r := request("lease-a", offer(a100, purser.Spot))
			_, err := h.provider(t, c).Launch(t.Context(), r)
			got, ok := errors.AsType[*purser.Error](err)
			if !ok {
				t.Fatalf("got %v", err)
			}
			if got.Kind != e.kind || !strings.Contains(got.Hint, e.hint) || got.RetryAfter != e.wait {
				t.Errorf("got %s, hint %q, after %s; want %s, %q, %s", got.Kind, got.Hint, got.RetryAfter, e.kind, e.hint, e.wait)
			}
			if !strings.Contains(got.Message, string(r.Lease.Offer.ID())) || !strings.Contains(got.Message, e.code) {
				t.Errorf("the message does not name offer and code: %s", got.Message)
			}
			if needsHint := e.kind == purser.KindNoCapacity || e.kind == purser.KindQuota; needsHint && got.Hint == "" {
				t.Error("nobody is told what to do about it")
			}
			if cause, ok := errors.AsType[*azcore.ResponseError](err); !ok || cause.StatusCode != e.status {
				t.Errorf("the cause is lost: %v", err)
			}
			if n := c.count("PUT one Microsoft.Compute/virtualMachines"); n != 1 {
				t.Errorf("Azure was asked %d times", n)
			}
		})
	}
}

func TestEveryCodeIsTested(t *testing.T) {
	for _, known := range azure.KnownCodes() {
		code, words, kind := known[0], known[1], known[2]
		found := code == "PropertyChangeNotAllowed" // means that the machine is there, see TestTrapChangedUserDataIsNoConflict
		for _, e := range errorTable {
			found = found || e.code == code && string(e.kind) == kind && strings.Contains(strings.ToLower(e.message), words)
		}
		if !found {
			t.Errorf("%s with %q as %s has no test", code, words, kind)
		}
	}
}

// TestErrorsOfTheWay are those that have no answer of Azure Resource Manager.
func TestErrorsOfTheWay(t *testing.T) {
	h := newHub(t, true)
	c := h.cloud()
	for name, e := range map[string]struct {
		rt   http.RoundTripper
		want purser.Kind
	}{
		"no network":        {trip(func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF }), purser.KindUnavailable},
		"a proxy's page":    {trip(func(r *http.Request) (*http.Response, error) { return page(r, 200, "<html>hello"), nil }), purser.KindUnavailable},
		"a proxy's refusal": {trip(func(r *http.Request) (*http.Response, error) { return page(r, 404, "<html>no such page"), nil }), purser.KindInvalid},
		"a gateway":         {trip(func(r *http.Request) (*http.Response, error) { return page(r, 502, "bad gateway"), nil }), purser.KindUnavailable},
	} {
		p, err := azure.New(h.config(c, e.rt))
		if err != nil {
			t.Fatal(err)
		}
		r := request("lease-a", offer(a100, purser.Spot))
		_, launch := p.Launch(t.Context(), r)
		_, describe := p.Describe(t.Context(), r.Lease)
		_, list := p.List(t.Context())
		for call, err := range map[string]error{"Launch": launch, "Describe": describe, "List": list, "Terminate": p.Terminate(t.Context(), r.Lease)} {
			if purser.KindOf(err) != e.want || err == nil {
				t.Errorf("%s: %s gave %v; want %s", name, call, err, e.want)
			}
		}
	}
}

func TestRetryAfterIsPassedOn(t *testing.T) {
	h := newHub(t, true)
	c := h.cloud()
	c.refuse = func(string) *refusal { return &refusal{status: 429, code: "TooManyRequests", after: 17} }
	_, err := h.provider(t, c).Describe(t.Context(), request("lease-a", offer(a100, purser.Spot)).Lease)
	if e, ok := errors.AsType[*purser.Error](err); !ok || e.Kind != purser.KindThrottled || e.RetryAfter != 17*time.Second {
		t.Errorf("got %v", err)
	}
	if n := c.count("GET one Microsoft.Compute/virtualMachines"); n != 1 {
		t.Errorf("the SDK asked %d times: repetitions are the decorators' work", n)
	}
}

type trip func(*http.Request) (*http.Response, error)

func (f trip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func page(r *http.Request, status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r, ProtoMajor: 1, ProtoMinor: 1}
}
