package fleet

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"time"

	"purser"
	"purser/policy"
	"purser/providers"
)

// Store is what the fleet needs to remember. All of it is in one database.
type Store interface {
	// Lease reads a lease; not_found if there is none.
	Lease(ctx context.Context, id purser.LeaseID) (purser.Lease, error)

	// Advance locks the lease, lets decide choose the transition, applies it and
	// writes lease, audit row, returned tasks and, when Next is not negative, the
	// next step, all in one transaction. A zero Transition changes nothing; an
	// error of decide changes nothing and is returned. The lease as it then stands
	// is returned.
	Advance(ctx context.Context, id purser.LeaseID, actor string, decide func(purser.Lease) (purser.Transition, error)) (purser.Lease, error)

	// LiveLeases reads the leases that have not ended.
	LiveLeases(ctx context.Context) ([]purser.Lease, error)

	// LiveTasks reads the tasks that have not ended.
	LiveTasks(ctx context.Context) ([]purser.Task, error)
}

// Upkeep is the part of Reconcile that lies in the store alone.
type Upkeep interface {
	// OpenMoves reads the moves that are neither done nor undone.
	OpenMoves(ctx context.Context) ([]purser.Move, error)

	// ProgressMoves takes each move its next step; the number that changed.
	ProgressMoves(ctx context.Context, now time.Time) (int, error)

	// NudgeLeases gives a step to every lease that needs one and has none waiting.
	NudgeLeases(ctx context.Context, now time.Time) (int, error)
}

// Config is what a Fleet works with.
type Config struct {
	Store     Store
	Upkeep    Upkeep
	Providers map[string]providers.Provider // by Lease.Holder

	Installation string // tag of our machines
	Secret       []byte // of the installation; join tokens are derived from it
	Host         string // of this process; leases of another host are left to it
	ServerURL    string // where agents find a server

	// AgentSHA256 is the checksum of the agent's program by architecture, which new
	// machines hold what they fetch against. Nil where no machine fetches it.
	AgentSHA256 map[string]string

	// Pools gives offers that are as good for the lease's tasks as its own, which the
	// provider may take instead. Nil, or an error: its own alone.
	Pools func(context.Context, purser.Lease) ([]purser.Offer, error)

	Logger *slog.Logger
	Now    func() time.Time // Defaults to time.Now.
	Timing Timing           // Zero fields have defaults.
}

// Timing holds the fleet's limits. The defaults keep the promise of 150 s.
type Timing struct {
	JoinTimeout  time.Duration            // from the machine's start to its agent's join. Defaults to 5 min.
	JoinTimeouts map[string]time.Duration // by provider, where JoinTimeout does not fit. Defaults to 60 s for local.
	ListEvery    map[string]time.Duration // by provider, how often its machines are listed at most. Defaults to every turn.
	LaunchTime   time.Duration            // for a provider to give a definite answer. Defaults to 10 min.
	DrainTime    time.Duration            // for an agent to stop its tasks. Defaults to 30 s.
	StopTime     time.Duration            // for a machine that stops to be gone, before it is told again. Defaults to 3 min.
	CallTimeout  time.Duration            // of one call to a provider. Defaults to 60 s.
	Poll         time.Duration            // between two looks at a machine. Defaults to 1 s.
	OrphanGrace  time.Duration            // Defaults to 30 s.
	IdleGrace    time.Duration            // Defaults to policy.IdleGrace.
	SuspectAfter time.Duration            // Defaults to 10 s.
	SilentAfter  time.Duration            // Defaults to 60 s.
	LostAfter    time.Duration            // Defaults to 150 s.
	Settle       time.Duration            // how long a provider's listings may lag. Defaults to 60 s.
}

func (t Timing) withDefaults() Timing {
	def := func(d *time.Duration, to time.Duration) {
		if *d <= 0 {
			*d = to
		}
	}
	def(&t.JoinTimeout, 5*time.Minute)
	if t.JoinTimeouts == nil {
		t.JoinTimeouts = map[string]time.Duration{"local": time.Minute}
	}
	def(&t.LaunchTime, 10*time.Minute)
	def(&t.DrainTime, 30*time.Second)
	def(&t.StopTime, 3*time.Minute)
	def(&t.CallTimeout, 60*time.Second)
	def(&t.Poll, time.Second)
	def(&t.OrphanGrace, 30*time.Second)
	def(&t.IdleGrace, policy.IdleGrace)
	def(&t.SuspectAfter, 10*time.Second)
	def(&t.SilentAfter, 60*time.Second)
	def(&t.LostAfter, 150*time.Second)
	def(&t.Settle, 60*time.Second)
	return t
}

// Fleet carries out plans. It is safe for concurrent use.
type Fleet struct {
	Config
	idle    *moments // since when leases have been without work; forgetting it keeps a machine a little longer
	pending *moments // when machines had not begun yet; forgetting it gives one less time to join
	listed  *listedTimes
	offered *offeredPools
}

// New makes a Fleet; invalid when something that it needs is missing.
func New(c Config) (*Fleet, error) {
	if c.Store == nil || c.Upkeep == nil || c.Logger == nil || c.Installation == "" || len(c.Secret) < 16 {
		return nil, purser.Errorf(purser.KindInvalid, "fleet.New", "a fleet needs a store, upkeep, a logger, the installation's id and its secret of at least 16 bytes")
	}
	for name, p := range c.Providers {
		if p == nil || p.Name() != name {
			return nil, purser.Errorf(purser.KindInvalid, "fleet.New", "the provider kept as %q does not bear that name", name)
		}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	c.Timing = c.Timing.withDefaults()
	return &Fleet{Config: c, idle: newMoments(), pending: newMoments(), listed: &listedTimes{at: map[string]time.Time{}}, offered: &offeredPools{pools: map[purser.LeaseID][]purser.Offer{}}}, nil
}

// JoinToken is the secret that the agent of a lease's attempt joins with. It is
// derived, so that a repeated launch gives the machine the same one and nothing is
// stored in clear.
func JoinToken(secret []byte, lease purser.LeaseID, attempt int) string {
	mac := hmac.New(sha256.New, secret)
	_, _ = fmt.Fprintf(mac, "purser join 1|%s|%d", lease, attempt) // a hash never fails to be written to
	return hex.EncodeToString(mac.Sum(nil))
}

// JoinBy is when the join token of a launching lease expires: a lease that nobody has
// joined by then is being drained, or will be by the next server that looks.
func (f *Fleet) JoinBy(l purser.Lease) time.Time {
	return l.LaunchedAt.Add(f.Timing.LaunchTime + f.joinTimeout(l.Holder))
}

// elsewhere says whether only another host's server can see the lease's machine.
func (f *Fleet) elsewhere(l purser.Lease) bool { return l.Host != "" && l.Host != f.Host }

func (f *Fleet) joinTimeout(holder string) time.Duration {
	if d, ok := f.Timing.JoinTimeouts[holder]; ok {
		return d
	}
	return f.Timing.JoinTimeout
}

// actor is the name that the fleet's transitions carry in the audit.
const actor = "fleet"
