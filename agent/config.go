package agent

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"strings"
	"time"

	"purser"
	"purser/agent/notice"
	"purser/api"
)

// Server is what an agent asks of its server; *api.Client is one.
type Server interface {
	Join(ctx context.Context, j api.AgentJoin) (api.AgentJoined, error)
	Report(ctx context.Context, r api.AgentReport) (api.AgentOrders, error)
}

// Config is what an agent works with.
type Config struct {
	ServerURL string
	Lease     purser.LeaseID
	JoinToken string
	Version   string

	Dir            string       // of this lease alone; made if missing
	CheckpointRoot string       // outlives leases. Defaults to Dir/checkpoints.
	Shape          purser.Shape // what the machine has to give

	ReportEvery time.Duration // Defaults to what the server says at the join, or 1 s.
	GiveUp      time.Duration // without a server. Defaults to what the server says at the join, or 120 s.
	StopGrace   time.Duration // from SIGTERM to SIGKILL. Defaults to 20 s.
	LastWords   time.Duration // for the last reports after the tasks have ended. Defaults to 5 s.
	CallTimeout time.Duration // of one call. Defaults to 10 s.
	LogMemory   int           // bytes of unsent lines kept for each task. Defaults to 8 MiB.

	// Notices is how the cloud's notices to the machine are watched. Nil: they are not, as on
	// a host that is no cloud's.
	Notices *notice.Config

	Env      []string // what tasks inherit. Defaults to the agent's environment without PURSER_*.
	Runtimes []string // container runtimes to look for. Defaults to podman, docker.

	Logger *slog.Logger
	Now    func() time.Time          // Defaults to time.Now.
	Dial   func(token string) Server // Defaults to an api.Client of ServerURL.
}

// The environment that a provider gives an agent; see ConfigFromEnv.
const (
	EnvServerURL      = "PURSER_SERVER_URL"
	EnvLease          = "PURSER_LEASE"
	EnvDir            = "PURSER_AGENT_DIR"
	EnvCheckpointRoot = "PURSER_CHECKPOINT_ROOT"
	EnvShape          = "PURSER_SHAPE"      // purser.Shape as JSON
	EnvJoinToken      = "PURSER_JOIN_TOKEN" //nolint:gosec // the name of a variable
	EnvJoinTokenFile  = "PURSER_JOIN_TOKEN_FILE"
	// EnvNotices is on for machines of a cloud, and off (the default) elsewhere: nothing asks a
	// link-local address from a host that merely stands in for a machine. An http:// address
	// in its place is that of a metadata service.
	EnvNotices = "PURSER_NOTICES"
)

// ConfigFromEnv reads what a provider told the agent through its environment. The
// join token stands in a file (0600), or in a variable where there is no shared disk.
func ConfigFromEnv(getenv func(string) string) (Config, error) {
	c := Config{
		ServerURL: getenv(EnvServerURL), Lease: purser.LeaseID(getenv(EnvLease)), Dir: getenv(EnvDir),
		CheckpointRoot: getenv(EnvCheckpointRoot), JoinToken: getenv(EnvJoinToken),
	}
	if s := getenv(EnvShape); s != "" {
		if err := json.Unmarshal([]byte(s), &c.Shape); err != nil {
			return c, purser.Errorf(purser.KindInvalid, "agent.ConfigFromEnv", "%s is not a shape in JSON: %w", EnvShape, err)
		}
	}
	if path := getenv(EnvJoinTokenFile); path != "" {
		b, err := os.ReadFile(path)
		if err != nil {
			return c, purser.Errorf(purser.KindInvalid, "agent.ConfigFromEnv", "the join token cannot be read: %w", err)
		}
		c.JoinToken = strings.TrimSpace(string(b))
	}
	switch v := getenv(EnvNotices); {
	case v == "on":
		c.Notices = &notice.Config{}
	case strings.HasPrefix(v, "http://"):
		c.Notices = &notice.Config{URL: v}
	case v != "" && v != "off":
		return c, purser.Errorf(purser.KindInvalid, "agent.ConfigFromEnv", "%s is %q; it is on, off or an address that begins with http://", EnvNotices, v)
	}
	return c, nil
}

func (c Config) withDefaults() (Config, error) {
	for _, need := range []struct{ value, name string }{
		{string(c.Lease), EnvLease}, {c.Dir, EnvDir}, {c.JoinToken, EnvJoinTokenFile}, {c.ServerURL, EnvServerURL},
	} {
		if need.value == "" && (c.Dial == nil || need.name != EnvServerURL) {
			return c, &purser.Error{
				Kind: purser.KindInvalid, Op: "agent.Run", Message: "the agent was not told its " + need.name,
				Hint: "agents are started by the server's providers, not by hand",
			}
		}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	def := func(d *time.Duration, to time.Duration) {
		if *d <= 0 {
			*d = to
		}
	}
	def(&c.StopGrace, 20*time.Second)
	def(&c.LastWords, 5*time.Second)
	def(&c.CallTimeout, 10*time.Second)
	if c.CheckpointRoot == "" {
		c.CheckpointRoot = c.Dir + "/checkpoints"
	}
	if c.LogMemory <= 0 {
		c.LogMemory = 8 << 20
	}
	if c.Env == nil {
		c.Env = withoutOurs(os.Environ())
	}
	if c.Runtimes == nil {
		c.Runtimes = []string{"podman", "docker"}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Dial == nil {
		c.Dial = func(token string) Server { return api.NewClient(c.ServerURL, token) }
	}
	return c, nil
}

// withoutOurs leaves out the variables that Purser itself is set up with: tasks
// must not find a database's password in their environment.
func withoutOurs(env []string) []string {
	var out []string
	for _, e := range env {
		if !strings.HasPrefix(e, "PURSER_") {
			out = append(out, e)
		}
	}
	return out
}
