package bench

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"purser"
	"purser/optimizer/binpack"
	"purser/optimizer/highs"
)

// VBP is an instance of vector bin packing in the form of the Vectorpack project (Computers & Operations Research 2024).
type VBP struct {
	Name    string // of its file, without the ending
	Problem binpack.Instance
}

// VBPResult is what one instance came to.
type VBPResult struct {
	Instance string  `json:"instance"`
	Bins     int     `json:"bins"`
	Bound    int     `json:"bound"` // no packing has fewer bins
	Seconds  float64 `json:"seconds"`
}

// vbpEnding is of the names of instances.
const vbpEnding = ".vbp"

// ReadVBP reads a file with one instance, or a .tar.gz with a set of them in its order, and hands over those whose name a pattern
// (path.Match) fits; an empty pattern fits all.
func ReadVBP(file, pattern string, each func(VBP) error) error {
	if _, err := path.Match(pattern, ""); err != nil {
		return purser.Errorf(purser.KindInvalid, "bench", "the pattern %q is malformed", pattern)
	}
	wanted := func(name string) bool {
		ok, err := path.Match(pattern, name)
		return pattern == "" || err == nil && ok
	}
	f, err := openVBP(file)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if !strings.HasSuffix(file, ".tar.gz") {
		name := strings.TrimSuffix(filepath.Base(file), vbpEnding)
		if !wanted(name) {
			return nil
		}
		return handVBP(file, name, f, each)
	}
	z, err := gzip.NewReader(f)
	if err != nil {
		return purser.Errorf(purser.KindInvalid, "bench", "%s: %w", file, err)
	}
	for t := tar.NewReader(z); ; {
		head, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return purser.Errorf(purser.KindInvalid, "bench", "%s: %w", file, err)
		}
		name := strings.TrimSuffix(path.Base(head.Name), vbpEnding)
		if head.Typeflag != tar.TypeReg || !strings.HasSuffix(head.Name, vbpEnding) || !wanted(name) {
			continue
		}
		if err := handVBP(file+": "+head.Name, name, t, each); err != nil {
			return err
		}
	}
}

func openVBP(file string) (*os.File, error) {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, purser.Errorf(purser.KindNotFound, "bench", "there is no file %s", file)
	}
	return f, purser.Wrap(purser.KindUnavailable, "bench", err)
}

func handVBP(place, name string, r io.Reader, each func(VBP) error) error {
	in, err := parseVBP(place, r)
	if err != nil {
		return err
	}
	return each(VBP{Name: name, Problem: in})
}

// mostVBPDimensions and mostVBPItems are more than any published instance has.
const (
	mostVBPDimensions = 64
	mostVBPItems      = 100_000
)

// vbpLines reads lines of whole numbers and says where one is wrong.
type vbpLines struct {
	place string
	scan  *bufio.Scanner
	line  int
}

func (l *vbpLines) invalid(format string, args ...any) error {
	return purser.Errorf(purser.KindInvalid, "bench", "%s:%d: "+format, append([]any{l.place, l.line}, args...)...)
}

// next gives the numbers of the next line that is not empty, of which there must be n.
func (l *vbpLines) next(n int) ([]int64, error) {
	for l.scan.Scan() {
		l.line++
		fields := strings.Fields(l.scan.Text())
		if len(fields) == 0 {
			continue
		}
		if len(fields) != n {
			return nil, l.invalid("%d numbers, not %d", len(fields), n)
		}
		out := make([]int64, n)
		for i, f := range fields {
			v, err := strconv.ParseInt(f, 10, 64)
			if err != nil {
				return nil, l.invalid("%q is no whole number", f)
			}
			out[i] = v
		}
		return out, nil
	}
	l.line++
	if err := l.scan.Err(); err != nil {
		return nil, l.invalid("%w", err)
	}
	return nil, l.invalid("the file ends too early")
}

// count reads a line with one number from 1 to most.
func (l *vbpLines) count(what string, most int64) (int, error) {
	v, err := l.next(1)
	if err != nil {
		return 0, err
	}
	if v[0] < 1 || v[0] > most {
		return 0, l.invalid("%d %s, not 1 to %d", v[0], what, most)
	}
	return int(v[0]), nil
}

// parseVBP reads the number of dimensions, a bin's capacity in each, the number of items, and for each its sizes and how often it is wanted.
func parseVBP(place string, r io.Reader) (binpack.Instance, error) {
	l := &vbpLines{place: place, scan: bufio.NewScanner(r)}
	var in binpack.Instance
	dims, err := l.count("dimensions", mostVBPDimensions)
	if err != nil {
		return in, err
	}
	if in.Capacity, err = l.next(dims); err != nil {
		return in, err
	}
	items, err := l.count("items", mostVBPItems)
	if err != nil {
		return in, err
	}
	for range items {
		row, err := l.next(dims + 1)
		if err != nil {
			return in, err
		}
		if row[dims] < 1 || row[dims] > mostVBPItems {
			return in, l.invalid("an item is wanted %d times, not 1 to %d", row[dims], mostVBPItems)
		}
		in.Items = append(in.Items, binpack.Item{Size: row[:dims:dims], Count: int(row[dims])})
	}
	for l.scan.Scan() {
		if l.line++; strings.TrimSpace(l.scan.Text()) != "" {
			return in, l.invalid("there are more lines than %d items", items)
		}
	}
	if err := l.scan.Err(); err != nil {
		return in, l.invalid("%w", err)
	}
	if err := in.Validate(); err != nil {
		return in, l.invalid("%w", err)
	}
	return in, nil
}

// vbpWorkPerSecond is what each side of the search does in a second on a middling machine, in units of binpack.Options.Work.
const vbpWorkPerSecond = 10_000

// SolveVBP packs an instance within a time.
func SolveVBP(ctx context.Context, rt *highs.Runtime, v VBP, limit time.Duration, now func() time.Time) (VBPResult, error) {
	began := now()
	ctx, cancel := context.WithTimeout(ctx, limit-limit/50) // the rest is for the check
	defer cancel()
	work := max(1, int64(limit.Seconds()*vbpWorkPerSecond))
	r, err := binpack.Solve(ctx, rt, v.Problem, binpack.Options{Work: work, Seed: 1})
	if err != nil {
		return VBPResult{}, err
	}
	return VBPResult{Instance: v.Name, Bins: len(r.Bins), Bound: r.Bound, Seconds: now().Sub(began).Seconds()}, nil
}
