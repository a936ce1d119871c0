package purser

import "time"

// Charge is one line of the ledger: what a lease cost over [Start, End) UTC, or
// the part of it that one task had. Names of costs are those of the FOCUS
// specification. Charges are only ever added.
type Charge struct {
	Lease     LeaseID    `json:"lease"`
	Job       JobID      `json:"job,omitempty"`  // empty: idle room, which belongs to the pool
	Task      TaskID     `json:"task,omitempty"` // empty: idle room
	Project   string     `json:"project,omitempty"`
	Offer     OfferID    `json:"offer"`
	Start     time.Time  `json:"start"`
	End       time.Time  `json:"end"`
	UnitPrice USDPerHour `json:"usd_per_hour"` // of the whole machine in this interval

	ListCost      Money `json:"list_cost_usd"`      // at the on-demand price
	BilledCost    Money `json:"billed_cost_usd"`    // at the price in force
	EffectiveCost Money `json:"effective_cost_usd"` // with prepaid parts spread over their term

	Rehearsal       bool      `json:"rehearsal"`         // what it would have cost; nothing was bought
	PriceSource     string    `json:"price_source"`      // which feed said the price
	PriceObservedAt time.Time `json:"price_observed_at"` // when it was seen
}
