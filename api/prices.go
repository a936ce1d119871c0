package api

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"purser"
)

// Offer is an offer with its price, what that is for one of several things, and the
// age of it.
type Offer struct {
	ID              purser.OfferID        `json:"id"`
	Provider        string                `json:"provider"`
	Region          string                `json:"region"`
	Zone            string                `json:"zone,omitempty"`
	InstanceType    string                `json:"instance_type"`
	Option          purser.PurchaseOption `json:"purchase_option"`
	Accelerator     string                `json:"accelerator,omitempty"`
	Devices         float64               `json:"devices"`
	DeviceMemoryGiB float64               `json:"device_memory_gib,omitempty"` // of one whole device
	VCPUs           float64               `json:"vcpus"`
	MemoryGiB       float64               `json:"memory_gib"`
	UnitPrice       purser.USDPerHour     `json:"usd_per_hour"`
	PerDevice       purser.USDPerHour     `json:"usd_per_device_hour,omitempty"`
	PerGiB          purser.USDPerHour     `json:"usd_per_gib_hour,omitempty"`   // of device memory
	PerTFLOP        purser.USDPerHour     `json:"usd_per_tflop_hour,omitempty"` // of dense bf16, as the vendor's data sheet has it
	Limit           int                   `json:"limit"`                        // machines that can be had; -1 is not known to end
	Source          string                `json:"source"`
	ValidFrom       time.Time             `json:"valid_from"`
	ObservedAt      time.Time             `json:"observed_at"`
	Stale           bool                  `json:"stale"` // too old to plan with
	Country         string                `json:"country,omitempty"`
	Terms           *Terms                `json:"terms,omitempty"`
}

// Terms are the conditions of a serverless offer. 0 is not known or not bounded.
type Terms struct {
	BillingStep   float64      `json:"billing_step_seconds"` // smallest time that is billed
	ColdStart     float64      `json:"cold_start_seconds"`
	MaxRequest    float64      `json:"max_request_seconds"`
	MaxConcurrent int          `json:"max_concurrent"`
	IdleBilled    float64      `json:"idle_billed_seconds"` // after a request
	PerRequest    purser.Money `json:"usd_per_request"`
}

// OfferOf shows an offer.
func OfferOf(o purser.Offer) Offer {
	out := Offer{
		ID: o.ID(), Provider: o.Provider, Region: o.Region, Zone: o.Zone, InstanceType: o.InstanceType, Option: o.Option,
		Accelerator: o.Accelerator, Devices: o.Devices.Devices(), DeviceMemoryGiB: float64(o.DeviceMemoryMiB) / 1024,
		VCPUs: float64(o.MilliCPU) / 1000, MemoryGiB: float64(o.MemoryMiB) / 1024,
		UnitPrice: o.UnitPrice, Limit: o.Limit, Source: o.Source, ValidFrom: o.ValidFrom, ObservedAt: o.ObservedAt, Country: o.Country,
	}
	if o.Terms != (purser.Terms{}) {
		out.Terms = &Terms{
			BillingStep: o.Terms.BillingStep.Seconds(), ColdStart: o.Terms.ColdStart.Seconds(), MaxRequest: o.Terms.MaxRequest.Seconds(),
			MaxConcurrent: o.Terms.MaxConcurrent, IdleBilled: o.Terms.IdleBilled.Seconds(), PerRequest: o.Terms.PerRequest,
		}
	}
	if o.Devices > 0 {
		out.PerDevice = purser.USDPerHour(int64(o.UnitPrice) * int64(purser.OneDevice) / int64(o.Devices))
		if o.DeviceMemoryMiB > 0 {
			out.PerGiB = out.PerDevice * 1024 / purser.USDPerHour(o.DeviceMemoryMiB)
		}
		if a, ok := purser.AcceleratorNamed(o.Accelerator); ok && a.BF16TFLOPS > 0 {
			out.PerTFLOP = purser.USDPerHour(float64(out.PerDevice) / a.BF16TFLOPS)
		}
	}
	return out
}

// Source is a feed of prices and how it fares.
type Source struct {
	Name        string     `json:"name"`
	Says        string     `json:"says,omitempty"`     // what it gives
	Enabled     bool       `json:"enabled"`            // it is collected by the schedule
	Schedule    string     `json:"schedule,omitempty"` // a cron expression, seconds first, UTC
	NextAt      *time.Time `json:"next_at,omitempty"`
	LastAt      time.Time  `json:"last_at"`              // the last good batch
	BeganAt     *time.Time `json:"began_at,omitempty"`   // the collection under way
	EndedAt     *time.Time `json:"ended_at,omitempty"`   // the last collection, well or not
	Progress    string     `json:"progress,omitempty"`   // of the collection under way, or what the last one brought
	LastError   string     `json:"last_error,omitempty"` // of the last collection; empty when all went well
	ErrorKind   string     `json:"error_kind,omitempty"` // of it
	Failures    int        `json:"failures"`             // collections in a row that failed, wholly or in part
	Alarm       string     `json:"alarm,omitempty"`      // what of the last batches was not believed
	Regions     int        `json:"regions"`
	Offers      int        `json:"offers"`
	Quarantined int        `json:"quarantined"`
}

// PriceReport says what one collection did.
type PriceReport struct {
	Source      string `json:"source"`
	Seen        int    `json:"seen"`
	New         int    `json:"new"`
	Changed     int    `json:"changed"`
	Unchanged   int    `json:"unchanged"`
	Older       int    `json:"older"` // a newer price stood already, or an equally new one of another source
	Gone        int    `json:"gone"`
	Quarantined int    `json:"quarantined"`
	Past        int    `json:"past"`            // earlier prices that were new
	Stale       int    `json:"stale"`           // too old to plan with; kept for reading
	Alarm       string `json:"alarm,omitempty"` // why the list was not taken as the whole of its source
}

// The lists of prices.
type (
	// Offers is a list of offers, cheapest first.
	Offers struct {
		AsOf   *time.Time `json:"as_of,omitempty"` // the prices that were in force then
		Offers []Offer    `json:"offers"`
	}
	// PriceHistory is what was in force for one offer, oldest first: every change, or
	// a row for each day in which there was one.
	PriceHistory struct {
		Offer  purser.OfferID      `json:"offer"`
		Points []purser.PricePoint `json:"points"`
		Days   []PriceDay          `json:"days"`
	}
	// PriceDay is a day (UTC) in which a price changed. On a day without one the last
	// price of the day before holds.
	PriceDay struct {
		Day   string            `json:"day"` // 2026-11-20
		Low   purser.USDPerHour `json:"low_usd_per_hour"`
		High  purser.USDPerHour `json:"high_usd_per_hour"`
		Mean  purser.USDPerHour `json:"mean_usd_per_hour"` // weighted by time while it could be had
		Last  purser.USDPerHour `json:"last_usd_per_hour"` // 0: it could not be had at the day's end
		Hours float64           `json:"hours"`             // for how long it could be had
	}
	// Cheapest is the cheapest of many offers over time.
	Cheapest struct {
		Per   string         `json:"per"` // what the prices are for: machine, device, gib or tflop
		Steps []CheapestStep `json:"steps"`
	}
	// CheapestStep holds from a moment on, until the next step.
	CheapestStep struct {
		From      time.Time      `json:"from"`
		Offer     purser.OfferID `json:"offer,omitempty"` // empty: none could be had
		UnitPrice float64        `json:"usd_per_hour"`    // for one of what Per says
	}
	// Sources is the feeds of prices.
	Sources struct {
		Sources []Source `json:"sources"`
	}
	// Quarantine is the prices that are not believed.
	Quarantine struct {
		Quarantined []QuarantinedPrice `json:"quarantined"`
	}
	// QuarantinedPrice is a price that is not believed.
	QuarantinedPrice struct {
		Offer       Offer                   `json:"offer"`
		Source      string                  `json:"source"`
		Reason      purser.QuarantineReason `json:"reason"`
		Detail      string                  `json:"detail"`
		Place       string                  `json:"place"`
		FirstSeenAt time.Time               `json:"first_seen_at"`
		LastSeenAt  time.Time               `json:"last_seen_at"`
		KeptAt      *time.Time              `json:"kept_at,omitempty"` // reviewed and left where it is
	}
	// PriceRules is what operators decided of offers' prices.
	PriceRules struct {
		Rules []purser.PriceRule `json:"rules"`
	}
	// Hazards is how often spot machines are taken back.
	Hazards struct {
		Hazards []Hazard `json:"hazards"`
	}
	// Hazard is an estimate for one type in one zone: preemptions per hour of running.
	Hazard struct {
		Provider     string          `json:"provider"`
		Region       string          `json:"region"`
		Zone         string          `json:"zone,omitempty"`
		InstanceType string          `json:"instance_type"`
		Mean         float64         `json:"mean_per_hour"`
		Low          float64         `json:"low_per_hour"` // Low and High enclose 80 %
		High         float64         `json:"high_per_hour"`
		Events       float64         `json:"events"` // of ours, old ones counting less
		Hours        float64         `json:"hours"`
		Basis        string          `json:"basis"`
		ComputedAt   time.Time       `json:"computed_at"`
		Signals      []purser.Signal `json:"signals"`
	}
)

// Review says what becomes of a price that is not believed.
type Review struct {
	Source string                  `json:"source,omitempty" maxLength:"200" doc:"Where it is in quarantine. May be left out when one source has it."`
	Offer  purser.OfferID          `json:"offer" minLength:"1" maxLength:"400"`
	Reason purser.QuarantineReason `json:"reason,omitempty" maxLength:"63" doc:"May be left out when there is one."`
	Days   float64                 `json:"days,omitempty" minimum:"0" maximum:"3650" doc:"How long the decision holds. Default: 30."`
	Note   string                  `json:"note,omitempty" maxLength:"500"`
}

// Prices lists offers with their prices, cheapest first; query takes provider, region,
// accelerator, option, source, id, min_memory_gib, min_devices, per, max_price, as_of,
// accelerated and limit.
func (c *Client) Prices(ctx context.Context, query url.Values) (out Offers, err error) {
	return out, c.Get(ctx, "/v1/prices", query, &out)
}

// PriceHistory reads what was in force for an offer; query takes offer, from, to and by.
func (c *Client) PriceHistory(ctx context.Context, query url.Values) (out PriceHistory, err error) {
	return out, c.Get(ctx, "/v1/prices/history", query, &out)
}

// Cheapest reads the cheapest offer over time; query takes the filters of Prices, per,
// from and to.
func (c *Client) Cheapest(ctx context.Context, query url.Values) (out Cheapest, err error) {
	return out, c.Get(ctx, "/v1/prices/cheapest", query, &out)
}

// Hazards lists how often spot machines are taken back; query takes provider, region
// and instance_type.
func (c *Client) Hazards(ctx context.Context, query url.Values) (out Hazards, err error) {
	return out, c.Get(ctx, "/v1/hazards", query, &out)
}

// Quarantine lists the prices that are not believed; query takes source, reason, offer,
// kept and limit.
func (c *Client) Quarantine(ctx context.Context, query url.Values) (out Quarantine, err error) {
	return out, c.Get(ctx, "/v1/quarantine", query, &out)
}

// ReleasePrice believes a price that is in quarantine.
func (c *Client) ReleasePrice(ctx context.Context, r Review) (out purser.PriceRule, err error) {
	return out, c.Post(ctx, "/v1/quarantine/release", r, &out, true)
}

// KeepPrice leaves a price in quarantine and takes it off the list of what is to be
// reviewed.
func (c *Client) KeepPrice(ctx context.Context, r Review) error {
	return c.Post(ctx, "/v1/quarantine/keep", r, nil, true)
}

// BlockPrice stops believing an offer's price.
func (c *Client) BlockPrice(ctx context.Context, r Review) (out purser.PriceRule, err error) {
	return out, c.Post(ctx, "/v1/prices/block", r, &out, true)
}

// PriceRules lists what operators decided.
func (c *Client) PriceRules(ctx context.Context) (out PriceRules, err error) {
	return out, c.Get(ctx, "/v1/prices/rules", nil, &out)
}

// DropPriceRule ends a rule.
func (c *Client) DropPriceRule(ctx context.Context, offer purser.OfferID, reason purser.QuarantineReason) error {
	q := url.Values{"offer": {string(offer)}, "reason": {string(reason)}}
	return c.Delete(ctx, "/v1/prices/rules?"+q.Encode())
}

// Sources lists the feeds of prices.
func (c *Client) Sources(ctx context.Context) (out Sources, err error) {
	return out, c.Get(ctx, "/v1/sources", nil, &out)
}

// CollectSource has a feed collected now. It answers at once; Sources tells how it goes.
func (c *Client) CollectSource(ctx context.Context, name string) (out Source, err error) {
	return out, c.Post(ctx, "/v1/sources/"+url.PathEscape(name)+"/collect", nil, &out, true)
}

const importPath = "/v1/prices/import"

// ImportPrices brings a price list in the catalogue form or a history of prices, plain
// or gzip. The same list again changes nothing.
func (c *Client) ImportPrices(ctx context.Context, name, provider string, asOf time.Time, content []byte) (out PriceReport, err error) {
	q := url.Values{"name": {name}}
	if !asOf.IsZero() {
		q.Set("as_of", asOf.Format(time.RFC3339))
	}
	if provider != "" {
		q.Set("provider", provider)
	}
	return out, c.call(ctx, http.MethodPost, importPath+"?"+q.Encode(), rawBody(content), &out, true)
}
