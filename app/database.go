package app

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"purser"
	"purser/postgres/embedded"
)

// Restarts of a private database that died: so many within so long, then the
// server gives up, since something is wrong that a start does not mend.
const (
	databaseRestarts = 5
	databaseWindow   = 5 * time.Minute
)

// database is a PostgreSQL that was started.
type database interface {
	Done() <-chan struct{} // closed when it has ended
	Err() error            // why; nil when it was stopped
	Stop(ctx context.Context) error
}

// privateDatabase is the private PostgreSQL, started again when it dies. Its
// address stays the same, so connections come back by themselves.
type privateDatabase struct {
	start func(context.Context) (database, error)
	now   func() time.Time
	log   *slog.Logger
	fail  func(error)

	cancel context.CancelFunc // gives up a start that is under way

	mu      sync.Mutex
	server  database
	stopped bool
}

func (a *App) startDatabase(ctx context.Context) error {
	if a.config.DatabaseURL != "" {
		return nil
	}
	config := a.config.embedded(a.log)
	s, err := embedded.Start(ctx, config)
	if err != nil {
		return err
	}
	p, attend := newPrivateDatabase(s, func(ctx context.Context) (database, error) {
		s, err := embedded.Start(ctx, config)
		if err != nil {
			return nil, err // not s: a nil *embedded.Server is no nil database
		}
		return s, nil
	}, a.log, a.fail)
	a.private = p
	a.config.DatabaseURL = s.DSN()
	a.undo = append(a.undo, p.stop)
	go attend()
	return nil
}

// newPrivateDatabase takes a database that has started; attend is to be run beside it
// until it is stopped.
func newPrivateDatabase(
	s database, start func(context.Context) (database, error), log *slog.Logger, fail func(error),
) (p *privateDatabase, attend func()) {
	work, cancel := context.WithCancel(context.Background())
	p = &privateDatabase{start: start, now: time.Now, log: log, fail: fail, cancel: cancel, server: s}
	return p, func() { p.attend(work, s) }
}

// attend starts the database again each time that it dies.
func (p *privateDatabase) attend(work context.Context, s database) {
	var deaths []time.Time
	for {
		<-s.Done()
		died := s.Err()
		p.mu.Lock()
		stopped := p.stopped
		p.mu.Unlock()
		if stopped || died == nil {
			return
		}
		now := p.now()
		deaths = append(deaths, now)
		if n := len(deaths); n > databaseRestarts && now.Sub(deaths[n-databaseRestarts-1]) < databaseWindow {
			p.fail(purser.Errorf(purser.KindUnavailable, "app", "the private database died %d times within %s: %w", databaseRestarts+1, databaseWindow, died))
			return
		}
		p.log.Warn("the private database died and is started again", slog.Any("error", died))
		next, err := p.again(work)
		if err != nil {
			if work.Err() != nil {
				return // we stop
			}
			p.fail(errors.Join(died, err))
			return
		}
		if next == nil {
			return
		}
		s = next
	}
}

// again starts the database, unless the server stops meanwhile.
func (p *privateDatabase) again(work context.Context) (database, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return nil, nil //nolint:nilnil // there is neither a server nor a fault: we stop
	}
	ctx, cancel := context.WithTimeout(work, 2*time.Minute)
	defer cancel()
	s, err := p.start(ctx)
	if err != nil {
		return nil, err
	}
	p.server = s
	p.log.Info("the private database is back")
	return s, nil
}

// stop ends the database; a start that is under way is given up.
func (p *privateDatabase) stop(ctx context.Context) error {
	p.cancel()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
	return p.server.Stop(ctx)
}
