package api

import (
	"context"
	"time"

	"purser"
)

// Providers is the answer of GET /v1/providers.
type Providers struct {
	Rehearsal  bool       `json:"rehearsal"` // none is enabled: machines are stood in for
	SpendLimit SpendLimit `json:"spend_limit"`
	// Installation is the tag that every machine of ours carries.
	Installation string     `json:"installation"`
	Providers    []Provider `json:"providers"`
}

// SpendLimit is what may be bought. 0: no such limit.
type SpendLimit struct {
	PerHour  float64 `json:"usd_per_hour"`
	PerMonth float64 `json:"usd_per_month"`
}

// Provider is where machines come from, as the server that answers sees it.
type Provider struct {
	Name    string   `json:"name"`
	DryRun  bool     `json:"dry_run"` // it reads, and launches nothing
	Regions []string `json:"regions"` // empty: all of its own
	// Can are what it does besides launching: offers, notices, quotas, sweep, tasks.
	Can []string `json:"can"`

	Machines int               `json:"machines"` // listed last
	ListedAt *time.Time        `json:"listed_at,omitempty"`
	Failure  *ProviderFailure  `json:"failure,omitempty"`   // of the last listing
	Limits   *ProviderFailure  `json:"limits,omitempty"`    // of the last reading of quotas
	Notices  *ProviderFailure  `json:"notices,omitempty"`   // why notices are not heard
	LimitsAt *time.Time        `json:"limits_at,omitempty"` // when quotas were read last
	Quotas   []ProviderQuota   `json:"quotas"`
	Reserved []Reservation     `json:"reserved"`
	InUseUSD purser.USDPerHour `json:"usd_per_hour"` // of the machines that are held
}

// ProviderFailure is why a provider did not do something.
type ProviderFailure struct {
	Kind    string    `json:"kind"`
	Message string    `json:"message"`
	Hint    string    `json:"hint,omitempty"`
	At      time.Time `json:"at"`
}

// ProviderQuota is a limit of the account.
type ProviderQuota struct {
	Name  string `json:"name"`
	Unit  string `json:"unit"`
	Limit int64  `json:"limit"`
	Used  *int64 `json:"used,omitempty"` // missing where the cloud does not tell
}

// Reservation is capacity that was bought ahead.
type Reservation struct {
	ID    string         `json:"id"`
	Offer purser.OfferID `json:"offer"`
	Total int            `json:"total"` // machines
	Free  int            `json:"free"`
	From  *time.Time     `json:"from,omitempty"`
	Until *time.Time     `json:"until,omitempty"`
}

// Providers lists where machines come from.
func (c *Client) Providers(ctx context.Context) (out Providers, err error) {
	return out, c.Get(ctx, "/v1/providers", nil, &out)
}
