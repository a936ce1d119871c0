package server

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humaecho"
	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"github.com/prometheus/client_golang/prometheus"

	"purser"
)

// Config is how the server presents itself.
type Config struct {
	Version  string
	TLS      bool                 // cookies are sent over TLS only
	Web      fs.FS                // the page's files; nil serves none
	Registry *prometheus.Registry // what /metrics shows; nil makes an empty one
	Logger   *slog.Logger
}

// Parts is what stands behind the operations.
type Parts struct {
	Health  Health
	Access  Access
	Jobs    Jobs
	Logs    Logs
	Plans   Plans
	Prices  Prices
	Feeds   Feeds
	Reviews Reviews
	Leases  Leases
	// Providers answer for clouds and pools.
	Providers Providers
	Money     Money
	Tokens    Tokens
	Events    Events
	Agents    Agents

	Programs Programs
}

// Server is the HTTP side of Purser.
type Server struct {
	config  Config
	parts   Parts
	log     *slog.Logger
	echo    *echo.Echo
	api     huma.API
	http    *http.Server
	done    chan struct{} // closed when the streams are to end
	once    sync.Once
	streams atomic.Int64 // that are open
}

// humaErrors sets huma's one hook for errors; it is a variable of that package.
var humaErrors sync.Once

// New builds the server; Serve starts it.
func New(config Config, parts Parts) *Server {
	humaErrors.Do(func() { huma.NewError = humaError })
	if config.Registry == nil {
		config.Registry = prometheus.NewRegistry()
	}
	s := &Server{config: config, parts: parts, log: config.Logger, echo: echo.New(), done: make(chan struct{})}
	s.echo.HideBanner, s.echo.HidePort = true, true
	s.echo.HTTPErrorHandler = s.echoError
	s.middleware()
	s.api = humaecho.New(s.echo, apiConfig(config.Version))
	s.registerAccess()
	s.registerHealth()
	s.registerJobs()
	s.registerPlans()
	s.registerPrices()
	s.registerLeases()
	s.registerProviders()
	s.registerMoney()
	s.registerTokens()
	s.registerEvents()
	s.registerAgents()
	s.registerProgram()
	s.serveMetrics()
	s.serveWeb()
	s.http = &http.Server{
		Handler: s.echo, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 2 * time.Minute, IdleTimeout: 2 * time.Minute,
		WriteTimeout: answerTime,
		ErrorLog:     slog.NewLogLogger(config.Logger.Handler(), slog.LevelDebug),
	}
	return s
}

// Handler is the whole server without a listener, for tests.
func (s *Server) Handler() http.Handler { return s.echo }

// Describe is the API's description, OpenAPI 3.1 in indented JSON.
func (s *Server) Describe() ([]byte, error) {
	b, err := s.api.OpenAPI().MarshalJSON()
	if err != nil {
		return nil, purser.Wrap(purser.KindInternal, "server.Describe", err)
	}
	var out bytes.Buffer
	err = json.Indent(&out, b, "", "  ")
	out.WriteByte('\n')
	return out.Bytes(), purser.Wrap(purser.KindInternal, "server.Describe", err)
}

// Serve answers on the listener until Shutdown.
func (s *Server) Serve(l net.Listener) error {
	if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return purser.Wrap(purser.KindUnavailable, "server.Serve", err)
	}
	return nil
}

// answerTime bounds a call from its first byte to the last of its answer: a caller
// who does not read is let go. Streams bound each message of theirs instead.
const answerTime = 5 * time.Minute

// Shutdown ends the streams, lets the calls under way finish, and closes. Calls
// that have not finished when ctx ends are cut off.
func (s *Server) Shutdown(ctx context.Context) error {
	s.once.Do(func() { close(s.done) })
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, s.http.Close())
	}
	return purser.Wrap(purser.KindUnavailable, "server.Shutdown", err)
}

// apiConfig describes the API. Money is a number on the wire, whatever it is in Go.
func apiConfig(version string) huma.Config {
	c := huma.DefaultConfig("Purser", version)
	c.Info.Description = "Cost-aware provisioning of compute for AI work across clouds."
	c.Info.License = &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"}
	c.DocsPath = ""
	c.SchemasPath = ""
	c.CreateHooks = nil
	c.Components.Schemas = huma.NewMapRegistry("#/components/schemas/", schemaName)
	number := reflect.TypeFor[float64]()
	c.Components.Schemas.RegisterTypeAlias(reflect.TypeFor[purser.Money](), number)
	c.Components.Schemas.RegisterTypeAlias(reflect.TypeFor[purser.USDPerHour](), number)
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		securityBearer: {Type: "http", Scheme: "bearer", Description: "An API token; the scope is the least role."},
		securityCookie: {Type: "apiKey", In: "cookie", Name: cookieName, Description: "The session of a signed-in browser."},
		securityAgent:  {Type: "http", Scheme: "bearer", Description: "A lease's join token, or the secret of its agent."},
	}
	return c
}

// callsPerSecond bounds the calls from one address. The agents, the pages and the
// CLI of one host share it.
const callsPerSecond = 300

// schemaName tells a noun of the root package from the view of it that users see:
// both a lease and its view are named Lease in Go.
func schemaName(t reflect.Type, hint string) string {
	name := huma.DefaultSchemaNamer(t, hint)
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.PkgPath() == reflect.TypeFor[purser.Money]().PkgPath() {
		return "Purser" + name
	}
	return name
}

// contentSecurity lets the page run its own files and nothing else.
const contentSecurity = "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"

// middleware runs for every request. Secure comes first, so that every answer has
// its headers, refused ones too.
func (s *Server) middleware() {
	secure := middleware.SecureConfig{
		ContentTypeNosniff: "nosniff", XFrameOptions: "DENY", ReferrerPolicy: "no-referrer", ContentSecurityPolicy: contentSecurity,
	}
	if s.config.TLS {
		secure.HSTSMaxAge = 365 * 24 * 3600
	}
	s.echo.Use(
		middleware.SecureWithConfig(secure),
		withRequestID,
		middleware.RecoverWithConfig(middleware.RecoverConfig{LogErrorFunc: func(c echo.Context, err error, stack []byte) error {
			s.log.ErrorContext(c.Request().Context(), "panic in a call", slog.Any("error", err), slog.String("stack", string(stack)))
			return purser.Errorf(purser.KindInternal, "server", "panic: %v", err)
		}}),
		s.observe(),
		noStore,
		sameOrigin,
		middleware.RateLimiterWithConfig(middleware.RateLimiterConfig{
			Store: middleware.NewRateLimiterMemoryStoreWithConfig(middleware.RateLimiterMemoryStoreConfig{
				Rate: callsPerSecond, Burst: 2 * callsPerSecond, ExpiresIn: 3 * time.Minute,
			}),
			IdentifierExtractor: func(c echo.Context) (string, error) { return c.RealIP(), nil },
			DenyHandler: func(echo.Context, string, error) error {
				return &purser.Error{Kind: purser.KindThrottled, Op: "server", Message: "too many calls from this address", RetryAfter: time.Second}
			},
		}),
	)
	// Nobody but a direct caller is believed about the caller's address.
	s.echo.IPExtractor = echo.ExtractIPDirect()
}

// noStore keeps answers of the API out of caches: they hold tokens and prices.
func noStore(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if strings.HasPrefix(c.Request().URL.Path, "/v1/") {
			c.Response().Header().Set("Cache-Control", "no-store")
		}
		return next(c)
	}
}

// sameOrigin refuses writes that a page of another site makes a browser send.
func sameOrigin(next echo.HandlerFunc) echo.HandlerFunc {
	protection := http.NewCrossOriginProtection()
	return func(c echo.Context) error {
		if err := protection.Check(c.Request()); err != nil {
			return &purser.Error{Kind: purser.KindForbidden, Op: "server", Message: "a page of another site may not call this", Cause: err}
		}
		return next(c)
	}
}

type requestIDKey struct{}

func requestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// withRequestID names each request; the name is in the answer and in the log.
func withRequestID(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		var b [8]byte
		_, _ = rand.Read(b[:])
		id := hex.EncodeToString(b[:])
		c.Response().Header().Set(echo.HeaderXRequestID, id)
		c.SetRequest(c.Request().WithContext(context.WithValue(c.Request().Context(), requestIDKey{}, id)))
		return next(c)
	}
}
