package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// Beat records that a server process lives. The id is also the id of its River
// client, so that its jobs can be handed on when it is dead.
func (db *DB) Beat(ctx context.Context, r Replica) error {
	_, err := db.pool.Exec(ctx, `insert into server_replicas (id, host, addr, started_at, beat_at) values ($1, $2, $3, $4, $5)
		on conflict (id) do update set host = excluded.host, addr = excluded.addr, beat_at = greatest(server_replicas.beat_at, excluded.beat_at)`,
		r.ID, r.Host, r.Addr, utc(r.StartedAt), utc(r.BeatAt))
	return fail("postgres.Beat", err)
}

// Replicas lists the server processes that have not been reaped, by id.
func (db *DB) Replicas(ctx context.Context) ([]Replica, error) {
	out, err := collect(ctx, db.pool, func(row pgx.CollectableRow) (r Replica, err error) {
		return r, row.Scan(&r.ID, &r.Host, &r.Addr, &r.StartedAt, &r.BeatAt)
	}, "select id, host, addr, started_at, beat_at from server_replicas order by id")
	return out, fail("postgres.Replicas", err)
}

// ReapDead hands on the River jobs of processes without a heartbeat since
// deadBefore: they are due at once for whoever is free. It returns how many. A
// process that was only slow does no harm when it goes on: its steps carry a fence
// and change nothing twice.
func (db *DB) ReapDead(ctx context.Context, deadBefore time.Time) (int, error) {
	reaped := 0
	err := db.write(ctx, "postgres.ReapDead", func(ctx context.Context, t *tx) error {
		if _, err := t.Exec(ctx, "delete from server_replicas where beat_at < $1", utc(deadBefore)); err != nil {
			return err
		}
		// To available and not to retryable, which only River's leader would take on.
		tag, err := t.Exec(ctx, `update `+Schema+`.river_job set state = 'available', scheduled_at = now(),
				max_attempts = greatest(max_attempts, attempt + 1)
			where state = 'running' and attempted_at < $1
				and attempted_by[array_upper(attempted_by, 1)] not in (select id from server_replicas)`, utc(deadBefore))
		reaped = int(tag.RowsAffected())
		return err
	})
	return reaped, err
}
