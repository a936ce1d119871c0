package purser

import (
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"
	"time"
)

// Kind says what sort of failure an Error is. Kinds cross the wire as their
// text, so a text once published never changes.
type Kind string

// The kinds of error.
const (
	KindInvalid      Kind = "invalid"      // the input is wrong; repeating it cannot help
	KindNotFound     Kind = "not_found"    // the thing named does not exist
	KindConflict     Kind = "conflict"     // the thing exists already, differently, or is in a state that forbids this
	KindUnauthorized Kind = "unauthorized" // who is calling is not known
	KindForbidden    Kind = "forbidden"    // who is calling may not do this
	KindInfeasible   Kind = "infeasible"   // no set of offers satisfies the request
	KindNoCapacity   Kind = "no_capacity"  // the cloud is out of this machine now; try another offer
	KindQuota        Kind = "quota"        // the account's own limit; ask for more
	KindThrottled    Kind = "throttled"    // too many calls; wait
	KindStale        Kind = "stale"        // the caller acted on a state that has changed; read again
	KindUnavailable  Kind = "unavailable"  // a part that we depend on does not answer now
	KindInternal     Kind = "internal"     // a fault of ours
)

// Place is a position in a file that a user wrote. Line and Column count from 1;
// 0 means unknown.
type Place struct {
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
	Path   string `json:"path,omitempty"` // e.g. jobs[0].train.devices
}

// String writes the place as file:line:column, as compilers do.
func (p Place) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
		if p.Column > 0 {
			fmt.Fprintf(&b, ":%d", p.Column)
		}
	}
	if p.Path != "" {
		if b.Len() > 0 {
			b.WriteString(": ")
		}
		b.WriteString(p.Path)
	}
	return strings.TrimPrefix(b.String(), ":")
}

// Error is the one error type of Purser. Message is for the user and never holds
// a secret or an internal text; Cause is for the log.
type Error struct {
	Kind       Kind
	Op         string        // what was being done, e.g. "postgres.SavePlan"
	Message    string        // one sentence for the user
	Hint       string        // what to do about it; may be empty
	Place      *Place        // where in the user's input; may be nil
	RetryAfter time.Duration // for throttled, no_capacity and unavailable; 0 is unknown
	Cause      error
}

// Error joins place, message, hint and cause.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Place != nil {
		if s := e.Place.String(); s != "" {
			b.WriteString(s)
			b.WriteString(": ")
		}
	}
	if e.Message != "" {
		b.WriteString(e.Message)
	} else {
		b.WriteString(string(e.Kind))
	}
	if e.Hint != "" {
		fmt.Fprintf(&b, " (%s)", e.Hint)
	}
	if _, said := e.Cause.(silentCause); e.Cause != nil && !said { //nolint:errorlint // the type itself is asked for, not the chain
		fmt.Fprintf(&b, ": %v", e.Cause)
	}
	return b.String()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Errorf makes an Error. A %w in the format becomes the Cause, and its text is
// kept in the message.
func Errorf(kind Kind, op, format string, args ...any) *Error {
	wrapped := fmt.Errorf(format, args...)
	return &Error{Kind: kind, Op: op, Message: wrapped.Error(), Cause: silent(errors.Unwrap(wrapped))}
}

// silentCause keeps a cause reachable for errors.Is and errors.As without
// repeating its text, which the message already holds.
type silentCause struct{ error }

func (s silentCause) Unwrap() error { return s.error }

func silent(err error) error {
	if err == nil {
		return nil
	}
	return silentCause{err}
}

// Wrap gives err a kind and an operation; a nil err stays nil. An err that is an
// Error already keeps its kind.
func Wrap(kind Kind, op string, err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		kind = e.Kind
	}
	return &Error{Kind: kind, Op: op, Message: err.Error(), Cause: silent(err)}
}

// KindOf is the kind of the outermost Error in the chain, or internal.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return KindInternal
}

// HTTPStatus is the one table from kind to HTTP status.
func HTTPStatus(k Kind) int {
	switch k {
	case KindInvalid:
		return http.StatusUnprocessableEntity
	case KindNotFound:
		return http.StatusNotFound
	case KindConflict, KindStale:
		return http.StatusConflict
	case KindUnauthorized:
		return http.StatusUnauthorized
	case KindForbidden:
		return http.StatusForbidden
	case KindInfeasible:
		return http.StatusUnprocessableEntity
	case KindNoCapacity, KindUnavailable:
		return http.StatusServiceUnavailable
	case KindQuota:
		return http.StatusForbidden
	case KindThrottled:
		return http.StatusTooManyRequests
	default:
		return http.StatusInternalServerError
	}
}

// Guard runs f and gives a panic in it as an error of kind internal, with the stack: a goroutine that panics ends the whole process.
func Guard(op string, f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = Errorf(KindInternal, op, "panic: %v\n%s", p, debug.Stack())
		}
	}()
	return f()
}
