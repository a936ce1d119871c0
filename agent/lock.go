package agent

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"purser"
)

// reserve takes a port among the agents that share a folder. The kernel gives it
// back when the file is closed or the process ends.
func reserve(folder string, port int) (*os.File, error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, purser.Wrap(purser.KindInternal, "agent.reserve", err)
	}
	return exclusive(filepath.Join(folder, itoa(port)+".lock"), fmt.Sprintf("another agent of this host has port %d", port))
}

// lock takes the lease's lock, which the kernel gives back when the process ends,
// however it ends. It is a record lock (fcntl), so that the provider can ask who
// holds it without taking it. The file is never opened twice by an agent: closing any
// descriptor of it would give the lock back.
func lock(dir string, lease purser.LeaseID) (*os.File, error) {
	return exclusive(filepath.Join(dir, "agent.lock"), fmt.Sprintf("another agent already works for lease %s", lease))
}

// exclusive opens a file and takes its record lock; conflict when another process
// has it.
func exclusive(path, taken string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, purser.Wrap(purser.KindInternal, "agent.lock", err)
	}
	err = syscall.FcntlFlock(f.Fd(), syscall.F_SETLK, &syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart})
	if err == nil {
		return f, nil
	}
	_ = f.Close()
	if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EACCES) {
		return nil, purser.Errorf(purser.KindConflict, "agent.lock", "%s", taken)
	}
	return nil, purser.Wrap(purser.KindInternal, "agent.lock", err)
}
