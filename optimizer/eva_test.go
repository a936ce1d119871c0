package optimizer

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"purser"
)

// dataFile reads a file of the real data, or skips.
func dataFile(t testing.TB, parts ...string) []byte {
	t.Helper()
	root := os.Getenv("PURSER_DATA")
	if root == "" {
		t.Skip("the real data is not here: PURSER_DATA is not set")
	}
	b, err := os.ReadFile(filepath.Join(append([]string{root}, parts...)...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// evaInput is the static case of Eva (EuroSys'25): its 200 tasks at once on one of its two catalogues of AWS types.
func evaInput(t testing.TB, catalogue string) Input {
	t.Helper()
	var types struct {
		Types map[string]struct {
			Capacity [3]int64
			Cost     json.Number
		} `json:"instance_types"`
	}
	if err := json.Unmarshal(dataFile(t, "eva-eurosys25", catalogue+".json"), &types); err != nil {
		t.Fatal(err)
	}
	in := Input{Now: time.Date(2024, 2, 21, 0, 0, 0, 0, time.UTC), Snapshot: true}
	for name, ty := range types.Types {
		price, err := purser.ParseUSDPerHour(ty.Cost.String())
		if err != nil {
			t.Fatal(err)
		}
		o := purser.Offer{
			Provider: "aws", Region: "us-east-1", InstanceType: name, Option: purser.OnDemand, UnitPrice: price, Limit: purser.Unlimited,
			Shape: purser.Shape{MilliCPU: ty.Capacity[1] * 1000, MemoryMiB: ty.Capacity[2] * 1024},
		}
		if ty.Capacity[0] > 0 {
			o.Accelerator, o.Devices, o.DeviceMemoryMiB = "V100-16GB", purser.MilliDevices(ty.Capacity[0]*1000), 16*1024
		}
		in.Offers = append(in.Offers, o)
	}
	var jobs map[string]struct {
		Tasks map[string]struct {
			Demand map[string][3]int64
		}
	}
	if err := json.Unmarshal(dataFile(t, "eva-eurosys25", "pai_200.json"), &jobs); err != nil {
		t.Fatal(err)
	}
	for id, j := range jobs {
		job := purser.Job{ID: purser.JobID("pai-" + id), Project: "pai", Name: "pai-" + id}
		for name, task := range j.Tasks {
			d := task.Demand["any"]
			v := purser.Variant{Name: "any", MilliCPU: d[1] * 1000, MemoryMiB: d[2] * 1024}
			if d[0] > 0 {
				v.Accelerator, v.Devices = "V100-16GB", purser.MilliDevices(d[0]*1000)
			}
			job.Groups = append(job.Groups, purser.TaskGroup{
				Name: fmt.Sprintf("node%s", name), Kind: purser.Training, Replicas: 1,
				RunTime: time.Hour, Variants: []purser.Variant{v}, Run: purser.Run{Command: "true"},
			})
		}
		in.Jobs = append(in.Jobs, job)
	}
	return in
}
