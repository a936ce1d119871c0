package csvfile_test

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"purser"
	"purser/pricing"
	"purser/pricing/csvfile"
	"purser/pricing/pricingtest"
)

var providers = []string{"aws", "azure", "gcp", "lambda", "oci", "runpod"}

// catalogue makes a collector of a real catalogue of 2024-02-21.
func catalogue(t testing.TB, provider string) pricing.Collector {
	t.Helper()
	data := os.Getenv("PURSER_DATA")
	if data == "" {
		t.Skip("PURSER_DATA is not set, so the real price catalogues are not at hand")
	}
	c, err := csvfile.New(csvfile.Options{
		Path: filepath.Join(data, "price-catalogs-2024-02", provider+".csv.gz"),
		AsOf: time.Date(2024, 2, 21, 0, 0, 0, 0, time.UTC),
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func sift(t testing.TB, c pricing.Collector) (int, pricing.Sifted) {
	t.Helper()
	rows, err := pricing.Collect(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return len(rows), pricing.Sift(rows)
}

// The counts were taken from the files by another program that knows the rules:
// cells with a price, lines without any (59 and 66), zeros (10), duplicates, prices
// above three medians, GCP's sums.
func TestRealCatalogues(t *testing.T) {
	for provider, want := range map[string]struct {
		rows, offers, merged int
		reasons              map[purser.QuarantineReason]int
	}{
		"aws": {62356, 62217, 0, map[purser.QuarantineReason]int{purser.QuarantineNoPrice: 59, purser.QuarantineOutlier: 80}},
		"azure": {13323, 11681, 783, map[purser.QuarantineReason]int{
			purser.QuarantineConflict: 783, purser.QuarantineNoPrice: 66 + 10,
		}},
		"gcp":    {30883, 30799, 70, map[purser.QuarantineReason]int{pricing.QuarantineIncomplete: 14}},
		"lambda": {182, 182, 0, nil},
		"oci":    {1599, 1599, 0, nil},
		"runpod": {640, 640, 0, nil},
	} {
		rows, s := sift(t, catalogue(t, provider))
		t.Logf("%s: %d rows, %d offers, %d merged, quarantined %v", provider, rows, len(s.Offers), s.Merged, s.Reasons())
		if rows != want.rows || len(s.Offers) != want.offers || s.Merged != want.merged || !maps.Equal(s.Reasons(), want.reasons) {
			t.Errorf("%s: %d rows, %d offers, %d merged, quarantined %v; want %+v", provider, rows, len(s.Offers), s.Merged, s.Reasons(), want)
		}
		for _, o := range s.Offers {
			if o.UnitPrice <= 0 || (o.Accelerator != "" && o.DeviceMemoryMiB == 0) {
				t.Errorf("%s cannot be: %+v", o.ID(), o)
			}
			if o.Country == "" && o.Region != "europe-south-1" {
				t.Errorf("%s has no country", o.ID())
			}
		}
	}
}

func TestRealConformance(t *testing.T) {
	for _, provider := range providers {
		t.Run(provider, func(t *testing.T) {
			c := catalogue(t, provider)
			pricingtest.Run(t, func() pricing.Collector { return c })
		})
	}
}

func TestRealZeroPriceIsQuarantined(t *testing.T) {
	_, s := sift(t, catalogue(t, "azure"))
	zero := 0
	for _, q := range s.Quarantined {
		if q.Offer.InstanceType == "Standard_NC40ads_H100_v5" && q.Offer.Region == "eastus" {
			zero++
			if q.Reason != purser.QuarantineNoPrice || q.Offer.Accelerator != "H100-NVL" || !strings.Contains(q.Place, "azure.csv.gz:6615") {
				t.Errorf("got %+v", q)
			}
		}
	}
	if zero != 2 {
		t.Errorf("%d quarantined rows, want on demand and spot", zero)
	}
	for _, o := range s.Offers {
		if o.InstanceType == "Standard_NC40ads_H100_v5" {
			t.Errorf("%s is an offer at %s", o.ID(), o.UnitPrice)
		}
	}
}

func TestRealFigures(t *testing.T) {
	byID := map[purser.OfferID]purser.Offer{}
	for _, provider := range providers {
		_, s := sift(t, catalogue(t, provider))
		for _, o := range s.Offers {
			byID[o.ID()] = o
		}
	}
	for id, want := range map[purser.OfferID]struct {
		usd     string
		name    string
		devices purser.MilliDevices
	}{
		"gcp/us-central1/us-central1-a/a2-highgpu-1g/on_demand":      {"3.67339", "A100-40GB", 1000}, // 0.73948 + 2.93391
		"gcp/us-central1/us-central1-a/a2-megagpu-16g/on_demand":     {"55.73951", "A100-40GB", 16000},
		"gcp/us-central1/us-central1-a/g2-standard-4/on_demand":      {"0.70683", "L4", 1000}, // 0.14679 + 0.56004
		"gcp/us-central1/us-central1-a/n1-standard-8+T4x1/on_demand": {"0.73", "T4", 1000},
		"gcp/us-central2/us-central2-b/v4-8/on_demand":               {"12.88", "TPU-V4", 4000},
		"gcp/us-east1/us-east1-d/v3-2048/on_demand":                  {"2048", "TPU-V3", 1024000},
		"aws/us-east-1/use1-az2/inf2.48xlarge/spot":                  {"5.2396", "INFERENTIA2", 12000},
		"azure/eastus/-/Standard_NV6ads_A10_v5/on_demand":            {"0.454", "A10", 166},
		"azure/eastus/-/Standard_NP10s/spot":                         {"0.165", "U250", 1000},
		"azure/northcentralus/-/Standard_ND96isr_H100_v5/on_demand":  {"117.984", "H100", 8000},
		"lambda/us-east-1/-/gpu_8x_v100/on_demand":                   {"4.4", "V100-16GB", 8000},
		"runpod/US/-/1x_H100_SECURE/on_demand":                       {"4.49", "H100-PCIE", 1000},
	} {
		o, ok := byID[id]
		if !ok || o.UnitPrice.Decimal() != want.usd || o.Accelerator != want.name || o.Devices != want.devices {
			t.Errorf("%s: %t, %+v; want %+v", id, ok, o, want)
		}
	}
	if o := byID["gcp/us-east1/us-east1-d/v3-8/spot"]; o.InstanceType != "" {
		t.Errorf("%s is not offered", o.ID())
	}
}

// BenchmarkRealCatalogues reads and sifts all six files once per iteration.
func BenchmarkRealCatalogues(b *testing.B) {
	var all []pricing.Collector
	for _, provider := range providers {
		all = append(all, catalogue(b, provider))
	}
	b.ReportAllocs()
	for b.Loop() {
		offers := 0
		for _, c := range all {
			_, s := sift(b, c)
			offers += len(s.Offers)
		}
		b.ReportMetric(float64(offers), "offers")
	}
}
