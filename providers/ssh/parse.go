package ssh

import (
	"encoding/csv"
	"encoding/json"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"purser"
)

// Report is what a host says of itself.
type Report struct {
	Arch      string // as uname -m has it
	CPUs      int    // processors in /proc/cpuinfo
	MemoryMiB int64
	DiskMiB   int64 // of the disk that Purser's folder lies on, in all
	FreeMiB   int64 // of it
	Product   string
	Devices   []Device
	Missing   []string // tools that the scripts need
	Failed    []string // tools of accelerators that are there and do not work
	Runtimes  []string // container runtimes
	Taken     []string // INSTALLATION/LEASE of each place that is taken
}

// Device is one accelerator.
type Device struct {
	Index       int
	Name        string // as its tool has it
	Accelerator string // canonical; empty: not known
	MemoryMiB   int64
	ID          string // UUID or bus address
}

// parseReport reads what probe.sh says. What it does not understand it passes over: a report
// that lacks something makes the host unfit, not the pool.
func parseReport(lines []string) Report {
	sections := map[string][]string{}
	name := ""
	for _, line := range lines {
		if s, ok := strings.CutPrefix(line, "== "); ok {
			name = s
		} else if strings.TrimSpace(line) != "" {
			sections[name] = append(sections[name], strings.ToValidUTF8(line, ""))
		}
	}
	one := func(name string) string {
		if len(sections[name]) == 0 {
			return ""
		}
		return strings.TrimSpace(sections[name][0])
	}
	r := Report{
		Arch: one("arch"), Product: one("product"), Missing: sections["missing"], Runtimes: sections["runtime"], Taken: sections["taken"],
		MemoryMiB: parseMeminfo(one("meminfo")),
	}
	r.CPUs = max(0, int(number(one("cpuinfo"))))
	r.DiskMiB, r.FreeMiB = parseDisk(one("disk"))
	for _, line := range sections["failed"] {
		tool, _, _ := strings.Cut(line, " ")
		r.Failed = append(r.Failed, tool)
	}
	r.Devices = slices.Concat(
		parseNvidia(strings.Join(sections["nvidia"], "\n")), parseROCm(strings.Join(sections["rocm"], "\n")),
		parseNeuron(strings.Join(sections["neuron"], "\n"), r.Product), parseXilinx(sections["xilinx"]),
	)
	return r
}

// number reads a whole number that is not negative; 0 otherwise.
func number(s string) int64 {
	n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// parseMeminfo reads "MemTotal:  32768 kB" as MiB.
func parseMeminfo(line string) int64 {
	f := strings.Fields(line)
	if len(f) != 3 || f[0] != "MemTotal:" || f[2] != "kB" {
		return 0
	}
	return number(f[1]) / 1024
}

// parseDisk reads the last line of df -Pk: file system, blocks of 1 KiB, used, free.
func parseDisk(line string) (total, free int64) {
	f := strings.Fields(line)
	if len(f) < 4 {
		return 0, 0
	}
	// The name of a file system may hold blanks; the columns are counted from the end of the
	// share of use.
	for i := 4; i < len(f); i++ {
		if strings.HasSuffix(f[i], "%") {
			return number(f[i-3]) / 1024, number(f[i-1]) / 1024
		}
	}
	return number(f[1]) / 1024, number(f[3]) / 1024
}

// parseNvidia reads nvidia-smi --query-gpu=index,name,memory.total,uuid
// --format=csv,noheader,nounits; memory in MiB.
func parseNvidia(text string) []Device {
	r := csv.NewReader(strings.NewReader(text))
	r.TrimLeadingSpace, r.LazyQuotes, r.FieldsPerRecord = true, true, -1
	rows, err := r.ReadAll()
	if err != nil {
		return nil
	}
	var out []Device
	for _, row := range rows {
		if len(row) != 4 {
			continue // a message
		}
		i, err := strconv.Atoi(strings.TrimSpace(row[0]))
		if err != nil || i < 0 {
			continue
		}
		d := Device{Index: i, Name: strings.TrimSpace(row[1]), MemoryMiB: number(row[2]), ID: strings.TrimSpace(row[3])}
		d.Accelerator = canonical(d.Name, d.MemoryMiB)
		out = append(out, d)
	}
	return out
}

// parseROCm reads rocm-smi --showproductname --showmeminfo vram --json: an object of cards,
// whose keys differ in case between versions.
func parseROCm(text string) []Device {
	at := strings.IndexByte(text, '{') // warnings come before it
	if at < 0 {
		return nil
	}
	var cards map[string]map[string]any
	if json.NewDecoder(strings.NewReader(text[at:])).Decode(&cards) != nil {
		return nil
	}
	var out []Device
	for card, fields := range cards {
		i, err := strconv.Atoi(strings.TrimPrefix(card, "card"))
		if err != nil || i < 0 {
			continue // "system"
		}
		d := Device{Index: i, ID: card}
		names := map[string]string{}
		for key, v := range fields {
			s, ok := v.(string)
			if !ok {
				continue
			}
			names[strings.ToLower(key)] = s
			if strings.EqualFold(key, "VRAM Total Memory (B)") {
				d.MemoryMiB = number(s) >> 20
			}
		}
		for _, key := range []string{"card series", "card model", "device name"} {
			if d.Name = names[key]; d.Name != "" && d.Accelerator == "" {
				d.Accelerator = canonical(d.Name, d.MemoryMiB)
			}
			if d.Accelerator != "" {
				break
			}
		}
		if d.Name == "" {
			d.Name = orElse(names["card series"], names["card model"])
		}
		out = append(out, d)
	}
	slices.SortFunc(out, func(a, b Device) int { return a.Index - b.Index })
	return out
}

// parseNeuron reads neuron-ls --json-output. It names no model, so the machine's product does
// (trn1.32xlarge); without it the number of cores and the memory do where they are one model's.
func parseNeuron(text, product string) []Device {
	at := strings.IndexByte(text, '[')
	if at < 0 {
		return nil
	}
	var list []struct {
		Device *int    `json:"neuron_device"`
		BDF    string  `json:"bdf"`
		Cores  int     `json:"nc_count"`
		Memory float64 `json:"memory_size"` // bytes
	}
	if json.NewDecoder(strings.NewReader(text[at:])).Decode(&list) != nil {
		return nil
	}
	family, _, _ := strings.Cut(product, ".")
	var out []Device
	for _, d := range list {
		if d.Device == nil || *d.Device < 0 {
			continue
		}
		n := Device{Index: *d.Device, Name: family, ID: d.BDF}
		if mib := d.Memory / (1 << 20); mib > 0 && mib < math.MaxInt32 {
			n.MemoryMiB = int64(mib)
		}
		switch {
		case strings.HasPrefix(family, "trn1"):
			n.Accelerator = "TRAINIUM"
		case strings.HasPrefix(family, "trn2"), d.Cores == 8:
			n.Accelerator = "TRAINIUM2"
		case strings.HasPrefix(family, "inf2"):
			n.Accelerator = "INFERENTIA2"
		case strings.HasPrefix(family, "inf1"), d.Cores == 4 && n.MemoryMiB <= 8192:
			n.Accelerator = "INFERENTIA"
		}
		n.Name = orElse(n.Name, "neuron")
		out = append(out, n)
	}
	return out
}

// xilinxForm is a line of xbutil examine: "[0000:03:00.1]  :  xilinx_u250_gen3x16_xdma_shell_4_1  …".
var xilinxForm = regexp.MustCompile(`^\s*\|?\s*\[([0-9a-fA-F:.]+)\]\s*[:|]?\s*\|?\s*([A-Za-z0-9_-]+)`)

// parseXilinx reads the table of devices of xbutil examine.
func parseXilinx(lines []string) []Device {
	var out []Device
	for _, line := range lines {
		m := xilinxForm.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		d := Device{Index: len(out), Name: m[2], ID: m[1]}
		if d.Accelerator = canonical(m[2], 0); d.Accelerator != "" {
			a, _ := purser.AcceleratorNamed(d.Accelerator)
			d.MemoryMiB = int64(a.MemoryGiB * 1024)
		}
		out = append(out, d)
	}
	return out
}

// canonical finds the model that a driver's name means: by the name as it is, else by the
// longest run of its words that is a model's or a family's name and whose memory is within a
// sixth of the model's; memory 0 is not known. Drivers show a little less than the nominal
// memory (ECC), and several models share a name but for it.
func canonical(name string, memoryMiB int64) string {
	fits := func(a purser.Accelerator) bool {
		nominal := a.MemoryGiB * 1024
		return memoryMiB == 0 || math.Abs(float64(memoryMiB)-nominal) <= nominal/6
	}
	if a, ok := purser.AcceleratorNamed(name); ok && fits(a) {
		return a.Name
	}
	words := strings.FieldsFunc(name, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	words = words[:min(len(words), 12)]
	for n := len(words); n > 0; n-- {
		for at := 0; at+n <= len(words); at++ {
			run := strings.Join(words[at:at+n], "-")
			if a, ok := purser.AcceleratorNamed(run); ok && fits(a) {
				return a.Name
			}
			for _, a := range purser.AcceleratorsMatching(run) {
				if fits(a) {
					return a.Name
				}
			}
		}
	}
	return ""
}
