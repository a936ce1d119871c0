package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"purser"
	"purser/api"
	"purser/server"
)

var update = flag.Bool("update", false, "write the golden files")

type harness struct {
	*fake
	url string
	log *bytes.Buffer
}

func start(t *testing.T) harness {
	t.Helper()
	f := &fake{logins: map[string]bool{}}
	var log bytes.Buffer
	s := server.New(server.Config{
		Version: "test", Logger: slog.New(slog.NewTextHandler(&log, nil)),
		Web: fstest.MapFS{"index.html": {Data: []byte("<!doctype html><title>Purser</title>")}, "assets/app-1.js": {Data: []byte("1")}},
	}, parts(f))
	ts := httptest.NewServer(s.Handler())
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = s.Shutdown(ctx)
		ts.CloseClientConnections()
		ts.Close()
	})
	return harness{f, ts.URL, &log}
}

// answer is what of a response the tests look at.
type answer struct {
	StatusCode int
	Header     http.Header
	cookies    []*http.Cookie
}

func (h harness) call(t *testing.T, method, path, token, body string, header ...string) (answer, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, h.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, resp.Cookies()}, string(b)
}

// Every operation says who may call it, and the server holds it to that.
func TestEveryOperationDeclaresAndKeepsItsPermission(t *testing.T) {
	h := start(t)
	_, body := h.call(t, "GET", "/openapi.json", "", "")
	var doc struct {
		OpenAPI string
		Paths   map[string]map[string]struct {
			OperationID string
			Security    *[]map[string][]string
		}
	}
	if err := json.Unmarshal([]byte(body), &doc); err != nil || !strings.HasPrefix(doc.OpenAPI, "3.1") {
		t.Fatalf("the description is of OpenAPI %q: %v", doc.OpenAPI, err)
	}
	seen := 0
	for path, methods := range doc.Paths {
		for method, op := range methods {
			seen++
			if op.Security == nil {
				t.Errorf("%s %s declares no permission", method, path)
				continue
			}
			if strings.HasPrefix(path, "/v1/agent/") || (len(*op.Security) == 1 && len((*op.Security)[0]) == 0) {
				continue // agents check their own bearer; open ones are open
			}
			concrete := strings.NewReplacer("{job}", "x", "{plan}", "x", "{lease}", "x", "{token}", "x").Replace(path)
			resp, text := h.call(t, strings.ToUpper(method), concrete, "", "")
			if resp.StatusCode != http.StatusUnauthorized {
				t.Errorf("%s %s without a token answers %d %s", method, path, resp.StatusCode, text)
			}
			if need := (*op.Security)[0]["token"]; len(need) == 1 && need[0] != "viewer" {
				if resp, _ := h.call(t, strings.ToUpper(method), concrete, "viewer", ""); resp.StatusCode != http.StatusForbidden {
					t.Errorf("%s %s as viewer answers %d, needs %v", method, path, resp.StatusCode, need)
				}
			}
		}
	}
	if seen < 25 {
		t.Errorf("the description has %d operations", seen)
	}
}

func TestOpenAPIDocumentIsTheCommittedOne(t *testing.T) {
	got, err := server.New(server.Config{Version: "1", Logger: slog.New(slog.DiscardHandler)}, server.Parts{}).Describe()
	if err != nil {
		t.Fatal(err)
	}
	const path = "../web/openapi.json"
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what the code describes; go test ./server -update writes it", path)
	}
}

func TestErrorsAreProblems(t *testing.T) {
	h := start(t)
	for name, c := range map[string]struct {
		method, path, token, body string
		status                    int
		code                      purser.Kind
		says                      string
	}{
		"unknown route":     {"GET", "/v1/nothing", "admin", "", 404, purser.KindNotFound, "/v1/nothing"},
		"wrong method":      {"PUT", "/v1/jobs", "admin", "", 405, purser.KindNotFound, ""},
		"unknown job":       {"GET", "/v1/jobs/ghost", "viewer", "", 404, purser.KindNotFound, "ghost"},
		"broken JSON":       {"POST", "/v1/jobs", "operator", "{", 400, purser.KindInvalid, ""},
		"unknown field":     {"POST", "/v1/tokens", "admin", `{"name":"a","role":"viewer","colour":"red"}`, 422, purser.KindInvalid, "body.colour"},
		"wrong role":        {"POST", "/v1/tokens", "admin", `{"name":"a","role":"king"}`, 422, purser.KindInvalid, "body.role"},
		"limit too large":   {"GET", "/v1/jobs?limit=99999999", "viewer", "", 422, purser.KindInvalid, "query.limit"},
		"broken job file":   {"POST", "/v1/jobs", "operator", `{"text":"jobs: [{name: a, trane: {}}]"}`, 422, purser.KindInvalid, "trane"},
		"bad token":         {"GET", "/v1/jobs", "guess", "", 401, purser.KindUnauthorized, "not known"},
		"panic":             {"POST", "/v1/plans", "viewer", `{"text":"name: a\ntrain: {cpus: 1, run_time: 1m, command: x}"}`, 500, purser.KindInternal, "its log has request"},
		"a foreign failure": {"GET", "/v1/leases/x", "viewer", "", 500, purser.KindInternal, "its log has request"},
	} {
		t.Run(name, func(t *testing.T) {
			resp, body := h.call(t, c.method, c.path, c.token, c.body)
			var p api.Problem
			if err := json.Unmarshal([]byte(body), &p); err != nil {
				t.Fatalf("%d %s: %v", resp.StatusCode, body, err)
			}
			if resp.StatusCode != c.status || p.Code != c.code || !strings.Contains(body, c.says) {
				t.Errorf("%d %s; want %d %s with %q", resp.StatusCode, body, c.status, c.code, c.says)
			}
			if ct := resp.Header.Get("Content-Type"); ct != "application/problem+json" {
				t.Errorf("content type %s", ct)
			}
			if strings.Contains(body, "fell over") || strings.Contains(body, "deadline") {
				t.Errorf("an internal text got out: %s", body)
			}
		})
	}
	if !strings.Contains(h.log.String(), "fell over") {
		t.Errorf("the log does not say what failed: %s", h.log)
	}
}

func TestUnavailableSaysWhenToComeBack(t *testing.T) {
	h := start(t)
	h.fail = purser.Wrap(purser.KindUnavailable, "fake", errors.New("no database"))
	resp, body := h.call(t, "GET", "/v1/jobs", "viewer", "")
	if resp.StatusCode != 503 || resp.Header.Get("Retry-After") != "1" {
		t.Errorf("%d, Retry-After %q: %s", resp.StatusCode, resp.Header.Get("Retry-After"), body)
	}
}

func TestHeadersAndPage(t *testing.T) {
	h := start(t)
	for path, want := range map[string]int{"/": 200, "/assets/app-1.js": 200, "/assets/../index.html": 404, "/assets/none.js": 404, "/v1/health": 200} {
		resp, body := h.call(t, "GET", path, "", "")
		if resp.StatusCode != want {
			t.Errorf("%s answers %d: %s", path, resp.StatusCode, body)
		}
		csp := resp.Header.Get("Content-Security-Policy")
		if !strings.Contains(csp, "script-src 'self'") || strings.Contains(csp, "unsafe") || resp.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: headers %v", path, resp.Header)
		}
	}
	if resp, _ := h.call(t, "GET", "/metrics", "", ""); resp.StatusCode != 401 {
		t.Errorf("metrics without a token answer %d", resp.StatusCode)
	}
	if resp, body := h.call(t, "GET", "/metrics", "viewer", ""); resp.StatusCode != 200 || !strings.Contains(body, `route="/v1/health"`) {
		t.Errorf("metrics answer %d without the route", resp.StatusCode)
	}
}

func TestSignInOnceAndFromTheSameSiteOnly(t *testing.T) {
	h := start(t)
	resp, body := h.call(t, "POST", "/v1/logins", "viewer", "")
	if resp.StatusCode != 200 {
		t.Fatalf("login: %d %s", resp.StatusCode, body)
	}
	if resp, _ := h.call(t, "POST", "/v1/session", "", `{"code":"code-viewer"}`, "Sec-Fetch-Site", "cross-site"); resp.StatusCode != 403 {
		t.Errorf("another site signed in: %d", resp.StatusCode)
	}
	resp, body = h.call(t, "POST", "/v1/session", "", `{"code":"code-viewer"}`)
	cookies := resp.cookies
	if resp.StatusCode != 204 || len(cookies) != 1 || !cookies[0].HttpOnly || cookies[0].SameSite != http.SameSiteStrictMode {
		t.Fatalf("sign-in: %d %s %v", resp.StatusCode, body, cookies)
	}
	if resp, _ := h.call(t, "POST", "/v1/session", "", `{"code":"code-viewer"}`); resp.StatusCode != 401 {
		t.Errorf("the code worked twice: %d", resp.StatusCode)
	}
	if resp, _ := h.call(t, "GET", "/v1/jobs", "", "", "Cookie", cookies[0].Name+"="+cookies[0].Value); resp.StatusCode != 200 {
		t.Errorf("the session does not work: %d", resp.StatusCode)
	}
}

// Through the real client: what is submitted comes out of the stream, and a
// reconnecting follower misses nothing.
func TestClientSubmitsAndFollows(t *testing.T) {
	h := start(t)
	client := api.NewClient(h.url, "operator")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	file := api.JobFile{Text: "name: first\ntrain: {cpus: 1, run_time: 1m, command: 'true'}"}
	if _, err := client.Submit(ctx, file); err != nil {
		t.Fatal(err)
	}
	got := make(chan purser.Event, 4)
	done := make(chan error, 1)
	go func() {
		done <- client.Events(ctx, 0, func(e purser.Event) error {
			got <- e
			if e.ID == 2 {
				return io.EOF
			}
			return nil
		})
	}()
	if e := <-got; e.Name != "job-first" || e.Actor != "operator" {
		t.Errorf("first event: %+v", e)
	}
	file.Text = strings.Replace(file.Text, "first", "second", 1)
	if _, err := client.Submit(ctx, file); err != nil {
		t.Fatal(err)
	}
	if e := <-got; e.Name != "job-second" {
		t.Errorf("second event: %+v", e)
	}
	if err := <-done; !errors.Is(err, io.EOF) {
		t.Errorf("the follower ended with %v", err)
	}
}

func TestClientErrors(t *testing.T) {
	h := start(t)
	ctx := t.Context()
	if _, err := api.NewClient(h.url, "viewer").Job(ctx, "ghost", ""); purser.KindOf(err) != purser.KindNotFound || !strings.Contains(err.Error(), "ghost") {
		t.Errorf("unknown job: %v", err)
	}
	_, err := api.NewClient(h.url, "operator").Submit(ctx, api.JobFile{Name: "mine.yaml", Text: "name: a\ntrain: {cpus: -1, run_time: 1m, command: x}"})
	if e, ok := errors.AsType[*purser.Error](err); !ok || e.Place == nil || e.Place.File != "mine.yaml" || e.Place.Line != 2 {
		t.Errorf("a broken file loses its place: %v", err)
	}
	if _, err := api.NewClient("http://127.0.0.1:1", "x").Health(ctx); purser.KindOf(err) != purser.KindUnavailable {
		t.Errorf("no server: %v", err)
	}
	content := bytes.Repeat([]byte{0, 1, 2}, 1000)
	r, err := api.NewClient(h.url, "admin").ImportPrices(ctx, "aws.csv.gz", "", time.Date(2024, 2, 21, 0, 0, 0, 0, time.UTC), content)
	if err != nil || r.Seen != len(content) || !bytes.Equal(h.imported, content) {
		t.Errorf("import: %+v, %v", r, err)
	}
	offers, err := api.NewClient(h.url, "viewer").Prices(ctx, nil)
	if err != nil || len(offers.Offers) != 1 || offers.Offers[0].UnitPrice != 10_239_700_000 || offers.Offers[0].PerDevice != 1_279_962_500 {
		t.Errorf("offers: %+v, %v", offers, err)
	}
	if page, err := api.NewClient(h.url, "viewer").Logs(ctx, "train", "vision", "task-1", "7", 10); err != nil || page.Next != "vision/train/task-1/7" {
		t.Errorf("logs: %+v, %v", page, err)
	}
	if _, err := api.NewClient(h.url, "join").Join(ctx, api.AgentJoin{Lease: "l", Secret: strings.Repeat("a", 64)}); err != nil {
		t.Errorf("join: %v", err)
	}
}

func TestBodyLimit(t *testing.T) {
	h := start(t)
	resp, body := h.call(t, "POST", "/v1/jobs", "operator", `{"text":"`+strings.Repeat("x", 17<<20)+`"}`)
	if resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("17 MiB answer %d %.200s", resp.StatusCode, body)
	}
}

// Lists of a provider are never null, and anonymous callers learn nothing.
func TestProvidersAreListed(t *testing.T) {
	h := start(t)
	res, body := h.call(t, "GET", "/v1/providers", "viewer", "")
	for _, want := range []string{`"usd_per_hour":5`, `"name":"aws"`, `"machines":2`, `"quotas":[]`, `"reserved":[]`, `"regions":[]`, `"can":[]`} {
		if res.StatusCode != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%d %s; want %s", res.StatusCode, body, want)
		}
	}
	if res, _ := h.call(t, "GET", "/v1/providers", "", ""); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a token: %d", res.StatusCode)
	}
}

// A question is read whole: changes, and the jobs of a file with places in its errors.
func TestQuestionsAboutPlans(t *testing.T) {
	h := start(t)
	body := `{"lose":["aws"],"prices":[{"factor":2}],"jobs":{"name":"j.yaml","text":"jobs:\n  - name: a\n    train: {cpus: 1, memory: 1GiB, run_time: 1h, command: x}\n"}}`
	if res, text := h.call(t, "POST", "/v1/plans/what-if", "viewer", body); res.StatusCode != http.StatusOK || !strings.Contains(text, "1 jobs, 1 lost, 1 prices") {
		t.Errorf("%d %s", res.StatusCode, text)
	}
	if res, text := h.call(t, "POST", "/v1/plans/what-if", "viewer", `{"jobs":{"name":"j.yaml","text":"jobs: 1"}}`); res.StatusCode != http.StatusUnprocessableEntity && res.StatusCode != http.StatusBadRequest || !strings.Contains(text, `"file":"j.yaml","line":1`) {
		t.Errorf("%d %s", res.StatusCode, text)
	}
	if res, text := h.call(t, "GET", "/v1/plans/front", "viewer", ""); res.StatusCode != http.StatusOK || !strings.Contains(text, `"points":[]`) {
		t.Errorf("%d %s", res.StatusCode, text)
	}
	if res, text := h.call(t, "GET", "/v1/plans/worth", "viewer", ""); res.StatusCode != http.StatusOK || !strings.Contains(text, `"steps":[]`) || !strings.Contains(text, `"left":3`) {
		t.Errorf("%d %s", res.StatusCode, text)
	}
}
