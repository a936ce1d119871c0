package gcp

import (
	"fmt"
	"regexp"
	"strings"

	"purser"
)

// machine is a machine type's shape.
type machine struct {
	name      string
	vCPUs     int64
	memoryMiB int64
	ssdGiB    int64  // local SSD that comes with it
	device    string // by the name of a GPU part; empty without GPUs
	devices   int64
}

const gib = 1024

// accelerated are the machine types whose GPUs come with them.
var accelerated = byName([]machine{
	{"a2-highgpu-1g", 12, 85 * gib, 0, "A100", 1},
	{"a2-highgpu-2g", 24, 170 * gib, 0, "A100", 2},
	{"a2-highgpu-4g", 48, 340 * gib, 0, "A100", 4},
	{"a2-highgpu-8g", 96, 680 * gib, 0, "A100", 8},
	{"a2-megagpu-16g", 96, 1360 * gib, 0, "A100", 16},
	{"a2-ultragpu-1g", 12, 170 * gib, 375, "A100-80GB", 1},
	{"a2-ultragpu-2g", 24, 340 * gib, 750, "A100-80GB", 2},
	{"a2-ultragpu-4g", 48, 680 * gib, 1500, "A100-80GB", 4},
	{"a2-ultragpu-8g", 96, 1360 * gib, 3000, "A100-80GB", 8},
	{"a3-highgpu-1g", 26, 234 * gib, 750, "H100", 1},
	{"a3-highgpu-2g", 52, 468 * gib, 1500, "H100", 2},
	{"a3-highgpu-4g", 104, 936 * gib, 3000, "H100", 4},
	{"a3-highgpu-8g", 208, 1872 * gib, 6000, "H100", 8},
	{"a3-edgegpu-8g", 208, 1872 * gib, 6000, "H100", 8},
	{"a3-megagpu-8g", 208, 1872 * gib, 6000, "H100-MEGA", 8},
	{"a3-ultragpu-8g", 224, 2952 * gib, 12000, "H200", 8},
	{"a4-highgpu-8g", 224, 3968 * gib, 12000, "B200", 8},
	{"g2-standard-4", 4, 16 * gib, 0, "L4", 1},
	{"g2-standard-8", 8, 32 * gib, 0, "L4", 1},
	{"g2-standard-12", 12, 48 * gib, 0, "L4", 1},
	{"g2-standard-16", 16, 64 * gib, 0, "L4", 1},
	{"g2-standard-24", 24, 96 * gib, 0, "L4", 2},
	{"g2-standard-32", 32, 128 * gib, 0, "L4", 1},
	{"g2-standard-48", 48, 192 * gib, 0, "L4", 4},
	{"g2-standard-96", 96, 384 * gib, 0, "L4", 8},
	{"g4-standard-48", 48, 180 * gib, 0, "RTXPRO6000", 1},
	{"g4-standard-96", 96, 360 * gib, 0, "RTXPRO6000", 2},
	{"g4-standard-192", 192, 720 * gib, 0, "RTXPRO6000", 4},
	{"g4-standard-384", 384, 1440 * gib, 0, "RTXPRO6000", 8},
})

// hosts are the N1 machines that GPUs are attached to, for offers without a project.
var hosts = byName([]machine{
	{name: "n1-standard-4", vCPUs: 4, memoryMiB: 15 * gib},
	{name: "n1-standard-8", vCPUs: 8, memoryMiB: 30 * gib},
	{name: "n1-standard-16", vCPUs: 16, memoryMiB: 60 * gib},
	{name: "n1-standard-32", vCPUs: 32, memoryMiB: 120 * gib},
	{name: "n1-standard-64", vCPUs: 64, memoryMiB: 240 * gib},
})

func byName(list []machine) map[string]machine {
	out := make(map[string]machine, len(list))
	for _, m := range list {
		out[m.name] = m
	}
	return out
}

// attachment is a number of GPUs on an N1 machine.
type attachment struct {
	device string
	count  int64
	hosts  []string
}

// attachments are those that Purser offers: the standard sizes with 4 to 8 vCPUs for
// each GPU. All lie within GCP's limits of vCPUs for a number of GPUs. Names and pairs
// are those of package csvfile, so that offers of both have the same IDs.
var attachments = []attachment{
	{"K80", 1, []string{"n1-standard-4"}},
	{"K80", 2, []string{"n1-standard-8"}},
	{"K80", 4, []string{"n1-standard-16"}},
	{"K80", 8, []string{"n1-standard-32"}},
	{"P100", 1, []string{"n1-standard-8"}},
	{"P100", 2, []string{"n1-standard-16"}},
	{"P100", 4, []string{"n1-standard-32"}},
	{"P4", 1, []string{"n1-standard-4", "n1-standard-8"}},
	{"P4", 2, []string{"n1-standard-8", "n1-standard-16"}},
	{"P4", 4, []string{"n1-standard-16", "n1-standard-32"}},
	{"T4", 1, []string{"n1-standard-4", "n1-standard-8"}},
	{"T4", 2, []string{"n1-standard-8", "n1-standard-16"}},
	{"T4", 4, []string{"n1-standard-16", "n1-standard-32"}},
	{"V100", 1, []string{"n1-standard-8"}},
	{"V100", 2, []string{"n1-standard-16"}},
	{"V100", 4, []string{"n1-standard-32"}},
	{"V100", 8, []string{"n1-standard-64"}},
}

// attachable names GPUs as the list of accelerator types does.
var attachable = map[string]string{
	"nvidia-tesla-k80": "K80", "nvidia-tesla-p100": "P100", "nvidia-tesla-p4": "P4", "nvidia-tesla-t4": "T4", "nvidia-tesla-v100": "V100",
}

// attached is a machine with GPUs attached, under a name of its own.
func attached(host machine, a attachment) machine {
	host.name = fmt.Sprintf("%s+%sx%d", host.name, a.device, a.count)
	host.device, host.devices = a.device, a.count
	return host
}

// general are the machine types without GPUs whose parts can be told for certain. It
// has no shared cores, no custom shapes and no bare metal.
var general = regexp.MustCompile(`^(e2|n1|n2|n2d|c2|c2d|c3|c3d)-(standard|highmem|highcpu)-[0-9]+(-lssd)?$`)

// family is the family whose core and memory a machine pays for.
func (m machine) family() string {
	switch {
	case strings.HasPrefix(m.name, "a3-megagpu-"):
		return "a3-mega"
	case strings.HasPrefix(m.name, "a3-ultragpu-"):
		return "a3-ultra"
	}
	name, _, _ := strings.Cut(m.name, "-")
	return name
}

// items are the parts that a machine is paid by.
func (m machine) items() []item {
	gpus := item{part{gpu, m.device}, m.devices, 1}
	if m.family() == "a4" {
		return []item{gpus} // a slice of an A4 holds its vCPUs, memory and SSD too
	}
	items := []item{{part{core, m.family()}, m.vCPUs, 1}, {part{ram, m.family()}, m.memoryMiB, gib}}
	if m.device != "" {
		items = append(items, gpus)
	}
	if m.ssdGiB > 0 {
		items = append(items, item{part{ssd, ""}, m.ssdGiB, 1})
	}
	return items
}

// sold says whether a machine is sold in a way at all, whatever prices are listed.
func (m machine) sold(option purser.PurchaseOption) bool {
	switch option {
	case purser.OnDemand:
		small := m.family() == "a3" && m.devices < 8
		return m.family() != "a4" && m.family() != "a3-ultra" && !small
	case purser.FlexStart:
		return m.family() != "g4"
	default:
		return true
	}
}

func (m machine) shape() purser.Shape {
	s := purser.Shape{MilliCPU: m.vCPUs * 1000, MemoryMiB: m.memoryMiB, DiskMiB: m.ssdGiB * gib}
	if m.device != "" {
		s.Devices = purser.MilliDevices(m.devices) * purser.OneDevice
		fillDevice(&s, m.device)
	}
	return s
}

// fillDevice fills a shape's device from any of its names.
func fillDevice(s *purser.Shape, device string) {
	a, _ := purser.AcceleratorNamed(device)
	s.Accelerator, s.DeviceMemoryMiB = a.Name, int64(a.MemoryGiB*gib)
}
