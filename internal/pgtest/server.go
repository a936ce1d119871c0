//go:build unix

package pgtest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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
	abandonedAfter = 5 * time.Minute
	// memoryFolder is Linux's file system in memory. Making the 1,000 files of a cluster there
	// and the 300 of each clone takes a fraction of the time.
	memoryFolder = "/dev/shm"
	// memoryNeeded is the room in bytes, there and in memory as a whole, below which it is not used.
	memoryNeeded = 6 << 30
	// binariesVariable may name a folder with PostgreSQL's programs, to test with those.
	binariesVariable = "PURSER_TEST_POSTGRES_BIN"
)

// start runs a server in a folder of its own.
func start() (*embedded.Server, string, error) {
	base := base()
	sweep(base)
	folder, err := os.MkdirTemp(base, folderPrefix)
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
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	return embedded.Start(ctx, embedded.Config{
		DataDir:     filepath.Join(folder, "data"),
		BinDir:      os.Getenv(binariesVariable),
		NodeModules: nodeModules(),
		Parameters: map[string]string{
			"max_connections":    "400", // tests run side by side, each with its pool
			"shared_buffers":     "64MB",
			"wal_level":          "minimal",
			"max_wal_senders":    "0",
			"max_wal_size":       "512MB",
			"checkpoint_timeout": "1h",
		},
	})
}

// base is the folder for test servers: in memory where there is plenty, else on disk.
func base() string {
	var st syscall.Statfs_t
	if err := syscall.Statfs(memoryFolder, &st); err != nil || st.Bavail*uint64(st.Bsize) < memoryNeeded || availableMemory() < memoryNeeded {
		return os.TempDir()
	}
	return memoryFolder
}

// availableMemory reads MemAvailable of Linux's /proc/meminfo, in bytes; 0 elsewhere.
func availableMemory() uint64 {
	data, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		var kib uint64
		if _, err := fmt.Sscanf(line, "MemAvailable: %d kB", &kib); err == nil {
			return kib << 10
		}
	}
	return 0
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
	sweepIn(base)
	if temp := os.TempDir(); temp != base {
		sweepIn(temp)
	}
}

func sweepIn(base string) {
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
