package providers

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"purser"
)

// Provider starts and ends machines. Implementations are safe for concurrent use
// and return promptly when ctx ends; a call that was cut off counts as unavailable.
//
// Describe and Terminate take the lease for its ID; the offer's region and zone and
// Lease.Instance say where to look first. Where they are missing (a machine whose lease
// nobody knows), the provider looks everywhere.
type Provider interface {
	// Name is the adapter's name, as leases carry it in Holder.
	Name() string

	// Launch starts the lease's machine, or finds it. Idempotent by lease and token;
	// safe to repeat after unavailable and throttled. It returns as soon as the cloud
	// has taken the request on, and Describe tells the rest.
	Launch(ctx context.Context, r Request) (Instance, error)

	// Describe tells of the lease's machine; not_found when the provider knows of
	// none (any more, or yet: up to a minute after Launch). Reads only.
	Describe(ctx context.Context, l purser.Lease) (Instance, error)

	// List tells of every machine of this installation that is not gone, in every
	// place that is enabled, in the order of lease ids. An error means that nothing is
	// known; there are no partial lists. Reads only.
	List(ctx context.Context) ([]Instance, error)

	// Terminate asks for the end of the lease's machine. Idempotent; no machine is no
	// error. It does not wait for the end.
	Terminate(ctx context.Context, l purser.Lease) error
}

// Offerer is a Provider with capacity of its own, which it lists as offers.
type Offerer interface {
	// Offers lists what can be had now; Limit counts the machines that are free at
	// ObservedAt, besides those that leases have. Reads only.
	Offers(ctx context.Context) ([]purser.Offer, error)
}

// Interrupter is a Provider that hears from its cloud when a machine is to be taken
// back.
type Interrupter interface {
	// Interruptions hands each notice to deliver until ctx ends, and then returns nil.
	// At least once: a notice is acknowledged to the cloud when deliver has returned
	// nil, and comes again otherwise. Notices about machines of other installations are
	// not delivered, and not acknowledged where others read the same queue. It goes on
	// past failures of the cloud, with growing pauses, and returns an error only when it
	// can never work: forbidden, unauthorized, invalid.
	Interruptions(ctx context.Context, deliver func(context.Context, Interruption) error) error
}

// InterruptionKind says how certain an interruption is.
type InterruptionKind string

// The kinds of interruption.
const (
	Preempted InterruptionKind = "preempted" // it will be taken back, at At
	Rebalance InterruptionKind = "rebalance" // it is more likely than usual to be taken back
	Retired   InterruptionKind = "retired"   // maintenance or failing hardware: it will stop at At
	Ended     InterruptionKind = "ended"     // it has stopped
)

// Interruption is a notice about a machine.
type Interruption struct {
	Lease    purser.LeaseID
	Instance string // the provider's name of the machine
	Kind     InterruptionKind
	At       time.Time // when it stops; zero if the cloud does not say
	Reason   string    // for people
}

// Quoter is a Provider that knows its account's limits.
type Quoter interface {
	// Quotas reads them from the cloud. A place that refuses is an error; there are no
	// partial answers. Reads only; may take some seconds.
	Quotas(ctx context.Context) (Headroom, error)
}

// Headroom is what an account may have and what it has bought ahead.
type Headroom struct {
	// Quotas bound all that the account runs at once, ours and others'.
	Quotas []purser.Quota
	// Used says by the name of a quota how much of it is in use, in the quota's unit.
	// Names are missing where the cloud does not tell.
	Used map[string]int64
	// Reserved are machines paid for ahead, as offers under reserved or capacity_block
	// with the free ones as Limit, and a price of what running them costs on top.
	Reserved []Reservation
}

// Reservation is capacity that was bought ahead of its use.
type Reservation struct {
	ID    string // the provider's name for it
	Offer purser.Offer
	Total int       // machines
	Free  int       // of them not in use
	From  time.Time // zero: since always
	Until time.Time // zero: open
}

// Sweeper is a Provider whose machines are made of several things.
type Sweeper interface {
	// Sweep removes things of this installation that belong to no machine and are older
	// than grace, such as network cards, disks and requests, and says how many it removed.
	// Things in use are left alone. Idempotent.
	Sweep(ctx context.Context, grace time.Duration) (removed int, err error)
}

// Runner is a Provider that runs tasks itself: its machines have no agent.
type Runner interface {
	// Run starts the task on the lease's machine, or finds it. Idempotent by task id.
	Run(ctx context.Context, l purser.Lease, w Work) error

	// Stop asks a task to stop at a checkpoint. Idempotent; no task is no error.
	Stop(ctx context.Context, l purser.Lease, task purser.TaskID) error

	// Works tells of every task that was started on the lease, in the order of their ids,
	// until Forget.
	Works(ctx context.Context, l purser.Lease) ([]WorkState, error)

	// Logs gives the lines that a task wrote after since, oldest first.
	Logs(ctx context.Context, l purser.Lease, task purser.TaskID, since time.Time) ([]LogLine, error)

	// Forget removes what an ended task left at the provider. Idempotent.
	Forget(ctx context.Context, l purser.Lease, task purser.TaskID) error
}

// GangRunner is a Runner that can run the replicas of a gang as one: they start together,
// and the end of one that has not succeeded is the end of all.
type GangRunner interface {
	// TakesGang says whether a gang of so many replicas can be run as one now. Where it
	// cannot, its tasks run one by one.
	TakesGang(ctx context.Context, replicas int) (bool, error)

	// RunGang starts all members or none, each on its own lease's machine, or finds them.
	// Idempotent by the tasks' ids. Stop of one stops all.
	RunGang(ctx context.Context, members []Member) error
}

// Member is a replica of a gang and where it runs.
type Member struct {
	Lease purser.Lease
	Work  Work
}

// Work is all that a Runner needs to run a task.
type Work struct {
	Task         purser.Task
	Group        purser.TaskGroup
	Project      string
	JobName      string
	Installation string
}

// WorkState is a task as its Runner sees it.
type WorkState struct {
	Task       purser.TaskID
	State      purser.TaskState // placed, running, succeeded, failed or lost
	ExitCode   *int
	Reason     string
	Checkpoint string
	StartedAt  time.Time
	EndedAt    time.Time
}

// LogLine is a line that a task wrote.
type LogLine struct {
	At   time.Time
	Text string
}

// Request is all that a launch needs. The same lease and attempt always come with
// the same values, except for ServerURL, which may have changed since.
type Request struct {
	Lease        purser.Lease
	Pools        []purser.Offer    // as good as the lease's offer, which need not be among them; the provider may take any
	Installation string            // tag of this installation; machines of others are never touched
	Token        string            // client token of the launch, see ClientToken
	JoinToken    string            // secret that the machine's agent joins with, once
	ServerURL    string            // where the agent finds its server
	AgentSHA256  map[string]string // of the agent's program by architecture (amd64, arm64), in hex
}

// InstanceState is what the provider says of a machine.
type InstanceState string

// The states of an instance.
const (
	Pending  InstanceState = "pending"
	Running  InstanceState = "running"
	Stopping InstanceState = "stopping"
	Gone     InstanceState = "gone"
)

// Instance is a machine as its provider sees it.
type Instance struct {
	ID           string // the provider's name for it
	Lease        purser.LeaseID
	Installation string
	State        InstanceState
	StartedAt    time.Time   // when it was asked for; zero if the provider does not say
	Reason       string      // why it stops or is gone, for people
	Refused      purser.Kind // of one that is gone because it never came: no_capacity, quota …; empty otherwise

	// Where and what it is, as offers have it; empty where the provider does not say.
	Region, Zone, InstanceType string
}

// Ref gives what Describe and Terminate need to find the machine, for one whose
// lease nobody knows.
func (i Instance) Ref(provider string) purser.Lease {
	return purser.Lease{
		ID: i.Lease, Instance: i.ID, Holder: provider,
		Offer: purser.Offer{Provider: provider, Region: i.Region, Zone: i.Zone, InstanceType: i.InstanceType},
	}
}

// ClientToken is the idempotency token of a launch: the same for every repetition
// of the lease's attempt, another one for any other launch. It is 64 characters of
// a-f and 0-9, which every cloud accepts.
func ClientToken(installation string, l purser.Lease) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "purser launch 1|%s|%s|%d|%s", installation, l.ID, l.Attempt, l.Offer.ID()))
	return hex.EncodeToString(sum[:])
}

// Check says what makes the request unfit for any provider, or nil.
func (r Request) Check() error {
	switch {
	case r.Lease.ID == "":
		return purser.Errorf(purser.KindInvalid, "providers.Launch", "a launch needs a lease")
	case r.Installation == "" || r.Token == "":
		return purser.Errorf(purser.KindInvalid, "providers.Launch", "the launch of %s needs the installation's tag and a client token", r.Lease.ID)
	}
	return nil
}
