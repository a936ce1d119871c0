package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"purser"
)

// stopReason says why a task's agent is to stop it.
type stopReason string

// Weaker ones first: a stronger reason replaces a weaker one.
const (
	stopNot       stopReason = ""
	stopMove      stopReason = "move"      // it goes on elsewhere
	stopDrain     stopReason = "drain"     // its machine ends; it returns to the queue
	stopUnneeded  stopReason = "unneeded"  // a service needs fewer replicas
	stopCancelled stopReason = "cancelled" // its job has ended
)

func (s stopReason) strength() int {
	switch s {
	case stopMove:
		return 1
	case stopDrain:
		return 2
	case stopUnneeded:
		return 3
	case stopCancelled:
		return 4
	default:
		return 0
	}
}

// forGood says that nothing follows the task once it has stopped.
func (s stopReason) forGood() bool { return s == stopUnneeded || s == stopCancelled }

// taskRow is a task with what only the store knows of it.
type taskRow struct {
	purser.Task
	newest       bool // no later attempt exists
	stopFor      stopReason
	missingSince time.Time
	joined       bool // an agent has joined its lease, so the agent may hold it
	fresh        bool // not inserted yet
	dirty        bool
}

const liveStates = "('queued', 'placed', 'running')"

// taskTable and taskColumns belong together: the lease says whether an agent may
// hold the task.
const (
	taskTable   = "tasks t left join leases tl on tl.id = t.lease"
	taskColumns = `t.id, t.job, t.group_name, t.replica, t.attempt, t.failures, t.state, t.newest, coalesce(t.lease, ''), t.variant, t.milli_devices,
	t.milli_cpu, t.memory_mib, t.checkpoint, t.progress, t.port, t.exit_code, t.reason, t.stop_for, t.missing_since, t.queued_at, t.placed_at,
	t.started_at, t.ended_at, t.world, tl.running_at is not null`
)

func scanTaskRow(row pgx.CollectableRow) (*taskRow, error) {
	t := &taskRow{}
	err := row.Scan(&t.ID, &t.Job, &t.Group, &t.Replica, &t.Attempt, &t.Failures, &t.State, &t.newest, &t.Lease, &t.Variant, &t.Devices,
		&t.MilliCPU, &t.MemoryMiB, &t.Checkpoint, &t.Progress, &t.Port, &t.ExitCode, &t.Reason, &t.stopFor, optional{&t.missingSince}, &t.QueuedAt,
		optional{&t.PlacedAt}, optional{&t.StartedAt}, optional{&t.EndedAt}, &t.World, &t.joined)
	t.Stop = t.stopFor != stopNot
	return t, err
}

func scanTask(row pgx.CollectableRow) (purser.Task, error) {
	t, err := scanTaskRow(row)
	if err != nil {
		return purser.Task{}, err
	}
	return t.Task, nil
}

// Tasks lists tasks by job, group, replica and attempt.
func (db *DB) Tasks(ctx context.Context, f TaskFilter) ([]purser.Task, error) {
	sql := "select " + taskColumns + " from " + taskTable + " where true"
	var args []any
	if f.Job != "" {
		args = append(args, string(f.Job))
		sql += " and t.job = $1"
	}
	if f.Lease != "" {
		args = append(args, string(f.Lease))
		sql += " and t.lease = " + placeholder(len(args))
	}
	if f.Live {
		sql += " and t.state in " + liveStates
	}
	if f.NewestOnly {
		sql += " and t.newest"
	}
	args = append(args, limit(f.Limit))
	sql += " order by t.job, t.group_name, t.replica, t.attempt limit " + placeholder(len(args))
	tasks, err := collect(ctx, db.pool, scanTask, sql, args...)
	return tasks, fail("postgres.Tasks", err)
}

// LiveTasks lists the tasks that have not ended, by id.
func (db *DB) LiveTasks(ctx context.Context) ([]purser.Task, error) {
	tasks, err := liveTasks(ctx, db.pool)
	return tasks, fail("postgres.LiveTasks", err)
}

func liveTasks(ctx context.Context, q querier) ([]purser.Task, error) {
	return collect(ctx, q, scanTask, "select "+taskColumns+" from "+taskTable+" where t.state in "+liveStates+" order by t.id")
}

// insertTasks adds new tasks by COPY. They may have gone on in the same transaction,
// so whole rows are written here too.
func insertTasks(ctx context.Context, t *tx, tasks []*taskRow) error {
	columns := []string{
		"id", "job", "group_name", "replica", "attempt", "failures", "state", "newest", "lease", "variant", "milli_devices", "milli_cpu", "memory_mib",
		"checkpoint", "progress", "port", "exit_code", "reason", "stop_for", "missing_since", "queued_at", "placed_at", "started_at", "ended_at", "world",
	}
	_, err := t.CopyFrom(ctx, pgx.Identifier{"tasks"}, columns, pgx.CopyFromSlice(len(tasks), func(i int) ([]any, error) {
		r := tasks[i]
		return []any{
			string(r.ID), string(r.Job), r.Group, r.Replica, r.Attempt, r.Failures, string(r.State), r.newest, nullText(r.Lease), r.Variant, int64(r.Devices),
			r.MilliCPU, r.MemoryMiB, r.Checkpoint, r.Progress, r.Port, r.ExitCode, r.Reason, string(r.stopFor), nullTime(r.missingSince), utc(r.QueuedAt),
			nullTime(r.PlacedAt), nullTime(r.StartedAt), nullTime(r.EndedAt), r.World,
		}, nil
	}))
	return err
}

// updateTasks writes whole rows. Whoever calls it holds the locks of their jobs.
func updateTasks(ctx context.Context, t *tx, tasks []*taskRow) error {
	batch := &pgx.Batch{}
	for _, r := range tasks {
		batch.Queue(`update tasks set state = $2, newest = $3, lease = $4, variant = $5, milli_devices = $6, milli_cpu = $7, memory_mib = $8,
			checkpoint = $9, progress = $10, port = $11, exit_code = $12, reason = $13, stop_for = $14, missing_since = $15, queued_at = $16,
			placed_at = $17, started_at = $18, ended_at = $19, world = $20 where id = $1`,
			string(r.ID), string(r.State), r.newest, nullText(r.Lease), r.Variant, int64(r.Devices), r.MilliCPU, r.MemoryMiB,
			r.Checkpoint, r.Progress, r.Port, r.ExitCode, r.Reason, string(r.stopFor), nullTime(r.missingSince), utc(r.QueuedAt),
			nullTime(r.PlacedAt), nullTime(r.StartedAt), nullTime(r.EndedAt), r.World)
	}
	return t.SendBatch(ctx, batch).Close()
}

// noteTasks writes what an agent says of tasks that it holds, and nothing that a
// state hangs on; so it needs the lease's lock alone.
func noteTasks(ctx context.Context, t *tx, lease purser.LeaseID, tasks []*taskRow) error {
	batch := &pgx.Batch{}
	for _, r := range tasks {
		batch.Queue(`update tasks set progress = $3, checkpoint = $4, port = $5, missing_since = $6
			where id = $1 and lease = $2 and state in ('placed', 'running')`,
			string(r.ID), string(lease), r.Progress, r.Checkpoint, r.Port, nullTime(r.missingSince))
	}
	return t.SendBatch(ctx, batch).Close()
}
