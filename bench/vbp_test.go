package bench

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"purser"
	"purser/optimizer/binpack"
	"purser/optimizer/highs"
)

// vbpSolver compiles the solver for a test.
func vbpSolver(t *testing.T) *highs.Runtime {
	t.Helper()
	rt, err := highs.New(t.Context(), highs.Config{CacheDir: filepath.Join(os.TempDir(), "purser-test-solver")})
	if errors.Is(err, highs.ErrNoModule) && os.Getenv("CI") == "" {
		t.Skip("the solver is not built in; run `make build`")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rt.Close(context.Background()) })
	return rt
}

var vbpFiles = []string{"testdata/vbp/Made_instances/four_0.vbp", "testdata/vbp/Made_instances/apart_1.vbp"}

// vbpArchive packs the small instances as a published set is packed.
func vbpArchive(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	add := func(name string, text []byte) {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(text)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(text); err != nil {
			t.Fatal(err)
		}
	}
	add("Made/README", []byte("no instance"))
	for _, file := range vbpFiles {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		add("Made/class/"+filepath.Base(file), text)
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "Made_instances.tar.gz")
	if err := os.WriteFile(name, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func readVBPs(t *testing.T, file, pattern string) []VBP {
	t.Helper()
	var out []VBP
	if err := ReadVBP(file, pattern, func(v VBP) error { out = append(out, v); return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestVBPReadsFilesAndSets(t *testing.T) {
	want := VBP{Name: "four_0", Problem: binpack.Instance{Capacity: []int64{10, 10}, Items: []binpack.Item{
		{Size: []int64{6, 1}, Count: 1}, {Size: []int64{4, 9}, Count: 1}, {Size: []int64{5, 5}, Count: 2}, {Size: []int64{3, 3}, Count: 1},
	}}}
	if got := readVBPs(t, vbpFiles[0], ""); !reflect.DeepEqual(got, []VBP{want}) {
		t.Errorf("read %+v", got)
	}
	set := vbpArchive(t)
	if got := readVBPs(t, set, ""); len(got) != 2 || !reflect.DeepEqual(got[0], want) || got[1].Name != "apart_1" {
		t.Errorf("read %+v", got)
	}
	if got := readVBPs(t, set, "four_*"); !reflect.DeepEqual(got, []VBP{want}) {
		t.Errorf("with a pattern: %+v", got)
	}
	if got := readVBPs(t, vbpFiles[0], "five*"); len(got) != 0 {
		t.Errorf("with a pattern that does not fit: %+v", got)
	}
}

func TestVBPRefusesWhatIsWrong(t *testing.T) {
	for text, place := range map[string]string{
		"":                                  "x.vbp:1:",
		"0\n":                               "x.vbp:1:",
		"2\n5\n":                            "x.vbp:2:",
		"1\n5\n2\n1 1\n":                    "x.vbp:5:",
		"1\n5\n1\n1 1\n2 1\n":               "x.vbp:5:",
		"1\n5\n1\n1.5 1\n":                  "x.vbp:4:",
		"1\n5\n1\n6 1\n":                    "x.vbp:",
		"1\n5\n1\n1 0\n":                    "x.vbp:4:",
		"1\n5\n1\n1 1 1\n":                  "x.vbp:4:",
		"1\n5\n1\n99999999999999999999 1\n": "x.vbp:4:",
	} {
		if _, err := parseVBP("x.vbp", strings.NewReader(text)); purser.KindOf(err) != purser.KindInvalid || !strings.Contains(err.Error(), place) {
			t.Errorf("%q: %v", text, err)
		}
	}
	none := func(VBP) error { return nil }
	if err := ReadVBP(filepath.Join(t.TempDir(), "none.vbp"), "", none); purser.KindOf(err) != purser.KindNotFound {
		t.Errorf("a missing file: %v", err)
	}
	broken := filepath.Join(t.TempDir(), "broken.tar.gz")
	if err := os.WriteFile(broken, []byte("no archive"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := ReadVBP(broken, "", none); purser.KindOf(err) != purser.KindInvalid {
		t.Errorf("a broken archive: %v", err)
	}
	if err := ReadVBP(vbpFiles[0], "[", none); purser.KindOf(err) != purser.KindInvalid {
		t.Errorf("a broken pattern: %v", err)
	}
}

func FuzzParseVBP(f *testing.F) {
	f.Add("2\n10 10\n2\n6 1 1\n4 9 1\n")
	f.Add("1\n7\n1\n-4 3\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		in, err := parseVBP("x.vbp", strings.NewReader(text))
		if err != nil {
			if purser.KindOf(err) != purser.KindInvalid {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		if err := in.Validate(); err != nil {
			t.Errorf("%q was read but is invalid: %v", text, err)
		}
	})
}

func TestVBPKnownTables(t *testing.T) {
	want := map[string]VBPKnown{"four_0": {LB: 2, Best: 4}, "apart_1": {LB: 3, OPT: 3, Best: 3}}
	for _, file := range []string{vbpFiles[0], "testdata/vbp/Made_instances.tar.gz"} {
		if got, err := ReadVBPKnown(file); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, %v", file, got, err)
		}
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "Own_instances.tar.gz")
	if got, err := ReadVBPKnown(file); err != nil || len(got) != 0 {
		t.Errorf("without a table: %v, %v", got, err)
	}
	table := filepath.Join(dir, "Own_base_OPT.csv")
	for text, wrong := range map[string]string{"instance_name\tLB\nx\t1\n": ":1:", "instance_name\tLB\tOPT\nx\t1\tmany\n": ":2:"} {
		if err := os.WriteFile(table, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadVBPKnown(file); purser.KindOf(err) != purser.KindInvalid || !strings.Contains(err.Error(), wrong) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestVBPSolvesAndSums(t *testing.T) {
	rt := vbpSolver(t)
	var results []VBPResult
	for _, v := range readVBPs(t, vbpArchive(t), "") {
		r, err := SolveVBP(t.Context(), rt, v, 10*time.Second, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		results = append(results, r)
	}
	// 6+3, 4+5 are too tall together with the others of 5: three bins; and of three fours no two share a bin of 7.
	for i, bins := range []int{3, 3} {
		if results[i].Bins != bins || results[i].Bound != bins {
			t.Errorf("%+v, not %d bins", results[i], bins)
		}
		results[i].Seconds = 1
	}
	known, err := ReadVBPKnown(vbpFiles[0])
	if err != nil {
		t.Fatal(err)
	}
	want := VBPSummary{Instances: 2, Compared: 2, Ratio: 0.875, Optimal: 2, Open: 1, Better: 1, OpenRatio: 0.75, Seconds: 1}
	if got := SummariseVBP(results, known); got != want {
		t.Errorf("%+v, not %+v", got, want)
	}
	results[0].Bins, results[1].Bound = 1, 4
	if got := SummariseVBP(results, known); got.BelowLB != 2 {
		t.Errorf("%+v has not two contradictions", got)
	}
}

// TestVBPOnPublishedSets packs small instances of each published set, for which optima are known.
func TestVBPOnPublishedSets(t *testing.T) {
	data := os.Getenv("PURSER_DATA")
	if data == "" {
		t.Skip("PURSER_DATA does not name a folder with the published sets")
	}
	rt := vbpSolver(t)
	for _, set := range []string{"New", "Panigrahy", "Triplet"} {
		file := filepath.Join(data, "vbp-vectorpack-cor2024", set+"_instances.tar.gz")
		known, err := ReadVBPKnown(file)
		if err != nil {
			t.Fatal(err)
		}
		var results []VBPResult
		for _, v := range readVBPs(t, file, "class*_[26]0_3_[0-3]") {
			r, err := SolveVBP(t.Context(), rt, v, 10*time.Second, time.Now)
			if err != nil {
				t.Fatalf("%s: %v", v.Name, err)
			}
			results = append(results, r)
		}
		s := SummariseVBP(results, known)
		t.Logf("%s: %+v", set, s)
		if s.Instances == 0 || s.BelowLB > 0 || s.Ratio > 1.01 {
			t.Errorf("%s: %+v", set, s)
		}
	}
}
