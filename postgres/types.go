package postgres

import (
	"time"

	"purser"
)

// PriceReport says what SavePrices did with a batch. Seen is the sum of New,
// Changed, Unchanged, Older and Held.
type PriceReport struct {
	Seen        int // offers in the batch, each counted once
	New         int // offers that were not known
	Changed     int // offers whose price changed
	Unchanged   int // offers that cost what they did; only the time of the sighting moved
	Older       int // offers that a later sighting, or an equal one of another source, is known of; left as they are
	Held        int // offers whose price fell so far that it is held back until it is seen again
	Quarantined int // prices that are not believed, held ones among them
	Past        int // earlier prices that were new
	Gone        int // offers of the source that the full batch no longer has
	Alarm       string
}

// OfferFilter selects offers. Zero fields select all that are not gone.
type OfferFilter struct {
	Provider     string
	Region       string
	Accelerators []string // canonical names; any of them
	Option       purser.PurchaseOption
	Source       string
	ID           purser.OfferID // only this one
	Accelerated  bool           // only machines with devices
	Gone         bool           // those that are gone as well
	AsOf         time.Time      // the prices that were in force then; zero: now
	Limit        int            // 0: no limit
}

// Source is a feed of prices and how it fares.
type Source struct {
	Name        string
	LastAt      time.Time // the last batch that was saved
	FailedAt    time.Time // the last collection that failed, wholly or in part; zero when the last one did not
	LastError   string    // of FailedAt
	ErrorKind   string    // of LastError
	Failures    int       // collections in a row that failed
	BeganAt     time.Time // the collection under way; zero: none is
	EndedAt     time.Time // the last collection, well or not
	Progress    string    // of it, or what the last one brought
	Alarm       string    // why batches were not taken whole, e.g. too many offers had vanished
	Regions     int       // that it is collected by; 0: as a whole
	Offers      int       // known by it and not gone
	Quarantined int       // not believed now
}

// QuarantineFilter selects prices that are not believed. Zero fields select all
// that are to be reviewed.
type QuarantineFilter struct {
	Source string
	Offer  purser.OfferID
	Reason purser.QuarantineReason
	Kept   bool // those that were reviewed and left as well
	Limit  int  // 0: no limit
}

// Held is a price in quarantine.
type Held struct {
	purser.Quarantined
	Source, Region          string // of the scope that had it
	FirstSeenAt, LastSeenAt time.Time
	KeptAt                  time.Time // when an operator let it be; zero: not reviewed
}

// JobFilter selects jobs, newest first. Zero fields select all.
type JobFilter struct {
	Project string
	State   purser.JobState
	Live    bool         // only those that have not ended
	Limit   int          // 0: no limit
	After   purser.JobID // the last one of the page before
}

// Submitted says which job a submission is.
type Submitted struct {
	ID      purser.JobID
	Created bool // false: the same job stood there already
}

// JobFigures are the sums over a job's tasks and charges.
type JobFigures struct {
	Tasks    map[purser.TaskState]int // newest task of each replica, by state
	Progress float64                  // 0 to 1: mean over the newest tasks
	Billed   purser.Money             // charged so far
	Reason   string                   // of the newest task that failed; empty when none did
}

// TaskFilter selects tasks in the order of job, group, replica, attempt. Zero
// fields select all.
type TaskFilter struct {
	Job        purser.JobID
	Lease      purser.LeaseID
	Live       bool // queued, placed or running
	NewestOnly bool // the newest task of each replica
	Limit      int  // 0: no limit
}

// LogLine is one line that a task printed.
type LogLine struct {
	ID     int64 // given by the database; grows in the order of arrival within a job
	Task   purser.TaskID
	Seq    int64 // from 1 within the task
	At     time.Time
	Stream string // stdout, stderr or agent
	Text   string
}

// LogFilter selects the lines of a job or of one task, in the order of arrival.
type LogFilter struct {
	Job   purser.JobID
	Task  purser.TaskID
	After int64 // the ID of the last line that was read
	Limit int   // 0: 1,000
	Tail  bool  // the last Limit lines rather than the first; After is ignored
}

// Snapshot is all that a plan is made from, as it stood at one moment.
type Snapshot struct {
	At     time.Time      // must become the plan's CreatedAt: a plan that is older than the newest admitted one is stale
	Jobs   []purser.Job   // not ended and not being cancelled; without the content of their files
	Tasks  []purser.Task  // live
	Leases []purser.Lease // not ended
	Moves  []purser.Move  // waiting or stopping
	Quotas []purser.Quota //
	Failed []FailedOffer  // what came to nothing or was taken back within the last hour, newest first

	Hazards []SpotHazard // how often spot machines are taken back
	Stages  []StageEnd   // what has ended of jobs whose groups wait for one another
}

// FailedOffer is an offer whose launch failed, or whose machine never joined or was taken back. The kind is read from the front of
// the lease's reason, which is written as "no_capacity: …".
type FailedOffer struct {
	Lease  purser.LeaseID
	Offer  purser.OfferID
	Kind   purser.Kind // internal where the reason names none
	Reason string
	At     time.Time
	Ran    bool // it was taken back after it had run: nothing says that another would be
}

// AdmitReport says what came of an admission.
type AdmitReport struct {
	Launched  int
	Placed    int
	Started   int
	Moved     int
	Withdrawn int
	Drained   int
	Stopped   int
	Skipped   []Skipped
}

// Skipped is a part of an admission that was no longer true.
type Skipped struct {
	Subject string // task, lease or move
	Name    string // the id; for a service's new task job/group/replica
	Reason  string
}

// LeaseFilter selects leases, newest first. Zero fields select all.
type LeaseFilter struct {
	Live  bool // not ended
	State purser.LeaseState
	Host  string
	Limit int // 0: no limit
}

// TaskReport is one task as the agent of its lease sees it.
type TaskReport struct {
	Task       purser.TaskID
	State      purser.TaskState // running, succeeded, failed or lost
	ExitCode   *int
	Reason     string
	Checkpoint string
	Progress   float64 // 0 to 1
	Port       int     // where a service listens; 0: nowhere
	StartedAt  time.Time
	EndedAt    time.Time
}

// Orders is what an agent is to do.
type Orders struct {
	Run   []TaskSpec // all that is to run; what the report listed comes as its task alone
	Stop  []purser.TaskID
	Drain bool // stop all at a checkpoint, report, exit
}

// TaskSpec is all that an agent needs to run a task.
type TaskSpec struct {
	Task  purser.Task
	Group purser.TaskGroup // with the content of its files
	Job   purser.Job       // without its groups
}

// ChargeInput is what the ledger needs to charge a lease.
type ChargeInput struct {
	Lease    purser.Lease
	Tasks    []purser.Task       // that ever were on it and not put back into the queue
	Prices   []purser.PricePoint // spot only: since ChargedThrough, with the one in force then; oldest first
	OnDemand purser.USDPerHour   // list price of the same type on demand; 0 when unknown
}

// ChargeFilter selects charges in the order of their start. Zero fields select all.
type ChargeFilter struct {
	Project  string
	Job      purser.JobID
	Lease    purser.LeaseID
	From, To time.Time // charges that start within [From, To)
	Limit    int       // 0: no limit
}

// SpendRow sums the charges of one job; an empty job is idle room.
type SpendRow struct {
	Project   string
	Job       purser.JobID
	JobName   string
	Rehearsal bool
	Billed    purser.Money
	List      purser.Money
	Effective purser.Money
}

// Token is a bearer token; only the SHA-256 hash of its secret is kept.
type Token struct {
	ID        string
	Name      string // unique among the tokens that are not revoked
	Role      string
	Hash      []byte
	CreatedAt time.Time
	ExpiresAt time.Time // zero: never
	RevokedAt time.Time
	UsedAt    time.Time // to the minute
}

// Replica is one server process.
type Replica struct {
	ID        string
	Host      string
	Addr      string
	StartedAt time.Time
	BeatAt    time.Time
}

// Sweep is how a sweep fares.
type Sweep struct {
	Name      string
	Due       time.Time // the newest tick that was claimed
	ClaimedAt time.Time
	DoneAt    time.Time // zero while it runs
	Error     string    // of the last one that is done
}
