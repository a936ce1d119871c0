package server

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/labstack/echo/v4"

	"purser"
	"purser/api"
)

// Identity is who calls.
type Identity struct {
	Name  string // for the audit
	Token string // id of the token that stands behind it
	Role  api.Role
}

// Access knows tokens and sessions.
type Access interface {
	// Authenticate finds who holds a bearer token; unauthorized when nobody does.
	Authenticate(ctx context.Context, bearer string) (Identity, error)
	// Session finds who a session cookie belongs to.
	Session(ctx context.Context, cookie string) (Identity, error)
	// SignIn exchanges a one-time code for a session; a second time is unauthorized.
	SignIn(ctx context.Context, code string) (cookie string, until time.Time, err error)
	// SignOut ends a session; an unknown one is no error.
	SignOut(ctx context.Context, cookie string) error
	// NewLogin makes a one-time code for the caller.
	NewLogin(ctx context.Context, who Identity) (api.Login, error)
}

const cookieName = "purser_session"

type (
	identityKey struct{}
	againKey    struct{}
)

func withIdentity(ctx context.Context, who Identity) context.Context {
	return context.WithValue(ctx, identityKey{}, who)
}

// stillPermitted asks again what permit asked when the call began, for calls that
// last: a token may have been revoked since.
func stillPermitted(ctx context.Context) error {
	if again, ok := ctx.Value(againKey{}).(func(context.Context) error); ok {
		return again(ctx)
	}
	return purser.Errorf(purser.KindInternal, "server", "the call was never permitted")
}

// caller is who an operation's permission was checked for.
func caller(ctx context.Context) Identity {
	who, _ := ctx.Value(identityKey{}).(Identity)
	return who
}

func rank(r api.Role) int {
	switch r {
	case api.RoleViewer:
		return 1
	case api.RoleOperator:
		return 2
	case api.RoleAdmin:
		return 3
	default:
		return 0
	}
}

func bearer(header string) string {
	scheme, token, ok := strings.Cut(header, " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// identify finds the caller by bearer, else by cookie.
func (s *Server) identify(ctx context.Context, authorization, cookie string) (Identity, error) {
	if authorization != "" {
		token := bearer(authorization)
		if token == "" {
			return Identity{}, purser.Errorf(purser.KindUnauthorized, "server", "the Authorization header is not of the form: Bearer TOKEN")
		}
		return s.parts.Access.Authenticate(ctx, token)
	}
	if cookie != "" {
		return s.parts.Access.Session(ctx, cookie)
	}
	return Identity{}, &purser.Error{
		Kind: purser.KindUnauthorized, Op: "server", Message: "this call needs a token",
		Hint: "send it as Authorization: Bearer TOKEN; purser serve prints where the first one is kept",
	}
}

// permit is the middleware of every operation: it lets the call through when the
// caller's role suffices.
func (s *Server) permit(need api.Role) func(huma.Context, func(huma.Context)) {
	return func(hc huma.Context, next func(huma.Context)) {
		cookie := ""
		if c, err := huma.ReadCookie(hc, cookieName); err == nil {
			cookie = c.Value
		}
		authorization := hc.Header("Authorization")
		who, err := s.allowed(hc.Context(), need, authorization, cookie)
		if err != nil {
			s.refuse(hc, err)
			return
		}
		ctx := context.WithValue(withIdentity(hc.Context(), who), againKey{}, func(ctx context.Context) error {
			_, err := s.allowed(ctx, need, authorization, cookie)
			return err
		})
		next(huma.WithContext(hc, ctx))
	}
}

// allowed finds the caller and holds the role against what is needed.
func (s *Server) allowed(ctx context.Context, need api.Role, authorization, cookie string) (Identity, error) {
	who, err := s.identify(ctx, authorization, cookie)
	if err == nil && rank(who.Role) < rank(need) {
		err = purser.Errorf(purser.KindForbidden, "server", "this call needs the role %s; the token %q has %s", need, who.Name, who.Role)
	}
	return who, err
}

func (s *Server) refuse(hc huma.Context, err error) {
	p := s.problemOf(hc.Context(), hc.Operation().OperationID, err)
	for k, v := range p.GetHeaders() {
		hc.SetHeader(k, v[0])
	}
	hc.SetHeader("Content-Type", p.ContentType(""))
	if p.Status == http.StatusUnauthorized {
		hc.SetHeader("WWW-Authenticate", "Bearer")
	}
	hc.SetStatus(p.Status)
	_ = s.api.Marshal(hc.BodyWriter(), "application/json", p.Problem)
}

func (s *Server) registerAccess() {
	type codeBody struct {
		Code string `json:"code" minLength:"1" maxLength:"200" doc:"The one-time code."`
	}
	type signInInput struct{ Body codeBody }
	type signOutInput struct {
		Session string `cookie:"purser_session" hidden:"true"`
	}
	type signedIn struct {
		SetCookie http.Cookie `header:"Set-Cookie"`
	}
	open(s, huma.Operation{
		OperationID: "sign-in", Method: http.MethodPost, Path: "/v1/session", DefaultStatus: http.StatusNoContent,
		Summary: "Exchange a one-time code for a session cookie", Tags: []string{"access"}, MaxBodyBytes: 4 << 10,
	}, func(ctx context.Context, in *signInInput) (*signedIn, error) {
		cookie, until, err := s.parts.Access.SignIn(ctx, in.Body.Code)
		if err != nil {
			return nil, err
		}
		return &signedIn{SetCookie: http.Cookie{
			Name: cookieName, Value: cookie, Path: "/", Expires: until,
			HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: s.config.TLS,
		}}, nil
	})
	open(s, huma.Operation{
		OperationID: "sign-out", Method: http.MethodDelete, Path: "/v1/session", DefaultStatus: http.StatusNoContent,
		Summary: "End the session and drop its cookie", Tags: []string{"access"},
	}, func(ctx context.Context, in *signOutInput) (*signedIn, error) {
		if in.Session != "" {
			if err := s.parts.Access.SignOut(ctx, in.Session); err != nil {
				return nil, err
			}
		}
		return &signedIn{SetCookie: http.Cookie{Name: cookieName, Path: "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: s.config.TLS}}, nil
	})
	type login struct{ Body api.Login }
	register(s, api.RoleViewer, huma.Operation{
		OperationID: "create-login", Method: http.MethodPost, Path: "/v1/logins",
		Summary: "Make a one-time code that signs a browser in as the caller", Tags: []string{"access"},
	}, func(ctx context.Context, _ *struct{}) (*login, error) {
		l, err := s.parts.Access.NewLogin(ctx, caller(ctx))
		return &login{Body: l}, err
	})
}

// permitEcho guards a handler that is not an operation of the API, such as metrics.
func (s *Server) permitEcho(need api.Role, next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		cookie := ""
		if k, err := c.Cookie(cookieName); err == nil {
			cookie = k.Value
		}
		if _, err := s.allowed(c.Request().Context(), need, c.Request().Header.Get("Authorization"), cookie); err != nil {
			return err
		}
		return next(c)
	}
}
