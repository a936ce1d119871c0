package gcp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"cloud.google.com/go/auth"
	"github.com/googleapis/gax-go/v2/apierror"
	"google.golang.org/api/googleapi"
	"google.golang.org/protobuf/proto"

	"purser"
	"purser/pricing/feed"
)

// need is a request: what is asked for, and what may be missing for it.
type need struct {
	op         string
	what       string // e.g. "the list of machine types"
	api        string // host name of the API that must be enabled
	permission string // IAM permission; empty where none is needed
	role       string // the smallest predefined role with the permission
}

// explain gives an error of the SDK its kind.
func (n need) explain(ctx context.Context, err error) *purser.Error {
	if ctx.Err() != nil {
		return ended(ctx, n.op)
	}
	if e, ok := errors.AsType[*purser.Error](err); ok {
		return e
	}
	if e, ok := errors.AsType[*googleapi.Error](err); ok {
		return n.refused(e, reasons(err, e))
	}
	if e, ok := errors.AsType[*auth.Error](err); ok {
		return n.unknown(e)
	}
	if isForm(err) {
		return purser.Errorf(purser.KindInvalid, n.op, "%s does not have the form that is expected: %s", n.what, clip(err.Error()))
	}
	return purser.Errorf(purser.KindUnavailable, n.op, "%s could not be read: %w", n.what, bare(err))
}

// bare takes the address away from an error, since what it wraps says enough.
func bare(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

func isForm(err error) bool {
	_, syntax := errors.AsType[*json.SyntaxError](err)
	_, typed := errors.AsType[*json.UnmarshalTypeError](err)
	return syntax || typed || errors.Is(err, proto.Error) || errors.Is(err, errTooLarge) || errors.Is(err, errEndless)
}

// reasons are the words in which an error says what it is about, in lower case.
func reasons(err error, e *googleapi.Error) string {
	var all []string
	for _, item := range e.Errors {
		all = append(all, item.Reason)
	}
	if a, ok := apierror.FromError(err); ok {
		all = append(all, a.Reason())
	} else if a, ok := apierror.ParseError(e, false); ok {
		all = append(all, a.Reason())
	}
	return strings.ToLower(strings.Join(all, " "))
}

// answered is what an API said with a status that is no success.
type answered struct {
	code int
	said string
}

func (a answered) Error() string { return a.said }

// refused explains an answer that is no success.
func (n need) refused(e *googleapi.Error, reasons string) *purser.Error {
	said := clip(e.Message)
	if e.Message == "" {
		said = clip(e.Body)
	}
	out := &purser.Error{
		Kind: feed.KindOfStatus(e.Code), Op: n.op, RetryAfter: retryAfter(e.Header), Cause: answered{e.Code, said},
		Message: fmt.Sprintf("%s was answered with %d %s", n.what, e.Code, http.StatusText(e.Code)),
	}
	has := func(word string) bool { return strings.Contains(reasons, word) }
	switch {
	case e.Code == http.StatusForbidden && (has("ratelimit") || has("rate_limit") || has("quotaexceeded") || has("dailylimit")):
		out.Kind = purser.KindThrottled
	case has("api_key_invalid") || has("keyinvalid") || has("keyexpired") || has("api_key_expired"):
		out.Kind, out.Message, out.Hint = purser.KindUnauthorized, "the API key is not valid", "make a new one, or give credentials instead"
	case has("service_disabled") || has("accessnotconfigured"):
		out.Kind, out.Message = purser.KindForbidden, n.what+" needs the API "+n.api+", which is not enabled in the project"
		out.Hint = "run gcloud services enable " + n.api
	case e.Code == http.StatusForbidden && n.permission != "":
		out.Message = n.what + " needs the permission " + n.permission
		out.Hint = "grant it, or the role " + n.role + ", to the account that collects, and enable " + n.api
	case e.Code == http.StatusForbidden:
		out.Hint = "enable " + n.api + " in the project of the key or the credentials"
	case e.Code == http.StatusUnauthorized:
		out.Message, out.Hint = n.what+" was refused: the credentials have expired or are not known", renew
	}
	return out
}

const renew = "run gcloud auth application-default login, or renew the key"

// unknown explains a token that could not be had.
func (n need) unknown(e *auth.Error) *purser.Error {
	out := &purser.Error{
		Kind: purser.KindUnauthorized, Op: n.op, Message: "no token could be had for the credentials of Google Cloud", Hint: renew,
		Cause: errors.New("the token service gives no reason"),
	}
	if r := e.Response; r != nil {
		out.Cause = errors.New("the token service answers " + strconv.Itoa(r.StatusCode))
		if k := feed.KindOfStatus(r.StatusCode); k == purser.KindThrottled || k == purser.KindUnavailable {
			out.Kind, out.Hint, out.RetryAfter = k, "", retryAfter(r.Header)
		}
	}
	return out
}

// retryAfter reads Retry-After in seconds; as a date it is not read, since clocks differ.
func retryAfter(h http.Header) time.Duration {
	n, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || n < 0 || n > 24*3600 {
		return 0
	}
	return time.Duration(n) * time.Second
}

// clip keeps the beginning of what an API says, in one line.
func clip(said string) string {
	const most = 200
	s := strings.Join(strings.Fields(strings.ToValidUTF8(said, "")), " ")
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return orElse(s == "", "it says nothing more", s)
}

// list names the first few of some regions.
func list(names []string) string {
	const most = 10
	if len(names) > most {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return strings.Join(names, ", ")
}
