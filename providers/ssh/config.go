package ssh

import (
	"cmp"
	"context"
	"io"
	"net"
	"path"
	"regexp"
	"strconv"
	"time"

	"purser"
)

// Name is the provider's name, as offers and leases have it.
const Name = "ssh"

// Config is what a Provider works with. Zero times and counts have defaults.
type Config struct {
	Installation string // tag of our machines
	Hosts        []Host // the inventory

	// Identity. At least one of KeyFile and AgentSocket; both are offered.
	KeyFile       string // private key in PEM or OpenSSH form; read at each connection
	KeyPassphrase string // of KeyFile; empty: none
	AgentSocket   string // path of an ssh-agent's socket

	// Program gives the agent's program for an architecture (amd64, arm64).
	Program func(arch string) (Program, error)

	DialTimeout    time.Duration // for a connection with its handshake. Defaults to 10 s.
	CommandTimeout time.Duration // for one command. Defaults to 45 s.
	UploadTimeout  time.Duration // for the program to reach a host. Defaults to 15 min.
	KeepAlive      time.Duration // between two signs of life on a connection. Defaults to 15 s.
	IdleTime       time.Duration // after which an unused connection is closed. Defaults to 5 min.
	RetryDial      time.Duration // during which a host that did not answer is not tried again. Defaults to 3 s.
	MaxSessions    int           // commands at once on one host; sshd's own limit is 10. Defaults to 4.
	Parallel       int           // hosts asked at once by List and Offers. Defaults to 32.

	StopGrace time.Duration // from SIGTERM to SIGKILL of an agent. Defaults to 30 s.
	Remember  time.Duration // how long an ended lease is known. Defaults to 24 h.

	Dial func(ctx context.Context, network, address string) (net.Conn, error) // Defaults to a net.Dialer.
	Now  func() time.Time                                                     // Defaults to time.Now.

	around func(do func() error) error // tests spoil commands here
}

// Program is the agent's program for one architecture.
type Program struct {
	SHA256 string // of its bytes, in hex
	Open   func() (io.ReadCloser, error)
}

// Host is a machine of the operator's own.
type Host struct {
	Name    string // unique; the offer's instance type
	Address string // host name or IP address
	Port    int    // Defaults to 22.
	User    string
	// HostKeys are the keys that it may show: lines as in authorized_keys ("ssh-ed25519
	// AAAA…") or fingerprints as ssh-keygen -l prints them ("SHA256:…").
	HostKeys []string
	Root     string // Purser's folder there. Defaults to .purser/NAME below the home folder.

	Shape  purser.Shape      // of one place. Zero: what the probe finds.
	Places int               // leases at once, on hosts without accelerators. Defaults to 1.
	Labels map[string]string // for people; shown by Inspect

	Region    string            // Defaults to local.
	Zone      string            // what may fail together. Defaults to the host's name.
	Country   string            // ISO 3166 alpha-2
	UnitPrice purser.USDPerHour // of one place; marginal: what running it costs more than leaving it; may be 0
	Source    string            // who says the price. Defaults to ssh.

	// Drained: it takes no new lease, and List does not wait for it. See the package comment.
	Drained bool
}

// nameForm is the form of what becomes the name of a folder on a host.
var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

func (c Config) withDefaults() Config {
	c.DialTimeout = cmp.Or(c.DialTimeout, 10*time.Second)
	c.CommandTimeout = cmp.Or(c.CommandTimeout, 45*time.Second)
	c.UploadTimeout = cmp.Or(c.UploadTimeout, 15*time.Minute)
	c.KeepAlive = cmp.Or(c.KeepAlive, 15*time.Second)
	c.IdleTime = cmp.Or(c.IdleTime, 5*time.Minute)
	c.RetryDial = cmp.Or(c.RetryDial, 3*time.Second)
	c.MaxSessions = cmp.Or(c.MaxSessions, 4)
	c.Parallel = cmp.Or(c.Parallel, 32)
	c.StopGrace = cmp.Or(c.StopGrace, 30*time.Second)
	c.Remember = cmp.Or(c.Remember, 24*time.Hour)
	if c.Dial == nil {
		c.Dial = (&net.Dialer{}).DialContext
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.around == nil {
		c.around = func(do func() error) error { return do() }
	}
	return c
}

func (c Config) check() error {
	bad := func(format string, a ...any) error { return purser.Errorf(purser.KindInvalid, "ssh.New", format, a...) }
	switch {
	case !nameForm.MatchString(c.Installation):
		return bad("the SSH pool needs the installation's id, and it must be fit for the name of a folder: %q", c.Installation)
	case c.KeyFile == "" && c.AgentSocket == "":
		return bad("the SSH pool needs an identity: a key file or the socket of an ssh-agent")
	case c.Program == nil:
		return bad("the SSH pool needs the agent's program")
	case c.MaxSessions < 1 || c.Parallel < 1:
		return bad("sessions of a host and hosts asked at once are 1 at least")
	}
	seen := map[string]bool{}
	for _, h := range c.Hosts {
		if err := h.check(); err != nil {
			return err
		}
		if seen[h.Name] {
			return bad("two hosts are named %q", h.Name)
		}
		seen[h.Name] = true
	}
	return nil
}

func (h Host) check() error {
	bad := func(format string, a ...any) error {
		return purser.Errorf(purser.KindInvalid, "ssh.New", "host %q: "+format, append([]any{h.Name}, a...)...)
	}
	switch {
	case !nameForm.MatchString(h.Name):
		return bad("a name has letters, digits, dots, dashes and underscores, at most 100")
	case h.Address == "" || h.User == "":
		return bad("an address and a user must be given")
	case h.Port < 0 || h.Port > 65535:
		return bad("%d is no port", h.Port)
	case h.Places > 1 && (h.Shape.MilliCPU == 0 || h.Shape.MemoryMiB == 0):
		return bad("a host of several places needs the shape of one")
	case h.Places > 1 && h.Shape.Devices > 0:
		return bad("accelerators are numbered from 0 by each agent, so a host that has them is one place")
	case h.Places < 0:
		return bad("%d is no number of places", h.Places)
	case h.Shape != (purser.Shape{}) && (h.Shape.MilliCPU <= 0 || h.Shape.MemoryMiB <= 0):
		return bad("a shape has vCPUs and memory")
	case h.Root != "" && h.Root != path.Clean(h.Root):
		return bad("the folder %q is not written in its shortest form", h.Root)
	}
	if _, err := parsePins(h.HostKeys); err != nil {
		return bad("%w", err)
	}
	if err := h.offer(h.Shape, 0, time.Time{}).Check(); err != nil {
		return bad("%w", err)
	}
	return nil
}

func (h Host) root() string { return cmp.Or(h.Root, ".purser/"+h.Name) }

func (h Host) places() int { return max(h.Places, 1) }

func (h Host) address() string { return net.JoinHostPort(h.Address, strconv.Itoa(cmp.Or(h.Port, 22))) }

// offer is the host as an offer. Observed: when it was last seen.
func (h Host) offer(shape purser.Shape, free int, observed time.Time) purser.Offer {
	return purser.Offer{
		Provider: Name, Region: cmp.Or(h.Region, "local"), Zone: cmp.Or(h.Zone, h.Name), InstanceType: h.Name, Option: purser.Private,
		Shape: shape, UnitPrice: h.UnitPrice, Limit: free, ValidFrom: observed, ObservedAt: observed, Source: cmp.Or(h.Source, Name), Country: h.Country,
	}
}
