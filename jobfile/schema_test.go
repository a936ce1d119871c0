package jobfile

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"purser"
)

// TestSchemaKnowsTheFields holds the published schemas against the tables that
// the decoder works by: each knows every field of the other.
func TestSchemaKnowsTheFields(t *testing.T) {
	job, limits := readSchema(t, Schema()), readSchema(t, LimitsSchema())
	for _, c := range []struct {
		name   string
		schema map[string]any
		fields []string
	}{
		{"the file", job, jobFileTable.names()},
		{"job", def(t, job, "job"), jobTable.names()},
		{"train", def(t, job, "train"), groupTable(purser.Training, false).names()},
		{"serve", def(t, job, "serve"), groupTable(purser.Inference, false).names()},
		{"training group", def(t, job, "training_group"), groupTable(purser.Training, true).names()},
		{"inference group", def(t, job, "inference_group"), groupTable(purser.Inference, true).names()},
		{"training variant", def(t, job, "training_variant"), entryTable(purser.Training).names()},
		{"inference variant", def(t, job, "inference_variant"), entryTable(purser.Inference).names()},
		{"checkpoint", def(t, job, "checkpoint"), checkpointTable.names()},
		{"survive", def(t, job, "survive")["anyOf"].([]any)[1].(map[string]any), surviveTable.names()},
		{"users", def(t, job, "user_place"), usersTable.names()},
		{"max_latency", def(t, job, "max_latency")["anyOf"].([]any)[1].(map[string]any), latencyTable.names()},
		{"place", def(t, limits, "place"), placeTable.names()},
		{"demand_at", def(t, job, "demand_at")["items"].(map[string]any), demandAtTable.names()},
		{"spread", def(t, job, "spread"), spreadTable.names()},
		{"data", def(t, job, "data"), dataTable.names()},
		{"federated", def(t, job, "federated"), federatedTable.names()},
		{"site", def(t, job, "site"), siteTable.names()},
		{"model", def(t, job, "model"), modelTable.names()},
		{"file", def(t, job, "file"), fileTable.names()},
		{"the limits file", limits, limitsTable.names()},
		{"quota", def(t, limits, "quota"), quotaTable.names()},
		{"commitment", def(t, limits, "commitment"), commitmentTable.names()},
		{"machine", def(t, limits, "machine"), machineTable.names()},
		{"amortization", def(t, limits, "amortization"), amortizationTable.names()},
		{"power", def(t, limits, "power"), powerTable.names()},
	} {
		var inSchema []string
		for name := range c.schema["properties"].(map[string]any) {
			inSchema = append(inSchema, name)
		}
		slices.Sort(inSchema)
		fields := slices.Sorted(slices.Values(c.fields))
		if !slices.Equal(inSchema, fields) {
			t.Errorf("%s: the schema has %v, the decoder %v", c.name, inSchema, fields)
		}
		if c.schema["additionalProperties"] != false {
			t.Errorf("%s: the schema lets unknown fields pass", c.name)
		}
	}
}

// TestSchemaHasNoLooseEnds finds references to nothing and definitions that
// nothing refers to.
func TestSchemaHasNoLooseEnds(t *testing.T) {
	for name, text := range map[string][]byte{"schema": Schema(), "limits schema": LimitsSchema()} {
		defs := readSchema(t, text)["$defs"].(map[string]any)
		used := map[string]bool{}
		for _, m := range regexp.MustCompile(`"#/\$defs/([a-z_]+)"`).FindAllSubmatch(text, -1) {
			used[string(m[1])] = true
			if defs[string(m[1])] == nil {
				t.Errorf("%s refers to %s, which is not there", name, m[1])
			}
		}
		for d := range defs {
			if !used[d] {
				t.Errorf("%s: nothing refers to %s", name, d)
			}
		}
	}
}

// TestFilesConform holds files that parse against the schema.
func TestFilesConform(t *testing.T) {
	for folder, schema := range map[string]map[string]any{
		"testdata/good": readSchema(t, Schema()), "../examples": readSchema(t, Schema()), "testdata/good-limits": readSchema(t, LimitsSchema()),
	} {
		for _, path := range globs(t, folder) {
			s := schema
			if strings.HasPrefix(filepath.Base(path), "limits") {
				s = readSchema(t, LimitsSchema())
			}
			if err := conforms(s, s, generic(t, path), ""); err != "" {
				t.Errorf("%s: %s", path, err)
			}
		}
	}
}

// TestSchemaRefuses holds that the schema sees what is wrong in form: an editor
// that marked nothing would be of no use.
func TestSchemaRefuses(t *testing.T) {
	s := readSchema(t, Schema())
	for _, name := range []string{
		"unknown-field.yaml", "foreign-field.yaml", "version-text.yaml", "unknown-version.yaml", "no-name.yaml", "no-group.yaml",
		"empty-jobs.yaml", "name-and-jobs.yaml", "upper-case-name.yaml", "number-as-name.yaml", "deadline-in-serve.yaml", "demand-in-train.yaml",
		"kind-unknown.yaml", "priority-huge.yaml", "replicas-quoted.yaml", "replicas-fraction.yaml", "gang-yes.yaml", "deadline-word.yaml", "port-70000.yaml",
		"survive-unknown.yaml", "spot-maybe.yaml", "purchase-option.yaml", "env-name.yaml", "command-list.yaml", "labels-list.yaml", "nothing-to-run.yaml",
		"cpus-huge.yaml", "cpus-plus.yaml", "memory-list.yaml", "empty-regions.yaml", "checkpoint-no-every.yaml", "data-no-size.yaml", "any-of-and-variants.yaml",
		"min-quality-word.yaml", "quality-zero.yaml", "users-nowhere.yaml", "users-two-places.yaml", "users-at-one.yaml", "users-measured.yaml",
		"latency-bare.yaml", "latency-no-time.yaml", "latency-in-train.yaml", "compliance-word.yaml", "confidential-word.yaml",
		"storage-tape.yaml", "storage-checkpoint-cold.yaml",
	} {
		if conforms(s, s, generic(t, filepath.Join("testdata/bad", name)), "") == "" {
			t.Errorf("%s conforms to the schema", name)
		}
	}
}

// TestLimitsSchemaRefuses holds the same of a private machine's price.
func TestLimitsSchemaRefuses(t *testing.T) {
	s := readSchema(t, LimitsSchema())
	for _, name := range []string{
		"machine-price.yaml", "machine-two-prices.yaml", "machine-price-and-power.yaml", "amortization-part.yaml", "amortization-years.yaml",
		"amortization-utilization.yaml", "amortization-usd.yaml", "power-watts.yaml", "power-pue.yaml", "power-kwh.yaml", "power-field.yaml",
		"place-nothing.yaml", "place-no-provider.yaml", "place-no-region.yaml", "place-two.yaml", "place-rule.yaml", "site-two.yaml",
	} {
		if conforms(s, s, generic(t, filepath.Join("testdata/bad-limits", name)), "") == "" {
			t.Errorf("%s conforms to the schema", name)
		}
	}
}

func globs(t *testing.T, folder string) []string {
	t.Helper()
	var out []string
	for _, ext := range []string{"*.yaml", "*.json"} {
		found, err := filepath.Glob(filepath.Join(folder, ext))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, found...)
	}
	if len(out) == 0 {
		t.Fatalf("no files in %s", folder)
	}
	return out
}

// generic reads a file as an editor does before it validates.
func generic(t *testing.T, path string) any {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	read := yaml.Unmarshal
	if filepath.Ext(path) == ".json" {
		read = json.Unmarshal
	}
	if err := read(data, &v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return named(v)
}

// named writes the keys of mappings as text, as JSON has them.
func named(v any) any {
	switch v := v.(type) {
	case map[any]any:
		out := map[string]any{}
		for k, x := range v {
			out[fmt.Sprint(k)] = named(x)
		}
		return out
	case map[string]any:
		for k, x := range v {
			v[k] = named(x)
		}
	case []any:
		for i, x := range v {
			v[i] = named(x)
		}
	}
	return v
}

func readSchema(t *testing.T, text []byte) map[string]any {
	t.Helper()
	var s map[string]any
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

func def(t *testing.T, schema map[string]any, name string) map[string]any {
	t.Helper()
	d, ok := schema["$defs"].(map[string]any)[name].(map[string]any)
	if !ok {
		t.Fatalf("the schema has no %s", name)
	}
	return d
}
