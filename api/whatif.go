package api

import (
	"context"
	"net/url"

	"purser"
)

// WhatIf is a change of the world that a plan is made for, to see what would become of
// it. Nothing is changed.
type WhatIf struct {
	Jobs   *JobFile      `json:"jobs,omitempty"` // submitted besides
	Lose   []string      `json:"lose,omitempty" maxItems:"20" doc:"Places that are gone with their machines: provider, provider/region or provider/region/zone."`
	Prices []PriceFactor `json:"prices,omitempty" maxItems:"20"`
	More   []More        `json:"more,omitempty" maxItems:"20"`
	Moves  bool          `json:"moves,omitempty" doc:"What runs may move where that pays."`
}

// PriceFactor multiplies the prices that it matches. Empty fields match all.
type PriceFactor struct {
	Provider     string                `json:"provider,omitempty" maxLength:"63"`
	Region       string                `json:"region,omitempty" maxLength:"63"`
	InstanceType string                `json:"instance_type,omitempty" maxLength:"200"`
	Option       purser.PurchaseOption `json:"purchase_option,omitempty" maxLength:"63"`
	Factor       float64               `json:"factor" doc:"Above 0; 1.5 makes them half as dear again."`
}

// More is more of a quota, in its unit, of a commitment, in cents an hour, or more machines of an offer whose supply ends.
type More struct {
	Name  string `json:"name" maxLength:"400" doc:"A quota's or a commitment's name, or an offer's id or instance type."`
	Count int64  `json:"count" minimum:"-1000000000" maximum:"1000000000" doc:"Below 0: less."`
}

// WhatIfAnswer sets the two plans beside each other.
type WhatIfAnswer struct {
	Sentence string            `json:"sentence"`
	PerDay   purser.Money      `json:"usd_per_day"`  // what the change costs; below 0 it saves
	Rate     purser.USDPerHour `json:"usd_per_hour"` // of what runs at the start, the difference
	Sure     bool              `json:"sure"`         // the plans' bounds prove that it costs, or saves
	Now      Plan              `json:"now"`
	Then     Plan              `json:"then"`
}

// Worth is the answer of GET /v1/plans/worth.
type Worth struct {
	Objective purser.Money `json:"objective_usd"` // of the plan for now, over its horizon
	Steps     []WorthStep  `json:"steps"`
	Left      int          `json:"left"` // limits that were not tried for want of time
}

// WorthStep is a limit that is used up, and what a little more of it would save.
type WorthStep struct {
	Name     string       `json:"name"` // a quota's or a commitment's, or an offer's id
	Unit     string       `json:"unit"`
	More     int64        `json:"more"`
	PerDay   purser.Money `json:"saves_usd_per_day"`
	Places   int          `json:"places"` // replicas that it would place besides
	Sure     bool         `json:"sure"`   // the bound proves that it saves or places
	Sentence string       `json:"sentence"`
}

// What the cost of a plan can be weighed against.
const (
	AgainstTime   = "time"   // until all training has ended
	AgainstCarbon = "carbon" // that the machines take
)

// Front is the answer of GET /v1/plans/front: what it costs to have all training done
// sooner, or to take less carbon. No point is worse in both than another.
type Front struct {
	Points []FrontPoint `json:"points"`           // the cheapest first
	Reason string       `json:"reason,omitempty"` // why there is nothing to choose
}

// FrontPoint is a plan of a front.
type FrontPoint struct {
	Hours     float64           `json:"hours"`         // until all training has ended
	CarbonKg  float64           `json:"carbon_kg"`     // CO₂e over the plan's horizon
	Objective purser.Money      `json:"objective_usd"` // over the plan's horizon, without what carbon counts
	Extra     purser.Money      `json:"extra_usd"`     // beside the cheapest
	Bound     purser.Money      `json:"bound_usd"`     // no plan for the point's deadline or price of carbon costs less
	Rate      purser.USDPerHour `json:"usd_per_hour"`
	Machines  int               `json:"machines"`
}

// Front says what it costs to be sooner, or to take less carbon.
func (c *Client) Front(ctx context.Context, against string) (out Front, err error) {
	return out, c.Get(ctx, "/v1/plans/front", url.Values{"against": {against}}, &out)
}

// Ask plans for a changed world.
func (c *Client) Ask(ctx context.Context, q WhatIf) (out WhatIfAnswer, err error) {
	return out, c.Post(ctx, "/v1/plans/what-if", q, &out, true)
}

// Worth says what limits cost.
func (c *Client) Worth(ctx context.Context) (out Worth, err error) {
	return out, c.Get(ctx, "/v1/plans/worth", nil, &out)
}
