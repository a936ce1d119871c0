package postgres

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"purser"
)

var errPending = errors.New("not written yet")

// DB keeps everything. Its methods may be called from many goroutines and from many processes.
type DB struct{ pool *pgxpool.Pool }

// Options of Open.
type Options struct {
	Logger   *slog.Logger
	Now      func() time.Time // defaults to time.Now
	MaxConns int32            // defaults to 20
}

// LeaseStep is the River job of a lease's next step. Fence is the lease's at the time; a step whose fence is no longer
// the lease's has been overtaken and must be dropped.
type LeaseStep struct {
	Lease string `json:"lease" river:"unique"`
	Fence int64  `json:"fence" river:"unique"`
}

// Kind names the River job.
func (LeaseStep) Kind() string { return "lease_step" }

// Schema is where River's tables live.
const Schema = "river"

// StepQueue is the River queue of the steps of leases on a host; "" is for leases that any server may step.
func StepQueue(host string) string { return "default" }

// NewID makes prefix-… with 20 characters that sort by time.
func NewID(prefix string, now time.Time) string { return prefix }

// Migrate brings the schema up; any number of processes may call it at once.
func Migrate(ctx context.Context, dsn string) (applied int, err error) { return 0, errPending }

// Open connects and checks that the schema is the one this program needs.
func Open(ctx context.Context, dsn string, o Options) (*DB, error) { return nil, errPending }

func (db *DB) Close()                         {}
func (db *DB) Pool() *pgxpool.Pool            { return db.pool }
func (db *DB) Ping(ctx context.Context) error { return errPending }

func (db *DB) SavePrices(ctx context.Context, source string, at time.Time, offers []purser.Offer, quarantined []purser.Quarantined, full bool) (PriceReport, error) {
	return PriceReport{}, errPending
}
func (db *DB) Offers(ctx context.Context, f OfferFilter) ([]purser.Offer, error) {
	return nil, errPending
}
func (db *DB) PriceHistory(ctx context.Context, id purser.OfferID, from, to time.Time) ([]purser.PricePoint, error) {
	return nil, errPending
}
func (db *DB) Quarantine(ctx context.Context, source string, limit int) ([]purser.Quarantined, error) {
	return nil, errPending
}
func (db *DB) Sources(ctx context.Context) ([]Source, error) { return nil, errPending }
func (db *DB) SourceFailed(ctx context.Context, source, message string, at time.Time) error {
	return errPending
}

func (db *DB) SubmitJobs(ctx context.Context, actor string, jobs []purser.Job) ([]Submitted, error) {
	return nil, errPending
}
func (db *DB) Jobs(ctx context.Context, f JobFilter) ([]purser.Job, error) { return nil, errPending }
func (db *DB) Job(ctx context.Context, ref string) (purser.Job, error) {
	return purser.Job{}, errPending
}
func (db *DB) CancelJob(ctx context.Context, actor string, id purser.JobID) (purser.Job, error) {
	return purser.Job{}, errPending
}
func (db *DB) JobFigures(ctx context.Context, ids []purser.JobID) (map[purser.JobID]JobFigures, error) {
	return nil, errPending
}
func (db *DB) Tasks(ctx context.Context, f TaskFilter) ([]purser.Task, error) { return nil, errPending }
func (db *DB) LiveTasks(ctx context.Context) ([]purser.Task, error)           { return nil, errPending }

// AppendLogs keeps the lines of tasks that are or were on the lease; others, and lines that stand already, are left out.
func (db *DB) AppendLogs(ctx context.Context, lease purser.LeaseID, lines []LogLine) (added int, err error) {
	return 0, errPending
}
func (db *DB) Logs(ctx context.Context, f LogFilter) ([]LogLine, error) { return nil, errPending }

func (db *DB) Snapshot(ctx context.Context) (Snapshot, error) { return Snapshot{}, errPending }
func (db *DB) AdmitPlan(ctx context.Context, actor string, p purser.Plan, a purser.Admission) (AdmitReport, error) {
	return AdmitReport{}, errPending
}
func (db *DB) Plans(ctx context.Context, limit int) ([]purser.Plan, error) { return nil, errPending }
func (db *DB) Plan(ctx context.Context, id purser.PlanID) (purser.Plan, error) {
	return purser.Plan{}, errPending
}

func (db *DB) Lease(ctx context.Context, id purser.LeaseID) (purser.Lease, error) {
	return purser.Lease{}, errPending
}
func (db *DB) Leases(ctx context.Context, f LeaseFilter) ([]purser.Lease, error) {
	return nil, errPending
}
func (db *DB) LiveLeases(ctx context.Context) ([]purser.Lease, error) { return nil, errPending }

// LeaseCosts is what each lease was billed so far.
func (db *DB) LeaseCosts(ctx context.Context, ids []purser.LeaseID) (map[purser.LeaseID]purser.Money, error) {
	return nil, errPending
}

// Advance locks the lease, asks decide for a transition and carries it out with its audit row, the tasks that it
// returns and the River job of the next step. decide may be called more than once and must not act on anything else.
func (db *DB) Advance(ctx context.Context, id purser.LeaseID, actor string, decide func(purser.Lease) (purser.Transition, error)) (purser.Lease, error) {
	return purser.Lease{}, errPending
}
func (db *DB) NudgeLeases(ctx context.Context, now time.Time) (int, error) { return 0, errPending }

// DrainAll withdraws or drains every live lease of a host; "" means all.
func (db *DB) DrainAll(ctx context.Context, actor, host, reason string) (int, error) {
	return 0, errPending
}

func (db *DB) JoinLease(ctx context.Context, id purser.LeaseID, secretHash []byte, at time.Time) (purser.Lease, error) {
	return purser.Lease{}, errPending
}
func (db *DB) AgentLease(ctx context.Context, secretHash []byte) (purser.Lease, error) {
	return purser.Lease{}, errPending
}

// Report must list every task that the agent holds.
func (db *DB) Report(ctx context.Context, id purser.LeaseID, tasks []TaskReport, at time.Time) (Orders, error) {
	return Orders{}, errPending
}
func (db *DB) ProgressMoves(ctx context.Context, now time.Time) (int, error) { return 0, errPending }

func (db *DB) ChargeInputs(ctx context.Context, now time.Time) ([]ChargeInput, error) {
	return nil, errPending
}
func (db *DB) SaveCharges(ctx context.Context, lease purser.LeaseID, charges []purser.Charge, through time.Time) error {
	return errPending
}
func (db *DB) Charges(ctx context.Context, f ChargeFilter) ([]purser.Charge, error) {
	return nil, errPending
}
func (db *DB) Spend(ctx context.Context, from, to time.Time) ([]SpendRow, error) {
	return nil, errPending
}

func (db *DB) CreateToken(ctx context.Context, actor string, t Token) error { return errPending }
func (db *DB) TokenByHash(ctx context.Context, hash []byte, at time.Time) (Token, error) {
	return Token{}, errPending
}
func (db *DB) Tokens(ctx context.Context) ([]Token, error)             { return nil, errPending }
func (db *DB) RevokeToken(ctx context.Context, actor, id string) error { return errPending }

// CreateLogin keeps the hash of a one-time code that signs in as a token.
func (db *DB) CreateLogin(ctx context.Context, hash []byte, token string, expires time.Time) error {
	return errPending
}
func (db *DB) UseLogin(ctx context.Context, hash []byte, at time.Time) (Token, error) {
	return Token{}, errPending
}
func (db *DB) SaveSession(ctx context.Context, hash []byte, token string, expires time.Time) error {
	return errPending
}
func (db *DB) Session(ctx context.Context, hash []byte, at time.Time) (Token, error) {
	return Token{}, errPending
}
func (db *DB) EndSession(ctx context.Context, hash []byte) error { return errPending }

func (db *DB) Events(ctx context.Context, after int64, limit int) ([]purser.Event, error) {
	return nil, errPending
}
func (db *DB) LastEvent(ctx context.Context) (int64, error) { return 0, errPending }

// Listen calls changed whenever events may have been added, until ctx ends; it connects again by itself.
func (db *DB) Listen(ctx context.Context, changed func()) error { return errPending }

func (db *DB) Beat(ctx context.Context, r Replica) error                       { return errPending }
func (db *DB) Replicas(ctx context.Context) ([]Replica, error)                 { return nil, errPending }
func (db *DB) ReapDead(ctx context.Context, deadBefore time.Time) (int, error) { return 0, errPending }

func (db *DB) LastRun(ctx context.Context, name string) (time.Time, error) {
	return time.Time{}, errPending
}
func (db *DB) ClaimSweep(ctx context.Context, name string, due time.Time) (bool, error) {
	return false, errPending
}
func (db *DB) SweepDone(ctx context.Context, name string, at time.Time, failure string) error {
	return errPending
}
func (db *DB) Sweeps(ctx context.Context) ([]Sweep, error) { return nil, errPending }

func (db *DB) Installation(ctx context.Context) (id string, secret []byte, err error) {
	return "", nil, errPending
}
func (db *DB) Quotas(ctx context.Context) ([]purser.Quota, error) { return nil, errPending }
func (db *DB) SetQuotas(ctx context.Context, actor string, quotas []purser.Quota) error {
	return errPending
}
