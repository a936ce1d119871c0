package purser

import (
	"strings"
	"testing"
)

func TestCommitments(t *testing.T) {
	c := Commitment{Name: "plan", Provider: "aws", Region: "r", TypePrefix: "g,p", UnitPrice: USDPerHourOf(10), Discount: 0.4}
	o := Offer{Provider: "aws", Region: "r", InstanceType: "g6.xlarge", Option: OnDemand, UnitPrice: USDPerHourOf(5)}
	if c.Weight(o) != 300_000 || c.Limit() != 1_000_000 || c.PriceOf(300_000) != USDPerHourOf(3) {
		t.Errorf("%d of %d", c.Weight(o), c.Limit())
	}
	for name, spoil := range map[string]func(*Offer){
		"spot": func(o *Offer) { o.Option = Spot }, "elsewhere": func(o *Offer) { o.Region = "s" },
		"another's": func(o *Offer) { o.Provider = "gcp" }, "another type": func(o *Offer) { o.InstanceType = "m7" },
	} {
		other := o
		if spoil(&other); c.Weight(other) != 0 {
			t.Errorf("%s: it takes %d", name, c.Weight(other))
		}
	}
	if err := c.Check(); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(*Commitment){
		"no name": func(c *Commitment) { c.Name = "" }, "nobody's": func(c *Commitment) { c.Provider = "" }, "owned": func(c *Commitment) { c.Provider = "private" },
		"nothing": func(c *Commitment) { c.UnitPrice = 0 }, "free": func(c *Commitment) { c.Discount = 1 }, "dearer": func(c *Commitment) { c.Discount = -0.1 },
	} {
		bad := c
		if spoil(&bad); KindOf(bad.Check()) != KindInvalid {
			t.Errorf("%s passes", name)
		}
	}
	p := Plan{
		Status: PlanOptimal, UnitPrice: USDPerHourOf(2), BaselinePrice: USDPerHourOf(20), Leases: []PlannedLease{{Commitment: "plan"}},
		Commitments: []CommitmentUse{{Name: "plan", UnitPrice: USDPerHourOf(10), Used: USDPerHourOf(9), Machines: 1}},
	}
	if p.Commitments[0].Idle() != USDPerHourOf(1) || !strings.Contains(p.Sentence(), "for $2.00/h and the committed $10.00/h instead of $20.00/h") || !strings.Contains(p.Sentence(), "(40 % less)") {
		t.Error(p.Sentence())
	}
}
