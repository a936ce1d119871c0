package optimizer_test

import (
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
