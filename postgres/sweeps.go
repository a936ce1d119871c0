package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// LastRun is the newest tick of a sweep that was claimed; zero when none was.
func (db *DB) LastRun(ctx context.Context, name string) (time.Time, error) {
	due, err := collect(ctx, db.pool, pgx.RowTo[time.Time], "select due_at from sweeps where name = $1", name)
	if err != nil || len(due) == 0 {
		return time.Time{}, fail("postgres.LastRun", err)
	}
	return due[0], nil
}

// reclaimAfter is how long a claimed sweep may go on without being done before
// another process may take the same tick: its process has died.
const reclaimAfter = 15 * time.Minute

// ClaimSweep says whether the caller is the one to run the tick that was due: true
// for one process of all that ask, and once more when that one does not say
// SweepDone within 15 minutes. An older tick than the newest claimed is never given.
func (db *DB) ClaimSweep(ctx context.Context, name string, due time.Time) (bool, error) {
	const op = "postgres.ClaimSweep"
	mine := false
	err := db.write(ctx, op, func(ctx context.Context, t *tx) error {
		now, err := sharedClock(ctx, t)
		if err != nil {
			return err
		}
		tag, err := t.Exec(ctx, `insert into sweeps (name, due_at, claimed_at) values ($1, $2, $3)
			on conflict (name) do update set due_at = excluded.due_at, claimed_at = excluded.claimed_at, done_at = null
			where sweeps.due_at < excluded.due_at
				or (sweeps.due_at = excluded.due_at and sweeps.done_at is null and sweeps.claimed_at < $4)`,
			name, utc(due), now, now.Add(-reclaimAfter))
		mine = tag.RowsAffected() == 1
		return err
	})
	return mine, err
}

// SweepDone records how a claimed sweep ended; failure is empty when it went well.
func (db *DB) SweepDone(ctx context.Context, name string, at time.Time, failure string) error {
	_, err := db.pool.Exec(ctx, "update sweeps set done_at = $2, error = $3 where name = $1", name, utc(at), clean(failure, maxReason))
	return fail("postgres.SweepDone", err)
}

// Sweeps lists how every sweep fares, by name.
func (db *DB) Sweeps(ctx context.Context) ([]Sweep, error) {
	out, err := collect(ctx, db.pool, func(row pgx.CollectableRow) (s Sweep, err error) {
		return s, row.Scan(&s.Name, &s.Due, &s.ClaimedAt, optional{&s.DoneAt}, &s.Error)
	}, "select name, due_at, claimed_at, done_at, error from sweeps order by name")
	return out, fail("postgres.Sweeps", err)
}
