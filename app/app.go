package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"purser"
	"purser/fleet"
	"purser/jobfile"
	"purser/optimizer/highs"
	"purser/postgres"
	"purser/providers"
	"purser/server"
	"purser/web"
)

// Options are what the program knows and no configuration says.
type Options struct {
	Version string
	Logger  *slog.Logger
	Now     func() time.Time // Defaults to time.Now in UTC.
	// Agent is the program that local machines run as their agent. Defaults to this program.
	Agent string
	// Host is this host's name among those that share a database. Defaults to the system's.
	Host string
}

// App is one running server with everything in it.
type App struct {
	config  Config
	options Options
	log     *slog.Logger
	now     func() time.Time

	host         string
	replica      string // id of this server process
	url          string
	installation string
	secret       []byte
	credentials  Credentials
	freshToken   bool
	rehearsal    bool
	limits       jobfile.Limits

	private    *privateDatabase
	db         *postgres.DB
	solver     *highs.Runtime
	providers  map[string]providers.Provider
	programs   map[string]program // of agents, by architecture
	market     market             // what clouds say of our account
	attended   attendance         // machines whose provider runs tasks itself
	fleet      *fleet.Fleet
	sources    []source
	server     *server.Server
	registry   *prometheus.Registry
	metrics    *appMetrics
	changes    *changes
	sweeps     *sweeps
	last       lastPlan
	names      jobNames
	charging   sync.Mutex
	collecting chan struct{} // holds a value for each source that is being collected here
	lockDir    string        // where servers of this host see each other
	asked      chan struct{} // holds a value while a plan is made that somebody waits for
	ready      atomic.Bool
	fleetUp    atomic.Bool   // fleet is set; calls are answered before it is
	imports    atomic.Uint64 // price lists that users brought

	background sync.WaitGroup
	stopWork   context.CancelFunc
	undo       []func(context.Context) error // what Stop does, last first
	failed     chan error
	stopOnce   sync.Once
	stopErr    error
}

// New makes an App; Start starts it.
func New(config Config, options Options) *App {
	if options.Now == nil {
		options.Now = func() time.Time { return time.Now().UTC() }
	}
	registry := prometheus.NewRegistry()
	return &App{
		config: config, options: options, log: options.Logger, now: options.Now, rehearsal: len(config.Providers) == 0,
		registry: registry, metrics: newAppMetrics(registry), failed: make(chan error, 8), changes: newChanges(),
		asked: make(chan struct{}, 1), lockDir: os.TempDir(), sources: sources(), collecting: make(chan struct{}, collectAtOnce),
	}
}

// URL is where the server answers, known after Start.
func (a *App) URL() string { return a.url }

// Credentials are what the CLI of this host uses, known after Start. fresh says
// that the token was made by this start.
func (a *App) Credentials() (c Credentials, fresh bool) { return a.credentials, a.freshToken }

// Rehearsal says that no cloud is enabled: machines are stood in for, and money is
// what it would have cost.
func (a *App) Rehearsal() bool { return a.rehearsal }

// Failed delivers why the server cannot go on, such as a database that died.
func (a *App) Failed() <-chan error { return a.failed }

// Start brings everything up. progress is told each step before it is taken; what
// was started is undone when a later step fails.
func (a *App) Start(ctx context.Context, progress func(string)) (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, a.abort())
		}
	}()
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	a.stopWork = stop
	steps := []struct {
		say string
		do  func(context.Context) error
	}{
		{"", a.startFolders},
		{"starting the database", a.startDatabase},
		{"bringing the schema up", a.startStore},
		{"", a.hostLock},
		{"loading the solver", a.startSolver},
		{"", a.startLimits},
		{"", a.startPrograms},
		{"", a.listen},
		{"", a.startProviders},
		{"", func(context.Context) error { a.fleetUp.Store(true); return nil }},
		{"", func(context.Context) error { return a.startRiver(work) }},
		{"collecting prices", a.firstPrices},
		{"", func(context.Context) error { return a.startSweeps(work) }},
	}
	for _, s := range steps {
		if s.say != "" {
			progress(s.say)
		}
		if err := s.do(ctx); err != nil {
			return err
		}
	}
	a.ready.Store(true)
	a.log.Info("server is up", slog.String("url", a.url), slog.Bool("rehearsal", a.rehearsal), slog.String("server_id", a.replica))
	return nil
}

// fail reports a failure that ends the server; it never blocks.
func (a *App) fail(err error) {
	select {
	case a.failed <- err:
	default:
	}
}

func (a *App) startStore(ctx context.Context) error {
	applied, err := postgres.Migrate(ctx, a.config.DatabaseURL)
	if err != nil {
		return err
	}
	if applied > 0 {
		a.log.Info("schema brought up", slog.Int("migrations", applied))
	}
	db, err := postgres.Open(ctx, a.config.DatabaseURL, postgres.Options{Logger: a.log, Now: a.now})
	if err != nil {
		return err
	}
	a.db = db
	a.undo = append(a.undo, func(context.Context) error { db.Close(); return nil })
	a.installation, a.secret, err = db.Installation(ctx)
	return err
}

func (a *App) startSolver(ctx context.Context) error {
	rt, err := highs.New(ctx, highs.Config{CacheDir: filepath.Join(a.cacheDir(), "solver"), MemoryLimitMiB: a.config.SolverMemoryMiB, Logger: a.log})
	if err != nil {
		return purser.Wrap(purser.KindUnavailable, "app.Start", err)
	}
	a.solver = rt
	a.undo = append(a.undo, rt.Close)
	return nil
}

func (a *App) startLimits(context.Context) error {
	limits, err := readLimits(a.config.LimitsFile)
	a.limits = limits
	return err
}

// callTime is how long calls under way may take to end when the server stops.
const callTime = 10 * time.Second

// listen opens the port first, since agents are told it, and serves at once:
// health answers while the rest comes up.
func (a *App) listen(ctx context.Context) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", a.config.Listen)
	if err != nil {
		return &purser.Error{
			Kind: purser.KindUnavailable, Op: "app.Start", Message: fmt.Sprintf("%s cannot be listened on", a.config.Listen),
			Hint: "is another server running? name another address with --listen", Cause: err,
		}
	}
	a.url = a.config.PublicURL
	if a.url == "" {
		a.url = "http://" + Dialable(l.Addr().String())
	}
	if err := a.ensureToken(ctx); err != nil {
		return errors.Join(err, l.Close())
	}
	if tcp, ok := l.Addr().(*net.TCPAddr); ok && !tcp.IP.IsLoopback() && !strings.HasPrefix(a.url, "https://") {
		a.log.Warn("tokens cross the network in clear", slog.String("address", l.Addr().String()), slog.String("hint", "put TLS in front and set public_url to its https address"))
	}
	files, ok := web.Files()
	if !ok {
		files = nil
	}
	a.server = server.New(server.Config{
		Version: a.options.Version, TLS: strings.HasPrefix(a.url, "https://"), Web: files, Registry: a.registry, Logger: a.log,
	}, a.parts())
	a.background.Go(func() {
		if err := a.server.Serve(l); err != nil {
			a.fail(err)
		}
	})
	a.undo = append(a.undo, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, callTime)
		defer cancel()
		err := a.server.Shutdown(ctx)
		a.background.Wait()
		return err
	})
	return nil
}

// Dialable is an address that a client on this host can use.
func Dialable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// parts hands every operation of the API its implementation.
func (a *App) parts() server.Parts {
	return server.Parts{
		Health: healthPart{a}, Access: accessPart{a}, Jobs: jobsPart{a}, Logs: logsPart{a}, Plans: plansPart{a}, Prices: pricesPart{a}, Feeds: feedsPart{a}, Reviews: feedsPart{a},
		Leases: leasesPart{a}, Providers: providersPart{a}, Money: moneyPart{a}, Tokens: tokensPart{a}, Events: eventsPart{a}, Agents: agentsPart{a}, Programs: programsPart{a},
	}
}
