package bundled

import (
	"context"
	"encoding/csv"
	"errors"
	"strings"
	"testing"
	"time"

	"purser"
	"purser/pricing"
	"purser/pricing/pricingtest"
)

func TestConformance(t *testing.T) { pricingtest.Run(t, New) }

func TestEveryRowIsBelieved(t *testing.T) {
	rows, err := pricing.Collect(t.Context(), New())
	if err != nil {
		t.Fatal(err)
	}
	s := pricing.Sift(rows)
	for _, q := range s.Quarantined {
		t.Errorf("%s: %s: %s (%s)", q.Place, q.Reason, q.Detail, q.Offer.ID())
	}
	if s.Merged > 0 {
		t.Errorf("%d rows repeat another", s.Merged)
	}
	if len(s.Offers) < 140 {
		t.Errorf("%d offers: the list has about 150 or more", len(s.Offers))
	}
}

func TestListIsBroad(t *testing.T) {
	offers, err := Offers()
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[purser.AcceleratorKind]int{}
	options := map[string]map[purser.PurchaseOption]int{}
	regions := map[string]map[string]bool{}
	cpuOnly := map[string]int{}
	for _, o := range offers {
		if a, ok := purser.AcceleratorNamed(o.Accelerator); ok {
			kinds[a.Kind]++
		} else {
			cpuOnly[o.Provider]++
		}
		if options[o.Provider] == nil {
			options[o.Provider], regions[o.Provider] = map[purser.PurchaseOption]int{}, map[string]bool{}
		}
		options[o.Provider][o.Option]++
		regions[o.Provider][o.Region] = true
		if o.Country == "" {
			t.Errorf("%s has no country", o.ID())
		}
		if !pricing.Ageless(o) {
			t.Errorf("%s would go stale", o.ID())
		}
		if o.ObservedAt.Before(time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)) || o.ObservedAt.After(time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)) {
			t.Errorf("%s was observed at %s", o.ID(), o.ObservedAt)
		}
	}
	for _, k := range []purser.AcceleratorKind{purser.GPU, purser.TPU, purser.FPGA, purser.NPU, purser.VPU} {
		if kinds[k] == 0 {
			t.Errorf("there is no %s", k)
		}
	}
	for _, p := range []string{"aws", "gcp", "azure", "lambda", "runpod"} {
		if options[p][purser.OnDemand] == 0 || (options[p][purser.Spot] == 0 && p != "lambda") || len(regions[p]) < 2 {
			t.Errorf("%s: %v in regions %v", p, options[p], regions[p])
		}
	}
	for _, p := range []string{"aws", "gcp", "azure"} {
		if cpuOnly[p] < 4 {
			t.Errorf("%s has %d CPU-only offers", p, cpuOnly[p])
		}
	}
}

// The figures of this table are copied from the sources by hand, apart from the
// list.
func TestKeyFigures(t *testing.T) {
	offers, err := Offers()
	if err != nil {
		t.Fatal(err)
	}
	byID := map[purser.OfferID]purser.Offer{}
	for _, o := range offers {
		byID[o.ID()] = o
	}
	for id, want := range map[purser.OfferID]struct {
		usd         string
		accelerator string
		devices     purser.MilliDevices
		vCPUs, gib  int64
		asOf        string
	}{
		"aws/us-east-1/-/g6f.large/on_demand":                      {"0.202", "L4", 125, 2, 8, "2026-07-20"},
		"aws/us-east-1/-/p4d.24xlarge/on_demand":                   {"21.957642", "A100-40GB", 8000, 96, 1152, "2026-07-20"},
		"aws/us-east-1/-/p4d.24xlarge/spot":                        {"8.1915", "A100-40GB", 8000, 96, 1152, "2025-11-01"},
		"aws/us-east-1/use1-az1/p5.48xlarge/spot":                  {"55.04", "H100", 8000, 192, 2048, "2025-11-01"},
		"aws/us-east-1/use1-az2/p5.48xlarge/spot":                  {"19.25", "H100", 8000, 192, 2048, "2025-11-01"},
		"aws/us-east-2/-/p5e.48xlarge/spot":                        {"62.9957", "H200", 8000, 192, 2048, "2025-11-01"},
		"aws/us-west-2/-/p6-b300.48xlarge/on_demand":               {"142.416", "B300", 8000, 192, 4096, "2025-11-01"},
		"aws/us-east-1/-/inf2.48xlarge/on_demand":                  {"12.98127", "INFERENTIA2", 12000, 192, 768, "2026-07-20"},
		"aws/us-east-1/-/trn1.32xlarge/on_demand":                  {"21.5", "TRAINIUM", 16000, 128, 512, "2026-07-20"},
		"aws/us-east-1/-/f2.48xlarge/on_demand":                    {"15.84", "VU47P", 8000, 192, 2048, "2026-07-20"},
		"gcp/us-central1/-/a2-highgpu-1g/on_demand":                {"3.67339", "A100-40GB", 1000, 12, 85, "2025-11-01"},
		"gcp/us-central1/-/a2-ultragpu-1g/on_demand":               {"5.0688", "A100-80GB", 1000, 12, 170, "2026-08-22"},
		"gcp/us-central1/-/g2-standard-4/on_demand":                {"0.70683", "L4", 1000, 4, 16, "2025-11-01"},
		"gcp/us-east5/-/v5p-8/on_demand":                           {"16.8", "TPU-V5P", 4000, 208, 448, "2025-11-01"},
		"gcp/us-central1/-/v6e-8/spot":                             {"4.35366", "TPU-V6E", 8000, 180, 1440, "2025-11-01"},
		"gcp/us-central2/-/v4-8/on_demand":                         {"12.88", "TPU-V4", 4000, 240, 407, "2024-12-01"},
		"azure/eastus/-/Standard_NC24ads_A100_v4/spot":             {"0.444433", "A100-80GB", 1000, 24, 220, "2025-01-01"},
		"azure/eastus/-/Standard_ND96isr_H100_v5/on_demand":        {"98.32", "H100", 8000, 96, 1900, "2025-01-01"},
		"azure/eastus/-/Standard_NP40s/spot":                       {"0.726", "U250", 4000, 40, 672, "2025-01-01"},
		"azure/westus3/-/Standard_NC8ads_A10_v4/on_demand":         {"1.1", "A10", 500, 8, 100, "2025-01-01"},
		"lambda/us-east-1/-/gpu_8x_v100/on_demand":                 {"4.4", "V100-16GB", 8000, 92, 448, "2024-02-21"},
		"runpod/US/-/1x_RTX4090_SECURE/spot":                       {"0.49", "RTX4090", 1000, 16, 24, "2024-02-21"},
		"aws/us-east-1/-/m6i.2xlarge/on_demand":                    {"0.384", "", 0, 8, 32, "2024-02-21"},
		"azure/westus3/-/Standard_ND128isr_NDR_GB200_v6/on_demand": {"108.16", "GB200", 4000, 128, 900, "2026-06-18"},
	} {
		o, ok := byID[id]
		if !ok {
			t.Errorf("there is no %s", id)
			continue
		}
		if o.UnitPrice.Decimal() != want.usd || o.Accelerator != want.accelerator || o.Devices != want.devices ||
			o.MilliCPU != want.vCPUs*1000 || o.MemoryMiB != want.gib*1024 || o.ObservedAt.Format(time.DateOnly) != want.asOf {
			t.Errorf("%s is %+v, want %+v", id, o, want)
		}
	}
}

func TestBrokenListsFailWithTheirLine(t *testing.T) {
	good := "aws,us-east-1,,g5.xlarge,spot,A10G,1,4,16,0.5,somewhere,2026-01-01\n"
	head := strings.Join(header, ",") + "\n"
	if b, err := parse([]byte(head + good)); err != nil || len(b) != 1 || len(b[0].Rows) != 1 {
		t.Fatalf("the good list gives %v, %v", b, err)
	}
	for name, c := range map[string]struct{ list, want string }{
		"no header":       {good, "header"},
		"empty":           {"", "header"},
		"few fields":      {head + "aws,us-east-1\n", "line 2"},
		"alias":           {head + good + strings.Replace(good, "A10G", "a10g", 1), "offers.csv:3"},
		"price in words":  {head + strings.Replace(good, "0.5", "half", 1), "offers.csv:2"},
		"count in words":  {head + strings.Replace(good, "A10G,1", "A10G,one", 1), "offers.csv:2"},
		"vCPUs in words":  {head + strings.Replace(good, ",4,16", ",four,16", 1), "offers.csv:2"},
		"memory in words": {head + strings.Replace(good, ",4,16", ",4,much", 1), "offers.csv:2"},
		"no date":         {head + strings.Replace(good, "2026-01-01", "", 1), "offers.csv:2"},
	} {
		err := collector{[]byte(c.list)}.Collect(t.Context(), func(pricing.Batch) error { return nil })
		if purser.KindOf(err) != purser.KindInternal || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an internal error with %q", name, err, c.want)
		}
	}
}

func TestListIsSorted(t *testing.T) {
	lines, err := csv.NewReader(strings.NewReader(string(list))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	key := func(f []string) string { return strings.Join([]string{f[0], f[3], f[1], f[4], f[2]}, "\x00") }
	for i := 2; i < len(lines); i++ {
		if key(lines[i-1]) >= key(lines[i]) {
			t.Errorf("line %d: %v belongs before line %d (provider, type, region, option, zone)", i+1, lines[i][:5], i)
		}
	}
}

func TestCollectStopsBetweenBatches(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	batches := 0
	err := New().Collect(ctx, func(pricing.Batch) error {
		batches++
		cancel()
		return nil
	})
	if batches != 1 || !errors.Is(err, context.Canceled) {
		t.Errorf("%d batches and %v", batches, err)
	}
}
