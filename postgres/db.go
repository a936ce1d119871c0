package postgres

import (
	"context"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"purser"
)

// DB keeps everything. Its methods may be called from many goroutines and from
// many processes at once.
type DB struct {
	pool  *pgxpool.Pool
	river *river.Client[pgx.Tx] // inserts only
	log   *slog.Logger
	now   func() time.Time

	offerKeys offerKeys
	months    months
	catalogue catalogue
}

// Options of Open.
type Options struct {
	Logger   *slog.Logger     // defaults to none
	Now      func() time.Time // the clock of every time that the caller does not give; defaults to the real one
	MaxConns int32            // connections of the pool, which River shares; defaults to 20
}

// Open connects to the database and checks that its schema is the one this program
// was built for. unavailable: no answer; conflict: another schema (see Migrate).
func Open(ctx context.Context, dsn string, o Options) (*DB, error) {
	const op = "postgres.Open"
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, badDSN(op)
	}
	cfg.MaxConns = 20
	if o.MaxConns > 0 {
		cfg.MaxConns = o.MaxConns
	}
	cfg.AfterConnect = prepareConn
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fail(op, err)
	}
	db := &DB{pool: pool, log: o.Logger, now: o.Now}
	if err := db.checkSchema(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	db.river, err = river.NewClient(riverpgxv5.New(pool), &river.Config{Schema: Schema, Logger: o.Logger})
	if err != nil {
		pool.Close()
		return nil, purser.Wrap(purser.KindInternal, op, err)
	}
	return db, nil
}

// Close waits until every connection has come back to the pool and closes them.
func (db *DB) Close() { db.pool.Close() }

// Pool is the pool of connections, for River's client.
func (db *DB) Pool() *pgxpool.Pool { return db.pool }

// Ping asks whether the database answers.
func (db *DB) Ping(ctx context.Context) error { return fail("postgres.Ping", db.pool.Ping(ctx)) }

// prepareConn makes a connection read times as UTC and give up on what hangs: no
// statement of ours takes a minute, and who holds a lock for 15 s has stopped.
func prepareConn(ctx context.Context, conn *pgx.Conn) error {
	conn.TypeMap().RegisterType(&pgtype.Type{
		Name: "timestamptz", OID: pgtype.TimestamptzOID, Codec: &pgtype.TimestamptzCodec{ScanLocation: time.UTC},
	})
	_, err := conn.Exec(ctx, `select set_config('statement_timeout', '60s', false), set_config('lock_timeout', '15s', false),
		set_config('idle_in_transaction_session_timeout', '60s', false), set_config('application_name', 'purser', false)`)
	return err
}

// clock is the present time as the database stores it: UTC, in microseconds.
func (db *DB) clock() time.Time { return utc(db.now()) }

// sharedClock is the database's own clock, for times by which processes on several
// machines are compared with one another.
func sharedClock(ctx context.Context, q querier) (at time.Time, err error) {
	err = q.QueryRow(ctx, "select clock_timestamp()").Scan(&at)
	return utc(at), err
}

// querier is what a pool, a connection and a transaction have in common.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// collect runs a query and scans each row.
func collect[T any](ctx context.Context, q querier, scan pgx.RowToFunc[T], sql string, args ...any) ([]T, error) {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scan)
}
