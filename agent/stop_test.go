package agent

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"purser"
	"purser/api"
)

const saving = `trap 'echo saved > "$PURSER_CHECKPOINT_DIR/last"; exit 0' TERM; echo ready; while :; do sleep 0.05; done`

func ready(s *server, ids ...string) func() bool {
	return func() bool {
		for _, id := range ids {
			if !slices.ContainsFunc(s.lines[purser.TaskID(id)], func(l api.LogLine) bool { return l.Text == "ready" }) {
				return false
			}
		}
		return true
	}
}

// A task that is told to stop saves a checkpoint and is lost, though it ends with 0;
// the next attempt finds what it saved.
func TestStopAtACheckpoint(t *testing.T) {
	s := newServer()
	working(t, s, nil)
	s.order("task-1", func(x *api.TaskSpec) {
		runs(`trap 'echo saved > ckpt/last; exit 0' TERM; echo ready; while :; do sleep 0.05; done`)(x)
		x.Group.Checkpoint.Path = "ckpt" // in the working directory, and lasting all the same
	})
	s.until(t, "it runs", ready(s, "task-1"))
	s.set(func() { s.tasks["task-1"].stop = true })
	rep := s.ended(t, "task-1")
	if rep.State != purser.TaskLost || rep.Reason != "it was told to stop" || rep.Checkpoint == "" || rep.ExitCode == nil || *rep.ExitCode != 0 {
		t.Errorf("report %+v", rep)
	}
	s.order("task-2", func(x *api.TaskSpec) {
		runs("cat ckpt/last")(x)
		x.Group.Checkpoint.Path = "ckpt"
	})
	if rep := s.ended(t, "task-2"); rep.State != purser.TaskSucceeded {
		t.Errorf("the next attempt: %+v", rep)
	}
	if out := s.output("task-2"); !slices.Equal(out, []string{"stdout: saved"}) {
		t.Errorf("the next attempt found %q", out)
	}
}

// A task that the server no longer orders is stopped as well.
func TestStopsWhatIsNoLongerWanted(t *testing.T) {
	s := newServer()
	working(t, s, nil)
	s.order("task-1", runs(saving))
	s.until(t, "it runs", ready(s, "task-1"))
	s.set(func() { s.tasks["task-1"].gone = true })
	if rep := s.ended(t, "task-1"); rep.State != purser.TaskLost {
		t.Errorf("report %+v", rep)
	}
}

// A task that ignores SIGTERM, with children that do, is killed after the grace.
func TestStubbornTaskIsKilled(t *testing.T) {
	s := newServer()
	working(t, s, func(c *Config) { c.StopGrace = 200 * time.Millisecond })
	s.order("task-1", runs(`trap '' TERM; (trap '' TERM; echo $$ ; while :; do sleep 0.05; done) & echo ready; wait; while :; do sleep 0.05; done`))
	s.until(t, "it runs", ready(s, "task-1"))
	s.set(func() { s.tasks["task-1"].stop = true })
	rep := s.ended(t, "task-1")
	if rep.State != purser.TaskLost || *rep.ExitCode != 137 {
		t.Errorf("report %+v", rep)
	}
}

// What a command leaves in the background ends with it, and does not hold its end up.
func TestBackgroundProcessesEndWithTheCommand(t *testing.T) {
	s := newServer()
	working(t, s, nil)
	begun := time.Now()
	s.order("task-1", runs(`sleep 300 & echo $!`))
	if rep := s.ended(t, "task-1"); rep.State != purser.TaskSucceeded {
		t.Errorf("report %+v", rep)
	}
	if d := time.Since(begun); d > 10*time.Second {
		t.Errorf("the end took %s", d)
	}
	var pid int
	if _, err := fmt.Sscanf(s.output("task-1")[0], "stdout: %d", &pid); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the background process is gone", func() bool { return processStart(pid) == "" })
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

// Promise 7: from the order to the agent's end everything is stopped at a checkpoint
// and reported, in less than 25 s with the default grace.
func TestDrain(t *testing.T) {
	for name, order := range map[string]func(s *server, end func() error){
		"by the server":  func(s *server, _ func() error) { s.set(func() { s.drain = true }) },
		"by the machine": func(_ *server, end func() error) { go func() { _ = end() }() },
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer()
			result := make(chan error, 1)
			end := working(t, s, func(c *Config) { c.StopGrace, c.Shape.Devices = 0, 1000 })
			for i := range 3 {
				s.order(fmt.Sprint("task-", i), runs(saving))
			}
			s.order("waits", func(x *api.TaskSpec) { runs("echo never")(x); x.Task.Devices = 4000 })
			s.until(t, "they run", ready(s, "task-0", "task-1", "task-2"))
			begun := time.Now()
			order(s, end)
			for i := range 3 {
				if rep := s.ended(t, fmt.Sprint("task-", i)); rep.State != purser.TaskLost || rep.Checkpoint == "" {
					t.Errorf("report %+v", rep)
				}
			}
			if rep := s.ended(t, "waits"); rep.State != purser.TaskLost || rep.ExitCode != nil || !rep.StartedAt.IsZero() {
				t.Errorf("a task that waited for devices: %+v", rep)
			}
			go func() { result <- end() }()
			select {
			case err := <-result:
				if err != nil {
					t.Errorf("Run returned %v", err)
				}
			case <-time.After(25*time.Second - time.Since(begun)):
				t.Error("the drain took more than 25 s")
			}
		})
	}
}

// A drain ends in time though tasks are stubborn and the server hangs.
func TestDrainIsBounded(t *testing.T) {
	s := newServer()
	var hang bool
	end := working(t, s, func(c *Config) {
		c.StopGrace, c.LastWords = 300*time.Millisecond, 300*time.Millisecond
		c.Dial = func(token string) Server { return hanging{s.dial(token), s, &hang} }
	})
	s.order("task-1", runs(`trap '' TERM; echo ready; while :; do sleep 0.05; done`))
	s.until(t, "it runs", ready(s, "task-1"))
	s.set(func() { hang = true })
	begun := time.Now()
	if err := end(); err != nil {
		t.Errorf("Run returned %v", err)
	}
	if d := time.Since(begun); d > 8*time.Second {
		t.Errorf("the drain took %s; 600 ms were allowed", d)
	}
}
