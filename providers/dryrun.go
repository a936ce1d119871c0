package providers

import (
	"context"
	"fmt"

	"purser"
)

// WithDryRun lets reads through and nothing else: a launch is checked and then answered
// with forbidden and a sentence that says what would have been started, an end likewise.
func WithDryRun(p Provider) Provider { return dryRun{p} }

type dryRun struct{ Provider }

// unwrap shows As what lies below.
func (d dryRun) unwrap() Provider { return d.Provider }

func (d dryRun) Launch(_ context.Context, r Request) (Instance, error) {
	if err := r.Check(); err != nil {
		return Instance{}, err
	}
	o := r.Lease.Offer
	return Instance{}, d.refuse("Launch", fmt.Sprintf("%s would start %s (%s) in %s for lease %s", d.Name(), o.InstanceType, o.Option, place(o), r.Lease.ID))
}

func (d dryRun) Terminate(_ context.Context, l purser.Lease) error {
	return d.refuse("Terminate", fmt.Sprintf("%s would end the machine of lease %s", d.Name(), l.ID))
}

func (d dryRun) refuse(call, what string) error {
	return &purser.Error{
		Kind: purser.KindForbidden, Op: "providers." + call, Message: "dry run: " + what,
		Hint: "take dry_run out of the provider's settings to let it",
	}
}

func place(o purser.Offer) string {
	if o.Zone == "" {
		return o.Region
	}
	return o.Zone
}
