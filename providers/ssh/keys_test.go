package ssh

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"purser"
)

// Only pinned keys are talked to, in either form; what was seen stands in the hint.
func TestHostKeys(t *testing.T) {
	s := newServer(t)
	other, _ := newKey(t)
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public, err := ssh.NewPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	rsaKey := string(ssh.MarshalAuthorizedKey(public))
	seen := ssh.FingerprintSHA256(s.hostKey.PublicKey())
	for name, c := range map[string]struct {
		keys []string
		want purser.Kind // "": it works
	}{
		"as in authorized_keys":     {[]string{string(ssh.MarshalAuthorizedKey(s.hostKey.PublicKey()))}, ""},
		"fingerprint":               {[]string{seen}, ""},
		"one of two":                {[]string{ssh.FingerprintSHA256(other.PublicKey()), seen}, ""},
		"another key":               {[]string{string(ssh.MarshalAuthorizedKey(other.PublicKey()))}, purser.KindForbidden},
		"another key's fingerprint": {[]string{ssh.FingerprintSHA256(other.PublicKey())}, purser.KindForbidden},
		"a type that it lacks":      {[]string{rsaKey}, purser.KindForbidden},
	} {
		h := s.host("a")
		h.HostKeys = c.keys
		_, err := newPool(t, s.configOf(h)).List(t.Context())
		switch {
		case c.want == "" && err != nil, c.want != "" && purser.KindOf(err) != c.want:
			t.Errorf("%s: %v", name, err)
		case strings.HasPrefix(name, "another") && !strings.Contains(err.Error(), seen):
			t.Errorf("%s: the fingerprint that was seen is not in %v", name, err)
		}
	}
	if n := len(s.ran()); n != 3 {
		t.Errorf("%d commands reached the host; want those of the three pinned keys", n)
	}
}

// The identity comes from a file or an agent; one that the host does not know is unauthorized.
func TestIdentity(t *testing.T) {
	s := newServer(t)
	h := s.host("a")
	pem, err := os.ReadFile(s.keyFile)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.ParseRawPrivateKey(pem)
	if err != nil {
		t.Fatal(err)
	}
	ring := agent.NewKeyring()
	if err := ring.Add(agent.AddedKey{PrivateKey: key}); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(s.dir, "agent")
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	s.all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.all.Go(func() { _ = agent.ServeAgent(ring, conn); _ = conn.Close() })
		}
	})
	_, strange := newKey(t)
	file := filepath.Join(s.dir, "strange")
	if err := os.WriteFile(file, strange, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		key, agent string
		want       purser.Kind
	}{
		"agent":              {"", socket, ""},
		"agent and file":     {file, socket, ""},
		"file, agent ended":  {s.keyFile, socket + "x", ""},
		"a key nobody knows": {file, "", purser.KindUnauthorized},
		"no such file":       {file + "x", "", purser.KindUnauthorized},
		"no agent":           {"", socket + "x", purser.KindUnauthorized},
	} {
		conf := s.configOf(h)
		conf.KeyFile, conf.AgentSocket = c.key, c.agent
		if _, err := newPool(t, conf).List(t.Context()); (c.want == "") != (err == nil) || (err != nil && purser.KindOf(err) != c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// Every way that a command can end has its kind, in one table.
func TestKindsOfFailure(t *testing.T) {
	s := newServer(t)
	h := s.host("a")
	p := newPool(t, s.configOf(h))
	for code, want := range map[uint32]purser.Kind{
		28: purser.KindNoCapacity, 65: purser.KindConflict, 73: purser.KindForbidden, 74: purser.KindInvalid, 75: purser.KindUnavailable,
		78: purser.KindInvalid, 126: purser.KindInvalid, 127: purser.KindInvalid, 1: purser.KindUnavailable, 2: purser.KindUnavailable, 255: purser.KindUnavailable,
	} {
		s.set(func(string) error { return exitCode(code) }, nil)
		_, err := p.Launch(t.Context(), request(leaseOn(h, "lease-a")))
		if purser.KindOf(err) != want || !strings.Contains(err.Error(), fmt.Sprintf("offer ssh/local/a/a/private: host a: it said %d", code)) {
			t.Errorf("code %d gave %v, want %s", code, err, want)
		}
		if want != purser.KindUnavailable && want != purser.KindConflict && !strings.Contains(err.Error(), "(") {
			t.Errorf("code %d has no hint: %v", code, err)
		}
		if err := p.Terminate(t.Context(), leaseOn(h, "lease-a")); code == 28 && purser.KindOf(err) != purser.KindUnavailable {
			t.Errorf("a full disk at the end of a machine gave %v", err)
		}
	}
	s.set(func(string) error { return context.Canceled }, nil) // ends without a code
	if _, err := p.List(t.Context()); purser.KindOf(err) != purser.KindUnavailable {
		t.Errorf("a command that ended without a code: %v", err)
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	h.Port = silent.Addr().(*net.TCPAddr).Port
	c := s.configOf(h)
	c.DialTimeout = 50 * time.Millisecond
	if _, err := newPool(t, c).List(t.Context()); purser.KindOf(err) != purser.KindUnavailable || !strings.Contains(err.Error(), "in time") {
		t.Errorf("a host that says nothing: %v", err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	s := newServer(t)
	good := s.configOf(s.host("a"))
	for name, spoil := range map[string]func(*Config){
		"no installation":         func(c *Config) { c.Installation = "" },
		"no identity":             func(c *Config) { c.KeyFile = "" },
		"no program":              func(c *Config) { c.Program = nil },
		"no pinned key":           func(c *Config) { c.Hosts[0].HostKeys = nil },
		"a key that is none":      func(c *Config) { c.Hosts[0].HostKeys = []string{"ssh-ed25519 zzz"} },
		"a fingerprint of MD5":    func(c *Config) { c.Hosts[0].HostKeys = []string{"SHA256:abc"} },
		"a name with a slash":     func(c *Config) { c.Hosts[0].Name = "a/b" },
		"no address":              func(c *Config) { c.Hosts[0].Address = "" },
		"two of one name":         func(c *Config) { c.Hosts = append(c.Hosts, c.Hosts[0]) },
		"places without shape":    func(c *Config) { c.Hosts[0].Shape = purser.Shape{} },
		"places with accelerator": func(c *Config) { c.Hosts[0].Shape.Accelerator, c.Hosts[0].Shape.Devices = "T4", 1000 },
		"half a shape":            func(c *Config) { c.Hosts[0].Places, c.Hosts[0].Shape.MemoryMiB = 1, 0 },
		"a price below 0":         func(c *Config) { c.Hosts[0].UnitPrice = -1 },
		"a folder with dots":      func(c *Config) { c.Hosts[0].Root = "a/../b" },
	} {
		c := good
		c.Hosts = []Host{s.host("a")}
		spoil(&c)
		if _, err := New(c); err == nil || purser.KindOf(err) != purser.KindInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}
