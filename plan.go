package purser

import (
	"fmt"
	"time"
)

// PlanID names a plan.
type PlanID string

// PlanStatus says what the solver found. It is not an error: an error means that
// the call failed.
type PlanStatus string

// The statuses of a plan.
const (
	PlanOptimal    PlanStatus = "optimal"    // Gap is 0 within the solver's tolerance
	PlanFeasible   PlanStatus = "feasible"   // everything is placed; Gap says how far from the optimum it can be
	PlanInfeasible PlanStatus = "infeasible" // something cannot be placed at all; see Unplaced
	PlanLimit      PlanStatus = "limit"      // work or time ran out before everything was placed
)

// Plan is what the optimizer proposes, with its proof.
type Plan struct {
	ID        PlanID     `json:"id,omitempty"`
	CreatedAt time.Time  `json:"created_at,omitzero"`
	Status    PlanStatus `json:"status"`
	Rehearsal bool       `json:"rehearsal"` // nothing is bought, machines are stood in for

	Horizon   time.Duration `json:"horizon_ns"`
	Objective Money         `json:"objective_usd"` // cost of the plan over the horizon, with CarbonCost
	Bound     Money         `json:"bound_usd"`     // no plan can cost less; proven
	Gap       float64       `json:"gap"`           // (Objective − Bound) / Objective, 0 for a plan that costs nothing

	UnitPrice     USDPerHour    `json:"usd_per_hour"`              // of what runs at the start, without machines under a commitment
	BaselinePrice USDPerHour    `json:"baseline_usd_per_hour"`     // each placed replica alone on its cheapest on-demand machine
	CarbonGrams   float64       `json:"carbon_grams,omitempty"`    // CO₂e of the machines over the horizon, estimated; 0 where nobody asked
	CarbonCost    Money         `json:"carbon_cost_usd,omitempty"` // what it counts in Objective at the price of carbon; nobody is paid for it
	ExtraCost     Money         `json:"extra_usd,omitempty"`       // of Objective, what replicas cost beside their machines: moving, reading and keeping data
	SolveTime     time.Duration `json:"solve_ns"`
	CutByTime     bool          `json:"cut_by_time,omitempty"` // a clock, not the work limit, ended the search

	Commitments []CommitmentUse `json:"commitments,omitempty"` // by name; their promised spend is in no figure of the plan

	Leases    []PlannedLease `json:"leases"`
	Later     []LaterLease   `json:"later,omitempty"`    // the machines that what waits is planned on
	Waiting   []Waiting      `json:"waiting,omitempty"`  // what is let wait, group by group
	Services  []ServicePlan  `json:"services,omitempty"` // by job and group
	Unplaced  []Unplaced     `json:"unplaced,omitempty"`
	Refusals  []Refusal      `json:"refusals,omitempty"`
	RunnersUp []RunnerUp     `json:"runners_up,omitempty"`
	Setbacks  []Setback      `json:"setbacks,omitempty"`
}

// PlannedLease is a machine that the plan uses: a new one, or one that is held.
type PlannedLease struct {
	Offer      Offer         `json:"offer"`
	Held       LeaseID       `json:"held,omitempty"`       // the lease that already stands; empty: to be launched
	Commitment string        `json:"commitment,omitempty"` // by name: what it runs under; it then costs nothing more
	Duration   time.Duration `json:"duration_ns"`          // how long it is expected to be needed within the horizon
	Placements []Placement   `json:"placements"`
}

// Placement puts one replica on a lease.
type Placement struct {
	Job       JobID        `json:"job"`
	Group     string       `json:"group"`
	Replica   int          `json:"replica"` // from 0
	Variant   string       `json:"variant"`
	Devices   MilliDevices `json:"milli_devices"`
	MilliCPU  int64        `json:"milli_cpu"`
	MemoryMiB int64        `json:"memory_mib"`
}

// LaterLease is a machine that work which can wait is planned on. It is not launched: a later plan
// places the work, on this machine or on what is better by then.
type LaterLease struct {
	PlannedLease
	Start time.Time `json:"start"` // when the machine is asked for
}

// Waiting counts replicas of a training group that the plan lets begin later, for a machine that
// is in use until then or for a cheaper hour.
type Waiting struct {
	Job      JobID     `json:"job"`
	Group    string    `json:"group"`
	Replicas int       `json:"replicas"`
	For      WaitFor   `json:"for"`
	Offer    OfferID   `json:"offer"`
	Start    time.Time `json:"start"`          // when they are expected to begin
	Latest   time.Time `json:"latest"`         // when they stop waiting, and take what is cheapest then
	Cost     Money     `json:"cost_usd"`       // their part of what their machines count in the objective, and their data
	Saves    Money     `json:"saves_usd"`      // against their part of the cheapest machines that could be had now; 0 where there are none
	Sure     float64   `json:"sure,omitempty"` // the share of such runs that keep the deadline; 0 without one
}

// WaitFor is what work waits for.
type WaitFor string

// What work can wait for.
const (
	WaitForMachine WaitFor = "machine" // one of the offer's machines, of which there are only so many
	WaitForQuota   WaitFor = "quota"   // a quota that is used up until then
	WaitForPrice   WaitFor = "price"   // a cheaper hour
	WaitForGang    WaitFor = "gang"    // the others of its gang, which wait for something else
)

// Sentence says what is waited for, until when, and what that saves.
func (w Waiting) Sentence() string {
	const clock = "2 Jan 15:04 UTC"
	s := "waits for "
	switch start := w.Start.UTC().Format(clock); w.For {
	case WaitForPrice:
		s += fmt.Sprintf("a cheaper hour of %s, from %s", w.Offer, start)
	case WaitForQuota:
		s += fmt.Sprintf("room in a quota of %s, expected at %s", w.Offer, start)
	case WaitForGang:
		s += fmt.Sprintf("the rest of its gang, and begins on %s, expected at %s", w.Offer, start)
	default:
		s += fmt.Sprintf("a machine of %s, expected at %s", w.Offer, start)
	}
	if w.Latest.After(w.Start) {
		s += ", but not beyond " + w.Latest.UTC().Format(clock)
	}
	if w.Saves > 0 {
		s += fmt.Sprintf("; that saves %s", w.Saves)
	}
	if w.Sure > 0 {
		s += fmt.Sprintf("; %.0f of 100 such runs keep the deadline", 100*w.Sure)
	}
	return s
}

// Unplaced counts replicas that the plan does not place. For an inference group
// it is the demand that is not served, rounded up to replicas of its best variant.
type Unplaced struct {
	Job      JobID  `json:"job"`
	Group    string `json:"group"`
	Replicas int    `json:"replicas"`
	Reason   string `json:"reason"` // a sentence
}

// RefusalReason says why an offer cannot serve a group.
type RefusalReason string

// The reasons of refusal.
const (
	ReasonAccelerator  RefusalReason = "accelerator"   // another accelerator, or none
	ReasonDevices      RefusalReason = "devices"       // too few devices
	ReasonDeviceMemory RefusalReason = "device_memory" // too little memory on a device
	ReasonCPU          RefusalReason = "cpu"           // too few vCPUs
	ReasonMemory       RefusalReason = "memory"        // too little memory
	ReasonDisk         RefusalReason = "disk"          // too little room on its own disks, or it is not known
	ReasonProvider     RefusalReason = "provider"
	ReasonRegion       RefusalReason = "region"
	ReasonResidency    RefusalReason = "residency"
	ReasonOption       RefusalReason = "purchase_option"
	ReasonPriceCeiling RefusalReason = "price_ceiling"
	ReasonConfidential RefusalReason = "confidential" // no confidential computing there, or it is not known
	ReasonCompliance   RefusalReason = "compliance"   // the installation does not say that the place complies
	ReasonLatency      RefusalReason = "latency"      // too far from the users, or how far is not known
	ReasonQuality      RefusalReason = "quality"      // it has room for variants below the accuracy floor alone
	ReasonDeadline     RefusalReason = "deadline"     // it would finish too late
	ReasonLimit        RefusalReason = "limit"        // none of it can be had
	ReasonQuota        RefusalReason = "quota"        // the account's limit leaves no room for one
)

// Refusal counts, for one group, the offers refused by reason. An offer that
// several variants are refused on counts once, by the reason of the variant that
// came closest.
type Refusal struct {
	Job     JobID                 `json:"job"`
	Group   string                `json:"group"`
	Offers  int                   `json:"offers"`  // looked at
	Allowed int                   `json:"allowed"` // could serve it
	Reasons map[RefusalReason]int `json:"reasons,omitempty"`
}

// RunnerUp is the next dearer offer for a group and what it would cost more for one
// replica alone, per hour.
type RunnerUp struct {
	Job       JobID      `json:"job"`
	Group     string     `json:"group"`
	Chosen    OfferID    `json:"chosen"`
	RunnerUp  OfferID    `json:"runner_up"`
	ExtraCost USDPerHour `json:"extra_usd_per_hour"`
}

// Setback is a lease that came to nothing, or whose machine was taken back, shortly
// before the plan was made: why the plan is another one than the last.
type Setback struct {
	Lease  LeaseID   `json:"lease"`
	Offer  OfferID   `json:"offer"`
	Reason string    `json:"reason"` // the lease's own
	At     time.Time `json:"at"`
	Until  time.Time `json:"until,omitzero"` // the offer is left alone until then; missing: it was not for this plan
}

// Machines counts the plan's leases.
func (p Plan) Machines() int { return len(p.Leases) }

// Placed counts the plan's placements.
func (p Plan) Placed() int {
	n := 0
	for _, l := range p.Leases {
		n += len(l.Placements)
	}
	return n
}

// Sentence is the plan in words: what runs on what, for how much, and how far from
// the best possible it can be.
func (p Plan) Sentence() string {
	waits := 0
	for _, w := range p.Waiting {
		waits += w.Replicas
	}
	if len(p.Leases) == 0 && len(p.Unplaced) == 0 && waits == 0 {
		return "There is nothing to run."
	}
	s := fmt.Sprintf("%s on %s for %s", count(p.Placed(), "replica"), count(p.Machines(), "machine"), p.UnitPrice)
	paid := p.UnitPrice
	for _, c := range p.Commitments {
		paid += c.UnitPrice
	}
	if paid > p.UnitPrice {
		s += fmt.Sprintf(" and the committed %s", paid-p.UnitPrice)
	}
	if p.BaselinePrice > paid {
		s += fmt.Sprintf(" instead of %s with one on-demand machine each (%.0f %% less)", p.BaselinePrice, 100*(1-paid.USD()/p.BaselinePrice.USD()))
	}
	switch {
	case p.Status == PlanOptimal:
		s += "; proven to be the cheapest"
	case p.Status == PlanFeasible:
		s += fmt.Sprintf("; proven to be within %.2f %% of the cheapest", 100*p.Gap)
	}
	if waits == 1 {
		s += "; 1 replica waits"
	} else if waits > 1 {
		s += fmt.Sprintf("; %d replicas wait", waits)
	}
	if n := len(p.Unplaced); n > 0 {
		s += fmt.Sprintf("; %s could not be placed in full", count(n, "group"))
	}
	return s + "."
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
