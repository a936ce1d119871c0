package optimizer

import (
	"testing"

	"purser"
)

// spreadInput is a service of two variants that survives zones: a large machine that a
// full load would make cheap, and a small one.
func spreadInput(demand float64, most int) Input {
	var offers []purser.Offer
	for _, zone := range []string{"a", "b", "c", "d"} {
		for _, m := range []struct {
			name, accelerator string
			price             float64
		}{{"big", "H100", 20}, {"small", "L4", 1}} {
			offers = append(offers, purser.Offer{
				Provider: "aws", Region: "r", Zone: zone, InstanceType: m.name, Option: purser.OnDemand, Limit: purser.Unlimited, UnitPrice: purser.USDPerHourOf(m.price),
				Shape: purser.Shape{Accelerator: m.accelerator, Devices: 1000, MilliCPU: 8000, MemoryMiB: 32768},
			})
		}
	}
	g := purser.TaskGroup{
		Name: "serve", Kind: purser.Inference, Run: purser.Run{Command: "x"}, Demand: demand, MaxReplicas: most,
		Survive: purser.Survive{Level: purser.DomainZone, Share: 1},
		Variants: []purser.Variant{
			{Name: "big", Accelerator: "H100", Devices: 1000, MilliCPU: 1000, MemoryMiB: 1024, Throughput: 100},
			{Name: "small", Accelerator: "L4", Devices: 1000, MilliCPU: 1000, MemoryMiB: 1024, Throughput: 4},
		},
	}
	return Input{Offers: offers, Jobs: []purser.Job{{ID: "j", Project: "p", Name: "j", Groups: []purser.TaskGroup{g}}}}
}

// A first guess takes the number of zones and the variant that are cheapest by whole
// machines, and keeps to the most replicas that are allowed.
func TestSurvivingMass(t *testing.T) {
	for name, c := range map[string]struct {
		demand   float64
		most     int
		variant  int
		replicas float64
		zones    int
	}{
		"a small load on small machines":   {12, 0, 1, 4, 4},  // one in each of four zones
		"a load that fills large ones":     {300, 0, 0, 4, 4}, // 4 × 20 against 4 × 25 × 1
		"few replicas leave the large one": {12, 2, 0, 2, 2},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := NewProblem(spreadInput(c.demand, c.most))
			if err != nil {
				t.Fatal(err)
			}
			sum, zones := 0.0, map[int32]bool{}
			for k, n := range p.cheapestMass(0) {
				if k.variant != c.variant {
					t.Errorf("variant %d in zone %d", k.variant, k.domain)
				}
				sum += n
				zones[k.domain] = true
			}
			if sum != c.replicas || len(zones) != c.zones {
				t.Errorf("%g replicas in %d zones, want %g in %d", sum, len(zones), c.replicas, c.zones)
			}
		})
	}
}
