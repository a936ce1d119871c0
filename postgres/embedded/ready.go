//go:build unix

package embedded

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"purser"
)

const (
	// answerTime bounds one attempt to connect and ask.
	answerTime = 10 * time.Second
	// refusalTime bounds how long a server that calls itself ready may refuse us.
	refusalTime = 30 * time.Second
)

// errGone says that the server's process ended before it answered.
var errGone = errors.New("postgres ended before it answered")

// ready waits until our own child answers a query and the database exists. Crash
// recovery may take long, so only ctx bounds it; progress is logged.
func (s *Server) ready(ctx context.Context) error {
	began, told, up := time.Now(), time.Now(), time.Time{}
	answers := func() (bool, error) {
		if s.process.gone() {
			return false, errGone
		}
		if time.Since(told) > progressStep {
			told = time.Now()
			s.cfg.Logger.Info("private postgres is still starting", "waited", time.Since(began), "says", complaint(s.log.since(s.logFrom)))
		}
		// Another server's socket would answer too: the file must name our child.
		if file, ok := readPidFile(s.cfg.DataDir); !ok || file.pid != s.process.pid || file.state != "ready" {
			return false, nil
		}
		if up.IsZero() {
			up = time.Now()
		}
		err := s.createDatabase(ctx)
		if refusedForNow(err) && time.Since(up) < refusalTime {
			return false, nil
		}
		return err == nil, err
	}
	for {
		ok, err := poll(ctx, time.Hour, answers)
		switch {
		case ok:
			return nil
		case errors.Is(err, errGone):
			return err
		case ctx.Err() != nil:
			return fail(purser.KindUnavailable, "embedded.Start", context.Cause(ctx), "the private Postgres did not come up in time")
		case err != nil:
			return fail(purser.KindUnavailable, "embedded.Start", err, "the private Postgres runs but does not answer")
		}
	}
}

// refusedForNow reports errors that end by themselves while a server starts.
func refusedForNow(err error) bool {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg.Code == "57P03" // cannot_connect_now
	}
	_, refused := errors.AsType[*pgconn.ConnectError](err)
	return refused
}

// createDatabase asks the server for its databases and makes ours when it is missing.
func (s *Server) createDatabase(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	conn, err := pgx.Connect(ctx, dsn(s.sockets, "postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var exists bool
	if err := conn.QueryRow(ctx, "select exists (select from pg_database where datname = $1)", Database).Scan(&exists); err != nil {
		return fmt.Errorf("look for database %s: %w", Database, err)
	}
	if exists {
		return nil
	}
	if _, err := conn.Exec(ctx, "create database "+Database); err != nil {
		return fmt.Errorf("create database %s: %w", Database, err)
	}
	return nil
}
