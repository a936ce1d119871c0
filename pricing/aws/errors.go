package aws

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"purser"
	"purser/pricing/feed"
)

// call is a request of ours, for errors.
type call struct {
	op     string // ours, e.g. aws.Spot
	action string // as IAM names it, e.g. ec2:DescribeRegions
	region string // where it is asked
}

const credentialsHint = "give credentials that are in force: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or a role"

// failed says what an error of the SDK means.
func (c call) failed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ended(ctx, c.op)
	}
	fault := faultOf(err)
	e := &purser.Error{Op: c.op, Kind: kindOf(err, fault.code), Cause: fault}
	switch e.Kind {
	case purser.KindForbidden:
		e.Message = fmt.Sprintf("these credentials may not call %s in %s", c.action, c.region)
		e.Hint = "allow " + c.action + " in the IAM policy of their user or role"
	case purser.KindUnauthorized:
		e.Message = fmt.Sprintf("%s in %s does not accept the credentials", c.action, c.region)
		e.Hint = credentialsHint
		switch {
		case slices.Contains(notEnabled, fault.code):
			e.Hint = "enable the region " + c.region + " in the account or leave it out; if all regions say so, " + credentialsHint
		case slices.Contains(skewed, fault.code):
			e.Hint = "set this machine's clock"
		}
		// What AWS says about a bad signature can repeat the session token.
		e.Cause = apiFault{fault.code, "AWS's words are left out"}
	default:
		e.Message = fmt.Sprintf("%s in %s does not give an answer", c.action, c.region)
	}
	return e
}

func ended(ctx context.Context, op string) error {
	return purser.Errorf(purser.KindUnavailable, op, "the collection was ended: %w", ctx.Err())
}

// apiFault is what AWS said, as the cause of an error.
type apiFault struct{ code, said string }

// Error gives code and text.
func (f apiFault) Error() string {
	if f.code == "" {
		return f.said
	}
	return strings.TrimSuffix(f.code+": "+f.said, ": ")
}

func faultOf(err error) apiFault {
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		return apiFault{e.ErrorCode(), clip(e.ErrorMessage())}
	}
	return apiFault{said: clip(err.Error())}
}

// clip keeps the beginning of a text, in one line.
func clip(s string) string {
	const most = 300
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "")), " ")
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

// The codes that do not follow from the HTTP status. A region that is not enabled
// answers with notEnabled, and so does every region to a wrong key.
var (
	notEnabled   = []string{"AuthFailure", "OptInRequired"}
	notAllowed   = []string{"UnauthorizedOperation", "AccessDenied", "AccessDeniedException"}
	skewed       = []string{"RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture"}
	unauthorized = []string{
		"ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch",
		"InvalidSignatureException", "IncompleteSignature", "IncompleteSignatureException", "MissingAuthenticationToken",
		"MissingAuthenticationTokenException", "InvalidAccessKeyId", "PendingVerification", "Blocked",
	}
)

// tooManyConfigs says that no new sort of placement score may be asked today.
const tooManyConfigs = "MaxConfigLimitExceeded"

func kindOf(err error, code string) purser.Kind {
	_, throttled := retry.DefaultThrottleErrorCodes[code]
	switch {
	case throttled || code == tooManyConfigs:
		return purser.KindThrottled
	case slices.Contains(notAllowed, code):
		return purser.KindForbidden
	case slices.Contains(notEnabled, code), slices.Contains(skewed, code), slices.Contains(unauthorized, code):
		return purser.KindUnauthorized
	}
	// Without an answer the status is 0.
	if e, ok := errors.AsType[*smithyhttp.ResponseError](err); ok && e.HTTPStatusCode() >= http.StatusMultipleChoices {
		return feed.KindOfStatus(e.HTTPStatusCode())
	}
	if _, ok := errors.AsType[*smithy.DeserializationError](err); ok && !cutOff(err) {
		return purser.KindInvalid
	}
	return purser.KindUnavailable
}

// cutOff says whether an answer ended before its end.
func cutOff(err error) bool {
	if _, ok := errors.AsType[net.Error](err); ok || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return true
	}
	e, ok := errors.AsType[*xml.SyntaxError](err)
	return ok && e.Msg == "unexpected EOF"
}

// brokeOff makes the SDK repeat a request whose good answer could not be read,
// which it does not by itself.
func brokeOff(err error) awssdk.Ternary {
	response, ok := errors.AsType[*smithyhttp.ResponseError](err)
	if _, broken := errors.AsType[*smithy.DeserializationError](err); ok && broken && response.HTTPStatusCode() == http.StatusOK {
		return awssdk.TrueTernary
	}
	return awssdk.UnknownTernary
}

// signedIn checks that there are credentials, before anything is asked with them.
func (a api) signedIn(ctx context.Context, op string) error {
	if ctx.Err() != nil {
		return ended(ctx, op)
	}
	none := &purser.Error{Kind: purser.KindUnauthorized, Op: op, Message: "there are no credentials for AWS", Hint: credentialsHint}
	if a.config.Credentials == nil {
		return none
	}
	_, err := a.config.Credentials.Retrieve(ctx)
	if ctx.Err() != nil {
		return ended(ctx, op)
	}
	if err != nil {
		none.Cause = apiFault{code: faultOf(err).code, said: "they could not be found or renewed"}
		return none
	}
	return nil
}
