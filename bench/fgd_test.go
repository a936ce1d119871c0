package bench

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"purser"
	"purser/policy"
)

const (
	openbMachines = "sn,cpu_milli,memory_mib,gpu,model\n"
	openbPods     = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec\n"
	openbTypes    = `{"instance_types": {
		"gpu": {"capacity": [1, 8, 60], "cost": 3, "family": "p3"},
		"gpus": {"capacity": [4, 32, 240], "cost": 12, "family": "p3"},
		"cpu": {"capacity": [0, 4, 8], "cost": 0.2, "family": "c7i"}}}`
)

// privateFiles writes a folder as ReadPrivate wants it.
func privateFiles(t *testing.T, machines, pods, types string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"alibaba-gpu-v2023/openb_node_list_gpu_node.csv": machines,
		"alibaba-gpu-v2023/openb_pod_list_small.csv":     pods,
		"eva-eurosys25/ec2_config.json":                  types,
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// somePrivate is made by a seed: machines of three models and 40 kinds of pod, some of
// which want a model.
func somePrivate(t *testing.T, seed uint64) *Private {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 0))
	machines, pods := openbMachines, openbPods
	for i := range 150 {
		machines += fmt.Sprintf("m%d,%d,%d,%d,%s\n", i, 16000*(1+rng.IntN(6)), 65536*(1+rng.IntN(6)), 1+rng.IntN(8), []string{"T4", "A10", "G2"}[i%3])
	}
	for i := range 40 {
		count, share := 1, 1000
		switch rng.IntN(5) {
		case 0:
			count, share = 0, 0
		case 1:
			count = 1 << rng.IntN(3)
		case 2, 3:
			share = 10 * (5 + rng.IntN(90))
		}
		pods += fmt.Sprintf("p%d,%d,%d,%d,%d,%s\n", i, 500*(1+rng.IntN(30)), 1024*rng.IntN(30), count, share, []string{"", "", "", "T4", "A10|T4"}[rng.IntN(5)])
	}
	p, err := ReadPrivate(privateFiles(t, machines, pods, openbTypes), "small")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// someMethods are all ways to place pods.
func someMethods(p *Private) []method {
	price := make([]float64, len(p.needs))
	for i, n := range p.needs {
		price[i] = p.worth(n)
	}
	ours := p.learned(p.counts())
	methods := []method{{name: "learns", by: p.learned(make([]int, len(p.needs))), learns: true}, {name: "swaps", by: ours, worth: price}}
	for _, by := range p.placers() {
		methods = append(methods, method{name: by.name, by: by})
	}
	return methods
}

func TestPrivateMachinesAreNeverOverfull(t *testing.T) {
	for seed := range uint64(3) {
		p := somePrivate(t, seed)
		for _, m := range someMethods(p) {
			pods := p.arrivals(seed)
			y, cloud, moved := p.play(m, pods, seed)
			checkYard(t, m.name, p, y)
			left := slices.Clone(cloud)
			for _, ids := range y.on {
				for _, id := range ids {
					left[y.runs[id].need]++
				}
			}
			for _, need := range pods {
				left[need]--
			}
			if slices.Min(left) != 0 || slices.Max(left) != 0 {
				t.Errorf("%s: pods were lost or made: %v", m.name, left)
			}
			if swaps := m.worth != nil; moved > mayMove || swaps != (moved > 0) {
				t.Errorf("%s: a round moved %v of the pods", m.name, moved)
			}
		}
	}
}

// checkYard adds up what runs on each machine, apart from what the yard says is free.
func checkYard(t *testing.T, name string, p *Private, y *yard) {
	t.Helper()
	for i, m := range p.machines {
		used := make([]purser.MilliDevices, len(m.Devices))
		var cpu, memory int64
		for _, id := range y.on[i] {
			r := y.runs[id]
			n := p.needs[r.need]
			cpu, memory = cpu+n.MilliCPU, memory+n.MemoryMiB
			if r.machine != i || len(r.devices) != int((n.Devices+999)/1000) || n.Devices > 0 && len(n.Accelerators) > 0 && !slices.Contains(n.Accelerators, m.Accelerator) {
				t.Fatalf("%s: %+v is wrong on machine %d (%s)", name, r, i, m.Accelerator)
			}
			for _, d := range r.devices {
				used[d] += min(n.Devices, purser.OneDevice)
			}
		}
		if cpu > m.MilliCPU || memory > m.MemoryMiB || slices.Max(used) > purser.OneDevice {
			t.Fatalf("%s: machine %d of %+v carries %d milli-CPU, %d MiB, devices %v", name, i, m, cpu, memory, used)
		}
		if y.rooms[i].MilliCPU != m.MilliCPU-cpu || idle(y.rooms[i]) != idle(m)-idle(policy.Room{Devices: used}) {
			t.Fatalf("%s: machine %d is not as free as it is held to be", name, i)
		}
	}
}

func TestPrivateRunStaysWithinItsBoundAndIsTheSameTwice(t *testing.T) {
	still := func() time.Time { return time.Time{} }
	p := somePrivate(t, 5)
	rows := p.Run(2, still)
	if again := somePrivate(t, 5).Run(2, still); !reflect.DeepEqual(rows, again) {
		t.Error("the second run differs")
	}
	bound := rows[0]
	if bound.Method != "bound" {
		t.Fatalf("the first row is %q", bound.Method)
	}
	for _, r := range rows[1:] {
		for i := range r.Allocation {
			if r.Allocation[i] > bound.Allocation[i]+1e-9 || r.Cloud[i] < bound.Cloud[i]-1e-9 {
				t.Errorf("%s, seed %d: %.3f %% and $%.2f pass the bound of %.3f %% and $%.2f", r.Method, i+1, r.Allocation[i], r.Cloud[i], bound.Allocation[i], bound.Cloud[i])
			}
		}
		if n := len(r.Figures()); n != 12 {
			t.Errorf("%s has %d figures, not 12", r.Method, n)
		}
	}
}

// A round keeps to its budget, counted by the pods that are elsewhere after it, and
// makes what is on the private machines worth more.
func TestRoundOfSwaps(t *testing.T) {
	p := somePrivate(t, 7)
	y, cloud, _ := p.play(method{by: p.learned(p.counts())}, p.arrivals(1), 1)
	price := make([]float64, len(p.needs))
	for i, n := range p.needs {
		price[i] = p.worth(n)
	}
	state := func() (where []int, worth float64) {
		where = slices.Repeat([]int{-1}, len(y.runs))
		for i, ids := range y.on {
			for _, id := range ids {
				where[id] = i
				worth += price[y.runs[id].need]
			}
		}
		return where, worth
	}
	s := newSwapper(y, cloud, price)
	for _, budget := range []int{0, 1, 7, 20, math.MaxInt32} {
		before, low := state()
		moves := s.round(budget)
		after, high := state()
		elsewhere := 0
		for id, machine := range after {
			if id >= len(before) || before[id] != machine {
				elsewhere++
			}
		}
		// A pod that comes and goes in one round is two moves and in the same place.
		if moves > budget || elsewhere > moves || budget > 1 && high <= low {
			t.Errorf("budget %d: %d moves, %d pods elsewhere, worth %.3f and then %.3f", budget, moves, elsewhere, low, high)
		}
		checkYard(t, "swaps", p, y)
	}
}

// The one machine carries a light pod and one without devices. Both must go for the
// heavy one, which is three moves; a share of a device then fits no more.
func TestSwapByHand(t *testing.T) {
	dir := privateFiles(t, openbMachines+"m,8000,65536,1,T4\n", openbPods+"light,2000,1024,1,1000,\nplain,3000,1024,0,0,\nheavy,8000,1024,1,1000,\nshare,100,1024,1,500,\n", openbTypes)
	p, err := ReadPrivate(dir, "small")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ budget, moves, heavy int }{{0, 0, 0}, {2, 0, 0}, {3, 3, 1}, {9, 3, 1}} {
		y, cloud := newYard(p, p.learned(p.counts())), []int{0, 0, 1, 1}
		y.start(0, 0, 0)
		y.start(1, 0, 0)
		moves := newSwapper(y, cloud, []float64{3, 0.2, 6, 1}).round(c.budget)
		if want := []int{c.heavy, c.heavy, 1 - c.heavy, 1}; moves != c.moves || !slices.Equal(cloud, want) {
			t.Errorf("budget %d: %d moves, and in the cloud are %v, want %d and %v", c.budget, moves, cloud, c.moves, want)
		}
		checkYard(t, "by hand", p, y)
	}
}

func TestCloudBillByHand(t *testing.T) {
	dir := privateFiles(t, openbMachines+"m,8000,65536,1,T4\n", openbPods+
		"a,20000,1024,1,1000,T4\nb,2000,1024,1,600,\nc,2000,1024,1,500,\nd,3000,4096,0,0,\ne,64000,1024,1,1000,\n", openbTypes)
	p, err := ReadPrivate(dir, "small")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		pods    []int
		usd     float64
		nowhere int
	}{
		{[]int{0, 0, 0, 0, 0}, 0, 0},
		{[]int{1, 0, 0, 0, 0}, 12, 0}, // of 20 vCPU: the one device of the small type has 8
		{[]int{1, 1, 1, 0, 0}, 12, 0}, // and has room for the others
		{[]int{0, 1, 1, 0, 0}, 6, 0},  // 600 and 500 are not on one device
		{[]int{0, 0, 2, 0, 0}, 3, 0},
		{[]int{0, 0, 0, 2, 0}, 0.4, 0},
		{[]int{0, 1, 0, 2, 0}, 3, 0}, // the CPU beside the device is free
		{[]int{0, 0, 0, 1, 3}, 0.2, 3},
	} {
		if usd, nowhere := p.cloudBill(c.pods); math.Abs(usd-c.usd) > 1e-9 || nowhere != c.nowhere {
			t.Errorf("%v: $%v and %d nowhere, want $%v and %d", c.pods, usd, nowhere, c.usd, c.nowhere)
		}
	}
}

func TestReadPrivateSaysWhatIsWrong(t *testing.T) {
	machine, pod := openbMachines+"m,8000,65536,1,T4\n", openbPods+"a,1000,1024,1,1000,\n"
	for _, c := range []struct {
		machines, pods, types, list, want string
		kind                              purser.Kind
	}{
		{machine, pod, openbTypes, "missing", "openb_pod_list_missing.csv", purser.KindNotFound},
		{"", pod, openbTypes, "small", "gpu_node.csv:1: ", purser.KindInvalid},
		{machine + "n,-1,1,1,T4\n", pod, openbTypes, "small", "gpu_node.csv:3: ", purser.KindInvalid},
		{machine + "n,1,1\n", pod, openbTypes, "small", "gpu_node.csv:3: ", purser.KindInvalid},
		{machine + "n,1,1,1,\"T4\n", pod, openbTypes, "small", "gpu_node.csv:", purser.KindInvalid},
		{openbMachines + "n,1,1,0,T4\n", pod, openbTypes, "small", "no machine has a device", purser.KindInvalid},
		{machine, openbPods + "a,1,1,2,500,\n", openbTypes, "small", "small.csv:2: 2 devices of 500", purser.KindInvalid},
		{machine, openbPods + "a,1,1,1,0,\n", openbTypes, "small", "small.csv:2: ", purser.KindInvalid},
		{machine, openbPods + "a,1,NaN,1,1000,\n", openbTypes, "small", `small.csv:2: column memory_mib has "NaN"`, purser.KindInvalid},
		{machine, "name,cpu_milli\na,1\n", openbTypes, "small", "column memory_mib", purser.KindInvalid},
		{machine, openbPods + "a,1,1,0,0,\n", openbTypes, "small", "no pod asks for a device", purser.KindInvalid},
		{machine, pod, "{", "small", "ec2_config.json:1: ", purser.KindInvalid},
	} {
		_, err := ReadPrivate(privateFiles(t, c.machines, c.pods, c.types), c.list)
		if purser.KindOf(err) != c.kind || !strings.Contains(fmt.Sprint(err), c.want) {
			t.Errorf("%v: want kind %s and %q", err, c.kind, c.want)
		}
	}
}

func TestPrivateOnTheRealTrace(t *testing.T) {
	dir := os.Getenv("PURSER_DATA")
	if dir == "" {
		t.Skip("PURSER_DATA does not name a folder with the traces")
	}
	p, err := ReadPrivate(dir, "default")
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]float64{}
	for _, r := range p.Run(1, time.Now) {
		used[r.Method] = r.Allocation[0]
	}
	if !(used["ours"] > used["FGD"] && used["FGD"] > used["best fit"]) || used["ours"] < 95.4 || used["ours, swaps for devices"] < 97 || used["ours, swaps for price"] < 97 {
		t.Errorf("devices used: %v", used)
	}
}
