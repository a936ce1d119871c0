package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"purser"
	"purser/api"
)

// TestMain makes the test binary an agent in a process of its own, which can be
// killed.
func TestMain(m *testing.M) {
	if os.Getenv(EnvDir) == "" {
		os.Exit(m.Run())
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	c, err := ConfigFromEnv(os.Getenv)
	c.Runtimes = []string{}
	if err == nil {
		err = Run(ctx, c)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// serveHTTP puts the server in memory behind the real client and wire.
func serveHTTP(t *testing.T, s *server) string {
	handle := func(w http.ResponseWriter, r *http.Request, in any, call func(Server) (any, error)) {
		if err := json.NewDecoder(r.Body).Decode(in); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		out, err := call(s.dial(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")))
		if err != nil {
			w.WriteHeader(purser.HTTPStatus(purser.KindOf(err)))
			out = api.Problem{Code: purser.KindOf(err), Detail: err.Error()}
		}
		_ = json.NewEncoder(w).Encode(out)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/agent/join", func(w http.ResponseWriter, r *http.Request) {
		var j api.AgentJoin
		handle(w, r, &j, func(s Server) (any, error) { return s.Join(r.Context(), j) })
	})
	mux.HandleFunc("POST /v1/agent/report", func(w http.ResponseWriter, r *http.Request) {
		var rep api.AgentReport
		handle(w, r, &rep, func(s Server) (any, error) { return s.Report(r.Context(), rep) })
	})
	h := httptest.NewServer(mux)
	t.Cleanup(h.Close)
	return h.URL
}

func startAgent(t *testing.T, url, dir string) (*exec.Cmd, func() error) {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), binary)
	cmd.Env = append(os.Environ(), EnvServerURL+"="+url, EnvLease+"=lease-1", EnvDir+"="+dir, EnvJoinToken+"=join")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd, func() error { return <-ended }
}

// An agent that is killed takes its tasks along. The next one on the same folder is
// the same agent to the server, reports what was running as lost with its
// checkpoint, reports ends that had not arrived, and runs nothing twice.
func TestKilledAgent(t *testing.T) {
	s := newServer()
	url := serveHTTP(t, s)
	dir := t.TempDir()
	starts := filepath.Join(dir, "starts")
	first, wait := startAgent(t, url, dir)
	long := func(name string) func(*api.TaskSpec) {
		return runs(`echo ` + name + ` >> ` + starts + `; echo half > "$PURSER_CHECKPOINT_DIR/x"; (while :; do sleep 0.05; done) & echo $$ $!; echo ready; wait`)
	}
	s.order("long", long("long"))
	s.until(t, "it runs", ready(s, "long"))
	var shell, child int
	if _, err := fmt.Sscanf(s.output("long")[0], "stdout: %d %d", &shell, &child); err != nil {
		t.Fatal(err)
	}
	away := purser.Errorf(purser.KindUnavailable, "x", "no server")
	s.order("short", func(x *api.TaskSpec) {
		runs(`echo short >> ` + starts + `; while [ ! -e ` + dir + `/go ]; do sleep 0.02; done; exit 6`)(x)
		x.Task.Replica = 1
	})
	s.until(t, "the second one begins", func() bool { return s.tasks["short"].report.State == purser.TaskRunning })
	s.set(func() { s.fault = func(int) (error, error) { return away, nil } })
	if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end stands in the journal", func() bool {
		b, _ := os.ReadFile(filepath.Join(dir, "journal.json"))
		return strings.Contains(string(b), `"exit_code":6`)
	})
	_ = first.Process.Kill()
	_ = wait()
	eventually(t, "the task's first process is gone", func() bool { return processStart(shell) == "" })

	s.set(func() { s.fault = nil })
	second, wait := startAgent(t, url, dir)
	if rep := s.ended(t, "long"); rep.State != purser.TaskLost || rep.Checkpoint == "" {
		t.Errorf("what was running: %+v", rep)
	}
	if rep := s.ended(t, "short"); rep.State != purser.TaskFailed || rep.ExitCode == nil || *rep.ExitCode != 6 {
		t.Errorf("what had ended: %+v", rep)
	}
	eventually(t, "nothing of the task is left", func() bool { return processStart(child) == "" })
	s.order("next", runs("echo next >> "+starts))
	s.ended(t, "next")
	if b, _ := os.ReadFile(starts); string(b) != "long\nshort\nnext\n" {
		t.Errorf("tasks began in this order: %q", b)
	}
	if s.joins != 2 {
		t.Errorf("%d joins", s.joins)
	}

	// A third agent beside the second finds the lock taken.
	_, waitThird := startAgent(t, url, dir)
	if err := waitThird(); err == nil {
		t.Error("two agents work for one lease")
	}
	_ = second.Process.Signal(syscall.SIGTERM)
	if err := wait(); err != nil {
		t.Errorf("an agent that is told to end: %v", err)
	}
}
