package jobfile_test

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"

	"purser/jobfile"
)

// drawGroup makes a random valid group as a user could write it.
func drawGroup(t *rapid.T) (kind string, group map[string]any) {
	g := map[string]any{"command": rapid.StringMatching(`[a-z][ -~]{0,40}`).Draw(t, "command")}
	maybe := func(name string, v any) {
		if rapid.Bool().Draw(t, "has "+name) {
			g[name] = v
		}
	}
	accelerator := rapid.Custom(func(t *rapid.T) string {
		word := rapid.SampledFrom([]string{"A100", "A100-80GB", "H100", "L4", "T4", "TPU-V5E", "VU9P", "TRAINIUM"}).Draw(t, "word")
		return word + ":" + rapid.SampledFrom([]string{"1", "2", "8", "0.5", "0.125"}).Draw(t, "count")
	})
	maybe("accelerators", rapid.SliceOfNDistinct(accelerator, 1, 4, rapid.ID).Draw(t, "accelerators"))
	g["cpus"] = rapid.IntRange(1, 512).Draw(t, "cpus")
	maybe("memory", fmt.Sprintf("%dMiB", rapid.IntRange(1, 1<<20).Draw(t, "memory")))
	maybe("env", rapid.MapOf(rapid.StringMatching(`[A-Z_][A-Z0-9_]{0,8}`), rapid.StringMatching(`[ -~äöü😀]{0,20}`)).Draw(t, "env"))
	maybe("residency", rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"EU", "DE", "US", "NO"}), 1, 4, rapid.ID).Draw(t, "residency"))
	maybe("spot", rapid.SampledFrom([]any{true, false, "only"}).Draw(t, "spot"))
	maybe("max_price", rapid.IntRange(1, 1000).Draw(t, "max_price"))
	maybe("retries", rapid.IntRange(0, 1000).Draw(t, "retries"))
	if rapid.Bool().Draw(t, "training") {
		g["run_time"] = fmt.Sprintf("%dm", rapid.IntRange(1, 100000).Draw(t, "run_time"))
		g["replicas"] = rapid.IntRange(1, 100).Draw(t, "replicas")
		maybe("gang", rapid.Bool().Draw(t, "gang"))
		maybe("deadline", "2027-01-31T18:00:00Z")
		maybe("checkpoint", map[string]any{"every": "10m", "cost": "5s"})
		return "train", g
	}
	g["throughput"] = rapid.Float64Range(0.001, 1e6).Draw(t, "throughput")
	g["demand"] = rapid.Float64Range(0.001, 1e6).Draw(t, "demand")
	maybe("survive", rapid.SampledFrom([]any{"zone", map[string]any{"level": "region", "share": 0.5}, map[string]any{"level": "machine", "failures": 2}}).Draw(t, "survive"))
	maybe("port", rapid.IntRange(1, 65535).Draw(t, "port"))
	return "serve", g
}

// TestYAMLAndJSONAreOne holds that the same description gives the same jobs in
// both notations, and that they pass Check.
func TestYAMLAndJSONAreOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var jobs []any
		for i := range rapid.IntRange(1, 4).Draw(t, "jobs") {
			kind, group := drawGroup(t)
			jobs = append(jobs, map[string]any{"name": fmt.Sprintf("job-%d", i), kind: group})
		}
		file := map[string]any{"version": 1, "jobs": jobs}
		asYAML, err := yaml.Marshal(file)
		if err != nil {
			t.Fatal(err)
		}
		asJSON, err := json.Marshal(file)
		if err != nil {
			t.Fatal(err)
		}
		fromYAML, err := jobfile.Parse("f.yaml", asYAML, jobfile.Options{})
		if err != nil {
			t.Fatalf("%v\n%s", err, asYAML)
		}
		fromJSON, err := jobfile.Parse("f.json", asJSON, jobfile.Options{})
		if err != nil {
			t.Fatalf("%v\n%s", err, asJSON)
		}
		if !reflect.DeepEqual(fromYAML, fromJSON) {
			t.Fatalf("YAML gives %+v\nJSON gives %+v", fromYAML, fromJSON)
		}
		for _, j := range fromYAML {
			if err := j.Check(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestUnknownFieldsAreFoundEverywhere puts a field that nobody knows into every
// mapping of full files in turn, and expects the error at its very line.
func TestUnknownFieldsAreFoundEverywhere(t *testing.T) {
	free := map[string]bool{"labels": true, "env": true} // their names are the user's
	tried := 0
	for _, path := range []string{"testdata/good/full-training.yaml", "testdata/good/full-inference.yaml", "testdata/good/groups.yaml", "testdata/good-limits/limits.yaml"} {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var root yaml.Node
		if err := yaml.Unmarshal(data, &root); err != nil {
			t.Fatal(err)
		}
		var visit func(n *yaml.Node, under string)
		visit = func(n *yaml.Node, under string) {
			if n.Kind == yaml.MappingNode && !free[under] {
				tried++
				checkUnknown(t, path, &root, n)
			}
			for i, c := range n.Content {
				name := under
				if n.Kind == yaml.MappingNode {
					name = n.Content[i&^1].Value
				}
				visit(c, name)
			}
		}
		visit(root.Content[0], "")
	}
	if tried < 20 {
		t.Errorf("only %d mappings were tried", tried)
	}
}

func checkUnknown(t *testing.T, path string, root, into *yaml.Node) {
	t.Helper()
	kept, style := into.Content, into.Style
	defer func() { into.Content, into.Style = kept, style }()
	at := len(kept) / 4 * 2 // in the middle
	into.Style = 0
	into.Content = append(append(append([]*yaml.Node{}, kept[:at]...),
		&yaml.Node{Kind: yaml.ScalarNode, Value: "nobody_knows"}, &yaml.Node{Kind: yaml.ScalarNode, Value: "1"}), kept[at:]...)
	text, err := yaml.Marshal(root)
	if err != nil {
		t.Fatal(err)
	}
	line := strings.Count(string(text[:strings.Index(string(text), "nobody_knows")]), "\n") + 1
	want := fmt.Sprintf("%s:%d:", path, line)
	if strings.Contains(path, "limits") {
		_, err = jobfile.ParseLimits(path, text)
	} else {
		_, err = jobfile.Parse(path, text, jobfile.Options{Now: now, ReadFile: func(string) ([]byte, error) { return nil, nil }})
	}
	if err == nil || !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), `"nobody_knows" is not a field`) {
		t.Errorf("%v, want %s\n%s", err, want, text)
	}
}

// BenchmarkParse reads 10,000 unlike jobs, the size that a plan must cope with.
func BenchmarkParse(b *testing.B) {
	var text strings.Builder
	text.WriteString("jobs:\n")
	for i := range 10_000 {
		fmt.Fprintf(&text, "  - name: job-%d\n    labels: {team: t%d}\n    train:\n      accelerators: [A100:%d, H100:1]\n      cpus: %d\n      memory: %dGiB\n      run_time: %dm\n"+
			"      checkpoint: {every: 10m, cost: 20s}\n      command: python train.py\n", i, i%7, 1<<(i%4), 1+i%32, 1+i%200, 1+i%500)
	}
	data := []byte(text.String())
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := jobfile.Parse("jobs.yaml", data, jobfile.Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
