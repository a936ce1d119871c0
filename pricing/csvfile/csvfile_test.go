package csvfile_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"purser"
	"purser/pricing"
	"purser/pricing/csvfile"
	"purser/pricing/pricingtest"
)

var update = flag.Bool("update", false, "write the golden files anew")

var asOf = time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)

const lists = "testdata/lists"

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", path, got, want)
	}
}

// show writes what became of a list as people read it.
func show(s pricing.Sifted) string {
	var b strings.Builder
	for _, o := range s.Offers {
		fmt.Fprintf(&b, "%s  %s USD/h  %s", o.ID(), o.UnitPrice.Decimal(), machine(o))
		fmt.Fprintf(&b, "  %s\n", o.Country)
	}
	for _, q := range s.Quarantined {
		fmt.Fprintf(&b, "quarantined %s at %s: %s: %s\n    %s\n", q.Offer.ID(), q.Place, q.Reason, q.Detail, machine(q.Offer))
	}
	fmt.Fprintf(&b, "merged %d\n", s.Merged)
	return b.String()
}

func machine(o purser.Offer) string {
	s := fmt.Sprintf("%g vCPUs, %s", float64(o.MilliCPU)/1000, purser.GiB(o.MemoryMiB))
	if o.Devices != 0 {
		s = fmt.Sprintf("%s × %s of %s, %s", o.Devices, o.Accelerator, purser.GiB(o.DeviceMemoryMiB), s)
	}
	return s
}

func TestLists(t *testing.T) {
	for _, provider := range []string{"aws", "azure", "gcp", "runpod"} {
		c, err := csvfile.New(csvfile.Options{Path: filepath.Join(lists, provider+".csv"), AsOf: asOf})
		if err != nil {
			t.Fatal(err)
		}
		rows, err := pricing.Collect(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		s := pricing.Sift(rows)
		for _, o := range s.Offers {
			if o.Source != "csvfile:"+provider+".csv" || !o.ObservedAt.Equal(asOf) || o.Limit != purser.Unlimited {
				t.Errorf("%s: source %q, observed at %s, limit %d", o.ID(), o.Source, o.ObservedAt, o.Limit)
			}
		}
		golden(t, filepath.Join(lists, provider+".golden"), show(s))
	}
}

func TestConformance(t *testing.T) {
	for _, provider := range []string{"aws", "azure", "gcp", "runpod"} {
		pricingtest.Run(t, func() pricing.Collector {
			c, err := csvfile.New(csvfile.Options{Path: filepath.Join(lists, provider+".csv"), AsOf: asOf})
			if err != nil {
				t.Fatal(err)
			}
			return c
		})
	}
}

// Every broken file gives one error of one line, invalid, with its place, and no
// rows.
func TestBrokenFiles(t *testing.T) {
	paths, err := filepath.Glob("testdata/broken/*.csv*")
	if err != nil || len(paths) < 15 {
		t.Fatalf("%d broken files, %v", len(paths), err)
	}
	var b strings.Builder
	for _, path := range paths {
		c, err := csvfile.New(csvfile.Options{Path: path, Provider: "aws", AsOf: asOf})
		if err != nil {
			t.Fatal(err)
		}
		err = c.Collect(t.Context(), func(pricing.Batch) error {
			t.Errorf("%s: emitted a batch", path)
			return nil
		})
		var e *purser.Error
		if !errors.As(err, &e) || e.Kind != purser.KindInvalid || e.Place == nil || e.Place.File != path || e.Place.Line < 1 {
			t.Errorf("%s: got %v, want an invalid error with file and line", path, err)
			continue
		}
		if strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: the error has more than one line", path)
		}
		fmt.Fprintf(&b, "%s\n", strings.TrimPrefix(err.Error(), "testdata/broken/"))
	}
	golden(t, "testdata/broken.golden", b.String())
}

const head = "InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,Price,SpotPrice,Region,AvailabilityZone\n"

func read(t *testing.T, r io.Reader) ([]pricing.Row, error) {
	return csvfile.Read(t.Context(), r, "aws.csv", csvfile.Options{AsOf: asOf})
}

// repeated gives a text n times without holding it.
type repeated struct {
	text string
	n    int
	rest string
}

func (r *repeated) Read(p []byte) (int, error) {
	if r.rest == "" {
		if r.n == 0 {
			return 0, io.EOF
		}
		r.n--
		r.rest = r.text
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

func TestHugeFilesEndEarly(t *testing.T) {
	line := "g5.xlarge,A10G,1.0,4.0,16.0,1.006,0.4,us-east-1,use1-az1\n"
	wide := strings.TrimSuffix(head, "\n") + ",Note\n"
	note := strings.TrimSuffix(line, "\n") + "," + strings.Repeat("x", 2000) + "\n"
	bomb := func() io.Reader {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		if _, err := io.Copy(w, io.MultiReader(strings.NewReader(wide), &repeated{text: note, n: 110_000})); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if b.Len() > 2<<20 {
			t.Fatalf("the bomb has %d bytes, too many to be one", b.Len())
		}
		return &b
	}
	for name, c := range map[string]struct {
		in   io.Reader
		want string
	}{
		"100 MB of good lines":        {io.MultiReader(strings.NewReader(head), &repeated{text: line, n: 2_000_000}), "aws.csv:250001: a price list has at most 250000 lines"},
		"100 MB without an end":       {&repeated{text: strings.Repeat("x", 1000), n: 100_000}, "aws.csv:1: the line is longer than 1 MiB"},
		"a quoted field of 100 MB":    {io.MultiReader(strings.NewReader(head+`"`), &repeated{text: "xx\n", n: 33_000_000}), "aws.csv:2: a quoted field does not end on its line"},
		"100 MB of zeros":             {&repeated{text: string(make([]byte, 1000)), n: 100_000}, "aws.csv:1: the line is longer than 1 MiB"},
		"1 MB that unpacks to 220 MB": {bomb(), "the list is larger than 200 MiB"},
	} {
		rows, err := read(t, c.in)
		if rows != nil || purser.KindOf(err) != purser.KindInvalid || !strings.Contains(fmt.Sprint(err), c.want) {
			t.Errorf("%s: %d rows and %v, want an invalid error with %q", name, len(rows), err, c.want)
		}
	}
}

// shuffled gives the list with its columns in another order.
func shuffled(t *testing.T, list string, rnd *rand.Rand) string {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(list), "\n")
	order := rnd.Perm(len(strings.Split(lines[0], ",")))
	var b strings.Builder
	for _, line := range lines {
		fields := strings.Split(line, ",")
		for i, from := range order {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(fields[from])
		}
		b.WriteString("\r\n")
	}
	return b.String()
}

func TestFormDoesNotMatter(t *testing.T) {
	plain, err := os.ReadFile(filepath.Join(lists, "gcp.csv")) // has no quoted fields
	if err != nil {
		t.Fatal(err)
	}
	opt := csvfile.Options{AsOf: asOf}
	want, err := csvfile.Read(t.Context(), bytes.NewReader(plain), "gcp.csv", opt)
	if err != nil {
		t.Fatal(err)
	}
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	forms := map[string]io.Reader{
		"gzip":             &zipped,
		"byte order mark":  io.MultiReader(strings.NewReader("\ufeff"), bytes.NewReader(plain)),
		"byte by byte":     iotest.OneByteReader(bytes.NewReader(plain)),
		"no last line end": bytes.NewReader(bytes.TrimRight(plain, "\n")),
		"blank line last":  io.MultiReader(bytes.NewReader(plain), strings.NewReader("\n\n")),
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range 5 {
		forms[fmt.Sprint("columns shuffled ", i)] = strings.NewReader(shuffled(t, string(plain), rnd))
	}
	for name, r := range forms {
		got, err := csvfile.Read(t.Context(), r, "gcp.csv", opt)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: other rows, %v", name, err)
		}
	}
}

func TestOptions(t *testing.T) {
	for name, c := range map[string]struct {
		opt  csvfile.Options
		want string // of the error; empty: none
	}{
		"all said":          {csvfile.Options{Path: "x/prices.csv", Provider: "vast", AsOf: asOf, Source: "mine"}, ""},
		"name says it":      {csvfile.Options{Path: "x/AWS.csv.gz", AsOf: asOf}, ""},
		"name says nothing": {csvfile.Options{Path: "x/vms.csv", AsOf: asOf}, "whose prices"},
		"bad provider":      {csvfile.Options{Path: "x/vms.csv", Provider: "A W S", AsOf: asOf}, "cannot name a provider"},
		"no date":           {csvfile.Options{Path: "x/aws.csv"}, "--as-of"},
		"no path":           {csvfile.Options{AsOf: asOf}, "path"},
	} {
		_, err := csvfile.New(c.opt)
		if c.want == "" && err != nil || c.want != "" && (purser.KindOf(err) != purser.KindInvalid || !strings.Contains(fmt.Sprint(err), c.want)) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
	if c, err := csvfile.New(csvfile.Options{Path: "x/lambda.csv", AsOf: asOf}); err != nil || c.Source() != "csvfile:lambda.csv" {
		t.Errorf("the source is %v, %v", c, err)
	}
}

func TestFilesThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe.csv")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]purser.Kind{
		filepath.Join(dir, "none.csv"): purser.KindNotFound,
		dir:                            purser.KindInvalid,
		pipe:                           purser.KindInvalid,
		"testdata/lists/aws.csv/x":     purser.KindInvalid,
	} {
		c, err := csvfile.New(csvfile.Options{Path: path, Provider: "aws", AsOf: asOf})
		if err != nil {
			t.Fatal(err)
		}
		err = c.Collect(t.Context(), func(pricing.Batch) error { return nil })
		if err == nil || purser.KindOf(err) != want || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got %v, want %s", path, err, want)
		}
	}
}

func TestReadFaults(t *testing.T) {
	broken := errors.New("the disk is gone")
	line := "g5.xlarge,A10G,1.0,4.0,16.0,1.006,0.4,us-east-1,use1-az1\n"
	rows, err := read(t, io.MultiReader(strings.NewReader(head+line), iotest.ErrReader(broken)))
	if rows != nil || !errors.Is(err, broken) || purser.KindOf(err) != purser.KindUnavailable {
		t.Errorf("a read error gives %d rows and %v", len(rows), err)
	}
	if rows, err = read(t, iotest.ErrReader(broken)); rows != nil || !errors.Is(err, broken) {
		t.Errorf("a read error at once gives %d rows and %v", len(rows), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	feed := &repeated{text: line, n: 1_000_000}
	stop := readerFunc(func(p []byte) (int, error) { // ends the context after a while
		if feed.n < 900_000 {
			cancel()
		}
		return feed.Read(p)
	})
	rows, err = csvfile.Read(ctx, io.MultiReader(strings.NewReader(head), stop), "aws.csv", csvfile.Options{AsOf: asOf})
	if rows != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("a context that ends gives %d rows and %v", len(rows), err)
	}
	if feed.n < 800_000 {
		t.Errorf("%d lines were read after the context had ended", 900_000-feed.n)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
