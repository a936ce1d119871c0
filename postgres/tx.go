package postgres

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"purser"
)

// tx is one transaction that changes something. What it has to say to the audit
// and to River is gathered and written last, just before the commit; see flush.
type tx struct {
	pgx.Tx
	db     *DB
	events []purser.Event
	steps  []river.InsertManyParams
}

const (
	tries     = 8
	firstWait = 4 * time.Millisecond
)

// write runs fn in a transaction and commits it. A transaction that lost against
// another one (serialization failure, deadlock) or that found its connection dead is
// run again, so fn must do nothing outside of it. After the last try the error is
// unavailable. When the connection breaks during the commit, nobody knows whether it
// was done: the error is unavailable and the caller repeats the call, which is safe
// for every method here.
func (db *DB) write(ctx context.Context, op string, fn func(context.Context, *tx) error) error {
	var err error
	for try := range tries {
		if try > 0 && !rest(ctx, firstWait<<(try-1)) {
			break
		}
		if err = db.writeOnce(ctx, fn); err == nil || !repeatable(err) {
			break
		}
	}
	return fail(op, err)
}

func (db *DB) writeOnce(ctx context.Context, fn func(context.Context, *tx) error) error {
	return pgx.BeginFunc(ctx, db.pool, func(t pgx.Tx) error {
		x := &tx{Tx: t, db: db}
		if err := fn(ctx, x); err != nil {
			return err
		}
		return x.flush(ctx)
	})
}

// rest waits for about d and says whether ctx still stands. The random half keeps
// those who lost together from coming back together.
func rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d/2 + rand.N(d))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// read runs fn on one unchanging picture of the database.
func (db *DB) read(ctx context.Context, op string, fn func(context.Context, pgx.Tx) error) error {
	opts := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	return fail(op, pgx.BeginTxFunc(ctx, db.pool, opts, func(t pgx.Tx) error { return fn(ctx, t) }))
}

// say adds a line to the audit.
func (t *tx) say(e purser.Event) { t.events = append(t.events, e) }

// auditLock is held by whoever has added to the audit, until the transaction ends.
const auditLock = 0x6175646974 // "audit"

// flush writes the next steps and, last of all, the audit.
//
// Ids of the audit must grow in the order in which transactions become visible, or a
// reader that goes on from the last id it saw would miss a row whose transaction
// took its id early and committed late. So the ids are given out under an advisory
// lock that is held until the commit. Nothing else is locked after it, so it cannot
// be part of a deadlock, and it is held for little more than the commit itself,
// which NOTIFY serialises anyway. (Reading only rows older than every running
// transaction, by pg_snapshot_xmin, would do without the lock, but any long
// transaction on the server, a backup for example, would stop the feed.)
func (t *tx) flush(ctx context.Context) error {
	if len(t.steps) > 0 {
		if _, err := t.db.river.InsertManyTx(ctx, t.Tx, t.steps); err != nil {
			return err
		}
	}
	if len(t.events) == 0 {
		return nil
	}
	n := len(t.events)
	at, actor, subject := make([]time.Time, n), make([]string, n), make([]string, n)
	name, from, to, reason := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	for i, e := range t.events {
		at[i], actor[i], subject[i] = utc(e.At), clean(e.Actor, maxReason), e.Subject
		name[i], from[i], to[i], reason[i] = clean(e.Name, maxReason), e.From, e.To, clean(e.Reason, maxReason)
	}
	batch := &pgx.Batch{}
	batch.Queue("select pg_advisory_xact_lock($1)", int64(auditLock))
	batch.Queue(`insert into audit (at, actor, subject, name, from_state, to_state, reason)
		select at, actor, subject, name, from_state, to_state, reason
		from unnest($1::timestamptz[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
			with ordinality as u (at, actor, subject, name, from_state, to_state, reason, nth)
		order by nth`, at, actor, subject, name, from, to, reason)
	batch.Queue("select pg_notify($1, '')", eventChannel)
	return t.SendBatch(ctx, batch).Close()
}
