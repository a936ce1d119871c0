package ssh

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"purser"
)

func TestParseNvidia(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []Device
	}{
		"eight in short": {
			"0, NVIDIA H100 80GB HBM3, 81559, GPU-1\n1, NVIDIA H100 80GB HBM3, 81559, GPU-2",
			[]Device{{0, "NVIDIA H100 80GB HBM3", "H100", 81559, "GPU-1"}, {1, "NVIDIA H100 80GB HBM3", "H100", 81559, "GPU-2"}},
		},
		"unknown model":  {"0, NVIDIA Future 9000, 1024, GPU-1", []Device{{0, "NVIDIA Future 9000", "", 1024, "GPU-1"}}},
		"memory missing": {"0, Tesla T4, [N/A], GPU-1", []Device{{0, "Tesla T4", "T4", 0, "GPU-1"}}},
		"no devices":     {"No devices were found", nil},
		"driver broken":  {"NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver, see, there, is", nil},
		"nothing":        {"", nil},
	} {
		if got := parseNvidia(c.text); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func TestParseROCm(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []Device
	}{
		"new keys, a warning first, out of order": {
			"WARNING: AMD GPU device(s) is/are in a low-power state.\n" +
				`{"card1": {"Card Series": "AMD Instinct MI300X", "Card Model": "0x74a1", "VRAM Total Memory (B)": "206141652992", "GUID": "1"}, ` +
				`"card0": {"Card Series": "AMD Instinct MI300X", "Card Model": "0x74a1", "VRAM Total Memory (B)": "206141652992"}, "system": {"Driver version": "6.7"}}`,
			[]Device{{0, "AMD Instinct MI300X", "MI300X", 196592, "card0"}, {1, "AMD Instinct MI300X", "MI300X", 196592, "card1"}},
		},
		"old keys": {`{"card0": {"Card series": "Instinct MI100", "Card model": "0x0c34", "VRAM Total Memory (B)": "34342961152"}}`, []Device{{0, "Instinct MI100", "MI100", 32752, "card0"}}},
		"unknown":  {`{"card0": {"Card series": "Radeon X", "Card model": "0x1"}}`, []Device{{0, "Radeon X", "", 0, "card0"}}},
		"cut off":  {`{"card0": {"Card series": `, nil},
		"nothing":  {"", nil},
	} {
		if got := parseROCm(c.text); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func TestParseNeuron(t *testing.T) {
	const two = `[{"neuron_device":0,"bdf":"00:1e.0","connected_to":[1],"nc_count":2,"memory_size":34359738368,"neuron_processes":[]},{"neuron_device":1,"bdf":"00:1f.0","nc_count":2,"memory_size":34359738368}]`
	for name, c := range map[string]struct {
		text, product, want string
	}{
		"trn1":               {two, "trn1.32xlarge", "TRAINIUM TRAINIUM 32768"},
		"inf2":               {two, "inf2.8xlarge", "INFERENTIA2 INFERENTIA2 32768"},
		"two models alike":   {two, "", "  32768"},
		"trn2 by its cores":  {strings.ReplaceAll(two, `"nc_count":2`, `"nc_count":8`), "", "TRAINIUM2 TRAINIUM2 32768"},
		"inf1 by its memory": {strings.NewReplacer(`"nc_count":2`, `"nc_count":4`, "34359738368", "8589934592").Replace(two), "", "INFERENTIA INFERENTIA 8192"},
	} {
		got := parseNeuron(c.text, c.product)
		if len(got) != 2 || fmt.Sprint(got[0].Accelerator, " ", got[1].Accelerator, " ", got[1].MemoryMiB) != c.want || got[1].ID != "00:1f.0" {
			t.Errorf("%s: %+v, want %s", name, got, c.want)
		}
	}
	for _, text := range []string{"", "[]", "no devices", `[{"x":1}]`, `[{"neuron_device":-1}]`, "[{"} {
		if got := parseNeuron(text, ""); len(got) != 0 {
			t.Errorf("%q gave %+v", text, got)
		}
	}
}

func TestParseXilinx(t *testing.T) {
	text := `System Configuration
  OS Name              : Linux
Devices present
BDF             :  Shell                            Logic UUID  Device ID         Device Ready*
-------------------------------------------------------------------------------------------------
[0000:03:00.1]  :  xilinx_u250_gen3x16_xdma_shell_4_1  12C8  user(inst=128)  Yes
[0000:04:00.1]  :  xilinx_u999_base                    0000  user(inst=129)  Yes`
	want := []Device{{0, "xilinx_u250_gen3x16_xdma_shell_4_1", "U250", 64 * 1024, "0000:03:00.1"}, {1, "xilinx_u999_base", "", 0, "0000:04:00.1"}}
	if got := parseXilinx(strings.Split(text, "\n")); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestCanonicalNames(t *testing.T) {
	for name, c := range map[string]struct {
		memory int64
		want   string
	}{
		"NVIDIA A100-SXM4-80GB":              {81920, "A100-80GB"},
		"NVIDIA A100-SXM4-40GB":              {40960, "A100-40GB"},
		"NVIDIA A100-PCIE-40GB":              {40960, "A100-40GB"},
		"NVIDIA A100 80GB PCIe":              {81920, "A100-80GB"},
		"NVIDIA H100 PCIe":                   {81559, "H100-PCIE"},
		"NVIDIA H100 NVL":                    {95830, "H100-NVL"},
		"NVIDIA H200":                        {143771, "H200"},
		"NVIDIA GH200 480GB":                 {97871, "GH200"},
		"NVIDIA B200":                        {183359, "B200"},
		"Tesla V100-SXM2-16GB":               {16384, "V100-16GB"},
		"Tesla V100-SXM2-32GB":               {32768, "V100-32GB"},
		"Tesla T4":                           {15360, "T4"},
		"NVIDIA L40S":                        {46068, "L40S"},
		"NVIDIA A10G":                        {23028, "A10G"},
		"NVIDIA GeForce RTX 4090":            {24564, "RTX4090"},
		"NVIDIA RTX A6000":                   {49140, "A6000"},
		"NVIDIA RTX 6000 Ada Generation":     {49140, "RTX6000-ADA"},
		"Quadro RTX 6000":                    {24576, "RTX6000"},
		"AMD Instinct MI300X OAM":            {196592, "MI300X"},
		"xilinx_u250_gen3x16_xdma_shell_4_1": {0, "U250"},
		"Matrox G200":                        {16, ""},
		"":                                   {0, ""},
	} {
		if got := canonical(name, c.memory); got != c.want {
			t.Errorf("%q with %d MiB is %q, want %q", name, c.memory, got, c.want)
		}
	}
}

func TestParseNumbers(t *testing.T) {
	for line, want := range map[string]int64{"MemTotal:       32768000 kB": 32000, "MemTotal: 1 MB": 0, "MemTotal: -5 kB": 0, "": 0, "MemFree: 1 kB": 0} {
		if got := parseMeminfo(line); got != want {
			t.Errorf("%q gave %d, want %d", line, got, want)
		}
	}
	for line, want := range map[string][2]int64{
		"/dev/sda1       2097152   1048576   1048576      50% /":    {2048, 1024},
		"//nas/my share  2097152   1048576   1048576      50% /mnt": {2048, 1024},
		"overlay 2097152 0 1024 -":                                  {2048, 1},
		"df: no such file":                                          {0, 0},
		"":                                                          {0, 0},
	} {
		if total, free := parseDisk(line); total != want[0] || free != want[1] {
			t.Errorf("%q gave %d and %d, want %v", line, total, free, want)
		}
	}
}

// What a host says is never believed to be in form.
func FuzzReport(f *testing.F) {
	f.Add("== arch\nx86_64\n== cpuinfo\n8\n== meminfo\nMemTotal: 1024000 kB\n== disk\n/dev/x 1 2 3 4% /\n== nvidia\n0, Tesla T4, 15360, GPU-1\n== failed\nnvidia-smi 9")
	f.Add("== rocm\n{\"card0\":{\"Card series\":\"MI100\",\"VRAM Total Memory (B)\":\"1\"}}\n== neuron\n[{\"neuron_device\":0,\"nc_count\":8,\"memory_size\":1e300}]")
	f.Add("== xilinx\n[0000:03:00.1] : xilinx_u250\n== taken\na/b\n== missing\nflock")
	f.Add("lease a running 1 x\nlease b gone x\n")
	f.Fuzz(func(t *testing.T, text string) {
		lines := strings.Split(text, "\n")
		r := parseReport(lines)
		if r.CPUs < 0 || r.MemoryMiB < 0 || r.DiskMiB < 0 || r.FreeMiB < 0 {
			t.Errorf("a size below 0: %+v", r)
		}
		for _, d := range r.Devices {
			if _, known := purser.AcceleratorNamed(d.Accelerator); d.Index < 0 || d.MemoryMiB < 0 || (d.Accelerator != "" && !known) {
				t.Errorf("device %+v", d)
			}
		}
		h := &host{Host: Host{Name: "a"}}
		if shape, unfit := h.fit(r); unfit == "" {
			if err := h.offer(shape, 1, time.Time{}).Check(); err != nil {
				t.Errorf("%+v is offered, and %v", r, err)
			}
		}
		got, err := answers(lines)
		for _, a := range got {
			if err == nil && !nameForm.MatchString(string(a.lease)) {
				t.Errorf("lease %q", a.lease)
			}
		}
	})
}

// tool puts a stand-in of a driver's tool where the host's scripts find it.
func tool(t *testing.T, s *testServer, name, text string) {
	t.Helper()
	bin := filepath.Join(s.dir, "tools")
	if err := os.MkdirAll(bin, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+text), 0o700); err != nil { //nolint:gosec // a script
		t.Fatal(err)
	}
	s.env = []string{"PATH=" + bin + ":" + os.Getenv("PATH")}
}

// A host is offered as what its drivers say, and left out with a reason when it has less than
// the inventory promises.
func TestOffersFollowTheProbe(t *testing.T) {
	const smi = `[ "$1" = --query-gpu=index,name,memory.total,uuid ] || exit 2
echo "0, NVIDIA A100-SXM4-80GB, 81920, GPU-1"
echo "1, NVIDIA A100-SXM4-80GB, 81920, GPU-2"
`
	promised := purser.Shape{Accelerator: "A100-80GB", Devices: 2000, MilliCPU: 8000, MemoryMiB: 65536}
	for name, c := range map[string]struct {
		smi      string
		declared purser.Shape
		want     string // accelerator and milli-devices, or why it is left out
	}{
		"as found":                      {smi, purser.Shape{}, "A100-80GB 2000 81920"},
		"as promised":                   {smi, promised, "A100-80GB 2000 0"},
		"one too few":                   {strings.Replace(smi, `echo "1`, `: "1`, 1), promised, "it has 1 of 2 A100-80GB"},
		"the driver fails":              {"exit 9\n", promised, "it has 0 of 2 A100-80GB, and nvidia-smi failed"},
		"fails and nothing is promised": {"exit 9\n", purser.Shape{}, "its devices are not known, and nvidia-smi failed"},
		"two models":                    {smi + "echo '2, Tesla T4, 15360, GPU-3'\n", purser.Shape{}, "its devices are not all alike; give its shape"},
		"a model nobody knows":          {"echo '0, Voodoo, 4, GPU-1'\n", purser.Shape{}, `its device "Voodoo" is no model that is known; give its shape`},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			tool(t, s, "nvidia-smi", c.smi)
			h := s.host("a")
			h.Places, h.Shape, h.Labels = 0, c.declared, map[string]string{"rack": "7"}
			p := newPool(t, s.configOf(h))
			status, err := p.Inspect(t.Context())
			if err != nil || len(status) != 1 || status[0].Err != nil || status[0].Host.Labels["rack"] != "7" {
				t.Fatalf("Inspect gave %+v, %v", status, err)
			}
			offers, err := p.Offers(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got := status[0].Unfit
			if len(offers) == 1 {
				o := offers[0]
				got = fmt.Sprint(o.Accelerator, " ", int64(o.Devices), " ", o.DeviceMemoryMiB)
				if o.Option != purser.Private || o.Limit != 1 || o.Zone != "a" || o.MilliCPU == 0 || o.MemoryMiB == 0 {
					t.Errorf("offer %+v", o)
				}
			}
			if got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}
