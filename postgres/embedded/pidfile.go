//go:build unix

package embedded

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// pidFile is what the launcher reads of postmaster.pid: line 1 is the server's pid,
// line 5 its socket's folder, line 8 its state ("starting", "ready", "stopping").
// PostgreSQL writes and removes the file; the launcher never does.
type pidFile struct {
	pid     int
	sockets string
	state   string
}

// readPidFile gives false when the file is missing or not yet whole.
func readPidFile(dataDir string) (pidFile, bool) {
	data, err := os.ReadFile(filepath.Join(dataDir, "postmaster.pid"))
	if err != nil {
		return pidFile{}, false
	}
	return parsePidFile(string(data))
}

func parsePidFile(text string) (pidFile, bool) {
	lines := strings.Split(text, "\n")
	if len(lines) < 2 {
		return pidFile{}, false
	}
	pid, err := strconv.Atoi(strings.TrimSpace(lines[0]))
	if err != nil || pid <= 0 {
		return pidFile{}, false
	}
	f := pidFile{pid: pid}
	if len(lines) > 4 {
		f.sockets = lines[4]
	}
	if len(lines) > 7 {
		f.state = strings.TrimSpace(lines[7])
	}
	return f, true
}

// alive reports whether a process has this pid, whoever owns it.
func alive(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}

// isServerOn reports whether pid is a PostgreSQL server that was started on dataDir,
// and not some process that was given the pid of one that has gone.
func isServerOn(pid int, dataDir string) bool {
	args := processArguments(pid)
	program, rest, found := strings.Cut(args, " -D ")
	base := filepath.Base(program)
	return found && (base == "postgres" || base == "postmaster") && strings.HasPrefix(rest+" ", dataDir+" ")
}
