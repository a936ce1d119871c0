package bootstrap

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// tools are what the script may use of the machine. Everything else it calls is a
// stand-in of the test, poweroff above all.
func tools() []string {
	return []string{"cut", "mkdir", "chmod", "mv", "rm", "cat", "sha256sum", "timeout", "tr"}
}

// machine is a machine in a folder: its root is dir, and only the programs in bin exist.
type machine struct {
	*testing.T
	dir, bin string
}

func newMachine(t *testing.T, fetchers ...string) *machine {
	t.Helper()
	m := &machine{T: t, dir: t.TempDir(), bin: t.TempDir()}
	for _, name := range append(tools(), fetchers...) {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Skipf("%s is not here", name)
		}
		if err := os.Symlink(path, filepath.Join(m.bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	setsid, err := exec.LookPath("setsid")
	if err != nil {
		t.Skip("setsid is not here")
	}
	m.tool("uname", "echo x86_64")
	m.tool("sleep", `echo "$1" >>`+m.dir+`/slept; exec `+sleep+` 0.05`)
	m.tool("sync", ":")
	m.tool("poweroff", "echo off >>"+m.dir+"/off")
	m.tool("setsid", `exec `+setsid+` "$@"`)
	return m
}

// tool puts a program of the test onto the machine.
func (m *machine) tool(name, text string) {
	m.Helper()
	path := filepath.Join(m.bin, name)
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil { //nolint:gosec // it is to run
		m.Fatal(err)
	}
}

// boot runs the script of the machine as cloud-init does, with a limit of some seconds.
func (m *machine) boot(script string, limit int) (code int, out string) {
	m.Helper()
	for from, to := range map[string]string{
		"/opt/purser": filepath.Join(m.dir, "opt"), "/dev/console": filepath.Join(m.dir, "console"), "/run/systemd/system": filepath.Join(m.dir, "systemd"),
		"-lt 600 ": fmt.Sprintf("-lt %d ", limit),
	} {
		if !strings.Contains(script, from) {
			m.Fatalf("the script does not hold %q any more", from)
		}
		script = strings.ReplaceAll(script, from, to)
	}
	path := filepath.Join(m.dir, "user-data")
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil { //nolint:gosec // it is to run
		m.Fatal(err)
	}
	cmd := exec.CommandContext(m.Context(), "/bin/sh", path)
	cmd.Env, cmd.Dir = []string{"PATH=" + m.bin}, m.dir
	b, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		m.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(b)
}

func (m *machine) read(name string) string {
	b, _ := os.ReadFile(filepath.Join(m.dir, name))
	return string(b)
}

func (m *machine) until(what string, ok func() bool) {
	m.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			m.Fatalf("within 20 s it did not come true that %s; the log is %s%s", what, m.read("opt/bootstrap.log"), m.read("opt/agent.log"))
		case <-tick.C:
		}
	}
}

func (m *machine) isOff() bool { return m.read("off") != "" }

// home is a server that gives out programs.
type home struct {
	mu     sync.Mutex
	give   string
	status int
	asked  []string
}

func (h *home) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked = append(h.asked, r.URL.Path)
	if h.status != 0 {
		w.WriteHeader(h.status)
		return
	}
	_, _ = w.Write([]byte(h.give))
}

func (h *home) set(give string, status int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.give, h.status = give, status
}

func (h *home) calls() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.asked)
}

func serve(t *testing.T, give string) (*home, string) {
	t.Helper()
	h := &home{give: give}
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return h, s.URL
}

// agentOf is an agent's program that notes how it was started and ends when it is told.
func agentOf(m *machine, then string) string {
	return "#!/bin/sh\necho \"$@\" >>" + m.dir + "/began\nenv >" + m.dir + "/env\nid=$$; echo $id >" + m.dir + "/pid\n" + then + "\n"
}

func linux(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("machines run Linux")
	}
}

// The agent that the server promised is fetched and started with what it needs, and
// when it ends the machine goes.
func TestGoodProgramIsStarted(t *testing.T) {
	linux(t)
	for _, fetcher := range []string{"curl", "wget"} {
		t.Run(fetcher, func(t *testing.T) {
			m := newMachine(t, fetcher, "env")
			m.tool("docker", "exit 0")
			m.tool("nvidia-smi", "exit 0")
			m.tool("rocm-smi", "exit 1")
			program := agentOf(m, "while [ -d "+m.dir+" ] && [ ! -e "+m.dir+"/go ]; do sleep 1; done")
			h, url := serve(t, program)
			r := request()
			r.ServerURL, r.AgentSHA256 = url, map[string]string{"amd64": sumOf(program)}
			r.Lease.Offer.Accelerator = "it's one"
			if code, out := m.boot(must(t, r), 60); code != 0 {
				t.Fatalf("exit %d: %s", code, out)
			}
			m.until("the agent runs", func() bool { return m.read("pid") != "" })
			env := m.read("env")
			for _, want := range []string{
				"PURSER_SERVER_URL=" + url, "PURSER_LEASE=lease-01hz", "PURSER_NOTICES=on", "PURSER_JOIN_TOKEN_FILE=" + m.dir + "/opt/join-token",
				"PURSER_AGENT_DIR=" + m.dir + "/opt/lease", "PURSER_CHECKPOINT_ROOT=" + m.dir + "/opt/checkpoints", `"it\u0027s one"`, "HOME=",
			} {
				if !strings.Contains(env, want) {
					t.Errorf("%q is not in the agent's environment:\n%s", want, env)
				}
			}
			if strings.Contains(env, r.JoinToken) {
				t.Error("the join token is in the environment, which tasks could read")
			}
			if m.read("began") != "agent\n" || m.read("opt/join-token") != r.JoinToken {
				t.Errorf("began as %q with the token %q", m.read("began"), m.read("opt/join-token"))
			}
			for name, mode := range map[string]os.FileMode{"join-token": 0o600, "purser": 0o700, "agent.sh": 0o700} {
				if info, err := os.Stat(filepath.Join(m.dir, "opt", name)); err != nil || info.Mode().Perm() != mode {
					t.Errorf("%s has mode %v, %v", name, info.Mode(), err)
				}
			}
			if h.calls() != 1 || h.asked[0] != "/v1/agent/program/amd64" {
				t.Errorf("asked for %q", h.asked)
			}
			for _, where := range []string{"opt/bootstrap.log", "console"} {
				if log := m.read(where); !strings.Contains(log, "agent started") || strings.Contains(log, r.JoinToken) {
					t.Errorf("%s: %q", where, log)
				}
			}
			if log := m.read("opt/bootstrap.log"); !strings.Contains(log, "container runtime: docker; accelerator drivers: nvidia-smi\n") {
				t.Errorf("the log says %q", log)
			}
			if m.isOff() {
				t.Fatal("the machine went while its agent runs")
			}
			m.write("go")
			m.until("the machine is off", m.isOff)
		})
	}
}

func (m *machine) write(name string) {
	m.Helper()
	if err := os.WriteFile(filepath.Join(m.dir, name), nil, 0o600); err != nil {
		m.Fatal(err)
	}
}

// What is not the promised program is never run, however often it is offered; the right
// one is, when it comes.
func TestWrongProgramIsNeverRun(t *testing.T) {
	linux(t)
	m := newMachine(t, "curl", "env")
	good := agentOf(m, "exit 0")
	h, url := serve(t, "#!/bin/sh\necho stranger >>"+m.dir+"/began\n")
	r := request()
	r.ServerURL, r.AgentSHA256 = url, map[string]string{"amd64": sumOf(good)}
	done := make(chan int, 1)
	go func() {
		code, _ := m.boot(must(t, r), 60)
		done <- code
	}()
	m.until("it was offered twice", func() bool { return h.calls() > 2 })
	h.set(good[:len(good)/2], 0) // cut off
	from := h.calls()
	m.until("half of it was offered", func() bool { return h.calls() > from+1 })
	if began := m.read("began"); began != "" {
		t.Fatalf("began: %q", began)
	}
	h.set(good, 0)
	if code := <-done; code != 0 {
		t.Errorf("exit %d", code)
	}
	m.until("the machine is off", m.isOff)
	if began := m.read("began"); began != "agent\n" {
		t.Errorf("began: %q", began)
	}
}

// A machine that cannot get its agent within the limit goes: its server is away, has no
// agent, or another one, or there is none for its kind of processor.
func TestMachineThatCannotStartGoes(t *testing.T) {
	linux(t)
	for name, c := range map[string]struct {
		prepare func(m *machine, h *home) (server string)
		says    string
	}{
		"server away":     {func(*machine, *home) string { return "http://127.0.0.1:1" }, "could not be fetched from http://127.0.0.1:1 within"},
		"no such program": {func(_ *machine, h *home) string { h.set("", http.StatusNotFound); return "" }, "could not be fetched"},
		"another program": {func(_ *machine, h *home) string { h.set("#!/bin/sh\nreboot", 0); return "" }, "is not the agent that was promised"},
		"neither curl nor wget": {func(m *machine, _ *home) string {
			if err := os.Remove(filepath.Join(m.bin, "curl")); err != nil {
				m.Fatal(err)
			}
			return ""
		}, "could not be fetched"},
		"another processor": {func(m *machine, _ *home) string { m.tool("uname", "echo aarch64"); return "" }, "the server has no agent for arm64"},
		"an unknown one":    {func(m *machine, _ *home) string { m.tool("uname", "echo sparc"); return "" }, "no agent for sparc"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, "curl")
			h, url := serve(t, "")
			if other := c.prepare(m, h); other != "" {
				url = other
			}
			r := request()
			r.ServerURL, r.AgentSHA256 = url, map[string]string{"amd64": sumOf("an agent")}
			begun := time.Now()
			code, out := m.boot(must(t, r), 1)
			if code != 1 || !m.isOff() || !strings.Contains(m.read("opt/bootstrap.log"), c.says) {
				t.Errorf("exit %d, off %t, log %q, %s", code, m.isOff(), m.read("opt/bootstrap.log"), out)
			}
			if took := time.Since(begun); took > 15*time.Second {
				t.Errorf("it took %s; the limit was 1 s", took)
			}
			if m.read("opt/join-token") != "" || m.read("pid") != "" {
				t.Error("something was started")
			}
		})
	}
}

// An agent that a signal kills is started again, six times in all; then the machine goes.
func TestKilledAgentIsStartedAgain(t *testing.T) {
	linux(t)
	m := newMachine(t, "curl", "env")
	program := agentOf(m, "kill -KILL $$")
	_, url := serve(t, program)
	r := request()
	r.ServerURL, r.AgentSHA256 = url, map[string]string{"amd64": sumOf(program)}
	if code, out := m.boot(must(t, r), 60); code != 0 {
		t.Fatalf("exit %d: %s", code, out)
	}
	m.until("the machine is off", m.isOff)
	if began := m.read("began"); began != strings.Repeat("agent\n", 6) {
		t.Errorf("began: %q", began)
	}
}

// The signal of a shutdown reaches the agent through the shell that waits for it, and
// the shell waits until the agent has stopped its tasks.
func TestShutdownReachesTheAgent(t *testing.T) {
	linux(t)
	m := newMachine(t, "curl", "env")
	program := agentOf(m, "trap 'echo stopping >>"+m.dir+"/said; sleep 1; sleep 1; echo stopped >>"+m.dir+"/said; exit 0' TERM\necho $PPID >"+m.dir+"/parent\nwhile [ -d "+m.dir+" ]; do sleep 1; done")
	_, url := serve(t, program)
	r := request()
	r.ServerURL, r.AgentSHA256 = url, map[string]string{"amd64": sumOf(program)}
	if code, out := m.boot(must(t, r), 60); code != 0 {
		t.Fatalf("exit %d: %s", code, out)
	}
	m.until("the agent runs", func() bool { return strings.HasSuffix(m.read("parent"), "\n") })
	var shell int
	if _, err := fmt.Sscan(m.read("parent"), &shell); err != nil || shell < 2 {
		t.Fatalf("the agent's shell is %q, %v", m.read("parent"), err)
	}
	if err := syscall.Kill(shell, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	m.until("the machine is off", m.isOff)
	if said := m.read("said"); said != "stopping\nstopped\n" || m.read("began") != "agent\n" {
		t.Errorf("the agent said %q and began %q", said, m.read("began"))
	}
}

// Where systemd runs, the agent is a unit of it that is stopped by itself; an old
// systemd that does not know a property is asked without it.
func TestAgentIsAUnit(t *testing.T) {
	linux(t)
	for name, old := range map[string]bool{"new": false, "old": true} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, "curl", "env")
			m.write("console")
			if err := os.Mkdir(filepath.Join(m.dir, "systemd"), 0o700); err != nil {
				t.Fatal(err)
			}
			refuse := "refused=no"
			if old {
				refuse = `case "$*" in *OOMPolicy*) echo "Unknown assignment: OOMPolicy=continue" >&2; exit 1 ;; esac`
			}
			m.tool("systemd-run", `echo "$@" >>`+m.dir+"/unit\n"+refuse+"\nfor last; do :; done\nsetsid \"$last\" >/dev/null 2>&1 </dev/null &")
			program := agentOf(m, "exit 0")
			_, url := serve(t, program)
			r := request()
			r.ServerURL, r.AgentSHA256 = url, map[string]string{"amd64": sumOf(program)}
			if code, out := m.boot(must(t, r), 60); code != 0 {
				t.Fatalf("exit %d: %s", code, out)
			}
			m.until("the machine is off", m.isOff)
			unit := strings.Split(strings.TrimSpace(m.read("unit")), "\n")
			last := unit[len(unit)-1]
			if m.read("began") != "agent\n" || !strings.Contains(last, "KillMode=mixed") || strings.Contains(last, "OOMPolicy") == old {
				t.Errorf("began %q as %q", m.read("began"), unit)
			}
		})
	}
}

// The script may run again, as some images run it at every boot: what is there is not
// fetched anew.
func TestSecondBoot(t *testing.T) {
	linux(t)
	m := newMachine(t, "curl", "env")
	program := agentOf(m, "exit 0")
	h, url := serve(t, program)
	r := request()
	r.ServerURL, r.AgentSHA256 = url, map[string]string{"amd64": sumOf(program)}
	for i := range 2 {
		if code, out := m.boot(must(t, r), 60); code != 0 {
			t.Fatalf("exit %d: %s", code, out)
		}
		m.until("the machine is off", func() bool { return m.read("off") == strings.Repeat("off\n", i+1) })
	}
	if h.calls() != 1 || m.read("began") != "agent\nagent\n" {
		t.Errorf("%d calls, began %q", h.calls(), m.read("began"))
	}
}
