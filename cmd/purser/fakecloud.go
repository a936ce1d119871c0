package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"purser"
	"purser/providers/fake"
)

// fakecloud is what the verb's flags say.
type fakecloud struct {
	listen, state, offers, trace, agents, output string
	maxAgents                                    int
	traceSpeed                                   float64
	latency, jitter                              time.Duration
	throttle, lose                               float64
	config                                       fake.Config
}

// builtIn is the name of the market that comes along.
const builtIn = "built-in"

func newFakecloud() *cobra.Command {
	f := &fakecloud{}
	c := &cobra.Command{
		Use: "fakecloud", Short: "Run a made-up cloud with a market, for tests and demonstrations", Args: cobra.NoArgs,
		Long: "Run a cloud that is made up: it takes launches over HTTP, and has prices, capacity that ends and\n" +
			"preemptions. Its machines are lines in its books; with --agents each has an agent process on this\n" +
			"host, so that commands really run. The cloud is a process of its own and outlives whatever else\n" +
			"is killed; with --state it forgets nothing when it is killed itself. It prints where it listens,\n" +
			"and then a line for everything that happens, until Ctrl-C, which leaves machines as they are.\n\n" +
			"It asks nobody who they are, and listens on loopback alone.",
	}
	f.output = "table"
	flags := c.Flags()
	flags.StringVarP(&f.output, "output", "o", "table", "table or json (one object a line)")
	flags.StringVar(&f.listen, "listen", "127.0.0.1:7070", "loopback address to listen on; port 0 takes a free one")
	flags.StringVar(&f.state, "state", "", "file that keeps the cloud's state over restarts (default: memory alone)")
	flags.StringVar(&f.agents, "agents", "", "folder for the agents of the machines, which are started on this host then (default: no agents)")
	flags.IntVar(&f.maxAgents, "max-agents", 32, "agents at once; a machine beyond them ends as it boots")
	flags.StringVar(&f.offers, "offers", builtIn, "file with the market in JSON: offers, capacity, quotas, hazards, reserved; or "+builtIn)
	flags.StringVar(&f.trace, "trace", "", "file with a recorded market in CSV: seconds,zone,instance_type,available,preempted")
	flags.Float64Var(&f.traceSpeed, "trace-speed", 1, "how many times as fast as it was recorded the trace goes by")
	flags.StringVar(&f.config.Name, "name", fake.Name, "the cloud's name, as offers and leases have it")
	flags.Uint64Var(&f.config.Seed, "seed", 1, "of all that is drawn by lot; the same seed is the same market")
	flags.DurationVar(&f.latency, "latency", 0, "what each call takes")
	flags.DurationVar(&f.jitter, "jitter", 0, "what it takes more, at most")
	flags.DurationVar(&f.config.Lag, "lag", 0, "how late descriptions and lists are")
	flags.DurationVar(&f.config.BootTime, "boot", 2*time.Second, "time from a launch to a running machine")
	flags.DurationVar(&f.config.StopTime, "stop", 2*time.Second, "time that a machine takes to be gone once its end was asked for")
	flags.DurationVar(&f.config.Remember, "remember", 24*time.Hour, "how long machines that are gone stay known")
	flags.DurationVar(&f.config.Spot.Notice, "notice", 30*time.Second, "time from the notice of a preemption to the end")
	flags.BoolVar(&f.config.Spot.Quiet, "quiet", false, "machines under notice show as running; only the notice tells")
	flags.Float64Var(&f.config.Spot.Swing, "swing", 0.05, "how much spot prices move in a step: the standard deviation of its logarithm")
	flags.DurationVar(&f.config.Spot.PriceEvery, "price-every", time.Hour, "time between steps of spot prices")
	flags.Float64Var(&f.throttle, "throttle", 0, "calls per second of each name that are answered; 0: all")
	flags.Float64Var(&f.lose, "lose", 0, "share of calls that are lost, half of them before and half after they took effect")
	flags.Float64Var(&f.config.Calls.Duplicates, "duplicates", 0, "share of notices that come twice")
	c.RunE = func(c *cobra.Command, _ []string) error { return f.run(c) }
	return c
}

func (f *fakecloud) run(c *cobra.Command) error {
	if err := f.check(); err != nil {
		return usageError{err}
	}
	if err := f.read(); err != nil {
		return err
	}
	says := &fakecloudLines{w: cleanWriter{c.OutOrStdout()}, json: f.output == "json"}
	f.config.Log = says.event
	// Whoever reads the lines may be killed; the cloud is not to go with them.
	signal.Ignore(syscall.SIGPIPE)
	defer signal.Reset(syscall.SIGPIPE)
	cloud, unlock, err := f.open()
	if err != nil {
		return err
	}
	defer unlock()
	var listen net.ListenConfig
	l, err := listen.Listen(c.Context(), "tcp", f.listen)
	if err != nil {
		return purser.Errorf(purser.KindUnavailable, "fakecloud", "the cloud cannot listen on %s (name another with --listen): %w", f.listen, err)
	}
	says.listening("http://"+l.Addr().String(), cloud)
	return serveCloud(c.Context(), cloud, l)
}

func (f *fakecloud) check() error {
	share := func(x float64) bool { return x >= 0 && x <= 1 }
	switch host, _, err := net.SplitHostPort(f.listen); {
	case f.output != "table" && f.output != "json":
		return fmt.Errorf("-o takes table or json, not %q", f.output)
	case err != nil:
		return fmt.Errorf("--listen takes ADDRESS:PORT, not %q", f.listen)
	case host != "localhost" && !net.ParseIP(host).IsLoopback():
		return fmt.Errorf("--listen: %q is not on loopback, and this cloud asks nobody who they are", host)
	case f.config.Name == "":
		return errors.New("--name: a cloud has one")
	case f.maxAgents < 1:
		return errors.New("--max-agents is at least 1")
	case f.agents != "" && f.state == "":
		return errors.New("--agents needs --state: agents outlive the cloud, and one that forgot them would never end them")
	case !share(f.lose) || !share(f.config.Calls.Duplicates):
		return errors.New("--lose and --duplicates are shares from 0 to 1")
	case !(f.traceSpeed > 0) || !(f.throttle >= 0) || !(f.config.Spot.Swing >= 0 && f.config.Spot.Swing <= 1):
		return errors.New("--trace-speed is above 0, --throttle is not below it, --swing is from 0 to 1")
	case min(f.latency, f.jitter, f.config.Lag, f.config.BootTime, f.config.StopTime, f.config.Remember, f.config.Spot.Notice) < 0 || f.config.Spot.PriceEvery < time.Second:
		return errors.New("no time is below 0, and --price-every is at least 1s")
	}
	return nil
}

// read fills the cloud's settings from flags and files.
func (f *fakecloud) read() error {
	market := fake.BuiltIn(f.config.Name)
	if f.offers != builtIn {
		file, err := os.Open(f.offers)
		if err != nil {
			return purser.Wrap(purser.KindInvalid, "fakecloud", err)
		}
		defer func() { _ = file.Close() }() // only read
		if market, err = fake.ReadMarket(file, f.offers, f.config.Name); err != nil {
			return err
		}
	}
	market.Into(&f.config)
	if f.trace != "" {
		file, err := os.Open(f.trace)
		if err != nil {
			return purser.Wrap(purser.KindInvalid, "fakecloud", err)
		}
		defer func() { _ = file.Close() }() // only read
		if f.config.Spot.Trace, err = fake.ReadTrace(file, f.trace); err != nil {
			return err
		}
		for i := range f.config.Spot.Trace {
			row := &f.config.Spot.Trace[i]
			row.At = time.Duration(float64(row.At) / f.traceSpeed)
		}
	}
	if f.agents != "" {
		hardware, err := newAgents(f.agents, f.maxAgents, max(f.config.StopTime, time.Second))
		if err != nil {
			return err
		}
		f.config.Hardware = hardware
	}
	f.config.Calls.Latency = map[string]fake.Latency{"": {Fixed: f.latency, Jitter: f.jitter}}
	f.config.Calls.LoseBefore, f.config.Calls.LoseAfter = f.lose/2, f.lose/2
	if f.throttle > 0 {
		f.config.Calls.Limits = map[string]fake.Limit{"": {PerSecond: f.throttle, Burst: int(f.throttle)}}
	}
	return nil
}

// open opens the cloud's state, which one process at a time may have.
func (f *fakecloud) open() (*fake.Cloud, func(), error) {
	if f.state == "" {
		return fake.New(f.config), func() {}, nil
	}
	if err := os.MkdirAll(filepath.Dir(f.state), 0o700); err != nil {
		return nil, nil, purser.Wrap(purser.KindInvalid, "fakecloud", err)
	}
	lock, err := os.OpenFile(f.state+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, nil, purser.Wrap(purser.KindInvalid, "fakecloud", err)
	}
	unlock := func() { _ = lock.Close() } // the lock goes with the file, or with the process
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		unlock()
		return nil, nil, purser.Errorf(purser.KindConflict, "fakecloud", "another process has the state %s open: %w", f.state, err)
	}
	cloud, err := fake.Open(f.config, f.state)
	if err != nil {
		unlock()
		return nil, nil, err
	}
	return cloud, unlock, nil
}

// tickEvery is how often the cloud does what is due when nobody calls it.
const tickEvery = 200 * time.Millisecond

// serveCloud serves until ctx ends. Calls that are under way are cut off then: to their
// callers it is as if the cloud had been killed, and they ask again.
func serveCloud(ctx context.Context, cloud *fake.Cloud, l net.Listener) error {
	s := &http.Server{
		Handler: fake.Handler(cloud), BaseContext: func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, IdleTimeout: 2 * time.Minute,
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	var err error
	for err == nil && ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
			err = cloud.Tick()
		case err = <-ended:
			return err
		}
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if s.Shutdown(stop) != nil {
		_ = s.Close() // whoever still reads has had their time
	}
	if served := <-ended; err == nil && !errors.Is(served, http.ErrServerClosed) {
		err = served
	}
	return err
}

// fakecloudLines shows what happens, a line each.
type fakecloudLines struct {
	w    io.Writer
	json bool
}

func (l *fakecloudLines) listening(url string, cloud *fake.Cloud) {
	known := cloud.Known()
	if l.json {
		l.object(map[string]any{"listening": url, "machines": known})
		return
	}
	_, _ = fmt.Fprintf(l.w, "The cloud listens on %s and knows %d machines\n", url, known)
}

// event is called with the cloud's lock held: it writes, and does nothing else.
func (l *fakecloudLines) event(e fake.Event) {
	if l.json {
		l.object(e)
		return
	}
	line := fmt.Sprintf("%s %-8s", e.At.Local().Format(time.TimeOnly), e.Kind)
	for _, part := range []string{e.Machine, string(e.Lease), string(e.Offer), e.Detail} {
		if part != "" {
			line += " " + part
		}
	}
	_, _ = fmt.Fprintln(l.w, line)
}

func (l *fakecloudLines) object(v any) {
	b, err := json.Marshal(v)
	if err == nil {
		_, _ = fmt.Fprintf(l.w, "%s\n", b)
	}
}
