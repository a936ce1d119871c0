package purser

import "math"

// CloudPUE is what a large cloud's site draws for each watt of its machines: the three large ones state 1.1 to 1.2 for 2023.
const CloudPUE = 1.15

// wattsPerUnknownDevice is taken for an accelerator that Purser does not know: as a current data-centre GPU.
const wattsPerUnknownDevice = 500

// WorldGrid is the world's mean intensity of electricity in grams CO₂e a kWh, for places whose country is not known.
const WorldGrid = 438

// GridIntensity is how many grams of CO₂e a kWh of electricity takes where a region lies, location-based (what a provider buys elsewhere
// does not count): Google's figure for its regions (2024), or else the country's mean over a year. Sources: GoogleCloudPlatform's
// region-carbon-info; Ember, Yearly Electricity Data, 2022. Both are annual means: hours differ by half and more.
func GridIntensity(provider, region, country string) float64 {
	if g, ok := regionGrids[provider+"/"+region]; ok {
		return g
	}
	if g, ok := countryGrids[country]; ok {
		return g
	}
	return WorldGrid
}

// CarbonOf estimates how many grams of CO₂e an hour of a machine of the offer takes, at full load on a grid of so many grams a kWh:
//
//	W/1000 · PUE · g/kWh
//
// with MachineWatts, and DefaultPUE for private machines or CloudPUE. What making the machine took is left out.
func CarbonOf(o Offer, grid float64) float64 {
	watts, ok := MachineWatts(o.Shape)
	if !ok {
		bare := o.Shape
		bare.Accelerator, bare.Devices = "", 0
		watts, _ = MachineWatts(bare)
		watts += o.Devices.Devices() * wattsPerUnknownDevice
	}
	pue := CloudPUE
	if o.Option == Private {
		pue = DefaultPUE
	}
	return math.Round(float64(watts*pue)*grid) / 1000
}

// regionGrids are grams CO₂e a kWh by provider/region.
var regionGrids = map[string]float64{
	"gcp/africa-south1": 657, "gcp/asia-east1": 439, "gcp/asia-east2": 505, "gcp/asia-northeast1": 453, "gcp/asia-northeast2": 296,
	"gcp/asia-northeast3": 357, "gcp/asia-south1": 679, "gcp/asia-south2": 532, "gcp/asia-southeast1": 367, "gcp/asia-southeast2": 561,
	"gcp/australia-southeast1": 498, "gcp/australia-southeast2": 454, "gcp/europe-central2": 643, "gcp/europe-north1": 39,
	"gcp/europe-north2": 3, "gcp/europe-southwest1": 89, "gcp/europe-west1": 103, "gcp/europe-west2": 106, "gcp/europe-west3": 276,
	"gcp/europe-west4": 209, "gcp/europe-west6": 15, "gcp/europe-west8": 202, "gcp/europe-west9": 16, "gcp/europe-west10": 276,
	"gcp/europe-west12": 202, "gcp/me-central2": 382, "gcp/me-west1": 434, "gcp/northamerica-northeast1": 5,
	"gcp/northamerica-northeast2": 59, "gcp/northamerica-south1": 305, "gcp/southamerica-east1": 67, "gcp/southamerica-west1": 238,
	"gcp/us-central1": 413, "gcp/us-east1": 576, "gcp/us-east4": 323, "gcp/us-south1": 303, "gcp/us-west1": 79, "gcp/us-west2": 169,
	"gcp/us-west3": 555, "gcp/us-west4": 357,
}

// countryGrids are grams CO₂e a kWh by ISO 3166 alpha-2.
var countryGrids = map[string]float64{
	"AE": 408, "AT": 158, "AU": 502, "BE": 165, "BG": 400, "BH": 494, "BR": 102, "CA": 126, "CH": 46, "CL": 333, "CN": 534, "CO": 169,
	"CZ": 415, "DE": 385, "DK": 181, "EE": 464, "ES": 217, "FI": 131, "FR": 85, "GB": 261, "GR": 344, "HK": 684, "HR": 246, "HU": 223,
	"ID": 619, "IE": 346, "IL": 548, "IN": 633, "IS": 29, "IT": 372, "JP": 495, "KR": 438, "LT": 194, "LU": 168, "LV": 182, "MA": 610,
	"MX": 424, "MY": 544, "NL": 356, "NO": 29, "NZ": 98, "PL": 633, "PT": 234, "QA": 490, "RO": 264, "RS": 569, "SA": 558, "SE": 45,
	"SG": 489, "SI": 237, "SK": 141, "TH": 502, "TR": 414, "TW": 561, "UA": 231, "US": 368, "ZA": 708,
}
