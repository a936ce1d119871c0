package purser

import (
	"slices"
	"strings"
	"sync"
)

// AcceleratorKind is the sort of device.
type AcceleratorKind string

// The kinds of accelerator.
const (
	GPU  AcceleratorKind = "gpu"
	TPU  AcceleratorKind = "tpu"
	FPGA AcceleratorKind = "fpga"
	NPU  AcceleratorKind = "npu" // made for neural networks alone: Trainium, Inferentia, Gaudi
	VPU  AcceleratorKind = "vpu" // video transcoding
)

// Accelerator is a model of device. Name is canonical: one name for one model
// with one memory size. Family is what a user may ask for to mean any of its
// members: A100 is A100-40GB or A100-80GB.
type Accelerator struct {
	Name       string
	Kind       AcceleratorKind
	Vendor     string
	Family     string
	MemoryGiB  float64 // of one device; for TPUs of one chip
	BF16TFLOPS float64 // dense, of one device, from the vendor's data sheet; 0 when it has none or is not published
	Watts      float64 // most that one device's board draws; never 0
	Aliases    []string
}

// Accelerators lists every model in the order of the table, best known first
// within a vendor. The caller may change the slice.
func Accelerators() []Accelerator { return slices.Clone(accelerators) }

// AcceleratorNamed finds a model by canonical name or by an alias as price lists
// write it, without regard to case and separators. A price list's bare A100 is
// the 40 GB one and its bare V100 the 16 GB one.
func AcceleratorNamed(name string) (Accelerator, bool) {
	at, ok := acceleratorIndex()[acceleratorKey(name)]
	if !ok {
		return Accelerator{}, false
	}
	return accelerators[at], true
}

// acceleratorIndex finds a model by the key of its name, or of an alias that is no name.
var acceleratorIndex = sync.OnceValue(func() map[string]int {
	index := map[string]int{}
	add := func(name string, at int) {
		if _, known := index[acceleratorKey(name)]; !known {
			index[acceleratorKey(name)] = at
		}
	}
	for i, a := range accelerators {
		add(a.Name, i)
	}
	for i, a := range accelerators {
		for _, alias := range a.Aliases {
			add(alias, i)
		}
	}
	return index
})

// AcceleratorsMatching gives the models that a user's word means: all members of
// a family (A100), or the one model of a canonical name or alias (A100-80GB). The
// result is empty for an unknown word.
func AcceleratorsMatching(word string) []Accelerator {
	key := acceleratorKey(word)
	var out []Accelerator
	for _, a := range accelerators {
		if acceleratorKey(a.Family) == key {
			out = append(out, a)
		}
	}
	if len(out) == 0 {
		if a, ok := AcceleratorNamed(word); ok {
			out = append(out, a)
		}
	}
	return out
}

// SuggestAccelerator gives the known word that is nearest to an unknown one, or
// "" when none is near.
func SuggestAccelerator(word string) string {
	best, at := "", 3
	key := acceleratorKey(word)
	for _, a := range accelerators {
		for _, w := range []string{a.Family, a.Name} {
			if d := editDistance(key, acceleratorKey(w)); d < at {
				best, at = w, d
			}
		}
	}
	return best
}

func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			next := min(row[j+1]+1, row[j]+1, diagonal+cost)
			diagonal, row[j+1] = row[j+1], next
		}
	}
	return row[len(b)]
}

var dropSeparators = strings.NewReplacer("-", "", "_", "", " ", "", ".", "", "(", "", ")", "", "+", "plus")

func acceleratorKey(s string) string {
	k := dropSeparators.Replace(strings.ToLower(strings.TrimSpace(s)))
	for _, vendor := range []string{"nvidia", "amd", "aws", "google", "intel", "xilinx", "tesla", "geforce"} {
		if t := strings.TrimPrefix(k, vendor); t != "" {
			k = t
		}
	}
	return k
}

// accelerators is compiled from the vendors' data sheets; memory as cloud APIs
// report it to users (nominal GB counted as GiB, as they do).
//
// Watts is the data sheet's board power (of the SXM or OAM form where there are
// several of one name); the device's share of the board where it carries several (K80, M60, A16).
// Where the vendor publishes none, the line says so, and the figure is from what is
// nearest: for TPU v2 and v3 the thermal design power and for v4 the most that was
// measured, all three from Google's papers; for v5 and v6 an estimate by the
// generations before. VU9P is AWS's limit for F1, VU47P the Alveo card with that
// chip. Trainium and Inferentia are rough estimates; the A10G's is its cap as
// the driver shows it, the T4G's the T4's.
var accelerators = []Accelerator{
	{"GB300", GPU, "nvidia", "GB300", 288, 2500, 1400, nil},
	{"B300", GPU, "nvidia", "B300", 288, 2250, 1400, nil},
	{"GB200", GPU, "nvidia", "GB200", 186, 2500, 1200, nil},
	{"B200", GPU, "nvidia", "B200", 180, 2250, 1000, nil},
	{"GH200", GPU, "nvidia", "GH200", 96, 990, 1000, []string{"GH200-96GB"}},
	{"H200", GPU, "nvidia", "H200", 141, 990, 700, []string{"H200-SXM", "H200-141GB"}},
	{"H100", GPU, "nvidia", "H100", 80, 990, 700, []string{"H100-SXM", "H100-80GB", "H100-80GB-HBM3", "H100-SXM5", "H100-MEGA", "H100-MEGA-80GB"}},
	{"H100-PCIE", GPU, "nvidia", "H100", 80, 756, 350, []string{"H100-80GB-PCIE"}},
	{"H100-NVL", GPU, "nvidia", "H100", 94, 835, 400, []string{"H100-94GB"}},
	{"A100-80GB", GPU, "nvidia", "A100", 80, 312, 400, []string{"A100-80GB-SXM", "A100-SXM4-80GB", "A100-80GB-PCIE", "A100-SXM-80GB", "A100-80"}},
	{"A100-40GB", GPU, "nvidia", "A100", 40, 312, 400, []string{"A100", "A100-SXM4-40GB", "A100-40", "A100-40GB-PCIE"}},
	{"RTX-PRO-6000", GPU, "nvidia", "RTX-PRO-6000", 96, 503, 600, []string{"RTXPRO6000", "RTXPRO6000BSE", "RTX-PRO-6000-BLACKWELL", "RTX6000-96GB"}},
	{"L40S", GPU, "nvidia", "L40S", 48, 362, 350, nil},
	{"L40", GPU, "nvidia", "L40", 48, 181, 300, nil},
	{"L4", GPU, "nvidia", "L4", 24, 121, 72, nil},
	{"A40", GPU, "nvidia", "A40", 48, 150, 300, nil},
	{"A10G", GPU, "nvidia", "A10G", 24, 70, 300, nil}, // estimated power
	{"A10", GPU, "nvidia", "A10", 24, 125, 150, nil},
	{"A6000", GPU, "nvidia", "A6000", 48, 155, 300, []string{"RTXA6000", "RTX-A6000"}},
	{"A5000", GPU, "nvidia", "A5000", 24, 111, 230, []string{"RTXA5000", "RTX-A5000"}},
	{"A4500", GPU, "nvidia", "A4500", 20, 95, 200, []string{"RTXA4500", "RTX-A4500"}},
	{"A4000", GPU, "nvidia", "A4000", 16, 77, 140, []string{"RTXA4000", "RTX-A4000"}},
	{"A30", GPU, "nvidia", "A30", 24, 165, 165, nil},
	{"A16", GPU, "nvidia", "A16", 16, 18, 62.5, nil},
	{"RTX-PRO-4500", GPU, "nvidia", "RTX-PRO-4500", 32, 0, 200, []string{"RTXPRO4500", "RTX-PRO-4500-BLACKWELL"}},
	{"RTX6000-ADA", GPU, "nvidia", "RTX6000-ADA", 48, 364, 300, []string{"RTX-6000-ADA"}},
	{"RTX4000-ADA", GPU, "nvidia", "RTX4000-ADA", 20, 107, 130, []string{"RTX-4000-ADA"}},
	{"RTX6000", GPU, "nvidia", "RTX6000", 24, 0, 295, []string{"QUADRO-RTX-6000", "QUADRORTX6000"}},
	{"RTX5090", GPU, "nvidia", "RTX5090", 32, 210, 575, nil},
	{"RTX4090", GPU, "nvidia", "RTX4090", 24, 165, 450, nil},
	{"RTX3090", GPU, "nvidia", "RTX3090", 24, 71, 350, nil},
	{"V100-32GB", GPU, "nvidia", "V100", 32, 0, 300, []string{"V100-SXM2-32GB"}},
	{"V100-16GB", GPU, "nvidia", "V100", 16, 0, 300, []string{"V100", "V100-SXM2-16GB"}},
	{"T4", GPU, "nvidia", "T4", 16, 0, 70, nil},
	{"T4G", GPU, "nvidia", "T4G", 16, 0, 70, nil}, // estimated power
	{"P100", GPU, "nvidia", "P100", 16, 0, 250, nil},
	{"P40", GPU, "nvidia", "P40", 24, 0, 250, nil},
	{"P4", GPU, "nvidia", "P4", 8, 0, 75, nil},
	{"K80", GPU, "nvidia", "K80", 12, 0, 150, nil},
	{"M60", GPU, "nvidia", "M60", 8, 0, 150, nil},
	{"MI355X", GPU, "amd", "MI355X", 288, 2516, 1400, nil},
	{"MI325X", GPU, "amd", "MI325X", 256, 1307, 1000, nil},
	{"MI300X", GPU, "amd", "MI300X", 192, 1307, 750, nil},
	{"MI250", GPU, "amd", "MI250", 128, 362, 500, nil},
	{"MI100", GPU, "amd", "MI100", 32, 92, 300, nil},
	{"MI25", GPU, "amd", "MI25", 16, 0, 300, []string{"RADEON-MI25", "RADEONINSTINCTMI25"}},
	{"V620", GPU, "amd", "V620", 32, 0, 300, []string{"RADEON-PRO-V620"}},
	{"V710", GPU, "amd", "V710", 24, 0, 158, []string{"RADEON-PRO-V710"}},
	{"V520", GPU, "amd", "V520", 8, 0, 225, []string{"RADEON-PRO-V520"}},
	{"TPU-V6E", TPU, "google", "TPU-V6E", 32, 918, 300, []string{"v6e", "trillium"}},                 // estimated power
	{"TPU-V5P", TPU, "google", "TPU-V5P", 95, 459, 450, []string{"v5p"}},                             // estimated power
	{"TPU-V5E", TPU, "google", "TPU-V5E", 16, 197, 200, []string{"v5e", "v5litepod", "tpu-v5-lite"}}, // estimated power
	{"TPU-V4", TPU, "google", "TPU-V4", 32, 275, 192, []string{"v4"}},
	{"TPU-V3", TPU, "google", "TPU-V3", 32, 123, 450, []string{"v3"}},
	{"TPU-V2", TPU, "google", "TPU-V2", 16, 45, 280, []string{"v2"}},
	{"VU47P", FPGA, "amd", "VU47P", 16, 0, 150, []string{"VIRTEX-ULTRASCALE+-VU47P", "VU47P-FPGA"}}, // estimated power
	{"VU9P", FPGA, "amd", "VU9P", 64, 0, 85, []string{"VIRTEX-ULTRASCALE+-VU9P", "VIRTEX-ULTRASCALE-VU9P", "VU9P-FPGA"}},
	{"U250", FPGA, "amd", "U250", 64, 0, 225, []string{"ALVEO-U250", "U250-FPGA"}},
	{"TRAINIUM2", NPU, "aws", "TRAINIUM2", 96, 667, 500, []string{"TRN2"}},               // estimated power
	{"TRAINIUM", NPU, "aws", "TRAINIUM", 32, 190, 250, []string{"TRN1", "TRAINIUM1"}},    // estimated power
	{"INFERENTIA2", NPU, "aws", "INFERENTIA2", 32, 190, 175, []string{"INF2"}},           // estimated power
	{"INFERENTIA", NPU, "aws", "INFERENTIA", 8, 64, 75, []string{"INF1", "INFERENTIA1"}}, // estimated power
	{"GAUDI3", NPU, "intel", "GAUDI3", 128, 1835, 900, nil},
	{"GAUDI2", NPU, "intel", "GAUDI2", 96, 432, 600, nil},
	{"GAUDI", NPU, "intel", "GAUDI", 32, 0, 350, []string{"GAUDI-HL-205", "GAUDIHL205", "GAUDI1"}},
	{"AI100", NPU, "qualcomm", "AI100", 16, 0, 75, []string{"QUALCOMM-AI100", "CLOUD-AI-100"}},
	{"U30", VPU, "amd", "U30", 8, 0, 40, []string{"XILINX-U30", "ALVEO-U30"}},
}
