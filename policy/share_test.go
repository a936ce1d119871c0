package policy

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"purser"
)

func cpuOffer(cpus int64, price float64) ShareOffer {
	return ShareOffer{
		Offer: purser.Offer{InstanceType: fmt.Sprint(cpus), Shape: purser.Shape{MilliCPU: 1000 * cpus, MemoryMiB: 1 << 20}, UnitPrice: purser.USDPerHourOf(price)},
		Paid:  3 * time.Minute, Wait: 3 * time.Minute,
	}
}

func cpuJob(number int, cpus int64, at int) ShareJob {
	return ShareJob{Number: number, Kind: "k", Needs: purser.Variant{MilliCPU: 1000 * cpus}, At: at, Move: time.Minute, Left: 10 * time.Hour}
}

// Four jobs of 4 vCPUs share one machine of 16 at 3 $ rather than four of 4 at 1 $.
func TestShareFillsTheCheaperMachine(t *testing.T) {
	offers := []ShareOffer{cpuOffer(4, 1), cpuOffer(16, 3)}
	var jobs []ShareJob
	for n := range 4 {
		jobs = append(jobs, cpuJob(n, 4, -1))
	}
	want := []ShareHold{{Machine: -1, Offer: 1, Jobs: []int{0, 1, 2, 3}}}
	if got := Share(offers, nil, jobs, Sharing{}); !reflect.DeepEqual(got, want) {
		t.Errorf("%v", got)
	}
	// Where each keeps nine tenths beside another, four do 4·0.9³ = 2.9 hours' work for 3 $: where an hour's
	// work is worth 1 $, alone is better.
	for n := range jobs {
		jobs[n].Value = 1
	}
	apart := Share(offers, nil, jobs, Sharing{Share: func(string, string) float64 { return 0.9 }})
	if len(apart) != 4 {
		t.Errorf("%v", apart)
	}
}

// A job moves where that pays for itself before the first job on the machine ends, and
// not where it would end before.
func TestShareMovesWhatPays(t *testing.T) {
	offers := []ShareOffer{cpuOffer(4, 1), cpuOffer(16, 3)}
	held := []ShareMachine{{Number: 7, Offer: 1}, {Number: 8, Offer: 0}}
	for left, moves := range map[time.Duration]bool{10 * time.Hour: true, 6 * time.Minute: false} {
		jobs := []ShareJob{cpuJob(1, 4, 7), cpuJob(2, 4, 7), cpuJob(3, 4, 7), cpuJob(4, 4, 8)}
		jobs[3].Left, jobs[3].Move = left, 30*time.Minute
		got := Share(offers, held, jobs, Sharing{})
		if (len(got) == 1) != moves {
			t.Errorf("with %v left: %v", left, got)
		}
	}
}

// A machine without jobs that is held goes before a new one, which has to boot.
func TestShareTakesWhatIsThere(t *testing.T) {
	offers := []ShareOffer{cpuOffer(4, 1)}
	got := Share(offers, []ShareMachine{{Number: 5}}, []ShareJob{cpuJob(1, 4, -1)}, Sharing{})
	if want := []ShareHold{{Machine: 5, Jobs: []int{1}}}; !reflect.DeepEqual(got, want) {
		t.Errorf("%v", got)
	}
}

// A job that no machine holds is left out, and the others are placed.
func TestShareLeavesOutWhatFitsNowhere(t *testing.T) {
	got := Share([]ShareOffer{cpuOffer(4, 1)}, nil, []ShareJob{cpuJob(1, 5, -1), cpuJob(2, 4, -1)}, Sharing{})
	if want := []ShareHold{{Machine: -1, Jobs: []int{2}}}; !reflect.DeepEqual(got, want) {
		t.Errorf("%v", got)
	}
}

// Every job gets one place that holds it, fixed ones keep theirs, and the order of the
// input does not matter.
func TestShareIsFeasible(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		gpu := cpuOffer(8, rapid.Float64Range(1, 9).Draw(t, "gpu"))
		gpu.Accelerator, gpu.Devices = "T4", 2*purser.OneDevice
		offers := []ShareOffer{cpuOffer(4, 1), cpuOffer(16, rapid.Float64Range(1, 5).Draw(t, "large")), gpu}
		held := []ShareMachine{{Number: 3, Offer: 1}, {Number: 4, Offer: 2}, {Number: 9, Offer: 0}}
		room := map[int]amount{}
		for _, m := range held {
			room[m.Number] = roomOf(offers[m.Offer])
		}
		var jobs []ShareJob
		for n := range rapid.IntRange(1, 12).Draw(t, "jobs") {
			j := cpuJob(n, rapid.Int64Range(1, 4).Draw(t, "cpus"), -1)
			j.Kind = rapid.SampledFrom([]string{"a", "b"}).Draw(t, "kind")
			j.Left = time.Duration(rapid.IntRange(0, 100_000).Draw(t, "left")) * time.Second
			if rapid.Bool().Draw(t, "device") {
				j.Needs.Accelerator, j.Needs.Devices = "T4", purser.OneDevice
			}
			if m := rapid.SampledFrom(held).Draw(t, "at"); offers[m.Offer].holds(j.Needs) && needOf(j.Needs).fits(room[m.Number]) && rapid.Bool().Draw(t, "runs") {
				need := needOf(j.Needs)
				left := room[m.Number]
				room[m.Number] = amount{left[0] - need[0], left[1] - need[1], left[2] - need[2]}
				j.At, j.Fixed = m.Number, rapid.Bool().Draw(t, "fixed")
			}
			jobs = append(jobs, j)
		}
		s := Sharing{Tries: 30, Seed: 1, Share: func(a, b string) float64 { return 0.7 + 0.1*float64(len(a+b)) }}
		got := Share(offers, held, jobs, s)
		placed := map[int]ShareHold{}
		for _, h := range got {
			var sum amount
			for _, n := range h.Jobs {
				if _, twice := placed[n]; twice || !offers[h.Offer].holds(jobs[n].Needs) {
					t.Fatalf("job %d has two places, or one that cannot run it: %v", n, got)
				}
				placed[n], sum = h, sum.plus(needOf(jobs[n].Needs))
			}
			if !sum.fits(roomOf(offers[h.Offer])) {
				t.Fatalf("there is no room for %v", h)
			}
		}
		for _, j := range jobs {
			if h, ok := placed[j.Number]; !ok || j.Fixed && h.Machine != j.At {
				t.Fatalf("job %d, fixed %v at %d, is on %v", j.Number, j.Fixed, j.At, h)
			}
		}
		turned := slices.Clone(jobs)
		slices.Reverse(turned)
		slices.Reverse(held)
		if again := Share(offers, held, turned, s); !reflect.DeepEqual(got, again) {
			t.Fatalf("%v\nturned round %v", got, again)
		}
	})
}

// The rates that are kept up while jobs come and go are those of the definition.
func TestRackRates(t *testing.T) {
	share := map[string]float64{"aa": 0.9, "ab": 0.8, "ba": 0.7, "bb": 0.6}
	offers := []ShareOffer{cpuOffer(100, 1)}
	jobs := []ShareJob{cpuJob(0, 1, 1), cpuJob(1, 1, 1), cpuJob(2, 1, 1)}
	jobs[0].Kind, jobs[1].Kind, jobs[2].Kind = "a", "b", "b"
	p := newSharing(offers, []ShareMachine{{Number: 1}}, jobs, Sharing{Share: func(a, b string) float64 { return share[a+b] }})
	k := p.racks[0]
	near := func(got []float64, want ...float64) {
		t.Helper()
		for i := range want {
			if math.Abs(got[i]-want[i]) > 1e-12 {
				t.Errorf("%v, want %v", got, want)
			}
		}
	}
	near(k.rates, 0.8*0.8, 0.7*0.6, 0.7*0.6)
	whole := p.cost(k)
	p.remove(k, 1)
	near(k.rates, 0.8, 0.7)
	if with := p.with(k, 1); math.Abs(with-whole) > 1e-12 {
		t.Errorf("with the job back it costs %g, want %g", with, whole)
	}
}

// Pairs alone give shares exactly; a third neighbour is told from what two explain.
func TestInterferenceLearns(t *testing.T) {
	f := NewInterference(0.95)
	if got := f.Share("a", "b"); math.Abs(got-0.95) > 1e-12 {
		t.Errorf("unseen %g", got)
	}
	if !f.Learn("a", []string{"b"}, 0.8) || f.Learn("a", []string{"b"}, 0.8) {
		t.Error("the first sight teaches, the second does not")
	}
	f.Learn("a", []string{"b", "c", "c"}, 0.8*0.81)
	if b, c := f.Share("a", "b"), f.Share("a", "c"); math.Abs(b-0.8) > 1e-9 || math.Abs(c-0.9) > 1e-9 {
		t.Errorf("%g and %g", b, c)
	}
	if f.Learn("a", nil, 0.5) || f.Learn("a", []string{"d"}, 0) {
		t.Error("nothing is to be learned from no neighbour, or from a job that stands")
	}
}

// Sights in mixed company alone converge to shares that explain all of them.
func TestInterferenceExplainsCompany(t *testing.T) {
	want := map[string]float64{"b": 0.9, "c": 0.7, "d": 0.8}
	f := NewInterference(0.95)
	for range 200 {
		for _, pair := range []string{"bc", "cd", "bd"} {
			x, y := pair[:1], pair[1:]
			f.Learn("a", []string{x, y}, want[x]*want[y])
		}
	}
	for k, share := range want {
		if got := f.Share("a", k); math.Abs(got-share) > 1e-3 {
			t.Errorf("beside %s: %g, want %g", k, got, share)
		}
	}
}

// A kind that runs alone on a machine comes to be worth its price, one that fills a
// gap beside a kind that pays for the machine comes to be worth little, and none more
// than a machine of its own.
func TestWorthBreaksEven(t *testing.T) {
	offers := []ShareOffer{cpuOffer(4, 1), cpuOffer(16, 3)}
	var w Worth
	if w.Of("a") != 0 {
		t.Error("it knows what nobody told it")
	}
	w.Begin("a", offers, purser.Variant{MilliCPU: 10_000})
	w.Begin("b", offers, purser.Variant{MilliCPU: 3000})
	if a, b := w.Of("a"), w.Of("b"); math.Abs(a-3*10./16) > 1e-9 || math.Abs(b-3*3./16) > 1e-9 {
		t.Errorf("fair prices %g and %g", a, b)
	}
	for range 500 {
		w.Learn(offers[1].UnitPrice, []string{"a"}, []float64{1})
		w.Learn(offers[1].UnitPrice, []string{"a", "b"}, []float64{1, 0.8})
	}
	if a, b := w.Of("a"), w.Of("b"); a < 2.8 || a > 3 || b > 0.3 {
		t.Errorf("worth %g and %g", a, b)
	}
	w.Learn(offers[1].UnitPrice, nil, nil)
}
