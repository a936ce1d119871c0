package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"purser"
)

func TestCarbonSettings(t *testing.T) {
	load := func(text string) (Config, error) {
		path := filepath.Join(t.TempDir(), "config.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return LoadConfig(path, map[string]any{"data_dir": t.TempDir()})
	}
	c, err := load("carbon: {usd_per_tonne: 80, grid: {aws/us-west-2: 79}}")
	if err != nil || c.Carbon.PerTonne != 80 {
		t.Fatalf("%+v, %v", c.Carbon, err)
	}
	o := purser.Offer{Provider: "aws", Region: "us-west-2", Country: "US", Option: purser.OnDemand, Shape: purser.Shape{MilliCPU: 8000, MemoryMiB: 32 << 10}}
	if here, mean := c.Carbon.of(o), (CarbonRule{}).of(o); here != purser.CarbonOf(o, 79) || mean != purser.CarbonOf(o, 368) {
		t.Errorf("%v g here, %v g by the country's mean", here, mean)
	}
	for text, want := range map[string]string{
		"carbon: {usd_per_tonne: -1}":            "between 0 and 1,000,000",
		"carbon: {usd_per_tonne: .nan}":          "between 0 and 1,000,000",
		"carbon: {grid: {oregon: 79}}":           "provider/region",
		"carbon: {grid: {aws/us-west-2: 1e9}}":   "grams a kWh",
		"carbon: {grid: {aws/us-west-2: dirty}}": "cannot be read",
	} {
		if _, err := load(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
