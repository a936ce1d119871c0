package purser

import "time"

// PricePoint is what was in force for an offer from a moment on, until the next
// point: a price, or that it could not be had.
type PricePoint struct {
	From       time.Time  `json:"from"`
	UnitPrice  USDPerHour `json:"usd_per_hour"`   // 0 when Gone
	Gone       bool       `json:"gone,omitempty"` // no longer offered
	Source     string     `json:"source"`
	ObservedAt time.Time  `json:"observed_at"`
}

// PastPrice is a price that a feed says was in force for an offer from a moment on.
type PastPrice struct {
	Offer     OfferID
	From      time.Time
	UnitPrice USDPerHour // 0 when Gone
	Gone      bool       // it could not be had from then on
}

// SignalKind says what a Signal is about.
type SignalKind string

// The kinds of signal.
const (
	// SignalInterruption is a range of hazards: preemptions per hour of running.
	SignalInterruption SignalKind = "interruption"
	// SignalAvailability is how likely a machine can be had now, from 0 to 1.
	SignalAvailability SignalKind = "availability"
)

// Signal is what a source says of a machine beside its price. The figure lies
// within [Low, High].
type Signal struct {
	Provider     string         `json:"provider"`
	Region       string         `json:"region"`
	Zone         string         `json:"zone,omitempty"` // empty: every zone of the region
	InstanceType string         `json:"instance_type"`
	Option       PurchaseOption `json:"purchase_option"`
	Kind         SignalKind     `json:"kind"`
	Low          float64        `json:"low"`
	High         float64        `json:"high"`
	Detail       string         `json:"detail"` // as the source says it, e.g. 5-10% a month
	Source       string         `json:"source"`
	ObservedAt   time.Time      `json:"observed_at"`
}

// PriceRule is what an operator decided of an offer's price, while it lies within
// [Low, High]: that Reason is not held against it, or, with the reason by_hand, that
// it is not believed.
type PriceRule struct {
	Offer  OfferID          `json:"offer"`
	Reason QuarantineReason `json:"reason"`
	Low    USDPerHour       `json:"low_usd_per_hour"`
	High   USDPerHour       `json:"high_usd_per_hour"`
	Until  time.Time        `json:"until"`
	Actor  string           `json:"actor"`
	Note   string           `json:"note,omitempty"`
	MadeAt time.Time        `json:"made_at"`
}

// Covers says whether the rule is about an offer at its price, at a time.
func (r PriceRule) Covers(o Offer, at time.Time) bool {
	return r.Offer == o.ID() && r.Low <= o.UnitPrice && o.UnitPrice <= r.High && at.Before(r.Until)
}
