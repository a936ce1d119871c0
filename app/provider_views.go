package app

import (
	"context"
	"maps"
	"slices"

	"purser/api"
	"purser/providers"
	"purser/server"
)

type providersPart struct{ *App }

// Providers lists what is enabled, and how this server saw it last.
func (p providersPart) Providers(ctx context.Context) (api.Providers, error) {
	out := api.Providers{
		Rehearsal: p.rehearsal, Installation: p.installation, SpendLimit: api.SpendLimit{PerHour: p.config.SpendLimit.PerHour, PerMonth: p.config.SpendLimit.PerMonth},
	}
	leases, err := p.db.LiveLeases(ctx)
	if err != nil || !p.fleetUp.Load() {
		return out, err
	}
	for _, name := range slices.Sorted(maps.Keys(p.providers)) {
		v := p.providerView(name)
		for _, l := range leases {
			if l.Holder == name && !l.RunningAt.IsZero() {
				v.InUseUSD += l.Offer.UnitPrice
			}
		}
		out.Providers = append(out.Providers, v)
	}
	return out, nil
}

func (p providersPart) providerView(name string) api.Provider {
	c := p.config.Providers[name]
	s, h := p.market.look(name)
	v := api.Provider{
		Name: name, DryRun: c.DryRun, Regions: c.Regions, Can: abilities(p.providers[name]), Machines: s.listing.Machines,
		ListedAt: optional(s.at), LimitsAt: optional(h.at), Failure: s.listErr, Limits: s.limits, Notices: s.notices,
	}
	for _, q := range h.said.Quotas {
		row := api.ProviderQuota{Name: q.Name, Unit: q.Unit, Limit: q.Limit}
		if used, told := h.said.Used[q.Name]; told {
			row.Used = &used
		}
		v.Quotas = append(v.Quotas, row)
	}
	for _, r := range h.said.Reserved {
		v.Reserved = append(v.Reserved, api.Reservation{
			ID: r.ID, Offer: r.Offer.ID(), Total: r.Total, Free: r.Free, From: optional(r.From), Until: optional(r.Until),
		})
	}
	return v
}

// abilities are what a provider does besides launching, in words.
func abilities(p providers.Provider) []string {
	var can []string
	if _, ok := providers.As[providers.Offerer](p); ok {
		can = append(can, "offers")
	}
	if _, ok := providers.As[providers.Interrupter](p); ok {
		can = append(can, "notices")
	}
	if _, ok := providers.As[providers.Quoter](p); ok {
		can = append(can, "quotas")
	}
	if _, ok := providers.As[providers.Sweeper](p); ok {
		can = append(can, "sweep")
	}
	if _, ok := providers.As[providers.Runner](p); ok {
		can = append(can, "tasks")
	}
	return can
}

var _ server.Providers = providersPart{}
