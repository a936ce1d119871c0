//go:build unix

package embedded

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"purser"
)

const (
	// sharedMemoryWait is how long a start waits for backends of a killed server.
	sharedMemoryWait = 60 * time.Second
	// giveUpStop is how long a server that did not come up may take for a clean stop.
	giveUpStop = 5 * time.Second
)

// Server is a running private PostgreSQL.
type Server struct {
	cfg     Config
	id      identity
	bins    Binaries
	lock    *lock
	log     *serverLog
	logFrom int64 // where this run's messages begin
	sockets string
	process *process

	stopOnce sync.Once
	stopErr  error
	done     chan struct{}

	mu       sync.Mutex
	stopping bool
	err      error
}

// Start runs the private server on cfg.DataDir, which it makes first when there is no
// data yet, and returns when the server has answered a query. ctx bounds the start alone. The
// errors' kinds are: invalid (cfg), conflict (the folder is in use, or holds something else), forbidden
// (permissions), unavailable (no fitting programs, or the server does not come up).
func Start(ctx context.Context, cfg Config) (*Server, error) {
	cfg, err := cfg.normalized()
	if err != nil {
		return nil, err
	}
	if _, err := inspect(cfg.DataDir); err != nil {
		return nil, err // before a lock is left beside something that is not ours
	}
	if err := makeParents(filepath.Dir(cfg.DataDir)); err != nil {
		kind := purser.KindUnavailable
		if errors.Is(err, fs.ErrPermission) {
			kind = purser.KindForbidden
		}
		return nil, hint(fail(kind, "embedded.Start", err, "the folder %s cannot be made", filepath.Dir(cfg.DataDir)), "choose another data folder")
	}
	l, err := acquire(cfg.DataDir+".lock", cfg.DataDir)
	if err != nil {
		return nil, err
	}
	// Only under the lock is what we read still so when we act on it.
	content, err := inspect(cfg.DataDir)
	if err != nil {
		l.release()
		return nil, err
	}
	s := &Server{cfg: cfg, lock: l, done: make(chan struct{})}
	if err := s.start(ctx, content); err != nil {
		s.cleanUp()
		return nil, err
	}
	go s.attend()
	return s, nil
}

// start does everything under the lock; the caller cleans up when it fails.
func (s *Server) start(ctx context.Context, content contents) (err error) {
	began := time.Now()
	if s.id, err = identityFor(s.cfg); err != nil {
		return err
	}
	if s.bins, err = find(ctx, s.cfg, s.id, content.major); err != nil {
		return err
	}
	if err := s.admit(ctx); err != nil {
		return err
	}
	taken, err := endSurvivor(ctx, s.cfg.DataDir, s.cfg.Logger)
	if err != nil {
		return err
	}
	if content.major == 0 {
		s.cfg.Logger.Info("making the data folder of the private postgres", "path", s.cfg.DataDir, "version", s.bins.Version)
		if err := initialize(ctx, s.cfg, s.id, s.bins); err != nil {
			return err
		}
	} else if err := adopt(s.cfg.DataDir, s.id); err != nil {
		return fail(purser.KindForbidden, "embedded.Start", err, "the data in %s cannot be given to uid %d", s.cfg.DataDir, s.id.uid)
	}
	if s.sockets, err = socketDir(s.cfg, s.id); err != nil {
		return err
	}
	if s.log, err = openLog(s.cfg.DataDir); err != nil {
		return err
	}
	if err := s.bringUp(ctx, taken); err != nil {
		return err
	}
	s.cfg.Logger.Info("private postgres is up", "version", s.bins.Version, "pid", s.process.pid, "path", s.cfg.DataDir, "waited", time.Since(began))
	return nil
}

// admit checks that the server's user can reach the data folder's parent.
func (s *Server) admit(ctx context.Context) error {
	if !s.id.drop {
		return nil
	}
	parent := filepath.Dir(s.cfg.DataDir)
	err := s.id.mayEnter(ctx, filepath.Join(s.bins.Dir, "postgres"), parent)
	if err == nil {
		return nil
	}
	where := s.id.barrier(parent)
	if where == "" {
		where = parent
	}
	return hint(fail(purser.KindForbidden, "embedded.Start", err, "Postgres cannot run as root, and uid %d, which it runs as instead, may not enter %s on the way to the data folder %s", s.id.uid, where, s.cfg.DataDir),
		"choose a data folder elsewhere, for instance under /var/lib/purser, or allow it with: chmod o+x %s", where)
}

// bringUp runs the server until it answers. While a backend of a killed server holds the
// old shared memory PostgreSQL refuses to start; that alone is tried again.
func (s *Server) bringUp(ctx context.Context, taken int) error {
	const op = "embedded.Start"
	began, told := time.Now(), time.Time{}
	for {
		s.logFrom = s.log.size()
		p, err := run(s.cfg, s.id, s.bins, s.sockets, s.log, taken)
		if err != nil {
			return err
		}
		s.process = p
		err = s.ready(ctx)
		if err == nil {
			return nil
		}
		text := s.log.since(s.logFrom)
		if !p.gone() {
			end, cancel := context.WithTimeout(context.WithoutCancel(ctx), giveUpStop)
			defer cancel()
			return errors.Join(err, p.stop(end))
		}
		if !strings.Contains(text, "pre-existing shared memory block") {
			if ctx.Err() != nil {
				return err
			}
			e := fail(purser.KindUnavailable, op, nil, "the private Postgres ended while it was starting (%s): %s", exitText(p.err), complaint(text))
			return hint(e, "its log is %s", s.log.path)
		}
		if time.Since(began) > sharedMemoryWait {
			return hint(fail(purser.KindUnavailable, op, err, "a query of the Postgres that was killed still runs on %s", s.cfg.DataDir),
				"wait for it or end that process, and start again; its log is %s", s.log.path)
		}
		if time.Since(told) > progressStep {
			told = time.Now()
			s.cfg.Logger.Info("waiting for a query of the killed postgres to end", "waited", time.Since(began), "limit", sharedMemoryWait)
		}
		if _, err := poll(ctx, 500*time.Millisecond, func() (bool, error) { return false, nil }); err != nil {
			return fail(purser.KindUnavailable, op, err, "starting the private Postgres was interrupted")
		}
	}
}

// attend waits for the server's end, however it comes.
func (s *Server) attend() {
	s.log.watch(s.process.exited, s.cfg.Logger)
	s.mu.Lock()
	if !s.stopping {
		e := fail(purser.KindUnavailable, "embedded.Server", s.process.err, "the private Postgres ended unexpectedly (%s): %s", exitText(s.process.err), complaint(s.log.since(s.logFrom)))
		s.err = hint(e, "its log is %s", s.log.path)
	}
	s.mu.Unlock()
	s.cleanUp()
	close(s.done)
}

// cleanUp frees what the server held besides its process.
func (s *Server) cleanUp() {
	if s.log != nil {
		s.log.file.Close() // the server had its own handle; nothing is buffered
	}
	if s.sockets != "" {
		os.Remove(s.sockets) // stays when a killed server's socket is in it; the next start takes it over
	}
	s.lock.release()
}

// DSN is how to reach the database "purser", for pgx and psql: a URL that names the
// socket's folder. It holds no secret.
func (s *Server) DSN() string { return dsn(s.sockets, Database) }

// Stop ends the server and waits until it is gone: SIGINT, and after 30 s, or when ctx ends,
// SIGQUIT, which loses nothing that was committed. Calling it again, or after the server has died,
// gives the first call's result.
func (s *Server) Stop(ctx context.Context) error {
	s.stopOnce.Do(func() {
		s.mu.Lock()
		s.stopping = !s.process.gone()
		s.mu.Unlock()
		s.stopErr = s.process.stop(ctx)
		<-s.done
	})
	return s.stopErr
}

// Done is closed when the server has ended, by Stop or on its own.
func (s *Server) Done() <-chan struct{} { return s.done }

// Err says why the server ended on its own; nil while it runs and after Stop.
func (s *Server) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}
