package csvfile

import (
	"fmt"
	"strconv"
	"strings"

	"purser"
	"purser/pricing"
)

const gcp = "gcp"

// builtIn are the machine types whose GPUs come with them, by the names that the
// catalogue gives the GPUs.
var builtIn = map[string]part{
	"a2-highgpu-1g": {"A100", 1}, "a2-highgpu-2g": {"A100", 2}, "a2-highgpu-4g": {"A100", 4}, "a2-highgpu-8g": {"A100", 8}, "a2-megagpu-16g": {"A100", 16},
	"a2-ultragpu-1g": {"A100-80GB", 1}, "a2-ultragpu-2g": {"A100-80GB", 2}, "a2-ultragpu-4g": {"A100-80GB", 4}, "a2-ultragpu-8g": {"A100-80GB", 8},
	"a3-highgpu-1g": {"H100", 1}, "a3-highgpu-2g": {"H100", 2}, "a3-highgpu-4g": {"H100", 4}, "a3-highgpu-8g": {"H100", 8}, "a3-edgegpu-8g": {"H100", 8},
	"a3-megagpu-8g": {"H100-MEGA", 8}, "a3-ultragpu-8g": {"H200", 8}, "a4-highgpu-8g": {"B200", 8},
	"g2-standard-4": {"L4", 1}, "g2-standard-8": {"L4", 1}, "g2-standard-12": {"L4", 1}, "g2-standard-16": {"L4", 1}, "g2-standard-32": {"L4", 1},
	"g2-standard-24": {"L4", 2}, "g2-standard-48": {"L4", 4}, "g2-standard-96": {"L4", 8},
	"g4-standard-48": {"RTXPRO6000", 1}, "g4-standard-96": {"RTXPRO6000", 2}, "g4-standard-192": {"RTXPRO6000", 4}, "g4-standard-384": {"RTXPRO6000", 8},
}

// attachable are the GPUs that are attached to an N1 machine, with the hosts that
// Purser offers them on: the predefined standard sizes with 4 to 8 vCPUs for each
// GPU. All lie within GCP's limits of vCPUs for a number of GPUs (T4 48, 48, 96;
// P4 24, 48, 96; P100 16, 32, 64; V100 12, 24, 48, 96; K80 8, 16, 32, 64).
var attachable = map[string]map[int64][]string{
	"T4":   {1: {"n1-standard-4", "n1-standard-8"}, 2: {"n1-standard-8", "n1-standard-16"}, 4: {"n1-standard-16", "n1-standard-32"}},
	"P4":   {1: {"n1-standard-4", "n1-standard-8"}, 2: {"n1-standard-8", "n1-standard-16"}, 4: {"n1-standard-16", "n1-standard-32"}},
	"P100": {1: {"n1-standard-8"}, 2: {"n1-standard-16"}, 4: {"n1-standard-32"}},
	"V100": {1: {"n1-standard-8"}, 2: {"n1-standard-16"}, 4: {"n1-standard-32"}, 8: {"n1-standard-64"}},
	"K80":  {1: {"n1-standard-4"}, 2: {"n1-standard-8"}, 4: {"n1-standard-16"}, 8: {"n1-standard-32"}},
}

// part is a number of GPUs by the catalogue's name.
type part struct {
	accelerator string
	count       int64
}

// partNamed reads a GPU row's name and count. H100-MEGA-80GB and RTX-PRO-6000 have
// had several spellings.
func partNamed(rec record) part {
	name := strings.ToUpper(rec.accelerator)
	switch name {
	case "H100-MEGA-80GB":
		name = "H100-MEGA"
	case "RTX-PRO-6000":
		name = "RTXPRO6000"
	}
	return part{name, int64(rec.devices) / 1000}
}

type zonePart struct {
	region, zone string
	part         part
}

// gcpRows sums machines and GPUs and takes TPUs as they are. Rows come in the order
// of the machines' lines, then of the TPUs', then of what nothing takes.
func (b *builder) gcpRows(records []record) []pricing.Row {
	gpus := map[zonePart][]record{}
	var machines, tpus, loose []record
	for _, rec := range records {
		switch {
		case strings.HasPrefix(strings.ToLower(rec.accelerator), "tpu-"):
			tpus = append(tpus, rec)
		case rec.instanceType != "":
			machines = append(machines, rec)
		default:
			k := zonePart{rec.region, rec.zone, partNamed(rec)}
			gpus[k] = append(gpus[k], rec)
			loose = append(loose, rec)
		}
	}
	taken := map[int]bool{} // by line
	for _, m := range machines {
		b.machine(m, gpus, taken)
	}
	for _, rec := range tpus {
		b.tpu(rec)
	}
	for _, rec := range loose {
		if !taken[rec.line] {
			b.leftOver(rec)
		}
	}
	return b.rows
}

// machine adds the offers that a machine row takes part in.
func (b *builder) machine(m record, gpus map[zonePart][]record, taken map[int]bool) {
	in, ok := builtIn[m.instanceType]
	if !ok {
		b.add(b.offer(m), m.prices, m.accelerator, b.place(m.line))
		for _, p := range attachedTo(m.instanceType) {
			for _, gpu := range gpus[zonePart{m.region, m.zone, p}] {
				taken[gpu.line] = true
				b.sum(m, gpu, fmt.Sprintf("%s+%sx%d", m.instanceType, p.accelerator, p.count))
			}
		}
		return
	}
	found := gpus[zonePart{m.region, m.zone, in}]
	for _, gpu := range found {
		taken[gpu.line] = true
		b.sum(m, gpu, m.instanceType)
	}
	if len(found) == 0 {
		whole := m
		whole.accelerator, whole.devices = in.accelerator, purser.MilliDevices(in.count)*purser.OneDevice
		b.incomplete(whole, fmt.Sprintf("the list has no price for its %d × %s in this zone", in.count, in.accelerator))
	}
}

// attachedTo lists what can be attached to a machine type, in a fixed order.
func attachedTo(instanceType string) []part {
	var out []part
	for _, name := range []string{"K80", "P100", "P4", "T4", "V100"} {
		for _, count := range []int64{1, 2, 4, 8} {
			for _, host := range attachable[name][count] {
				if host == instanceType {
					out = append(out, part{name, count})
				}
			}
		}
	}
	return out
}

// sum adds the offers of a machine together with its GPUs.
func (b *builder) sum(m, gpu record, instanceType string) {
	whole := m
	whole.instanceType, whole.accelerator, whole.devices = instanceType, gpu.accelerator, gpu.devices
	p := prices{
		onDemand: m.prices.onDemand + gpu.prices.onDemand, hasOnDemand: m.prices.hasOnDemand && gpu.prices.hasOnDemand,
		spot: m.prices.spot + gpu.prices.spot, hasSpot: m.prices.hasSpot && gpu.prices.hasSpot,
	}
	first := len(b.rows)
	b.add(b.offer(whole), p, whole.accelerator, fmt.Sprintf("%s and %d", b.place(m.line), gpu.line))
	for i := range b.rows[first:] {
		r := &b.rows[first+i]
		machine, device := m.prices.onDemand, gpu.prices.onDemand
		if r.Offer.Option == purser.Spot {
			machine, device = m.prices.spot, gpu.prices.spot
		}
		// A sum hides a half that costs nothing.
		if r.Reason == "" && (machine <= 0 || device <= 0) {
			r.Reason = purser.QuarantineNoPrice
			r.Detail = fmt.Sprintf("its machine costs $%s/h, its %s × %s $%s/h", machine.Decimal(), gpu.devices, gpu.accelerator, device.Decimal())
		}
	}
}

// leftOver adds a GPU row that no machine takes.
func (b *builder) leftOver(rec record) {
	rec.instanceType = fmt.Sprintf("%sx%s", rec.accelerator, rec.devices)
	if b.accelerator(rec.accelerator).Name == "" {
		b.add(b.offer(rec), rec.prices, rec.accelerator, b.place(rec.line)) // Sift says that it is unknown
		return
	}
	b.incomplete(rec, "the list has no machine in this zone that takes it")
}

func (b *builder) incomplete(rec record, detail string) {
	row := pricing.Row{Offer: b.offer(rec), Place: b.place(rec.line), Reason: pricing.QuarantineIncomplete, Detail: detail}
	row.Offer.Option, row.Offer.UnitPrice = purser.OnDemand, rec.prices.onDemand
	b.rows = append(b.rows, row)
}

// tpuGeneration is how one generation's type names count, and what its hosts are.
type tpuGeneration struct {
	accelerator  string
	coresPerChip int64 // 2 where the number in a type's name counts cores, 1 where chips
	chipsPerHost int64 // of slices with more than one host
	host         tpuHost
	small        map[int64]tpuHost // types of one host that differ from host, by chips
}

type tpuHost struct{ vCPUs, memoryGiB int64 }

// tpuGenerations has the hosts as GCP's pages of TPU machines give them.
var tpuGenerations = map[string]tpuGeneration{
	"v2":        {"TPU-V2", 2, 4, tpuHost{96, 334}, nil},
	"v3":        {"TPU-V3", 2, 4, tpuHost{96, 334}, nil},
	"v4":        {"TPU-V4", 2, 4, tpuHost{240, 407}, nil},
	"v5p":       {"TPU-V5P", 2, 4, tpuHost{208, 448}, nil},
	"v5litepod": {"TPU-V5E", 1, 4, tpuHost{112, 192}, map[int64]tpuHost{1: {24, 48}, 8: {224, 384}}},
	"v5e":       {"TPU-V5E", 1, 4, tpuHost{112, 192}, map[int64]tpuHost{1: {24, 48}, 8: {224, 384}}},
	"v6e":       {"TPU-V6E", 1, 4, tpuHost{180, 720}, map[int64]tpuHost{1: {44, 176}, 8: {180, 1440}}},
}

// tpu adds the offers of a TPU row such as tpu-v3-8.
func (b *builder) tpu(rec record) {
	slice := strings.ToLower(rec.accelerator)[len("tpu-"):]
	rec.instanceType = slice
	name, number, _ := strings.Cut(slice, "-")
	size, err := strconv.ParseInt(number, 10, 32)
	g, ok := tpuGenerations[name]
	if !ok || err != nil || size <= 0 || size%g.coresPerChip != 0 {
		b.add(b.offer(rec), rec.prices, rec.accelerator, b.place(rec.line)) // Sift says that it is unknown
		return
	}
	chips := size / g.coresPerChip
	hosts, host := (chips+g.chipsPerHost-1)/g.chipsPerHost, g.host
	if single, ok := g.small[chips]; ok {
		hosts, host = 1, single
	}
	rec.accelerator = g.accelerator
	rec.devices = purser.MilliDevices(chips) * rec.devices // a row counts slices
	rec.milliCPU, rec.memoryMiB = hosts*host.vCPUs*1000, hosts*host.memoryGiB*1024
	b.add(b.offer(rec), rec.prices, rec.accelerator, b.place(rec.line))
}
