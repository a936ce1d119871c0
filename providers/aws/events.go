package aws

import (
	"encoding/json"
	"strings"
	"time"

	"purser/providers"
)

// The events of EventBridge that tell of machines.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/monitoring-instance-state-changes.html
const (
	eventSpot        = "EC2 Spot Instance Interruption Warning"
	eventRebalance   = "EC2 Instance Rebalance Recommendation"
	eventState       = "EC2 Instance State-change Notification"
	eventReservation = "EC2 Capacity Reservation Instance Interruption Warning"
	eventHealth      = "AWS Health Event"
)

// spotNotice is how long a spot machine has after its warning.
const spotNotice = 2 * time.Minute

// ending are the states of a machine that does not run any more.
var ending = []string{"stopping", "stopped", "shutting-down", "terminated"}

// event is an event of EventBridge, as far as it is read.
type event struct {
	Type   string    `json:"detail-type"`
	Region string    `json:"region"`
	Time   time.Time `json:"time"`
	Detail struct {
		Instance string `json:"instance-id"`
		Action   string `json:"instance-action"`
		State    string `json:"state"`

		// Of AWS Health.
		Service  string `json:"service"`
		Code     string `json:"eventTypeCode"`
		Category string `json:"eventTypeCategory"`
		Status   string `json:"statusCode"`
		Start    string `json:"startTime"`
		Affected []struct {
			Value string `json:"entityValue"`
		} `json:"affectedEntities"`
	} `json:"detail"`
}

func parseEvent(body string) (event, bool) {
	var e event
	err := json.Unmarshal([]byte(body), &e)
	return e, err == nil && e.Type != "" && e.Region != ""
}

// notices are what an event says of machines, without their leases. A kind that is
// empty is no news.
func (e event) notices() []providers.Interruption {
	one := func(kind providers.InterruptionKind, at time.Time, reason string) []providers.Interruption {
		if e.Detail.Instance == "" {
			return nil
		}
		return []providers.Interruption{{Instance: e.Detail.Instance, Kind: kind, At: at, Reason: reason}}
	}
	switch e.Type {
	case eventSpot:
		return one(providers.Preempted, e.Time.Add(spotNotice), "AWS takes the spot machine back")
	case eventReservation:
		return one(providers.Preempted, e.Time.Add(spotNotice), "AWS takes the reserved machine back")
	case eventRebalance:
		return one(providers.Rebalance, time.Time{}, "AWS expects to take the spot machine back")
	case eventState:
		for _, state := range ending {
			if e.Detail.State == state {
				return one(providers.Ended, e.Time, "EC2 says that it is "+state)
			}
		}
		return one("", time.Time{}, "")
	case eventHealth:
		return e.scheduled()
	default:
		return nil
	}
}

// scheduled are the machines that AWS Health has a change planned for.
func (e event) scheduled() (out []providers.Interruption) {
	if e.Detail.Service != "EC2" || e.Detail.Category != "scheduledChange" {
		return nil
	}
	kind := providers.Retired
	if e.Detail.Status == "closed" { // it is over, or was called off
		kind = ""
	}
	for _, a := range e.Detail.Affected {
		if strings.HasPrefix(a.Value, "i-") {
			out = append(out, providers.Interruption{Instance: a.Value, Kind: kind, At: healthTime(e.Detail.Start), Reason: "AWS plans " + clip(e.Detail.Code)})
		}
	}
	return out
}

// healthTime reads a time as AWS Health writes it; zero if it cannot be read.
func healthTime(s string) time.Time {
	for _, form := range []string{"Mon, 2 Jan 2006 15:04:05 MST", time.RFC3339} {
		if t, err := time.Parse(form, s); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}
