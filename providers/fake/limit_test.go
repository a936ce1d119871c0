package fake_test

import (
	"testing"

	"purser"
	"purser/providers/fake"
)

// What the price list says can be had is what is free of it.
func TestLimitsOfOffersAreWhatIsFree(t *testing.T) {
	some := offer()
	some.Limit = 2
	p := fake.New(fake.Config{Now: newClock().now, Offers: []purser.Offer{some}}).Provider("ours")
	for want := 2; want >= 0; want-- {
		offers, err := p.Offers(t.Context())
		if err != nil || offers[0].Limit != want {
			t.Fatalf("%+v, %v; %d are free", offers, err, want)
		}
		if k := kindOf(p, of(string(rune('a'+want)), some), t); k != "" {
			t.Fatal(k)
		}
	}
}
