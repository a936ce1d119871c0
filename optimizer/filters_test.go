package optimizer_test

import (
	"math"
	"time"

	"pgregory.net/rapid"

	"purser"
	"purser/optimizer"
)

// drawQuality gives some groups an accuracy floor that one of their variants may miss.
func drawQuality(t *rapid.T, g *purser.TaskGroup) {
	if rapid.IntRange(0, 4).Draw(t, "accuracy floor") > 0 {
		return
	}
	g.MinQuality = 0.9
	for i := range g.Variants {
		g.Variants[i].Quality = rapid.SampledFrom([]float64{0.95, 0.9, 0.85}).Draw(t, "quality")
	}
	g.Variants[0].Quality = 0.9
}

// drawnAtlas is what drawn problems say of their places: region r1 lies in Frankfurt, is confidential and complies; of r2 the country
// alone is known.
func drawnAtlas() purser.Atlas {
	var out purser.Atlas
	for _, provider := range []string{"aws", "gcp", "azure", "lambda"} {
		out = append(out, purser.AtlasPlace{
			Provider: provider, Region: "r1", At: purser.Coordinates{Lat: 50.11, Lon: 8.68}, Confidential: true, Compliance: []string{"hipaa", "c5"},
		})
	}
	return out
}

// drawUsers gives some services users in Germany, to whom the United States are too far.
func drawUsers(t *rapid.T, g *purser.TaskGroup) {
	if rapid.IntRange(0, 3).Draw(t, "users") > 0 {
		return
	}
	g.Users = []purser.Users{{Country: "DE", Share: 0.9}, {Near: "us-west-2", Share: 0.1}}
	g.MaxLatency = purser.MaxLatency{Time: 40 * time.Millisecond, Share: 0.9}
}

// drawnDisk is the room on the disks of drawn machines, in MiB for each of their devices or, without any, for each unit of their size.
const drawnDisk = 40_000

// drawStorage gives some training groups storage: data that takes time to load, is dear to read or needs room on disks, and
// checkpoints that are kept.
func drawStorage(t *rapid.T, g *purser.TaskGroup) {
	if g.Data.SizeGB > 0 {
		g.Data.Storage = rapid.SampledFrom([]purser.StorageClass{"", purser.StorageCold, purser.StorageStandard, purser.StorageNVMe}).Draw(t, "storage")
	}
	if rapid.IntRange(0, 5).Draw(t, "checkpoints") == 0 {
		g.Checkpoint = purser.Checkpoint{
			Path: "c", Every: 10 * time.Minute, SizeGB: float64(rapid.IntRange(1, 20).Draw(t, "checkpoint GB")),
			Storage: rapid.SampledFrom([]purser.StorageClass{"", purser.StorageStandard, purser.StorageNVMe}).Draw(t, "storage of checkpoints"),
		}
	}
}

// extraFor is what a replica costs beside its machine, by code of its own.
func extraFor(in optimizer.Input, g purser.TaskGroup, v purser.Variant, o purser.Offer) purser.Money {
	cost := egressTo(g, o)
	if g.Data.Storage == purser.StorageCold {
		cost += purser.MoneyOf(map[string]float64{"aws": 0.03, "gcp": 0.02}[g.Data.Provider] * g.Data.SizeGB)
	}
	if g.Checkpoint.Storage != "" && o.Option != purser.Private {
		month := map[string]float64{"aws": 0.023, "gcp": 0.02, "azure": 0.018, "lambda": 0.023}[o.Provider]
		cost += purser.MoneyOf(g.Checkpoint.SizeGB * month * runsFor(in, g, v).Hours() / 730)
	}
	return cost
}

// diskFor is the room on disks that a replica needs, in MiB.
func diskFor(g purser.TaskGroup) int64 {
	gb := 0.0
	if g.Data.Storage == purser.StorageNVMe {
		gb += g.Data.SizeGB
	}
	if g.Checkpoint.Storage == purser.StorageNVMe {
		gb += g.Checkpoint.SizeGB
	}
	return int64(math.Ceil(gb * 1e9 / 1048576))
}

// diskFits says whether that is within the replica's part of the machine's disks.
func diskFits(g purser.TaskGroup, v purser.Variant, o purser.Offer) bool {
	part := float64(v.MilliCPU) / float64(o.MilliCPU)
	if o.Devices > 0 {
		part = float64(v.Devices) / float64(o.Devices)
	}
	need := diskFor(g)
	return need == 0 || float64(need) <= part*float64(o.DiskMiB)
}
