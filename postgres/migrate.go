package postgres

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"purser"
	"purser/migrations"
)

// Schema is where River's tables live; ours are where the search path points.
const Schema = "river"

const (
	leastServer = 140000 // partitions are attached without shutting readers out, and more
	lockEvery   = 50 * time.Millisecond
	migrateLock = 0x707572736572 // "purser"
)

// Migrate brings the schema up to this program's: first ours, then River's, then
// the partitions of the present months. Any number of processes may call it at
// once: one works, the others wait for it. It returns the number of migrations that
// it applied itself. conflict: the database was made by a newer Purser, or the
// server is too old.
func Migrate(ctx context.Context, dsn string) (applied int, err error) {
	const op = "postgres.Migrate"
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return 0, badDSN(op)
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return 0, fail(op, err)
	}
	// Closing the connection gives the lock back, however this ends.
	defer func() { err = errors.Join(err, fail(op, conn.Close(context.WithoutCancel(ctx)))) }()
	if err := checkServer(ctx, conn); err != nil {
		return 0, err
	}
	if err := lockMigrations(ctx, conn); err != nil {
		return 0, err
	}
	ours, err := migrateOurs(ctx, cfg)
	if err != nil {
		return ours, err
	}
	rivers, err := migrateRiver(ctx, dsn)
	if err != nil {
		return ours + rivers, err
	}
	_, err = conn.Exec(ctx, "select ensure_partitions(now())")
	return ours + rivers, fail(op, err)
}

func checkServer(ctx context.Context, conn *pgx.Conn) error {
	var version int
	if err := conn.QueryRow(ctx, "select current_setting('server_version_num')::int").Scan(&version); err != nil {
		return fail("postgres.Migrate", err)
	}
	if version < leastServer {
		return purser.Errorf(purser.KindConflict, "postgres.Migrate", "the server is PostgreSQL %d; Purser needs 14 or newer", version/10000)
	}
	return nil
}

// lockMigrations asks again and again rather than wait inside a statement: a
// waiting statement holds a snapshot, which would block an index that is built
// concurrently by the one who has the lock.
func lockMigrations(ctx context.Context, conn *pgx.Conn) error {
	ticker := time.NewTicker(lockEvery)
	defer ticker.Stop()
	for {
		var got bool
		if err := conn.QueryRow(ctx, "select pg_try_advisory_lock($1)", int64(migrateLock)).Scan(&got); err != nil {
			return fail("postgres.Migrate", err)
		}
		if got {
			return nil
		}
		select {
		case <-ctx.Done():
			return fail("postgres.Migrate", ctx.Err())
		case <-ticker.C:
		}
	}
}

func migrateOurs(ctx context.Context, cfg *pgx.ConnConfig) (int, error) {
	const op = "postgres.Migrate"
	db := stdlib.OpenDB(*cfg)
	defer closeQuietly(db)
	provider, err := goose.NewProvider(goose.DialectPostgres, db, migrations.FS)
	if err != nil {
		return 0, purser.Wrap(purser.KindInternal, op, err)
	}
	current, target, err := provider.GetVersions(ctx)
	if err != nil {
		return 0, fail(op, err)
	}
	if current > target {
		return 0, newerSchema(op, current, target)
	}
	results, err := provider.Up(ctx)
	if err != nil {
		kind, _ := classify(err)
		return len(results), purser.Errorf(kind, op, "a migration failed: %w", err)
	}
	return len(results), nil
}

// closeQuietly closes connections that nothing depends on any more.
func closeQuietly(db *sql.DB) { _ = db.Close() }

func migrateRiver(ctx context.Context, dsn string) (int, error) {
	const op = "postgres.Migrate"
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return 0, badDSN(op)
	}
	cfg.MaxConns = 2
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return 0, fail(op, err)
	}
	defer pool.Close()
	if _, err := pool.Exec(ctx, "create schema if not exists "+Schema); err != nil {
		return 0, fail(op, err)
	}
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Schema: Schema, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return 0, purser.Wrap(purser.KindInternal, op, err)
	}
	result, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil)
	if err != nil {
		kind, _ := classify(err)
		return 0, purser.Errorf(kind, op, "a migration of the job queue failed: %w", err)
	}
	return len(result.Versions), nil
}

// checkSchema compares the newest migration that the database has with the newest
// one that this program brings.
func (db *DB) checkSchema(ctx context.Context) error {
	const op = "postgres.Open"
	var have int64
	err := db.pool.QueryRow(ctx, "select coalesce(max(version_id), 0) from goose_db_version where is_applied").Scan(&have)
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code == codeUndefinedTable {
		have, err = 0, nil
	}
	if err != nil {
		return fail(op, err)
	}
	want, err := newestMigration()
	switch {
	case err != nil:
		return purser.Wrap(purser.KindInternal, op, err)
	case have > want:
		return newerSchema(op, have, want)
	case have < want:
		return &purser.Error{
			Kind: purser.KindConflict, Op: op, Message: "the database's schema is older than this program",
			Hint: "run: purser migrate",
		}
	}
	return nil
}

func newerSchema(op string, have, want int64) error {
	e := purser.Errorf(purser.KindConflict, op, "the database's schema (%d) is newer than this program's (%d)", have, want)
	e.Hint = "run the newer purser that made it"
	return e
}

func newestMigration() (int64, error) {
	names, err := fs.Glob(migrations.FS, "*.sql")
	if err != nil {
		return 0, err
	}
	var newest int64
	for _, name := range names {
		number, _, _ := strings.Cut(name, "_")
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return 0, purser.Errorf(purser.KindInternal, "postgres.Open", "migration %s has no number: %w", name, err)
		}
		newest = max(newest, n)
	}
	return newest, nil
}
