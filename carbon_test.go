package purser_test

import (
	"testing"

	"purser"
)

// The formula by hand: an A100-80GB of 400 W, 8 vCPUs at 3.5 W and 64 GiB at 0.392 W make 453.088 W; times 1.15 that is 0.5210512 kW.
func TestCarbonOf(t *testing.T) {
	a, ok := purser.AcceleratorNamed("A100-80GB")
	if !ok || a.Watts != 400 {
		t.Fatalf("an A100-80GB draws %v W", a.Watts)
	}
	o := purser.Offer{Option: purser.OnDemand, Shape: purser.Shape{Accelerator: "A100-80GB", Devices: purser.OneDevice, MilliCPU: 8000, MemoryMiB: 64 << 10}}
	if got := purser.CarbonOf(o, 100); got != 52.105 {
		t.Errorf("%v g", got)
	}
	o.Option = purser.Private // at a PUE of 1.5
	if got := purser.CarbonOf(o, 100); got != 67.963 {
		t.Errorf("of a private machine %v g", got)
	}
	o.Accelerator = "Quux-9000"
	if known, other := purser.CarbonOf(o, 100), purser.CarbonOf(purser.Offer{Option: purser.Private, Shape: purser.Shape{MilliCPU: 8000, MemoryMiB: 64 << 10}}, 100); known <= other {
		t.Errorf("an unknown accelerator takes nothing: %v and %v g", known, other)
	}
	if purser.CarbonOf(o, 0) != 0 {
		t.Error("a grid without carbon gives some")
	}
}

func TestGridIntensity(t *testing.T) {
	for _, c := range []struct {
		provider, region, country string
		want                      float64
	}{
		{"gcp", "europe-north2", "SE", 3},  // its region's own
		{"aws", "eu-north-1", "SE", 45},    // the country's
		{"aws", "mars-1", "", 438},         // the world's
		{"private", "basement", "XX", 438}, // no such country
		{"gcp", "us-central1", "US", 413},
	} {
		if got := purser.GridIntensity(c.provider, c.region, c.country); got != c.want {
			t.Errorf("%s/%s in %s: %v g/kWh, want %v", c.provider, c.region, c.country, got, c.want)
		}
	}
}
