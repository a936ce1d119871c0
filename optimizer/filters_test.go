package optimizer_test

import (
	"time"

	"pgregory.net/rapid"

	"purser"
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
