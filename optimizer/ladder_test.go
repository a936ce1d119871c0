package optimizer

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"purser"
)

// ladder makes a problem of a given size that looks like the field: jobs in jobs/30 classes (10 to 1,000), device needs as in Alibaba's
// pods, gang sizes and run times as in Microsoft's Philly jobs, one group in five a service that survives the loss of a zone, quotas
// on a third of the families and private machines for about a tenth of the demand.
func ladder(jobs, offers int, seed uint64) Input {
	rng := rand.New(rand.NewPCG(seed, 1))
	in := Input{Now: time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)}
	in.Offers = ladderOffers(rng, offers)
	classes := min(max(jobs/30, 10), 1000)
	groups := make([]purser.TaskGroup, classes)
	for i := range groups {
		groups[i] = ladderGroup(rng, i)
	}
	for i := range jobs {
		g := groups[i%classes]
		in.Jobs = append(in.Jobs, purser.Job{ID: purser.JobID(fmt.Sprintf("j%06d", i)), Project: "p", Name: fmt.Sprintf("j%06d", i), Groups: []purser.TaskGroup{g}})
	}
	for i, family := range []string{"p4", "g5", "a2"} {
		in.Quotas = append(in.Quotas, purser.Quota{
			Name: fmt.Sprintf("q%d", i), Limit: int64(max(jobs/20, 8) * (i + 1)), Unit: purser.QuotaDevices,
			TypePrefix: family, Option: purser.Spot,
		})
	}
	return in
}

type ladderType struct {
	name, accel string
	devices     int64
	cpu, gib    int64
	price       float64
}

func ladderTypes() []ladderType {
	var out []ladderType
	for _, f := range []struct {
		name, accel string
		sizes       []int64
		cpu, gib    int64 // for each device
		price       float64
	}{
		{"p4", "A100-40GB", []int64{8}, 12, 144, 4.10},
		{"p4de", "A100-80GB", []int64{8}, 12, 144, 5.12},
		{"p5", "H100", []int64{1, 8}, 24, 256, 10.5},
		{"g5", "A10G", []int64{1, 4, 8}, 24, 96, 1.9},
		{"g6", "L4", []int64{1, 4, 8}, 16, 64, 1.2},
		{"g4dn", "T4", []int64{1, 4, 8}, 12, 48, 0.95},
		{"p3", "V100-16GB", []int64{1, 4, 8}, 8, 61, 3.06},
		{"a2", "A100-40GB", []int64{1, 2, 4, 8, 16}, 12, 85, 3.67},
		{"nd", "H100", []int64{8}, 12, 237, 12.3},
		{"l40s", "L40S", []int64{1, 2, 4, 8}, 16, 96, 1.9},
	} {
		for _, n := range f.sizes {
			out = append(out, ladderType{fmt.Sprintf("%s.%dx", f.name, n), f.accel, n, f.cpu * n, f.gib * n, f.price * float64(n) * (1 + 0.02/float64(n))})
		}
	}
	for _, n := range []int64{2, 8, 16, 48, 96} {
		out = append(out, ladderType{fmt.Sprintf("c7i.%d", n), "", 0, n, 2 * n, 0.0446 * float64(n)},
			ladderType{fmt.Sprintf("r7i.%d", n), "", 0, n, 8 * n, 0.0662 * float64(n)})
	}
	return out
}

func ladderOffers(rng *rand.Rand, n int) []purser.Offer {
	types := ladderTypes()
	var out []purser.Offer
	for i := 0; len(out) < n; i++ {
		ty := types[i%len(types)]
		provider := []string{"aws", "gcp", "azure"}[rng.IntN(3)]
		region := fmt.Sprintf("%s-r%d", provider, rng.IntN(6))
		o := purser.Offer{
			Provider: provider, Region: region, Zone: fmt.Sprintf("%s%c", region, 'a'+rng.IntN(3)), InstanceType: ty.name,
			Option: purser.OnDemand, Limit: purser.Unlimited,
			Shape: purser.Shape{Accelerator: ty.accel, Devices: purser.MilliDevices(ty.devices * 1000), MilliCPU: ty.cpu * 1000, MemoryMiB: ty.gib * 1024},
		}
		price := ty.price * (0.9 + 0.4*rng.Float64())
		if rng.IntN(2) == 0 {
			o.Option = purser.Spot
			price *= 0.3 + 0.3*rng.Float64()
		}
		if i%25 == 7 {
			o.Provider, o.Region, o.Zone, o.Option, o.Limit = "own", "hall", fmt.Sprintf("row%d", i%3), purser.Private, 10+rng.IntN(20)
			price = ty.price * 0.1
		}
		o.UnitPrice = purser.USDPerHourOf(math.Round(price*1e4) / 1e4)
		if !containsOffer(out, o.ID()) {
			out = append(out, o)
		}
	}
	return out
}

func containsOffer(list []purser.Offer, id purser.OfferID) bool {
	for _, o := range list {
		if o.ID() == id {
			return true
		}
	}
	return false
}

var ladderAccelerators = []string{"T4", "L4", "A10G", "V100-16GB", "L40S", "A100-40GB", "A100-80GB", "H100"}

func ladderGroup(rng *rand.Rand, i int) purser.TaskGroup {
	g := purser.TaskGroup{Name: fmt.Sprintf("g%d", i), Kind: purser.Training, Replicas: 1, Run: purser.Run{Command: "true"}}
	devices := []int64{125, 250, 500, 500, 500, 1000, 1000, 1000, 1000, 1000, 2000, 4000, 8000, 0}[rng.IntN(14)]
	perDevice := max(devices, 1000)
	cpu := (1 + rng.Int64N(12)) * perDevice
	memory := (2 + rng.Int64N(50)) * perDevice * 1024 / 1000
	hours := math.Exp(rng.NormFloat64()*1.6 - 0.3)
	if devices == 0 {
		g.Variants = []purser.Variant{{Name: "cpu", MilliCPU: cpu, MemoryMiB: memory, Throughput: 10}}
	} else {
		first := rng.IntN(len(ladderAccelerators))
		for k := range 1 + rng.IntN(3) {
			a := ladderAccelerators[(first+k)%len(ladderAccelerators)]
			v := purser.Variant{
				Name: a, Accelerator: a, Devices: purser.MilliDevices(devices), MilliCPU: cpu, MemoryMiB: memory,
				Throughput: 10 * (1 + 0.7*float64(k)) * (0.9 + 0.2*rng.Float64()),
			}
			if devices < 1000 {
				v.MilliCPU, v.MemoryMiB = cpu*devices/1000, memory*devices/1000
			}
			g.Variants = append(g.Variants, v)
		}
	}
	if i%5 == 0 {
		g.Kind, g.Replicas = purser.Inference, 0
		g.Demand, g.Headroom = 5+40*rng.Float64(), 0.2
		g.Survive = purser.Survive{Level: purser.DomainZone, Share: 0.7 + 0.3*rng.Float64()}
		return g
	}
	g.Work = hours * 10
	if n := []int{1, 1, 1, 1, 1, 1, 2, 4, 8}[rng.IntN(9)]; n > 1 {
		g.Replicas, g.Gang = n, true
		g.Work *= float64(n)
	}
	return g
}
