//go:build unix

package local

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"purser"
)

// lockDir takes the lock that all servers of this host share. Holders keep it for
// milliseconds, so it is simply tried until ctx ends.
func lockDir(ctx context.Context, dir string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(dir, "provider.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, purser.Wrap(purser.KindInternal, "local.lock", err)
	}
	for {
		err := ctx.Err()
		if err == nil {
			err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		}
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			_ = f.Close()
			return nil, err
		}
		select {
		case <-ctx.Done():
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// lockHolder is the process that holds an agent's record lock, or 0. Asking does
// not take it.
func lockHolder(path string) int {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return 0
	}
	defer func() { _ = f.Close() }()
	l := syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart}
	if err := syscall.FcntlFlock(f.Fd(), syscall.F_GETLK, &l); err != nil || l.Type == syscall.F_UNLCK {
		return 0
	}
	return int(l.Pid)
}

// signalAgent reaches the agent, which leads a group of its own; its tasks have other
// groups. An agent that is gone already needs no signal.
func signalAgent(pid int, sig syscall.Signal) {
	if pid > 1 {
		_ = syscall.Kill(-pid, sig)
	}
}

// killLeftovers kills what a dead agent's tasks left: the process groups that it
// noted, and, where the system shows environments, every process that an agent of
// this folder gave its contract to. left says that some were still there.
func killLeftovers(dir string) (left bool, err error) {
	notes, err := filepath.Glob(filepath.Join(dir, "groups", "*"))
	if err != nil {
		return false, err
	}
	for _, note := range notes {
		b, err := os.ReadFile(note)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return false, err
		}
		pid, start, _ := strings.Cut(strings.TrimSpace(string(b)), " ")
		group, err := strconv.Atoi(pid)
		if err == nil && group > 1 {
			// A number is not given anew while a group has it; a first process with
			// another start is somebody else's.
			if now := processStart(group); (now == "" || now == start) && groupLives(group) {
				_ = syscall.Kill(-group, syscall.SIGKILL)
				left = true
				continue // the note stays until the group is gone
			}
		}
		if err := os.Remove(note); err != nil {
			return left, err
		}
	}
	for _, pid := range processesWith(taskMark(dir)) {
		_ = syscall.Kill(pid, syscall.SIGKILL)
		left = true
	}
	return left, nil
}

// agentMark is what the environment of a folder's agent holds, and of nothing else.
func agentMark(dir string) string { return "PURSER_AGENT_DIR=" + dir + "\x00" }

// taskMark is how a variable begins that every process of a folder's tasks has.
func taskMark(dir string) string { return "PURSER_PROGRESS_FILE=" + dir + "/tasks/" }

func itoa(n int) string { return strconv.Itoa(n) }
