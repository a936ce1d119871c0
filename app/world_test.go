package app

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"purser"
	"purser/api"
	"purser/fleet"
	"purser/internal/pgtest"
	"purser/jobfile"
	"purser/optimizer/highs"
	"purser/postgres"
	"purser/pricing"
	"purser/providers"
	"purser/providers/fake"
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "purser-app-") // it outlives the tests
	if err != nil {
		panic(err)
	}
	compiled = dir
	code := pgtest.Main(m)
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// compiled is where the solver is kept once it is compiled, which takes seconds.
var compiled string

// hand is a clock that goes on by a millisecond whenever it is read, and by more when
// it is told to.
type hand struct{ ns atomic.Int64 }

func (c *hand) now() time.Time       { return noon.Add(time.Duration(c.ns.Add(int64(time.Millisecond)))) }
func (c *hand) pass(d time.Duration) { c.ns.Add(int64(d)) }

// feed is a price list that the test changes.
type feed struct {
	mu     sync.Mutex
	offers []purser.Offer
}

func (f *feed) Source() string { return "feed" }

func (f *feed) Collect(_ context.Context, emit func(pricing.Batch) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	b := pricing.Batch{Source: "feed"}
	for i, o := range f.offers {
		b.ObservedAt = o.ObservedAt
		b.Rows = append(b.Rows, pricing.Row{Offer: o, Place: fmt.Sprintf("feed:%d", i+1)})
	}
	return emit(b)
}

// feedOf makes a source of a collector.
func feedOf(name string, c pricing.Collector) source {
	return source{name: name, always: true, schedule: "@every 1h", build: func(context.Context, *App, SourceConfig) (pricing.Collector, error) { return c, nil }}
}

// solver is one for all worlds.
var solver = sync.OnceValues(func() (*highs.Runtime, error) {
	return highs.New(context.Background(), highs.Config{CacheDir: compiled})
})

// world is an App whose sweeps and steps the test takes one by one, with a cloud in
// memory and the agents played by the test.
type world struct {
	*App
	t     *testing.T
	clock *hand
	cloud *fake.Cloud
	feed  *feed
}

func database1(t *testing.T) string {
	t.Helper()
	return pgtest.New(t, pgtest.Template{Name: "schema", Migrate: func(ctx context.Context, dsn string) error {
		_, err := postgres.Migrate(ctx, dsn)
		return err
	}})
}

func newWorld(t *testing.T) *world {
	return newWorldOn(t, database1(t), &hand{}, "here")
}

func newWorldOn(t *testing.T, dsn string, clock *hand, host string) *world {
	t.Helper()
	config := DefaultConfig()
	config.DataDir, config.DatabaseURL, config.PlanTime = t.TempDir(), dsn, 20*time.Second
	a := New(config, Options{Version: "test", Logger: slog.New(slog.NewTextHandler(t.Output(), nil)), Now: clock.now, Host: host})
	w := &world{App: a, t: t, clock: clock, cloud: fake.New(fake.Config{Name: localHolder, Now: clock.now}), feed: &feed{}}
	t.Cleanup(func() {
		if err := a.abort(); err != nil {
			t.Error(err)
		}
	})
	w.must(a.startFolders(t.Context()))
	w.must(a.startStore(t.Context()))
	rt, err := solver()
	w.must(err)
	a.solver, a.url = rt, "http://127.0.0.1:1"
	a.sources = []source{feedOf("feed", w.feed)}
	a.providers = map[string]providers.Provider{localHolder: w.cloud.Provider(a.installation)}
	a.fleet, err = fleet.New(fleet.Config{
		Store: a.db, Upkeep: a.db, Providers: a.providers, Installation: a.installation, Secret: a.secret, Host: host, ServerURL: a.url, Logger: a.log, Now: a.now,
	})
	w.must(err)
	a.fleetUp.Store(true)
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// price sets what the feed says, and collects it.
func (w *world) price(prices map[string]float64) {
	w.t.Helper()
	w.feed.mu.Lock()
	w.feed.offers = nil
	for _, kind := range []string{"a1", "a4", "b1"} {
		p, ok := prices[kind]
		if !ok {
			continue
		}
		o := offer(kind, purser.Spot, p)
		o.ObservedAt, o.ValidFrom, o.Source = w.now(), w.now(), "feed"
		if strings.HasSuffix(kind, "1") {
			o.Devices, o.MilliCPU, o.MemoryMiB = 1000, 8000, 32<<10
		}
		w.feed.offers = append(w.feed.offers, o)
	}
	w.feed.mu.Unlock()
	w.must(w.collect(w.t.Context(), w.sources[0]))
}

func (w *world) submit(text string) {
	w.t.Helper()
	jobs, err := jobfile.Parse("jobs.yaml", []byte(text), jobfile.Options{Now: w.now()})
	w.must(err)
	_, err = jobsPart{w.App}.Submit(w.t.Context(), "tester", jobs)
	w.must(err)
}

const oneJob = `
jobs:
  - name: steady
    train: {replicas: REPLICAS, accelerators: T4:1, cpus: 1, memory: 1GiB, run_time: 20h, checkpoint: {every: 10m}, command: "true"}
`

func (w *world) submitSteady(replicas int) {
	w.t.Helper()
	w.submit(strings.Replace(oneJob, "REPLICAS", itoa(replicas), 1))
}

// leases gives the live ones, the oldest first.
func (w *world) leases() []purser.Lease {
	w.t.Helper()
	leases, err := w.db.LiveLeases(w.t.Context())
	w.must(err)
	return leases
}

func (w *world) lease(id purser.LeaseID) purser.Lease {
	w.t.Helper()
	l, err := w.db.Lease(w.t.Context(), id)
	w.must(err)
	return l
}

// steps takes steps until no lease changes any more.
func (w *world) steps() {
	w.t.Helper()
	for range 5 {
		for _, l := range w.leases() {
			_, err := w.fleet.Step(w.t.Context(), l.ID)
			w.must(err)
		}
	}
}

func secretOf(id purser.LeaseID) string { return fmt.Sprintf("%064x", []byte(id))[:64] }

// join plays the agent of a lease's machine.
func (w *world) join(id purser.LeaseID) {
	w.t.Helper()
	l := w.lease(id)
	_, err := agentsPart{w.App}.Join(w.t.Context(), fleet.JoinToken(w.secret, id, l.Attempt), api.AgentJoin{Lease: id, Secret: secretOf(id)})
	w.must(err)
}

// report reports tasks in a state, and gives the orders.
func (w *world) report(id purser.LeaseID, state purser.TaskState, tasks ...purser.TaskID) api.AgentOrders {
	w.t.Helper()
	r := api.AgentReport{Lease: id}
	for _, task := range tasks {
		x := api.TaskReport{Task: task, State: state, StartedAt: w.now()}
		if state == purser.TaskSucceeded {
			zero := 0
			x.ExitCode, x.Progress, x.EndedAt = &zero, 1, w.now()
		}
		r.Tasks = append(r.Tasks, x)
		r.Logs = append(r.Logs, api.LogLine{Task: task, Seq: w.clock.ns.Load(), At: w.now(), Stream: "stdout", Text: "is " + string(state)})
	}
	orders, err := agentsPart{w.App}.Report(w.t.Context(), secretOf(id), r)
	w.must(err)
	return orders
}

func tasksIn(orders api.AgentOrders) []purser.TaskID {
	var ids []purser.TaskID
	for _, s := range orders.Run {
		ids = append(ids, s.Task.ID)
	}
	return ids
}

// running brings everything that the plan sweep admits to run, and gives what runs
// where.
func (w *world) running() map[purser.LeaseID][]purser.TaskID {
	w.t.Helper()
	w.must(w.plan(w.t.Context()))
	w.steps()
	out := map[purser.LeaseID][]purser.TaskID{}
	for _, l := range w.leases() {
		if l.State == purser.LeaseLaunching {
			w.join(l.ID)
		}
		ids := tasksIn(w.report(l.ID, purser.TaskRunning))
		w.report(l.ID, purser.TaskRunning, ids...)
		out[l.ID] = ids
	}
	return out
}

func (w *world) job() api.Job {
	w.t.Helper()
	j, err := jobsPart{w.App}.Get(w.t.Context(), jobRef("steady"))
	w.must(err)
	return j
}
