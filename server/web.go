package server

import (
	"io/fs"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"purser"
)

// serveWeb serves the page: assets whose names hold a hash are kept by the
// browser for a year, the page itself never.
func (s *Server) serveWeb() {
	files := s.config.Web
	if files == nil {
		s.echo.GET("/", func(echo.Context) error {
			return &purser.Error{Kind: purser.KindNotFound, Op: "server", Message: "this program was built without its web page", Hint: "run make build"}
		})
		return
	}
	serve := http.FileServerFS(files)
	s.echo.GET("/assets/*", func(c echo.Context) error {
		name := strings.TrimPrefix(c.Request().URL.Path, "/")
		if info, err := fs.Stat(files, name); err != nil || info.IsDir() {
			return echo.ErrNotFound
		}
		c.Response().Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		serve.ServeHTTP(c.Response(), c.Request())
		return nil
	})
	page := func(c echo.Context) error {
		body, err := fs.ReadFile(files, "index.html")
		if err != nil {
			return purser.Wrap(purser.KindNotFound, "server", err)
		}
		c.Response().Header().Set("Cache-Control", "no-store")
		return c.HTMLBlob(http.StatusOK, body)
	}
	s.echo.GET("/", page)
	s.echo.GET("/favicon.svg", func(c echo.Context) error {
		serve.ServeHTTP(c.Response(), c.Request())
		return nil
	})
}
