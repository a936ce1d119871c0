package purser

import (
	"slices"
	"time"
)

// TaskID names one run of a replica.
type TaskID string

// TaskState is where a task stands.
//
//	queued → placed → running → succeeded | failed | lost | cancelled
//
// A lost task is followed by a new one in the queue with its last checkpoint.
type TaskState string

// The states of a task.
const (
	TaskQueued    TaskState = "queued"
	TaskPlaced    TaskState = "placed"  // on a lease that may still be launching
	TaskRunning   TaskState = "running" // its process is alive
	TaskSucceeded TaskState = "succeeded"
	TaskFailed    TaskState = "failed"    // its command ended with an error
	TaskLost      TaskState = "lost"      // its machine was taken, moved or drained; not the command's fault
	TaskCancelled TaskState = "cancelled" // the user ended it, or it is no longer needed
)

var taskNext = map[TaskState][]TaskState{
	TaskQueued:  {TaskPlaced, TaskCancelled},
	TaskPlaced:  {TaskRunning, TaskQueued, TaskSucceeded, TaskFailed, TaskLost, TaskCancelled},
	TaskRunning: {TaskSucceeded, TaskFailed, TaskLost, TaskCancelled},
}

// Can says whether a task may go from s to next. A placed task that never started
// goes back to queued; it may also end without having been seen running, when it
// is shorter than a heartbeat.
func (s TaskState) Can(next TaskState) bool { return slices.Contains(taskNext[s], next) }

// Ended says whether the state is final.
func (s TaskState) Ended() bool {
	return s == TaskSucceeded || s == TaskFailed || s == TaskLost || s == TaskCancelled
}

// Task is one run of one replica of a group.
type Task struct {
	ID         TaskID       `json:"id"`
	Job        JobID        `json:"job"`
	Group      string       `json:"group"`
	Replica    int          `json:"replica"`
	Attempt    int          `json:"attempt"`  // from 1; grows with every new task of the replica
	Failures   int          `json:"failures"` // earlier attempts whose command failed; compared with TaskGroup.Retries
	State      TaskState    `json:"state"`
	Lease      LeaseID      `json:"lease,omitempty"`
	Variant    string       `json:"variant,omitempty"`
	World      int          `json:"world,omitempty"` // replicas of the gang that it is of, where the plan decides how many; 0: as many as its group has
	Devices    MilliDevices `json:"milli_devices,omitempty"`
	MilliCPU   int64        `json:"milli_cpu,omitempty"`
	MemoryMiB  int64        `json:"memory_mib,omitempty"`
	Checkpoint string       `json:"checkpoint,omitempty"` // what the next attempt starts from
	Progress   float64      `json:"progress,omitempty"`   // 0 to 1 as the task itself reports it
	ExitCode   *int         `json:"exit_code,omitempty"`
	Reason     string       `json:"reason,omitempty"`
	Port       int          `json:"port,omitempty"` // where a service's replica listens on its machine
	Stop       bool         `json:"stop,omitempty"` // its agent is to stop it

	QueuedAt  time.Time `json:"queued_at,omitzero"`
	PlacedAt  time.Time `json:"placed_at,omitzero"`
	StartedAt time.Time `json:"started_at,omitzero"`
	EndedAt   time.Time `json:"ended_at,omitzero"`
}

// StateOf is the job's state as it follows from the newest task of each replica.
// cancelled says that the user has ended the job.
func StateOf(job Job, newest []Task, cancelled bool) JobState {
	var live, started, failed, succeeded int
	for _, t := range newest {
		switch t.State {
		case TaskPlaced, TaskRunning:
			live++
			started++
		case TaskQueued:
			live++
			if t.Attempt > 1 {
				started++
			}
		case TaskSucceeded:
			succeeded++
			started++
		case TaskFailed:
			failed++
		case TaskLost:
			started++
			live++ // its successor is about to be queued
		case TaskCancelled: // neither alive nor a result
		}
	}
	switch {
	case cancelled && live == 0:
		return JobCancelled
	case failed > 0:
		return JobFailed
	case live == 0 && succeeded > 0:
		return JobSucceeded
	case started > 0:
		return JobRunning
	default:
		return JobQueued
	}
}
