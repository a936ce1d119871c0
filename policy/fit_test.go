package policy

import (
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"purser"
)

func near(a, b float64) bool { return math.Abs(a-b) < 1e-9 }

func devices(d ...purser.MilliDevices) []purser.MilliDevices { return d }

func TestFragmentsByHand(t *testing.T) {
	fit := NewFit([]Known{
		{Need{Devices: 500, MilliCPU: 4000, MemoryMiB: 10}, 2},
		{Need{Devices: 2000, MilliCPU: 1000, MemoryMiB: 10}, 1},
		{Need{MilliCPU: 1000, MemoryMiB: 10}, 1},
		{Need{Devices: 1000}, 0}, // this and the next do not count
		{Need{Devices: 1500}, 1},
	})
	for _, c := range []struct {
		name string
		room Room
		want float64
	}{
		// Half of the mix cannot use 400 + 200; the other half can use none of 1,600.
		{"a device is large enough", Room{Devices: devices(1000, 400, 200), MilliCPU: 8000, MemoryMiB: 100}, 0.5*600 + 0.25*1600 + 0.25*1600},
		{"too little CPU", Room{Devices: devices(1000, 400, 200), MilliCPU: 3999, MemoryMiB: 100}, 1600},
		{"too little memory", Room{Devices: devices(1000, 400, 200), MilliCPU: 8000, MemoryMiB: 9}, 1600},
		{"two whole ones", Room{Devices: devices(1000, 1000, 200), MilliCPU: 8000, MemoryMiB: 100}, 0.5*200 + 0.25*200 + 0.25*2200},
		{"nothing free", Room{Devices: devices(0, 0), MilliCPU: 8000, MemoryMiB: 100}, 0},
	} {
		if got := fit.Fragments(c.room); !near(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestFragmentsOfAnAcceleratorThatTheMixDoesNotWant(t *testing.T) {
	fit := NewFit([]Known{{Need{Devices: 1000, Accelerators: []string{"T4", "A10"}}, 3}, {Need{Devices: 1000}, 1}})
	for accelerator, want := range map[string]float64{"T4": 0, "A10": 0, "V100": 750} {
		if got := fit.Fragments(Room{Accelerator: accelerator, Devices: devices(1000)}); !near(got, want) {
			t.Errorf("%s: %v, want %v", accelerator, got, want)
		}
	}
}

func TestStrandedByHand(t *testing.T) {
	// Together 1,000 thousandths of a device, 10,000 of a CPU and 4,000 MiB; what asks
	// for no device does not count.
	fit := NewFit([]Known{{Need{Devices: 500, MilliCPU: 8000, MemoryMiB: 1000}, 1}, {Need{Devices: 500, MilliCPU: 2000, MemoryMiB: 3000}, 1}, {Need{MilliCPU: 64000}, 9}})
	for _, c := range []struct {
		cpu, memory int64
		want        float64
	}{{20000, 8000, 0}, {5000, 8000, 1500}, {20000, 4000, 1000}, {5000, 400, 1900}, {0, 0, 2000}} {
		if got := fit.Stranded(Room{Devices: devices(1000, 1000), MilliCPU: c.cpu, MemoryMiB: c.memory}); !near(got, c.want) {
			t.Errorf("%d milli-CPU and %d MiB: %v, want %v", c.cpu, c.memory, got, c.want)
		}
	}
	free := NewFit([]Known{{Need{Devices: 1000}, 1}})
	if got := free.Stranded(Room{Devices: devices(1000)}); got != 0 {
		t.Errorf("a mix that takes neither CPU nor memory strands %v", got)
	}
}

func TestFit(t *testing.T) {
	light, heavy := Need{Devices: 1000, MilliCPU: 4000}, Need{Devices: 1000, MilliCPU: 20000}
	half, quarter := Need{Devices: 500}, Need{Devices: 250}
	for _, c := range []struct {
		name            string
		mix             []Known
		need            Need
		rooms           []Room
		machine, device int
		ok              bool
	}{
		{
			"the light one goes where CPU is short",
			[]Known{{light, 1}, {heavy, 1}},
			light,
			[]Room{{Devices: devices(1000, 1000), MilliCPU: 100000}, {Devices: devices(1000, 1000), MilliCPU: 16000}},
			1, 0, true,
		},
		{
			"the heavy one where there is plenty",
			[]Known{{light, 1}, {heavy, 1}},
			heavy,
			[]Room{{Devices: devices(1000, 1000), MilliCPU: 24000}, {Devices: devices(1000, 1000), MilliCPU: 100000}},
			1, 0, true,
		},
		{
			"a share fills a hole",
			[]Known{{half, 1}, {light, 1}},
			half,
			[]Room{{Devices: devices(1000, 1000), MilliCPU: 8000}, {Devices: devices(1000, 500), MilliCPU: 8000}},
			1, 1, true,
		},
		{"no machine is large enough", []Known{{half, 1}}, light, []Room{{Devices: devices(500, 500), MilliCPU: 8000}}, 0, 0, false},
		{"of equals the first", []Known{{half, 1}}, quarter, []Room{{Devices: devices(250)}, {Devices: devices(250)}}, 0, 0, true},
		{"without a mix the first that fits", nil, half, []Room{{Devices: devices(250)}, {Devices: devices(250, 1000)}, {Devices: devices(500)}}, 1, 1, true},
		{"another accelerator", nil, Need{Devices: 500, Accelerators: []string{"T4"}}, []Room{{Accelerator: "A10", Devices: devices(1000)}, {Accelerator: "T4", Devices: devices(1000)}}, 1, 0, true},
		{"no machines", nil, half, nil, 0, 0, false},
	} {
		before := slices.Clone(c.rooms)
		for i := range before {
			before[i].Devices = slices.Clone(c.rooms[i].Devices)
		}
		machine, device, ok := NewFit(c.mix).Place(c.need, c.rooms)
		if machine != c.machine || device != c.device || ok != c.ok {
			t.Errorf("%s: machine %d, device %d, %v; want %d, %d, %v", c.name, machine, device, ok, c.machine, c.device, c.ok)
		}
		if !reflect.DeepEqual(before, c.rooms) {
			t.Errorf("%s: looking for a place changed the rooms: %v", c.name, c.rooms)
		}
	}
}

func TestWhatFitsNowhere(t *testing.T) {
	room := RoomOf(purser.Shape{Accelerator: "T4", Devices: 2000, MilliCPU: 1000, MemoryMiB: 1000})
	for _, n := range []Need{{Devices: 1500}, {Devices: -1000}, {Devices: 3000}, {MilliCPU: -1}, {MemoryMiB: -1}, {MilliCPU: 1001}, {MemoryMiB: 1001}, NeedOf(purser.Shape{Accelerator: "A10", Devices: 125})} {
		if _, _, ok := NewFit(nil).Place(n, []Room{room}); ok {
			t.Errorf("%+v was placed", n)
		}
	}
	for _, n := range []Need{{}, {Devices: 2000}, {MilliCPU: 1000, MemoryMiB: 1000}, NeedOf(purser.Shape{Accelerator: "T4", Devices: 125}), {Accelerators: []string{"A10"}}} {
		if _, _, ok := NewFit(nil).Place(n, []Room{room}); !ok {
			t.Errorf("%+v was not placed", n)
		}
	}
}

// Whatever comes and goes, no machine is overfull, a share is on one device, and what
// was taken comes back.
func TestRoomsAreNeverOverfull(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	sizes := devices(0, 125, 250, 310, 500, 810, 1000, 2000, 4000)
	var mix []Known
	for range 30 {
		mix = append(mix, Known{Need{Devices: sizes[rng.IntN(len(sizes))], MilliCPU: rng.Int64N(16000), MemoryMiB: rng.Int64N(60000)}, rng.Float64()})
	}
	fit := NewFit(mix)
	var rooms, empty []Room
	for i := range 12 {
		s := purser.Shape{Devices: purser.MilliDevices(i%5) * 1000, MilliCPU: 64000, MemoryMiB: 256000}
		rooms, empty = append(rooms, RoomOf(s)), append(empty, RoomOf(s))
	}
	type run struct {
		need    Need
		machine int
		on      []int
	}
	var runs []run
	placed := 0
	for range 3000 {
		if len(runs) > 0 && rng.IntN(3) == 0 {
			i := rng.IntN(len(runs))
			rooms[runs[i].machine].Give(runs[i].need, runs[i].on)
			runs = slices.Delete(runs, i, i+1)
			continue
		}
		n := mix[rng.IntN(len(mix))].Need
		machine, device, ok := fit.Place(n, rooms)
		if !ok {
			if slices.ContainsFunc(rooms, func(r Room) bool { return r.Fits(n) }) {
				t.Fatalf("%+v fits and was refused", n)
			}
			continue
		}
		placed++
		on := rooms[machine].On(n, device)
		rooms[machine].Take(n, on)
		runs = append(runs, run{n, machine, on})
		if want, _ := n.each(); len(on) != want {
			t.Fatalf("%+v is on devices %v", n, on)
		}
		r := rooms[machine]
		if r.MilliCPU < 0 || r.MemoryMiB < 0 || len(r.Devices) > 0 && (slices.Min(r.Devices) < 0 || slices.Max(r.Devices) > purser.OneDevice) {
			t.Fatalf("machine %d is overfull: %+v", machine, r)
		}
	}
	if placed < 500 {
		t.Fatalf("only %d were placed", placed)
	}
	for _, r := range runs {
		rooms[r.machine].Give(r.need, r.on)
	}
	if !reflect.DeepEqual(rooms, empty) {
		t.Errorf("something is left: %+v", rooms)
	}
}
