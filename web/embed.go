// Package web holds the files of the dashboard. They are built by npm into dist
// and embedded; the page speaks only the public REST API.
//
// dist always holds its README, so the program compiles without Node. A program
// that was built so has no page, and Files says it.
package web

import (
	"embed"
	"io/fs"
)

// all: takes files too whose names begin with _ or ., as a bundler may name them.
//
//go:embed all:dist
var dist embed.FS

// Files gives the page's files; ok is false when the program was built without
// them (run make build).
func Files() (files fs.FS, ok bool) { return page(dist) }

// page gives what lies below dist, if a page does.
func page(from fs.FS) (files fs.FS, ok bool) {
	files, err := fs.Sub(from, "dist")
	if err != nil {
		return nil, false
	}
	if info, err := fs.Stat(files, "index.html"); err != nil || info.IsDir() {
		return nil, false
	}
	return files, true
}
