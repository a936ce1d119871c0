package kubernetes

import (
	"math"
	"regexp"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"purser"
)

// devicePlugins are the resources that device plugins give out as whole devices, by exact
// name, or by the beginning of it where that ends with a slash, a dash or an underscore.
// Each has its vendor's label for the product, tried in order, and what the devices are
// where no label tells.
var devicePlugins = []struct {
	resource string
	labels   []string
	device   string // accelerator of every device under this name; empty: labels tell
}{
	{"nvidia.com/gpu", nvidiaLabels, ""},
	{"nvidia.com/gpu.shared", nvidiaLabels, ""},
	{"nvidia.com/mig-", nvidiaLabels, ""},
	{"amd.com/gpu", []string{"amd.com/gpu.product-name", "beta.amd.com/gpu.product-name", "karpenter.k8s.aws/instance-gpu-name"}, ""},
	{"google.com/tpu", []string{"cloud.google.com/gke-tpu-accelerator"}, ""},
	{"aws.amazon.com/neuron", []string{"karpenter.k8s.aws/instance-accelerator-name", corev1.LabelInstanceTypeStable}, ""},
	{"habana.ai/gaudi", []string{"habana.ai/gaudi.product", "karpenter.k8s.aws/instance-accelerator-name", corev1.LabelInstanceTypeStable}, ""},
	{"amd.com/xilinx_u250", nil, "U250"},
	{"xilinx.com/fpga-xilinx_u250", nil, "U250"},
}

var nvidiaLabels = []string{"nvidia.com/gpu.product", "cloud.google.com/gke-accelerator", "karpenter.k8s.aws/instance-gpu-name", "gpu.nvidia.com/model", "gpu.nvidia.com/class"}

// amdDevices are AMD's products by PCI device id, which the labels have as a part of
// their name (beta.amd.com/gpu.device-id.74a1=8) even where the product's name is missing.
var amdDevices = map[string]string{
	"738c": "MI100", "740c": "MI250", "740f": "MI250", "7408": "MI250",
	"74a1": "MI300X", "74a5": "MI325X", "74b5": "MI300X", "74b9": "MI325X", "75a3": "MI355X", "75b3": "MI355X",
}

// machineTypes say what devices a machine type has that tells it by its name alone.
var machineTypes = []struct{ prefix, device string }{
	{"trn2", "TRAINIUM2"}, {"trn1", "TRAINIUM"}, {"inf2", "INFERENTIA2"}, {"inf1", "INFERENTIA"}, {"dl1", "GAUDI"}, {"dl2q", "AI100"},
}

// tpus are Google's labels for TPUs.
var tpus = map[string]string{
	"tpu-v3-slice": "TPU-V3", "tpu-v3-device": "TPU-V3", "tpu-v4-podslice": "TPU-V4", "tpu-v4-lite-device": "TPU-V4",
	"tpu-v5-lite-podslice": "TPU-V5E", "tpu-v5-lite-device": "TPU-V5E", "tpu-v5p-slice": "TPU-V5P", "tpu-v6e-slice": "TPU-V6E",
}

// plugin finds the row of a resource, or nothing.
func plugin(resource string) (labels []string, device string, ok bool) {
	for _, d := range devicePlugins {
		prefix := strings.HasSuffix(d.resource, "-") || strings.Contains(d.resource, "xilinx")
		if d.resource == resource || (prefix && strings.HasPrefix(resource, d.resource)) {
			return d.labels, d.device, true
		}
	}
	return nil, "", false
}

// acceleratorOf finds out what the devices of a resource are from the labels around them.
// said is what the labels say, for people.
func acceleratorOf(resource string, labels map[string]string) (a purser.Accelerator, said string, ok bool) {
	if own := labels[LabelAccelerator]; own != "" {
		a, ok = purser.AcceleratorNamed(own)
		return a, own, ok
	}
	keys, device, _ := plugin(resource)
	if device != "" {
		a, ok = purser.AcceleratorNamed(device)
		return a, device, ok
	}
	for _, key := range keys {
		value := labels[key]
		if value == "" {
			continue
		}
		said = value
		if a, ok = product(value, memoryLabel(labels)); ok {
			return a, value, true
		}
	}
	if strings.HasPrefix(resource, "amd.com/") {
		for key := range labels {
			if i := strings.Index(key, "gpu.device-id."); i >= 0 {
				said = key
				if a, ok = purser.AcceleratorNamed(amdDevices[strings.ToLower(key[i+len("gpu.device-id."):])]); ok {
					return a, key, true
				}
			}
		}
	}
	return purser.Accelerator{}, said, false
}

// memoryLabel is the memory of a device in MiB as labels tell it, or 0.
func memoryLabel(labels map[string]string) int64 {
	for _, key := range []string{"nvidia.com/gpu.memory", "karpenter.k8s.aws/instance-gpu-memory"} {
		if n, err := strconv.ParseInt(labels[key], 10, 64); err == nil {
			return n
		}
	}
	return 0
}

// Words in products' names that say nothing of which model it is.
var noise = map[string]bool{
	"nvidia": true, "tesla": true, "amd": true, "instinct": true, "geforce": true, "shared": true, "generation": true,
	"server": true, "edition": true, "workstation": true, "hbm3": true, "hbm3e": true, "hbm2e": true, "oam": true, "vf": true,
}

var (
	migWord  = regexp.MustCompile(`(?i)-mig-.*$`)
	sizeWord = regexp.MustCompile(`^([0-9]+)gb$`)
	splitter = regexp.MustCompile(`[-_ ]+`)
)

// product reads a vendor's name of a product, such as NVIDIA-A100-SXM4-80GB-MIG-1g.10gb.
// memory in MiB, where it is known, chooses among models of one family.
func product(name string, memory int64) (purser.Accelerator, bool) {
	name = migWord.ReplaceAllString(name, "")
	if a, ok := purser.AcceleratorNamed(tpus[strings.ToLower(name)]); ok {
		return a, true
	}
	for _, m := range machineTypes {
		if strings.HasPrefix(name, m.prefix) {
			return purser.AcceleratorNamed(m.device)
		}
	}
	var words []string
	gib := float64(memory) / 1024
	for _, w := range splitter.Split(strings.ToLower(name), -1) {
		if !noise[w] {
			words = append(words, w)
		}
		if m := sizeWord.FindStringSubmatch(w); m != nil && gib == 0 {
			gib, _ = strconv.ParseFloat(m[1], 64) // the form says that it is one
		}
	}
	// The longest beginning that names something: RTX-6000-ADA before RTX-6000.
	for n := len(words); n > 0; n-- {
		word := strings.Join(words[:n], "-")
		a, ok := purser.AcceleratorNamed(word)
		if !ok {
			if family := purser.AcceleratorsMatching(word); len(family) > 0 {
				a, ok = family[0], true
			}
		}
		if ok {
			return sized(a, gib), true
		}
	}
	return purser.Accelerator{}, false
}

// sized is the model of a's family whose memory is nearest, if a's own is far from it.
func sized(a purser.Accelerator, gib float64) purser.Accelerator {
	if gib == 0 || math.Abs(a.MemoryGiB-gib) <= a.MemoryGiB/8 {
		return a
	}
	best := a
	for _, m := range purser.AcceleratorsMatching(a.Family) {
		if math.Abs(m.MemoryGiB-gib) < math.Abs(best.MemoryGiB-gib) {
			best = m
		}
	}
	return best
}

var migForm = regexp.MustCompile(`^nvidia\.com/mig-([0-9]+)g\.([0-9]+)gb`)

// sliceOf says which share of a device a unit of the resource is, in thousandths: by
// memory for MIG, by the number of replicas for time slicing. The share is 125, 250, 500 or
// 1000; kind is the slice's name in instance types, empty for whole devices. A share of
// another size is told by ok false.
func sliceOf(resource string, labels map[string]string, a purser.Accelerator) (share int64, kind string, ok bool) {
	if m := migForm.FindStringSubmatch(resource); m != nil {
		gib, _ := strconv.ParseFloat(m[2], 64) // the form says that it is one
		eighths := gib * 8 / a.MemoryGiB
		for _, n := range []float64{1, 2, 4, 8} {
			if eighths > n*0.8 && eighths < n*1.25 {
				return int64(n * 125), strings.TrimPrefix(resource, "nvidia.com/"), true
			}
		}
		return 0, "", false
	}
	if !strings.HasPrefix(resource, "nvidia.com/gpu") {
		return 1000, "", true
	}
	switch labels["nvidia.com/gpu.replicas"] {
	case "", "0", "1":
		return 1000, "", resource != "nvidia.com/gpu.shared"
	case "2":
		return 500, "shared-2", true
	case "4":
		return 250, "shared-4", true
	case "8":
		return 125, "shared-8", true
	default:
		return 0, "", false
	}
}
