package app

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"purser"
	"purser/api"
	"purser/jobfile"
	"purser/pricing/csvfile"
)

// startable is an App as serve makes it, on a database of the test.
func startable(t *testing.T, dsn string, change func(*Config)) *App {
	t.Helper()
	c := DefaultConfig()
	c.Listen, c.DataDir, c.DatabaseURL = "127.0.0.1:0", t.TempDir(), dsn
	cache := filepath.Join(c.DataDir, "cache")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(compiled, filepath.Join(cache, "solver")); err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(&c)
	}
	a := New(c, Options{Version: "test", Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})), Agent: "/bin/false"})
	a.lockDir = compiled
	return a
}

func silent(string) {}

// settled waits until no more goroutines run than before.
func settled(t *testing.T, before int) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for tick := time.NewTicker(20 * time.Millisecond); ; <-tick.C {
		http.DefaultTransport.(*http.Transport).CloseIdleConnections() //nolint:forcetypeassert // it is one
		if runtime.NumGoroutine() <= before {
			tick.Stop()
			return
		}
		if time.Now().After(deadline) {
			b := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, b[:runtime.Stack(b, true)])
		}
	}
}

// A start answers, a stop ends all of it: the streams, the calls, every goroutine.
func TestStartAndStop(t *testing.T) {
	dsn := database1(t)
	before := runtime.NumGoroutine()
	a := startable(t, dsn, nil)
	if err := a.Start(t.Context(), silent); err != nil {
		t.Fatal(err)
	}
	cred, fresh := a.Credentials()
	if !fresh || cred.URL != a.URL() {
		t.Errorf("%+v, %t", cred, fresh)
	}
	client := api.NewClient(a.URL(), cred.Token)
	if h, err := client.Health(t.Context()); err != nil || h.Status != "ok" || !h.Rehearsal {
		t.Errorf("%+v, %v", h, err)
	}
	if offers, err := client.Prices(t.Context(), nil); err != nil || len(offers.Offers) < 50 {
		t.Errorf("%d offers, %v", len(offers.Offers), err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.URL()+"/v1/events/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+cred.Token)
	stream, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stream.Body.Close() }()
	began := time.Now()
	var stops sync.WaitGroup
	for range 2 {
		stops.Go(func() {
			if err := a.Stop(context.Background(), silent); err != nil {
				t.Errorf("stop: %v", err)
			}
		})
	}
	stops.Wait()
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the stop took %s", took)
	}
	if _, err := io.ReadAll(stream.Body); err != nil {
		t.Errorf("the stream broke: %v", err)
	}
	if _, err := api.NewClient(a.URL(), "").Health(t.Context()); err == nil {
		t.Error("it answers after its stop")
	}
	settled(t, before)
}

// A start that fails leaves nothing running.
func TestStartThatFails(t *testing.T) {
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	dsn := database1(t)
	for name, c := range map[string]struct {
		ended  bool // the context of the start
		change func(*Config)
		kind   purser.Kind
		says   string
	}{
		"the port is taken":     {false, func(c *Config) { c.Listen = taken.Addr().String() }, purser.KindUnavailable, "--listen"},
		"no such address":       {false, func(c *Config) { c.Listen = "192.0.2.1:80" }, purser.KindUnavailable, "192.0.2.1:80"},
		"no database":           {false, func(c *Config) { c.DatabaseURL = "postgres://u:swordfish@127.0.0.1:1/x" }, purser.KindUnavailable, ""},
		"no URL of a database":  {false, func(c *Config) { c.DatabaseURL = "postgres://u:swordfish@[" }, "", ""},
		"no limits":             {false, func(c *Config) { c.LimitsFile = "/nowhere/limits.yaml" }, purser.KindInvalid, "/nowhere/limits.yaml"},
		"interrupted":           {true, nil, "", ""},
		"no folder can be made": {false, func(c *Config) { c.DataDir = "/proc/none" }, purser.KindForbidden, "--data-dir"},
	} {
		t.Run(name, func(t *testing.T) {
			before := runtime.NumGoroutine()
			a := startable(t, dsn, c.change)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if c.ended {
				cancel()
			}
			err := a.Start(ctx, silent)
			if err == nil || (c.kind != "" && purser.KindOf(err) != c.kind) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v; want %s saying %q", err, c.kind, c.says)
			}
			if err != nil && strings.Contains(err.Error(), "swordfish") {
				t.Errorf("the password is told: %v", err)
			}
			settled(t, before)
		})
	}
}

// Servers of one host that share a database but no folder would both start a lease's
// machine: the second is refused, and may start when the first has ended.
func TestTwoFoldersOnOneHost(t *testing.T) {
	dsn := database1(t)
	first := startable(t, dsn, nil)
	if err := first.Start(t.Context(), silent); err != nil {
		t.Fatal(err)
	}
	second := startable(t, dsn, nil)
	if err := second.Start(t.Context(), silent); purser.KindOf(err) != purser.KindConflict || !strings.Contains(err.Error(), first.config.DataDir) {
		t.Errorf("%v", err)
	}
	shared := startable(t, dsn, func(c *Config) { c.DataDir = first.config.DataDir })
	if err := shared.Start(t.Context(), silent); err != nil {
		t.Errorf("with the same folder: %v", err)
	}
	for _, a := range []*App{shared, first} {
		if err := a.Stop(context.Background(), silent); err != nil {
			t.Error(err)
		}
	}
	third := startable(t, dsn, nil)
	if err := third.Start(t.Context(), silent); err != nil {
		t.Fatal(err)
	}
	if err := third.Stop(context.Background(), silent); err != nil {
		t.Error(err)
	}
}

const catalogue = `InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,Price,SpotPrice,Region,AvailabilityZone
one.T4,T4,1,8,32,0.60,0.20,us-east-1,us-east-1a
four.T4,T4,4,32,128,1.80,0.60,us-east-1,us-east-1a
odd.T4,T4,1,8,32,0,0,us-east-1,us-east-1b
`

func TestPlanFiles(t *testing.T) {
	jobs := func() []purser.Job {
		list, err := jobfile.Parse("jobs.yaml", []byte("jobs: [{name: a, train: {replicas: 4, accelerators: T4:1, cpus: 1, run_time: 10h, command: x}}]"), jobfile.Options{Now: noon})
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	asOf := time.Date(2024, 2, 21, 0, 0, 0, 0, time.UTC)
	request := func(prices ...PriceList) PlanRequest {
		return PlanRequest{Jobs: jobs(), Prices: prices, Horizon: 24 * time.Hour, Time: 20 * time.Second, Now: noon, CacheDir: compiled}
	}
	path := written(t, "aws.csv", catalogue)
	var steps []string
	r := request(PriceList{Path: path, AsOf: asOf})
	r.Progress = func(s string) { steps = append(steps, s) }
	got, err := PlanFiles(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if got.Offers != 4 || len(got.Quarantined) == 0 || len(steps) < 3 {
		t.Errorf("%d offers, %d in quarantine, steps %q", got.Offers, len(got.Quarantined), steps)
	}
	if len(got.Plan.Leases) != 1 || got.Plan.Leases[0].Offer.InstanceType != "four.T4" || got.Plan.UnitPrice <= 0 || got.Plan.BaselinePrice != 4*purser.USDPerHourOf(0.6) {
		t.Errorf("plan: %+v", got.Plan)
	}
	bundle, err := PlanFiles(t.Context(), request())
	if err != nil || len(bundle.Plan.Leases) == 0 || bundle.Plan.Gap < 0 || bundle.Plan.Bound > bundle.Plan.Objective || len(bundle.Quarantined) != 0 {
		t.Errorf("bundled: %+v, %v", bundle.Plan, err)
	}
	r = request(PriceList{Path: path, AsOf: asOf})
	r.Limits.Private = []purser.Offer{{
		Provider: "private", Region: "here", InstanceType: "own", Option: purser.Private, Limit: 1, Source: "private",
		Shape: purser.Shape{Accelerator: "T4", Devices: 4000, DeviceMemoryMiB: 16 << 10, MilliCPU: 32_000, MemoryMiB: 128 << 10},
	}}
	own, err := PlanFiles(t.Context(), r)
	if err != nil || len(own.Plan.Leases) != 1 || own.Plan.Leases[0].Offer.InstanceType != "own" || own.Plan.UnitPrice != 0 {
		t.Errorf("with a host of one's own: %+v, %v", own.Plan, err)
	}
	if _, err := PlanFiles(t.Context(), request(PriceList{Path: "/nowhere/aws.csv", AsOf: asOf})); err == nil || !strings.Contains(err.Error(), "/nowhere/aws.csv") {
		t.Errorf("a missing list: %v", err)
	}
	if _, err := PlanFiles(t.Context(), request(PriceList{Path: written(t, "aws.csv", "a,b\n1,2\n"), AsOf: asOf})); purser.KindOf(err) != purser.KindInvalid {
		t.Errorf("no catalogue: %v", err)
	}
	if _, err := csvfile.New(csvfile.Options{Path: written(t, "prices.csv", catalogue), AsOf: asOf}); err == nil {
		t.Error("a list of no provider")
	}
}
