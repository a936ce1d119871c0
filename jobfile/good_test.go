package jobfile_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"purser"
	"purser/jobfile"
)

// goodFiles lists the job files of a folder.
func goodFiles(t testing.TB, folder string) []string {
	t.Helper()
	var out []string
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); ext == ".yaml" || ext == ".json" {
			out = append(out, filepath.Join(folder, e.Name()))
		}
	}
	if len(out) == 0 {
		t.Fatalf("no files in %s", folder)
	}
	return out
}

// TestGoodFiles holds what the files become against golden JSON.
func TestGoodFiles(t *testing.T) {
	var golden []byte
	for _, path := range goodFiles(t, "testdata/good") {
		jobs, err := jobfile.Load(path, jobfile.Options{Now: now})
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		for _, j := range jobs {
			if err := j.Check(); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
		golden = append(golden, indent(t, filepath.Base(path), jobs)...)
	}
	compareGolden(t, "testdata/good.golden", golden)
}

func TestGoodLimits(t *testing.T) {
	var golden []byte
	for _, path := range goodFiles(t, "testdata/good-limits") {
		limits, err := jobfile.LoadLimits(path, jobfile.Options{})
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		for _, o := range limits.Private {
			if err := o.Check(); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
		golden = append(golden, indent(t, filepath.Base(path), limits)...)
	}
	compareGolden(t, "testdata/good-limits.golden", golden)
}

func indent(t *testing.T, name string, v any) []byte {
	t.Helper()
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return append(append([]byte("# "+name+"\n"), b...), '\n')
}

// one parses a file of one job.
func one(t *testing.T, text string, opt jobfile.Options) purser.Job {
	t.Helper()
	jobs, err := jobfile.Parse("job.yaml", []byte(text), opt)
	if err != nil {
		t.Fatal(err)
	}
	if len(jobs) != 1 {
		t.Fatalf("%d jobs, want 1", len(jobs))
	}
	return jobs[0]
}

func TestProjectComesFromTheNearestPlace(t *testing.T) {
	const group = "train: {cpus: 1, run_time: 5m, command: x}\n"
	for _, c := range []struct{ name, text, option, want string }{
		{"nowhere", "name: a\n" + group, "", jobfile.DefaultProject},
		{"option", "name: a\n" + group, "lab", "lab"},
		{"short form", "name: a\nproject: own\n" + group, "lab", "own"},
		{"file", "project: ours\njobs:\n- name: a\n  " + group, "lab", "ours"},
		{"job", "project: ours\njobs:\n- name: a\n  project: own\n  " + group, "lab", "own"},
		{"file below", "jobs:\n- name: a\n  " + group + "project: ours\n", "lab", "ours"},
	} {
		if got := one(t, c.text, jobfile.Options{Project: c.option}).Project; got != c.want {
			t.Errorf("%s: project %q, want %q", c.name, got, c.want)
		}
	}
}

// TestRunTimes holds what run times for each variant promise: every variant runs
// as long as its line says, however many replicas there are.
func TestRunTimes(t *testing.T) {
	j := one(t, `
name: a
train:
  replicas: 7
  run_time: 3h
  any_of: [{accelerators: H100-SXM:8, run_time: 90m}, {accelerators: T4}, {accelerators: L4, run_time: 100s}]
  command: x
`, jobfile.Options{})
	g := j.Groups[0]
	for i, want := range []time.Duration{90 * time.Minute, 3 * time.Hour, 100 * time.Second} {
		if got := g.RunTimeOn(g.Variants[i]); (got - want).Abs() > time.Microsecond {
			t.Errorf("%s runs %v, want %v", g.Variants[i].Name, got, want)
		}
	}
}

func TestDeadlineFromNow(t *testing.T) {
	const text = "name: a\ntrain: {cpus: 1, run_time: 5m, command: x, deadline: in 1d12h}\n"
	if got, want := one(t, text, jobfile.Options{Now: now}).Groups[0].Deadline, now.Add(36*time.Hour); !got.Equal(want) || got.Location() != time.UTC {
		t.Errorf("deadline %v, want %v", got, want)
	}
	if _, err := jobfile.Parse("job.yaml", []byte(text), jobfile.Options{}); err == nil || !strings.Contains(err.Error(), "from now on") {
		t.Errorf("without a clock: %v", err)
	}
}

// TestFamilies holds that a family means all its models and a model itself alone.
func TestFamilies(t *testing.T) {
	for word, want := range map[string]string{
		"A100":      "A100-80GB A100-40GB",
		"A100-80GB": "A100-80GB",
		"a100":      "A100-80GB A100-40GB",
		"V100":      "V100-32GB V100-16GB",
		"H100-SXM":  "H100",
	} {
		var got []string
		for _, v := range one(t, "name: a\ntrain: {accelerators: \""+word+":2\", run_time: 5m, command: x}", jobfile.Options{}).Groups[0].Variants {
			got = append(got, v.Accelerator)
			if v.Devices != 2000 || v.Name != v.Accelerator+":2" {
				t.Errorf("%s: variant %+v", word, v)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s means %v, want %s", word, got, want)
		}
	}
}
