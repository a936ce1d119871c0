package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"purser/api"
)

// broken are the files that parsers must refuse; their own packages hold the
// texts of the errors against golden files.
func broken(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", filepath.FromSlash(pattern)))
	if err != nil || len(files) < 30 {
		t.Fatalf("%d files match %s, %v", len(files), pattern, err)
	}
	return files
}

// placed is a place at the front of an error: file:line, or the file alone where
// there are no lines.
var placed = regexp.MustCompile(`^purser: [^ ]+\.(yaml|json|csv|csv\.gz|yml)(:\d+)?`)

// Every broken job file ends the program with code 2 and one sentence that begins
// with its place.
func TestBrokenJobFilesByCLI(t *testing.T) {
	for _, path := range broken(t, "jobfile/testdata/bad/*") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			var out, errs bytes.Buffer
			code := run(t.Context(), []string{"plan", "-f", path}, strings.NewReader(""), &out, &errs)
			if code != exitInvalid || out.Len() != 0 || !placed.MatchString(errs.String()) || strings.Count(errs.String(), "\n") != 1 {
				t.Errorf("code %d, printed %q, said %q", code, out.String(), errs.String())
			}
		})
	}
}

// The same files by API: 4xx with a place, and nothing is stored. A price list that
// is broken is refused whole.
func TestBrokenFilesByAPI(t *testing.T) {
	w := newWorld(t)
	w.start()
	for _, path := range broken(t, "jobfile/testdata/bad/*") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		w.refused(t, "/v1/jobs", "application/json", jsonOf(t, api.JobFile{Name: filepath.Base(path), Text: string(text)}), filepath.Base(path))
	}
	for _, path := range broken(t, "pricing/csvfile/testdata/broken/*") {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(path)
		w.refused(t, "/v1/prices/import?provider=aws&as_of=2024-02-21T00:00:00Z&name="+name, "application/octet-stream", content, name)
		if out, code := w.cli("prices", "import", path, "--provider", "aws", "--as-of", "2024-02-21"); code != exitInvalid || !strings.Contains(out, name) {
			t.Errorf("purser prices import %s ends with %d: %s", name, code, out)
		}
	}
	if out := w.ok("jobs"); !strings.Contains(out, "No jobs") {
		t.Errorf("broken files left jobs: %s", out)
	}
	if out := w.ok("prices", "sources"); strings.Contains(out, ".csv") {
		t.Errorf("broken files left prices: %s", out)
	}
	w.stop()
}

func jsonOf(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// refused posts what is broken and expects a problem with its place.
func (w *world) refused(t *testing.T, path, contentType string, body []byte, name string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+w.listen+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+w.token())
	req.Header.Set("Content-Type", contentType)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var p api.Problem
	if err := json.NewDecoder(resp.Body).Decode(&p); err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode < 400 || resp.StatusCode > 499 || p.Detail == "" || (len(body) > 0 && p.Place == nil && !strings.Contains(p.Detail, name)) {
		t.Errorf("%s is answered with %d %+v", name, resp.StatusCode, p)
	}
}

func (w *world) token() string {
	w.t.Helper()
	b, err := os.ReadFile(filepath.Join(w.dir, "credentials.json"))
	var c struct{ Token string }
	if err != nil || json.Unmarshal(b, &c) != nil {
		w.t.Fatal("there is no token")
	}
	return c.Token
}

// The command line itself: what is wrong with it is one sentence and code 2.
func TestBrokenCommandLines(t *testing.T) {
	good := filepath.Join("..", "..", "examples", "first-run.yaml")
	for name, args := range map[string][]string{
		"unknown flag":       {"plan", "--colour", "red"},
		"no file":            {"plan"},
		"unknown output":     {"version", "-o", "xml"},
		"too many arguments": {"version", "now"},
		"no as-of":           {"prices", "import", "aws.csv"},
		"bad as-of":          {"prices", "import", "aws.csv", "--as-of", "yesterday"},
		"stray argument":     {"plan", "-f", good, "stray"},
		"unknown verb":       {"fly"},
	} {
		t.Run(name, func(t *testing.T) {
			var out, errs bytes.Buffer
			if code := run(t.Context(), args, strings.NewReader(""), &out, &errs); code != exitInvalid || strings.Count(strings.TrimSpace(errs.String()), "\n") > 3 {
				t.Errorf("code %d: %s", code, errs.String())
			}
		})
	}
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"plan", "-f", "/nowhere/jobs.yaml"}, strings.NewReader(""), &out, &errs); code != exitNotFound {
		t.Errorf("a missing file ends with %d: %s", code, errs.String())
	}
}
