package optimizer

import (
	"time"

	"purser"
)

// Input is everything that a plan depends on. Nothing else does: no clock, no environment, no randomness but Options.Seed.
type Input struct {
	Now     time.Time     `json:"now"`        // when machines are asked for; deadlines count from it
	Horizon time.Duration `json:"horizon_ns"` // how far the cost is counted; 0 means DefaultHorizon

	// Offers are the machines that can be bought, each ID once. Limit counts those that can be had besides the held ones.
	Offers []purser.Offer `json:"offers"`
	// Jobs are the live jobs, each ID once. Ended jobs are passed over.
	Jobs []purser.Job `json:"jobs"`
	// Needs says which replicas of which groups need a place. A training group without a Need needs all its replicas for their whole
	// run; an inference group needs what its demand says, and takes no Need.
	Needs []Need `json:"needs,omitempty"`
	// Stages are the groups that have ended with success in jobs whose groups wait for one another. A group that waits for one that is
	// not among them is not planned yet; the deadlines of what comes after a group count for it (purser.Job.LatestEnds).
	Stages []Stage `json:"stages,omitempty"`
	// Held are the leases that stand now, with what runs on them. A replica runs in one place at most.
	Held   []Held         `json:"held,omitempty"`
	Quotas []purser.Quota `json:"quotas,omitempty"`
	// Atlas says where regions lie and what they comply with.
	Atlas purser.Atlas `json:"atlas,omitempty"`
	// Commitments are what is promised, each name once. Machines under them cost nothing; what is promised itself is sunk and counts nowhere.
	Commitments []purser.Commitment `json:"commitments,omitempty"`

	// KeepPlacements leaves every held placement where it is (a planning sweep). Otherwise replicas may move at a price (a rebalance).
	KeepPlacements bool `json:"keep_placements,omitempty"`
	// MoveHours is what moving a replica costs: its share of its machine's price for so many hours. 0 means DefaultMoveHours.
	MoveHours float64 `json:"move_hours,omitempty"`
	// MinGain is the share of the cost that moves must save together, else nothing moves. 0 means DefaultMinGain.
	MinGain float64 `json:"min_gain,omitempty"`
	// Snapshot prices what runs at one moment: every run lasts an hour, nothing takes time to start, and the horizon is an hour. The
	// objective is then in $ per hour.
	Snapshot bool `json:"snapshot,omitempty"`
	// StartUp is how long a new machine of an offer is paid before it works. Nil means DefaultStartUp.
	StartUp func(purser.Offer) time.Duration `json:"-"`
	// Hazard is how many times per hour of running a machine of an offer is taken back; it depends on the offer's ID alone. Training
	// then takes longer there, by what it loses and by what its checkpoints save (see stretch). Nil means that none ever is.
	Hazard func(purser.Offer) float64 `json:"-"`
	// Carbon is how many grams of CO₂e an hour of a machine of an offer takes. Nil means that nobody asks.
	Carbon func(purser.Offer) float64 `json:"-"`
	// CarbonPrice is what a tonne (10⁶ g) of it counts in the objective, beside the money that is paid.
	CarbonPrice purser.Money `json:"carbon_price_usd,omitempty"`
	// PriceAt is what an offer costs at a time from Now on; it changes with the hour of the clock. Nil means that the prices of the
	// offers stay. An offer's own price is the one in force at Now.
	PriceAt func(purser.Offer, time.Time) purser.USDPerHour `json:"-"`
}

// Need says which replicas of a training group need a place.
type Need struct {
	Job   purser.JobID `json:"job"`
	Group string       `json:"group"`
	// Replicas are those that wait or run, each once. A gang needs all of its replicas or none. Where the plan decides how many replicas
	// a gang has, any say that it is needed; the plan numbers them from 0.
	Replicas []int `json:"replicas"`
	// World is how many replicas a gang has whose size is not open any more, since some of it runs or has ended. 0: as many as run,
	// or the plan decides where none does.
	World int `json:"world,omitempty"`
	// Left is the share of its run that a replica still has before it, above 0 and at most 1, by replica; 1 where it is not given. It
	// is rounded up to a 32nd, so that like replicas stay alike.
	Left map[int]float64 `json:"left,omitempty"`
}

// Stage is a training group that has ended with success.
type Stage struct {
	Job   purser.JobID `json:"job"`
	Group string       `json:"group"`
	// Outputs are the parts of what it left, by where they lie. A replica of a group after it reads them all.
	Outputs []purser.Data `json:"outputs,omitempty"`
}

// Held is a lease that stands, and what runs on it.
type Held struct {
	Lease      purser.Lease       `json:"lease"` // its Offer carries the price in force
	Placements []purser.Placement `json:"placements,omitempty"`
	// Commitment is what the lease runs under, by name; empty: nothing. No plan changes it (see purser.Cover).
	Commitment string `json:"commitment,omitempty"`
}

// The defaults of Input.
const (
	DefaultHorizon   = 24 * time.Hour
	DefaultMoveHours = 0.25
	DefaultMinGain   = 0.01
)

// DefaultStartUp is 3 minutes for a machine that is bought and nothing for a private one, which stands already. Cloud machines with
// accelerators take 1 to 5 minutes from the call to a shell.
func DefaultStartUp(o purser.Offer) time.Duration {
	if o.Option == purser.Private {
		return 0
	}
	return 3 * time.Minute
}

// Options say how hard to try. The zero value is right for most problems. A deadline is the context's: Solve then returns the best
// plan found, marked CutByTime. Without one the result depends on the input, the limits and the seed alone, byte for byte.
type Options struct {
	Work Work
	Seed uint64
	// GapTarget ends the search once (objective − bound)/objective is at most this. 0 means DefaultGapTarget; negative: the work limits
	// alone end it.
	GapTarget float64
	// Workers is how many goroutines price patterns. 0 means 2. The result does not depend on it.
	Workers int
	// Progress is called from Solve's goroutine whenever the plan or the bound got better. It must return soon.
	Progress func(Progress)
}

// DefaultGapTarget is the gap below which more search is not worth its time.
const DefaultGapTarget = 1e-4

// Work limits the search by work, so that it ends at the same point on every machine. 0 means the default.
type Work struct {
	Rounds        int   // rounds of column generation for the bound; default 400
	KnapsackNodes int64 // nodes of one knapsack when it has to be proven; default 2,000,000
	MIPWork       int64 // of one integer program, in highs.Limits.Work units of about 0.1 ms; default 20,000
	Dives         int   // whole dives and repairs of a part of the plan; default 60
}

// Progress is where the search stands.
type Progress struct {
	Stage     string // greedy, bound, dive, repair, exact
	Round     int    // within the stage
	Objective purser.Money
	Bound     purser.Money
	Gap       float64
	Machines  int
}
