package notice

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// home gives a service of a cloud with nothing to say, and where each cloud says it.
func home(cloud string) *metadata {
	m := newMetadata(cloud)
	switch cloud {
	case "aws":
		m.values["/latest/meta-data/events/maintenance/scheduled"] = "[]"
	case "gcp":
		m.values[gcpPreempted], m.values[gcpMaintenance] = "FALSE", "NONE"
	case "azure":
		m.values["/metadata/instance/compute/name"] = "purser-lease-1"
		m.values[eventsPath] = `{"DocumentIncarnation":1,"Events":[]}`
	}
	return m
}

const (
	actionPath    = "/latest/meta-data/spot/instance-action"
	rebalancePath = "/latest/meta-data/events/recommendations/rebalance"
	scheduledPath = "/latest/meta-data/events/maintenance/scheduled"

	gcpPreempted   = "/computeMetadata/v1/instance/preempted"
	gcpMaintenance = "/computeMetadata/v1/instance/maintenance-event"

	eventsPath = "/metadata/scheduledevents"
)

func azureSays(event string) string {
	return `{"DocumentIncarnation":2,"Events":[{"EventId":"e-1","ResourceType":"VirtualMachine",` + event + `}]}`
}

// Every word that a cloud has, and what is told of it, in order.
func TestNotices(t *testing.T) {
	day := noon.AddDate(0, 0, 1)
	for name, c := range map[string]struct {
		cloud, path, says string
		want              []Notice
	}{
		"aws terminates": {"aws", actionPath, `{"action":"terminate","time":"2026-03-01T12:02:00Z"}`, []Notice{
			{Preempted, noon.Add(2 * time.Minute), "AWS will terminate the spot machine at 2026-03-01T12:02:00Z", true},
		}},
		"aws stops, time garbled": {"aws", actionPath, `{"action":"stop","time":"soon"}`, []Notice{{Preempted, time.Time{}, "AWS will stop the spot machine", true}}},
		"aws recommends":          {"aws", rebalancePath, `{"noticeTime":"2026-03-01T12:00:00Z"}`, []Notice{{Rebalance, noon, "AWS expects to need the spot machine back", false}}},
		"aws retires tomorrow": {
			"aws", scheduledPath, `[{"NotBefore":"2 Mar 2026 12:00:00 GMT","Code":"instance-retirement","Description":"degraded hardware","EventId":"e","State":"active"}]`,
			[]Notice{{Maintenance, day, "AWS plans instance-retirement: degraded hardware", false}},
		},
		"aws reboots now": {
			"aws", scheduledPath, `[{"NotBefore":"1 Mar 2026 12:01:00 GMT","Code":"system-reboot","Description":"reboot","EventId":"e","State":"active"}]`,
			[]Notice{
				{Maintenance, noon.Add(time.Minute), "AWS plans system-reboot: reboot", false},
				{Maintenance, noon.Add(time.Minute), "AWS plans system-reboot: reboot", true},
			},
		},
		"aws has done it": {"aws", scheduledPath, `[{"NotBefore":"1 Mar 2026 12:01:00 GMT","Code":"system-reboot","Description":"[Completed] reboot","EventId":"e","State":"completed"}]`, nil},
		"gcp preempts":    {"gcp", gcpPreempted, "TRUE", []Notice{{Preempted, time.Time{}, "Google Cloud preempts the machine", true}}},
		"gcp migrates": {"gcp", gcpMaintenance, "MIGRATE_ON_HOST_MAINTENANCE", []Notice{
			{Maintenance, time.Time{}, "Google Cloud maintains the machine's host: MIGRATE_ON_HOST_MAINTENANCE", false},
		}},
		"gcp ends it": {"gcp", gcpMaintenance, "TERMINATE_ON_HOST_MAINTENANCE", []Notice{
			{Maintenance, time.Time{}, "Google Cloud maintains the machine's host: TERMINATE_ON_HOST_MAINTENANCE", false},
			{Maintenance, time.Time{}, "Google Cloud maintains the machine's host: TERMINATE_ON_HOST_MAINTENANCE", true},
		}},
		"azure evicts": {
			"azure", eventsPath, azureSays(`"EventType":"Preempt","EventStatus":"Scheduled","Resources":["PURSER-lease-1"],"NotBefore":"Sun, 01 Mar 2026 12:00:30 GMT","Description":"low capacity"`),
			[]Notice{{Preempted, noon.Add(30 * time.Second), "Azure evicts the spot machine: low capacity", true}},
		},
		"azure deletes": {
			"azure", eventsPath, azureSays(`"EventType":"Terminate","EventStatus":"Started","Resources":["purser-lease-1"],"NotBefore":""`),
			[]Notice{{Preempted, time.Time{}, "Azure deletes the machine", true}},
		},
		"azure evicts another": {"azure", eventsPath, azureSays(`"EventType":"Preempt","EventStatus":"Scheduled","Resources":["purser-lease-10"],"NotBefore":""`), nil},
		"azure freezes": {
			"azure", eventsPath, azureSays(`"EventType":"Freeze","EventStatus":"Started","Resources":["purser-lease-1"],"NotBefore":""`),
			[]Notice{{Maintenance, time.Time{}, "Azure freezes the machine for some seconds", false}},
		},
		"azure redeploys in an hour": {
			"azure", eventsPath, azureSays(`"EventType":"Redeploy","EventStatus":"Scheduled","Resources":["other","purser-lease-1"],"NotBefore":"Sun, 01 Mar 2026 13:00:00 GMT"`),
			[]Notice{{Maintenance, noon.Add(time.Hour), "Azure plans a Redeploy of the machine", false}},
		},
		"azure reboots it": {
			"azure", eventsPath, azureSays(`"EventType":"Reboot","EventStatus":"Started","Resources":["purser-lease-1"],"NotBefore":""`),
			[]Notice{{Maintenance, time.Time{}, "Azure plans a Reboot of the machine", false}, {Maintenance, time.Time{}, "Azure plans a Reboot of the machine", true}},
		},
		"azure invents a word": {"azure", eventsPath, azureSays(`"EventType":"Dance","EventStatus":"Started","Resources":["purser-lease-1"],"NotBefore":""`), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := home(c.cloud)
			w := watch(t, m, nil)
			until(t, "the quiet service is read", func() bool { return m.called("GET "+c.path) > 0 })
			m.set(c.path, c.says)
			for _, want := range c.want {
				if got := w.next(); !got.At.Equal(want.At) || got.Kind != want.Kind || got.Reason != want.Reason || got.Leave != want.Leave {
					t.Errorf("told %+v\nwant %+v", got, want)
				}
			}
			if c.cloud != "gcp" { // it is read over and over, and told once
				m.rounds(t, "GET "+c.path, 3)
			}
			w.none()
		})
	}
}

// Maintenance that is a day away stops nobody until it is near, and one that was
// called off never does.
func TestMaintenanceComesNear(t *testing.T) {
	for name, off := range map[string]bool{"it comes": false, "it is called off": true} {
		t.Run(name, func(t *testing.T) {
			m := home("aws")
			now := noon
			w := watch(t, m, func(c *Config) {
				c.Now = func() time.Time {
					m.mu.Lock()
					defer m.mu.Unlock()
					return now
				}
			})
			m.set(scheduledPath, `[{"NotBefore":"1 Mar 2026 13:00:00 GMT","Code":"instance-stop","Description":"d","EventId":"e","State":"active"}]`)
			if n := w.next(); n.Leave || n.Kind != Maintenance {
				t.Errorf("told %+v", n)
			}
			if off {
				m.set(scheduledPath, "[]")
				m.rounds(t, "GET "+scheduledPath, 2)
			}
			m.do(func() { now = noon.Add(57 * time.Minute) })
			m.rounds(t, "GET "+scheduledPath, 3)
			if len(w.notices) > 0 {
				t.Errorf("three minutes ahead: %+v", w.next())
			}
			m.do(func() { now = noon.Add(58 * time.Minute) })
			if !off {
				if n := w.next(); !n.Leave {
					t.Errorf("two minutes ahead: %+v", n)
				}
			}
			m.rounds(t, "GET "+scheduledPath, 3)
			w.none()
		})
	}
}

// On none of the clouds the watch ends by itself, having asked little.
func TestOffCloud(t *testing.T) {
	hijack := func(w http.ResponseWriter, _ *http.Request) bool {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_ = conn.Close()
		}
		return true
	}
	portal := func(w http.ResponseWriter, _ *http.Request) bool { // a page for everything
		_, _ = w.Write([]byte("<html><body>Please sign in</body></html>"))
		return true
	}
	elsewhere := func(w http.ResponseWriter, r *http.Request) bool { // nobody may follow this
		http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
		return true
	}
	for name, mangle := range map[string]func(http.ResponseWriter, *http.Request) bool{"nothing": nil, "hangs up": hijack, "a portal": portal, "redirects": elsewhere} {
		t.Run(name, func(t *testing.T) {
			m := newMetadata("")
			m.mangle = mangle
			w := watch(t, m, nil)
			w.over()
			m.do(func() {
				if len(m.calls) > 12 || len(m.calls) == 0 {
					t.Errorf("it asked %d times: %q", len(m.calls), m.calls)
				}
			})
			w.none()
		})
	}
	t.Run("no service at all", func(t *testing.T) {
		w := watch(t, newMetadata(""), func(c *Config) { c.URL = "http://127.0.0.1:1" })
		w.over()
	})
	t.Run("no address", func(t *testing.T) {
		w := watch(t, newMetadata(""), func(c *Config) { c.URL = "\x00" })
		w.over()
	})
	t.Run("one that never answers", func(t *testing.T) {
		m := newMetadata("")
		m.mangle = func(_ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true }
		w := watch(t, m, func(c *Config) { c.pace.probe = 20 * time.Millisecond })
		w.over()
		w.none()
	})
}

// A service that comes up after the machine is still found.
func TestLateService(t *testing.T) {
	m := home("gcp")
	asked := 0
	m.mangle = func(w http.ResponseWriter, _ *http.Request) bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		asked++
		if asked > 3 {
			return false
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	}
	w := watch(t, m, nil)
	m.set(gcpPreempted, "TRUE")
	if n := w.next(); n.Kind != Preempted {
		t.Errorf("told %+v", n)
	}
}

// Whatever the service does in between, the notice is told once it can be read.
func TestServiceInTrouble(t *testing.T) {
	answers := map[string]func(http.ResponseWriter, *http.Request) bool{
		"is down": func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		},
		"throttles": func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(http.StatusTooManyRequests)
			return true
		},
		"refuses":     func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(http.StatusUnauthorized); return true },
		"is gone":     func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(http.StatusGone); return true },
		"says naught": func(http.ResponseWriter, *http.Request) bool { return true },
		"talks nonsense": func(w http.ResponseWriter, _ *http.Request) bool {
			_, _ = w.Write([]byte(`{"action":7,"Events":"TRUE"}[`))
			return true
		},
		"is somebody else": func(w http.ResponseWriter, _ *http.Request) bool { _, _ = w.Write([]byte("TRUE")); return true },
		"never stops": func(w http.ResponseWriter, _ *http.Request) bool {
			_, _ = w.Write([]byte(`{"action":"` + strings.Repeat("x", 1<<20)))
			return true
		},
		"breaks off": func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte(`{"action":"terminate"}`))
			return true
		},
		"says null": func(w http.ResponseWriter, _ *http.Request) bool { _, _ = w.Write([]byte("null")); return true },
	}
	where := map[string]struct{ path, says string }{
		"aws": {actionPath, `{"action":"terminate","time":"2026-03-01T12:02:00Z"}`}, "gcp": {gcpPreempted, "TRUE"},
		"azure": {eventsPath, azureSays(`"EventType":"Preempt","EventStatus":"Scheduled","Resources":["purser-lease-1"],"NotBefore":""`)},
	}
	for cloud, at := range where {
		for name, answer := range answers {
			t.Run(cloud+" "+name, func(t *testing.T) {
				t.Parallel()
				m := home(cloud)
				log := newCount()
				w := watch(t, m, func(c *Config) { c.Logger = log.logger() })
				until(t, "it is read", func() bool { return m.called("GET "+at.path) > 0 })
				m.do(func() { m.mangle = answer })
				m.set(at.path, strings.ReplaceAll(m.values[at.path], "FALSE", "false")) // ends a long poll, says nothing
				m.rounds(t, "", 10)
				if len(w.notices) > 0 {
					t.Fatalf("told out of nothing: %+v", w.next())
				}
				m.do(func() { m.mangle = nil })
				m.set(at.path, at.says)
				if n := w.next(); n.Kind != Preempted || !n.Leave {
					t.Errorf("told %+v", n)
				}
				w.none()
				if n := log.times("the metadata service cannot be read and is asked again"); n > 3 {
					t.Errorf("a row of failures is logged %d times", n)
				}
			})
		}
	}
}

// Tokens end before their time, and are asked for anew at half of it.
func TestTokens(t *testing.T) {
	m := home("aws")
	now := noon
	w := watch(t, m, func(c *Config) {
		c.Now = func() time.Time {
			m.mu.Lock()
			defer m.mu.Unlock()
			return now
		}
	})
	m.rounds(t, "GET "+scheduledPath, 3)
	if n := m.called("PUT /latest/api/token"); n != 1 {
		t.Errorf("%d tokens for some calls", n)
	}
	m.do(func() { clear(m.tokens) })
	m.rounds(t, "GET "+scheduledPath, 3)
	if n := m.called("PUT /latest/api/token"); n != 2 {
		t.Errorf("%d tokens after the first had ended", n)
	}
	m.do(func() { now = noon.Add(3 * time.Hour) })
	m.rounds(t, "GET "+scheduledPath, 3)
	if n := m.called("PUT /latest/api/token"); n != 3 {
		t.Errorf("%d tokens after three hours", n)
	}
	m.set(actionPath, `{"action":"terminate","time":"2026-03-01T12:02:00Z"}`)
	w.next()
	w.none()
}

// Azure's events are never acknowledged, and nothing is asked of AWS without a token.
func TestNothingIsHastened(t *testing.T) {
	m := home("azure")
	w := watch(t, m, nil)
	m.set(eventsPath, azureSays(`"EventType":"Preempt","EventStatus":"Scheduled","Resources":["purser-lease-1"],"NotBefore":""`))
	w.next()
	m.rounds(t, "GET "+eventsPath, 2)
	w.none()
	if contains(m, "POST "+eventsPath) {
		t.Error("an event was acknowledged")
	}
}

func TestWords(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "a\n\tb  c": "a b c", "bell\a!": "bell!", strings.Repeat("é", 400): strings.Repeat("é", 300) + "…",
	} {
		if got := words(in); got != want {
			t.Errorf("words(%.20q) = %q", in, got)
		}
	}
}

// The waits are those of the clouds' documents, and the service is never asked
// through a proxy.
func TestDefaults(t *testing.T) {
	c := Config{}.withDefaults()
	if c.URL != DefaultURL || c.pace.aws != 5*time.Second || c.pace.azure != time.Second || c.pace.slow != 5*time.Second || c.Lead != 2*time.Minute {
		t.Errorf("%+v", c)
	}
	if tr, ok := c.Client.Transport.(*http.Transport); !ok || tr.Proxy != nil {
		t.Error("a proxy may be asked")
	}
}
