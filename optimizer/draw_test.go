package optimizer_test

import (
	"cmp"
	"fmt"
	"time"

	"pgregory.net/rapid"

	"purser"
	"purser/optimizer"
)

// ceiling is the most that a drawn group pays for a machine, when it has a ceiling.
const ceiling purser.USDPerHour = 6_000_000_000

// shapeOf is the shape of a drawn machine for n devices of a model, or a CPU-only one when the model is empty.
func shapeOf(model string, n, ratio int64) purser.Shape {
	s := purser.Shape{Accelerator: model, Devices: purser.MilliDevices(n * 1000), MilliCPU: n * ratio * 1000, MemoryMiB: n * ratio * 4096}
	switch model {
	case "L4":
		s.DeviceMemoryMiB = 24 * 1024
	case "A100-80GB":
		s.DeviceMemoryMiB = 80 * 1024
	default:
		s.Devices = 0
	}
	s.DiskMiB = n * drawnDisk
	return s
}

// drawOffers draws machines of a few types in a few zones, so that equal shapes at other prices are common.
func drawOffers(t *rapid.T) []purser.Offer {
	seen := map[purser.OfferID]bool{}
	var out []purser.Offer
	for range rapid.IntRange(2, 8).Draw(t, "offers") {
		model := rapid.SampledFrom([]string{"L4", "L4", "A100-80GB", ""}).Draw(t, "model")
		n := rapid.SampledFrom([]int64{1, 2, 4, 8}).Draw(t, "devices")
		ratio := rapid.SampledFrom([]int64{4, 8}).Draw(t, "ratio")
		region := rapid.SampledFrom([]string{"r1", "r1", "r2"}).Draw(t, "region")
		o := purser.Offer{
			Provider: rapid.SampledFrom([]string{"aws", "aws", "gcp"}).Draw(t, "provider"), Region: region,
			Zone:         rapid.SampledFrom([]string{"a", "b", ""}).Draw(t, "zone"),
			InstanceType: fmt.Sprintf("%s-%d-%d", cmp.Or(model, "cpu"), n, ratio),
			Option:       rapid.SampledFrom([]purser.PurchaseOption{purser.OnDemand, purser.OnDemand, purser.Spot, purser.Private}).Draw(t, "option"),
			Shape:        shapeOf(model, n, ratio), Country: map[string]string{"r1": "DE", "r2": "US"}[region],
			UnitPrice: purser.USDPerHour(n * int64(rapid.IntRange(100, 1500).Draw(t, "milli-USD per device")) * 1_000_000),
			Limit:     rapid.SampledFrom([]int{purser.Unlimited, purser.Unlimited, 0, 1, 2, 3}).Draw(t, "limit"),
		}
		if !seen[o.ID()] {
			seen[o.ID()] = true
			out = append(out, o)
		}
	}
	return out
}

func drawVariants(t *rapid.T) []purser.Variant {
	var out []purser.Variant
	for i := range rapid.IntRange(1, 2).Draw(t, "variants") {
		v := purser.Variant{
			Name: fmt.Sprintf("v%d", i), Accelerator: rapid.SampledFrom([]string{"L4", "L4", "A100-80GB", ""}).Draw(t, "model"),
			MilliCPU: int64(rapid.IntRange(1, 12).Draw(t, "half cpus")) * 500, MemoryMiB: int64(rapid.IntRange(1, 16).Draw(t, "gib")) * 1024,
			Throughput: float64(rapid.IntRange(1, 8).Draw(t, "throughput")),
		}
		if v.Accelerator != "" {
			v.Devices = rapid.SampledFrom([]purser.MilliDevices{125, 250, 500, 1000, 1000, 2000, 3000}).Draw(t, "devices")
			v.DeviceMemoryMiB = rapid.SampledFrom([]int64{0, 0, 16 * 1024, 40 * 1024}).Draw(t, "device memory")
		}
		out = append(out, v)
	}
	return out
}

func drawWhere(t *rapid.T) purser.Where {
	var w purser.Where
	switch rapid.IntRange(0, 9).Draw(t, "where") {
	case 0:
		w.Options = []purser.PurchaseOption{purser.OnDemand, purser.Private}
	case 1:
		w.Regions = []string{"r1"}
	case 2:
		w.NoProviders = []string{"gcp"}
	case 3:
		w.Countries = []string{"EU"}
	case 4:
		w.MaxPerHour = ceiling
	case 5:
		w.Confidential = true
	case 6:
		w.Compliance = []string{"hipaa"}
	}
	return w
}

func drawGroup(t *rapid.T, gangs bool) purser.TaskGroup {
	g := purser.TaskGroup{Name: "g", Kind: purser.Training, Run: purser.Run{Command: "x"}, Variants: drawVariants(t), Where: drawWhere(t)}
	drawQuality(t, &g)
	if rapid.IntRange(0, 2).Draw(t, "kind") == 0 && gangs {
		g.Kind = purser.Inference
		drawUsers(t, &g)
		if g.Demand = float64(rapid.IntRange(0, 20).Draw(t, "demand")); g.Demand == 0 || rapid.Bool().Draw(t, "least") {
			g.Replicas = rapid.IntRange(1, 3).Draw(t, "replicas")
		}
		g.Headroom = rapid.SampledFrom([]float64{0, 0, 0.25}).Draw(t, "headroom")
		if rapid.IntRange(0, 3).Draw(t, "most") == 0 {
			g.MaxReplicas = g.Replicas + rapid.IntRange(1, 4).Draw(t, "above")
		}
		if level := rapid.SampledFrom(append(purser.DomainLevels(), "")).Draw(t, "level"); level != purser.DomainNone {
			g.Survive = purser.Survive{
				Level: level, Share: rapid.SampledFrom([]float64{0.5, 0.75, 1}).Draw(t, "share"), Failures: rapid.SampledFrom([]int{0, 0, 1, 2}).Draw(t, "failures"),
			}
		}
		return g
	}
	if gangs && rapid.IntRange(0, 4).Draw(t, "sizes") == 0 {
		return drawSizes(t, g)
	}
	g.Replicas = rapid.IntRange(1, 6).Draw(t, "replicas")
	g.Gang = gangs && rapid.IntRange(0, 2).Draw(t, "gang") == 0
	g.Spread = drawSpread(t, g)
	if rapid.Bool().Draw(t, "by work") {
		g.Work = float64(rapid.IntRange(1, 60).Draw(t, "work"))
	} else {
		g.RunTime = time.Duration(rapid.IntRange(1, 360).Draw(t, "times 5 minutes")) * 5 * time.Minute
		// With or without the minutes of start-up, the same replicas are in time.
		if rapid.IntRange(0, 3).Draw(t, "deadline") == 0 {
			g.Deadline = noon.Add(time.Duration(rapid.IntRange(1, 20).Draw(t, "hours"))*time.Hour + 4*time.Minute)
		}
	}
	if rapid.IntRange(0, 5).Draw(t, "federated") == 0 {
		g.Exchange = purser.Exchange{Provider: "gcp", Region: "r2", UpdateGB: 0.5, Rounds: rapid.IntRange(1, 60).Draw(t, "rounds")}
	}
	if rapid.IntRange(0, 5).Draw(t, "data") == 0 {
		g.Data = purser.Data{Provider: "aws", Region: "r1", SizeGB: 20}
	}
	drawStorage(t, &g)
	return g
}

// drawSpread keeps one in four groups apart.
func drawSpread(t *rapid.T, g purser.TaskGroup) purser.Spread {
	if g.Gang || rapid.IntRange(0, 3).Draw(t, "kept apart") != 0 {
		return purser.Spread{}
	}
	s := purser.Spread{Level: rapid.SampledFrom(purser.DomainLevels()).Draw(t, "apart by")}
	if s.Max = rapid.IntRange(0, 2).Draw(t, "most in one"); s.Max == 0 {
		s.Share = rapid.SampledFrom([]float64{0.25, 0.5, 1}).Draw(t, "share in one")
	}
	return s
}

func drawQuotas(t *rapid.T) []purser.Quota {
	var out []purser.Quota
	for i := range rapid.IntRange(0, 2).Draw(t, "quotas") {
		out = append(out, purser.Quota{
			Name: fmt.Sprintf("q%d", i), Limit: int64(rapid.IntRange(0, 24).Draw(t, "limit")),
			Unit:     rapid.SampledFrom([]string{purser.QuotaDevices, purser.QuotaVCPUs, purser.QuotaMachines}).Draw(t, "unit"),
			Provider: rapid.SampledFrom([]string{"aws", "aws", "gcp"}).Draw(t, "of"), Option: rapid.SampledFrom([]purser.PurchaseOption{"", purser.Spot, purser.OnDemand}).Draw(t, "bought"),
		})
	}
	return out
}

// drawInput draws a small problem of every kind. Limits and quotas bind in it; unless it is scarce, dear machines without a limit stand behind.
func drawInput(t *rapid.T, scarce bool) optimizer.Input {
	in := optimizer.Input{Now: noon, Atlas: drawnAtlas(), Offers: drawOffers(t), Quotas: drawQuotas(t), Snapshot: rapid.IntRange(0, 4).Draw(t, "snapshot") == 0}
	if !scarce {
		in.Offers = append(in.Offers, plenty()...)
	}
	in.Commitments = drawCommitments(t, in.Offers)
	for i := range rapid.IntRange(1, 5).Draw(t, "jobs") {
		name := fmt.Sprintf("j%d", i)
		in.Jobs = append(in.Jobs, purser.Job{ID: purser.JobID(name), Project: "p", Name: name, Groups: []purser.TaskGroup{drawGroup(t, true)}})
	}
	return in
}

// plenty is dear machines of every kind without limit, in two zones of two providers that no quota names.
func plenty() []purser.Offer {
	var out []purser.Offer
	for _, model := range []string{"L4", "A100-80GB", ""} {
		for _, at := range [][2]string{{"azure", "a"}, {"lambda", "b"}} {
			out = append(out, purser.Offer{
				Provider: at[0], Region: "r1", Zone: at[1], InstanceType: "dear-" + cmp.Or(model, "cpu"), Option: purser.OnDemand, Country: "DE",
				Shape: shapeOf(model, 8, 16), UnitPrice: ceiling, Limit: purser.Unlimited,
			})
		}
	}
	return out
}
