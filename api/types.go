package api

import (
	"time"

	"purser"
)

// Problem is an error on the wire (RFC 9457).
type Problem struct {
	Type   string        `json:"type"`
	Title  string        `json:"title"`
	Status int           `json:"status"`
	Detail string        `json:"detail,omitempty"`
	Code   purser.Kind   `json:"code"`
	Hint   string        `json:"hint,omitempty"`
	Place  *purser.Place `json:"place,omitempty"`
	Errors []FieldError  `json:"errors,omitempty"`
}

// FieldError is one fault of a request body or parameter.
type FieldError struct {
	Message  string `json:"message"`
	Location string `json:"location,omitempty"`
	Value    any    `json:"value,omitempty"`
}

// Health says whether the server can do its work.
type Health struct {
	Status    string            `json:"status"` // ok, starting, degraded or down
	Version   string            `json:"version"`
	Rehearsal bool              `json:"rehearsal"` // nothing is bought, machines are stood in for
	Server    string            `json:"server"`    // id of this server process
	Host      string            `json:"host"`
	Time      time.Time         `json:"time"`
	Parts     map[string]string `json:"parts"` // part → ok, or what is wrong with it
}

// JobFile is a job file as text, with the files that it brings.
type JobFile struct {
	Name    string            `json:"name,omitempty"`    // for places in errors; e.g. jobs.yaml
	Text    string            `json:"text"`              // YAML or JSON
	Project string            `json:"project,omitempty"` // for jobs that name none
	Files   map[string][]byte `json:"files,omitempty"`   // path in the job file → content, base64
}

// Submitted is the answer to a submission.
type Submitted struct {
	Jobs []SubmittedJob `json:"jobs"`
}

// SubmittedJob says what became of one job of the file.
type SubmittedJob struct {
	ID      purser.JobID `json:"id"`
	Project string       `json:"project"`
	Name    string       `json:"name"`
	Created bool         `json:"created"` // false: it stood already, nothing changed
}

// Job is a job as users see it.
type Job struct {
	ID          purser.JobID      `json:"id"`
	Project     string            `json:"project"`
	Name        string            `json:"name"`
	Labels      map[string]string `json:"labels,omitempty"`
	Priority    int               `json:"priority"`
	State       purser.JobState   `json:"state"`
	Reason      string            `json:"reason,omitempty"` // why it waits or failed
	SubmittedAt time.Time         `json:"submitted_at"`
	EndedAt     *time.Time        `json:"ended_at,omitempty"`
	Groups      []Group           `json:"groups"`
	Tasks       TaskCounts        `json:"tasks"`
	Progress    float64           `json:"progress"`        // 0 to 1, mean of the newest tasks
	Cost        purser.Money      `json:"billed_cost_usd"` // charged so far
	Rehearsal   bool              `json:"rehearsal"`
}

// Group is a task group as users see it.
type Group struct {
	Name     string           `json:"name"`
	Kind     purser.GroupKind `json:"kind"`
	Replicas int              `json:"replicas"`
	Sizes    []int            `json:"sizes,omitempty"` // of a gang whose number of replicas the plan decides; Replicas is the least
	Gang     bool             `json:"gang,omitempty"`
	Demand   float64          `json:"demand_rps,omitempty"`
	After    []string         `json:"after,omitempty"` // groups of the job that it waits for
	Variants []string         `json:"variants"`
}

// TaskCounts counts the newest task of each replica by state.
type TaskCounts struct {
	Queued    int `json:"queued"`
	Placed    int `json:"placed"`
	Running   int `json:"running"`
	Succeeded int `json:"succeeded"`
	Failed    int `json:"failed"`
	Lost      int `json:"lost"`
	Cancelled int `json:"cancelled"`
}

// Add counts a task.
func (c *TaskCounts) Add(s purser.TaskState) {
	switch s {
	case purser.TaskQueued:
		c.Queued++
	case purser.TaskPlaced:
		c.Placed++
	case purser.TaskRunning:
		c.Running++
	case purser.TaskSucceeded:
		c.Succeeded++
	case purser.TaskFailed:
		c.Failed++
	case purser.TaskLost:
		c.Lost++
	case purser.TaskCancelled:
		c.Cancelled++
	}
}

// LogLine is one line that a task printed.
type LogLine struct {
	Task   purser.TaskID `json:"task"`
	Seq    int64         `json:"seq"` // from 1 within the task, without gaps
	At     time.Time     `json:"at"`
	Stream string        `json:"stream"` // stdout, stderr or agent
	Text   string        `json:"text"`
}

// Logs is a page of lines. Next is the cursor to go on from.
type Logs struct {
	Lines []LogLine `json:"lines"`
	Next  string    `json:"next"`
	Ended bool      `json:"ended"` // the job has ended and nothing follows
}

// Lease is a lease as users see it.
type Lease struct {
	ID        purser.LeaseID    `json:"id"`
	Plan      purser.PlanID     `json:"plan"`
	Offer     Offer             `json:"offer"`
	Holder    string            `json:"holder"`
	Rehearsal bool              `json:"rehearsal"`
	State     purser.LeaseState `json:"state"`
	Attempt   int               `json:"attempt"`
	Instance  string            `json:"instance,omitempty"`
	Reason    string            `json:"reason,omitempty"`
	CreatedAt time.Time         `json:"created_at"`
	RunningAt *time.Time        `json:"running_at,omitempty"`
	EndedAt   *time.Time        `json:"ended_at,omitempty"`
	Tasks     []LeaseTask       `json:"tasks"` // that are on it now
	Cost      purser.Money      `json:"billed_cost_usd"`
}

// LeaseTask is a task on a lease, with what it takes of the machine.
type LeaseTask struct {
	Task      purser.TaskID    `json:"task"`
	Job       purser.JobID     `json:"job"`
	JobName   string           `json:"job_name"`
	Group     string           `json:"group"`
	Replica   int              `json:"replica"`
	Variant   string           `json:"variant"`
	State     purser.TaskState `json:"state"`
	Devices   float64          `json:"devices"`
	VCPUs     float64          `json:"vcpus"`
	MemoryGiB float64          `json:"memory_gib"`
	Progress  float64          `json:"progress"`
}

// Spend is the money in one answer. Rehearsed money stands apart from money
// that was really owed and the two are never added.
type Spend struct {
	Rehearsal      bool              `json:"rehearsal"` // the figures are what it would have cost
	At             time.Time         `json:"at"`
	RatePerHour    purser.USDPerHour `json:"usd_per_hour"` // of the leases that run now
	MonthStart     time.Time         `json:"month_start"`
	MonthToDate    purser.Money      `json:"month_to_date_usd"`
	MonthToDateOD  purser.Money      `json:"month_to_date_list_usd"` // the same at on-demand list prices
	MonthEnd       purser.Money      `json:"month_end_usd"`          // projection
	Assumption     string            `json:"assumption"`             // of the projection, a sentence
	ByJob          []SpendRow        `json:"by_job"`
	ChargedThrough time.Time         `json:"charged_through"`
}

// SpendRow is the month's spend on one job; an empty job is idle room.
type SpendRow struct {
	Project string       `json:"project"`
	Job     string       `json:"job"`
	Billed  purser.Money `json:"billed_cost_usd"`
	List    purser.Money `json:"list_cost_usd"`
}

// Rebalance asks for moves of what runs to where it is cheaper.
type Rebalance struct {
	DryRun bool `json:"dry_run"`
}

// Rebalanced says what moves, or would, and why.
type Rebalanced struct {
	DryRun     bool              `json:"dry_run"`
	Rehearsal  bool              `json:"rehearsal"`
	Now        purser.USDPerHour `json:"usd_per_hour_now"`
	After      purser.USDPerHour `json:"usd_per_hour_after"`
	Saving     purser.Money      `json:"saving_usd"` // over the horizon, moves paid for
	Pays       bool              `json:"pays"`
	Reason     string            `json:"reason"`
	Moves      []RebalanceMove   `json:"moves"`
	HorizonHrs float64           `json:"horizon_hours"`
}

// RebalanceMove is one task that moves.
type RebalanceMove struct {
	Task    purser.TaskID  `json:"task"`
	Job     string         `json:"job"`
	Group   string         `json:"group"`
	Replica int            `json:"replica"`
	From    purser.OfferID `json:"from"`
	To      purser.OfferID `json:"to"`
}

// Token is an API token without its secret.
type Token struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	Role      Role       `json:"role"`
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
	RevokedAt *time.Time `json:"revoked_at,omitempty"`
	UsedAt    *time.Time `json:"used_at,omitempty"`
}

// Role is what a token may do; each includes the ones before it.
type Role string

// The roles.
const (
	RoleViewer   Role = "viewer"   // reads
	RoleOperator Role = "operator" // submits, cancels, rebalances
	RoleAdmin    Role = "admin"    // tokens, quotas, prices
)

// NewToken asks for a token.
type NewToken struct {
	Name     string `json:"name" minLength:"1" maxLength:"63"`
	Role     Role   `json:"role" enum:"viewer,operator,admin"`
	ValidFor string `json:"valid_for,omitempty" doc:"How long it is valid, e.g. 30d. Empty: until it is revoked."`
}

// CreatedToken holds the secret, which is shown this once.
type CreatedToken struct {
	Token
	Secret string `json:"secret"`
}

// Login is a one-time code that signs a browser in.
type Login struct {
	Code string    `json:"code"`
	URL  string    `json:"url"`
	Till time.Time `json:"valid_until"`
}
