package agent

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"purser"
	"purser/agent/notice"
	"purser/api"
)

// gcp is Google Cloud's metadata server as far as it tells of preemption and
// maintenance: it is the one that tells at once.
type gcp struct {
	mu      sync.Mutex
	values  map[string]string
	changed chan struct{}
}

func newGCP(t *testing.T) (*gcp, string) {
	g := &gcp{changed: make(chan struct{}), values: map[string]string{"preempted": "FALSE", "maintenance-event": "NONE"}}
	s := httptest.NewServer(g)
	t.Cleanup(s.Close)
	t.Cleanup(s.CloseClientConnections)
	return g, s.URL
}

func (g *gcp) say(name, value string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.values[name] = value
	close(g.changed)
	g.changed = make(chan struct{})
}

func (g *gcp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Metadata-Flavor") != "Google" {
		http.Error(w, "no flavor", http.StatusForbidden)
		return
	}
	w.Header().Set("Metadata-Flavor", "Google")
	if r.URL.Path == "/" {
		return
	}
	name := strings.TrimPrefix(r.URL.Path, "/computeMetadata/v1/instance/")
	for {
		g.mu.Lock()
		value, there := g.values[name]
		changed := g.changed
		g.mu.Unlock()
		if !there {
			http.NotFound(w, r)
			return
		}
		if r.URL.Query().Get("last_etag") == value {
			select {
			case <-changed:
				continue
			case <-r.Context().Done():
				return
			}
		}
		w.Header().Set("ETag", value)
		_, _ = fmt.Fprint(w, value)
		return
	}
}

const preempted = "Google Cloud preempts the machine"

// A machine that is taken back tells its server, stops its tasks at a checkpoint, and
// its agent ends by itself.
func TestPreemptionStopsAtACheckpoint(t *testing.T) {
	s := newServer()
	cloud, url := newGCP(t)
	s.order("task-0", runs(saving))
	s.order("task-1", runs(saving))
	result := make(chan error, 1)
	go func() {
		result <- Run(context.Background(), Config{
			Lease: "lease-1", JoinToken: "join", Dir: t.TempDir(), Dial: s.dial, Runtimes: []string{}, Notices: &notice.Config{URL: url},
			Shape: purser.Shape{Devices: 4000},
		})
	}()
	s.until(t, "they run", ready(s, "task-0", "task-1"))
	begun := time.Now()
	cloud.say("preempted", "TRUE")
	for i := range 2 {
		rep := s.ended(t, fmt.Sprint("task-", i))
		if rep.State != purser.TaskLost || rep.Checkpoint == "" || rep.Reason != "its machine is being taken back: "+preempted {
			t.Errorf("report %+v", rep)
		}
	}
	select {
	case err := <-result:
		if err != nil {
			t.Errorf("Run returned %v", err)
		}
	case <-time.After(25 * time.Second):
		t.Fatal("the agent does not end")
	}
	if took := time.Since(begun); took > 25*time.Second {
		t.Errorf("from the notice to the end it took %s; Google Cloud gives 30 s", took)
	}
	s.set(func() {
		if len(s.notices) == 0 || s.notices[0].Kind != "preempted" || !s.notices[0].Leave || s.notices[0].Reason != preempted {
			t.Errorf("the server was told %+v", s.notices)
		}
	})
}

// What stops nobody is told once, and the work goes on.
func TestMaintenanceThatStopsNobody(t *testing.T) {
	s := newServer()
	cloud, url := newGCP(t)
	working(t, s, func(c *Config) { c.Notices = &notice.Config{URL: url} })
	s.order("task-1", runs(saving))
	s.until(t, "it runs", ready(s, "task-1"))
	cloud.say("maintenance-event", "MIGRATE_ON_HOST_MAINTENANCE")
	s.until(t, "it is told", func() bool { return len(s.notices) > 0 })
	from := 0
	s.set(func() { from = s.reports })
	s.until(t, "reports go on", func() bool { return s.reports >= from+3 })
	s.set(func() {
		if len(s.notices) != 1 || s.notices[0].Kind != "maintenance" || s.notices[0].Leave || s.tasks["task-1"].report.State != purser.TaskRunning {
			t.Errorf("told %+v; the task is %+v", s.notices, s.tasks["task-1"].report)
		}
	})
}

// A server that is away, or whose answer is lost, is told again until it has answered.
func TestNoticeIsRepeatedUntilItIsAnswered(t *testing.T) {
	away := purser.Errorf(purser.KindUnavailable, "x", "away")
	for name, fault := range map[string]func(failing bool) (before, after error){
		"the call is lost": func(f bool) (error, error) {
			if f {
				return away, nil
			}
			return nil, nil
		},
		"the answer is lost": func(f bool) (error, error) {
			if f {
				return nil, away
			}
			return nil, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer()
			cloud, url := newGCP(t)
			end := working(t, s, func(c *Config) { c.Notices, c.LastWords = &notice.Config{URL: url}, 20*time.Second })
			s.order("task-1", runs(saving))
			s.until(t, "it runs", ready(s, "task-1"))
			failing, from := true, 0
			s.set(func() {
				from = s.reports
				s.fault = func(int) (error, error) { return fault(failing) }
			})
			cloud.say("preempted", "TRUE")
			s.until(t, "some calls failed", func() bool { return s.reports > from+4 })
			s.set(func() { failing = false })
			rep := s.ended(t, "task-1")
			if rep.State != purser.TaskLost || rep.Checkpoint == "" {
				t.Errorf("report %+v", rep)
			}
			s.until(t, "the server is told", func() bool { return len(s.notices) > 0 && s.notices[len(s.notices)-1].Leave })
			if err := end(); err != nil {
				t.Errorf("Run returned %v", err)
			}
		})
	}
}

// An agent that is killed between the notice and the report of it leaves nothing
// behind: the next one hears it again, tells it, and reports what ran as lost with its
// checkpoint. Killed again and again, it does not run the task twice.
func TestKilledAfterTheNotice(t *testing.T) {
	s := newServer()
	url := serveHTTP(t, s)
	cloud, metadata := newGCP(t)
	t.Setenv(EnvNotices, metadata)
	dir := t.TempDir()
	s.order("task-1", runs(`echo begun >> `+dir+`/starts; echo half > "$PURSER_CHECKPOINT_DIR/x"; trap '' TERM; echo ready; while :; do sleep 0.05; done`))
	first, wait := startAgent(t, url, dir)
	s.until(t, "it runs", ready(s, "task-1"))
	away := purser.Errorf(purser.KindUnavailable, "x", "away")
	from := 0
	s.set(func() {
		from = s.reports
		s.fault = func(int) (error, error) { return away, nil }
	})
	cloud.say("preempted", "TRUE")
	s.until(t, "it has tried to tell", func() bool { return s.reports > from+2 })
	_ = first.Process.Kill()
	_ = wait()
	second, wait := startAgent(t, url, dir)
	s.until(t, "the next one joins", func() bool { return s.joins == 2 })
	_ = second.Process.Kill()
	_ = wait()
	s.set(func() { s.fault = nil })
	_, wait = startAgent(t, url, dir)
	rep := s.ended(t, "task-1")
	if rep.State != purser.TaskLost || rep.Checkpoint == "" {
		t.Errorf("report %+v", rep)
	}
	if err := wait(); err != nil {
		t.Errorf("an agent whose machine is taken back: %v", err)
	}
	s.set(func() {
		if len(s.notices) == 0 || !s.notices[0].Leave || s.notices[0].Kind != "preempted" {
			t.Errorf("the server was told %+v", s.notices)
		}
	})
	if n := len(s.tasks["task-1"].states); n > 3 {
		t.Errorf("the task went through %v", s.tasks["task-1"].states)
	}
	if b := read(t, dir+"/starts"); b != "begun\n" {
		t.Errorf("it began %q", b)
	}
}

// The word to leave is not pushed out by a lesser one before the server has it, and a
// notice that came while a report was under way is not taken for told.
func TestWhichNoticeIsKept(t *testing.T) {
	a := &agent{Config: Config{Logger: slog.New(slog.DiscardHandler), Now: time.Now, StopGrace: time.Second}}
	a.heed(notice.Notice{Kind: notice.Rebalance, Reason: "soon"})
	sent := a.compose()
	a.heed(notice.Notice{Kind: notice.Preempted, Reason: "now", Leave: true})
	a.acknowledge(sent)
	if a.notice == nil || a.notice.Reason != "now" || !a.draining {
		t.Fatalf("kept %+v", a.notice)
	}
	a.heed(notice.Notice{Kind: notice.Maintenance, Reason: "and besides"})
	if a.notice.Reason != "now" || a.finished() {
		t.Errorf("kept %+v", a.notice)
	}
	a.acknowledge(api.AgentReport{})
	if a.notice == nil {
		t.Error("a report without it counts as told")
	}
	a.acknowledge(a.compose())
	if a.notice != nil || !a.finished() {
		t.Errorf("after the server has it: %+v", a.notice)
	}
}

func TestNoticesFromTheEnvironment(t *testing.T) {
	for value, want := range map[string]string{"": "none", "off": "none", "on": "", "http://127.0.0.1:1338": "http://127.0.0.1:1338", "yes": "error", "https://x": "error"} {
		c, err := ConfigFromEnv(func(name string) string {
			if name == EnvNotices {
				return value
			}
			return ""
		})
		got := "none"
		switch {
		case err != nil:
			got = "error"
		case c.Notices != nil:
			got = c.Notices.URL
		}
		if got != want || err != nil && purser.KindOf(err) != purser.KindInvalid {
			t.Errorf("%q gives %q, %v", value, got, err)
		}
	}
}

// SIGTERM during the drain, as the cloud sends it when it takes the machine, changes
// nothing.
func TestTermAfterTheNotice(t *testing.T) {
	s := newServer()
	url := serveHTTP(t, s)
	cloud, metadata := newGCP(t)
	t.Setenv(EnvNotices, metadata)
	s.order("task-1", runs(`trap 'echo saving; sleep 0.5; echo saved > "$PURSER_CHECKPOINT_DIR/last"; exit 0' TERM; echo ready; while :; do sleep 0.05; done`))
	cmd, wait := startAgent(t, url, t.TempDir())
	s.until(t, "it runs", ready(s, "task-1"))
	cloud.say("preempted", "TRUE")
	s.until(t, "it is told", func() bool { return len(s.notices) > 0 })
	_ = cmd.Process.Signal(syscall.SIGTERM)
	if rep := s.ended(t, "task-1"); rep.State != purser.TaskLost || rep.Checkpoint == "" || !strings.Contains(rep.Reason, preempted) {
		t.Errorf("report %+v", rep)
	}
	if err := wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
