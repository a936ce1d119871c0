package bench

import (
	"compress/gzip"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"purser"
)

// fleetFolder writes a small folder in the layout of the real data: requests of two
// sizes, times that do not depend on the batch, and two kinds of machine. Engines of
// Splitwise's are pairs; Helix's are far too slow.
func fleetFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = f.Close() }()
		if !strings.HasSuffix(name, ".gz") {
			_, err = f.WriteString(text)
		} else {
			z := gzip.NewWriter(f)
			if _, err = z.Write([]byte(text)); err == nil {
				err = z.Close()
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	write(fleetRequests, "TIMESTAMP,ContextTokens,GeneratedTokens\nx,100,50\nx,100,50\nx,100,50\nx,3000,100\n")
	times := "model,hardware,prompt_size,batch_size,token_size,prompt_time,token_time,e2e_time,tensor_parallel\n"
	for hardware, ms := range map[string][2]int{"a100-80gb": {100, 400}, "h100-80gb": {50, 100}} {
		for i, prompt := range []int{100, 3000} {
			times += fmt.Sprintf("llama2-70b,%s,%d,1,128,%d,40,5300,2\n", hardware, prompt, ms[i])
		}
		for _, batch := range []int{1, 2} {
			times += fmt.Sprintf("llama2-70b,%s,512,%d,128,%d,40,5300,2\n", hardware, batch, ms[0])
		}
		times += fmt.Sprintf("llama2-70b,%s,512,64,128,100,40,99999,2\n", hardware)
	}
	write(fleetTimes, times)
	for _, d := range helixDevices {
		write(filepath.Join(fleetLayers, d.folder, "prompt_bs2time.csv"), "0,0\n250,50\n500,100\n")
		write(filepath.Join(fleetLayers, d.folder, "decode_bs2time.csv"), "0,0\n2,50.0\n4,51")
	}
	for _, provider := range strings.Fields(catalogues) {
		rows := "InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,GpuInfo,Price,SpotPrice,Region,AvailabilityZone\nplain,,,2,8,,0.1,,somewhere,somewhere-a\n"
		if provider == "aws" {
			for zone := range 3 {
				for kind, price := range map[string]float64{"A100-80GB": 4, "H100": 9} {
					for _, n := range []int{1, 2, 4} {
						rows += fmt.Sprintf("%s-%d,%s,%d,%d,%d,,%g,%g,us-east-1,use1-az%d\n", kind, n, kind, n, 8*n, 64*n, price*float64(n)/2, price*float64(n)/8, zone)
					}
				}
			}
		}
		write("price-catalogs-2024-02/"+provider+".csv.gz", rows)
	}
	return dir
}

// A fleet of the fixture: rates by hand, and an optimum that mixes two kinds.
func TestFleetKnownOptimum(t *testing.T) {
	f, err := ReadFleet(t.Context(), fleetFolder(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(f.buckets) != 2 || f.buckets[0].share != 0.75 || f.buckets[1].requestSize != (requestSize{3000, 100}) {
		t.Fatalf("buckets %+v", f.buckets)
	}
	m := f.market(fleetSettings[0], 0.12)
	if len(m.engines) != 2 || m.engines[0].devices != 2 || len(m.offers) != 6 || m.offers[0].Devices != 2000 {
		t.Fatalf("engines %+v on %d offers", m.engines, len(m.offers))
	}
	// Two requests at once, 40 ms a step: 1/(prompt + out·0.02).
	for k, want := range [][2]float64{{1 / 1.1, 1 / 2.4}, {1 / 1.05, 1 / 2.1}} {
		for i := range want {
			if got := m.engines[k].rates[i]; math.Abs(got-want[i]) > 1e-9 {
				t.Errorf("%s serves %g of bucket %d, want %g", m.engines[k].accelerator, got, i, want[i])
			}
		}
	}
	// At 1 req/s A100s carry 0.75·1.1 + 0.25·2.4 = 1.425 engines: two.
	if got := m.single(0, 1); got != 8 {
		t.Errorf("a single type costs %g", got)
	}
	figures, err := f.Run(t.Context(), newEvaSolver(t), FleetRun{TPOT: 0.12, Rates: []float64{1, 16}, Limit: time.Minute, Now: still})
	if err != nil {
		t.Fatal(err)
	}
	by := map[string]float64{}
	for _, g := range figures {
		by[strings.TrimPrefix(g.Case, "E4 120 ms, ")+": "+g.Method] = g.Value
	}
	for name, want := range map[string]float64{
		"on demand, 1 req/s: ours": 8, "on demand, 1 req/s: best single type": 8, "on demand, 1 req/s: Mélange's program": 8, "with spot, 1 req/s: ours": 2,
	} {
		if math.Abs(by[name]-want) > 1e-6 {
			t.Errorf("%s is %g, want %g", name, by[name], want)
		}
	}
	if plain, spare := by["on demand, 16 req/s: ours"], by["on demand, 16 req/s: ours, N+1 over zones"]; spare <= plain {
		t.Errorf("a reserve takes %g to %g", plain, spare)
	}
	for name, v := range by {
		setting, ours := strings.CutSuffix(name, ": ours")
		if ours && (v < by[setting+": Mélange's program"]-1e-6 || !strings.HasSuffix(setting, "all rates") && v < by[setting+": bound"]) {
			t.Errorf("%s: %g lies below a bound", name, v)
		}
	}
}

// Longer outputs per request, a tighter objective and a larger batch do what they should.
func TestRates(t *testing.T) {
	c := func(points ...float64) curve {
		var out curve
		for i := 0; i < len(points); i += 2 {
			out = append(out, point{points[i], points[i+1]})
		}
		return out
	}
	tm := timing{accelerator: "A100-80GB", devices: 2, staged: true, prompt: c(0, 0, 1000, 0.1), step: c(1, 0.04, 10, 0.05)}
	if got := tm.rate(requestSize{1000, 100}, 1, 0.04, fp16); math.Abs(got-1/4.1) > 1e-9 {
		t.Errorf("one at a time: %g", got)
	}
	wide := tm.rate(requestSize{1000, 100}, 1, 1, fp16)
	if want := 1 / (0.1 + 100*0.05/10); math.Abs(wide-want) > 1e-9 {
		t.Errorf("ten at a time: %g, want %g", wide, want)
	}
	if got := tm.rate(requestSize{1000, 100}, 2, 1, fp16); math.Abs(got-2*wide) > 1e-9 {
		t.Errorf("two stages: %g, one %g", got, wide)
	}
	if got := tm.rate(requestSize{1000, 100}, 1, 0.03, fp16); got != 0 {
		t.Errorf("faster than can be: %g", got)
	}
	if got := tm.rate(requestSize{100_000, 100}, 1, 1, fp16); got != 0 {
		t.Errorf("more than the memory holds: %g", got)
	}
	if got := c(1, 2, 3, 4).at(5); got != 6 {
		t.Errorf("beyond the last point: %g", got)
	}
}

// Files that are missing or wrong are named, with the line.
func TestFleetFilesThatAreWrong(t *testing.T) {
	for _, c := range []struct{ file, old, new, want string }{
		{fleetRequests, "3000,100", "3000,many", "conv.csv:5: "},
		{fleetRequests, "3000,100", "3000", "conv.csv: record on line 5"},
		{fleetRequests, "100,50", "0,50", "conv.csv:2: "},
		{fleetRequests, "ContextTokens", "Context", "conv.csv:1: "},
		{fleetTimes, "5300", "-5300", "perf_model.csv:2: "},
		{fleetLayers + "/l4/decode_bs2time.csv", "4,51", "1,51", "decode_bs2time.csv:3: "},
		{fleetLayers + "/l4/decode_bs2time.csv", "4,51", "NaN,51", "decode_bs2time.csv:3: "},
	} {
		dir := fleetFolder(t)
		spoil(t, filepath.Join(dir, c.file), c.old, c.new)
		if _, err := ReadFleet(t.Context(), dir); purser.KindOf(err) != purser.KindInvalid || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s with %s: %v, want %s", c.file, c.new, err, c.want)
		}
	}
	dir := fleetFolder(t)
	if err := os.Remove(filepath.Join(dir, fleetTimes)); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadFleet(t.Context(), dir); purser.KindOf(err) != purser.KindNotFound {
		t.Errorf("a missing file: %v", err)
	}
}

// The paper's totals, of a table of two rates, and a row that does not add up.
func TestMelangePaper(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, fleetPaper)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	text := "dataset,tpot_slo_ms,rate_req_s,solver,L4,A10G,A100,H100,cost_usd_h\n" +
		"toy,120,1,melange,1,1,0,0,1.71\ntoy,120,2,melange,0,0,1,0,3.67\ntoy,120,1,a100,0,0,1,0,3.67\ntoy,120,2,a100,0,0,1,0,3.67\ntoy,120,1,l4,2,0,0,0,1.4\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	figures, err := MelangePaper(dir)
	if err != nil || len(figures) != 3 || math.Abs(figures[0].Value-5.38) > 1e-9 || math.Abs(figures[1].Value-7.34) > 1e-9 {
		t.Errorf("%+v %v", figures, err)
	}
	spoil(t, path, "1.71", "1.81")
	if _, err := MelangePaper(dir); purser.KindOf(err) != purser.KindInvalid || !strings.Contains(err.Error(), "allocations.csv:2: ") {
		t.Errorf("a row that does not add up: %v", err)
	}
}

// On the real data the paper's totals come out as its tables say.
func TestMelangePaperTotals(t *testing.T) {
	dir := os.Getenv("PURSER_DATA")
	if dir == "" {
		t.Skip("the real data is not here: PURSER_DATA is not set")
	}
	figures, err := MelangePaper(dir)
	if err != nil {
		t.Fatal(err)
	}
	by := map[string]float64{}
	for _, f := range figures {
		by[f.Case+": "+f.Method] = f.Value
	}
	for name, want := range map[string]float64{"arena": 56.13, "pubmed": 623.88, "mixed": 118.08} {
		if got := by["paper, "+name+" 120 ms: Mélange"]; math.Abs(got-want) > 0.01 {
			t.Errorf("%s comes to %g, want %g", name, got, want)
		}
	}
}
