package app

import (
	"context"
	"log/slog"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"purser"
	"purser/postgres"
)

// stepTime bounds one step of a lease: a call to a provider and two transactions.
const stepTime = 90 * time.Second

// stepWorker takes the steps of leases.
type stepWorker struct {
	river.WorkerDefaults[postgres.LeaseStep]
	app *App
}

// Timeout bounds one step.
func (w *stepWorker) Timeout(*river.Job[postgres.LeaseStep]) time.Duration { return stepTime }

// retryMost bounds the wait after a step that failed. River's own back-off grows to
// days, and a machine that is to end costs money meanwhile.
const retryMost = 15 * time.Second

// NextRetry doubles the wait from a second on.
func (w *stepWorker) NextRetry(job *river.Job[postgres.LeaseStep]) time.Time {
	return time.Now().Add(retryAfter(len(job.Errors)))
}

// retryAfter is the wait after so many failures.
func retryAfter(failures int) time.Duration {
	return min(retryMost, time.Second<<min(failures, 4))
}

// Work takes one step. A step that was overtaken by a later transition is dropped:
// that transition brought a step of its own.
func (w *stepWorker) Work(ctx context.Context, job *river.Job[postgres.LeaseStep]) error {
	l, err := w.app.db.Lease(ctx, purser.LeaseID(job.Args.Lease))
	if err == nil && !job.Args.Current(l) {
		return nil
	}
	again := time.Duration(-1)
	if err == nil {
		again, err = w.app.fleet.Step(ctx, l.ID)
	}
	if err == nil && again < 0 {
		w.app.turnElsewhere(ctx, l.ID)
	}
	switch {
	case err != nil && purser.KindOf(err) == purser.KindNotFound:
		return river.JobCancel(err)
	case err != nil:
		return err
	case again >= 0:
		return river.JobSnooze(again)
	}
	return nil
}

// turnElsewhere has a plan made at once for what a machine that was refused, or could
// not join, was to run.
func (a *App) turnElsewhere(ctx context.Context, id purser.LeaseID) {
	l, err := a.db.Lease(ctx, id)
	if err == nil && l.RunningAt.IsZero() && (l.State == purser.LeaseFailed || l.State == purser.LeaseDraining) {
		a.sweeps.kick("plan")
	}
}

func (a *App) startRiver(work context.Context) error {
	workers := river.NewWorkers()
	if err := river.AddWorkerSafely(workers, &stepWorker{app: a}); err != nil {
		return purser.Wrap(purser.KindInternal, "app.startRiver", err)
	}
	client, err := river.NewClient(riverpgxv5.New(a.db.Pool()), &river.Config{
		ID:     a.replica,
		Schema: postgres.Schema,
		Queues: map[string]river.QueueConfig{
			postgres.StepQueue(""):     {MaxWorkers: 50},
			postgres.StepQueue(a.host): {MaxWorkers: 50},
		},
		Workers:              workers,
		Logger:               slog.New(quiet{a.log.Handler()}),
		FetchCooldown:        50 * time.Millisecond,
		FetchPollInterval:    500 * time.Millisecond,
		RescueStuckJobsAfter: 2 * stepTime,
	})
	if err != nil {
		return purser.Wrap(purser.KindInternal, "app.startRiver", err)
	}
	if err := client.Start(work); err != nil {
		return purser.Wrap(purser.KindUnavailable, "app.startRiver", err)
	}
	a.undo = append(a.undo, func(ctx context.Context) error {
		return purser.Wrap(purser.KindUnavailable, "app.Stop", client.StopAndCancel(ctx))
	})
	return nil
}

// quiet keeps River's notes about its own housekeeping out of the log.
type quiet struct{ slog.Handler }

// Enabled lets warnings and errors through.
func (q quiet) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && q.Handler.Enabled(ctx, l)
}
