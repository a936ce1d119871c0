package postgres

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"purser"
)

// kindIn reads the kind at the front of a reason such as "no_capacity: none left".
func kindIn(reason string) purser.Kind {
	word, _, _ := strings.Cut(reason, ":")
	switch k := purser.Kind(word); k {
	case purser.KindInvalid, purser.KindNotFound, purser.KindConflict, purser.KindUnauthorized, purser.KindForbidden, purser.KindInfeasible,
		purser.KindNoCapacity, purser.KindQuota, purser.KindThrottled, purser.KindStale, purser.KindUnavailable:
		return k
	default:
		return purser.KindInternal
	}
}

// Installation is this database's own id, with which machines are tagged, and its
// secret, from which join tokens are derived. Both are made at the first call, by
// one of however many processes ask at once, and never change.
func (db *DB) Installation(ctx context.Context) (id string, secret []byte, err error) {
	const op = "postgres.Installation"
	fresh := make([]byte, 32)
	_, _ = rand.Read(fresh) // never fails, see crypto/rand
	now := db.clock()
	err = db.write(ctx, op, func(ctx context.Context, t *tx) error {
		_, err := t.Exec(ctx, `insert into settings (name, value, created_at) values ('installation_id', $1, $3), ('installation_secret', $2, $3)
			on conflict (name) do nothing`, []byte(strings.TrimPrefix(NewID("", now), "-")), fresh, now)
		if err != nil {
			return err
		}
		var name []byte
		err = t.QueryRow(ctx, `select i.value, s.value from settings i, settings s where i.name = 'installation_id' and s.name = 'installation_secret'`).
			Scan(&name, &secret)
		id = string(name)
		return err
	})
	return id, secret, err
}

func quotas(ctx context.Context, q querier) ([]purser.Quota, error) {
	return collect(ctx, q, func(row pgx.CollectableRow) (q purser.Quota, err error) {
		return q, row.Scan(fromJSON{&q})
	}, "select spec from quotas order by position")
}

// Quotas lists the quotas in the order in which they were set.
func (db *DB) Quotas(ctx context.Context) ([]purser.Quota, error) {
	out, err := quotas(ctx, db.pool)
	return out, fail("postgres.Quotas", err)
}

// SetQuotas replaces all quotas. Setting the same again is not a change. invalid: a
// quota is wrong, or two have one name.
func (db *DB) SetQuotas(ctx context.Context, actor string, list []purser.Quota) error {
	const op = "postgres.SetQuotas"
	names := map[string]bool{}
	for _, q := range list {
		if err := q.Check(); err != nil {
			return err
		}
		if names[q.Name] {
			return purser.Errorf(purser.KindInvalid, op, "two quotas are named %s", q.Name)
		}
		names[q.Name] = true
	}
	return db.write(ctx, op, func(ctx context.Context, t *tx) error {
		if _, err := t.Exec(ctx, "lock table quotas in share row exclusive mode"); err != nil {
			return err
		}
		before, err := quotas(ctx, t)
		if err != nil || slices.Equal(before, list) {
			return err
		}
		if _, err := t.Exec(ctx, "delete from quotas"); err != nil {
			return err
		}
		batch := &pgx.Batch{}
		for i, q := range list {
			spec, err := toJSON(q)
			if err != nil {
				return err
			}
			batch.Queue("insert into quotas (name, position, spec) values ($1, $2, $3)", q.Name, i, spec)
		}
		if err := t.SendBatch(ctx, batch).Close(); err != nil {
			return err
		}
		t.say(purser.Event{At: db.clock(), Actor: actor, Subject: "quotas", Name: "all", To: "set", Reason: fmt.Sprintf("%d quotas", len(list))})
		return nil
	})
}

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
