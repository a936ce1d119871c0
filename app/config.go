package app

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"
	"github.com/robfig/cron/v3"

	"purser"
)

// DefaultListen is where the server listens unless it is told otherwise: on
// loopback alone.
const DefaultListen = "127.0.0.1:7077"

// Config is all that can be set. It is read from a YAML file, then PURSER_*
// variables (PURSER_DATABASE_URL is database_url), then flags.
type Config struct {
	// Listen is the address of the HTTP server. Defaults to 127.0.0.1:7077; port 0 takes a free one.
	Listen string `koanf:"listen"`
	// PublicURL is what links and agents use. Defaults to http:// and the address that is listened on.
	PublicURL string `koanf:"public_url"`
	// DataDir holds the private database, the machines' folders, the solver's cache and
	// the first token. Defaults to /var/lib/purser for root, else $XDG_DATA_HOME/purser.
	DataDir string `koanf:"data_dir"`
	// DatabaseURL is a PostgreSQL of the operator's own. Empty: a private one is started.
	DatabaseURL string `koanf:"database_url"`
	// PostgresBin is a folder with initdb and postgres for the private database. Empty: they are looked for.
	PostgresBin string `koanf:"postgres_bin"`
	// NodeModules is a folder that may hold the npm package with PostgreSQL's programs.
	// Defaults to node_modules beside the program or its parent folder.
	NodeModules string `koanf:"node_modules"`
	// LimitsFile names quotas and the operator's own hosts, in the form of docs/jobfile.md. Empty: none.
	LimitsFile string `koanf:"limits_file"`
	// MaxMachines bounds the agent processes that stand in for machines in rehearsal. Defaults to 16.
	MaxMachines int `koanf:"max_machines"`
	// AgentPrograms is a folder with the agent's program for machines of other architectures
	// than the server's: purser-linux-amd64, purser-linux-arm64. Empty: none.
	AgentPrograms string `koanf:"agent_programs"`
	// Horizon is how far a plan looks ahead. Defaults to 24h.
	Horizon time.Duration `koanf:"horizon"`
	// PlanTime is how long the optimizer may search for one plan. Defaults to 10s.
	PlanTime time.Duration `koanf:"plan_time"`
	// SolverMemoryMiB caps one solver instance. Defaults to 1024.
	SolverMemoryMiB int `koanf:"solver_memory_mib"`
	// LogLevel is debug, info, warn or error. Defaults to info.
	LogLevel string `koanf:"log_level"`
	// KeepLogs is how long the lines of ended tasks are kept, KeepPlans how long plans that no lease is left of. Default to 30 and 90 days.
	KeepLogs  time.Duration `koanf:"keep_logs"`
	KeepPlans time.Duration `koanf:"keep_plans"`
	// KeepPrices is how long every change of a price is kept; the days' lowest, highest and mean prices stay. Defaults to 400 days.
	KeepPrices time.Duration `koanf:"keep_prices"`
	// Sources are the feeds of prices that are collected, by name. Defaults to those that need no network.
	Sources map[string]SourceConfig `koanf:"sources"`
	// Providers are the clouds and pools that are enabled, by name. Without any the server rehearses.
	Providers map[string]ProviderConfig `koanf:"providers"`
	// SpendLimit bounds what is bought from them.
	SpendLimit SpendLimit `koanf:"spend_limit"`
	// Sweeps says when each sweep is due, as cron expressions of six fields (seconds first) or @every.
	Sweeps Schedules `koanf:"sweeps"`
	// Rebalance says when a move pays.
	Rebalance RebalanceRule `koanf:"rebalance"`
	// Carbon says how the carbon of machines counts.
	Carbon CarbonRule `koanf:"carbon"`
}

// SourceConfig is how a feed of prices is collected. Naming a feed is enough to have it
// collected.
type SourceConfig struct {
	// Schedule is a cron expression of six fields, or off: only when asked for. Defaults to the feed's own.
	Schedule string `koanf:"schedule"`
	// MaxAge is from when on its prices are too old to plan with. Defaults to the feed's own.
	MaxAge time.Duration `koanf:"max_age"`
	// Regions to read. Defaults to all.
	Regions []string `koanf:"regions"`
	// Key is the API's key; of Verda the client's id and secret with a colon between. Best given as PURSER_SOURCES__NAME__KEY.
	Key string `koanf:"key"`
	// Project is the project (gcp) or subscription (azure) whose view is taken.
	Project string `koanf:"project"`
	// URL is the API's address. Defaults to the public one.
	URL string `koanf:"url"`
	// File is a list to read in place of the one that comes along (serverless).
	File string `koanf:"file"`
}

// Schedules are cron expressions in UTC.
type Schedules struct {
	Collect   string `koanf:"collect"`   // Defaults to every minute.
	Plan      string `koanf:"plan"`      // Defaults to every 5 seconds; it solves only when there is something new.
	Reconcile string `koanf:"reconcile"` // Defaults to every 5 seconds.
	Charge    string `koanf:"charge"`    // Defaults to every 15 seconds.
	Rebalance string `koanf:"rebalance"` // Defaults to every 15 minutes.
	Prune     string `koanf:"prune"`     // Defaults to every day at 03:17.
	Hazard    string `koanf:"hazard"`    // Defaults to every hour at minute 27.
	Attend    string `koanf:"attend"`    // Defaults to every 2 seconds; only for providers that run tasks themselves.
	Leavings  string `koanf:"leavings"`  // Defaults to every 5 minutes.
}

// RebalanceRule bounds moves; see policy.MoveRule.
type RebalanceRule struct {
	Threshold float64 `koanf:"threshold"`    // savings share ÷ disrupted share. Defaults to 0.5.
	MinGain   float64 `koanf:"min_gain_usd"` // over the horizon. Defaults to 1.
	MinShare  float64 `koanf:"min_share"`    // of the cost. Defaults to 0.05.
}

// DefaultConfig is a server in rehearsal on loopback.
func DefaultConfig() Config {
	return Config{
		Listen: DefaultListen, DataDir: DefaultDataDir(), NodeModules: nodeModules(), MaxMachines: 16,
		Horizon: 24 * time.Hour, PlanTime: 10 * time.Second, SolverMemoryMiB: 1024, LogLevel: "info",
		KeepLogs: 30 * 24 * time.Hour, KeepPlans: 90 * 24 * time.Hour, KeepPrices: 400 * 24 * time.Hour,
		Sweeps: Schedules{
			Collect: "0 * * * * *", Plan: "*/5 * * * * *", Reconcile: "*/5 * * * * *", Charge: "*/15 * * * * *", Rebalance: "0 */15 * * * *", Prune: "0 17 3 * * *", Hazard: "0 27 * * * *",
			Attend: "*/2 * * * * *", Leavings: "0 1-59/5 * * * *",
		},
		Rebalance: RebalanceRule{Threshold: 0.5, MinGain: 1, MinShare: 0.05},
	}
}

// DefaultDataDir is where a server keeps its data unless it is told otherwise.
func DefaultDataDir() string {
	if os.Geteuid() == 0 {
		return "/var/lib/purser"
	}
	if d := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(d) {
		return filepath.Join(d, "purser")
	}
	home, err := os.UserHomeDir()
	if err != nil || home == "/" {
		return filepath.Join(os.TempDir(), fmt.Sprintf("purser-%d", os.Geteuid()))
	}
	return filepath.Join(home, ".local", "share", "purser")
}

// ConfigFile is where the configuration is looked for when no file is named.
func ConfigFile() string {
	if os.Geteuid() == 0 {
		return "/etc/purser/config.yaml"
	}
	d, err := os.UserConfigDir()
	if err != nil {
		return ""
	}
	return filepath.Join(d, "purser", "config.yaml")
}

// nodeModules finds the npm packages of a checkout from where the program lies.
func nodeModules() string {
	exe, err := os.Executable()
	if err != nil {
		return ""
	}
	for _, dir := range []string{filepath.Dir(exe), filepath.Dir(filepath.Dir(exe)), "/usr/share/purser"} {
		p := filepath.Join(dir, "node_modules")
		if info, err := os.Stat(p); err == nil && info.IsDir() {
			return p
		}
	}
	return ""
}

// LoadConfig reads the configuration: defaults, then the file, then the
// environment, then set, which holds what flags gave. A named file must exist; the
// usual one need not. An unknown key is an error.
func LoadConfig(path string, set map[string]any) (Config, error) {
	c := DefaultConfig()
	named := path != ""
	if !named {
		path = ConfigFile()
	}
	k := koanf.New(".")
	if path != "" {
		err := k.Load(file.Provider(path), yaml.Parser())
		if err != nil && (named || !errors.Is(err, fs.ErrNotExist)) {
			return c, purser.Errorf(purser.KindInvalid, "app.LoadConfig", "the configuration %s cannot be read: %w", path, err)
		}
	}
	for _, section := range []string{"sweeps", "rebalance", "sources", "providers", "spend_limit", "carbon"} {
		if v := k.Get(section); v == nil || reflect.DeepEqual(v, map[string]any{}) {
			k.Delete(section) // a section without settings is none
		}
	}
	if err := checkKeys(k.Keys(), path); err != nil {
		return c, err
	}
	err := k.Load(env.Provider(".", env.Opt{Prefix: "PURSER_", TransformFunc: func(name, value string) (string, any) {
		key := strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(name, "PURSER_")), "__", ".")
		if ok, _ := knownKey(key); value == "" || !ok {
			return "", nil // PURSER_URL and PURSER_TOKEN belong to the CLI
		}
		return key, value
	}}), nil)
	if err != nil {
		return c, purser.Wrap(purser.KindInvalid, "app.LoadConfig", err)
	}
	for key, v := range set {
		if err := k.Set(key, v); err != nil {
			return c, purser.Wrap(purser.KindInvalid, "app.LoadConfig", err)
		}
	}
	if err := k.Unmarshal("", &c); err != nil {
		return c, purser.Errorf(purser.KindInvalid, "app.LoadConfig", "a setting in %s, a PURSER_ variable or a flag cannot be read: %w", path, err)
	}
	c.PublicURL = strings.TrimRight(c.PublicURL, "/")
	return c, c.check()
}

// keys are the names that a configuration may hold.
func keys() []string {
	return append(providerKeys(),
		"listen", "public_url", "data_dir", "database_url", "postgres_bin", "node_modules", "limits_file", "max_machines", "agent_programs", "horizon",
		"plan_time", "solver_memory_mib", "log_level", "sweeps.collect", "sweeps.plan", "sweeps.reconcile", "sweeps.charge", "sweeps.rebalance", "sweeps.prune", "sweeps.hazard", "sweeps.attend", "sweeps.leavings",
		"spend_limit.usd_per_hour", "spend_limit.usd_per_month",
		"keep_logs", "keep_plans", "keep_prices", "carbon.usd_per_tonne", "carbon.grid",
		"rebalance.threshold", "rebalance.min_gain_usd", "rebalance.min_share",
		"sources.NAME.schedule", "sources.NAME.max_age", "sources.NAME.regions", "sources.NAME.key", "sources.NAME.project", "sources.NAME.url", "sources.NAME.file",
	)
}

// knownKey says whether a configuration may hold a key, and why not.
func knownKey(key string) (ok bool, why string) {
	if slices.Contains(keys(), key) && !strings.Contains(key, "NAME") {
		return true, ""
	}
	if strings.HasPrefix(key, "carbon.grid.") {
		return true, ""
	}
	if rest, ok := strings.CutPrefix(key, "providers."); ok {
		return knownProviderKey(rest)
	}
	rest, isSource := strings.CutPrefix(key, "sources.")
	if !isSource {
		return false, "the settings are: " + strings.Join(keys(), ", ")
	}
	name, field, whole := strings.Cut(rest, ".")
	switch {
	case !slices.Contains(sourceNames(), name):
		return false, "the sources are: " + strings.Join(sourceNames(), ", ")
	case whole && !slices.Contains(keys(), "sources.NAME."+field):
		return false, "a source has: schedule, max_age, regions, key, project, url, file"
	}
	return true, "" // a name alone has it collected
}

func checkKeys(have []string, path string) error {
	for _, k := range have {
		if ok, why := knownKey(k); !ok {
			return &purser.Error{
				Kind: purser.KindInvalid, Op: "app.LoadConfig", Message: fmt.Sprintf("there is no setting %q", k),
				Hint: why, Place: &purser.Place{File: path, Path: k},
			}
		}
	}
	return nil
}

// scheduleParser reads six fields, seconds first, and @every.
func scheduleParser() cron.Parser {
	return cron.NewParser(cron.Second | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor)
}

func (c Config) check() error {
	bad := func(key, message string) error {
		return &purser.Error{Kind: purser.KindInvalid, Op: "app.LoadConfig", Message: message, Place: &purser.Place{Path: key}}
	}
	for key, expr := range map[string]string{
		"sweeps.collect": c.Sweeps.Collect, "sweeps.plan": c.Sweeps.Plan, "sweeps.reconcile": c.Sweeps.Reconcile,
		"sweeps.charge": c.Sweeps.Charge, "sweeps.rebalance": c.Sweeps.Rebalance, "sweeps.prune": c.Sweeps.Prune,
		"sweeps.hazard": c.Sweeps.Hazard, "sweeps.attend": c.Sweeps.Attend, "sweeps.leavings": c.Sweeps.Leavings,
	} {
		if _, err := scheduleParser().Parse(expr); err != nil {
			return bad(key, fmt.Sprintf("%q is not a cron expression of six fields (seconds first): %v", expr, err))
		}
	}
	if err := c.checkAddresses(bad); err != nil {
		return err
	}
	if err := c.checkSources(bad); err != nil {
		return err
	}
	if err := c.checkProviders(bad); err != nil {
		return err
	}
	if err := c.Carbon.check(bad); err != nil {
		return err
	}
	r := c.Rebalance
	switch {
	case c.MaxMachines < 1 || c.MaxMachines > 1000:
		return bad("max_machines", "the machines that can be stood in for lie between 1 and 1000")
	case c.Horizon < time.Minute || c.Horizon > 366*24*time.Hour:
		return bad("horizon", "a horizon lies between a minute and a year")
	case c.PlanTime < 50*time.Millisecond || c.PlanTime > time.Hour:
		return bad("plan_time", "the time for a plan lies between 50ms and 1h")
	case c.SolverMemoryMiB < 64 || c.SolverMemoryMiB > 2048:
		return bad("solver_memory_mib", "a solver's memory lies between 64 and 2048 MiB")
	case c.KeepPrices < 62*24*time.Hour:
		return bad("keep_prices", "changes of prices are kept for two months (1488h) at least")
	case c.KeepLogs < time.Hour || c.KeepPlans < time.Hour:
		return bad("keep_logs", "logs and plans are kept for an hour at least")
	case !slices.Contains([]string{"debug", "info", "warn", "error"}, c.LogLevel):
		return bad("log_level", "a log level is debug, info, warn or error")
	case !filepath.IsAbs(c.DataDir):
		return bad("data_dir", "the data folder must be an absolute path")
	case c.AgentPrograms != "" && !filepath.IsAbs(c.AgentPrograms):
		return bad("agent_programs", "the folder of the agent's programs must be an absolute path")
	case !within(r.Threshold, 1e6) || !within(r.MinGain, 1e9) || !within(r.MinShare, 1):
		return bad("rebalance", "the rule's figures must not be negative; a threshold is at most a million, a gain a billion, a share 1")
	}
	return nil
}

func (c Config) checkSources(bad func(key, message string) error) error {
	for name, s := range c.Sources {
		if s.Schedule != "" && s.Schedule != scheduleOff {
			if _, err := scheduleParser().Parse(s.Schedule); err != nil {
				return bad("sources."+name+".schedule", fmt.Sprintf("%q is neither a cron expression of six fields (seconds first) nor off: %v", s.Schedule, err))
			}
		}
		if s.MaxAge < 0 {
			return bad("sources."+name+".max_age", "an age is not negative")
		}
		if u, err := url.Parse(s.URL); s.URL != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
			return bad("sources."+name+".url", fmt.Sprintf("%q is not an address that begins with http:// or https://", s.URL))
		}
	}
	return nil
}

// within is false for what is no number, too.
func within(v, most float64) bool { return v >= 0 && v <= most }

func (c Config) checkAddresses(bad func(key, message string) error) error {
	if _, port, err := net.SplitHostPort(c.Listen); err != nil {
		return bad("listen", fmt.Sprintf("%q is not an address with a port, such as %s", c.Listen, DefaultListen))
	} else if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return bad("listen", fmt.Sprintf("%q is not a port; ports lie between 0 and 65535", port))
	}
	if c.PublicURL == "" {
		return nil
	}
	u, err := url.Parse(c.PublicURL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
		return bad("public_url", "a public URL is http:// or https:// and a host, without a path")
	}
	return nil
}

// Platform says what the program runs on, for doctor.
func Platform() string { return runtime.GOOS + "/" + runtime.GOARCH }
