package simulator

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"purser"
)

// The offers are machines of 4 and 8 vCPUs, at 3.6 $/h and 7.2 $/h: a tenth and a
// fifth of a cent a second. Both are there after 20 s, take jobs 100 s later, and are
// gone 1 s after they are ended.
func offers() []Offer {
	offer := func(name string, cpus int64, price float64) Offer {
		return Offer{
			Offer: purser.Offer{Provider: "p", Region: "r", InstanceType: name, Option: purser.OnDemand, Shape: purser.Shape{MilliCPU: cpus * 1000, MemoryMiB: 1 << 20}, UnitPrice: purser.USDPerHourOf(price)},
			Asked: 20 * time.Second, Booting: 100 * time.Second, Ending: time.Second,
		}
	}
	return []Offer{offer("small", 4, 3.6), offer("large", 8, 7.2)}
}

func jobOf(program string, cpus int64, arrives, work time.Duration) Job {
	return Job{
		Name: program, Program: program, Needs: purser.Variant{MilliCPU: cpus * 1000}, Arrives: arrives, Work: work,
		Fetch: 2 * time.Second, Build: 10 * time.Second, Start: 8 * time.Second, Stop: 3 * time.Second, Save: 5 * time.Second,
	}
}

const round = 300 * time.Second

func simulate(t *testing.T, w World, p Planner, o Options) Report {
	t.Helper()
	r, err := Run(t.Context(), w, p, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A job that arrives at 10 s is placed at 300, its machine is there at 320 and up at
// 420, the job lies on it at 432, works from 440 and ends at 1440. The machine is ended
// in the round at 1500 and gone at 1501: 1181 s at a tenth of a cent.
func TestOneJobByHand(t *testing.T) {
	w := World{Offers: offers(), Jobs: []Job{jobOf("a", 2, 10*time.Second, 1000*time.Second)}, Round: round}
	r := simulate(t, w, Alone{}, Options{})
	want := Report{Jobs: 1, Cost: purser.MoneyOf(1.181), MeanTime: 1430 * time.Second, Length: 1501 * time.Second, Machines: 1, Held: 1181 * time.Second, Rounds: 5, MostLive: 1}
	if r != want {
		t.Errorf("%+v\nwant %+v", r, want)
	}
}

// Two jobs share a machine at half speed each: 500 s of work take 1000.
func TestJobsSlowOneAnother(t *testing.T) {
	w := World{
		Offers: offers(), Round: round, Slow: func(string, string) float64 { return 0.5 },
		Jobs: []Job{jobOf("a", 2, 0, 500*time.Second), jobOf("a", 2, 0, 500*time.Second)},
	}
	r := simulate(t, w, FirstFit{}, Options{})
	// Placed at 0: up at 120, there at 132, at work from 140, done at 1140; ended at 1200.
	if r.MeanTime != 1140*time.Second || r.Machines != 1 || r.Cost != purser.MoneyOf(1.181) {
		t.Errorf("%+v", r)
	}
}

// The second of the two is a third as long: once it has ended, the first is as fast as
// alone. Both work at ½ from 140; the short one ends at 540 (200 s of work). The long
// one has 300 of its 500 s left and ends at 840.
func TestSpeedComesBack(t *testing.T) {
	w := World{
		Offers: offers(), Round: round, Slow: func(string, string) float64 { return 0.5 },
		Jobs: []Job{jobOf("a", 2, 0, 500*time.Second), jobOf("b", 2, 0, 200*time.Second)},
	}
	r := simulate(t, w, FirstFit{}, Options{})
	if r.MeanTime != (540+840)/2*time.Second {
		t.Errorf("%+v", r)
	}
}

// scripted gives one plan a round.
type scripted struct {
	plans []Plan
	at    int
}

func (p *scripted) Plan(s State) (Plan, error) {
	p.at++
	if p.at > len(p.plans) {
		return s.Keep(), nil
	}
	return p.plans[p.at-1], nil
}

// A job works from 140. In the round at 300 it is sent to a new machine: it works until
// 303 (163 s of 400), its checkpoint is written at 308, the machine is up at 420, it is
// loaded at 432 and at work from 440, and ends at 440 + 237 = 677. Both machines: the
// old one is empty at 308 and gone at 309, paid from 20: 289 s. The new one is there at
// 320, ended at 900, gone at 901: 581 s at twice the price.
func TestMoveByHand(t *testing.T) {
	w := World{Offers: offers(), Round: round, Jobs: []Job{jobOf("a", 2, 0, 400*time.Second)}}
	p := &scripted{plans: []Plan{{{Machine: New, Offer: 0, Jobs: []int{0}}}, {{Machine: New, Offer: 1, Jobs: []int{0}}}}}
	r := simulate(t, w, p, Options{})
	if r.Moves != 1 || r.MeanTime != 677*time.Second || r.Cost != purser.MoneyOf(0.289+2*0.581) || r.Machines != 2 {
		t.Errorf("%+v", r)
	}
}

// A job needs no build on a machine that has had its program.
func TestImagesAreKept(t *testing.T) {
	w := World{Offers: offers(), Round: round, Jobs: []Job{jobOf("a", 2, 0, time.Hour), jobOf("a", 2, 300*time.Second, 100*time.Second)}}
	r := simulate(t, w, FirstFit{}, Options{})
	// The second is placed at 300 on a machine that is up: fetched at 302, at work from 310, done at 410.
	if want := (140*time.Second + time.Hour + 110*time.Second) / 2; r.MeanTime != want {
		t.Errorf("mean %v, want %v", r.MeanTime, want)
	}
}

// Plans that cannot be carried out are refused with the reason.
func TestPlansThatCannotBe(t *testing.T) {
	first := Plan{{Machine: New, Offer: 0, Jobs: []int{0}}}
	for name, c := range map[string]struct {
		plans []Plan
		want  string
	}{
		"no room":     {[]Plan{{{Machine: New, Offer: 0, Jobs: []int{0, 1}}}}, "no room"},
		"twice":       {[]Plan{{{Machine: New, Offer: 1, Jobs: []int{0, 0}}}}, "placed twice"},
		"unknown":     {[]Plan{{{Machine: New, Offer: 1, Jobs: []int{7}}}}, "does not live"},
		"not arrived": {[]Plan{{{Machine: New, Offer: 1, Jobs: []int{2}}}}, "does not live"},
		"no offer":    {[]Plan{{{Machine: New, Offer: 2}}}, "no offer 2"},
		"not held":    {[]Plan{{{Machine: 0, Jobs: []int{0}}}}, "machine 0 is not held"},
		"taken away":  {[]Plan{first, {}}, "has no place any more"},
		"named twice": {[]Plan{first, {{Machine: 0, Jobs: []int{0}}, {Machine: 0}}}, "named twice"},
		"in the air":  {[]Plan{first, {{Machine: New, Offer: 0, Jobs: []int{0}}}, {{Machine: New, Offer: 0, Jobs: []int{0}}}}, "cannot go to another"},
	} {
		t.Run(name, func(t *testing.T) {
			slow := offers()
			slow[0].Booting = 400 * time.Second // still on its way in the second round
			if name != "in the air" {
				slow = offers()
			}
			w := World{Offers: slow, Round: round, Jobs: []Job{jobOf("a", 3, 0, time.Hour), jobOf("a", 3, 0, time.Hour), jobOf("a", 3, 2*time.Hour, time.Hour)}}
			_, err := Run(t.Context(), w, &scripted{plans: c.plans}, Options{})
			if purser.KindOf(err) != purser.KindInternal || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want internal and %q", err, c.want)
			}
		})
	}
}

// Worlds that cannot be are refused before anything happens.
func TestWorldsThatCannotBe(t *testing.T) {
	good := func() World {
		return World{Offers: offers(), Round: round, Jobs: []Job{jobOf("a", 2, 0, time.Hour), jobOf("b", 2, time.Minute, time.Hour)}}
	}
	for name, spoil := range map[string]func(*World){
		"no round":         func(w *World) { w.Round = 0 },
		"part of a second": func(w *World) { w.Jobs[0].Save = time.Millisecond },
		"out of order":     func(w *World) { w.Jobs[0].Arrives = time.Hour },
		"too large":        func(w *World) { w.Jobs[1].Needs.MilliCPU = 9000 },
		"other device":     func(w *World) { w.Jobs[1].Needs.Devices, w.Jobs[1].Needs.Accelerator = 1000, "T4" },
		"negative work":    func(w *World) { w.Jobs[1].Work = -1 },
		"negative price":   func(w *World) { w.Offers[1].UnitPrice = -1 },
	} {
		w := good()
		spoil(&w)
		if _, err := Run(t.Context(), w, Alone{}, Options{}); purser.KindOf(err) != purser.KindInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Run(t.Context(), good(), Alone{}, Options{}); err != nil {
		t.Errorf("the world itself: %v", err)
	}
}

// The context ends a run in the next round.
func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := World{Offers: offers(), Round: round, Jobs: []Job{jobOf("a", 2, 0, time.Hour)}}
	if _, err := Run(ctx, w, Alone{}, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// Hours of nothing between two jobs take no rounds and cost nothing.
func TestNothingCostsNothing(t *testing.T) {
	w := World{Offers: offers(), Round: round, Jobs: []Job{jobOf("a", 2, 10*time.Second, 1000*time.Second), jobOf("a", 2, 1000*time.Hour+10*time.Second, 1000*time.Second)}}
	r := simulate(t, w, Alone{}, Options{})
	if r.Cost != purser.MoneyOf(2*1.181) || r.Rounds != 10 || math.Abs(r.MeanTime.Seconds()-1430) > 0 {
		t.Errorf("%+v", r)
	}
}
