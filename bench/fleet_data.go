package bench

import (
	"cmp"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"purser"
	"purser/pricing"
	"purser/pricing/csvfile"
)

// The data of the experiment E4.
const (
	fleetRequests = "azure-llm-inference-2023/AzureLLMInferenceTrace_conv.csv"
	fleetTimes    = "splitwise-perf-model/perf_model.csv"
	fleetLayers   = "helix-asplos25-profiles/llama2_70b"
	fleetPaper    = "melange-tables/allocations.csv"
)

// fleetRow gives the fields of one row of a table by the names in its head.
type fleetRow map[string]string

// numbers are the values of columns; each has to be a number that is not negative.
func (r fleetRow) numbers(columns ...string) ([]float64, error) {
	out := make([]float64, len(columns))
	for i, c := range columns {
		x, err := strconv.ParseFloat(r[c], 64)
		if err != nil || !(x >= 0 && x <= 1e9) {
			return nil, fmt.Errorf("%s is %q and not a number from 0 to 10⁹", c, r[c])
		}
		out[i] = x
	}
	return out, nil
}

// fleetTable reads a CSV file with these names for its first columns; where inFile is
// set the head in the file has to name them all, in any order. What is wrong is said
// with its line.
func fleetTable(path string, columns []string, inFile bool, row func(fleetRow) error) error {
	f, err := os.Open(path)
	if err != nil {
		kind := purser.KindUnavailable
		if errors.Is(err, fs.ErrNotExist) {
			kind = purser.KindNotFound
		}
		return purser.Errorf(kind, "bench", "the trace %s cannot be read: %w", path, err)
	}
	defer func() { _ = f.Close() }()
	c := csv.NewReader(f)
	line := func(err error) error {
		at, _ := c.FieldPos(0)
		return purser.Errorf(purser.KindInvalid, "bench", "%s:%d: %w", path, at, err)
	}
	head := columns
	if inFile {
		if head, err = c.Read(); err != nil {
			return purser.Errorf(purser.KindInvalid, "bench", "%s:1: %w", path, err)
		}
		for _, name := range columns {
			if !slices.Contains(head, name) {
				return line(fmt.Errorf("there is no column %q", name))
			}
		}
	}
	c.FieldsPerRecord = len(head)
	for n := 0; ; n++ {
		rec, err := c.Read()
		if errors.Is(err, io.EOF) && n > 0 {
			return nil
		}
		if err != nil {
			return purser.Errorf(purser.KindInvalid, "bench", "%s: %w", path, err)
		}
		r := fleetRow{}
		for i, name := range head {
			r[name] = rec[i]
		}
		if err := row(r); err != nil {
			return line(err)
		}
	}
}

// curve is a measured function, linear between its points, which are sorted.
type curve []point

type point struct{ x, y float64 }

// at is the value at x: before the first point that of the first, after the last along
// the last two.
func (c curve) at(x float64) float64 {
	if x <= c[0].x || len(c) == 1 {
		return c[0].y
	}
	i := 1
	for i < len(c)-1 && c[i].x < x {
		i++
	}
	a, b := c[i-1], c[i]
	return a.y + (b.y-a.y)*(x-a.x)/(b.x-a.x)
}

func (c curve) last() float64 { return c[len(c)-1].x }

// timing is what was measured of one model on a tensor-parallel set of devices.
type timing struct {
	accelerator string // canonical
	devices     int    // of the set
	staged      bool   // such sets may be chained, each with a part of the layers
	prompt      curve  // seconds of a whole prompt by its tokens
	step        curve  // seconds until the next token of all, by requests in the batch
}

// requestSize is a request's length in tokens.
type requestSize struct{ in, out float64 }

func readRequests(dir string) ([]requestSize, error) {
	var out []requestSize
	err := fleetTable(filepath.Join(dir, fleetRequests), []string{"ContextTokens", "GeneratedTokens"}, true, func(r fleetRow) error {
		x, err := r.numbers("ContextTokens", "GeneratedTokens")
		if err != nil {
			return err
		}
		if x[0] < 1 || x[1] < 1 {
			return errors.New("a request has at least one token in and one out")
		}
		out = append(out, requestSize{x[0], x[1]})
		return nil
	})
	return out, err
}

// splitwiseDevices names the hardware of Splitwise's table that is sold. Its third
// kind is an H100 with a power cap.
var splitwiseDevices = map[string]string{"h100-80gb": "H100", "a100-80gb": "A100-80GB"}

const (
	fleetModel = "llama2-70b"
	baseTokens = 128 // generated, in the rows that times are taken from
	basePrompt = 512 // of the rows with several requests
)

// readTimes reads Splitwise's measurements (Patel et al., ISCA'24): the median of each
// setting's repeats. A setting whose requests took more than twice as long as its
// parts add up to did not run as one batch and is left out.
func readTimes(dir string) ([]timing, error) {
	type setting struct {
		hardware              string
		parallel, prompt, num int
	}
	repeats := map[setting][][]float64{}
	columns := []string{"model", "hardware", "prompt_size", "batch_size", "token_size", "prompt_time", "token_time", "e2e_time", "tensor_parallel"}
	err := fleetTable(filepath.Join(dir, fleetTimes), columns, true, func(r fleetRow) error {
		x, err := r.numbers(columns[2:]...)
		if err != nil {
			return err
		}
		if min(x[3], x[4], x[5], x[6]) <= 0 || min(x[0], x[1]) < 1 {
			return errors.New("sizes and times lie above 0")
		}
		if r["model"] == fleetModel && splitwiseDevices[r["hardware"]] != "" && x[2] == baseTokens {
			s := setting{r["hardware"], int(x[6]), int(x[0]), int(x[1])}
			repeats[s] = append(repeats[s], x[3:6])
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	byForm := map[setting]*timing{}
	for s, rows := range repeats {
		prompt, token, whole := median(rows, 0), median(rows, 1), median(rows, 2)
		if whole > 2*(prompt+baseTokens*token) {
			continue
		}
		form := setting{hardware: s.hardware, parallel: s.parallel}
		t := byForm[form]
		if t == nil {
			t = &timing{accelerator: splitwiseDevices[s.hardware], devices: s.parallel}
			byForm[form] = t
		}
		if s.num == 1 {
			t.prompt = append(t.prompt, point{float64(s.prompt), prompt / 1000})
		}
		if s.prompt == basePrompt {
			t.step = append(t.step, point{float64(s.num), token / 1000})
		}
	}
	var out []timing
	for _, t := range byForm {
		out = append(out, *t)
	}
	return sortTimings(out, filepath.Join(dir, fleetTimes))
}

func median(rows [][]float64, column int) float64 {
	var x []float64
	for _, r := range rows {
		x = append(x, r[column])
	}
	slices.Sort(x)
	return (x[(len(x)-1)/2] + x[len(x)/2]) / 2
}

func sortTimings(list []timing, path string) ([]timing, error) {
	slices.SortFunc(list, func(a, b timing) int {
		return cmp.Or(cmp.Compare(a.accelerator, b.accelerator), cmp.Compare(a.devices, b.devices))
	})
	for i := range list {
		for _, c := range []curve{list[i].prompt, list[i].step} {
			slices.SortFunc(c, func(a, b point) int { return cmp.Compare(a.x, b.x) })
			if len(c) < 2 {
				return nil, purser.Errorf(purser.KindInvalid, "bench", "%s has fewer than two points for %d %s", path, list[i].devices, list[i].accelerator)
			}
		}
	}
	return list, nil
}

// helixDevices names the folders of Helix's profiles: an accelerator and how many of
// it are one tensor-parallel set.
var helixDevices = []struct {
	folder, accelerator string
	devices             int
}{
	{"a100", "A100-40GB", 1}, {"l4", "L4", 1}, {"l4x2", "L4", 2}, {"t4", "T4", 1}, {"t4x2", "T4", 2}, {"t4x4", "T4", 4}, {"v100", "V100-16GB", 1},
}

// fleetModelLayers is how many layers Llama 2 70B has (Touvron et al., 2023).
const fleetModelLayers = 80

// readLayers reads Helix's measurements (Mei et al., ASPLOS'25): milliseconds of one
// layer by the tokens of a prompt, and by the requests that decode together.
func readLayers(dir string) ([]timing, error) {
	var out []timing
	for _, d := range helixDevices {
		t := timing{accelerator: d.accelerator, devices: d.devices, staged: true}
		for _, part := range []struct {
			name string
			into *curve
		}{{"prompt", &t.prompt}, {"decode", &t.step}} {
			path := filepath.Join(dir, fleetLayers, d.folder, part.name+"_bs2time.csv")
			err := fleetTable(path, []string{"size", "ms"}, false, func(r fleetRow) error {
				x, err := r.numbers("size", "ms")
				if err != nil || x[0] == 0 { // nothing takes no time
					return err
				}
				c := *part.into
				if x[1] == 0 || len(c) > 0 && x[0] <= c[len(c)-1].x {
					return errors.New("sizes rise, and times lie above 0")
				}
				*part.into = append(c, point{x[0], x[1] * fleetModelLayers / 1000})
				return nil
			})
			if err != nil {
				return nil, err
			}
		}
		out = append(out, t)
	}
	return sortTimings(out, filepath.Join(dir, fleetLayers))
}

// readFleetOffers reads the catalogues and keeps, of each accelerator that was
// measured, the cheapest machine of each number of devices, zone and option.
func readFleetOffers(ctx context.Context, dir string, wanted map[string]bool) ([]purser.Offer, error) {
	type kind struct {
		accelerator, zone string
		devices           purser.MilliDevices
		option            purser.PurchaseOption
	}
	best := map[kind]purser.Offer{}
	for _, name := range strings.Fields(catalogues) {
		c, err := csvfile.New(csvfile.Options{Path: filepath.Join(dir, "price-catalogs-2024-02", name+".csv.gz"), AsOf: catalogueDate})
		if err != nil {
			return nil, err
		}
		err = c.Collect(ctx, func(b pricing.Batch) error {
			for _, o := range pricing.Sift(b.Rows).Offers {
				k := kind{o.Accelerator, o.Domain(purser.DomainZone), o.Devices, o.Option}
				have, ok := best[k]
				if wanted[o.Accelerator] && (!ok || cmp.Or(cmp.Compare(o.UnitPrice, have.UnitPrice), cmp.Compare(o.ID(), have.ID())) < 0) {
					best[k] = o
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	var out []purser.Offer
	for _, o := range best {
		out = append(out, o)
	}
	slices.SortFunc(out, func(a, b purser.Offer) int {
		return cmp.Or(cmp.Compare(a.UnitPrice, b.UnitPrice), cmp.Compare(a.ID(), b.ID()))
	})
	return out, nil
}
