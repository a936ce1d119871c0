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
type Provider interface {
	// Name is the adapter's name, as leases carry it in Holder.
	Name() string

	// Launch starts the lease's machine, or finds it. See the package comment.
	Launch(ctx context.Context, r Request) (Instance, error)

	// Describe tells of the lease's machine; not_found when the provider knows of
	// none (any more, or yet).
	Describe(ctx context.Context, lease purser.LeaseID) (Instance, error)

	// List tells of every machine of this installation that is not gone, in the
	// order of lease ids. An error means that nothing is known; there are no
	// partial lists.
	List(ctx context.Context) ([]Instance, error)

	// Terminate asks for the end of the lease's machine. No machine is no error.
	Terminate(ctx context.Context, lease purser.LeaseID) error
}

// Offerer is a Provider with capacity of its own, which it lists as offers.
type Offerer interface {
	Offers(ctx context.Context) ([]purser.Offer, error)
}

// Request is all that a launch needs. The same lease and attempt always come with
// the same values, except for ServerURL, which may have changed since.
type Request struct {
	Lease        purser.Lease
	Installation string // tag of this installation; machines of others are never touched
	Token        string // client token of the launch, see ClientToken
	JoinToken    string // secret that the machine's agent joins with
	ServerURL    string // where the agent finds its server
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
	StartedAt    time.Time // when it was asked for; zero if the provider does not say
	Reason       string    // why it stops or is gone, for people
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
