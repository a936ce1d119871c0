package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"purser"
)

// eventChannel is told, once a transaction, when rows were added to the audit.
const eventChannel = "purser_events"

// Events lists the audit after an id, oldest first; limit 0 is 1,000. Ids grow in
// the order of commit, so going on from the last one misses nothing.
func (db *DB) Events(ctx context.Context, after int64, limit int) ([]purser.Event, error) {
	if limit <= 0 {
		limit = 1000
	}
	events, err := collect(ctx, db.pool, func(row pgx.CollectableRow) (e purser.Event, err error) {
		return e, row.Scan(&e.ID, &e.At, &e.Actor, &e.Subject, &e.Name, &e.From, &e.To, &e.Reason)
	}, `select id, at, actor, subject, name, from_state, to_state, reason from audit where id > $1 order by id limit $2`, after, limit)
	return events, fail("postgres.Events", err)
}

// LastEvent is the id of the newest event; 0 when there is none.
func (db *DB) LastEvent(ctx context.Context) (id int64, err error) {
	err = db.pool.QueryRow(ctx, "select coalesce(max(id), 0) from audit").Scan(&id)
	return id, fail("postgres.LastEvent", err)
}

const (
	listenFirst = 100 * time.Millisecond
	listenMost  = 5 * time.Second
)

// Listen calls changed when events may have been added, until ctx ends, and returns
// nil then. It holds one connection of its own. When that breaks it connects again,
// waiting longer each time, up to 5 s; changed is called after every connection,
// because something may have been added in between. Calls do not overlap; changed must
// return soon.
func (db *DB) Listen(ctx context.Context, changed func()) error {
	wait := listenFirst
	for {
		heard, err := db.listenOnce(ctx, changed)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the caller has ended it, and whatever broke then was meant to
		}
		if heard {
			wait = listenFirst
		}
		db.log.WarnContext(ctx, "listening for events broke off", "error", err, "again_in", wait)
		if !rest(ctx, wait) {
			return nil
		}
		wait = min(2*wait, listenMost)
	}
}

// listenOnce listens on one connection until it breaks. heard says that it stood.
func (db *DB) listenOnce(ctx context.Context, changed func()) (heard bool, err error) {
	conn, err := pgx.ConnectConfig(ctx, db.pool.Config().ConnConfig)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	if _, err := conn.Exec(ctx, "listen "+eventChannel); err != nil {
		return false, err
	}
	for {
		changed()
		if _, err := conn.WaitForNotification(ctx); err != nil {
			return true, err
		}
	}
}
