package pricing_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"purser"
	"purser/pricing"
	"purser/pricing/pricingtest"
)

func TestCollectGathersAllOrNothing(t *testing.T) {
	f := pricingtest.NewFake("feed", seen, row("r1", "", purser.OnDemand, "5"), row("r2", "", purser.OnDemand, "6"))
	rows, err := pricing.Collect(t.Context(), f)
	if err != nil || len(rows) != 2 {
		t.Fatalf("got %d rows and %v", len(rows), err)
	}
	f.Err = purser.Errorf(purser.KindThrottled, "test", "wait")
	if rows, err = pricing.Collect(t.Context(), f); rows != nil || purser.KindOf(err) != purser.KindThrottled {
		t.Errorf("got %d rows and %v: want none, and the error's kind kept", len(rows), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = pricing.Collect(ctx, f); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
}

func TestReasonsCounts(t *testing.T) {
	s := pricing.Sift([]pricing.Row{row("r1", "", purser.OnDemand, "0"), row("r2", "", purser.OnDemand, "0"), row("r3", "", purser.OnDemand, "1")})
	if got := s.Reasons(); got[purser.QuarantineNoPrice] != 2 || len(got) != 1 {
		t.Errorf("got %v", got)
	}
}

func TestStale(t *testing.T) {
	f := pricing.DefaultFreshness()
	offer := func(source string, option purser.PurchaseOption) purser.Offer {
		return purser.Offer{Source: source, Option: option, ObservedAt: seen}
	}
	for _, c := range []struct {
		name  string
		offer purser.Offer
		after time.Duration
		want  bool
	}{
		{"spot of a day", offer("aws", purser.Spot), 24 * time.Hour, false},
		{"spot of more than a day", offer("aws", purser.Spot), 24*time.Hour + 1, true},
		{"on demand of a month", offer("aws", purser.OnDemand), 30 * 24 * time.Hour, false},
		{"on demand of more", offer("aws", purser.OnDemand), 31 * 24 * time.Hour, true},
		{"bundled", offer("bundled:karpenter-2026-07-20", purser.Spot), 10000 * time.Hour, false},
		{"bundled without origin", offer("bundled", purser.OnDemand), 10000 * time.Hour, false},
		{"only named like it", offer("bundledfeed", purser.OnDemand), 10000 * time.Hour, true},
		{"private", offer("local", purser.Private), 10000 * time.Hour, false},
		{"seen in the future", offer("aws", purser.Spot), -48 * time.Hour, false},
	} {
		if got := f.Stale(c.offer, seen.Add(c.after)); got != c.want {
			t.Errorf("%s: stale %t, want %t", c.name, got, c.want)
		}
	}
	if (pricing.Freshness{}).Stale(offer("aws", purser.Spot), seen.Add(10000*time.Hour)) {
		t.Error("without limits nothing ages")
	}
	if age := pricing.Age(offer("aws", purser.Spot), seen.Add(-time.Hour)); age != 0 {
		t.Errorf("the age of a price from the future is %s, want 0", age)
	}
}

func TestCountry(t *testing.T) {
	for _, c := range []struct{ provider, region, want string }{
		{"aws", "us-east-1", "US"},
		{"aws", "eu-central-1", "DE"},
		{"aws", "eu-central-2", "CH"},
		{"aws", "eu-central", ""},
		{"aws", "", ""},
		{"gcp", "europe-west4", "NL"},
		{"gcp", "me-west1", "IL"},
		{"azure", "westeurope", "NL"},
		{"azure", "eastus2", "US"},
		{"oci", "uk-london-1", "GB"},
		{"lambda", "us-midwest-1", "US"},
		{"lambda", "europe-south-1", ""},
		{"runpod", "CA", "CA"},
		{"runpod", "EU-RO-1", "RO"},
		{"runpod", "EUR-IS-2", "IS"},
		{"runpod", "US-KS-2", "US"},
		{"runpod", "EU", ""},
		{"runpod", "global", ""},
		{"crusoe", "eu-iceland1", "IS"},
		{"nobody", "us-east-1", ""},
	} {
		if got := pricing.Country(c.provider, c.region); got != c.want {
			t.Errorf("Country(%q, %q) = %q, want %q", c.provider, c.region, got, c.want)
		}
	}
	if !pricing.KnownProvider("runpod") || !pricing.KnownProvider("aws") || pricing.KnownProvider("vms") {
		t.Error("providers are those whose regions are known")
	}
}
