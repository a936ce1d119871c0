package fake

import (
	"time"

	"purser"
	"purser/providers"
)

// The protocol: every call is POST /v1/NAME with a JSON object, and answers with one. The
// name of a call is that of its constant; besides there are those below. Failures have the
// status of their kind (purser.HTTPStatus), Retry-After, and {"error": Failed}. A call
// that is lost has no answer: the connection breaks.
const (
	wireNotices     = "notices"     // the queue of interruptions; waits while it is empty
	wireAcknowledge = "acknowledge" // takes a notice off the queue
	wireMachines    = "machines"    // all that the cloud remembers, of all installations
	wireTurn        = "turn"        // turns knobs
)

// Failed is an error on the wire.
type Failed struct {
	Kind              purser.Kind `json:"kind"`
	Message           string      `json:"message"`
	Hint              string      `json:"hint,omitempty"`
	RetryAfterSeconds float64     `json:"retry_after_seconds,omitempty"`
}

func (f Failed) err() error {
	return &purser.Error{
		Kind: f.Kind, Op: "fake.cloud", Message: f.Message, Hint: f.Hint,
		RetryAfter: time.Duration(min(max(f.RetryAfterSeconds, 0), maxSeconds) * float64(time.Second)),
	}
}

// The types below have the fields of the contract's, so that one converts to the other.
type (
	wireRequest struct {
		Lease        purser.Lease      `json:"lease"`
		Pools        []purser.Offer    `json:"pools,omitempty"`
		Installation string            `json:"installation"`
		Token        string            `json:"token"`
		JoinToken    string            `json:"join_token,omitempty"`
		ServerURL    string            `json:"server_url,omitempty"`
		AgentSHA256  map[string]string `json:"agent_sha256,omitempty"`
	}

	wireInstance struct {
		ID           string                  `json:"id"`
		Lease        purser.LeaseID          `json:"lease"`
		Installation string                  `json:"installation"`
		State        providers.InstanceState `json:"state"`
		StartedAt    time.Time               `json:"started_at,omitzero"`
		Reason       string                  `json:"reason,omitempty"`
		Refused      purser.Kind             `json:"refused,omitempty"`

		Region       string `json:"region,omitempty"`
		Zone         string `json:"zone,omitempty"`
		InstanceType string `json:"instance_type,omitempty"`
	}

	wireReservation struct {
		ID    string       `json:"id"`
		Offer purser.Offer `json:"offer"`
		Total int          `json:"total"`
		Free  int          `json:"free"`
		From  time.Time    `json:"from,omitzero"`
		Until time.Time    `json:"until,omitzero"`
	}
)

// The bodies of the calls.
type (
	asksLease struct {
		Installation string       `json:"installation"`
		Lease        purser.Lease `json:"lease"`
	}
	asksInstallation struct {
		Installation string `json:"installation"`
	}
	asksSweep struct {
		Installation string  `json:"installation"`
		GraceSeconds float64 `json:"grace_seconds"`
	}
	asksNotices struct {
		Installation string  `json:"installation"`
		WaitSeconds  float64 `json:"wait_seconds"` // at most 20
	}
	asksAcknowledge struct {
		Installation string `json:"installation"`
		Number       uint64 `json:"number"`
	}
	nothing struct{}

	hasInstances struct {
		Instances []wireInstance `json:"instances"`
	}
	hasQuotas struct {
		Quotas   []purser.Quota    `json:"quotas"`
		Used     map[string]int64  `json:"used"`
		Reserved []wireReservation `json:"reserved"`
	}
	hasRemoved struct {
		Removed int `json:"removed"`
	}
	hasOffers struct {
		Offers []purser.Offer `json:"offers"`
	}
	hasNotices struct {
		Notices []notice `json:"notices"`
	}
	hasMachines struct {
		Machines []wireMachine `json:"machines"`
	}
)

// wireMachine is Machine.
type wireMachine struct {
	wireInstance
	Offer    purser.OfferID `json:"offer"`
	NoticeAt time.Time      `json:"notice_at,omitzero"`
	EndedAt  time.Time      `json:"ended_at,omitzero"`
	GoneAt   time.Time      `json:"gone_at,omitzero"`
}

func headroomOnWire(h providers.Headroom) hasQuotas {
	out := hasQuotas{Quotas: h.Quotas, Used: h.Used}
	for _, r := range h.Reserved {
		out.Reserved = append(out.Reserved, wireReservation(r))
	}
	return out
}

func (h hasQuotas) headroom() providers.Headroom {
	out := providers.Headroom{Quotas: h.Quotas, Used: h.Used}
	for _, r := range h.Reserved {
		out.Reserved = append(out.Reserved, providers.Reservation(r))
	}
	return out
}
