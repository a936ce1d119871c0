package azure

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"purser"
)

const credentialHint = "give a workload identity, a managed identity, AZURE_TENANT_ID with AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, or az login"

// verdict is what one of Azure's codes means.
type verdict struct {
	kind purser.Kind
	says string // what is the matter, as the end of a sentence that begins with the offer or the call
	hint string
	wait time.Duration // after which it may be different; 0: not known
}

// codes has the meaning of every code that is known. Where a code stands several times,
// the first entry counts whose words all stand in the message, in any case. Times to wait
// are those that Karpenter's provider for Azure has found useful.
func codes() []codeMeaning {
	const (
		full    = "Azure has none of it now"
		quota   = "the subscription's quota is used up"
		more    = "ask Azure for a higher quota in this region, or use another"
		another = "take another zone, region or size"
	)
	no, hour := purser.KindNoCapacity, time.Hour
	return []codeMeaning{
		// Azure's own limits.
		{"AllocationFailed", "", verdict{no, full, another, hour}},
		{"ZonalAllocationFailed", "", verdict{no, "Azure has none of it in this zone now", "take another zone, or one that Azure chooses", hour}},
		{"OverconstrainedAllocationRequest", "", verdict{no, "Azure cannot place it under its conditions now", another, hour}},
		{"OverconstrainedZonalAllocationRequest", "", verdict{no, "Azure cannot place it under its conditions in this zone now", another, hour}},
		{"SkuNotAvailable", "spot", verdict{no, "Azure has none of it as spot now", "take another size or region, or buy it on demand", hour}},
		{"SkuNotAvailable", "", verdict{no, "Azure does not give it to this subscription here", "take another size or region, or ask Azure to open it", 23 * hour}},
		{"OperationNotAllowed", "max price", verdict{no, "it costs more than the most that is paid", "raise the factor over spot prices", hour}},

		// Ours.
		{"QuotaExceeded", "", verdict{purser.KindQuota, quota, more, 0}},
		{"OperationNotAllowed", "current limit: 0,", verdict{purser.KindQuota, "the subscription has no quota for it", more, 0}},
		{"OperationNotAllowed", "lowprioritycores", verdict{purser.KindQuota, "the subscription's quota of spot cores is used up", more, 0}},
		{"OperationNotAllowed", "quota", verdict{purser.KindQuota, quota, more, 0}},
		{"OperationNotAllowed", "current limit:", verdict{purser.KindQuota, quota, more, 0}},
		{"ResourceQuotaExceeded", "", verdict{purser.KindQuota, "the resource group is full", "use another resource group", 0}},
		{"NetworkInterfaceCountLimitReached", "", verdict{purser.KindQuota, "the subscription has as many network cards as it may", more, 0}},
		{"ApplicationSecurityGroupCountLimitReached", "", verdict{purser.KindQuota, "the subscription has as many application security groups as it may", more, 0}},
		{"SubnetIsFull", "", verdict{purser.KindQuota, "the subnet has no address left", "use a larger subnet in this region", 0}},

		// Worth a repetition.
		{"TooManyRequests", "", verdict{purser.KindThrottled, "there are too many calls", "", 0}},
		{"SubscriptionRequestsThrottled", "", verdict{purser.KindThrottled, "there are too many calls", "", 0}},
		{"OperationNotAllowed", "too many requests", verdict{purser.KindThrottled, "there are too many calls", "", 0}},
		{"OperationNotAllowed", "marked for deletion", verdict{purser.KindUnavailable, "it is being deleted", "", 10 * time.Second}},
		{"AnotherOperationInProgress", "", verdict{purser.KindUnavailable, "another operation is under way", "", 5 * time.Second}},
		{"RetryableError", "", verdict{purser.KindUnavailable, "Azure did not come to an end", "", 5 * time.Second}},
		{"RetryableErrorDueToAnotherOperation", "", verdict{purser.KindUnavailable, "another operation is under way", "", 5 * time.Second}},
		{"ReferencedResourceNotProvisioned", "", verdict{purser.KindUnavailable, "what it needs is not there yet", "", 5 * time.Second}},
		{"OperationPreempted", "", verdict{purser.KindUnavailable, "another operation took over", "", 5 * time.Second}},
		{"NicReservedForAnotherVm", "", verdict{purser.KindUnavailable, "its network card is kept for a machine that failed", "", 3 * time.Minute}},
		{"InternalServerError", "", verdict{purser.KindUnavailable, "Azure failed", "", 0}},
		{"InternalExecutionError", "", verdict{purser.KindUnavailable, "Azure failed", "", 0}},
		{"ServerTimeout", "", verdict{purser.KindUnavailable, "Azure took too long", "", 0}},
		{"GatewayTimeout", "", verdict{purser.KindUnavailable, "Azure took too long", "", 0}},

		// For a person.
		{"InvalidAuthenticationToken", "", verdict{purser.KindUnauthorized, "Azure does not accept the credential", credentialHint, 0}},
		{"InvalidAuthenticationTokenTenant", "", verdict{purser.KindUnauthorized, "the credential is of another tenant than the subscription", credentialHint, 0}},
		{"ExpiredAuthenticationToken", "", verdict{purser.KindUnauthorized, "the credential's token has run out", "set this machine's clock", 0}},
		{"AuthenticationFailed", "", verdict{purser.KindUnauthorized, "Azure does not accept the credential", credentialHint, 0}},
		{"AuthorizationFailed", "", verdict{purser.KindForbidden, "the credential lacks a permission", "assign the role of docs/permissions/azure-role.json on the subscription", 0}},
		{"LinkedAuthorizationFailed", "", verdict{purser.KindForbidden, "the credential may not use the subnet, security group or image", "assign the role of docs/permissions/azure-role.json where these are", 0}},
		{"RequestDisallowedByPolicy", "", verdict{purser.KindForbidden, "a policy of the subscription forbids it", "ask who keeps the subscription's policies", 0}},
		{"ScopeLocked", "", verdict{purser.KindForbidden, "a lock is on the resource group", "remove the lock: machines that cannot be deleted cost money", 0}},
		{"ReadOnlyDisabledSubscription", "", verdict{purser.KindForbidden, "the subscription is disabled", "settle what is due, or use another subscription", 0}},
		{"MissingSubscriptionRegistration", "", verdict{purser.KindForbidden, "the subscription has not registered Microsoft.Compute or Microsoft.Network", "az provider register --namespace Microsoft.Compute, and Microsoft.Network", 0}},
		{"ResourceGroupNotFound", "", verdict{purser.KindInvalid, "the resource group does not exist", "make it, or name another", 0}},
		{"SubscriptionNotFound", "", verdict{purser.KindInvalid, "the subscription does not exist for this credential", "correct the subscription's id", 0}},
		{"PropertyChangeNotAllowed", "", verdict{purser.KindConflict, "it exists with other properties", "", 0}},
		{"OperationNotAllowed", "azure spot", verdict{purser.KindInvalid, "Azure does not sell this size as spot", "buy it on demand", 0}},
		{"InvalidParameter", "", verdict{purser.KindInvalid, "Azure refuses a setting of it", "see the cause; size, zone, image, disk and trusted launch must fit together", 0}},
		{"BadRequest", "", verdict{purser.KindInvalid, "Azure refuses a setting of it", "see the cause; size, zone, image, disk and trusted launch must fit together", 0}},
		{"InvalidRequestContent", "", verdict{purser.KindInvalid, "Azure does not understand the request", "", 0}},
		{"InvalidResourceReference", "", verdict{purser.KindInvalid, "the subnet, security group or reservation group does not exist", "correct the ids of this region", 0}},
		{"PlatformImageNotFound", "", verdict{purser.KindInvalid, "its image does not exist in this region", "name another image", 0}},
		{"ImageNotFound", "", verdict{purser.KindInvalid, "its image does not exist", "name another image", 0}},
		{"GalleryImageNotFound", "", verdict{purser.KindInvalid, "its image is not in this region", "replicate the image to it, or name another", 0}},
		{"ResourcePurchaseValidationFailed", "", verdict{purser.KindInvalid, "the terms of its image are not accepted", "az vm image terms accept, or name another image", 0}},
		{"LocationNotAvailableForResourceType", "", verdict{purser.KindInvalid, "Azure has no such region", "correct the region's name", 0}},
		{"NoRegisteredProviderFound", "", verdict{purser.KindInvalid, "this region lacks the API", "leave the region out", 0}},
	}
}

type codeMeaning struct {
	code, words string
	means       verdict
}

// verdictOf finds what a code means together with its message.
func verdictOf(code, message string) (verdict, bool) {
	message = strings.ToLower(message)
	for _, c := range codes() {
		if strings.EqualFold(c.code, code) && strings.Contains(message, c.words) {
			return c.means, true
		}
	}
	return verdict{}, false
}

// byStatus judges what has no known code.
func byStatus(status int) verdict {
	switch {
	case status == http.StatusUnauthorized:
		return verdict{kind: purser.KindUnauthorized, says: "Azure does not accept the credential", hint: credentialHint}
	case status == http.StatusForbidden:
		return verdict{kind: purser.KindForbidden, says: "Azure forbids it"}
	case status == http.StatusTooManyRequests:
		return verdict{kind: purser.KindThrottled, says: "there are too many calls"}
	case status == http.StatusConflict || status == http.StatusPreconditionFailed:
		return verdict{kind: purser.KindConflict, says: "Azure finds it in a state that forbids this"}
	case status == http.StatusRequestTimeout || status < 400 || status >= 500:
		return verdict{kind: purser.KindUnavailable, says: "Azure failed"}
	default:
		return verdict{kind: purser.KindInvalid, says: "Azure refuses it"}
	}
}

// launchError is the error of a launch of the offer.
func (v verdict) launchError(o purser.Offer, code string, cause error) *purser.Error {
	return &purser.Error{Kind: v.kind, Op: opLaunch, Message: string(o.ID()) + ": " + v.says + coded(code), Hint: v.hint, RetryAfter: v.wait, Cause: cause}
}

func coded(code string) string {
	if code == "" {
		return ""
	}
	return " (" + clip(code) + ")"
}

// fault gives an error of the SDK its kind. Where o is given the error is of its launch.
func fault(ctx context.Context, op string, err error, o *purser.Offer) error {
	if ctx.Err() != nil {
		return purser.Errorf(purser.KindUnavailable, op, "the call was ended: %w", ctx.Err())
	}
	if e, ok := errors.AsType[*azcore.ResponseError](err); ok {
		return refused(op, e, o)
	}
	if e, ok := errors.AsType[*azidentity.AuthenticationFailedError](err); ok && e.RawResponse != nil {
		if v := byStatus(e.RawResponse.StatusCode); v.kind == purser.KindThrottled || v.kind == purser.KindUnavailable {
			return &purser.Error{Kind: v.kind, Op: op, Message: "Azure's login answers " + http.StatusText(e.RawResponse.StatusCode), RetryAfter: retryAfter(e.RawResponse), Cause: err}
		}
	}
	var final interface{ NonRetriable() }
	if !noAnswer(err) && errors.As(err, &final) {
		return &purser.Error{Kind: purser.KindUnauthorized, Op: op, Message: "the credential of Azure gives no token", Hint: credentialHint, Cause: err}
	}
	// An answer that cannot be read counts as none: the call may have taken effect.
	return &purser.Error{Kind: purser.KindUnavailable, Op: op, Message: "Azure Resource Manager gives no answer that can be read", Cause: withoutAddress(err)}
}

// refused is the error of an answer that is no success.
func refused(op string, e *azcore.ResponseError, o *purser.Offer) error {
	v, known := verdictOf(e.ErrorCode, messageOf(e))
	if !known || e.StatusCode == http.StatusTooManyRequests && v.kind != purser.KindNoCapacity {
		v = byStatus(e.StatusCode)
	}
	if v.kind == purser.KindThrottled || v.kind == purser.KindUnavailable {
		v.wait = max(v.wait, retryAfter(e.RawResponse))
	}
	if o != nil {
		return v.launchError(*o, e.ErrorCode, e)
	}
	return &purser.Error{Kind: v.kind, Op: op, Message: "Azure refused a call: " + v.says + coded(e.ErrorCode), Hint: v.hint, RetryAfter: v.wait, Cause: e}
}

// missing says that there is no such thing. A resource group that is not found is
// no proof: the machines may be in another one.
func missing(err error) bool {
	e, ok := errors.AsType[*azcore.ResponseError](err)
	return ok && e.StatusCode == http.StatusNotFound && (e.ErrorCode == "ResourceNotFound" || e.ErrorCode == "NotFound")
}

// there says that a creation was refused since the machine is there already.
func there(err error) bool {
	e, ok := errors.AsType[*azcore.ResponseError](err)
	return ok && (e.StatusCode == http.StatusPreconditionFailed || e.ErrorCode == "PropertyChangeNotAllowed")
}

func codeOf(err error) string {
	if e, ok := errors.AsType[*azcore.ResponseError](err); ok {
		return e.ErrorCode
	}
	return ""
}

// messageOf reads the message of a refusal, or of an operation that failed.
func messageOf(err error) string {
	e, ok := errors.AsType[*azcore.ResponseError](err)
	if !ok || e.RawResponse == nil {
		return ""
	}
	body, err := runtime.Payload(e.RawResponse) // the SDK keeps it
	if err != nil {
		return ""
	}
	var said struct {
		Message string
		Error   struct{ Message string }
	}
	if json.Unmarshal(body, &said) != nil {
		return ""
	}
	return said.Error.Message + said.Message
}

// retryAfter reads Retry-After in seconds; as a date it is not read, since clocks differ.
func retryAfter(resp *http.Response) time.Duration {
	if resp == nil {
		return 0
	}
	n, err := strconv.Atoi(resp.Header.Get("Retry-After"))
	if err != nil || n < 0 || n > 24*3600 {
		return 0
	}
	return time.Duration(n) * time.Second
}

func noAnswer(err error) bool {
	var network net.Error
	var address *url.Error
	return errors.As(err, &network) || errors.As(err, &address) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) ||
		errors.Is(err, context.DeadlineExceeded)
}

// withoutAddress leaves out the address of a request, in whose query tokens may stand.
func withoutAddress(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}
