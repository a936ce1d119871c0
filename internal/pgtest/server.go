//go:build unix

package pgtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"purser/postgres/embedded"
)

const (
	// folderPrefix names the folders of test servers in the temporary folder.
	folderPrefix = "purser-pgtest-"
	// socketPrefix names the folders that embedded makes for sockets.
	socketPrefix = "purser-pg-"
	// abandonedAfter is the age at which a folder that no server holds is removed.
	abandonedAfter = 15 * time.Minute
	// cacheForm changes when clusters cached by an older pgtest cannot be used.
	cacheForm = 1
	// binariesVariable may name a folder with PostgreSQL's programs, to test with those.
	binariesVariable = "PURSER_TEST_POSTGRES_BIN"
)

// start runs a server in a folder of its own in the temporary folder.
func start() (*embedded.Server, string, error) {
	sweep(os.TempDir())
	folder, err := os.MkdirTemp("", folderPrefix)
	if err != nil {
		return nil, "", err
	}
	server, err := startIn(folder)
	if err != nil {
		return nil, "", errors.Join(err, os.RemoveAll(folder))
	}
	return server, folder, nil
}

func startIn(folder string) (*embedded.Server, error) {
	if err := os.Chmod(folder, 0o755); err != nil { // as root, the server's user passes through it
		return nil, err
	}
	cfg := embedded.Config{
		DataDir:     filepath.Join(folder, "data"),
		BinDir:      os.Getenv(binariesVariable),
		NodeModules: nodeModules(),
		Parameters: map[string]string{
			"max_connections":    "400", // tests run side by side, each with its pool
			"shared_buffers":     "64MB",
			"wal_level":          "minimal",
			"max_wal_senders":    "0",
			"max_wal_size":       "4GB",
			"checkpoint_timeout": "1h",
		},
	}
	bins, err := embedded.FindBinaries(cfg)
	if err != nil {
		return nil, err
	}
	cfg.BinDir = bins.Dir
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	cached, err := cachePath(bins)
	if err != nil {
		return embedded.Start(ctx, cfg) // no cache folder here: make every cluster anew
	}
	if _, err := os.Stat(cached); err != nil {
		return startAndCache(ctx, cfg, cached)
	}
	if err := copyFolder(cached, cfg.DataDir); err == nil {
		if server, err := embedded.Start(ctx, cfg); err == nil {
			return server, nil
		}
	}
	// A cache that does not work is replaced.
	if err := errors.Join(os.RemoveAll(cached), os.RemoveAll(cfg.DataDir)); err != nil {
		return nil, err
	}
	return startAndCache(ctx, cfg, cached)
}

// cachePath is where a freshly made cluster of these programs is kept, since making one
// takes a second and copying one a tenth.
func cachePath(bins embedded.Binaries) (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir = filepath.Join(dir, "purser-test")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	return filepath.Join(dir, fmt.Sprintf("cluster%d-%s-%s", cacheForm, bins.Version, runtime.GOARCH)), nil
}

// startAndCache makes a cluster, copies it while it is stopped, and runs it again. The copy
// takes its name when it is whole; of several test binaries that do this at once one wins.
func startAndCache(ctx context.Context, cfg embedded.Config, cached string) (*embedded.Server, error) {
	server, err := embedded.Start(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if err := server.Stop(ctx); err != nil {
		return nil, err
	}
	temp, err := os.MkdirTemp(filepath.Dir(cached), "making-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(temp)
	whole := filepath.Join(temp, "data")
	if err := copyFolder(cfg.DataDir, whole); err != nil {
		return nil, err
	}
	if err := os.Rename(whole, cached); err != nil && !errors.Is(err, fs.ErrExist) && !errors.Is(err, syscall.ENOTEMPTY) {
		return nil, err
	}
	return embedded.Start(ctx, cfg)
}

// copyFolder copies folders and files with their permissions; the copy is the caller's.
func copyFolder(from, to string) error {
	return filepath.WalkDir(from, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, name)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.Mkdir(filepath.Join(to, rel), 0o700)
		}
		return copyFile(name, filepath.Join(to, rel))
	})
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// nodeModules is the repository's node_modules, found from the folder the test runs in.
func nodeModules() string {
	dir, err := os.Getwd()
	if err != nil {
		return ""
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(dir, "node_modules")
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return ""
		}
		dir = parent
	}
}

// sweep removes what crashed test binaries left: folders whose lock is free, and
// empty socket folders. What cannot be removed is somebody else's.
func sweep(base string) {
	entries, err := os.ReadDir(base)
	if err != nil {
		return
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.IsDir() || time.Since(info.ModTime()) < abandonedAfter {
			continue
		}
		path := filepath.Join(base, e.Name())
		switch {
		case strings.HasPrefix(e.Name(), folderPrefix):
			removeAbandoned(path)
		case strings.HasPrefix(e.Name(), socketPrefix):
			os.Remove(path) // fails when a socket is in it
		}
	}
}

// removeAbandoned removes a test server's folder when no launcher holds its lock and no
// server is left in it.
func removeAbandoned(folder string) {
	if _, err := os.Stat(filepath.Join(folder, "data", "postmaster.pid")); err == nil {
		if !serverGone(folder) {
			return
		}
	}
	lock, err := os.OpenFile(filepath.Join(folder, "data.lock"), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		os.RemoveAll(folder)
		return
	}
	if err != nil {
		return
	}
	defer lock.Close()
	if syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
		os.RemoveAll(folder)
	}
}

// serverGone reports whether the pid in postmaster.pid belongs to no process.
func serverGone(folder string) bool {
	data, err := os.ReadFile(filepath.Join(folder, "data", "postmaster.pid"))
	if err != nil {
		return false
	}
	var pid int
	if _, err := fmt.Sscan(string(data), &pid); err != nil || pid <= 0 {
		return true
	}
	return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
}
