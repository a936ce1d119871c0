package ssh

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"purser"
	"purser/providers"
	"purser/providers/providertest"
)

// realServer starts an OpenSSH server on loopback, with keys and a configuration of its own. A
// missing one fails the test with the sentence that says what to install; PURSER_SSHD_OPTIONAL
// lets it be left out.
func realServer(t *testing.T) (h Host, c Config) {
	t.Helper()
	found, err := exec.CommandContext(t.Context(), "sh", "../../scripts/sshd.sh").Output()
	sshd := strings.TrimSpace(string(found))
	if err != nil || sshd == "" {
		if os.Getenv("PURSER_SSHD_OPTIONAL") != "" {
			t.Skip("there is no OpenSSH server here, and PURSER_SSHD_OPTIONAL is set")
		}
		t.Fatal("the SSH pool is tested against a real OpenSSH server, and there is none: apt-get install --yes --no-install-recommends openssh-server, or set SSHD to one")
	}
	if os.Geteuid() == 0 { // where no service has ever started
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil { //nolint:gosec // as its package makes it
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	hostKey, hostText := newKey(t)
	client, clientText := newKey(t)
	port := freePort(t)
	write := func(name string, text []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	config := write("sshd_config", fmt.Appendf(nil, `ListenAddress 127.0.0.1
Port %d
HostKey %s
AuthorizedKeysFile %s
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
MaxStartups 100
UseDNS no
LogLevel VERBOSE
SetEnv HOME=%s
`, port, write("host_key", hostText), write("authorized_keys", ssh.MarshalAuthorizedKey(client.PublicKey())), dir))
	logFile, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), sshd, "-D", "-e", "-f", config)
	cmd.Stdout, cmd.Stderr = logFile, logFile
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // its sessions end with their connections
		_ = cmd.Wait()
		_ = logFile.Close()
		killAgents(dir)
		if t.Failed() {
			text, _ := os.ReadFile(logFile.Name())
			t.Logf("what sshd said:\n%s", text)
		}
	})
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	eventually(t, "sshd listens", func() bool {
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(t.Context(), "tcp", address)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	h = Host{
		Name: "real", Address: "127.0.0.1", Port: port, User: me.Username, Root: filepath.Join(dir, "pool"), HostKeys: []string{ssh.FingerprintSHA256(hostKey.PublicKey())},
		Shape: purser.Shape{MilliCPU: 1000, MemoryMiB: 1024}, Places: 3,
	}
	c = Config{Installation: "ours", KeyFile: write("id", clientText), Program: programOf(agentProgram), StopGrace: 2 * time.Second, RetryDial: time.Millisecond}
	return h, c
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

func TestRealServerConformance(t *testing.T) {
	h, c := realServer(t)
	root, n := h.Root, 0
	providertest.Run(t, func(t *testing.T) providertest.Subject {
		n++
		h, c := h, c
		h.Root = fmt.Sprintf("%s/%d", root, n)
		c.Hosts = []Host{h}
		return providertest.Subject{
			Provider: newPool(t, c), Installation: "ours", Offer: h.offer(h.Shape, 3, time.Time{}),
			Again: func() providers.Provider { return newPool(t, c) },
			Other: func(name string) providers.Provider {
				c := c
				c.Installation = name
				return newPool(t, c)
			},
		}
	})
}

// An agent outlives its connection and the server that it came by, and a host without any
// declared shape is offered as what it is.
func TestRealServerKeepsAgentsAndIsProbed(t *testing.T) {
	h, c := realServer(t)
	h.Shape, h.Places, h.UnitPrice = purser.Shape{}, 0, 250_000_000
	c.Hosts = []Host{h}
	p := newPool(t, c)
	offers, err := p.Offers(t.Context())
	if err != nil || len(offers) != 1 || offers[0].Limit != 1 || offers[0].MilliCPU < 1000 || offers[0].MemoryMiB < 64 || offers[0].DiskMiB == 0 || offers[0].UnitPrice != 250_000_000 {
		t.Fatalf("Offers gave %+v, %v", offers, err)
	}
	l := purser.Lease{ID: "lease-a", Offer: offers[0], Attempt: 1}
	if _, err := p.Launch(t.Context(), request(l)); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	again := newPool(t, c)
	if in, err := again.Describe(t.Context(), l); err != nil || in.State != providers.Running {
		t.Errorf("after the connection has ended: %+v, %v", in, err)
	}
	if offers, err := again.Offers(t.Context()); err != nil || len(offers) != 1 || offers[0].Limit != 0 {
		t.Errorf("Offers of a host that is taken gave %+v, %v", offers, err)
	}
	if err := again.Terminate(t.Context(), l); err != nil {
		t.Error(err)
	}
	eventually(t, "the machine is gone", func() bool {
		in, err := again.Describe(t.Context(), l)
		return err == nil && in.State == providers.Gone
	})
}
