package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"purser"
	"purser/api"
	"purser/providers"
	"purser/providers/fake"
)

// process is a running `purser fakecloud`.
type process struct {
	cmd    *exec.Cmd
	client *fake.Client
	known  int           // machines at its start
	events chan string   // kinds of what it says afterwards
	exited chan struct{} // its output has ended
}

func startFakecloud(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(program(t), append([]string{"fakecloud", "--listen", "127.0.0.1:0", "-o", "json"}, args...)...), events: make(chan string, 10_000), exited: make(chan struct{})}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var errs bytes.Buffer
	p.cmd.Stderr = &errs
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill(); <-p.exited; _ = p.cmd.Wait() })
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		close(p.exited)
		t.Fatalf("the cloud says nothing: %s", errs.String())
	}
	var first struct {
		Listening string
		Machines  int
	}
	if err := json.Unmarshal(lines.Bytes(), &first); err != nil || first.Listening == "" {
		t.Fatalf("its first line is %q", lines.Text())
	}
	p.known = first.Machines
	go func() {
		defer close(p.exited)
		for lines.Scan() {
			var e fake.Event
			if json.Unmarshal(lines.Bytes(), &e) == nil {
				p.events <- string(e.Kind) + " " + string(e.Lease)
			}
		}
	}()
	if p.client, err = fake.Dial(fake.DialConfig{URL: first.Listening, Installation: "ours"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.client.Close)
	return p
}

func (p *process) await(t *testing.T, event string) {
	t.Helper()
	limit := time.After(20 * time.Second)
	for {
		select {
		case e := <-p.events:
			if e == event {
				return
			}
		case <-limit:
			t.Fatalf("the cloud does not say %q", event)
		}
	}
}

func (p *process) kill(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-p.exited
}

func launchOf(id purser.LeaseID) providers.Request {
	l := purser.Lease{ID: id, Offer: fake.BuiltIn(fake.Name).Offers[0], Attempt: 1}
	return providers.Request{Lease: l, Installation: "ours", Token: providers.ClientToken("ours", l), JoinToken: "secret"}
}

// Killed between any two calls and started again, the cloud knows its machines, the ends
// of machines, client tokens and notices.
func TestFakecloudSurvivesKill(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	flags := []string{"--state", filepath.Join(t.TempDir(), "deep", "state.json"), "--boot", "0s", "--stop", "0s", "--seed", "7", "--notice", "1h"}
	p := startFakecloud(t, flags...)
	made := map[purser.LeaseID]string{}
	for _, id := range []purser.LeaseID{"a", "b", "c"} {
		in, err := p.client.Launch(ctx, launchOf(id))
		if err != nil {
			t.Fatal(err)
		}
		made[id] = in.ID
		p.await(t, "running "+string(id))
		p.kill(t)
		if _, err := p.client.List(ctx); purser.KindOf(err) != purser.KindUnavailable {
			t.Fatalf("a cloud that was killed answers: %v", err)
		}
		p = startFakecloud(t, flags...)
		if p.known != len(made) {
			t.Fatalf("it knows %d machines after %d launches", p.known, len(made))
		}
		for id, name := range made {
			if in, err := p.client.Launch(ctx, launchOf(id)); err != nil || in.ID != name {
				t.Errorf("launching %s again gives %+v, %v; want %s", id, in, err, name)
			}
		}
	}
	changed := launchOf("a")
	changed.JoinToken = "another"
	if _, err := p.client.Launch(ctx, changed); purser.KindOf(err) != purser.KindConflict {
		t.Errorf("a token with other parameters: %v", err)
	}
	if err := p.client.Terminate(ctx, purser.Lease{ID: "b"}); err != nil {
		t.Fatal(err)
	}
	p.await(t, "ended b")
	if err := p.client.Turn(ctx, fake.Knobs{Preempt: []fake.Preemption{{Lease: "c", NoticeSeconds: 3600}}}); err != nil {
		t.Fatal(err)
	}
	p.kill(t)
	p = startFakecloud(t, flags...)
	if in, err := p.client.Launch(ctx, launchOf("b")); err != nil || in.State != providers.Gone || in.ID != made["b"] {
		t.Errorf("an ended lease gets %+v, %v", in, err)
	}
	all, err := p.client.List(ctx)
	if err != nil || len(all) != 2 || all[0].ID != made["a"] || all[1].ID != made["c"] || all[1].State != providers.Stopping {
		t.Errorf("list: %+v, %v", all, err)
	}
	listening, heard := context.WithCancel(ctx)
	defer heard()
	err = p.client.Interruptions(listening, func(_ context.Context, n providers.Interruption) error {
		if n.Lease != "c" || n.Kind != providers.Preempted || n.Instance != made["c"] {
			t.Errorf("the notice is %+v", n)
		}
		heard()
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// With agents a machine is a process that joins its server, outlives the cloud, and ends
// with its machine, as its machine ends with it.
func TestFakecloudAgents(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	pids := make(chan int, 1000) // of agents that ask to join
	var mu sync.Mutex
	seen := map[purser.LeaseID]map[int]bool{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var j api.AgentJoin
		if json.NewDecoder(r.Body).Decode(&j) == nil && j.PID > 1 && r.Header.Get("Authorization") == "Bearer secret" {
			mu.Lock()
			if seen[j.Lease] == nil {
				seen[j.Lease] = map[int]bool{}
			}
			if !seen[j.Lease][j.PID] {
				seen[j.Lease][j.PID] = true
				pids <- j.PID
			}
			mu.Unlock()
		}
		w.WriteHeader(http.StatusServiceUnavailable) // the agent goes on asking
	}))
	t.Cleanup(server.Close)
	dir := t.TempDir()
	flags := []string{"--state", filepath.Join(dir, "state.json"), "--agents", filepath.Join(dir, "agents"), "--boot", "0s", "--stop", "100ms"}
	p := startFakecloud(t, flags...)
	for _, id := range []purser.LeaseID{"a", "b"} {
		r := launchOf(id)
		r.ServerURL = server.URL
		if _, err := p.client.Launch(ctx, r); err != nil {
			t.Fatal(err)
		}
		p.await(t, "running "+string(id))
		select {
		case pid := <-pids:
			t.Cleanup(func() {
				if b, _ := os.ReadFile("/proc/" + itoa(pid) + "/environ"); strings.Contains(string(b), dir) {
					_ = syscall.Kill(pid, syscall.SIGKILL)
				}
			})
		case <-time.After(20 * time.Second):
			t.Fatalf("no agent of %s joins", id)
		}
	}
	p.kill(t)
	p = startFakecloud(t, flags...)
	if all, err := p.client.List(ctx); err != nil || len(all) != 2 || all[0].State != providers.Running || all[1].State != providers.Running {
		t.Fatalf("after a restart: %+v, %v", all, err)
	}
	mu.Lock()
	for pid := range seen["b"] {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	mu.Unlock()
	p.await(t, "ended b")
	if err := p.client.Terminate(ctx, purser.Lease{ID: "a"}); err != nil {
		t.Fatal(err)
	}
	p.await(t, "ended a")
	machines, err := p.client.Machines(ctx)
	if err != nil || len(machines) != 2 || machines[0].Reason != "it was terminated" || !strings.Contains(machines[1].Reason, "its agent ended") {
		t.Errorf("machines: %+v, %v", machines, err)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(seen["a"]) != 1 || len(seen["b"]) != 1 {
		t.Errorf("agents by lease: %v; want one each", seen)
	}
}

// The state belongs to one process; Ctrl-C ends it well.
func TestFakecloudStops(t *testing.T) {
	t.Parallel()
	state := filepath.Join(t.TempDir(), "state.json")
	p := startFakecloud(t, "--state", state)
	out, err := exec.Command(program(t), "fakecloud", "--listen", "127.0.0.1:0", "--state", state).CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != exitInvalid || !strings.Contains(string(out), "another process") {
		t.Errorf("a second process: %v, %s", err, out)
	}
	// A call that waits for a notice holds nothing up.
	waiting := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		waiting <- p.client.Interruptions(ctx, func(context.Context, providers.Interruption) error { return nil })
	}()
	if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.exited:
	case <-time.After(4 * time.Second):
		t.Error("it does not stop")
	}
	cancel()
	if err := <-waiting; err != nil {
		t.Error(err)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("Ctrl-C ends it with %v", err)
	}
}

// The cloud says what happens as lines for people, and follows the files it is given.
func TestFakecloudTellsWhatHappens(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	market := write("market.json", `{"offers":[{"region":"r1","zone":"z1","instance_type":"big","purchase_option":"spot","usd_per_hour":0.5}]}`)
	trace := write("trace.csv", "seconds,zone,instance_type,available\n0,z1,big,1\n3600,z1,big,0\n")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, w := io.Pipe()
	done := make(chan int, 1)
	var errs bytes.Buffer
	go func() {
		code := run(ctx, []string{
			"fakecloud", "--listen", "localhost:0", "--name", "demo", "--offers", market, "--trace", trace, "--trace-speed", "7200",
			"--boot", "0s", "--stop", "0s", "--notice", "100ms", "--throttle", "1000", "--latency", "1ms", "--jitter", "1ms",
		}, strings.NewReader(""), w, &errs)
		_ = w.Close()
		done <- code
	}()
	lines := bufio.NewScanner(r)
	if !lines.Scan() {
		t.Fatalf("it ended with %d: %s", <-done, errs.String())
	}
	first := strings.Fields(lines.Text())
	text := make(chan string, 1)
	go func() {
		var all []string
		for lines.Scan() {
			all = append(all, lines.Text())
			if strings.Contains(lines.Text(), " ended ") {
				cancel()
			}
		}
		text <- strings.Join(all, "\n")
	}()
	client, err := fake.Dial(fake.DialConfig{URL: first[4], Name: "demo", Installation: "ours"})
	if err != nil {
		t.Fatalf("the first line is %q: %v", first, err)
	}
	defer client.Close()
	offers, err := client.Offers(ctx)
	if err != nil || len(offers) != 1 || offers[0].Provider != "demo" {
		t.Fatalf("offers: %+v, %v", offers, err)
	}
	l := purser.Lease{ID: "lease-1\x1b[31m", Offer: offers[0], Attempt: 1}
	request := providers.Request{Lease: l, Installation: "ours", Token: providers.ClientToken("ours", l)}
	if _, err := client.Launch(ctx, request); err != nil {
		t.Fatal(err)
	}
	said := <-text
	for _, want := range []string{"launched i-000001 lease-1", "running  i-000001", "market   z1/big/spot: 0 available", "notice   i-000001", "ended    i-000001"} {
		if !strings.Contains(said, want) {
			t.Errorf("it does not say %q but\n%s", want, said)
		}
	}
	if strings.Contains(said, "\x1b") {
		t.Errorf("a lease's name moves the reader's cursor: %q", said)
	}
	if code := <-done; code != 0 || errs.Len() > 0 {
		t.Errorf("it ended with %d: %s", code, errs.String())
	}
}

func TestFakecloudBadFlags(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad")
	if err := os.WriteFile(bad, []byte("x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		says string
	}{
		"not on loopback": {[]string{"--listen", "0.0.0.0:0"}, "not on loopback"},
		"no address":      {[]string{"--listen", "7070"}, "ADDRESS:PORT"},
		"a share":         {[]string{"--lose", "1.5"}, "from 0 to 1"},
		"a speed":         {[]string{"--trace-speed", "0"}, "above 0"},
		"a time":          {[]string{"--lag", "-1s"}, "below 0"},
		"an output":       {[]string{"-o", "yaml"}, "table or json"},
		"no market":       {[]string{"--offers", filepath.Join(dir, "none")}, "none"},
		"a bad market":    {[]string{"--offers", bad}, bad + ":1:1"},
		"a bad trace":     {[]string{"--trace", bad}, bad + ":1:1"},
		"a bad state":     {[]string{"--state", bad}, "begin anew"},
		"no state":        {[]string{"--agents", dir}, "needs --state"},
		"an argument":     {[]string{"now"}, "unknown"},
	} {
		_, errs, code := ran(t, append([]string{"fakecloud", "--listen", "127.0.0.1:0"}, c.args...)...)
		if code != exitInvalid || !strings.Contains(errs, c.says) {
			t.Errorf("%s: %d, %q", name, code, errs)
		}
	}
}
