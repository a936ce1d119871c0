package bench

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"purser"
	"purser/simulator"
)

const (
	worldTypes = `{"instance_types": {
"p3.small": {"capacity": [1, 4, 32], "cost": 3.00, "family": "p3", "instantiate_delay": 20, "run_worker_delay": 30, "worker_register_delay": 40, "terminate_delay": 1},
"c7i.small": {"capacity": [0, 2, 4], "cost": 0.10, "family": "c7i", "instantiate_delay": 7, "run_worker_delay": 60, "worker_register_delay": 70, "terminate_delay": 2}
}}`
	worldJobs = `{
"10": {"name": "b[0]", "arrival_time": 900, "duration": 60, "init_delay": 3, "full_throughput": 2, "total_iters": 100, "tasks": {"10": {"demand": {"any": [0, 2, 4]}, "fetch_delay": 1, "build_image_delay": 10, "kill_delay": 1, "upload_delay": 4}}},
"9": {"name": "a[1]", "arrival_time": 900, "duration": 600, "init_delay": 80, "full_throughput": 0.5, "total_iters": 300, "tasks": {"9": {"demand": {"any": [1, 4, 20]}, "fetch_delay": 2, "build_image_delay": 11, "kill_delay": 3, "upload_delay": 5}}}
}`
	worldMatrix = ",a_node0,b_node0\na_node0,0.9,0.8\nb_node0,0.7,x\n"
	worldPods   = `name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,scheduled_time
p1,3001,20000,1,460,,LS,Running,700,1000,700
p2,1500,4096,0,0,,LS,Succeeded,100,400,100
p3,1000,1024,0,0,,LS,Failed,0,9999,0
p4,9000,1024,0,0,,LS,Running,0,9999,0
p5,500,100,1,1000,,LS,Running,700,700,700
`
)

func writeWorld(t *testing.T, spoil func(name, text string) string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"eva-eurosys25/ec2_config.json": worldTypes, "eva-eurosys25/ec2_config_virt.json": worldTypes, "eva-eurosys25/pai_200.json": worldJobs,
		"eva-eurosys25/contention_matrix.csv": worldMatrix, "alibaba-gpu-v2023/openb_pod_list_default.csv": worldPods,
	} {
		if spoil != nil {
			text = spoil(name, text)
		}
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// What stands in the files is what the world has.
func TestEvaWorldIsRead(t *testing.T) {
	w, err := readEvaWorld(writeWorld(t, nil), "ec2_config")
	if err != nil {
		t.Fatal(err)
	}
	o := w.Offers[0]
	if len(w.Offers) != 2 || o.InstanceType != "p3.small" || o.Asked != 20*time.Second || o.Booting != 70*time.Second || o.Ending != time.Second || o.Devices != 1000 {
		t.Errorf("%+v", w.Offers)
	}
	want := simulator.Job{
		Name: "a[1]", Program: "a", Needs: packTask{need: amount{1, 4, 20}}.variant(), Arrives: 900 * time.Second, Work: 600 * time.Second,
		Fetch: 2 * time.Second, Build: 11 * time.Second, Start: 80 * time.Second, Stop: 3 * time.Second, Save: 5 * time.Second,
	}
	if len(w.Jobs) != 2 || w.Jobs[0] != want || w.Jobs[1].Work != 50*time.Second {
		t.Errorf("%+v", w.Jobs)
	}
	if w.Slow("a", "b") != 0.8 || w.Slow("b", "a") != 0.7 || w.Slow("b", "b") != 0.95 || w.Slow("c", "a") != 0.95 {
		t.Error("the matrix is not read by rows")
	}
}

// Pods become jobs: rounded up, by time, without those that failed or fit nowhere. A
// demand of the 200 jobs has their program, and one of no other mix has to.
func TestEvaFullIsMade(t *testing.T) {
	dir := writeWorld(t, nil)
	w, err := readEvaFull(dir, "ec2_config_virt", 0)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, j := range w.Jobs {
		got = append(got, fmt.Sprint(j.Arrives, j.Work, plain(j.Amount())))
	}
	if want := "[1m40s 5m0s [0 2 4] 11m40s 5m0s [1 4 20] 11m40s 0s [1 1 1]]"; fmt.Sprint(got) != want {
		t.Errorf("%v\nwant %v", got, want)
	}
	if w.Jobs[0].Name != "b[0]" || w.Jobs[1].Name != "a[1]" || w.Jobs[0].Start != 3*time.Second {
		t.Errorf("%+v", w.Jobs)
	}
	// 5 minutes of a p3.small, 5 of a c7i.small, and nothing.
	if alone := runTimesAlone(w); math.Abs(alone-3.1/12) > 1e-9 {
		t.Errorf("alone %g", alone)
	}
	drawn := map[string]bool{}
	for mix := range uint64(20) {
		w, err := readEvaFull(dir, "ec2_config_virt", mix+1)
		if err != nil {
			t.Fatal(err)
		}
		drawn[w.Jobs[0].Program] = true
	}
	if len(drawn) != 2 {
		t.Errorf("all mixes draw %v", drawn)
	}
}

// Files that are wrong are named.
func TestEvaWorldFilesThatAreWrong(t *testing.T) {
	for name, c := range map[string]struct{ file, old, new, want string }{
		"a share above 1":   {"contention_matrix.csv", "0.8", "1.8", "contention_matrix.csv:2"},
		"no share":          {"contention_matrix.csv", "0.7", "fast", "contention_matrix.csv:3"},
		"an empty matrix":   {"contention_matrix.csv", worldMatrix, "", "contention_matrix.csv"},
		"negative arrival":  {"pai_200.json", `"arrival_time": 900, "duration": 600`, `"arrival_time": -1, "duration": 600`, "pai_200.json:3"},
		"no throughput":     {"pai_200.json", `"full_throughput": 2`, `"full_throughput": 0`, "pai_200.json:2"},
		"a negative delay":  {"pai_200.json", `"upload_delay": 4`, `"upload_delay": -4`, "pai_200.json:2"},
		"negative booting":  {"ec2_config_virt.json", `"run_worker_delay": 60`, `"run_worker_delay": -60`, "ec2_config_virt.json:3"},
		"deleted too early": {"openb_pod_list_default.csv", "100,400,100", "400,100,100", "openb_pod_list_default.csv:3"},
		"no time":           {"openb_pod_list_default.csv", "700,1000,700", "now,1000,700", "openb_pod_list_default.csv:2"},
	} {
		dir := writeWorld(t, func(file, text string) string {
			if filepath.Base(file) == c.file {
				return strings.Replace(text, c.old, c.new, 1)
			}
			return text
		})
		if _, err := readEvaFull(dir, "ec2_config_virt", 0); purser.KindOf(err) != purser.KindInvalid || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := readEvaWorld(t.TempDir(), "ec2_config"); purser.KindOf(err) != purser.KindNotFound {
		t.Errorf("nothing there: %v", err)
	}
}

// twoJobs are two programs of 1 vCPU and 10 hours each, and a machine of 2 at 1 $.
func twoJobs(share float64) simulator.World {
	job := func(program string) simulator.Job {
		return simulator.Job{Name: program, Program: program, Needs: purser.Variant{MilliCPU: 1000, MemoryMiB: 1024}, Work: 10 * time.Hour}
	}
	return simulator.World{
		Round: evaRound, Slow: func(string, string) float64 { return share }, Jobs: []simulator.Job{job("a"), job("b")},
		Offers: []simulator.Offer{{Offer: packCaseType(2, 1).offer()}},
	}
}

func packCaseType(cpus int64, price float64) machineType {
	return machineType{name: fmt.Sprint(cpus), room: amount{0, cpus, 64}, price: purser.USDPerHourOf(price)}
}

// Both at nine tenths take 10/0.9 hours of one machine; at four tenths they do less
// than one alone, and take 10 hours of one each.
func TestWorkBoundByHand(t *testing.T) {
	rt := newEvaSolver(t)
	for share, want := range map[float64]float64{1: 10, 0.9: 10 / 0.9, 0.4: 20} {
		got, err := workBound(t.Context(), rt, twoJobs(share))
		if err != nil || math.Abs(got-want) > 0.02*want || got > want+1e-9 {
			t.Errorf("beside another at %g: %g, want %g (%v)", share, got, want, err)
		}
	}
}

// No planner is below the bound.
func TestWorkBoundHolds(t *testing.T) {
	rt := newEvaSolver(t)
	rapid.Check(t, func(t *rapid.T) {
		w := twoJobs(rapid.Float64Range(0.3, 1).Draw(t, "share"))
		w.Offers = append(w.Offers, simulator.Offer{Offer: packCaseType(5, rapid.Float64Range(1, 4).Draw(t, "price")).offer()})
		jobs := w.Jobs
		w.Jobs = nil
		for range rapid.IntRange(1, 8).Draw(t, "jobs") {
			j := rapid.SampledFrom(jobs).Draw(t, "program")
			j.Needs.MilliCPU = 1000 * rapid.Int64Range(1, 5).Draw(t, "cpus")
			j.Work = time.Duration(rapid.IntRange(1, 100_000).Draw(t, "work")) * time.Second
			w.Jobs = append(w.Jobs, j)
		}
		bound, err := workBound(t.Context(), rt, w)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range []simulator.Planner{simulator.Alone{}, simulator.FirstFit{}, &simulator.Shared{Tries: 30}} {
			r, err := simulator.Run(t.Context(), w, p, simulator.Options{})
			if err != nil || r.Cost.USD() < bound {
				t.Fatalf("%T costs %v, and the bound is %g (%v)", p, r.Cost, bound, err)
			}
		}
	})
}

// On the real data, no packing comes out as the authors' simulator has it.
func TestNoPackingAsPublished(t *testing.T) {
	dir := os.Getenv("PURSER_DATA")
	if dir == "" {
		t.Skip("the real data is not here: PURSER_DATA is not set")
	}
	for catalogue, want := range map[string]float64{"ec2_config": 35858, "ec2_config_virt": 20736} {
		w, err := readEvaWorld(dir, catalogue)
		if err != nil {
			t.Fatal(err)
		}
		r, err := simulator.Run(t.Context(), w, simulator.Alone{}, simulator.Options{})
		if err != nil || math.Abs(r.Cost.USD()-want) > 0.5 || math.Abs(r.MeanTime.Hours()-17.67) > 0.005 {
			t.Errorf("%s: %v (%v), want %g at 17.67 h", catalogue, r, err, want)
		}
		if full, bound := fullSpeedBound(w), map[string]float64{"ec2_config": 23137, "ec2_config_virt": 11568}[catalogue]; math.Abs(full-bound) > 0.5 {
			t.Errorf("%s: the bound at full speed is %g, want %g", catalogue, full, bound)
		}
	}
	w, err := readEvaFull(dir, evaFull, 0)
	if err != nil {
		t.Fatal(err)
	}
	if sum := runTimesAlone(w); len(w.Jobs) != 6274 || math.Abs(sum-436952) > 0.5 {
		t.Errorf("%d jobs for %g $", len(w.Jobs), sum)
	}
	if share := fullSpeedBound(w) / 436952; math.Abs(share-0.461) > 0.002 {
		t.Errorf("the bound at full speed is %.4f of no packing", share)
	}
}

// Ours costs less than Eva's greedy in the same simulator, at no worse mean time, and
// on jobs that nothing was set by too.
func TestSharedBeatsReservation(t *testing.T) {
	dir := os.Getenv("PURSER_DATA")
	if dir == "" || testing.Short() {
		t.Skip("the real data is not here (PURSER_DATA is not set), or the test is to be short")
	}
	for _, catalogue := range strings.Fields(evaCatalogues) {
		for sample := range uint64(2) {
			w, err := readEvaWorld(dir, catalogue)
			if sample > 0 {
				w, err = evaSample(dir, catalogue, sample)
			}
			if err != nil {
				t.Fatal(err)
			}
			eva, err := simulator.Run(t.Context(), w, &simulator.Reservation{}, simulator.Options{})
			if err != nil {
				t.Fatal(err)
			}
			ours, err := simulator.Run(t.Context(), w, &simulator.Shared{Delay: purser.USDPerHourOf(ourDelay)}, simulator.Options{})
			if err != nil || ours.Cost >= eva.Cost || ours.MeanTime > eva.MeanTime+time.Minute {
				t.Errorf("%s, sample %d: ours %v, Eva's %v (%v)", catalogue, sample, ours, eva, err)
			}
		}
	}
}
