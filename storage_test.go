package purser_test

import (
	"testing"
	"time"

	"purser"
)

func dataGroup(d purser.Data, c purser.Checkpoint) purser.TaskGroup {
	return purser.TaskGroup{
		Name: "g", Kind: purser.Training, Replicas: 1, RunTime: time.Hour, Run: purser.Run{Command: "x"}, Data: d, Checkpoint: c,
		Variants: []purser.Variant{{Name: "v", MilliCPU: 1000}},
	}
}

// What a replica costs beside its machine, item by item.
func TestExtraCost(t *testing.T) {
	aws := purser.Offer{Provider: "aws", Region: "us-east-1", Option: purser.OnDemand}
	gcp := purser.Offer{Provider: "gcp", Region: "us-east1", Option: purser.Spot}
	own := purser.Offer{Provider: "local", Region: "berlin", Option: purser.Private}
	at := func(class purser.StorageClass) purser.Data {
		return purser.Data{Provider: "aws", Region: "us-east-1", SizeGB: 100, Storage: class}
	}
	kept := purser.Checkpoint{Path: "c", SizeGB: 73, Storage: purser.StorageStandard}
	for name, c := range map[string]struct {
		g    purser.TaskGroup
		o    purser.Offer
		want string
	}{
		"nothing":                 {dataGroup(purser.Data{}, purser.Checkpoint{}), aws, "0"},
		"beside its data":         {dataGroup(at(purser.StorageStandard), purser.Checkpoint{}), aws, "0"},
		"cold data":               {dataGroup(at(purser.StorageCold), purser.Checkpoint{}), aws, "3"},
		"cold data far off":       {dataGroup(at(purser.StorageCold), purser.Checkpoint{}), gcp, "12"},
		"a copy on NVMe":          {dataGroup(at(purser.StorageNVMe), purser.Checkpoint{}), gcp, "9"},
		"checkpoints at AWS":      {dataGroup(purser.Data{}, kept), aws, "0.023"}, // 73 GB for 10 h at 0.023 a month of 730 h
		"checkpoints at Google":   {dataGroup(purser.Data{}, kept), gcp, "0.02"},
		"checkpoints at home":     {dataGroup(purser.Data{}, kept), own, "0"},
		"a class that is unsaid":  {dataGroup(purser.Data{}, purser.Checkpoint{Path: "c", SizeGB: 73}), aws, "0"},
		"checkpoints over nobody": {dataGroup(purser.Data{}, kept), purser.Offer{Provider: "vast", Option: purser.Spot}, "0.023"},
	} {
		if got := c.g.ExtraCost(c.o, 10*time.Hour); got.Decimal() != c.want {
			t.Errorf("%s: %s, want %s", name, got.Decimal(), c.want)
		}
	}
}

// Times follow the class, unless they are said.
func TestStorageTimes(t *testing.T) {
	for name, c := range map[string]struct {
		d    purser.Data
		want time.Duration
	}{
		"no class": {purser.Data{SizeGB: 340}, 0},
		"standard": {purser.Data{SizeGB: 340, Storage: purser.StorageStandard}, 1000 * time.Second},
		"cold":     {purser.Data{SizeGB: 340, Storage: purser.StorageCold}, 1000 * time.Second},
		"nvme":     {purser.Data{SizeGB: 1400, Storage: purser.StorageNVMe}, 1000 * time.Second},
		"measured": {purser.Data{SizeGB: 340, Storage: purser.StorageNVMe, Load: time.Minute}, time.Minute},
	} {
		if got := c.d.LoadTime(); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	for name, c := range map[string]struct {
		c              purser.Checkpoint
		write, restart time.Duration
	}{
		"said":     {purser.Checkpoint{SizeGB: 34, Storage: purser.StorageNVMe, Cost: time.Second, Restart: time.Minute}, time.Second, time.Minute},
		"standard": {purser.Checkpoint{SizeGB: 34, Storage: purser.StorageStandard}, 100 * time.Second, 100 * time.Second},
		"nvme":     {purser.Checkpoint{SizeGB: 34, Storage: purser.StorageNVMe}, 24_285_714_286, 100 * time.Second},
		"no class": {purser.Checkpoint{SizeGB: 34}, 0, 0},
	} {
		if write, restart := c.c.Times(); write != c.write || restart != c.restart {
			t.Errorf("checkpoint %s: %v and %v, want %v and %v", name, write, restart, c.write, c.restart)
		}
	}
}

// Disks go with the devices of a machine, or with its vCPUs, to the last MiB.
func TestDisksAreSharedOut(t *testing.T) {
	g := dataGroup(purser.Data{Provider: "aws", SizeGB: 1.048576, Storage: purser.StorageNVMe}, purser.Checkpoint{Path: "c", SizeGB: 1, Storage: purser.StorageStandard})
	if got := g.DiskMiB(); got != 1000 {
		t.Fatalf("%d MiB", got)
	}
	gpu := purser.Shape{Accelerator: "L4", Devices: 4000, MilliCPU: 16000, DiskMiB: 4000}
	cpu := purser.Shape{MilliCPU: 16000, DiskMiB: 4000}
	for name, c := range map[string]struct {
		v    purser.Variant
		s    purser.Shape
		want bool
	}{
		"a quarter":              {purser.Variant{Devices: 1000, MilliCPU: 100}, gpu, true},
		"an eighth":              {purser.Variant{Devices: 500, MilliCPU: 16000}, gpu, false},
		"no device":              {purser.Variant{MilliCPU: 16000}, gpu, false},
		"a quarter of the vCPUs": {purser.Variant{MilliCPU: 4000}, cpu, true},
		"a little less":          {purser.Variant{MilliCPU: 3999}, cpu, false},
		"disks that are unknown": {purser.Variant{MilliCPU: 16000}, purser.Shape{MilliCPU: 16000}, false},
	} {
		if got := g.DiskFits(c.v, c.s); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestGroupsCheckTheirStorage(t *testing.T) {
	for field, g := range map[string]purser.TaskGroup{
		"data.storage":       dataGroup(purser.Data{Provider: "aws", SizeGB: 1, Storage: "tape"}, purser.Checkpoint{}),
		"data.load_time":     dataGroup(purser.Data{Provider: "aws", SizeGB: 1, Load: -1}, purser.Checkpoint{}),
		"data.size_gb":       dataGroup(purser.Data{Provider: "aws", Storage: purser.StorageCold}, purser.Checkpoint{}),
		"checkpoint.storage": dataGroup(purser.Data{}, purser.Checkpoint{Path: "c", SizeGB: 1, Storage: purser.StorageCold}),
		"checkpoint.size_gb": dataGroup(purser.Data{}, purser.Checkpoint{Path: "c", Storage: purser.StorageNVMe}),
		"":                   dataGroup(purser.Data{Provider: "aws", SizeGB: 1, Storage: purser.StorageCold}, purser.Checkpoint{Path: "c", SizeGB: 1, Storage: purser.StorageNVMe}),
	} {
		err := purser.Job{Name: "j", Project: "p", Groups: []purser.TaskGroup{g}}.Check()
		if got := pathOf(err); (field == "" && err != nil) || (field != "" && got != "groups[0]."+field) {
			t.Errorf("%v at %q, want %q", err, got, field)
		}
	}
}
