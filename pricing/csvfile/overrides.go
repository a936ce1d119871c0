package csvfile

import (
	"path"

	"purser"
)

// correction replaces what a catalogue says of an instance type's devices. An
// empty accelerator or a count of 0 leaves the catalogue's.
type correction struct {
	accelerator string
	devices     purser.MilliDevices
}

// correctionFor gives the first correction whose pattern matches.
func correctionFor(provider, instanceType string) correction {
	for _, o := range overrides[provider] {
		if ok, err := path.Match(o.pattern, instanceType); err == nil && ok {
			return o.correction
		}
	}
	return correction{}
}

type override struct {
	pattern string // as path.Match has them
	correction
}

// overrides are the devices that catalogues are known to get wrong, from the
// providers' own pages of instance types. Shares are rounded down to a
// thousandth: a sixth of a device is 166.
var overrides = map[string][]override{
	"aws": {
		// Listed as Inferentia, like the first generation.
		{"inf2.*", correction{accelerator: "INFERENTIA2"}},
		// Cards for video are listed as none.
		{"vt1.3xlarge", correction{"U30", 1000}},
		{"vt1.6xlarge", correction{"U30", 2000}},
		{"vt1.24xlarge", correction{"U30", 8000}},
		// Shares of an L4.
		{"g6f.large", correction{"L4", 125}},
		{"g6f.xlarge", correction{"L4", 125}},
		{"g6f.2xlarge", correction{"L4", 250}},
		{"g6f.4xlarge", correction{"L4", 500}},
		{"gr6f.4xlarge", correction{"L4", 500}},
	},
	"azure": {
		// The resource API says 1 GPU for shares of an A10 (vCPUs / 36 of one).
		{"Standard_NV6ads_A10_v5", correction{"A10", 166}},
		{"Standard_NV12ads_A10_v5", correction{"A10", 333}},
		{"Standard_NV18ads_A10_v5", correction{"A10", 500}},
		// Listed as none: half an A10 for every 8 vCPUs.
		{"Standard_NC8ads_A10_v4", correction{"A10", 500}},
		{"Standard_NC16ads_A10_v4", correction{"A10", 1000}},
		{"Standard_NC32ads_A10_v4", correction{"A10", 2000}},
		// Shares of a Radeon Instinct MI25, listed as one.
		{"Standard_NV4as_v4", correction{"MI25", 125}},
		{"Standard_NV8as_v4", correction{"MI25", 250}},
		{"Standard_NV16as_v4", correction{"MI25", 500}},
		{"Standard_NV32as_v4", correction{"MI25", 1000}},
		// The number of GPUs was 1 for every 8 vCPUs; these have 8 to a host.
		{"Standard_ND96is*_H100_v5", correction{"H100", 8000}},
		{"Standard_ND48s_H100_v5", correction{"H100", 4000}},
		// The NVL form of the H100, 94 GB.
		{"Standard_NC*40ads_H100_v5", correction{"H100-NVL", 1000}},
		{"Standard_NC*80adis_H100_v5", correction{"H100-NVL", 2000}},
		// Listed as none: FPGAs, and GPUs that the catalogue has no name for.
		{"Standard_NP10s", correction{"U250", 1000}},
		{"Standard_NP20s", correction{"U250", 2000}},
		{"Standard_NP40s", correction{"U250", 4000}},
		{"Standard_ND40s_v3", correction{"V100-32GB", 8000}},
		{"Standard_NG8ads_V620_v1", correction{"Radeon PRO V620", 250}},
		{"Standard_NG16ads_V620_v1", correction{"Radeon PRO V620", 500}},
		{"Standard_NG32*_V620_v1", correction{"Radeon PRO V620", 1000}},
	},
	"lambda": {{"gpu_*x_h100_pcie", correction{accelerator: "H100-PCIE"}}},
	// Beside H100-SXM, plain H100 is the PCIe card.
	"runpod": {
		{"*x_H100_SECURE", correction{accelerator: "H100-PCIE"}},
		{"*x_H100_COMMUNITY", correction{accelerator: "H100-PCIE"}},
	},
}
