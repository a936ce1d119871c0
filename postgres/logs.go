package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"purser"
)

// logLocks is the first key of the locks of logs; the second is a hash of the job.
const logLocks = 0x6c6f67 // "log"

// AppendLogs keeps the lines of tasks that are or were on the lease, and returns how
// many were new. Lines that stand already (by task and number) and lines of other
// tasks are left out, so that a batch can be repeated and an agent writes only to its
// own tasks. An unknown stream is taken for stdout.
//
// Lines of a job get their ids one batch after another, under a lock of the job, so
// that who follows a log by the last id misses nothing.
func (db *DB) AppendLogs(ctx context.Context, lease purser.LeaseID, lines []LogLine) (added int, err error) {
	if len(lines) == 0 {
		return 0, nil
	}
	n := len(lines)
	task, seq, at, stream, line := make([]string, n), make([]int64, n), make([]time.Time, n), make([]string, n), make([]string, n)
	for i, l := range lines {
		task[i], seq[i], at[i], stream[i], line[i] = string(l.Task), l.Seq, utc(l.At), l.Stream, clean(l.Text, maxLine)
		if l.Stream != "stderr" && l.Stream != "agent" {
			stream[i] = "stdout"
		}
	}
	err = db.write(ctx, "postgres.AppendLogs", func(ctx context.Context, t *tx) error {
		jobs, err := collect(ctx, t, pgx.RowTo[string], "select distinct job from tasks where id = any($1) and lease = $2 order by 1",
			slices.Compact(slices.Sorted(slices.Values(task))), string(lease))
		if err != nil || len(jobs) == 0 {
			return err
		}
		if _, err := t.Exec(ctx, "select pg_advisory_xact_lock($1, k) from (select distinct hashtext(j) as k from unnest($2::text[]) j order by 1) l",
			int32(logLocks), jobs); err != nil {
			return err
		}
		tag, err := t.Exec(ctx, `insert into logs (task, job, seq, at, stream, line)
			select u.task, t.job, u.seq, u.at, u.stream, u.line
			from unnest($1::text[], $2::bigint[], $3::timestamptz[], $4::text[], $5::text[]) with ordinality as u (task, seq, at, stream, line, nth)
				join tasks t on t.id = u.task and t.lease = $6
			order by u.nth on conflict (task, seq) do nothing`, task, seq, at, stream, line, string(lease))
		added = int(tag.RowsAffected())
		return err
	})
	return added, err
}

// Logs lists lines in the order of arrival.
func (db *DB) Logs(ctx context.Context, f LogFilter) ([]LogLine, error) {
	const op = "postgres.Logs"
	if f.Limit <= 0 {
		f.Limit = 1000
	}
	column, key := "job", string(f.Job)
	if f.Task != "" {
		column, key = "task", string(f.Task)
	}
	order := "asc"
	if f.Tail {
		f.After, order = 0, "desc"
	}
	lines, err := collect(ctx, db.pool, func(row pgx.CollectableRow) (l LogLine, err error) {
		return l, row.Scan(&l.ID, &l.Task, &l.Seq, &l.At, &l.Stream, &l.Text)
	}, "select id, task, seq, at, stream, line from logs where "+column+" = $1 and id > $2 order by id "+order+" limit $3", key, f.After, f.Limit)
	if f.Tail {
		slices.Reverse(lines)
	}
	return lines, fail(op, err)
}

// Prune forgets the lines of tasks that ended before logsBefore, and the plans that
// were admitted before plansBefore and of which no lease or move is left to tell. Zero
// times forget nothing. What is charged, and the audit, stay for good.
func (db *DB) Prune(ctx context.Context, logsBefore, plansBefore time.Time) (lines, plans int, err error) {
	err = db.write(ctx, "postgres.Prune", func(ctx context.Context, t *tx) error {
		tag, err := t.Exec(ctx, "delete from logs l using tasks t where t.id = l.task and t.ended_at < $1", nullTime(logsBefore))
		if err != nil {
			return err
		}
		lines = int(tag.RowsAffected())
		tag, err = t.Exec(ctx, `delete from plans p where p.admitted_at < $1 and not exists (select from leases l where l.plan = p.id)
			and not exists (select from moves m where m.plan = p.id) and p.id <> (select id from plans order by admitted_at desc, id desc limit 1)`, nullTime(plansBefore))
		plans = int(tag.RowsAffected())
		return err
	})
	return lines, plans, err
}
