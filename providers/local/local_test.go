//go:build unix

package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"purser"
	"purser/agent"
	"purser/providers"
	"purser/providers/providertest"
)

// TestMain makes the test binary an agent when a provider starts it as one. Its
// server does not answer, so it holds its lock and waits.
func TestMain(m *testing.M) {
	if os.Getenv(agent.EnvDir) == "" {
		os.Exit(m.Run())
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if os.Getenv("PURSER_TEST_STUBBORN") != "" {
		signal.Ignore(syscall.SIGTERM)
	}
	c, err := agent.ConfigFromEnv(os.Getenv)
	if err == nil {
		if os.Getenv("PURSER_TEST_STARTS") != "" { // one line for each agent that began
			f, _ := os.OpenFile(os.Getenv("PURSER_TEST_STARTS"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
			_, _ = fmt.Fprintln(f, c.Lease)
			_ = f.Close()
		}
		err = agent.Run(ctx, c)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func config(dir string) Config {
	binary, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return Config{
		Dir: dir, Installation: "ours", Binary: binary, StopGrace: 10 * time.Second,
		PassEnv: []string{"PURSER_TEST_STUBBORN", "PURSER_TEST_STARTS", "GOCOVERDIR"},
	}
}

func provider(t testing.TB, c Config) *Provider {
	t.Helper()
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { endAll(p) })
	return p
}

// endAll leaves no agent behind, whatever the test did.
func endAll(p *Provider) {
	p.step = nil
	entries, _ := os.ReadDir(filepath.Join(p.Dir, leasesDir))
	for _, e := range entries {
		dir := filepath.Join(p.Dir, leasesDir, e.Name())
		m, _ := readMachine(dir)
		if pid, _ := m.agentOf(dir); pid > 0 {
			_ = syscall.Kill(-pid, syscall.SIGKILL)
		}
		_, _ = killLeftovers(dir)
	}
}

func request(id string) providers.Request {
	l := purser.Lease{
		ID: purser.LeaseID(id), Attempt: 1, Rehearsal: true,
		Offer: purser.Offer{Provider: "aws", Region: "r1", InstanceType: "p5", Option: purser.Spot, UnitPrice: 1, Shape: purser.Shape{Accelerator: "H100", Devices: 8000, MilliCPU: 192000, MemoryMiB: 1 << 20}},
	}
	return providers.Request{Lease: l, Installation: "ours", Token: providers.ClientToken("ours", l), JoinToken: "join", ServerURL: "http://127.0.0.1:1"}
}

func TestConformance(t *testing.T) {
	providertest.Run(t, func(t *testing.T) providertest.Subject {
		dir := t.TempDir()
		c := config(dir)
		other := c
		return providertest.Subject{
			Provider: provider(t, c), Installation: "ours", Offer: request("x").Lease.Offer,
			Again: func() providers.Provider { return provider(t, c) },
			Other: func(name string) providers.Provider {
				other.Installation = name
				return provider(t, other)
			},
		}
	})
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("within 20 s it did not come true that %s", what)
		case <-tick.C:
		}
	}
}

func state(t testing.TB, p *Provider, id purser.LeaseID) providers.InstanceState {
	t.Helper()
	in, err := p.Describe(context.Background(), purser.Lease{ID: id})
	if err != nil {
		t.Fatalf("Describe(%s): %v", id, err)
	}
	return in.State
}

// A launch that is killed after any step, and repeated by another server, any number
// of times and in any place, leaves one agent; and an end that is asked for leaves
// none.
func TestLaunchSurvivesEveryCrash(t *testing.T) {
	killed := errors.New("killed")
	root := t.TempDir()
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		dir := filepath.Join(root, fmt.Sprint(n))
		starts := filepath.Join(root, fmt.Sprintf("starts-%d", n))
		t.Setenv("PURSER_TEST_STARTS", starts)
		r := request("lease-a")
		p := (*Provider)(nil)
		for _, at := range rapid.SliceOfN(rapid.SampledFrom([]string{"folder", "token", "intent", "started", "recorded"}), 0, 4).Draw(rt, "killed at") {
			p = newProvider(rt, config(dir))
			p.step = func(step string) error {
				if step == at {
					return killed
				}
				return nil
			}
			if _, err := p.Launch(context.Background(), r); err != nil && !errors.Is(err, killed) {
				rt.Fatalf("Launch that is killed at %s: %v", at, err)
			}
		}
		p = newProvider(rt, config(dir))
		defer endAll(p)
		if _, err := p.Launch(context.Background(), r); err != nil {
			rt.Fatalf("Launch after the crashes: %v", err)
		}
		waitFor(rt, "the agent runs", func() bool {
			in, err := p.Describe(context.Background(), purser.Lease{ID: r.Lease.ID})
			return err == nil && in.State == providers.Running
		})
		if pids := processesWith(agentMark(filepath.Join(dir, leasesDir, "lease-a"))); len(pids) != 1 {
			rt.Fatalf("the lease has %d agents: %v", len(pids), pids)
		}
		if b, _ := os.ReadFile(starts); strings.Count(string(b), "\n") != 1 {
			rt.Fatalf("agents that began: %q", b)
		}
		if err := p.Terminate(context.Background(), purser.Lease{ID: r.Lease.ID}); err != nil {
			rt.Fatal(err)
		}
		waitFor(rt, "the machine is gone", func() bool {
			in, err := p.Describe(context.Background(), purser.Lease{ID: r.Lease.ID})
			return err == nil && in.State == providers.Gone
		})
	})
}

func newProvider(t *rapid.T, c Config) *Provider {
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func waitFor(t *rapid.T, what string, ok func() bool) {
	for end := time.Now().Add(20 * time.Second); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("within 20 s it did not come true that %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// Two servers that start an agent for one lease at the same moment, as when a crash
// hid the first from the second: the lock lets one of them live.
func TestSecondAgentEndsAtOnce(t *testing.T) {
	p := provider(t, config(t.TempDir()))
	r := request("lease-a")
	dir, _ := p.dir(r.Lease.ID)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := writeFile(filepath.Join(dir, "join-token"), []byte("join")); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		if _, err := p.spawn(t.Context(), dir, r); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "one of four agents is left", func() bool {
		return lockHolder(filepath.Join(dir, "agent.lock")) > 0 && len(processesWith(agentMark(dir))) == 1
	})
	b, _ := os.ReadFile(filepath.Join(dir, "agent.log"))
	if n := strings.Count(string(b), "another agent already works for lease lease-a"); n != 3 {
		t.Errorf("%d agents said that they are not needed: %s", n, b)
	}
}

// An agent that ignores its end is killed after the grace.
func TestStubbornAgentIsKilled(t *testing.T) {
	t.Setenv("PURSER_TEST_STUBBORN", "1")
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	c := config(t.TempDir())
	c.Now = func() time.Time { return now }
	p := provider(t, c)
	r := request("lease-a")
	if _, err := p.Launch(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the agent runs", func() bool { return state(t, p, r.Lease.ID) == providers.Running })
	for range 3 {
		if err := p.Terminate(t.Context(), purser.Lease{ID: r.Lease.ID}); err != nil {
			t.Fatal(err)
		}
	}
	if s := state(t, p, r.Lease.ID); s != providers.Stopping {
		t.Fatalf("the machine is %s", s)
	}
	if all, err := p.List(t.Context()); err != nil || len(all) != 1 || all[0].State != providers.Stopping {
		t.Fatalf("List gave %+v, %v", all, err)
	}
	now = now.Add(p.StopGrace)
	eventually(t, "the machine is gone", func() bool { return state(t, p, r.Lease.ID) == providers.Gone })
	dir, _ := p.dir(r.Lease.ID)
	if pids := processesWith(agentMark(dir)); len(pids) != 0 {
		t.Errorf("processes are left: %v", pids)
	}
}

// When an agent is killed, what its tasks left behind is killed before the machine is
// called gone: here a group that the agent noted, and a process that left its group.
func TestBuriesWhatADeadAgentLeft(t *testing.T) {
	p := provider(t, config(t.TempDir()))
	r := request("lease-a")
	if _, err := p.Launch(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the agent runs", func() bool { return state(t, p, r.Lease.ID) == providers.Running })
	dir, _ := p.dir(r.Lease.ID)
	noted := startSleeper(t, nil)
	if err := os.MkdirAll(filepath.Join(dir, "groups"), 0o700); err != nil {
		t.Fatal(err)
	}
	note := fmt.Sprintf("%d %s\n", noted, processStart(noted))
	if err := os.WriteFile(filepath.Join(dir, "groups", "task-1"), []byte(note), 0o600); err != nil {
		t.Fatal(err)
	}
	stray := startSleeper(t, []string{"A=1", taskMark(dir) + "task-3/progress"})
	stranger := startSleeper(t, []string{"PURSER_LEASE=lease-a", "X" + taskMark(dir) + "task-3/progress", taskMark(dir + "2")})
	wrong := fmt.Sprintf("%d %s\n", stranger, "12345") // the number of an old task, given anew
	if err := os.WriteFile(filepath.Join(dir, "groups", "task-2"), []byte(wrong), 0o600); err != nil {
		t.Fatal(err)
	}
	_ = syscall.Kill(lockHolder(filepath.Join(dir, "agent.lock")), syscall.SIGKILL)
	eventually(t, "the machine is gone", func() bool { return state(t, p, r.Lease.ID) == providers.Gone })
	if processStart(noted) != "" {
		t.Error("a group that the agent noted lives on")
	}
	if canSee() && processStart(stray) != "" {
		t.Error("a process that left its group lives on")
	}
	if processStart(stranger) == "" {
		t.Error("a stranger's process was killed")
	}
	if in, _ := p.Describe(t.Context(), purser.Lease{ID: r.Lease.ID}); in.Reason != "its agent ended" {
		t.Errorf("the reason is %q", in.Reason)
	}
}

// canSee says whether this system shows processes' environments.
func canSee() bool { _, err := os.Stat("/proc/self/environ"); return err == nil }

func startSleeper(t *testing.T, env []string) int {
	t.Helper()
	proc, err := os.StartProcess("/bin/sh", []string{"sh", "-c", "sleep 100 & wait"}, &os.ProcAttr{Env: append(env, "PATH="+os.Getenv("PATH")), Sys: &syscall.SysProcAttr{Setpgid: true}})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _, _ = proc.Wait(); close(ended) }()
	t.Cleanup(func() { _ = syscall.Kill(-proc.Pid, syscall.SIGKILL); <-ended })
	return proc.Pid
}

func TestCapacity(t *testing.T) {
	c := config(t.TempDir())
	c.MaxMachines = 2
	c.Hosts = []Host{{Name: "rack", Count: 1, Shape: purser.Shape{MilliCPU: 1000, MemoryMiB: 1024}, Country: "DE"}}
	p := provider(t, c)
	for _, id := range []string{"lease-1", "lease-2"} {
		if _, err := p.Launch(t.Context(), request(id)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.Launch(t.Context(), request("lease-3")); purser.KindOf(err) != purser.KindNoCapacity || err == nil {
		t.Fatalf("a third stand-in: %v", err)
	}
	if _, err := p.Launch(t.Context(), request("lease-2")); err != nil {
		t.Fatalf("a repeated launch at the limit: %v", err)
	}
	offers, err := p.Offers(t.Context())
	if err != nil || len(offers) != 1 {
		t.Fatalf("Offers: %v, %v", offers, err)
	}
	o := offers[0]
	if o.Option != purser.Private || o.Limit != 1 || o.Provider != Name || o.Country != "DE" || o.ID() != "local/local/local/rack/private" {
		t.Errorf("the host is offered as %+v", o)
	}
	own := func(id string) providers.Request {
		r := request(id)
		r.Lease.Offer, r.Lease.Rehearsal = o, false
		r.Token = providers.ClientToken("ours", r.Lease)
		return r
	}
	if _, err := p.Launch(t.Context(), own("lease-4")); err != nil {
		t.Fatalf("an own host beside the stand-ins: %v", err)
	}
	if offers, err := p.Offers(t.Context()); err != nil || offers[0].Limit != 0 {
		t.Errorf("with its only place taken: %+v, %v", offers, err)
	}
	if _, err := p.Launch(t.Context(), own("lease-5")); purser.KindOf(err) != purser.KindNoCapacity || err == nil {
		t.Fatalf("an own host that is in use: %v", err)
	}
	if err := p.Terminate(t.Context(), purser.Lease{ID: "lease-4"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the own host is free", func() bool { return state(t, p, "lease-4") == providers.Gone })
	if _, err := p.Launch(t.Context(), own("lease-5")); err != nil {
		t.Fatalf("an own host that is free again: %v", err)
	}
}

func TestForgetsWhatIsLongGone(t *testing.T) {
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	c := config(t.TempDir())
	c.Now = func() time.Time { return now }
	p := provider(t, c)
	if err := p.Terminate(t.Context(), purser.Lease{ID: "lease-a"}); err != nil {
		t.Fatal(err)
	}
	if in, err := p.Launch(t.Context(), request("lease-a")); err != nil || in.State != providers.Gone {
		t.Fatalf("a launch after the end: %+v, %v", in, err)
	}
	now = now.Add(p.Remember)
	if _, err := p.List(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Describe(t.Context(), purser.Lease{ID: "lease-a"}); purser.KindOf(err) != purser.KindNotFound {
		t.Errorf("after a day: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	c := config(t.TempDir())
	p := provider(t, c)
	for _, id := range []string{"../x", "a/b", ".hidden", "", "UPPER", strings.Repeat("a", 101)} {
		if err := p.Terminate(t.Context(), purser.Lease{ID: purser.LeaseID(id)}); purser.KindOf(err) != purser.KindInvalid || err == nil {
			t.Errorf("lease %q: %v", id, err)
		}
	}
	if _, err := p.Launch(t.Context(), request("lease-a")); err != nil {
		t.Fatal(err)
	}
	other := request("lease-a")
	other.Token = strings.Repeat("0", 64)
	if _, err := p.Launch(t.Context(), other); purser.KindOf(err) != purser.KindConflict {
		t.Errorf("another token: %v", err)
	}
	c.Binary = filepath.Join(c.Dir, "none")
	broken := provider(t, c)
	if _, err := broken.Launch(t.Context(), request("lease-b")); purser.KindOf(err) != purser.KindInvalid || err == nil {
		t.Errorf("a binary that is not there: %v", err)
	}
	c.Binary = "/bin/false"
	broken = provider(t, c)
	if _, err := broken.Launch(t.Context(), request("lease-c")); err != nil {
		t.Errorf("a binary that fails: %v", err)
	}
	eventually(t, "the machine is gone", func() bool { return state(t, broken, "lease-c") == providers.Gone })
}

// Secrets of the server reach neither agents nor, through them, tasks.
func TestEnvironmentIsPassedByList(t *testing.T) {
	p := provider(t, config(t.TempDir()))
	got := p.inherited([]string{"PATH=/bin", "PURSER_DATABASE_URL=postgres://u:secret@h/db", "AWS_SECRET_ACCESS_KEY=x", "LC_ALL=C", "LANG=C", "HOMEX=1", "PURSER_TEST_STUBBORN=1"})
	if want := "[PATH=/bin LC_ALL=C LANG=C PURSER_TEST_STUBBORN=1]"; fmt.Sprint(got) != want {
		t.Errorf("inherited %v, want %v", got, want)
	}
}
