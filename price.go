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
