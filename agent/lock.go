package agent

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"

	"purser"
)

// lock takes the lease's lock, which the kernel gives back when the process ends
// however it ends. The file holds "pid start" of who has it.
func lock(dir string, lease purser.LeaseID) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "agent.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, purser.Wrap(purser.KindInternal, "agent.lock", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = purser.Errorf(purser.KindConflict, "agent.lock", "another agent already works for lease %s", lease)
	}
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = f.WriteAt([]byte(itoa(os.Getpid())+" "+processStart(os.Getpid())+"\n"), 0)
	}
	if err != nil {
		_ = f.Close()
		return nil, purser.Wrap(purser.KindInternal, "agent.lock", err)
	}
	return f, nil
}
