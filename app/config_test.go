package app

import (
	"bufio"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"purser"
)

// alone keeps the surroundings of the test out of the configuration.
func alone(t *testing.T) {
	t.Helper()
	for _, e := range os.Environ() {
		if name, _, _ := strings.Cut(e, "="); strings.HasPrefix(name, "PURSER_") {
			t.Setenv(name, "")
		}
	}
	t.Setenv("PURSER_DATA_DIR", "/data")
}

func written(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestConfigurationLayers(t *testing.T) {
	alone(t)
	path := written(t, "c.yaml", "listen: 127.0.0.1:1\nmax_machines: 2\nhorizon: 2h\nsweeps: {plan: '@every 3s'}\nrebalance: {threshold: 0.7}\npublic_url: https://purser.example/\n")
	t.Setenv("PURSER_MAX_MACHINES", "3")
	t.Setenv("PURSER_HORIZON", "3h")
	t.Setenv("PURSER_SWEEPS__CHARGE", "*/9 * * * * *")
	t.Setenv("PURSER_REBALANCE__MIN_GAIN_USD", "2.5")
	t.Setenv("PURSER_TOKEN", "secret") // the CLI's
	t.Setenv("PURSER_LISTEN", "")      // empty is not set
	c, err := LoadConfig(path, map[string]any{"horizon": "4h"})
	if err != nil {
		t.Fatal(err)
	}
	if c.Listen != "127.0.0.1:1" || c.MaxMachines != 3 || c.Horizon != 4*time.Hour || c.DataDir != "/data" || c.PublicURL != "https://purser.example" {
		t.Errorf("%+v", c)
	}
	if c.Sweeps.Plan != "@every 3s" || c.Sweeps.Charge != "*/9 * * * * *" || c.Sweeps.Reconcile != DefaultConfig().Sweeps.Reconcile {
		t.Errorf("%+v", c.Sweeps)
	}
	if c.Rebalance.Threshold != 0.7 || c.Rebalance.MinGain != 2.5 || c.Rebalance.MinShare != 0.05 {
		t.Errorf("%+v", c.Rebalance)
	}
}

func TestBrokenConfigurations(t *testing.T) {
	for name, c := range map[string]struct{ file, env, says string }{
		"unknown key":            {"lissten: a\n", "", `no setting "lissten"`},
		"unknown nested key":     {"sweeps: {plant: a}\n", "", `no setting "sweeps.plant"`},
		"a scalar for a map":     {"sweeps: 5\n", "", `no setting "sweeps"`},
		"a map for a scalar":     {"listen: {a: b}\n", "", `no setting "listen.a"`},
		"a list for a scalar":    {"listen: [a, b]\n", "", "listen"},
		"no YAML":                {"{{{\n", "", "cannot be read"},
		"no number":              {"", "PURSER_MAX_MACHINES=many", "max_machines"},
		"no duration":            {"", "PURSER_HORIZON=a day", "horizon"},
		"a bare number":          {"horizon: 24\n", "", "horizon"},
		"cron of five fields":    {"sweeps: {plan: '* * * * *'}\n", "", "six fields"},
		"no cron":                {"", "PURSER_SWEEPS__COLLECT=hourly", "sweeps.collect"},
		"no machines":            {"max_machines: 0\n", "", "max_machines"},
		"too much time":          {"plan_time: 2h\n", "", "plan_time"},
		"too little memory":      {"solver_memory_mib: 1\n", "", "solver_memory_mib"},
		"a wrong level":          {"log_level: loud\n", "", "log_level"},
		"a relative folder":      {"data_dir: data\n", "PURSER_DATA_DIR=data", "data_dir"},
		"kept for no time":       {"keep_logs: 1s\n", "", "keep_logs"},
		"no number at all":       {"rebalance: {threshold: .nan}\n", "", "rebalance"},
		"a boundless gain":       {"rebalance: {min_gain_usd: .inf}\n", "", "rebalance"},
		"a share above 1":        {"rebalance: {min_share: 1.5}\n", "", "rebalance"},
		"an address of no port":  {"listen: localhost\n", "", "listen"},
		"a port too high":        {"listen: ':70000'\n", "", "listen"},
		"a URL of another kind":  {"public_url: ftp://a\n", "", "public_url"},
		"a URL with a path":      {"public_url: https://a/purser\n", "", "public_url"},
		"a URL with a password":  {"public_url: https://u:p@a\n", "", "public_url"},
		"a URL without a host":   {"public_url: 'https://'\n", "", "public_url"},
		"a URL that is a script": {"public_url: 'javascript:alert(1)'\n", "", "public_url"},
	} {
		t.Run(name, func(t *testing.T) {
			alone(t)
			if k, v, ok := strings.Cut(c.env, "="); ok {
				t.Setenv(k, v)
			}
			_, err := LoadConfig(written(t, "c.yaml", c.file), nil)
			if purser.KindOf(err) != purser.KindInvalid || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v; want it to say %q", err, c.says)
			}
			if strings.Count(err.Error(), "\n") > 3 {
				t.Errorf("more than a few lines: %v", err)
			}
		})
	}
}

func TestConfigurationFiles(t *testing.T) {
	alone(t)
	if _, err := LoadConfig("/nowhere/c.yaml", nil); purser.KindOf(err) != purser.KindInvalid || !strings.Contains(err.Error(), "/nowhere/c.yaml") {
		t.Errorf("a named file that is missing: %v", err)
	}
	for _, text := range []string{"", "# nothing\n", "sweeps:\n", "sweeps: {}\n", "sources:\n", "sources: {aws-spot: {}, azure: {schedule: off, max_age: 12h, regions: [eastus]}}\n"} {
		if _, err := LoadConfig(written(t, "c.yaml", text), nil); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// Each setting of Config has its key, and each key its row in the manual.
func TestEverySettingIsKnownAndDescribed(t *testing.T) {
	var want []string
	var walk func(prefix string, of reflect.Type)
	walk = func(prefix string, of reflect.Type) {
		for i := range of.NumField() {
			f := of.Field(i)
			if f.Type.Kind() == reflect.Map && f.Type.Elem().Kind() == reflect.Struct { // of structs, by any name
				walk(prefix+f.Tag.Get("koanf")+".NAME.", f.Type.Elem())
				continue
			}
			if f.Type.Kind() == reflect.Struct {
				walk(f.Tag.Get("koanf")+".", f.Type)
				continue
			}
			want = append(want, prefix+f.Tag.Get("koanf"))
		}
	}
	walk("", reflect.TypeFor[Config]())
	known := map[string]bool{}
	for _, k := range keys() {
		known[k] = true
	}
	f, err := os.Open("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	rows := ""
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "|") {
			rows += strings.SplitN(lines.Text(), "|", 3)[1]
		}
	}
	for _, k := range want {
		if !known[k] {
			t.Errorf("%s is not among the keys", k)
		}
		if !strings.Contains(rows, "`"+k+"`") {
			t.Errorf("docs/configuration.md has no row for %s", k)
		}
	}
	if len(known) != len(want) {
		t.Errorf("%d keys for %d settings", len(known), len(want))
	}
}

func TestDialable(t *testing.T) {
	for in, want := range map[string]string{
		"127.0.0.1:80": "127.0.0.1:80", "0.0.0.0:80": "127.0.0.1:80", "[::]:80": "127.0.0.1:80", "[::1]:80": "[::1]:80", "host:80": "host:80", "odd": "odd",
	} {
		if got := Dialable(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

func TestReadLimits(t *testing.T) {
	if l, err := readLimits(""); err != nil || len(l.Quotas)+len(l.Private) != 0 {
		t.Errorf("no file: %+v, %v", l, err)
	}
	if _, err := readLimits("/nowhere/limits.yaml"); purser.KindOf(err) != purser.KindInvalid || !strings.Contains(err.Error(), "/nowhere/limits.yaml") {
		t.Errorf("a missing file: %v", err)
	}
	if _, err := readLimits(written(t, "limits.yaml", "quotass: []\n")); purser.KindOf(err) != purser.KindInvalid || !strings.Contains(err.Error(), "limits.yaml:1") {
		t.Errorf("an unknown field: %v", err)
	}
	if _, err := readLimits(t.TempDir()); purser.KindOf(err) != purser.KindInvalid {
		t.Errorf("a folder: %v", err)
	}
}
