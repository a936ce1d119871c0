package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"purser"
)

// moveRow is a move that has not ended, or that this transaction ends.
type moveRow struct {
	key int64
	purser.Move
	fresh bool // not inserted yet
	dirty bool
}

const moveColumns = "m.move_key, m.task, m.from_lease, m.to_lease, m.plan, m.state, m.gain, m.placement, m.reason, m.at"

func scanMoveRow(row pgx.CollectableRow) (*moveRow, error) {
	m := &moveRow{}
	return m, row.Scan(&m.key, &m.Task, &m.From, &m.To, &m.Plan, &m.State, &m.Gain, fromJSON{&m.Placement}, &m.Reason, &m.At)
}

// OpenMoves lists the moves that are neither done nor undone, by task.
func (db *DB) OpenMoves(ctx context.Context) ([]purser.Move, error) {
	moves, err := openMovesOf(ctx, db.pool)
	return moves, fail("postgres.OpenMoves", err)
}

func openMovesOf(ctx context.Context, q querier) ([]purser.Move, error) {
	return collect(ctx, q, func(row pgx.CollectableRow) (purser.Move, error) {
		m, err := scanMoveRow(row)
		return m.Move, err
	}, "select "+moveColumns+" from moves m where m."+openMoves+" order by m.task")
}

// setMove changes a move's state; nothing happens when the task has no open move.
func (w *world) setMove(id purser.TaskID, to purser.MoveState) {
	m := w.moves[id]
	if m == nil || m.State == to {
		return
	}
	w.say(purser.Event{At: w.at, Actor: w.actor, Subject: "move", Name: string(id), From: string(m.State), To: string(to), Reason: m.Reason})
	m.State, m.dirty = to, true
}

// endMove ends a task's open move, if there is one.
func (w *world) endMove(id purser.TaskID, to purser.MoveState) {
	m := w.moves[id]
	if m == nil {
		return
	}
	w.setMove(id, to)
	delete(w.moves, id)
	w.ended = append(w.ended, m)
}

func (w *world) saveMoves(ctx context.Context) error {
	batch := &pgx.Batch{}
	for _, m := range append(sortedByID(w.moves, func(*moveRow) bool { return true }), w.ended...) {
		var ended *time.Time
		if m.State == purser.MoveDone || m.State == purser.MoveUndone {
			ended = &w.at
		}
		switch {
		case m.fresh:
			placement, err := toJSON(m.Placement)
			if err != nil {
				return err
			}
			batch.Queue(`insert into moves (task, from_lease, to_lease, plan, state, gain, placement, reason, at, ended_at)
				values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`, string(m.Task), string(m.From), string(m.To), string(m.Plan), string(m.State),
				int64(m.Gain), placement, clean(m.Reason, maxReason), utc(m.At), ended)
		case m.dirty:
			batch.Queue("update moves set state = $2, ended_at = $3 where move_key = $1", m.key, string(m.State), ended)
		}
		m.fresh, m.dirty = false, false
	}
	return w.SendBatch(ctx, batch).Close()
}

// ProgressMoves takes every waiting move on: when its new machine runs, the task is
// asked to stop on the old one, and the report of its end places its successor on
// the new one (Report). A move whose task has ended or whose new machine is no longer
// to be had is undone. It returns how many moves it changed. Repeating it changes
// nothing more; a move that cannot be taken now is looked at next time.
func (db *DB) ProgressMoves(ctx context.Context, now time.Time) (changed int, err error) {
	const op = "postgres.ProgressMoves"
	type ref struct {
		task     purser.TaskID
		job      purser.JobID
		from, to purser.LeaseID
	}
	waiting, err := collect(ctx, db.pool, func(row pgx.CollectableRow) (r ref, err error) {
		return r, row.Scan(&r.task, &r.job, &r.from, &r.to)
	}, `select m.task, t.job, m.from_lease, m.to_lease from moves m join tasks t on t.id = m.task where m.state = 'waiting' order by m.task`)
	if err != nil {
		return 0, fail(op, err)
	}
	for _, r := range waiting {
		did := false
		err := db.write(ctx, op, func(ctx context.Context, t *tx) error {
			w := newWorld(t, "moves", now)
			if err := w.lockLeases(ctx, r.from, r.to); err != nil {
				return err
			}
			if err := w.lockJobs(ctx, []purser.JobID{r.job}); err != nil {
				return err
			}
			if err := w.loadTasks(ctx, "t.id = $1", string(r.task)); err != nil {
				return err
			}
			if err := w.loadMoves(ctx); err != nil {
				return err
			}
			var err error
			if did, err = w.progressMove(r.task); err != nil || !did {
				return err
			}
			return w.save(ctx)
		})
		if err != nil {
			return changed, err
		}
		if did {
			changed++
		}
	}
	return changed, nil
}

// progressMove says whether it changed anything.
func (w *world) progressMove(id purser.TaskID) (bool, error) {
	m, t := w.moves[id], w.tasks[id]
	if m == nil || m.State != purser.MoveWaiting {
		return false, nil
	}
	target := w.leases[m.To]
	if t.State.Ended() || t.Lease != m.From || t.stopFor.forGood() || target == nil || !usable(target.State) {
		w.endMove(id, purser.MoveUndone)
		return true, nil
	}
	if target.State != purser.LeaseRunning {
		return false, nil
	}
	w.setMove(id, purser.MoveStopping)
	return true, w.stop(t, stopMove, m.Reason)
}
