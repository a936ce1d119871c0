package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"purser"
	"purser/postgres"
)

func (a *App) startFolders(context.Context) error {
	for _, dir := range []string{a.config.DataDir, a.machinesDir(), a.cacheDir()} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return unusable(a.config.DataDir, "cannot be made", err)
		}
	}
	if err := ours(a.config.DataDir); err != nil {
		return err
	}
	if err := writable(a.config.DataDir); err != nil {
		return err
	}
	host := a.options.Host
	if host == "" {
		h, err := os.Hostname()
		if err != nil {
			return purser.Wrap(purser.KindInternal, "app.Start", err)
		}
		host = h
	}
	a.host = host
	a.replica = postgres.NewID("server", a.now())
	var err error
	a.sweeps, err = a.newSweeps()
	return err
}

func (a *App) machinesDir() string { return filepath.Join(a.config.DataDir, "machines") }
func (a *App) cacheDir() string    { return filepath.Join(a.config.DataDir, "cache") }

func unusable(dir, why string, cause error) error {
	return &purser.Error{
		Kind: purser.KindForbidden, Op: "app.Start", Message: fmt.Sprintf("the data folder %s %s", dir, why),
		Hint: "name another with --data-dir", Cause: cause,
	}
}

// ours refuses a folder of another account: who owns it could change the token and
// the programs that lie in it. Root's folders are as good as ours.
func ours(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return unusable(dir, "cannot be read", err)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if me := os.Geteuid(); ok && me != 0 && st.Uid != 0 && int(st.Uid) != me {
		return unusable(dir, "belongs to another account", nil)
	}
	return nil
}

func writable(dir string) error {
	f, err := os.CreateTemp(dir, ".writable-*")
	if err == nil {
		err = errors.Join(f.Close(), os.Remove(f.Name()))
	}
	if err != nil {
		return unusable(dir, "cannot be written", err)
	}
	return nil
}

// hostLock keeps servers of one host that share a database from standing in for the
// same machines out of different folders: each would start a lease's machine. It is
// held for as long as the server runs. A database of the server's own needs none.
func (a *App) hostLock(context.Context) error {
	if a.private != nil {
		return nil
	}
	release, err := lockHost(a.lockDir, a.installation, a.host, a.config.DataDir)
	switch {
	case errors.Is(err, errCannotLock):
		a.log.Warn("other servers of this host cannot be seen", slog.Any("error", err))
		return nil
	case err != nil:
		return err
	}
	a.undo = append(a.undo, func(context.Context) error { return release() })
	return nil
}

// errCannotLock says that the folder for locks is of no use.
var errCannotLock = errors.New("no lock can be kept")

const (
	lockTries = 20
	lockPause = 50 * time.Millisecond
)

// lockHost takes a lock that servers with the same data folder share, and others are
// refused (conflict).
func lockHost(dir, installation, host, dataDir string) (release func() error, err error) {
	sum := sha256.Sum256([]byte(installation + "\x00" + host))
	path := filepath.Join(dir, fmt.Sprintf("purser-%d-%s.host", os.Geteuid(), hex.EncodeToString(sum[:8])))
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errCannotLock, err)
	}
	for try := range lockTries {
		if try > 0 {
			time.Sleep(lockPause) // the holder may be writing its folder down
		}
		done, err := tryLock(f, dataDir)
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		if done {
			return f.Close, nil
		}
	}
	holder, _ := holderOf(f)
	return nil, errors.Join(&purser.Error{
		Kind: purser.KindConflict, Op: "app.Start", Message: fmt.Sprintf("another server of this host uses the same database with the data folder %s", holder),
		Hint: "give both the same --data-dir, or stop that one",
	}, f.Close())
}

// tryLock takes the lock alone and writes the folder down, or shares it with a holder
// of the same folder.
func tryLock(f *os.File, dataDir string) (bool, error) {
	fd := int(f.Fd())
	err := syscall.Flock(fd, syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		if err = f.Truncate(0); err == nil {
			_, err = f.WriteAt([]byte(dataDir), 0)
		}
		if err == nil {
			err = syscall.Flock(fd, syscall.LOCK_SH)
		}
		if err != nil {
			return false, fmt.Errorf("%w: %w", errCannotLock, err)
		}
		return true, nil
	}
	if !errors.Is(err, syscall.EWOULDBLOCK) {
		return false, fmt.Errorf("%w: %w", errCannotLock, err)
	}
	holder, err := holderOf(f)
	if err != nil || holder != dataDir {
		return false, err
	}
	return syscall.Flock(fd, syscall.LOCK_SH|syscall.LOCK_NB) == nil, nil
}

func holderOf(f *os.File) (string, error) {
	b := make([]byte, 4096)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("%w: %w", errCannotLock, err)
	}
	return string(b[:n]), nil
}

// missing says whether a path is not there.
func missing(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist)
}
