package bench

import (
	"cmp"
	"context"
	"maps"
	"math"
	"slices"

	"purser"
)

// Fleet is the material of the experiment E4, which is built after Mélange (Griggs et
// al., 2024): which machines serve requests of many sizes at least cost. Its authors'
// throughputs were not published; these are made from measurements of Llama 2 70B.
//
// An engine is the devices that hold the model once: one tensor-parallel set
// (Splitwise), or a chain of such with a part of the layers each (Helix). With b
// requests in each of its k stages, each of in tokens in and out tokens out, it serves
//
//	rate = k / (prompt(in) + out·step(b)/b)         requests per second
//	TPOT = step(b) + (b−1)·prompt(in)/out           seconds per output token (Little)
//
// since each prompt stops the tokens of the others. b is the largest that keeps TPOT
// within the objective, the batch within what was measured, and the keys and values of
// all requests, at their full length, within the memory that the weights leave. Times
// were measured at 512 tokens of prompt; that longer ones decode more slowly, and the
// network between stages, are not in them.
type Fleet struct {
	buckets []bucket
	timings []timing
	offers  []purser.Offer // by price
}

// bucket is the requests of about one size.
type bucket struct {
	requestSize         // their mean
	share       float64 // of all requests
}

// The upper edges of the buckets, in tokens; the last bucket has none.
var (
	bucketsIn  = []float64{256, 1024, 2048, 4096}
	bucketsOut = []float64{128, 256}
)

// ReadFleet reads requests, measurements and prices below dir.
func ReadFleet(ctx context.Context, dir string) (*Fleet, error) {
	requests, err := readRequests(dir)
	if err != nil {
		return nil, err
	}
	f := Fleet{buckets: histogram(requests)}
	if f.timings, err = readTimes(dir); err != nil {
		return nil, err
	}
	layers, err := readLayers(dir)
	if err != nil {
		return nil, err
	}
	f.timings = append(f.timings, layers...)
	wanted := map[string]bool{}
	for _, t := range f.timings {
		wanted[t.accelerator] = true
	}
	f.offers, err = readFleetOffers(ctx, dir, wanted)
	return &f, err
}

// histogram puts requests into buckets, which are sorted by their edges.
func histogram(requests []requestSize) []bucket {
	sums := make([]bucket, (len(bucketsIn)+1)*(len(bucketsOut)+1))
	for _, r := range requests {
		i, _ := slices.BinarySearch(bucketsIn, r.in)
		o, _ := slices.BinarySearch(bucketsOut, r.out)
		b := &sums[i*(len(bucketsOut)+1)+o]
		b.in, b.out, b.share = b.in+r.in, b.out+r.out, b.share+1
	}
	var out []bucket
	for _, b := range sums {
		if b.share > 0 {
			out = append(out, bucket{requestSize{b.in / b.share, b.out / b.share}, b.share / float64(len(requests))})
		}
	}
	return out
}

// Llama 2 70B (Touvron et al., 2023): 68.98·10⁹ weights; keys and values of 80 layers
// with 8 heads of 128 numbers, at two bytes.
const (
	modelWeights  = 68.98e9
	modelKVBytes  = 2 * fleetModelLayers * 8 * 128 * 2
	memoryUsable  = 0.9 // of a device, as serving systems take by default
	largestEngine = 16  // devices
	bytesPerGiB   = 1 << 30
)

// form is how the weights are kept.
type form struct {
	name   string
	bytes  float64 // per weight
	faster float64 // than measured at two bytes
}

var fp16 = form{"fp16", 2, 1}

// int8Form is with weights in one byte. The measurements have none of it. SmoothQuant
// (Xiao et al., ICML'23) reports up to 1.56 times the speed at half the memory; half of
// that gain is assumed.
var int8Form = form{"int8 (speed assumed)", 1, 1.28}

// engine is the devices that hold the model once, and what they serve.
type engine struct {
	accelerator string
	devices     int
	rates       []float64 // requests per second by bucket; 0: not within the objective
}

// engines gives each accelerator its engine that needs the fewest device-seconds for
// the mean request, of those that serve all buckets. What can serve no bucket, or has
// no room for the weights, is left out.
func (f *Fleet) engines(tpot float64, w form) []engine {
	best := map[string]engine{}
	for _, t := range f.timings {
		for stages := 1; stages*t.devices <= largestEngine; stages *= 2 {
			if stages > 1 && !t.staged {
				break
			}
			e := engine{accelerator: t.accelerator, devices: stages * t.devices}
			for _, b := range f.buckets {
				e.rates = append(e.rates, t.rate(b.requestSize, stages, tpot, w))
			}
			have, ok := best[e.accelerator]
			if slices.Max(e.rates) > 0 && (!ok || f.better(e, have)) {
				best[e.accelerator] = e
			}
		}
	}
	return slices.SortedFunc(maps.Values(best), func(a, b engine) int { return cmp.Compare(a.accelerator, b.accelerator) })
}

// better says whether engine a serves more buckets than b, or the same with fewer
// device-seconds.
func (f *Fleet) better(a, b engine) bool {
	seconds := func(e engine) (missing int, sum float64) {
		for i, r := range e.rates {
			if r == 0 {
				missing++
			} else {
				sum += f.buckets[i].share * float64(e.devices) / r
			}
		}
		return missing, sum
	}
	ma, sa := seconds(a)
	mb, sb := seconds(b)
	return cmp.Or(cmp.Compare(ma, mb), cmp.Compare(sa, sb)) < 0
}

// rate is how many requests per second of a size an engine of so many stages serves
// within seconds per output token.
func (t timing) rate(size requestSize, stages int, tpot float64, w form) float64 {
	a, ok := purser.AcceleratorNamed(t.accelerator)
	if !ok {
		return 0
	}
	room := memoryUsable*a.MemoryGiB*bytesPerGiB*float64(stages*t.devices) - modelWeights*w.bytes
	most := math.Floor(room / (modelKVBytes * (size.in + size.out)) / float64(stages))
	prompt, best := t.prompt.at(size.in)/w.faster, 0.0
	for b := 1.0; b <= min(most, t.step.last()); b++ {
		step := t.step.at(b) / w.faster
		if step+(b-1)*prompt/size.out <= tpot {
			best = max(best, float64(stages)/(prompt+size.out*step/b))
		}
	}
	return best
}
