package ssh

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"

	"purser"
	"purser/providers"
)

// agentProgram stands in for the agent: it notes that it began, and waits. Told to, it leaves a
// task behind, or does not heed SIGTERM.
const agentProgram = `#!/bin/sh
[ ! -f "$PURSER_AGENT_DIR/terminated" ] || exit 0
: >"$PURSER_CHECKPOINT_ROOT/agent.$PURSER_LEASE.$$"
case $PURSER_LEASE in
*stubborn*) trap '' TERM; while :; do sleep 0.1; done ;;
*failing*) echo "no such luck" >&2; exit 1 ;;
*busy*)
	mkdir -p "$PURSER_AGENT_DIR/tasks/t" "$PURSER_AGENT_DIR/groups"
	PURSER_PROGRESS_FILE="$PURSER_AGENT_DIR/tasks/t/progress" setsid sleep 601 &
	: >"$PURSER_CHECKPOINT_ROOT/task.$PURSER_LEASE.$!"
	exec sleep 602 ;;
esac
exec sleep 603
`

// testServer is an SSH server in this process. Each user is a host of its own, with the folder
// of that name as home.
type testServer struct {
	t       testing.TB
	dir     string
	addr    *net.TCPAddr
	hostKey ssh.Signer
	keyFile string // of the client
	config  *ssh.ServerConfig
	env     []string // more for commands

	mu       sync.Mutex
	conns    map[net.Conn]bool
	commands []string
	begin    func(command string) error // before a command runs; nil: nothing
	cut      func(command string) int   // bytes of input that arrive before the connection is lost; 0: all
	all      sync.WaitGroup
}

func newKey(t testing.TB) (ssh.Signer, []byte) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "test")
	if err != nil {
		t.Fatal(err)
	}
	return signer, pem.EncodeToMemory(block)
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newServer(t testing.TB) *testServer {
	t.Helper()
	s := &testServer{t: t, dir: t.TempDir(), conns: map[net.Conn]bool{}}
	s.hostKey, _ = newKey(t)
	client, text := newKey(t)
	s.keyFile = filepath.Join(s.dir, "id")
	if err := os.WriteFile(s.keyFile, text, 0o600); err != nil {
		t.Fatal(err)
	}
	s.config = &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if string(key.Marshal()) != string(client.PublicKey().Marshal()) {
			return nil, errors.New("unknown key")
		}
		return nil, nil //nolint:nilnil // no permissions, and no failure
	}}
	s.config.KeyExchanges = []string{ssh.KeyExchangeCurve25519} // the cheapest
	s.config.AddHostKey(s.hostKey)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().(*net.TCPAddr)
	s.all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.all.Go(func() { s.serve(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		s.drop()
		s.all.Wait()
		killAgents(s.dir)
	})
	return s
}

// drop loses every connection.
func (s *testServer) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		_ = c.Close()
	}
}

func (s *testServer) serve(c net.Conn) {
	s.mu.Lock()
	s.conns[c] = true
	s.mu.Unlock()
	defer func() {
		_ = c.Close()
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	}()
	conn, channels, requests, err := ssh.NewServerConn(c, s.config)
	if err != nil {
		return
	}
	s.all.Go(func() { ssh.DiscardRequests(requests) })
	for ch := range channels {
		if ch.ChannelType() != "session" {
			_ = ch.Reject(ssh.UnknownChannelType, "no")
			continue
		}
		channel, in, err := ch.Accept()
		if err != nil {
			return
		}
		s.all.Go(func() {
			for r := range in {
				if r.Type == "exec" {
					_ = r.Reply(true, nil)
					s.all.Go(func() { s.run(conn.User(), channel, string(r.Payload[4:])) })
				} else {
					_ = r.Reply(false, nil)
				}
			}
		})
	}
}

func (s *testServer) home(user string) string { return filepath.Join(s.dir, user) }

// run executes a command as sshd does, with the user's home.
func (s *testServer) run(user string, ch ssh.Channel, command string) {
	defer func() { _ = ch.Close() }()
	s.mu.Lock()
	s.commands = append(s.commands, command)
	begin, cut := s.begin, 0
	if s.cut != nil {
		cut = s.cut(command)
	}
	s.mu.Unlock()
	if begin != nil {
		err := begin(command)
		if code, ok := errors.AsType[exitCode](err); ok {
			_, _ = fmt.Fprintf(ch.Stderr(), "a warning\npurser: it said %d\nmore\n", code)
			_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Code uint32 }{uint32(code)}))
		}
		if err != nil {
			return
		}
	}
	if s.t.Context().Err() != nil {
		return // the test is over
	}
	home := s.home(user)
	if err := os.MkdirAll(home, 0o700); err != nil {
		s.t.Error(err)
		return
	}
	argv := []string{"/bin/sh", "-c", command}
	if command == "sh -s" {
		argv = []string{"/bin/sh", "-s"} // what it comes to, without one more process
	}
	cmd := exec.CommandContext(context.WithoutCancel(s.t.Context()), argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = home, append([]string{"HOME=" + home, "PATH=" + os.Getenv("PATH")}, s.env...)
	cmd.Stdout, cmd.Stderr = ch, ch.Stderr()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = 5 * time.Second
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		s.t.Error(err)
		return
	}
	var input io.Reader = ch
	if cut > 0 {
		input = io.LimitReader(ch, int64(cut))
	}
	s.all.Go(func() {
		_, _ = io.Copy(in, input) // a command need not read all of it
		_ = in.Close()
	})
	err = cmd.Wait()
	exit, failed := errors.AsType[*exec.ExitError](err)
	if cut > 0 || (failed && exit.ExitCode() < 0) {
		return // nobody hears how it ended
	}
	code := uint32(0)
	if failed {
		code = uint32(exit.ExitCode()) //nolint:gosec // of this test's own commands
	}
	_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Code uint32 }{code}))
}

// exitCode is a code that a command is to end with in place of being run.
type exitCode uint32

func (exitCode) Error() string { return "an exit code" }

func (s *testServer) set(begin func(command string) error, cut func(command string) int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begin, s.cut = begin, cut
}

func (s *testServer) ran() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.commands)
}

func (s *testServer) host(name string) Host {
	return Host{
		Name: name, Address: s.addr.IP.String(), Port: s.addr.Port, User: name, HostKeys: []string{string(ssh.MarshalAuthorizedKey(s.hostKey.PublicKey()))},
		Shape: purser.Shape{MilliCPU: 1000, MemoryMiB: 1024}, Places: 3,
	}
}

func (s *testServer) configOf(hosts ...Host) Config {
	return Config{
		Installation: "ours", Hosts: hosts, KeyFile: s.keyFile, Program: programOf(agentProgram), StopGrace: 2 * time.Second,
		CommandTimeout: 20 * time.Second, RetryDial: time.Millisecond,
	}
}

func programOf(text string) func(string) (Program, error) {
	sum := sha256.Sum256([]byte(text))
	return func(arch string) (Program, error) {
		if arch != "amd64" && arch != "arm64" {
			return Program{}, fmt.Errorf("none for %s", arch)
		}
		return Program{SHA256: hex.EncodeToString(sum[:]), Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }}, nil
	}
}

func newPool(t testing.TB, c Config) *Provider {
	t.Helper()
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func leaseOn(h Host, id string) purser.Lease {
	return purser.Lease{
		ID: purser.LeaseID(id), Offer: h.offer(h.Shape, 1, time.Time{}), Holder: Name, State: purser.LeaseLaunching, Attempt: 1,
		CreatedAt: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC),
	}
}

func request(l purser.Lease) providers.Request {
	return providers.Request{
		Lease: l, Installation: "ours", Token: providers.ClientToken("ours", l), JoinToken: "join-secret-" + string(l.ID), ServerURL: "http://127.0.0.1:1",
	}
}

// namedBy says whether a process has an environment that names dir.
func namedBy(pid int, dir string) bool {
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	return err == nil && strings.Contains(string(env), dir)
}

// alive says whether a process that has noted itself below dir lives, as the scripts see it. While
// one becomes another program, or dies, it has no environment for a moment.
func alive(pid int, dir string) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	env, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid)) // none, if it cannot be read
	_, state, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(state, "Z") && !strings.HasPrefix(state, "X") && (len(env) == 0 || strings.Contains(string(env), dir))
}

// marksOf gives the processes that noted themselves below dir, by lease; what is agent or task.
func marksOf(dir, what string) map[purser.LeaseID][]int {
	out := map[purser.LeaseID][]int{}
	files, _ := filepath.Glob(filepath.Join(dir, "*", ".purser", "*", "checkpoints", what+".*"))
	more, _ := filepath.Glob(filepath.Join(dir, ".purser", "*", "checkpoints", what+".*"))
	for _, f := range append(files, more...) {
		name := strings.TrimPrefix(filepath.Base(f), what+".")
		lease, id, _ := strings.Cut(name, ".")
		pid, err := strconv.Atoi(id)
		if err == nil {
			out[purser.LeaseID(lease)] = append(out[purser.LeaseID(lease)], pid)
		}
	}
	return out
}

// livingAgents gives the agents that live below dir.
func livingAgents(dir string) map[purser.LeaseID][]int {
	out := marksOf(dir, "agent")
	for id := range out {
		out[id] = slices.DeleteFunc(out[id], func(pid int) bool { return !alive(pid, dir) })
	}
	return out
}

// killNoted kills what has noted itself below dir.
func killNoted(dir string) {
	for _, what := range []string{"agent", "task"} {
		for _, pids := range marksOf(dir, what) {
			for _, pid := range pids {
				if alive(pid, dir) {
					_ = syscall.Kill(pid, syscall.SIGKILL)
				}
			}
		}
	}
}

// killAgents leaves no process behind that has noted itself below dir, or whose environment
// names it.
func killAgents(dir string) {
	killNoted(dir)
	all, _ := filepath.Glob("/proc/[0-9]*")
	for _, f := range all {
		pid, err := strconv.Atoi(filepath.Base(f))
		if err == nil && pid != os.Getpid() && namedBy(pid, "="+dir) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("within 20 s it did not come true that %s", what)
		case <-tick.C:
		}
	}
}

// backdate makes files look two hours old.
func backdate(t *testing.T, files ...string) {
	t.Helper()
	for _, f := range files {
		if err := os.Chtimes(f, time.Time{}, time.Now().Add(-2*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
}
