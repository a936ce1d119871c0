package agent

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"purser"
)

// lock takes the lease's lock, which the kernel gives back when the process ends,
// however it ends. It is a record lock (fcntl), so that the provider can ask who
// holds it without taking it. The file is never opened twice by an agent: closing any
// descriptor of it would give the lock back.
func lock(dir string, lease purser.LeaseID) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "agent.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, purser.Wrap(purser.KindInternal, "agent.lock", err)
	}
	err = syscall.FcntlFlock(f.Fd(), syscall.F_SETLK, &syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart})
	if err == nil {
		return f, nil
	}
	_ = f.Close()
	if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EACCES) {
		return nil, purser.Errorf(purser.KindConflict, "agent.lock", "another agent already works for lease %s", lease)
	}
	return nil, purser.Wrap(purser.KindInternal, "agent.lock", err)
}
