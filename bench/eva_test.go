package bench

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"purser"
	"purser/optimizer/highs"
)

// evaSolver is the solver of these tests, compiled once.
var evaSolver = sync.OnceValues(func() (*highs.Runtime, error) {
	return highs.New(context.Background(), highs.Config{CacheDir: filepath.Join(os.TempDir(), "purser-test-solver")})
})

func newEvaSolver(t *testing.T) *highs.Runtime {
	t.Helper()
	rt, err := evaSolver()
	if errors.Is(err, highs.ErrNoModule) && os.Getenv("CI") == "" {
		t.Skip("the solver is not built in; run `make build`")
	}
	if err != nil {
		t.Fatal(err)
	}
	return rt
}

// still is a clock that stands.
func still() time.Time { return time.Time{} }

// The optimum of the fixture: both tasks with devices and one of the others share a
// p3.large, and the last one has an r7i.large. α is 0.75 $ a vCPU; of the others' 8
// vCPUs and 60 GiB the memory alone is worth 60·0.6/64 $, and both together 0.5833 $.
func TestEvaKnownOptimum(t *testing.T) {
	figures, err := RunEva(t.Context(), newEvaSolver(t), "testdata", still)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]float64{"bound, one resource": 9.5625, "bound, linear": 9 + 0.35/0.6, "no packing": 25.2, "gap": 0}
	if len(figures) != 22 {
		t.Errorf("%d figures", len(figures))
	}
	for _, f := range figures {
		w, ok := want[f.Method]
		if !ok {
			w = 12.6
		}
		if math.Abs(f.Value-w) > 1e-6 {
			t.Errorf("%s: %s is %g, want %g", f.Case, f.Method, f.Value, w)
		}
	}
}

// What every packer makes is feasible and costs no less than the bounds.
func TestPackersAreFeasible(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawCase(t)
		one, linear := c.bounds()
		if one > linear+1e-9 {
			t.Errorf("one resource gives %g, all of them %g", one, linear)
		}
		alone := c.cost(c.alone())
		for _, b := range c.baselines() {
			bins := b.pack()
			if err := c.check(bins); err != nil {
				t.Errorf("%s: %v", b.name, err)
			}
			if cost := c.cost(bins).USD(); cost < linear-1e-9 {
				t.Errorf("%s costs %g, below the bound %g", b.name, cost, linear)
			}
			if strings.HasPrefix(b.name, "reservation") && c.cost(bins) > alone {
				t.Errorf("%s costs more than no packing", b.name)
			}
		}
	})
}

// drawCase makes up to eight tasks, and machines of which the largest hold any.
func drawCase(t *rapid.T) *packCase {
	c := packCase{types: []machineType{
		{"p3.large", "p3", amount{4, 16, 128}, purser.USDPerHourOf(12)},
		{"p3.small", "p3", amount{1, 4, 32}, purser.USDPerHourOf(3)},
		{"r7i.large", "r7i", amount{0, 16, 128}, purser.USDPerHourOf(rapid.Float64Range(0.5, 2).Draw(t, "r7i"))},
		{"c7i.small", "c7i", amount{0, 4, 8}, purser.USDPerHourOf(0.2)},
	}}
	for range rapid.IntRange(1, 8).Draw(t, "tasks") {
		c.tasks = append(c.tasks, packTask{
			need:    amount{rapid.Int64Range(0, 4).Draw(t, "devices"), rapid.Int64Range(1, 16).Draw(t, "cpus"), rapid.Int64Range(1, 128).Draw(t, "memory")},
			seconds: rapid.Float64Range(1, 1e5).Draw(t, "seconds"),
		})
	}
	return &c
}

// The check finds what is wrong with a packing.
func TestPackingsThatAreNone(t *testing.T) {
	c := packCase{
		types: []machineType{{"p3.small", "p3", amount{1, 4, 32}, 1}},
		tasks: []packTask{{need: amount{1, 1, 1}}, {need: amount{1, 1, 1}}},
	}
	for name, bins := range map[string][]bin{
		"overfull": {{tasks: []int{0, 1}}}, "one is missing": {{tasks: []int{0}}}, "one is twice": {{tasks: []int{0}}, {tasks: []int{1}}, {tasks: []int{1}}},
	} {
		if c.check(bins) == nil {
			t.Errorf("%s passes", name)
		}
	}
}

// Files that are missing or wrong are named, with the line.
func TestEvaFilesThatAreWrong(t *testing.T) {
	for name, c := range map[string]struct{ file, old, new, want string }{
		"no number":     {"pai_200.json", "[1, 6, 20]", `[1, "6", 20]`, "pai_200.json:2: 0: "},
		"two numbers":   {"pai_200.json", "[0, 4, 30]", "[0, 4]", "pai_200.json:4: 2: "},
		"no machine":    {"pai_200.json", "[0, 4, 30]", "[0, 4, 300]", "pai_200.json"},
		"negative":      {"pai_200.json", "[0, 4, 30]", "[0, -4, 30]", "pai_200.json:4: 2: "},
		"by family":     {"pai_200.json", `"any": [0`, `"p3": [0, 8, 30], "c7i": [0`, "pai_200.json:4: 2: "},
		"no time":       {"pai_200.json", `"duration": 700`, `"duration": 0`, "pai_200.json:3: 1: "},
		"twice":         {"pai_200.json", `"10": {"d`, `"2": {"d`, "pai_200.json:5: "},
		"cut off":       {"pai_200.json", "\n}", "", "pai_200.json:5: "},
		"free":          {"ec2_config.json", "0.40", "0.00", "ec2_config.json:7: c7i.large: "},
		"other devices": {"ec2_config.json", `32], "cost": 3.00, "family": "p3"`, `32], "cost": 3.00, "family": "g5"`, "ec2_config.json:4: p3.small: "},
		"no types":      {"ec2_config.json", "instance_types", "types", "ec2_config.json:3: "},
	} {
		t.Run(name, func(t *testing.T) {
			dir := copyOf(t, evaFolder, "ec2_config.json", "pai_200.json")
			spoil(t, filepath.Join(dir, evaFolder, c.file), c.old, c.new)
			if _, err := readEva(dir, "ec2_config"); purser.KindOf(err) != purser.KindInvalid || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v (%s), want invalid and %s", err, purser.KindOf(err), c.want)
			}
		})
	}
	if _, err := readEva(t.TempDir(), "ec2_config"); purser.KindOf(err) != purser.KindNotFound {
		t.Errorf("nothing there: %v", err)
	}
}

// copyOf copies files of testdata into a folder of the test's own.
func copyOf(t *testing.T, folder string, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, n := range names {
		b, err := os.ReadFile(filepath.Join("testdata", folder, n))
		if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(dir, folder, n)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// spoil replaces the first of a text in a file.
func spoil(t *testing.T, path, from, to string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(b), from) {
		t.Fatalf("%s has no %q", path, from)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(b), from, to, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// On the real data, what can be computed by hand comes out as published.
func TestEvaPublishedFigures(t *testing.T) {
	dir := os.Getenv("PURSER_DATA")
	if dir == "" {
		t.Skip("the real data is not here: PURSER_DATA is not set")
	}
	for catalogue, want := range map[string]struct{ alone, bound float64 }{"ec2_config": {2135.68, 1421.46}, "ec2_config_virt": {1378.84, 710.73}} {
		c, err := readEva(dir, catalogue)
		if err != nil {
			t.Fatal(err)
		}
		one, linear := c.bounds()
		if alone := c.cost(c.alone()).USD(); math.Abs(alone-want.alone) > 0.005 || math.Abs(one-want.bound) > 0.005 || linear < one {
			t.Errorf("%s: no packing %.3f, bounds %.3f and %.3f", catalogue, alone, one, linear)
		}
	}
}
