package gcp

import (
	"fmt"
	"strconv"
	"strings"

	"purser"
)

// generation is how one TPU generation's type names count, and what its hosts are.
// The hosts are those of package csvfile.
type generation struct {
	device       string
	coresPerChip int64 // 2 where the number in a type's name counts cores, 1 where chips
	chipsPerHost int64 // of slices with more than one host
	host         tpuHost
	small        map[int64]tpuHost // slices of one host that differ from host, by chips
	sizes        []int64           // documented sizes, by the number in the name
}

type tpuHost struct{ vCPUs, memoryGiB int64 }

var generations = map[string]generation{
	"v2":  {"TPU-V2", 2, 4, tpuHost{96, 334}, nil, []int64{8, 32, 128, 256, 512}},
	"v3":  {"TPU-V3", 2, 4, tpuHost{96, 334}, nil, []int64{8, 32, 64, 128, 256, 512, 1024, 2048}},
	"v4":  {"TPU-V4", 2, 4, tpuHost{240, 407}, nil, []int64{8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096}},
	"v5p": {"TPU-V5P", 2, 4, tpuHost{208, 448}, nil, []int64{8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 12288}},
	"v5litepod": {
		"TPU-V5E", 1, 4,
		tpuHost{112, 192},
		map[int64]tpuHost{1: {24, 48}, 8: {224, 384}},
		[]int64{1, 4, 8, 16, 32, 64, 128, 256},
	},
	"v6e": {
		"TPU-V6E", 1, 4,
		tpuHost{180, 720},
		map[int64]tpuHost{1: {44, 176}, 8: {180, 1440}},
		[]int64{1, 4, 8, 16, 32, 64, 128, 256},
	},
}

// listedSlices are the documented types, for offers without a project.
func listedSlices() []string {
	var out []string
	for name, g := range generations {
		for _, size := range g.sizes {
			out = append(out, fmt.Sprintf("%s-%d", name, size))
		}
	}
	return out
}

// slice is a TPU slice by its type.
type slice struct {
	generation
	chips int64
	cores int64
}

// maxSize is above any slice's number.
const maxSize = 1 << 20

// sliceNamed reads a type such as v5litepod-16; false for those that are not known.
func sliceNamed(typ string) (slice, bool) {
	name, number, _ := strings.Cut(typ, "-")
	g, ok := generations[name]
	size, err := strconv.ParseInt(number, 10, 64)
	if !ok || err != nil || size <= 0 || size > maxSize || size%g.coresPerChip != 0 || strconv.FormatInt(size, 10) != number {
		return slice{}, false
	}
	return slice{generation: g, chips: size / g.coresPerChip, cores: size}, true
}

// items are what a slice is paid by.
func (s slice) items() []item {
	switch s.device {
	case "TPU-V2", "TPU-V3":
		if s.cores > 8 {
			return []item{{part{pod, s.device}, s.cores, 8}}
		}
		return []item{{part{tpu, s.device}, s.cores, 8}}
	case "TPU-V4":
		return []item{{part{pod, s.device}, s.cores, 8}}
	default:
		return []item{{part{tpu, s.device}, s.chips, 1}}
	}
}

func (s slice) shape() purser.Shape {
	hosts, host := (s.chips+s.chipsPerHost-1)/s.chipsPerHost, s.host
	if single, ok := s.small[s.chips]; ok {
		hosts, host = 1, single
	}
	out := purser.Shape{
		Devices:  purser.MilliDevices(s.chips) * purser.OneDevice,
		MilliCPU: hosts * host.vCPUs * 1000, MemoryMiB: hosts * host.memoryGiB * gib,
	}
	fillDevice(&out, s.device)
	return out
}
