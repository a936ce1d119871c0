package azure_test

import (
	"net/http"
	"testing"
	"time"

	"purser"
	"purser/pricing"
	"purser/pricing/azure"
	"purser/pricing/pricingtest"
)

// catalogueOf is a small cloud with true prices.
func catalogueOf() *fakeAzure {
	return &fakeAzure{
		pageSize: 4,
		prices: []object{
			price("eastus", "Standard_NC4as_T4_v3", "0.526"), spot("eastus", "Standard_NC4as_T4_v3", "0.062699"),
			price("eastus", "Standard_NC24ads_A100_v4", "3.673"), spot("eastus", "Standard_NC24ads_A100_v4", "0.444433"),
			price("eastus", "Standard_ND96isr_H100_v5", "98.32"),
			price("eastus", "Standard_NP10s", "1.65"), spot("eastus", "Standard_NP10s", "0.1815"),
			price("eastus", "Standard_D8s_v5", "0.384"), spot("eastus", "Standard_D8s_v5", "0.04032"),
			price("westus3", "Standard_NC8ads_A10_v4", "1.1"), spot("westus3", "Standard_NC8ads_A10_v4", "0.275"),
			price("westus3", "Standard_ND128isr_NDR_GB200_v6", "108.16"),
		},
		skus: []object{
			sku("Standard_NC4as_T4_v3", "eastus", can("4", "28", "GPUs", "1", "MaxResourceVolumeMB", "180224"), "3", "1", "2"),
			sku("Standard_NC24ads_A100_v4", "eastus", can("24", "220", "GPUs", "1"), "2"),
			sku("Standard_ND96isr_H100_v5", "eastus", can("96", "1900", "GPUs", "12")),
			sku("Standard_NP10s", "eastus", can("10", "168"), "1"),
			sku("Standard_D8s_v5", "eastus", can("8", "32", "vCPUsAvailable", "8"), "1", "2", "3"),
			sku("Standard_NC8ads_A10_v4", "westus3", can("8", "100", "GPUs", "1"), "1"),
			sku("Standard_ND128isr_NDR_GB200_v6", "westus3", can("128", "900", "GPUs", "4", "LowPriorityCapable", "False"), "1"),
		},
		eviction: []object{
			evicted("eastus", "standard_d8s_v5", "0-5"), evicted("eastus", "standard_nc24ads_a100_v4", "5-10"),
			evicted("eastus", "standard_nc4as_t4_v3", "20+"), evicted("eastus", "standard_np10s", ""), evicted("eastus", "standard_zz9_v9", "0-5"),
			evicted("westus3", "standard_nc8ads_a10_v4", "15-20"),
		},
		history: []object{
			wasSold("eastus", "standard_nc24ads_a100_v4", "2026-11-01T00:00:00Z", "0.444433", "2026-10-01T00:00:00Z", "0.61"),
			wasSold("eastus", "standard_nc4as_t4_v3", "2026-11-01T00:00:00Z", "0.062699"),
			wasSold("westus3", "standard_nc8ads_a10_v4", "2026-09-15T00:00:00Z", "0.275"),
		},
	}
}

var regions = []string{"eastus", "westus3"}

func TestConformance(t *testing.T) {
	srv := serve(t, catalogueOf())
	for name, open := range map[string]func() (pricing.Collector, error){
		"table": func() (pricing.Collector, error) { return azure.New(options(srv.URL, srv.Client(), regions...)) },
		"skus": func() (pricing.Collector, error) {
			return azure.New(signedIn(options(srv.URL, srv.Client(), regions...)))
		},
		"spot": func() (pricing.Collector, error) {
			return azure.NewSpotHistory(signedIn(options(srv.URL, srv.Client(), regions...)))
		},
		"spot by table": func() (pricing.Collector, error) {
			return azure.NewSpotHistory(tenantOnly(options(srv.URL, srv.Client(), regions...)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			pricingtest.Run(t, func() pricing.Collector {
				made, err := open()
				return collector(t, made, err)
			})
		})
	}
}

// tenantOnly signs in without a subscription.
func tenantOnly(o azure.Options) azure.Options {
	o = signedIn(o)
	o.Subscription = ""
	return o
}

func TestFaults(t *testing.T) {
	throttle := func(w http.ResponseWriter, _ *http.Request) { refuse(w, http.StatusTooManyRequests, "TooManyRequests") }
	forbid := func(w http.ResponseWriter, _ *http.Request) { refuse(w, http.StatusForbidden, "AuthorizationFailed") }
	for name, open := range map[string]func(azure.Options) (pricing.Collector, error){
		"table": azure.New,
		"skus":  func(o azure.Options) (pricing.Collector, error) { return azure.New(signedIn(o)) },
		"spot":  func(o azure.Options) (pricing.Collector, error) { return azure.NewSpotHistory(tenantOnly(o)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pricingtest.RunFaults(t, pricingtest.Feed{
				Handler: catalogueOf(), Throttle: throttle, Refuse: forbid, NoAuth: name == "table",
				New: func(url string, client *http.Client) pricing.Collector {
					made, err := open(options(url, client, regions...))
					return collector(t, made, err)
				},
			})
		})
	}
}

func TestOffersByTable(t *testing.T) {
	s := offersOf(t, catalogueOf(), regions...)
	same(t, lines(s.Offers),
		"azure/eastus/-/Standard_D8s_v5/on_demand 0.384 x0 8/32",
		"azure/eastus/-/Standard_D8s_v5/spot 0.04032 x0 8/32",
		"azure/eastus/-/Standard_NC24ads_A100_v4/on_demand 3.673 A100-80GBx1 24/220",
		"azure/eastus/-/Standard_NC24ads_A100_v4/spot 0.444433 A100-80GBx1 24/220",
		"azure/eastus/-/Standard_NC4as_T4_v3/on_demand 0.526 T4x1 4/28",
		"azure/eastus/-/Standard_NC4as_T4_v3/spot 0.062699 T4x1 4/28",
		"azure/eastus/-/Standard_ND96isr_H100_v5/on_demand 98.32 H100x8 96/1900",
		"azure/eastus/-/Standard_NP10s/on_demand 1.65 U250x1 10/168",
		"azure/eastus/-/Standard_NP10s/spot 0.1815 U250x1 10/168",
		"azure/westus3/-/Standard_NC8ads_A10_v4/on_demand 1.1 A10x0.5 8/100",
		"azure/westus3/-/Standard_NC8ads_A10_v4/spot 0.275 A10x0.5 8/100",
		"azure/westus3/-/Standard_ND128isr_NDR_GB200_v6/on_demand 108.16 GB200x4 128/900",
	)
	if len(s.Quarantined) > 0 {
		t.Errorf("quarantined: %+v", s.Quarantined)
	}
	o := s.Offers[0]
	if o.Limit != purser.Unlimited || !o.ObservedAt.Equal(now) || !o.ValidFrom.Equal(time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)) || o.Source != "azure" || o.Country != "US" {
		t.Errorf("got %+v", o)
	}
}

func TestOffersBySKUs(t *testing.T) {
	f := catalogueOf()
	srv := serve(t, f)
	s := sifted(t, signedIn(options(srv.URL, srv.Client(), regions...)))
	same(t, lines(s.Offers),
		"azure/eastus/-/Standard_ND96isr_H100_v5/on_demand 98.32 H100x8 96/1900",
		"azure/eastus/1/Standard_D8s_v5/on_demand 0.384 x0 8/32",
		"azure/eastus/1/Standard_D8s_v5/spot 0.04032 x0 8/32",
		"azure/eastus/1/Standard_NC4as_T4_v3/on_demand 0.526 T4x1 4/28",
		"azure/eastus/1/Standard_NC4as_T4_v3/spot 0.062699 T4x1 4/28",
		"azure/eastus/1/Standard_NP10s/on_demand 1.65 U250x1 10/168",
		"azure/eastus/1/Standard_NP10s/spot 0.1815 U250x1 10/168",
		"azure/eastus/2/Standard_D8s_v5/on_demand 0.384 x0 8/32",
		"azure/eastus/2/Standard_D8s_v5/spot 0.04032 x0 8/32",
		"azure/eastus/2/Standard_NC24ads_A100_v4/on_demand 3.673 A100-80GBx1 24/220",
		"azure/eastus/2/Standard_NC24ads_A100_v4/spot 0.444433 A100-80GBx1 24/220",
		"azure/eastus/2/Standard_NC4as_T4_v3/on_demand 0.526 T4x1 4/28",
		"azure/eastus/2/Standard_NC4as_T4_v3/spot 0.062699 T4x1 4/28",
		"azure/eastus/3/Standard_D8s_v5/on_demand 0.384 x0 8/32",
		"azure/eastus/3/Standard_D8s_v5/spot 0.04032 x0 8/32",
		"azure/eastus/3/Standard_NC4as_T4_v3/on_demand 0.526 T4x1 4/28",
		"azure/eastus/3/Standard_NC4as_T4_v3/spot 0.062699 T4x1 4/28",
		"azure/westus3/1/Standard_NC8ads_A10_v4/on_demand 1.1 A10x0.5 8/100",
		"azure/westus3/1/Standard_NC8ads_A10_v4/spot 0.275 A10x0.5 8/100",
		"azure/westus3/1/Standard_ND128isr_NDR_GB200_v6/on_demand 108.16 GB200x4 128/900",
	)
	for _, o := range s.Offers {
		if o.InstanceType == "Standard_NC4as_T4_v3" && o.DiskMiB != 176<<10 {
			t.Errorf("%s has a disk of %d MiB", o.ID(), o.DiskMiB)
		}
	}
}
