package server

import (
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"purser/api"
)

// observe counts and times every call by route pattern, never by raw path.
func (s *Server) observe() echo.MiddlewareFunc {
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "purser_http_seconds", Help: "Time to answer a call.", Buckets: prometheus.ExponentialBuckets(0.001, 4, 8),
	}, []string{"method", "route", "status"})
	s.config.Registry.MustRegister(seconds)
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			began := time.Now()
			err := next(c)
			if err != nil {
				c.Error(err)
			}
			route := c.Path()
			if route == "" {
				route = "unknown"
			}
			seconds.WithLabelValues(knownMethod(c.Request().Method), route, strconv.Itoa(c.Response().Status)).Observe(time.Since(began).Seconds())
			return nil
		}
	}
}

// knownMethod keeps what callers invent from becoming series without end.
func knownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	default:
		return "other"
	}
}

func (s *Server) serveMetrics() {
	h := promhttp.HandlerFor(s.config.Registry, promhttp.HandlerOpts{})
	s.echo.GET("/metrics", s.permitEcho(api.RoleViewer, echo.WrapHandler(h)))
}
