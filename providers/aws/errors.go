package aws

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"purser"
)

const credentialsHint = "give credentials that are in force: a role of the workload (recommended), a profile, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"

// meaning is what a code of AWS means to us.
type meaning struct {
	kind  purser.Kind
	hint  string // may be empty
	after time.Duration
}

const (
	hintElsewhere = "another zone, region, type or purchase option may have one"
	hintQuota     = "ask for more in Service Quotas (ec2), or take another region or family"
	hintRegion    = "enable the region in the account or leave it out; if all regions say so, " + credentialsHint
	hintClock     = "set this machine's clock"
	hintSubnet    = "give places a subnet with free addresses, or a larger one"
	hintRole      = "create the role once: aws iam create-service-linked-role --aws-service-name spot.amazonaws.com"
	hintImage     = "look at images in the provider's settings; an image's id (ami-…) needs no Systems Manager"
	hintPolicy    = "compare the role's policy with docs/permissions/aws.json"
)

// meanings is the one table of codes. Those that it lacks follow from their form or from
// the status of the answer, see meaningOf.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
var meanings = map[string]meaning{
	"InsufficientInstanceCapacity":         {purser.KindNoCapacity, hintElsewhere, time.Minute},
	"InsufficientHostCapacity":             {purser.KindNoCapacity, hintElsewhere, time.Minute},
	"InsufficientReservedInstanceCapacity": {purser.KindNoCapacity, hintElsewhere, time.Minute},
	"InsufficientCapacity":                 {purser.KindNoCapacity, hintElsewhere, time.Minute},
	"InsufficientVolumeCapacity":           {purser.KindNoCapacity, hintElsewhere, time.Minute},
	"UnfulfillableCapacity":                {purser.KindNoCapacity, hintElsewhere, time.Minute},
	"Unsupported":                          {purser.KindNoCapacity, "this zone does not sell the type; " + hintElsewhere, time.Hour},
	"SpotMaxPriceTooLow":                   {purser.KindNoCapacity, "the spot price rose above the offer's; plan with newer prices, or raise max_price_factor", time.Minute},
	"ReservationCapacityExceeded":          {purser.KindNoCapacity, "wait for a machine of the reservation to end, or enlarge it", time.Minute},
	"InvalidCapacityReservationId.NotFound": {
		purser.KindNoCapacity, "the reservation has ended; take another purchase option", 0,
	},
	"InvalidCapacityReservationState": {purser.KindNoCapacity, "the reservation is not active now; look at its times", 0},

	"VcpuLimitExceeded":                  {purser.KindQuota, hintQuota, 0},
	"InstanceLimitExceeded":              {purser.KindQuota, hintQuota, 0},
	"MaxSpotInstanceCountExceeded":       {purser.KindQuota, hintQuota, 0},
	"SpotInstanceCountExceeded":          {purser.KindQuota, hintQuota, 0},
	"MaxFleetCountExceeded":              {purser.KindQuota, hintQuota, 0},
	"VolumeLimitExceeded":                {purser.KindQuota, "ask for more volume storage in Service Quotas (ebs)", 0},
	"InsufficientFreeAddressesInSubnet":  {purser.KindQuota, hintSubnet, 0},
	"PrivateIpAddressLimitExceeded":      {purser.KindQuota, hintSubnet, 0},
	"NetworkInterfaceLimitExceeded":      {purser.KindQuota, "ask for more network interfaces in Service Quotas (vpc)", 0},
	"SecurityGroupsPerInterfaceExceeded": {purser.KindQuota, "give places fewer security groups", 0},

	"ResourceCountExceeded": {purser.KindQuota, hintQuota, 0},
	"PendingVerification":   {purser.KindForbidden, "AWS is still verifying the account for this region; wait some hours, or ask AWS Support", 0},
	"Blocked":               {purser.KindForbidden, "AWS has blocked the account; ask AWS Support", 0},
	"UnauthorizedOperation": {purser.KindForbidden, hintPolicy, 0},
	"AccessDenied":          {purser.KindForbidden, hintPolicy, 0},
	"AccessDeniedException": {purser.KindForbidden, hintPolicy, 0},
	"OperationNotPermitted": {purser.KindForbidden, hintPolicy, 0},
	"AuthFailure.ServiceLinkedRoleCreationNotPermitted": {purser.KindForbidden, hintRole, 0},
	"KMS.AccessDeniedException":                         {purser.KindForbidden, "let the role use the key of kms_key", 0},

	"AuthFailure":                         {purser.KindUnauthorized, hintRegion, 0},
	"OptInRequired":                       {purser.KindUnauthorized, hintRegion, 0},
	"RequestTimeTooSkewed":                {purser.KindUnauthorized, hintClock, 0},
	"RequestExpired":                      {purser.KindUnauthorized, hintClock, 0},
	"RequestInTheFuture":                  {purser.KindUnauthorized, hintClock, 0},
	"ExpiredToken":                        {purser.KindUnauthorized, credentialsHint, 0},
	"ExpiredTokenException":               {purser.KindUnauthorized, credentialsHint, 0},
	"InvalidClientTokenId":                {purser.KindUnauthorized, credentialsHint, 0},
	"UnrecognizedClientException":         {purser.KindUnauthorized, credentialsHint, 0},
	"SignatureDoesNotMatch":               {purser.KindUnauthorized, credentialsHint, 0},
	"InvalidSignatureException":           {purser.KindUnauthorized, credentialsHint, 0},
	"IncompleteSignature":                 {purser.KindUnauthorized, credentialsHint, 0},
	"MissingAuthenticationToken":          {purser.KindUnauthorized, credentialsHint, 0},
	"MissingAuthenticationTokenException": {purser.KindUnauthorized, credentialsHint, 0},
	codeNoCredentials:                     {purser.KindUnauthorized, credentialsHint, 0},
	"InvalidAccessKeyId":                  {purser.KindUnauthorized, credentialsHint, 0},

	codeMismatch:                 {purser.KindConflict, "the lease is ended and planned anew", 0},
	codeTerminated:               {purser.KindConflict, "the lease's machine has been there and has ended", 0},
	"InvalidInstanceID.NotFound": {purser.KindNotFound, "", 0},

	// What was made a moment ago is not seen everywhere at once.
	"InvalidLaunchTemplateName.NotFoundException": {purser.KindUnavailable, "", time.Second},
	"InvalidLaunchTemplateId.NotFound":            {purser.KindUnavailable, "", time.Second},
	codeTemplateExists:                            {purser.KindUnavailable, "", time.Second},
	"KmsThrottled":                                {purser.KindThrottled, "", time.Second}, // of an encrypted queue
	"KMS.ThrottlingException":                     {purser.KindThrottled, "", time.Second},
	"ReceiptHandleIsInvalid":                      {purser.KindUnavailable, "", 0}, // the notice comes again, with another
	"InternalError":                               {purser.KindUnavailable, "", 0},
	"InternalFailure":                             {purser.KindUnavailable, "", 0},
	"ServiceUnavailable":                          {purser.KindUnavailable, "", 0},
	"Unavailable":                                 {purser.KindUnavailable, "", 0},

	"VPCIdNotSpecified":                       {purser.KindInvalid, "the region has no default VPC: name subnets and security groups in places", 0},
	"DefaultVpcDoesNotExist":                  {purser.KindInvalid, "the region has no default VPC: name subnets and security groups in places", 0},
	"InvalidSubnetID.NotFound":                {purser.KindInvalid, "look at the subnets in places", 0},
	"InvalidGroup.NotFound":                   {purser.KindInvalid, "look at the security groups in places", 0},
	"InvalidAMIID.NotFound":                   {purser.KindInvalid, hintImage, 0},
	"InvalidAMIID.Unavailable":                {purser.KindInvalid, hintImage, 0},
	"InvalidAMIID.Malformed":                  {purser.KindInvalid, hintImage, 0},
	"ParameterNotFound":                       {purser.KindInvalid, hintImage, 0},
	"QueueDoesNotExist":                       {purser.KindInvalid, "look at the queues in the provider's settings", 0},
	"AWS.SimpleQueueService.NonExistentQueue": {purser.KindInvalid, "look at the queues in the provider's settings", 0},
}

// Codes that the adapter acts on.
const (
	codeMismatch       = "IdempotentParameterMismatch"
	codeTerminated     = "IdempotentInstanceTerminated"
	codeNoCredentials  = "NoCredentials" // ours: the SDK found none, or could not renew them
	codeTemplateExists = "InvalidLaunchTemplateName.AlreadyExistsException"
)

// ownLimit is the form of codes that say that a limit of the account is reached.
var ownLimit = regexp.MustCompile(`(LimitExceeded|LimitExceededException|CountExceeded|QuotaExceededException)$`)

// meaningOf looks a code up. status is that of the answer, 0 for none.
func meaningOf(code, said string, status int) meaning {
	if code == "InsufficientInstanceCapacity" && strings.Contains(said, "spread placement group") {
		return meaning{purser.KindQuota, "the placement group is full; take another", 0}
	}
	if m, ok := meanings[code]; ok {
		return m
	}
	_, throttled := retry.DefaultThrottleErrorCodes[code]
	switch {
	case code == "LimitExceededException": // of Service Quotas and Systems Manager: a limit, not a pace
		return meaning{purser.KindQuota, hintQuota, 0}
	case throttled, status == http.StatusTooManyRequests:
		return meaning{purser.KindThrottled, "", time.Second}
	case ownLimit.MatchString(code):
		return meaning{purser.KindQuota, hintQuota, 0}
	case status == http.StatusUnauthorized:
		return meaning{purser.KindUnauthorized, credentialsHint, 0}
	case status == http.StatusForbidden:
		return meaning{purser.KindForbidden, hintPolicy, 0}
	case status == 0 || status >= http.StatusInternalServerError || code == "":
		// Without a code it was somebody between us and AWS.
		return meaning{kind: purser.KindUnavailable}
	case status >= http.StatusBadRequest:
		return meaning{kind: purser.KindInvalid}
	default:
		return meaning{kind: purser.KindUnavailable} // a good answer that could not be read
	}
}

// failed says what an error of the SDK means; what is the call and its place.
func failed(ctx context.Context, op, what string, err error) error {
	if ctx.Err() != nil {
		return purser.Errorf(purser.KindUnavailable, op, "%s was cut off: %w", what, ctx.Err())
	}
	fault := faultOf(err)
	return fault.error(op, what)
}

// error makes our error of a fault.
func (f apiFault) error(op, what string) *purser.Error {
	m := meaningOf(f.code, f.said, f.status)
	e := &purser.Error{Kind: m.kind, Op: op, Hint: m.hint, RetryAfter: m.after, Cause: f}
	if m.kind == purser.KindUnauthorized {
		// What AWS says about a bad signature can repeat the session token.
		f.said = "AWS's words are left out"
		e.Cause = f
	}
	switch m.kind {
	case purser.KindNoCapacity:
		e.Message = what + ": AWS has none just now"
	case purser.KindQuota:
		e.Message = what + ": a limit of the account is reached"
	case purser.KindForbidden:
		e.Message = what + ": these credentials may not do that"
	case purser.KindUnauthorized:
		e.Message = what + ": AWS does not accept the credentials"
	case purser.KindThrottled:
		e.Message = what + ": too many calls"
	case purser.KindInvalid:
		e.Message = what + ": AWS refuses the request"
	case purser.KindConflict:
		e.Message = what + ": the client token was used before"
	default:
		e.Message = what + ": there is no answer that could be used"
	}
	return e
}

// apiFault is what AWS said, as the cause of an error.
type apiFault struct {
	code, said string
	status     int
}

// Error gives code and text.
func (f apiFault) Error() string {
	if f.code == "" {
		return f.said
	}
	return strings.TrimSuffix(f.code+": "+f.said, ": ")
}

func faultOf(err error) apiFault {
	f := apiFault{}
	if e, ok := errors.AsType[*smithyhttp.ResponseError](err); ok {
		f.status = e.HTTPStatusCode()
	}
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		f.code, f.said = e.ErrorCode(), clip(e.ErrorMessage())
		if f.code == "UnknownError" { // the SDK's own, for an answer without a code
			f.code = ""
		}
		return f
	}
	f.said = clip(err.Error())
	if f.status == 0 && strings.Contains(f.said, "get identity: ") { // nothing was sent
		f.code = codeNoCredentials
	}
	return f
}

// code is AWS's code of an error, or empty.
func code(err error) string {
	if err == nil {
		return ""
	}
	return faultOf(err).code
}

// unknownActions are the codes by which an endpoint says that it does not know a call.
var unknownActions = []string{
	"InvalidAction", "UnknownAction", "UnknownOperation", "UnknownOperationException", "NotImplemented", "NotImplementedException", "NotImplementedError",
}

// unknownAction says whether the endpoint does not know the call. AWS itself knows all
// of them; other clouds that speak EC2's language do not.
func unknownAction(err error) bool {
	if err == nil {
		return false
	}
	f := faultOf(err)
	return slices.Contains(unknownActions, f.code) || f.status == http.StatusNotImplemented ||
		f.code == "" && (f.status == http.StatusNotFound || f.status == http.StatusMethodNotAllowed)
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
