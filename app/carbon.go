package app

import (
	"strings"

	"purser"
)

// CarbonRule says how the carbon of machines counts in plans.
type CarbonRule struct {
	// PerTonne is what a tonne of CO₂e counts beside the money that is paid, in USD. Defaults to 0: it is shown and changes no plan.
	PerTonne float64 `koanf:"usd_per_tonne"`
	// Grid is grams CO₂e a kWh by provider/region where the built-in figures (purser.GridIntensity) are not those of the place.
	Grid map[string]float64 `koanf:"grid"`
}

// MaxCarbonPrice is the highest price of a tonne, in USD.
const MaxCarbonPrice = 1_000_000

// of estimates grams of CO₂e for an hour of a machine.
func (c CarbonRule) of(o purser.Offer) float64 {
	if g, ok := c.Grid[o.Provider+"/"+o.Region]; ok {
		return purser.CarbonOf(o, g)
	}
	return purser.CarbonOf(o, purser.GridIntensity(o.Provider, o.Region, o.Country))
}

func (c CarbonRule) check(bad func(key, message string) error) error {
	if !(c.PerTonne >= 0 && c.PerTonne <= MaxCarbonPrice) {
		return bad("carbon.usd_per_tonne", "the price of a tonne of carbon lies between 0 and 1,000,000 USD")
	}
	for place, g := range c.Grid {
		if strings.Count(place, "/") != 1 {
			return bad("carbon.grid."+place, "a grid is named provider/region")
		}
		if !(g >= 0 && g <= 10_000) {
			return bad("carbon.grid."+place, "a grid takes between 0 and 10,000 grams a kWh")
		}
	}
	return nil
}
