package jobfile_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"purser"
	"purser/jobfile"
)

var update = flag.Bool("update", false, "write the golden files anew")

// now is the time that tests count "in 12h" from.
var now = time.Date(2026, 11, 24, 6, 0, 0, 0, time.UTC)

// TestBadFiles holds every broken file against the text of its error. A file
// with an error yields nothing, and its error has a place.
func TestBadFiles(t *testing.T) {
	parsers := map[string]func(name string, data []byte) (int, error){
		"bad": func(name string, data []byte) (int, error) {
			jobs, err := jobfile.Parse(name, data, jobfile.Options{Now: now, ReadFile: os.DirFS("testdata/good").(interface {
				ReadFile(string) ([]byte, error)
			}).ReadFile})
			return len(jobs), err
		},
		"bad-limits": func(name string, data []byte) (int, error) {
			l, err := jobfile.ParseLimits(name, data)
			return len(l.Quotas) + len(l.Private), err
		},
	}
	for folder, parse := range parsers {
		t.Run(folder, func(t *testing.T) {
			entries, err := os.ReadDir(filepath.Join("testdata", folder))
			if err != nil {
				t.Fatal(err)
			}
			var golden []byte
			for _, e := range entries {
				data, err := os.ReadFile(filepath.Join("testdata", folder, e.Name()))
				if err != nil {
					t.Fatal(err)
				}
				n, err := parse(e.Name(), data)
				checkRefusal(t, e.Name(), n, err)
				if err != nil {
					golden = append(golden, err.Error()+"\n"...)
				}
			}
			compareGolden(t, filepath.Join("testdata", folder+".golden"), golden)
		})
	}
}

func checkRefusal(t *testing.T, name string, n int, err error) {
	t.Helper()
	e, ok := errors.AsType[*purser.Error](err)
	switch {
	case err == nil:
		t.Errorf("%s: no error", name)
	case n != 0:
		t.Errorf("%s: %d results beside the error", name, n)
	case !ok || e.Kind != purser.KindInvalid || e.Place == nil || e.Place.File != name || e.Place.Line < 1:
		t.Errorf("%s: the error is not invalid input with its file and line: %#v", name, err)
	}
}

func compareGolden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != string(got) {
		t.Errorf("%s differs; look at it and run go test -update\n%s", path, got)
	}
}
