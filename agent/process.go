package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"purser"
)

// outcome is how a command ended.
type outcome struct {
	code   int // exit code; 128 + the signal's number for one that was killed
	reason string
}

// command is one process with its group.
type command struct {
	argv  []string
	dir   string
	env   []string
	note  string // file that notes the group while it lives
	log   *taskLog
	grace time.Duration
}

// drainTime is how long a stream is read on after its process and group are gone:
// only a process that left its group can hold it open.
const drainTime = 2 * time.Second

// run starts the command in a process group of its own and waits for its end. When
// ctx ends the group gets SIGTERM, and SIGKILL after the grace; when its first
// process has ended, what is left of the group is killed.
func (c command) run(ctx context.Context) (outcome, error) {
	// The kernel kills the process when the thread that started it ends, which is
	// meant to be when this agent does.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	cmd := exec.CommandContext(context.WithoutCancel(ctx), c.argv[0], c.argv[1:]...)
	cmd.Dir, cmd.Env, cmd.SysProcAttr = c.dir, c.env, groupAttr()
	finish, err := c.pipes(cmd)
	if err != nil {
		return outcome{}, err
	}
	if err := cmd.Start(); err != nil {
		finish()
		return outcome{}, purser.Errorf(purser.KindInvalid, "agent.run", "the command cannot be started: %w", err)
	}
	group := cmd.Process.Pid
	noteErr := noteGroup(c.note, group)
	stopped := make(chan struct{})
	var stopping sync.WaitGroup
	stopping.Go(func() { c.stop(ctx, group, stopped) })
	if noteErr != nil {
		_ = signalGroup(group, syscall.SIGKILL) // what is not noted might outlive a crash
	}
	err = cmd.Wait()
	close(stopped)
	stopping.Wait()
	_ = signalGroup(group, syscall.SIGKILL)
	finish()
	_ = os.Remove(c.note)
	if noteErr != nil {
		return outcome{}, purser.Wrap(purser.KindInternal, "agent.run", noteErr)
	}
	return outcomeOf(err)
}

// stop ends the group when ctx does.
func (c command) stop(ctx context.Context, group int, stopped <-chan struct{}) {
	select {
	case <-stopped:
		return
	case <-ctx.Done():
	}
	_ = signalGroup(group, syscall.SIGTERM)
	t := time.NewTimer(c.grace)
	defer t.Stop()
	select {
	case <-stopped:
	case <-t.C:
		_ = signalGroup(group, syscall.SIGKILL)
	}
}

// pipes connects the streams to the log. They are pipes of our own, so that Wait
// ends with the process and not with whoever holds its streams.
func (c command) pipes(cmd *exec.Cmd) (finish func(), err error) {
	var readers, writers []*os.File
	var reading sync.WaitGroup
	for _, s := range []struct {
		name string
		to   func(*os.File)
	}{
		{"stdout", func(f *os.File) { cmd.Stdout = f }},
		{"stderr", func(f *os.File) { cmd.Stderr = f }},
	} {
		r, w, err := os.Pipe()
		if err != nil {
			for _, f := range append(readers, writers...) {
				_ = f.Close()
			}
			return nil, purser.Wrap(purser.KindUnavailable, "agent.run", err)
		}
		readers, writers = append(readers, r), append(writers, w)
		s.to(w)
		reading.Go(func() { c.log.capture(s.name, r) })
	}
	return func() {
		for _, w := range writers {
			_ = w.Close()
		}
		for _, r := range readers {
			_ = r.SetReadDeadline(time.Now().Add(drainTime)) // pipes are polled, so this cuts the reading short
		}
		reading.Wait()
		for _, r := range readers {
			_ = r.Close()
		}
	}, nil
}

func outcomeOf(err error) (outcome, error) {
	if err == nil {
		return outcome{}, nil
	}
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		return outcome{}, purser.Wrap(purser.KindInternal, "agent.run", err)
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	if ok && status.Signaled() {
		sig := status.Signal()
		reason := fmt.Sprintf("killed by signal %d (%s)", int(sig), sig)
		if sig == syscall.SIGKILL {
			reason += ", perhaps for want of memory"
		}
		return outcome{code: 128 + int(sig), reason: reason}, nil
	}
	return outcome{code: exit.ExitCode(), reason: "exit code " + itoa(exit.ExitCode())}, nil
}

func signalGroup(group int, sig syscall.Signal) error { return syscall.Kill(-group, sig) }

// noteGroup notes a process group on disk with the start of its first process, by
// which a later process of the same number is told apart.
func noteGroup(path string, group int) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(itoa(group)+" "+processStart(group)+"\n"), 0o600)
}

// endLeftovers kills the process groups that an earlier agent noted and did not see
// end. The provider that starts agents reads the same notes.
func endLeftovers(dir string) error {
	notes, err := filepath.Glob(filepath.Join(dir, "groups", "*"))
	if err != nil {
		return err
	}
	for _, note := range notes {
		b, err := os.ReadFile(note)
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			return err
		}
		pid, start, _ := strings.Cut(strings.TrimSpace(string(b)), " ")
		group, err := strconv.Atoi(pid)
		if err == nil && group > 1 {
			// A group whose first process is gone keeps its number from being given
			// anew; a first process with another start is somebody else's.
			if now := processStart(group); now == "" || now == start {
				_ = signalGroup(group, syscall.SIGKILL)
			}
		}
		if err := os.Remove(note); err != nil {
			return err
		}
	}
	return nil
}

func itoa(n int) string { return strconv.Itoa(n) }
