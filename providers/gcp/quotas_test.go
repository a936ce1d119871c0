package gcp

import (
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"testing"
	"time"

	"purser"
)

func quota(metric string, limit, usage float64) object {
	return object{"metric": metric, "limit": limit, "usage": usage}
}

// reservation is one as the API gives it: counts are strings.
func reservation(name, machineType string, count, used int) object {
	return object{
		"name": name, "status": "READY", "creationTimestamp": "2026-02-01T00:00:00.000-08:00", "specificReservationRequired": true,
		"specificReservation": object{
			"count": strconv.Itoa(count), "inUseCount": strconv.Itoa(used), "instanceProperties": object{"machineType": machineType},
		},
	}
}

func TestQuotas(t *testing.T) {
	c := newCloud(t)
	w := c.world("proj")
	w.quotas[""] = []object{quota("GPUS_ALL_REGIONS", 16, 3), quota("NETWORKS", 5, 1)}
	w.quotas["us-central1"] = []object{
		quota("CPUS", 72, 10), quota("PREEMPTIBLE_CPUS", 0, 0), quota("NVIDIA_L4_GPUS", 4, 2), quota("PREEMPTIBLE_NVIDIA_L4_GPUS", 0, 0),
		quota("NVIDIA_A100_80GB_GPUS", 8, 0), quota("PREEMPTIBLE_NVIDIA_A100_80GB_GPUS", 64, 1), quota("NVIDIA_T4_VWS_GPUS", 1, 0), quota("COMMITTED_NVIDIA_L4_GPUS", 9, 0),
	}
	w.booked["us-central1-a"] = []object{reservation("r1", "a2-ultragpu-8g", 3, 1)}
	got, err := c.provider(t, w).Quotas(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]purser.Quota{}
	for _, q := range got.Quotas {
		if err := q.Check(); err != nil {
			t.Error(err)
		}
		have[q.Name] = q
	}
	want := map[string]purser.Quota{
		"gcp/us-central1/CPUS/n1":                                      {Limit: 72, Unit: "vcpus", TypePrefix: "n1-"},
		"gcp/us-central1/CPUS/e2":                                      {Limit: 72, Unit: "vcpus", TypePrefix: "e2-"},
		"gcp/us-central1/NVIDIA_L4_GPUS":                               {Limit: 4, Unit: "devices", Accelerator: "L4"},
		"gcp/us-central1/NVIDIA_A100_80GB_GPUS/on_demand":              {Limit: 8, Unit: "devices", Accelerator: "A100-80GB", Option: purser.OnDemand},
		"gcp/us-central1/PREEMPTIBLE_NVIDIA_A100_80GB_GPUS/spot":       {Limit: 16, Unit: "devices", Accelerator: "A100-80GB", Option: purser.Spot},
		"gcp/us-central1/PREEMPTIBLE_NVIDIA_A100_80GB_GPUS/flex_start": {Limit: 16, Unit: "devices", Accelerator: "A100-80GB", Option: purser.FlexStart},
	}
	for name, q := range want {
		q.Name, q.Provider, q.Region = name, "gcp", "us-central1"
		if have[name] != q {
			t.Errorf("%s is %+v; want %+v", name, have[name], q)
		}
	}
	if len(have) != len(want) || got.Used["gcp/us-central1/NVIDIA_L4_GPUS"] != 2 {
		t.Errorf("quotas %v, used %v", have, got.Used)
	}
	if len(got.Reserved) != 1 {
		t.Fatalf("reservations %+v", got.Reserved)
	}
	r := got.Reserved[0]
	shape := purser.Shape{Accelerator: "A100-80GB", Devices: 8000, DeviceMemoryMiB: 80 * 1024, MilliCPU: 96_000, MemoryMiB: 1392640}
	if r.Total != 3 || r.Free != 2 || r.Offer.Limit != 2 || !reflect.DeepEqual(r.Offer.Shape, shape) || r.Offer.Option != purser.Reserved || r.From != time.Date(2026, 2, 1, 8, 0, 0, 0, time.UTC) {
		t.Errorf("reservation %+v", r)
	}
	if err := r.Offer.Check(); err != nil {
		t.Error(err)
	}
}

func TestQuotasAreWholeOrAnError(t *testing.T) {
	c := newCloud(t)
	w := c.world("proj")
	w.quotas["us-central1"], w.quotas["us-east5"] = []object{quota("CPUS", 1, 0)}, nil
	if got, err := c.provider(t, w).Quotas(t.Context()); purser.KindOf(err) != purser.KindUnavailable {
		t.Errorf("a region without quotas gave %+v, %v", got, err)
	}
	w.quotas["us-east5"], w.unreachable = []object{quota("CPUS", 1, 0)}, "us-central1-b"
	if got, err := c.provider(t, w).Quotas(t.Context()); purser.KindOf(err) != purser.KindUnavailable {
		t.Errorf("a zone that does not answer gave %+v, %v", got, err)
	}
	w.answer = func(call string, _ *http.Request) (int, object) {
		if call == "compute.regions.list" {
			return http.StatusForbidden, refuse("forbidden", "PERMISSION_DENIED", "Required 'compute.regions.list' permission")
		}
		return 0, nil
	}
	if _, err := c.provider(t, w).Quotas(t.Context()); purser.KindOf(err) != purser.KindForbidden {
		t.Errorf("a refusal gave %v", err)
	}
}

func (w *world) listRegions(r *http.Request) (int, object) {
	var all []listed
	for _, region := range slices.Sorted(maps.Keys(w.quotas)) {
		if region != "" {
			all = append(all, listed{"", object{"name": region, "quotas": w.quotas[region]}})
		}
	}
	return w.list(r, all)
}

func (w *world) getProject(r *http.Request) (int, object) {
	return http.StatusOK, object{"name": r.PathValue("project"), "quotas": w.quotas[""]}
}

func (w *world) listReservations(r *http.Request) (int, object) {
	var all []listed
	for _, b := range w.booked[r.PathValue("zone")] {
		all = append(all, listed{"", b})
	}
	return w.list(r, all)
}

func (w *world) listAllReservations(r *http.Request) (int, object) {
	var all []listed
	for _, zone := range w.zones {
		for _, b := range w.booked[zone] {
			all = append(all, listed{zone, b})
		}
	}
	return w.aggregated(r, "reservations", all)
}

func (w *world) getMachineType(r *http.Request) (int, object) {
	out := object{"name": r.PathValue("name"), "guestCpus": 96, "memoryMb": 1392640}
	switch r.PathValue("name") {
	case "a2-ultragpu-8g":
		out["accelerators"] = []object{{"guestAcceleratorType": "nvidia-a100-80gb", "guestAcceleratorCount": 8}}
	case "n1-standard-8":
		out["guestCpus"], out["memoryMb"] = 8, 30720
	default:
		return missing(r.URL.Path)
	}
	return http.StatusOK, out
}
