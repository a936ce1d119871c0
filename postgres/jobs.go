package postgres

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"

	"purser"
)

// DefaultProject is where a job's name is looked for when no project is given.
const DefaultProject = "default"

const jobColumns = "j.id, j.project, j.name, j.labels, j.priority, j.state, j.submitted_at, j.ended_at"

func scanJob(row pgx.CollectableRow) (j purser.Job, err error) {
	return j, row.Scan(&j.ID, &j.Project, &j.Name, fromJSON{&j.Labels}, &j.Priority, &j.State, &j.SubmittedAt, optional{&j.EndedAt})
}

// Jobs lists jobs, newest first, without the content of their files. A page goes on
// after the last id of the page before.
func (db *DB) Jobs(ctx context.Context, f JobFilter) (jobs []purser.Job, err error) {
	err = db.read(ctx, "postgres.Jobs", func(ctx context.Context, t pgx.Tx) error {
		jobs, err = collect(ctx, t, scanJob, "select "+jobColumns+` from jobs j
			where ($1 = '' or j.project = $1) and ($2 = '' or j.state = $2) and (not $3 or j.ended_at is null) and ($4 = '' or j.id < $4)
			order by j.id desc limit $5`, f.Project, string(f.State), f.Live, string(f.After), limit(f.Limit))
		if err != nil {
			return err
		}
		return fillGroups(ctx, t, jobs, false)
	})
	return jobs, err
}

// Job reads one job, files and all. ref is its id, or project/name, or the name of a
// job in DefaultProject.
func (db *DB) Job(ctx context.Context, ref string) (job purser.Job, err error) {
	const op = "postgres.Job"
	project, name, ok := strings.Cut(ref, "/")
	if !ok {
		project, name = DefaultProject, ref
	}
	err = db.read(ctx, op, func(ctx context.Context, t pgx.Tx) error {
		found, err := collect(ctx, t, scanJob, "select "+jobColumns+` from jobs j where j.id = $1 or (j.project = $2 and j.name = $3)
			order by j.id = $1 desc limit 1`, ref, project, name)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return notFound(op, "job", ref)
		}
		if err := fillGroups(ctx, t, found, true); err != nil {
			return err
		}
		job = found[0]
		return nil
	})
	return job, err
}

// fillGroups reads the groups of the jobs, in each job's order.
func fillGroups(ctx context.Context, q querier, jobs []purser.Job, files bool) error {
	at := make(map[purser.JobID]int, len(jobs))
	ids := make([]string, len(jobs))
	for i, j := range jobs {
		at[j.ID], ids[i] = i, string(j.ID)
	}
	rows, err := q.Query(ctx, `select job, spec, case when $2 then files end from task_groups where job = any($1) order by job, position`, ids, files)
	if err != nil {
		return err
	}
	var id purser.JobID
	var spec, content []byte
	_, err = pgx.ForEachRow(rows, []any{&id, &spec, &content}, func() error {
		var g purser.TaskGroup
		if err := (fromJSON{&g}).ScanBytes(spec); err != nil {
			return err
		}
		if err := (fromJSON{&g.Run.Files}).ScanBytes(content); err != nil {
			return err
		}
		jobs[at[id]].Groups = append(jobs[at[id]].Groups, g)
		return nil
	})
	return err
}

// JobFigures sums up tasks and charges of jobs. Jobs that do not exist are not in the
// result.
func (db *DB) JobFigures(ctx context.Context, ids []purser.JobID) (map[purser.JobID]JobFigures, error) {
	const op = "postgres.JobFigures"
	out := make(map[purser.JobID]JobFigures, len(ids))
	err := db.read(ctx, op, func(ctx context.Context, t pgx.Tx) error {
		rows, err := t.Query(ctx, `select j.id, coalesce(t.state, ''), count(t.id),
				coalesce(sum(case when t.state = 'succeeded' then 1 else t.progress end), 0),
				coalesce((array_agg(t.reason order by t.ended_at desc) filter (where t.state = 'failed'))[1], '')
			from jobs j left join tasks t on t.job = j.id and t.newest where j.id = any($1) group by j.id, t.state`, texts(ids))
		if err != nil {
			return err
		}
		progress := map[purser.JobID]float64{}
		var id purser.JobID
		var state purser.TaskState
		var count int
		var sum float64
		var reason string
		if _, err := pgx.ForEachRow(rows, []any{&id, &state, &count, &sum, &reason}, func() error {
			f, ok := out[id]
			if !ok {
				f.Tasks = map[purser.TaskState]int{}
			}
			if count > 0 {
				f.Tasks[state] = count
			}
			if reason != "" {
				f.Reason = reason
			}
			progress[id] += sum
			out[id] = f
			return nil
		}); err != nil {
			return err
		}
		return fillFigures(ctx, t, ids, out, progress)
	})
	return out, err
}

func fillFigures(ctx context.Context, q querier, ids []purser.JobID, out map[purser.JobID]JobFigures, progress map[purser.JobID]float64) error {
	rows, err := q.Query(ctx, "select job, sum(billed_cost)::bigint from charges where job = any($1) group by job", texts(ids))
	if err != nil {
		return err
	}
	billed := map[purser.JobID]purser.Money{}
	var id purser.JobID
	var cost purser.Money
	if _, err := pgx.ForEachRow(rows, []any{&id, &cost}, func() error {
		billed[id] = cost
		return nil
	}); err != nil {
		return err
	}
	for id, f := range out {
		n := 0
		for _, count := range f.Tasks {
			n += count
		}
		if n > 0 {
			f.Progress = share(progress[id] / float64(n))
		}
		f.Billed = billed[id]
		out[id] = f
	}
	return nil
}
