package purser

import (
	"slices"
	"time"
)

// LeaseID names a lease. It is also the machine's name where a provider's names
// are unique.
type LeaseID string

// LeaseState is where a lease stands.
//
//	planned → launching → running → draining → released
//	failed from launching, running and draining; withdrawn from planned
type LeaseState string

// The states of a lease.
const (
	LeasePlanned   LeaseState = "planned"   // decided; nothing asked of the provider
	LeaseLaunching LeaseState = "launching" // the intent is committed; the provider may have been asked
	LeaseRunning   LeaseState = "running"   // its agent has joined; it is charged
	LeaseDraining  LeaseState = "draining"  // its tasks are being stopped, its machine ended
	LeaseReleased  LeaseState = "released"  // the provider says that the machine is gone
	LeaseFailed    LeaseState = "failed"    // the machine never came, or was lost
	LeaseWithdrawn LeaseState = "withdrawn" // a newer plan had no use for it before it was launched
)

var leaseNext = map[LeaseState][]LeaseState{
	LeasePlanned:   {LeaseLaunching, LeaseWithdrawn},
	LeaseLaunching: {LeaseRunning, LeaseDraining, LeaseFailed},
	LeaseRunning:   {LeaseDraining, LeaseFailed},
	LeaseDraining:  {LeaseReleased, LeaseFailed},
}

// Can says whether a lease may go from s to next.
func (s LeaseState) Can(next LeaseState) bool { return slices.Contains(leaseNext[s], next) }

// Ended says whether the state is final.
func (s LeaseState) Ended() bool {
	return s == LeaseReleased || s == LeaseFailed || s == LeaseWithdrawn
}

// Lease is capacity that we hold.
type Lease struct {
	ID        LeaseID    `json:"id"`
	Plan      PlanID     `json:"plan"`
	Offer     Offer      `json:"offer"`          // as it was when planned; its price is locked at launch for on demand
	Holder    string     `json:"holder"`         // the provider adapter that launches it: the offer's provider, or local in rehearsal
	Host      string     `json:"host,omitempty"` // for local machines: the only host whose server launches it
	Rehearsal bool       `json:"rehearsal"`      // its machine is stood in for; its charges are what it would have cost
	State     LeaseState `json:"state"`
	Attempt   int        `json:"attempt"`            // launches begun; part of the client token
	Fence     int64      `json:"fence"`              // grows with every transition; an older one is refused
	Instance  string     `json:"instance,omitempty"` // the provider's name of the machine, once known
	Reason    string     `json:"reason,omitempty"`   // why it drains or failed

	CreatedAt      time.Time `json:"created_at,omitzero"`
	LaunchedAt     time.Time `json:"launched_at,omitzero"` // the provider was first asked
	RunningAt      time.Time `json:"running_at,omitzero"`  // charges begin
	DrainingAt     time.Time `json:"draining_at,omitzero"`
	EndedAt        time.Time `json:"ended_at,omitzero"`        // charges end
	HeartbeatAt    time.Time `json:"heartbeat_at,omitzero"`    // its agent was last heard
	ChargedThrough time.Time `json:"charged_through,omitzero"` // charges exist up to here
}

// ReasonTakenBack begins the reason of a lease whose cloud takes its machine back,
// whoever told us: the provider, or the machine itself. What counts preemptions looks
// for it.
const ReasonTakenBack = "its machine is being taken back"

// TakenBack is that reason with the cloud's own.
func TakenBack(why string) string {
	if why == "" {
		return ReasonTakenBack
	}
	return ReasonTakenBack + ": " + why
}

// Transition is one step of a lease. It is applied in one transaction with its
// audit row and the River job of the next step.
type Transition struct {
	To       LeaseState
	Reason   string        // for people; kept on the lease and in the audit
	Attempt  int           // the new attempt; 0 leaves it
	Instance string        // the provider's name of the machine; empty leaves it
	Offer    Offer         // what the provider took among pools that are as good; without a provider it stays
	At       time.Time     // when it happened
	Next     time.Duration // when the next step is due after At; negative: none
}

// Apply gives the lease after t, or a conflict error when the states do not allow
// it. To may equal the present state to record an attempt, an instance or a next
// step. Times that mark states are set once and never moved.
func (l Lease) Apply(t Transition) (Lease, error) {
	if t.To != l.State && !l.State.Can(t.To) {
		return l, Errorf(KindConflict, "purser.Lease.Apply", "lease %s is %s and cannot become %s", l.ID, l.State, t.To)
	}
	if l.State.Ended() {
		return l, Errorf(KindConflict, "purser.Lease.Apply", "lease %s has ended (%s)", l.ID, l.State)
	}
	mark := func(at *time.Time) {
		if at.IsZero() {
			*at = t.At
		}
	}
	if t.Reason != "" {
		l.Reason = t.Reason
	}
	if t.Attempt > 0 {
		l.Attempt = t.Attempt
	}
	if t.Instance != "" {
		l.Instance = t.Instance
	}
	if t.Offer.Provider != "" {
		l.Offer = t.Offer
	}
	switch t.To {
	case LeaseLaunching:
		mark(&l.LaunchedAt)
	case LeaseRunning:
		mark(&l.RunningAt)
		mark(&l.HeartbeatAt)
	case LeaseDraining:
		mark(&l.DrainingAt)
	case LeaseReleased, LeaseFailed, LeaseWithdrawn:
		mark(&l.EndedAt)
	case LeasePlanned: // CreatedAt is set with the lease
	}
	l.State = t.To
	l.Fence++
	return l, nil
}
