package app

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"purser/postgres"
	"purser/postgres/embedded"
)

// PrivateStore starts a private database in a folder, brings its schema up and opens
// it, as a server would; close ends it. It is for experiments that need no server.
func PrivateStore(ctx context.Context, dir string, log *slog.Logger) (db *postgres.DB, closeAll func(context.Context) error, err error) {
	c := DefaultConfig()
	c.DataDir = dir
	s, err := embedded.Start(ctx, c.embedded(log))
	if err != nil {
		return nil, nil, err
	}
	if _, err = postgres.Migrate(ctx, s.DSN()); err == nil {
		db, err = postgres.Open(ctx, s.DSN(), postgres.Options{Logger: log, Now: time.Now})
	}
	if err != nil {
		return nil, nil, errors.Join(err, s.Stop(ctx))
	}
	return db, func(ctx context.Context) error {
		db.Close()
		return s.Stop(ctx)
	}, nil
}
