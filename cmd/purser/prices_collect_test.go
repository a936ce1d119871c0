package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"purser"
	"purser/api"
)

// feedServer collects: each look at its sources takes those that were asked for a step
// on.
type feedServer struct {
	mu     sync.Mutex
	goes   map[string][]api.Source // what a feed is, before and after each look
	asked  []string
	looks  int
	refuse map[string]api.Problem
	down   int // so many looks are answered with 503
	onLook func(n int)
}

func (f *feedServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if r.Method == http.MethodPost {
		name := path.Base(path.Dir(r.URL.Path))
		f.asked = append(f.asked, name)
		if p, ok := f.refuse[name]; ok {
			w.WriteHeader(p.Status)
			_ = json.NewEncoder(w).Encode(p)
			return
		}
		w.WriteHeader(http.StatusAccepted)
		_ = json.NewEncoder(w).Encode(f.goes[name][0])
		return
	}
	if len(f.asked) > 0 && f.down > 0 {
		f.down--
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	f.looks++
	if f.onLook != nil {
		f.onLook(f.looks)
	}
	var out api.Sources
	for _, name := range []string{"aws-spot", "gcp", "vast", "csvfile:x.csv"} {
		steps := f.goes[name]
		if slices.Contains(f.asked, name) && len(steps) > 1 {
			f.goes[name] = steps[1:]
			steps = f.goes[name]
		}
		if len(steps) > 0 {
			out.Sources = append(out.Sources, steps[0])
		}
	}
	_ = json.NewEncoder(w).Encode(out)
}

// feeding serves three feeds and an imported file: aws-spot takes two looks, gcp fails
// at once after a failure before, vast is quick.
func feeding(t *testing.T) *feedServer {
	t.Helper()
	begin := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	at := func(minutes int) *time.Time { t := begin.Add(time.Duration(minutes) * time.Minute); return &t }
	aws := api.Source{Name: "aws-spot", Says: "AWS spot", EndedAt: at(0), Progress: "1 region, 7 offers"}
	gcp := api.Source{Name: "gcp", Says: "Google Cloud", EndedAt: at(1), LastError: "it did not answer", ErrorKind: "unavailable", Failures: 1}
	vast := api.Source{Name: "vast", Says: "Vast.ai"}
	with := func(s api.Source, change func(*api.Source)) api.Source { change(&s); return s }
	f := &feedServer{goes: map[string][]api.Source{
		"aws-spot": {
			aws,
			with(aws, func(s *api.Source) { s.BeganAt, s.Progress = at(5), "3 regions, 1203 offers" }),
			with(aws, func(s *api.Source) {
				s.EndedAt, s.Progress, s.Alarm = at(6), "17 regions, 5120 offers, 44 new or changed", "us-east-1: 40 of 60 offers are missing"
			}),
		},
		"gcp": {gcp, with(gcp, func(s *api.Source) {
			s.EndedAt, s.LastError, s.ErrorKind, s.Failures = at(5), "the key is refused\x1b[31m (set sources.gcp.key)", "unauthorized", 2
			s.Progress = "2 regions, 90 offers"
		})},
		"vast":          {vast, with(vast, func(s *api.Source) { s.EndedAt = at(5) })},
		"csvfile:x.csv": {{Name: "csvfile:x.csv"}},
	}}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	t.Setenv("PURSER_URL", server.URL)
	t.Setenv("PURSER_TOKEN", "purser_test")
	t.Setenv("PURSER_DATA_DIR", t.TempDir())
	return f
}

// Feeds are waited for together; one that fails, or is refused, does not stop the others.
func TestPricesCollect(t *testing.T) {
	f := feeding(t)
	f.refuse = map[string]api.Problem{"csvfile:x.csv": {Status: 404, Code: purser.KindNotFound, Detail: "there is no source of prices named csvfile:x.csv"}}
	out, errs, code := ran(t, "prices", "collect", "--source", "aws-spot,gcp", "--source", "vast,gcp", "--source", "csvfile:x.csv")
	if code != exitFailed || !reflect.DeepEqual(f.asked, []string{"aws-spot", "gcp", "vast", "csvfile:x.csv"}) {
		t.Errorf("code %d, asked for %q", code, f.asked)
	}
	golden(t, "prices-collect", out)
	golden(t, "prices-collect-stderr", errs)
}

func TestPricesCollectAllWell(t *testing.T) {
	f := feeding(t)
	out, errs, code := ran(t, "prices", "collect", "--source", "vast", "-o", "json")
	var got api.Sources
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != 0 || !reflect.DeepEqual(got.Sources, f.goes["vast"]) {
		t.Errorf("code %d, said %q, %v: %s", code, errs, err, out)
	}
}

// A server that restarts is waited for.
func TestPricesCollectOverARestart(t *testing.T) {
	f := feeding(t)
	f.down = 4 // a call of the client is three tries
	if out, errs, code := ran(t, "prices", "collect", "--source", "vast"); code != 0 || f.down != 0 {
		t.Errorf("code %d, said %q: %s", code, errs, out)
	}
}

func TestPricesCollectNames(t *testing.T) {
	f := feeding(t)
	for _, c := range []struct {
		args []string
		code int
		says []string
		not  string
	}{
		{nil, exitInvalid, []string{"--source", "aws-spot, gcp, vast"}, "csvfile"},
		{[]string{"--source", "vast,wast"}, exitNotFound, []string{`"wast"`, "aws-spot, gcp, vast"}, "csvfile"},
	} {
		_, errs, code := ran(t, append([]string{"prices", "collect"}, c.args...)...)
		if code != c.code || strings.Contains(errs, c.not) || strings.Count(errs, "\n") != 1 {
			t.Errorf("%q: code %d, said %q", c.args, code, errs)
		}
		for _, s := range c.says {
			if !strings.Contains(errs, s) {
				t.Errorf("%q: said %q", c.args, errs)
			}
		}
	}
	if len(f.asked) != 0 {
		t.Errorf("asked for %q", f.asked)
	}
	t.Setenv("PURSER_URL", "http://127.0.0.1:1")
	if _, errs, code := ran(t, "prices", "collect"); code != exitInvalid || !strings.Contains(errs, "purser prices sources") {
		t.Errorf("no server: code %d, said %q", code, errs)
	}
}

// Who may not collect is told so.
func TestPricesCollectForbidden(t *testing.T) {
	f := feeding(t)
	no := api.Problem{Status: 403, Code: purser.KindForbidden, Detail: "a viewer may not collect"}
	f.refuse = map[string]api.Problem{"gcp": no, "vast": no}
	if out, errs, code := ran(t, "prices", "collect", "--source", "gcp,vast"); code != exitUnauthorized || out != "" || f.looks != 1 || !strings.Contains(errs, "a viewer may not collect") {
		t.Errorf("code %d, %d looks, printed %q, said %q", code, f.looks, out, errs)
	}
}

// Interrupting ends the waiting alone.
func TestPricesCollectInterrupted(t *testing.T) {
	f := feeding(t)
	ctx, cancel := context.WithCancel(t.Context())
	f.onLook = func(n int) {
		if n == 2 {
			cancel()
		}
	}
	var out, errs bytes.Buffer
	code := run(ctx, []string{"prices", "collect", "--source", "aws-spot"}, strings.NewReader(""), &out, &errs)
	if code != exitInterrupted || out.Len() != 0 || !strings.Contains(errs.String(), "the server goes on") {
		t.Errorf("code %d, printed %q, said %q", code, out.String(), errs.String())
	}
}

// When a collection has ended.
func TestPricesCollectionEnds(t *testing.T) {
	early, late := time.Unix(1000, 0), time.Unix(2000, 0)
	for name, c := range map[string]struct {
		before, began, ended *time.Time
		want                 bool
	}{
		"never collected":      {nil, nil, nil, false},
		"the end before":       {&early, nil, &early, false},
		"under way":            {&early, &late, &early, false},
		"ended":                {&early, nil, &late, true},
		"the first has ended":  {nil, nil, &late, true},
		"ended, the next runs": {&early, &late, &late, false},
	} {
		x := collection{before: c.before, source: api.Source{Name: "s"}}
		x.look([]api.Source{{Name: "r", EndedAt: &late}, {Name: "s", BeganAt: c.began, EndedAt: c.ended}})
		if x.ended != c.want {
			t.Errorf("%s: %v", name, x.ended)
		}
	}
}
