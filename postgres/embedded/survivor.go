//go:build unix

package embedded

import (
	"context"
	"log/slog"
	"syscall"
	"time"

	"purser"
)

const (
	fastStop     = 30 * time.Second // SIGINT until SIGQUIT
	crashStop    = 10 * time.Second // SIGQUIT until SIGKILL
	progressStep = 10 * time.Second // between two lines about something slow
)

// endSurvivor ends a server that outlived its launcher, and waits for it. We hold the lock, so
// no launcher is left that wants it. It returns the pid that a stale postmaster.pid names
// when an unrelated process has that pid now, else 0.
func endSurvivor(ctx context.Context, dataDir string, logger *slog.Logger) (taken int, err error) {
	const op = "embedded.survivor"
	file, ok := readPidFile(dataDir)
	if !ok || !alive(file.pid) {
		return 0, nil
	}
	if !isServerOn(file.pid, dataDir) {
		// Not our server any more, or one that is gone this moment.
		if alive(file.pid) {
			return file.pid, nil
		}
		return 0, nil
	}
	logger.Info("ending a postgres that outlived its launcher", "pid", file.pid)
	began := time.Now()
	for _, step := range []struct {
		signal syscall.Signal
		wait   time.Duration
	}{{syscall.SIGINT, fastStop}, {syscall.SIGQUIT, fastStop}} {
		if err := syscall.Kill(file.pid, step.signal); err != nil && alive(file.pid) {
			return 0, fail(purser.KindConflict, op, err, "a Postgres (process %d) runs on %s and cannot be stopped by this user", file.pid, dataDir)
		}
		gone, err := poll(ctx, step.wait, func() (bool, error) { return !isServerOn(file.pid, dataDir), nil })
		if err != nil {
			return 0, fail(purser.KindUnavailable, op, err, "waiting for an earlier Postgres (process %d) to stop was interrupted", file.pid)
		}
		if gone {
			logger.Info("the earlier postgres has stopped", "pid", file.pid, "waited", time.Since(began))
			return 0, nil
		}
		logger.Warn("the earlier postgres has not stopped yet", "pid", file.pid, "waited", time.Since(began))
	}
	return 0, hint(fail(purser.KindConflict, op, nil, "a Postgres (process %d) runs on %s and did not stop within a minute", file.pid, dataDir), "stop it and start again")
}

// poll asks until it hears true or an error, the time is over (false, nil), or ctx ends.
// It asks often at first and then ten times a second.
func poll(ctx context.Context, limit time.Duration, ask func() (bool, error)) (bool, error) {
	end := time.NewTimer(limit)
	defer end.Stop()
	pause := 5 * time.Millisecond
	for {
		if ok, err := ask(); ok || err != nil {
			return ok, err
		}
		next := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			next.Stop()
			return false, context.Cause(ctx)
		case <-end.C:
			next.Stop()
			return false, nil
		case <-next.C:
		}
		pause = min(2*pause, 100*time.Millisecond)
	}
}
