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

// privateDatabase is the private PostgreSQL, started again when it dies. Its
// address stays the same, so connections come back by themselves.
type privateDatabase struct {
	config embedded.Config
	log    *slog.Logger
	fail   func(error)

	mu      sync.Mutex
	server  *embedded.Server
	stopped bool
}

func (a *App) startDatabase(ctx context.Context) error {
	if a.config.DatabaseURL != "" {
		return nil
	}
	p := &privateDatabase{config: a.config.embedded(a.log), log: a.log, fail: a.fail}
	s, err := embedded.Start(ctx, p.config)
	if err != nil {
		return err
	}
	p.server = s
	a.private = p
	a.config.DatabaseURL = s.DSN()
	a.undo = append(a.undo, p.stop)
	go p.attend(s)
	return nil
}

// attend starts the database again each time that it dies.
func (p *privateDatabase) attend(s *embedded.Server) {
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
		now := time.Now()
		deaths = append(deaths, now)
		if n := len(deaths); n > databaseRestarts && now.Sub(deaths[n-databaseRestarts-1]) < databaseWindow {
			p.fail(purser.Errorf(purser.KindUnavailable, "app", "the private database died %d times within %s: %w", databaseRestarts+1, databaseWindow, died))
			return
		}
		p.log.Warn("the private database died and is started again", slog.Any("error", died))
		next, err := p.again()
		if err != nil {
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
func (p *privateDatabase) again() (*embedded.Server, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return nil, nil //nolint:nilnil // there is neither a server nor a fault: we stop
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	s, err := embedded.Start(ctx, p.config)
	if err == nil {
		p.server = s
		p.log.Info("the private database is back")
	}
	return s, err
}

func (p *privateDatabase) stop(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
	return p.server.Stop(ctx)
}
