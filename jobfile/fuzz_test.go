package jobfile_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"purser"
	"purser/jobfile"
)

func seed(f *testing.F, folders ...string) {
	f.Helper()
	for _, folder := range folders {
		entries, err := os.ReadDir(folder)
		if err != nil {
			f.Fatal(err)
		}
		for _, e := range entries {
			if e.IsDir() {
				continue
			}
			data, err := os.ReadFile(filepath.Join(folder, e.Name()))
			if err != nil {
				f.Fatal(err)
			}
			if len(data) > 4096 {
				continue // the fuzzer would spend its time on making it smaller
			}
			f.Add(filepath.Ext(e.Name()) == ".json", data)
		}
	}
}

// FuzzParse holds that whatever is read becomes jobs that pass Check, or one
// error with its place.
func FuzzParse(f *testing.F) {
	seed(f, "testdata/bad", "testdata/good", "../examples")
	opt := jobfile.Options{Now: now, ReadFile: func(string) ([]byte, error) { return []byte("content"), nil }}
	f.Fuzz(func(t *testing.T, isJSON bool, data []byte) {
		name := fuzzName(isJSON)
		jobs, err := jobfile.Parse(name, data, opt)
		if err != nil {
			if len(jobs) > 0 {
				t.Errorf("%d jobs beside the error", len(jobs))
			}
			wellPlaced(t, name, err)
			return
		}
		if len(jobs) == 0 {
			t.Error("neither jobs nor an error")
		}
		keys := map[[2]string]bool{}
		for _, j := range jobs {
			if err := j.Check(); err != nil {
				t.Errorf("a job that Check refuses: %v", err)
			}
			if key := [2]string{j.Project, j.Name}; keys[key] {
				t.Errorf("two jobs are %v", key)
			} else {
				keys[key] = true
			}
			for _, g := range j.Groups {
				names := map[string]bool{}
				for _, v := range g.Variants {
					if names[v.Name] {
						t.Errorf("two variants are named %s", v.Name)
					}
					names[v.Name] = true
				}
			}
		}
	})
}

// FuzzParseLimits holds the same of limits files.
func FuzzParseLimits(f *testing.F) {
	seed(f, "testdata/bad-limits", "testdata/good-limits")
	f.Fuzz(func(t *testing.T, isJSON bool, data []byte) {
		name := fuzzName(isJSON)
		limits, err := jobfile.ParseLimits(name, data)
		if err != nil {
			wellPlaced(t, name, err)
			return
		}
		for _, q := range limits.Quotas {
			if err := q.Check(); err != nil {
				t.Error(err)
			}
		}
		for _, o := range limits.Private {
			if err := o.Check(); err != nil {
				t.Error(err)
			}
		}
	})
}

func fuzzName(isJSON bool) string {
	if isJSON {
		return "fuzz.json"
	}
	return "fuzz.yaml"
}

func wellPlaced(t *testing.T, name string, err error) {
	t.Helper()
	e, ok := errors.AsType[*purser.Error](err)
	if !ok || e.Kind != purser.KindInvalid || e.Place == nil || e.Place.File != name || e.Place.Line < 1 || e.Message == "" {
		t.Errorf("not invalid input with a place: %#v", err)
	}
}
