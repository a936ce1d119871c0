package azure

import (
	"slices"

	"purser"
)

// accelerated is a size with accelerators. vCPUs and memory are those of Microsoft's
// pages of sizes and count where no SKU is read; the devices count in any case.
type accelerated struct {
	name      string
	device    string              // Purser's name for the model, or Azure's where Purser has none
	devices   purser.MilliDevices // below one, rounded down to a thousandth: a sixth is 166
	vCPUs     int64
	memoryGiB int64
	until     string // the day of retirement as 2006-01-02; empty: none is announced
}

// The days on which whole series were or will be retired.
const (
	nvGone   = "2023-09-06"
	k80Gone  = "2023-08-31" // with NCv2 and the first ND
	ncv3Gone = "2025-09-30"
	nvv4Gone = "2026-09-30" // with NVv3
)

// acceleratedSizes are the N families.
//
// Resource SKUs count 1 GPU for a share of one and none for FPGAs, and have counted
// one H100 for every 8 vCPUs. A10 shares are vCPUs / 36 in NVads_A10_v5 and vCPUs / 16
// in NC_A10_v4. H100-NVL is the 94 GB card. Memory of ND96amsr_A100_v4 has been said to
// be 1924, 1900 and 1800 GiB; the least is taken.
func acceleratedSizes() []accelerated {
	return slices.Concat(ncSizes(), ndSizes(), graphicsSizes())
}

// ncSizes are the family NC.
func ncSizes() []accelerated {
	return []accelerated{
		{"Standard_NC6", "K80", 1000, 6, 56, k80Gone},
		{"Standard_NC12", "K80", 2000, 12, 112, k80Gone},
		{"Standard_NC24", "K80", 4000, 24, 224, k80Gone},
		{"Standard_NC24r", "K80", 4000, 24, 224, k80Gone},
		{"Standard_NC6_Promo", "K80", 1000, 6, 56, k80Gone},
		{"Standard_NC12_Promo", "K80", 2000, 12, 112, k80Gone},
		{"Standard_NC24_Promo", "K80", 4000, 24, 224, k80Gone},
		{"Standard_NC24r_Promo", "K80", 4000, 24, 224, k80Gone},
		{"Standard_NC6s_v2", "P100", 1000, 6, 112, k80Gone},
		{"Standard_NC12s_v2", "P100", 2000, 12, 224, k80Gone},
		{"Standard_NC24s_v2", "P100", 4000, 24, 448, k80Gone},
		{"Standard_NC24rs_v2", "P100", 4000, 24, 448, k80Gone},
		{"Standard_NC6s_v3", "V100-16GB", 1000, 6, 112, ncv3Gone},
		{"Standard_NC12s_v3", "V100-16GB", 2000, 12, 224, ncv3Gone},
		{"Standard_NC24s_v3", "V100-16GB", 4000, 24, 448, ncv3Gone},
		{"Standard_NC24rs_v3", "V100-16GB", 4000, 24, 448, ncv3Gone},
		{"Standard_NC4as_T4_v3", "T4", 1000, 4, 28, ""},
		{"Standard_NC8as_T4_v3", "T4", 1000, 8, 56, ""},
		{"Standard_NC16as_T4_v3", "T4", 1000, 16, 110, ""},
		{"Standard_NC64as_T4_v3", "T4", 4000, 64, 440, ""},
		{"Standard_NC8ads_A10_v4", "A10", 500, 8, 100, ""},
		{"Standard_NC16ads_A10_v4", "A10", 1000, 16, 200, ""},
		{"Standard_NC32ads_A10_v4", "A10", 2000, 32, 400, ""},
		{"Standard_NC24ads_A100_v4", "A100-80GB", 1000, 24, 220, ""},
		{"Standard_NC48ads_A100_v4", "A100-80GB", 2000, 48, 440, ""},
		{"Standard_NC96ads_A100_v4", "A100-80GB", 4000, 96, 880, ""},
		{"Standard_NC40ads_H100_v5", "H100-NVL", 1000, 40, 320, ""},
		{"Standard_NC80adis_H100_v5", "H100-NVL", 2000, 80, 640, ""},
		{"Standard_NCC40ads_H100_v5", "H100-NVL", 1000, 40, 320, ""},
		{"Standard_NC24lds_xl_RTXPRO6000BSE_v6", "RTX-PRO-6000", 250, 24, 72, ""},
		{"Standard_NC36ds_xl_RTXPRO6000BSE_v6", "RTX-PRO-6000", 250, 36, 132, ""},
		{"Standard_NC36lds_xl_RTXPRO6000BSE_v6", "RTX-PRO-6000", 250, 36, 72, ""},
		{"Standard_NC72ds_xl_RTXPRO6000BSE_v6", "RTX-PRO-6000", 500, 72, 264, ""},
		{"Standard_NC72lds_xl_RTXPRO6000BSE_v6", "RTX-PRO-6000", 500, 72, 132, ""},
		{"Standard_NC144ds_xl_RTXPRO6000BSE_v6", "RTX-PRO-6000", 1000, 144, 516, ""},
		{"Standard_NC144lds_xl_RTXPRO6000BSE_v6", "RTX-PRO-6000", 1000, 144, 264, ""},
		{"Standard_NC288ds_xl_RTXPRO6000BSE_v6", "RTX-PRO-6000", 2000, 288, 1032, ""},
		{"Standard_NC288lds_xl_RTXPRO6000BSE_v6", "RTX-PRO-6000", 2000, 288, 516, ""},
	}
}

// ndSizes are the families ND and NP.
func ndSizes() []accelerated {
	return []accelerated{
		{"Standard_ND6s", "P40", 1000, 6, 112, k80Gone},
		{"Standard_ND12s", "P40", 2000, 12, 224, k80Gone},
		{"Standard_ND24s", "P40", 4000, 24, 448, k80Gone},
		{"Standard_ND24rs", "P40", 4000, 24, 448, k80Gone},
		{"Standard_ND40rs_v2", "V100-32GB", 8000, 40, 672, ""},
		{"Standard_ND40s_v3", "V100-32GB", 8000, 40, 672, ""},
		{"Standard_ND96asr_v4", "A100-40GB", 8000, 96, 900, ""},
		{"Standard_ND96amsr_A100_v4", "A100-80GB", 8000, 96, 1800, ""},
		{"Standard_ND96ams_A100_v4", "A100-80GB", 8000, 96, 1800, ""},
		{"Standard_ND48s_H100_v5", "H100", 4000, 48, 950, ""},
		{"Standard_ND96is_H100_v5", "H100", 8000, 96, 1900, ""},
		{"Standard_ND96isf_H100_v5", "H100", 8000, 96, 1900, ""},
		{"Standard_ND96isr_H100_v5", "H100", 8000, 96, 1900, ""},
		{"Standard_ND96isrf_H100_v5", "H100", 8000, 96, 1900, ""},
		{"Standard_ND96is_flex_H100_v5", "H100", 8000, 96, 1900, ""},
		{"Standard_ND96is_noIB_H100_v5", "H100", 8000, 96, 1900, ""},
		{"Standard_ND96isr_H200_v5", "H200", 8000, 96, 1850, ""},
		{"Standard_ND96isrf_H200_v5", "H200", 8000, 96, 1850, ""},
		{"Standard_ND96isr_MI300X_v5", "MI300X", 8000, 96, 1850, ""},
		{"Standard_ND96is_MI300X_v5", "MI300X", 8000, 96, 1850, ""},
		{"Standard_ND128isr_NDR_GB200_v6", "GB200", 4000, 128, 900, ""},
		{"Standard_ND128isrf_NDR_GB200_v6", "GB200", 4000, 128, 900, ""},
		{"Standard_ND128isr_GB300_v6", "GB300", 4000, 128, 864, ""},
		{"Standard_ND128isrG5_GB300_v6", "GB300", 4000, 128, 864, ""},

		{"Standard_NP10s", "U250", 1000, 10, 168, ""},
		{"Standard_NP20s", "U250", 2000, 20, 336, ""},
		{"Standard_NP40s", "U250", 4000, 40, 672, ""},
	}
}

// graphicsSizes are the families NG and NV.
func graphicsSizes() []accelerated {
	return []accelerated{
		{"Standard_NG8ads_V620_v1", "V620", 250, 8, 16, ""},
		{"Standard_NG16ads_V620_v1", "V620", 500, 16, 32, ""},
		{"Standard_NG32ads_V620_v1", "V620", 1000, 32, 64, ""},
		{"Standard_NG32adms_V620_v1", "V620", 1000, 32, 176, ""},

		{"Standard_NV6", "M60", 1000, 6, 56, nvGone},
		{"Standard_NV12", "M60", 2000, 12, 112, nvGone},
		{"Standard_NV24", "M60", 4000, 24, 224, nvGone},
		{"Standard_NV6_Promo", "M60", 1000, 6, 56, nvGone},
		{"Standard_NV12_Promo", "M60", 2000, 12, 112, nvGone},
		{"Standard_NV24_Promo", "M60", 4000, 24, 224, nvGone},
		{"Standard_NV12s_v3", "M60", 1000, 12, 112, nvv4Gone},
		{"Standard_NV24s_v3", "M60", 2000, 24, 224, nvv4Gone},
		{"Standard_NV48s_v3", "M60", 4000, 48, 448, nvv4Gone},
		{"Standard_NV4as_v4", "MI25", 125, 4, 14, nvv4Gone},
		{"Standard_NV8as_v4", "MI25", 250, 8, 28, nvv4Gone},
		{"Standard_NV16as_v4", "MI25", 500, 16, 56, nvv4Gone},
		{"Standard_NV32as_v4", "MI25", 1000, 32, 112, nvv4Gone},
		{"Standard_NV6ads_A10_v5", "A10", 166, 6, 55, ""},
		{"Standard_NV12ads_A10_v5", "A10", 333, 12, 110, ""},
		{"Standard_NV18ads_A10_v5", "A10", 500, 18, 220, ""},
		{"Standard_NV36ads_A10_v5", "A10", 1000, 36, 440, ""},
		{"Standard_NV36adms_A10_v5", "A10", 1000, 36, 880, ""},
		{"Standard_NV72ads_A10_v5", "A10", 2000, 72, 880, ""},
		{"Standard_NV4ads_V710_v5", "V710", 166, 4, 16, ""},
		{"Standard_NV8ads_V710_v5", "V710", 333, 8, 32, ""},
		{"Standard_NV12ads_V710_v5", "V710", 500, 12, 64, ""},
		{"Standard_NV24ads_V710_v5", "V710", 1000, 24, 128, ""},
		{"Standard_NV28adms_V710_v5", "V710", 1000, 28, 160, ""},
	}
}
