//go:build unix

package embedded

import (
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"purser"
)

const (
	// logLimit is the size in bytes at which the log moves to .1, replacing that.
	logLimit = 8 << 20
	// logCheck is how often its size is looked at.
	logCheck = 30 * time.Second
)

// serverLog is the file that the server writes its messages to. The server holds the
// file itself, not a pipe to the launcher, so that it never waits for the launcher and can still
// write when the launcher is gone.
type serverLog struct {
	file *os.File
	path string
}

func logPath(dataDir string) string {
	return filepath.Join(filepath.Dir(dataDir), "log", filepath.Base(dataDir)+".log")
}

func openLog(dataDir string) (*serverLog, error) {
	const op = "embedded.log"
	path := logPath(dataDir)
	dir := filepath.Dir(path)
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fail(purser.KindUnavailable, op, err, "the folder %s for the server's log cannot be made", dir)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fail(purser.KindUnavailable, op, err, "the server's log %s cannot be opened", path)
	}
	return &serverLog{file: f, path: path}, nil
}

// size is where the next message begins.
func (l *serverLog) size() int64 {
	info, err := l.file.Stat()
	if err != nil {
		return 0
	}
	return info.Size()
}

// since is what was written after offset, at most 64 KiB of it.
func (l *serverLog) since(offset int64) string {
	size := l.size()
	if size < offset {
		offset = 0
	}
	offset = max(offset, size-64<<10)
	data, err := io.ReadAll(io.NewSectionReader(l.file, offset, size-offset))
	if err != nil {
		return ""
	}
	return string(data)
}

// complaint is the last thing in text that the server or initdb gives as a reason.
func complaint(text string) string {
	var last, reason string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		last = line
		if strings.Contains(line, "FATAL:") || strings.Contains(line, "PANIC:") || strings.HasPrefix(line, "initdb: error:") {
			reason = line
		}
	}
	if reason != "" {
		return reason
	}
	return last
}

// watch keeps the log within its limit until done is closed.
func (l *serverLog) watch(done <-chan struct{}, logger *slog.Logger) {
	tick := time.NewTicker(logCheck)
	defer tick.Stop()
	for {
		if err := l.rotate(logLimit); err != nil {
			logger.Warn("postgres log cannot be shortened", "path", l.path, "error", err)
		}
		select {
		case <-done:
			return
		case <-tick.C:
		}
	}
}

// rotate copies a log of limit bytes or more to .1 and empties it. The server keeps its file and,
// since that is open for appending, goes on at the new end; a line written between the two
// steps is lost.
func (l *serverLog) rotate(limit int64) error {
	if l.size() < limit {
		return nil
	}
	old, err := os.OpenFile(l.path+".1", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(old, io.NewSectionReader(l.file, 0, l.size()))
	if err = errors.Join(err, old.Close()); err != nil {
		return err
	}
	return l.file.Truncate(0)
}
