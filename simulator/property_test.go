package simulator

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"purser"
)

func planners() map[string]func() Planner {
	return map[string]func() Planner{
		"alone":       func() Planner { return Alone{} },
		"first fit":   func() Planner { return FirstFit{} },
		"stratus":     func() Planner { return Stratus{} },
		"reservation": func() Planner { return &Reservation{} },
		"shared":      func() Planner { return &Shared{Tries: 20, Seed: 3} },
	}
}

// drawWorld makes up to 12 jobs of three programs, some with devices.
func drawWorld(t *rapid.T, price float64) World {
	o := offers()
	device := o[1]
	device.InstanceType, device.Accelerator, device.Devices = "device", "T4", 2*purser.OneDevice
	o = append(o, device)
	if price > 0 {
		for i := range o {
			o[i].UnitPrice = purser.USDPerHourOf(price)
		}
	}
	w := World{Offers: o, Round: round}
	shares := map[string]float64{}
	for _, a := range []string{"a", "b", "c"} {
		for _, b := range []string{"a", "b", "c"} {
			shares[a+b] = rapid.Float64Range(0.4, 1).Draw(t, a+b)
		}
	}
	w.Slow = func(p, other string) float64 { return shares[p+other] }
	at := time.Duration(0)
	for range rapid.IntRange(1, 12).Draw(t, "jobs") {
		at += time.Duration(rapid.IntRange(0, 2000).Draw(t, "gap")) * time.Second
		j := jobOf(rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "program"), rapid.Int64Range(1, 8).Draw(t, "cpus"), at, time.Duration(rapid.IntRange(0, 20000).Draw(t, "work"))*time.Second)
		j.Name = fmt.Sprint(j.Program, j.Needs.MilliCPU)
		if rapid.Bool().Draw(t, "device") {
			j.Needs.Accelerator, j.Needs.Devices = "T4", purser.OneDevice
		}
		w.Jobs = append(w.Jobs, j)
	}
	return w
}

// Whatever the planner: every job ends once and not before it can, nothing is placed
// where there is no room, and the same run gives the same report.
func TestRunsConserve(t *testing.T) {
	for name, planner := range planners() {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				w := drawWorld(t, 0)
				look := func(s State, _ Plan) {
					need := map[int]Amount{}
					for _, j := range s.Jobs {
						need[j.Number] = j.amount()
					}
					for _, m := range s.Machines {
						var sum Amount
						for _, n := range m.Jobs {
							sum = sum.Plus(need[n])
						}
						if !sum.Fits(w.Offers[m.Offer].Room()) {
							t.Fatalf("machine %d holds %v", m.Number, sum)
						}
					}
				}
				o := Options{TellLeft: name == "stratus", Look: look}
				r, err := Run(t.Context(), w, planner(), o)
				if err != nil {
					t.Fatal(err)
				}
				least := time.Duration(0)
				for _, j := range w.Jobs {
					least += j.Work + j.Fetch + j.Start
				}
				if r.Jobs != len(w.Jobs) || r.MeanTime < least/time.Duration(len(w.Jobs)) {
					t.Fatalf("%d of %d jobs ended, after %v on average", r.Jobs, len(w.Jobs), r.MeanTime)
				}
				again, err := Run(t.Context(), w, planner(), o)
				if err != nil || !reflect.DeepEqual(r, again) {
					t.Fatalf("another run gives %+v, not %+v (%v)", again, r, err)
				}
			})
		})
	}
}

// What is billed is the hours that machines are held: at one price for all, the price
// of all of them together. And those hours are no fewer than the work.
func TestHoursHeldAreBilled(t *testing.T) {
	for name, planner := range planners() {
		rapid.Check(t, func(t *rapid.T) {
			w := drawWorld(t, 3.6)
			r, err := Run(t.Context(), w, planner(), Options{TellLeft: name == "stratus"})
			if err != nil {
				t.Fatal(err)
			}
			if want := purser.USDPerHourOf(3.6).For(r.Held); r.Cost-want > purser.Money(r.Machines) || want-r.Cost > purser.Money(r.Machines) {
				t.Fatalf("%s: %v are billed for %v, want %v", name, r.Cost, r.Held, want)
			}
			if name == "alone" && r.Moves > 0 || r.Machines == 0 {
				t.Fatalf("%s: %+v", name, r)
			}
		})
	}
}

// Alone gives each job a machine for its start, its work and the rest of a round.
func TestAloneIsSlowedByNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t, 0)
		slowed, err := Run(t.Context(), w, Alone{}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		w.Slow = nil
		free, err := Run(t.Context(), w, Alone{}, Options{})
		if err != nil || slowed != free || slowed.Machines != len(w.Jobs) {
			t.Fatalf("%+v and %+v (%v)", slowed, free, err)
		}
	})
}

// Jobs that stop one another are set apart, and jobs that do not are put together.
func TestSharedKnowsWhoGetsOn(t *testing.T) {
	world := func(share float64) World {
		w := World{Offers: offers(), Round: round, Slow: func(string, string) float64 { return share }}
		w.Offers[0].UnitPrice = purser.USDPerHourOf(6)
		for range 2 {
			w.Jobs = append(w.Jobs, jobOf("a", 4, 0, 20*time.Hour))
		}
		return w
	}
	good, bad := simulate(t, world(1), &Shared{}, Options{}), simulate(t, world(0.3), &Shared{}, Options{})
	if good.Machines != 1 || bad.Moves == 0 || bad.Machines < 2 {
		t.Errorf("together %+v\napart %+v", good, bad)
	}
	if alone := simulate(t, world(1), Alone{}, Options{}); good.Cost >= alone.Cost || bad.Cost > alone.Cost*11/10 {
		t.Errorf("alone %v, together %v, apart %v", alone.Cost, good.Cost, bad.Cost)
	}
}

// Eva's greedy gives up a machine that is not worth its price any more.
func TestReservationShrinks(t *testing.T) {
	w := World{Offers: offers(), Round: round, Jobs: []Job{jobOf("a", 4, 0, time.Hour), jobOf("b", 4, 0, 20*time.Hour)}}
	w.Offers[1].UnitPrice = purser.USDPerHourOf(5) // both together; each alone is 3.6
	r := simulate(t, w, &Reservation{}, Options{})
	if r.Machines != 2 || r.Moves != 1 {
		t.Errorf("%+v", r)
	}
}

// Stratus puts a job beside one that ends when it does.
func TestStratusBinsByRunTime(t *testing.T) {
	w := World{Offers: offers()[:1], Round: round, Jobs: []Job{
		jobOf("a", 3, 0, 100*time.Hour), jobOf("b", 3, 0, time.Hour), jobOf("c", 1, 300*time.Second, time.Hour),
	}}
	var beside []int
	look := func(s State, _ Plan) {
		for _, m := range s.Machines {
			if s.Now == 600*time.Second && len(m.Jobs) == 2 {
				beside = m.Jobs
			}
		}
	}
	simulate(t, w, Stratus{}, Options{TellLeft: true, Look: look})
	if !reflect.DeepEqual(beside, []int{1, 2}) {
		t.Errorf("the short job lies with %v", beside)
	}
}
