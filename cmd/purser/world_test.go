package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"purser/api"
)

// binary is the program under test, built once: agents and servers are processes
// of their own, as users run them.
var binary struct {
	once sync.Once
	path string
	err  error
}

func program(t *testing.T) string {
	t.Helper()
	binary.once.Do(func() {
		dir, err := os.MkdirTemp("", "purser-e2e-") //nolint:usetesting // it outlives the test that made it
		if err != nil {
			binary.err = err
			return
		}
		// Agents and the database run as other users; the folder may be passed by all.
		binary.err = os.Chmod(dir, 0o755)
		binary.path = filepath.Join(dir, "purser")
		out, err := exec.Command("go", "build", "-o", binary.path, ".").CombinedOutput()
		if err != nil {
			binary.err = fmt.Errorf("%w: %s", err, out)
		}
	})
	if binary.err != nil {
		t.Fatalf("the program does not build: %v", binary.err)
	}
	return binary.path
}

func TestMain(m *testing.M) {
	code := m.Run()
	if binary.path != "" {
		_ = os.RemoveAll(filepath.Dir(binary.path))
	}
	os.Exit(code)
}

// world is one server with its data folder, as a newcomer has it.
type world struct {
	t      *testing.T
	dir    string
	listen string
	server *exec.Cmd
	out    *lockedBuffer
	exited chan struct{}
	client *api.Client
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// worlds bounds those that stand at once: each is a server, a PostgreSQL and agents.
var worlds = make(chan struct{}, 2)

// newWorld chooses a data folder and a port that stay the same over restarts. Tests
// with a world run beside one other.
func newWorld(t *testing.T) *world {
	t.Helper()
	t.Parallel()
	worlds <- struct{}{}
	t.Cleanup(func() { <-worlds })
	dir, err := os.MkdirTemp("", "purser-world-") //nolint:usetesting // t.TempDir is closed to the database's user
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, dir: dir, listen: freeAddress(t)}
	t.Cleanup(func() {
		w.kill()
		w.endAgents()
		w.endPostgres()
		if t.Failed() {
			w.tell()
		}
		_ = os.RemoveAll(dir)
	})
	return w
}

// ports counts the ports that were tried. They lie below those that the system gives to
// outgoing connections, one of which could take a server's while it restarts.
var ports atomic.Int64

func freeAddress(t *testing.T) string {
	t.Helper()
	for range 1000 {
		addr := fmt.Sprintf("127.0.0.1:%d", 20000+(int64(os.Getpid())*31+ports.Add(1))%10000)
		if l, err := net.Listen("tcp", addr); err == nil {
			_ = l.Close()
			return addr
		}
	}
	t.Fatal("no port is free")
	return ""
}

// endPostgres ends the database of a server that was killed.
func (w *world) endPostgres() {
	b, err := os.ReadFile(filepath.Join(w.dir, "postgres", "postmaster.pid"))
	if err != nil {
		return
	}
	first, _, _ := strings.Cut(string(b), "\n")
	if pid, err := strconv.Atoi(first); err == nil && pid > 1 {
		_ = syscall.Kill(pid, syscall.SIGQUIT)
	}
}

// tell shows what a failed test's server said.
func (w *world) tell() {
	if w.out != nil {
		w.t.Logf("the server said:\n%s", tail(w.out.String(), 6000))
	}
	if b, err := os.ReadFile(filepath.Join(w.dir, "server.log")); err == nil {
		w.t.Logf("the server's log:\n%s", tail(string(b), 6000))
	}
}

func tail(s string, n int) string {
	if len(s) > n {
		return "…" + s[len(s)-n:]
	}
	return s
}

// start runs the server and waits until it answers.
func (w *world) start(args ...string) {
	w.t.Helper()
	w.out = &lockedBuffer{}
	w.server = exec.Command(program(w.t), append([]string{"serve", "--listen", w.listen, "--data-dir", w.dir}, args...)...)
	w.server.Stdout, w.server.Stderr = w.out, w.out
	w.server.Env = append(os.Environ(), "PURSER_SWEEPS__CHARGE=*/2 * * * * *", "PURSER_SWEEPS__PLAN=*/1 * * * * *", "PURSER_SWEEPS__RECONCILE=*/2 * * * * *")
	if err := w.server.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.exited = make(chan struct{})
	go func(c *exec.Cmd, done chan struct{}) { _ = c.Wait(); close(done) }(w.server, w.exited)
	w.await(90*time.Second, "the server's start", func() bool {
		select {
		case <-w.exited:
			w.t.Fatalf("the server ended: %s", w.out)
		default:
		}
		if _, err := api.NewClient("http://"+w.listen, "").Health(w.t.Context()); err != nil {
			return false
		}
		b, err := os.ReadFile(filepath.Join(w.dir, "credentials.json"))
		var cred struct{ URL, Token string }
		if err != nil || json.Unmarshal(b, &cred) != nil {
			return false
		}
		w.client = api.NewClient(cred.URL, cred.Token)
		return true
	})
}

// stop interrupts the server and waits for its clean end.
func (w *world) stop() {
	w.t.Helper()
	_ = w.server.Process.Signal(syscall.SIGINT)
	select {
	case <-w.exited:
	case <-time.After(70 * time.Second):
		w.t.Fatalf("the server did not stop: %s", w.out)
	}
	if code := w.server.ProcessState.ExitCode(); code != 0 {
		w.t.Fatalf("a clean stop ended with code %d: %s", code, w.out)
	}
}

// kill ends the server at once, as a crash would.
func (w *world) kill() {
	if w.server == nil || w.server.Process == nil {
		return
	}
	_ = w.server.Process.Kill()
	<-w.exited
}

// agentPIDs finds the agents of this world by the folder that they run in.
func (w *world) agentPIDs() []int {
	var pids []int
	procs, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range procs {
		env, err := os.ReadFile(filepath.Join(p, "environ"))
		if err != nil {
			continue
		}
		cmd, _ := os.ReadFile(filepath.Join(p, "cmdline"))
		if strings.Contains(string(cmd), "\x00agent\x00") && strings.Contains(string(env), w.dir) {
			if pid, err := strconv.Atoi(filepath.Base(p)); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

func (w *world) endAgents() {
	for _, pid := range w.agentPIDs() {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

// await polls until ready, within a bound.
func (w *world) await(limit time.Duration, what string, ready func() bool) {
	w.t.Helper()
	deadline := time.Now().Add(limit)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !ready() {
		if time.Now().After(deadline) {
			w.t.Fatalf("%s took longer than %s", what, limit)
		}
		<-tick.C
	}
}

// cli runs the program as a user does.
func (w *world) cli(args ...string) (out string, code int) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program(w.t), args...)
	cmd.Env = append(os.Environ(), "PURSER_DATA_DIR="+w.dir)
	b, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return string(b), exit.ExitCode()
	} else if err != nil {
		w.t.Fatalf("purser %v: %v", args, err)
	}
	return string(b), 0
}

// ok runs the program and expects it to succeed.
func (w *world) ok(args ...string) string {
	w.t.Helper()
	out, code := w.cli(args...)
	if code != 0 {
		w.t.Fatalf("purser %s ended with %d: %s", strings.Join(args, " "), code, out)
	}
	return out
}

// file writes a file into the world's folder.
func (w *world) file(name, text string) string {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
	return path
}
