package notice

import (
	"context"
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"purser"
)

// azure is Azure's instance metadata service with its scheduled events.
type azure struct {
	*service
	machine string // its name, by which events carry it
	on      bool   // events have been answered once
}

const (
	azureName   = "/metadata/instance/compute/name?api-version=2021-02-01&format=text"
	azureEvents = "/metadata/scheduledevents?api-version=2020-07-01"
)

// machineForm is the form of a machine's name (Azure allows 64 characters; those of a
// scale set end in _NUMBER).
var machineForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$`)

func (*azure) name() string { return "azure" }

// probe reads the machine's own name, which its events are told by.
func (a *azure) probe(ctx context.Context) bool {
	got, err := a.ask(ctx, a.pace.probe, http.MethodGet, azureName, "Metadata", "true")
	if err != nil || got.status != http.StatusOK || !machineForm.MatchString(got.body) {
		return false
	}
	a.machine = got.body
	return true
}

func (a *azure) watch(ctx context.Context) { a.every(ctx, a.pace.azure, a.events) }

// azureEvent is one of the service's events.
type azureEvent struct {
	ID          string   `json:"EventId"`
	Type        string   `json:"EventType"`   // Preempt, Terminate, Reboot, Redeploy or Freeze
	Status      string   `json:"EventStatus"` // Scheduled or Started
	Resources   []string `json:"Resources"`
	NotBefore   string   `json:"NotBefore"` // Mon, 19 Sep 2016 18:29:47 GMT; empty once it has started
	Description string   `json:"Description"`
}

func (a *azure) events(ctx context.Context) error {
	limit := a.pace.call
	if !a.on {
		limit = a.pace.first
	}
	got, err := a.ask(ctx, limit, http.MethodGet, azureEvents, "Metadata", "true")
	switch {
	case err != nil:
		return err
	case got.status != http.StatusOK:
		return unexpected(azureEvents, got)
	}
	var said struct {
		Events []azureEvent `json:"Events"`
	}
	if err := json.Unmarshal([]byte(got.body), &said); err != nil {
		return purser.Errorf(purser.KindUnavailable, "notice", "the scheduled events are not JSON: %w", err)
	}
	a.on = true
	for _, e := range said.Events {
		if slices.ContainsFunc(e.Resources, func(name string) bool { return strings.EqualFold(name, a.machine) }) {
			a.event(e)
		}
	}
	return nil
}

func (a *azure) event(e azureEvent) {
	at, _ := http.ParseTime(e.NotBefore)
	reason := ": " + words(e.Description)
	if e.Description == "" {
		reason = ""
	}
	begun := e.Status == "Started"
	switch e.Type {
	case "Preempt":
		a.say("preempted", Notice{Kind: Preempted, At: at, Reason: "Azure evicts the spot machine" + reason, Leave: true})
	case "Terminate":
		a.say("preempted", Notice{Kind: Preempted, At: at, Reason: "Azure deletes the machine" + reason, Leave: true})
	case "Reboot", "Redeploy":
		a.maintain(e.ID, Notice{At: at, Reason: "Azure plans a " + e.Type + " of the machine" + reason}, true, begun)
	case "Freeze": // some seconds, with all that is in memory kept
		a.maintain(e.ID, Notice{At: at, Reason: "Azure freezes the machine for some seconds" + reason}, false, begun)
	}
}
