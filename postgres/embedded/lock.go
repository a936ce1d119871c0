//go:build unix

package embedded

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"purser"
)

// lock is the launcher's claim on one data folder. The kernel frees it when the
// launcher dies, however it dies; the file itself stays, because removing it would let two
// launchers lock two files of one name.
type lock struct {
	file *os.File
}

func acquire(path, dataDir string) (*lock, error) {
	const op = "embedded.lock"
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) // close-on-exec: the server must not hold it
	if errors.Is(err, fs.ErrPermission) {
		return nil, hint(fail(purser.KindForbidden, op, err, "the lock %s cannot be opened by this user", path),
			"run purser as the owner of %s, or choose another data folder", dataDir)
	}
	if err != nil {
		return nil, fail(purser.KindUnavailable, op, err, "the lock %s cannot be opened", path)
	}
	if err := flock(f); err != nil {
		holder := holderOf(f)
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, hint(fail(purser.KindConflict, op, err, "the data folder %s is already in use by another purser%s", dataDir, holder),
				"stop that one, or choose another data folder")
		}
		return nil, fail(purser.KindUnavailable, op, err, "the file system of %s cannot lock files", path)
	}
	l := &lock{file: f}
	if err := l.note(); err != nil {
		l.release()
		return nil, fail(purser.KindUnavailable, op, err, "the lock %s cannot be written", path)
	}
	return l, nil
}

func flock(f *os.File) error {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// note writes who holds the lock, for the one who is refused.
func (l *lock) note() error {
	if err := l.file.Truncate(0); err != nil {
		return err
	}
	_, err := l.file.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
	return err
}

func holderOf(f *os.File) string {
	var buf [32]byte
	n, _ := f.ReadAt(buf[:], 0) // best effort: only a detail of the message
	if pid := strings.TrimSpace(string(buf[:n])); pid != "" {
		return " (process " + pid + ")"
	}
	return ""
}

func (l *lock) release() {
	// Unlocked first: a process that is being started holds the file, too, until it has become its program, and closing would leave it locked.
	_ = syscall.Flock(int(l.file.Fd()), syscall.LOCK_UN) // closing frees it as well, only later
	l.file.Close()                                       // nothing was written that could be lost
}
