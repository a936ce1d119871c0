package notice

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// metadata is a metadata service in memory, on loopback: what stands at a path, with
// the manners of one cloud. Its zero value answers 404 to everything.
type metadata struct {
	mu      sync.Mutex
	cloud   string
	values  map[string]string // by path
	tokens  map[string]bool   // of AWS, that are valid
	minted  int
	changed chan struct{} // closed when a value changes
	calls   []string
	mangle  func(w http.ResponseWriter, r *http.Request) bool // answers in place of the service where true
}

func newMetadata(cloud string) *metadata {
	return &metadata{cloud: cloud, values: map[string]string{}, tokens: map[string]bool{}, changed: make(chan struct{})}
}

func (m *metadata) set(path, value string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.values[path] = value
	close(m.changed)
	m.changed = make(chan struct{})
}

func (m *metadata) do(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f()
}

// called counts the calls of a path, or all of them.
func (m *metadata) called(call string) (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.calls {
		if c == call || call == "" {
			n++
		}
	}
	return n
}

func (m *metadata) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	m.calls = append(m.calls, r.Method+" "+r.URL.Path)
	mangle := m.mangle
	m.mu.Unlock()
	if mangle != nil && mangle(w, r) {
		return
	}
	switch m.cloud {
	case "aws":
		m.aws(w, r)
	case "gcp":
		m.gcp(w, r)
	case "azure":
		m.azure(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (m *metadata) aws(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r.URL.Path == "/latest/api/token" {
		switch {
		case r.Method != http.MethodPut:
			http.Error(w, "method", http.StatusMethodNotAllowed)
		case r.Header.Get("X-aws-ec2-metadata-token-ttl-seconds") != "21600" || r.Header.Get("X-Forwarded-For") != "":
			http.Error(w, "bad", http.StatusBadRequest)
		default:
			m.minted++
			token := fmt.Sprintf("AQAEAToken%04d==", m.minted)
			m.tokens[token] = true
			_, _ = fmt.Fprint(w, token)
		}
		return
	}
	value, there := m.values[r.URL.Path]
	switch {
	case !m.tokens[r.Header.Get("X-aws-ec2-metadata-token")]:
		http.Error(w, "token", http.StatusUnauthorized)
	case !there:
		http.NotFound(w, r)
	default:
		_, _ = fmt.Fprint(w, value)
	}
}

func (m *metadata) gcp(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Metadata-Flavor") != "Google" {
		http.Error(w, "no flavor", http.StatusForbidden)
		return
	}
	w.Header().Set("Metadata-Flavor", "Google")
	if r.URL.Path == "/" {
		_, _ = fmt.Fprint(w, "computeMetadata/\n")
		return
	}
	q := r.URL.Query()
	for {
		m.mu.Lock()
		value, there := m.values[r.URL.Path]
		changed := m.changed
		m.mu.Unlock()
		tag := fmt.Sprintf("tag-%x", value)
		if there && q.Get("wait_for_change") == "true" && q.Get("last_etag") == tag {
			select {
			case <-changed:
				continue
			case <-r.Context().Done():
				return
			}
		}
		if !there {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("ETag", tag)
		_, _ = fmt.Fprint(w, value)
		return
	}
}

func (m *metadata) azure(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	value, there := m.values[r.URL.Path]
	switch {
	case r.Header.Get("Metadata") != "true" || r.URL.Query().Get("api-version") == "":
		http.Error(w, "bad request", http.StatusBadRequest)
	case r.Method != http.MethodGet:
		http.Error(w, "nothing is acknowledged", http.StatusMethodNotAllowed)
	case !there:
		http.NotFound(w, r)
	default:
		_, _ = fmt.Fprint(w, value)
	}
}

// noon is when the tests play.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// quick are waits for tests. Nothing depends on their length.
func quick() pace {
	return pace{
		probe: 5 * time.Second, rounds: []time.Duration{0, time.Millisecond}, call: 5 * time.Second, first: 5 * time.Second, wait: 30 * time.Second,
		aws: time.Millisecond, azure: time.Millisecond, slow: time.Millisecond, gcp: time.Millisecond,
	}
}

// watched is a watch that a test looks at.
type watched struct {
	t       *testing.T
	notices chan Notice
	ended   chan struct{}
	cancel  context.CancelFunc
}

func watch(t *testing.T, m http.Handler, change func(*Config)) *watched {
	t.Helper()
	server := httptest.NewServer(m)
	c := Config{URL: server.URL + "/", Now: func() time.Time { return noon }, pace: quick()}
	if change != nil {
		change(&c)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w := &watched{t: t, notices: make(chan Notice, 100), ended: make(chan struct{}), cancel: cancel}
	go func() {
		defer close(w.ended)
		Watch(ctx, c, func(n Notice) { w.notices <- n })
	}()
	t.Cleanup(func() {
		w.end()
		server.Close()
	})
	return w
}

// end stops the watch and waits for it.
func (w *watched) end() {
	w.t.Helper()
	w.cancel()
	w.over()
}

// over waits for a watch that ends by itself.
func (w *watched) over() {
	w.t.Helper()
	select {
	case <-w.ended:
	case <-time.After(20 * time.Second):
		w.t.Fatal("the watch does not end")
	}
}

func (w *watched) next() Notice {
	w.t.Helper()
	select {
	case n := <-w.notices:
		return n
	case <-w.ended:
		w.t.Fatal("the watch has ended")
	case <-time.After(20 * time.Second):
		w.t.Fatal("no notice came")
	}
	return Notice{}
}

// none ends the watch and sees to it that nothing more was told.
func (w *watched) none() {
	w.t.Helper()
	w.end()
	close(w.notices)
	for n := range w.notices {
		w.t.Errorf("told besides: %+v", n)
	}
}

// until polls with a deadline.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("within 20 s it did not come true that %s", what)
		case <-tick.C:
		}
	}
}

// rounds waits until a path was asked for some times more.
func (m *metadata) rounds(t *testing.T, call string, n int) {
	t.Helper()
	from := m.called(call)
	until(t, call+" is asked for again", func() bool { return m.called(call) >= from+n })
}

func contains(m *metadata, call string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Contains(m.calls, call)
}

// counted is a log whose messages are counted.
type counted struct {
	mu   sync.Mutex
	seen map[string]int
}

func newCount() *counted { return &counted{seen: map[string]int{}} }

func (c *counted) logger() *slog.Logger { return slog.New(c) }

func (c *counted) has(message string) bool { return c.times(message) > 0 }

func (c *counted) times(message string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen[message]
}

func (c *counted) Handle(_ context.Context, r slog.Record) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen[r.Message]++
	return nil
}
func (*counted) Enabled(context.Context, slog.Level) bool { return true }
func (c *counted) WithAttrs([]slog.Attr) slog.Handler     { return c }
func (c *counted) WithGroup(string) slog.Handler          { return c }
