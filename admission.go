package purser

import "time"

// Admission is what becomes of the world when a plan is admitted. It is decided
// from a snapshot; whoever applies it checks each part again under a row lock and
// leaves out what is no longer true (a task that ended, a lease that drains).
type Admission struct {
	Plan     PlanID
	At       time.Time
	Launch   []Lease            // new leases, planned; ids are given
	Sizes    []GangSize         // how many replicas gangs have from now on, before anything is placed
	Place    []TaskPlacement    // queued tasks onto leases
	Start    []TaskPlacement    // replicas of services that have no live task yet: new tasks, placed at once
	Moves    []Move             // live tasks to other leases
	Withdraw []LeaseID          // planned leases that the plan has no use for
	Drain    []LeaseID          // launching or running leases that the plan has no use for
	Stop     []TaskID           // live tasks of services that are no longer needed
	Reasons  map[LeaseID]string // why, for Withdraw and Drain
}

// GangSize settles how many replicas a waiting gang has. Replicas that have no task
// get one, in the queue, and tasks of higher numbers are no longer needed.
type GangSize struct {
	Job      JobID
	Group    string
	Replicas int
	New      map[int]TaskID // ids of the tasks to be made, by replica
}

// TaskPlacement puts one task on a lease.
type TaskPlacement struct {
	Task      TaskID // empty in Start
	Lease     LeaseID
	Placement Placement
}

// MoveState is where a move stands: waiting for its new machine, stopping the task
// on the old one, done, or undone because the new machine never came or the task
// ended by itself.
type MoveState string

// The states of a move.
const (
	MoveWaiting  MoveState = "waiting"
	MoveStopping MoveState = "stopping"
	MoveDone     MoveState = "done"
	MoveUndone   MoveState = "undone"
)

// Move takes a live task from one lease to another for a gain.
type Move struct {
	Task      TaskID    `json:"task"`
	From      LeaseID   `json:"from"`
	To        LeaseID   `json:"to"`
	Plan      PlanID    `json:"plan"`
	State     MoveState `json:"state"`
	Gain      Money     `json:"gain_usd"` // of the plan's moves together, over its horizon
	Placement Placement `json:"placement"`
	Reason    string    `json:"reason"`
	At        time.Time `json:"at"`
}

// QuarantineReason says why a price is not believed.
type QuarantineReason string

// The reasons of quarantine.
const (
	QuarantineNoPrice     QuarantineReason = "no_price"             // missing, zero or negative
	QuarantineSpotAbove   QuarantineReason = "spot_above_on_demand" // both of the pair
	QuarantineOutlier     QuarantineReason = "outlier"              // over three times the type's median of its option over regions
	QuarantineAccelerator QuarantineReason = "unknown_accelerator"
	QuarantineShape       QuarantineReason = "impossible_shape"
	QuarantineConflict    QuarantineReason = "conflicting" // the same offer twice in one feed at different prices
	QuarantineFell        QuarantineReason = "sudden_fall" // to less than a third of a price of the last week, seen once
	QuarantineByHand      QuarantineReason = "by_hand"     // an operator does not believe it
)

// Quarantined is a price that was seen and is not believed, with the reason.
type Quarantined struct {
	Offer  Offer            `json:"offer"`
	Reason QuarantineReason `json:"reason"`
	Detail string           `json:"detail"` // a sentence with the figures
	Place  string           `json:"place"`  // file:line or address in the feed
}

// Event is one line of the audit as users see it: a transition, who made it and why.
type Event struct {
	ID      int64     `json:"id"` // grows
	At      time.Time `json:"at"`
	Actor   string    `json:"actor"`   // token name, sweep or agent
	Subject string    `json:"subject"` // job, task, lease, plan, token, price
	Name    string    `json:"name"`    // the subject's id
	From    string    `json:"from,omitempty"`
	To      string    `json:"to,omitempty"`
	Reason  string    `json:"reason,omitempty"`
}
