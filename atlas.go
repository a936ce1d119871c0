package purser

import (
	"fmt"
	"slices"
)

// Atlas is what an installation says of places: where they lie, and what they comply with. Offers do not say this of themselves. Several
// entries may speak of one place; the first that says where it lies is believed, and what it complies with adds up.
type Atlas []AtlasPlace

// AtlasPlace is a provider's region, or all of a provider's regions whose names begin alike.
type AtlasPlace struct {
	Provider     string      `json:"provider"`             // "private" is every machine of one's own
	Region       string      `json:"region,omitempty"`     // a trailing * matches any ending; empty: all
	At           Coordinates `json:"at,omitzero"`          // zero: not said
	Compliance   []string    `json:"compliance,omitempty"` // see ComplianceRules
	Confidential bool        `json:"confidential,omitempty"`
}

// covers says whether the entry speaks of the offer's place.
func (p AtlasPlace) covers(o Offer) bool {
	return (p.Provider == o.Provider || (p.Provider == string(Private) && o.Option == Private)) &&
		(p.Region == "" || matchAny([]string{p.Region}, o.Region))
}

// Allows gives the reason why the group may not run on the offer, as far as its place and terms go: what its Where says, confidential
// computing, compliance and latency; "" when it may.
func (a Atlas) Allows(g *TaskGroup, o Offer) RefusalReason {
	if reason := g.Where.Allows(o); reason != "" {
		return reason
	}
	switch {
	case g.Where.Confidential && !a.confidential(o):
		return ReasonConfidential
	case len(g.Where.Compliance) > 0 && !a.complies(o, g.Where.Compliance):
		return ReasonCompliance
	case g.MaxLatency.Time > 0 && !a.near(g, o):
		return ReasonLatency
	}
	return ""
}

// complies says whether the installation says of the offer's place that it complies with every rule.
func (a Atlas) complies(o Offer, rules []string) bool {
	for _, rule := range rules {
		if !slices.ContainsFunc(a, func(p AtlasPlace) bool { return slices.Contains(p.Compliance, rule) && p.covers(o) }) {
			return false
		}
	}
	return true
}

// confidential says whether the offer's machines have a mode of confidential computing.
func (a Atlas) confidential(o Offer) bool {
	return ConfidentialType(o.Provider, o.InstanceType) ||
		slices.ContainsFunc(a, func(p AtlasPlace) bool { return p.Confidential && p.covers(o) })
}

// ComplianceRules are the rules that a group can ask for. Purser compares names alone and says of no place that it complies with any:
// the installation does.
func ComplianceRules() []string {
	return []string{
		"c5", "fedramp", "fedramp-high", "gdpr", "hds", "hipaa", "irap", "iso27001", "iso27017", "iso27018", "ismap", "pci-dss",
		"soc1", "soc2", "soc3", "tisax",
	}
}

// checkCompliance says what is wrong with a list of rules, or "".
func checkCompliance(rules []string) string {
	for _, r := range rules {
		if !slices.Contains(ComplianceRules(), r) {
			return fmt.Sprintf("%q is not a rule that places are asked to comply with", clip(r))
		}
	}
	return ""
}

// Check says what is wrong with the atlas, or nil.
func (a Atlas) Check() error {
	for i, p := range a {
		fail := func(field, message string) error {
			return &Error{Kind: KindInvalid, Op: "purser.Atlas.Check", Message: message, Place: &Place{Path: fmt.Sprintf("places[%d].%s", i, field)}}
		}
		switch wrong := checkCompliance(p.Compliance); {
		case p.Provider == "":
			return fail("provider", "a place needs a provider")
		case wrong != "":
			return fail("compliance", wrong)
		case p.At != (Coordinates{}) && p.Region == "":
			return fail("region", "a provider as a whole lies nowhere: name its region")
		case !p.At.valid():
			return fail("at", "a place lies between -90 and 90 degrees north, -180 and 180 east")
		}
	}
	return nil
}
