package azure

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"purser"
	"purser/pricing/feed"
)

// armOptions are the settings of the SDK's clients. Resource providers are never
// registered on the way: that would need a right to write.
func (o Options) armOptions() *arm.ClientOptions {
	c := o.ARM
	c.DisableRPRegistration = true
	if c.Retry.TryTimeout == 0 {
		c.Retry.TryTimeout = time.Minute
	}
	if c.Retry.MaxRetryDelay == 0 {
		c.Retry.MaxRetryDelay = 30 * time.Second
	}
	c.PerRetryPolicies = append(slices.Clone(c.PerRetryPolicies), askAgain{})
	return &c
}

// askAgain lets the SDK repeat a query whose answer broke off. It does not repeat a
// POST then, since it cannot know that ours change nothing.
type askAgain struct{}

// Do sends the request.
func (askAgain) Do(req *policy.Request) (*http.Response, error) {
	resp, err := req.Next()
	var final nonRetriable
	if errors.As(err, &final) {
		if inner := errors.Unwrap(final); inner != nil {
			err = inner
		}
	}
	return resp, err
}

// nonRetriable is how the SDK marks an error that it does not try again after.
type nonRetriable interface {
	error
	NonRetriable()
}

const credentialHint = "give a credential such as azidentity.DefaultAzureCredential: az login, a managed identity, or AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET"

// fault gives an error of the SDK its kind. Permission is what the call needs.
func fault(ctx context.Context, op, permission string, err error) error {
	if ctx.Err() != nil {
		return purser.Errorf(purser.KindUnavailable, op, "the collection was ended: %w", ctx.Err())
	}
	if e, ok := errors.AsType[*azcore.ResponseError](err); ok {
		return answered(op, permission, e)
	}
	if e, ok := errors.AsType[*azidentity.AuthenticationFailedError](err); ok && e.RawResponse != nil {
		if k := feed.KindOfStatus(e.RawResponse.StatusCode); k == purser.KindThrottled || k == purser.KindUnavailable {
			return &purser.Error{
				Kind: k, Op: op, Message: "Azure's login answers " + http.StatusText(e.RawResponse.StatusCode),
				RetryAfter: retryAfter(e.RawResponse), Cause: err,
			}
		}
	}
	var final nonRetriable
	switch {
	case errors.As(err, &final):
		return &purser.Error{
			Kind: purser.KindUnauthorized, Op: op, Message: "the credential of Azure gives no token, so " + permission + " cannot be used",
			Hint: credentialHint, Cause: err,
		}
	case noAnswer(err):
		return &purser.Error{Kind: purser.KindUnavailable, Op: op, Message: "Azure Resource Manager does not answer", Cause: withoutAddress(err)}
	default:
		return &purser.Error{Kind: purser.KindInvalid, Op: op, Message: "the answer of Azure Resource Manager does not have the form that is expected", Cause: err}
	}
}

// answered is the error of an answer that is no success.
func answered(op, permission string, e *azcore.ResponseError) error {
	out := &purser.Error{
		Kind: feed.KindOfStatus(e.StatusCode), Op: op, RetryAfter: retryAfter(e.RawResponse), Cause: e,
		Message: fmt.Sprintf("Azure Resource Manager answers %d %s", e.StatusCode, clip(e.ErrorCode)),
	}
	switch out.Kind {
	case purser.KindUnauthorized:
		out.Message = "Azure does not accept the credential that is to use " + permission
		out.Hint = credentialHint
	case purser.KindForbidden:
		out.Message = "the credential lacks the permission " + permission
		out.Hint = "assign the role Reader on the subscription"
	case purser.KindNotFound:
		out.Hint = "is the subscription's id right, and is it of the credential's tenant?"
	default:
	}
	return out
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
