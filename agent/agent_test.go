package agent

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"purser"
	"purser/api"
)

func TestTaskRunsByTheContract(t *testing.T) {
	s := newServer()
	root := t.TempDir()
	t.Setenv("PURSER_DATABASE_URL", "secret")
	t.Setenv("KEPT", "yes")
	working(t, s, func(c *Config) {
		c.CheckpointRoot = root
		c.Shape = purser.Shape{Accelerator: "A100-40GB", Devices: 4000}
	})
	s.order("task-1", func(x *api.TaskSpec) {
		x.Task.Replica, x.Task.Attempt, x.Task.Devices = 2, 3, 2000
		x.Group.Replicas = 5
		x.Group.Variants = []purser.Variant{{Name: "v", Accelerator: "A100-40GB", Devices: 2000}}
		x.Group.Run = purser.Run{
			Setup:   "echo set-up > prepared",
			Command: `cat prepared data/in.txt; ./tool; env | grep -E '^(PURSER_|CUDA|MY|KEPT)' | sort; echo oops >&2; echo 0.25 > "$PURSER_PROGRESS_FILE"; echo saved > "$PURSER_CHECKPOINT_DIR/step-1"`,
			Env:     map[string]string{"MY_VAR": "a b", "PURSER_JOB": "forged"},
			Files:   []purser.File{{Path: "data/in.txt", Content: []byte("brought\n")}, {Path: "tool", Content: []byte("#!/bin/sh\necho tool\n"), Mode: 0o755}},
		}
	})
	rep := s.ended(t, "task-1")
	if rep.State != purser.TaskSucceeded || rep.ExitCode == nil || *rep.ExitCode != 0 || rep.Progress != 1 || rep.StartedAt.IsZero() || rep.EndedAt.Before(rep.StartedAt) {
		t.Errorf("report %+v", rep)
	}
	checkpoint := filepath.Join(root, "job-1", "train", "2")
	if rep.Checkpoint != checkpoint {
		t.Errorf("checkpoint %q, want %q", rep.Checkpoint, checkpoint)
	}
	out := s.output("task-1")
	stderr := slices.Index(out, "stderr: oops")
	if stderr < 0 {
		t.Fatalf("stderr is missing: %q", out)
	}
	out = slices.Delete(out, stderr, stderr+1)
	progressFile := slices.IndexFunc(out, func(s string) bool { return strings.HasPrefix(s, "stdout: PURSER_PROGRESS_FILE=") })
	if progressFile < 0 {
		t.Fatalf("no progress file: %q", out)
	}
	out = slices.Delete(out, progressFile, progressFile+1)
	want := []string{
		"set-up", "brought", "tool", "CUDA_VISIBLE_DEVICES=0,1", "KEPT=yes", "MY_VAR=a b", "PURSER_ATTEMPT=3", "PURSER_CHECKPOINT_DIR=" + checkpoint,
		"PURSER_DEVICES=0,1", "PURSER_GROUP=train", "PURSER_JOB=j", "PURSER_JOB_ID=job-1", "PURSER_LEASE=lease-1", "PURSER_PROJECT=p",
		"PURSER_REPLICA=2", "PURSER_REPLICAS=5", "PURSER_STAGES=1", "PURSER_TASK=task-1", "PURSER_VARIANT=v",
	}
	for i := range want {
		want[i] = "stdout: " + want[i]
	}
	if !slices.Equal(out, want) {
		t.Errorf("the task printed\n%s\nwant\n%s", strings.Join(out, "\n"), strings.Join(want, "\n"))
	}
}

func TestHowTasksEnd(t *testing.T) {
	s := newServer()
	working(t, s, nil)
	for _, c := range []struct {
		id     string
		change func(*api.TaskSpec)
		code   int // -1: none
		reason string
	}{
		{"fails", runs("exit 7"), 7, "exit code 7"},
		{"is-killed", runs("kill -KILL $$"), 137, "killed by signal 9 (killed), perhaps for want of memory"},
		{"set-up-fails", func(x *api.TaskSpec) { x.Group.Run = purser.Run{Setup: "exit 3", Command: "echo never"} }, 3, "set-up failed: exit code 3"},
		{"escapes", func(x *api.TaskSpec) {
			x.Group.Run = purser.Run{Command: "true", Files: []purser.File{{Path: "../../x"}}}
		}, -1, `the file "../../x" leads out of the task's working directory`},
		{"lost-folder", func(x *api.TaskSpec) { x.Group.Run = purser.Run{Command: "true", Workdir: "/no/such/folder"} }, -1, "the working directory /no/such/folder does not exist on this machine"},
		{"image-alone", func(x *api.TaskSpec) { x.Group.Run = purser.Run{Image: "busybox"} }, -1, "the image busybox cannot be run: this machine has no container runtime"},
	} {
		s.order(c.id, c.change)
		rep := s.ended(t, c.id)
		if rep.State != purser.TaskFailed || rep.Reason != c.reason || (rep.ExitCode == nil) != (c.code < 0) || (rep.ExitCode != nil && *rep.ExitCode != c.code) {
			t.Errorf("%s: report %+v (exit code %v), want %d and %q", c.id, rep, rep.ExitCode, c.code, c.reason)
		}
	}
	if out := s.output("set-up-fails"); len(out) != 0 {
		t.Errorf("the command ran after its set-up failed: %q", out)
	}
}

// In a rehearsal the command runs without its image where there is no runtime, and
// says so; where a runtime is, it gets what the contract promises.
func TestImages(t *testing.T) {
	s := newServer()
	working(t, s, nil)
	s.order("bare", func(x *api.TaskSpec) { x.Group.Run = purser.Run{Image: "busybox", Command: "echo ran"} })
	if rep := s.ended(t, "bare"); rep.State != purser.TaskSucceeded {
		t.Errorf("report %+v", rep)
	}
	if out := s.output("bare"); len(out) != 2 || !strings.Contains(out[0], "without its image busybox") || out[1] != "stdout: ran" {
		t.Errorf("output %q", out)
	}

	bin := t.TempDir()
	script := "#!/bin/sh\necho \"$1 $2 $3\" >> " + bin + "/calls\n[ \"$1\" = run ] || exit 0\nfor a; do last=\"$a\"; [ \"$a\" = busybox ] && echo image; done\nenv | grep ^PURSER_TASK\nexec /bin/sh -c \"$last\"\n"
	if err := os.WriteFile(filepath.Join(bin, "podman"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	s2 := newServer()
	working(t, s2, func(c *Config) { c.Runtimes = []string{"podman"} })
	s2.order("boxed", func(x *api.TaskSpec) {
		x.Group.Run = purser.Run{Image: "busybox", Setup: "echo first", Command: "echo second; exit 4"}
	})
	if rep := s2.ended(t, "boxed"); rep.State != purser.TaskFailed || *rep.ExitCode != 4 {
		t.Errorf("report %+v", rep)
	}
	if out := s2.output("boxed"); !slices.Equal(out, []string{"stdout: image", "stdout: PURSER_TASK=boxed", "stdout: first", "stdout: second"}) {
		t.Errorf("output %q", out)
	}
	calls, _ := os.ReadFile(filepath.Join(bin, "calls"))
	if string(calls) != "run --rm --init\nrm --force purser-boxed\n" {
		t.Errorf("the runtime was called with %q", calls)
	}
}

// A server that is away costs nothing but time: what was printed and what ended
// meanwhile arrives when it is back.
func TestServerOutage(t *testing.T) {
	s := newServer()
	dir := t.TempDir()
	working(t, s, func(c *Config) { c.Dir = dir })
	s.order("task-1", runs(`echo before; echo ready; while [ ! -e `+dir+`/go ]; do sleep 0.02; done; seq 1 5000; exit 5`))
	s.until(t, "it runs", ready(s, "task-1"))
	away := purser.Errorf(purser.KindUnavailable, "x", "no server")
	var base int
	s.set(func() { s.fault = func(int) (error, error) { return away, nil }; base = s.reports })
	if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.until(t, "the agent has tried ten times", func() bool { return s.reports > base+10 })
	s.set(func() { s.fault = nil })
	if rep := s.ended(t, "task-1"); rep.State != purser.TaskFailed || *rep.ExitCode != 5 {
		t.Errorf("report %+v", rep)
	}
	out := s.output("task-1")
	if len(out) != 5002 || out[5001] != "stdout: 5000" {
		t.Errorf("%d lines arrived, the last is %q", len(out), out[len(out)-1])
	}
}

// Answers that are lost, before or after the server took the report, lead to no line
// and no end twice. (The server complains if one is.)
func TestLostAnswers(t *testing.T) {
	s := newServer()
	lost := purser.Errorf(purser.KindUnavailable, "x", "lost")
	s.fault = func(n int) (error, error) {
		switch n % 3 {
		case 0:
			return lost, nil
		case 1:
			return nil, lost
		default:
			return nil, nil
		}
	}
	working(t, s, nil)
	for i := range 4 {
		s.order(fmt.Sprint("task-", i), runs("for i in 1 2 3 4 5 6 7 8 9; do echo $i; sleep 0.02; done"))
	}
	for i := range 4 {
		id := fmt.Sprint("task-", i)
		if rep := s.ended(t, id); rep.State != purser.TaskSucceeded {
			t.Errorf("report %+v", rep)
		}
		if out := s.output(id); len(out) != 9 {
			t.Errorf("%s printed %q", id, out)
		}
	}
}

func TestGivesUpWithoutAServer(t *testing.T) {
	s := newServer()
	away := purser.Errorf(purser.KindUnavailable, "x", "no server")
	s.order("task-1", runs(saving))
	s.watch = func() {
		if ready(s, "task-1")() {
			s.fault = func(int) (error, error) { return away, nil }
		}
	}
	root := t.TempDir()
	err := returned(t, s, func(c *Config) { c.GiveUp, c.CheckpointRoot = 2*time.Second, root })
	if err == nil || purser.KindOf(err) != purser.KindUnavailable {
		t.Errorf("Run returned %v", err)
	}
	if !holdsAnything(filepath.Join(root, "job-1", "train", "0")) {
		t.Error("the task was not stopped at a checkpoint")
	}

	s = newServer()
	s.refuse = away
	begun := time.Now()
	if err := returned(t, s, func(c *Config) { c.GiveUp = 300 * time.Millisecond }); purser.KindOf(err) != purser.KindUnavailable || err == nil {
		t.Errorf("without a server to join: %v after %s", err, time.Since(begun))
	}
}

func TestRefused(t *testing.T) {
	for _, k := range []purser.Kind{purser.KindUnauthorized, purser.KindForbidden, purser.KindStale, purser.KindNotFound} {
		s := newServer()
		s.refuse = purser.Errorf(k, "x", "no")
		if err := returned(t, s, nil); purser.KindOf(err) != k || err == nil {
			t.Errorf("a join refused as %s: %v", k, err)
		}
		s = newServer()
		s.order("task-1", runs("trap 'exit 0' TERM; echo ready; while :; do sleep 0.02; done"))
		s.watch = func() {
			if ready(s, "task-1")() {
				s.refuse = purser.Errorf(k, "x", "no")
			}
		}
		if err := returned(t, s, nil); purser.KindOf(err) != k || err == nil {
			t.Errorf("a report refused as %s: %v", k, err)
		}
	}
}

// Two replicas on one machine cannot share the group's port; each says which it has.
func TestPorts(t *testing.T) {
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	addr, _ := l.Addr().(*net.TCPAddr)
	_ = l.Close()
	s := newServer()
	working(t, s, nil)
	for i := range 3 {
		s.order(fmt.Sprint("task-", i), func(x *api.TaskSpec) {
			runs("echo $PORT; echo ready; sleep 300")(x)
			x.Group.Kind, x.Group.Port, x.Task.Replica = purser.Inference, addr.Port, i
		})
	}
	s.until(t, "they run", ready(s, "task-0", "task-1", "task-2"))
	seen := map[int]bool{}
	s.set(func() {
		for id, x := range s.tasks {
			seen[x.report.Port] = true
			if got := s.lines[id][0].Text; got != fmt.Sprint(x.report.Port) {
				t.Errorf("%s was told port %s and reports %d", id, got, x.report.Port)
			}
		}
	})
	if len(seen) != 3 || !seen[addr.Port] || seen[0] {
		t.Errorf("ports %v; the group's is %d", seen, addr.Port)
	}
}

// Tasks wait for their devices, and get them when others end.
func TestTasksWaitForDevices(t *testing.T) {
	s := newServer()
	dir := t.TempDir()
	working(t, s, func(c *Config) { c.Dir, c.Shape.Devices = dir, 2000 })
	one := func(name string, devices purser.MilliDevices) {
		s.order(name, func(x *api.TaskSpec) {
			runs(`echo ready; echo $PURSER_DEVICES; while [ ! -e ` + dir + `/end-` + name + ` ]; do sleep 0.02; done`)(x)
			x.Task.Devices = devices
		})
	}
	end := func(name string) {
		if err := os.WriteFile(filepath.Join(dir, "end-"+name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		s.ended(t, name)
	}
	one("half", 500)
	s.until(t, "it runs", ready(s, "half"))
	one("two", 2000)
	one("one", 1000)
	s.until(t, "the one that fits runs", ready(s, "one"))
	if len(s.output("two")) != 0 {
		t.Fatal("a task began without its devices")
	}
	end("half")
	end("one")
	s.until(t, "the last runs", ready(s, "two"))
	end("two")
	for name, want := range map[string]string{"half": "0", "one": "1", "two": "0,1"} {
		if out := s.output(name); out[1] != "stdout: "+want {
			t.Errorf("%s had devices %q, want %s", name, out[1], want)
		}
	}
}

func TestUnfitConfigurations(t *testing.T) {
	s := newServer()
	for name, change := range map[string]func(*Config){
		"no lease": func(c *Config) { c.Lease = "" },
		"no dir":   func(c *Config) { c.Dir = "" },
		"no token": func(c *Config) { c.JoinToken = "" },
		"no url":   func(c *Config) { c.Dial = nil },
	} {
		if err := returned(t, s, change); err == nil || purser.KindOf(err) != purser.KindInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "terminated"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := returned(t, s, func(c *Config) { c.Dir = dir }); purser.KindOf(err) != purser.KindStale || err == nil {
		t.Errorf("a lease that was ended: %v", err)
	}
	if s.joins != 0 {
		t.Error("an agent joined that should not have")
	}
}

func TestConfigFromEnv(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{EnvServerURL: "http://s", EnvLease: "lease-1", EnvDir: "/d", EnvCheckpointRoot: "/c", EnvShape: `{"accelerator":"T4","milli_devices":4000,"milli_cpu":1,"memory_mib":2}`, EnvJoinTokenFile: token}
	c, err := ConfigFromEnv(func(k string) string { return env[k] })
	if err != nil || c.ServerURL != "http://s" || c.Lease != "lease-1" || c.Dir != "/d" || c.CheckpointRoot != "/c" || c.JoinToken != "secret" || c.Shape.Devices != 4000 || c.Shape.Accelerator != "T4" {
		t.Errorf("%+v, %v", c, err)
	}
	env[EnvShape] = "{"
	if _, err := ConfigFromEnv(func(k string) string { return env[k] }); purser.KindOf(err) != purser.KindInvalid || err == nil {
		t.Errorf("a broken shape: %v", err)
	}
	env[EnvShape], env[EnvJoinTokenFile] = "", "/no/such/file"
	if _, err := ConfigFromEnv(func(k string) string { return env[k] }); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing token: %v", err)
	}
}
