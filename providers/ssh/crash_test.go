package ssh

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"purser"
	"purser/providers"
)

// deadly puts wrappers of the tools that scripts use before the real ones. At the n-th use
// the script is killed with all that it started, or alone, before the tool works or after.
func deadly(t *testing.T, s *testServer) (arm func(n int, mode string), struck func() bool) {
	t.Helper()
	bin := filepath.Join(s.dir, "bin")
	if err := os.Mkdir(bin, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, tool := range []string{"flock", "mkdir", "ln", "rm", "uname", "sha256sum", "setsid", "mv", "chmod", "cat"} {
		path, err := exec.LookPath(tool)
		if err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprintf(`#!/bin/sh
read -r left mode <%[1]s/plan
left=$((left - 1))
echo "$left $mode" >%[1]s/plan
[ "$left" = 0 ] || exec %[2]s "$@"
read -r stat </proc/$$/stat
stat=${stat##*) }
group=$(set -- $stat; echo $3)
case $mode in
*after)
	case $0 in
	*/setsid) %[2]s "$@" & ;; # it becomes the agent
	*) %[2]s "$@" ;;
	esac ;;
esac
: >%[1]s/struck
case $mode in
all*) kill -9 -- "-$group" ;;
*) kill -9 "$group" ;;
esac
case $mode in
*before) exec %[2]s "$@" ;;
esac
`, bin, path)
		if err := os.WriteFile(filepath.Join(bin, tool), []byte(text), 0o700); err != nil { //nolint:gosec // a script
			t.Fatal(err)
		}
	}
	s.env = []string{"PATH=" + bin + ":" + os.Getenv("PATH")}
	arm = func(n int, mode string) {
		_ = os.Remove(filepath.Join(bin, "struck"))
		if err := os.WriteFile(filepath.Join(bin, "plan"), fmt.Appendf(nil, "%d %s\n", n, mode), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	arm(0, "none")
	return arm, func() bool {
		_, err := os.Stat(filepath.Join(bin, "struck"))
		return err == nil
	}
}

// A script that is killed between any two of its steps, with or without what it started,
// is taken up by the next call: one agent, and after the end none and nothing else.
func TestScriptsSurviveBeingKilledAnywhere(t *testing.T) {
	s := newServer(t)
	arm, struck := deadly(t, s)
	for _, mode := range []string{"all-before", "all-after", "one-before", "one-after"} {
		t.Run(mode, func(t *testing.T) {
			for n := 1; ; n++ {
				name := fmt.Sprintf("%s-%d", mode, n)
				h := s.host(name)
				p := newPool(t, s.configOf(h))
				l := leaseOn(h, "lease-"+name)
				arm(n, mode)
				_, err := p.Launch(t.Context(), request(l))
				inLaunch := struck()
				if err != nil && (!inLaunch || purser.KindOf(err) != purser.KindUnavailable) {
					t.Fatalf("launch that is killed at step %d: %v", n, err)
				}
				arm(0, mode)
				if in, err := p.Launch(t.Context(), request(l)); err != nil || in.State != providers.Running {
					t.Fatalf("launch after one that was killed at step %d: %+v, %v", n, in, err)
				}
				eventually(t, "one agent lives", func() bool { return len(livingAgents(s.home(name))[l.ID]) == 1 })

				arm(n, mode)
				err = p.Terminate(t.Context(), l)
				if err == nil {
					_, err = p.Describe(t.Context(), l)
				}
				inEnd := struck()
				if err != nil && (!inEnd || purser.KindOf(err) != purser.KindUnavailable) {
					t.Fatalf("end that is killed at step %d: %v", n, err)
				}
				arm(0, mode)
				if err := p.Terminate(t.Context(), l); err != nil {
					t.Fatalf("end after one that was killed at step %d: %v", n, err)
				}
				eventually(t, "the machine is gone", func() bool {
					in, err := p.Describe(t.Context(), l)
					return err == nil && in.State == providers.Gone
				})
				if in, err := p.Launch(t.Context(), request(l)); err != nil || in.State != providers.Gone {
					t.Fatalf("launch after the end: %+v, %v", in, err)
				}
				if n := len(marksOf(s.home(name), "agent")[l.ID]); n != 1 {
					t.Fatalf("%d agents began", n)
				}
				if left := leavings(t, s.home(name)); len(left) > 0 {
					t.Fatalf("left over: %v", left)
				}
				if !inLaunch && !inEnd {
					if n < 8 {
						t.Fatalf("only %d steps were killed", n)
					}
					return
				}
			}
		})
	}
}

// Of a script that does not arrive whole nothing is done.
func TestHalfAScriptDoesNothing(t *testing.T) {
	s := newServer(t)
	h := s.host("a")
	p := newPool(t, s.configOf(h))
	l := leaseOn(h, "lease-a")
	v, err := p.launchValues(p.hosts["a"], request(l))
	if err != nil {
		t.Fatal(err)
	}
	text, err := compose("launch", v)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{1, 2, 30, 400, len(text) / 2, len(text) - 200, len(text)} {
		s.set(nil, func(string) int { return n })
		if _, err := p.Launch(t.Context(), request(l)); purser.KindOf(err) != purser.KindUnavailable {
			t.Errorf("a launch of which %d bytes arrive: %v", n, err)
		}
		if _, err := os.Stat(filepath.Join(s.home("a"), ".purser")); err == nil && n < len(text) {
			t.Errorf("%d of %d bytes of a script have made a folder", n, len(text))
		}
	}
}

// A program that arrives in part is never run, and the next launch brings it whole.
func TestUploadThatIsCutOff(t *testing.T) {
	s := newServer(t)
	h := s.host("a")
	p := newPool(t, s.configOf(h))
	l := leaseOn(h, "lease-a")
	for _, n := range []int{1, 50, len(agentProgram) - 1} {
		s.set(nil, func(command string) int {
			if strings.Contains(command, "programs") {
				return n
			}
			return 0
		})
		if _, err := p.Launch(t.Context(), request(l)); purser.KindOf(err) != purser.KindUnavailable {
			t.Errorf("a launch whose program is cut off after %d bytes: %v", n, err)
		}
		if files, _ := filepath.Glob(filepath.Join(s.home("a"), ".purser/a/programs/*")); len(files) > 0 {
			t.Errorf("a program that is cut off after %d bytes has left %v", n, files)
		}
		if in, err := p.Describe(t.Context(), l); err != nil || in.State != providers.Pending {
			t.Errorf("a launch without a program: %+v, %v", in, err)
		}
	}
	s.set(nil, nil)
	if in, err := p.Launch(t.Context(), request(l)); err != nil || in.State != providers.Running {
		t.Errorf("the launch with its program: %+v, %v", in, err)
	}
}

// A new program replaces the old one for the next lease and leaves the running agent alone;
// Sweep removes the old file.
func TestProgramIsKeptUpToDate(t *testing.T) {
	s := newServer(t)
	h := s.host("a")
	c := s.configOf(h)
	p := newPool(t, c)
	if _, err := p.Launch(t.Context(), request(leaseOn(h, "lease-a"))); err != nil {
		t.Fatal(err)
	}
	uploads := func() int {
		n := 0
		for _, command := range s.ran() {
			if strings.Contains(command, "programs") {
				n++
			}
		}
		return n
	}
	if _, err := p.Launch(t.Context(), request(leaseOn(h, "lease-b"))); err != nil || uploads() != 1 {
		t.Errorf("the second lease: %v, %d uploads", err, uploads())
	}
	c.Program = programOf(agentProgram + "# newer\n")
	newer := newPool(t, c)
	if _, err := newer.Launch(t.Context(), request(leaseOn(h, "lease-c"))); err != nil || uploads() != 2 {
		t.Errorf("the lease with a newer program: %v, %d uploads", err, uploads())
	}
	eventually(t, "three agents live", func() bool {
		living := livingAgents(s.home("a"))
		return len(living["lease-a"]) == 1 && len(living["lease-b"]) == 1 && len(living["lease-c"]) == 1
	})
	files, _ := filepath.Glob(filepath.Join(s.home("a"), ".purser/a/programs/*"))
	if len(files) != 2 {
		t.Fatalf("programs on the host: %v", files)
	}
	old := ""
	for _, f := range files {
		if !strings.HasSuffix(f, newer.sum("amd64")) {
			old = f
		}
	}
	backdate(t, files...)
	if n, err := newer.Sweep(t.Context(), 0); err != nil || n != 1 {
		t.Errorf("Sweep removed %d, %v; want the old program", n, err)
	}
	if _, err := os.Stat(old); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the old program is still there: %v", err)
	}
	if got, err := newer.List(t.Context()); err != nil || len(got) != 3 || got[0].State != providers.Running {
		t.Errorf("List after the sweep: %+v, %v", got, err)
	}
}

func TestSpoiltProgramIsBroughtAnew(t *testing.T) {
	s := newServer(t)
	h := s.host("a")
	p := newPool(t, s.configOf(h))
	if _, err := p.Launch(t.Context(), request(leaseOn(h, "lease-a"))); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(s.home("a"), ".purser/a/programs/purser-"+p.sum("amd64"))
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("#!/bin/sh\nexit 1\n"), 0o700); err != nil { //nolint:gosec // a script
		t.Fatal(err)
	}
	if in, err := p.Launch(t.Context(), request(leaseOn(h, "lease-b"))); err != nil || in.State != providers.Running {
		t.Errorf("launch over a spoilt program: %+v, %v", in, err)
	}
	// What the server itself has wrong is said, and nothing is run.
	c := s.configOf(h)
	c.Program = func(arch string) (Program, error) {
		program, err := programOf("other")(arch)
		program.Open = mustProgram(t).Open
		return program, err
	}
	if _, err := newPool(t, c).Launch(t.Context(), request(leaseOn(h, "lease-c"))); purser.KindOf(err) != purser.KindInvalid {
		t.Errorf("a program that is not what its checksum says: %v", err)
	}
	c.Program = func(string) (Program, error) { return Program{}, errors.New("it was not built") }
	if _, err := newPool(t, c).Launch(t.Context(), request(leaseOn(h, "lease-c"))); purser.KindOf(err) != purser.KindInvalid {
		t.Errorf("no program: %v", err)
	}
}

func mustProgram(t *testing.T) Program {
	t.Helper()
	program, err := programOf(agentProgram)("amd64")
	if err != nil {
		t.Fatal(err)
	}
	return program
}
