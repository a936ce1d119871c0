package server

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/labstack/echo/v4"

	"purser"
	"purser/api"
)

// problem is an api.Problem that huma can send.
type problem struct {
	api.Problem
	retryAfter int // seconds
}

func (p *problem) Error() string               { return p.Detail }
func (p *problem) GetStatus() int              { return p.Status }
func (p *problem) ContentType(_ string) string { return "application/problem+json" }

// GetHeaders adds Retry-After where the time is known.
func (p *problem) GetHeaders() http.Header {
	h := http.Header{}
	if p.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(p.retryAfter))
	}
	return h
}

func newProblem(kind purser.Kind, status int, detail string) *problem {
	return &problem{Problem: api.Problem{
		Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail, Code: kind,
	}}
}

// problemOf is the answer to an error. An internal one is logged here, once, and
// its text kept from the caller.
func (s *Server) problemOf(ctx context.Context, op string, err error) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	if errors.Is(err, context.Canceled) {
		return newProblem(purser.KindUnavailable, http.StatusServiceUnavailable, "the call was ended by the caller or by the server's stop")
	}
	kind := purser.KindOf(err)
	status := purser.HTTPStatus(kind)
	e, ok := errors.AsType[*purser.Error](err)
	if kind == purser.KindInternal || !ok {
		id := requestID(ctx)
		s.log.ErrorContext(ctx, "call failed", slog.String("operation", op), slog.String("request_id", id), slog.Any("error", err))
		return newProblem(purser.KindInternal, http.StatusInternalServerError, "something went wrong inside Purser; its log has request "+id)
	}
	p := newProblem(kind, status, e.Message)
	p.Hint, p.Place = e.Hint, e.Place
	p.retryAfter = int(e.RetryAfter.Seconds())
	if kind == purser.KindUnavailable {
		s.log.WarnContext(ctx, "a part does not answer", slog.String("operation", op), slog.Any("error", err))
		if p.retryAfter == 0 {
			p.retryAfter = 1
		}
	}
	return p
}

// kindOfStatus names the kind of an error that echo or huma made by status.
func kindOfStatus(status int) purser.Kind {
	switch {
	case status == http.StatusNotFound, status == http.StatusMethodNotAllowed:
		return purser.KindNotFound
	case status == http.StatusUnauthorized:
		return purser.KindUnauthorized
	case status == http.StatusForbidden:
		return purser.KindForbidden
	case status == http.StatusTooManyRequests:
		return purser.KindThrottled
	case status == http.StatusConflict:
		return purser.KindConflict
	case status == http.StatusServiceUnavailable:
		return purser.KindUnavailable
	case status >= http.StatusInternalServerError:
		return purser.KindInternal
	default:
		return purser.KindInvalid
	}
}

// humaError is what huma calls for its own errors: broken bodies, failed
// validation. Details of a 5xx stay inside.
func humaError(status int, message string, errs ...error) huma.StatusError {
	p := newProblem(kindOfStatus(status), status, message)
	if status >= http.StatusInternalServerError {
		p.Detail = "something went wrong inside Purser"
		return p
	}
	for _, err := range errs {
		if d, ok := errors.AsType[*huma.ErrorDetail](err); ok {
			p.Errors = append(p.Errors, api.FieldError{Message: d.Message, Location: d.Location, Value: shown(d.Value)})
		} else if err != nil {
			p.Errors = append(p.Errors, api.FieldError{Message: err.Error()})
		}
	}
	return p
}

// shown keeps the offending value short: a body of megabytes is not sent back.
func shown(v any) any {
	b, err := json.Marshal(v)
	if err != nil || len(b) > 200 {
		return nil
	}
	return v
}

// echoError answers what never reached an operation: unknown routes, wrong
// methods, bodies over the limit.
func (s *Server) echoError(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	var p *problem
	if he, ok := errors.AsType[*echo.HTTPError](err); ok {
		p = newProblem(kindOfStatus(he.Code), he.Code, http.StatusText(he.Code))
		if he.Code == http.StatusNotFound {
			p.Detail = "there is nothing at " + clip(c.Request().URL.Path)
			p.Hint = "the API is described at /openapi.json"
		}
	} else {
		p = s.problemOf(c.Request().Context(), c.Request().Method+" "+c.Path(), err)
	}
	for k, v := range p.GetHeaders() {
		c.Response().Header()[k] = v
	}
	c.Response().Header().Set("Content-Type", "application/problem+json")
	if p.Status == http.StatusUnauthorized {
		c.Response().Header().Set("WWW-Authenticate", "Bearer")
	}
	body, _ := json.Marshal(p.Problem)
	c.Response().WriteHeader(p.Status)
	_, _ = c.Response().Write(append(body, '\n'))
}

func clip(s string) string {
	if len(s) > 100 {
		s = s[:100] + "…"
	}
	return strings.ToValidUTF8(s, "?")
}
