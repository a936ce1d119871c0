//go:build unix

package embedded

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"purser"
)

// process is one run of the postgres program.
type process struct {
	pid    int
	handle *os.Process
	exited chan struct{} // closed when it has ended and been waited for
	err    error         // how it ended; read after exited
}

// run starts postgres. taken is a pid that a stale postmaster.pid names and that
// an unrelated process has now; PostgreSQL is told not to take that process for a server. It still checks
// the old server's shared memory, so that this cannot hide a backend that is left.
func run(cfg Config, id identity, bins Binaries, socketDir string, log *serverLog, taken int) (*process, error) {
	cmd := id.command(context.Background(), "/", filepath.Join(bins.Dir, "postgres"), cfg.arguments(socketDir)...)
	cmd.SysProcAttr = id.attributes(syscall.SIGINT)
	cmd.Stdout, cmd.Stderr = log.file, log.file
	if taken != 0 {
		cmd.Env = append(cmd.Env, "PG_GRANDPARENT_PID="+strconv.Itoa(taken))
	}
	p := &process{exited: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The kernel's death signal follows this thread, so it must live as long as the
		// server; without an unlock it ends with this goroutine and serves no other.
		runtime.LockOSThread()
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		p.pid, p.handle = cmd.Process.Pid, cmd.Process
		started <- nil
		p.err = cmd.Wait()
		close(p.exited)
	}()
	if err := <-started; err != nil {
		return nil, fail(purser.KindUnavailable, "embedded.run", err, "%s cannot be run", cmd.Path)
	}
	return p, nil
}

func (p *process) gone() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// signal sends to the server; that it has ended is no error.
func (p *process) signal(s syscall.Signal) error {
	if err := p.handle.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// stop ends the server: politely, then without a checkpoint, then by force. The end of
// ctx skips the polite part. It reports whether the shutdown was clean.
func (p *process) stop(ctx context.Context) error {
	const op = "embedded.Stop"
	if err := p.signal(syscall.SIGINT); err != nil {
		return fail(purser.KindInternal, op, err, "the private Postgres (process %d) cannot be signalled", p.pid)
	}
	if p.wait(ctx, fastStop) {
		return nil
	}
	if err := p.signal(syscall.SIGQUIT); err != nil {
		return fail(purser.KindInternal, op, err, "the private Postgres (process %d) cannot be signalled", p.pid)
	}
	late := fail(purser.KindUnavailable, op, context.Cause(ctx), "the private Postgres did not stop in time and was ended at once; the next start recovers what it had committed")
	if p.wait(context.Background(), crashStop) {
		return late
	}
	if err := p.signal(syscall.SIGKILL); err != nil {
		return fail(purser.KindInternal, op, err, "the private Postgres (process %d) cannot be killed", p.pid)
	}
	<-p.exited
	return late
}

func (p *process) wait(ctx context.Context, limit time.Duration) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-p.exited:
		return true
	case <-ctx.Done():
		return p.gone()
	case <-timer.C:
		return p.gone()
	}
}

// exitText says how a process ended.
func exitText(err error) string {
	if err == nil {
		return "exit status 0"
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.String()
	}
	return err.Error()
}
