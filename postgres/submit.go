package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"purser"
)

// SubmitJobs stores jobs, all or none, each training replica with its first task in
// the queue; replicas of services get their tasks from plans. A job without an id is
// given one.
//
// (project, name) is a job's key. The same job again is left as it is (Created
// false), also when it has ended; so a lost answer can be asked for again. Another
// job of that key is a conflict. Jobs are checked before anything is written: invalid.
func (db *DB) SubmitJobs(ctx context.Context, actor string, jobs []purser.Job) ([]Submitted, error) {
	const op = "postgres.SubmitJobs"
	subs := make([]submission, len(jobs))
	for i, j := range jobs {
		s, err := newSubmission(j)
		if err != nil {
			return nil, fail(op, err)
		}
		subs[i] = s
	}
	// By key, so that two callers with the same jobs wait for each other and do not lock up.
	order := make([]int, len(jobs))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return subs[a].compare(subs[b]) })
	out := make([]Submitted, len(jobs))
	err := db.write(ctx, op, func(ctx context.Context, t *tx) error {
		w := newWorld(t, actor, db.clock())
		for _, i := range order {
			var err error
			if out[i], err = w.submit(ctx, subs[i]); err != nil {
				return err
			}
		}
		return w.saveTasks(ctx)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// submission is a job, checked and encoded.
type submission struct {
	purser.Job
	hash   []byte
	labels []byte
}

func (s submission) compare(o submission) int {
	return slices.Compare([]string{s.Project, s.Name}, []string{o.Project, o.Name})
}

func newSubmission(j purser.Job) (submission, error) {
	if err := j.Check(); err != nil {
		return submission{}, err
	}
	labels := j.Labels
	if labels == nil {
		labels = map[string]string{}
	}
	labelText, err := toJSON(labels)
	if err != nil {
		return submission{}, err
	}
	hash, err := specHash(j)
	return submission{Job: j, hash: hash, labels: labelText}, err
}

// specHash is the same for jobs that ask for the same. Go writes maps in the order
// of their keys and leaves out empty fields, so a field that a later version adds
// changes no hash that is stored.
func specHash(j purser.Job) ([]byte, error) {
	j.ID, j.State, j.SubmittedAt, j.EndedAt = "", "", time.Time{}, time.Time{}
	j.Groups = slices.Clone(j.Groups)
	for i, g := range j.Groups {
		j.Groups[i].Deadline = g.Deadline.UTC()
	}
	b, err := json.Marshal(j)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(b)
	return sum[:], nil
}

func (w *world) submit(ctx context.Context, s submission) (Submitted, error) {
	if s.ID == "" {
		s.ID = purser.JobID(NewID("job", w.at))
	}
	if _, err := w.Exec(ctx, "insert into projects (name, created_at) values ($1, $2) on conflict (name) do nothing", s.Project, w.at); err != nil {
		return Submitted{}, err
	}
	var id purser.JobID
	err := w.QueryRow(ctx, `insert into jobs (id, project, name, labels, priority, spec_hash, submitted_by, submitted_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict (project, name) do nothing returning id`,
		string(s.ID), s.Project, s.Name, s.labels, s.Priority, s.hash, w.actor, w.at).Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		return w.same(ctx, s)
	}
	if err != nil {
		return Submitted{}, err
	}
	w.say(purser.Event{At: w.at, Actor: w.actor, Subject: "job", Name: string(id), To: string(purser.JobQueued), Reason: "submitted as " + s.Project + "/" + s.Name})
	if err := w.insertGroups(ctx, s); err != nil {
		return Submitted{}, err
	}
	for _, g := range s.Groups {
		if g.Kind == purser.Training {
			w.queueReplicas(id, g)
		}
	}
	return Submitted{ID: id, Created: true}, nil
}

// same finds the job that stands under the key.
func (w *world) same(ctx context.Context, s submission) (Submitted, error) {
	var id purser.JobID
	var hash []byte
	if err := w.QueryRow(ctx, "select id, spec_hash from jobs where project = $1 and name = $2", s.Project, s.Name).Scan(&id, &hash); err != nil {
		return Submitted{}, err
	}
	if !sameHash(hash, s.hash) {
		e := purser.Errorf(purser.KindConflict, "postgres.SubmitJobs", "another job is named %s/%s", s.Project, s.Name)
		e.Hint = "give the new one a name of its own"
		return Submitted{}, e
	}
	return Submitted{ID: id}, nil
}

func (w *world) insertGroups(ctx context.Context, s submission) error {
	batch := &pgx.Batch{}
	for i, g := range s.Groups {
		var files *[]byte
		if len(g.Run.Files) > 0 {
			b, err := toJSON(g.Run.Files)
			if err != nil {
				return err
			}
			files = &b
			g.Run.Files = slices.Clone(g.Run.Files)
			for f := range g.Run.Files {
				g.Run.Files[f].Content = nil
			}
		}
		spec, err := toJSON(g)
		if err != nil {
			return err
		}
		batch.Queue(`insert into task_groups (job, name, position, kind, replicas, gang, retries, spec, files)
			values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`, string(s.ID), g.Name, i, string(g.Kind), g.LeastReplicas(), g.Gang, g.Retries, spec, files)
	}
	return w.SendBatch(ctx, batch).Close()
}

func (w *world) queueReplicas(job purser.JobID, g purser.TaskGroup) {
	for r := range g.LeastReplicas() {
		t := &taskRow{fresh: true, newest: true, Task: purser.Task{
			ID: purser.TaskID(NewID("task", w.at)), Job: job, Group: g.Name, Replica: r, Attempt: 1, State: purser.TaskQueued, QueuedAt: w.at,
		}}
		w.tasks[t.ID] = t
		w.say(purser.Event{At: w.at, Actor: w.actor, Subject: "task", Name: string(t.ID), To: string(purser.TaskQueued)})
	}
}

// CancelJob asks for the end of a job: what waits is cancelled at once, what an
// agent holds is stopped by it. The job is cancelled once nothing of it lives. A job
// that has ended, or whose end was asked for before, is returned as it is.
func (db *DB) CancelJob(ctx context.Context, actor string, id purser.JobID) (purser.Job, error) {
	const op = "postgres.CancelJob"
	err := db.write(ctx, op, func(ctx context.Context, t *tx) error {
		w := newWorld(t, actor, db.clock())
		if err := w.lockJobs(ctx, []purser.JobID{id}); err != nil {
			return err
		}
		job := w.jobs[id]
		if job == nil {
			return notFound(op, "job", id)
		}
		if !job.open() {
			return nil
		}
		return w.cancel(ctx, job)
	})
	if err != nil {
		return purser.Job{}, err
	}
	return db.Job(ctx, string(id))
}

func (w *world) cancel(ctx context.Context, job *jobRow) error {
	job.Cancelled = w.at
	if _, err := w.Exec(ctx, "update jobs set cancelled_at = $2 where id = $1", string(job.ID), w.at); err != nil {
		return err
	}
	w.say(purser.Event{
		At: w.at, Actor: w.actor, Subject: "job", Name: string(job.ID), From: string(job.State), To: string(job.State), Reason: "its end was asked for",
	})
	if err := w.loadTasks(ctx, "t.job = $1 and t.state in "+liveStates, string(job.ID)); err != nil {
		return err
	}
	if err := w.loadMoves(ctx); err != nil {
		return err
	}
	for _, t := range sortedByID(w.tasks, func(t *taskRow) bool { return !t.State.Ended() }) {
		if err := w.stop(t, stopCancelled, "its job was cancelled"); err != nil {
			return err
		}
	}
	w.touched[job.ID] = true
	return w.save(ctx)
}
