package bench

import (
	"encoding/csv"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"purser"
)

// VBPKnown is what the literature has of an instance.
type VBPKnown struct {
	LB   int // a lower bound
	OPT  int // the optimum; 0 where it is not known
	Best int // the fewest bins of the published heuristics; 0 where there is no such table
}

// reference is the number of bins to compare with: the optimum, else the best known.
func (k VBPKnown) reference() int {
	if k.OPT > 0 {
		return k.OPT
	}
	return k.Best
}

// vbpSetMark stands behind the name of a set in the name of its archive, or of the folder of its instances.
const vbpSetMark = "_instances"

// ReadVBPKnown reads the tables of the set that a file of instances belongs to: SET_summary_known.csv, or else SET_base_OPT.csv, beside
// SET_instances.tar.gz or the folder SET_instances…. Without a set or a table there is nothing known: an empty map.
func ReadVBPKnown(file string) (map[string]VBPKnown, error) {
	at, err := filepath.Abs(file)
	if err != nil {
		return nil, purser.Wrap(purser.KindInvalid, "bench", err)
	}
	for ; filepath.Dir(at) != at; at = filepath.Dir(at) {
		set, _, marked := strings.Cut(filepath.Base(at), vbpSetMark)
		if !marked {
			continue
		}
		for _, table := range []string{"_summary_known.csv", "_base_OPT.csv"} {
			known, err := readVBPTable(filepath.Join(filepath.Dir(at), set+table))
			if err != nil || known != nil {
				return known, err
			}
		}
	}
	return map[string]VBPKnown{}, nil
}

// readVBPTable reads a table with tabs between its columns; nil where there is no such file.
func readVBPTable(file string) (map[string]VBPKnown, error) {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, purser.Wrap(purser.KindUnavailable, "bench", err)
	}
	defer func() { _ = f.Close() }()
	c := csv.NewReader(f)
	c.Comma = '\t'
	head, err := c.Read()
	if err != nil {
		return nil, purser.Errorf(purser.KindInvalid, "bench", "%s has no head: %w", file, err)
	}
	name, lb, opt, best := slices.Index(head, "instance_name"), slices.Index(head, "LB"), slices.Index(head, "OPT"), slices.Index(head, "best_overall")
	if name < 0 || lb < 0 || opt < 0 {
		return nil, purser.Errorf(purser.KindInvalid, "bench", "%s:1: the columns instance_name, LB and OPT are not all there", file)
	}
	known := map[string]VBPKnown{}
	for {
		row, err := c.Read()
		if errors.Is(err, io.EOF) {
			return known, nil
		}
		var k VBPKnown
		if err == nil {
			k, err = vbpKnownOf(row, lb, opt, best)
		}
		if err != nil {
			line, _ := c.FieldPos(0)
			return nil, purser.Errorf(purser.KindInvalid, "bench", "%s:%d: %w", file, line, err)
		}
		known[row[name]] = k
	}
}

// vbpKnownOf reads a row; best is −1 where there is no such column, as OPT is where it is not known.
func vbpKnownOf(row []string, lb, opt, best int) (VBPKnown, error) {
	var k VBPKnown
	var err1, err2, err3 error
	k.LB, err1 = strconv.Atoi(row[lb])
	k.OPT, err2 = strconv.Atoi(row[opt])
	if best >= 0 {
		k.Best, err3 = strconv.Atoi(row[best])
	}
	k.OPT = max(k.OPT, 0)
	return k, errors.Join(err1, err2, err3)
}

// VBPSummary is what the results of a set come to. Ratios are bins by the optimum, or by the best known where that is open.
type VBPSummary struct {
	Instances int
	Compared  int     // of them with a reference
	Ratio     float64 // mean over those compared
	Optimal   int     // proven so, or as few bins as the known optimum
	Open      int     // whose best known is above its lower bound, with no optimum known
	Better    int     // of those open: fewer bins than the best known
	OpenRatio float64 // mean over those open
	BelowLB   int     // fewer bins, or a bound beyond a known packing: one of the two is wrong
	Seconds   float64 // mean
}

// SummariseVBP compares results with what is known.
func SummariseVBP(results []VBPResult, known map[string]VBPKnown) VBPSummary {
	s := VBPSummary{Instances: len(results)}
	for _, r := range results {
		s.Seconds += r.Seconds / float64(len(results))
		k, ok := known[r.Instance]
		if r.Bins == r.Bound || ok && r.Bins == k.OPT {
			s.Optimal++
		}
		if !ok {
			continue
		}
		if ref := k.reference(); ref > 0 {
			s.Compared++
			s.Ratio += float64(r.Bins) / float64(ref)
			if r.Bins < k.LB || r.Bound > ref {
				s.BelowLB++
			}
		}
		if k.OPT == 0 && k.Best > k.LB {
			s.Open++
			s.OpenRatio += float64(r.Bins) / float64(k.Best)
			if r.Bins < k.Best {
				s.Better++
			}
		}
	}
	s.Ratio /= float64(max(1, s.Compared))
	s.OpenRatio /= float64(max(1, s.Open))
	return s
}
