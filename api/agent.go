package api

import (
	"time"

	"purser"
)

// AgentJoin is an agent's first call, with the lease's join token as bearer. The
// secret is the agent's own choice, so that a lost answer costs nothing: the same
// secret may join again, another one may not.
type AgentJoin struct {
	Lease   purser.LeaseID `json:"lease"`
	Secret  string         `json:"secret" minLength:"64" maxLength:"64"` // 32 random bytes in hex
	Host    string         `json:"host"`
	PID     int            `json:"pid"`
	Version string         `json:"version"`
}

// AgentJoined answers a join.
type AgentJoined struct {
	Lease         purser.Lease `json:"lease"`
	ReportEveryMs int          `json:"report_every_ms"`
	GiveUpMs      int          `json:"give_up_ms"` // without a server for so long, the agent ends itself
}

// AgentReport tells what runs; bearer is the agent's secret. Repeating a report
// changes nothing.
type AgentReport struct {
	Lease  purser.LeaseID `json:"lease"`
	Tasks  []TaskReport   `json:"tasks"`
	Logs   []LogLine      `json:"logs"`
	Notice *AgentNotice   `json:"notice,omitempty"` // repeated until a report with it is answered
}

// AgentNotice is what the machine's cloud said to the machine. Leave says that the
// agent stops all of its tasks for it, and ends.
type AgentNotice struct {
	Kind   string    `json:"kind" enum:"preempted,rebalance,maintenance"`
	At     time.Time `json:"at,omitzero"` // when it happens; missing if the cloud does not say
	Reason string    `json:"reason" maxLength:"1000"`
	Leave  bool      `json:"leave"`
}

// TaskReport is one task as its agent sees it. State is running, succeeded, failed
// or lost; lost says that the agent was told to stop it.
type TaskReport struct {
	Task       purser.TaskID    `json:"task"`
	State      purser.TaskState `json:"state"`
	ExitCode   *int             `json:"exit_code,omitempty"`
	Reason     string           `json:"reason,omitempty"`
	Checkpoint string           `json:"checkpoint,omitempty"`
	Progress   float64          `json:"progress"`
	Port       int              `json:"port,omitempty"` // where a service listens
	StartedAt  time.Time        `json:"started_at,omitzero"`
	EndedAt    time.Time        `json:"ended_at,omitzero"`
}

// AgentOrders answers a report: the tasks that are to run on the lease, all of
// them, and the ones to stop. A task that the report lists comes without its group,
// since its agent has it. A task that was reported as ended is in neither.
type AgentOrders struct {
	Run   []TaskSpec      `json:"run"`
	Stop  []purser.TaskID `json:"stop"`
	Drain bool            `json:"drain"` // stop all at a checkpoint, report, exit
}

// TaskSpec is all that an agent needs to run a task.
type TaskSpec struct {
	Task    purser.Task      `json:"task"`
	Group   purser.TaskGroup `json:"group"`
	Project string           `json:"project"`
	JobName string           `json:"job_name"`
}
