package bench

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"purser"
	"purser/optimizer"
)

// made writes a small folder in the layout of the real data.
func made(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string, zip bool) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		b := []byte(text)
		if zip {
			var z bytes.Buffer
			w := gzip.NewWriter(&z)
			if _, err := w.Write(b); err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			b = z.Bytes()
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("alibaba-gpu-v2023/openb_pod_list_default.csv", "name,cpu_milli,memory_mib,num_gpu,gpu_milli\na,4000,8192,1,460\nb,8000,16384,2,1000\nc,1000,1024,0,0\n", false)
	write("sia-sosp23/philly.csv.gz", "timestamp,duration,num_gpus\nx,66.0,1\ny,7200.0,4\n", true)
	for _, provider := range strings.Fields(catalogues) {
		rows := "InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,GpuInfo,Price,SpotPrice,Region,AvailabilityZone\n"
		rows += "plain,,,2,8,,0.1,,somewhere,somewhere-a\n"
		if provider == "aws" {
			for zone := range 4 {
				for _, n := range []int{1, 4, 8} {
					rows += fmt.Sprintf("t4-%d,T4,%d,%d,%d,,%d.0,0.%d,us-east-1,use1-az%d\n", n, n, 8*n, 32*n, n, n, zone)
				}
			}
		}
		write("price-catalogs-2024-02/"+provider+".csv.gz", rows, true)
	}
	return dir
}

func TestLadderIsMadeOfItsData(t *testing.T) {
	l, err := ReadLadder(t.Context(), made(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(l.pods) != 2 || l.pods[0].devices != 500 || l.pods[1].devices != 2000 || len(l.runs) != 2 || l.runs[0].duration.Minutes() != 10 || len(l.offers) != 30 {
		t.Fatalf("read %+v %+v and %d offers", l.pods, l.runs, len(l.offers))
	}
	in := l.Rung(60, 24, 1)
	if !reflect.DeepEqual(in, l.Rung(60, 24, 1)) || reflect.DeepEqual(in.Jobs, l.Rung(60, 24, 2).Jobs) {
		t.Error("a rung is not a function of its seed")
	}
	services, gangs := 0, 0
	for _, j := range in.Jobs {
		if err := j.Check(); err != nil {
			t.Errorf("%s: %v", j.Name, err)
		}
		if j.Groups[0].Gang {
			gangs++
		}
		if j.Groups[0].Kind == purser.Inference {
			services++
		}
	}
	if len(in.Jobs) != 60 || services == 0 || gangs == 0 {
		t.Errorf("%d jobs, %d services and %d gangs", len(in.Jobs), services, gangs)
	}
}

func TestTracesThatAreNotThere(t *testing.T) {
	dir := made(t)
	path := filepath.Join(dir, "alibaba-gpu-v2023", "openb_pod_list_default.csv")
	if err := os.WriteFile(path, []byte("name,cpu_milli,memory_mib,num_gpu,gpu_milli\na,many,1,1,1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadLadder(t.Context(), dir); purser.KindOf(err) != purser.KindInvalid || !strings.Contains(err.Error(), "openb_pod_list_default.csv:2") {
		t.Errorf("a broken row: %v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadLadder(t.Context(), dir); purser.KindOf(err) != purser.KindNotFound {
		t.Errorf("a missing file: %v", err)
	}
}

func TestUnlikeJobsAreAllUnlike(t *testing.T) {
	l, err := ReadLadder(t.Context(), made(t))
	if err != nil {
		t.Fatal(err)
	}
	in := l.Unlike(60, 24, 1)
	if !reflect.DeepEqual(in, l.Unlike(60, 24, 1)) || reflect.DeepEqual(in.Jobs, l.Unlike(60, 24, 2).Jobs) {
		t.Error("a rung is not a function of its seed")
	}
	p, err := optimizer.NewProblem(in)
	if err != nil {
		t.Fatal(err)
	}
	if n := p.Size(); n.Jobs != 60 || n.Classes != 60 {
		t.Errorf("%d jobs in %d classes", n.Jobs, n.Classes)
	}
	for _, j := range in.Jobs {
		if err := j.Check(); err != nil {
			t.Errorf("%s: %v", j.Name, err)
		}
	}
}
