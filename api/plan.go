package api

import (
	"time"

	"purser"
)

// Plan is a plan as users see it.
type Plan struct {
	ID        purser.PlanID     `json:"id,omitempty"`
	CreatedAt time.Time         `json:"created_at,omitzero"`
	Status    purser.PlanStatus `json:"status"`
	Rehearsal bool              `json:"rehearsal"`

	HorizonHours  float64           `json:"horizon_hours"`
	Objective     purser.Money      `json:"objective_usd"` // cost over the horizon, with carbon_cost_usd
	ExtraCost     purser.Money      `json:"extra_usd"`     // of it, what replicas cost beside their machines: moving, reading and keeping data
	Bound         purser.Money      `json:"bound_usd"`     // no plan can cost less; proven
	Gap           float64           `json:"gap"`           // (objective − bound) / objective
	UnitPrice     purser.USDPerHour `json:"usd_per_hour"`  // of what runs at the start
	BaselinePrice purser.USDPerHour `json:"baseline_usd_per_hour"`
	CarbonKg      float64           `json:"carbon_kg"`                 // CO₂e of the machines over the horizon, estimated from their power and the place's grid
	CarbonCost    purser.Money      `json:"carbon_cost_usd,omitempty"` // what it counts at the price of carbon; nobody is paid for it
	SolveSeconds  float64           `json:"solve_seconds"`
	CutByTime     bool              `json:"cut_by_time,omitempty"`
	Summary       string            `json:"summary"` // the plan in a sentence; empty in lists

	Commitments []PlanCommitment `json:"commitments,omitempty"` // what is promised; in no other figure of the plan

	Leases    []PlanLease    `json:"leases"`
	Waiting   []PlanWaiting  `json:"waiting,omitempty"`
	Services  []PlanService  `json:"services"`
	Unplaced  []PlanUnplaced `json:"unplaced"`
	Refusals  []PlanRefusal  `json:"refusals"`
	RunnersUp []PlanRunnerUp `json:"runners_up"`
	Setbacks  []PlanSetback  `json:"setbacks,omitempty"`
}

// PlanLease is a machine of a plan.
type PlanLease struct {
	Offer      Offer           `json:"offer"`
	Held       purser.LeaseID  `json:"held,omitempty"`       // it stands already
	Commitment string          `json:"commitment,omitempty"` // what it runs under; it then costs nothing more
	Hours      float64         `json:"hours"`                // it is expected to be needed for, within the horizon
	Placements []PlanPlacement `json:"placements"`
}

// PlanCommitment is what a plan's machines take of a commitment.
type PlanCommitment struct {
	Name       string            `json:"name"`
	UnitPrice  purser.USDPerHour `json:"usd_per_hour"`      // promised
	Used       purser.USDPerHour `json:"used_usd_per_hour"` // the discounted prices of the machines under it
	Machines   int               `json:"machines"`
	IdlePerDay purser.Money      `json:"idle_usd_per_day"` // paid for nothing
}

// PlanPlacement is a replica on a machine of a plan.
type PlanPlacement struct {
	JobID     purser.JobID `json:"job_id,omitempty"`
	Job       string       `json:"job"`
	Group     string       `json:"group"`
	Replica   int          `json:"replica"`
	Variant   string       `json:"variant"`
	Devices   float64      `json:"devices"`
	VCPUs     float64      `json:"vcpus"`
	MemoryGiB float64      `json:"memory_gib"`
}

// PlanWaiting is what a plan lets begin later.
type PlanWaiting struct {
	Job      string         `json:"job"`
	Group    string         `json:"group"`
	Replicas int            `json:"replicas"`
	For      purser.WaitFor `json:"for"` // machine, quota, price or gang
	Offer    purser.OfferID `json:"offer"`
	Start    time.Time      `json:"start"`             // when it is expected to begin
	Latest   time.Time      `json:"latest"`            // when it stops waiting, and takes what is cheapest then
	Cost     purser.Money   `json:"cost_usd"`          // its part of its machines, and its data
	Saves    purser.Money   `json:"saves_usd"`         // against its part of the cheapest machines that could be had now; 0 where there are none
	Sure     float64        `json:"sure,omitempty"`    // share of such runs that keep the deadline
	Summary  string         `json:"summary,omitempty"` // the same in a sentence
}

// PlanService is how a plan serves one inference group. Rates are in requests per second,
// or in replicas where the group has no demand.
type PlanService struct {
	Job       string             `json:"job"`
	Group     string             `json:"group"`
	Replicas  int                `json:"replicas"`
	Demand    float64            `json:"demand"`
	Served    float64            `json:"served"`    // what all replicas can serve
	Level     purser.DomainLevel `json:"level"`     // what is lost at the worst: as many domains as it has to survive, or one zone
	Worst     []string           `json:"worst"`     // these domains; of machines, the lease or the offer
	Lost      float64            `json:"lost"`      // what they serve
	Left      float64            `json:"left"`      // served less lost
	Load      float64            `json:"load"`      // demand / served: how busy replicas are on the average
	Imbalance float64            `json:"imbalance"` // by how much the busiest is busier, with the weights
	Weights   []PlanWeight       `json:"weights"`   // traffic weights
}

// PlanWeight is the traffic weight of each replica of a variant, 1 to 999.
type PlanWeight struct {
	Variant  string `json:"variant"`
	Replicas int    `json:"replicas"`
	Weight   int    `json:"weight"`
}

// PlanUnplaced is what a plan could not place.
type PlanUnplaced struct {
	Job      string `json:"job"`
	Group    string `json:"group"`
	Replicas int    `json:"replicas"`
	Reason   string `json:"reason"`
}

// PlanRefusal counts the offers that could not serve a group, by reason.
type PlanRefusal struct {
	Job     string                       `json:"job"`
	Group   string                       `json:"group"`
	Offers  int                          `json:"offers"`
	Allowed int                          `json:"allowed"`
	Reasons map[purser.RefusalReason]int `json:"reasons"`
}

// PlanRunnerUp is the next-best offer for a group.
type PlanRunnerUp struct {
	Job       string            `json:"job"`
	Group     string            `json:"group"`
	Chosen    purser.OfferID    `json:"chosen"`
	RunnerUp  purser.OfferID    `json:"runner_up"`
	ExtraCost purser.USDPerHour `json:"extra_usd_per_hour"`
}

// PlanSetback is a lease that came to nothing or was taken back shortly before the plan.
type PlanSetback struct {
	Lease  purser.LeaseID `json:"lease"`
	Offer  purser.OfferID `json:"offer"`
	Reason string         `json:"reason"`
	At     time.Time      `json:"at"`
	Until  time.Time      `json:"until,omitzero"` // the offer is left alone until then
}

// PlanOf shows a plan. name gives a job's name from its id.
func PlanOf(p purser.Plan, name func(purser.JobID) string) Plan {
	out := Plan{
		ID: p.ID, CreatedAt: p.CreatedAt, Status: p.Status, Rehearsal: p.Rehearsal,
		HorizonHours: p.Horizon.Hours(), CarbonKg: p.CarbonGrams / 1000, CarbonCost: p.CarbonCost, Objective: p.Objective, ExtraCost: p.ExtraCost, Bound: p.Bound, Gap: p.Gap,
		UnitPrice: p.UnitPrice, BaselinePrice: p.BaselinePrice, SolveSeconds: p.SolveTime.Seconds(), CutByTime: p.CutByTime,
		Summary: p.Sentence(),
		Leases:  []PlanLease{}, Services: []PlanService{}, Unplaced: []PlanUnplaced{}, Refusals: []PlanRefusal{}, RunnersUp: []PlanRunnerUp{},
	}
	for _, c := range p.Commitments {
		out.Commitments = append(out.Commitments, PlanCommitment{c.Name, c.UnitPrice, c.Used, c.Machines, c.Idle().For(24 * time.Hour)})
	}
	for _, l := range p.Leases {
		lease := PlanLease{Offer: OfferOf(l.Offer), Held: l.Held, Commitment: l.Commitment, Hours: l.Duration.Hours(), Placements: []PlanPlacement{}}
		for _, pl := range l.Placements {
			lease.Placements = append(lease.Placements, PlanPlacement{
				JobID: pl.Job, Job: name(pl.Job), Group: pl.Group, Replica: pl.Replica, Variant: pl.Variant,
				Devices: pl.Devices.Devices(), VCPUs: float64(pl.MilliCPU) / 1000, MemoryGiB: float64(pl.MemoryMiB) / 1024,
			})
		}
		out.Leases = append(out.Leases, lease)
	}
	for _, w := range p.Waiting {
		out.Waiting = append(out.Waiting, PlanWaiting{
			Job: name(w.Job), Group: w.Group, Replicas: w.Replicas, For: w.For, Offer: w.Offer, Start: w.Start, Latest: w.Latest,
			Cost: w.Cost, Saves: w.Saves, Sure: w.Sure, Summary: w.Sentence(),
		})
	}
	for _, s := range p.Services {
		view := PlanService{
			Job: name(s.Job), Group: s.Group, Replicas: s.Replicas, Demand: s.Demand, Served: s.Served, Level: s.Level, Worst: s.Worst,
			Lost: s.Lost, Left: s.Left, Load: s.Load, Imbalance: s.Imbalance, Weights: []PlanWeight{},
		}
		for _, w := range s.Weights {
			view.Weights = append(view.Weights, PlanWeight(w))
		}
		out.Services = append(out.Services, view)
	}
	for _, u := range p.Unplaced {
		out.Unplaced = append(out.Unplaced, PlanUnplaced{Job: name(u.Job), Group: u.Group, Replicas: u.Replicas, Reason: u.Reason})
	}
	for _, r := range p.Refusals {
		reasons := r.Reasons
		if reasons == nil {
			reasons = map[purser.RefusalReason]int{}
		}
		out.Refusals = append(out.Refusals, PlanRefusal{Job: name(r.Job), Group: r.Group, Offers: r.Offers, Allowed: r.Allowed, Reasons: reasons})
	}
	for _, r := range p.RunnersUp {
		out.RunnersUp = append(out.RunnersUp, PlanRunnerUp{Job: name(r.Job), Group: r.Group, Chosen: r.Chosen, RunnerUp: r.RunnerUp, ExtraCost: r.ExtraCost})
	}
	for _, b := range p.Setbacks {
		out.Setbacks = append(out.Setbacks, PlanSetback(b))
	}
	return out
}
