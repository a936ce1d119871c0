package web

import (
	"io/fs"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
)

func file(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }

func TestPage(t *testing.T) {
	for _, c := range []struct {
		name string
		from fstest.MapFS
		ok   bool
	}{
		{"built", fstest.MapFS{"dist/README.md": file("x"), "dist/index.html": file("<!doctype html>")}, true},
		{"not built", fstest.MapFS{"dist/README.md": file("x")}, false},
		{"a folder in its place", fstest.MapFS{"dist/index.html/x": file("x")}, false},
		{"nothing", fstest.MapFS{}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			files, ok := page(c.from)
			if ok != c.ok || (files != nil) != c.ok {
				t.Fatalf("page() = %v, %v; want ok %v", files, ok, c.ok)
			}
			if !ok {
				return
			}
			if b, err := fs.ReadFile(files, "index.html"); err != nil || len(b) == 0 {
				t.Fatalf("index.html: %q, %v", b, err)
			}
		})
	}
}

// The README is what lets the package compile without Node.
func TestReadmeIsEmbedded(t *testing.T) {
	if _, err := fs.Stat(dist, "dist/README.md"); err != nil {
		t.Fatal(err)
	}
}

var (
	reference = regexp.MustCompile(`(?:src|href)="/([^"]+)"`)
	inline    = regexp.MustCompile(`(?i)<style|\sstyle=|\son[a-z]+=|<script(?:\s+[a-z-]+(?:="[^"]*")?)*>[^<]`)
)

// The server's content security policy refuses what is inline, and it serves the
// page's files from /assets and /favicon.svg alone.
func TestBuiltPageFitsTheServer(t *testing.T) {
	files, ok := Files()
	if !ok {
		t.Skip("the page is not built; make build builds it")
	}
	b, err := fs.ReadFile(files, "index.html")
	if err != nil {
		t.Fatal(err)
	}
	if found := inline.FindString(string(b)); found != "" {
		t.Errorf("index.html holds something inline: %s", found)
	}
	names := reference.FindAllStringSubmatch(string(b), -1)
	if len(names) < 3 {
		t.Fatalf("index.html refers to %d files; a script, a style sheet and an icon are the least", len(names))
	}
	for _, m := range names {
		if m[1] != "favicon.svg" && !strings.HasPrefix(m[1], "assets/") {
			t.Errorf("the server does not serve /%s", m[1])
		}
		if info, err := fs.Stat(files, m[1]); err != nil || info.Size() == 0 {
			t.Errorf("/%s is not there", m[1])
		}
	}
}

func TestInlineIsFound(t *testing.T) {
	for _, bad := range []string{`<script>x()</script>`, `<script type="module">x`, `<p style="a">`, `<a onclick="x">`, `<style>p{}`} {
		if !inline.MatchString(bad) {
			t.Errorf("%s is not found to be inline", bad)
		}
	}
	if good := `<script type="module" crossorigin src="/assets/x.js"></script><link rel="stylesheet" href="/a.css">`; inline.MatchString(good) {
		t.Errorf("%s is found to be inline", good)
	}
}
