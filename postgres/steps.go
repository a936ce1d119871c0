package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"purser"
)

// LeaseStep is the River job of a lease's next step. Every transition that asks for
// a step inserts one in its own transaction, with the fence that the transition
// gave the lease.
//
// A worker first compares the fence (Current): a step whose fence is no longer the
// lease's was overtaken by a transition that brought its own step, or that needs
// none, and is dropped. So a lease has one chain of steps, however often it was
// nudged, drained or delivered twice. Uniqueness is by lease and fence: a step that is running can
// therefore insert its successor, which River would otherwise take for a duplicate
// of itself. Completed steps do not count, or a lease could not be nudged.
type LeaseStep struct {
	Lease string `json:"lease" river:"unique"`
	Fence int64  `json:"fence" river:"unique"`
}

// Kind names the River job.
func (LeaseStep) Kind() string { return "lease_step" }

// Current says whether the step is still the lease's own.
func (s LeaseStep) Current(l purser.Lease) bool { return s.Fence == l.Fence }

// StepQueue is the River queue of the steps of leases on a host. Machines of a host
// are launched by that host's server alone, which works StepQueue(its name) beside
// StepQueue(""), the queue of leases that any server may step.
func StepQueue(host string) string {
	if host == "" {
		return river.QueueDefault
	}
	sum := sha256.Sum256([]byte(host)) // a host's name may hold what a queue's may not
	return "host_" + hex.EncodeToString(sum[:8])
}

// stepAttempts is far more than back-off leaves time for: a step is given up when
// its lease ends, not when it failed often.
const stepAttempts = 1000

// schedulerTurn is how often River looks for scheduled jobs that are due. A step
// that is due sooner is inserted at once: steps are harmless when they are early, and
// a worker that wants to wait a moment snoozes, which River does without its scheduler.
const schedulerTurn = 5 * time.Second

func stepOpts(l purser.Lease, due time.Time) *river.InsertOpts {
	return &river.InsertOpts{
		Queue: StepQueue(l.Host), ScheduledAt: due, MaxAttempts: stepAttempts,
		UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: []rivertype.JobState{
			rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRunning, rivertype.JobStateScheduled,
		}},
	}
}

// nudgeSoon is how far off a retry may lie and still count as a step to come.
const nudgeSoon = time.Minute

// NudgeLeases gives a step to every planned, launching or draining lease that has
// none to come: one whose step failed for good, or was deleted, or waits long for
// its next try. It returns how many it gave.
func (db *DB) NudgeLeases(ctx context.Context, now time.Time) (int, error) {
	nudged := 0
	err := db.write(ctx, "postgres.NudgeLeases", func(ctx context.Context, t *tx) error {
		leases, err := collect(ctx, t, scanLease, "select "+leaseColumns+` from leases l
			where l.state in ('planned', 'launching', 'draining') and not exists (
				select from `+Schema+`.river_job j
				where j.kind = 'lease_step' and j.args->>'lease' = l.id and (j.args->>'fence')::bigint = l.fence
					and (j.state in ('available', 'pending', 'running', 'scheduled') or (j.state = 'retryable' and j.scheduled_at < $1)))
			order by l.id`, now.Add(nudgeSoon))
		if err != nil {
			return err
		}
		w := newWorld(t, "reconcile", now)
		for _, l := range leases {
			w.step(l, w.at)
		}
		nudged = len(leases)
		return nil
	})
	return nudged, err
}
