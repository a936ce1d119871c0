package gcp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"testing"
	"time"

	"purser"
	"purser/providers"
)

// fill puts machines of this installation into zones, and as many of others.
func (w *world) fill(zones, machines int) {
	w.zones = nil
	for z := range zones {
		w.zones = append(w.zones, fmt.Sprintf("region%d-east%d-a", z/10, z%10))
	}
	for i := range machines {
		zone := w.zones[i%zones]
		lease := purser.LeaseID(fmt.Sprintf("lease-%05d", machines-i))
		name, _ := nameOf(installation, lease)
		w.vms[zone+"/"+name] = &vm{zone: zone, name: name, made: start.Add(-time.Hour), body: object{
			"name": name, "machineType": "zones/" + zone + "/machineTypes/g2-standard-4", "labels": map[string]string{labelLease: string(lease), labelInstallation: installation},
			"metadata": object{"items": []object{{"key": "startup-script", "value": string(make([]byte, 3000))}}},
		}}
	}
}

func TestListReadsEveryPage(t *testing.T) {
	c := newCloud(t)
	w := c.world("proj")
	w.fill(5, 73)
	w.pageSize, w.tpuZones = 10, []string{"region0-east0-a", "us-east5-b"}
	p := c.provider(t, w)
	for i := range 12 {
		launch(t, p, requestOf(purser.LeaseID(fmt.Sprintf("tpu-%02d", i)), tpuOffer()))
	}
	w.pass(time.Minute)
	all, err := p.List(t.Context())
	if err != nil || len(all) != 85 {
		t.Fatalf("List gave %d, %v", len(all), err)
	}
	seen := map[purser.LeaseID]bool{}
	for i, in := range all {
		if seen[in.Lease] || in.State != providers.Running || (i > 0 && all[i-1].Lease > in.Lease) || in.InstanceType == "" || in.Zone == "" || in.Region == "" {
			t.Errorf("machine %d is %+v", i, in)
		}
		seen[in.Lease] = true
		if again, err := p.Describe(t.Context(), in.Ref("gcp")); err != nil || again.ID != in.ID {
			t.Errorf("Describe by %+v gave %+v, %v", in.Ref("gcp"), again, err)
		}
	}
}

func TestListIsWholeOrAnError(t *testing.T) {
	for _, zone := range []string{"us-central1-b", "us-east5-b"} {
		c := newCloud(t)
		w := c.world("proj")
		p := c.provider(t, w)
		launch(t, p, requestOf("a", gpuOffer()))
		w.unreachable = zone
		if all, err := p.List(t.Context()); purser.KindOf(err) != purser.KindUnavailable || all != nil {
			t.Errorf("%s does not answer, and List gave %+v, %v", zone, all, err)
		}
	}
}

func TestMachinesWithCopiedLabelsAreNotOurs(t *testing.T) {
	c := newCloud(t)
	w := c.world("proj")
	w.vms["us-central1-a/web-1"] = &vm{zone: "us-central1-a", name: "web-1", made: start, state: "TERMINATED", body: object{
		"name": "web-1", "machineType": "x", "labels": map[string]string{labelLease: "a", labelInstallation: installation},
	}}
	p := c.provider(t, w)
	all, err := p.List(t.Context())
	n, swept := p.Sweep(t.Context(), 0)
	if err != nil || swept != nil || len(all) != 0 || n != 0 || len(w.vms) != 1 {
		t.Errorf("List gave %+v, %v; Sweep removed %d, %v", all, err, n, swept)
	}
}

func TestStatesOfMachines(t *testing.T) {
	for state, want := range map[string]providers.InstanceState{
		"PENDING": providers.Pending, "PROVISIONING": providers.Pending, "STAGING": providers.Pending, "RUNNING": providers.Running, "REPAIRING": providers.Running,
		"PENDING_STOP": providers.Stopping, "STOPPING": providers.Stopping, "SUSPENDING": providers.Stopping, "DEPROVISIONING": providers.Stopping,
		"SUSPENDED": providers.Gone, "TERMINATED": providers.Gone, "STOPPED": providers.Gone, "SOMETHING_NEW": providers.Running,
	} {
		c := newCloud(t)
		w := c.world("proj")
		p := c.provider(t, w)
		r := requestOf("a", gpuOffer())
		launch(t, p, r)
		w.vms["us-central1-a/"+nameFor(t, "a")].state = state
		in, err := p.Describe(t.Context(), r.Lease)
		if err != nil || in.State != want || (want == providers.Gone) != (in.Reason != "" && want == providers.Gone) {
			t.Errorf("%s is %+v, %v; want %s", state, in, err, want)
		}
	}
}

func TestStatesOfTPUs(t *testing.T) {
	for _, test := range []struct {
		request, machine string
		want             providers.InstanceState
	}{
		{"CREATING", "", providers.Pending},
		{"ACCEPTED", "", providers.Pending},
		{"WAITING_FOR_RESOURCES", "", providers.Pending},
		{"PROVISIONING", "", providers.Pending},
		{"ACTIVE", "READY", providers.Running},
		{"ACTIVE", "REPAIRING", providers.Running},
		{"ACTIVE", "STOPPED", providers.Gone},
		{"ACTIVE", "PREEMPTED", providers.Gone},
		{"ACTIVE", "TERMINATED", providers.Gone},
		{"ACTIVE", "GONE", providers.Running},
		{"ACTIVE", "STOPPING", providers.Stopping},
		{"SUSPENDING", "", providers.Stopping},
		{"DELETING", "", providers.Stopping},
		{"SUSPENDED", "", providers.Gone},
		{"FAILED", "", providers.Gone},
	} {
		c := newCloud(t)
		w := c.world("proj")
		p := c.provider(t, w)
		r := requestOf("a", tpuOffer())
		launch(t, p, r)
		q := w.queued["us-east5-b/"+nameFor(t, "a")]
		q.state, q.tpu = test.request, test.machine
		in, err := p.Describe(t.Context(), r.Lease)
		if err != nil || in.State != test.want {
			t.Errorf("%s, %s is %+v, %v; want %s", test.request, test.machine, in, err, test.want)
		}
		all, err := p.List(t.Context())
		if err != nil || (len(all) == 0) != (test.want == providers.Gone) || (len(all) == 1 && all[0].State != test.want) {
			t.Errorf("%s, %s: List gave %+v, %v", test.request, test.machine, all, err)
		}
	}
}

func TestFullZoneOfTPUs(t *testing.T) {
	c := newCloud(t)
	w := c.world("proj")
	w.full["us-east5-b"] = true
	p := c.provider(t, w)
	r := requestOf("a", tpuOffer())
	if in := launch(t, p, r); in.State != providers.Pending { // it waits in the queue
		t.Errorf("Launch gave %+v", in)
	}
	w.pass(31 * time.Minute)
	if in, err := p.Describe(t.Context(), r.Lease); err != nil || in.State != providers.Gone || in.Reason == "" {
		t.Errorf("Describe gave %+v, %v", in, err)
	}
	_, err := p.Launch(t.Context(), r)
	refusedAs(t, err, purser.KindNoCapacity, tpuOffer())
	if n, err := p.Sweep(t.Context(), time.Minute); n != 1 || err != nil {
		t.Errorf("Sweep removed %d, %v", n, err)
	}
	w.refusal = object{"code": 8, "message": "There is no more capacity in the zone"}
	begun := w.clock()
	_, err = p.Launch(t.Context(), requestOf("b", tpuOffer()))
	refusedAs(t, err, purser.KindNoCapacity, tpuOffer())
	if took := w.clock().Sub(begun); took > 2*time.Second || w.count("tpu.queuedResources.create") != 2 {
		t.Errorf("answered after %s and %d requests", took, w.count("tpu.queuedResources.create"))
	}
}

// A machine that powers itself off is gone, and what it leaves is swept.
func TestPoweredOffMachineIsSwept(t *testing.T) {
	c := newCloud(t)
	w := c.world("proj")
	p := c.provider(t, w)
	r := requestOf("a", gpuOffer())
	launch(t, p, r)
	w.pass(time.Minute)
	w.powerOff("us-central1-a/" + nameFor(t, "a"))
	if in, err := p.Describe(t.Context(), r.Lease); err != nil || in.State != providers.Gone || in.Reason == "" {
		t.Errorf("Describe gave %+v, %v", in, err)
	}
	if all, err := p.List(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("List gave %+v, %v", all, err)
	}
	if in := launch(t, p, r); in.State != providers.Gone {
		t.Errorf("Launch gave %+v", in)
	}
	if n, err := p.Sweep(t.Context(), time.Hour); n != 0 || err != nil {
		t.Errorf("Sweep within the grace removed %d, %v", n, err)
	}
	w.pass(2 * time.Hour)
	if n, err := p.Sweep(t.Context(), time.Hour); n != 1 || err != nil {
		t.Errorf("Sweep removed %d, %v", n, err)
	}
	w.pass(time.Minute)
	if left := w.leavings(); len(left) != 0 {
		t.Errorf("left over: %v", left)
	}
}

func TestSweepGoesOnPastFailures(t *testing.T) {
	c := newCloud(t)
	w := c.world("proj")
	w.full["us-central1-a"], w.leaveDisks = true, true
	p := c.provider(t, w)
	if _, err := p.Launch(t.Context(), requestOf("a", gpuOffer())); purser.KindOf(err) != purser.KindNoCapacity {
		t.Fatal(err)
	}
	w.pass(time.Hour)
	w.answer = func(call string, _ *http.Request) (int, object) {
		if call == "compute.instances.aggregatedList" {
			return http.StatusInternalServerError, refuse("backendError", "INTERNAL", "x")
		}
		return 0, nil
	}
	n, err := p.Sweep(t.Context(), time.Minute)
	if n != 1 || purser.KindOf(err) != purser.KindUnavailable && err == nil {
		t.Errorf("Sweep removed %d, %v; want the disk and the failure", n, err)
	}
	if left := w.leavings(); len(left) != 0 {
		t.Errorf("left over: %v", left)
	}
}

func TestInterruptions(t *testing.T) {
	c := newCloud(t)
	w := c.world("proj")
	p := c.provider(t, w)
	for _, id := range []purser.LeaseID{"a", "b"} {
		launch(t, p, requestOf(id, gpuOffer()))
	}
	launch(t, p, requestOf("t", tpuOffer()))
	launch(t, c.provider(t, w, func(c *Config) { c.Installation = "other" }), func() providers.Request {
		r := requestOf("a", gpuOffer())
		r.Installation, r.Token = "other", providers.ClientToken("other", r.Lease)
		return r
	}())
	w.pass(time.Minute)
	other, _ := nameOf("other", "a")
	w.preempt("us-central1-a/" + nameFor(t, "a"))
	w.preempt("us-central1-a/" + other)
	w.powerOff("us-central1-a/" + nameFor(t, "b"))
	w.queued["us-east5-b/"+nameFor(t, "t")].state = "SUSPENDING"

	ctx, cancel := context.WithCancel(t.Context())
	rounds, got, refused := 0, map[purser.LeaseID]providers.Interruption{}, 0
	p.config.Wait = func(context.Context, time.Duration) error {
		if rounds++; rounds == 4 {
			cancel()
		}
		return ctx.Err()
	}
	w.answer = func(call string, _ *http.Request) (int, object) {
		if rounds == 1 && call == "compute.globalOperations.aggregatedList" { // a failure in between
			return http.StatusServiceUnavailable, refuse("backendError", "UNAVAILABLE", "x")
		}
		return 0, nil
	}
	err := p.Interruptions(ctx, func(_ context.Context, n providers.Interruption) error {
		if n.Lease == "b" && refused == 0 { // not taken on: it must come again
			refused++
			return errors.New("not now")
		}
		if _, twice := got[n.Lease]; twice {
			t.Errorf("%+v came twice", n)
		}
		got[n.Lease] = n
		return nil
	})
	if err != nil || len(got) != 3 {
		t.Errorf("Interruptions gave %v, %+v", err, got)
	}
	if n := got["a"]; n.Kind != providers.Preempted || n.Instance != "zones/us-central1-a/instances/"+nameFor(t, "a") || n.At.IsZero() || n.Reason == "" {
		t.Errorf("notice of a: %+v", n)
	}
	if got["b"].Kind != providers.Ended || got["t"].Kind != providers.Preempted {
		t.Errorf("notices %+v", got)
	}

	w.answer = func(string, *http.Request) (int, object) {
		return http.StatusForbidden, refuse("forbidden", "PERMISSION_DENIED", "x")
	}
	if err := p.Interruptions(t.Context(), nil); purser.KindOf(err) != purser.KindForbidden {
		t.Errorf("a refusal for good gave %v", err)
	}
}

// Maintenance that was called off and is planned again is told again.
func TestMaintenanceIsToldOnceAsLongAsItIsPlanned(t *testing.T) {
	c := newCloud(t)
	w := c.world("proj")
	p := c.provider(t, w)
	launch(t, p, requestOf("a", gpuOffer()))
	body := w.vms["us-central1-a/"+nameFor(t, "a")].body
	planned := object{"upcomingMaintenance": object{"windowStartTime": "2026-03-09T12:00:00Z"}}
	body["resourceStatus"] = planned
	ctx, cancel := context.WithCancel(t.Context())
	rounds, told := 0, []int{}
	p.config.Wait = func(context.Context, time.Duration) error {
		switch rounds++; rounds {
		case 2*maintenanceEvery - 1:
			delete(body, "resourceStatus")
		case 3*maintenanceEvery - 1:
			body["resourceStatus"] = planned
		case 3*maintenanceEvery + 1:
			cancel()
		}
		return ctx.Err()
	}
	err := p.Interruptions(ctx, func(_ context.Context, n providers.Interruption) error {
		if n.Lease != "a" || n.Kind != providers.Retired {
			t.Errorf("delivered %+v", n)
		}
		told = append(told, rounds)
		return nil
	})
	if err != nil || !slices.Equal(told, []int{0, 3 * maintenanceEvery}) {
		t.Errorf("Interruptions gave %v, and told of it in rounds %v", err, told)
	}
}

func BenchmarkList5000(b *testing.B) {
	c := newCloud(b)
	w := c.world("proj")
	w.fill(30, 5000)
	w.latency, w.tpuZones = 50*time.Millisecond, w.zones
	p := c.provider(b, w)
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		all, err := p.List(b.Context())
		if err != nil || len(all) != 5000 {
			b.Fatalf("List gave %d, %v", len(all), err)
		}
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc)/1e6, "MB-heap")
	}
}
